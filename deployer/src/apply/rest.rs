//! Lets nothing of a cluster run, and lets it run again. What had instances says how many, so that each comes back as it was.

use std::fmt::Debug;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ObjectMeta, Patch};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster::as_manager;
use crate::cluster::view::Observed;
use crate::error::{Error, Result};
use crate::health::{self, Progress};
use crate::names;
use crate::render::database::SERVER;
use crate::session::Session;

/// How long pods may take to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// Ends all that runs: schedules first, so that nothing begins; then services, then their databases.
pub(crate) async fn sleep(session: &Session<'_>) -> Result<()> {
    let observed = session.view.now();
    // They are not suspended: one that is resumed makes up for what it missed.
    for live in ours(session, observed.cron_jobs.values().map(|live| &live.metadata)) {
        session.cluster.remove::<CronJob>(live).await?;
    }
    for (metadata, replicas) in observed.deployments.values().map(|live| (&live.metadata, size_of(live.spec.as_ref())))
    {
        if replicas > 0 && session.cluster.owns(metadata) {
            change::<Deployment>(session, metadata, json!({ "replicas": 0 }), Value::Null).await?;
        }
    }
    let is_server = |pod: &Pod| pod.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(SERVER));
    ended(session, is_server).await?;
    for set in observed.stateful_sets.values().filter(|set| session.cluster.owns(&set.metadata)) {
        let replicas = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        if replicas > 0 {
            change::<StatefulSet>(session, &set.metadata, json!({ "replicas": 0 }), json!(replicas.to_string()))
                .await?;
        }
    }
    ended(session, |_| false).await
}

/// Starts the databases, and waits until they answer.
pub(crate) async fn wake_servers(session: &Session<'_>) -> Result<()> {
    let observed = session.view.now();
    let mut names = Vec::new();
    for live in ours(session, observed.stateful_sets.values().map(|live| &live.metadata)) {
        names.extend(live.name.clone());
        let asleep = live.annotations.as_ref().and_then(|annotations| annotations.get(names::SIZE));
        if let Some(replicas) = asleep.and_then(|replicas| replicas.parse::<u16>().ok()) {
            change::<StatefulSet>(session, live, json!({ "replicas": replicas }), Value::Null).await?;
        }
    }
    let is_awake = |observed: &Observed, name: &String| {
        let set = observed.stateful_sets.get(name).and_then(|set| set.spec.as_ref());
        set.is_none_or(|spec| spec.replicas != Some(0))
    };
    session
        .view
        .until(|observed| {
            let now = Timestamp::now();
            let mut are_ready = true;
            for name in &names {
                match health::stateful_set(observed, name, now) {
                    Progress::Ready if is_awake(observed, name) => {}
                    Progress::Failed(cause) => return Some(Err(Error::Deploy(format!("{name}: {}", cause.why)))),
                    Progress::Ready | Progress::Waiting(_) => are_ready = false,
                }
            }
            are_ready.then_some(Ok(()))
        })
        .await
}

fn ours<'m>(session: &Session<'_>, all: impl Iterator<Item = &'m ObjectMeta>) -> Vec<&'m ObjectMeta> {
    all.filter(|metadata| session.cluster.owns(metadata)).collect()
}

fn size_of(spec: Option<&k8s_openapi::api::apps::v1::DeploymentSpec>) -> i32 {
    spec.and_then(|spec| spec.replicas).unwrap_or(1)
}

/// Changes an object in place, under this lock; `size` is what it had before.
async fn change<K>(session: &Session<'_>, live: &ObjectMeta, spec: Value, size: Value) -> Result<()>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let name = live.name.clone().unwrap_or_default();
    let annotations = json!({ (names::FENCE): session.guard.fence.to_string(), (names::SIZE): size });
    let change = Patch::Merge(json!({ "metadata": { "uid": live.uid, "annotations": annotations }, "spec": spec }));
    match session.cluster.api::<K>().patch(&name, &as_manager(), &change).await {
        Ok(_) => Ok(()),
        // It went meanwhile: nothing of it runs.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::cluster(format!("changing the size of {name}"), &error)),
    }
}

/// Waits until no pod runs but those that may.
async fn ended(session: &Session<'_>, may_run: impl Fn(&Pod) -> bool) -> Result<()> {
    let runs = |pod: &Pod| !health::is_over(pod) && !may_run(pod);
    let over = session.view.until(|observed| (!observed.pods.values().any(|pod| runs(pod))).then_some(()));
    if tokio::time::timeout(PATIENCE, over).await.is_ok() {
        return Ok(());
    }
    let observed = session.view.now();
    let left = observed.pods.iter().filter(|(_, pod)| runs(pod)).map(|(name, _)| name.as_str());
    Err(Error::Deploy(format!(
        "these pods did not end within {} seconds: {}. Run this again",
        PATIENCE.as_secs(),
        left.collect::<Vec<_>>().join(", ")
    )))
}
