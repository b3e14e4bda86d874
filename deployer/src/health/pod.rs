//! What pods say: why one is not ready, whether waiting mends that, and whose last words tell more.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};

use super::{Cause, Progress, Speaker, elapsed, failed, waiting};
use crate::cluster::view::Observed;

/// For how long something that an administrator or an autoscaler may mend is waited for.
pub(super) const GRACE: Duration = Duration::from_secs(180);

/// For how long a pod may begin without a word: as long as a Deployment may make no progress by default.
const SILENCE: Duration = Duration::from_secs(600);

/// How pods are looked at.
pub(super) struct Look<'o> {
    pub(super) observed: &'o Observed,
    /// For how long a container may run before it is ready.
    pub(super) start: Duration,
    pub(super) now: Timestamp,
}

impl Look<'_> {
    /// The worst that any pod says; nothing when none says anything.
    pub(super) fn worst<'p>(&self, pods: impl Iterator<Item = &'p Pod>) -> Option<Progress> {
        let mut said = None;
        for pod in pods.filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
            match self.pod(pod) {
                Some(failed @ Progress::Failed(_)) => return Some(failed),
                Some(other) => said = Some(other),
                None => {}
            }
        }
        said
    }

    fn pod(&self, pod: &Pod) -> Option<Progress> {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let mut said = None;
        for status in statuses(pod) {
            match self.container(pod, status) {
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
        let since = unscheduled.last_transition_time.as_ref().map(|time| time.0);
        // An autoscaler that adds a node says so each time that it decides to.
        let scaled = self.told(pod, &["TriggeredScaleUp"]).and_then(time_of);
        if self.waited(since.max(scaled)) > GRACE {
            return Some(failed(format!("no node takes {name}: {message}")));
        }
        let adding = if scaled.is_some() { ", and the autoscaler is adding one" } else { "" };
        Some(waiting(&format!("no node takes it yet{adding}: {message}")))
    }

    fn container(&self, pod: &Pod, status: &ContainerStatus) -> Option<Progress> {
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
                "ErrImagePull" | "ImagePullBackOff" => self.pulling(pod, &message),
                "CrashLoopBackOff" => Progress::Failed(match last {
                    Some(last) => Cause {
                        why: exit_words(&status.name, last.exit_code, last.reason.as_deref(), last.message.as_deref()),
                        speaker: Some(speaker(pod, status, true)),
                    },
                    None => Cause { why: format!("{} ends again and again", status.name), speaker: None },
                }),
                "ContainerCreating" | "PodInitializing" | "" => self.creating(pod),
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
        if elapsed(since, self.now) > self.start {
            return Some(Progress::Failed(Cause {
                why: format!("{} runs, but was not ready within {} seconds", status.name, self.start.as_secs()),
                speaker: Some(speaker(pod, status, false)),
            }));
        }
        Some(waiting("running, not ready yet"))
    }

    /// An image that did not come: a registry that does not answer may do so again, for a while.
    fn pulling(&self, pod: &Pod, message: &str) -> Progress {
        // While it backs off, the kubelet's own words no longer say why; what it told of the pull does.
        let told = self.told(pod, &["Failed"]).and_then(|event| event.message.clone());
        let why = told.filter(|told| is_final_pull_error(told) || !message.contains(": ")).unwrap_or_default();
        let said = if is_final_pull_error(message) || why.is_empty() { message } else { why.as_str() };
        if is_final_pull_error(said) {
            return failed(format!("its image cannot be pulled: {}", last_part(said)));
        }
        let grace = self.observed.pull_grace.unwrap_or(GRACE);
        if self.waited(begun(pod)) > grace {
            return failed(format!("its image was not pulled within {} seconds: {}", grace.as_secs(), last_part(said)));
        }
        waiting(&format!("pulling its image: {}", last_part(said)))
    }

    /// A pod of which nothing runs yet: what it is to mount may be missing.
    fn creating(&self, pod: &Pod) -> Progress {
        let told = self.told(pod, &["FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox"]);
        let Some(said) = told.and_then(|event| event.message.as_deref()) else {
            // While an image is pulled nothing else is told.
            let most = SILENCE.max(self.observed.pull_grace.unwrap_or_default());
            if self.waited(begun(pod)) > most {
                return failed(format!("it did not start within {} seconds, and nothing says why", most.as_secs()));
            }
            return waiting("starting");
        };
        let words = said.to_ascii_lowercase();
        let lacks = ["secret", "configmap"].iter().any(|kind| words.contains(kind));
        if lacks && ["not found", "non-existent"].iter().any(|gone| words.contains(gone)) {
            return failed(format!("what it mounts is not there: {}", last_part(said)));
        }
        if self.waited(begun(pod)) > GRACE {
            return failed(format!("it could not be started within {} seconds: {}", GRACE.as_secs(), last_part(said)));
        }
        waiting(&format!("starting: {}", last_part(said)))
    }

    /// For how long something has been waited for: who begins anew waits anew.
    fn waited(&self, since: Option<Timestamp>) -> Duration {
        since.max(self.observed.since).map_or(Duration::ZERO, |since| elapsed(since, self.now))
    }

    /// What was told last of a pod for one of these reasons.
    fn told(&self, pod: &Pod, reasons: &[&str]) -> Option<&Event> {
        let is_it = |event: &&Event| {
            pod.metadata.uid.is_some()
                && event.involved_object.uid == pod.metadata.uid
                && event.reason.as_deref().is_some_and(|reason| reasons.contains(&reason))
        };
        self.observed.events.values().map(AsRef::as_ref).filter(is_it).max_by_key(|event| time_of(event))
    }
}

/// When the kubelet began with a pod.
fn begun(pod: &Pod) -> Option<Timestamp> {
    pod.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0)
}

/// When something was told last: of a series its last time, else that of the event.
fn time_of(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    series.or(last).or_else(|| event.event_time.as_ref().map(|time| time.0))
}

/// Whose log is worth reading.
fn speaker(pod: &Pod, status: &ContainerStatus, previous: bool) -> Speaker {
    Speaker { pod: pod.metadata.name.clone().unwrap_or_default(), container: status.name.clone(), previous }
}

/// A container that ended, and not well.
pub(super) fn ended_badly(pod: &Pod, status: &ContainerStatus) -> Option<Cause> {
    let ended = status.state.as_ref()?.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
    let why = exit_words(&status.name, ended.exit_code, ended.reason.as_deref(), ended.message.as_deref());
    Some(Cause { why, speaker: Some(speaker(pod, status, false)) })
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
pub(super) fn last_part(message: &str) -> &str {
    let most = 300;
    let cut = message.len().saturating_sub(most);
    let cut = (cut..=message.len()).find(|at| message.is_char_boundary(*at)).unwrap_or(0);
    message.get(cut..).unwrap_or(message)
}

/// What is known of a pod's containers, in the order in which they run.
pub(super) fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let first = status.and_then(|status| status.init_container_statuses.as_ref());
    let last = status.and_then(|status| status.container_statuses.as_ref());
    first.into_iter().chain(last).flatten()
}
