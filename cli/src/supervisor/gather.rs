//! What an `up` is made from beside the graph, gathered from the machine: runtimes, secrets, the way to this
//! machine, which data there is.

use std::collections::{BTreeMap, BTreeSet};

use clustergraph::graph::{Graph, Unit, UnitKind, Units};

use super::data;
use super::desired::Wish;
use crate::exit::Failure;
use crate::protocol::{RuntimeName, Up};
use crate::runtime::{self, Asked, Cause, Docker, EnvFiles, Gateway, Runtimes, Secrets, Undecided};
use crate::session::{Records, Session};

/// All of it.
pub(super) struct Gathered<'a> {
    graph: &'a Graph,
    session: &'a Session,
    up: &'a Up,
    services: &'a BTreeSet<String>,
    running: &'a BTreeSet<Unit>,
    units: Units,
    pub(super) runtimes: Runtimes,
    /// What a person should know of the choice of runtimes.
    pub(super) notes: Vec<String>,
    secrets: Secrets,
    gateway: Option<Gateway>,
    incarnations: BTreeMap<String, String>,
    base_env: BTreeMap<String, String>,
}

impl<'a> Gathered<'a> {
    /// Gathers for some services with all that they need. What runs at all may be made (a network), unless nobody
    /// carries out the plan. What was found of data is noted in the records.
    pub(super) async fn of(
        session: &'a Session,
        graph: &'a Graph,
        services: &'a BTreeSet<String>,
        up: &'a Up,
        running: &'a BTreeSet<Unit>,
        records: &mut Records,
    ) -> Result<Self, Failure> {
        let units = graph.units(services, true);
        let (runtimes, notes) = choose(session, graph, &units, up, records).await?;
        if !up.dry_run {
            for name in runtimes.used() {
                runtime::of(name, session).prepare().await.map_err(unusable)?;
            }
        }
        let secrets = read_secrets(session, graph, &units)?;
        let gateway = gateway(session, up, &runtimes).await?;
        let found = stored(session, graph, &units, &runtimes, running, records).await?;
        let incarnations = data::settle(graph, &units, &found, &runtimes, records).map_err(Failure::unusable)?;
        let base_env = runtime::base(&up.shell);
        Ok(Self {
            graph,
            session,
            up,
            services,
            running,
            units,
            runtimes,
            notes,
            secrets,
            gateway,
            incarnations,
            base_env,
        })
    }

    /// What is to be made out of it.
    pub(super) fn wish(&self) -> Wish<'_> {
        Wish {
            graph: self.graph,
            services: self.services,
            units: &self.units,
            runtimes: &self.runtimes,
            secrets: &self.secrets,
            incarnations: &self.incarnations,
            base_env: &self.base_env,
            gateway: self.gateway.as_ref(),
            up: self.up,
            session: self.session,
            running: self.running,
        }
    }
}

fn unusable(cause: Cause) -> Failure {
    Failure::unusable(cause.to_string())
}

/// Chooses the runtimes; asks for an engine where that matters.
pub(super) async fn choose(
    session: &Session,
    graph: &Graph,
    units: &Units,
    up: &Up,
    records: &Records,
) -> Result<(Runtimes, Vec<String>), Failure> {
    let mut asked = Asked { runtime: up.runtime, named: &up.services, engine: None };
    loop {
        match Runtimes::choose(graph, units, &asked, records) {
            Ok(chosen) => return Ok(chosen),
            Err(Undecided::AskEngine) => asked.engine = Some(Docker::answers(session).await),
            Err(Undecided::Impossible(why)) => return Err(Failure::unusable(why)),
        }
    }
}

/// The secrets of all services whose programs are run.
fn read_secrets(session: &Session, graph: &Graph, units: &Units) -> Result<Secrets, Failure> {
    let program_of = |unit: &Unit| match unit.kind {
        UnitKind::Service | UnitKind::Task => graph.services.get(&unit.name),
        UnitKind::Migration | UnitKind::Seed => graph.services.get(graph.databases.get(&unit.name)?.owner.as_ref()?),
        _ => None,
    };
    let env = EnvFiles::of(session)?;
    Secrets::read(&env, units.keys().filter_map(program_of)).map_err(Failure::unusable)
}

/// Where containers find programs of this machine, if there are both.
async fn gateway(session: &Session, up: &Up, runtimes: &Runtimes) -> Result<Option<Gateway>, Failure> {
    if runtimes.used().len() < 2 {
        return Ok(None);
    }
    match Docker::new(session).gateway().await {
        Ok(None) if up.dry_run => Ok(Some(Gateway::of_virtual_machine())),
        found => found.map_err(unusable),
    }
}

/// Which data the wanted servers have. Where nothing outlives a server, it has none but while it runs.
async fn stored(
    session: &Session,
    graph: &Graph,
    units: &Units,
    runtimes: &Runtimes,
    running: &BTreeSet<Unit>,
    records: &Records,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut asked: BTreeMap<RuntimeName, BTreeSet<String>> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for unit in units.keys().filter(|unit| unit.kind == UnitKind::Server) {
        let kind = graph.servers.get(&unit.name).and_then(|server| graph.catalogue.databases.get(&server.kind));
        if kind.is_some_and(|kind| kind.image.data.is_some()) {
            asked.entry(runtimes.server(&unit.name)).or_default().insert(unit.name.clone());
        } else if let Some(stored) = records.servers.get(&unit.name).filter(|_| running.contains(unit)) {
            found.insert(unit.name.clone(), stored.incarnation.clone());
        }
    }
    for (runtime, servers) in asked {
        found.extend(runtime::of(runtime, session).stored(&servers).await.map_err(unusable)?);
    }
    Ok(found)
}
