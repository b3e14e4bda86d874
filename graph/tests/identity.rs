//! Identities over real git repositories: what changes them, and above all what does not.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use clustergraph::graph::Graph;
use clustergraph::tree::Tree;
use support::{Repo, assert_same, graph_of, keys};

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

/// A service that stores.
const STORING: &str = "\
name: web
run: [./web]
databases: [{ kind: postgres, as: main, migrate: { run: [./migrate], schema: schema } }]
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
fn a_changed_schema_changes_the_migration_and_the_id() {
    let repo = full(STORING);
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

// --- What stacks add.

const GOPHER: &str = "\
services: [\"parts/*\"]
stacks:
  gopher: { detect: gopher.mod, rank: 1, image: golang, base: debian, recipe: \"FROM {image}\\nFROM {base}\\n\", workspace: [go.work, go.sum], setup: [go, mod, download], lockfiles: [go.sum], run: [go, run, .] }
  strict: { detect: [gopher.mod, vendor.toml], rank: 2, image: golang, recipe: \"FROM {image}\" }
  boxed: { detect: Boxfile, dockerfile: Boxfile }
";

fn gopher() -> Repo {
    let repo = Repo::new();
    repo.write("clustergraph.yaml", GOPHER);
    repo.write("parts/api/service.yaml", "name: api\n");
    repo.write("parts/api/gopher.mod", "module api\n");
    repo.write("go.work", "use ./parts/api\n");
    repo.write("go.sum", "1\n");
    repo.write("readme.md", "1\n");
    repo.write("parts/box/service.yaml", "name: box\n");
    repo.write("parts/box/Boxfile", "FROM scratch\n");
    repo
}

#[test]
fn the_files_of_a_workspace_are_sources_wherever_they_lie_above() {
    let repo = gopher();
    let before = repo.worktree();
    let api = &before.services["api"];
    assert_eq!((api.stack.name.as_str(), api.run.as_ref()), ("gopher", None));
    assert_eq!(api.run_here().unwrap().join(" "), "go run .");
    let files: Vec<String> = api.sources.files().into_iter().map(|(path, _)| path).collect();
    assert_eq!(files, ["go.sum", "go.work", "parts/api/gopher.mod"]);
    assert_eq!(api.setup.len(), 1);
    repo.write("readme.md", "2\n");
    assert_same(&before, &repo.worktree());
    repo.write("go.work", "use ./parts/box\n");
    let after = repo.worktree();
    assert_ne!(api.source, after.services["api"].source);
    assert_eq!(api.setup_key, after.services["api"].setup_key);
    assert_eq!(before.services["box"].source, after.services["box"].source);
    repo.write("go.sum", "2\n");
    let locked = repo.worktree();
    assert_ne!(api.setup_key, locked.services["api"].setup_key);
    // The nearest is the one that counts.
    repo.write("parts/go.sum", "3\n");
    assert_ne!(locked.services["api"].setup_key, repo.worktree().services["api"].setup_key);
}

#[test]
fn the_images_of_a_recipe_are_part_of_what_is_built() {
    let repo = gopher();
    let before = repo.worktree();
    for (from, to) in [("image: golang, base", "image: golang:1, base"), ("base: debian", "base: alpine")] {
        repo.write("clustergraph.yaml", GOPHER.replace(from, to));
        assert_ne!(before.services["api"].source, repo.worktree().services["api"].source, "{to}");
    }
}

#[test]
fn a_stack_may_say_which_file_its_images_are_built_from() {
    use clustergraph::graph::Image;
    let graph = gopher().worktree();
    let Image::Dockerfile(build) = &graph.services["box"].image else { unreachable!("it has a Dockerfile") };
    assert_eq!(build.dockerfile, "Boxfile");
}
