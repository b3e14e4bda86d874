//! The switch: requests go to another version by one write for each entry, or by one for all that are behind an Ingress.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::api::{ObjectMeta, Patch};
use serde_json::json;

use super::{PROXIES, front};
use crate::cluster::as_manager;
use crate::cluster::ensure::hash_of_live;
use crate::cluster::view::Observed;
use crate::error::{Error, Result};
use crate::health;
use crate::names::{self, Component};
use crate::render::{Entry, Object};
use crate::session::Session;
use crate::store::record::Record;

/// How long endpoints may take to follow a selector.
const FOLLOW: Duration = Duration::from_secs(30);
/// How often an entry is read again when somebody else (who holds no newer lock) changed it meanwhile.
const TRIES: usize = 4;

/// Sends the requests of all entries to a version, and waits until their endpoints are its pods.
pub(crate) async fn switch(session: &Session<'_>, record: &Record) -> Result<()> {
    let front = record.content.front.as_ref().and_then(|_| record.content.entry_objects(session.cluster.name()).pop());
    if let Some(mut object) = front.clone() {
        object.annotate(names::VERSION, &record.number.to_string());
        front::point(session, &object).await?;
    }
    for (name, entry) in record.content.own_entries() {
        let mut object = entry.object(name, session.cluster.name());
        object.annotate(names::VERSION, &record.number.to_string());
        point(session, name, Some(&object)).await?;
    }
    let observed = session.view.now();
    let others = observed
        .services
        .values()
        .filter(|service| is_entry(session, service))
        .filter_map(|service| service.metadata.name.clone());
    let stays = |name: &String| record.content.own_entries().any(|(own, _)| own == name);
    for name in others.filter(|name| !stays(name)) {
        point(session, &name, None).await?;
    }
    front::close(session, front.as_ref().map(Object::kind)).await?;
    verify(session, record).await
}

/// Waits until the nodes follow what was just switched or exchanged: until then some of them send requests to what ended,
/// and know no way to an address that is new.
pub(crate) async fn followed() {
    tokio::time::sleep(PROXIES).await;
}

/// Whether a version has an entry whose address is not there yet.
pub(crate) fn has_new_entries(session: &Session<'_>, record: &Record) -> bool {
    let there = session.view.now().services;
    record.content.own_entries().any(|(name, _)| !there.contains_key(name))
}

fn is_entry(session: &Session<'_>, service: &Service) -> bool {
    let labels = service.metadata.labels.as_ref();
    session.cluster.owns(&service.metadata)
        && labels.and_then(|labels| labels.get(names::COMPONENT)).map(String::as_str) == Some(Component::Entry.as_str())
        && hash_of_live(&service.metadata).is_some()
}

/// Makes an entry what it should be, or lead nowhere.
async fn point(session: &Session<'_>, name: &str, object: Option<&Object>) -> Result<()> {
    let api = session.cluster.api::<Service>();
    let mut live = session.view.now().services.get(name).map(|service| service.as_ref().clone());
    let mut tries = 0;
    loop {
        if let Some(found) = &live {
            session.cluster.refuse_foreign(&format!("Service {name}"), &found.metadata)?;
            refuse_newer(session, &found.metadata)?;
        }
        let done = match (object, &live) {
            (Some(object), Some(found)) if hash_of_live(&found.metadata) == Some(object.hash()) => return Ok(()),
            (Some(object), _) => session
                .cluster
                .ensure(object, live.as_ref().map(|found| &found.metadata), session.guard)
                .await
                .map(drop),
            (None, Some(found)) => nowhere(session, found).await,
            (None, None) => return Ok(()),
        };
        match done {
            Err(Error::Locked(_)) if tries < TRIES => {
                tries += 1;
                live = api
                    .get_opt(name)
                    .await
                    .map_err(|error| Error::cluster(format!("reading the entry {name}"), &error))?;
            }
            done => return done,
        }
    }
}

/// Whoever holds a newer lock decides.
pub(crate) fn refuse_newer(session: &Session<'_>, live: &ObjectMeta) -> Result<()> {
    let fence = live.annotations.as_ref().and_then(|annotations| annotations.get(names::FENCE));
    let fence = fence.and_then(|fence| fence.parse::<u64>().ok()).unwrap_or(0);
    if fence > session.guard.fence {
        return Err(Error::Locked(
            "the lock was lost: another komandan has taken over. Look at `komandan history`".to_owned(),
        ));
    }
    Ok(())
}

async fn nowhere(session: &Session<'_>, live: &Service) -> Result<()> {
    let selects =
        live.spec.as_ref().and_then(|spec| spec.selector.as_ref()).and_then(|selector| selector.get(names::ID));
    if selects.map(String::as_str) == Some(names::NOWHERE) {
        return Ok(());
    }
    let change = json!({
        "metadata": { "annotations": { (names::HASH): names::NOWHERE } },
        "spec": { "selector": { (names::ID): names::NOWHERE } },
    });
    merge(session, live, change).await
}

/// Marks all entries as ours under this lock.
pub(crate) async fn stamp(session: &Session<'_>) -> Result<()> {
    for service in session.view.now().services.values().filter(|service| is_entry(session, service)) {
        refuse_newer(session, &service.metadata)?;
        merge(session, service, json!({ "metadata": {} })).await?;
    }
    Ok(())
}

async fn merge(session: &Session<'_>, live: &Service, mut change: serde_json::Value) -> Result<()> {
    let name = live.metadata.name.clone().unwrap_or_default();
    let mut object = Object { body: std::mem::take(&mut change) };
    object.annotate(names::FENCE, &session.guard.fence.to_string());
    object.set_metadata("resourceVersion", json!(live.metadata.resource_version));
    match session.cluster.api::<Service>().patch(&name, &as_manager(), &Patch::Merge(&object)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            Err(Error::Locked(format!("the entry {name} was changed by somebody else while this ran. Run this again")))
        }
        Err(error) => Err(Error::cluster(format!("changing the entry {name}"), &error)),
    }
}

/// Waits until the endpoints of every entry are exactly the ready pods of the version.
async fn verify(session: &Session<'_>, record: &Record) -> Result<()> {
    for (name, entry) in record.content.own_entries() {
        let follows = session.view.until(|observed| leads_to(observed, name, entry, record).then_some(()));
        tokio::time::timeout(FOLLOW, follows).await.map_err(|_| {
            Error::Deploy(format!(
                "the endpoints of the entry {name} did not follow it to {}-{} within {} seconds: does the cluster's \
                 endpoint slice controller run?",
                entry.service,
                entry.id,
                FOLLOW.as_secs()
            ))
        })?;
    }
    Ok(())
}

/// Whether an entry's endpoints are the ready pods of a version, all of them and nothing else.
fn leads_to(observed: &Observed, name: &str, entry: &Entry, record: &Record) -> bool {
    let Some(node) = record.content.nodes.get(&entry.service) else { return false };
    let Some(deployment) = observed.deployments.get(&node.workload) else { return false };
    let pods = health::pods_of(observed, deployment).filter(|pod| health::is_ready(pod));
    let wanted: BTreeSet<&str> = pods.filter_map(|pod| pod.metadata.uid.as_deref()).collect();
    let slices = observed.slices.values().filter(|slice| {
        let labels = slice.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get("kubernetes.io/service-name")).map(String::as_str) == Some(name)
    });
    let endpoints = slices.flat_map(|slice| &slice.endpoints);
    let ready = endpoints.filter(|endpoint| endpoint.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true));
    let found: BTreeSet<&str> = ready
        .map(|endpoint| endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref()).unwrap_or("?"))
        .collect();
    found == wanted && (!wanted.is_empty() || node.replicas == 0)
}
