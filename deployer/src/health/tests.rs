//! The rules of health, by cases.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:10:00Z".parse().unwrap()
}

/// A Deployment of one replica with this status and one pod with these container statuses.
fn observed(status: Value, containers: Value) -> Observed {
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {
            "name": "api-1", "generation": 2, "uid": "d",
            "annotations": { (names::START_TIMEOUT): "30" },
        },
        "spec": { "replicas": 1, "selector": { "matchLabels": { "a": "b" } }, "template": {} },
        "status": status,
    }))
    .unwrap();
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "api-1-x", "labels": { "a": "b", "c": "d" } },
        "spec": { "containers": [{ "name": "service" }], "initContainers": [] },
        "status": { "containerStatuses": containers },
    }))
    .unwrap();
    let mut observed = Observed::default();
    observed.deployments.insert("api-1".into(), Arc::new(deployment));
    observed.pods.insert("api-1-x".into(), Arc::new(pod));
    observed
}

fn status(state: Value, last: Value, ready: bool) -> Value {
    json!([{
        "name": "service", "state": state, "lastState": last, "ready": ready, "restartCount": 0,
        "image": "", "imageID": "",
    }])
}

#[test]
fn a_deployment_is_ready_when_all_of_its_generation_are() {
    let ready = json!({ "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1 });
    assert_eq!(deployment(&observed(ready, json!([])), "api-1", now()), Progress::Ready);
    for (name, not_yet) in [
        (
            "an older generation",
            json!({ "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1 }),
        ),
        (
            "an old pod is left",
            json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 2 }),
        ),
        ("none available", json!({ "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1 })),
        ("no status", json!({})),
    ] {
        let progress = deployment(&observed(not_yet, json!([])), "api-1", now());
        assert!(matches!(progress, Progress::Waiting(_)), "{name}: {progress:?}");
    }
    assert!(matches!(deployment(&Observed::default(), "api-1", now()), Progress::Waiting(_)));
}

#[test]
fn what_a_container_says_decides() {
    let none = json!({});
    let waits = |reason: &str, message: &str| json!({ "waiting": { "reason": reason, "message": message } });
    let ended = |code: i32, reason: &str, message: &str| json!({ "terminated": { "exitCode": code, "reason": reason, "message": message } });
    let runs = |since: &str| json!({ "running": { "startedAt": since } });
    // (state, last state, is it over, a word of the answer)
    let table = [
        (waits("ContainerCreating", ""), none.clone(), false, "starting"),
        (waits("ErrImagePull", "failed to resolve: reg/x:1: not found"), none.clone(), true, "not found"),
        (waits("ImagePullBackOff", "Back-off ... 401 Unauthorized"), none.clone(), true, "401"),
        (waits("ErrImagePull", "dial tcp: i/o timeout"), none.clone(), false, "i/o timeout"),
        (waits("InvalidImageName", "no such name"), none.clone(), true, "no such name"),
        (waits("CreateContainerConfigError", "secret \"x\" not found"), none.clone(), true, "secret"),
        (waits("CrashLoopBackOff", ""), ended(3, "Error", ""), true, "exit code 3"),
        (waits("CrashLoopBackOff", ""), ended(137, "OOMKilled", ""), true, "memory"),
        (ended(1, "Error", ""), none.clone(), false, "ended with 1"),
        (ended(1, "Error", ""), ended(1, "Error", ""), true, "exit code 1"),
        (ended(1, "Error", ""), ended(2, "Error", ""), false, "ended with 1"),
        (ended(128, "StartError", "exec: \"no\": not found in $PATH"), none.clone(), true, "not found in $PATH"),
        (runs("2026-01-01T00:09:45Z"), none.clone(), false, "not ready yet"),
        (runs("2026-01-01T00:09:15Z"), none.clone(), true, "within 30 seconds"),
    ];
    for (state, last, over, word) in table {
        let name = state.to_string();
        let waiting = json!({ "observedGeneration": 2 });
        let (words, is_over) = match deployment(&observed(waiting, status(state, last, false)), "api-1", now()) {
            Progress::Failed(cause) => (cause.why, true),
            Progress::Waiting(why) => (why, false),
            Progress::Ready => panic!("{name}: ready"),
        };
        assert_eq!(is_over, over, "{name}: {words}");
        assert!(words.contains(word), "{name}: {words}");
    }
}

#[test]
fn what_quota_refuses_is_said_at_once() {
    let refused = json!({
        "observedGeneration": 2,
        "conditions": [{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods" }],
    });
    let progress = deployment(&observed(refused, json!([])), "api-1", now());
    assert_eq!(progress, failed("exceeded quota: pods".into()));
}

#[test]
fn a_crash_names_who_to_ask() {
    let state = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
    let last = json!({ "terminated": { "exitCode": 1 } });
    let Progress::Failed(cause) =
        deployment(&observed(json!({ "observedGeneration": 2 }), status(state, last, false)), "api-1", now())
    else {
        panic!("it crashes")
    };
    let speaker = Speaker { pod: "api-1-x".into(), container: "service".into(), previous: true };
    assert_eq!(cause.speaker, Some(speaker));
}

#[test]
fn a_migration_has_begun_once_its_program_ran() {
    let job: Job = serde_json::from_value(json!({ "metadata": { "name": "j", "uid": "1" } })).unwrap();
    let began = |state: Value| {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {
                "name": "p",
                "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "1" }],
            },
            "status": { "containerStatuses": [
                { "name": MIGRATE, "state": state, "ready": false, "restartCount": 0, "image": "", "imageID": "" },
            ] },
        }))
        .unwrap();
        let mut observed = Observed::default();
        observed.pods.insert("p".into(), Arc::new(pod));
        migration_began(&observed, &job)
    };
    assert!(!began(json!({ "waiting": { "reason": "PodInitializing" } })));
    assert!(!began(json!({ "terminated": { "exitCode": 128, "reason": "StartError" } })));
    assert!(began(json!({ "running": {} })));
    assert!(began(json!({ "terminated": { "exitCode": 0, "reason": "Completed" } })));
}

#[test]
fn the_end_of_a_long_message_is_kept_whole_characters() {
    let long = "ä".repeat(400);
    assert!(last_part(&long).len() <= 300 && last_part(&long).chars().all(|c| c == 'ä'));
    assert_eq!(last_part("short"), "short");
}
