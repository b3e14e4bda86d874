//! What is said to lie between two graphs, case by case and on generated ones.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use clustergraph::diff::{Cause, ChangeKind, Diff, FileChangeKind, MoveKind, Node, NodeKind};
use clustergraph::graph::Graph;
use clustergraph::tree::Tree;
use proptest::prelude::*;
use support::Repo;

fn service(name: &str) -> Node {
    Node::new(NodeKind::Service, name)
}

/// A chain as names.
fn chains(diff: &Diff, name: &str) -> Vec<String> {
    let names = |chain: Vec<&Node>| chain.iter().map(ToString::to_string).collect::<Vec<_>>().join(" < ");
    diff.chains(&service(name)).into_iter().map(names).collect()
}

/// Nodes with what became of them.
fn kinds(diff: &Diff) -> Vec<String> {
    diff.changes.iter().map(|(node, change)| format!("{node} {}", change.kind.as_str())).collect()
}

/// The fields that were edited of a node, as `NAME BEFORE AFTER LINE`.
fn fields(diff: &Diff, node: &Node) -> Vec<String> {
    let own = diff.changes.get(node).map(|change| change.own.as_slice()).unwrap_or_default();
    let field = |cause: &Cause| match cause {
        Cause::Field(field) => Some(format!(
            "{} {} {} {}",
            field.field,
            field.before.as_deref().unwrap_or("-"),
            field.after.as_deref().unwrap_or("-"),
            field.place.as_ref().map_or_else(|| "-".to_owned(), |place| format!("{}:{}", place.file, place.line))
        )),
        _ => None,
    };
    own.iter().filter_map(field).collect()
}

/// `www` calls `order`, which calls `flags` and stores in a database with a migration.
fn shop() -> Repo {
    let repo = Repo::new();
    repo.write("www/service.yaml", "name: www\nrun: [./run]\ndependencies: [order]\nports: { http: 80 }\n");
    repo.write("www/run", "www\n");
    repo.write(
        "order/service.yaml",
        "name: order\nrun: [./run]\nports: { http: 80 }\ndependencies: [flags]\nenv:\n  LEVEL: info\n  KEPT: a\n\
         databases:\n  - kind: postgres\n    version: \"15\"\n    as: orders\n    migrate: { run: [./migrate], schema: schema }\n\
         processes: { worker: { run: [./worker] } }\n",
    );
    repo.write("order/run", "order\n");
    repo.write("order/schema/1.sql", "create\n");
    repo.write("flags/service.yaml", "name: flags\nrun: [./run]\nports: { http: 80 }\n");
    repo.write("flags/run", "flags\n");
    repo.commit();
    repo
}

fn edited(repo: &Repo, edit: impl FnOnce(&Repo)) -> Diff {
    let before = repo.worktree();
    edit(repo);
    before.diff(&repo.worktree())
}

fn replace(repo: &Repo, path: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(repo.path(path)).unwrap();
    assert!(text.contains(from), "{path} has no {from}");
    repo.write(path, text.replace(from, to));
}

#[test]
fn nothing_lies_between_a_graph_and_itself_nor_between_a_clean_work_tree_and_its_commit() {
    let repo = shop();
    let diff = repo.worktree().diff(&repo.head());
    assert!(diff.is_empty() && diff.operation.is_empty() && diff.refactorings.is_empty());
    // What only looks different is not.
    let diff =
        edited(&repo, |repo| replace(repo, "order/service.yaml", "name: order\n", "# a comment\nname: \"order\"\n\n"));
    assert!(diff.is_empty() && diff.operation.is_empty(), "{:?}", diff.changes);
}

#[test]
fn an_edited_file_is_the_reason_of_all_that_depends_on_it() {
    let diff = edited(&shop(), |repo| repo.write("flags/run", "new\n"));
    assert_eq!(kinds(&diff), ["flags changed", "order changed", "order.worker changed", "www changed"]);
    assert_eq!(chains(&diff, "www"), ["www < order < flags"]);
    assert_eq!(chains(&diff, "flags"), ["flags"]);
    let Cause::Files(files) = &diff.changes[&service("flags")].own[0] else { panic!("{diff:?}") };
    assert_eq!(
        (files.count, files.named[0].path.as_str(), files.named[0].kind),
        (1, "flags/run", FileChangeKind::Modified)
    );
}

#[test]
fn files_are_told_apart_by_what_became_of_them_and_many_are_counted() {
    let repo = shop();
    let diff = edited(&repo, |repo| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(repo.path("www/run"), std::fs::Permissions::from_mode(0o755)).unwrap();
        for number in 10..60 {
            repo.write(&format!("flags/many/{number}"), number.to_string());
        }
        repo.remove("flags/run");
        repo.write("flags/run/now-a-folder", "x");
    });
    let files = |name: &str| match &diff.changes[&service(name)].own[0] {
        Cause::Files(files) => files.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(files("www").named[0].kind, FileChangeKind::Mode);
    assert_eq!(files("flags").count, 52);
    assert!(files("flags").named.len() < 52);
    let repo = shop();
    let diff = edited(&repo, |repo| {
        repo.remove("flags/run");
        repo.write("flags/run/now-a-folder", "x");
    });
    let Cause::Files(files) = &diff.changes[&service("flags")].own[0] else { panic!("{diff:?}") };
    let found: Vec<_> = files.named.iter().map(|file| (file.path.as_str(), file.kind)).collect();
    assert_eq!(found, [("flags/run", FileChangeKind::Removed), ("flags/run/now-a-folder", FileChangeKind::Added)]);
}

#[test]
fn edited_fields_are_named_with_the_line_where_they_are_written() {
    let diff = edited(&shop(), |repo| {
        replace(
            repo,
            "order/service.yaml",
            "  LEVEL: info\n  KEPT: a\n",
            "  KEPT: a\n  LEVEL: debug\n  URL: ${services.flags.url}\n",
        );
        replace(repo, "order/service.yaml", "http: 80", "http: 81, admin: 82");
    });
    assert_eq!(
        fields(&diff, &service("order")),
        [
            "env.LEVEL info debug order/service.yaml:7",
            "env.URL - http://${services.flags.host}:${services.flags.ports.http.port} order/service.yaml:8",
            "ports.admin - http 82 order/service.yaml:3",
            "ports.http http 80 http 81 order/service.yaml:3",
        ]
    );
    // The worker has the variable, too, because its service has.
    assert_eq!(chains(&diff, "order.worker"), ["order.worker < order"]);
    // What is wired of a port is not told of who is wired to it.
    assert_eq!(fields(&diff, &service("www")), Vec::<String>::new());
    assert_eq!(chains(&diff, "www"), ["www < order"]);
}

#[test]
fn every_field_that_an_id_covers_is_a_reason() {
    let base = "name: web\nrun: [./run]\nports: { http: 80 }\n";
    for (changed, field) in [
        ("name: web\nrun: [./other]\nports: { http: 80 }\n", "run"),
        ("name: web\nrun: [./run]\nports: { http: { port: 80, protocol: tcp } }\n", "ports.http"),
        ("name: web\nrun: [./run]\nports: { http: 80 }\nsetup: [./setup]\n", "setup"),
        ("name: web\nrun: [./run]\nports: { http: 80 }\nsecrets: [KEY]\n", "secrets.KEY"),
        ("name: web\nrun: [./run]\nports: { http: 80 }\npassthrough: [TERM]\n", "passthrough"),
        ("name: web\nrun: [./run]\nports: { http: 80 }\nvolumes: { data: /data }\n", "volumes.data"),
        ("name: web\nrun: [./run]\nports: { http: 80 }\nimage: a/b:1\n", "image"),
        ("name: web\nrun: [./run]\nports: { http: 80 }\nstack: node\n", "stack.name"),
        ("name: web\nrun: [./run]\ntask: true\n", "role"),
        ("name: web\nrun: [./run]\nports: { http: 80 }\nbuild: { dockerfile: run, args: { A: b } }\n", "build.args.A"),
        ("name: web\nrun: [./run]\nports: { http: 80 }\nfiles: { /etc/x: service.yaml }\n", "files./etc/x"),
    ] {
        let repo = Repo::new();
        repo.write("web/service.yaml", base);
        repo.write("web/run", "FROM scratch\n");
        let diff = edited(&repo, |repo| repo.write("web/service.yaml", changed));
        let found = fields(&diff, &service("web"));
        assert!(found.iter().any(|found| found.starts_with(&format!("{field} "))), "{field}: {found:?}");
    }
}

#[test]
fn a_version_and_a_migration_are_reasons_of_whoever_stores_there() {
    let repo = shop();
    repo.write("report/service.yaml", "name: report\nrun: [./run]\ndatabases: [{ from: order/orders }]\n");
    let diff = edited(&repo, |repo| replace(repo, "order/service.yaml", "\"15\"", "\"16\""));
    let address = Node::new(NodeKind::Database, "order/orders");
    assert_eq!(fields(&diff, &address), ["version 15 16 order/service.yaml:9"]);
    assert_eq!(chains(&diff, "report"), ["report < order/orders"]);
    assert_eq!(chains(&diff, "www"), ["www < order < order/orders"]);
    assert!(
        kinds(&diff).contains(&"postgres-15 removed".to_owned())
            && kinds(&diff).contains(&"postgres-16 added".to_owned())
    );
    let diff = edited(&repo, |repo| repo.write("order/schema/2.sql", "alter\n"));
    assert_eq!(chains(&diff, "report"), ["report < order/orders:migrate"]);
    let migration = &diff.changes[&Node::new(NodeKind::Migration, "order/orders")];
    let Cause::Files(files) = &migration.own[0] else { panic!("{migration:?}") };
    assert_eq!(files.named[0].path, "order/schema/2.sql");
    // It is among the sources of its owner: once is enough.
    assert_eq!(chains(&diff, "order"), ["order"]);
}

#[test]
fn a_service_that_calls_or_stores_elsewhere_is_rewired() {
    let repo = shop();
    repo.write("pay/service.yaml", "name: pay\nrun: [./run]\nports: { http: 80 }\n");
    let diff = edited(&repo, |repo| {
        replace(repo, "www/service.yaml", "[order]", "[{ service: pay, as: order }, flags]");
        replace(repo, "order/service.yaml", "as: orders", "as: kept");
    });
    assert_eq!(diff.changes[&service("www")].kind, ChangeKind::Rewired);
    assert_eq!(diff.changes[&service("order")].kind, ChangeKind::Rewired);
    let edges = |name: &str| -> Vec<_> {
        let edge = |cause: &Cause| match cause {
            Cause::Edge(edge) => Some((edge.edge.clone(), edge.before.clone(), edge.after.clone())),
            _ => None,
        };
        diff.changes[&service(name)].own.iter().filter_map(edge).collect()
    };
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(
        edges("www"),
        [("flags".to_owned(), None, name("flags")), ("order".to_owned(), name("order"), name("pay"))]
    );
    let [old, new] = ["order/orders", "order/kept"];
    assert_eq!(edges("order"), [(new.to_owned(), None, name(new)), (old.to_owned(), name(old), None)]);
    // What the edges give as variables is not told again.
    assert_eq!(fields(&diff, &service("www")), Vec::<String>::new());
    assert_eq!(fields(&diff, &service("order")), Vec::<String>::new());
    // The same service under another name, and waited for otherwise, is no other service.
    let diff =
        edited(&repo, |repo| replace(repo, "www/service.yaml", "flags]", "{ service: flags, as: f, wait: started }]"));
    assert_eq!(diff.changes[&service("www")].kind, ChangeKind::Changed);
    let line = "www/service.yaml:3";
    assert_eq!(
        fields(&diff, &service("www")),
        [format!("dependencies.f.as flags f {line}"), format!("dependencies.f.wait ready started {line}")]
    );
}

#[test]
fn what_is_only_operated_otherwise_changes_no_id() {
    let repo = shop();
    let before = repo.worktree();
    let diff = edited(&repo, |repo| {
        let more = "scale: { replicas: 3 }\nlabels: { team: web }\nhealth: { http: /up }\npublic: { path: / }\n";
        let text = std::fs::read_to_string(repo.path("www/service.yaml")).unwrap();
        repo.write("www/service.yaml", format!("{text}{more}"));
    });
    assert!(diff.is_empty());
    assert_eq!(before.version, diff.after);
    let found: Vec<String> = diff.operation[&service("www")].iter().map(|field| field.field.clone()).collect();
    let wanted = ["health.probe", "health.start_timeout", "health.timeout", "labels.team", "public", "scale.replicas"];
    assert_eq!(found, wanted);
}

#[test]
fn a_value_that_stands_for_a_secret_is_never_shown() {
    let repo = Repo::new();
    let text = |dev: &str| {
        format!("name: web\nrun: [./run]\nsecrets: [{{ name: KEY, dev: {dev} }}]\nenv: {{ A: \"${{secrets.KEY}}\" }}\n")
    };
    repo.write("web/service.yaml", text("hunter2"));
    let diff = edited(&repo, |repo| repo.write("web/service.yaml", text("hunter3")));
    assert!(diff.is_empty());
    assert!(!format!("{diff:?}").contains("hunter"), "{diff:?}");
    assert_eq!(diff.operation[&service("web")][0].field, "secrets.KEY.dev");
}

#[test]
fn services_that_call_each_other_have_chains_that_end() {
    let repo = shop();
    replace(&repo, "flags/service.yaml", "ports:", "dependencies: [{ service: www, wait: none }]\nports:");
    let diff = edited(&repo, |repo| repo.write("flags/run", "new\n"));
    assert_eq!(chains(&diff, "www"), ["www < order < flags"]);
    assert_eq!(chains(&diff, "order"), ["order < flags"]);
    assert_eq!(chains(&diff, "flags"), ["flags"]);
    let diff = edited(&repo, |repo| repo.write("www/run", "new\n"));
    assert_eq!(chains(&diff, "order"), ["order < flags < www"]);
}

#[test]
fn a_split_a_new_name_and_a_merge_are_seen_by_the_files_that_moved() {
    let repo = Repo::new();
    let declared = |name: &str, more: &str| format!("name: {name}\nrun: [./run]\nports: {{ http: 80 }}\n{more}");
    repo.write("order/service.yaml", declared("order", ""));
    repo.write("www/service.yaml", declared("www", "dependencies: [order]\n"));
    for file in ["run", "one", "two", "three", "four"] {
        repo.write(&format!("order/{file}"), file);
    }
    let moved = |repo: &Repo, from: &str, to: &str| {
        std::fs::create_dir_all(repo.path(to).parent().unwrap()).unwrap();
        std::fs::rename(repo.path(from), repo.path(to)).unwrap();
    };
    let diff = edited(&repo, |repo| {
        repo.write("billing/service.yaml", declared("billing", ""));
        repo.write("billing/run", "other");
        moved(repo, "order/one", "billing/one");
        moved(repo, "order/two", "billing/two");
        repo.write("www/service.yaml", declared("www", "dependencies: [order, billing]\n"));
    });
    let said = |diff: &Diff| -> Vec<String> {
        diff.refactorings.iter().flat_map(|group| &group.moves).map(ToString::to_string).collect()
    };
    assert_eq!(said(&diff), ["order split into order and billing"]);
    assert_eq!(diff.refactorings[0].moves[0].files, 2);
    assert_eq!(diff.refactorings[0].nodes, ["billing", "order", "www"].map(service));
    let diff = edited(&repo, |repo| {
        moved(repo, "billing", "bills");
        repo.write("bills/service.yaml", declared("bills", ""));
        repo.write("www/service.yaml", declared("www", "dependencies: [order, bills]\n"));
    });
    assert_eq!(said(&diff), ["billing renamed to bills"]);
    let diff = edited(&repo, |repo| {
        for file in ["one", "two"] {
            moved(repo, &format!("bills/{file}"), &format!("order/{file}"));
        }
        repo.remove("bills/service.yaml");
        repo.remove("bills/run");
        repo.write("www/service.yaml", declared("www", "dependencies: [order]\n"));
    });
    assert_eq!(diff.refactorings[0].moves[0].kind, MoveKind::Merged);
    assert_eq!(said(&diff), ["bills merged into order"]);
    // A new service of its own files is no split, but it and its caller are one change.
    let diff = edited(&repo, |repo| {
        repo.write("gift/service.yaml", declared("gift", ""));
        repo.write("gift/run", "gift");
        repo.write("www/service.yaml", declared("www", "dependencies: [order, gift]\n"));
    });
    assert_eq!(said(&diff), Vec::<String>::new());
    assert_eq!(diff.refactorings[0].nodes, ["gift", "www"].map(service));
}

#[test]
fn a_folder_that_moved_is_no_heap_of_files() {
    let repo = shop();
    let diff = edited(&repo, |repo| std::fs::rename(repo.path("flags"), repo.path("switches")).unwrap());
    assert_eq!(fields(&diff, &service("flags")), ["folder flags switches switches/service.yaml:1"]);
    assert_eq!(diff.changes[&service("flags")].own.len(), 1);
}

#[test]
fn paths_reach_the_services_whose_sources_hold_them_and_all_above() {
    let repo = shop();
    repo.write("libs/money", "x");
    replace(&repo, "flags/service.yaml", "name: flags\n", "name: flags\ninclude: [libs]\nignore: [\"*.md\"]\n");
    repo.write("flags/README.md", "x");
    repo.write("report/service.yaml", "name: report\nrun: [./run]\ndatabases: [{ from: order/orders }]\n");
    let tree = Tree::of_worktree(&repo.root()).unwrap();
    let graph = Graph::build(&tree, "local").unwrap();
    let touched = |path: &str| {
        let touched = graph.touched(tree.root(), [path]);
        let listed = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(" ");
        [listed(touched.direct), listed(touched.all)]
    };
    let order = "flags order order.worker www";
    assert_eq!(touched("flags/run"), ["flags", order]);
    assert_eq!(touched("libs/money"), ["flags", order]);
    assert_eq!(touched("libs/gone/too"), ["flags", order]);
    assert_eq!(touched("flags/gone"), ["flags", order]);
    assert_eq!(touched("flags/README.md"), ["", ""]);
    assert_eq!(touched("elsewhere/file"), ["", ""]);
    assert_eq!(touched("www/service.yaml"), ["www", "www"]);
    assert_eq!(touched("order/service.yaml"), ["order order.worker report", "order order.worker report www"]);
    assert_eq!(touched("order/schema/1.sql"), ["order order.worker report", "order order.worker report www"]);
    assert_eq!(touched("clustergraph.yaml")[0], "flags order order.worker report www");
}

// --- Generated ones.

/// One service as it is generated, of few values each, so that two of them often agree.
#[derive(Debug, Clone)]
struct Spec {
    is_there: bool,
    file: u8,
    env: u8,
    port: u8,
    replicas: u8,
    database: u8,
    worker: bool,
    from: u8,
    edges: Vec<(u8, u8)>,
}

fn any_spec() -> impl Strategy<Value = Spec> {
    let edges = prop::collection::vec((0u8..6, 0u8..4), 0..3);
    (prop::bool::weighted(0.9), 0u8..3, 0u8..3, 0u8..3, 0u8..2, 0u8..9, any::<bool>(), 0u8..12, edges).prop_map(
        |(is_there, file, env, port, replicas, database, worker, from, edges)| Spec {
            is_there,
            file,
            env,
            port,
            replicas,
            database,
            worker,
            from,
            edges,
        },
    )
}

/// Before, and after with some of the services anew.
fn any_sides() -> impl Strategy<Value = [Vec<Spec>; 2]> {
    // One field each: what hides behind another edit is not tried.
    let edits = prop::collection::vec((0usize..6, any_spec(), 0u8..9), 0..4);
    (prop::collection::vec(any_spec(), 6), edits).prop_map(|(before, edits)| {
        let mut after = before.clone();
        for (at, new, field) in edits {
            let spec = &mut after[at];
            match field {
                0 => spec.is_there = new.is_there,
                1 => spec.file = new.file,
                2 => spec.env = new.env,
                3 => spec.port = new.port,
                4 => spec.replicas = new.replicas,
                5 => spec.database = new.database,
                6 => spec.worker = new.worker,
                7 => spec.from = new.from,
                _ => spec.edges = new.edges,
            }
        }
        [before, after]
    })
}

fn graph(specs: &[Spec]) -> Graph {
    let repo = Repo::new();
    write(&repo, specs);
    repo.worktree()
}

fn write(repo: &Repo, specs: &[Spec]) {
    repo.write("clustergraph.yaml", "services: [\"*\", \"*/inner\"]\n");
    repo.write("s9/service.yaml", "name: s9\nrun: [./run]\n");
    repo.write(&format!("libs/{}", specs[0].file / 2), "x");
    repo.write("libs/money", specs[1].file.to_string());
    for (at, spec) in specs.iter().enumerate().filter(|(_, spec)| spec.is_there) {
        let mut edges = BTreeMap::new();
        for (target, how) in spec.edges.iter().map(|(target, how)| (usize::from(*target), *how)) {
            if target == at || !specs[target].is_there {
                continue;
            }
            // A wait may only lead down; what waits for nothing may close a cycle.
            let wait =
                if target > at || how == 0 { "none" } else { ["none", "started", "ready", "ready"][usize::from(how)] };
            let alias = if how == 1 { format!("a{target}") } else { format!("s{target}") };
            edges
                .insert(target, format!("{{ service: s{target}, as: {alias}, wait: {wait}, optional: {} }}", how == 2));
        }
        let edges: Vec<String> = edges.into_values().collect();
        let mut stores = Vec::new();
        let own = |more: &str| format!("{{ kind: postgres, as: db, {more} }}");
        stores.extend(match spec.database {
            0 | 1 => None,
            2 => Some(own("version: \"15\"")),
            3 => Some(own("version: \"16\"")),
            4 => Some(own("version: \"16\", settings: { max_connections: \"50\" }")),
            5 => Some(own("version: \"16\", isolation: dedicated, settings: { max_connections: \"60\" }")),
            6 => Some(own("version: \"16\", migrate: { run: [./migrate], schema: schema }, params: { a: b }")),
            7 => Some(own("version: \"16\", migrate: { run: [./other], schema: schema }, seed: { run: [./seed] }")),
            _ => Some(own("version: \"16\", extensions: [hstore], isolation: dedicated")),
        });
        let other = usize::from(spec.from);
        if let Some(owner) = specs.get(other).filter(|owner| owner.is_there && other != at && owner.database > 1) {
            let _ = owner;
            stores.push(format!("{{ from: s{other}/db, as: other }}"));
        }
        let mut text = format!(
            "name: s{at}\nrun: [./run]\ndependencies: [{}]\ndatabases: [{}]\nscale: {{ replicas: {} }}\n",
            edges.join(", "),
            stores.join(", "),
            spec.replicas
        );
        text.push_str(
            ["", "env: { LEVEL: info }\n", "env: { LEVEL: debug, MORE: \"${self.url}\" }\n"][usize::from(spec.env)],
        );
        text.push_str(
            [
                "ports: { http: 80 }\n",
                "ports: { http: { port: 80, protocol: tcp }, grpc: 81 }\n",
                "ports: { web: 80 }\n",
            ][usize::from(spec.port)],
        );
        if spec.worker {
            text.push_str("processes: { worker: { run: [./worker] } }\n");
        }
        text.push_str(["", "ignore: [\"*.md\"]\n", "include: [libs]\n"][usize::from(spec.env)]);
        repo.write(&format!("s{at}/service.yaml"), text);
        repo.write(&format!("s{at}/run"), spec.file.to_string());
        repo.write(&format!("s{at}/note.md"), spec.replicas.to_string());
        // A folder that is a service of its own in some, and part of this one in the others.
        repo.write(&format!("s{at}/inner/run"), spec.port.to_string());
        if spec.from % 2 == 0 {
            repo.write(&format!("s{at}/inner/service.yaml"), format!("name: inner{at}\nrun: [./run]\n"));
        }
        repo.write(&format!("s{at}/schema/1"), (spec.file / 2).to_string());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_said_to_differ_is_what_differs_and_every_chain_ends_at_an_edit(sides in any_sides()) {
        let [before, after] = [graph(&sides[0]), graph(&sides[1])];
        let own = before.diff(&before);
        prop_assert!(own.is_empty() && own.operation.is_empty());
        let diff = before.diff(&after);
        let of_kind = |kinds: &[ChangeKind]| -> BTreeSet<&str> {
            let is = |node: &Node, kind: ChangeKind| node.kind == NodeKind::Service && kinds.contains(&kind);
            diff.changes.iter().filter(|(node, change)| is(node, change.kind)).map(|(node, _)| node.name.as_str()).collect()
        };
        let only = |one: &Graph, other: &Graph| -> BTreeSet<String> {
            one.services.keys().filter(|name| !other.services.contains_key(*name)).cloned().collect()
        };
        let owned = |names: BTreeSet<&str>| -> BTreeSet<String> { names.into_iter().map(str::to_owned).collect() };
        prop_assert_eq!(owned(of_kind(&[ChangeKind::Added])), only(&after, &before));
        prop_assert_eq!(owned(of_kind(&[ChangeKind::Removed])), only(&before, &after));
        let differs = |name: &str| after.services.get(name).is_some_and(|new| new.id != before.services[name].id);
        let changed: BTreeSet<&str> = before.services.keys().map(String::as_str).filter(|name| differs(name)).collect();
        prop_assert_eq!(of_kind(&[ChangeKind::Changed, ChangeKind::Rewired]), changed);
        prop_assert_eq!(diff.is_empty(), before.version == after.version && diff.changes.is_empty());
        for (node, change) in &diff.changes {
            let chains = diff.chains(node);
            prop_assert!(!chains.is_empty(), "{node} has no reason: {change:?}");
            prop_assert!(chains.len() <= Diff::MOST_CHAINS);
            for through in &change.through {
                prop_assert!(diff.changes.contains_key(through), "{node} is said to differ through {through}");
            }
            for chain in chains {
                prop_assert_eq!(chain[0], node);
                prop_assert!(diff.changes[*chain.last().unwrap()].is_root(), "{chain:?}");
                let steps: BTreeSet<&&Node> = chain.iter().collect();
                prop_assert_eq!(steps.len(), chain.len(), "{:?} goes round", &chain);
                for pair in chain.windows(2) {
                    prop_assert!(diff.changes[pair[0]].through.contains(pair[1]), "{chain:?}");
                }
            }
        }
        // The way back is as long.
        let back = after.diff(&before);
        prop_assert_eq!(back.changes.keys().collect::<Vec<_>>(), diff.changes.keys().collect::<Vec<_>>());
        prop_assert_eq!(back.operation.keys().collect::<Vec<_>>(), diff.operation.keys().collect::<Vec<_>>());
    }

    /// What a history passes over must not matter.
    #[test]
    fn the_paths_of_a_commit_concern_every_service_whose_id_it_changed(sides in any_sides()) {
        let repo = Repo::new();
        write(&repo, &sides[0]);
        repo.commit();
        let before = repo.head();
        repo.git(&["rm", "-r", "--quiet", "."]);
        write(&repo, &sides[1]);
        repo.commit();
        let tree = Tree::of_commit(&repo.root(), "HEAD").unwrap();
        let after = Graph::build(&tree, "local").unwrap();
        let paths: Vec<String> = repo.git(&["diff", "--name-only", "HEAD~1", "HEAD"]).lines().map(str::to_owned).collect();
        let touched = after.touched(tree.root(), paths.iter().map(String::as_str));
        for (name, new) in &after.services {
            if before.services.get(name).is_none_or(|old| old.id != new.id) {
                prop_assert!(after.concerns(name, tree.root(), &paths), "{paths:?} are said not to concern {name}");
                prop_assert!(touched.all.contains(name), "{paths:?} are said not to reach {name}");
            }
        }
    }
}
