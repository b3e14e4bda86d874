//! What an `up` is about: what is wanted from now on, what is only started anew, what is needed for a while. Pure.

use std::collections::{BTreeMap, BTreeSet};

use clustergraph::diagnostic::suggestion;
use clustergraph::graph::{Graph, Role, Unit, UnitKind, Units};
use clustergraph::plan::{Action, Observed, Step};

use crate::protocol::{Purpose, Up};
use crate::session::Records;

/// The services that an `up` has to know of.
pub(super) struct Scope {
    /// Those that are wanted.
    wanted: BTreeSet<String>,
    /// Those whose needs are wanted, by this `up` or a connected client.
    leased: BTreeSet<String>,
    /// All of them, with all that they need.
    pub(super) services: BTreeSet<String>,
}

impl Scope {
    /// Notes in the records what is wanted from now on, and gives all that matters.
    pub(super) fn of(graph: &Graph, up: &Up, records: &mut Records) -> Self {
        if up.purpose == Purpose::Start {
            records.all |= up.services.is_empty();
            records.roots.extend(up.services.iter().cloned());
        }
        records.roots.retain(|root| graph.services.contains_key(root));
        let mut wanted = BTreeSet::new();
        if records.all {
            wanted.extend(graph.closure(&BTreeSet::new()));
        }
        if !records.roots.is_empty() {
            wanted.extend(graph.closure(&records.roots));
        }
        let mut leased: BTreeSet<String> = records.leases.values().flat_map(|lease| lease.of.clone()).collect();
        if matches!(up.purpose, Purpose::Needs { .. }) {
            leased.extend(up.services.iter().cloned());
        }
        leased.retain(|name| graph.services.contains_key(name));
        let mut services = wanted.clone();
        if !leased.is_empty() {
            services.extend(graph.closure(&leased));
        }
        Self { wanted, leased, services }
    }

    /// The units that are kept of all that the services consist of, and those that this `up` needs for a while.
    pub(super) fn units(
        &self,
        graph: &Graph,
        waits: &Units,
        up: &Up,
        records: &Records,
    ) -> (BTreeSet<Unit>, BTreeSet<Unit>) {
        let mut needed = BTreeSet::new();
        if let Purpose::Needs { services } = up.purpose {
            for name in &up.services {
                needed.extend(needs(graph, waits, name, services));
            }
        }
        if self.leased.is_empty() {
            return (waits.keys().cloned().collect(), needed);
        }
        let mut kept = reached(waits, self.wanted.iter().map(|name| unit_of(graph, name)), |_| true);
        kept.extend(records.leases.values().flat_map(|lease| lease.units.iter().cloned()));
        kept.extend(needed.iter().cloned());
        kept.retain(|unit| waits.contains_key(unit));
        (kept, needed)
    }
}

/// What a node is when it is made real.
pub(crate) fn unit_of(graph: &Graph, name: &str) -> Unit {
    let ends = graph.services.get(name).is_some_and(|service| service.role != Role::Service);
    Unit::new(if ends { UnitKind::Task } else { UnitKind::Service }, name)
}

/// What one run of a service's program needs: its installed dependencies, its image, its databases and, if told so, the
/// services that it calls.
fn needs(graph: &Graph, waits: &Units, name: &str, services: bool) -> BTreeSet<Unit> {
    let own = unit_of(graph, name);
    let is_service = |unit: &Unit| matches!(unit.kind, UnitKind::Service | UnitKind::Task);
    let called = graph.services.get(name).map(|service| service.dependencies.as_slice()).unwrap_or_default();
    let called = called.iter().filter(|edge| services && !edge.optional).map(|edge| unit_of(graph, &edge.service));
    let first = std::iter::once(own.clone()).chain(called.filter(|unit| waits.contains_key(unit)));
    let mut needed = reached(waits, first, |unit| services || !is_service(unit));
    needed.remove(&own);
    needed
}

/// Units with all that they wait for, as far as `passes` says.
fn reached(waits: &Units, from: impl Iterator<Item = Unit>, passes: impl Fn(&Unit) -> bool) -> BTreeSet<Unit> {
    let mut open: Vec<Unit> = from.collect();
    let mut reached = BTreeSet::new();
    while let Some(unit) = open.pop() {
        let next = waits.get(&unit).into_iter().flat_map(BTreeMap::keys).filter(|unit| passes(unit));
        open.extend(next.filter(|unit| !reached.contains(*unit)).cloned());
        reached.insert(unit);
    }
    reached
}

/// The units that a restart means.
///
/// # Errors
/// When one of the names runs nothing here.
pub(super) fn restarted(up: &Up, records: &Records) -> Result<BTreeSet<Unit>, String> {
    if up.purpose != Purpose::Restart {
        return Ok(BTreeSet::new());
    }
    let known = records.units.values().map(|record| &record.unit);
    if up.services.is_empty() {
        return Ok(known.filter(|unit| unit.kind == UnitKind::Service).cloned().collect());
    }
    let of = |kind: UnitKind| matches!(kind, UnitKind::Service | UnitKind::Task | UnitKind::Server);
    let mut units = BTreeSet::new();
    for name in &up.services {
        match known.clone().find(|unit| of(unit.kind) && unit.name == *name) {
            Some(unit) => {
                units.insert(unit.clone());
            }
            None => {
                let names = known.clone().filter(|unit| of(unit.kind)).map(|unit| unit.name.as_str());
                let mend = match suggestion(name, names) {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => format!("`ssi up {name}` starts it"),
                };
                return Err(format!("{name} does not run here: {mend}"));
            }
        }
    }
    Ok(units)
}

/// Makes what is observed of some units differ from anything that is wanted.
pub(super) fn disturb(observed: &mut BTreeMap<Unit, Observed>, units: &BTreeSet<Unit>) {
    for (_, found) in observed.iter_mut().filter(|(unit, _)| units.contains(*unit)) {
        found.key = clustergraph::graph::Key::default();
        // What was done once is done again.
        found.parts.clear();
    }
}

/// The steps that this `up` takes: one that only restarts or only needs something touches nothing else.
pub(super) fn steps(
    purpose: Purpose,
    all: Vec<Step>,
    restarted: &BTreeSet<Unit>,
    needed: &BTreeSet<Unit>,
    waits: &Units,
) -> Vec<Step> {
    if purpose == Purpose::Start {
        return all;
    }
    let below = reached(waits, restarted.iter().cloned(), |_| true);
    let mut kept: Vec<Step> = all
        .into_iter()
        .filter(|step| match step.action {
            Action::Stop => false,
            Action::Restart => restarted.contains(&step.unit),
            Action::Start => below.contains(&step.unit) || needed.contains(&step.unit),
        })
        .collect();
    let names: BTreeSet<Unit> = kept.iter().map(|step| step.unit.clone()).collect();
    for step in &mut kept {
        if restarted.contains(&step.unit) {
            "asked for".clone_into(&mut step.reason);
        }
        step.after.retain(|unit| names.contains(unit));
        step.after_start.retain(|unit| names.contains(unit));
    }
    kept
}

#[cfg(test)]
mod tests {
    use clustergraph::format::service::Wait;

    use super::*;

    fn service(name: &str) -> Unit {
        Unit::new(UnitKind::Service, name)
    }

    fn step(action: Action, unit: Unit, after: &[Unit]) -> Step {
        let after = after.iter().cloned().collect();
        Step { action, unit, reason: "source changed".into(), after, after_start: BTreeSet::new() }
    }

    /// www waits for api, which waits for its setup and its database.
    fn waits() -> Units {
        let wait = |units: &[Unit]| units.iter().map(|unit| (unit.clone(), Wait::Ready)).collect();
        let (setup, server) = (Unit::new(UnitKind::Setup, "api"), Unit::new(UnitKind::Server, "postgres-16"));
        let database = Unit::new(UnitKind::Database, "api/items");
        Units::from([
            (service("www"), wait(&[service("api")])),
            (service("api"), wait(&[setup.clone(), database.clone()])),
            (database, wait(std::slice::from_ref(&server))),
            (server, BTreeMap::new()),
            (setup, BTreeMap::new()),
        ])
    }

    fn shown(steps: &[Step]) -> Vec<String> {
        steps.iter().map(|step| format!("{:?} {} {}", step.action, step.unit, step.reason)).collect()
    }

    #[test]
    fn a_restart_touches_what_was_named_and_starts_what_that_lacks() {
        let setup = Unit::new(UnitKind::Setup, "api");
        let all = vec![
            step(Action::Stop, service("old"), &[]),
            step(Action::Start, setup.clone(), &[]),
            step(Action::Restart, service("api"), &[setup]),
            step(Action::Restart, service("www"), &[service("api")]),
            step(Action::Start, service("other"), &[]),
        ];
        let asked = BTreeSet::from([service("api")]);
        let kept = steps(Purpose::Restart, all.clone(), &asked, &BTreeSet::new(), &waits());
        assert_eq!(shown(&kept), ["Start api:setup source changed", "Restart api asked for"]);
        assert_eq!(steps(Purpose::Start, all, &asked, &BTreeSet::new(), &waits()).len(), 5);
    }

    #[test]
    fn needs_are_started_and_nothing_of_them_is_restarted() {
        let database = Unit::new(UnitKind::Database, "api/items");
        let all = vec![
            step(Action::Start, database.clone(), &[]),
            step(Action::Restart, service("www"), std::slice::from_ref(&database)),
            step(Action::Start, service("other"), &[]),
        ];
        let kept =
            steps(Purpose::Needs { services: true }, all, &BTreeSet::new(), &BTreeSet::from([database]), &waits());
        assert_eq!(shown(&kept), ["Start api/items source changed"]);
    }

    #[test]
    fn what_is_reached_stops_where_it_is_told_to() {
        let all = reached(&waits(), std::iter::once(service("www")), |_| true);
        assert_eq!(all.len(), 5);
        let own = reached(&waits(), std::iter::once(service("www")), |unit| unit.kind != UnitKind::Service);
        assert_eq!(own, BTreeSet::from([service("www")]));
    }
}
