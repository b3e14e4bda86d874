//! What must be done so that a cluster is a version. Pure: a dry run prints exactly what a real run does.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use crate::cluster::ensure::{hash_of_live, is_leaving};
use crate::cluster::view::Observed;
use crate::error::{Error, Result};
use crate::health::{self, Progress};
use crate::names;
use crate::render::{Object, Server};
use crate::store::databases::Need;
use crate::store::record::{self, Content};

/// A version that the cluster should be.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// What it is made of.
    pub(crate) content: Content,
    /// The objects of each node, by the service's name.
    pub(crate) objects: BTreeMap<String, Vec<Object>>,
    /// What each service's start waits for: other services.
    pub(crate) waits: BTreeMap<String, BTreeSet<String>>,
    /// The databases that each service stores in.
    pub(crate) stores: BTreeMap<String, BTreeSet<String>>,
    /// What all pods share.
    pub(crate) base: Vec<Object>,
    /// Database servers, by kind and version.
    pub(crate) servers: BTreeMap<String, Server>,
    /// The server of each database, by address.
    pub(crate) server_of: BTreeMap<String, String>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    /// To what.
    #[serde(flatten)]
    pub(crate) part: Part,
    /// What.
    pub(crate) action: Action,
    /// Why.
    pub(crate) reason: String,
    /// What must be over before.
    pub(crate) after: BTreeSet<Part>,
}

/// Something that is made real by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "lowercase")]
pub(crate) enum Part {
    /// What all pods share.
    Base,
    /// A database server, by kind and version.
    Server(String),
    /// A logical database, by address.
    Database(String),
    /// A service, by name.
    Service(String),
    /// An entry, by name.
    Entry(String),
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// It is made.
    Create,
    /// It is changed in place.
    Change,
    /// Its size is changed in place.
    Scale,
    /// It is there; its readiness is waited for.
    Await,
    /// Its Job runs.
    Run,
    /// Requests go to another version.
    Switch,
    /// Requests go nowhere: the version has no such entry.
    Close,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Base => f.write_str("base"),
            Self::Server(name) | Self::Database(name) | Self::Service(name) => f.write_str(name),
            Self::Entry(name) => write!(f, "entry {name}"),
        }
    }
}

impl Action {
    /// The word for people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Scale => "scale",
            Self::Await => "await",
            Self::Run => "run",
            Self::Switch => "switch",
            Self::Close => "close",
        }
    }
}

/// The steps from what is observed to the target: nothing for what is as it should be.
///
/// `current` is the version that is served, `needs` what must be done for each database.
pub(crate) fn plan(
    target: &Target,
    current: Option<&Content>,
    needs: &BTreeMap<String, Need>,
    observed: &Observed,
    cluster: &str,
    now: Timestamp,
) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let foreign = Foreign { cluster };
    for (name, server) in &target.servers {
        let live = observed.stateful_sets.get(&server.name).map(|set| &set.metadata);
        let service = observed.services.get(&server.name).map(|service| &service.metadata);
        foreign.refuse("StatefulSet", live)?;
        foreign.refuse("Service", service)?;
        let (action, reason) = match (live, health::stateful_set(observed, &server.name, now)) {
            (Some(_), Progress::Ready) if service.is_some() => continue,
            (Some(_), _) if service.is_some() => (Action::Await, "not ready".to_owned()),
            _ => (Action::Create, "new".to_owned()),
        };
        steps.push(Step { part: Part::Server(name.clone()), action, reason, after: BTreeSet::new() });
    }
    for (address, need) in needs {
        let (action, reason) = match need {
            Need::Nothing => continue,
            Need::Run(reason) => (Action::Run, reason.clone()),
            Need::Await => (Action::Await, "it was let go before".to_owned()),
        };
        let after = target.server_of.get(address).map(|server| Part::Server(server.clone())).into_iter().collect();
        steps.push(Step { part: Part::Database(address.clone()), action, reason, after });
    }
    for (name, node) in &target.content.nodes {
        let Some((action, reason)) = node_step(name, node, target, current, observed, &foreign, now)? else { continue };
        let services = target.waits.get(name).into_iter().flatten().cloned().map(Part::Service);
        let stores = target.stores.get(name).into_iter().flatten();
        let databases = stores.clone().cloned().map(Part::Database);
        let servers = stores.filter_map(|address| target.server_of.get(address)).cloned().map(Part::Server);
        let after = services.chain(databases).chain(servers).collect();
        steps.push(Step { part: Part::Service(name.clone()), action, reason, after });
    }
    if steps.iter().any(|step| matches!(step.action, Action::Create | Action::Run)) {
        let reason = "what the others stand on".to_owned();
        steps.insert(0, Step { part: Part::Base, action: Action::Create, reason, after: BTreeSet::new() });
    }
    let all: BTreeSet<Part> = steps.iter().map(|step| step.part.clone()).collect();
    for (name, entry) in &target.content.entries {
        let live = observed.services.get(name);
        foreign.refuse("Service", live.map(|live| &live.metadata))?;
        let object = entry.object(name, cluster);
        if live.is_some_and(|live| hash_of_live(&live.metadata) == Some(object.hash())) {
            continue;
        }
        let (action, reason) = match live {
            None => (Action::Create, "new".to_owned()),
            Some(_) => (Action::Switch, format!("to {}-{}", entry.service, entry.id)),
        };
        steps.push(Step { part: Part::Entry(name.clone()), action, reason, after: all.clone() });
    }
    for name in current.into_iter().flat_map(|current| current.entries.keys()) {
        let closed =
            observed.services.get(name).is_some_and(|live| hash_of_live(&live.metadata) == Some(names::NOWHERE));
        if !target.content.entries.contains_key(name) && !closed {
            let reason = "this version has no such entry".to_owned();
            let part = Part::Entry(name.clone());
            steps.push(Step { part, action: Action::Close, reason, after: all.clone() });
        }
    }
    // Only what this plan does is waited for; the base is what every other step stands on.
    for step in &mut steps {
        if step.part != Part::Base {
            step.after.insert(Part::Base);
        }
        step.after.retain(|part| all.contains(part));
    }
    Ok(steps)
}

fn node_step(
    name: &str,
    node: &record::Node,
    target: &Target,
    current: Option<&Content>,
    observed: &Observed,
    foreign: &Foreign<'_>,
    now: Timestamp,
) -> Result<Option<(Action, String)>> {
    let mut step = None;
    for object in target.objects.get(name).into_iter().flatten() {
        let (live, leaving) = match object.kind() {
            "Deployment" => {
                let live = observed.deployments.get(object.name());
                (live.map(|live| &live.metadata), live.is_some_and(|live| is_leaving(live.as_ref())))
            }
            _ => {
                let live = observed.services.get(object.name());
                (live.map(|live| &live.metadata), live.is_some_and(|live| is_leaving(live.as_ref())))
            }
        };
        foreign.refuse(object.kind(), live)?;
        match live {
            None => step = Some((Action::Create, why(name, node, current))),
            Some(_) if leaving => step = Some((Action::Create, "it was about to go".to_owned())),
            Some(live) if hash_of_live(live) != Some(object.hash()) && step.is_none() => {
                step = Some((Action::Change, "its operation changed".to_owned()));
            }
            Some(_) => {}
        }
    }
    if step.is_some() {
        return Ok(step);
    }
    let deployment = observed.deployments.get(&node.workload).and_then(|live| live.spec.as_ref());
    let size = deployment.and_then(|spec| spec.replicas).unwrap_or(1);
    if i64::from(size) != i64::from(node.replicas) {
        return Ok(Some((Action::Scale, format!("from {size} to {}", node.replicas))));
    }
    Ok(match health::deployment(observed, &node.workload, now) {
        Progress::Ready => None,
        Progress::Waiting(_) | Progress::Failed(_) => Some((Action::Await, "not ready".to_owned())),
    })
}

/// Why a node is a version that does not run yet.
fn why(name: &str, node: &record::Node, current: Option<&Content>) -> String {
    let Some(old) = current.and_then(|current| current.nodes.get(name)) else { return "new".to_owned() };
    if old.id == node.id {
        return "not running".to_owned();
    }
    if old.source != node.source {
        return "its sources changed".to_owned();
    }
    if old.behaviour != node.behaviour {
        return "its service.yaml changed".to_owned();
    }
    format!("what it calls changed: {}", node.dependencies.join(", "))
}

struct Foreign<'c> {
    cluster: &'c str,
}

impl Foreign<'_> {
    /// Somebody else's object of a name that we need stops the plan before anything is changed.
    fn refuse(&self, kind: &str, live: Option<&ObjectMeta>) -> Result<()> {
        let Some(live) = live else { return Ok(()) };
        let label = |name: &str| live.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
        if label(names::MANAGED_BY) == Some(names::MANAGER) && label(names::PART_OF) == Some(self.cluster) {
            return Ok(());
        }
        Err(Error::Refused(format!(
            "there is a {kind} {} in the namespace {} that was not made by us for the cluster {}: it is left as it is. \
             Remove or rename it, or use another --namespace",
            live.name.as_deref().unwrap_or_default(),
            live.namespace.as_deref().unwrap_or_default(),
            self.cluster
        )))
    }
}

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
    for pod in observed.pods.values() {
        note(pod.metadata.labels.as_ref().and_then(|labels| labels.get(names::INSTANCE)), &pod.metadata);
    }
    for deployment in observed.deployments.values() {
        note(deployment.metadata.name.as_ref(), &deployment.metadata);
    }
    calls
}

#[cfg(test)]
mod tests;
