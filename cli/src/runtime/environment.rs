//! The wired environment with its holes filled, as one side sees the others.

use std::collections::BTreeMap;

use clustergraph::graph::{Graph, Service};
use clustergraph::wiring::{Hole, Value};

use crate::protocol::RuntimeName;
use crate::session::Records;

/// What fills the holes.
pub(crate) struct Addresses<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) records: &'a Records,
    /// Where the program runs that gets the environment.
    pub(crate) runtime: RuntimeName,
}

/// The row of a service's port in the records.
pub(crate) fn port_row(service: &str, port: &str) -> String {
    format!("service {service} {port}")
}

/// The row of a server's port in the records.
pub(crate) fn server_row(server: &str) -> String {
    format!("server {server}")
}

impl Addresses<'_> {
    fn fill(&self, hole: &Hole, service: &Service) -> Result<String, String> {
        let port_of = |name: &str, port: &str| match self.runtime {
            RuntimeName::Process => self.records.ports.get(&port_row(name, port)).copied(),
            RuntimeName::Docker => self
                .graph
                .services
                .get(name)
                .and_then(|service| service.ports.iter().find(|known| known.name == port))
                .map(|port| port.number),
        };
        let database = |address: &String| {
            self.graph.databases.get(address).ok_or_else(|| format!("there is no database {address}"))
        };
        Ok(match hole {
            Hole::ServiceHost(name) => match self.runtime {
                RuntimeName::Process => "127.0.0.1".to_owned(),
                RuntimeName::Docker => name.clone(),
            },
            Hole::ServicePort(name, port) => {
                port_of(name, port).ok_or_else(|| format!("{name} has no port {port} here"))?.to_string()
            }
            Hole::OwnPort(port) => port_of(&service.name, port)
                .ok_or_else(|| format!("{} has no port {port} here", service.name))?
                .to_string(),
            Hole::DatabaseHost(address) => match self.runtime {
                RuntimeName::Process => "127.0.0.1".to_owned(),
                RuntimeName::Docker => database(address)?.server.clone(),
            },
            Hole::DatabaseBrokers(address) => {
                let of = |hole: fn(String) -> Hole| self.fill(&hole(address.clone()), service);
                format!("{}:{}", of(Hole::DatabaseHost)?, of(Hole::DatabasePort)?)
            }
            Hole::DatabasePort(address) => {
                let database = database(address)?;
                let port = match self.runtime {
                    RuntimeName::Process => self.records.ports.get(&server_row(&database.server)).copied(),
                    RuntimeName::Docker => self.graph.catalogue.databases.get(&database.kind).map(|kind| kind.port),
                };
                port.ok_or_else(|| format!("the server of {address} has no port here"))?.to_string()
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
