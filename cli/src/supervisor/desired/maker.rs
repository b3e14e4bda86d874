//! What one unit is made from, and the parts of its key.

use std::collections::BTreeMap;
use std::sync::Arc;

use clustergraph::format::service::Wait;
use clustergraph::graph::{Database, Image, Key, Service, Unit, UnitKind};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use super::{Running, Wish, Work, forwards};
use crate::protocol::RuntimeName;
use crate::runtime::{Addresses, Building, Program, built_image, port_row, service_environment, service_files};
use crate::session::Records;

/// The named parts of a unit's key.
pub(super) type Parts = Vec<(&'static str, Key)>;

/// Makes out one unit.
pub(super) struct Maker<'a> {
    pub(super) wish: &'a Wish<'a>,
    pub(super) records: &'a Records,
    pub(super) unit: &'a Unit,
    pub(super) waits: &'a BTreeMap<Unit, Wait>,
    pub(super) runtime: RuntimeName,
}

impl Maker<'_> {
    pub(super) fn make(&self) -> Result<(Work, Parts), String> {
        let (unit, graph) = (self.unit, self.wish.graph);
        let unknown = || format!("the graph does not know {unit}");
        let database = || graph.databases.get(&unit.name).ok_or_else(unknown);
        let service = || graph.services.get(&unit.name).ok_or_else(unknown);
        let owner = |database: &Database| {
            let owner = database.owner.as_ref().and_then(|owner| graph.services.get(owner));
            owner.ok_or_else(unknown)
        };
        Ok(match unit.kind {
            UnitKind::Image => {
                let service = service()?;
                (Work::Image(self.building(service)), vec![("source", service.source)])
            }
            UnitKind::Setup => {
                let service = service()?;
                let program = self.program(service, None, BTreeMap::new())?;
                (Work::Setup(Box::new(program)), vec![("lock files", service.setup_key)])
            }
            UnitKind::Server => self.server_unit()?,
            UnitKind::Database => self.database_unit(database()?)?,
            UnitKind::Migration => {
                let database = database()?;
                let command = database.migrate.as_ref().map(|migrate| migrate.run.clone());
                let work = self.once(owner(database)?, command)?;
                let migration = database.migration.unwrap_or_default();
                (work, vec![("migration", migration), ("data", self.data(&[&database.address]))])
            }
            UnitKind::Seed => {
                let database = database()?;
                let work = self.once(owner(database)?, database.seed.clone())?;
                // Data is seeded once: neither another command nor other sources seed it again.
                (work, vec![("data", self.data(&[&database.address]))])
            }
            UnitKind::Task => {
                let service = service()?;
                let work = self.once(service, service.run_here().cloned())?;
                let stores: Vec<&String> = service.databases.iter().collect();
                (work, vec![("version", service.id), ("data", self.data(&stores))])
            }
            UnitKind::Service => self.service(service()?)?,
            UnitKind::Forward => {
                let forward = forwards::forward(unit, self.wish.gateway, &self.addresses())?;
                let key = Key::of("forward", &json!({ "routes": forward.routes, "gateway": forward.gateway.seen }));
                (Work::Forward(forward), vec![("routes", key)])
            }
        })
    }

    /// Which data these databases are.
    pub(super) fn data(&self, addresses: &[&String]) -> Key {
        let incarnation = |address: &&String| self.records.databases.get(*address).map(|kept| &kept.incarnation);
        Key::of("data", &json!(addresses.iter().map(incarnation).collect::<Vec<_>>()))
    }

    fn service(&self, service: &Service) -> Result<(Work, Parts), String> {
        let here = |port: &str| self.records.ports.get(&port_row(&service.name, port)).copied();
        let ports = service.ports.iter().filter_map(|port| Some((port.number, here(&port.name)?))).collect();
        let program = self.program(service, service.run_here().cloned(), self.environment(service, None)?)?;
        let program = Program { ports, ..program };
        let asked = match service.health.as_ref().and_then(|health| health.port.as_ref()) {
            Some((name, _)) => service.ports.iter().find(|port| port.name == *name),
            None => service.primary_port(),
        };
        let address = |number, protocol: &str| format!("{protocol}://127.0.0.1:{number}");
        let addresses =
            service.ports.iter().filter_map(|port| Some(address(here(&port.name)?, &port.protocol))).collect();
        // The node's own id is wired, but a change of something that it depends on is no reason to restart.
        let seen = json!({
            "env": self.environment(service, Some("version"))?,
            "files": service_files(service, &self.addresses(), Some("version"))?,
            "hosts": program.hosts,
        });
        let parts = vec![
            ("source", service.source),
            ("configuration", service.behaviour),
            ("environment", self.secret_key(&seen)),
        ];
        let running = Running {
            health: service.health.clone(),
            port: asked.and_then(|port| here(&port.name)),
            stop: service.stop.clone(),
            restart: service.restart,
            program,
            addresses,
        };
        Ok((Work::Service(Box::new(running)), parts))
    }

    /// A keyed hash: the records of a session must not let anyone try secrets.
    fn secret_key(&self, value: &serde_json::Value) -> Key {
        let salt = self.records.salt.as_bytes();
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(salt) else { return Key::default() };
        mac.update(value.to_string().as_bytes());
        Key::of("environment", &json!(hex::encode(mac.finalize().into_bytes())))
    }

    pub(super) fn addresses(&self) -> Addresses<'_> {
        self.wish.addresses(self.records, self.runtime)
    }

    fn environment(&self, service: &Service, version: Option<&str>) -> Result<BTreeMap<String, String>, String> {
        service_environment(service, &self.addresses(), version)
    }

    /// A program of a service that runs to its end.
    fn once(&self, service: &Service, command: Option<Vec<String>>) -> Result<Work, String> {
        Ok(Work::Once(Box::new(self.program(service, command, self.environment(service, None)?)?)))
    }

    fn program(
        &self,
        service: &Service,
        command: Option<Vec<String>>,
        env: BTreeMap<String, String>,
    ) -> Result<Program, String> {
        let image = match &service.image {
            Image::Ready(image) => self.wish.image(image),
            Image::Recipe(_) => self.wish.image(&service.stack.image),
            Image::Dockerfile(_) => built_image(service),
        };
        let addresses = self.addresses();
        let files = match self.unit.kind {
            UnitKind::Setup => BTreeMap::new(),
            _ => service_files(service, &addresses, None)?,
        };
        Ok(Program {
            unit: self.unit.clone(),
            service: Arc::new(service.clone()),
            sources: self.wish.session.sources(service),
            command,
            env,
            files,
            base_env: self.wish.base_env.clone(),
            ports: Vec::new(),
            hosts: forwards::hosts(self.waits, self.wish.gateway),
            reaches: forwards::reaches(self.waits, &addresses),
            image,
            log: self.wish.session.log(self.unit),
        })
    }

    fn building(&self, service: &Service) -> Building {
        let secrets = match &service.image {
            Image::Dockerfile(build) => build.secrets.as_slice(),
            _ => &[],
        };
        let value = |name: &String| Some((name.clone(), self.wish.secrets.get(&service.owner, name)?.to_owned()));
        Building {
            image: built_image(service),
            secrets: secrets.iter().filter_map(value).collect(),
            log: self.wish.session.log(self.unit),
            service: Arc::new(service.clone()),
        }
    }
}
