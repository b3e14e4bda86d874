//! `ssi affected`: the services that a change reaches, for pipelines.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use clustergraph::diff::{Change, ChangeKind, Node, NodeKind};
use clustergraph::graph::Graph;

use super::{Global, Printed, range};
use crate::console;
use crate::exit::{Exit, Failure};
use crate::report::Output;

/// Arguments of `ssi affected`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi affected origin/main...HEAD\n  ssi affected HEAD~1..HEAD --direct --output json\n  ssi affected --exit-code > /dev/null || make test\n  ssi affected --files paths.txt"
)]
pub(crate) struct AffectedArgs {
    #[arg(value_name = "RANGE", help = range::HELP)]
    range: Option<String>,
    /// Ask what changes of these paths may reach, one a line as `git diff --name-only` prints them; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "range")]
    files: Option<PathBuf>,
    /// Only those that were edited themselves, not what depends on them
    #[arg(long)]
    direct: bool,
    /// End with 1 where a service is affected
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    printed: Printed,
}

/// What is reached: services, and their further processes and jobs as nodes of their own.
#[derive(Default)]
struct Affected {
    nodes: BTreeSet<String>,
    services: BTreeSet<String>,
    removed: BTreeSet<String>,
}

pub(super) fn run(global: &Global, args: &AffectedArgs) -> Result<Exit, Failure> {
    let affected = match &args.files {
        Some(file) => of_files(global, file, args)?,
        None => of_range(global, args)?,
    };
    match args.printed.output {
        Output::Json => console::data(
            &serde_json::json!({
                "schema": "ssi.affected/1", "services": affected.services, "nodes": affected.nodes, "removed": affected.removed,
            })
            .to_string(),
        ),
        Output::Text if affected.services.is_empty() => {}
        Output::Text => console::data(&affected.services.into_iter().collect::<Vec<_>>().join("\n")),
    }
    Ok(if args.exit_code && !affected.nodes.is_empty() { Exit::Failed } else { Exit::Success })
}

fn of_range(global: &Global, args: &AffectedArgs) -> Result<Affected, Failure> {
    let sides = range::read(global, args.range.as_deref(), args.printed.output)?;
    let diff = sides.before.diff(&sides.after);
    let mut affected = Affected::default();
    for (node, change) in diff.changes.iter().filter(|(node, _)| node.kind == NodeKind::Service) {
        if change.kind == ChangeKind::Removed {
            affected.removed.insert(node.name.clone());
        } else if !args.direct || is_direct(&sides.after, node, change) {
            affected.add(&sides.after, &node.name);
        }
    }
    Ok(affected)
}

/// Whether a service was edited itself: it, what it is a part of, a database of its own, or a store that nobody owns.
fn is_direct(graph: &Graph, node: &Node, change: &Change) -> bool {
    let Some(service) = graph.services.get(&node.name) else { return false };
    let is_its_own = |through: &Node| match through.kind {
        NodeKind::Service => service.is_part() && through.name == service.owner,
        _ => through.name.split_once('/').is_none_or(|(owner, _)| owner == service.owner),
    };
    change.is_root() || change.through.iter().any(is_its_own)
}

fn of_files(global: &Global, file: &Path, args: &AffectedArgs) -> Result<Affected, Failure> {
    let tree = global.tree(None)?;
    let graph = Global::build(&tree, args.printed.output)?;
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(file).map_err(|error| Failure::unusable(format!("{}: {error}", file.display())))?;
    }
    let text = String::from_utf8_lossy(&bytes);
    // `git diff -z` ends each path with a zero byte.
    let separator = if text.contains('\0') { '\0' } else { '\n' };
    let prefix = &tree.located().prefix;
    let below = |path: &'_ str| -> Option<String> {
        let path = path.trim_end_matches('\r').trim_start_matches("./");
        let path = if prefix.is_empty() { path } else { path.strip_prefix(prefix.as_str())?.strip_prefix('/')? };
        (!path.is_empty()).then(|| path.to_owned())
    };
    let paths: Vec<String> = text.split(separator).filter_map(below).collect();
    let touched = graph.touched(tree.root(), paths.iter().map(String::as_str));
    let mut affected = Affected::default();
    for name in if args.direct { touched.direct } else { touched.all } {
        affected.add(&graph, &name);
    }
    Ok(affected)
}

impl Affected {
    fn add(&mut self, graph: &Graph, name: &str) {
        self.nodes.insert(name.to_owned());
        // A service is built and tested as a whole.
        self.services.extend(graph.services.get(name).map(|service| service.owner.clone()));
    }
}
