//! What holds of every repository, graph and plan, tried on generated ones.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use clustergraph::format::service::Wait;
use clustergraph::graph::{BuildError, Graph, Key, Unit, UnitKind, Units};
use clustergraph::plan::{Action, Observed, Wanted, plan};
use clustergraph::tree::Tree;
use proptest::prelude::*;
use support::Repo;

// --- Plans.

const KINDS: [UnitKind; 6] =
    [UnitKind::Setup, UnitKind::Server, UnitKind::Database, UnitKind::Migration, UnitKind::Seed, UnitKind::Service];

fn key(number: u8) -> Key {
    Key::of("test", &serde_json::json!(number))
}

/// Units that wait only for units of lower numbers, and the reverse of that order in their names.
fn units(edges: &[(u8, u8)], kinds: &[u8]) -> Units {
    let unit = |number: usize| {
        let kind = KINDS[usize::from(kinds[number]) % KINDS.len()];
        Unit::new(kind, format!("n{:03}", 999 - number))
    };
    let mut units: Units = (0..kinds.len()).map(|number| (unit(number), BTreeMap::new())).collect();
    for (number, (one, other)) in edges.iter().enumerate() {
        let (one, other) = (usize::from(*one) % kinds.len(), usize::from(*other) % kinds.len());
        if one != other {
            let wait = if number.is_multiple_of(2) { Wait::Ready } else { Wait::Started };
            units.get_mut(&unit(one.max(other))).unwrap().insert(unit(one.min(other)), wait);
        }
    }
    units
}

prop_compose! {
    fn any_units()(
        kinds in prop::collection::vec(any::<u8>(), 1..25),
        edges in prop::collection::vec((any::<u8>(), any::<u8>()), 0..60),
    ) -> Units {
        units(&edges, &kinds)
    }
}

fn wanted(units: &Units, keys: &[u8]) -> BTreeMap<Unit, Wanted> {
    units
        .keys()
        .zip(keys.iter().cycle())
        .map(|(unit, number)| (unit.clone(), Wanted { key: key(*number), parts: BTreeMap::new() }))
        .collect()
}

/// What was observed of some of the units, by one byte each: absent, dead or alive, with the key or another.
fn observed(wanted: &BTreeMap<Unit, Wanted>, states: &[u8]) -> BTreeMap<Unit, Observed> {
    wanted
        .iter()
        .zip(states.iter().cycle())
        .filter(|(_, state)| **state % 5 > 0)
        .map(|((unit, want), state)| {
            let key = if state % 5 > 2 { want.key } else { key(99) };
            (unit.clone(), Observed { key, parts: BTreeMap::new(), alive: state % 2 == 0 })
        })
        .collect()
}

fn reaches(from: &Unit, to: &Unit, waits: &Units) -> bool {
    waits[from].keys().any(|waited| waited == to || reaches(waited, to, waits))
}

proptest! {
    #[test]
    fn from_nothing_all_is_started_and_nothing_before_what_it_waits_for(units in any_units()) {
        let wanted = wanted(&units, &[1]);
        let steps = plan(&wanted, &units, &BTreeMap::new(), &Units::new());
        let order: Vec<&Unit> = steps.iter().map(|step| &step.unit).collect();
        prop_assert_eq!(order.iter().copied().collect::<BTreeSet<_>>(), units.keys().collect());
        prop_assert_eq!(order.len(), units.len());
        for (at, step) in steps.iter().enumerate() {
            prop_assert_eq!(step.action, Action::Start);
            for (waited, wait) in &units[&step.unit] {
                // Another way may lead there that is stricter.
                let begun = *wait == Wait::Started && step.after_start.contains(waited);
                prop_assert!(step.after.contains(waited) || begun);
                prop_assert!(order[..at].contains(&waited));
            }
            prop_assert!(step.after.is_disjoint(&step.after_start));
            for after in step.after.iter().chain(&step.after_start) {
                prop_assert!(reaches(&step.unit, after, &units));
            }
        }
    }

    #[test]
    fn what_nothing_wants_stops_in_reverse_order(units in any_units(), states in prop::collection::vec(any::<u8>(), 1..25)) {
        let observed = observed(&wanted(&units, &[1]), &states);
        let steps = plan(&BTreeMap::new(), &Units::new(), &observed, &units);
        let runs = |unit: &Unit| matches!(unit.kind, UnitKind::Server | UnitKind::Service);
        let alive: BTreeSet<&Unit> =
            observed.iter().filter(|(unit, found)| found.alive && runs(unit)).map(|(unit, _)| unit).collect();
        prop_assert_eq!(steps.iter().map(|step| &step.unit).collect::<BTreeSet<_>>(), alive.clone());
        for (at, step) in steps.iter().enumerate() {
            prop_assert_eq!(step.action, Action::Stop);
            let want: BTreeSet<Unit> =
                alive.iter().filter(|other| reaches(other, &step.unit, &units)).map(|unit| (*unit).clone()).collect();
            prop_assert_eq!(&step.after, &want);
            for other in &step.after {
                prop_assert!(steps[..at].iter().any(|before| before.unit == *other));
            }
        }
    }

    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_do(
        units in any_units(),
        keys in prop::collection::vec(0u8..3, 1..25),
        states in prop::collection::vec(any::<u8>(), 1..25),
        unwanted in any::<u8>(),
    ) {
        let mut all = wanted(&units, &keys);
        let mut world = observed(&all, &states);
        let unwanted = all.keys().nth(usize::from(unwanted) % all.len()).cloned().unwrap();
        all.remove(&unwanted);
        for step in plan(&all, &units, &world, &units) {
            for waited in &step.after {
                let over = world.get(waited).is_some_and(|found| found.alive) != (step.action == Action::Stop);
                prop_assert!(over, "{:?} before {:?}", step, waited);
            }
            match step.action {
                Action::Stop => drop(world.remove(&step.unit)),
                Action::Start | Action::Restart => {
                    let want = &all[&step.unit];
                    if step.action == Action::Restart {
                        prop_assert!(world[&step.unit].alive);
                    }
                    world.insert(step.unit, Observed { key: want.key, parts: want.parts.clone(), alive: true });
                }
            }
        }
        prop_assert_eq!(plan(&all, &units, &world, &units), Vec::new());
    }
}

// --- Graphs.

/// A repository of services `s00`, `s01`, ... that depend only on lower numbers, some with a database.
fn repository(edges: &[(u8, u8, u8)], databases: &[bool]) -> Repo {
    let repo = Repo::new();
    for (number, database) in databases.iter().enumerate() {
        let mut waits = BTreeMap::new();
        for (one, other, wait) in edges {
            let (one, other) = (usize::from(*one) % databases.len(), usize::from(*other) % databases.len());
            if one.max(other) == number && one != other {
                waits.insert(one.min(other), ["ready", "started", "none"][usize::from(*wait) % 3]);
            }
        }
        let edges: Vec<String> =
            waits.iter().map(|(other, wait)| format!("{{ service: s{other:02}, wait: {wait} }}")).collect();
        let database = if *database {
            "databases: [{ kind: postgres, migrate: { run: [./migrate] }, seed: { run: [./seed] } }]\nsetup: [[./setup]]\n"
        } else {
            ""
        };
        let text = format!(
            "name: s{number:02}\nrun: [./run]\nports: {{ http: 80 }}\ndependencies: [{}]\n{database}",
            edges.join(", ")
        );
        repo.write(&format!("s{number:02}/service.yaml"), text);
    }
    repo
}

fn below(graph: &Graph, name: &str) -> BTreeSet<String> {
    let edges = &graph.services[name].dependencies;
    edges.iter().flat_map(|edge| below(graph, &edge.service)).chain([name.to_owned()]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn closures_and_units_hold_all_that_is_needed_and_nothing_else(
        edges in prop::collection::vec((any::<u8>(), any::<u8>(), any::<u8>()), 0..16),
        databases in prop::collection::vec(any::<bool>(), 1..9),
        root in any::<u8>(),
    ) {
        let graph = repository(&edges, &databases).worktree();
        let root = graph.services.keys().nth(usize::from(root) % databases.len()).cloned().unwrap();
        let closure = graph.closure(&BTreeSet::from([root.clone()]));
        prop_assert_eq!(&closure, &below(&graph, &root));
        let all: BTreeSet<String> = graph.services.keys().cloned().collect();
        prop_assert_eq!(graph.closure(&BTreeSet::new()), all.clone());
        for name in &all {
            prop_assert_eq!(graph.dependents(name).contains(&root), *name != root && closure.contains(name));
        }
        let units = graph.units(&closure, false);
        for (unit, waits) in &units {
            for waited in waits.keys() {
                prop_assert!(units.contains_key(waited), "{unit} waits for {waited}, which is none of the units");
                prop_assert!(!reaches(waited, unit, &units), "{unit} waits for itself");
            }
        }
        let has = |kind, name: &str| units.contains_key(&Unit::new(kind, name));
        for name in &all {
            prop_assert_eq!(has(UnitKind::Service, name), closure.contains(name));
            let stores = closure.contains(name) && !graph.services[name].databases.is_empty();
            let address = format!("{name}/postgres");
            for kind in [UnitKind::Database, UnitKind::Migration, UnitKind::Seed] {
                prop_assert_eq!(has(kind, &address), stores);
            }
            prop_assert_eq!(has(UnitKind::Setup, name), stores);
            if stores {
                let service = Unit::new(UnitKind::Service, name.as_str());
                for (later, earlier) in [
                    (service.clone(), Unit::new(UnitKind::Seed, &address)),
                    (service, Unit::new(UnitKind::Setup, name.as_str())),
                    (Unit::new(UnitKind::Seed, &address), Unit::new(UnitKind::Migration, &address)),
                    (Unit::new(UnitKind::Migration, &address), Unit::new(UnitKind::Database, &address)),
                    (Unit::new(UnitKind::Migration, &address), Unit::new(UnitKind::Setup, name.as_str())),
                    (Unit::new(UnitKind::Database, &address), Unit::new(UnitKind::Server, "postgres-17")),
                ] {
                    prop_assert!(reaches(&later, &earlier, &units), "{later} does not wait for {earlier}");
                }
            }
            for edge in graph.services[name].dependencies.iter().filter(|_| closure.contains(name)) {
                let unit = Unit::new(UnitKind::Service, name.as_str());
                let waits = units[&unit].get(&Unit::new(UnitKind::Service, &edge.service));
                prop_assert_eq!(waits.copied(), (edge.wait != Wait::None).then_some(edge.wait));
            }
        }
    }

    // --- Bytes of any kind.

    #[test]
    fn files_of_any_bytes_give_a_graph_or_problems(
        service in prop::collection::vec(any::<u8>(), 0..200),
        repository in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        report(&service, &repository);
    }

    #[test]
    fn files_that_are_nearly_right_give_a_graph_or_problems(
        lines in prop::collection::vec("(name|run|ports|env|databases|dependencies|clusters|health|stack|include|ignore| )(:|: )([a-z\\[\\]{}:,&*!|>'\" \t$é~-]{0,12}|\\{ (local|http|A|service|kind): [a-z\\[\\]${}.é]{0,9} \\})", 0..8),
    ) {
        report(lines.join("\n").as_bytes(), b"services: [\"*\"]\n");
    }

    #[test]
    fn a_full_file_with_some_words_changed_gives_a_graph_or_problems(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
    ) {
        // Words of the file in each other's places: what is written is nearly right, and means something else.
        let mut words: Vec<&str> = WORDS.split_inclusive([' ', '\n', ',', '{', '}', '[', ']', ':', '"', '/']).collect();
        for (from, to) in changes {
            let word = words[from.index(words.len())];
            *to.get_mut(&mut words) = word;
        }
        report(words.concat().as_bytes(), b"databases: { shared: { kind: kafka, topics: [a] } }\n");
    }

    // --- Folders.

    #[test]
    fn a_folder_has_the_id_that_git_write_tree_gives_it(
        paths in prop::collection::btree_set("(a|b|a\\.b|a-b|a0|ab|é|A)(/(a|b|a\\.b|a-b|a0|x y))?(/(a|a\\.b|b))?", 1..12),
        executable in any::<u8>(),
    ) {
        let repo = Repo::new();
        let mut written: Vec<&String> = Vec::new();
        for path in &paths {
            // A name is a file or a folder, not both.
            if !written.iter().any(|other| path.starts_with(&format!("{other}/")) || other.starts_with(&format!("{path}/"))) {
                repo.write(path, path);
                written.push(path);
            }
        }
        {
            use std::os::unix::fs::PermissionsExt;
            let path = repo.path(written[usize::from(executable) % written.len()]);
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let read = Tree::of_worktree(&repo.root()).unwrap().root().oid();
        repo.git(&["add", "--all"]);
        prop_assert_eq!(read.to_string(), repo.git(&["write-tree"]).trim().to_owned());
        prop_assert_eq!(read, Tree::of_worktree(&repo.root()).unwrap().root().oid());
    }
}

/// A service with most of the grammar.
const WORDS: &str = r#"name: web
stack: command
dependencies: [{ service: web, as: me, wait: none, optional: true }]
databases: [{ kind: postgres, version: "16", as: main, params: { a: b }, settings: { c: d }, extensions: [e], migrate: { run: [m], compatible: "7" } }, { from: web/main, as: other }, { from: shared }]
ports: { http: 80, grpc: { port: 81, protocol: grpc, primary: true } }
health: { grpc: true, port: grpc, timeout: 1s, liveness: { http: /livez }, headers: { A: b } }
env: { A: "${self.url}", B: "${databases.main.url}${secrets.KEY}", C: "${services.me.ports.http.addr}", D: "${self.public_url}" }
passthrough: [HOME_PAGE]
secrets: [KEY, { name: OTHER, dev: x, optional: true }]
run: [./web]
setup: [[a], [b]]
volumes: { data: /data }
files: { /etc/x: service.yaml }
processes: { worker: { run: [w], env: { A: "${version}" }, scale: { replicas: 2 }, health: { log: ready } } }
jobs: [{ name: nightly, schedule: "0 3 * * *", run: [j] }]
start: manual
restart: on-failure
public: { path: / }
scale: { replicas: 2, min: 1, max: 3, cpu: 70 }
resources: { cpu: 250m, memory: 256Mi }
clusters: { local: { env: { A: null, E: f }, processes: { worker: { run: [x] } } }, other: { run: null } }
"#;

fn report(service: &[u8], repository: &[u8]) {
    let repo = Repo::new();
    repo.write("web/service.yaml", service);
    repo.write("clustergraph.yaml", repository);
    match Graph::build(&Tree::of_worktree(&repo.root()).unwrap(), "local") {
        Ok(graph) => assert!(!graph.services.is_empty()),
        Err(BuildError::Problems(problems)) => {
            assert!(!problems.is_empty());
            assert!(!problems.render(false, 100).is_empty());
            assert!(!problems.render(true, 1).is_empty());
        }
        Err(BuildError::Tree(error)) => unreachable!("{error}"),
    }
}
