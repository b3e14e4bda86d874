//! Which node runs how: chosen at its first `up`, remembered, and changed only when somebody says so. Pure.

use std::collections::{BTreeMap, BTreeSet};

use clustergraph::graph::{Graph, Image, Role, Service, Unit, UnitKind, Units};

use crate::protocol::RuntimeName;
use crate::session::Records;

/// The runtime of each node, by the node's row in the records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Runtimes {
    nodes: BTreeMap<String, RuntimeName>,
}

/// What an `up` says about runtimes.
pub(crate) struct Asked<'a> {
    /// What `--runtime` says.
    pub(crate) runtime: Option<RuntimeName>,
    /// The services that were named; it is said of everything when none is.
    pub(crate) named: &'a [String],
    /// Whether a Docker engine answers, once that is known.
    pub(crate) engine: Option<bool>,
}

/// Why there is no choice yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Undecided {
    /// It depends on whether a Docker engine answers.
    AskEngine,
    /// It cannot be as it was asked for.
    Impossible(String),
}

/// The row of what was said of everything; no node has such a name.
const EVERYTHING: &str = "*";

/// A node of services: a service with its further processes, which are made of the same.
fn service_node(owner: &str) -> String {
    format!("service {owner}")
}

fn server_node(server: &str) -> String {
    format!("server {server}")
}

/// What makes the programs of a unit.
enum Node<'g> {
    /// A service.yaml.
    Service(&'g str),
    /// A database server.
    Server(&'g str),
    /// This machine itself.
    Machine,
}

fn node_of<'g>(unit: &'g Unit, graph: &'g Graph) -> Node<'g> {
    let database = || graph.databases.get(&unit.name);
    let owner = match unit.kind {
        UnitKind::Server => return Node::Server(&unit.name),
        UnitKind::Database => return database().map_or(Node::Machine, |database| Node::Server(&database.server)),
        UnitKind::Migration | UnitKind::Seed => database().and_then(|database| database.owner.as_ref()),
        UnitKind::Image | UnitKind::Setup => Some(&unit.name),
        UnitKind::Service | UnitKind::Task => graph.services.get(&unit.name).map(|service| &service.owner),
        UnitKind::Forward => None,
    };
    owner.map_or(Node::Machine, |owner| Node::Service(owner))
}

/// Why a service cannot be a process, when it cannot.
pub(crate) fn only_container(service: &Service) -> Option<&'static str> {
    // Of a service that is only there for its jobs nothing runs but these, and they say what.
    let says = service.run_here().is_some() || service.role == Role::Base;
    match (&service.image, says) {
        (Image::Ready(_), false) => Some("its `image` brings its own command"),
        (Image::Dockerfile(_), false) => Some("its Dockerfile says what to run"),
        (Image::Recipe(_), false) => Some("its image says what to run"),
        _ if !service.files.is_empty() => Some("its `files` lie at absolute paths"),
        _ => None,
    }
}

impl Runtimes {
    /// Chooses for the nodes of all units, and says what a person should know beside it.
    pub(crate) fn choose(
        graph: &Graph,
        units: &Units,
        asked: &Asked<'_>,
        records: &Records,
    ) -> Result<(Self, Vec<String>), Undecided> {
        let mut choosing = Choosing { graph, asked, records, notes: Vec::new() };
        let mut nodes = BTreeMap::new();
        for unit in units.keys() {
            match node_of(unit, graph) {
                Node::Service(owner) if !nodes.contains_key(&service_node(owner)) => {
                    nodes.insert(service_node(owner), choosing.service(owner)?);
                }
                Node::Server(server) if !nodes.contains_key(&server_node(server)) => {
                    nodes.insert(server_node(server), choosing.server(server)?);
                }
                _ => {}
            }
        }
        Ok((Self { nodes }, choosing.notes))
    }

    /// How a unit is made real.
    pub(crate) fn of(&self, unit: &Unit, graph: &Graph) -> RuntimeName {
        match node_of(unit, graph) {
            Node::Service(owner) => self.service(owner),
            Node::Server(server) => self.server(server),
            Node::Machine => RuntimeName::Process,
        }
    }

    /// How a service, one of its further processes or a job runs.
    pub(crate) fn service(&self, name: &str) -> RuntimeName {
        // A part's name is `OWNER.NAME`; a service's has no dot.
        let owner = name.split('.').next().unwrap_or(name);
        self.nodes.get(&service_node(owner)).copied().unwrap_or(RuntimeName::Process)
    }

    /// How a database server runs.
    pub(crate) fn server(&self, name: &str) -> RuntimeName {
        self.nodes.get(&server_node(name)).copied().unwrap_or(RuntimeName::Process)
    }

    /// Those that are used.
    pub(crate) fn used(&self) -> BTreeSet<RuntimeName> {
        self.nodes.values().copied().collect()
    }

    /// The choices, as they are remembered. What is said of everything is said of later nodes too.
    pub(crate) fn into_nodes(self, asked: &Asked<'_>) -> BTreeMap<String, RuntimeName> {
        let everything = asked.runtime.filter(|_| asked.named.is_empty());
        self.nodes.into_iter().chain(everything.map(|runtime| (EVERYTHING.to_owned(), runtime))).collect()
    }
}

struct Choosing<'a> {
    graph: &'a Graph,
    asked: &'a Asked<'a>,
    records: &'a Records,
    notes: Vec<String>,
}

impl Choosing<'_> {
    /// For whoever nothing was ever chosen for: what was said of everything, else containers where an engine answers.
    fn default(&self) -> Result<RuntimeName, Undecided> {
        match self.records.chosen.get(EVERYTHING) {
            Some(said) => Ok(*said),
            None => self.has_engine().map(|has| if has { RuntimeName::Docker } else { RuntimeName::Process }),
        }
    }

    fn has_engine(&self) -> Result<bool, Undecided> {
        self.asked.engine.ok_or(Undecided::AskEngine)
    }

    fn service(&self, owner: &str) -> Result<RuntimeName, Undecided> {
        let recorded = self.records.chosen.get(&service_node(owner)).copied();
        let parts: Vec<&Service> = self.graph.services.values().filter(|service| service.owner == owner).collect();
        let is_named = parts.iter().any(|part| self.asked.named.contains(&part.name));
        let only = parts.iter().find_map(|part| Some((*part, only_container(part)?)));
        let Some((part, why)) = only else {
            return match (self.asked.runtime, recorded) {
                (Some(asked), _) if is_named || self.asked.named.is_empty() => Ok(asked),
                (_, Some(recorded)) => Ok(recorded),
                // New: what is said about the services that need it is as good as said about it.
                (Some(asked), None) => Ok(asked),
                (None, None) => self.default(),
            };
        };
        if is_named && self.asked.runtime == Some(RuntimeName::Process) {
            return Err(Undecided::Impossible(format!(
                "{owner} cannot be a process: {why} ({}). Give it a `run` of its own, or leave it to Docker by not naming it",
                part.place
            )));
        }
        if !self.has_engine()? {
            return Err(Undecided::Impossible(format!(
                "{owner} can only be a container ({why}, {}), and no Docker engine answers: start one or set DOCKER_HOST",
                part.place
            )));
        }
        Ok(RuntimeName::Docker)
    }

    /// Why a server cannot be a process, when it cannot.
    fn server_only_container(&self, server: &str) -> Option<&'static str> {
        let wanted = self.graph.servers.get(server)?;
        let kind = self.graph.catalogue.databases.get(&wanted.kind)?;
        match (&kind.native, &wanted.image) {
            (None, _) => Some("its kind runs in a container only"),
            (_, Some(_)) => Some("it has an `image` of its own"),
            _ => None,
        }
    }

    /// A server with data stays where its data is; services around it may move.
    fn server(&mut self, server: &str) -> Result<RuntimeName, Undecided> {
        if let Some(why) = self.server_only_container(server) {
            return match self.has_engine()? {
                true => Ok(RuntimeName::Docker),
                false => Err(Undecided::Impossible(format!(
                    "{server} can only be a container ({why}), and no Docker engine answers: start one or set DOCKER_HOST"
                ))),
            };
        }
        let stored = self.records.servers.get(server).map(|stored| stored.runtime);
        match (self.asked.runtime, stored) {
            (Some(asked), Some(stored)) => {
                if asked != stored && self.asked.named.is_empty() {
                    let how = if stored == RuntimeName::Docker { "a container" } else { "a process" };
                    self.notes.push(format!(
                        "{server} stays {how}: its data is there; `ssi down --delete-data` would let it move"
                    ));
                }
                Ok(stored)
            }
            (None, Some(stored)) => Ok(stored),
            (Some(asked), None) => Ok(asked),
            (None, None) => match self.records.chosen.get(&server_node(server)) {
                Some(recorded) => Ok(*recorded),
                None => self.default(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Stored;
    use RuntimeName::{Docker, Process};
    use clustergraph::tree::Tree;

    /// `web` is a ready image, `api` has a `run` and a database, `job` has a `run`.
    fn graph() -> Graph {
        of(&[
            ("web", "name: web\nimage: nginx:1\ndependencies: [api]\n"),
            (
                "api",
                "name: api\nrun: [x]\ndatabases: [{ kind: postgres, version: '15', as: items }]\nprocesses: { worker: { run: [y] } }\n",
            ),
            ("job", "name: job\nrun: [x]\n"),
            ("etl", "name: etl\nstart: manual\njobs: [{ name: load, schedule: '0 3 * * *', run: [x] }]\n"),
        ])
    }

    fn of(services: &[(&str, &str)]) -> Graph {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in services {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("service.yaml"), text).unwrap();
        }
        std::process::Command::new("git").args(["init", "-q"]).current_dir(folder.path()).status().unwrap();
        Graph::build(&Tree::of_worktree(folder.path()).unwrap(), "local").unwrap()
    }

    fn choose(
        runtime: Option<RuntimeName>,
        named: &[&str],
        engine: bool,
        records: &Records,
    ) -> Result<(Vec<RuntimeName>, Vec<String>), String> {
        let graph = graph();
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        let services = graph.closure(&named.iter().cloned().collect());
        let asked = Asked { runtime, named: &named, engine: Some(engine) };
        match Runtimes::choose(&graph, &graph.units(&services, true), &asked, records) {
            Ok((of, notes)) => {
                let of = [of.service("web"), of.service("api"), of.service("job"), of.server("postgres-15")];
                Ok((of.to_vec(), notes))
            }
            Err(Undecided::Impossible(why)) => Err(why),
            Err(Undecided::AskEngine) => unreachable!(),
        }
    }

    fn recorded(nodes: &[(&str, RuntimeName)], data: Option<RuntimeName>) -> Records {
        Records {
            chosen: nodes.iter().map(|(node, runtime)| ((*node).to_owned(), *runtime)).collect(),
            servers: data
                .map(|runtime| ("postgres-15".to_owned(), Stored { runtime, incarnation: "first".into() }))
                .into_iter()
                .collect(),
            ..Records::default()
        }
    }

    #[test]
    fn an_engine_that_answers_is_the_default_and_processes_are_otherwise() {
        let new = Records::default();
        assert_eq!(choose(None, &[], true, &new).unwrap().0, [Docker; 4]);
        assert_eq!(choose(None, &["job"], false, &new).unwrap().0[2], Process);
        assert_eq!(choose(Some(Process), &[], true, &new).unwrap().0, [Docker, Process, Process, Process]);
        assert_eq!(choose(Some(Docker), &[], true, &new).unwrap().0, [Docker; 4]);
    }

    #[test]
    fn what_was_said_of_everything_is_said_of_later_nodes_too() {
        let graph = graph();
        let services = graph.closure(&BTreeSet::from(["job".to_owned()]));
        let asked = |named| Asked { runtime: Some(Process), named, engine: Some(true) };
        let chosen = |asked: &Asked<'_>| {
            let units = graph.units(&services, true);
            let (runtimes, _) = Runtimes::choose(&graph, &units, asked, &Records::default()).unwrap();
            Records { chosen: runtimes.into_nodes(asked), ..Records::default() }
        };
        let of_everything = choose(None, &[], true, &chosen(&asked(&[]))).unwrap().0;
        assert_eq!(of_everything, [Docker, Process, Process, Process]);
        let of_one = choose(None, &[], true, &chosen(&asked(&["job".to_owned()]))).unwrap().0;
        assert_eq!(of_one, [Docker, Docker, Process, Docker]);
    }

    #[test]
    fn what_holds_only_jobs_needs_no_container() {
        let graph = graph();
        let units = graph.units(&graph.closure(&BTreeSet::from(["etl.load".to_owned()])), true);
        let asked = Asked { runtime: Some(Process), named: &["etl.load".to_owned()], engine: Some(true) };
        let (runtimes, _) = Runtimes::choose(&graph, &units, &asked, &Records::default()).unwrap();
        assert_eq!(runtimes.service("etl.load"), Process);
    }

    #[test]
    fn an_engine_is_asked_only_where_it_matters() {
        let graph = graph();
        let ask = |named: &str, runtime| {
            let named = [named.to_owned()];
            let asked = Asked { runtime, named: &named, engine: None };
            let units = graph.units(&graph.closure(&BTreeSet::from(named.clone())), true);
            Runtimes::choose(&graph, &units, &asked, &Records::default()).map(drop)
        };
        assert_eq!(ask("job", None), Err(Undecided::AskEngine));
        assert_eq!(ask("job", Some(Process)), Ok(()));
        assert_eq!(ask("web", Some(Docker)), Err(Undecided::AskEngine));
    }

    #[test]
    fn what_can_only_be_a_container_is_one_and_otherwise_an_error_that_says_why() {
        let new = Records::default();
        let none = choose(None, &[], false, &new).unwrap_err();
        assert!(
            none.contains("web can only be a container (its `image` brings its own command, web/service.yaml:1:7)"),
            "{none}"
        );
        assert!(none.contains("no Docker engine answers"), "{none}");
        let named = choose(Some(Process), &["web"], true, &new).unwrap_err();
        assert!(named.contains("web cannot be a process") && named.contains("`run`"), "{named}");
    }

    #[test]
    fn a_kind_that_runs_in_containers_only_is_one_beside_processes() {
        let graph = of(&[("api", "name: api\nrun: [x]\ndatabases: [{ kind: mysql, as: items }]\n")]);
        let units = graph.units(&graph.closure(&BTreeSet::new()), true);
        let choose = |engine| {
            let asked = Asked { runtime: Some(Process), named: &[], engine: Some(engine) };
            Runtimes::choose(&graph, &units, &asked, &Records::default())
        };
        let (runtimes, _) = choose(true).unwrap();
        assert_eq!((runtimes.service("api"), runtimes.server("mysql-9.7")), (Process, Docker));
        let Err(Undecided::Impossible(why)) = choose(false) else { unreachable!() };
        assert!(why.starts_with("mysql-9.7 can only be a container (its kind runs in a container only)"), "{why}");
    }

    #[test]
    fn what_was_chosen_once_stays_until_somebody_says_otherwise() {
        let before =
            recorded(&[("service api", Process), ("service job", Docker), ("server postgres-15", Process)], None);
        assert_eq!(choose(None, &[], true, &before).unwrap().0, [Docker, Process, Docker, Process]);
        assert_eq!(choose(Some(Process), &["job"], true, &before).unwrap().0[2], Process);
        let with_part = choose(Some(Docker), &["api.worker"], true, &before).unwrap().0;
        assert_eq!(
            with_part[1], Docker,
            "a service and its further processes are made of the same, so they go together"
        );
        assert_eq!(choose(Some(Docker), &[], true, &before).unwrap().0, [Docker; 4]);
        let others = choose(Some(Docker), &["web"], true, &before).unwrap().0;
        assert_eq!(others, [Docker, Process, Process, Docker], "api was not named; a server without data goes along");
    }

    #[test]
    fn a_server_with_data_stays_and_services_move_around_it() {
        let before = recorded(&[("service api", Process), ("server postgres-15", Process)], Some(Process));
        let (runtimes, notes) = choose(Some(Docker), &[], true, &before).unwrap();
        assert_eq!(runtimes, [Docker, Docker, Docker, Process]);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains("postgres-15 stays a process: its data is there"), "{notes:?}");
        let (_, notes) = choose(Some(Docker), &["api"], true, &before).unwrap();
        assert!(notes.is_empty(), "nobody spoke of the server");
    }
}
