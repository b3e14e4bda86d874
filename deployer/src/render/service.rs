//! A service: one Deployment and, if it has ports, one Service, both named by its version.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clustergraph::format::service::Probe;
use clustergraph::graph::{Image, Service};
use serde_json::{Value, json};

use super::env::literal;
use super::{Node, Object, Scene, container_security, hash_of_node};
use crate::error::Result;
use crate::names::{self, Component};

/// The user that recipes run as.
pub(super) const RECIPE_USER: u32 = 10001;

/// Between a pod's end being decided and its program being told: in this time every node hears that the
/// pod is no endpoint any more, so that nobody knocks at a closed door.
const HEARD: u64 = 5;

/// How long a service without `health:` may take to become ready.
const START_TIMEOUT: Duration = Duration::from_secs(60);

impl Scene<'_> {
    pub(super) fn node(&self, service: &Service) -> Result<Node> {
        let workload = names::workload(service);
        let mut objects = vec![self.deployment(service, &workload)?];
        if !service.ports.is_empty() {
            objects.push(self.service(service, &workload));
        }
        let hash = hash_of_node(&objects);
        Ok(Node { workload, replicas: service.scale.replicas, objects, hash })
    }

    fn node_labels(&self, service: &Service) -> BTreeMap<String, String> {
        let mut labels = self.labels(Component::Service);
        labels.insert(names::NAME.to_owned(), service.name.clone());
        labels.insert(names::ID.to_owned(), service.id.short());
        labels
    }

    fn deployment(&self, service: &Service, workload: &str) -> Result<Object> {
        let mut labels = self.node_labels(service);
        labels.insert(names::INSTANCE.to_owned(), workload.to_owned());
        let calls = self.calls(service).join(",");
        let (more_labels, mut annotations) = labels_of_the_owner(service);
        annotations.insert(names::CALLS.to_owned(), calls.clone());
        let start = service.health.as_ref().map_or(START_TIMEOUT, |health| health.start_timeout);
        annotations.insert(names::START_TIMEOUT.to_owned(), start.as_secs().to_string());
        let mut own_labels = more_labels;
        own_labels.extend(labels.clone());
        let grace = service.stop.grace.as_secs() + HEARD;
        let mut container = json!({
            "name": "service",
            "image": self.service_image(service)?,
            "imagePullPolicy": "IfNotPresent",
            "env": self.environment(service)?,
            "securityContext": container_security(),
            "lifecycle": { "preStop": { "sleep": { "seconds": HEARD } } },
        });
        set(&mut container, "command", command(service.run.as_deref()));
        set(&mut container, "ports", ports(service));
        set(&mut container, "readinessProbe", readiness(service));
        Ok(Object::new(json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": workload, "labels": own_labels, "annotations": annotations },
            "spec": {
                // The size is set when it is applied: it is operation, not part of what this version is.
                "selector": { "matchLabels": { (names::NAME): service.name, (names::ID): service.id.short() } },
                "revisionHistoryLimit": 1,
                // A change in place (a probe, a grace period) never takes away from what serves.
                "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": 0 } },
                "template": {
                    "metadata": { "labels": labels, "annotations": { (names::CALLS): calls } },
                    "spec": {
                        "serviceAccountName": names::ACCOUNT,
                        "automountServiceAccountToken": false,
                        "enableServiceLinks": false,
                        "terminationGracePeriodSeconds": grace,
                        "securityContext": pod_security(&service.image),
                        "containers": [container],
                    },
                },
            },
        })))
    }

    /// The workloads that a service calls.
    fn calls(&self, service: &Service) -> Vec<String> {
        let called = service.dependencies.iter().filter_map(|edge| self.graph.services.get(&edge.service));
        let called: BTreeSet<String> = called.map(names::workload).collect();
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
                "selector": { (names::NAME): service.name, (names::ID): service.id.short() },
                "ports": ports,
            },
        }))
    }
}

fn set(container: &mut Value, field: &str, value: Option<Value>) {
    if let (Some(container), Some(value)) = (container.as_object_mut(), value) {
        container.insert(field.to_owned(), value);
    }
}

/// A command in which Kubernetes finds nothing to replace.
pub(super) fn command(run: Option<&[String]>) -> Option<Value> {
    run.map(|words| words.iter().map(|word| literal(word)).collect())
}

/// Recipes name their user; a Dockerfile or a ready image must name one that is not root, by number.
pub(super) fn pod_security(image: &Image) -> Value {
    let mut security = json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } });
    if matches!(image, Image::Recipe(_)) {
        set(&mut security, "runAsUser", Some(json!(RECIPE_USER)));
        set(&mut security, "runAsGroup", Some(json!(RECIPE_USER)));
    }
    security
}

fn ports(service: &Service) -> Option<Value> {
    let ports: Vec<Value> =
        service.ports.iter().map(|port| json!({ "containerPort": port.number, "protocol": "TCP" })).collect();
    (!ports.is_empty()).then(|| json!(ports))
}

/// Asked every second from the first: how long a start may take is watched by the deploy, which also says
/// why it takes long, so there is no startup probe that would kill in silence.
fn readiness(service: &Service) -> Option<Value> {
    let health = service.health.as_ref();
    let port = match health.and_then(|health| health.port.as_ref()) {
        Some((name, _)) => service.ports.iter().find(|port| port.name == *name),
        None => service.primary_port(),
    }?;
    let timeout = health.map_or(Duration::from_secs(2), |health| health.timeout);
    let mut probe = json!({
        "periodSeconds": 1,
        "timeoutSeconds": timeout.as_millis().div_ceil(1000).max(1),
        "failureThreshold": 3,
    });
    match health.map(|health| &health.probe) {
        Some(Probe::Http(path)) => {
            let scheme = if port.protocol == "https" { "HTTPS" } else { "HTTP" };
            set(&mut probe, "httpGet", Some(json!({ "path": path, "port": port.number, "scheme": scheme })));
        }
        // Other questions are refused before anything is rendered.
        _ => set(&mut probe, "tcpSocket", Some(json!({ "port": port.number }))),
    }
    Some(probe)
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
