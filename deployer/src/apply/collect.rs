//! Takes away what no kept version needs, callers before what they call.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, PodSpec, Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ListParams, Patch};
use serde_json::json;

use super::{adopt, policy, task};
use crate::cluster::anchor::owners;
use crate::cluster::as_manager;
use crate::cluster::ensure::is_leaving;
use crate::cluster::owner::reference;
use crate::cluster::view::Observed;
use crate::error::{Error, Result};
use crate::fault;
use crate::health;
use crate::names::{self, Component};
use crate::plan::{Garbage, calls, garbage, warm};
use crate::render::Kind;
use crate::session::{Kept, Session};
use crate::store::record::{Content, Record};

/// Deletes the workloads of all versions but `kept`. What another one still calls while it finishes is handed
/// to the garbage collector, which takes it when the last pod of those is gone: nobody has to wait for that.
///
/// Returns how many went.
pub(crate) async fn collect(session: &Session<'_>, kept: &[&Record]) -> Result<usize> {
    let observed = session.view.now();
    let garbage = garbage_of(&observed, kept, session.cluster.name());
    for (workload, callers) in &garbage.later {
        hand_over(session, &observed, workload, callers).await?;
    }
    fault::point("handed-over");
    let gone = garbage.now.iter().map(|workload| delete(session, &observed, workload));
    futures_util::future::try_join_all(gone).await?;
    services(session, &observed, kept, &garbage).await?;
    files(session, &observed, kept).await?;
    task::expire_ended(session, kept).await?;
    policy::narrow(session, kept).await?;
    adopt::adopt(session).await?;
    Ok(count(&observed, &garbage))
}

/// Takes away entries that no kept version has, and the Services of a version that was given up before it had their Deployments,
/// which come after them.
async fn services(session: &Session<'_>, observed: &Observed, kept: &[&Record], garbage: &Garbage) -> Result<()> {
    let entries = kept.iter().flat_map(|record| record.content.own_entries());
    let entries: BTreeSet<&str> = entries.map(|(name, _)| name.as_str()).collect();
    let workloads = workloads(kept);
    for (name, service) in &observed.services {
        let labels = service.metadata.labels.as_ref();
        let component = labels.and_then(|labels| labels.get(names::COMPONENT)).map(String::as_str);
        let is_lonely = || {
            !observed.deployments.contains_key(name)
                && !workloads.contains(name.as_str())
                && !garbage.now.contains(name)
                && !garbage.later.contains_key(name)
                && !is_leaving(service.as_ref())
        };
        let is_left = (component == Some(Component::Entry.as_str()) && !entries.contains(name.as_str()))
            || (component == Some(Component::Service.as_str()) && is_lonely());
        if is_left && session.cluster.owns(&service.metadata) {
            session.cluster.remove::<Service>(&service.metadata).await?;
        }
    }
    Ok(())
}

/// Takes away the files of what no kept version has, and those that what is changed in place had in former versions: a revert
/// makes them again. Those of other Deployments go with these, but where a command was killed before it had made one.
async fn files(session: &Session<'_>, observed: &Observed, kept: &[&Record]) -> Result<()> {
    let components = [Component::Service, Component::Task, Component::Job].map(Component::as_str).join(",");
    let ours = names::selector(session.cluster.name());
    let selector = ListParams::default().labels(&format!("{ours},{} in ({components})", names::COMPONENT));
    let (maps, secrets) = (session.cluster.api::<ConfigMap>(), session.cluster.api::<Secret>());
    let found = tokio::try_join!(maps.list_metadata(&selector), secrets.list_metadata(&selector));
    let (maps, secrets) = found.map_err(|error| Error::cluster("reading the files of services", &error))?;
    let workloads = workloads(kept);
    let nodes = kept.iter().flat_map(|record| record.content.nodes.values());
    let rolled = nodes.filter(|node| matches!(node.kind, Kind::Service | Kind::HandedOver) && node.is_rolling());
    let rolled: BTreeSet<&str> = rolled.map(|node| node.workload.as_str()).collect();
    let is_left = |metadata: &ObjectMeta, uses: fn(&PodSpec, &str) -> bool| {
        let of = metadata.labels.as_ref().and_then(|labels| labels.get(names::INSTANCE)).map(String::as_str);
        let is_nobodys = owners(metadata).next().is_none() && !of.is_some_and(|workload| workloads.contains(workload));
        let live = of.filter(|workload| rolled.contains(workload)).and_then(|name| observed.deployments.get(name));
        let pod = live.and_then(|live| live.spec.as_ref()?.template.spec.as_ref());
        is_nobodys || pod.is_some_and(|pod| !uses(pod, metadata.name.as_deref().unwrap_or_default()))
    };
    for map in maps.items.iter().filter(|map| is_left(&map.metadata, has_files_of_map)) {
        session.cluster.remove::<ConfigMap>(&map.metadata).await?;
    }
    for secret in secrets.items.iter().filter(|secret| is_left(&secret.metadata, uses_secret)) {
        session.cluster.remove::<Secret>(&secret.metadata).await?;
    }
    Ok(())
}

/// Whether a pod has files of this ConfigMap.
fn has_files_of_map(pod: &PodSpec, name: &str) -> bool {
    let mut maps = pod.volumes.iter().flatten().filter_map(|volume| volume.config_map.as_ref());
    maps.any(|map| map.name == name)
}

/// Whether a pod has files or variables of this Secret.
fn uses_secret(pod: &PodSpec, name: &str) -> bool {
    let mut files = pod.volumes.iter().flatten().filter_map(|volume| volume.secret.as_ref()?.secret_name.as_deref());
    let containers = pod.containers.iter().chain(pod.init_containers.iter().flatten());
    let variables = containers.flat_map(|container| container.env.iter().flatten());
    let mut keys = variables.filter_map(|variable| variable.value_from.as_ref()?.secret_key_ref.as_ref());
    files.any(|file| file == name) || keys.any(|key| key.name == name)
}

/// The workloads of all versions that are kept.
fn workloads<'r>(kept: &'r [&Record]) -> BTreeSet<&'r str> {
    let nodes = kept.iter().flat_map(|record| record.content.nodes.values());
    nodes.map(|node| node.workload.as_str()).collect()
}

/// Whether something is there that no kept version needs and that nobody has taken away yet, or that ought to end by itself
/// and does not.
pub(crate) fn is_littered(observed: &Observed, kept: &Kept, cluster: &str) -> bool {
    kept.is_over || count(observed, &garbage_of(observed, &kept.all(), cluster)) > 0 || warm::is_endless(observed, kept)
}

/// What goes once `target` serves. The version that serves now is kept warm then; where it is the target itself, that is the
/// one before it.
pub(crate) fn leaving(observed: &Observed, target: &Content, kept: &Kept, cluster: &str) -> Vec<String> {
    let is_same = kept.current.as_ref().is_some_and(|current| current.content.same_cluster(target));
    let before = if is_same { &kept.previous } else { &kept.current };
    let stay = before.iter().chain(kept.lent()).map(|record| &record.content).chain([target]);
    let garbage = garbage_but(observed, stay, cluster);
    there(observed, &garbage).cloned().collect()
}

fn garbage_of(observed: &Observed, kept: &[&Record], cluster: &str) -> Garbage {
    garbage_but(observed, kept.iter().map(|record| &record.content), cluster)
}

/// The garbage where nothing stays but these versions.
fn garbage_but<'c>(observed: &Observed, stay: impl Iterator<Item = &'c Content>, cluster: &str) -> Garbage {
    let workloads: BTreeSet<String> =
        stay.flat_map(|content| content.nodes.values()).map(|node| node.workload.clone()).collect();
    garbage(&calls(observed, cluster), &workloads)
}

fn count(observed: &Observed, garbage: &Garbage) -> usize {
    there(observed, garbage).count()
}

/// Of the garbage that which nobody has taken away yet.
fn there<'g>(observed: &'g Observed, garbage: &'g Garbage) -> impl Iterator<Item = &'g String> {
    let all = garbage.now.iter().chain(garbage.later.keys());
    all.filter(|workload| observed.deployments.get(*workload).is_some_and(|live| !is_leaving(live.as_ref())))
}

async fn delete(session: &Session<'_>, observed: &Observed, workload: &str) -> Result<()> {
    let deployment = observed.deployments.get(workload).filter(|live| live.metadata.deletion_timestamp.is_none());
    if let Some(live) = deployment {
        session.cluster.remove::<Deployment>(&live.metadata).await?;
    }
    if let Some(live) = observed.services.get(workload) {
        session.cluster.remove::<Service>(&live.metadata).await?;
    }
    Ok(())
}

/// Makes the callers' Deployments and pods, those included that are finishing, owners of a workload.
async fn hand_over(
    session: &Session<'_>,
    observed: &Observed,
    workload: &str,
    callers: &BTreeSet<String>,
) -> Result<()> {
    let mut owners = Vec::new();
    for caller in callers {
        if let Some(deployment) = observed.deployments.get(caller) {
            owners.push(reference("apps/v1", "Deployment", &deployment.metadata));
        }
        let pods =
            observed.pods.values().filter(|pod| !health::is_over(pod)).filter(|pod| {
                pod.metadata.labels.as_ref().and_then(|labels| labels.get(names::INSTANCE)) == Some(caller)
            });
        owners.extend(pods.map(|pod| reference("v1", "Pod", &pod.metadata)));
    }
    if owners.is_empty() {
        owners.extend(session.cluster.anchors().into_iter().flatten());
    }
    let api = session.cluster.api::<Deployment>();
    if let Some(live) = observed.deployments.get(workload) {
        let patched = api.patch_metadata(workload, &as_manager(), &patch(session, &live.metadata, &owners)).await;
        fine_if_gone(workload, patched.map(drop))?;
    }
    let api = session.cluster.api::<Service>();
    if let Some(live) = observed.services.get(workload) {
        let patched = api.patch_metadata(workload, &as_manager(), &patch(session, &live.metadata, &owners)).await;
        fine_if_gone(workload, patched.map(drop))?;
    }
    Ok(())
}

fn patch(session: &Session<'_>, live: &kube::api::ObjectMeta, owners: &[OwnerReference]) -> Patch<serde_json::Value> {
    Patch::Merge(json!({
        "metadata": {
            "uid": live.uid,
            "resourceVersion": live.resource_version,
            "ownerReferences": owners,
            "annotations": { (names::FENCE): session.guard.fence.to_string() },
        },
    }))
}

fn fine_if_gone(workload: &str, patched: kube::Result<()>) -> Result<()> {
    match patched {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            Err(Error::Locked(format!("{workload} was changed by somebody else while this ran. Run this again")))
        }
        other => other.map_err(|error| Error::cluster(format!("handing {workload} over"), &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::tests::content;
    use jiff::Timestamp;
    use std::sync::Arc;

    #[test]
    fn of_a_version_that_serves_already_the_one_before_stays() {
        let of = |version: &str| content(&[("api", version, 1)]);
        let record = |number: u64, content| Record::new(number, content, None, "a".to_owned(), Timestamp::UNIX_EPOCH);
        let mut observed = Observed::default();
        for version in ["1", "2", "3"] {
            let name = of(version).nodes["api"].workload.clone();
            let labels = names::labels("production", Component::Service);
            let calls = json!({ (names::CALLS): "" });
            let live = json!({ "metadata": { "name": name, "labels": labels, "annotations": calls } });
            observed.deployments.insert(name, Arc::new(serde_json::from_value(live).unwrap()));
        }
        let (current, previous) = (Some(record(3, of("3"))), Some(record(2, of("2"))));
        let mut kept = Kept { current, previous, ..Kept::default() };
        let left = |kept: &Kept, target: &str| leaving(&observed, &of(target), kept, "production");
        let names = |versions: &[&str]| -> Vec<String> {
            versions.iter().map(|version| of(version).nodes["api"].workload.clone()).collect()
        };
        assert_eq!(left(&kept, "3"), names(&["1"]), "nothing new serves: the version before stays");
        assert_eq!(left(&kept, "4"), names(&["1", "2"]), "the one that serves is the one before then");
        assert_eq!(left(&kept, "2"), names(&["1"]));
        kept.borrowed = vec![record(1, of("1"))];
        kept.pinned = [1].into();
        assert_eq!(left(&kept, "4"), names(&["2"]), "others borrow the first");
    }
}
