//! The graph itself: services and logical databases, the edges between them, and what follows from them.

mod build;
mod canonical;
mod check;
mod cycles;
mod discover;
mod identity;
mod order;
mod resolve;
mod source;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalogue::Stack;
use crate::diagnostic::Place;
use crate::format::repository::RepositoryFile;
use crate::format::service::{Build, Command, Dependency, Health, Migrate, Port, Public, ServiceFile, Stop};
use crate::tree::{Commit, Directory};

pub use build::BuildError;
pub use identity::Key;
pub use order::{Unit, UnitKind, Units};

/// A validated cluster: every name resolves, every wait ends, every node has its identities.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The repository's settings.
    pub repository: RepositoryFile,
    /// Services, by name.
    pub services: BTreeMap<String, Service>,
    /// Logical databases, by address (`OWNER/ALIAS`).
    pub databases: BTreeMap<String, Database>,
    /// The commit it was read from; a work tree's otherwise.
    pub commit: Option<Commit>,
    /// The hash over all ids: which cluster this is.
    pub version: Key,
}

/// One service with all that was resolved for it.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its folder, relative to the repository's root; empty for the root.
    pub folder: String,
    /// Where it is declared.
    pub place: Place,
    /// Its stack, built in or declared.
    pub stack: Stack,
    /// Services that it calls.
    pub dependencies: Vec<Dependency>,
    /// Addresses of the logical databases that it stores in, in the order written.
    pub databases: Vec<String>,
    /// Ports that it listens on.
    pub ports: Vec<Port>,
    /// How its health is asked; a probe of its primary port otherwise.
    pub health: Option<Health>,
    /// What it runs; nothing when a ready image brings its own command.
    pub run: Option<Command>,
    /// What a container of it is made from.
    pub image: Image,
    /// How its dependencies are installed; empty when there is nothing to install.
    pub setup: Vec<Command>,
    /// The hash of the lock files that decide what `setup` installs.
    pub setup_key: Key,
    /// Whether and where it is an entry.
    pub public: Option<Public>,
    /// Instances on a cluster.
    pub replicas: u32,
    /// How it is stopped.
    pub stop: Stop,
    /// Labels for people and tools.
    pub labels: BTreeMap<String, String>,
    /// Its environment with holes; see [`crate::wiring`].
    pub env: BTreeMap<String, crate::wiring::Value>,
    /// The files that a build reads, in repository layout, and nothing else.
    pub sources: Arc<Directory>,
    /// Which image.
    pub source: Key,
    /// What a running instance can observe, without its sources and what it depends on.
    pub behaviour: Key,
    /// Which version.
    pub id: Key,
}

/// What a service's container is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// A ready image.
    Ready(String),
    /// A Dockerfile of the service's own; its path is below the service's folder.
    Dockerfile(Build),
    /// The stack's recipe, filled in.
    Recipe(String),
}

/// A logical database.
#[derive(Debug, Clone)]
pub struct Database {
    /// `OWNER/ALIAS`: by this, never by an id, its data is found again.
    pub address: String,
    /// The owning service's name.
    pub owner: String,
    /// The owner's name for it.
    pub alias: String,
    /// The kind's name in the catalogue.
    pub kind: String,
    /// The server's version.
    pub version: String,
    /// Its name inside the server, and its user's.
    pub name: String,
    /// The query part of its URL.
    pub params: BTreeMap<String, String>,
    /// How its schema is brought up to date.
    pub migrate: Option<Migrate>,
    /// The hash of the migration's command and schema: it runs again when this differs.
    pub migration: Option<Key>,
    /// How first data is put in.
    pub seed: Option<Command>,
    /// Where it is declared.
    pub place: Place,
}

impl Database {
    /// The server that holds it: one for each kind and version.
    #[must_use]
    pub fn server(&self) -> String {
        format!("{}-{}", self.kind, self.version)
    }
}

impl Service {
    /// The port meant when none is named.
    #[must_use]
    pub fn primary_port(&self) -> Option<&Port> {
        Port::primary(&self.ports)
    }

    /// The name of its workload of this version: `order-3f9c2a81d0`.
    #[must_use]
    pub fn versioned_name(&self) -> String {
        format!("{}-{}", self.name, self.id.short())
    }
}

/// A service.yaml with the folder it lies in.
pub(crate) struct Located {
    pub(crate) folder: String,
    pub(crate) file: ServiceFile,
}
