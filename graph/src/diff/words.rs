//! What differs and why, in sentences.

use super::{Cause, Change, ChangeKind, Diff, EdgeChange, FieldChange, FileChangeKind, FilesChange, Node, NodeKind};
use crate::diagnostic::Place;

/// Causes, and files of one cause, that are named; the others are counted.
const NAMED: usize = 3;
/// A value is shown up to this many characters.
const LONGEST: usize = 60;

/// Why a node differs: one sentence for each of its nearest roots. The first of a node that was edited itself says what was
/// edited; nothing is said of one that is only new or gone.
#[must_use]
pub fn reasons(diff: &Diff, node: &Node) -> Vec<String> {
    let chains = diff.chains(node);
    let several = chains.len();
    let mut sentences: Vec<String> = chains.iter().filter_map(|chain| reason(diff, chain)).collect();
    if several == Diff::MOST_CHAINS {
        // There may be more: who counts them follows the chains of the others.
        sentences.pop();
        sentences.push("because of others".to_owned());
    }
    sentences
}

/// One chain, from what the node itself has to say on.
fn reason(diff: &Diff, chain: &[&Node]) -> Option<String> {
    let (first, rest) = chain.split_first()?;
    let change = diff.changes.get(*first)?;
    if rest.is_empty() {
        return match change.kind {
            ChangeKind::Added | ChangeKind::Removed => None,
            ChangeKind::Rewired => Some(causes(&change.own)),
            ChangeKind::Changed => Some(format!("because {}", causes(&change.own))),
        };
    }
    let mut words: Vec<String> = Vec::new();
    for (at, node) in rest.iter().enumerate() {
        let change = diff.changes.get(*node)?;
        words.push(if at + 1 == rest.len() { root(node, change) } else { format!("{node} changed") });
    }
    Some(format!("because {}", words.join(" because ")))
}

/// A chain's end.
fn root(node: &Node, change: &Change) -> String {
    match change.kind {
        ChangeKind::Added => format!("{node} was added"),
        ChangeKind::Removed => format!("{node} was removed"),
        ChangeKind::Rewired => format!("{node} was rewired: {}", causes(&change.own)),
        ChangeKind::Changed => format!("{node} changed because {}", causes(&change.own)),
    }
}

/// What was edited, the first few things of it. Edges come first: they say what the edit was for.
fn causes(own: &[Cause]) -> String {
    let (edges, others): (Vec<_>, Vec<_>) = own.iter().partition(|cause| matches!(cause, Cause::Edge(_)));
    let words: Vec<String> = edges.into_iter().chain(others).map(cause).collect();
    first_of(words, own.len())
}

fn first_of(mut words: Vec<String>, count: usize) -> String {
    words.truncate(NAMED);
    if count > words.len() {
        words.push(format!("{} more", count - words.len()));
    }
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.join(""),
    }
}

fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Files(files) => self::files(files),
        Cause::Field(field) => self::field(field),
        Cause::Edge(edge) => self::edge(edge),
    }
}

fn files(files: &FilesChange) -> String {
    let word = |kind: FileChangeKind| if kind == FileChangeKind::Modified { "" } else { kind.as_str() };
    let named = files.named.iter().map(|file| format!("{} {}", file.path, word(file.kind)).trim_end().to_owned());
    first_of(named.collect(), files.count)
}

/// A field with what it was and is, and the line where it is written.
#[must_use]
pub fn field(field: &FieldChange) -> String {
    let name = &field.field;
    let words = match (&field.before, &field.after) {
        (Some(before), Some(after)) => format!("{name} {} → {}", short(before), short(after)),
        (None, Some(after)) => format!("{name} {} added", short(after)),
        (Some(_), None) => format!("{name} removed"),
        (None, None) => name.clone(),
    };
    format!("{words}{}", at(field.place.as_ref()))
}

/// An edge as what the node does now.
fn edge(edge: &EdgeChange) -> String {
    let verbs = if edge.to == NodeKind::Service { ("calls", "call") } else { ("stores in", "store in") };
    let words = match (&edge.before, &edge.after) {
        (Some(before), Some(after)) => format!("{} {after} instead of {before}", verbs.0),
        (None, Some(after)) => format!("{} {after}", verbs.0),
        (Some(before), None) => format!("does not {} {before} any more", verbs.1),
        (None, None) => edge.edge.clone(),
    };
    format!("{words}{}", at(edge.place.as_ref()))
}

fn at(place: Option<&Place>) -> String {
    place.map(|place| format!(" ({}:{})", place.file, place.line)).unwrap_or_default()
}

fn short(value: &str) -> String {
    if value.is_empty() {
        return "\"\"".to_owned();
    }
    if value.chars().count() <= LONGEST && !value.contains(char::is_control) {
        return value.to_owned();
    }
    let kept: String = value.chars().take(LONGEST - 1).collect();
    format!("{}…", kept.escape_debug())
}
