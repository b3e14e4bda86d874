//! What is said of the keys of a Compose file that mean nothing here.

use super::Findings;
use super::compose::Service;

/// Keys with why they are left out; an empty reason is not worth a word.
const KEYS: &[(&str, &str)] = &[
    ("container_name", "a session names its containers itself: `ssi exec` and `ssi logs` take the service's name"),
    ("hostname", "a service is reached by its name"),
    ("networks", ""),
    ("network_mode", "services reach each other by their wiring, on one network of the session"),
    ("privileged", "a service has no rights over its machine"),
    ("cap_add", "a service has no rights over its machine"),
    ("devices", "a service has no rights over its machine"),
    ("security_opt", "`security:` says what a service may do on a cluster"),
    ("user", "the user is the image's own: write `USER` into the Dockerfile"),
    ("working_dir", "the folder is the image's own: write `WORKDIR` into the Dockerfile"),
    ("sysctls", "settings of the kernel belong to the machine"),
    ("ulimits", "limits of processes belong to the machine"),
    ("extra_hosts", "write the address into `env:`"),
    ("dns", "names are resolved by the engine"),
    ("external_links", "services of other files have to be wired by `env:`"),
    ("shm_size", "a container's shared memory has the engine's size"),
    ("platform", "images are those of this machine"),
    ("runtime", "the engine's own runtime is used"),
    ("gpus", "there are no processors of that kind here"),
    ("pid", "a service sees its own processes alone"),
    ("ipc", "a service shares no memory with others"),
    ("read_only", ""),
    ("logging", ""),
    ("init", ""),
    ("tty", ""),
    ("stdin_open", ""),
    ("pull_policy", ""),
    ("attach", ""),
    ("secrets", "write `secrets: [NAME]`: values come from .env, and are variables"),
    ("configs", "write `files:` with the file of the service's folder"),
    ("develop", "`ssi up` again restarts or rebuilds what changed"),
    ("use_api_socket", "no service is given the engine itself"),
    ("cpus", "write `resources: { cpu: ... }`"),
    ("mem_limit", "write `resources: { memory: ... }`"),
    ("volumes_from", "give both services a volume of their own, or make one of them"),
    ("cgroup", ""),
    ("group_add", "the user is the image's own"),
    ("post_start", "write what must run first as a task that others wait for"),
    ("pre_stop", "write `stop: { signal, grace }`"),
];

/// Keys that are read.
const READ: &[&str] = &[
    "image",
    "build",
    "entrypoint",
    "command",
    "environment",
    "env_file",
    "depends_on",
    "links",
    "ports",
    "expose",
    "volumes",
    "tmpfs",
    "healthcheck",
    "profiles",
    "restart",
    "deploy",
    "labels",
    "stop_signal",
    "stop_grace_period",
    "extends",
    "scale",
];

/// Notes what a service says in vain.
pub(super) fn unread(service: &Service, findings: &mut Findings) {
    for key in service.keys.iter().filter(|key| !READ.contains(&key.as_str()) && !key.starts_with("x-")) {
        match KEYS.iter().find(|(known, _)| known == key) {
            Some((_, "")) => {}
            Some((_, why)) => findings.add(Some(&service.name), key, why),
            None => findings.add(Some(&service.name), key, "there is no such thing here"),
        }
    }
}
