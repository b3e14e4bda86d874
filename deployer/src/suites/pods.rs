//! The Jobs of tests: one pod for each shard, with the names of its tests in a file, and a second container that prints what
//! it found.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use serde_json::{Value, json};

use super::wire;
use crate::cluster::owner::reference;
use crate::names;
use crate::render::Object;
use crate::render::check::{Check, Limits, add_variable};

/// The container that runs tests, and then the one that prints what they found.
pub(crate) const TESTS: &str = "tests";
/// The container that prints.
pub(crate) const REPORT: &str = "report";

/// The folder with a file of names for each shard.
const NAMES: &str = "/clustergraph/tests";
/// The volume of the folder that both containers have.
const OUT: &str = "clustergraph-out";
/// The volume of names.
const NAMES_VOLUME: &str = "clustergraph-tests";
/// How often a shard is begun again that was ended from outside.
const AGAIN: u32 = 2;
/// How much a ConfigMap may hold: an object has 1 MiB for all of it.
const FULL: usize = 900 * 1024;

/// What a Job of tests is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Task<'t> {
    /// Prints the names of all tests.
    List,
    /// Runs the tests of each shard, by the names of the ConfigMaps that hold them; without any, all tests as one.
    Run { shards: usize, maps: &'t [String] },
}

/// The Job of a service's tests.
pub(crate) fn job(
    check: &Check<'_>,
    template: &Value,
    name: &str,
    run: &[String],
    task: Task<'_>,
    limits: Limits,
) -> Object {
    let (count, script, file) = match task {
        Task::List => (1, wire::RUN_LIST, wire::LIST),
        Task::Run { shards, .. } => (shards.max(1), wire::RUN, wire::JUNIT),
    };
    let pod = check.pod(template, name, |service, spec| {
        let mut tests = container(service, TESTS);
        tests["command"] = command(script, run);
        if let Task::Run { maps, .. } = task {
            let index = json!({ "fieldRef": { "fieldPath": "metadata.annotations['batch.kubernetes.io/job-completion-index']" } });
            add_variable(&mut tests, json!({ "name": "SHARD_INDEX", "valueFrom": index }));
            add_variable(&mut tests, json!({ "name": "SHARD_TOTAL", "value": count.to_string() }));
            add_variable(&mut tests, json!({ "name": "JUNIT_FILE", "value": wire::JUNIT }));
            if !maps.is_empty() {
                let path = format!("{NAMES}/shard-$(SHARD_INDEX)");
                add_variable(&mut tests, json!({ "name": "TESTS_FILE", "value": path }));
                add(&mut tests, "volumeMounts", json!({ "name": NAMES_VOLUME, "mountPath": NAMES, "readOnly": true }));
                let sources: Vec<Value> = maps.iter().map(|map| json!({ "configMap": { "name": map } })).collect();
                add(spec, "volumes", json!({ "name": NAMES_VOLUME, "projected": { "sources": sources } }));
            }
        }
        let mut report = container(service, REPORT);
        report["command"] = command(&wire::printing(), &[file.to_owned()]);
        add(spec, "volumes", json!({ "name": OUT, "emptyDir": {} }));
        spec["initContainers"] = json!([tests]);
        spec["containers"] = json!([report]);
    });
    let mut pod = pod;
    pod["metadata"]["annotations"] = json!({ "kubectl.kubernetes.io/default-container": TESTS });
    let spec = json!({
        "activeDeadlineSeconds": limits.deadline,
        "backoffLimitPerIndex": AGAIN,
        "completionMode": "Indexed",
        "completions": count,
        "parallelism": count,
        // A pod that was taken away is begun again; a program that ended with a code has said what it had to say.
        "podFailurePolicy": { "rules": [
            { "action": "Count", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
            { "action": "FailIndex", "onExitCodes": { "operator": "NotIn", "values": [0] } },
        ] },
        "podReplacementPolicy": "Failed",
        "template": pod,
        "ttlSecondsAfterFinished": limits.stays,
    });
    check.job(name, &spec)
}

/// A container like the service's.
fn container(service: &Value, name: &str) -> Value {
    let mut container = service.clone();
    container["name"] = json!(name);
    add(&mut container, "volumeMounts", json!({ "name": OUT, "mountPath": wire::FOLDER }));
    container
}

fn command(script: &str, words: &[String]) -> Value {
    let first = ["sh", "-c", script, "sh"].map(str::to_owned);
    crate::render::command(first.iter().chain(words))
}

fn add(object: &mut Value, list: &str, value: Value) {
    let Some(fields) = object.as_object_mut() else { return };
    if let Some(list) = fields.entry(list).or_insert_with(|| json!([])).as_array_mut() {
        list.push(value);
    }
}

/// The names of each shard, packed into as few ConfigMaps as hold them.
///
/// # Errors
/// The shard whose names are more than one holds.
pub(crate) fn pack(shards: &[Vec<String>]) -> Result<Vec<Vec<(String, String)>>, usize> {
    let mut maps: Vec<Vec<(String, String)>> = Vec::new();
    let mut room = 0;
    for (index, names) in shards.iter().enumerate() {
        let text: String = names.iter().map(|name| format!("{name}\n")).collect();
        if text.len() > FULL {
            return Err(index);
        }
        if text.len() > room || maps.is_empty() {
            maps.push(Vec::new());
            room = FULL;
        }
        room -= text.len();
        if let Some(map) = maps.last_mut() {
            map.push((format!("shard-{index}"), text));
        }
    }
    Ok(maps)
}

/// The name of a ConfigMap of a Job.
pub(crate) fn map_name(job: &str, at: usize) -> String {
    format!("{job}.tests-{at}")
}

/// A ConfigMap that goes with its Job.
pub(crate) fn map(check: &Check<'_>, job: &ObjectMeta, at: usize, data: &[(String, String)]) -> ConfigMap {
    let name = job.name.clone().unwrap_or_default();
    let owner = reference("batch/v1", "Job", job);
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(map_name(&name, at)),
            labels: Some(check.labels(&name)),
            owner_references: Some(vec![owner]),
            annotations: Some([(names::HASH.to_owned(), crate::render::hash_of(&data))].into()),
            ..ObjectMeta::default()
        },
        data: Some(data.iter().cloned().collect()),
        immutable: Some(true),
        ..ConfigMap::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::names::Component;

    #[test]
    fn tests_run_before_what_they_found_is_printed() {
        let env: BTreeMap<String, String> = [("WWW_URL".to_owned(), "http://www-1:80".to_owned())].into();
        let image = Some("registry.example/www@sha256:7");
        let check = Check { cluster: "production", service: "www", component: Component::Test, env: &env, image };
        let template = json!({ "spec": {
            "serviceAccountName": "komandan-workload",
            "containers": [{ "name": "service", "image": "www@sha256:0", "command": ["./www"], "securityContext": { "runAsNonRoot": true } }],
        } });
        let limits = Limits { deadline: 3600, stays: 3600 };
        let run = ["pytest".to_owned(), "--junitxml=$JUNIT_FILE".to_owned()];
        let maps = [map_name("test-www-0", 0)];
        let job = job(&check, &template, "test-www-0", &run, Task::Run { shards: 4, maps: &maps }, limits);
        insta::assert_yaml_snapshot!("tests_job", job.body);
        let typed: Result<k8s_openapi::api::batch::v1::Job, _> = serde_json::from_value(job.body.clone());
        let back = serde_json::to_value(typed.unwrap()).unwrap();
        assert_eq!(back["spec"], job.body["spec"], "the client's type of it loses nothing");
    }

    proptest! {
        #[test]
        fn every_shard_is_in_one_map_and_no_map_is_too_large(lengths in proptest::collection::vec(0_usize..700, 1..40)) {
            let shards: Vec<Vec<String>> = lengths.iter().map(|length| vec!["x".repeat(1023); *length]).collect();
            let maps = pack(&shards).unwrap();
            let all: Vec<String> = maps.iter().flatten().map(|(key, _)| key.clone()).collect();
            prop_assert_eq!(all, (0..shards.len()).map(|at| format!("shard-{at}")).collect::<Vec<_>>());
            prop_assert!(maps.iter().all(|map| map.iter().map(|(_, text)| text.len()).sum::<usize>() <= FULL));
        }
    }

    #[test]
    fn names_that_are_more_than_an_object_holds_are_told() {
        assert_eq!(pack(&[vec![], vec!["x".repeat(FULL)]]), Err(1));
    }
}
