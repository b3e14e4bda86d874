//! What differs of how nodes are operated: changed in place, and covered by no id.

use std::collections::BTreeMap;

use super::fields::{Field, Fields, between, place};
use super::{FieldChange, Node, NodeKind};
use crate::format::service::{Health, Probe, Restart, Security, Start, Watch};
use crate::graph::{Graph, Service};

/// Of all nodes that are in both graphs.
pub(super) fn changes(before: &Graph, after: &Graph) -> BTreeMap<Node, Vec<FieldChange>> {
    let mut found = BTreeMap::new();
    for (name, new) in &after.services {
        let Some(old) = before.services.get(name).filter(|old| !is_same(old, new)) else { continue };
        let changes = between(&fields(old), &fields(new), |field| place(new, field));
        if !changes.is_empty() {
            found.insert(Node::new(NodeKind::Service, name), changes);
        }
    }
    for (address, new) in &after.databases {
        let Some(old) = before.databases.get(address).and_then(|old| old.migrate.as_ref()) else { continue };
        let Some(new) = &new.migrate else { continue };
        if old.compatible != new.compatible {
            let change = FieldChange {
                field: "migrate.compatible".to_owned(),
                before: old.compatible.clone(),
                after: new.compatible.clone(),
                place: Some(new.place.clone()),
            };
            found.insert(Node::new(NodeKind::Migration, address), vec![change]);
        }
    }
    found
}

/// Whether all of it is as it was, line by line: most are, and nothing is written down for them.
fn is_same(old: &Service, new: &Service) -> bool {
    let switches = |service: &Service| {
        let Service { start, singleton, borrow, security, restart, watch, .. } = service;
        (*start, *singleton, *borrow, *security, *restart, *watch)
    };
    switches(old) == switches(new)
        && (&old.scale, &old.resources, &old.stop) == (&new.scale, &new.resources, &new.stop)
        && (&old.health, &old.public, &old.egress) == (&new.health, &new.public, &new.egress)
        && (&old.test, &old.smoke, &old.labels) == (&new.test, &new.smoke, &new.labels)
        && old.secrets == new.secrets
}

/// All that a service.yaml says of operation. Places are left out: a line that moved changes nothing.
fn fields(service: &Service) -> Fields {
    let mut fields = Fields::new();
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), Field::text(value));
        }
    };
    let number = |value: Option<u32>| value.map(|value| value.to_string());
    let duration = |value| humantime::format_duration(value).to_string();
    set("scale.replicas", Some(service.scale.replicas.to_string()));
    set("scale.min", number(service.scale.min));
    set("scale.max", number(service.scale.max));
    set("scale.cpu", number(service.scale.cpu));
    set("resources.cpu", service.resources.cpu_millis.map(|millis| format!("{millis}m")));
    set("resources.memory", service.resources.memory_bytes.map(|bytes| bytes.to_string()));
    set("public", service.public.as_ref().map(|public| public.path.clone()));
    set("start", (service.start == Start::Manual).then(|| "manual".to_owned()));
    set("singleton", service.singleton.then(|| "true".to_owned()));
    set("borrow", (!service.borrow).then(|| "never".to_owned()));
    set("egress", Some(service.egress.join(" ")).filter(|egress| !egress.is_empty()));
    set("security", (service.security == Security::Baseline).then(|| "baseline".to_owned()));
    let restart = match service.restart {
        Restart::Never => "never",
        Restart::OnFailure => "on-failure",
        Restart::Always => "always",
    };
    set("restart", Some(restart.to_owned()));
    set("watch.mode", (service.watch == Watch::SelfReload).then(|| "self".to_owned()));
    set("stop.signal", Some(service.stop.signal.clone()));
    set("stop.grace", Some(duration(service.stop.grace)));
    if let Some(test) = &service.test {
        set("test.run", Some(test.run.join(" ")));
        set("test.list", test.list.as_ref().map(|list| list.join(" ")));
        set("test.target", test.target.clone());
    }
    if let Some(smoke) = &service.smoke {
        set("smoke.run", Some(smoke.run.join(" ")));
        set("smoke.every", Some(duration(smoke.every)));
    }
    for (name, value) in &service.labels {
        set(&format!("labels.{name}"), Some(value.clone()));
    }
    if let Some(health) = &service.health {
        of_health(health, &mut set);
    }
    for secret in &service.secrets {
        // Written down or not, it stands for a secret: that it differs is enough.
        if let Some(dev) = &secret.dev {
            let field = Field { counts: dev.clone(), shown: None };
            fields.insert(format!("secrets.{}.dev", secret.name), field);
        }
    }
    fields
}

fn of_health(health: &Health, set: &mut impl FnMut(&str, Option<String>)) {
    set("health.probe", Some(probe(&health.probe)));
    set("health.port", health.port.as_ref().map(|(port, _)| port.clone()));
    set("health.timeout", Some(humantime::format_duration(health.timeout).to_string()));
    set("health.start_timeout", Some(humantime::format_duration(health.start_timeout).to_string()));
    set("health.liveness", health.liveness.as_ref().map(probe));
    for (name, value) in &health.headers {
        set(&format!("health.headers.{name}"), Some(value.clone()));
    }
}

fn probe(probe: &Probe) -> String {
    let of = match probe {
        Probe::Tcp => String::new(),
        Probe::Http(text) | Probe::Grpc(text) | Probe::Log(text) => text.clone(),
        Probe::Command(command) => command.join(" "),
    };
    format!("{} {of}", probe.as_str()).trim_end().to_owned()
}
