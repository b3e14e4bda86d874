//! From an `up` to its plan: read the graph, choose the runtime, look at what runs.

use std::collections::{BTreeMap, BTreeSet};

use clustergraph::diagnostic::suggestion;
use clustergraph::graph::{BuildError, Graph, Unit, UnitKind};
use clustergraph::plan::{Observed, plan};
use clustergraph::tree::Tree;

use super::Prepared;
use super::desired::desired;
use crate::exit::{Exit, Failure};
use crate::protocol::{RuntimeName, Up};
use crate::runtime::{self, Claims, Docker};
use crate::session::{Record, Records, Session};

/// The cluster whose overrides a laptop takes.
const LOCAL: &str = "local";

/// Makes the plan of an `up`.
pub(super) async fn prepare(session: &Session, up: Up, mut records: Records) -> Result<Prepared, Failure> {
    let graph = read_graph(session, &up).await?;
    for name in &up.services {
        if !graph.services.contains_key(name) {
            let close = suggestion(name, graph.services.keys().map(String::as_str));
            let mend = close.map(|close| format!(": did you mean `{close}`?")).unwrap_or_default();
            return Err(Failure::unusable(format!("there is no service `{name}`{mend}")));
        }
    }
    if up.services.is_empty() {
        records.all = true;
    }
    records.roots.extend(up.services.iter().cloned());
    records.roots.retain(|root| graph.services.contains_key(root));
    let roots = if records.all { BTreeSet::new() } else { records.roots.clone() };
    let services = graph.closure(&roots);
    let runtime = choose_runtime(session, &up, &records).await?;
    if !up.dry_run {
        runtime::of(runtime, session).prepare().await.map_err(|cause| Failure::unusable(cause.to_string()))?;
    }
    let alive = alive(session, &records).await?;
    let running: BTreeSet<Unit> = alive.iter().filter(|(_, alive)| **alive).map(|(unit, _)| unit.clone()).collect();
    let known = records.ports.clone();
    let desired =
        desired(&graph, &services, runtime, &up, session, &running, &mut records).map_err(Failure::unusable)?;
    let observed: BTreeMap<Unit, Observed> = records
        .units
        .values()
        .map(|record| {
            let done = record.instance.is_none() && record.ready;
            let runs = record.ready && running.contains(&record.unit);
            let found = Observed { key: record.key, parts: record.parts.clone(), alive: done || runs };
            (record.unit.clone(), found)
        })
        .collect();
    if up.dry_run {
        // Nothing of it is remembered: others may have the ports that were only looked at.
        let new = records.ports.iter().filter(|(row, port)| known.get(*row) != Some(*port)).map(|(_, port)| *port);
        if let Ok(claims) = Claims::of(session) {
            claims.release(new);
        }
    }
    let steps = plan(&desired.wanted, &desired.waits, &observed, &records.waits());
    Ok(Prepared { steps, desired, records, runtime, dry_run: up.dry_run })
}

async fn read_graph(session: &Session, up: &Up) -> Result<Graph, Failure> {
    let root = session.located.root();
    let (colour, width) = (up.colour, up.width);
    let read = tokio::task::spawn_blocking(move || {
        let tree = Tree::of_worktree(&root)?;
        Graph::build(&tree, LOCAL).map_err(|error| match error {
            BuildError::Problems(problems) => {
                Failure { exit: Exit::InvalidGraph, message: problems.render(colour, width).trim_end().to_owned() }
            }
            BuildError::Tree(error) => error.into(),
        })
    });
    read.await.map_err(|_| Failure::unusable("reading the repository was interrupted"))?
}

/// The runtime that was asked for, else the recorded one, else Docker where an engine answers.
async fn choose_runtime(session: &Session, up: &Up, records: &Records) -> Result<RuntimeName, Failure> {
    let is_data = |kind| matches!(kind, UnitKind::Server | UnitKind::Database);
    let recorded = records.units.values().map(|record| record.runtime).next();
    // What could not be begun, and nothing of it runs, holds no data.
    let holds = |record: &&Record| is_data(record.unit.kind) && (record.ready || record.instance.is_some());
    let data = records.units.values().find(holds).map(|record| record.runtime);
    match (up.runtime, data, recorded) {
        (Some(asked), Some(data), _) if asked != data => Err(Failure::unusable(format!(
            "this session's databases live under `--runtime {}`, and `--runtime {}` would abandon their data: go on with the former, or delete the data with `ssi down --delete-data`",
            data.as_str(),
            asked.as_str()
        ))),
        (Some(asked), _, _) => Ok(asked),
        (None, _, Some(recorded)) => Ok(recorded),
        (None, _, None) if Docker::answers(session).await => Ok(RuntimeName::Docker),
        (None, _, None) => Ok(RuntimeName::Process),
    }
}

/// Which of the recorded instances run.
pub(super) async fn alive(session: &Session, records: &Records) -> Result<BTreeMap<Unit, bool>, Failure> {
    let mut alive = BTreeMap::new();
    let mut runtimes = BTreeMap::new();
    for record in records.units.values() {
        if let Some(instance) = &record.instance {
            let runtime = runtimes.entry(record.runtime).or_insert_with(|| runtime::of(record.runtime, session));
            let runs = runtime.is_alive(instance).await.map_err(|cause| Failure::unusable(cause.to_string()))?;
            alive.insert(record.unit.clone(), runs);
        }
    }
    Ok(alive)
}
