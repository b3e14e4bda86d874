//! A work tree counts exactly as the commit that `git add --all` would make of it.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::os::unix::fs::{PermissionsExt, symlink};

use clustergraph::tree::{Tree, TreeError};
use support::{Repo, assert_same, git_in, graph_of, keys};

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
fn an_edit_of_the_same_size_within_the_second_of_a_commit_counts() {
    let repo = Repo::with_web();
    let original = std::fs::metadata(repo.path("web/page.html")).unwrap().modified().unwrap();
    repo.write("web/page.html", "<p>HELLO\n");
    // As a system whose clock counts in seconds would have it; and some time goes by before anyone looks.
    let file = std::fs::File::options().write(true).open(repo.path("web/page.html")).unwrap();
    file.set_modified(original).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    repo.assert_counts_as_committed();
    assert_eq!(repo.git(&["show", "HEAD:web/page.html"]), "<p>HELLO\n");
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

#[test]
fn an_edited_file_that_is_put_into_a_container_counts_with_the_line_ends_that_git_keeps() {
    let repo = Repo::new();
    repo.git(&["config", "core.autocrlf", "true"]);
    repo.write("web/service.yaml", "name: web\nrun: [./server]\nfiles: { /etc/web.conf: web.conf }\n");
    repo.write("web/web.conf", "level = info\r\n");
    repo.commit();
    repo.write("web/web.conf", "level = debug\r\nby = me\r\n");
    let graph = repo.assert_counts_as_committed();
    let file = &graph.services["web"].files["/etc/web.conf"];
    assert_eq!(file.content, clustergraph::wiring::Value::text("level = debug\nby = me\n"));
}
