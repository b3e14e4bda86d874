//! Which nodes differ, and why: by two graphs, or by what records hold. Pure.

use std::collections::BTreeMap;

use clustergraph::diff::{ChangeKind, words};
use clustergraph::graph::{Graph, Key};
use serde::Serialize;

use crate::store::record::Record;

/// A node as a record or a graph has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    id: Key,
    source: Key,
    behaviour: Key,
    replicas: u32,
    dependencies: Vec<String>,
    /// The hash over its objects, where they were rendered.
    objects: Option<String>,
}

/// What became of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Change {
    Added,
    Removed,
    Rewired,
    Changed,
    /// Only how it is operated.
    Operated,
}

impl Change {
    /// The word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Rewired => "rewired",
            Self::Changed => "changed",
            Self::Operated => "operated otherwise",
        }
    }
}

/// A node that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    pub(super) name: String,
    pub(super) change: Change,
    pub(super) reasons: Vec<String>,
}

impl Form {
    pub(super) fn of_record(record: &Record) -> BTreeMap<String, Self> {
        let form = |node: &crate::store::record::Node| Self {
            id: node.id,
            source: node.source,
            behaviour: node.behaviour,
            replicas: node.replicas,
            dependencies: node.dependencies.clone(),
            objects: Some(node.hash.clone()),
        };
        record.content.nodes.iter().map(|(name, node)| (name.clone(), form(node))).collect()
    }

    pub(super) fn of_graph(graph: &Graph) -> BTreeMap<String, Self> {
        let form = |service: &clustergraph::graph::Service| Self {
            id: service.id,
            source: service.source,
            behaviour: service.behaviour,
            replicas: service.scale.replicas,
            dependencies: service.dependencies.iter().map(|edge| edge.service.clone()).collect(),
            objects: None,
        };
        graph.services.values().map(|service| (service.name.clone(), form(service))).collect()
    }
}

/// What differs between two graphs, each node with its chains of reasons.
pub(super) fn graphs(before: &Graph, after: &Graph) -> Vec<Difference> {
    let diff = before.diff(after);
    let changes = diff.changes.iter().map(|(node, change)| {
        let kind = match change.kind {
            ChangeKind::Added => Change::Added,
            ChangeKind::Removed => Change::Removed,
            ChangeKind::Rewired => Change::Rewired,
            ChangeKind::Changed => Change::Changed,
        };
        (change.is_root(), Difference { name: node.to_string(), change: kind, reasons: words::reasons(&diff, node) })
    });
    let (roots, others): (Vec<_>, Vec<_>) = changes.partition(|(is_root, _)| *is_root);
    let operation = diff.operation.iter().map(|(node, fields)| Difference {
        name: node.to_string(),
        change: Change::Operated,
        reasons: fields.iter().map(words::field).collect(),
    });
    roots.into_iter().chain(others).map(|(_, difference)| difference).chain(operation).collect()
}

/// What differs between two versions of which only the records are there.
pub(super) fn forms(before: &BTreeMap<String, Form>, after: &BTreeMap<String, Form>) -> Vec<Difference> {
    let difference = |name: &String, change, reasons| Difference { name: name.clone(), change, reasons };
    let mut edited = Vec::new();
    let mut followed = Vec::new();
    let mut operated = Vec::new();
    for (name, new) in after {
        let Some(old) = before.get(name) else {
            edited.push(difference(name, Change::Added, Vec::new()));
            continue;
        };
        if old.id == new.id {
            operated.extend(operation(old, new).map(|reasons| difference(name, Change::Operated, reasons)));
            continue;
        }
        let mut reasons = Vec::new();
        if old.source != new.source {
            reasons.push("its sources changed".to_owned());
        }
        if old.behaviour != new.behaviour {
            reasons.push("its service.yaml changed".to_owned());
        }
        let changed =
            |called: &&String| before.get(*called).map(|form| form.id) != after.get(*called).map(|form| form.id);
        let through: Vec<&str> = new.dependencies.iter().filter(changed).map(String::as_str).collect();
        if !reasons.is_empty() {
            edited.push(difference(name, Change::Changed, reasons));
        } else if through.is_empty() {
            followed.push(difference(name, Change::Changed, vec!["what it stores in changed".to_owned()]));
        } else {
            followed.push(difference(name, Change::Changed, vec![format!("because {} changed", through.join(", "))]));
        }
    }
    let removed = before.keys().filter(|name| !after.contains_key(*name));
    edited.extend(removed.map(|name| difference(name, Change::Removed, Vec::new())));
    edited.into_iter().chain(followed).chain(operated).collect()
}

fn operation(old: &Form, new: &Form) -> Option<Vec<String>> {
    let mut reasons = Vec::new();
    if old.replicas != new.replicas {
        reasons.push(format!("replicas {} → {}", old.replicas, new.replicas));
    }
    if let (Some(old), Some(new)) = (&old.objects, &new.objects)
        && old != new
    {
        reasons.push("its objects differ (`--objects` shows how)".to_owned());
    }
    (!reasons.is_empty()).then_some(reasons)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn form(id: &str, source: &str, behaviour: &str, replicas: u32, calls: &[&str]) -> Form {
        let key = |text: &str| Key::of("test", &json!(text));
        Form {
            id: key(id),
            source: key(source),
            behaviour: key(behaviour),
            replicas,
            dependencies: calls.iter().map(|name| (*name).to_owned()).collect(),
            objects: Some(format!("{id}{source}{behaviour}")),
        }
    }

    #[test]
    fn records_tell_what_was_edited_what_followed_and_what_is_operated_otherwise() {
        let forms = |all: &[(&str, Form)]| all.iter().map(|(name, form)| ((*name).to_owned(), form.clone())).collect();
        let before: BTreeMap<String, Form> = forms(&[
            ("api", form("a1", "s1", "b1", 2, &[])),
            ("www", form("w1", "s1", "b1", 1, &["api"])),
            ("flags", form("f1", "s1", "b1", 1, &[])),
            ("old", form("o1", "s1", "b1", 1, &[])),
        ]);
        let mut after = before.clone();
        after.insert("api".to_owned(), form("a2", "s2", "b1", 2, &[]));
        after.insert("www".to_owned(), form("w2", "s1", "b1", 1, &["api"]));
        after.insert("flags".to_owned(), form("f1", "s1", "b1", 3, &[]));
        after.insert("new".to_owned(), form("n1", "s1", "b1", 1, &[]));
        after.remove("old");
        let told: Vec<String> = super::forms(&before, &after)
            .iter()
            .map(|it| format!("{} {}: {}", it.name, it.change.as_str(), it.reasons.join("; ")))
            .collect();
        assert_eq!(
            told,
            [
                "api changed: its sources changed",
                "new added: ",
                "old removed: ",
                "www changed: because api changed",
                "flags operated otherwise: replicas 1 → 3",
            ]
        );
        assert_eq!(super::forms(&before, &before), []);
    }
}
