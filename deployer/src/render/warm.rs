//! What ends a version that stays ready for a while: a Job that never makes a pod and is over at its deadline. It owns what
//! only that version needs, so the garbage collector ends all of that, whoever runs or does not.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Object, container_security};
use crate::names::{self, Component};

/// The Job that owns what only version `number` needs, for so many seconds from now.
pub(crate) fn owner(cluster: &str, number: u64, fence: u64, seconds: u64) -> Object {
    Object::new(clock(&names::warm_job(number, fence), &names::labels(cluster, Component::Warm), seconds))
}

/// A Job that makes no pod and goes after so many seconds, with all that it owns.
pub(crate) fn clock(name: &str, labels: &BTreeMap<String, String>, seconds: u64) -> Value {
    // Its template is complete, because the API server asks for it. No pod is ever made of it.
    let pod = json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{ "name": "none", "image": "none", "securityContext": container_security() }],
    });
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "parallelism": 0,
            "completions": 1,
            "backoffLimit": 0,
            "activeDeadlineSeconds": seconds,
            "ttlSecondsAfterFinished": 0,
            "template": { "spec": pod },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_makes_no_pod_and_goes_at_its_deadline() {
        insta::assert_yaml_snapshot!(owner("production", 7, 41, 1800).body);
    }
}
