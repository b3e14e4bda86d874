//! Temporary git repositories, made by the git program as people make them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::path::{Path, PathBuf};
use std::process::Command;

use clustergraph::diagnostic::Problems;
use clustergraph::graph::{BuildError, Graph, Service};
use clustergraph::tree::{Tree, TreeError};

pub(crate) struct Repo {
    dir: tempfile::TempDir,
}

impl Repo {
    /// An empty repository without commits.
    pub(crate) fn new() -> Self {
        Self::of_format("sha1")
    }

    /// An empty repository whose objects have ids of this format.
    pub(crate) fn of_format(format: &str) -> Self {
        let repo = Self { dir: tempfile::tempdir().unwrap() };
        repo.git(&["init", "--quiet", "--initial-branch=main", &format!("--object-format={format}")]);
        for (name, value) in [
            ("user.name", "A. Person"),
            ("user.email", "person@example.org"),
            ("commit.gpgsign", "false"),
            ("core.autocrlf", "false"),
            ("core.safecrlf", "false"),
        ] {
            repo.git(&["config", name, value]);
        }
        repo
    }

    /// A repository with one service `web` in a folder of its own, committed.
    pub(crate) fn with_web() -> Self {
        Self::new().holding_web()
    }

    /// This repository with one service `web`, committed.
    pub(crate) fn holding_web(self) -> Self {
        let repo = self;
        repo.write("web/service.yaml", "name: web\nrun: [./server]\n");
        repo.write("web/server", "#!/bin/sh\n");
        repo.write("web/page.html", "<p>hello\n");
        repo.commit();
        repo
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        std::fs::remove_file(self.path(path)).unwrap();
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        git_in(self.dir.path(), args)
    }

    /// Everything as `git add --all` takes it, committed.
    pub(crate) fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", "a change"]);
    }

    pub(crate) fn worktree(&self) -> Graph {
        graph_of(Tree::of_worktree(self.dir.path()).unwrap())
    }

    pub(crate) fn head(&self) -> Graph {
        graph_of(Tree::of_commit(self.dir.path(), "HEAD").unwrap())
    }

    /// What is wrong with the files as they lie there.
    pub(crate) fn problems(&self) -> Problems {
        match Graph::build(&Tree::of_worktree(self.dir.path()).unwrap(), "local") {
            Ok(_) => Problems::default(),
            Err(BuildError::Problems(problems)) => problems,
            Err(BuildError::Tree(error)) => panic!("{error}"),
        }
    }

    pub(crate) fn tree_error(&self) -> TreeError {
        match Tree::of_worktree(self.dir.path()) {
            Ok(_) => panic!("the tree was read"),
            Err(error) => error,
        }
    }

    /// Holds that the work tree counts exactly as the commit that `git add --all` would make of it.
    #[track_caller]
    pub(crate) fn assert_counts_as_committed(&self) -> Graph {
        let dirty = self.worktree();
        let tree = Tree::of_worktree(self.dir.path()).unwrap();
        self.commit();
        let clean = self.worktree();
        let commit = self.head();
        assert_same(&dirty, &clean);
        assert_same(&clean, &commit);
        let files = |tree: &Tree| -> Vec<String> {
            tree.root().files().into_iter().map(|(path, file)| format!("{path} {} {:?}", file.oid, file.mode)).collect()
        };
        assert_eq!(files(&tree), files(&Tree::of_commit(self.dir.path(), "HEAD").unwrap()));
        assert_eq!(tree.root().oid().to_string(), self.git(&["rev-parse", "HEAD^{tree}"]).trim());
        dirty
    }
}

pub(crate) fn git_in(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
pub(crate) fn graph_of(tree: Tree) -> Graph {
    match Graph::build(&tree, "local") {
        Ok(graph) => graph,
        Err(BuildError::Problems(problems)) => panic!("{}", problems.render(false, 100)),
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
pub(crate) fn assert_same(one: &Graph, other: &Graph) {
    assert_eq!(one.version, other.version, "the version");
    for (name, service) in &one.services {
        let other = &other.services[name];
        assert_eq!(keys(service), keys(other), "{name}");
    }
}

/// Source, behaviour and id, for comparisons.
pub(crate) fn keys(service: &Service) -> [String; 3] {
    [service.source, service.behaviour, service.id].map(|key| key.to_string())
}

/// All that a graph says, its sources file by file.
pub(crate) fn told(graph: &Graph) -> serde_json::Value {
    let services = graph.services.iter().map(|(name, service)| {
        let files: Vec<String> = service
            .sources
            .files()
            .into_iter()
            .map(|(path, file)| format!("{path} {} {:?}", file.oid, file.mode))
            .collect();
        serde_json::json!([name, service, service.stack.name, service.sources.oid().to_string(), files])
    });
    serde_json::json!({
        "version": graph.version, "services": services.collect::<Vec<_>>(), "databases": graph.databases,
        "servers": graph.servers, "commit": graph.commit.as_ref().map(|commit| &commit.id),
        "clusters": graph.repository.clusters.len(), "stacks": graph.catalogue.stacks.len(),
    })
}
