//! From an `up` to its plan: read the graph, choose the runtimes, look at what runs.

use std::collections::{BTreeMap, BTreeSet};

use clustergraph::diagnostic::suggestion;
use clustergraph::graph::{BuildError, Graph, Snapshots, Unit};
use clustergraph::plan::{Observed, plan};

use super::Prepared;
use super::desired::{Desired, Work};
use super::gather::Gathered;
use super::keeps;
use super::purpose::{self, Scope};
use crate::exit::{Exit, Failure};
use crate::protocol::{Purpose, RuntimeName, Up};
use crate::runtime::{self, Asked, Claims, Docker, Program};
use crate::session::{Instance, Lease, Records, Session};

/// The cluster whose overrides a laptop takes.
const LOCAL: &str = "local";

/// Makes the plan of an `up`.
pub(super) async fn prepare(session: &Session, up: Up, mut records: Records) -> Result<Prepared, Failure> {
    let graph = read_graph(session, &up).await?;
    let restarted = purpose::restarted(&up, &records).map_err(Failure::unusable)?;
    for name in up.services.iter().filter(|_| up.purpose != Purpose::Restart) {
        if !graph.services.contains_key(name) {
            let close = suggestion(name, graph.services.keys().map(String::as_str));
            let mend = close.map(|close| format!(": did you mean `{close}`?")).unwrap_or_default();
            return Err(Failure::unusable(format!("there is no service `{name}`{mend}")));
        }
    }
    let scope = Scope::of(&graph, &up, &mut records);
    let lives = lives(session, &records).await;
    // What cannot be asked is taken to run: it is not to be begun a second time.
    let running: BTreeSet<Unit> =
        lives.iter().filter(|(_, life)| **life != Life::Gone).map(|(unit, _)| unit.clone()).collect();
    let known = records.ports.clone();
    let gathered = Gathered::of(session, &graph, &scope.services, &up, &running, &mut records).await?;
    let mut desired = gathered.wish().desired(&mut records).map_err(Failure::unusable)?;
    let (kept, needed) = scope.units(&graph, &desired.waits, &up, &records);
    desired.retain(&kept);
    let (runtimes, notes) = (gathered.runtimes, gathered.notes);
    records.chosen.extend(runtimes.into_nodes(&Asked { runtime: up.runtime, named: &up.services, engine: None }));
    let mut there = built(session, &desired).await?;
    there.extend(set_up(&desired));
    let mut observed: BTreeMap<Unit, Observed> = records
        .units
        .values()
        .map(|record| {
            let removed = there.get(&record.unit) == Some(&false);
            let done = record.instance.is_none() && record.ready && !removed;
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
    purpose::disturb(&mut observed, &restarted);
    let steps = plan(&desired.wanted, &desired.waits, &observed, &records.waits());
    let steps = purpose::steps(up.purpose, steps, &restarted, &needed, &desired.waits);
    let kept = keeps::keeps(&graph, &desired.wanted, &steps, &records.versions);
    if up.purpose == Purpose::Start {
        records.versions.extend(keeps::versions(&graph, &desired.wanted));
    }
    let lease = matches!(up.purpose, Purpose::Needs { .. })
        .then(|| Lease { of: up.services.iter().cloned().collect(), units: needed });
    Ok(Prepared { steps, keeps: kept, desired, records, notes, lease, dry_run: up.dry_run })
}

/// Which of the images that are wanted the engine has.
async fn built(session: &Session, desired: &Desired) -> Result<BTreeMap<Unit, bool>, Failure> {
    let images = desired.work.iter().filter_map(|(unit, work)| match &**work {
        Work::Image(building) => Some((unit.clone(), building.image.clone())),
        _ => None,
    });
    let images: Vec<(Unit, String)> = images.collect();
    if images.is_empty() {
        return Ok(BTreeMap::new());
    }
    let there = Docker::new(session).built().await.map_err(|cause| Failure::unusable(cause.to_string()))?;
    Ok(images.into_iter().map(|(unit, image)| (unit, there.contains(&image))).collect())
}

/// Whether what was installed among sources is still there: laid out ones may be deleted at any time.
fn set_up(desired: &Desired) -> BTreeMap<Unit, bool> {
    let among = |program: &Program| program.service.stack.setup.as_ref().is_some_and(|setup| setup.into.is_some());
    let there = desired.work.iter().filter_map(|(unit, work)| match &**work {
        Work::Setup(program) if among(program) && desired.runtimes.get(unit) == Some(&RuntimeName::Process) => {
            Some((unit.clone(), program.sources.are_there()))
        }
        _ => None,
    });
    there.collect()
}

/// What recorded units are made of, as an `up` of what is wanted would make them now. The shell is this process's own:
/// that of the command that started it.
pub(super) async fn remember(session: &Session, records: Records) -> Option<Desired> {
    let up = Up {
        services: if records.all { Vec::new() } else { records.roots.iter().cloned().collect() },
        purpose: Purpose::Start,
        runtime: None,
        dry_run: true,
        shell: runtime::shell(),
        mirror: std::env::var("CLUSTERGRAPH_MIRROR").ok(),
        colour: false,
        width: 80,
    };
    // Whatever keeps it from being made out, the next `up` tells.
    prepare(session, up, records).await.ok().map(|prepared| prepared.desired)
}

async fn read_graph(session: &Session, up: &Up) -> Result<Graph, Failure> {
    let (session, colour, width) = (session.clone(), up.colour, up.width);
    let read = tokio::task::spawn_blocking(move || {
        let tree = session.tree()?;
        Snapshots::of_user().graph(&tree, LOCAL).map_err(|error| match error {
            BuildError::Problems(problems) => {
                Failure { exit: Exit::InvalidGraph, message: problems.render(colour, width).trim_end().to_owned() }
            }
            BuildError::Tree(error) => error.into(),
        })
    });
    read.await.map_err(|_| Failure::unusable("reading the repository was interrupted"))?
}

/// What is known of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It runs.
    Runs,
    /// It does not run any more.
    Gone,
    /// What runs it does not answer.
    Unknown,
}

/// What is known of the recorded instances.
pub(super) async fn lives(session: &Session, records: &Records) -> BTreeMap<Unit, Life> {
    let mut asked: BTreeMap<RuntimeName, Vec<(&Unit, &Instance)>> = BTreeMap::new();
    for record in records.units.values() {
        if let Some(instance) = &record.instance {
            asked.entry(record.runtime).or_default().push((&record.unit, instance));
        }
    }
    let mut lives = BTreeMap::new();
    for (runtime, instances) in asked {
        let only: Vec<Instance> = instances.iter().map(|(_, instance)| (*instance).clone()).collect();
        let runs = runtime::of(runtime, session).running(&only).await;
        for (at, (unit, _)) in instances.into_iter().enumerate() {
            let life = match runs.as_ref().map(|runs| runs.get(at)) {
                Ok(Some(true)) => Life::Runs,
                Ok(_) => Life::Gone,
                Err(_) => Life::Unknown,
            };
            lives.insert(unit.clone(), life);
        }
    }
    lives
}
