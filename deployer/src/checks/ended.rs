//! How the pod of a check ended: by itself, with a code that says something, or from outside, which says nothing. Pure.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};

use crate::cluster::view::Observed;
use crate::names;

/// What Kubernetes says of a pod that it ends for the sake of something else: eviction, a node that goes.
const DISRUPTED: &str = "DisruptionTarget";
/// What it says of a container of which it does not know how it ended.
const UNKNOWN: &str = "ContainerStatusUnknown";
/// The annotation of a Job's pod that says which of several it is.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// The annotation that says how often that one was begun before.
const TRIED: &str = "batch.kubernetes.io/job-index-failure-count";

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself.
    With(Exit),
    /// It never began, or was ended from outside, or nobody knows.
    Lost(String),
}

/// The end of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Its code.
    pub(crate) code: i32,
    /// In words, where it is not fine.
    pub(crate) why: String,
    /// How long it ran, in the whole seconds that Kubernetes tells.
    pub(crate) seconds: u64,
}

/// How a container of a pod ended; nothing while it has not.
pub(crate) fn of(pod: &Pod, container: &str) -> Option<Ended> {
    if let Some(why) = disrupted(pod) {
        return Some(Ended::Lost(why));
    }
    let ended = statuses(pod).find(|status| status.name == container)?.state.as_ref()?.terminated.as_ref()?;
    if ended.reason.as_deref() == Some(UNKNOWN) {
        return Some(Ended::Lost("its node does not know how it ended".to_owned()));
    }
    Some(Ended::With(Exit { code: ended.exit_code, why: words(ended), seconds: seconds(ended) }))
}

/// Why a pod was ended from outside, if it was.
fn disrupted(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let disrupted = conditions.into_iter().find(|condition| condition.type_ == DISRUPTED && condition.status == "True");
    if let Some(condition) = disrupted {
        let said = condition.message.as_deref().or(condition.reason.as_deref()).unwrap_or_default();
        return Some(format!("its pod was taken away: {said}"));
    }
    let phase = status.and_then(|status| status.phase.as_deref());
    if pod.metadata.deletion_timestamp.is_some() && phase != Some("Succeeded") {
        return Some("its pod was deleted".to_owned());
    }
    // A node or an admission says here why it ended, or never took, a pod; a program's own end leaves it empty.
    let reason = status.and_then(|status| status.reason.as_deref()).filter(|reason| *reason != "DeadlineExceeded")?;
    let said = status.and_then(|status| status.message.as_deref()).unwrap_or_default();
    (phase == Some("Failed")).then(|| format!("its pod was ended: {reason} {said}").trim_end().to_owned())
}

fn words(ended: &ContainerStateTerminated) -> String {
    match (ended.exit_code, ended.reason.as_deref()) {
        (0, _) => String::new(),
        (code, Some("OOMKilled")) => format!("ended with exit code {code}: it took more memory than it may"),
        (_, Some("StartError" | "ContainerCannotRun")) => {
            format!("cannot be started: {}", ended.message.as_deref().unwrap_or_default().trim())
        }
        (code, _) => format!("ended with exit code {code}"),
    }
}

fn seconds(ended: &ContainerStateTerminated) -> u64 {
    let times = ended.started_at.as_ref().zip(ended.finished_at.as_ref());
    times.map(|(from, to)| to.0.duration_since(from.0).as_secs()).and_then(|it| u64::try_from(it).ok()).unwrap_or(0)
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let first = status.and_then(|status| status.init_container_statuses.as_ref());
    let last = status.and_then(|status| status.container_statuses.as_ref());
    first.into_iter().chain(last).flatten()
}

/// Whether a Job was ended because it took too long.
pub(crate) fn is_late(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.reason.as_deref() == Some("DeadlineExceeded"))
}

/// The pods of a Job of ours.
pub(crate) fn pods<'o>(observed: &'o Observed, job: &'o str) -> impl Iterator<Item = &'o Pod> {
    observed.pods.values().map(AsRef::as_ref).filter(move |pod: &&Pod| {
        pod.metadata.labels.as_ref().and_then(|labels| labels.get(names::INSTANCE)).is_some_and(|name| name == job)
    })
}

/// The last pod of one of several of a Job.
pub(crate) fn last_of<'o>(observed: &'o Observed, job: &'o str, index: usize) -> Option<&'o Pod> {
    let number = index.to_string();
    let of_index = pods(observed, job).filter(|pod| annotation(pod, INDEX) == Some(&number));
    of_index.max_by_key(|pod| (tries(pod), pod.metadata.creation_timestamp.as_ref().map(|time| time.0)))
}

/// Which try a pod of several is, from 1.
pub(crate) fn tries(pod: &Pod) -> u32 {
    annotation(pod, TRIED).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0).saturating_add(1)
}

fn annotation<'p>(pod: &'p Pod, name: &str) -> Option<&'p str> {
    pod.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(body: &Value) -> Pod {
        serde_json::from_value(body.clone()).unwrap()
    }

    fn ended(code: i32, more: &Value) -> Value {
        let mut state = json!({
            "exitCode": code, "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:07Z",
        });
        state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let status = json!({
            "name": "service", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "terminated": state },
        });
        json!({ "status": { "phase": if code == 0 { "Succeeded" } else { "Failed" }, "containerStatuses": [status] } })
    }

    fn with(mut body: Value, pointer: &str, name: &str, value: Value) -> Value {
        body.pointer_mut(pointer).unwrap()[name] = value;
        body
    }

    #[test]
    fn a_program_that_ends_says_something_and_a_pod_that_is_ended_says_nothing() {
        let exit = |code, why: &str| Some(Ended::With(Exit { code, why: why.to_owned(), seconds: 7 }));
        let lost = |why: &str| Some(Ended::Lost(why.to_owned()));
        let evicted = json!([{ "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting" }]);
        let deleted = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
        for (body, expected) in [
            (ended(0, &json!({})), exit(0, "")),
            (ended(3, &json!({})), exit(3, "ended with exit code 3")),
            (
                ended(137, &json!({ "reason": "OOMKilled" })),
                exit(137, "ended with exit code 137: it took more memory than it may"),
            ),
            (
                ended(128, &json!({ "reason": "StartError", "message": "no such file" })),
                exit(128, "cannot be started: no such file"),
            ),
            (ended(137, &json!({ "reason": "ContainerStatusUnknown" })), lost("its node does not know how it ended")),
            (
                with(ended(143, &json!({})), "/status", "conditions", evicted),
                lost("its pod was taken away: Eviction API: evicting"),
            ),
            (with(ended(137, &json!({})), "/status", "reason", json!("Evicted")), lost("its pod was ended: Evicted")),
            (
                json!({ "status": { "phase": "Failed", "reason": "OutOfcpu", "message": "no room" } }),
                lost("its pod was ended: OutOfcpu no room"),
            ),
            (deleted, lost("its pod was deleted")),
            (json!({ "status": { "phase": "Running" } }), None),
            (json!({}), None),
        ] {
            assert_eq!(of(&pod(&body), "service"), expected, "{body}");
        }
        // One that ended well before its Job is removed ended well.
        let gone = with(ended(0, &json!({})), "", "metadata", json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" }));
        assert_eq!(of(&pod(&gone), "service"), exit(0, ""));
    }

    #[test]
    fn of_several_pods_of_one_shard_the_last_counts() {
        let of = |name: &str, index: &str, tried: &str| {
            pod(&json!({ "metadata": {
                "name": name, "labels": { (names::INSTANCE): "test-api-1" },
                "annotations": { (INDEX): index, (TRIED): tried },
            } }))
        };
        let mut observed = Observed::default();
        for pod in [of("a", "0", "0"), of("b", "0", "1"), of("c", "1", "0")] {
            observed.pods.insert(pod.metadata.name.clone().unwrap(), pod.into());
        }
        let last =
            |index| last_of(&observed, "test-api-1", index).map(|pod| (pod.metadata.name.clone().unwrap(), tries(pod)));
        assert_eq!(last(0), Some(("b".to_owned(), 2)));
        assert_eq!(last(1), Some(("c".to_owned(), 1)));
        assert_eq!(last(2), None);
        assert!(last_of(&observed, "test-api-2", 0).is_none());
    }
}
