//! Takes into the cluster's ApplySet what was made before there was one. Only labels of objects change, never those of their
//! pods: nothing starts anew. Where all are members, nothing is asked or written.

use std::fmt::Debug;

use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, ObjectMeta};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::metadata::change;
use crate::cluster::applyset;
use crate::cluster::view::{Named, Observed};
use crate::error::{Error, Result};
use crate::names::{self, Component};
use crate::session::Session;

/// Objects that are changed at once.
const AT_ONCE: usize = 16;

/// Takes in all that is missing.
pub(super) async fn adopt(session: &Session<'_>) -> Result<()> {
    let observed = session.view.now();
    if !is_any_missing(session, &observed) {
        return Ok(());
    }
    // What is not watched comes first: what is watched tells that something is missing.
    listed::<ConfigMap>(session).await?;
    listed::<Secret>(session).await?;
    listed::<ServiceAccount>(session).await?;
    for (name, deployment) in missing(session, &observed.deployments) {
        if deployment.annotations().contains_key(names::BESIDE) {
            named::<HorizontalPodAutoscaler>(session, name).await?;
            named::<PodDisruptionBudget>(session, name).await?;
        }
    }
    watched(session, &observed.policies).await?;
    watched(session, &observed.stateful_sets).await?;
    watched(session, &observed.jobs).await?;
    watched(session, &observed.cron_jobs).await?;
    watched(session, &observed.services).await?;
    watched(session, &observed.deployments).await
}

fn is_any_missing(session: &Session<'_>, observed: &Observed) -> bool {
    missing(session, &observed.policies).next().is_some()
        || missing(session, &observed.stateful_sets).next().is_some()
        || missing(session, &observed.jobs).next().is_some()
        || missing(session, &observed.cron_jobs).next().is_some()
        || missing(session, &observed.services).next().is_some()
        || missing(session, &observed.deployments).next().is_some()
}

/// Our objects that are in no set and stay.
fn missing<'o, K: ResourceExt>(session: &Session<'_>, all: &'o Named<K>) -> impl Iterator<Item = (&'o String, &'o K)> {
    let cluster = session.cluster;
    let all = all.iter().map(|(name, live)| (name, live.as_ref()));
    all.filter(|(_, live)| cluster.owns(live.meta()) && is_missing(live.meta()))
}

/// What a controller made of a template, such as the Jobs of a schedule, is its own.
fn is_missing(metadata: &ObjectMeta) -> bool {
    let is_made = metadata.owner_references.iter().flatten().any(|owner| owner.controller == Some(true));
    applyset::is_missing(metadata) && !is_made && metadata.deletion_timestamp.is_none()
}

async fn watched<K>(session: &Session<'_>, all: &Named<K>) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    take_in::<K>(session, missing(session, all).map(|(_, live)| live.meta().clone()).collect()).await
}

/// The same of a kind that is not watched, but for the store's own and what is data.
async fn listed<K>(session: &Session<'_>) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let components = [Component::Service, Component::Task, Component::Job, Component::Base].map(Component::as_str);
    let ours = names::selector(session.cluster.name());
    let selector = format!("{ours},{} in ({})", names::COMPONENT, components.join(","));
    let found = session.cluster.api::<K>().list_metadata(&ListParams::default().labels(&selector)).await;
    let found = found.map_err(|error| Error::cluster(format!("reading the {}", K::plural(&())), &error))?;
    let missing = found.items.into_iter().map(|found| found.metadata).filter(is_missing);
    take_in::<K>(session, missing.collect()).await
}

/// The same of what stands beside a Deployment under its name.
async fn named<K>(session: &Session<'_>, name: &str) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let found = session.cluster.api::<K>().get_metadata_opt(name).await;
    let found = found.map_err(|error| Error::cluster(format!("reading {} {name}", K::kind(&())), &error))?;
    let missing = found.map(|found| found.metadata).filter(|found| session.cluster.owns(found) && is_missing(found));
    take_in::<K>(session, missing.into_iter().collect()).await
}

async fn take_in<K>(session: &Session<'_>, all: Vec<ObjectMeta>) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let label = json!({ "labels": { (applyset::PART_OF): applyset::id(session.cluster.namespace()) } });
    let changes = stream::iter(&all).map(|live| change::<K>(session, live, &label));
    changes.buffer_unordered(AT_ONCE).try_for_each(|_| async { Ok(()) }).await
}
