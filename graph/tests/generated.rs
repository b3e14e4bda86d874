//! What holds of every cluster, tried on generated ones: services, tasks, processes, jobs, databases of their own and of
//! others, edges of every kind.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use clustergraph::format::service::{Start, Wait};
use clustergraph::graph::{Graph, Key, Reading, Role, Snapshots, Unit, UnitKind, Units};
use clustergraph::plan::{Action, Observed, Step, Wanted, plan};
use clustergraph::tree::Tree;
use proptest::prelude::*;
use support::{Repo, told};

/// One node as it is generated: what it is, and what it has.
#[derive(Debug, Clone)]
struct Node {
    task: bool,
    manual: bool,
    image: bool,
    setup: bool,
    /// Nothing, a database, one with a migration, one with a seed, one with both.
    database: u8,
    processes: u8,
    job: bool,
    /// Whose database it uses, too.
    from: Option<u8>,
    /// Lower nodes that it depends on: which, how it waits, whether it also runs without.
    edges: Vec<(u8, u8, bool)>,
}

fn any_node() -> impl Strategy<Value = Node> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let edges = prop::collection::vec((any::<u8>(), any::<u8>(), prop::bool::weighted(0.2)), 0..4);
    (flags, 0u8..5, 0u8..3, prop::option::weighted(0.3, any::<u8>()), edges).prop_map(
        |((task, manual, image, setup, job), database, processes, from, edges)| Node {
            task: task && manual == image,
            manual: manual && setup && job,
            image,
            setup,
            database,
            processes,
            job,
            from,
            edges,
        },
    )
}

fn any_nodes() -> impl Strategy<Value = Vec<Node>> {
    prop::collection::vec(any_node(), 1..8)
}

fn name(number: usize) -> String {
    // Names in the reverse order of what may depend on what.
    format!("s{:02}", 99 - number)
}

fn text(number: usize, node: &Node, nodes: &[Node]) -> String {
    let mut text = format!("name: {}\nrun: [./run]\n", name(number));
    let mut edges = BTreeMap::new();
    for (target, wait, optional) in node.edges.iter().filter(|_| number > 0) {
        let target = usize::from(*target) % number;
        let waits: &[&str] =
            if nodes[target].task { &["completed", "ready", "started", "none"] } else { &["ready", "started", "none"] };
        let wait = waits[usize::from(*wait) % waits.len()];
        edges.insert(target, format!("{{ service: {}, wait: {wait}, optional: {optional} }}", name(target)));
    }
    let edges: Vec<String> = edges.into_values().collect();
    text.push_str(&format!("dependencies: [{}]\n", edges.join(", ")));
    let mut databases = Vec::new();
    let (migrate, seed) = (", migrate: { run: [./migrate] }", ", seed: { run: [./seed] }");
    let steps = ["", "", migrate, seed, &format!("{migrate}{seed}")][usize::from(node.database)].to_owned();
    if node.database > 0 {
        databases.push(format!("{{ kind: postgres, as: main{steps} }}"));
    }
    if let Some(other) = node.from.map(|other| usize::from(other) % nodes.len())
        && other != number
        && nodes[other].database > 0
    {
        // Of anyone, also of who comes later: that is no cycle, since its owner is not waited for.
        databases.push(format!("{{ from: {}/main, as: others }}", name(other)));
    }
    databases.push("{ from: shared, as: everybodys }".to_owned());
    text.push_str(&format!("databases: [{}]\n", databases.join(", ")));
    if node.manual {
        text.push_str("start: manual\n");
    }
    if node.setup {
        text.push_str("setup: [[./setup]]\n");
    }
    if node.image {
        text.push_str("build: {}\n");
    }
    if node.task {
        text.push_str("task: true\n");
        return text;
    }
    text.push_str("ports: { http: 80 }\n");
    let processes: Vec<String> = (0..node.processes).map(|number| format!("p{number}: {{ run: [./p] }}")).collect();
    text.push_str(&format!("processes: {{ {} }}\n", processes.join(", ")));
    if node.job {
        text.push_str("jobs: [{ name: nightly, schedule: '@daily', run: [./job] }]\n");
    }
    text
}

fn graph(nodes: &[Node]) -> Graph {
    repository(nodes).worktree()
}

fn repository(nodes: &[Node]) -> Repo {
    let repo = Repo::new();
    repo.write("clustergraph.yaml", "databases: { shared: { kind: postgres } }\n");
    for (number, node) in nodes.iter().enumerate() {
        repo.write(&format!("{}/service.yaml", name(number)), text(number, node, nodes));
        repo.write(&format!("{}/Dockerfile", name(number)), "FROM scratch\n");
    }
    repo
}

/// Some of the nodes, by bits; none means all that start by themselves.
fn roots(graph: &Graph, bits: u16) -> BTreeSet<String> {
    let bits = if bits.is_multiple_of(3) { 0 } else { bits };
    graph
        .services
        .keys()
        .enumerate()
        .filter(|(at, _)| bits >> (at % 16) & 1 == 1)
        .map(|(_, name)| name.clone())
        .collect()
}

fn wanted(units: &Units) -> BTreeMap<Unit, Wanted> {
    let key = |unit: &Unit| Key::of("test", &serde_json::json!(unit.to_string()));
    units.keys().map(|unit| (unit.clone(), Wanted { key: key(unit), parts: BTreeMap::new() })).collect()
}

/// Carries a plan out with as much at once as it allows, in the order that `pick` likes; `seen` hears of each step that
/// begins, with what is over and what has begun by then.
fn carry_out(steps: &[Step], pick: u64, mut seen: impl FnMut(&Step, &BTreeSet<Unit>, &BTreeSet<Unit>)) {
    let (mut over, mut begun) = (BTreeSet::new(), BTreeSet::new());
    let planned: BTreeSet<&Unit> = steps.iter().map(|step| &step.unit).collect();
    let mut turn = pick;
    while over.len() < steps.len() {
        let can = |step: &&Step| {
            !begun.contains(&step.unit)
                && step.after.iter().all(|unit| over.contains(unit) || !planned.contains(unit))
                && step.after_start.iter().all(|unit| begun.contains(unit) || !planned.contains(unit))
        };
        let ready: Vec<&Step> = steps.iter().filter(can).collect();
        let running: Vec<Unit> = begun.difference(&over).cloned().collect();
        turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let at = usize::try_from(turn >> 33).unwrap();
        if !ready.is_empty() && (running.is_empty() || at.is_multiple_of(2)) {
            let step = ready[at % ready.len()];
            seen(step, &over, &begun);
            begun.insert(step.unit.clone());
        } else {
            assert!(!running.is_empty(), "nothing can go on: {over:?} of {steps:?}");
            over.insert(running[at % running.len()].clone());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn nothing_starts_before_what_it_waits_for_and_all_stops_in_reverse(
        nodes in any_nodes(),
        bits in any::<u16>(),
        images in any::<bool>(),
        pick in any::<u64>(),
    ) {
        let graph = graph(&nodes);
        let units = graph.units(&graph.closure(&roots(&graph, bits)), images);
        let wanted = wanted(&units);
        let steps = plan(&wanted, &units, &BTreeMap::new(), &Units::new());
        prop_assert_eq!(steps.len(), units.len());
        carry_out(&steps, pick, |step, over, begun| {
            for (waited, wait) in &units[&step.unit] {
                let fine = over.contains(waited) || *wait == Wait::Started && begun.contains(waited);
                assert!(fine, "{} begins before {waited} is {}", step.unit, wait.as_str());
            }
        });
        // What is as it should be needs nothing.
        let observed: BTreeMap<Unit, Observed> = wanted
            .iter()
            .map(|(unit, want)| (unit.clone(), Observed { key: want.key, parts: BTreeMap::new(), alive: true }))
            .collect();
        prop_assert_eq!(plan(&wanted, &units, &observed, &units), Vec::new());
        // What nothing wants stops, and nothing of it before what waits for it.
        let steps = plan(&BTreeMap::new(), &Units::new(), &observed, &units);
        prop_assert!(steps.iter().all(|step| step.action == Action::Stop && step.unit.kind.runs()));
        prop_assert_eq!(steps.len(), units.keys().filter(|unit| unit.kind.runs()).count());
        carry_out(&steps, pick, |step, over, _| {
            for (other, waits) in units.iter().filter(|(other, _)| other.kind.runs()) {
                assert!(!waits.contains_key(&step.unit) || over.contains(other), "{} stops before {other}", step.unit);
            }
        });
    }

    #[test]
    fn what_starts_is_what_is_needed_and_nothing_else(nodes in any_nodes(), bits in any::<u16>()) {
        let graph = graph(&nodes);
        let roots = roots(&graph, bits);
        let closure = graph.closure(&roots);
        let is_job = |name: &String| matches!(graph.services[name].role, Role::Job { .. });
        let needed = |name: &String| {
            closure.iter().any(|other| {
                graph.services[other].dependencies.iter().any(|edge| !edge.optional && edge.service == *name)
                    || graph.services[name].owner == *other && !is_job(name)
            })
        };
        for name in graph.services.keys() {
            let service = &graph.services[name];
            let named = if roots.is_empty() { service.start == Start::Automatic && !is_job(name) } else { roots.contains(name) };
            prop_assert_eq!(closure.contains(name), named || needed(name), "{}", name);
        }
        let units = graph.units(&closure, true);
        for name in graph.services.keys() {
            let made = |kind: UnitKind| units.contains_key(&Unit::new(kind, name.as_str()));
            let service = &graph.services[name];
            prop_assert_eq!(made(UnitKind::Service), closure.contains(name) && service.role == Role::Service);
            prop_assert_eq!(made(UnitKind::Task), closure.contains(name) && service.role != Role::Service);
        }
        for (unit, waits) in &units {
            for waited in waits.keys() {
                prop_assert!(units.contains_key(waited), "{} waits for {}, which is none of the units", unit, waited);
            }
        }
        for service in closure.iter().map(|name| &graph.services[name]) {
            for address in &service.databases {
                prop_assert!(units.contains_key(&Unit::new(UnitKind::Database, address)));
                let database = &graph.databases[address];
                for (kind, exists) in
                    [(UnitKind::Migration, database.migrate.is_some()), (UnitKind::Seed, database.seed.is_some())]
                {
                    prop_assert_eq!(units.contains_key(&Unit::new(kind, address)), exists);
                }
            }
        }
    }

    #[test]
    fn what_is_kept_of_it_is_what_reading_tells_and_so_is_what_follows(nodes in any_nodes(), edited in any::<prop::sample::Index>()) {
        let repo = repository(&nodes);
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::at(folder.path());
        repo.commit();
        let head = || Tree::of_commit(&repo.root(), "HEAD").unwrap();
        let known = |tree: &Tree| told(&snapshots.graph(tree, "local").unwrap());
        let whole = |tree: &Tree| told(&Graph::build(tree, "local").unwrap());
        let before = head();
        known(&before);
        prop_assert_eq!(known(&before), whole(&before));
        repo.write(&format!("{}/Dockerfile", name(edited.index(nodes.len()))), "FROM scratch\nUSER 1\n");
        repo.commit();
        let after = head();
        prop_assert_eq!(known(&after), whole(&after));
        prop_assert_eq!(known(&after), whole(&after));
        let read = |tree| snapshots.read(tree, "local").unwrap();
        let (old, new) = Reading::differing(read(&before), read(&after)).unwrap();
        let diff = Graph::build(&before, "local").unwrap().diff(&Graph::build(&after, "local").unwrap());
        prop_assert_eq!(format!("{:?}", old.diff(&new)), format!("{diff:?}"));
    }

    #[test]
    fn who_reads_it_when_makes_no_other_cluster(nodes in any_nodes()) {
        let (one, other) = (graph(&nodes), graph(&nodes));
        support::assert_same(&one, &other);
        let servers: BTreeSet<&String> = one.databases.values().map(|database| &database.server).collect();
        prop_assert_eq!(servers, one.servers.keys().collect());
    }
}
