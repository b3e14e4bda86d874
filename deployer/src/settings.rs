//! What is asked for on the command line, laid over what clustergraph.yaml says.

use std::path::PathBuf;
use std::time::Duration;

use clustergraph::format::is_dns_label;
use clustergraph::format::repository::RepositoryFile;
use clustergraph::tree::Tree;

use crate::console::Format;
use crate::error::{Error, Result};

/// Options that every command has.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// The cluster, as clustergraph.yaml names it
    #[arg(long, global = true, value_name = "NAME", default_value = "production")]
    pub(crate) cluster: String,
    /// Whether the cluster was named, and is not only the default
    #[arg(skip)]
    pub(crate) is_named: bool,
    /// The kubeconfig's context [default: clusters.NAME.context, else the current one]
    #[arg(long, global = true)]
    pub(crate) context: Option<String>,
    /// The namespace [default: clusters.NAME.namespace, else the cluster's name]
    #[arg(long, global = true)]
    pub(crate) namespace: Option<String>,
    /// Where to look for the repository
    #[arg(short = 'C', long, global = true, value_name = "DIR", default_value = ".")]
    pub(crate) directory: PathBuf,
    /// Where images are pushed to [default: images.registry]
    #[arg(long, global = true, env = "CLUSTERGRAPH_REGISTRY", value_name = "PREFIX")]
    pub(crate) registry: Option<String>,
    /// A registry with Docker Hub's images under their names [default: images.mirror]
    #[arg(long, global = true, env = "CLUSTERGRAPH_MIRROR", value_name = "HOST")]
    pub(crate) mirror: Option<String>,
    /// The form of what is printed
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub(crate) output: Format,
}

/// A cluster and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Its name.
    pub(crate) cluster: String,
    /// The kubeconfig's context; the current one otherwise.
    pub(crate) context: Option<String>,
    /// Its namespace.
    pub(crate) namespace: String,
    /// The prefix under which images are pushed.
    pub(crate) registry: Option<String>,
    /// A registry with Docker Hub's images.
    pub(crate) mirror: Option<String>,
    /// How many versions stay when old ones are collected.
    pub(crate) keep: Option<u32>,
    /// For how long pulling an image may fail before the deploy does.
    pub(crate) pull_grace: Option<Duration>,
}

impl Global {
    /// Settings for a command that has read the repository.
    pub(crate) fn settings(&self, repository: &RepositoryFile) -> Result<Settings> {
        if !is_dns_label(&self.cluster) {
            return Err(Error::Usage(format!(
                "`{}` is no name of a cluster: lower case letters, digits and `-`",
                self.cluster.escape_debug()
            )));
        }
        let known = repository.clusters.get(&self.cluster).cloned().unwrap_or_default();
        let namespace = self.namespace.clone().or(known.namespace).unwrap_or_else(|| self.cluster.clone());
        if !is_dns_label(&namespace) {
            return Err(Error::Usage(format!("`{}` is no name of a namespace", namespace.escape_debug())));
        }
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Settings {
            cluster: self.cluster.clone(),
            context: self.context.clone().or(known.context),
            namespace,
            registry: filled(self.registry.clone()).or_else(|| filled(repository.images.registry.clone())),
            keep: known.keep,
            pull_grace: known.pull_grace,
            mirror: filled(self.mirror.clone()).or_else(|| filled(repository.images.mirror.clone())),
        })
    }

    /// Settings for a command that needs no graph, and works outside any repository, too: clustergraph.yaml is
    /// asked if it is there. A broken service must not keep anyone from reverting.
    pub(crate) fn settings_without_graph(&self) -> Result<Settings> {
        let repository = match Tree::of_worktree(&self.directory) {
            Ok(tree) => RepositoryFile::read(&tree),
            Err(_) => return self.settings(&RepositoryFile::default()),
        };
        match repository {
            Ok(repository) => self.settings(&repository),
            Err(_) if self.namespace.is_some() => self.settings(&RepositoryFile::default()),
            Err(error) => Err(error.into()),
        }
    }
}
