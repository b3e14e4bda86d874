//! Changes that belong together: a service that is split, renamed or merged, and those that are wired otherwise for it.
//!
//! Who comes from whom is judged by the ids that git gives contents: at least half of the files of a new service were files of
//! the other one, and at least one of them is no longer there. Contents are not compared, so a file that was edited while
//! it moved is no evidence.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Cause, Change, ChangeKind, Node, NodeKind};
use crate::graph::{Graph, Service};
use crate::tree::Oid;

/// Services that came or went, and all that was changed for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refactoring {
    /// What became of what, where files show it.
    pub moves: Vec<Move>,
    /// All nodes that take part, in order.
    pub nodes: Vec<Node>,
}

/// Services that became others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    /// How.
    pub kind: MoveKind,
    /// Which there were.
    pub from: Vec<String>,
    /// Which there are.
    pub into: Vec<String>,
    /// How many files are with another service now, as they were.
    pub files: usize,
}

/// How services became others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MoveKind {
    /// One is another one now.
    Renamed,
    /// One is several now; it may be one of them.
    Split,
    /// Several are one now; it may have been one of them.
    Merged,
}

impl std::fmt::Display for Move {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (from, into) = (listed(&self.from), listed(&self.into));
        match (self.kind, self.from.as_slice()) {
            (MoveKind::Renamed, _) => write!(f, "{from} renamed to {into}"),
            (MoveKind::Split, _) => write!(f, "{from} split into {into}"),
            (MoveKind::Merged, _) => write!(f, "{from} merged into {into}"),
        }
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[String]) -> String {
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.join(""),
    }
}

/// The groups of changes around services that came or went.
pub(super) fn refactorings(before: &Graph, after: &Graph, changes: &BTreeMap<Node, Change>) -> Vec<Refactoring> {
    let of_kind = |kind: ChangeKind, graph: &Graph| -> BTreeSet<String> {
        let services = graph.services.values().filter(|service| !service.is_part());
        let is =
            |name: &str| changes.get(&Node::new(NodeKind::Service, name)).is_some_and(|change| change.kind == kind);
        services.map(|service| service.name.clone()).filter(|name| is(name)).collect()
    };
    let (added, removed) = (of_kind(ChangeKind::Added, after), of_kind(ChangeKind::Removed, before));
    if added.is_empty() && removed.is_empty() {
        return Vec::new();
    }
    let moves = moves(before, after, &added, &removed);
    let mut groups = Groups::default();
    for found in &moves {
        let mut names = found.from.iter().chain(&found.into);
        if let Some(first) = names.next() {
            names.for_each(|name| groups.join(first, name));
        }
    }
    for (node, change) in changes.iter().filter(|(_, change)| change.kind == ChangeKind::Rewired) {
        for cause in &change.own {
            let Cause::Edge(edge) = cause else { continue };
            for target in [&edge.before, &edge.after].into_iter().flatten() {
                let owner = if edge.to == NodeKind::Database { owner(target) } else { target };
                if added.contains(owner) || removed.contains(owner) {
                    groups.join(&node.name, owner);
                }
            }
        }
    }
    groups.all().into_iter().map(|names| refactoring(&names, &moves, changes, before, after)).collect()
}

/// A group with what lies in it: parts of its services, and databases of those that came or went.
fn refactoring(
    names: &BTreeSet<String>,
    moves: &[Move],
    changes: &BTreeMap<Node, Change>,
    before: &Graph,
    after: &Graph,
) -> Refactoring {
    let belongs = |node: &Node, change: &Change| match node.kind {
        NodeKind::Service => {
            let service = after.services.get(&node.name).or_else(|| before.services.get(&node.name));
            names.contains(&node.name) || service.is_some_and(|service| names.contains(&service.owner))
        }
        NodeKind::Database | NodeKind::Migration => {
            names.contains(owner(&node.name)) && matches!(change.kind, ChangeKind::Added | ChangeKind::Removed)
        }
        NodeKind::Server => false,
    };
    let of_it = |found: &&Move| found.from.iter().chain(&found.into).any(|name| names.contains(name));
    Refactoring {
        moves: moves.iter().filter(of_it).cloned().collect(),
        nodes: changes.iter().filter(|(node, change)| belongs(node, change)).map(|(node, _)| node.clone()).collect(),
    }
}

/// Whose a database is.
fn owner(address: &str) -> &str {
    address.split_once('/').map_or(address, |(owner, _)| owner)
}

/// The contents in a service's own folder. What it includes from elsewhere is nobody's.
fn contents(service: Option<&Service>) -> BTreeSet<Oid> {
    let folder = service.and_then(|service| service.sources.folder(&service.folder));
    let files = folder.iter().flat_map(|folder| folder.files()).map(|(_, file)| file.oid);
    // An empty one says nothing of where it comes from.
    files.filter(|oid| !oid.is_empty_file()).collect()
}

/// How many files went from one service to another: at least one that did not `stay`, where what both have is at least half
/// of the `whole`.
fn moved(old: &BTreeSet<Oid>, new: &BTreeSet<Oid>, stay: &BTreeSet<Oid>, whole: &BTreeSet<Oid>) -> Option<usize> {
    let shared = old.intersection(new).count();
    let moved = old.intersection(new).filter(|oid| !stay.contains(oid)).count();
    (moved > 0 && 2 * shared >= whole.len()).then_some(moved)
}

/// Who came from whom.
fn moves(before: &Graph, after: &Graph, added: &BTreeSet<String>, removed: &BTreeSet<String>) -> Vec<Move> {
    let is_changed = |name: &&String| {
        before.services.get(*name).map(|old| old.source) != after.services.get(*name).map(|new| new.source)
    };
    let own = |graph: &Graph| -> Vec<String> {
        let services = graph.services.values().filter(|service| !service.is_part());
        services.map(|service| service.name.clone()).filter(|name| is_changed(&name)).collect()
    };
    let (olds, news) = (own(before), own(after));
    let was: BTreeMap<&String, BTreeSet<Oid>> =
        olds.iter().map(|name| (name, contents(before.services.get(name)))).collect();
    let is: BTreeMap<&String, BTreeSet<Oid>> =
        news.iter().map(|name| (name, contents(after.services.get(name)))).collect();
    let nothing = BTreeSet::new();
    // What a new service took: enough of it is of the other, and something is no longer there.
    let taken = |from: &String, into: &String| {
        let (old, new) = (was.get(from)?, is.get(into)?);
        moved(old, new, is.get(from).unwrap_or(&nothing), new)
    };
    // What one that is gone gave to another: most of it, and something of that was not there before.
    let given = |from: &String, into: &String| {
        let (old, new) = (was.get(from)?, is.get(into)?);
        moved(old, new, was.get(into).unwrap_or(&nothing), old)
    };
    // The most files decide; of several, the first by name.
    let best = |found: Vec<(usize, &String)>| -> Option<(usize, String)> {
        let most = found.iter().map(|(files, _)| *files).max()?;
        found.into_iter().find(|(files, _)| *files == most).map(|(files, name)| (files, name.clone()))
    };
    let mut splits: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
    for name in added {
        let from = was.keys().filter(|from| **from != name);
        let found = from.filter_map(|from| taken(from, name).map(|files| (files, *from))).collect();
        if let Some((files, from)) = best(found) {
            splits.entry(from).or_default().push((files, name.clone()));
        }
    }
    let mut merges: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
    for name in removed {
        let into = is.keys().filter(|into| **into != name);
        let found = into.filter_map(|into| given(name, into).map(|files| (files, *into))).collect();
        if let Some((files, into)) = best(found) {
            merges.entry(into).or_default().push((files, name.clone()));
        }
    }
    let total = |found: &[(usize, String)]| found.iter().map(|(files, _)| files).sum();
    let names = |found: &[(usize, String)]| found.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>();
    let mut moves = Vec::new();
    for (into, found) in &merges {
        let is_new = added.contains(into);
        if is_new && found.len() == 1 {
            continue; // a name's change, or a split: told below
        }
        // It was one of them itself where it was there before and is named as what the others came to.
        moves.push(Move { kind: MoveKind::Merged, from: names(found), into: vec![into.clone()], files: total(found) });
    }
    for (from, found) in &splits {
        let is_gone = removed.contains(from);
        let found: Vec<(usize, String)> =
            found.iter().filter(|(_, name)| merges.get(name).is_none_or(|merged| merged.len() < 2)).cloned().collect();
        let mut into = names(&found);
        let kind = match (is_gone, into.len()) {
            (_, 0) => continue,
            (true, 1) => MoveKind::Renamed,
            (true, _) => MoveKind::Split,
            (false, _) => {
                into.insert(0, from.clone());
                MoveKind::Split
            }
        };
        moves.push(Move { kind, from: vec![from.clone()], into, files: total(&found) });
    }
    moves
}

/// Names that belong together.
#[derive(Default)]
struct Groups {
    above: BTreeMap<String, String>,
}

impl Groups {
    fn root(&self, name: &str) -> String {
        let mut name = name;
        while let Some(above) = self.above.get(name).filter(|above| *above != name) {
            name = above;
        }
        name.to_owned()
    }

    fn join(&mut self, one: &str, other: &str) {
        let (one, other) = (self.root(one), self.root(other));
        self.above.entry(one.clone()).or_insert_with(|| one.clone());
        self.above.insert(other, one);
    }

    fn all(&self) -> Vec<BTreeSet<String>> {
        let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for name in self.above.keys() {
            groups.entry(self.root(name)).or_default().insert(name.clone());
        }
        let mut groups: Vec<BTreeSet<String>> = groups.into_values().collect();
        groups.sort();
        groups
    }
}
