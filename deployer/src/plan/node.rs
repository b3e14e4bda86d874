//! What is done about one node, and when.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::warm::is_ending;
use super::{Action, Foreign, Target};
use crate::cluster::ensure::{hash_of_live, is_leaving};
use crate::cluster::view::Observed;
use crate::error::Result;
use crate::health::{self, Progress};
use crate::names;
use crate::render::{Kind, Object};
use crate::store::record::{self, Content};

/// The nodes that start at the switch: what must not run beside its former version, what waits for that, and jobs.
///
/// What the version that is served has already is changed in place, as everything else.
pub(crate) fn late(target: &Target, current: Option<&Content>) -> BTreeSet<String> {
    let serves = |name: &String, node: &record::Node| {
        current.and_then(|current| current.nodes.get(name)).is_some_and(|served| served.workload == node.workload)
    };
    let first = target.content.nodes.iter().filter(|(name, node)| match node.kind {
        Kind::HandedOver => !serves(name, node),
        Kind::Job => true,
        Kind::Service | Kind::Task => false,
    });
    let mut late: BTreeSet<String> = first.map(|(name, _)| name.clone()).collect();
    let mut open: Vec<String> = late.iter().cloned().collect();
    while let Some(waited) = open.pop() {
        for (name, _) in target.waits.iter().filter(|(_, waits)| waits.contains(&waited)) {
            if late.insert(name.clone()) {
                open.push(name.clone());
            }
        }
    }
    late
}

/// What is done about a job's schedule.
pub(super) fn schedule_step(
    name: &str,
    node: &record::Node,
    target: &Target,
    current: Option<&Content>,
    observed: &Observed,
    foreign: &Foreign<'_>,
) -> Result<Option<(Action, String)>> {
    let mut objects = target.objects.get(name).into_iter().flatten();
    let Some(object) = objects.find(|object| object.kind() == "CronJob") else { return Ok(None) };
    let live = observed.cron_jobs.get(object.name()).map(|live| &live.metadata);
    foreign.refuse(object.kind(), live)?;
    let is_served = current.and_then(|current| current.nodes.get(name)).is_some_and(|old| old.id == node.id);
    Ok(match live {
        None => Some((Action::Create, why(name, node, current))),
        Some(live) if hash_of_live(live) == Some(object.hash()) => None,
        Some(_) if is_served => Some((Action::Change, "its operation changed".to_owned())),
        Some(_) => Some((Action::Change, why(name, node, current))),
    })
}

/// How what the version does not have any more comes to its end; what takes requests stays warm instead.
pub(super) fn end_step(name: &str, node: &record::Node, observed: &Observed) -> Option<(Action, String)> {
    let reason = || format!("this version has no {name}");
    match node.kind {
        Kind::HandedOver => {
            let live = observed.deployments.get(&node.workload).and_then(|live| live.spec.as_ref());
            live.is_some_and(|spec| spec.replicas != Some(0)).then(|| (Action::Stop, reason()))
        }
        Kind::Job => {
            let is_there = observed.cron_jobs.values().any(|live| {
                live.metadata.labels.as_ref().and_then(|labels| labels.get(names::NAME)).is_some_and(|of| of == name)
            });
            is_there.then(|| (Action::Stop, reason()))
        }
        Kind::Service | Kind::Task => None,
    }
}

pub(super) fn node_step(
    name: &str,
    node: &record::Node,
    target: &Target,
    current: Option<&Content>,
    observed: &Observed,
    foreign: &Foreign<'_>,
    now: Timestamp,
) -> Result<Option<(Action, String)>> {
    let mut step = None;
    for object in target.objects.get(name).into_iter().flatten().filter(|object| object.is_watched()) {
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
            Some(live) if leaving && !is_ending(live, now) => {
                step = Some((Action::Create, "it was kept warm, and is needed again".to_owned()));
            }
            Some(_) if leaving => step = Some((Action::Create, "it was about to go".to_owned())),
            Some(live) if hash_of_live(live) != Some(object.hash()) && step.is_none() => {
                step = Some((Action::Change, why_in_place(name, node, current)));
            }
            Some(live) if is_coded_otherwise(live, object, target.codes.get(name)) && step.is_none() => {
                step = Some((Action::Change, "its secrets changed".to_owned()));
            }
            Some(_) => {}
        }
    }
    if step.is_some() {
        return Ok(step);
    }
    let deployment = observed.deployments.get(&node.workload).and_then(|live| live.spec.as_ref());
    let size = deployment.and_then(|spec| spec.replicas).unwrap_or(1);
    // What is scaled by load has the size that it needs, unless it was ended.
    let is_scaled = node.scales && size > 0;
    if !is_scaled && i64::from(size) != i64::from(node.replicas) {
        return Ok(Some((Action::Scale, format!("from {size} to {}", node.replicas))));
    }
    Ok(match health::deployment(observed, &node.workload, now) {
        Progress::Ready => None,
        Progress::Waiting(_) | Progress::Failed(_) => Some((Action::Await, "not ready".to_owned())),
    })
}

/// Whether a Deployment was started with other secrets than there are now.
pub(super) fn is_coded_otherwise(live: &ObjectMeta, object: &Object, code: Option<&String>) -> bool {
    let then = live.annotations.as_ref().and_then(|annotations| annotations.get(names::SECRETS));
    object.kind() == "Deployment" && code.is_some() && then != code
}

/// Why what is there is changed.
fn why_in_place(name: &str, node: &record::Node, current: Option<&Content>) -> String {
    match current.and_then(|current| current.nodes.get(name)) {
        // It has one workload for all versions.
        Some(old) if old.id != node.id && old.workload == node.workload => why(name, node, current),
        _ => "its operation changed".to_owned(),
    }
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

/// The size that what is scaled by load gets when it is applied: the one that it has, or else that of the former
/// version, which is what the load of now needs.
pub(crate) fn size_by_load(name: &str, node: &record::Node, observed: &Observed) -> u32 {
    let size = |live: &Deployment| {
        live.spec.as_ref().and_then(|spec| spec.replicas).and_then(|size| u32::try_from(size).ok()).unwrap_or(0)
    };
    // One that was ended at this very switch says how large it was.
    let served = |live: &Deployment| {
        let noted = live.metadata.annotations.as_ref().and_then(|annotations| annotations.get(names::SIZE));
        match size(live) {
            0 => noted.and_then(|size| size.parse().ok()).unwrap_or(0),
            size => size,
        }
    };
    let own = observed.deployments.get(&node.workload).map(|live| size(live)).filter(|size| *size > 0);
    let is_former = |live: &&Arc<Deployment>| {
        live.metadata.labels.as_ref().and_then(|labels| labels.get(names::NAME)).is_some_and(|of| of == name)
    };
    let former = observed.deployments.values().filter(is_former).map(|live| served(live)).max().unwrap_or(0);
    own.unwrap_or_else(|| former.max(node.replicas))
}
