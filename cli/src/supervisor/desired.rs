//! What an `up` wants: units with their keys, and what is needed to make each of them real. Pure but for
//! the ports that it looks for.

mod forwards;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clustergraph::catalogue::DatabaseKind;
use clustergraph::format::service::{Health, Stop, Wait};
use clustergraph::graph::{Database, Graph, Image, Key, Service, Unit, UnitKind, Units};
use clustergraph::image::mirrored;
use clustergraph::plan::{Wanted, run_key};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use crate::protocol::{RuntimeName, Up};
use crate::runtime::{
    Addresses, Claims, Forward, Gateway, Program, Runtimes, Server, allocate, forward_row, port_row, server_row,
    service_environment,
};
use crate::session::{Records, Session};

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
    /// Install dependencies.
    Setup(Program),
    /// Run a server.
    Server(Server),
    /// Make a logical database on its server.
    Database {
        /// The server.
        server: Server,
        /// The texts of the catalogue's `create` filled in.
        run: Vec<String>,
        /// Its input.
        input: String,
    },
    /// Run a program to its end.
    Once(Program),
    /// Let containers reach a program of this machine.
    Forward(Forward),
    /// Run a service.
    Service {
        /// Its program.
        program: Program,
        /// How its health is asked.
        health: Option<Health>,
        /// The port of this machine that is asked.
        probe: Option<u16>,
        /// How it is stopped.
        stop: Stop,
        /// Where this machine reaches it.
        addresses: Vec<String>,
    },
}

/// How everything but services is stopped.
pub(super) fn stop_of(work: &Work) -> (String, u64) {
    match work {
        Work::Service { stop, .. } => (stop.signal.clone(), u64::try_from(stop.grace.as_millis()).unwrap_or(10_000)),
        Work::Server(server) => (server.kind.stop.clone(), 20_000),
        Work::Forward(_) => ("TERM".to_owned(), 1_000),
        _ => ("TERM".to_owned(), 10_000),
    }
}

/// Where this machine reaches what a unit runs.
pub(super) fn addresses_of(work: &Work) -> Vec<String> {
    match work {
        Work::Service { addresses, .. } => addresses.clone(),
        Work::Server(server) => vec![format!("127.0.0.1:{}", server.port)],
        Work::Forward(forward) => {
            forward.routes.iter().map(|route| format!("{}:{}", forward.gateway.listen, route.from)).collect()
        }
        _ => Vec::new(),
    }
}

/// The kind of a database server.
fn kind_of_server<'g>(server: &str, graph: &'g Graph) -> Option<&'g DatabaseKind> {
    graph.catalogue.databases.get(&graph.servers.get(server)?.kind)
}

/// The named parts of a unit's key.
type Parts = Vec<(&'static str, Key)>;

/// What an `up` is made from.
pub(super) struct Wish<'a> {
    pub(super) graph: &'a Graph,
    /// The services, with all that they need.
    pub(super) services: &'a BTreeSet<String>,
    /// What they consist of.
    pub(super) units: Units,
    pub(super) runtimes: &'a Runtimes,
    /// Where containers find programs of this machine, when there is a network.
    pub(super) gateway: Option<&'a Gateway>,
    pub(super) up: &'a Up,
    pub(super) session: &'a Session,
    /// What runs: it holds its ports.
    pub(super) running: &'a BTreeSet<Unit>,
}

impl Wish<'_> {
    /// Every unit with what its start waits for: an image is built, and dependencies are installed, where whoever
    /// needs them runs so that it does.
    fn units(&self) -> Units {
        let of_container = |unit: &Unit| self.runtimes.of(unit, self.graph) == RuntimeName::Docker;
        let brings_all = |unit: &Unit| {
            let image = self.graph.services.get(&unit.name).map(|service| &service.image);
            of_container(unit) && !matches!(image, Some(Image::Recipe(_)))
        };
        let is_needed = |unit: &Unit| match unit.kind {
            UnitKind::Image => of_container(unit),
            UnitKind::Setup => !brings_all(unit),
            _ => true,
        };
        let mut units = self.units.clone();
        units.retain(|unit, _| is_needed(unit));
        for waits in units.values_mut() {
            waits.retain(|unit, _| is_needed(unit));
        }
        forwards::add(&mut units, self.graph, self.runtimes);
        units
    }

    /// Works out what is wanted. Ports and passwords that are new are noted in `records`.
    pub(super) fn desired(&self, records: &mut Records) -> Result<Desired, String> {
        let waits = self.provide(records)?;
        let mut desired = Desired {
            wanted: BTreeMap::new(),
            needs: BTreeMap::new(),
            work: BTreeMap::new(),
            runtimes: BTreeMap::new(),
            waits: waits.clone(),
        };
        for (unit, waits) in &waits {
            let runtime = self.runtimes.of(unit, self.graph);
            let maker = Maker { wish: self, records, unit, waits, runtime };
            let (work, parts) = maker.unit()?;
            let mut parts: BTreeMap<String, Key> =
                parts.into_iter().map(|(name, key)| (name.to_owned(), key)).collect();
            // What was done to data stays done, whoever does the next of it.
            if !matches!(unit.kind, UnitKind::Database | UnitKind::Migration | UnitKind::Seed) {
                parts.insert("runtime".to_owned(), Key::of("runtime", &json!(runtime)));
            }
            if let Some(service) = self.graph.services.get(&unit.name).filter(|_| unit.kind == UnitKind::Service) {
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
        maker.unit().map(|(work, _)| work)
    }

    /// All units, with what has to be known before any of them can be made out: ports and passwords.
    fn provide(&self, records: &mut Records) -> Result<Units, String> {
        let waits = self.units();
        self.give_ports(&waits, records).map_err(|error| format!("no free port: {error}"))?;
        for database in self.graph.databases.values() {
            records.password(&database.address);
            records.password(&server_row(&database.server));
        }
        Ok(waits)
    }

    /// Every unit that listens gets its ports first: the environment of one holds the ports of others. What
    /// others see of this machine comes last: it can do with any number.
    fn give_ports(&self, units: &Units, records: &mut Records) -> std::io::Result<()> {
        let claims = Claims::of(self.session)?;
        let mut give = |row: &str, preferred: u16, unit: &Unit| {
            allocate(records, &claims, row, preferred, self.running.contains(unit)).map(drop)
        };
        for unit in units.keys() {
            match unit.kind {
                UnitKind::Service => {
                    for port in self.graph.services.get(&unit.name).map(|s| s.ports.as_slice()).unwrap_or_default() {
                        give(&port_row(&unit.name, &port.name), port.number, unit)?;
                    }
                }
                UnitKind::Server => {
                    if let Some(kind) = kind_of_server(&unit.name, self.graph) {
                        give(&server_row(&unit.name), kind.port, unit)?;
                    }
                }
                _ => {}
            }
        }
        for unit in units.keys().filter(|unit| unit.kind == UnitKind::Forward) {
            for (row, number) in forwards::ports(&unit.name, self.graph) {
                give(&forward_row(&row), number, unit)?;
            }
        }
        Ok(())
    }

    /// The services that a service is wired to, waited for or not.
    fn needs(&self, service: &Service) -> BTreeSet<Unit> {
        let names = service.dependencies.iter().map(|edge| &edge.service);
        names.filter(|name| **name != service.name).map(|name| Unit::new(UnitKind::Service, name)).collect()
    }

    fn image(&self, image: &str) -> String {
        let configured = self.graph.repository.images.mirror.as_deref();
        mirrored(image, self.up.mirror.as_deref().or(configured))
    }
}

/// Makes out what one unit is made from.
struct Maker<'a> {
    wish: &'a Wish<'a>,
    records: &'a Records,
    unit: &'a Unit,
    waits: &'a BTreeMap<Unit, Wait>,
    runtime: RuntimeName,
}

impl Maker<'_> {
    fn unit(&self) -> Result<(Work, Parts), String> {
        let (unit, graph) = (self.unit, self.wish.graph);
        let unknown = || format!("the graph does not know {unit}");
        let database = |name: &str| graph.databases.get(name).ok_or_else(unknown);
        let service = |name: &str| graph.services.get(name).ok_or_else(unknown);
        Ok(match unit.kind {
            UnitKind::Setup => {
                let service = service(&unit.name)?;
                let program = self.program(service, None, BTreeMap::new())?;
                (Work::Setup(program), vec![("lock files", service.setup_key)])
            }
            UnitKind::Server => {
                let server = self.server(&unit.name)?;
                let key = Key::of(
                    "server",
                    &json!({ "kind": server.kind.kind, "version": server.version, "image": server.image }),
                );
                (Work::Server(server), vec![("server", key)])
            }
            UnitKind::Database => {
                let database = database(&unit.name)?;
                let key = Key::of("database", &json!({ "server": database.server, "name": database.name }));
                (self.database(database)?, vec![("database", key)])
            }
            UnitKind::Migration => {
                let database = database(&unit.name)?;
                let command = database.migrate.as_ref().map(|migrate| migrate.run.clone()).unwrap_or_default();
                let work = self.once(service(database.owner.as_deref().unwrap_or_default())?, command)?;
                (work, vec![("migration", database.migration.unwrap_or_default())])
            }
            UnitKind::Seed => {
                let database = database(&unit.name)?;
                let work = self.once(
                    service(database.owner.as_deref().unwrap_or_default())?,
                    database.seed.clone().unwrap_or_default(),
                )?;
                // Data is seeded once: neither another command nor other sources seed it again.
                (work, vec![("seed", Key::of("seed", &json!(true)))])
            }
            UnitKind::Image => return Err(format!("{unit} is not built by this version")),
            UnitKind::Task => {
                let service = service(&unit.name)?;
                let work = self.once(service, service.run_here().cloned().unwrap_or_default())?;
                (work, vec![("version", service.id)])
            }
            UnitKind::Service => self.service(service(&unit.name)?)?,
            UnitKind::Forward => {
                let forward = forwards::forward(unit, graph, self.wish.gateway, self.records, self.wish.session)?;
                let key = Key::of("forward", &json!({ "routes": forward.routes, "gateway": forward.gateway.seen }));
                (Work::Forward(forward), vec![("routes", key)])
            }
        })
    }

    fn service(&self, service: &Service) -> Result<(Work, Parts), String> {
        let ports = service
            .ports
            .iter()
            .filter_map(|port| Some((port.number, *self.records.ports.get(&port_row(&service.name, &port.name))?)))
            .collect();
        let program = self.program(service, service.run_here().cloned(), self.environment(service, None)?)?;
        let program = Program { ports, ..program };
        let here = |port: &str| self.records.ports.get(&port_row(&service.name, port)).copied();
        let asked = match service.health.as_ref().and_then(|health| health.port.as_ref()) {
            Some((name, _)) => service.ports.iter().find(|port| port.name == *name),
            None => service.primary_port(),
        };
        let addresses = service
            .ports
            .iter()
            .filter_map(|port| here(&port.name).map(|number| format!("{}://127.0.0.1:{number}", port.protocol)))
            .collect();
        // The node's own id is wired, but a change of something that it depends on is no reason to restart.
        let seen = json!({ "env": self.environment(service, Some("version"))?, "hosts": program.hosts });
        let parts = vec![
            ("source", service.source),
            ("configuration", service.behaviour),
            ("environment", self.secret_key(&seen)),
        ];
        let work = Work::Service {
            health: service.health.clone(),
            probe: asked.and_then(|port| here(&port.name)),
            stop: service.stop.clone(),
            program,
            addresses,
        };
        Ok((work, parts))
    }

    /// A keyed hash: the records of a session must not let anyone try passwords.
    fn secret_key(&self, value: &serde_json::Value) -> Key {
        let id = self.wish.session.id.as_bytes();
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(id) else { return Key::default() };
        mac.update(value.to_string().as_bytes());
        Key::of("environment", &json!(hex::encode(mac.finalize().into_bytes())))
    }

    fn addresses(&self) -> Addresses<'_> {
        Addresses { graph: self.wish.graph, records: self.records, runtimes: self.wish.runtimes, side: self.runtime }
    }

    fn environment(&self, service: &Service, version: Option<&str>) -> Result<BTreeMap<String, String>, String> {
        service_environment(service, &self.addresses(), version)
    }

    /// A program of a service that runs to its end.
    fn once(&self, service: &Service, command: Vec<String>) -> Result<Work, String> {
        self.program(service, Some(command), self.environment(service, None)?).map(Work::Once)
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
            Image::Dockerfile(_) if self.runtime == RuntimeName::Docker => {
                return Err(format!(
                    "{} is built from a Dockerfile, which this version does not do on a laptop: run it with `--runtime process`",
                    service.name
                ));
            }
            Image::Dockerfile(_) => String::new(),
        };
        Ok(Program {
            unit: self.unit.clone(),
            service: Arc::new(service.clone()),
            command,
            env,
            base_env: self.wish.up.base_env.clone(),
            ports: Vec::new(),
            hosts: forwards::hosts(self.waits, self.wish.gateway),
            reaches: forwards::reaches(self.waits, &self.addresses()),
            image,
            log: self.wish.session.log(self.unit),
        })
    }

    fn server(&self, name: &str) -> Result<Server, String> {
        let graph = self.wish.graph;
        let wanted = graph.servers.get(name).ok_or_else(|| format!("no database is stored in {name}"))?;
        let kind = kind_of_server(name, graph).ok_or_else(|| format!("the catalogue does not know {}", wanted.kind))?;
        let catalogued = || kind.image_name(&wanted.version);
        let image = wanted.image.clone().unwrap_or_else(catalogued);
        let row = server_row(name);
        let unit = Unit::new(UnitKind::Server, name);
        Ok(Server {
            image: self.wish.image(&image),
            version: wanted.version.clone(),
            admin_password: self.records.passwords.get(&row).cloned().unwrap_or_default(),
            port: self.records.ports.get(&row).copied().unwrap_or(kind.port),
            kind: Arc::new(kind.clone()),
            base_env: self.wish.up.base_env.clone(),
            log: self.wish.session.log(&unit),
            unit,
        })
    }

    fn database(&self, database: &Database) -> Result<Work, String> {
        let server = self.server(&database.server)?;
        let mut values = server_values(&server, self.runtime);
        values.insert("username", database.name.clone());
        values.insert("database", database.name.clone());
        values.insert("password", self.records.passwords.get(&database.address).cloned().unwrap_or_default());
        let fill = |text: &String| clustergraph::catalogue::fill_database(text, &values);
        let create = server.kind.create.clone().unwrap_or_default();
        Ok(Work::Database { run: create.run.iter().map(fill).collect(), input: fill(&create.input), server })
    }
}

/// What the catalogue's texts for a server mean here. A client program runs where the server runs.
pub(super) fn server_values(server: &Server, runtime: RuntimeName) -> BTreeMap<&'static str, String> {
    let port = match runtime {
        RuntimeName::Docker => server.kind.port,
        RuntimeName::Process => server.port,
    };
    BTreeMap::from([
        ("host", "127.0.0.1".to_owned()),
        ("port", port.to_string()),
        ("admin", server.kind.admin.clone()),
        ("admin_password", server.admin_password.clone()),
        ("version", server.version.clone()),
    ])
}
