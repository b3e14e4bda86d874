//! Scaling by load.

use std::collections::BTreeMap;

use clustergraph::graph::Service;
use serde_json::json;

use super::Object;

/// The load that is aimed at where nothing is said, in percent of the processors asked for; also Kubernetes' default.
const LOAD: u32 = 80;

/// The autoscaler of a service that is scaled by load.
pub(super) fn autoscaler(service: &Service, workload: &str, labels: BTreeMap<String, String>) -> Option<Object> {
    let most = service.scale.max?;
    let load = service.scale.cpu.unwrap_or(LOAD);
    Some(Object::new(json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": workload, "labels": labels },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": workload },
            "minReplicas": service.scale.min.unwrap_or(1),
            "maxReplicas": most,
            "metrics": [{
                "type": "Resource",
                "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": load } },
            }],
        },
    })))
}
