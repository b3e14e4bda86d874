//! Which ways containers need to programs of this machine: those that their wiring names.

use std::collections::{BTreeMap, BTreeSet};

use clustergraph::format::service::Wait;
use clustergraph::graph::{Graph, Service, Unit, UnitKind, Units};
use clustergraph::wiring::Hole;

use super::ports::forwarded;
use crate::protocol::RuntimeName;
use crate::runtime::{Addresses, Forward, Gateway, Route, Runtimes, forward_row};

/// Adds the forwards that containers need, and that these wait for them.
pub(super) fn add(units: &mut Units, graph: &Graph, running: &BTreeSet<String>, runtimes: &Runtimes) {
    let mut forwards = BTreeSet::new();
    for (unit, waits) in units.iter_mut() {
        let Some(service) = program_of(unit, graph) else { continue };
        if runtimes.of(unit, graph) != RuntimeName::Docker {
            continue;
        }
        for name in targets(service, graph, running, runtimes) {
            let forward = Unit::new(UnitKind::Forward, name);
            waits.insert(forward.clone(), Wait::Ready);
            forwards.insert(forward);
        }
    }
    units.extend(forwards.into_iter().map(|forward| (forward, BTreeMap::new())));
}

/// The service whose program a unit runs with its whole environment.
fn program_of<'g>(unit: &Unit, graph: &'g Graph) -> Option<&'g Service> {
    match unit.kind {
        UnitKind::Service | UnitKind::Task => graph.services.get(&unit.name),
        UnitKind::Migration | UnitKind::Seed => graph.services.get(graph.databases.get(&unit.name)?.owner.as_ref()?),
        _ => None,
    }
}

/// The services and servers on this machine itself that a service's environment names.
fn targets(service: &Service, graph: &Graph, running: &BTreeSet<String>, runtimes: &Runtimes) -> BTreeSet<String> {
    let env = graph.environment(service, running);
    let files = service.files.values().map(|file| &file.content);
    let holes = env.values().copied().chain(files).flat_map(|value| value.holes());
    holes
        .filter_map(|hole| match hole {
            Hole::ServiceHost(name) | Hole::ServicePort(name, _) => {
                (runtimes.service(name) == RuntimeName::Process).then(|| name.clone())
            }
            Hole::DatabaseHost(address) | Hole::DatabasePort(address) | Hole::DatabaseBrokers(address) => {
                let server = &graph.databases.get(address)?.server;
                (runtimes.server(server) == RuntimeName::Process).then(|| server.clone())
            }
            _ => None,
        })
        .collect()
}

/// The forward of a unit.
pub(super) fn forward(unit: &Unit, gateway: Option<&Gateway>, addresses: &Addresses<'_>) -> Result<Forward, String> {
    let gateway = gateway.ok_or("the session has no network yet")?.clone();
    let routes = forwarded(&unit.name, addresses.graph).into_iter().map(|forwarded| {
        Ok(Route { from: addresses.given(&forward_row(&forwarded.row))?, to: addresses.given(&forwarded.to)? })
    });
    Ok(Forward { gateway, routes: routes.collect::<Result<_, String>>()?, log: addresses.session.log(unit) })
}

/// What a container calls the programs that it waits for, each with where it finds their forwarder.
pub(super) fn hosts(waits: &BTreeMap<Unit, Wait>, gateway: Option<&Gateway>) -> BTreeMap<String, String> {
    let forwards = waits.keys().filter(|unit| unit.kind == UnitKind::Forward);
    forwards.filter_map(|unit| Some((unit.name.clone(), gateway?.seen.clone()))).collect()
}

/// One of the forwards that a container waits for, as it reaches it.
pub(super) fn reaches(waits: &BTreeMap<Unit, Wait>, addresses: &Addresses<'_>) -> Option<(String, u16)> {
    let forward = waits.keys().find(|unit| unit.kind == UnitKind::Forward)?;
    let first = forwarded(&forward.name, addresses.graph).into_iter().next()?;
    Some((forward.name.clone(), addresses.given(&forward_row(&first.row)).ok()?))
}
