//! What runs on although its version changed: nothing of it is different but what it depends on. Pure.

use std::collections::BTreeMap;

use clustergraph::graph::{Graph, Key, Unit, UnitKind};
use clustergraph::plan::{Step, Wanted};

use crate::protocol::Keeps;

/// The services that are wanted in another version than they were and that no step touches, each with its reason.
///
/// `versions` are the ids that the services had at the last `up`.
pub(super) fn keeps(
    graph: &Graph,
    wanted: &BTreeMap<Unit, Wanted>,
    steps: &[Step],
    versions: &BTreeMap<String, Key>,
) -> Vec<Keeps> {
    let is_other = |name: &str| {
        let now = graph.services.get(name).map(|service| service.id);
        versions.get(name).is_some_and(|before| now.is_some_and(|now| now != *before))
    };
    let untouched = |unit: &&Unit| unit.kind == UnitKind::Service && steps.iter().all(|step| step.unit != **unit);
    let kept = wanted.keys().filter(untouched).filter(|unit| is_other(&unit.name));
    kept.map(|unit| {
        let edges = graph.services.get(&unit.name).map(|service| service.dependencies.as_slice()).unwrap_or_default();
        let mut names: Vec<&str> =
            edges.iter().map(|edge| edge.service.as_str()).filter(|name| is_other(name)).collect();
        names.sort_unstable();
        names.dedup();
        let names = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
        Keeps { unit: unit.clone(), reason: format!("keeps running: only what it depends on changed{names}") }
    })
    .collect()
}

/// The ids of what an `up` wants.
pub(super) fn versions(graph: &Graph, wanted: &BTreeMap<Unit, Wanted>) -> BTreeMap<String, Key> {
    let services = wanted.keys().filter(|unit| unit.kind == UnitKind::Service);
    services.filter_map(|unit| Some((unit.name.clone(), graph.services.get(&unit.name)?.id))).collect()
}
