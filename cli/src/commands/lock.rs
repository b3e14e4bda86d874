//! `ssi lock`: write down what images, stacks and tools are, so that everybody builds and runs the same.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use clustergraph::diagnostic::{Place, Problem, Problems};
use clustergraph::format::lock::{LOCK_FILE, LockFile, Pin};
use clustergraph::graph::{Graph, Pinnable, Snapshots};
use clustergraph::image::mirrored;
use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::{Global, Printed};
use crate::console::{self, DIM, GREEN, RED, YELLOW, paint};
use crate::exit::{Exit, Failure};
use crate::report::{Output, table};
use crate::runtime::Registries;
use crate::session::write_whole;

/// How many registries are asked at once.
const ASKED: usize = 8;

/// The cluster that is meant where none is named.
const PRODUCTION: &str = "production";

/// Arguments of `ssi lock`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi lock                pins what is not pinned; images that are stay as they are\n  ssi lock --update       asks anew what every image is\n  ssi lock --check        only looks, for CI; asks no registry"
)]
pub(crate) struct LockArgs {
    /// Say what is missing, stale or unknown; write nothing
    #[arg(long, conflicts_with = "update")]
    check: bool,
    /// Ask anew what images are that are pinned already
    #[arg(long)]
    update: bool,
    /// A registry that holds public images
    #[arg(long, value_name = "HOST", env = "CLUSTERGRAPH_MIRROR")]
    mirror: Option<String>,
    #[command(flatten)]
    printed: Printed,
}

/// What became of a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Change {
    Added,
    Moved,
    Removed,
    Kept,
}

/// One pin, as it is shown.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    kind: &'static str,
    name: String,
    /// To what; what it was for one that is removed.
    value: String,
    change: Change,
}

pub(super) async fn run(global: &Global, args: &LockArgs) -> Result<Exit, Failure> {
    let session = global.session()?;
    let graph = global.graph(None, args.printed.output)?;
    let pinnable = pinnable(global, &graph, args.printed.output)?;
    if args.check {
        return check(&graph, &pinnable, args.printed.output, &session.located.root());
    }
    let mirror = args.mirror.as_deref().or(graph.repository.images.mirror.as_deref());
    let asked: Vec<&String> =
        pinnable.images.keys().filter(|image| args.update || graph.lock.digest(image).is_none()).collect();
    let mut digests = kept(&graph, &pinnable, args.update);
    if !asked.is_empty() {
        let registries = Registries::of(&session).await.map_err(|cause| Failure::unusable(cause.to_string()))?;
        let answers: Vec<_> = stream::iter(asked)
            .map(|image| async { (image.clone(), registries.digest(&mirrored(image, mirror)).await) })
            .buffered(ASKED)
            .collect()
            .await;
        let failed: Vec<String> =
            answers.iter().filter_map(|(_, answer)| answer.as_ref().err().map(ToString::to_string)).collect();
        if !failed.is_empty() {
            let text =
                format!("{}\nnothing was written; `--mirror HOST` names a registry that has them", failed.join("\n"));
            return Err(Failure::failed(text));
        }
        digests.extend(answers.into_iter().filter_map(|(image, answer)| Some((image, answer.ok()?))));
    }
    let lock = made(digests, &pinnable);
    let rows = rows(&graph.lock, &lock);
    let path = session.located.root().join(LOCK_FILE);
    let text = lock.text();
    let is_new = std::fs::read_to_string(&path).ok().as_deref() != Some(text.as_str());
    if is_new {
        write_whole(&path, text.as_bytes())?;
        // It holds no secret, and is everybody's.
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    }
    match args.printed.output {
        Output::Json => {
            let value = serde_json::json!({ "schema": "ssi.lock/1", "written": is_new, "pins": rows, "problems": [] });
            console::data(&value.to_string());
        }
        Output::Text => {
            let changed: Vec<&Row> = rows.iter().filter(|row| row.change != Change::Kept).collect();
            if !changed.is_empty() {
                console::data(&shown(&changed));
            }
            let what = if is_new {
                format!("wrote {LOCK_FILE}: commit it")
            } else {
                format!("{LOCK_FILE} is as it should be")
            };
            console::note(&what);
        }
    }
    Ok(Exit::Success)
}

/// What can be pinned, here and on every cluster that clustergraph.yaml names: a service may run another image there.
fn pinnable(global: &Global, graph: &Graph, output: Output) -> Result<Pinnable, Failure> {
    let mut pinnable = graph.pinnable();
    let tree = global.tree(None)?;
    let named = graph.repository.clusters.keys().map(String::as_str);
    for cluster in named.chain([PRODUCTION]).collect::<BTreeSet<_>>() {
        let there = Snapshots::of_user().graph(&tree, cluster).map_err(|error| Global::no_graph(error, output))?;
        pinnable.merge(there.pinnable());
    }
    Ok(pinnable)
}

/// Says where the lock is not what it would be now.
fn check(graph: &Graph, pinnable: &Pinnable, output: Output, root: &std::path::Path) -> Result<Exit, Failure> {
    let mut findings = graph.lock_findings_of(pinnable);
    if graph.lock.place.is_none() {
        let missing = Problem::new("lock-missing", Place::start_of(LOCK_FILE), format!("there is no {LOCK_FILE}"));
        findings.push(missing.mend("`ssi lock` writes it"));
    }
    if output == Output::Json {
        let value = serde_json::json!({ "schema": "ssi.lock/1", "written": false, "pins": [], "problems": findings });
        console::data(&value.to_string());
    } else if findings.is_empty() {
        console::note(&format!("{LOCK_FILE} is as it should be"));
    } else {
        let mut problems = Problems::default();
        for file in findings.iter().map(|problem| &problem.place.file) {
            if let Ok(text) = std::fs::read_to_string(root.join(&**file)) {
                problems.keep_text(file, text.into());
            }
        }
        let count = findings.len();
        findings.iter().cloned().for_each(|problem| problems.add(problem));
        console::note(&problems.render(console::has_colour(), console::width()));
        console::note(&format!(
            "{count} {} not as `ssi lock` would write it",
            if count == 1 { "entry is" } else { "entries are" }
        ));
    }
    Ok(if findings.is_empty() { Exit::Success } else { Exit::Failed })
}

/// The digests that stay.
fn kept(graph: &Graph, pinnable: &Pinnable, update: bool) -> BTreeMap<String, String> {
    let images = pinnable.images.keys().filter(|_| !update);
    images.filter_map(|image| Some((image.clone(), graph.lock.digest(image)?.to_owned()))).collect()
}

/// The lock of a graph.
fn made(digests: BTreeMap<String, String>, pinnable: &Pinnable) -> LockFile {
    let pin = |(name, value)| (name, Pin { value, place: Place::default() });
    LockFile {
        images: digests.into_iter().map(pin).collect(),
        stacks: pinnable.stacks.iter().map(|(name, key)| pin((name.clone(), key.to_string()))).collect(),
        tools: pinnable.tools.iter().map(|(name, version)| pin((name.clone(), version.clone()))).collect(),
        ..LockFile::default()
    }
}

fn rows(before: &LockFile, after: &LockFile) -> Vec<Row> {
    let mut rows = Vec::new();
    for (kind, before, after) in [
        ("image", &before.images, &after.images),
        ("stack", &before.stacks, &after.stacks),
        ("tool", &before.tools, &after.tools),
    ] {
        for (name, pin) in after {
            let change = match before.get(name) {
                None => Change::Added,
                Some(known) if known.value == pin.value => Change::Kept,
                Some(_) => Change::Moved,
            };
            rows.push(Row { kind, name: name.clone(), value: pin.value.clone(), change });
        }
        let gone = before.iter().filter(|(name, _)| !after.contains_key(*name));
        rows.extend(gone.map(|(name, pin)| Row {
            kind,
            name: name.clone(),
            value: pin.value.clone(),
            change: Change::Removed,
        }));
    }
    rows
}

fn shown(rows: &[&Row]) -> String {
    let cells = rows.iter().map(|row| {
        let (word, style) = match row.change {
            Change::Added => ("+", GREEN),
            Change::Moved => ("~", YELLOW),
            Change::Removed => ("-", RED),
            Change::Kept => ("=", DIM),
        };
        vec![paint(word, style), row.kind.to_owned(), row.name.clone(), row.value.clone()]
    });
    table(&["", "KIND", "NAME", "PINNED TO"], &["KIND"], cells.collect(), console::table_width())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_of_a_pin_is_told() {
        let lock = |images: &[(&str, &str)]| {
            let digests = images.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            made(digests, &Pinnable::default())
        };
        let rows = rows(&lock(&[("a", "1"), ("b", "1"), ("c", "1")]), &lock(&[("b", "1"), ("c", "2"), ("d", "1")]));
        let told: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.change)).collect();
        assert_eq!(told, [("b", Change::Kept), ("c", Change::Moved), ("d", Change::Added), ("a", Change::Removed)]);
    }
}
