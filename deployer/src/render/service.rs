//! A service: one Deployment and, if it has ports, one Service, both named by its version.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clustergraph::graph::{Role, Service};
use serde_json::{Value, json};

use super::pod::set;
use super::{Kind, Node, Object, Scene, disruption, hash_of, hash_of_node, scale};
use crate::error::Result;
use crate::names::{self, Component};

/// How long a service without `health:` may take to become ready.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long what has no question to be asked must be alive to count as ready, in seconds. Kubernetes counts whole ones: this
/// is more than one.
const ALIVE: u32 = 2;

/// What a node is on Kubernetes. What stores on a volume is handed over as well: a volume is one instance's.
fn kind(service: &Service) -> Kind {
    match service.role {
        Role::Task => Kind::Task,
        Role::Job { .. } => Kind::Job,
        Role::Service | Role::Base if service.singleton || service.ports.is_empty() || !service.volumes.is_empty() => {
            Kind::HandedOver
        }
        Role::Service | Role::Base => Kind::Service,
    }
}

impl Scene<'_> {
    pub(super) fn node(&self, service: &Service) -> Result<Node> {
        let workload = self.workload(service);
        let kind = kind(service);
        let mut beside = self.maps_of_files(service, &workload)?;
        let mut objects = match (kind, &service.role) {
            (Kind::Task, _) => vec![self.task(service, &workload)?],
            (_, Role::Job { schedule }) => vec![self.scheduled(service, &workload, schedule)?],
            _ => {
                let labels = || self.node_labels(service);
                beside.extend(scale::autoscaler(service, &workload, labels()));
                beside.extend(disruption::budget(service, &workload, &self.id(service), labels()));
                vec![self.deployment(service, &workload, kind, &beside)?]
            }
        };
        if !service.ports.is_empty() {
            objects.push(self.service(service, &workload));
        }
        objects.extend(beside);
        let hash = hash_of_node(&objects);
        let scales = service.scale.max.is_some();
        Ok(Node { workload, kind, replicas: service.scale.replicas, scales, objects, hash })
    }

    pub(super) fn node_labels(&self, service: &Service) -> BTreeMap<String, String> {
        let component = match service.role {
            Role::Task => Component::Task,
            Role::Job { .. } => Component::Job,
            Role::Service | Role::Base => Component::Service,
        };
        let mut labels = self.labels(component);
        labels.insert(names::NAME.to_owned(), service.name.clone());
        labels.insert(names::ID.to_owned(), self.id(service));
        labels
    }

    fn deployment(&self, service: &Service, workload: &str, kind: Kind, beside: &[Object]) -> Result<Object> {
        let (more_labels, mut annotations) = labels_of_the_owner(service);
        annotations.insert(names::CALLS.to_owned(), self.calls(service).join(","));
        let start = service.health.as_ref().map_or(START_TIMEOUT, |health| health.start_timeout);
        annotations.insert(names::START_TIMEOUT.to_owned(), start.as_secs().to_string());
        if kind == Kind::HandedOver {
            annotations.insert(names::HANDED_OVER.to_owned(), "true".to_owned());
        }
        if self.is_rolling(service) {
            annotations.insert(names::NOW.to_owned(), service.id.short());
        }
        // What stands beside it is not watched: its hash here tells when it must be applied again.
        if !beside.is_empty() {
            let hashes: Vec<&str> = beside.iter().map(Object::hash).collect();
            annotations.insert(names::BESIDE.to_owned(), hash_of(&hashes));
        }
        let mut own_labels = more_labels;
        own_labels.extend(self.node_labels(service));
        own_labels.insert(names::INSTANCE.to_owned(), workload.to_owned());
        let template = self.pod(service, workload, None)?;
        // A change in place (a probe, a grace period) never takes away from what serves; but of what must be alone
        // the former instance ends first.
        let strategy = match service.singleton || !service.volumes.is_empty() {
            true => json!({ "type": "Recreate" }),
            false => json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": 0 } }),
        };
        let mut spec = json!({
            // The size is set when it is applied: it is operation, not part of what this version is.
            "selector": { "matchLabels": { (names::NAME): service.name, (names::ID): self.id(service) } },
            "revisionHistoryLimit": 1,
            "strategy": strategy,
        });
        let is_asked = template.pointer("/spec/containers/0/readinessProbe").is_some();
        set(&mut spec, "minReadySeconds", (!is_asked).then(|| json!(ALIVE)));
        set(&mut spec, "template", Some(template));
        Ok(Object::new(json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": workload, "labels": own_labels, "annotations": annotations },
            "spec": spec,
        })))
    }

    /// The workloads that a service calls.
    pub(super) fn calls(&self, service: &Service) -> Vec<String> {
        let running = service.dependencies.iter().filter(|edge| self.running.contains(&edge.service));
        let called = running.filter_map(|edge| self.graph.services.get(&edge.service));
        let called: BTreeSet<String> = called.map(|called| self.workload(called)).collect();
        called.into_iter().collect()
    }

    fn service(&self, service: &Service, workload: &str) -> Object {
        let ports: Vec<Value> = service
            .ports
            .iter()
            .map(|port| json!({ "name": port.name, "port": port.number, "targetPort": port.number, "protocol": "TCP" }))
            .collect();
        Object::new(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": workload, "labels": self.node_labels(service) },
            "spec": {
                "selector": { (names::NAME): service.name, (names::ID): self.id(service) },
                "ports": ports,
            },
        }))
    }
}

/// The service's own `labels:`: labels where Kubernetes takes them, else annotations. They are on the
/// Deployment only: a change of them must not restart a pod.
fn labels_of_the_owner(service: &Service) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let name = |text: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        text.len() <= 63
            && edge(text.chars().next())
            && edge(text.chars().last())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let usable = service.labels.iter().filter(|(key, _)| name(key));
    usable.map(|(key, value)| (key.clone(), value.clone())).partition(|(_, value)| value.is_empty() || name(value))
}
