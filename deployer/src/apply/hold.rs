//! What is scaled by load has none while it is kept warm: its autoscaler is told not to make it smaller until it serves again.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::Patch;
use serde_json::json;

use crate::cluster::as_manager;
use crate::error::{Error, Result};
use crate::names;
use crate::session::Session;
use crate::store::record::Content;

/// Keeps what of these workloads a version scales by load from becoming smaller, or ends that.
pub(super) async fn all(session: &Session<'_>, content: &Content, workloads: &[&str], held: bool) -> Result<()> {
    let scaled = content.nodes.values().filter(|node| node.scales).map(|node| node.workload.as_str());
    let scaled = scaled.filter(|workload| workloads.contains(workload));
    futures_util::future::try_join_all(scaled.map(|workload| one(session, workload, held))).await.map(drop)
}

/// The same of one workload. One without an autoscaler has nobody who would.
pub(super) async fn one(session: &Session<'_>, workload: &str, held: bool) -> Result<()> {
    let behavior = held.then(|| json!({ "scaleDown": { "selectPolicy": "Disabled" } }));
    let change = Patch::Merge(json!({
        "metadata": { "annotations": { (names::FENCE): session.guard.fence.to_string() } },
        "spec": { "behavior": behavior },
    }));
    match session.cluster.api::<HorizontalPodAutoscaler>().patch(workload, &as_manager(), &change).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::cluster(format!("keeping {workload} at its size"), &error)),
    }
}
