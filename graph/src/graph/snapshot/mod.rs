//! Graphs that were read before: what is known of a tree is kept by the tree's id, and what is known of one like it is
//! most of what there is to know.
//!
//! A snapshot holds only what follows from a tree's content, the cluster's name and the program's build, which its name all
//! says. So it is right wherever such a tree is, may be deleted at any time, and is shared by clones, work trees and
//! processes without a lock. Only what has no problem is kept.

mod interface;
mod layout;
mod restore;
mod update;

use std::path::Path;

use sha2::{Digest, Sha256};

use super::build::BuildError;
use super::{Graph, Key, Role, Service};
use crate::tree::{Cache, Oid, Tree, user_cache};
use layout::Snapshot;

/// How many snapshots are looked at for one that a tree is like.
const CANDIDATES: usize = 8;

/// Where snapshots are kept; nowhere by default.
#[derive(Debug, Clone, Default)]
pub struct Snapshots {
    cache: Option<Cache>,
}

/// What is known of a tree's graph.
pub struct Reading<'t> {
    tree: &'t Tree,
    cluster: &'t str,
    known: Known,
}

enum Known {
    Graph(Box<Graph>),
    Snapshot(Box<Snapshot>),
}

/// What a graph holds, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Its version.
    pub version: Key,
    /// How many services there are.
    pub services: usize,
    /// How many further processes.
    pub processes: usize,
    /// How many jobs.
    pub jobs: usize,
    /// How many logical databases.
    pub databases: usize,
}

impl Summary {
    /// Services, further processes and jobs.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.services + self.processes + self.jobs
    }

    fn count(&mut self, service: &Service) {
        *match (&service.role, service.is_part()) {
            (Role::Job { .. }, _) => &mut self.jobs,
            (_, true) => &mut self.processes,
            (_, false) => &mut self.services,
        } += 1;
    }

    fn of(graph: &Graph) -> Self {
        let mut summary =
            Self { version: graph.version, services: 0, processes: 0, jobs: 0, databases: graph.databases.len() };
        graph.services.values().for_each(|service| summary.count(service));
        summary
    }
}

impl Snapshots {
    /// Those that all programs of this user share.
    #[must_use]
    pub fn of_user() -> Self {
        Self::at(&user_cache().join("graphs"))
    }

    /// Snapshots in this folder, which is made when there is something to keep.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self { cache: Some(Cache::at(folder)) }
    }

    /// Reads and validates a repository, as [`Graph::build`] does, with as little work as it takes: none where there is a
    /// snapshot of the tree; else what differs from one of a tree like it.
    ///
    /// # Errors
    /// All problems of all files at once, or a failure of git or the file system.
    pub fn read<'t>(&self, tree: &'t Tree, cluster: &'t str) -> Result<Reading<'t>, BuildError> {
        let known = self.known(tree, cluster)?;
        Ok(Reading { tree, cluster, known })
    }

    /// The same, all of it.
    ///
    /// # Errors
    /// As those of [`Self::read`].
    pub fn graph(&self, tree: &Tree, cluster: &str) -> Result<Graph, BuildError> {
        self.read(tree, cluster)?.into_graph()
    }

    fn known(&self, tree: &Tree, cluster: &str) -> Result<Known, BuildError> {
        let Some(cache) = &self.cache else { return Ok(Known::Graph(Box::new(Graph::build(tree, cluster)?))) };
        let kind = kind(cluster);
        let name = format!("{kind}{}", tree.root().oid());
        // What is told of files that only lie on this disk holds for this disk.
        if tree.is_stored()
            && let Some(snapshot) = Snapshot::open(cache, &name)
        {
            return Ok(Known::Snapshot(Box::new(snapshot)));
        }
        let known = match Self::updated(cache, &kind, tree, cluster) {
            Some(snapshot) => Known::Snapshot(Box::new(snapshot)),
            None => Known::Graph(Box::new(Graph::build(tree, cluster)?)),
        };
        // A folder that could not be read seemed empty.
        tree.intact()?;
        if tree.is_stored() {
            match &known {
                Known::Snapshot(snapshot) => snapshot.keep(cache, &name),
                Known::Graph(graph) => {
                    if let Some(snapshot) = Snapshot::of(graph) {
                        snapshot.keep(cache, &name);
                    }
                }
            }
        }
        Ok(known)
    }

    /// What follows from a snapshot of a tree like this one.
    fn updated(cache: &Cache, kind: &str, tree: &Tree, cluster: &str) -> Option<Snapshot> {
        let names = cache.newest(kind);
        if names.is_empty() {
            return None;
        }
        let roots = names.iter().filter_map(|name| Oid::of_digits(name.strip_prefix(kind)?));
        let before = tree.first_of(roots.take(CANDIDATES))?;
        let snapshot = Snapshot::open(cache, &format!("{kind}{}", before.root().oid()))?;
        let updated = update::update(snapshot, &before, tree, cluster)?;
        // What could not be read of it seemed to be no change.
        before.intact().ok().map(|()| updated)
    }
}

impl Reading<'_> {
    /// What the graph holds, in numbers.
    #[must_use]
    pub fn summary(&self) -> Summary {
        match &self.known {
            Known::Graph(graph) => Summary::of(graph),
            Known::Snapshot(snapshot) => snapshot.summary(),
        }
    }

    /// All of the graph.
    ///
    /// # Errors
    /// A failure of git or the file system.
    pub fn into_graph(self) -> Result<Graph, BuildError> {
        match self.known {
            Known::Graph(graph) => Ok(*graph),
            Known::Snapshot(snapshot) => match snapshot.graph(self.tree, None)? {
                Some(graph) => Ok(graph),
                // It is damaged, and so what it says is not known.
                None => Graph::build(self.tree, self.cluster),
            },
        }
    }

    /// Both graphs, as far as they differ: services that are the same in both may be left out of both. That is all that
    /// [`Graph::diff`] looks at.
    ///
    /// # Errors
    /// A failure of git or the file system.
    pub fn differing(before: Self, after: Self) -> Result<(Graph, Graph), BuildError> {
        if let (Known::Snapshot(one), Known::Snapshot(other)) = (&before.known, &after.known) {
            let (olds, news) = one.differing(other);
            if let (Some(old), Some(new)) =
                (one.graph(before.tree, Some(&olds))?, other.graph(after.tree, Some(&news))?)
            {
                return Ok((old, new));
            }
        }
        Ok((before.into_graph()?, after.into_graph()?))
    }
}

/// What all snapshots of a cluster by this build are called, before the id of their trees.
fn kind(cluster: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(env!("CLUSTERGRAPH_BUILD"));
    hasher.update(cluster);
    format!("{}-", hex::encode(&hasher.finalize()[..8]))
}
