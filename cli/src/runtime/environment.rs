//! The wired environment with its holes filled, as one side sees the others.

use std::collections::{BTreeMap, BTreeSet};

use clustergraph::graph::{Database, Graph, Service};
use clustergraph::wiring::{Hole, Value};

use super::{Runtimes, Secrets};
use crate::protocol::RuntimeName;
use crate::session::{Records, Session};

/// What fills the holes.
#[derive(Clone, Copy)]
pub(crate) struct Addresses<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) session: &'a Session,
    pub(crate) records: &'a Records,
    pub(crate) secrets: &'a Secrets,
    /// The variables of the developer's shell, of which a service takes what it names.
    pub(crate) shell: &'a BTreeMap<String, String>,
    /// The services that run: of optional ones, only these are wired.
    pub(crate) running: &'a BTreeSet<String>,
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
    /// The host at which this side finds something. Containers use names: of each other, and of programs of this
    /// machine, whose names lead to the forwarder.
    fn host(&self, name: &str) -> String {
        match self.side {
            RuntimeName::Process => "127.0.0.1".to_owned(),
            RuntimeName::Docker => name.to_owned(),
        }
    }

    /// The port at which this side finds something of a runtime: programs of this machine find everything on
    /// loopback, since containers publish their ports there.
    fn port(&self, port: &Port, of: RuntimeName) -> Result<u16, String> {
        match (self.side, of) {
            (RuntimeName::Docker, RuntimeName::Docker) => Ok(port.inside),
            (RuntimeName::Docker, RuntimeName::Process) => self.given(&forward_row(&port.row)),
            (RuntimeName::Process, _) => self.given(&port.row),
        }
    }

    /// The port of this machine that a row of the records has.
    pub(crate) fn given(&self, row: &str) -> Result<u16, String> {
        self.records.ports.get(row).copied().ok_or_else(|| format!("there is no port for {row} here"))
    }

    fn service_port(&self, service: &str, port: &str) -> Result<Port, String> {
        let found =
            self.graph.services.get(service).and_then(|found| found.ports.iter().find(|known| known.name == port));
        let inside = found.ok_or_else(|| format!("{service} has no port {port}"))?.number;
        Ok(Port { row: port_row(service, port), inside })
    }

    fn database(&self, address: &str) -> Result<&Database, String> {
        self.graph.databases.get(address).ok_or_else(|| format!("there is no database {address}"))
    }

    fn database_host(&self, address: &str) -> Result<String, String> {
        Ok(self.host(&self.database(address)?.server))
    }

    fn database_port(&self, address: &str) -> Result<u16, String> {
        let database = self.database(address)?;
        let kind = self.graph.catalogue.databases.get(&database.kind);
        let inside = kind.ok_or_else(|| format!("the catalogue does not know {}", database.kind))?.port;
        self.port(&Port { row: server_row(&database.server), inside }, self.runtimes.server(&database.server))
    }

    /// The name of a logical database inside its server, or its number.
    pub(crate) fn database_name(&self, address: &str) -> Result<String, String> {
        match self.records.databases.get(address).and_then(|kept| kept.number) {
            Some(number) => Ok(number.to_string()),
            None => self.database(address).map(|found| found.name.clone()),
        }
    }

    fn volume_path(&self, service: &Service, name: &str) -> Result<String, String> {
        match self.side {
            RuntimeName::Process => Ok(self.session.volume(&service.owner, name).to_string_lossy().into_owned()),
            RuntimeName::Docker => service
                .volumes
                .get(name)
                .map(|volume| volume.path.clone())
                .ok_or_else(|| format!("{} has no volume {name}", service.name)),
        }
    }

    fn fill(&self, hole: &Hole, service: &Service) -> Result<String, String> {
        Ok(match hole {
            Hole::ServiceHost(name) => self.host(name),
            Hole::ServicePort(name, port) => {
                self.port(&self.service_port(name, port)?, self.runtimes.service(name))?.to_string()
            }
            // Where a program itself listens: a container's ports are its own.
            Hole::OwnPort(port) => self.port(&self.service_port(&service.name, port)?, self.side)?.to_string(),
            Hole::PublicUrl(name) => {
                let target = self.graph.services.get(name).ok_or_else(|| format!("there is no service {name}"))?;
                let port = target.primary_port().ok_or_else(|| format!("{name} has no port"))?;
                let prefix = target.public.as_ref().map_or("", |public| public.prefix());
                format!("{}://127.0.0.1:{}{prefix}", port.protocol, self.given(&port_row(name, &port.name))?)
            }
            Hole::DatabaseHost(address) => self.database_host(address)?,
            Hole::DatabasePort(address) => self.database_port(address)?.to_string(),
            Hole::DatabaseBrokers(address) => {
                format!("{}:{}", self.database_host(address)?, self.database_port(address)?)
            }
            Hole::DatabaseUsername(address) => self.database(address)?.name.clone(),
            Hole::DatabaseName(address) => self.database_name(address)?,
            Hole::DatabasePassword(address) => {
                self.records.passwords.get(address).cloned().ok_or_else(|| format!("{address} has no password yet"))?
            }
            Hole::Secret(name) => self
                .secrets
                .get(&service.owner, name)
                .map(str::to_owned)
                .ok_or_else(|| format!("the secret {name} of {} has no value", service.owner))?,
            Hole::VolumePath(name) => self.volume_path(service, name)?,
            Hole::Version => service.id.short(),
        })
    }

    /// A value with its holes filled. `version` fills `${version}`: the id, or a constant where only a change of
    /// something else may count.
    fn resolve(&self, value: &Value, service: &Service, version: Option<&str>) -> Result<String, String> {
        value.resolve(|hole| match (hole, version) {
            (Hole::Version, Some(version)) => Ok(version.to_owned()),
            _ => self.fill(hole, service),
        })
    }

    /// Whether nobody gave a secret of this value, and the service runs without it, too.
    fn is_left_out(&self, value: &Value, service: &Service) -> bool {
        value.holes().any(|hole| match hole {
            Hole::Secret(name) => self.secrets.get(&service.owner, name).is_none(),
            _ => false,
        })
    }
}

/// A service's environment.
pub(crate) fn service_environment(
    service: &Service,
    addresses: &Addresses<'_>,
    version: Option<&str>,
) -> Result<BTreeMap<String, String>, String> {
    let taken = service.passthrough.iter().filter_map(|name| addresses.shell.get_key_value(name));
    let mut env: BTreeMap<String, String> = taken.map(|(name, value)| (name.clone(), value.clone())).collect();
    for (name, value) in addresses.graph.environment(service, addresses.running) {
        if !addresses.is_left_out(value, service) {
            env.insert(name.to_owned(), addresses.resolve(value, service, version)?);
        }
    }
    Ok(env)
}

/// The files that a service finds, by their absolute paths.
pub(crate) fn service_files(
    service: &Service,
    addresses: &Addresses<'_>,
    version: Option<&str>,
) -> Result<BTreeMap<String, String>, String> {
    let rendered = |path: &String, value: &Value| Ok((path.clone(), addresses.resolve(value, service, version)?));
    service.files.iter().map(|(path, file)| rendered(path, &file.content)).collect()
}
