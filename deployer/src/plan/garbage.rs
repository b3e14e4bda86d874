//! What no kept version needs any more, callers before what they call.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Foreign;
use crate::cluster::view::Observed;
use crate::health;
use crate::names;

/// What is deleted because no kept version needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Garbage {
    /// Workloads that nobody calls any more: these are deleted.
    pub(crate) now: BTreeSet<String>,
    /// Workloads that others of the garbage still call while they finish, each with these others: they go
    /// when the last pod of those is gone.
    pub(crate) later: BTreeMap<String, BTreeSet<String>>,
}

/// What may go when only `kept` workloads are needed. `calls` says what each workload that exists calls.
pub(crate) fn garbage(calls: &BTreeMap<String, BTreeSet<String>>, kept: &BTreeSet<String>) -> Garbage {
    let dead: BTreeSet<&String> = calls.keys().filter(|workload| !kept.contains(*workload)).collect();
    let callers = |of: &String| -> BTreeSet<String> {
        dead.iter()
            .filter(|caller| **caller != of && calls.get(**caller).is_some_and(|called| called.contains(of)))
            .map(|caller| (*caller).clone())
            .collect()
    };
    let mut garbage = Garbage::default();
    let mut open: Vec<&String> = dead.iter().copied().filter(|workload| callers(workload).is_empty()).collect();
    let mut reached: BTreeSet<&String> = open.iter().copied().collect();
    while let Some(workload) = open.pop() {
        for called in calls.get(workload).into_iter().flatten() {
            if let Some(called) = dead.get(called)
                && reached.insert(called)
            {
                open.push(called);
            }
        }
    }
    for workload in dead.iter().copied() {
        let callers = callers(workload);
        // Services that only call each other in a circle go at once: there is no first.
        if callers.is_empty() || !reached.contains(workload) {
            garbage.now.insert(workload.clone());
        } else {
            garbage.later.insert(workload.clone(), callers);
        }
    }
    garbage
}

/// What each of our workloads calls. One whose Deployment is gone calls until its last pod is.
pub(crate) fn calls(observed: &Observed, cluster: &str) -> BTreeMap<String, BTreeSet<String>> {
    let foreign = Foreign { cluster };
    let mut calls = BTreeMap::new();
    let mut note = |workload: Option<&String>, metadata: &ObjectMeta| {
        let text = metadata.annotations.as_ref().and_then(|annotations| annotations.get(names::CALLS));
        if let (Some(workload), Some(text), Ok(())) = (workload, text, foreign.refuse("", Some(metadata))) {
            let called = text.split(',').filter(|name| !name.is_empty()).map(str::to_owned);
            calls.insert(workload.clone(), called.collect());
        }
    };
    for pod in observed.pods.values().filter(|pod| !health::is_over(pod)) {
        note(pod.metadata.labels.as_ref().and_then(|labels| labels.get(names::INSTANCE)), &pod.metadata);
    }
    for deployment in observed.deployments.values() {
        note(deployment.metadata.name.as_ref(), &deployment.metadata);
    }
    calls
}
