//! What an `up` wants: units with their keys, and what is needed to make each of them real. Pure but for
//! the ports that it looks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clustergraph::catalogue::DatabaseKind;
use clustergraph::format::service::{Health, Stop};
use clustergraph::graph::{Database, Graph, Image, Key, Service, Unit, UnitKind, Units};
use clustergraph::image::mirrored;
use clustergraph::plan::{Wanted, run_key};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use crate::protocol::{RuntimeName, Up};
use crate::runtime::{Addresses, Claims, Program, Server, allocate, port_row, server_row, service_environment};
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
    let stop = match work {
        Work::Service { stop, .. } => {
            return (stop.signal.clone(), u64::try_from(stop.grace.as_millis()).unwrap_or(10_000));
        }
        Work::Server(server) => server.kind.stop.clone(),
        _ => "TERM".to_owned(),
    };
    (stop, 20_000)
}

/// Where this machine reaches what a unit runs.
pub(super) fn addresses_of(work: &Work) -> Vec<String> {
    match work {
        Work::Service { addresses, .. } => addresses.clone(),
        Work::Server(server) => vec![format!("127.0.0.1:{}", server.port)],
        _ => Vec::new(),
    }
}

/// The named parts of a unit's key.
type Parts = Vec<(&'static str, Key)>;

struct Builder<'a> {
    graph: &'a Graph,
    session: &'a Session,
    runtime: RuntimeName,
    up: &'a Up,
    records: &'a mut Records,
    desired: Desired,
}

/// Works out what is wanted. Ports and passwords that are new are noted in `records`.
pub(super) fn desired(
    graph: &Graph,
    services: &BTreeSet<String>,
    runtime: RuntimeName,
    up: &Up,
    session: &Session,
    alive: &BTreeSet<Unit>,
    records: &mut Records,
) -> Result<Desired, String> {
    let waits = graph.units(services, false);
    let desired =
        Desired { wanted: BTreeMap::new(), waits: waits.clone(), needs: BTreeMap::new(), work: BTreeMap::new() };
    let mut builder = Builder { graph, session, runtime, up, records, desired };
    builder.give_ports(&waits, alive).map_err(|error| format!("no free port: {error}"))?;
    for unit in waits.keys() {
        builder.unit(unit)?;
    }
    Ok(builder.desired)
}

impl Builder<'_> {
    /// Every unit that listens gets its ports first: the environment of one holds the ports of others.
    fn give_ports(&mut self, units: &Units, alive: &BTreeSet<Unit>) -> std::io::Result<()> {
        let claims = Claims::of(self.session)?;
        for unit in units.keys() {
            let held = alive.contains(unit);
            match unit.kind {
                UnitKind::Service => {
                    for port in self.graph.services.get(&unit.name).map(|s| s.ports.as_slice()).unwrap_or_default() {
                        allocate(self.records, &claims, &port_row(&unit.name, &port.name), port.number, held)?;
                    }
                }
                UnitKind::Server => {
                    if let Some(kind) = self.kind_of_server(&unit.name) {
                        allocate(self.records, &claims, &server_row(&unit.name), kind.port, held)?;
                    }
                }
                _ => {}
            }
        }
        for database in self.graph.databases.values() {
            self.records.password(&database.address);
            self.records.password(&server_row(&database.server));
        }
        Ok(())
    }

    fn kind_of_server(&self, server: &str) -> Option<&DatabaseKind> {
        self.graph.catalogue.databases.get(&self.graph.servers.get(server)?.kind)
    }

    fn unit(&mut self, unit: &Unit) -> Result<(), String> {
        let unknown = || format!("the graph does not know {unit}");
        let database = |name: &str| self.graph.databases.get(name).ok_or_else(unknown);
        let service = |name: &str| self.graph.services.get(name).ok_or_else(unknown);
        let runtime = Key::of("runtime", &json!(self.runtime));
        let (work, parts) = match unit.kind {
            UnitKind::Setup => {
                let service = service(&unit.name)?;
                let program = self.program(unit, service, Vec::new(), BTreeMap::new())?;
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
                let owner = service(database.owner.as_deref().unwrap_or_default())?;
                let command = database.migrate.as_ref().map(|migrate| migrate.run.clone()).unwrap_or_default();
                let work = Work::Once(self.program(unit, owner, command, self.environment(owner, None)?)?);
                (work, vec![("migration", database.migration.unwrap_or_default())])
            }
            UnitKind::Seed => {
                let database = database(&unit.name)?;
                let owner = service(database.owner.as_deref().unwrap_or_default())?;
                let command = database.seed.clone().unwrap_or_default();
                let work = Work::Once(self.program(unit, owner, command, self.environment(owner, None)?)?);
                // Data is seeded once: neither another command nor other sources seed it again.
                (work, vec![("seed", Key::of("seed", &json!(true)))])
            }
            UnitKind::Image => return Err(format!("{unit} is not built by this version")),
            UnitKind::Task => {
                let service = service(&unit.name)?;
                let command = service.run_here().cloned().unwrap_or_default();
                let program = self.program(unit, service, command, self.environment(service, None)?)?;
                (Work::Once(program), vec![("version", service.id)])
            }
            UnitKind::Service => {
                let service = service(&unit.name)?;
                self.desired.needs.insert(unit.clone(), self.needs(service));
                self.service(unit, service)?
            }
        };
        let mut parts: BTreeMap<String, Key> = parts.into_iter().map(|(name, key)| (name.to_owned(), key)).collect();
        parts.insert("runtime".to_owned(), runtime);
        self.desired.wanted.insert(unit.clone(), Wanted { key: run_key(&parts), parts });
        self.desired.work.insert(unit.clone(), Arc::new(work));
        Ok(())
    }

    fn needs(&self, service: &Service) -> BTreeSet<Unit> {
        let names = service.dependencies.iter().map(|edge| &edge.service);
        names.filter(|name| **name != service.name).map(|name| Unit::new(UnitKind::Service, name)).collect()
    }

    fn service(&self, unit: &Unit, service: &Service) -> Result<(Work, Parts), String> {
        let run = service.run_here().cloned().ok_or_else(|| {
            format!("{} has no `run`: images with a command of their own are not run by this version", service.name)
        })?;
        let program = self.program(unit, service, run, self.environment(service, None)?)?;
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
        let seen = self.environment(service, Some("version"))?;
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
    fn secret_key(&self, env: &BTreeMap<String, String>) -> Key {
        let text = json!(env).to_string();
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.session.id.as_bytes()) else { return Key::default() };
        mac.update(text.as_bytes());
        Key::of("environment", &json!(hex::encode(mac.finalize().into_bytes())))
    }

    fn environment(&self, service: &Service, version: Option<&str>) -> Result<BTreeMap<String, String>, String> {
        let addresses = Addresses { graph: self.graph, records: self.records, runtime: self.runtime };
        service_environment(service, &addresses, version)
    }

    fn image(&self, image: &str) -> String {
        let configured = self.graph.repository.images.mirror.as_deref();
        mirrored(image, self.up.mirror.as_deref().or(configured))
    }

    fn program(
        &self,
        unit: &Unit,
        service: &Service,
        command: Vec<String>,
        env: BTreeMap<String, String>,
    ) -> Result<Program, String> {
        let image = match &service.image {
            Image::Ready(image) => self.image(image),
            Image::Recipe(_) => self.image(&service.stack.image),
            Image::Dockerfile(_) if self.runtime == RuntimeName::Docker => {
                return Err(format!(
                    "{} is built from a Dockerfile, which this version does not do on a laptop: run it with `--runtime process`",
                    service.name
                ));
            }
            Image::Dockerfile(_) => String::new(),
        };
        let ports = service
            .ports
            .iter()
            .filter_map(|port| Some((port.number, *self.records.ports.get(&port_row(&service.name, &port.name))?)))
            .collect();
        Ok(Program {
            unit: unit.clone(),
            service: Arc::new(service.clone()),
            command,
            env,
            base_env: self.up.base_env.clone(),
            ports,
            image,
            log: self.session.log(unit),
        })
    }

    fn server(&self, name: &str) -> Result<Server, String> {
        let wanted = self.graph.servers.get(name).ok_or_else(|| format!("no database is stored in {name}"))?;
        let kind = self.kind_of_server(name).ok_or_else(|| format!("the catalogue does not know {}", wanted.kind))?;
        let catalogued = || kind.image_name(&wanted.version);
        let image = wanted.image.clone().unwrap_or_else(catalogued);
        let row = server_row(name);
        let unit = Unit::new(UnitKind::Server, name);
        Ok(Server {
            image: self.image(&image),
            version: wanted.version.clone(),
            admin_password: self.records.passwords.get(&row).cloned().unwrap_or_default(),
            port: self.records.ports.get(&row).copied().unwrap_or(kind.port),
            kind: Arc::new(kind.clone()),
            base_env: self.up.base_env.clone(),
            log: self.session.log(&unit),
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
