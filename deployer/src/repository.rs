//! The repository at a commit: its graph, and its files for builds.

use std::sync::{Arc, Mutex, PoisonError};

use clustergraph::diagnostic::{Problem, Problems};
use clustergraph::format::repository::RepositoryFile;
use clustergraph::graph::{BuildError, Graph, Snapshots};
use clustergraph::tree::Tree;

use crate::error::{Error, Result};
use crate::settings::{Global, Settings};
use crate::unsupported;

/// A repository at a commit.
pub(crate) struct Repository {
    pub(crate) graph: Graph,
    /// Read by builds, one at a time: git's objects have one reader.
    pub(crate) tree: Arc<Mutex<Tree>>,
    pub(crate) settings: Settings,
}

impl Repository {
    /// What clustergraph.yaml says of the cluster.
    pub(crate) fn cluster(&self) -> clustergraph::format::repository::Cluster {
        self.graph.repository.clusters.get(&self.settings.cluster).cloned().unwrap_or_default()
    }

    /// Refuses what would run an image of which only a tag is known, all of it at once.
    pub(crate) fn refuse_unpinned(&self) -> Result<()> {
        let found = self.graph.unpinned();
        if found.is_empty() { Ok(()) } else { Err(BuildError::Problems(self.problems(found)).into()) }
    }

    /// Problems with the texts of their files, for excerpts.
    pub(crate) fn problems(&self, found: Vec<Problem>) -> Problems {
        with_texts(found, &self.tree.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads the graph of a commit. The work tree is neither read nor touched.
pub(crate) async fn read(global: &Global, commit: &str) -> Result<Repository> {
    let (global, commit) = (global.clone(), commit.to_owned());
    let read = move || {
        let tree = Tree::of_commit(&global.directory, &commit)?;
        let kind = kind(&global, &tree)?;
        let mut graph = Snapshots::of_user().graph(&tree, &kind)?;
        let unsupported = unsupported::problems(&graph, &kind);
        if !unsupported.is_empty() {
            return Err(BuildError::Problems(with_texts(unsupported, &tree)).into());
        }
        let settings = global.settings(&graph.repository)?;
        if let Some(name) = global.name()? {
            // From here on it is a cluster like any other.
            let own = name.settings(graph.repository.clusters.get(&kind).cloned().unwrap_or_default())?;
            graph.repository.clusters.insert(settings.cluster.clone(), own);
        }
        Ok(Repository { graph, tree: Arc::new(Mutex::new(tree)), settings })
    };
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|error| Error::Usage(format!("reading the repository was interrupted: {error}")))?
}

/// Reads the graph of a commit for a question about it: what Kubernetes would not honour is no matter here.
pub(crate) async fn graph(global: &Global, commit: &str) -> Result<Graph> {
    let (global, commit) = (global.clone(), commit.to_owned());
    let read = move || {
        let tree = Tree::of_commit(&global.directory, &commit)?;
        Ok(Graph::build(&tree, &kind(&global, &tree)?)?)
    };
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|error| Error::Usage(format!("reading the repository was interrupted: {error}")))?
}

/// What the commit's clustergraph.yaml calls the settings that are meant.
fn kind(global: &Global, tree: &Tree) -> Result<String> {
    // Only a name leaves it open.
    let is_open = global.cluster.is_none() && global.name()?.is_some();
    let file = if is_open { RepositoryFile::read(tree)? } else { RepositoryFile::default() };
    global.kind(&file)
}

/// Problems with the texts of their files, for excerpts.
fn with_texts(found: Vec<Problem>, tree: &Tree) -> Problems {
    let mut problems = Problems::default();
    for problem in found {
        let path = &problem.place.file;
        let bytes = tree.root().file(path).and_then(|file| tree.read(file).ok()).unwrap_or_default();
        problems.keep_text(path, String::from_utf8_lossy(&bytes).into());
        problems.add(problem);
    }
    problems
}
