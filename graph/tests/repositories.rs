//! Repositories as they are met: clones of a part, damaged ones, names that differ in case, large files elsewhere.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use clustergraph::graph::{BuildError, Graph};
use clustergraph::tree::{Dockerfile, Tree, TreeError};
use support::{Repo, assert_same, git_in, graph_of, keys};

#[test]
fn a_shallow_clone_has_its_last_commit_and_says_how_to_get_the_others() {
    let origin = Repo::with_web();
    origin.write("web/page.html", "changed\n");
    origin.commit();
    let clone = tempfile::tempdir().unwrap();
    let url = format!("file://{}", origin.root().display());
    git_in(clone.path(), &["clone", "--quiet", "--depth=1", &url, "."]);
    assert_same(&graph_of(Tree::of_commit(clone.path(), "HEAD").unwrap()), &origin.head());
    assert_same(&graph_of(Tree::of_worktree(clone.path()).unwrap()), &origin.head());
    let error = Tree::of_commit(clone.path(), "HEAD~1").err().unwrap();
    assert!(error.to_string().contains("git fetch --unshallow"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_read_is_an_error_and_not_an_empty_folder() {
    for (lost, service) in [
        // Among its sources, with and without patterns; the service's own folder; another one.
        ("web/deep", "name: web\nrun: [./server]\n"),
        ("web/deep", "name: web\nrun: [./server]\nignore: ['*.md']\n"),
        ("web", "name: web\nrun: [./server]\n"),
        ("shared", "name: web\nrun: [./server]\ninclude: [shared]\n"),
    ] {
        let repo = Repo::with_web();
        repo.write("web/service.yaml", service);
        repo.write("web/deep/below/file", "x");
        repo.write("shared/deep/file", "x");
        repo.commit();
        let oid = repo.git(&["rev-parse", &format!("HEAD:{lost}")]).trim().to_owned();
        repo.remove(&format!(".git/objects/{}/{}", &oid[..2], &oid[2..]));
        let tree = Tree::of_commit(&repo.root(), "HEAD").unwrap();
        match Graph::build(&tree, "local") {
            Err(BuildError::Tree(error)) => assert!(error.to_string().contains(&oid), "{lost}: {error}"),
            Err(error) => panic!("{lost}: {error}"),
            Ok(_) => panic!("{lost}: a graph of files that are not there"),
        }
    }
}

#[test]
fn names_that_differ_in_case_are_two_where_the_disk_says_so_and_refused_where_not() {
    let repo = Repo::with_web();
    repo.write("web/page.html", "one\n");
    repo.write("web/Page.html", "another\n");
    repo.write("web/Folder/a", "one\n");
    repo.write("web/folder/b", "another\n");
    repo.assert_counts_as_committed();
    repo.git(&["config", "core.ignorecase", "true"]);
    let error = repo.tree_error();
    assert!(matches!(&error, TreeError::SameName { .. }), "{error}");
    assert!(error.to_string().contains("differ only in case"), "{error}");
    // A commit is read without the disk.
    assert!(repo.head().services["web"].sources.file("web/Page.html").is_some());
}

#[test]
fn folders_that_differ_in_case_are_refused_where_the_disk_takes_them_for_one() {
    let repo = Repo::with_web();
    repo.write("web/Folder/a", "one\n");
    repo.write("web/folder/b", "another\n");
    repo.commit();
    repo.git(&["config", "core.ignorecase", "true"]);
    assert!(matches!(repo.tree_error(), TreeError::SameName { .. }));
}

#[test]
fn services_in_services_are_the_same_in_a_work_tree_and_in_its_commit() {
    let repo = Repo::new();
    repo.write("clustergraph.yaml", "services: [., lib, lib/inner, app]\n");
    repo.write("service.yaml", "name: root\nrun: [./root]\n");
    repo.write("root", "x");
    repo.write("lib/service.yaml", "name: lib\nrun: [./lib]\nignore: [docs]\n");
    repo.write("lib/lib", "x");
    repo.write("lib/docs/page", "x");
    repo.write("lib/inner/service.yaml", "name: inner\nrun: [./inner]\n");
    repo.write("lib/inner/inner", "x");
    repo.write("app/service.yaml", "name: app\nrun: [./app]\ninclude: [lib]\n");
    repo.write("app/app", "x");
    let before = repo.assert_counts_as_committed();
    let files = |name: &str| -> Vec<String> {
        before.services[name].sources.files().into_iter().map(|(path, _)| path).collect()
    };
    assert_eq!(files("root"), ["root"]);
    assert_eq!(files("lib"), ["lib/lib"]);
    assert_eq!(files("inner"), ["lib/inner/inner"]);
    assert_eq!(files("app"), ["app/app", "lib/docs/page", "lib/inner/inner", "lib/lib"]);
    // Each service's own edit reaches who reads it, and nobody else.
    repo.write("lib/inner/inner", "edited");
    let after = repo.assert_counts_as_committed();
    let changed: Vec<&str> = before
        .services
        .iter()
        .filter(|(name, service)| keys(service) != keys(&after.services[*name]))
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(changed, ["app", "inner"]);
}

// --- Git LFS.

const LARGE: &str = "a large file\n";

fn pointer() -> String {
    use sha2::Digest;
    let digest = hex::encode(sha2::Sha256::digest(LARGE));
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {}\n", LARGE.len())
}

/// What a build gets of `web/large`.
fn exported(tree: &Tree) -> Result<String, TreeError> {
    let mut bytes = Vec::new();
    tree.archive(tree.root(), &Dockerfile::Text("FROM x".into()), &mut bytes)?;
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut large = String::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().ends_with("web/large") {
            std::io::Read::read_to_string(&mut entry, &mut large).unwrap();
        }
    }
    Ok(large)
}

#[test]
fn a_pointer_of_git_lfs_is_exported_as_what_it_stands_for_or_refused() {
    let repo = Repo::with_web();
    repo.write("web/large", pointer());
    repo.commit();
    let commit = || Tree::of_commit(&repo.root(), "HEAD").unwrap();
    // Nowhere: not in the store, not in the work tree, and there is nothing to fetch it from.
    let error = exported(&commit()).unwrap_err();
    assert!(matches!(&error, TreeError::Lfs { path, .. } if path == "web/large"), "{error}");
    assert!(error.to_string().contains("git lfs pull"), "{error}");
    let id = repo.head().services["web"].id;
    // Something else of that name and size in the store is not taken.
    let text = pointer();
    let digest = text.split("sha256:").nth(1).unwrap().lines().next().unwrap();
    let stored = format!(".git/lfs/objects/{}/{}/{digest}", &digest[..2], &digest[2..4]);
    repo.write(&stored, LARGE.to_uppercase());
    assert!(exported(&commit()).is_err());
    repo.write(&stored, LARGE);
    assert_eq!(exported(&commit()).unwrap(), LARGE);
    // The id is of what git holds: who has the large file and who has not agree.
    assert_eq!(repo.head().services["web"].id, id);
}

#[test]
fn a_checked_out_file_of_git_lfs_is_clean_and_exported_as_it_lies_there() {
    let repo = Repo::with_web();
    repo.write(".gitattributes", "large filter=lfs\n");
    let script = repo.path(".git/clean");
    std::fs::write(repo.path(".git/pointer"), pointer()).unwrap();
    std::fs::write(&script, format!("cat >/dev/null; cat '{}'", repo.path(".git/pointer").display())).unwrap();
    repo.git(&["config", "filter.lfs.clean", &format!("sh '{}'", script.display())]);
    repo.write("web/large", LARGE);
    repo.assert_counts_as_committed();
    assert_eq!(repo.git(&["show", "HEAD:web/large"]), pointer());
    for tree in [Tree::of_worktree(&repo.root()), Tree::of_commit(&repo.root(), "HEAD")] {
        assert_eq!(exported(&tree.unwrap()).unwrap(), LARGE);
    }
}
