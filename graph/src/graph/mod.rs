//! The graph itself: services and logical databases, the edges between them, and what follows from them.

mod build;
mod canonical;
mod check;
mod cycles;
mod discover;
mod identity;
mod lock;
mod order;
pub(crate) mod parallel;
mod parts;
mod resolve;
mod schemas;
mod snapshot;
mod source;
mod stores;
mod suite;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalogue::{SharedCatalogue, Stack};
use crate::diagnostic::{Place, Places};
use crate::format::lock::LockFile;
use crate::format::repository::RepositoryFile;
use crate::format::service::{
    Build, Command, Dependency, Health, Mask, Migrate, Port, Public, Resources, Restart, Scale, Secret, Security,
    ServiceFile, Smoke, Start, Stop, TestSuite, Volume, Watch,
};
use crate::tree::{Commit, Directory, joined};
use crate::wiring;

pub use build::BuildError;
pub use canonical::SCHEME;
pub(crate) use discover::SERVICE_FILE;
pub use identity::Key;
pub(crate) use identity::{behaviour, source};
pub use lock::Pinnable;
pub use order::{Unit, UnitKind, Units};
pub use schemas::Schemas;
pub use snapshot::{Reading, Snapshots, Summary};

/// A validated cluster: every name resolves, every wait ends, every node has its identities.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The repository's settings.
    pub repository: RepositoryFile,
    /// What is known of stacks and kinds of databases: built in, and of this repository.
    pub catalogue: SharedCatalogue,
    /// What the repository pins.
    pub lock: Arc<LockFile>,
    /// Services, their further processes and their jobs, by name.
    pub services: BTreeMap<String, Service>,
    /// Logical databases, by address.
    pub databases: BTreeMap<String, Database>,
    /// Database servers, by name.
    pub servers: BTreeMap<String, DatabaseServer>,
    /// The commit it was read from; a work tree's otherwise.
    pub commit: Option<Commit>,
    /// The hash over all ids: which cluster this is.
    pub version: Key,
}

/// One service with all that was resolved for it. A further process or a job of a service.yaml is one, too: it has its
/// owner's sources, image, setup, environment, files, volumes, secrets, dependencies and databases, and no ports.
///
/// Written down by serde it lacks its stack and its sources: a snapshot knows both by name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Service {
    /// Its name; `OWNER.NAME` for a process or job.
    pub name: String,
    /// The `name:` of its service.yaml.
    pub owner: String,
    /// What it is there for.
    pub role: Role,
    /// Its folder, relative to the repository's root; empty for the root.
    pub folder: String,
    /// Where it is declared.
    pub place: Place,
    /// Its stack, built in or declared.
    #[serde(skip)]
    pub stack: Arc<Stack>,
    /// Services that it calls.
    pub dependencies: Vec<Dependency>,
    /// Addresses of the logical databases that it uses, its own and others', in the order written.
    pub databases: Vec<String>,
    /// Ports that it listens on.
    pub ports: Vec<Port>,
    /// How its health is asked; a probe of its primary port otherwise.
    pub health: Option<Health>,
    /// What it runs, as its service.yaml says; see [`Service::run_here`].
    pub run: Option<Command>,
    /// What a container of it is made from.
    pub image: Image,
    /// How its dependencies are installed; empty when there is nothing to install.
    pub setup: Vec<Command>,
    /// The hash of the lock files that decide what `setup` installs.
    pub setup_key: Key,
    /// Whether and where it is an entry.
    pub public: Option<Public>,
    /// Names that a process takes from the developer's shell.
    pub passthrough: Vec<String>,
    /// Values that are nowhere in the repository; each is a variable, too.
    pub secrets: Vec<Secret>,
    /// Files that are put into its container, by their absolute paths there.
    pub files: BTreeMap<String, File>,
    /// Folders that outlive its instances, by name.
    pub volumes: BTreeMap<String, Volume>,
    /// When it is started.
    pub start: Start,
    /// Whether there must never be two of it at once.
    pub singleton: bool,
    /// Whether an overlay may use the base's instances.
    pub borrow: bool,
    /// Places outside the cluster that it calls, as `host:port`.
    pub egress: Vec<String>,
    /// What it may do on a cluster.
    pub security: Security,
    /// What happens when it ends by itself.
    pub restart: Restart,
    /// Instances on a cluster.
    pub scale: Scale,
    /// What an instance asks for and may take.
    pub resources: Resources,
    /// What a change of its sources means to it.
    pub watch: Watch,
    /// How it is stopped.
    pub stop: Stop,
    /// Its tests.
    pub test: Option<TestSuite>,
    /// The question that a running cluster is asked.
    pub smoke: Option<Smoke>,
    /// Labels for people and tools.
    pub labels: BTreeMap<String, String>,
    /// Sources outside its folder, relative to the repository's root.
    pub include: Vec<String>,
    /// Patterns (as in `.gitignore`) of files that are no sources.
    pub ignore: Vec<String>,
    /// Where each field of its service.yaml was written.
    pub places: Arc<Places>,
    /// Where each variable of its `env:` was written; what is wired has no line of its own.
    pub env_places: Arc<BTreeMap<String, Place>>,
    /// Its environment with holes; see [`crate::wiring`].
    pub env: BTreeMap<String, crate::wiring::Value>,
    /// The files that a build reads, in repository layout, and nothing else.
    #[serde(skip)]
    pub sources: Arc<Directory>,
    /// Which image.
    pub source: Key,
    /// What a running instance can observe, without its sources and what it depends on.
    pub behaviour: Key,
    /// Which version.
    pub id: Key,
}

/// What a node is there for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// It runs.
    Service,
    /// Its further processes and jobs run; nothing of it runs by itself.
    Base,
    /// It runs once and must end with 0.
    Task,
    /// It runs now and then, and is never part of what is started.
    Job {
        /// When, as cron writes it.
        schedule: String,
    },
}

/// A file that is put into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Where it lies in the repository.
    pub path: String,
    /// What it holds, with holes.
    pub content: wiring::Value,
    /// Where it was asked for.
    pub place: Place,
}

/// What a service's container is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Image {
    /// A ready image.
    Ready(String),
    /// A Dockerfile of the service's own; its path is below the service's folder.
    Dockerfile(Build),
    /// The stack's recipe, filled in.
    Recipe(String),
}

/// A logical database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// `OWNER/ALIAS`, or the name of a store of `clustergraph.yaml`: by this, never by an id, its data is found again.
    pub address: String,
    /// The owning service's name; none for a store of `clustergraph.yaml`.
    pub owner: Option<String>,
    /// The owner's name for it.
    pub alias: String,
    /// The kind's name in the catalogue.
    pub kind: String,
    /// The server's version.
    pub version: String,
    /// The name of the server that holds it.
    pub server: String,
    /// The hash of its server's settings and image where it has one of its own; the name of a shared one says them.
    pub server_key: Option<Key>,
    /// Its name inside the server, and its user's.
    pub name: String,
    /// The query part of its URL.
    pub params: BTreeMap<String, String>,
    /// Topics that are made in it.
    pub topics: Vec<String>,
    /// Extensions that are put into it.
    pub extensions: Vec<String>,
    /// How its schema is brought up to date.
    pub migrate: Option<Migrate>,
    /// The hash of the migration's command and schema: it runs again when this differs.
    pub migration: Option<Key>,
    /// The schemas that its owner's code runs on, where the files of its migration are numbered.
    pub schemas: Option<Schemas>,
    /// How first data is put in.
    pub seed: Option<Command>,
    /// What is done to a copy of it before anybody sees that.
    pub mask: Option<Mask>,
    /// Where it is declared.
    pub place: Place,
}

/// A database server: one for each kind, version, settings and image, unless a database wants one of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseServer {
    /// `KIND-VERSION`, with a hash of settings and image where there are some, or the owner of a dedicated one.
    pub name: String,
    /// The kind's name in the catalogue.
    pub kind: String,
    /// Its version.
    pub version: String,
    /// What it is set to.
    pub settings: BTreeMap<String, String>,
    /// Its image instead of the catalogue's.
    pub image: Option<String>,
}

impl Graph {
    /// The further processes and jobs of a service.
    pub fn parts(&self, owner: &str) -> impl Iterator<Item = &Service> {
        // Names of services hold no dot: what begins so is its own.
        let first = format!("{owner}.");
        let from = self.services.range::<str, _>((Bound::Excluded(first.as_str()), Bound::Unbounded));
        from.map(|(_, service)| service).take_while(move |service| service.name.starts_with(&first))
    }

    /// A service's environment where only `running` run: what is made of an optional dependency that does not run is
    /// left out.
    #[must_use]
    pub fn environment<'s>(
        &self,
        service: &'s Service,
        running: &BTreeSet<String>,
    ) -> BTreeMap<&'s str, &'s wiring::Value> {
        let absent: BTreeSet<&str> = service
            .dependencies
            .iter()
            .map(|edge| edge.service.as_str())
            .filter(|name| !running.contains(*name))
            .filter(|name| service.dependencies.iter().all(|edge| edge.optional || edge.service != *name))
            .collect();
        let is_there =
            |value: &wiring::Value| value.holes().filter_map(wiring::Hole::service).all(|name| !absent.contains(name));
        service.env.iter().filter(|(_, value)| is_there(value)).map(|(name, value)| (name.as_str(), value)).collect()
    }
}

impl Service {
    /// The port meant when none is named.
    #[must_use]
    pub fn primary_port(&self) -> Option<&Port> {
        Port::primary(&self.ports)
    }

    /// What it runs where it is developed: its own command, else its stack's. Nothing where its image brings a command.
    #[must_use]
    pub fn run_here(&self) -> Option<&Command> {
        let stack = self.stack.run.as_ref().filter(|_| !matches!(self.image, Image::Ready(_)));
        self.run.as_ref().or(stack)
    }

    /// Whether it is a further process or a job of another service's file.
    #[must_use]
    pub fn is_part(&self) -> bool {
        self.name != self.owner
    }

    /// What tells where it is, by the variables that another service would have that depends on it under its own name. Its
    /// checks (tests, and its smoke check) have them beside its own environment.
    #[must_use]
    pub fn own_address(&self) -> BTreeMap<String, wiring::Value> {
        wiring::address(&self.name, &self.ports, &self.place)
    }

    /// The files that a build of its Dockerfile sees, as the build sees them.
    #[must_use]
    pub fn build_root(&self) -> Arc<Directory> {
        match &self.image {
            Image::Dockerfile(Build { context: Some(context), .. }) => {
                self.sources.folder(context).unwrap_or_else(|| Arc::clone(&self.sources))
            }
            _ => Arc::clone(&self.sources),
        }
    }

    /// Where its Dockerfile lies among these files; nowhere where it has none of its own.
    #[must_use]
    pub fn dockerfile(&self) -> Option<String> {
        match &self.image {
            Image::Dockerfile(build) if build.context.is_some() || self.folder.is_empty() => {
                Some(build.dockerfile.clone())
            }
            Image::Dockerfile(build) => Some(format!("{}/{}", self.folder, build.dockerfile)),
            Image::Ready(_) | Image::Recipe(_) => None,
        }
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

impl Located {
    /// A path below its folder, as one of the repository.
    pub(crate) fn full(&self, path: &str) -> String {
        joined(&self.folder, path)
    }
}
