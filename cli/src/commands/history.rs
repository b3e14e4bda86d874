//! `ssi history`: the commits at which a service's id changed.

use clap::Args;
use clustergraph::diff::{ChangeKind, Diff, Node, NodeKind, words};
use clustergraph::graph::{BuildError, Graph, Key, Snapshots};
use clustergraph::tree::history::{Step, first_parents, is_shallow};
use clustergraph::tree::{Commit, Tree};

use super::diff::nodes;
use super::{Global, Printed, known_service};
use crate::console::{self, DIM, YELLOW, paint};
use crate::exit::{Exit, Failure};
use crate::report::{Output, ago};

/// Arguments of `ssi history`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi history order\n  ssi history order -n 3 --output json\n  ssi history order --at v1.0"
)]
pub(crate) struct HistoryArgs {
    /// The service, one of its further processes or jobs
    service: String,
    /// How many changes are shown, the newest first
    #[arg(short, long, value_name = "COUNT", default_value = "20")]
    number: usize,
    /// Begin at this commit
    #[arg(long, value_name = "REVISION", default_value = "HEAD")]
    at: String,
    #[command(flatten)]
    printed: Printed,
}

/// What a commit makes of the service.
enum State {
    /// It is there.
    Present(Box<Graph>, Tree),
    /// There is a graph, and it is not in it.
    Absent(Box<Graph>),
    /// There is no graph: so many problems.
    Broken(usize),
}

/// A commit at which the id changed.
struct Entry {
    commit: Commit,
    before: Option<Key>,
    after: Option<Key>,
    /// Why, a sentence each.
    reasons: Vec<String>,
    /// The same for programs, where there is a graph on both sides.
    node: Option<serde_json::Value>,
}

pub(super) fn run(global: &Global, args: &HistoryArgs) -> Result<Exit, Failure> {
    let name = &args.service;
    let start = Tree::of_commit(&global.directory, &args.at)?;
    let graph = Global::build(&start, args.printed.output)?;
    known_service(&graph, name)?;
    let mut after = State::Present(Box::new(graph), start);
    let mut entries = Vec::new();
    let mut is_whole = true;
    for step in first_parents(&global.directory, &args.at)? {
        if entries.len() >= args.number {
            is_whole = false;
            break;
        }
        let step = step?;
        if !after.may_differ(name, &step) {
            continue;
        }
        let Some(parent) = &step.parent else {
            // The first commit: what is there came with it.
            entries.extend(entry(name, step.commit, None, &after));
            break;
        };
        let before = State::of(Tree::of_commit(&global.directory, parent)?, name)?;
        entries.extend(entry(name, step.commit, Some(&before), &after));
        after = before;
    }
    match args.printed.output {
        Output::Json => {
            let entries: Vec<_> = entries.iter().map(json).collect();
            let value = serde_json::json!({ "schema": "ssi.history/1", "service": name, "entries": entries });
            console::data(&value.to_string());
        }
        Output::Text => {
            if !entries.is_empty() {
                console::data(text(&entries).trim_end());
            }
            if is_whole && is_shallow(&global.directory)? {
                console::note("older commits are not here: `git fetch --unshallow` brings them");
            }
        }
    }
    Ok(Exit::Success)
}

impl State {
    fn of(tree: Tree, name: &str) -> Result<Self, Failure> {
        match Snapshots::of_user().graph(&tree, "local") {
            Ok(graph) if graph.services.contains_key(name) => Ok(Self::Present(Box::new(graph), tree)),
            Ok(graph) => Ok(Self::Absent(Box::new(graph))),
            Err(BuildError::Problems(problems)) => Ok(Self::Broken(problems.len())),
            Err(BuildError::Tree(error)) => Err(error.into()),
        }
    }

    /// Whether a commit can have brought the service to this state. No graph is read to know.
    fn may_differ(&self, name: &str, step: &Step) -> bool {
        let is_declaration = |path: &String| {
            path == "clustergraph.yaml" || path.rsplit('/').next().is_some_and(|name| name == "service.yaml")
        };
        match self {
            Self::Present(graph, tree) => step.parent.is_none() || graph.concerns(name, tree.root(), &step.paths),
            Self::Absent(_) => step.paths.iter().any(is_declaration),
            // What was wrong may have been any file.
            Self::Broken(_) => !step.paths.is_empty(),
        }
    }

    fn id(&self, name: &str) -> Option<Key> {
        match self {
            Self::Present(graph, _) => graph.services.get(name).map(|service| service.id),
            Self::Absent(_) | Self::Broken(_) => None,
        }
    }

    fn graph(&self) -> Option<&Graph> {
        match self {
            Self::Present(graph, _) | Self::Absent(graph) => Some(graph),
            Self::Broken(_) => None,
        }
    }
}

/// What a commit did to the service; nothing where its id stayed.
fn entry(name: &str, commit: Commit, before: Option<&State>, after: &State) -> Option<Entry> {
    let (had, has) = (before.and_then(|state| state.id(name)), after.id(name));
    let was_broken = before.is_some_and(|state| matches!(state, State::Broken(_)));
    let is_broken = matches!(after, State::Broken(_));
    if had == has && was_broken == is_broken {
        return None;
    }
    let mut found = Entry { commit, before: had, after: has, reasons: Vec::new(), node: None };
    let problems = |count: usize| format!("{count} {}", if count == 1 { "problem" } else { "problems" });
    match (before, after) {
        (_, State::Broken(count)) => found.reasons.push(format!("no graph: {}", problems(*count))),
        (Some(State::Broken(count)), _) => found.reasons.push(format!("a graph again; before, {}", problems(*count))),
        (None, _) => found.reasons.push("added".to_owned()),
        (Some(before), after) => {
            if let (Some(before), Some(after)) = (before.graph(), after.graph()) {
                let node = Node::new(NodeKind::Service, name);
                let diff = before.diff(after);
                found.reasons = reasons(&diff, &node);
                found.node = nodes(&diff, std::iter::once(&node)).pop();
            }
        }
    }
    Some(found)
}

/// Why the service differs; where it came, went or became others, this first.
fn reasons(diff: &Diff, node: &Node) -> Vec<String> {
    let moves = diff.refactorings.iter().flat_map(|group| &group.moves);
    let of_it = moves.filter(|found| found.from.iter().chain(&found.into).any(|name| *name == node.name));
    let mut reasons: Vec<String> = of_it.map(ToString::to_string).collect();
    let kind = diff.changes.get(node).map(|change| change.kind);
    if let Some(kind @ (ChangeKind::Added | ChangeKind::Removed)) = kind {
        reasons.push(kind.as_str().to_owned());
    }
    reasons.extend(words::reasons(diff, node));
    reasons
}

fn json(entry: &Entry) -> serde_json::Value {
    let commit = &entry.commit;
    serde_json::json!({
        "commit": commit.id, "summary": commit.summary, "author": commit.author, "time": commit.time,
        "before": entry.before, "after": entry.after, "reasons": entry.reasons, "node": entry.node,
    })
}

/// Two lines and more for each commit: what it is, and what it did.
fn text(entries: &[Entry]) -> String {
    let now = jiff::Timestamp::now().as_second();
    let id = |key: Option<Key>| key.map_or_else(|| "none".to_owned(), |key| key.short());
    let mut text = String::new();
    for entry in entries {
        let commit = &entry.commit;
        let short = commit.id.get(..10).unwrap_or(&commit.id);
        let about = format!("{}  {}", ago(now - commit.time), commit.author);
        let ids = format!("{} → {}", id(entry.before), id(entry.after));
        text.push_str(&format!("{}  {}  {}\n", paint(short, YELLOW), commit.summary, paint(&about, DIM)));
        for (at, reason) in entry.reasons.iter().enumerate() {
            let lead = if at == 0 { ids.clone() } else { " ".repeat(ids.chars().count()) };
            text.push_str(&format!("            {}  {reason}\n", paint(&lead, DIM)));
        }
    }
    text
}
