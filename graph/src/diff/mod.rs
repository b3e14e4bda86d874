//! What lies between two graphs: which nodes differ, and for each the chain of reasons down to what was edited.
//!
//! Pure: two graphs in, a value out. A service is reported as changed exactly when its id differs; databases, migrations and
//! servers have no id of their own and are compared by what services see of them. What changes no id (replicas, labels,
//! health) is reported apart.

mod chains;
mod databases;
mod fields;
mod files;
mod operation;
mod refactoring;
mod services;
mod touched;
pub mod words;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::diagnostic::Place;
use crate::graph::{Graph, Key};

pub use files::{FileChange, FileChangeKind, FilesChange};
pub use refactoring::{Move, MoveKind, Refactoring};
pub use touched::Touched;

/// What lies between two graphs.
#[derive(Debug, Clone)]
pub struct Diff {
    /// The version of the graph before.
    pub before: Key,
    /// The version of the graph after.
    pub after: Key,
    /// What became of each node that differs.
    pub changes: BTreeMap<Node, Change>,
    /// What differs of how nodes are operated: it is changed in place, and no id covers it.
    pub operation: BTreeMap<Node, Vec<FieldChange>>,
    /// Changes that belong together: services that came or went, with those that were rewired to them or from them.
    pub refactorings: Vec<Refactoring>,
    /// For each node the nearest roots of its change.
    ways: chains::Ways,
}

/// A node of either graph.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// A service's name, a database's address (of a migration, too) or a server's name.
    pub name: String,
}

/// What a [`Node`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// A service, a further process or a job.
    Service,
    /// A logical database.
    Database,
    /// What brings a logical database's schema up to date.
    Migration,
    /// A database server.
    Server,
}

/// What became of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// In one word.
    pub kind: ChangeKind,
    /// Its id before; only services have one.
    pub before: Option<Key>,
    /// Its id after.
    pub after: Option<Key>,
    /// What was edited of the node itself.
    pub own: Vec<Cause>,
    /// Nodes that it is made of or depends on, and that differ.
    pub through: Vec<Node>,
}

/// What became of a node, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It is only in the graph after.
    Added,
    /// It is only in the graph before.
    Removed,
    /// It calls other services, or stores elsewhere.
    Rewired,
    /// It differs in any other way.
    Changed,
}

/// Something that was edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all = "lowercase")]
pub enum Cause {
    /// Files that it is made of.
    Files(FilesChange),
    /// A field of its service.yaml, or what the catalogue says in its place.
    Field(FieldChange),
    /// Whom it calls, or where it stores.
    Edge(EdgeChange),
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// Its name, with the names above it: `env.LOG_LEVEL`.
    pub field: String,
    /// What it was; nothing where there was none, or where it is no short text.
    pub before: Option<String>,
    /// What it is.
    pub after: Option<String>,
    /// Where it is written now.
    pub place: Option<Place>,
}

/// An edge that leads elsewhere, is new or is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EdgeChange {
    /// What the edge leads to.
    pub to: NodeKind,
    /// The name of the edge: a dependency's alias, a database's address.
    pub edge: String,
    /// Where it led.
    pub before: Option<String>,
    /// Where it leads.
    pub after: Option<String>,
    /// Where it is written now.
    pub place: Option<Place>,
}

impl Node {
    /// A node by kind and name.
    pub fn new(kind: NodeKind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        f.write_str(if self.kind == NodeKind::Migration { ":migrate" } else { "" })
    }
}

impl ChangeKind {
    /// The word for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Rewired => "rewired",
            Self::Changed => "changed",
        }
    }

    /// Of a node that is in both graphs.
    fn of_causes(own: &[Cause]) -> Self {
        let is_rewired = own.iter().any(|cause| matches!(cause, Cause::Edge(_)));
        if is_rewired { Self::Rewired } else { Self::Changed }
    }

    fn of_presence(is_before: bool) -> Self {
        if is_before { Self::Removed } else { Self::Added }
    }
}

impl Change {
    /// Whether the chain of reasons ends here: it was edited itself, is new or is gone.
    #[must_use]
    pub fn is_root(&self) -> bool {
        !self.own.is_empty() || matches!(self.kind, ChangeKind::Added | ChangeKind::Removed)
    }

    /// A node that is only in one of the graphs.
    fn only(is_before: bool, id: Option<Key>) -> Self {
        let (before, after) = if is_before { (id, None) } else { (None, id) };
        Self { kind: ChangeKind::of_presence(is_before), before, after, own: Vec::new(), through: Vec::new() }
    }

    /// A node that is in both.
    fn of(own: Vec<Cause>, through: Vec<Node>) -> Self {
        Self { kind: ChangeKind::of_causes(&own), before: None, after: None, own, through }
    }
}

impl Graph {
    /// What lies between this graph and a later one.
    ///
    /// Sources are compared by their trees' ids first: what did not change is not walked.
    #[must_use]
    pub fn diff(&self, after: &Self) -> Diff {
        let mut changes = databases::changes(self, after);
        services::changes(self, after, &mut changes);
        let refactorings = refactoring::refactorings(self, after, &changes);
        let ways = chains::Ways::of(&changes);
        let operation = operation::changes(self, after);
        Diff { before: self.version, after: after.version, changes, operation, refactorings, ways }
    }
}

impl Diff {
    /// Whether no node differs. What is operated otherwise may still differ.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Why a node changed: shortest chains from it to roots, the nearest roots first, and at most [`Self::MOST_CHAINS`].
    /// A node that was edited itself begins with a chain of its own.
    #[must_use]
    pub fn chains(&self, node: &Node) -> Vec<Vec<&Node>> {
        self.ways.chains(node)
    }

    /// How many chains are told apart for one node.
    pub const MOST_CHAINS: usize = chains::MOST;
}
