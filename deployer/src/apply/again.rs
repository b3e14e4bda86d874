//! Has a Deployment's instances made anew, one after the other.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Patch;
use serde_json::{Value, json};

use crate::cluster::as_manager;
use crate::error::{Error, Result};
use crate::names;
use crate::session::Session;

/// How often a Deployment is read again whose state changed meanwhile.
const TRIES: usize = 8;

/// Marks the pods that a Deployment makes from now on, and gives the Deployment's generation.
pub(crate) async fn mark(session: &Session<'_>, workload: &str, time: Option<&str>) -> Result<i64> {
    let what = || format!("restarting {workload}");
    let api = session.cluster.api::<Deployment>();
    for _ in 0..TRIES {
        let live = api.get(workload).await.map_err(|error| Error::cluster(what(), &error))?;
        session.cluster.refuse_foreign(&format!("Deployment {workload}"), &live.metadata)?;
        let patch: Patch<Value> = Patch::Merge(json!({
            "metadata": {
                "uid": live.metadata.uid,
                "resourceVersion": live.metadata.resource_version,
                "annotations": { (names::FENCE): session.guard.fence.to_string() },
            },
            "spec": { "template": { "metadata": { "annotations": { (names::RESTARTED): time } } } },
        }));
        match api.patch(workload, &as_manager(), &patch).await {
            Ok(marked) => return Ok(marked.metadata.generation.unwrap_or(0)),
            // Most often only its state has changed.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(Error::cluster(what(), &error)),
        }
    }
    Err(Error::Locked(format!("{workload} was changed by somebody else all the while. Run this again")))
}
