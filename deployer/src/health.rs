//! Is it ready, will it be, or will waiting not mend it? Pure: from what was observed to an answer.

mod pod;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cluster::view::Observed;
use crate::names;
use crate::render::Kind;
use crate::render::job::MIGRATE;
use crate::store::record::Node;
use pod::{Look, ended_badly, statuses};

/// How something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// As asked.
    Ready,
    /// Not yet, and what it waits for.
    Waiting(String),
    /// Waiting will not mend it.
    Failed(Cause),
}

/// Why waiting will not mend something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    /// In words.
    pub(crate) why: String,
    /// Whose last words say more.
    pub(crate) speaker: Option<Speaker>,
}

/// A container whose log is worth reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Speaker {
    pub(crate) pod: String,
    pub(crate) container: String,
    /// It is the instance before the one that now waits to be started.
    pub(crate) previous: bool,
}

/// How a node of a version stands, as far as it can be seen: what ends by itself leaves nothing to look at.
pub(crate) fn node(observed: &Observed, node: &Node, now: Timestamp) -> Progress {
    match node.kind {
        Kind::Service | Kind::HandedOver => deployment(observed, &node.workload, now),
        Kind::Task | Kind::Job => Progress::Ready,
    }
}

/// How a Deployment stands.
pub(crate) fn deployment(observed: &Observed, name: &str, now: Timestamp) -> Progress {
    let Some(deployment) = observed.deployments.get(name) else { return waiting("not there yet") };
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    // Of what was never changed every pod is as it should be: there is no need to wait until a controller has counted them,
    // but where it also measures for how long they are ready.
    let is_measured = deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0) > 0;
    let is_unchanged = deployment.metadata.generation == Some(1) && !is_measured;
    if is_unchanged && wanted > 0 && own_ready(observed, deployment) == wanted {
        return Progress::Ready;
    }
    let status = deployment.status.clone().unwrap_or_default();
    if status.observed_generation.unwrap_or(0) < deployment.metadata.generation.unwrap_or(0) {
        return waiting("not noticed yet");
    }
    let (updated, available, all) =
        (status.updated_replicas.unwrap_or(0), status.available_replicas.unwrap_or(0), status.replicas.unwrap_or(0));
    if updated >= wanted && available >= wanted && all == updated {
        // Fewer are wanted than before, and one that is to end still takes requests.
        return if all > wanted { waiting(&format!("{all} instances, {wanted} wanted")) } else { Progress::Ready };
    }
    let sets = |event: &Event| {
        let of = &event.involved_object;
        let set = of.name.as_deref().and_then(|set| set.strip_prefix(name)).is_some_and(|rest| rest.starts_with('-'));
        of.kind.as_deref() == Some("ReplicaSet") && set
    };
    let mut otherwise = None;
    for condition in status.conditions.iter().flatten() {
        let message = condition.message.clone().unwrap_or_default();
        let is_old =
            condition.last_update_time.as_ref().is_some_and(|time| observed.since.is_some_and(|it| time.0 < it));
        match (condition.type_.as_str(), condition.status.as_str()) {
            // Quota, admission and pod security say no here, and again every time. What was said before this command began
            // may have been mended: it was made to be tried again.
            ("ReplicaFailure", "True") => match refusal(observed, sets) {
                Some(Refusal::Before(said)) => otherwise = Some(waiting(&format!("it was refused before: {said}"))),
                Some(Refusal::Now(said)) => return failed(said),
                None => return failed(message),
            },
            // Pods know better, if they say anything: each of their causes has its own time.
            ("Progressing", "False") if !is_old && otherwise.is_none() => {
                otherwise = Some(failed(format!("it makes no progress: {message}")));
            }
            _ => {}
        }
    }
    let start = annotation(&deployment.metadata, names::START_TIMEOUT).and_then(|text| text.parse().ok());
    let look = Look { observed, start: Duration::from_secs(start.unwrap_or(60)), now };
    let said = look.worst(latest(observed, deployment)).or(otherwise);
    said.unwrap_or_else(|| waiting(&format!("{available} of {wanted} ready")))
}

/// How a database server stands.
pub(crate) fn stateful_set(observed: &Observed, name: &str, now: Timestamp) -> Progress {
    let Some(set) = observed.stateful_sets.get(name) else { return waiting("not there yet") };
    let set: &StatefulSet = set;
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = set.status.clone().unwrap_or_default();
    if status.observed_generation.unwrap_or(0) < set.metadata.generation.unwrap_or(0) {
        return waiting("not noticed yet");
    }
    if status.ready_replicas.unwrap_or(0) >= wanted && status.updated_replicas.unwrap_or(0) >= wanted {
        return Progress::Ready;
    }
    let own = observed.pods.values().map(AsRef::as_ref).filter(|pod: &&Pod| is_owned(&pod.metadata, &set.metadata));
    let look = Look { observed, start: Duration::from_secs(300), now };
    look.worst(own).unwrap_or_else(|| without_pods(observed, &set.metadata, "not ready"))
}

/// How a Job stands.
pub(crate) fn job(observed: &Observed, name: &str, now: Timestamp) -> Progress {
    let Some(job) = observed.jobs.get(name) else { return waiting("not there yet") };
    match job_end(job) {
        Some(true) => return Progress::Ready,
        Some(false) => {
            let pods: Vec<&Pod> = pods_of_job(observed, job).collect();
            let ended = pods.iter().find_map(|pod| statuses(pod).find_map(|status| ended_badly(pod, status)));
            return Progress::Failed(ended.unwrap_or_else(|| {
                let conditions = job.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
                let message = conditions.into_iter().find(|c| c.type_ == "Failed").and_then(|c| c.message);
                Cause { why: message.unwrap_or_else(|| "the Job failed".to_owned()), speaker: None }
            }));
        }
        None => {}
    }
    // A migration may take as long as it takes.
    let look = Look { observed, start: Duration::from_secs(u64::from(u32::MAX)), now };
    look.worst(pods_of_job(observed, job)).unwrap_or_else(|| without_pods(observed, &job.metadata, "running"))
}

/// How something stands whose pods say nothing, or that has none because the API server takes none.
fn without_pods(observed: &Observed, metadata: &ObjectMeta, otherwise: &str) -> Progress {
    match refusal(observed, |event| metadata.uid.is_some() && event.involved_object.uid == metadata.uid) {
        Some(Refusal::Now(said)) => failed(said),
        Some(Refusal::Before(said)) => waiting(&format!("it was refused before: {said}")),
        None => waiting(otherwise),
    }
}

/// What the API server said when it took no pod.
enum Refusal {
    /// Since this command began.
    Now(String),
    /// Only before: whoever was told so has mended it, perhaps.
    Before(String),
}

/// What a controller tells of a pod that it could not make.
fn refusal(observed: &Observed, of: impl Fn(&Event) -> bool) -> Option<Refusal> {
    let told = observed.events.values().filter(|event| event.reason.as_deref() == Some("FailedCreate") && of(event));
    // What is news counts; of the rest the first will do.
    let event = told.max_by_key(|event| observed.is_news(event))?;
    let said = event.message.clone().unwrap_or_default();
    Some(if observed.is_news(event) { Refusal::Now(said) } else { Refusal::Before(said) })
}

/// Whether a Job has ended, and whether well.
pub(crate) fn job_end(job: &Job) -> Option<bool> {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref())?;
    let is = |kind: &str| conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True");
    if is("Complete") || is("SuccessCriteriaMet") {
        return Some(true);
    }
    (is("Failed") || is("FailureTarget")).then_some(false)
}

/// Whether a Job's migration has begun, so that nobody knows what it did unless it ends well.
pub(crate) fn migration_began(observed: &Observed, job: &Job) -> bool {
    pods_of_job(observed, job).flat_map(statuses).filter(|status| status.name == MIGRATE).any(|status| {
        let state = status.state.clone().unwrap_or_default();
        let ended = state.terminated.or(status.last_state.clone().unwrap_or_default().terminated);
        state.running.is_some() || ended.is_some_and(|ended| ended.reason.as_deref() != Some("StartError"))
    })
}

/// Whether a Deployment failed before, and would go on to tell of it however its cause was mended: a kubelet and a controller
/// try again ever more seldom.
pub(crate) fn is_stuck(observed: &Observed, name: &str, now: Timestamp) -> bool {
    let status = observed.deployments.get(name).and_then(|live| live.status.as_ref());
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let is_refused =
        |all: &Vec<_>| all.iter().any(|c: &DeploymentCondition| c.type_ == "ReplicaFailure" && c.status == "True");
    conditions.is_some_and(is_refused) || matches!(deployment(observed, name, now), Progress::Failed(_))
}

/// The pods that a Deployment made since it was last told to make them anew.
fn latest<'o>(observed: &'o Observed, deployment: &'o Deployment) -> impl Iterator<Item = &'o Pod> {
    let template = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    let marked = template.and_then(|template| annotation(template, names::RESTARTED));
    pods_of(observed, deployment).filter(move |pod| annotation(&pod.metadata, names::RESTARTED) == marked)
}

/// The pods that a Deployment selects.
pub(crate) fn pods_of<'o>(observed: &'o Observed, deployment: &'o Deployment) -> impl Iterator<Item = &'o Pod> {
    let selector = deployment.spec.as_ref().and_then(|spec| spec.selector.match_labels.as_ref());
    observed.pods.values().map(AsRef::as_ref).filter(move |pod: &&Pod| {
        let labels = pod.metadata.labels.as_ref();
        selector.is_some_and(|selector| {
            !selector.is_empty()
                && selector.iter().all(|(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value))
        })
    })
}

/// How many ready pods a Deployment has, without those of another of its name that was there before it.
fn own_ready(observed: &Observed, deployment: &Deployment) -> i32 {
    let since = deployment.metadata.creation_timestamp.as_ref();
    let is_own = |pod: &&Pod| since.is_some() && pod.metadata.creation_timestamp.as_ref() >= since;
    let ready = pods_of(observed, deployment).filter(|pod| is_ready(pod)).filter(is_own).count();
    i32::try_from(ready).unwrap_or(i32::MAX)
}

fn pods_of_job<'o>(observed: &'o Observed, job: &'o Job) -> impl Iterator<Item = &'o Pod> {
    observed.pods.values().map(AsRef::as_ref).filter(|pod: &&Pod| is_owned(&pod.metadata, &job.metadata))
}

fn is_owned(child: &ObjectMeta, owner: &ObjectMeta) -> bool {
    owner.uid.is_some()
        && child.owner_references.iter().flatten().any(|reference| Some(&reference.uid) == owner.uid.as_ref())
}

/// Whether a pod takes requests.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

/// Whether a pod is over, so that it calls nobody any more.
pub(crate) fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn annotation<'m>(metadata: &'m ObjectMeta, name: &str) -> Option<&'m str> {
    metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

fn waiting(what: &str) -> Progress {
    Progress::Waiting(what.trim().to_owned())
}

fn failed(why: String) -> Progress {
    Progress::Failed(Cause { why, speaker: None })
}

#[cfg(test)]
mod tests;
