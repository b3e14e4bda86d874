//! The rules of health, by cases.

use std::sync::Arc;

use serde_json::{Value, json};

use super::pod::last_part;
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
        "metadata": { "name": "api-1-x", "uid": "p", "labels": { "a": "b", "c": "d" } },
        "spec": { "containers": [{ "name": "service" }], "initContainers": [] },
        "status": { "containerStatuses": containers, "startTime": "2026-01-01T00:05:00Z" },
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
        (
            "one too many takes requests",
            json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2 }),
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
fn what_was_never_changed_is_ready_when_its_own_pods_are() {
    // (generation, for how long it must be ready, when the pod was made, is it ready)
    let table = [
        (1, None, "2026-01-01T00:05:00Z", true),
        (1, None, "2026-01-01T00:04:59Z", false),
        (1, Some(10), "2026-01-01T00:05:00Z", false),
        (2, None, "2026-01-01T00:05:00Z", false),
    ];
    for (generation, measured, made, ready) in table {
        let mut observed = observed(json!({}), json!([]));
        let deployment = Arc::make_mut(observed.deployments.get_mut("api-1").unwrap());
        deployment.metadata.generation = Some(generation);
        deployment.spec.as_mut().unwrap().min_ready_seconds = measured;
        deployment.metadata.creation_timestamp = serde_json::from_value(json!("2026-01-01T00:05:00Z")).unwrap();
        let pod = Arc::make_mut(observed.pods.get_mut("api-1-x").unwrap());
        pod.metadata.creation_timestamp = serde_json::from_value(json!(made)).unwrap();
        let conditions = json!([{ "type": "Ready", "status": "True" }]);
        pod.status.as_mut().unwrap().conditions = serde_json::from_value(conditions).unwrap();
        let progress = super::deployment(&observed, "api-1", now());
        assert_eq!(progress == Progress::Ready, ready, "generation {generation}, made {made}: {progress:?}");
    }
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

/// Something that is told of an object by its uid, or of a ReplicaSet by its name.
fn tell(observed: &mut Observed, of: &str, reason: &str, message: &str) {
    let object = match of.strip_prefix("set ") {
        Some(name) => json!({ "kind": "ReplicaSet", "name": name }),
        None => json!({ "uid": of }),
    };
    let name = format!("{of}.{reason}");
    let event = json!({
        "metadata": { "name": name, "resourceVersion": "7" }, "involvedObject": object, "reason": reason, "message": message,
        "lastTimestamp": "2026-01-01T00:09:30Z",
    });
    observed.events.insert(name, Arc::new(serde_json::from_value(event).unwrap()));
}

fn words(progress: Progress) -> (bool, String) {
    match progress {
        Progress::Failed(cause) => (true, cause.why),
        Progress::Waiting(why) => (false, why),
        Progress::Ready => panic!("ready"),
    }
}

/// One that waits as its container says, told of in this way, by who began so long ago.
fn waits(reason: &str, message: &str, told: &[(&str, &str)], since: Option<&str>) -> (bool, String) {
    let state = json!({ "waiting": { "reason": reason, "message": message } });
    let mut observed = observed(json!({ "observedGeneration": 2 }), status(state, json!({}), false));
    for (reason, message) in told {
        tell(&mut observed, "p", reason, message);
    }
    observed.since = since.map(|since| since.parse().unwrap());
    words(deployment(&observed, "api-1", now()))
}

#[test]
fn an_image_that_does_not_come_is_waited_for_as_long_as_it_may_take() {
    let timeout = "failed to pull: dial tcp: i/o timeout";
    let (over, said) = waits("ErrImagePull", timeout, &[], Some("2026-01-01T00:08:00Z"));
    assert!(!over && said.contains("pulling its image") && said.contains("i/o timeout"), "{said}");
    let (over, said) = waits("ErrImagePull", timeout, &[], None);
    assert!(over && said.contains("not pulled within 180 seconds"), "its pod began five minutes ago: {said}");
    let mut patient = observed(
        json!({ "observedGeneration": 2 }),
        status(json!({ "waiting": { "reason": "ErrImagePull", "message": timeout } }), json!({}), false),
    );
    patient.pull_grace = Some(Duration::from_secs(600));
    assert!(!words(deployment(&patient, "api-1", now())).0);
    // While it backs off, only what was told of the pull says why.
    let told = [("Failed", "Failed to pull image \"reg/x:1\": reg/x:1: not found")];
    let (over, said) = waits("ImagePullBackOff", "Back-off pulling image \"reg/x:1\"", &told, None);
    assert!(over && said.contains("cannot be pulled") && said.contains("not found"), "{said}");
}

#[test]
fn what_cannot_be_mounted_is_told() {
    let (over, said) = waits("ContainerCreating", "", &[("FailedMount", "secret \"page.files\" not found")], None);
    assert!(over && said.contains("what it mounts is not there"), "{said}");
    let busy = [("FailedAttachVolume", "Multi-Attach error for volume: it is used by another node")];
    let (over, said) = waits("ContainerCreating", "", &busy, Some("2026-01-01T00:08:00Z"));
    assert!(!over && said.contains("Multi-Attach"), "{said}");
    let (over, said) = waits("ContainerCreating", "", &busy, None);
    assert!(over && said.contains("could not be started within 180 seconds"), "{said}");
    assert_eq!(waits("ContainerCreating", "", &[], None), (false, "starting".to_owned()));
}

#[test]
fn what_no_node_takes_is_waited_for_anew_by_who_begins_anew_and_while_nodes_are_added() {
    let unscheduled = |since: Option<&str>, scaled: bool| {
        let mut observed = observed(json!({ "observedGeneration": 2 }), json!([]));
        let mut pod = Pod::clone(&observed.pods["api-1-x"]);
        let condition = json!([{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu",
            "lastTransitionTime": "2026-01-01T00:05:00Z",
        }]);
        pod.status.as_mut().unwrap().conditions = serde_json::from_value(condition).unwrap();
        observed.pods.insert("api-1-x".into(), Arc::new(pod));
        if scaled {
            tell(&mut observed, "p", "TriggeredScaleUp", "pod triggered scale-up: 1->2");
        }
        observed.since = since.map(|since| since.parse().unwrap());
        words(deployment(&observed, "api-1", now()))
    };
    assert_eq!(unscheduled(None, false), (true, "no node takes api-1-x: Insufficient cpu".to_owned()));
    assert!(!unscheduled(Some("2026-01-01T00:09:00Z"), false).0);
    let (over, said) = unscheduled(None, true);
    assert!(!over && said.contains("the autoscaler is adding one"), "{said}");
}

#[test]
fn what_was_refused_before_is_tried_again_and_what_is_refused_now_is_over() {
    let refused = json!({
        "observedGeneration": 2,
        "conditions": [{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods" }],
    });
    let mut observed = observed(refused, json!([]));
    tell(&mut observed, "set api-1-5f", "FailedCreate", "exceeded quota: memory");
    assert_eq!(deployment(&observed, "api-1", now()), failed("exceeded quota: memory".into()));
    assert!(is_stuck(&observed, "api-1", now()));
    observed.told = Arc::new([("set api-1-5f.FailedCreate".to_owned(), "7".to_owned())].into());
    let (over, said) = words(deployment(&observed, "api-1", now()));
    assert!(!over && said.contains("refused before: exceeded quota: memory"), "{said}");
    assert!(is_stuck(&observed, "api-1", now()));

    // Of Jobs and servers nothing but what is told says so.
    let set: StatefulSet = serde_json::from_value(json!({
        "metadata": { "name": "postgres-15", "uid": "s", "generation": 1 }, "status": { "observedGeneration": 1, "replicas": 0 },
    }))
    .unwrap();
    observed.stateful_sets.insert("postgres-15".into(), Arc::new(set));
    assert_eq!(stateful_set(&observed, "postgres-15", now()), waiting("not ready"));
    tell(&mut observed, "s", "FailedCreate", "violates PodSecurity");
    assert_eq!(stateful_set(&observed, "postgres-15", now()), failed("violates PodSecurity".into()));
    let job = json!({ "metadata": { "name": "fill", "uid": "j" } });
    observed.jobs.insert("fill".into(), Arc::new(serde_json::from_value(job).unwrap()));
    tell(&mut observed, "j", "FailedCreate", "exceeded quota: pods");
    assert_eq!(super::job(&observed, "fill", now()), failed("exceeded quota: pods".into()));
}

#[test]
fn of_instances_that_are_made_anew_only_these_are_judged() {
    let state = json!({ "waiting": { "reason": "InvalidImageName", "message": "no such name" } });
    let mut observed = observed(json!({ "observedGeneration": 2 }), status(state, json!({}), false));
    assert!(is_stuck(&observed, "api-1", now()));
    let mut marked = Deployment::clone(&observed.deployments["api-1"]);
    let annotations = [(names::RESTARTED.to_owned(), "now".to_owned())].into();
    let metadata = ObjectMeta { annotations: Some(annotations), ..ObjectMeta::default() };
    marked.spec.as_mut().unwrap().template.metadata = Some(metadata);
    observed.deployments.insert("api-1".into(), Arc::new(marked));
    assert!(!is_stuck(&observed, "api-1", now()));
}
