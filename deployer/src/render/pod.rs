//! The pod of a service, a process, a task or a job: one container of its image, and what surrounds it.

use clustergraph::format::service::Security;
use clustergraph::graph::{Image, Role, Service};
use serde_json::{Value, json};

use super::env::literal;
use super::{Scene, container_security, probe};
use crate::error::Result;
use crate::names;

/// The user that recipes run as, and the group that volumes belong to.
pub(super) const RECIPE_USER: u32 = 10001;

/// Between a pod's end being decided and its program being told: in this time every node hears that the
/// pod is no endpoint any more, so that nobody knocks at a closed door.
const HEARD: u64 = 5;

impl Scene<'_> {
    /// The template of a pod; of one that ends by itself with what happens then.
    pub(super) fn pod(&self, service: &Service, workload: &str, restart: Option<&str>) -> Result<Value> {
        let mut labels = self.node_labels(service);
        labels.insert(names::INSTANCE.to_owned(), workload.to_owned());
        let mut container = json!({
            "name": names::CONTAINER,
            "image": self.service_image(service)?,
            "imagePullPolicy": "IfNotPresent",
            "env": self.environment(service)?,
        });
        set(&mut container, "securityContext", service_security(service));
        set(&mut container, "command", service.run.as_ref().map(command));
        set(&mut container, "resources", resources(service));
        let (mounts, volumes) = self.mounts(service, workload)?;
        set(&mut container, "volumeMounts", some(mounts));
        let mut spec = json!({
            "serviceAccountName": names::ACCOUNT,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": grace(service),
            "securityContext": pod_security(service),
        });
        if service.role == Role::Service {
            set(&mut spec, "affinity", apart(service));
            set(&mut container, "lifecycle", lifecycle(service));
            // Nobody can kill the first process of a container from inside it; of a pod that shares its processes it is none.
            set(&mut spec, "shareProcessNamespace", (service.stop.signal == "KILL").then_some(Value::Bool(true)));
            set(&mut container, "ports", ports(service));
            for (name, probe) in probe::of(service) {
                set(&mut container, name, Some(probe));
            }
        }
        set(&mut spec, "containers", Some(json!([container])));
        set(&mut spec, "volumes", some(volumes));
        set(&mut spec, "restartPolicy", restart.map(|policy| json!(policy)));
        let calls = self.calls(service).join(",");
        Ok(json!({ "metadata": { "labels": labels, "annotations": { (names::CALLS): calls } }, "spec": spec }))
    }
}

/// Sets a field if there is a value for it.
pub(super) fn set(object: &mut Value, field: &str, value: Option<Value>) {
    if let (Some(object), Some(value)) = (object.as_object_mut(), value) {
        object.insert(field.to_owned(), value);
    }
}

fn some(values: Vec<Value>) -> Option<Value> {
    (!values.is_empty()).then(|| json!(values))
}

/// A command in which Kubernetes finds nothing to replace.
pub(crate) fn command<'w>(words: impl IntoIterator<Item = &'w String>) -> Value {
    words.into_iter().map(|word| literal(word)).collect()
}

/// What all of a pod may do. Recipes name their user; a Dockerfile or a ready image must name one that is not root, by
/// number, unless the service says that it may be root.
pub(super) fn pod_security(service: &Service) -> Value {
    let mut security = json!({ "seccompProfile": { "type": "RuntimeDefault" } });
    if service.security == Security::Restricted {
        set(&mut security, "runAsNonRoot", Some(json!(true)));
        if matches!(service.image, Image::Recipe(_)) {
            set(&mut security, "runAsUser", Some(json!(RECIPE_USER)));
            set(&mut security, "runAsGroup", Some(json!(RECIPE_USER)));
        }
    }
    if !service.volumes.is_empty() {
        // Whoever it runs as, it is in this group, and what is in the volume is the group's.
        set(&mut security, "fsGroup", Some(json!(RECIPE_USER)));
        set(&mut security, "fsGroupChangePolicy", Some(json!("OnRootMismatch")));
    }
    security
}

/// What its program may do: a program that may be root keeps what the runtime gives to it.
pub(super) fn service_security(service: &Service) -> Option<Value> {
    (service.security == Security::Restricted).then(container_security)
}

/// Where there are several nodes, the instances of a service are better not on the same one.
fn apart(service: &Service) -> Option<Value> {
    let is_alone = service.singleton || !service.volumes.is_empty();
    (!is_alone).then(|| {
        json!({ "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": 100,
            "podAffinityTerm": {
                "labelSelector": { "matchLabels": { (names::NAME): service.name } },
                "topologyKey": "kubernetes.io/hostname",
            },
        }] } })
    })
}

/// Memory is what it gets, and more ends it, on every node alike; processor time is its share where others want it, too,
/// and it may take what nobody else does: a limit would only make starts slow.
pub(super) fn resources(service: &Service) -> Option<Value> {
    let cpu = service.resources.cpu_millis.map(|millis| format!("{millis}m"));
    let memory = service.resources.memory_bytes.map(|bytes| bytes.to_string());
    if cpu.is_none() && memory.is_none() {
        return None;
    }
    let (mut requests, mut limits) = (json!({}), json!({}));
    set(&mut requests, "cpu", cpu.map(Value::String));
    set(&mut requests, "memory", memory.clone().map(Value::String));
    set(&mut limits, "memory", memory.clone().map(Value::String));
    let mut resources = json!({ "requests": requests });
    set(&mut resources, "limits", memory.map(|_| limits));
    Some(resources)
}

fn ports(service: &Service) -> Option<Value> {
    some(service.ports.iter().map(|port| json!({ "containerPort": port.number, "protocol": "TCP" })).collect())
}

/// For how long it goes on before it is told to end: only for what somebody knocks at.
fn heard(service: &Service) -> u64 {
    if service.ports.is_empty() { 0 } else { HEARD }
}

fn grace(service: &Service) -> u64 {
    service.stop.grace.as_secs() + if service.role == Role::Service { heard(service) } else { 0 }
}

/// What is done before Kubernetes sends its SIGTERM. Another signal is sent from inside, and the SIGTERM waits until the
/// program has ended: the field that Kubernetes has for this (`stopSignal`) is switched off by default up to 1.36.
fn lifecycle(service: &Service) -> Option<Value> {
    let heard = heard(service);
    match service.stop.signal.as_str() {
        "TERM" if heard == 0 => None,
        "TERM" => Some(json!({ "preStop": { "sleep": { "seconds": heard } } })),
        signal => {
            let before = if heard == 0 { String::new() } else { format!("sleep {heard}; ") };
            let script = match signal {
                "KILL" => format!("{before}kill -KILL -1"),
                signal => format!("{before}kill -{signal} 1; while kill -0 1 2>/dev/null; do sleep 0.1; done"),
            };
            Some(json!({ "preStop": { "exec": { "command": ["sh", "-c", script] } } }))
        }
    }
}
