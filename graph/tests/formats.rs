//! Repositories that libgit2 cannot read count by the same rules, through the git program.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use clustergraph::graph::{BuildError, Graph};
use clustergraph::tree::{Tree, TreeError};
use support::{Repo, assert_same, git_in, graph_of};

fn of_sha256() -> Repo {
    Repo::of_format("sha256").holding_web()
}

#[test]
fn a_clean_work_tree_of_sha256_and_its_commit_are_equal() {
    let repo = of_sha256();
    assert!(git2::Repository::open(repo.root()).is_err(), "libgit2 reads it: it is no test of the other way");
    assert_same(&repo.worktree(), &repo.head());
    let commit = repo.head().commit.unwrap();
    assert_eq!(commit.id, repo.git(&["rev-parse", "HEAD"]).trim());
    assert_eq!(
        (commit.summary.as_str(), commit.author.as_str()),
        ("a change", "A. Person"),
        "it is told as of any other repository"
    );
    assert_eq!(commit.time.to_string(), repo.git(&["log", "-1", "--format=%ct"]).trim());
}

#[test]
fn every_kind_of_change_in_a_work_tree_of_sha256_counts_as_committed() {
    let repo = of_sha256();
    repo.write("web/gone", "x");
    repo.write("web/unstaged", "x");
    repo.write("web/folder/inside", "x");
    repo.write("web/kept.log", "tracked, and ignored later");
    repo.commit();
    let before = repo.worktree();
    repo.write("web/page.html", "edited\n");
    repo.write("web/server", "staged\n");
    repo.git(&["add", "web/server"]);
    repo.write("web/server", "edited after it was staged\n");
    repo.remove("web/gone");
    repo.git(&["rm", "--quiet", "--cached", "web/unstaged"]);
    std::fs::remove_dir_all(repo.path("web/folder")).unwrap();
    repo.write("web/folder", "a file now");
    repo.write(".gitignore", "*.log\n");
    repo.write("web/noise.log", "noise");
    repo.write("web/kept.log", "edited");
    for name in ["a b", "größe", "quote\"d", "line\nbreak", "-dash", "deep/below/new"] {
        repo.write(&format!("web/{name}"), name);
    }
    symlink("page.html", repo.path("web/index.html")).unwrap();
    std::fs::set_permissions(repo.path("web/server"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let after = repo.assert_counts_as_committed();
    assert_ne!(before.version, after.version);
    assert!(after.services["web"].sources.file("web/line\nbreak").is_some());
    assert!(after.services["web"].sources.file("web/noise.log").is_none());
}

#[test]
fn a_conflict_in_a_work_tree_of_sha256_counts_as_it_lies_there() {
    let repo = of_sha256();
    repo.git(&["checkout", "--quiet", "-b", "other"]);
    repo.write("web/page.html", "theirs\n");
    repo.commit();
    repo.git(&["checkout", "--quiet", "main"]);
    repo.write("web/page.html", "ours\n");
    repo.commit();
    let merge = Command::new("git").args(["merge", "other"]).current_dir(repo.root()).output().unwrap();
    assert!(!merge.status.success(), "there is no conflict");
    repo.assert_counts_as_committed();
}

#[test]
fn a_submodule_of_sha256_counts_by_its_commit_and_must_be_clean() {
    let library = Repo::of_format("sha256");
    library.write("lib.txt", "a library\n");
    library.commit();
    let repo = of_sha256();
    let from = library.root();
    repo.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", from.to_str().unwrap(), "web/lib"]);
    let before = repo.assert_counts_as_committed();
    repo.write("web/lib/lib.txt", "a better library\n");
    assert!(matches!(repo.tree_error(), TreeError::DirtySubmodule(path) if path == "web/lib"));
    let inside = repo.path("web/lib");
    git_in(&inside, &["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "-am", "better"]);
    let after = repo.assert_counts_as_committed();
    assert_ne!(before.version, after.version);
}

#[test]
fn a_revision_that_is_not_there_is_said_in_any_format() {
    let repo = of_sha256();
    for revision in ["nothing", "--output=/tmp/x", "HEAD..HEAD", "HEAD~99", ""] {
        let error = Tree::of_commit(&repo.root(), revision).err().unwrap();
        assert!(matches!(error, TreeError::NoCommit { .. }), "{revision}: {error}");
    }
}

fn clone(from: &Path, options: &[&str]) -> tempfile::TempDir {
    let into = tempfile::tempdir().unwrap();
    let url = format!("file://{}", from.display());
    git_in(into.path(), &[&["clone", "--quiet"], options, &[url.as_str(), "."]].concat());
    into
}

#[test]
fn a_partial_clone_fetches_what_it_lacks() {
    let origin = Repo::with_web();
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    let before = origin.head();
    origin.write("web/service.yaml", "name: web\nrun: [./server, --more]\n");
    origin.commit();
    let clone = clone(&origin.root(), &["--filter=blob:none"]);
    let at = |revision: &str| graph_of(Tree::of_commit(clone.path(), revision).unwrap());
    assert_same(&graph_of(Tree::of_worktree(clone.path()).unwrap()), &origin.head());
    assert_same(&at("HEAD"), &origin.head());
    assert_same(&at("HEAD~1"), &before);
}

#[test]
fn a_partial_clone_that_cannot_fetch_says_so() {
    let origin = Repo::with_web();
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    origin.write("web/service.yaml", "name: web\nrun: [./server, --more]\n");
    origin.commit();
    let clone = clone(&origin.root(), &["--filter=blob:none"]);
    drop(origin);
    let tree = Tree::of_commit(clone.path(), "HEAD~1").unwrap();
    let Err(BuildError::Tree(error)) = Graph::build(&tree, "local") else { panic!("what is not there was read") };
    assert!(error.to_string().contains("cat-file"), "{error}");
}

#[test]
fn a_format_that_git_does_not_know_either_is_refused_with_the_words_of_both() {
    let repo = Repo::with_web();
    repo.git(&["config", "core.repositoryFormatVersion", "1"]);
    repo.git(&["config", "extensions.yonder", "true"]);
    let error = Tree::of_worktree(&repo.root()).err().unwrap();
    assert!(error.to_string().contains("yonder"), "{error}");
    let error = Tree::of_commit(&repo.root(), "HEAD").err().unwrap();
    assert!(error.to_string().contains("yonder"), "{error}");
}

#[test]
fn references_in_tables_are_read_by_a_git_that_knows_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = Command::new("git");
    made.args(["init", "--quiet", "--ref-format=reftable", "."]).current_dir(folder.path());
    if !made.output().unwrap().status.success() {
        // A git that does not: the repository that a newer one made is refused.
        let repo = Repo::with_web();
        repo.git(&["config", "core.repositoryFormatVersion", "1"]);
        repo.git(&["config", "extensions.refStorage", "reftable"]);
        let error = Tree::of_commit(&repo.root(), "HEAD").err().unwrap();
        return assert!(error.to_string().to_lowercase().contains("refstorage"), "{error}");
    }
    std::fs::create_dir(folder.path().join("web")).unwrap();
    std::fs::write(folder.path().join("web/service.yaml"), "name: web\nrun: [./server]\n").unwrap();
    git_in(folder.path(), &["add", "--all"]);
    git_in(folder.path(), &["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "x"]);
    let worktree = graph_of(Tree::of_worktree(folder.path()).unwrap());
    assert_same(&worktree, &graph_of(Tree::of_commit(folder.path(), "HEAD").unwrap()));
}
