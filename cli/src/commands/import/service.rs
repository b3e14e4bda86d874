//! One service.yaml, from what is known of all of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::{Mapping, Value};

use super::compose::{MountKind, Service};
use super::environment::Environment;
use super::health::{Health, Probe, health};
use super::mounts::mounts;
use super::nodes::{Node, build_of, label};
use super::operation::operation;
use super::ports::Port;
use super::references::Segment;
use super::translate::{Plan, declared};
use super::yaml::{document, in_folder, list, map};
use super::{Findings, dockerfile, scripts};

impl Plan<'_> {
    /// Writes the file of a node.
    pub(super) fn write(&self, number: usize, files: &mut BTreeMap<String, String>, findings: &mut Findings) {
        let node = &self.nodes[number];
        let service = self.service(node);
        let name = service.name.as_str();
        let mut yaml = Mapping::new();
        yaml.insert("name".into(), node.name.as_str().into());
        list(&mut yaml, "dependencies", self.dependencies(number, findings));
        list(&mut yaml, "databases", self.databases(number));
        if !node.is_task {
            map(&mut yaml, "ports", self.ports[number].iter().map(port).collect());
        }
        let published: Vec<&str> = service.ports.iter().filter_map(|port| port.published.as_deref()).collect();
        if !published.is_empty() {
            let why = "this machine's ports are given out by ssi, near what the service asks for: `ssi ps` shows them";
            findings.add(Some(name), &format!("ports {}", published.join(", ")), why);
        }
        if service.ports.iter().any(|port| port.is_udp) {
            findings.add(Some(name), "ports .../udp", "ports are TCP here");
        }
        if let Some(check) = service.healthcheck.as_ref().and_then(health).filter(|_| !node.is_task) {
            map(&mut yaml, "health", self.health(number, &check));
        }
        let environment = self.environments.get(&node.at).cloned().unwrap_or_default();
        for file in &environment.missing {
            findings.add(Some(name), &format!("env_file {file}"), "it is not there");
        }
        map(&mut yaml, "env", self.env(number, &environment, findings));
        self.surroundings(node, &mut yaml);
        self.run(node, &mut yaml, files, findings);
        self.mounted(node, &mut yaml, files, findings);
        if node.is_task {
            yaml.insert("task".into(), true.into());
        }
        map(&mut yaml, "processes", self.processes(number, &environment, findings));
        operation(service, node.is_task, &mut yaml, findings);
        files.insert(in_folder(&node.folder, "service.yaml"), document(&yaml, self.known));
    }

    /// What its start waits for, and what it calls.
    fn dependencies(&self, number: usize, findings: &mut Findings) -> Vec<Value> {
        let node = &self.nodes[number];
        let mut edges: BTreeMap<String, (Option<&'static str>, bool)> = BTreeMap::new();
        for at in node.parts() {
            let service = &self.compose.services[at];
            for depends in &service.depends_on {
                if self.servers.contains_key(&depends.service) {
                    let used = self.environments.get(&at).map(|environment| self.stores.used(environment));
                    if !used.is_some_and(|used| used.values().any(|store| store.server == depends.service)) {
                        let why =
                            "no variable names it: nothing of this service is wired to it, and nothing waits for it";
                        findings.add(Some(&service.name), &format!("depends_on {}", depends.service), why);
                    }
                    continue;
                }
                let Some((other, target)) = self.node_of(&depends.service) else {
                    findings.add(
                        Some(&service.name),
                        &format!("depends_on {}", depends.service),
                        "there is no such service",
                    );
                    continue;
                };
                if other == number {
                    continue;
                }
                let wait = match depends.condition.as_str() {
                    "service_completed_successfully" => Some("completed"),
                    _ => None,
                };
                edges.insert(target.name.clone(), (wait, !depends.required));
            }
            // Whoever is called need not be there first.
            let called =
                self.environments.get(&at).into_iter().flat_map(|environment| environment.values.values().flatten());
            for segment in called {
                if let Segment::Service { name, .. } = segment
                    && let Some((other, target)) = self.node_of(name)
                    && other != number
                {
                    edges.entry(target.name.clone()).or_insert((Some("none"), false));
                }
            }
            for store in
                self.environments.get(&at).map(|environment| self.stores.used(environment)).unwrap_or_default().values()
            {
                if self.servers.get(&store.server).is_some_and(|server| !server.scripts.is_empty()) {
                    edges.insert(scripts::name(&store.server), (Some("completed"), false));
                }
            }
        }
        let edge = |(service, (wait, is_optional)): (String, (Option<&str>, bool))| {
            if wait.is_none() && !is_optional {
                return Value::from(service);
            }
            let mut edge = Mapping::new();
            edge.insert("service".into(), service.into());
            if let Some(wait) = wait {
                edge.insert("wait".into(), wait.into());
            }
            if is_optional {
                edge.insert("optional".into(), true.into());
            }
            Value::from(edge)
        };
        edges.into_iter().map(edge).collect()
    }

    fn databases(&self, number: usize) -> Vec<Value> {
        let mut used = BTreeMap::new();
        for environment in self.nodes[number].parts().filter_map(|at| self.environments.get(&at)) {
            used.extend(self.stores.used(environment));
        }
        // Of several of one family one has the family's name; a variable of the service says which is meant, if any.
        let mut kinds = BTreeSet::new();
        let mut all = Vec::new();
        for (alias, store) in used {
            let mut entry = Mapping::new();
            if store.owner == Some(number) {
                let Some(server) = self.servers.get(&store.server) else { continue };
                entry.extend(declared(server));
                if alias != server.kind {
                    entry.insert("as".into(), alias.into());
                }
                if !kinds.insert(server.kind.clone()) {
                    // The first of its kind is the primary one.
                    if let Some(Value::Mapping(first)) = all
                        .iter_mut()
                        .find(|value: &&mut Value| value.get("kind").and_then(Value::as_str) == Some(&server.kind))
                    {
                        first.insert("primary".into(), true.into());
                    }
                }
            } else {
                entry.insert("from".into(), alias.into());
            }
            all.push(Value::from(entry));
        }
        all
    }

    fn health(&self, number: usize, check: &Health) -> Mapping {
        let mut yaml = Mapping::new();
        match &check.probe {
            Some(Probe::Http(path)) => yaml.insert("http".into(), path.as_str().into()),
            Some(Probe::Tcp) => yaml.insert("tcp".into(), true.into()),
            Some(Probe::Grpc) => yaml.insert("grpc".into(), true.into()),
            Some(Probe::Command(words)) => yaml.insert("command".into(), words.clone().into()),
            None => None,
        };
        let ports = &self.ports[number];
        let asked = check.port.and_then(|number| ports.iter().find(|port| port.number == number));
        if let Some(port) = asked.filter(|port| ports.len() > 1 && port.name != "http" && !port.is_primary) {
            yaml.insert("port".into(), port.name.as_str().into());
        }
        if let Some(timeout) = &check.timeout {
            yaml.insert("timeout".into(), timeout.as_str().into());
        }
        if let Some(seconds) = check.start_seconds.filter(|seconds| *seconds > 60) {
            yaml.insert("start_timeout".into(), format!("{seconds}s").into());
        }
        yaml
    }

    fn surroundings(&self, node: &Node, yaml: &mut Mapping) {
        let mut passthrough = BTreeSet::new();
        let mut secrets: BTreeMap<&String, Option<&String>> = BTreeMap::new();
        for environment in node.parts().filter_map(|at| self.environments.get(&at)) {
            passthrough.extend(environment.passthrough.iter());
            for (name, dev) in &environment.secrets {
                let kept = secrets.entry(name).or_default();
                *kept = kept.or(dev.as_ref());
            }
        }
        list(yaml, "passthrough", passthrough.into_iter().map(|name| Value::from(name.as_str())).collect());
        let secret = |(name, dev): (&String, Option<&String>)| match dev {
            None => Value::from(name.as_str()),
            Some(dev) => {
                let entry: Mapping = [("name", name), ("dev", dev)]
                    .map(|(key, value)| (key.into(), value.as_str().into()))
                    .into_iter()
                    .collect();
                Value::from(entry)
            }
        };
        list(yaml, "secrets", secrets.into_iter().map(secret).collect());
    }

    /// What runs, and what it is made of.
    fn run(&self, node: &Node, yaml: &mut Mapping, files: &mut BTreeMap<String, String>, findings: &mut Findings) {
        let service = self.service(node);
        if let Some(run) = self.command(node, service, findings) {
            yaml.insert("run".into(), run.into());
        }
        let Some(build) = build_of(service, self.compose) else {
            if let Some(image) = &service.image {
                yaml.insert("image".into(), image.as_str().into());
            }
            return;
        };
        let context = node.context.clone().unwrap_or_default();
        let mut written = Mapping::new();
        if !context.is_empty() {
            written.insert("context".into(), context.as_str().into());
        }
        let dockerfile = match &build.inline {
            Some(text) => {
                files.insert(in_folder(&context, &format!("Dockerfile.{}", node.name)), text.clone());
                format!("Dockerfile.{}", node.name)
            }
            None => build.dockerfile.clone().unwrap_or_else(|| "Dockerfile".to_owned()),
        };
        let dockerfile = dockerfile.trim_start_matches("./");
        if dockerfile.starts_with("..") || dockerfile.starts_with('/') {
            findings.add(
                Some(&service.name),
                &format!("build.dockerfile {dockerfile}"),
                "it lies outside of its context: move it there",
            );
        }
        written.insert("dockerfile".into(), dockerfile.into());
        if let Some(target) = &build.target {
            written.insert("target".into(), target.as_str().into());
        }
        let args: Mapping = build
            .args
            .iter()
            .map(|(name, value)| (name.as_str().into(), value.clone().unwrap_or_default().into()))
            .collect();
        map(&mut written, "args", args);
        for key in &build.others {
            findings.add(
                Some(&service.name),
                &format!("build.{key}"),
                "builds have `dockerfile`, `context`, `target`, `args` and `secrets` here",
            );
        }
        yaml.insert("build".into(), written.into());
        if context != node.folder {
            yaml.insert("include".into(), vec![Value::from(context)].into());
        }
    }

    /// `entrypoint` and `command` together; where the former is left to a Dockerfile, what that says.
    fn command(&self, node: &Node, service: &Service, findings: &mut Findings) -> Option<Vec<String>> {
        let mut words: Vec<String> = service.entrypoint.clone().unwrap_or_default();
        if let (None, Some(command)) = (&service.entrypoint, &service.command) {
            match build_of(service, self.compose) {
                Some(build) => {
                    let name = build.dockerfile.as_deref().unwrap_or("Dockerfile");
                    let path = in_folder(node.context.as_deref().unwrap_or_default(), name.trim_start_matches("./"));
                    let text = build.inline.clone().or_else(|| self.known.look.text(&path)).unwrap_or_default();
                    words = dockerfile::entrypoint(&text, build.target.as_deref()).unwrap_or_default();
                }
                None => {
                    let why = "`run:` stands in the place of the image's own entrypoint, too: put its program first if it has one";
                    findings.add(Some(&service.name), &format!("command {}", command.join(" ")), why);
                }
            }
        }
        words.extend(service.command.iter().flatten().cloned());
        (!words.is_empty()).then_some(words)
    }

    fn mounted(&self, node: &Node, yaml: &mut Mapping, files: &mut BTreeMap<String, String>, findings: &mut Findings) {
        let (mut volumes, mut inner) = (BTreeMap::new(), BTreeMap::new());
        for at in node.parts() {
            let found = mounts(&self.compose.services[at], node, self.known, findings);
            volumes.extend(found.volumes);
            inner.extend(found.files);
            for (name, text) in found.copies {
                files.insert(in_folder(&node.folder, &name), text);
            }
        }
        for volume in volumes.keys() {
            let uses = |other: &&Node| {
                other.name != node.name
                    && other.parts().any(|at| {
                        let mounts = &self.compose.services[at].mounts;
                        mounts
                            .iter()
                            .any(|mount| matches!(&mount.kind, MountKind::Volume(name) if label(name) == *volume))
                    })
            };
            if let Some(other) = self.nodes.iter().find(uses) {
                let why = format!(
                    "{} has it, too: here each has its own; what both need belongs into a database",
                    other.name
                );
                findings.add(Some(&node.name), &format!("volume {volume}"), &why);
            }
        }
        let pairs =
            |all: BTreeMap<String, String>| all.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        map(yaml, "files", pairs(inner));
        map(yaml, "volumes", pairs(volumes));
    }

    fn processes(&self, number: usize, owner: &Environment, findings: &mut Findings) -> Mapping {
        let mut processes = Mapping::new();
        let node = &self.nodes[number];
        for (name, at) in &node.processes {
            let service = &self.compose.services[*at];
            let mut yaml = Mapping::new();
            if let Some(run) = self.command(node, service, findings) {
                yaml.insert("run".into(), run.into());
            }
            let mut own = self.environments.get(at).cloned().unwrap_or_default();
            own.values.retain(|name, value| owner.values.get(name) != Some(value));
            map(&mut yaml, "env", self.env(number, &own, findings));
            if let Some(Health { probe: Some(Probe::Command(words)), .. }) =
                service.healthcheck.as_ref().and_then(health)
            {
                yaml.insert("health".into(), Mapping::from_iter([("command".into(), words.into())]).into());
            }
            operation(service, false, &mut yaml, findings);
            yaml.remove("labels");
            processes.insert(name.as_str().into(), yaml.into());
        }
        processes
    }
}

fn port(port: &Port) -> (Value, Value) {
    let usual = if port.name == "grpc" { "grpc" } else { "http" };
    if port.protocol == usual && !port.is_primary {
        return (port.name.as_str().into(), port.number.into());
    }
    let mut yaml = Mapping::new();
    yaml.insert("port".into(), port.number.into());
    if port.protocol != usual {
        yaml.insert("protocol".into(), port.protocol.into());
    }
    if port.is_primary {
        yaml.insert("primary".into(), true.into());
    }
    (port.name.as_str().into(), yaml.into())
}
