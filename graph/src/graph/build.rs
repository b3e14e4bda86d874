//! From a tree to a validated graph, with every problem of every file at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cycles::cycles;
use super::identity::{give_ids, version_of};
use super::parallel;
use super::stores::Stores;
use super::{Graph, Key, Located};
use crate::catalogue::SharedCatalogue;
use crate::diagnostic::Problems;
use crate::format::lock::LockFile;
use crate::format::repository::RepositoryFile;
use crate::tree::{Tree, TreeError};
use crate::wiring::{Files, Scene};

/// Why there is no graph.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The files say something wrong. Show [`Problems::render`].
    #[error("{} in the repository's files", if .0.len() == 1 { "a problem".to_owned() } else { format!("{} problems", .0.len()) })]
    Problems(Problems),
    /// The files could not be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl Graph {
    /// Reads and validates a repository, with the overrides of `cluster` (`local` is a laptop's).
    ///
    /// # Errors
    /// All problems of all files at once, or a failure of git or the file system.
    pub fn build(tree: &Tree, cluster: &str) -> Result<Self, BuildError> {
        let mut builder = Builder::new(tree);
        // Without it nobody knows which folders are meant, and guesses would only be noise.
        let Some(repository) = builder.repository()? else { return Err(BuildError::Problems(builder.problems)) };
        builder.read_lock()?;
        let located = builder.located(&repository, cluster)?;
        tree.intact()?;
        builder.refuse_same_names(&located);
        for problem in cycles(&located) {
            builder.problems.add(problem);
        }
        let mut graph = builder.resolve(repository, &located);
        // A folder that could not be read seemed empty: what was made of it means nothing.
        tree.intact()?;
        if !builder.problems.is_empty() {
            return Err(BuildError::Problems(builder.problems));
        }
        give_ids(&mut graph.services, &|_| None);
        graph.version = version_of(graph.services.iter().map(|(name, service)| (name, service.id)));
        graph.commit = tree.commit().cloned();
        Ok(graph)
    }
}

impl RepositoryFile {
    /// Reads `clustergraph.yaml` alone: who only needs to know where a cluster is must not be stopped by a service.
    ///
    /// # Errors
    /// The problems of that file, or a failure of git or the file system.
    pub fn read(tree: &Tree) -> Result<Self, BuildError> {
        let mut builder = Builder::new(tree);
        match builder.repository()? {
            Some(file) if builder.problems.is_empty() => Ok(file),
            _ => Err(BuildError::Problems(builder.problems)),
        }
    }
}

/// What building knows on its way; its parts are in [`super::discover`], [`super::check`] and [`super::resolve`].
pub(super) struct Builder<'t> {
    pub(super) tree: &'t Tree,
    pub(super) catalogue: SharedCatalogue,
    pub(super) lock: Arc<LockFile>,
    pub(super) problems: Problems,
    /// Whether some service's name could not be read: then a name that nobody has may be that one's.
    pub(super) nameless: bool,
    /// Whether what the repository declares of stacks and kinds could not be read: then one that nobody knows may be
    /// that one.
    pub(super) catalogue_broken: bool,
    /// Whether the repository's own stores could not all be read.
    pub(super) stores_broken: bool,
}

impl<'t> Builder<'t> {
    pub(super) fn new(tree: &'t Tree) -> Self {
        let catalogue = SharedCatalogue::default();
        Self {
            tree,
            catalogue,
            lock: Arc::default(),
            problems: Problems::default(),
            nameless: false,
            catalogue_broken: false,
            stores_broken: false,
        }
    }

    /// One that knows the same, for another thread; its problems are its own.
    pub(super) fn another(&self) -> Self {
        Self {
            tree: self.tree,
            catalogue: self.catalogue.clone(),
            lock: Arc::clone(&self.lock),
            problems: Problems::default(),
            ..*self
        }
    }
}

impl Builder<'_> {
    fn resolve(&mut self, repository: RepositoryFile, located: &[Located]) -> Graph {
        let files: Files<'_> = located.iter().map(|service| (service.file.name.as_str(), &service.file)).collect();
        let folders = located.iter().map(|service| service.folder.clone()).collect();
        let catalogue = self.catalogue.clone();
        let scene = Scene { files: &files, stores: &repository.databases, catalogue: &catalogue };
        let mut stores = Stores::default();
        for (name, store) in &repository.databases {
            self.database(None, name, store, &BTreeMap::new(), &mut stores);
        }
        for service in located {
            self.check(&service.file, &scene);
            for used in &service.file.databases {
                if let Some(store) = used.own() {
                    self.database(Some(service), &used.alias, store, &used.params, &mut stores);
                }
            }
        }
        let built = parallel::chunks(located, |some| {
            let mut builder = self.another();
            let mut services = Vec::with_capacity(some.len());
            for located in some {
                if let Some(service) = builder.service(located, &folders, &scene, &stores.databases) {
                    let parts = builder.parts(located, &service, &scene, &stores.databases);
                    services.push((service.name.clone(), service));
                    services.extend(parts.into_iter().map(|part| (part.name.clone(), part)));
                }
            }
            (services, builder.problems)
        });
        let mut all = Vec::with_capacity(located.len());
        for (services, problems) in built {
            all.extend(services);
            self.problems.append(problems);
        }
        // Made of all at once it is packed: nodes that grow are half empty.
        let services = BTreeMap::from_iter(all);
        self.check_repository(&repository, &files, &stores.databases);
        let Stores { databases, servers } = stores;
        let lock = Arc::clone(&self.lock);
        Graph { repository, catalogue, lock, services, databases, servers, commit: None, version: Key::default() }
    }
}
