//! Is it ready, will it be, or will waiting not mend it? Pure: from what was observed to an answer.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cluster::view::Observed;
use crate::names;
use crate::render::Kind;
use crate::render::job::MIGRATE;
use crate::store::record::Node;

/// For how long something that an administrator or an autoscaler may mend is waited for.
const GRACE: Duration = Duration::from_secs(180);

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
    let status = deployment.status.clone().unwrap_or_default();
    if status.observed_generation.unwrap_or(0) < deployment.metadata.generation.unwrap_or(0) {
        return waiting("not noticed yet");
    }
    let (updated, available, all) =
        (status.updated_replicas.unwrap_or(0), status.available_replicas.unwrap_or(0), status.replicas.unwrap_or(0));
    if updated >= wanted && available >= wanted && all == updated {
        return Progress::Ready;
    }
    for condition in status.conditions.iter().flatten() {
        let message = condition.message.clone().unwrap_or_default();
        match (condition.type_.as_str(), condition.status.as_str()) {
            // Quota, admission and pod security say no here, and again every time.
            ("ReplicaFailure", "True") => return failed(message),
            ("Progressing", "False") => return failed(format!("it makes no progress: {message}")),
            _ => {}
        }
    }
    let start = annotation(&deployment.metadata, names::START_TIMEOUT).and_then(|text| text.parse().ok());
    let start = Duration::from_secs(start.unwrap_or(60));
    pods(pods_of(observed, deployment), start, now)
        .unwrap_or_else(|| waiting(&format!("{available} of {wanted} ready")))
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
    pods(own, Duration::from_secs(300), now).unwrap_or_else(|| waiting("not ready"))
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
    let forever = Duration::from_secs(u64::from(u32::MAX));
    pods(pods_of_job(observed, job), forever, now).unwrap_or_else(|| waiting("running"))
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

/// The worst that any pod says; nothing when none says anything.
fn pods<'p>(pods: impl Iterator<Item = &'p Pod>, start: Duration, now: Timestamp) -> Option<Progress> {
    let mut said = None;
    for pod in pods.filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        match self::pod(pod, start, now) {
            Some(failed @ Progress::Failed(_)) => return Some(failed),
            Some(other) => said = Some(other),
            None => {}
        }
    }
    said
}

fn pod(pod: &Pod, start: Duration, now: Timestamp) -> Option<Progress> {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let age = |since: Option<Timestamp>| since.map_or(Duration::ZERO, |since| elapsed(since, now));
    let mut said = None;
    for status in statuses(pod) {
        match container(pod, status, start, now) {
            Some(failed @ Progress::Failed(_)) => return Some(failed),
            Some(other) => said = Some(other),
            None => {}
        }
    }
    if said.is_some() {
        return said;
    }
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let unscheduled =
        conditions.and_then(|all| all.iter().find(|c| c.type_ == "PodScheduled" && c.status == "False"))?;
    let message = unscheduled.message.clone().unwrap_or_default();
    if age(unscheduled.last_transition_time.as_ref().map(|time| time.0)) > GRACE {
        return Some(failed(format!("no node takes {name}: {message}")));
    }
    Some(waiting(&format!("no node takes it yet: {message}")))
}

fn container(pod: &Pod, status: &ContainerStatus, start: Duration, now: Timestamp) -> Option<Progress> {
    let state = status.state.clone().unwrap_or_default();
    if let Some(waits) = state.waiting {
        let reason = waits.reason.unwrap_or_default();
        let message = waits.message.unwrap_or_default();
        let last = status.last_state.clone().unwrap_or_default().terminated;
        return Some(match reason.as_str() {
            "CreateContainerConfigError" if message.contains("runAsNonRoot") => failed(format!(
                "{}: its image would run as root. Name a user that is not root, by number, with `USER` in its Dockerfile",
                status.name
            )),
            "InvalidImageName" | "ErrImageNeverPull" | "CreateContainerConfigError" => {
                failed(format!("{}: {message}", status.name))
            }
            "ErrImagePull" | "ImagePullBackOff" if is_final_pull_error(&message) => {
                failed(format!("its image cannot be pulled: {}", last_part(&message)))
            }
            "ErrImagePull" | "ImagePullBackOff" => waiting(&format!("pulling its image: {}", last_part(&message))),
            "CrashLoopBackOff" => Progress::Failed(match last {
                Some(last) => Cause {
                    why: exit_words(&status.name, last.exit_code, last.reason.as_deref(), last.message.as_deref()),
                    speaker: Some(Speaker {
                        pod: pod.metadata.name.clone().unwrap_or_default(),
                        container: status.name.clone(),
                        previous: true,
                    }),
                },
                None => Cause { why: format!("{} ends again and again", status.name), speaker: None },
            }),
            "ContainerCreating" | "PodInitializing" | "" => waiting("starting"),
            _ => waiting(&format!("{reason} {message}")),
        });
    }
    if let Some(ended) = &state.terminated {
        let before = status.last_state.clone().unwrap_or_default().terminated;
        let never_started = matches!(ended.reason.as_deref(), Some("StartError" | "ContainerCannotRun"));
        let again = before.is_some_and(|before| before.exit_code == ended.exit_code);
        if ended.exit_code != 0 && (never_started || again) {
            return ended_badly(pod, status).map(Progress::Failed);
        }
        return (ended.exit_code != 0).then(|| waiting(&format!("{} ended with {}", status.name, ended.exit_code)));
    }
    let since = state.running.and_then(|running| running.started_at).map(|time| time.0)?;
    let is_init =
        pod.spec.as_ref().is_some_and(|spec| spec.init_containers.iter().flatten().any(|c| c.name == status.name));
    if status.ready || is_init {
        return None;
    }
    if elapsed(since, now) > start {
        return Some(Progress::Failed(Cause {
            why: format!("{} runs, but was not ready within {} seconds", status.name, start.as_secs()),
            speaker: Some(Speaker {
                pod: pod.metadata.name.clone().unwrap_or_default(),
                container: status.name.clone(),
                previous: false,
            }),
        }));
    }
    Some(waiting("running, not ready yet"))
}

fn ended_badly(pod: &Pod, status: &ContainerStatus) -> Option<Cause> {
    let ended = status.state.as_ref()?.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
    Some(Cause {
        why: exit_words(&status.name, ended.exit_code, ended.reason.as_deref(), ended.message.as_deref()),
        speaker: Some(Speaker {
            pod: pod.metadata.name.clone().unwrap_or_default(),
            container: status.name.clone(),
            previous: false,
        }),
    })
}

fn exit_words(name: &str, code: i32, reason: Option<&str>, message: Option<&str>) -> String {
    let reason = match reason {
        Some("OOMKilled") => " (it took more memory than it may)".to_owned(),
        Some("StartError" | "ContainerCannotRun") => {
            format!(": it cannot be started: {}", last_part(message.unwrap_or_default()))
        }
        _ => String::new(),
    };
    format!("{name} ended with exit code {code}{reason}")
}

/// What no waiting mends: the registry has no such image, or does not let us have it.
fn is_final_pull_error(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["not found", "manifest unknown", "unauthorized", "403 forbidden", "401", "access denied", "invalid reference"]
        .iter()
        .any(|words| message.contains(words))
}

/// The end of a long message says what happened; the beginning repeats the image's name.
fn last_part(message: &str) -> &str {
    let most = 300;
    let cut = message.len().saturating_sub(most);
    let cut = (cut..=message.len()).find(|at| message.is_char_boundary(*at)).unwrap_or(0);
    message.get(cut..).unwrap_or(message)
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let first = status.and_then(|status| status.init_container_statuses.as_ref());
    let last = status.and_then(|status| status.container_statuses.as_ref());
    first.into_iter().chain(last).flatten()
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
