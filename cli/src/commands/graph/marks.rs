//! What became of each node since the graph that is compared with: the words and colours of all pictures.

use std::collections::BTreeMap;

use anstyle::Style;
use clustergraph::diff::{ChangeKind, Diff, NodeKind};

use crate::console::{CYAN, GREEN, RED, YELLOW};

/// What became of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mark {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It calls others, or stores elsewhere.
    Rewired,
    /// It was edited itself.
    Changed,
    /// It differs because of what it needs.
    Reached,
}

/// The marks of all nodes that differ; none where nothing is compared.
#[derive(Default)]
pub(super) struct Marks {
    services: BTreeMap<String, Mark>,
    databases: BTreeMap<String, Mark>,
}

impl Marks {
    pub(super) fn of(diff: &Diff) -> Self {
        let mut marks = Self::default();
        for (node, change) in &diff.changes {
            let mark = match change.kind {
                ChangeKind::Added => Mark::Added,
                ChangeKind::Removed => Mark::Removed,
                ChangeKind::Rewired => Mark::Rewired,
                ChangeKind::Changed if change.is_root() => Mark::Changed,
                ChangeKind::Changed => Mark::Reached,
            };
            match node.kind {
                NodeKind::Service => drop(marks.services.insert(node.name.clone(), mark)),
                NodeKind::Database => drop(marks.databases.insert(node.name.clone(), mark)),
                // Databases come before their migrations. Whatever became of a migration, its database is what changed.
                NodeKind::Migration => drop(marks.databases.entry(node.name.clone()).or_insert(Mark::Changed)),
                NodeKind::Server => {}
            }
        }
        marks
    }

    pub(super) fn service(&self, name: &str) -> Option<Mark> {
        self.services.get(name).copied()
    }

    pub(super) fn database(&self, address: &str) -> Option<Mark> {
        self.databases.get(address).copied()
    }

    /// Names of services and addresses of databases that are gone.
    pub(super) fn removed(&self) -> [Vec<&str>; 2] {
        [&self.services, &self.databases].map(|marks| {
            marks.iter().filter(|(_, mark)| **mark == Mark::Removed).map(|(name, _)| name.as_str()).collect()
        })
    }
}

impl Mark {
    /// The word, as classes of pictures have it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Rewired => "rewired",
            Self::Changed => "changed",
            Self::Reached => "reached",
        }
    }

    /// What stands before its name: nobody needs to tell colours apart.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Added => "+",
            Self::Removed => "-",
            Self::Rewired => "±",
            Self::Changed => "~",
            Self::Reached => "·",
        }
    }

    /// On a terminal.
    pub(super) fn style(self) -> Style {
        match self {
            Self::Added => GREEN,
            Self::Removed => RED,
            Self::Rewired => CYAN,
            Self::Changed => YELLOW.bold(),
            Self::Reached => YELLOW,
        }
    }

    /// On a light page: of lines, and of the ground.
    pub(super) fn colours(self) -> [&'static str; 2] {
        match self {
            Self::Added => ["#15803d", "#dcfce7"],
            Self::Removed => ["#b91c1c", "#fee2e2"],
            Self::Rewired => ["#0e7490", "#cffafe"],
            Self::Changed => ["#b45309", "#fef3c7"],
            Self::Reached => ["#d6a35c", "#fffbeb"],
        }
    }

    /// On a dark page.
    pub(super) fn dark_colours(self) -> [&'static str; 2] {
        match self {
            Self::Added => ["#4ade80", "#12301d"],
            Self::Removed => ["#f87171", "#351a1c"],
            Self::Rewired => ["#22d3ee", "#0f2f38"],
            Self::Changed => ["#fbbf24", "#352a10"],
            Self::Reached => ["#8f7434", "#23201a"],
        }
    }

    /// All of them, for legends and styles.
    pub(super) const ALL: [Self; 5] = [Self::Added, Self::Removed, Self::Rewired, Self::Changed, Self::Reached];
}
