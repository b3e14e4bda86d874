//! What waits for what.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Database, Graph, Image, Role, Service};
use crate::format::service::{Start, Wait};

/// Something that is made real by itself: the parts of which starting a cluster consists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Unit {
    /// What it is.
    pub kind: UnitKind,
    /// A server's name, a database's address or a service's name; of images and setups the name of a service.yaml.
    pub name: String,
}

/// Units, each with what its start waits for.
pub type Units = BTreeMap<Unit, BTreeMap<Unit, Wait>>;

/// What a [`Unit`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitKind {
    /// Building a service's image, where a runtime needs one.
    Image,
    /// Installing a service's dependencies.
    Setup,
    /// A database server.
    Server,
    /// A logical database with its user.
    Database,
    /// Bringing a schema up to date.
    Migration,
    /// Putting in first data.
    Seed,
    /// Something that runs once and ends.
    Task,
    /// A service.
    Service,
    /// The way from containers to a service or server that runs beside them.
    Forward,
}

impl UnitKind {
    /// The word for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Setup => "setup",
            Self::Server => "server",
            Self::Database => "database",
            Self::Migration => "migration",
            Self::Seed => "seed",
            Self::Task => "task",
            Self::Service => "service",
            Self::Forward => "forward",
        }
    }

    /// Whether it runs on when it is ready; the others are done once.
    #[must_use]
    pub fn runs(self) -> bool {
        matches!(self, Self::Server | Self::Service | Self::Forward)
    }
}

impl Unit {
    /// A unit by kind and name.
    pub fn new(kind: UnitKind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            UnitKind::Image => write!(f, "{}:image", self.name),
            UnitKind::Setup => write!(f, "{}:setup", self.name),
            UnitKind::Migration => write!(f, "{}:migrate", self.name),
            UnitKind::Seed => write!(f, "{}:seed", self.name),
            UnitKind::Forward => write!(f, "{}:forward", self.name),
            _ => f.write_str(&self.name),
        }
    }
}

impl Graph {
    /// The services that are needed for `roots`, themselves included; all that start by themselves when `roots` is empty.
    ///
    /// A service comes with its further processes. What is only wired optionally is not needed, nor is who owns a
    /// database that is taken `from:` there; jobs are part of it only where they are named.
    #[must_use]
    pub fn closure(&self, roots: &BTreeSet<String>) -> BTreeSet<String> {
        let mut processes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for part in self.services.values().filter(|service| service.is_part() && service.role == Role::Service) {
            processes.entry(&part.owner).or_default().push(&part.name);
        }
        let starts = |service: &&Service| {
            service.start == Start::Automatic && matches!(service.role, Role::Service | Role::Task)
        };
        let mut open: Vec<&str> = match roots.is_empty() {
            true => self.services.values().filter(starts).map(|service| service.name.as_str()).collect(),
            false => roots.iter().map(String::as_str).collect(),
        };
        let mut reached = BTreeSet::new();
        while let Some(name) = open.pop() {
            let Some(service) = self.services.get(name) else { continue };
            if reached.insert(name.to_owned()) {
                let needed = service.dependencies.iter().filter(|edge| !edge.optional);
                open.extend(needed.map(|edge| edge.service.as_str()));
                open.extend(processes.get(name).into_iter().flatten());
            }
        }
        reached
    }

    /// The services that depend on `name`, directly or not.
    #[must_use]
    pub fn dependents(&self, name: &str) -> BTreeSet<String> {
        let mut callers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for service in self.services.values() {
            for edge in &service.dependencies {
                callers.entry(&edge.service).or_default().push(&service.name);
            }
        }
        let mut reached = BTreeSet::new();
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            for caller in callers.get(name).into_iter().flatten() {
                if reached.insert((*caller).to_owned()) {
                    open.push(caller);
                }
            }
        }
        reached
    }

    /// All units of these services, each with the units that its start waits for, and for what of them.
    ///
    /// A server, then its databases, then migration and seed of each, then the service that stores there; what runs a
    /// service's own programs waits for its setup, and for its image where `images` are built of Dockerfiles; a service
    /// also waits for the services that it depends on, but for edges that say `wait: none`.
    #[must_use]
    pub fn units(&self, services: &BTreeSet<String>, images: bool) -> Units {
        let mut units = Units::new();
        for service in services.iter().filter_map(|name| self.services.get(name)) {
            let mut waits = self.own_programs(service, images, &mut units);
            for edge in &service.dependencies {
                if edge.wait != Wait::None && services.contains(&edge.service) && self.runs(&edge.service) {
                    let wait = waits.entry(self.unit_of(&edge.service)).or_insert(edge.wait);
                    // Two edges to one service: the stricter counts, and it is the lesser.
                    *wait = edge.wait.min(*wait);
                }
            }
            for database in service.databases.iter().filter_map(|address| self.databases.get(address)) {
                waits.insert(self.stored(database, images, &mut units), Wait::Ready);
            }
            if self.runs(&service.name) {
                units.insert(self.unit_of(&service.name), waits);
            }
        }
        units
    }

    fn runs(&self, name: &str) -> bool {
        self.services.get(name).is_some_and(|service| service.role != Role::Base)
    }

    /// What a node is when it is made real.
    fn unit_of(&self, name: &str) -> Unit {
        let ends = self.services.get(name).is_some_and(|service| service.role != Role::Service);
        Unit::new(if ends { UnitKind::Task } else { UnitKind::Service }, name)
    }

    /// What any program of a service waits for: its dependencies are installed, its image is built.
    fn own_programs(&self, service: &Service, images: bool, units: &mut Units) -> BTreeMap<Unit, Wait> {
        let builds = images && matches!(service.image, Image::Dockerfile(_));
        let kinds = [(UnitKind::Setup, !service.setup.is_empty()), (UnitKind::Image, builds)];
        let mut before = BTreeMap::new();
        for (kind, _) in kinds.into_iter().filter(|(_, exists)| *exists) {
            let unit = Unit::new(kind, &service.owner);
            units.entry(unit.clone()).or_default();
            before.insert(unit, Wait::Ready);
        }
        before
    }

    /// The units of a logical database, and the last of them. Whoever uses it, its owner's programs fill it.
    fn stored(&self, database: &Database, images: bool, units: &mut Units) -> Unit {
        let server = Unit::new(UnitKind::Server, &database.server);
        let mut last = Unit::new(UnitKind::Database, &database.address);
        units.entry(server.clone()).or_default();
        units.insert(last.clone(), BTreeMap::from([(server, Wait::Ready)]));
        let Some(owner) = database.owner.as_ref().and_then(|owner| self.services.get(owner)) else { return last };
        let steps = [(UnitKind::Migration, database.migrate.is_some()), (UnitKind::Seed, database.seed.is_some())];
        for (kind, _) in steps.into_iter().filter(|(_, exists)| *exists) {
            let unit = Unit::new(kind, &database.address);
            let mut before = self.own_programs(owner, images, units);
            before.insert(last, Wait::Ready);
            units.insert(unit.clone(), before);
            last = unit;
        }
        last
    }
}
