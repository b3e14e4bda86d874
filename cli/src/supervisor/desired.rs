//! What an `up` wants: units with their keys, and what is needed to make each of them real. Pure but for
//! the ports that it looks for.

mod forwards;
mod maker;
mod ports;
mod servers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use clustergraph::format::service::{Health, Restart, Stop};
use clustergraph::graph::{Graph, Image, Key, Service, Unit, UnitKind, Units};
use clustergraph::image::mirrored;
use clustergraph::plan::{Wanted, run_key};
use serde_json::json;

use crate::protocol::{RuntimeName, Up};
use crate::runtime::{
    Addresses, Building, Claims, Forward, Gateway, Program, Runtimes, Secrets, Server, allocate, server_row,
};
use crate::session::{Records, Session};
use maker::Maker;

/// Everything that an `up` wants.
pub(super) struct Desired {
    /// The units with their keys.
    pub(super) wanted: BTreeMap<Unit, Wanted>,
    /// What each one's start waits for.
    pub(super) waits: Units,
    /// The services that each service is wired to, waited for or not.
    pub(super) needs: BTreeMap<Unit, BTreeSet<Unit>>,
    /// What each one is made from.
    pub(super) work: BTreeMap<Unit, Arc<Work>>,
    /// How each one is made real.
    pub(super) runtimes: BTreeMap<Unit, RuntimeName>,
    /// What nobody is to be shown.
    pub(super) secrets: BTreeSet<String>,
}

impl Desired {
    /// Leaves out all but these units.
    pub(super) fn retain(&mut self, units: &BTreeSet<Unit>) {
        self.wanted.retain(|unit, _| units.contains(unit));
        self.needs.retain(|unit, _| units.contains(unit));
        self.work.retain(|unit, _| units.contains(unit));
        self.runtimes.retain(|unit, _| units.contains(unit));
        self.waits.retain(|unit, _| units.contains(unit));
        for waits in self.waits.values_mut() {
            waits.retain(|unit, _| units.contains(unit));
        }
    }
}

/// What a unit is made from.
pub(super) enum Work {
    /// Build an image.
    Image(Building),
    /// Install dependencies.
    Setup(Box<Program>),
    /// Run a server.
    Server(Box<Server>),
    /// Make a logical database on its server, with what is in it: each command reads its text.
    Database {
        /// The server.
        server: Box<Server>,
        /// The catalogue's commands with their texts, filled in.
        commands: Vec<(Vec<String>, String)>,
    },
    /// Run a program to its end.
    Once(Box<Program>),
    /// Let containers reach a program of this machine.
    Forward(Forward),
    /// Run a service.
    Service(Box<Running>),
}

/// A service that runs on.
pub(super) struct Running {
    /// Its program.
    pub(super) program: Program,
    /// How its health is asked.
    pub(super) health: Option<Health>,
    /// The port of this machine that is asked.
    pub(super) port: Option<u16>,
    /// How it is stopped.
    pub(super) stop: Stop,
    /// What happens when it ends by itself.
    pub(super) restart: Restart,
    /// Where this machine reaches it.
    pub(super) addresses: Vec<String>,
}

impl Work {
    /// How it is stopped: the signal, and the grace in milliseconds.
    pub(super) fn stop(&self) -> (String, u64) {
        let (signal, grace) = match self {
            Self::Service(running) => (running.stop.signal.as_str(), running.stop.grace),
            Self::Server(server) => (server.kind.stop.as_str(), Duration::from_secs(20)),
            Self::Forward(_) => ("TERM", Duration::from_secs(1)),
            _ => ("TERM", Duration::from_secs(10)),
        };
        (signal.to_owned(), u64::try_from(grace.as_millis()).unwrap_or(u64::MAX))
    }

    /// What happens when it ends by itself.
    pub(super) fn restart(&self) -> Restart {
        match self {
            Self::Service(running) => running.restart,
            // Nobody would know why containers find nobody there.
            Self::Forward(_) => Restart::Always,
            _ => Restart::Never,
        }
    }

    /// Where this machine reaches what it runs.
    pub(super) fn addresses(&self) -> Vec<String> {
        match self {
            Self::Service(running) => running.addresses.clone(),
            Self::Server(server) => vec![format!("127.0.0.1:{}", server.port)],
            Self::Forward(forward) => {
                forward.routes.iter().map(|route| format!("{}:{}", forward.gateway.listen, route.from)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// What an `up` is made from.
pub(super) struct Wish<'a> {
    pub(super) graph: &'a Graph,
    /// The services, with all that they need.
    pub(super) services: &'a BTreeSet<String>,
    /// What they consist of.
    pub(super) units: &'a Units,
    pub(super) runtimes: &'a Runtimes,
    pub(super) secrets: &'a Secrets,
    /// The incarnation of each server's data.
    pub(super) incarnations: &'a BTreeMap<String, String>,
    /// Where containers find programs of this machine, when there is a network.
    pub(super) gateway: Option<&'a Gateway>,
    pub(super) up: &'a Up,
    /// The client's variables that every program gets.
    pub(super) base_env: &'a BTreeMap<String, String>,
    pub(super) session: &'a Session,
    /// What runs: it holds its ports.
    pub(super) running: &'a BTreeSet<Unit>,
}

impl Wish<'_> {
    /// Works out what is wanted. Ports and passwords that are new are noted in `records`.
    pub(super) fn desired(&self, records: &mut Records) -> Result<Desired, String> {
        let waits = self.provide(records)?;
        let mut desired = Desired {
            wanted: BTreeMap::new(),
            needs: BTreeMap::new(),
            work: BTreeMap::new(),
            runtimes: BTreeMap::new(),
            secrets: self.secrets.values().map(str::to_owned).collect(),
            waits: waits.clone(),
        };
        for (unit, waits) in &waits {
            let runtime = self.runtimes.of(unit, self.graph);
            let (work, parts) = Maker { wish: self, records, unit, waits, runtime }.make()?;
            let mut parts: BTreeMap<String, Key> =
                parts.into_iter().map(|(name, key)| (name.to_owned(), key)).collect();
            // What was done once stays done, whoever does the next of it.
            if unit.kind.runs() || unit.kind == UnitKind::Setup {
                parts.insert("runtime".to_owned(), Key::of("runtime", &json!(runtime)));
            }
            if let Some(service) = self.graph.services.get(&unit.name).filter(|_| is_service(unit)) {
                desired.needs.insert(unit.clone(), self.needs(service));
            }
            desired.wanted.insert(unit.clone(), Wanted { key: run_key(&parts), parts });
            desired.work.insert(unit.clone(), Arc::new(work));
            desired.runtimes.insert(unit.clone(), runtime);
        }
        Ok(desired)
    }

    /// What one unit is made from, with its environment as a side sees it.
    pub(super) fn work(&self, records: &mut Records, unit: &Unit, side: RuntimeName) -> Result<Work, String> {
        let waits = self.provide(records)?;
        let none = BTreeMap::new();
        let maker = Maker { wish: self, records, unit, waits: waits.get(unit).unwrap_or(&none), runtime: side };
        maker.make().map(|(work, _)| work)
    }

    /// All units, with what has to be known before any of them can be made out: ports and passwords.
    fn provide(&self, records: &mut Records) -> Result<Units, String> {
        let waits = self.units();
        self.give_ports(&waits, records).map_err(|error| format!("no free port: {error}"))?;
        records.ensure_salt();
        for database in self.graph.databases.values() {
            records.password(&database.address);
            records.password(&server_row(&database.server));
        }
        Ok(waits)
    }

    /// Every unit with what its start waits for: an image is built, and dependencies are installed, where whoever
    /// needs them runs so that it does.
    fn units(&self) -> Units {
        let image_of = |unit: &Unit| self.graph.services.get(&unit.name).map(|service| &service.image);
        let is_needed = |unit: &Unit| {
            let in_container = self.runtimes.of(unit, self.graph) == RuntimeName::Docker;
            match unit.kind {
                UnitKind::Image => in_container,
                // An image of its own brings them.
                UnitKind::Setup => !in_container || matches!(image_of(unit), Some(Image::Recipe(_))),
                _ => true,
            }
        };
        let mut units = self.units.clone();
        units.retain(|unit, _| is_needed(unit));
        for waits in units.values_mut() {
            waits.retain(|unit, _| is_needed(unit));
        }
        forwards::add(&mut units, self.graph, self.services, self.runtimes);
        units
    }

    fn give_ports(&self, units: &Units, records: &mut Records) -> std::io::Result<()> {
        let claims = Claims::of(self.session)?;
        let mut needs: Vec<ports::Need> =
            units.keys().flat_map(|unit| ports::needs(unit, self.graph, self.runtimes.of(unit, self.graph))).collect();
        // The way to a service can do with any number: the service itself has its own first.
        needs.sort_by_key(|need| need.unit.kind == UnitKind::Forward);
        for need in &needs {
            let held = needs.iter().any(|other| other.row == need.row && self.running.contains(&other.unit));
            allocate(records, &claims, &need.row, need.preferred, held)?;
        }
        Ok(())
    }

    /// The services that a service is wired to, waited for or not.
    fn needs(&self, service: &Service) -> BTreeSet<Unit> {
        let names = service.dependencies.iter().map(|edge| &edge.service);
        let names = names.filter(|name| **name != service.name && self.services.contains(*name));
        names.map(|name| Unit::new(UnitKind::Service, name)).collect()
    }

    fn image(&self, image: &str) -> String {
        let configured = self.graph.repository.images.mirror.as_deref();
        mirrored(&self.graph.pinned(image), self.up.mirror.as_deref().or(configured))
    }

    fn addresses<'r>(&'r self, records: &'r Records, side: RuntimeName) -> Addresses<'r> {
        Addresses {
            graph: self.graph,
            session: self.session,
            records,
            secrets: self.secrets,
            shell: &self.up.shell,
            running: self.services,
            runtimes: self.runtimes,
            side,
        }
    }
}

fn is_service(unit: &Unit) -> bool {
    matches!(unit.kind, UnitKind::Service | UnitKind::Task)
}
