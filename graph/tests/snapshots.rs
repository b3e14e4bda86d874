//! Graphs that were read before: what is known of a tree is what reading it would tell, and only what differs is read again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

mod support;

use std::path::Path;

use clustergraph::graph::{BuildError, Graph, Reading, Snapshots};
use clustergraph::tree::Tree;
use support::{Repo, told};

/// A cluster with all that reading looks at: calls, stores, includes, files of a stack above, links, processes and jobs.
fn shop() -> Repo {
    let repo = Repo::new();
    repo.write(
        "clustergraph.yaml",
        "services: [\"services/*\"]\ndatabases: { events: { kind: kafka, topics: [orders] } }\n",
    );
    repo.write("libs/money/money.py", "def cents(): pass\n");
    repo.write("go.work", "go 1.24\n");
    repo.write("README.md", "# the shop\n");
    let services = [
        (
            "www",
            "stack: command\nrun: [./www]\nports: { http: 80 }\npublic: { path: / }\ndependencies: [order, { service: cart, optional: true }]\n",
        ),
        (
            "order",
            "stack: command\nrun: [./order]\nports: { http: 80 }\ndependencies: [stock]\ninclude: [libs/money]\ndatabases: [{ kind: postgres, as: orders, migrate: { run: [./migrate], schema: schema/ } }, { from: events }]\nprocesses: { worker: { run: [./work] } }\njobs: [{ name: nightly, schedule: \"0 3 * * *\", run: [./sum] }]\n",
        ),
        (
            "cart",
            "stack: command\nrun: [./cart]\nports: { http: 80 }\ndatabases: [redis, { from: order/orders }]\nfiles: { /etc/cart.conf: cart.conf }\nignore: [\"*.md\"]\n",
        ),
        ("stock", "ports: { http: 80 }\nrun: [./stock]\nenv: { LEVEL: info }\n"),
        ("lonely", "stack: command\nrun: [./lonely]\n"),
    ];
    for (name, rest) in services {
        repo.write(&format!("services/{name}/service.yaml"), format!("name: {name}\n{rest}"));
        repo.write(&format!("services/{name}/{name}"), format!("the {name}\n"));
    }
    repo.write("services/stock/go.mod", "module stock\n");
    repo.write("services/order/schema/1.sql", "create table orders ();\n");
    repo.write("services/cart/cart.conf", "level = info\n");
    repo.write("services/cart/README.md", "# the cart\n");
    std::os::unix::fs::symlink("cart.conf", repo.path("services/cart/link.conf")).unwrap();
    repo.commit();
    repo
}

fn at(repo: &Repo, revision: &str) -> Tree {
    Tree::of_commit(&repo.root(), revision).unwrap()
}

/// Snapshots in a folder that only the returned guard keeps.
fn snapshots() -> (tempfile::TempDir, Snapshots) {
    let folder = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::at(&folder.path().join("graphs"));
    (folder, snapshots)
}

/// Holds that HEAD and the work tree are known as they are read.
#[track_caller]
fn assert_known_as_read(repo: &Repo, snapshots: &Snapshots, what: &str) {
    for tree in [at(repo, "HEAD"), Tree::of_worktree(&repo.root()).unwrap()] {
        let whole = told(&Graph::build(&tree, "local").unwrap());
        // First what follows from what was known, then what was kept of that.
        for _ in 0..2 {
            assert_eq!(told(&snapshots.graph(&tree, "local").unwrap()), whole, "{what}");
        }
    }
}

type Edit = fn(&Repo);

/// Every kind of edit, by what it is.
const EDITS: &[(&str, Edit)] = &[
    ("nothing of a service", |repo| repo.write("README.md", "# the shop, again\n")),
    ("a source of a leaf", |repo| repo.write("services/stock/stock", "another stock\n")),
    ("a source of an entry", |repo| repo.write("services/www/www", "another www\n")),
    ("a new source", |repo| repo.write("services/www/pages/index.html", "<p>hello\n")),
    ("a source that goes", |repo| repo.remove("services/lonely/lonely")),
    ("an ignored file", |repo| repo.write("services/cart/README.md", "# the cart, again\n")),
    ("a file that is put into a container", |repo| repo.write("services/cart/cart.conf", "level = debug\n")),
    ("a schema", |repo| repo.write("services/order/schema/2.sql", "alter table orders;\n")),
    ("what is included", |repo| repo.write("libs/money/money.py", "def cents(): return 1\n")),
    ("a file of the stack above", |repo| repo.write("go.work", "go 1.25\n")),
    ("another stack is detected", |repo| repo.write("services/lonely/go.mod", "module lonely\n")),
    ("a mode", |repo| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(repo.path("services/order/order"), std::fs::Permissions::from_mode(0o755)).unwrap();
    }),
    ("a service.yaml", |repo| {
        repo.write("services/stock/service.yaml", "name: stock\nrun: [./stock]\nports: { http: 81 }\n")
    }),
    ("what only the service itself sees of its service.yaml", |repo| {
        repo.write(
            "services/stock/service.yaml",
            "name: stock\nports: { http: 80 }\nenv: { LEVEL: debug }\nrun: [./stock]\nscale: { replicas: 3 }\n",
        );
    }),
    ("a migration", |repo| {
        let path = repo.path("services/order/service.yaml");
        let text = std::fs::read_to_string(path).unwrap();
        repo.write(
            "services/order/service.yaml",
            text.replace("run: [./migrate]", "run: [./migrate, now]")
                .replace("include: [libs/money]\n", "")
                .replace("0 3 * * *", "0 4 * * *"),
        );
    }),
    ("whom it calls", |repo| {
        repo.write(
            "services/lonely/service.yaml",
            "name: lonely\nstack: command\nrun: [./lonely]\ndependencies: [stock]\n",
        )
    }),
    ("a service goes", |repo| {
        repo.remove("services/lonely/service.yaml");
        repo.remove("services/lonely/lonely");
    }),
    ("a new service", |repo| repo.write("services/new/service.yaml", "name: new\nrun: [./new]\n")),
    ("the repository's own file", |repo| {
        repo.write("clustergraph.yaml", "services: [\"services/*\"]\ndatabases: { events: { kind: kafka } }\n")
    }),
    ("a lock", |repo| repo.write("clustergraph.lock", "scheme: 2\n")),
];

#[test]
fn whatever_is_edited_what_follows_from_a_snapshot_is_what_reading_tells() {
    for (what, edit) in EDITS {
        let repo = shop();
        let (_folder, snapshots) = snapshots();
        snapshots.graph(&at(&repo, "HEAD"), "local").unwrap();
        edit(&repo);
        let dirty = Tree::of_worktree(&repo.root()).unwrap();
        assert_eq!(
            told(&snapshots.graph(&dirty, "local").unwrap()),
            told(&Graph::build(&dirty, "local").unwrap()),
            "{what}"
        );
        repo.commit();
        assert_known_as_read(&repo, &snapshots, what);
    }
}

#[test]
fn a_long_line_of_edits_ends_where_reading_ends() {
    let repo = shop();
    let (_folder, snapshots) = snapshots();
    for _ in 0..2 {
        for (_, edit) in EDITS {
            for (path, text) in
                [("lonely", "it is back\n"), ("service.yaml", "name: lonely\nstack: command\nrun: [./lonely]\n")]
            {
                if !repo.path("services/lonely").join(path).exists() {
                    repo.write(&format!("services/lonely/{path}"), text);
                }
            }
            edit(&repo);
            repo.commit();
            snapshots.graph(&at(&repo, "HEAD"), "local").unwrap();
        }
    }
    assert_known_as_read(&repo, &snapshots, "the end");
    // And back to the first of them.
    repo.git(&["checkout", "--quiet", "HEAD~20"]);
    assert_known_as_read(&repo, &snapshots, "the end");
}

#[test]
fn two_commits_differ_as_their_whole_graphs_do() {
    for (what, edit) in EDITS {
        let repo = shop();
        let (_folder, snapshots) = snapshots();
        edit(&repo);
        repo.commit();
        let (before, after) = (at(&repo, "HEAD~1"), at(&repo, "HEAD"));
        let whole = Graph::build(&before, "local").unwrap().diff(&Graph::build(&after, "local").unwrap());
        for _ in 0..3 {
            let read = |tree| snapshots.read(tree, "local").unwrap();
            let (old, new) = Reading::differing(read(&before), read(&after)).unwrap();
            assert_eq!(format!("{:#?}", old.diff(&new)), format!("{whole:#?}"), "{what}");
        }
    }
}

#[test]
fn what_did_not_change_is_not_read_again() {
    let repo = shop();
    let (_folder, snapshots) = snapshots();
    snapshots.graph(&at(&repo, "HEAD"), "local").unwrap();
    repo.write("services/lonely/lonely", "another one\n");
    repo.commit();
    // What only that service sees of its own file is no reason, either.
    repo.write("services/lonely/service.yaml", "name: lonely\nstack: command\nrun: [./lonely, now]\n");
    repo.commit();
    // Whoever reads it will be told that it is not there.
    let oid = repo.git(&["rev-parse", "HEAD:services/stock/service.yaml"]);
    let (start, rest) = oid.trim().split_at(2);
    repo.remove(&format!(".git/objects/{start}/{rest}"));
    let tree = at(&repo, "HEAD");
    assert!(matches!(Graph::build(&tree, "local"), Err(BuildError::Tree(_))));
    let graph = snapshots.graph(&tree, "local").unwrap();
    assert!(graph.services.contains_key("stock"));
    let summary = snapshots.read(&tree, "local").unwrap().summary();
    assert_eq!(summary.version, graph.version);
    assert_eq!((summary.services, summary.processes, summary.jobs, summary.databases), (5, 1, 1, 3));
    assert_eq!(summary.nodes(), graph.services.len());
}

#[test]
fn a_problem_is_told_each_time_and_nothing_is_kept_of_it() {
    let repo = shop();
    let (_folder, snapshots) = snapshots();
    snapshots.graph(&at(&repo, "HEAD"), "local").unwrap();
    repo.write("services/cart/cart.conf", "to = ${services.nobody.url}\n");
    repo.commit();
    let tree = at(&repo, "HEAD");
    let report = |result: Result<Graph, BuildError>| match result {
        Err(BuildError::Problems(problems)) => problems.render(false, 100),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was read"),
    };
    let whole = report(Graph::build(&tree, "local"));
    assert!(whole.contains("cart.conf:1"), "{whole}");
    for _ in 0..2 {
        assert_eq!(report(snapshots.graph(&tree, "local")), whole);
    }
}

#[test]
fn what_lies_on_this_disk_only_is_not_kept() {
    let repo = shop();
    let (folder, snapshots) = snapshots();
    repo.write("services/lonely/lonely", "not committed\n");
    snapshots.graph(&Tree::of_worktree(&repo.root()).unwrap(), "local").unwrap();
    assert_eq!(kept(folder.path()).len(), 0);
    repo.commit();
    snapshots.graph(&Tree::of_worktree(&repo.root()).unwrap(), "local").unwrap();
    assert_eq!(kept(folder.path()).len(), 1);
    // The commit has the same tree.
    snapshots.graph(&at(&repo, "HEAD"), "local").unwrap();
    assert_eq!(kept(folder.path()).len(), 1);
    // Another cluster may have other overrides.
    snapshots.graph(&at(&repo, "HEAD"), "production").unwrap();
    assert_eq!(kept(folder.path()).len(), 2);
}

fn kept(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder.join("graphs"));
    entries.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_damaged_snapshot_is_as_if_it_were_not_there() {
    let repo = shop();
    let (folder, snapshots) = snapshots();
    let tree = at(&repo, "HEAD");
    let whole = told(&snapshots.graph(&tree, "local").unwrap());
    let file = kept(folder.path()).pop().unwrap();
    let bytes = std::fs::read(&file).unwrap();
    // Each byte that counts, in steps that meet every part.
    for at in (0..bytes.len()).step_by(37) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x5a;
        std::fs::write(&file, &damaged).unwrap();
        assert_eq!(told(&snapshots.graph(&tree, "local").unwrap()), whole, "byte {at}");
    }
    for length in [0, 7, 40, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&file, &bytes[..length]).unwrap();
        assert_eq!(told(&snapshots.graph(&tree, "local").unwrap()), whole, "{length} bytes");
    }
    std::fs::remove_dir_all(folder.path().join("graphs")).unwrap();
    assert_eq!(told(&snapshots.graph(&tree, "local").unwrap()), whole);
}

#[test]
fn a_folder_that_cannot_be_written_costs_nothing_but_time() {
    let repo = shop();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    std::fs::write(&file, "not a folder").unwrap();
    let snapshots = Snapshots::at(&file.join("graphs"));
    assert_known_as_read(&repo, &snapshots, "the end");
    assert_known_as_read(&repo, &Snapshots::default(), "nowhere");
}
