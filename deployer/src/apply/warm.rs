//! The version before stays ready for as long as the cluster's `warm` says, and then ends by itself: a Job that makes no pod
//! owns what only that version needs. Going back takes the owner away first.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use kube::api::ObjectMeta;
use serde_json::{Value, json};

use super::hold;
use super::metadata::change_all;
use crate::cluster::anchor::owners;
use crate::cluster::ensure::is_of;
use crate::cluster::view::Observed;
use crate::error::Result;
use crate::fault;
use crate::names::{self, Component};
use crate::plan::warm::{is_owned, own, own_workloads, version_until};
use crate::render::warm::owner;
use crate::session::{Kept, Session};
use crate::store::record::Record;

/// How long Kubernetes' own controllers may take to look at what was stamped.
const NOTICED: Duration = Duration::from_secs(3);

/// Gives what only the version before needs its deadline. Returns until when it stays, where it has one.
pub(crate) async fn retain(session: &Session<'_>, kept: &Kept) -> Result<Option<Timestamp>> {
    let observed = session.view.now();
    let seconds = kept.current.as_ref().and_then(|current| current.content.warm_seconds);
    let (Some(seconds), Some(previous)) = (seconds, &kept.previous) else {
        forget(session, &observed, &BTreeSet::new()).await?;
        return Ok(None);
    };
    if own(&observed, kept).all(is_owned) {
        let owners = own(&observed, kept).flat_map(owners);
        let owners: BTreeSet<String> = owners.map(|owner| owner.uid.clone()).collect();
        forget(session, &observed, &owners).await?;
        return Ok(version_until(&previous.content, &observed));
    }
    let job = owner(session.cluster.name(), previous.number, session.guard.fence, seconds);
    let deadline = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    let until = Timestamp::now().checked_add(deadline).unwrap_or(Timestamp::MAX);
    let until = until.round(jiff::Unit::Second).unwrap_or(until);
    let made = session.cluster.ensure(&job, None, session.guard).await?;
    fault::point("warm-job-made");
    let reference = json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": made.name, "uid": made.uid }]);
    let text = until.to_string();
    let workloads = own_workloads(kept);
    own_all(session, &observed, &workloads, Some((&reference, &text))).await?;
    hold::all(session, &previous.content, &workloads.into_iter().collect::<Vec<_>>(), true).await?;
    forget(session, &observed, &made.uid.into_iter().collect()).await?;
    Ok(Some(until))
}

/// Takes the deadlines away from all that a version needs. `false` when something of it has ended already.
pub(crate) async fn take_back(session: &Session<'_>, record: &Record) -> Result<bool> {
    let observed = session.view.now();
    let workloads = record.content.nodes.values().map(|node| node.workload.as_str());
    let deployments = |name: &str| observed.deployments.get(name).map(|live| is_owned(&live.metadata));
    let services = |name: &str| observed.services.get(name).map(|live| is_owned(&live.metadata));
    let owned: BTreeSet<&str> =
        workloads.filter(|name| [deployments(name), services(name)].contains(&Some(true))).collect();
    if owned.is_empty() {
        return Ok(true);
    }
    let is_free = own_all(session, &observed, &owned, None).await?;
    fault::point("taken-back");
    if is_free {
        hold::all(session, &record.content, &owned.iter().copied().collect::<Vec<_>>(), false).await?;
        // What follows decides by what is seen.
        let seen = |metadata: Option<&ObjectMeta>| metadata.is_none_or(|metadata| !is_owned(metadata));
        let all = |observed: &Observed| {
            owned.iter().all(|name| {
                seen(observed.deployments.get(*name).map(|live| &live.metadata))
                    && seen(observed.services.get(*name).map(|live| &live.metadata))
            })
        };
        session.view.until(|observed| all(observed).then_some(())).await;
    }
    Ok(is_free)
}

/// Marks what the kept versions need as ours under this lock: a holder that was only paused must meet a conflict, and not
/// give a deadline to what serves by now.
pub(crate) async fn stamp(session: &Session<'_>) -> Result<()> {
    let kept = session.kept().await?;
    let nodes = kept.all().into_iter().flat_map(|record| record.content.nodes.values());
    let workloads: BTreeSet<&str> = nodes.map(|node| node.workload.as_str()).collect();
    let observed = session.view.now();
    change_all(session, &observed, &workloads, &json!({})).await?;
    // A stamp is a generation of its own to a Deployment: until Kubernetes has looked at it, nobody knows whether it is ready,
    // and a revert would not be a switch.
    let is_noticed = |live: &Deployment| {
        let noticed = live.status.as_ref().and_then(|status| status.observed_generation);
        let is_stamped = is_of(&live.metadata, session.guard);
        live.metadata.deletion_timestamp.is_some() || (is_stamped && noticed >= live.metadata.generation)
    };
    let noticed = session.view.until(|observed| {
        let mut live = workloads.iter().filter_map(|name| observed.deployments.get(*name));
        live.all(|live| is_noticed(live)).then_some(())
    });
    // Where nobody looks, nobody waits for long.
    let _ = tokio::time::timeout(NOTICED, noticed).await;
    Ok(())
}

/// Gives workloads an owner and a deadline, or takes both away. `false` when one of them is ending.
async fn own_all(
    session: &Session<'_>,
    observed: &Observed,
    workloads: &BTreeSet<&str>,
    owned: Option<(&Value, &str)>,
) -> Result<bool> {
    let (owners, until) = owned.unzip();
    let owners = owners.cloned().unwrap_or_else(|| json!(session.cluster.anchors()));
    let metadata = json!({ "ownerReferences": owners, "annotations": { (names::WARM_UNTIL): until } });
    change_all(session, observed, workloads, &metadata).await
}

/// Takes away the Jobs that own nothing any more.
async fn forget(session: &Session<'_>, observed: &Observed, stay: &BTreeSet<String>) -> Result<()> {
    let is_over = |job: &&std::sync::Arc<Job>| {
        let labels = job.metadata.labels.as_ref();
        let component = labels.and_then(|labels| labels.get(names::COMPONENT)).map(String::as_str);
        component == Some(Component::Warm.as_str())
            && session.cluster.owns(&job.metadata)
            && !job.metadata.uid.as_ref().is_some_and(|uid| stay.contains(uid))
    };
    let over = observed.jobs.values().filter(is_over);
    futures_util::future::try_join_all(over.map(|job| session.cluster.remove::<Job>(&job.metadata))).await.map(drop)
}
