//! What keeps a service going while nodes are emptied: of several instances, one at a time is asked to go.

use std::collections::BTreeMap;

use clustergraph::graph::Service;
use serde_json::json;

use super::Object;
use crate::names;

/// The budget of a service that has more than one instance; of one alone it would keep a node from ever being emptied.
pub(super) fn budget(service: &Service, workload: &str, id: &str, labels: BTreeMap<String, String>) -> Option<Object> {
    let scale = &service.scale;
    let least = if scale.max.is_some() { scale.min.unwrap_or(1) } else { scale.replicas };
    (least > 1).then(|| {
        Object::new(json!({
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": { "name": workload, "labels": labels },
            "spec": {
                "maxUnavailable": 1,
                "selector": { "matchLabels": { (names::NAME): service.name, (names::ID): id } },
                // What is not ready serves nobody: it keeps no node.
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            },
        }))
    })
}
