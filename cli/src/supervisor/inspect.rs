//! What a service's program is made from, as a command wants to know it: nothing is started and nothing remembered.

use std::collections::BTreeSet;

use clustergraph::graph::{Graph, Unit};

use super::desired::{Wish, Work};
use super::gather::{Gathered, choose};
use crate::exit::Failure;
use crate::protocol::{RuntimeName, Up};
use crate::runtime::{Claims, Program, Runtimes};
use crate::session::{Records, Session};

/// A program of a service.
pub(crate) struct Inspected {
    /// What would run, with its environment.
    pub(crate) program: Program,
    /// How the service runs, or would run.
    pub(crate) runtime: RuntimeName,
    /// Whether some of its addresses are only guessed: nothing was started that has them.
    pub(crate) is_guess: bool,
}

/// The program of a service; `side` sees its addresses from elsewhere than where it runs.
pub(crate) async fn inspect(
    session: &Session,
    graph: &Graph,
    up: &Up,
    name: &str,
    side: Option<RuntimeName>,
) -> Result<Inspected, Failure> {
    let mut records = Records::read(&session.records()).map_err(Failure::unusable)?;
    let services = graph.closure(&BTreeSet::from([name.to_owned()]));
    let (known, passwords) = (records.ports.clone(), records.passwords.len());
    // What is recorded holds its ports, whether or not it runs at this moment.
    let running: BTreeSet<Unit> = records.units.values().map(|record| record.unit.clone()).collect();
    let up = Up { dry_run: true, ..up.clone() };
    let gathered = Gathered::of(session, graph, &services, &up, &running, &mut records).await?;
    let (wish, runtime) = (gathered.wish(), gathered.runtimes.service(name));
    let unit = super::purpose::unit_of(graph, name);
    let program = wish.program(&mut records, &unit, side.unwrap_or(runtime)).map_err(Failure::unusable);
    // Others may have the ports that were only looked at.
    let new: Vec<u16> =
        records.ports.iter().filter(|(row, port)| known.get(*row) != Some(*port)).map(|(_, port)| *port).collect();
    let is_guess = !new.is_empty() || records.passwords.len() > passwords;
    if let Ok(claims) = Claims::of(session) {
        claims.release(new);
    }
    Ok(Inspected { program: program?, runtime, is_guess })
}

/// How each node of the graph runs, or would run.
pub(crate) async fn runtimes(session: &Session, graph: &Graph, up: &Up) -> Result<Runtimes, Failure> {
    let records = Records::read(&session.records()).map_err(Failure::unusable)?;
    let all: BTreeSet<String> = graph.services.keys().cloned().collect();
    let units = graph.units(&all, true);
    choose(session, graph, &units, up, &records).await.map(|(runtimes, _)| runtimes)
}

impl Wish<'_> {
    /// The program of one unit, with its environment as a side sees it.
    fn program(&self, records: &mut Records, unit: &Unit, side: RuntimeName) -> Result<Program, String> {
        match self.work(records, unit, side)? {
            Work::Service(running) => Ok(running.program),
            Work::Once(program) => Ok(*program),
            _ => Err(format!("{unit} runs no program of a service")),
        }
    }
}
