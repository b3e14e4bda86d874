//! A lock: what it pins is in the identities of exactly those who use it, and what it says of others is told.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::collections::BTreeSet;

use clustergraph::graph::{Graph, Pinnable, SCHEME};
use clustergraph::tree::Tree;
use support::{Repo, keys};

fn repo() -> Repo {
    let repo = Repo::new();
    repo.write("proxy/service.yaml", "name: proxy\nimage: nginx:1.27\nports: { http: 80 }\ndependencies: [api]\n");
    repo.write("api/service.yaml", "name: api\nstack: python\nrun: [python3, app.py]\ndatabases: [redis]\n");
    repo.write("api/app.py", "pass\n");
    repo.write("own/service.yaml", "name: own\nimage: nginx@sha256:0\nrun: [x]\n");
    repo
}

fn digest(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

/// The lock that `ssi lock` would write where every image has one digest.
fn lock(graph: &Graph, digit: char) -> String {
    lock_of(&graph.pinnable(), digit)
}

fn lock_of(pinnable: &Pinnable, digit: char) -> String {
    let mut text = format!("scheme: {SCHEME}\nimages:\n");
    text.extend(pinnable.images.keys().map(|image| format!("  \"{image}\": {}\n", digest(digit))));
    text.push_str("stacks:\n");
    text.extend(pinnable.stacks.iter().map(|(name, key)| format!("  {name}: \"{key}\"\n")));
    text.push_str("tools:\n");
    text.extend(pinnable.tools.iter().map(|(name, version)| format!("  {name}: \"{version}\"\n")));
    text
}

/// The services of which a key differs: 0 is the source, 2 the id.
fn other(one: &Graph, other: &Graph, key: usize) -> BTreeSet<String> {
    let differs = |name: &&String| keys(&one.services[*name])[key] != keys(&other.services[*name])[key];
    one.services.keys().filter(differs).cloned().collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_moved_pin_changes_exactly_who_uses_it() {
    let repo = repo();
    let without = repo.worktree();
    assert!(without.lock_findings().is_empty());
    let images: Vec<String> = without.pinnable().images.into_keys().collect();
    assert!(images.iter().any(|image| image.starts_with("redis:")) && images.contains(&"nginx:1.27".to_owned()));
    assert!(images.iter().all(|image| !image.contains('@')), "{images:?}");

    repo.write("clustergraph.lock", lock(&without, 'a'));
    let pinned = repo.worktree();
    assert_eq!(pinned.lock_findings(), []);
    assert_eq!(other(&without, &pinned, 0), set(&["api", "proxy"]));
    assert_eq!(pinned.pinned("nginx:1.27"), format!("nginx:1.27@{}", digest('a')));
    assert_eq!(pinned.pinned("never:seen"), "never:seen");

    let python = pinned.services["api"].stack.image.clone();
    let moved = lock(&without, 'a')
        .replace(&format!("\"{python}\": {}", digest('a')), &format!("\"{python}\": {}", digest('b')));
    repo.write("clustergraph.lock", moved);
    let moved = repo.worktree();
    assert_eq!(other(&pinned, &moved, 0), set(&["api"]), "the source of whoever uses it");
    assert_eq!(other(&pinned, &moved, 2), set(&["api", "proxy"]), "and the version of whoever needs that one");
    // A commit says the same as the files it is of.
    assert_eq!(repo.assert_counts_as_committed().version, moved.version);
    repo.remove("clustergraph.lock");
    assert_eq!(repo.worktree().version, without.version);
}

#[test]
fn a_lock_at_the_root_is_no_source_of_a_service_there() {
    let repo = Repo::new();
    repo.write("clustergraph.yaml", "services: [\".\"]\n");
    repo.write("service.yaml", "name: web\nrun: [./server]\n");
    repo.write("server", "x\n");
    let before = repo.worktree();
    repo.write("clustergraph.lock", format!("scheme: {SCHEME}\ntools: {{ gone: \"1\" }}\n"));
    assert_eq!(repo.worktree().version, before.version);
}

#[test]
fn what_is_missing_stale_or_unknown_is_told_with_its_line() {
    let repo = repo();
    let text = lock(&repo.worktree(), 'a');
    let kept: Vec<&str> = text.lines().filter(|line| !line.contains("nginx")).collect();
    let text = kept
        .join("\n")
        .replace("stacks:\n", &format!("  gone:1: {}\nstacks:\n  rust: \"{}\"\n", digest('a'), "0".repeat(64)));
    let line = text.lines().position(|line| line.starts_with("  python: \"")).unwrap();
    let (head, stale) = text.split_once("  python: \"").unwrap();
    let stale = format!("{head}  python: \"{}{}", if stale.starts_with('0') { '1' } else { '0' }, &stale[1..]);
    repo.write("clustergraph.lock", stale);
    let found: Vec<String> = repo
        .worktree()
        .lock_findings()
        .iter()
        .map(|problem| format!("{} {} {}", problem.code, problem.place.file, problem.message))
        .collect();
    for want in [
        "lock-missing proxy/service.yaml the image nginx:1.27 is not pinned",
        "lock-unknown clustergraph.lock no service has the image `gone:1` that is pinned here",
        "lock-unknown clustergraph.lock no service has the stack `rust` that is pinned here",
        "lock-stale clustergraph.lock the stack `python` is another one by now",
    ] {
        assert!(found.iter().any(|line| line == want), "{want} is not in {found:#?}");
    }
    assert_eq!(found.len(), 4, "{found:#?}");
    let findings = repo.worktree().lock_findings();
    let place = &findings.iter().find(|problem| problem.code == "lock-stale").unwrap().place;
    assert_eq!(usize::try_from(place.line).unwrap(), line + 1);
    repo.write("clustergraph.lock", "scheme: 1\n");
    assert!(repo.worktree().lock_findings().iter().any(|problem| problem.message.contains("identity scheme 1")));
}

#[test]
fn what_a_cluster_must_not_run_is_told_with_its_line() {
    let repo = repo();
    repo.write(
        "store/service.yaml",
        "name: store\nrun: [x]\ndatabases:\n  - { kind: postgres, image: 'own/postgis:16' }\n",
    );
    let told = || -> Vec<String> {
        let told = repo.worktree().unpinned();
        told.iter().map(|it| format!("{} {} {}", it.code, it.place, it.message)).collect()
    };
    let tag = "is not pinned, and its tag may be another image tomorrow";
    let proxy = format!("unpinned proxy/service.yaml:2:1 the image nginx:1.27 {tag}");
    let own = format!("unpinned store/service.yaml:4:13 the image own/postgis:16 {tag}");
    // What the catalogue names is only asked for where there is a lock.
    assert_eq!(told(), [proxy, own.clone()]);
    repo.write("clustergraph.lock", format!("scheme: {SCHEME}\nimages: {{ 'nginx:1.27': '{}' }}\n", digest('a')));
    let with_a_lock = told();
    assert!(with_a_lock.contains(&own), "{with_a_lock:#?}");
    assert!(with_a_lock.iter().any(|line| line.starts_with("unpinned api/service.yaml:") && line.contains("redis:")));
    assert!(with_a_lock.iter().all(|line| !line.contains("nginx") && !line.contains('@')), "{with_a_lock:#?}");
    repo.write("clustergraph.lock", lock(&repo.worktree(), 'a'));
    assert_eq!(told(), Vec::<String>::new());
}

#[test]
fn a_lock_is_for_all_clusters() {
    let repo = repo();
    repo.write(
        "proxy/service.yaml",
        "name: proxy\nimage: nginx:1.27\nclusters: { production: { image: 'nginx:1.28' } }\n",
    );
    let here = repo.worktree();
    let mut all = here.pinnable();
    all.merge(Graph::build(&Tree::of_worktree(&repo.root()).unwrap(), "production").unwrap().pinnable());
    assert!(all.images.contains_key("nginx:1.27") && all.images.contains_key("nginx:1.28"));
    repo.write("clustergraph.lock", lock_of(&all, 'a'));
    assert_eq!(repo.worktree().lock_findings_of(&all), []);
    assert_eq!(repo.worktree().lock_findings().len(), 1, "of one cluster alone, the other's is too many");
    assert_eq!(Graph::build(&Tree::of_worktree(&repo.root()).unwrap(), "production").unwrap().unpinned(), []);
}
