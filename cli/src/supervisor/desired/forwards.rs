//! Which ways containers need to programs of this machine: those that their wiring names.

use std::collections::{BTreeMap, BTreeSet};

use clustergraph::format::service::Wait;
use clustergraph::graph::{Graph, Service, Unit, UnitKind, Units};
use clustergraph::wiring::Hole;

use super::kind_of_server;
use crate::protocol::RuntimeName;
use crate::runtime::{Addresses, Forward, Gateway, Route, Runtimes, forward_row, port_row, server_row};
use crate::session::{Records, Session};

/// Adds the forwards that containers need, and that these wait for them.
pub(super) fn add(units: &mut Units, graph: &Graph, runtimes: &Runtimes) {
    let mut forwards = BTreeSet::new();
    for (unit, waits) in units.iter_mut() {
        let Some(service) = program_of(unit, graph) else { continue };
        if runtimes.of(unit, graph) != RuntimeName::Docker {
            continue;
        }
        for name in targets(service, graph, runtimes) {
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
fn targets(service: &Service, graph: &Graph, runtimes: &Runtimes) -> BTreeSet<String> {
    let holes = service.env.values().flat_map(|value| value.holes());
    holes
        .filter_map(|hole| match hole {
            Hole::ServiceHost(name) | Hole::ServicePort(name, _) => {
                (runtimes.service(name) == RuntimeName::Process).then(|| name.clone())
            }
            Hole::DatabaseHost(address) | Hole::DatabasePort(address) => {
                let server = graph.databases.get(address)?.server.clone();
                (runtimes.server(&server) == RuntimeName::Process).then_some(server)
            }
            _ => None,
        })
        .collect()
}

/// Each port of what a forward leads to: its row in the records, and the number that it prefers.
pub(super) fn ports(name: &str, graph: &Graph) -> Vec<(String, u16)> {
    match graph.services.get(name) {
        Some(service) => service.ports.iter().map(|port| (port_row(name, &port.name), port.number)).collect(),
        None => kind_of_server(name, graph).map(|kind| (server_row(name), kind.port)).into_iter().collect(),
    }
}

/// The forward of a unit.
pub(super) fn forward(
    unit: &Unit,
    graph: &Graph,
    gateway: Option<&Gateway>,
    records: &Records,
    session: &Session,
) -> Result<Forward, String> {
    let gateway = gateway.ok_or("the session has no network yet")?.clone();
    let route = |(row, _): (String, u16)| {
        let port =
            |row: &str| records.ports.get(row).copied().ok_or_else(|| format!("there is no port for {row} here"));
        Ok(Route { from: port(&forward_row(&row))?, to: port(&row)? })
    };
    let routes = ports(&unit.name, graph).into_iter().map(route).collect::<Result<_, String>>()?;
    Ok(Forward { gateway, routes, log: session.log(unit) })
}

/// What a container calls the programs that it waits for, each with where it finds their forwarder.
pub(super) fn hosts(waits: &BTreeMap<Unit, Wait>, gateway: Option<&Gateway>) -> BTreeMap<String, String> {
    let forwards = waits.keys().filter(|unit| unit.kind == UnitKind::Forward);
    forwards.filter_map(|unit| Some((unit.name.clone(), gateway?.seen.clone()))).collect()
}

/// One of the forwards that a container waits for, as it reaches it.
pub(super) fn reaches(waits: &BTreeMap<Unit, Wait>, addresses: &Addresses<'_>) -> Option<(String, u16)> {
    let forward = waits.keys().find(|unit| unit.kind == UnitKind::Forward)?;
    let (row, _) = ports(&forward.name, addresses.graph).into_iter().next()?;
    Some((forward.name.clone(), *addresses.records.ports.get(&forward_row(&row))?))
}
