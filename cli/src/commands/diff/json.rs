//! A difference as a program reads it.

use clustergraph::diff::{Diff, Node, words};
use clustergraph::graph::Graph;
use serde_json::{Value, json};

use crate::commands::range::Range;

/// All of it.
pub(super) fn json(sides: &Range, diff: &Diff) -> Value {
    let operation: Vec<Value> = diff
        .operation
        .iter()
        .map(|(node, fields)| json!({ "kind": node.kind, "name": node.name, "fields": fields }))
        .collect();
    let refactorings: Vec<Value> = diff
        .refactorings
        .iter()
        .map(|group| {
            let moves: Vec<String> = group.moves.iter().map(ToString::to_string).collect();
            json!({ "summary": moves.join(", "), "moves": group.moves, "nodes": group.nodes })
        })
        .collect();
    json!({
        "schema": "ssi.diff/1", "before": side(&sides.before), "after": side(&sides.after),
        "nodes": nodes(diff, diff.changes.keys()), "operation": operation, "refactorings": refactorings,
    })
}

fn side(graph: &Graph) -> Value {
    json!({ "commit": graph.commit.as_ref().map(|commit| &commit.id), "version": graph.version })
}

/// Nodes with their causes: `own` and `through` hold all of it, `chains` the shortest ways to the nearest roots, `reasons`
/// the same in words.
pub(in crate::commands) fn nodes<'n>(diff: &Diff, nodes: impl Iterator<Item = &'n Node>) -> Vec<Value> {
    nodes
        .filter_map(|node| diff.changes.get(node).map(|change| (node, change)))
        .map(|(node, change)| {
            json!({
                "kind": node.kind, "name": node.name, "change": change.kind, "before": change.before, "after": change.after,
                "own": change.own, "through": change.through, "chains": diff.chains(node), "reasons": words::reasons(diff, node),
            })
        })
        .collect()
}
