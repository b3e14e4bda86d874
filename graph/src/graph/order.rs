//! What waits for what.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Graph;
use crate::format::service::Wait;

/// Something that is made real by itself: the parts of which starting a cluster consists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Unit {
    /// What it is.
    pub kind: UnitKind,
    /// A server's name, a database's address or a service's name.
    pub name: String,
}

/// Units, each with what its start waits for.
pub type Units = BTreeMap<Unit, BTreeMap<Unit, Wait>>;

/// What a [`Unit`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitKind {
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
            Self::Setup => "setup",
            Self::Server => "server",
            Self::Database => "database",
            Self::Migration => "migration",
            Self::Seed => "seed",
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
            UnitKind::Setup => write!(f, "{}:setup", self.name),
            UnitKind::Migration => write!(f, "{}:migrate", self.name),
            UnitKind::Seed => write!(f, "{}:seed", self.name),
            UnitKind::Forward => write!(f, "{}:forward", self.name),
            _ => f.write_str(&self.name),
        }
    }
}

impl Graph {
    /// The services that are needed for `roots`, themselves included; everything when `roots` is empty.
    #[must_use]
    pub fn closure(&self, roots: &BTreeSet<String>) -> BTreeSet<String> {
        if roots.is_empty() {
            return self.services.keys().cloned().collect();
        }
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = roots.iter().map(String::as_str).collect();
        while let Some(name) = open.pop() {
            let Some(service) = self.services.get(name) else { continue };
            if reached.insert(name.to_owned()) {
                open.extend(service.dependencies.iter().map(|edge| edge.service.as_str()));
                open.extend(
                    service
                        .databases
                        .iter()
                        .filter_map(|address| self.databases.get(address))
                        .map(|db| db.owner.as_str()),
                );
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
    /// A server, then its databases, then migration and seed of each, then the service that stores there;
    /// what runs a service's own programs waits for its setup; a service also waits for the services that
    /// it depends on, but for edges that say `wait: none`.
    #[must_use]
    pub fn units(&self, services: &BTreeSet<String>) -> Units {
        let mut units = Units::new();
        for service in services.iter().filter_map(|name| self.services.get(name)) {
            let setup = (!service.setup.is_empty()).then(|| Unit::new(UnitKind::Setup, &service.name));
            units.extend(setup.clone().map(|setup| (setup, BTreeMap::new())));
            let own_programs: BTreeMap<Unit, Wait> = setup.map(|setup| (setup, Wait::Ready)).into_iter().collect();
            let mut waits = own_programs.clone();
            for edge in &service.dependencies {
                if edge.wait != Wait::None && services.contains(&edge.service) {
                    let wait = waits.entry(Unit::new(UnitKind::Service, &edge.service)).or_insert(edge.wait);
                    // Two edges to one service: the stricter counts, and `Ready` is less than `Started`.
                    *wait = edge.wait.min(*wait);
                }
            }
            for database in service.databases.iter().filter_map(|address| self.databases.get(address)) {
                let server = Unit::new(UnitKind::Server, database.server());
                let mut last = Unit::new(UnitKind::Database, &database.address);
                units.entry(server.clone()).or_default();
                units.insert(last.clone(), BTreeMap::from([(server, Wait::Ready)]));
                let steps =
                    [(UnitKind::Migration, database.migrate.is_some()), (UnitKind::Seed, database.seed.is_some())];
                for (kind, _) in steps.into_iter().filter(|(_, exists)| *exists) {
                    let unit = Unit::new(kind, &database.address);
                    let mut before = own_programs.clone();
                    before.insert(last, Wait::Ready);
                    units.insert(unit.clone(), before);
                    last = unit;
                }
                waits.insert(last, Wait::Ready);
            }
            units.insert(Unit::new(UnitKind::Service, &service.name), waits);
        }
        units
    }
}
