//! Commits and branches: a cluster as it was at a revision beside that of the work tree, and what restarts when the work
//! tree becomes another one.

use std::collections::BTreeSet;
use std::path::Path;

use clustergraph_tests::local::{kill_supervisor, wait_until};
use clustergraph_tests::{Program, Repository, Session, get};
use serde_json::Value;
use tempfile::TempDir;

/// The sessions of a repository; those of revisions end with the work tree's, whatever the test did.
struct Clusters {
    session: Session,
    /// A cache of their own; the user's otherwise.
    cache: Option<TempDir>,
}

impl Clusters {
    fn of(repository: &Repository) -> Self {
        let cache = TempDir::with_prefix("clustergraph-cache-").expect("a temporary folder");
        Self { session: Session::of(repository.path()), cache: Some(cache) }
    }

    /// With the user's cache, which holds what would have to be fetched.
    fn with_usual_cache(repository: &Repository) -> Self {
        Self { session: Session::of(repository.path()), cache: None }
    }

    fn cache(&self) -> &Path {
        self.cache.as_ref().expect("a cache of their own").path()
    }

    fn ssi(&self, line: &str) -> Program {
        let ssi = self.session.ssi(line);
        match &self.cache {
            Some(cache) => ssi.env("CLUSTERGRAPH_CACHE_DIR", cache.path()),
            None => ssi,
        }
    }

    /// What runs of a revision, or of the work tree.
    fn units(&self, at: &str) -> Vec<Value> {
        let listing = self.ssi(&format!("ps --output json{at}")).run().succeeds().json();
        listing["units"].as_array().expect("units").clone()
    }

    fn unit(&self, name: &str, at: &str) -> Value {
        let units = self.units(at);
        let unit = units.iter().find(|unit| unit["unit"]["name"] == name);
        unit.unwrap_or_else(|| panic!("{name} is not there{at}: {units:?}")).clone()
    }

    fn address(&self, name: &str, at: &str) -> String {
        self.unit(name, at)["addresses"][0].as_str().expect("an address").to_owned()
    }

    /// What a service answers at a path.
    fn says(&self, name: &str, path: &str, at: &str) -> String {
        get(&format!("{}{path}", self.address(name, at))).body.trim().to_owned()
    }

    fn list(&self) -> Vec<Value> {
        let listing = self.ssi("list --output json").run().succeeds().json();
        listing["sessions"].as_array().expect("sessions").clone()
    }

    /// The plan of an `up`: its steps as `restart a: source changed`, and what it keeps.
    fn plan(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let events = self.ssi("up --dry-run --output json").run().succeeds().json_lines();
        let plan = events.into_iter().find(|event| event["event"] == "plan").expect("a plan");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let name = |value: &Value| text(&value["unit"]["name"]);
        let steps = plan["steps"].as_array().expect("steps").iter();
        let steps = steps.map(|step| format!("{} {}: {}", text(&step["action"]), name(step), text(&step["reason"])));
        let keeps = plan["keeps"].as_array().cloned().unwrap_or_default();
        (steps.collect(), keeps.iter().map(|kept| format!("{} {}", name(kept), text(&kept["reason"]))).collect())
    }

    /// What is laid out in the cache.
    fn laid_out(&self) -> Vec<std::path::PathBuf> {
        let folders = std::fs::read_dir(self.cache().join("sources")).into_iter().flatten().flatten();
        let files = folders.map(|folder| folder.path().join("files"));
        files.filter(|files| files.is_dir()).collect()
    }
}

impl Drop for Clusters {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for state in std::fs::read_dir(self.session.state().join("sessions")).into_iter().flatten().flatten() {
                let note = std::fs::read(state.path().join("session.json")).unwrap_or_default();
                let note: Value = serde_json::from_slice(&note).unwrap_or_default();
                if let Some(commit) = note["at"]["commit"].as_str() {
                    let _ = self.ssi(&format!("down --delete-data --at {commit}")).run();
                }
            }
        }
    }
}

fn set(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// A service that serves the files of its folder.
fn serves(name: &str, more: &str) -> String {
    format!("name: {name}\nports: {{ http: 18600 }}\nrun: [sh, -c, 'exec python3 -m http.server $PORT']\n{more}")
}

fn pages() -> Repository {
    Repository::with(&[("a/service.yaml", &serves("a", "")), ("a/page", "one\n")])
}

/// The product of yesterday beside that of today, with databases of its own.
fn the_story(runtime: &str) {
    let repository = Repository::of_example("hello");
    let clusters = Clusters::with_usual_cache(&repository);
    let page = |at: &str| {
        let listing = clusters.ssi(&format!("ps --output json{at}")).run().succeeds().json();
        let units = listing["units"].as_array().expect("units").clone();
        let www = units.into_iter().find(|unit| unit["unit"]["name"] == "www").expect("www");
        get(www["addresses"][0].as_str().expect("an address"))
    };
    let before = repository.git(&["rev-parse", "HEAD"]);
    let _ = clusters.ssi(&format!("up -d --runtime {runtime}")).run().succeeds();
    assert_eq!(page("").status, 200);
    repository.write("services/api/app.py", "raise SystemExit('today it is broken')\n");
    repository.commit("a bad day");
    let up = clusters.ssi(&format!("up -d --at HEAD~1 --runtime {runtime}")).run().succeeds();
    assert!(up.stderr().contains(&format!("HEAD~1 is {} \"the example\"", &before[..10])), "{}", up.stderr());
    assert!(page(" --at HEAD~1").body.contains("</html>"), "{}", page(" --at HEAD~1").body);
    let logs = clusters.ssi("logs api --at HEAD~1").run().succeeds().stdout();
    assert!(logs.contains("listens"), "{logs}");
    let env = clusters.ssi("exec api --at HEAD~1 -- env").run().succeeds().stdout();
    assert!(env.contains("DATABASE_URL="), "{env}");
    assert_eq!(repository.git(&["status", "--porcelain"]), "", "the checkout is not touched");
    let broken = clusters.ssi("up -d").run().ends_with(1).stderr();
    assert!(broken.contains("today it is broken"), "{broken}");
    assert_eq!(page(" --at HEAD~1").status, 200, "yesterday's goes on");
    let _ = clusters.ssi("down --delete-data").run().succeeds();
    assert_eq!(page(" --at HEAD~1").status, 200, "it has data of its own");
    let _ = clusters.ssi("down --delete-data --at HEAD~1").run().succeeds();
    let listing = clusters.ssi("list --output json").run().succeeds().json();
    assert_eq!(listing["sessions"], serde_json::json!([]));
}

#[test]
fn yesterdays_product_runs_beside_todays_with_processes() {
    the_story("process");
}

#[test]
fn yesterdays_product_runs_beside_todays_with_docker() {
    the_story("docker");
}

#[test]
fn two_commits_run_side_by_side_and_share_what_is_the_same() {
    let repository = Repository::with(&[
        ("a/service.yaml", &serves("a", "")),
        ("a/page", "one\n"),
        ("a/run.sh", "#!/bin/sh\n"),
        ("b/service.yaml", &serves("b", "")),
        ("b/page", "same\n"),
    ]);
    let clusters = Clusters::of(&repository);
    let first = repository.git(&["rev-parse", "HEAD"]);
    repository.write("a/page", "two\n");
    repository.commit("two");
    repository.write("a/page", "three, which nobody committed\n");
    for up in ["", " --at HEAD", " --at HEAD~1"] {
        let _ = clusters.ssi(&format!("up -d --runtime process{up}")).run().succeeds();
    }
    let says = |at: &str| clusters.says("a", "/page", at);
    assert_eq!([says(""), says(" --at HEAD"), says(" --at HEAD~1")], ["three, which nobody committed", "two", "one"]);
    assert_eq!(clusters.laid_out().len(), 3, "two of a, and one of b for both");
    for file in clusters.laid_out().iter().flat_map(|folder| std::fs::read_dir(folder.join("a")).into_iter().flatten())
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&file.expect("a file").metadata().expect("its metadata"));
        assert_eq!(mode & 0o222, 0, "nobody changes what others share");
    }
    let rows = clusters.list();
    let named: Vec<(Option<&str>, Option<&str>)> =
        rows.iter().map(|row| (row["revision"].as_str(), row["commit"].as_str())).collect();
    assert!(named.contains(&(None, None)) && named.contains(&(Some("HEAD~1"), Some(&first))), "{named:?}");
    let shown = clusters.ssi("list").run().succeeds().stdout();
    assert!(shown.contains(&format!("HEAD~1 ({})", &first[..10])), "{shown}");
    // The commit names it, too, and looking at it so does not rename it.
    assert_eq!(clusters.says("a", "/page", &format!(" --at {first}")), "one");
    let again = clusters.ssi("up -d --at HEAD~1").run().succeeds();
    assert!(again.stderr().contains("nothing to do"), "{}", again.stderr());

    let _ = clusters.ssi("down --at HEAD~1").run().succeeds();
    assert_eq!(clusters.laid_out().len(), 2, "what only that one used is gone");
    assert_eq!(clusters.says("b", "/page", " --at HEAD"), "same");
    let _ = clusters.ssi("up -d --at HEAD~1").run().succeeds();
    assert_eq!(clusters.says("a", "/page", " --at HEAD~1"), "one");
    for down in [" --at HEAD", " --at HEAD~1"] {
        let _ = clusters.ssi(&format!("down --delete-data{down}")).run().succeeds();
    }
    assert_eq!(clusters.laid_out(), Vec::<std::path::PathBuf>::new());
    assert_eq!(clusters.says("a", "/page", ""), "three, which nobody committed");
}

#[test]
fn a_branch_that_moved_on_is_another_commit_and_the_one_before_is_told() {
    let repository = pages();
    let clusters = Clusters::of(&repository);
    let first = repository.git(&["rev-parse", "HEAD"]);
    let up = || clusters.ssi("up -d --at main --runtime process").run().succeeds().stderr();
    assert!(up().contains(&format!("main is {} \"the files\"", &first[..10])));
    repository.write("a/page", "two\n");
    let second = repository.commit("the second");
    for command in ["ps --at main", "logs --at main", "down --at main"] {
        let told = clusters.ssi(command).run().ends_with(4).stderr();
        assert!(told.contains(&format!("`main` is {} now", &second[..10])), "{told}");
        assert!(told.contains(&format!("`--at {}`", &first[..10])), "{told}");
    }
    let told = up();
    assert!(told.contains(&format!("main is {} \"the second\"", &second[..10])), "{told}");
    assert!(told.contains(&format!("`ssi down --at {}` ends it", &first[..10])), "{told}");
    assert_eq!(clusters.says("a", "/page", " --at main"), "two");
    assert_eq!(clusters.says("a", "/page", &format!(" --at {}", &first[..10])), "one");
    let _ = clusters.ssi(&format!("down --delete-data --at {first}")).run().succeeds();
    // A branch that is gone still names what was started as it.
    repository.git(&["switch", "--quiet", "--create", "other"]);
    repository.git(&["branch", "--quiet", "--delete", "--force", "main"]);
    let _ = clusters.ssi("down --delete-data --at main").run().succeeds();
    assert!(clusters.list().iter().all(|row| row["commit"].is_null()), "{:?}", clusters.list());
    let wrong = clusters.ssi("up -d --at main").run().ends_with(4).stderr();
    assert!(wrong.contains("`main` names no commit"), "{wrong}");
}

#[test]
fn secrets_are_the_work_trees_where_they_are_not_committed() {
    let service = "name: a\nports: { http: 18610 }\nsecrets: [OWN, COMMITTED]\nrun: [sh, -c, 'echo $OWN $COMMITTED > said; exec python3 -m http.server $PORT']\n";
    let repository =
        Repository::with(&[("a/service.yaml", service), ("a/.env", "COMMITTED=then\n"), ("a/page", "one\n")]);
    repository.write(".env", "OWN=mine\nCOMMITTED=never\n");
    repository.write(".git/info/exclude", ".env\n");
    repository.write("a/.env", "COMMITTED=now\n");
    let clusters = Clusters::of(&repository);
    let _ = clusters.ssi("up -d --at HEAD --runtime process").run().succeeds();
    assert_eq!(clusters.says("a", "/said", " --at HEAD"), "mine then");
    let shown = clusters.ssi("env a --reveal --at HEAD").run().succeeds().stdout();
    assert!(shown.contains("OWN=mine") && shown.contains("COMMITTED=then"), "{shown}");
    let _ = clusters.ssi("down --delete-data --at HEAD").run().succeeds();
}

#[test]
fn what_runs_is_adopted_and_what_was_deleted_from_the_cache_comes_back() {
    let repository = pages();
    let clusters = Clusters::of(&repository);
    let _ = clusters.ssi("up -d --at HEAD --runtime process").run().succeeds();
    let before = clusters.unit("a", " --at HEAD")["instance"].clone();
    kill_supervisor(&clusters.session);
    assert_eq!(clusters.unit("a", " --at HEAD")["instance"], before);
    std::fs::remove_dir_all(clusters.cache().join("sources")).expect("it may be deleted at any time");
    let _ = clusters.ssi("restart a --at HEAD").run().succeeds();
    assert_eq!(clusters.says("a", "/page", " --at HEAD"), "one");
    let said = clusters.ssi("run a --at HEAD -- cat page").run().succeeds().stdout();
    assert_eq!(said, "one\n");
    let _ = clusters.ssi("down --delete-data --at HEAD").run().succeeds();
}

#[test]
fn what_tools_install_among_the_sources_is_shared_and_comes_back_with_them() {
    let stack = "stacks: { odd: { image: x, setup: { run: [[sh, -c, 'mkdir -p deps && echo installed > deps/said']], lockfiles: [lock], into: deps } } }\n";
    let repository = Repository::with(&[
        ("clustergraph.yaml", stack),
        ("a/service.yaml", &serves("a", "stack: odd\n")),
        ("a/lock", "one\n"),
        ("b/service.yaml", &serves("b", "")),
    ]);
    repository.write("b/page", "two\n");
    repository.commit("of b alone");
    let clusters = Clusters::of(&repository);
    let up = |at: &str| clusters.ssi(&format!("up -d --runtime process --at {at}")).run().succeeds();
    for at in ["HEAD", "HEAD~1"] {
        let _ = up(at);
        assert_eq!(clusters.says("a", "/deps/said", &format!(" --at {at}")), "installed");
    }
    assert!(!repository.path().join("a/deps").exists(), "the checkout is not touched");
    for at in ["HEAD", "HEAD~1"] {
        let _ = clusters.ssi(&format!("down --at {at}")).run().succeeds();
    }
    assert_eq!(clusters.laid_out(), Vec::<std::path::PathBuf>::new());
    let told = up("HEAD").stderr();
    assert!(told.contains("a:setup done"), "{told}");
    assert_eq!(clusters.says("a", "/deps/said", " --at HEAD"), "installed");
    for at in ["HEAD", "HEAD~1"] {
        let _ = clusters.ssi(&format!("down --delete-data --at {at}")).run().succeeds();
    }
}

#[test]
fn a_deleted_work_tree_leaves_nothing_that_cannot_be_ended() {
    let repository = pages();
    let linked = tempfile::tempdir().expect("a temporary folder");
    let path = linked.path().join("tree");
    repository.git(&["worktree", "add", "--quiet", path.to_str().expect("a path"), "HEAD"]);
    let clusters = Clusters::of(&repository);
    let ssi = |line: &str| {
        let state = clusters.session.state();
        let ssi = Program::new("ssi", &path).env("CLUSTERGRAPH_STATE_DIR", state).args(line);
        ssi.env("CLUSTERGRAPH_CACHE_DIR", clusters.cache())
    };
    let _ = ssi("up -d --at HEAD --runtime process").run().succeeds();
    let _ = clusters.ssi("up -d --at HEAD --runtime process").run().succeeds();
    assert_eq!(clusters.list().len(), 2, "each work tree runs it for itself");
    std::fs::remove_dir_all(&path).expect("the work tree is deleted");
    let _ = clusters.ssi("list --prune").run().succeeds();
    assert_eq!(clusters.list().len(), 1);
    assert_eq!(clusters.says("a", "/page", " --at HEAD"), "one", "the other one goes on");
    let _ = clusters.ssi("down --delete-data --at HEAD").run().succeeds();
}

#[test]
fn what_a_commit_does_not_hold_itself_is_refused_with_the_way_out() {
    let other = pages();
    let repository = Repository::with(&[
        ("a/service.yaml", &serves("a", "")),
        ("b/service.yaml", &serves("b", "")),
        ("c/service.yaml", &serves("c", "")),
        ("d/service.yaml", &serves("d", "")),
    ]);
    let from = other.path().to_str().expect("a path");
    repository.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", from, "a/lib"]);
    link("../../elsewhere", &repository.path().join("b/link"));
    // What `git lfs` would have committed and fetched, and what it would not have fetched.
    let pointer =
        |oid: &str, size: u64| format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n");
    let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    repository.write("c/page", &pointer(&hello.replace('2', "3"), 5));
    repository.write("d/page", &pointer(hello, 5));
    repository.write(&format!(".git/lfs/objects/2c/f2/{hello}"), "hello");
    repository.commit("all of them");
    let clusters = Clusters::of(&repository);
    let told = clusters.ssi("up -d --at HEAD --runtime process").run().ends_with(1).stderr();
    for words in [
        "a at ",
        "the submodule a/lib",
        "git worktree add",
        "`b/link`",
        "links to `../../elsewhere`, out of the repository",
        "`c/page`",
        "`git lfs fetch origin ",
    ] {
        assert!(told.contains(words), "{words} is not in:\n{told}");
    }
    assert_eq!(clusters.says("d", "/page", " --at HEAD"), "hello");
    let _ = clusters.ssi("down --delete-data --at HEAD").run().succeeds();
}

fn link(to: &str, at: &Path) {
    std::os::unix::fs::symlink(to, at).expect("a link");
}

/// `c` needs `b`, which needs `a`: each says its page.
fn chain() -> (Repository, Clusters) {
    let repository = Repository::with(&[
        ("a/service.yaml", &serves("a", "")),
        ("a/page", "one\n"),
        ("b/service.yaml", &serves("b", "dependencies: [a]\n")),
        ("b/page", "one\n"),
        ("c/service.yaml", &serves("c", "dependencies: [b]\n")),
        ("c/page", "one\n"),
    ]);
    let clusters = Clusters::of(&repository);
    (repository, clusters)
}

fn keeps(name: &str, because: &str) -> String {
    format!("{name} keeps running: only what it depends on changed: {because}")
}

#[test]
fn after_a_branch_switch_exactly_what_is_different_restarts() {
    let (repository, clusters) = chain();
    repository.git(&["switch", "--quiet", "--create", "feature"]);
    repository.write("a/page", "two\n");
    repository.append("b/service.yaml", "env: { LEVEL: debug }");
    repository.commit("the feature");
    repository.git(&["switch", "--quiet", "main"]);
    let _ = clusters.ssi("up -d --runtime process").run().succeeds();
    assert_eq!(clusters.plan(), (set(&[]), set(&[])));
    repository.git(&["switch", "--quiet", "feature"]);
    let steps = set(&["restart a: source changed", "restart b: configuration and environment changed"]);
    assert_eq!(clusters.plan(), (steps, set(&[&keeps("c", "b")])));
    let shown = clusters.ssi("up --dry-run").run().succeeds().stdout();
    assert!(shown.contains("keep    c  keeps running: only what it depends on changed: b"), "{shown}");
    let before = clusters.unit("c", "")["instance"].clone();
    let _ = clusters.ssi("up -d").run().succeeds();
    assert_eq!(clusters.unit("c", "")["instance"], before, "it kept running");
    assert_eq!(clusters.says("a", "/page", ""), "two");
    assert_eq!(clusters.plan(), (set(&[]), set(&[])));
    repository.git(&["switch", "--quiet", "main"]);
    let (steps, kept) = clusters.plan();
    assert_eq!((steps.len(), kept), (2, set(&[&keeps("c", "b")])), "{steps:?}");
}

#[test]
fn after_a_rebase_exactly_what_the_other_commits_brought_restarts() {
    let (repository, clusters) = chain();
    repository.git(&["switch", "--quiet", "--create", "feature"]);
    repository.write("c/page", "two\n");
    repository.commit("the feature");
    let _ = clusters.ssi("up -d --runtime process").run().succeeds();
    repository.git(&["switch", "--quiet", "main"]);
    repository.write("a/page", "two\n");
    repository.commit("what the others did");
    repository.git(&["switch", "--quiet", "feature"]);
    assert_eq!(clusters.plan(), (set(&[]), set(&[])), "the same files as before");
    repository.git(&["rebase", "--quiet", "main"]);
    let kept = set(&[&keeps("b", "a"), &keeps("c", "b")]);
    assert_eq!(clusters.plan(), (set(&["restart a: source changed"]), kept));
    let _ = clusters.ssi("up -d").run().succeeds();
    assert_eq!([clusters.says("a", "/page", ""), clusters.says("c", "/page", "")], ["two", "two"]);
    repository.git(&["commit", "--quiet", "--amend", "--message", "in other words"]);
    assert_eq!(clusters.plan(), (set(&[]), set(&[])), "a message is nothing that runs");
}

#[test]
fn a_stash_restarts_what_was_edited_and_its_return_nothing_that_runs_so() {
    let (repository, clusters) = chain();
    repository.write("b/page", "edited\n");
    repository.write("b/new", "untracked\n");
    let _ = clusters.ssi("up -d --runtime process").run().succeeds();
    repository.git(&["stash", "--quiet", "--include-untracked"]);
    assert_eq!(clusters.plan(), (set(&["restart b: source changed"]), set(&[&keeps("c", "b")])));
    repository.git(&["stash", "pop", "--quiet"]);
    assert_eq!(clusters.plan(), (set(&[]), set(&[])), "it runs as it is again");
    repository.git(&["stash", "--quiet", "--include-untracked"]);
    let _ = clusters.ssi("up -d").run().succeeds();
    assert_eq!(clusters.says("b", "/page", ""), "one");
    wait_until("nothing is left to do", || clusters.plan() == (set(&[]), set(&[])));
}
