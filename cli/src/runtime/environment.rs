//! The wired environment with its holes filled, as one side sees the others.

use std::collections::BTreeMap;

use clustergraph::graph::{Graph, Service};
use clustergraph::wiring::{Hole, Value};

use super::Runtimes;
use crate::protocol::RuntimeName;
use crate::session::Records;

/// What fills the holes.
pub(crate) struct Addresses<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) records: &'a Records,
    /// How everything runs.
    pub(crate) runtimes: &'a Runtimes,
    /// Where the program runs that gets the environment.
    pub(crate) side: RuntimeName,
}

/// The row of a service's port in the records.
pub(crate) fn port_row(service: &str, port: &str) -> String {
    format!("service {service} {port}")
}

/// The row of a server's port in the records.
pub(crate) fn server_row(server: &str) -> String {
    format!("server {server}")
}

/// The row of the port at which containers find what has another row.
pub(crate) fn forward_row(row: &str) -> String {
    format!("forward {row}")
}

/// A port of something: its row, and its number inside its own container.
struct Port {
    row: String,
    inside: u16,
}

impl Addresses<'_> {
    /// The host at which this side finds something of a runtime. Containers use names: of each other, and of
    /// programs of this machine, whose names lead to the forwarder.
    fn host(&self, name: &str) -> String {
        match self.side {
            RuntimeName::Process => "127.0.0.1".to_owned(),
            RuntimeName::Docker => name.to_owned(),
        }
    }

    /// The port at which this side finds something of a runtime: programs of this machine find everything on
    /// loopback, since containers publish their ports there.
    fn port(&self, port: &Port, of: RuntimeName) -> Result<u16, String> {
        let given =
            |row: &str| self.records.ports.get(row).copied().ok_or_else(|| format!("there is no port for {row} here"));
        match (self.side, of) {
            (RuntimeName::Docker, RuntimeName::Docker) => Ok(port.inside),
            (RuntimeName::Docker, RuntimeName::Process) => given(&forward_row(&port.row)),
            (RuntimeName::Process, _) => given(&port.row),
        }
    }

    fn service_port(&self, service: &str, port: &str) -> Result<Port, String> {
        let found =
            self.graph.services.get(service).and_then(|found| found.ports.iter().find(|known| known.name == port));
        let inside = found.ok_or_else(|| format!("{service} has no port {port}"))?.number;
        Ok(Port { row: port_row(service, port), inside })
    }

    fn fill(&self, hole: &Hole, service: &Service) -> Result<String, String> {
        let database = |address: &String| {
            self.graph.databases.get(address).ok_or_else(|| format!("there is no database {address}"))
        };
        Ok(match hole {
            Hole::ServiceHost(name) => self.host(name),
            Hole::ServicePort(name, port) => {
                self.port(&self.service_port(name, port)?, self.runtimes.service(name))?.to_string()
            }
            // Where a program itself listens: a container's ports are its own.
            Hole::OwnPort(port) => self.port(&self.service_port(&service.name, port)?, self.side)?.to_string(),
            Hole::DatabaseHost(address) => self.host(&database(address)?.server),
            Hole::DatabasePort(address) => {
                let database = database(address)?;
                let kind = self.graph.catalogue.databases.get(&database.kind);
                let inside = kind.ok_or_else(|| format!("the catalogue does not know {}", database.kind))?.port;
                let port = Port { row: server_row(&database.server), inside };
                self.port(&port, self.runtimes.server(&database.server))?.to_string()
            }
            Hole::DatabaseBrokers(address) => {
                let of = |hole: fn(String) -> Hole| self.fill(&hole(address.clone()), service);
                format!("{}:{}", of(Hole::DatabaseHost)?, of(Hole::DatabasePort)?)
            }
            Hole::DatabaseUsername(address) | Hole::DatabaseName(address) => database(address)?.name.clone(),
            Hole::DatabasePassword(address) => {
                self.records.passwords.get(address).cloned().ok_or_else(|| format!("{address} has no password yet"))?
            }
            Hole::PublicUrl(name) => {
                let target = self.graph.services.get(name).ok_or_else(|| format!("there is no service {name}"))?;
                let port = target.primary_port().ok_or_else(|| format!("{name} has no port"))?;
                let number = self.records.ports.get(&port_row(name, &port.name));
                let number = number.ok_or_else(|| format!("{name} has no port {} here", port.name))?;
                format!("{}://127.0.0.1:{number}", port.protocol)
            }
            Hole::Secret(name) => {
                return Err(format!("{}: the secret {name} is not filled by this version", service.name));
            }
            Hole::VolumePath(name) => {
                return Err(format!("{}: the volume {name} is not made by this version", service.name));
            }
            Hole::Version => service.id.short(),
        })
    }
}

/// A service's environment. `version` fills `${version}`: the id, or a constant where only a change of
/// something else may count.
pub(crate) fn service_environment(
    service: &Service,
    addresses: &Addresses<'_>,
    version: Option<&str>,
) -> Result<BTreeMap<String, String>, String> {
    let resolve = |value: &Value| {
        value.resolve(|hole| match (hole, version) {
            (Hole::Version, Some(version)) => Ok(version.to_owned()),
            _ => addresses.fill(hole, service),
        })
    };
    service.env.iter().map(|(name, value)| Ok((name.clone(), resolve(value)?))).collect()
}
