//! What must be done so that a cluster is a version. Pure: a dry run prints exactly what a real run does.

mod conflicts;
mod garbage;
mod node;
pub(crate) mod warm;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use crate::cluster::ensure::hash_of_live;
use crate::cluster::owner;
use crate::cluster::view::Observed;
use crate::error::{Error, Result};
use crate::health::{self, Progress};
use crate::names;
use crate::render::{Kind, Object, Server};
use crate::store::databases::Need;
use crate::store::record::Content;

pub(crate) use conflicts::{Stranger, conflicts, strangers, take_over};
pub(crate) use garbage::{Garbage, calls, garbage};
use node::{end_step, node_step, schedule_step};
pub(crate) use node::{late, size_by_load};

/// A version that the cluster should be.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// What it is made of.
    pub(crate) content: Content,
    /// The objects of each node, by the service's name.
    pub(crate) objects: BTreeMap<String, Vec<Object>>,
    /// A code of the secrets of each service: who was started with another one is restarted.
    pub(crate) codes: BTreeMap<String, String>,
    /// What each service's start waits for: other services.
    pub(crate) waits: BTreeMap<String, BTreeSet<String>>,
    /// The databases that each service stores in.
    pub(crate) stores: BTreeMap<String, BTreeSet<String>>,
    /// What all pods share.
    pub(crate) base: Vec<Object>,
    /// Claims on volumes.
    pub(crate) claims: Vec<Object>,
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
    /// Whether it is done at the switch, when nothing can be prepared any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) at_switch: bool,
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
    /// It begins with another cluster's data.
    Clone,
    /// It starts when its former version has ended.
    Start,
    /// It ends: the version has no such part.
    Stop,
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
            Self::Clone => "clone",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Switch => "switch",
            Self::Close => "close",
        }
    }
}

/// The steps from what is observed to the target: nothing for what is as it should be.
///
/// `current` is the version that is served, `needs` what must be done for each database, `tasks` for each task.
pub(crate) fn plan(
    target: &Target,
    current: Option<&Content>,
    needs: &BTreeMap<String, Need>,
    tasks: &BTreeMap<String, Need>,
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
        steps.push(Step::new(Part::Server(name.clone()), action, reason));
    }
    for (address, need) in needs {
        let (action, reason) = match need {
            Need::Nothing => continue,
            Need::Run(reason) => (Action::Run, reason.clone()),
            Need::Clone(what) => (Action::Clone, what.clone()),
            Need::Await => (Action::Await, "it was let go before".to_owned()),
        };
        let after = target.server_of.get(address).map(|server| Part::Server(server.clone())).into_iter().collect();
        steps.push(Step { after, ..Step::new(Part::Database(address.clone()), action, reason) });
    }
    let late = late(target, current);
    for (name, node) in &target.content.nodes {
        let step = match (node.kind, tasks.get(name)) {
            (Kind::Task, Some(Need::Run(reason) | Need::Clone(reason))) => Some((Action::Run, reason.clone())),
            (Kind::Task, Some(Need::Await)) => Some((Action::Await, "it was let go before".to_owned())),
            (Kind::Task, Some(Need::Nothing) | None) => None,
            (Kind::Job, _) => schedule_step(name, node, target, current, observed, &foreign)?,
            (Kind::Service | Kind::HandedOver, _) => node_step(name, node, target, current, observed, &foreign, now)?,
        };
        let Some((mut action, mut reason)) = step else { continue };
        let at_switch = late.contains(name);
        if at_switch && node.kind == Kind::HandedOver {
            action = Action::Start;
            if let Some(former) = current.and_then(|current| current.nodes.get(name)) {
                reason = format!("takes over from {}", former.workload);
            }
        }
        let services = target.waits.get(name).into_iter().flatten().cloned().map(Part::Service);
        let stores = target.stores.get(name).into_iter().flatten();
        let databases = stores.clone().cloned().map(Part::Database);
        let servers = stores.filter_map(|address| target.server_of.get(address)).cloned().map(Part::Server);
        let after = services.chain(databases).chain(servers).collect();
        steps.push(Step { after, at_switch, ..Step::new(Part::Service(name.clone()), action, reason) });
    }
    refuse_narrow_claims(&target.claims, observed)?;
    let are_policies_old = are_policies_old(&target.base, observed, &foreign)?;
    if steps.iter().any(|step| matches!(step.action, Action::Create | Action::Start | Action::Run | Action::Clone)) {
        let reason = "what the others stand on".to_owned();
        steps.insert(0, Step::new(Part::Base, Action::Create, reason));
    } else if are_policies_old {
        let reason = "who may call whom changed".to_owned();
        steps.insert(0, Step::new(Part::Base, Action::Change, reason));
    }
    for (name, node) in current.into_iter().flat_map(|current| &current.nodes) {
        if !target.content.nodes.contains_key(name)
            && let Some((action, reason)) = end_step(name, node, observed)
        {
            let at_switch = true;
            steps.push(Step { at_switch, ..Step::new(Part::Service(name.clone()), action, reason) });
        }
    }
    let all: BTreeSet<Part> = steps.iter().map(|step| step.part.clone()).collect();
    steps.extend(front_step(target, current, cluster).map(|step| Step { after: all.clone(), ..step }));
    for (name, entry) in target.content.own_entries() {
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
        steps.push(Step { after: all.clone(), ..Step::new(Part::Entry(name.clone()), action, reason) });
    }
    for name in current.into_iter().flat_map(|current| current.own_entries()).map(|(name, _)| name) {
        let closed =
            observed.services.get(name).is_some_and(|live| hash_of_live(&live.metadata) == Some(names::NOWHERE));
        if !target.content.own_entries().any(|(own, _)| own == name) && !closed {
            let reason = "this version has no such entry".to_owned();
            steps.push(Step { after: all.clone(), ..Step::new(Part::Entry(name.clone()), Action::Close, reason) });
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

/// What is done to the Ingress or HTTPRoute in front of all entries. It is not watched: the versions say whether it changes.
fn front_step(target: &Target, current: Option<&Content>, cluster: &str) -> Option<Step> {
    let of = |content: &Content| {
        let front = content.front.as_ref()?;
        Some((front.host.clone(), content.entry_objects(cluster).pop()?))
    };
    let (action, reason, host) = match (current.and_then(of), of(&target.content)) {
        (None, Some((host, _))) => (Action::Create, "new".to_owned(), host),
        (Some((_, before)), Some((host, object))) if before.hash() != object.hash() => {
            (Action::Switch, "to the services of this version".to_owned(), host)
        }
        (Some((host, _)), None) => (Action::Close, "this version has nothing in front of its entries".to_owned(), host),
        _ => return None,
    };
    Some(Step::new(Part::Entry(host), action, reason))
}

impl Step {
    /// A step that waits for nothing and is done before the switch.
    pub(crate) fn new(part: Part, action: Action, reason: String) -> Self {
        Self { part, action, reason, after: BTreeSet::new(), at_switch: false }
    }
}

/// Refuses several instances on a volume that was made for one: how a claim may be used cannot be changed.
fn refuse_narrow_claims(claims: &[Object], observed: &Observed) -> Result<()> {
    for claim in claims {
        let wanted = claim.body.pointer("/spec/accessModes/0").and_then(serde_json::Value::as_str).unwrap_or_default();
        let live = observed.claims.get(claim.name()).and_then(|live| live.spec.as_ref()?.access_modes.as_ref());
        if let Some(modes) = live.filter(|modes| wanted == "ReadWriteMany" && !modes.iter().any(|mode| mode == wanted))
        {
            return Err(Error::Refused(format!(
                "the volume {} was made for one instance ({}), and several are to have it: how a volume may be used cannot be \
                 changed. Keep one instance without processes and jobs, or name another volume and copy the data into it",
                claim.name(),
                modes.join(", ")
            )));
        }
    }
    Ok(())
}

/// Whether a policy is not as it should be.
fn are_policies_old(base: &[Object], observed: &Observed, foreign: &Foreign<'_>) -> Result<bool> {
    let mut are_old = false;
    for object in base.iter().filter(|object| object.kind() == "NetworkPolicy") {
        let live = observed.policies.get(object.name()).map(|live| &live.metadata);
        foreign.refuse(object.kind(), live)?;
        are_old |= live.and_then(hash_of_live) != Some(object.hash());
    }
    Ok(are_old)
}

struct Foreign<'c> {
    cluster: &'c str,
}

impl Foreign<'_> {
    /// Somebody else's object of a name that we need stops the plan before anything is changed.
    fn refuse(&self, kind: &str, live: Option<&ObjectMeta>) -> Result<()> {
        let Some(live) = live else { return Ok(()) };
        let (name, namespace) =
            (live.name.as_deref().unwrap_or_default(), live.namespace.as_deref().unwrap_or_default());
        owner::refuse(&format!("{kind} {name}"), live, self.cluster, namespace)
    }
}

#[cfg(test)]
pub(crate) mod tests;
