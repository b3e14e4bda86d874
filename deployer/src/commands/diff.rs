//! `komandan diff`

mod compare;
mod objects;

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};
use clustergraph::graph::Graph;
use serde_json::json;

use super::short;
use crate::cluster::Cluster;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::repository;
use crate::settings::Global;
use crate::store::Store;
use crate::store::record::Record;
use crate::transient;
use compare::{Change, Difference, Form};

/// Shows what differs between two versions, or between a version and a commit, and why
///
/// A number is a version of `komandan history`, anything else a commit. With one, it is compared with the version that
/// serves; with none, that is compared with HEAD. Where the repository has both commits, each node comes with its chain of
/// reasons down to the edit; else with what the records say.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan diff                what deploying HEAD would change
  komandan diff 12             what reverting to version 12 would change
  komandan diff 12 14
  komandan diff --objects 12 HEAD")]
pub(crate) struct Args {
    /// One version or commit, or two: before and after
    #[arg(value_name = "VERSION|COMMIT", num_args = 0..=2)]
    pub(crate) sides: Vec<String>,
    /// Show the Kubernetes objects that differ, line by line
    #[arg(long)]
    pub(crate) objects: bool,
}

/// What is compared.
struct Side {
    label: String,
    commit: String,
    of: Of,
    /// The graph that it was made of, where the repository still has it.
    graph: Option<Graph>,
}

enum Of {
    Version(Box<Record>),
    Commit(String),
}

impl Side {
    /// Its nodes by name.
    fn forms(&self) -> BTreeMap<String, Form> {
        match (&self.of, &self.graph) {
            (Of::Version(record), _) => Form::of_record(record),
            (Of::Commit(_), Some(graph)) => Form::of_graph(graph),
            (Of::Commit(_), None) => BTreeMap::new(),
        }
    }
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let cluster = transient::connect(global).await?;
    let (_, served) = super::served(&cluster).await?;
    let serving = served.number.to_string();
    let (before, after) = match args.sides.as_slice() {
        [before, after, ..] => (before.as_str(), after.as_str()),
        [after] => (serving.as_str(), after.as_str()),
        [] => (serving.as_str(), "HEAD"),
    };
    let (before, after) = (side(&cluster, global, before).await?, side(&cluster, global, after).await?);
    let differences = match (&before.graph, &after.graph) {
        (Some(one), Some(other)) => compare::graphs(one, other),
        _ => compare::forms(&before.forms(), &after.forms()),
    };
    let unified = if args.objects {
        let (one, other) = (
            objects::of(&before.of, &[&after.of], global, &cluster).await?,
            objects::of(&after.of, &[&before.of], global, &cluster).await?,
        );
        Some(objects::unified(&before.label, &one, &after.label, &other))
    } else {
        None
    };
    let by_commits = before.graph.is_some() && after.graph.is_some();
    if console.is_json() {
        console.json(json!({
            "command": "diff", "cluster": cluster.name(),
            "before": { "name": before.label, "commit": before.commit },
            "after": { "name": after.label, "commit": after.commit },
            "with_reasons": by_commits, "differences": differences, "objects": unified,
        }));
        return Ok(());
    }
    console.data(&heading(&before, &after));
    if differences.is_empty() {
        console.data("no node differs");
    }
    show(&differences, console);
    if !by_commits {
        console.note("  by what the records say: the repository does not have both commits");
    }
    for text in unified.iter().flat_map(|files| files.iter()) {
        console.data("");
        console.data(&coloured(text));
    }
    Ok(())
}

/// Reads a side: a number is a version's.
async fn side(cluster: &Cluster, global: &Global, name: &str) -> Result<Side> {
    // Nobody writes a commit with so few digits and no letter.
    if let Some(number) = name.parse::<u64>().ok().filter(|_| name.len() < 7) {
        let record = Store::new(cluster).record(number).await?.ok_or_else(|| {
            Error::Usage(format!("there is no version {number} of {}; `komandan history` lists them", cluster.name()))
        })?;
        let commit = record.content.commit.id.clone();
        // Another commit of that name, or another version of this program, would tell of something else.
        let graph = repository::graph(global, &commit).await.ok();
        let graph = graph.filter(|graph| graph.version == record.content.version);
        return Ok(Side { label: format!("version {number}"), commit, of: Of::Version(Box::new(record)), graph });
    }
    let graph = repository::graph(global, name).await?;
    let commit = graph.commit.as_ref().map(|commit| commit.id.clone()).unwrap_or_default();
    Ok(Side { label: name.to_owned(), commit, of: Of::Commit(name.to_owned()), graph: Some(graph) })
}

fn heading(before: &Side, after: &Side) -> String {
    let side = |side: &Side| format!("{} ({})", side.label, short(&side.commit));
    let dim = Style::new().dimmed();
    format!("{dim}{} → {}{dim:#}", side(before), side(after))
}

fn show(differences: &[Difference], console: &Console) {
    let width = differences.iter().map(|difference| difference.name.len()).max().unwrap_or(0);
    for difference in differences {
        let (sign, colour) = match difference.change {
            Change::Added => ("+", AnsiColor::Green),
            Change::Removed => ("-", AnsiColor::Red),
            Change::Rewired => ("±", AnsiColor::Cyan),
            Change::Changed => ("~", AnsiColor::Yellow),
            Change::Operated => ("·", AnsiColor::Blue),
        };
        let style = colour.on_default();
        let mut lines = difference.reasons.iter();
        let word = difference.change.as_str();
        let first = match lines.next() {
            Some(reason) if reason.starts_with("because") => format!("{word} {reason}"),
            Some(reason) => reason.clone(),
            None => word.to_owned(),
        };
        console.data(&format!("  {style}{sign} {:width$}{style:#}  {first}", difference.name));
        for line in lines {
            console.data(&format!("    {:width$}  and {line}", ""));
        }
    }
}

fn coloured(text: &str) -> String {
    let paint = |line: &str| {
        let style = match line.chars().next() {
            Some('+') => AnsiColor::Green.on_default(),
            Some('-') => AnsiColor::Red.on_default(),
            Some('@') => AnsiColor::Cyan.on_default(),
            _ => Style::new(),
        };
        format!("{style}{line}{style:#}")
    };
    text.lines().map(paint).collect::<Vec<_>>().join("\n")
}
