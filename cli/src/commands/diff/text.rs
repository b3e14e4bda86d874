//! A difference for a person: what was done together first, then node by node, each with its reasons.

use std::collections::BTreeSet;
use std::fmt::Write;

use anstyle::Style;
use clustergraph::diff::words::{field, reasons};
use clustergraph::diff::{ChangeKind, Diff, Node, NodeKind, Refactoring};
use clustergraph::graph::Graph;

use crate::commands::range::Range;
use crate::console::{BOLD, CYAN, DIM, GREEN, RED, YELLOW, paint};

/// All of it.
pub(super) fn text(sides: &Range, diff: &Diff) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}",
        paint(&format!("{} → {}", side(&sides.before, "HEAD"), side(&sides.after, "work tree")), DIM)
    );
    let grouped: BTreeSet<&Node> = diff.refactorings.iter().flat_map(|group| &group.nodes).collect();
    for group in &diff.refactorings {
        let _ = writeln!(text, "\n{}", paint(&heading(group, diff), BOLD));
        nodes(sides, diff, group.nodes.iter().collect(), &mut text);
    }
    let others: Vec<&Node> = diff.changes.keys().filter(|node| !grouped.contains(node)).collect();
    if !others.is_empty() {
        let heading =
            if grouped.is_empty() { counted(diff, &others) } else { format!("also {}", counted(diff, &others)) };
        let _ = writeln!(text, "\n{}", paint(&heading, BOLD));
        nodes(sides, diff, others, &mut text);
    }
    if !diff.operation.is_empty() {
        let _ = writeln!(text, "\n{} {}", paint("operation", BOLD), paint("(changes no id)", DIM));
        let width = diff.operation.keys().map(|node| node.to_string().len()).max().unwrap_or(0);
        for (node, fields) in &diff.operation {
            for (at, change) in fields.iter().enumerate() {
                let name = if at == 0 { node.to_string() } else { String::new() };
                let _ = writeln!(text, "  · {name:width$}  {}", field(change));
            }
        }
    }
    text
}

/// What a side is called: its commit or the work tree, and its version.
fn side(graph: &Graph, other: &str) -> String {
    let name = graph.commit.as_ref().and_then(|commit| commit.id.get(..10)).unwrap_or(other);
    format!("{name} (version {})", graph.version.short())
}

/// A group in one line: what became of what, else what came and went.
fn heading(group: &Refactoring, diff: &Diff) -> String {
    if group.moves.is_empty() {
        return counted(diff, &group.nodes.iter().collect::<Vec<_>>());
    }
    let moves = group.moves.iter().map(|found| {
        let files = if found.files == 1 { "1 file".to_owned() } else { format!("{} files", found.files) };
        format!("{found} ({files} moved)")
    });
    moves.collect::<Vec<_>>().join(", ")
}

/// `billing added, 2 changed`: who came and who went by name, the others by number.
fn counted(diff: &Diff, nodes: &[&Node]) -> String {
    let of_kind = |kind: ChangeKind| -> Vec<&&Node> {
        nodes.iter().filter(|node| diff.changes.get(**node).is_some_and(|change| change.kind == kind)).collect()
    };
    let kinds = [ChangeKind::Added, ChangeKind::Removed, ChangeKind::Rewired, ChangeKind::Changed];
    let words = kinds.into_iter().filter_map(|kind| {
        let found = of_kind(kind);
        match found.as_slice() {
            [] => None,
            [one] => Some(format!("{one} {}", kind.as_str())),
            several => Some(format!("{} {}", several.len(), kind.as_str())),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

fn nodes(sides: &Range, diff: &Diff, mut nodes: Vec<&Node>, text: &mut String) {
    let place = |node: &&Node| {
        let change = diff.changes.get(*node);
        // What was edited comes before what follows from it.
        let follows = change.is_some_and(|change| !change.is_root());
        (follows, change.map(|change| change.kind), (*node).clone())
    };
    nodes.sort_by_key(place);
    let width = nodes.iter().map(|node| node.to_string().len()).max().unwrap_or(0);
    for node in nodes {
        let Some(change) = diff.changes.get(node) else { continue };
        let (sign, style) = sign(change.kind);
        let mut lines = match change.kind {
            ChangeKind::Added => vec![about(&sides.after, node)],
            ChangeKind::Removed => vec![about(&sides.before, node)],
            kind => {
                let mut reasons = reasons(diff, node);
                if let Some(first) = reasons.first_mut().filter(|first| first.starts_with("because")) {
                    *first = format!("{} {first}", kind.as_str());
                }
                reasons
            }
        };
        if lines.is_empty() {
            lines.push(change.kind.as_str().to_owned());
        }
        for (at, line) in lines.iter().enumerate() {
            let name = if at == 0 { node.to_string() } else { String::new() };
            let mark = if at == 0 { sign } else { " " };
            let line = if at == 0 { line.clone() } else { format!("and {line}") };
            let _ = writeln!(text, "  {} {}  {line}", paint(mark, style), paint(&format!("{name:width$}"), style));
        }
    }
}

/// The sign and the colour of a kind of change, here and in trees.
pub(in crate::commands) fn sign(kind: ChangeKind) -> (&'static str, Style) {
    match kind {
        ChangeKind::Added => ("+", GREEN),
        ChangeKind::Removed => ("-", RED),
        ChangeKind::Rewired => ("±", CYAN),
        ChangeKind::Changed => ("~", YELLOW),
    }
}

/// What is said of a node that came or went.
fn about(graph: &Graph, node: &Node) -> String {
    let database = graph.databases.get(&node.name);
    match node.kind {
        NodeKind::Service => match graph.services.get(&node.name) {
            Some(service) => {
                let mut words = vec![format!(
                    "{} in {}",
                    service.stack.name,
                    if service.folder.is_empty() { "." } else { &service.folder }
                )];
                let calls: Vec<&str> = service.dependencies.iter().map(|edge| edge.service.as_str()).collect();
                if !calls.is_empty() {
                    words.push(format!("calls {}", calls.join(", ")));
                }
                if !service.databases.is_empty() {
                    words.push(format!("stores in {}", service.databases.join(", ")));
                }
                words.join("; ")
            }
            None => String::new(),
        },
        NodeKind::Database => {
            database.map(|database| format!("{} {}", database.kind, database.version)).unwrap_or_default()
        }
        NodeKind::Migration => {
            let migrate = database.and_then(|database| database.migrate.as_ref());
            migrate.map(|migrate| migrate.run.join(" ")).unwrap_or_default()
        }
        NodeKind::Server => "server".to_owned(),
    }
}
