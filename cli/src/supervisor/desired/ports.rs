//! Which ports the units of an `up` get: every unit that listens, before the environment of any is filled.

use clustergraph::catalogue::DatabaseKind;
use clustergraph::graph::{Graph, Unit, UnitKind};

use crate::protocol::RuntimeName;
use crate::runtime::{forward_row, port_row, server_row};

/// A port that somebody needs: its row in the records, the number that it prefers, and who holds it.
pub(super) struct Need {
    pub(super) row: String,
    pub(super) preferred: u16,
    pub(super) unit: Unit,
}

fn further_row(server: &str, name: &str) -> String {
    format!("{} {name}", server_row(server))
}

/// The further ports that a server needs where it runs so, by what the catalogue calls them, each with its row:
/// `spare`, one that nobody else uses; `containers`, where a server that tells clients where to go listens for those in
/// containers, and `advertised`, where these find it.
pub(super) fn further(server: &str, kind: &DatabaseKind, runtime: RuntimeName) -> Vec<(&'static str, String)> {
    let Some(native) = kind.native.as_ref().filter(|_| runtime == RuntimeName::Process) else { return Vec::new() };
    let mut further = Vec::new();
    if native.has_spare() {
        further.push(("spare", further_row(server, "spare")));
    }
    if kind.image.loopback.is_some() {
        further.push(("containers", further_row(server, "containers")));
        further.push(("advertised", forward_row(&server_row(server))));
    }
    further
}

/// The ports of a unit.
pub(super) fn needs(unit: &Unit, graph: &Graph, runtime: RuntimeName) -> Vec<Need> {
    let need = |row: String, preferred: u16| Need { row, preferred, unit: unit.clone() };
    match unit.kind {
        UnitKind::Service => {
            let ports = graph.services.get(&unit.name).map(|service| service.ports.as_slice()).unwrap_or_default();
            ports.iter().map(|port| need(port_row(&unit.name, &port.name), port.number)).collect()
        }
        UnitKind::Server => {
            let Some(kind) = kind_of_server(&unit.name, graph) else { return Vec::new() };
            let preferred = kind.image.loopback.unwrap_or(kind.port);
            let further = further(&unit.name, kind, runtime).into_iter().map(|(_, row)| row);
            std::iter::once(server_row(&unit.name)).chain(further).map(|row| need(row, preferred)).collect()
        }
        UnitKind::Forward => forwarded(&unit.name, graph)
            .into_iter()
            .map(|forwarded| need(forward_row(&forwarded.row), forwarded.number))
            .collect(),
        _ => Vec::new(),
    }
}

/// A port that containers are led to.
pub(super) struct Forwarded {
    /// The row of the port that others of this machine use.
    pub(super) row: String,
    /// The row of the port that the way leads to, mostly the same.
    pub(super) to: String,
    /// Its number where it is told.
    pub(super) number: u16,
}

/// The ports of something on this machine itself.
pub(super) fn forwarded(name: &str, graph: &Graph) -> Vec<Forwarded> {
    if let Some(service) = graph.services.get(name) {
        let of = |row: String, number| Forwarded { to: row.clone(), row, number };
        return service.ports.iter().map(|port| of(port_row(name, &port.name), port.number)).collect();
    }
    let Some(kind) = kind_of_server(name, graph) else { return Vec::new() };
    let row = server_row(name);
    let to = if kind.image.loopback.is_some() { further_row(name, "containers") } else { row.clone() };
    vec![Forwarded { row, to, number: kind.port }]
}

/// The kind of a database server.
pub(super) fn kind_of_server<'g>(server: &str, graph: &'g Graph) -> Option<&'g DatabaseKind> {
    graph.catalogue.databases.get(&graph.servers.get(server)?.kind)
}
