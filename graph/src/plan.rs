//! What must be done so that what runs is what is wanted. Pure: both programs act on it, and a dry run prints it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::format::service::Wait;
use crate::graph::{Key, Unit, Units};

/// A unit as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// It is done again when this differs from what was recorded.
    pub key: Key,
    /// The keyed parts that a difference is explained by, such as `source` and `environment`.
    pub parts: BTreeMap<String, Key>,
}

/// A unit as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The key with which it was started or done.
    pub key: Key,
    /// The parts of that key.
    pub parts: BTreeMap<String, Key>,
    /// Whether it runs or is done, as its kind is.
    pub alive: bool,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What to do.
    pub action: Action,
    /// To what.
    pub unit: Unit,
    /// Why.
    pub reason: String,
    /// Units whose steps of this plan must be over before this one begins: all of them, not only the nearest,
    /// so that whoever sees one of them fail knows everything that cannot begin.
    pub after: BTreeSet<Unit>,
    /// Units of this plan that must run before this one begins, ready or not (`wait: started`).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub after_start: BTreeSet<Unit>,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// End it.
    Stop,
    /// Begin it, or do it once.
    Start,
    /// End it and begin it anew.
    Restart,
}

/// The steps from `observed` to `wanted`: nothing for what is as it should be.
///
/// A unit starts after all that it waits for; what nothing wants any more stops first in reverse order.
/// Data outlives this: a logical database that nothing wants is not a step.
#[must_use]
pub fn plan(
    wanted: &BTreeMap<Unit, Wanted>,
    waits: &Units,
    observed: &BTreeMap<Unit, Observed>,
    recorded_waits: &Units,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let stopped: BTreeSet<&Unit> = observed
        .iter()
        .filter(|(unit, found)| !wanted.contains_key(*unit) && found.alive && unit.kind.runs())
        .map(|(unit, _)| unit)
        .collect();
    let before = waited_for(stopped.iter().copied(), recorded_waits, &stopped);
    let mut after: BTreeMap<&Unit, BTreeSet<Unit>> = BTreeMap::new();
    for (unit, waited) in &before {
        for waited in waited.keys() {
            after.entry(waited).or_default().insert((*unit).clone());
        }
    }
    for unit in reverse_order(&stopped, recorded_waits) {
        let after = after.remove(&unit).unwrap_or_default();
        steps.push(Step {
            action: Action::Stop,
            unit,
            reason: "nothing wants it".to_owned(),
            after,
            after_start: BTreeSet::new(),
        });
    }
    let acting: BTreeMap<&Unit, (Action, String)> = wanted
        .iter()
        .filter_map(|(unit, want)| act(unit, want, observed.get(unit)).map(|action| (unit, action)))
        .collect();
    let mut before = waited_for(acting.keys().copied(), waits, &acting.keys().copied().collect());
    for unit in in_order(acting.keys().copied(), waits) {
        if let Some((action, reason)) = acting.get(&unit).cloned() {
            let (mut after, mut after_start) = (BTreeSet::new(), BTreeSet::new());
            for (waited, wait) in before.remove(&unit).unwrap_or_default() {
                let set = if wait == Wait::Started { &mut after_start } else { &mut after };
                set.insert(waited.clone());
            }
            steps.push(Step { action, unit, reason, after, after_start });
        }
    }
    steps
}

/// What must be done to one unit, and why; nothing when it is as it should be.
fn act(unit: &Unit, want: &Wanted, observed: Option<&Observed>) -> Option<(Action, String)> {
    let runs = unit.kind.runs();
    match observed {
        None => Some((Action::Start, "new".to_owned())),
        Some(found) if found.key != want.key => {
            let action = if found.alive && runs { Action::Restart } else { Action::Start };
            Some((action, difference(found, want)))
        }
        Some(found) if !found.alive => Some((Action::Start, if runs { "not running" } else { "not done" }.to_owned())),
        Some(_) => None,
    }
}

fn difference(found: &Observed, want: &Wanted) -> String {
    let names: BTreeSet<&String> = found.parts.keys().chain(want.parts.keys()).collect();
    let changed: Vec<&str> =
        names.into_iter().filter(|name| found.parts.get(*name) != want.parts.get(*name)).map(String::as_str).collect();
    if changed.is_empty() { "changed".to_owned() } else { format!("{} changed", changed.join(" and ")) }
}

/// Which of `among` each unit waits for, directly or by way of others, and for what of it: where several ways
/// lead to a unit, the stricter wait counts, which is the lesser.
fn waited_for<'u>(
    units: impl Iterator<Item = &'u Unit>,
    waits: &'u Units,
    among: &BTreeSet<&'u Unit>,
) -> BTreeMap<&'u Unit, BTreeMap<&'u Unit, Wait>> {
    units
        .map(|unit| {
            let mut reached: BTreeMap<&Unit, Wait> = BTreeMap::new();
            let mut open = vec![unit];
            while let Some(unit) = open.pop() {
                for (waited, wait) in waits.get(unit).into_iter().flatten() {
                    match reached.get_mut(waited) {
                        Some(known) => *known = (*known).min(*wait),
                        None => {
                            reached.insert(waited, *wait);
                            open.push(waited);
                        }
                    }
                }
            }
            reached.retain(|waited, _| among.contains(waited));
            (unit, reached)
        })
        .collect()
}

/// Units so that each comes after all that it waits for; equals in the order of their names.
pub fn in_order<'u>(units: impl IntoIterator<Item = &'u Unit>, waits: &Units) -> Vec<Unit> {
    fn visit(unit: &Unit, waits: &Units, seen: &mut BTreeSet<Unit>, ordered: &mut Vec<Unit>) {
        if !seen.insert(unit.clone()) {
            return;
        }
        for waited in waits.get(unit).into_iter().flat_map(BTreeMap::keys) {
            visit(waited, waits, seen, ordered);
        }
        ordered.push(unit.clone());
    }
    let units: BTreeSet<&Unit> = units.into_iter().collect();
    let mut seen = BTreeSet::new();
    let mut ordered = Vec::new();
    for unit in &units {
        visit(unit, waits, &mut seen, &mut ordered);
    }
    ordered.retain(|unit| units.contains(unit));
    ordered
}

fn reverse_order(units: &BTreeSet<&Unit>, waits: &Units) -> Vec<Unit> {
    let mut ordered = in_order(units.iter().copied(), waits);
    ordered.reverse();
    ordered
}

/// The key of what a unit is here: it must restart exactly when this differs.
///
/// `parts` are named so that a difference can be explained.
#[must_use]
pub fn run_key(parts: &BTreeMap<String, Key>) -> Key {
    Key::of("run", &json!(parts))
}
