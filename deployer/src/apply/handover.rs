//! The switch as a whole: what must not run beside its former version is handed over, requests go to another version, and
//! schedules become that version's. The same goes there and back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::CronJob;
use kube::api::Patch;
use serde_json::json;

use super::{Work, node, switch, warm};
use crate::cluster::as_manager;
use crate::cluster::ensure::hash_of_live;
use crate::error::{Error, Result};
use crate::fault;
use crate::health;
use crate::names::{self, Component};
use crate::plan::{self, Action, Part, Step, Target};
use crate::render::Kind;
use crate::session::Session;
use crate::store::Stored;
use crate::store::record::{Content, Record};
use crate::target;

/// How much longer than its grace a pod may take to be gone.
const GONE: Duration = Duration::from_secs(60);
/// How often a Deployment is read again of which only the status has changed meanwhile.
const TRIES: usize = 4;

/// What comes first at a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// What is handed over: requests only go to a version all of which has started.
    Handover,
    /// Requests: they go to a version that has served before, and need not wait for its workers.
    Entries,
}

/// Makes a version the one that serves. `target` is that version, where it was read already; `current` is the version
/// that serves so far, of which what is the same goes on.
pub(crate) async fn bring(
    session: &Session<'_>,
    record: &Record,
    target: Option<&Target>,
    current: Option<&Content>,
    first: First,
) -> Result<()> {
    // What serves has no deadline.
    if !warm::take_back(session, record).await? {
        return Err(Error::Deploy(format!(
            "a part of version {} was kept for a while only, and ended just now: run this again, which makes it anew",
            record.number
        )));
    }
    let read;
    let target = match target {
        Some(target) => Some(target),
        // Its objects are only needed where something starts or changes at the switch.
        None if record.content.nodes.values().any(|node| matches!(node.kind, Kind::HandedOver | Kind::Job)) => {
            read = target::of_record(record, session.store()).await?;
            Some(&read)
        }
        None => None,
    };
    let late = target.map(|target| plan::late(target, current)).unwrap_or_default();
    // What others call must be there before requests come.
    let is_called = |name: &String| record.content.nodes.values().any(|node| node.dependencies.contains(name));
    if first == First::Entries && !late.iter().any(is_called) {
        switch::switch(session, record).await?;
        hand_over(session, record, target, &late).await?;
    } else {
        hand_over(session, record, target, &late).await?;
        switch::switch(session, record).await?;
    }
    schedules(session, target).await
}

/// Ends what the version must not run beside, and starts what starts at the switch.
async fn hand_over(
    session: &Session<'_>,
    record: &Record,
    target: Option<&Target>,
    late: &BTreeSet<String>,
) -> Result<()> {
    let stays: BTreeSet<&str> = record.content.nodes.values().map(|node| node.workload.as_str()).collect();
    let observed = session.view.now();
    let goes = |live: &&Arc<Deployment>| {
        let is_handed_over = live.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(names::HANDED_OVER));
        let is_ended = live.spec.as_ref().is_some_and(|spec| spec.replicas == Some(0));
        let name = live.metadata.name.as_deref().unwrap_or_default();
        is_handed_over && !is_ended && session.cluster.owns(&live.metadata) && !stays.contains(name)
    };
    let going = observed.deployments.values().filter(goes);
    futures_util::future::try_join_all(going.map(|live| end(session, live))).await?;
    fault::point("ended");
    let Some(target) = target else { return Ok(()) };
    let logical = BTreeMap::new();
    let work = Work::new(session, target, &logical, Stored::default());
    work.start(late).await?;
    work.settle().await;
    fault::point("started");
    Ok(())
}

impl Work<'_> {
    /// Starts what starts at the switch, each as soon as what it waits for is ready.
    async fn start(&self, late: &BTreeSet<String>) -> Result<()> {
        let is_started = |name: &&String| self.target.content.nodes.get(*name).is_some_and(|it| it.kind != Kind::Job);
        let waits = |name: &String| self.target.waits.get(name).into_iter().flatten();
        let step = |name: &String| Step {
            after: waits(name).filter(|waited| late.contains(*waited)).cloned().map(Part::Service).collect(),
            ..Step::new(Part::Service(name.clone()), Action::Start, "at the switch".to_owned())
        };
        let steps: Vec<Step> = late.iter().filter(is_started).map(step).collect();
        self.run_these(steps.iter().collect()).await
    }
}

/// Ends all instances of a Deployment, and waits until they are gone.
async fn end(session: &Session<'_>, live: &Deployment) -> Result<()> {
    let name = live.metadata.name.clone().unwrap_or_default();
    let step = session.console.step(&name, "ending it");
    let api = session.cluster.api::<Deployment>();
    let size = live.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let mut metadata = live.metadata.clone();
    for tried in 0..=TRIES {
        switch::refuse_newer(session, &metadata)?;
        let change = Patch::Merge(json!({
            "metadata": {
                "uid": metadata.uid,
                "resourceVersion": metadata.resource_version,
                "annotations": {
                    (names::FENCE): session.guard.fence.to_string(),
                    (names::SIZE): size.to_string(),
                },
            },
            "spec": { "replicas": 0 },
        }));
        match api.patch(&name, &as_manager(), &change).await {
            Ok(_) => break,
            Err(kube::Error::Api(status)) if status.code == 404 => break,
            Err(kube::Error::Api(status)) if status.code == 409 && tried < TRIES => {}
            Err(error) => return Err(Error::cluster(format!("ending {name}"), &error)),
        }
        let found = api.get_metadata_opt(&name).await;
        match found.map_err(|error| Error::cluster(format!("reading {name}"), &error))? {
            Some(found) => metadata = found.metadata,
            None => break,
        }
    }
    let pod = live.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let grace = pod.and_then(|pod| pod.termination_grace_period_seconds).and_then(|grace| u64::try_from(grace).ok());
    let patience = Duration::from_secs(grace.unwrap_or(30)) + GONE;
    let gone = session.view.until(|observed| health::pods_of(observed, live).next().is_none().then_some(()));
    match tokio::time::timeout(patience, gone).await {
        Ok(()) => {
            step.done("ended");
            Ok(())
        }
        Err(_) => {
            let observed = session.view.now();
            let left: Vec<&str> =
                health::pods_of(&observed, live).filter_map(|pod| pod.metadata.name.as_deref()).collect();
            step.failed("does not end");
            Err(Error::Deploy(format!(
                "{name} must have ended before its next version starts, and these pods did not end within {} seconds: {}",
                patience.as_secs(),
                left.join(", ")
            )))
        }
    }
}

/// Makes the schedules those of a version.
pub(crate) async fn schedules(session: &Session<'_>, target: Option<&Target>) -> Result<()> {
    let observed = session.view.now();
    let nodes = target.into_iter().flat_map(|target| target.objects.values());
    let wanted: Vec<_> = nodes
        .filter_map(|objects| Some((objects.iter().find(|object| object.kind() == "CronJob")?, objects)))
        .collect();
    for (object, objects) in &wanted {
        let live = observed.cron_jobs.get(object.name()).map(|live| &live.metadata);
        if live.is_some_and(|live| hash_of_live(live) == Some(object.hash())) {
            continue;
        }
        let step = session.console.step(object.name(), "its schedule");
        if let Some(live) = live {
            switch::refuse_newer(session, live)?;
        }
        for object in objects.iter().filter(|object| !object.is_watched()) {
            node::beside(session, object, None).await?;
        }
        session.cluster.ensure(object, live, session.guard).await?;
        step.done("runs as this version says");
    }
    for live in observed.cron_jobs.values() {
        let is_job = live.metadata.labels.as_ref().and_then(|labels| labels.get(names::COMPONENT))
            == Some(&Component::Job.as_str().to_owned());
        let name = live.metadata.name.as_deref().unwrap_or_default();
        if is_job && session.cluster.owns(&live.metadata) && !wanted.iter().any(|(object, _)| object.name() == name) {
            switch::refuse_newer(session, &live.metadata)?;
            session.cluster.remove::<CronJob>(&live.metadata).await?;
        }
    }
    Ok(())
}
