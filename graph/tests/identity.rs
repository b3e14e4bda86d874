//! Identities over real git repositories: what changes them, and above all what does not.

mod support;

use std::os::unix::fs::{PermissionsExt, symlink};

use clustergraph::graph::Graph;
use clustergraph::tree::{Tree, TreeError};
use support::{Repo, assert_same, git_in, graph_of, keys};

// --- A work tree counts as its commit.

#[test]
fn a_clean_work_tree_and_its_commit_are_equal() {
    let repo = Repo::with_web();
    assert_same(&repo.worktree(), &repo.head());
    assert!(repo.worktree().commit.is_none());
    assert_eq!(repo.head().commit.unwrap().id, repo.git(&["rev-parse", "HEAD"]).trim());
}

#[test]
fn an_edit_counts_before_it_is_committed() {
    let repo = Repo::with_web();
    let before = repo.worktree();
    repo.write("web/page.html", "<p>bye\n");
    assert_same(&before, &repo.head());
    let after = repo.assert_counts_as_committed();
    assert_ne!(before.services["web"].source, after.services["web"].source);
    assert_ne!(before.version, after.version);
}

#[test]
fn staged_and_unstaged_edits_count_as_they_lie_there() {
    let repo = Repo::with_web();
    repo.write("web/page.html", "staged\n");
    repo.git(&["add", "--all"]);
    let staged = repo.worktree();
    repo.write("web/page.html", "edited after it was staged\n");
    let unstaged = repo.worktree();
    assert_ne!(staged.version, unstaged.version);
    repo.assert_counts_as_committed();
}

#[test]
fn an_edit_that_was_staged_and_taken_back_is_no_edit() {
    let repo = Repo::with_web();
    let before = repo.worktree();
    repo.write("web/page.html", "staged\n");
    repo.git(&["add", "--all"]);
    repo.write("web/page.html", "<p>hello\n");
    assert_same(&before, &repo.worktree());
}

#[test]
fn a_file_that_was_only_touched_is_clean() {
    let repo = Repo::with_web();
    let before = repo.worktree();
    repo.write("web/page.html", "<p>hello\n");
    assert_same(&before, &repo.worktree());
}

#[test]
fn untracked_files_count_and_ignored_ones_do_not() {
    let repo = Repo::with_web();
    let before = repo.worktree();
    repo.write(".gitignore", "*.log\nbuild/\n");
    repo.write("web/today.log", "noise\n");
    repo.write("web/build/out", "noise\n");
    assert_eq!(keys(&before.services["web"]), keys(&repo.worktree().services["web"]));
    repo.write("web/deep/below/new.css", "p {}\n");
    assert_ne!(keys(&before.services["web"]), keys(&repo.worktree().services["web"]));
    repo.assert_counts_as_committed();
}

#[test]
fn a_tracked_file_counts_even_where_it_is_ignored() {
    let repo = Repo::with_web();
    repo.write("web/kept.log", "tracked\n");
    repo.commit();
    repo.write(".gitignore", "*.log\n");
    repo.commit();
    let before = repo.worktree();
    assert_same(&before, &repo.head());
    repo.write("web/kept.log", "tracked and edited\n");
    let after = repo.assert_counts_as_committed();
    assert_ne!(before.version, after.version);
}

#[test]
fn a_file_that_is_no_longer_tracked_counts_unless_it_is_ignored() {
    let repo = Repo::with_web();
    repo.git(&["rm", "--quiet", "--cached", "web/page.html"]);
    let kept = repo.worktree();
    assert_same(&kept, &repo.head());
    repo.write(".gitignore", "page.html\n");
    let gone = repo.assert_counts_as_committed();
    assert_ne!(kept.version, gone.version);
    assert!(gone.services["web"].sources.file("web/page.html").is_none());
}

#[test]
fn deleted_files_are_gone_whether_or_not_the_deletion_is_staged() {
    let repo = Repo::with_web();
    repo.write("web/other", "x");
    repo.write("web/folder/deep/file", "x");
    repo.commit();
    repo.remove("web/other");
    repo.git(&["rm", "--quiet", "web/page.html"]);
    std::fs::remove_dir_all(repo.path("web/folder")).unwrap();
    repo.assert_counts_as_committed();
}

#[test]
fn a_file_may_become_a_folder_and_a_folder_a_file_or_a_link() {
    let repo = Repo::with_web();
    repo.write("web/a", "a file");
    repo.write("web/b/inside", "in a folder");
    repo.write("web/c/inside", "in a folder");
    repo.write("web/d", "a file");
    repo.write("web/elsewhere/inside", "what the link leads to");
    repo.commit();
    repo.remove("web/a");
    repo.write("web/a/inside", "in a folder now");
    std::fs::remove_dir_all(repo.path("web/b")).unwrap();
    repo.write("web/b", "a file now");
    std::fs::remove_dir_all(repo.path("web/c")).unwrap();
    symlink("elsewhere", repo.path("web/c")).unwrap();
    repo.remove("web/d");
    std::fs::create_dir(repo.path("web/d")).unwrap();
    repo.assert_counts_as_committed();
}

#[test]
fn executable_bits_count() {
    let repo = Repo::with_web();
    let before = repo.worktree();
    std::fs::set_permissions(repo.path("web/server"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let after = repo.assert_counts_as_committed();
    assert_ne!(before.version, after.version);
}

#[test]
fn executable_bits_are_those_of_the_index_where_git_is_told_to_ignore_the_disk() {
    let repo = Repo::with_web();
    repo.git(&["update-index", "--chmod=+x", "web/server"]);
    repo.git(&["config", "core.fileMode", "false"]);
    repo.git(&["commit", "--quiet", "-m", "executable"]);
    assert_same(&repo.worktree(), &repo.head());
    repo.write("web/server", "#!/bin/sh\necho edited\n");
    repo.write("web/new", "untracked\n");
    std::fs::set_permissions(repo.path("web/new"), std::fs::Permissions::from_mode(0o755)).unwrap();
    repo.assert_counts_as_committed();
}

#[test]
fn links_count_by_their_target_and_are_not_followed() {
    let repo = Repo::with_web();
    symlink("page.html", repo.path("web/index.html")).unwrap();
    symlink("/nowhere/at/all", repo.path("web/broken")).unwrap();
    let before = repo.assert_counts_as_committed();
    repo.remove("web/index.html");
    symlink("server", repo.path("web/index.html")).unwrap();
    let after = repo.assert_counts_as_committed();
    assert_ne!(before.version, after.version);
}

#[test]
fn line_ends_count_as_git_stores_them() {
    let repo = Repo::new();
    repo.write(".gitattributes", "* text=auto\n*.bat text eol=crlf\n*.bin binary\n");
    repo.write("web/service.yaml", "name: web\r\nrun: [./server]\r\nenv:\r\n  A: |\r\n    one\r\n    two\r\n");
    repo.write("web/text", "one\r\ntwo\r\n");
    repo.write("web/run.bat", "one\r\ntwo\r\n");
    repo.write("web/data.bin", "one\r\ntwo\r\n");
    repo.assert_counts_as_committed();
    repo.write("web/text", "one\r\ntwo\r\nthree\r\n");
    repo.assert_counts_as_committed();
}

#[test]
fn line_ends_converted_by_configuration_do_not_count() {
    let repo = Repo::with_web();
    let before = repo.head();
    repo.git(&["config", "core.autocrlf", "true"]);
    for file in ["web/page.html", "web/server"] {
        repo.remove(file);
    }
    repo.git(&["checkout", "--quiet", "--", "."]);
    assert_eq!(std::fs::read(repo.path("web/page.html")).unwrap(), b"<p>hello\r\n");
    assert_same(&before, &repo.worktree());
    repo.write("web/page.html", "<p>bye\r\n");
    repo.write("web/new.html", "<p>new\r\n");
    repo.assert_counts_as_committed();
}

#[test]
fn a_file_committed_with_windows_line_ends_keeps_them_as_git_add_does() {
    let repo = Repo::with_web();
    repo.write("web/old.txt", "one\r\n");
    repo.commit();
    repo.git(&["config", "core.autocrlf", "true"]);
    assert_same(&repo.worktree(), &repo.head());
    repo.write("web/old.txt", "one\r\ntwo\r\n");
    repo.assert_counts_as_committed();
}

#[test]
fn filters_that_are_programs_are_run_by_git() {
    let repo = Repo::with_web();
    repo.write(".gitattributes", "*.up filter=upper\n");
    repo.git(&["config", "filter.upper.clean", "tr a-z A-Z"]);
    repo.git(&["config", "filter.upper.smudge", "tr A-Z a-z"]);
    repo.write("web/words.up", "hello\n");
    repo.assert_counts_as_committed();
    assert_eq!(repo.git(&["show", "HEAD:web/words.up"]), "HELLO\n");
    repo.write("web/words.up", "hello again\n");
    repo.assert_counts_as_committed();
}

#[test]
fn file_names_may_hold_blanks_quotes_and_any_script() {
    let repo = Repo::with_web();
    for name in [
        "a b",
        "größe",
        "日本語 ファイル",
        "quote\"d",
        "\"quoted\"",
        "back\\slash",
        "trailing ",
        "-dash",
        "tab\tbed",
        "line\nbreak",
        "end\r",
    ] {
        repo.write(&format!("web/{name}"), name);
    }
    let graph = repo.assert_counts_as_committed();
    assert!(graph.services["web"].sources.file("web/größe").is_some());
    assert!(graph.services["web"].sources.file("web/line\nbreak").is_some());
}

#[test]
fn a_repository_without_commits_has_a_graph() {
    let repo = Repo::new();
    repo.write("web/service.yaml", "name: web\nrun: [./server]\n");
    repo.write("web/server", "#!/bin/sh\n");
    repo.git(&["add", "web/server"]);
    repo.assert_counts_as_committed();
}

#[test]
fn a_revision_that_does_not_exist_is_said() {
    let repo = Repo::new();
    let error = Tree::of_commit(&repo.root(), "HEAD").err().unwrap();
    assert!(matches!(error, TreeError::NoCommit { .. }), "{error}");
    let outside = tempfile::tempdir().unwrap();
    let error = Tree::of_worktree(outside.path()).err().unwrap();
    assert!(matches!(error, TreeError::NoRepository(_)), "{error}");
}

#[test]
fn a_linked_work_tree_counts_by_itself() {
    let repo = Repo::with_web();
    let beside = tempfile::tempdir().unwrap();
    let linked = beside.path().join("linked");
    repo.git(&["worktree", "add", "--quiet", "-b", "other", linked.to_str().unwrap()]);
    assert_same(&repo.worktree(), &graph_of(Tree::of_worktree(&linked).unwrap()));
    std::fs::write(linked.join("web/page.html"), "<p>elsewhere\n").unwrap();
    let edited = graph_of(Tree::of_worktree(&linked).unwrap());
    assert_ne!(repo.worktree().version, edited.version);
    git_in(&linked, &["commit", "--quiet", "-am", "an edit"]);
    assert_same(&edited, &graph_of(Tree::of_commit(&linked, "HEAD").unwrap()));
    assert_same(&edited, &graph_of(Tree::of_commit(&repo.root(), "other").unwrap()));
}

#[test]
fn a_sparse_checkout_counts_as_its_commit() {
    let repo = Repo::with_web();
    repo.write("big/file", "not checked out everywhere\n");
    repo.commit();
    let before = Tree::of_commit(&repo.root(), "HEAD").unwrap().root().oid();
    repo.git(&["sparse-checkout", "set", "web"]);
    assert!(!repo.path("big/file").exists());
    assert_eq!(Tree::of_worktree(&repo.root()).unwrap().root().oid(), before);
}

#[test]
fn every_folder_of_a_repository_finds_it() {
    let repo = Repo::with_web();
    assert_same(&repo.worktree(), &graph_of(Tree::of_worktree(&repo.path("web")).unwrap()));
}

// --- Submodules.

fn with_submodule() -> (Repo, Repo) {
    let library = Repo::new();
    library.write("lib.txt", "a library\n");
    library.commit();
    let repo = Repo::with_web();
    repo.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        library.root().to_str().unwrap(),
        "web/lib",
    ]);
    (repo, library)
}

#[test]
fn a_submodule_counts_by_its_commit() {
    let (repo, _library) = with_submodule();
    repo.assert_counts_as_committed();
    let before = repo.worktree();
    let inside = repo.path("web/lib");
    std::fs::write(inside.join("lib.txt"), "a better library\n").unwrap();
    git_in(&inside, &["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "-am", "better"]);
    let after = repo.assert_counts_as_committed();
    assert_ne!(before.version, after.version);
}

#[test]
fn a_staged_commit_of_a_submodule_counts() {
    let (repo, _library) = with_submodule();
    repo.commit();
    let before = repo.worktree();
    let inside = repo.path("web/lib");
    std::fs::write(inside.join("lib.txt"), "a better library\n").unwrap();
    git_in(&inside, &["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "-am", "better"]);
    repo.git(&["add", "web/lib"]);
    assert_ne!(before.version, repo.worktree().version);
    repo.assert_counts_as_committed();
}

#[test]
fn a_submodule_with_changes_of_its_own_is_an_error() {
    let (repo, _library) = with_submodule();
    repo.commit();
    repo.write("web/lib/lib.txt", "edited\n");
    assert!(matches!(repo.tree_error(), TreeError::DirtySubmodule(path) if path == "web/lib"));
    git_in(&repo.path("web/lib"), &["checkout", "--quiet", "."]);
    repo.worktree();
    repo.write("web/lib/untracked", "new\n");
    assert!(matches!(repo.tree_error(), TreeError::DirtySubmodule(path) if path == "web/lib"));
}

#[test]
fn a_submodule_that_is_not_checked_out_counts_as_its_commit() {
    let (repo, _library) = with_submodule();
    repo.commit();
    let before = repo.worktree();
    repo.git(&["submodule", "--quiet", "deinit", "--force", "web/lib"]);
    assert_same(&before, &repo.worktree());
}

// --- Which files are whose.

#[test]
fn an_example_in_a_subfolder_is_a_repository_of_its_own() {
    let repo = Repo::with_web();
    repo.write("examples/shop/clustergraph.yaml", "services: [\"parts/*\"]\n");
    repo.write("examples/shop/parts/api/service.yaml", "name: api\nrun: [./api]\ninclude: [libs]\n");
    repo.write("examples/shop/libs/money", "1\n");
    repo.commit();
    let inside = repo.path("examples/shop/parts/api");
    let worktree = graph_of(Tree::of_worktree(&inside).unwrap());
    assert_eq!(worktree.services.keys().collect::<Vec<_>>(), ["api"]);
    assert_eq!(worktree.services["api"].folder, "parts/api");
    assert_same(&worktree, &graph_of(Tree::of_commit(&inside, "HEAD").unwrap()));
    repo.write("web/page.html", "not of the example\n");
    assert_same(&worktree, &graph_of(Tree::of_worktree(&inside).unwrap()));
    repo.write("examples/shop/libs/money", "2\n");
    let edited = graph_of(Tree::of_worktree(&inside).unwrap());
    assert_ne!(worktree.version, edited.version);
    repo.commit();
    assert_same(&edited, &graph_of(Tree::of_commit(&inside, "HEAD").unwrap()));
}

#[test]
fn a_service_inside_anothers_folder_is_no_source_of_the_outer_one() {
    let repo = Repo::new();
    repo.write("clustergraph.yaml", "services: [outer, outer/inner]\n");
    repo.write("outer/service.yaml", "name: outer\nrun: [./outer]\n");
    repo.write("outer/file", "1");
    repo.write("outer/inner/service.yaml", "name: inner\nrun: [./inner]\n");
    repo.write("outer/inner/file", "1");
    repo.commit();
    let before = repo.worktree();
    repo.write("outer/inner/file", "2");
    let after = repo.assert_counts_as_committed();
    assert_eq!(keys(&before.services["outer"]), keys(&after.services["outer"]));
    assert_ne!(before.services["inner"].source, after.services["inner"].source);
}

#[test]
fn a_service_may_lie_at_the_root() {
    let repo = Repo::new();
    repo.write("clustergraph.yaml", "services: [\".\", side]\n");
    repo.write("service.yaml", "name: main\nrun: [./main]\n");
    repo.write("main", "1");
    repo.write("side/service.yaml", "name: side\nrun: [./side]\n");
    repo.write("side/file", "1");
    repo.commit();
    let before = repo.worktree();
    assert_eq!(before.services["main"].folder, "");
    let files: Vec<_> = before.services["main"].sources.files().into_iter().map(|(path, _)| path).collect();
    assert_eq!(files, ["main"]);
    repo.write("side/file", "2");
    repo.write("service.yaml", "# a comment\nrun: [./main]\nname: main\n");
    repo.write("clustergraph.yaml", "services: [side, \".\"] # a comment\n");
    let after = repo.assert_counts_as_committed();
    assert_eq!(keys(&before.services["main"]), keys(&after.services["main"]));
    repo.write("main", "2");
    assert_ne!(keys(&after.services["main"]), keys(&repo.worktree().services["main"]));
}

#[test]
fn ignored_patterns_are_no_sources_and_included_paths_are() {
    let repo = Repo::new();
    repo.write(
        "web/service.yaml",
        "name: web\nrun: [./web]\nignore: [\"*.md\", /docs, \"!keep.md\"]\ninclude: [libs/money, go.work]\n",
    );
    for path in [
        "web/web",
        "web/a.md",
        "web/docs/b",
        "web/deep/docs/c",
        "web/keep.md",
        "libs/money/m",
        "libs/other/o",
        "go.work",
    ] {
        repo.write(path, "1");
    }
    repo.commit();
    let files = |graph: &Graph| -> Vec<String> {
        graph.services["web"].sources.files().into_iter().map(|(path, _)| path).collect()
    };
    let before = repo.worktree();
    assert_eq!(files(&before), ["go.work", "libs/money/m", "web/deep/docs/c", "web/keep.md", "web/web"]);
    for (path, counts) in [
        ("web/a.md", false),
        ("web/docs/b", false),
        ("libs/other/o", false),
        ("web/deep/docs/c", true),
        ("web/keep.md", true),
        ("libs/money/m", true),
        ("go.work", true),
    ] {
        repo.write(path, "2");
        let after = repo.worktree();
        assert_eq!(before.services["web"].source != after.services["web"].source, counts, "{path}");
        repo.write(path, "1");
    }
}

#[test]
fn the_service_yaml_of_an_included_service_is_no_source() {
    let repo = Repo::new();
    repo.write("web/service.yaml", "name: web\nrun: [./web]\ninclude: [api]\n");
    repo.write("api/service.yaml", "name: api\nrun: [./api]\n");
    repo.write("api/api", "1");
    repo.commit();
    let before = repo.worktree();
    repo.write("api/service.yaml", "# a comment\nname: api\nrun: [./api]\n");
    assert_same(&before, &repo.worktree());
    repo.write("api/api", "2");
    assert_ne!(before.services["web"].source, repo.worktree().services["web"].source);
}

#[test]
fn what_a_setup_installs_is_no_source() {
    let repo = Repo::new();
    repo.write("web/service.yaml", "name: web\nrun: [node, index.js]\n");
    repo.write("web/package.json", "{}");
    repo.write("web/package-lock.json", "{}");
    repo.commit();
    let before = repo.worktree();
    repo.write("web/node_modules/left-pad/index.js", "1");
    assert_same(&before, &repo.worktree());
}

// --- What people write, and what it means.

#[test]
fn formatting_comments_and_the_order_of_keys_never_matter() {
    let one = "\
name: web
run: [./web, --port, '8080']
ports: { http: 8080, admin: { port: 9090, protocol: https } }
databases: [{ kind: postgres, version: '16', params: { b: x, a: y } }]
dependencies: [{ service: api, as: upstream }, other]
env: { A: one, B: '${services.upstream.url}' }
";
    let other = "\
# A comment.
env:
  B: ${services.upstream.url}   # another
  A: 'one'

dependencies:
- other
- as: upstream
  service: api
databases:
  - params:
      a: y
      b: \"x\"
    version: 16
    kind: postgres
ports:
  admin:
    protocol: https
    port: 9090
  http: 8080
run:
  - ./web
  - \"--port\"
  - 8080
name: 'web'
";
    let repo = Repo::new();
    for name in ["api", "other"] {
        repo.write(&format!("{name}/service.yaml"), format!("name: {name}\nrun: [./run]\nports: {{ http: 1 }}\n"));
    }
    repo.write("web/service.yaml", one);
    let before = repo.worktree();
    repo.write("web/service.yaml", other);
    assert_same(&before, &repo.worktree());
    repo.write("web/service.yaml", other.replace('\n', "\r\n"));
    assert_same(&before, &repo.worktree());
    repo.write("web/service.yaml", format!("\u{feff}{other}"));
    assert_same(&before, &repo.worktree());
}

/// A service with every field that this version honours.
const FULL: &str = "\
name: web
stack: command
dependencies: [{ service: api, as: upstream, wait: ready }]
databases: [{ kind: postgres, version: '16', as: main, params: { pool: 5 }, migrate: { run: [./migrate], schema: schema }, seed: { run: [./seed] } }]
ports: { http: 8080, admin: { port: 9090, protocol: http } }
health: { http: /healthz, timeout: 2s, start_timeout: 30s }
env: { LEVEL: info }
setup: [[./setup]]
run: [./web]
include: [libs]
public: { path: / }
scale: { replicas: 1 }
stop: { signal: TERM, grace: 10s }
labels: { team: checkout }
";

fn full(text: &str) -> Repo {
    let repo = Repo::new();
    repo.write("web/service.yaml", text);
    repo.write("web/Dockerfile", "FROM scratch\n");
    repo.write("web/schema/1.sql", "select 1;\n");
    repo.write("libs/lib", "1");
    repo.write("libs2/lib", "1");
    repo.write("api/service.yaml", "name: api\nrun: [./api]\nports: { http: 80, grpc: 81 }\n");
    repo.write("api2/service.yaml", "name: api2\nrun: [./api]\nports: { http: 80, grpc: 81 }\n");
    repo
}

#[test]
fn behaviour_is_in_the_id_and_operation_is_not() {
    let repo = full(FULL);
    let before = repo.worktree();
    for (what, from, to, behaviour) in [
        ("stack", "stack: command", "stack: python", true),
        ("dependencies", "service: api,", "service: api2,", true),
        ("dependencies.as", "as: upstream", "as: api", true),
        ("dependencies.wait", "wait: ready", "wait: started", true),
        ("databases.version", "version: '16'", "version: '17'", true),
        ("databases.as", "as: main", "as: other", true),
        ("databases.params", "pool: 5", "pool: 6", true),
        ("databases.migrate", "run: [./migrate]", "run: [./migrate, now]", true),
        ("databases.seed", "run: [./seed]", "run: [./seed, more]", true),
        ("ports", "http: 8080", "http: 8081", true),
        ("ports.protocol", "protocol: http", "protocol: https", true),
        ("env", "LEVEL: info", "LEVEL: debug", true),
        ("env, another", "LEVEL: info", "LEVEL: info, MORE: x", true),
        ("setup", "[./setup]", "[./setup, more]", true),
        ("run", "run: [./web]", "run: [./web, --fast]", true),
        ("build", "run: [./web]", "run: [./web]\nbuild: {}", true),
        ("image", "run: [./web]", "run: [./web]\nimage: nginx:1", true),
        ("include", "include: [libs]", "include: [libs2]", true),
        ("health", "http: /healthz", "http: /ready", false),
        ("health.port", "timeout: 2s", "timeout: 2s, port: admin", false),
        ("health.timeout", "timeout: 2s", "timeout: 3s", false),
        ("health.start_timeout", "start_timeout: 30s", "start_timeout: 31s", false),
        ("no health", "health: { http: /healthz, timeout: 2s, start_timeout: 30s }\n", "", false),
        ("public", "path: /", "path: /shop", false),
        ("not public", "public: { path: / }\n", "", false),
        ("scale", "replicas: 1", "replicas: 7", false),
        ("stop.signal", "signal: TERM", "signal: INT", false),
        ("stop.grace", "grace: 10s", "grace: 11s", false),
        ("labels", "team: checkout", "team: payments", false),
        (
            "clusters of other names",
            "name: web\n",
            "name: web\nclusters: { production: { env: { LEVEL: warn } } }\n",
            false,
        ),
        (
            "an override by the same value",
            "name: web\n",
            "name: web\nclusters: { local: { env: { LEVEL: info } } }\n",
            false,
        ),
        ("an override", "name: web\n", "name: web\nclusters: { local: { env: { LEVEL: warn } } }\n", true),
    ] {
        assert!(FULL.contains(from), "{what}: the text has no `{from}`");
        repo.write("web/service.yaml", FULL.replacen(from, to, 1));
        let after = repo.worktree();
        assert_eq!(before.services["web"].id != after.services["web"].id, behaviour, "{what} and the id");
        assert_eq!(before.version != after.version, behaviour, "{what} and the version");
    }
}

#[test]
fn a_changed_schema_changes_the_migration_and_the_id() {
    let repo = full(FULL);
    let before = repo.worktree();
    repo.write("web/schema/2.sql", "select 2;\n");
    let after = repo.worktree();
    assert_ne!(before.databases["web/main"].migration, after.databases["web/main"].migration);
    assert_ne!(before.services["web"].id, after.services["web"].id);
    repo.remove("web/schema/2.sql");
    repo.write("web/other", "no schema\n");
    let other = repo.worktree();
    assert_eq!(before.databases["web/main"].migration, other.databases["web/main"].migration);
}

#[test]
fn build_arguments_and_targets_are_sources() {
    let repo = full("name: web\nbuild: { args: { A: b }, target: prod }\n");
    let before = repo.worktree();
    for text in [
        "name: web\nbuild: { args: { A: c }, target: prod }\n",
        "name: web\nbuild: { args: { A: b }, target: test }\n",
        "name: web\nbuild: { args: { A: b, B: c }, target: prod }\n",
    ] {
        repo.write("web/service.yaml", text);
        let after = repo.worktree();
        assert_ne!(before.services["web"].source, after.services["web"].source, "{text}");
        assert_eq!(before.services["web"].behaviour, after.services["web"].behaviour, "{text}");
    }
}

// --- Ids follow edges.

fn chain() -> Repo {
    let repo = Repo::new();
    repo.write("top/service.yaml", "name: top\nrun: [./run]\ndependencies: [middle]\n");
    repo.write("middle/service.yaml", "name: middle\nrun: [./run]\nports: { http: 1 }\ndependencies: [leaf]\n");
    repo.write("leaf/service.yaml", "name: leaf\nrun: [./run]\nports: { http: 1 }\n");
    repo.write("side/service.yaml", "name: side\nrun: [./run]\n");
    repo.write("leaf/file", "1");
    repo.commit();
    repo
}

#[test]
fn an_edited_leaf_changes_the_ids_of_its_ancestors_and_nothing_else_of_them() {
    let repo = chain();
    let before = repo.worktree();
    repo.write("leaf/file", "2");
    let after = repo.worktree();
    assert_ne!(before.services["leaf"].source, after.services["leaf"].source);
    assert_eq!(before.services["leaf"].behaviour, after.services["leaf"].behaviour);
    for name in ["middle", "top"] {
        let (before, after) = (&before.services[name], &after.services[name]);
        assert_eq!(before.source, after.source, "{name}");
        assert_eq!(before.behaviour, after.behaviour, "{name}");
        assert_ne!(before.id, after.id, "{name}");
    }
    assert_eq!(keys(&before.services["side"]), keys(&after.services["side"]));
}

#[test]
fn an_edited_ancestor_changes_nothing_below_it() {
    let repo = chain();
    let before = repo.worktree();
    repo.write("top/file", "2");
    let after = repo.worktree();
    for name in ["middle", "leaf", "side"] {
        assert_eq!(keys(&before.services[name]), keys(&after.services[name]), "{name}");
    }
    assert_ne!(before.services["top"].id, after.services["top"].id);
}

#[test]
fn services_on_a_cycle_are_versioned_together() {
    let repo = Repo::new();
    repo.write("a/service.yaml", "name: a\nrun: [./run]\nports: { http: 1 }\ndependencies: [b]\n");
    repo.write(
        "b/service.yaml",
        "name: b\nrun: [./run]\nports: { http: 1 }\ndependencies: [{ service: a, wait: none }, c]\n",
    );
    repo.write("c/service.yaml", "name: c\nrun: [./run]\nports: { http: 1 }\n");
    repo.write("d/service.yaml", "name: d\nrun: [./run]\ndependencies: [b]\n");
    let before = repo.worktree();
    assert_ne!(before.services["a"].id, before.services["b"].id);
    let changed = |after: &Graph| -> Vec<String> {
        before
            .services
            .iter()
            .filter(|(name, service)| service.id != after.services[*name].id)
            .map(|(name, _)| name.clone())
            .collect()
    };
    for (edited, want) in
        [("a", &["a", "b", "d"][..]), ("b", &["a", "b", "d"]), ("c", &["a", "b", "c", "d"]), ("d", &["d"])]
    {
        repo.write(&format!("{edited}/file"), "edited");
        assert_eq!(changed(&repo.worktree()), want, "{edited} was edited");
        repo.remove(&format!("{edited}/file"));
    }
}

#[test]
fn where_a_repository_lies_and_who_reads_it_never_matters() {
    let (one, other) = (chain(), chain());
    other.git(&["commit", "--quiet", "--amend", "--author", "B <b@example.org>", "-m", "other words"]);
    assert_same(&one.worktree(), &other.worktree());
    assert_same(&one.head(), &other.head());
}
