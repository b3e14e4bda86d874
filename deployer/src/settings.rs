//! What is asked for on the command line, laid over what clustergraph.yaml says.

use std::path::PathBuf;
use std::time::Duration;

use clustergraph::format::is_dns_label;
use clustergraph::format::repository::{Quota, RepositoryFile};
use clustergraph::tree::Tree;

use crate::console::Format;
use crate::error::{Error, Result};
use crate::transient::Name;

/// Options that every command has.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// The cluster, as clustergraph.yaml names it [default: production; with --name or --pr the one that has a `ttl`]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// One of the clusters that end by themselves, by the name that `up` gave it
    #[arg(long = "name", global = true, value_name = "NAME", conflicts_with = "pr")]
    pub(crate) named: Option<String>,
    /// The one of a pull request, by its number: short for `--name pr-N`
    #[arg(long, global = true, value_name = "N")]
    pub(crate) pr: Option<u64>,
    /// The kubeconfig's context [default: clusters.NAME.context, else the current one]
    #[arg(long, global = true)]
    pub(crate) context: Option<String>,
    /// The namespace [default: clusters.NAME.namespace, else the cluster's name]; of clusters that end by themselves the one
    /// where their ends are written down
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
    /// Its name: of one that ends by itself its own.
    pub(crate) cluster: String,
    /// Whether it ends by itself.
    pub(crate) life: Life,
    /// The kubeconfig's context; the current one otherwise.
    pub(crate) context: Option<String>,
    /// Its namespace; of clusters that end by themselves their home.
    pub(crate) namespace: String,
    /// The prefix under which images are pushed.
    pub(crate) registry: Option<String>,
    /// A registry with Docker Hub's images.
    pub(crate) mirror: Option<String>,
    /// How many versions stay when old ones are collected.
    pub(crate) keep: Option<u32>,
    /// For how long pulling an image may fail before the deploy does.
    pub(crate) pull_grace: Option<Duration>,
    /// The namespaces that are there for clusters that end by themselves; none where each makes its own.
    pub(crate) pool: Vec<String>,
    /// What each of these may take.
    pub(crate) quota: Option<Quota>,
}

/// How long a cluster lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Life {
    /// Until somebody ends it.
    Permanent,
    /// The settings are those of clusters that end by themselves, and none of these is named.
    Kind,
    /// It ends by itself.
    Transient {
        /// What clustergraph.yaml calls its settings.
        kind: String,
    },
}

/// The cluster that is meant where nothing is said.
const PERMANENT: &str = "production";

impl Global {
    /// What clustergraph.yaml calls the settings that are meant.
    pub(crate) fn kind(&self, repository: &RepositoryFile) -> Result<String> {
        let kind = match (&self.cluster, self.name()?) {
            (Some(cluster), _) => cluster.clone(),
            (None, None) => PERMANENT.to_owned(),
            (None, Some(_)) => self.transient_kind(repository)?,
        };
        if !is_dns_label(&kind) {
            return Err(Error::Usage(format!(
                "`{}` is no name of a cluster: lower case letters, digits and `-`",
                kind.escape_debug()
            )));
        }
        Ok(kind)
    }

    /// What clustergraph.yaml calls the settings of clusters that end by themselves, where that is not said: there must be one.
    fn transient_kind(&self, repository: &RepositoryFile) -> Result<String> {
        let with_ttl = repository.clusters.iter().filter(|(_, cluster)| cluster.ttl.is_some());
        let known: Vec<&str> = with_ttl.map(|(name, _)| name.as_str()).collect();
        match known.as_slice() {
            [one] => Ok((*one).to_owned()),
            // Whoever says where their ends are written down needs no file for it.
            [] if self.namespace.is_some() => Ok("pr".to_owned()),
            [] => Err(Error::Usage(
                "no cluster of clustergraph.yaml ends by itself: write `clusters: { pr: { ttl: 4h } }`".to_owned(),
            )),
            several => {
                Err(Error::Usage(format!("say which clusters are meant: --cluster {}", several.join(" or --cluster "))))
            }
        }
    }

    /// The name of the cluster that ends by itself, if one is meant.
    pub(crate) fn name(&self) -> Result<Option<Name>> {
        match (&self.named, self.pr) {
            (Some(name), _) => Name::new(name).map(Some),
            (None, Some(number)) => Ok(Some(Name::of_pull_request(number))),
            (None, None) => Ok(None),
        }
    }

    /// Settings for a command that has read the repository.
    pub(crate) fn settings(&self, repository: &RepositoryFile) -> Result<Settings> {
        let kind = self.kind(repository)?;
        let known = repository.clusters.get(&kind).cloned().unwrap_or_default();
        let namespace = self.namespace.clone().or(known.namespace).unwrap_or_else(|| kind.clone());
        if !is_dns_label(&namespace) {
            return Err(Error::Usage(format!("`{}` is no name of a namespace", namespace.escape_debug())));
        }
        let is_written = repository.clusters.contains_key(&kind);
        let (cluster, life) = match (self.name()?, known.ttl) {
            (None, None) => (kind, Life::Permanent),
            (None, Some(_)) => (kind, Life::Kind),
            (Some(name), None) if is_written => {
                return Err(Error::Usage(format!(
                    "{kind} does not end by itself, so there is no {name} of it: it has no `ttl` in clustergraph.yaml"
                )));
            }
            (Some(name), _) => {
                if repository.clusters.contains_key(name.as_str()) {
                    return Err(Error::Usage(format!(
                        "{name} is a cluster of clustergraph.yaml: choose another name, or say --cluster {name}"
                    )));
                }
                (name.to_string(), Life::Transient { kind })
            }
        };
        if known.pool.contains(&namespace) {
            return Err(Error::Usage(format!(
                "the namespace {namespace} is where the ends and secrets of clusters are, and cannot be one of their `pool`, too: take it \
                 out of there, or name another one as `namespace`"
            )));
        }
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Settings {
            cluster,
            life,
            context: self.context.clone().or(known.context),
            namespace,
            registry: filled(self.registry.clone()).or_else(|| filled(repository.images.registry.clone())),
            keep: known.keep,
            pull_grace: known.pull_grace,
            pool: known.pool,
            quota: known.quota,
            mirror: filled(self.mirror.clone()).or_else(|| filled(repository.images.mirror.clone())),
        })
    }

    /// Settings for a command that needs no graph, and works outside any repository, too: clustergraph.yaml is
    /// asked if it is there. A broken service must not keep anyone from reverting.
    pub(crate) fn settings_without_graph(&self) -> Result<Settings> {
        self.settings(&self.repository_file()?)
    }

    /// Settings of clusters that end by themselves, for a command that is about all of them.
    pub(crate) fn settings_of_transient(&self) -> Result<Settings> {
        let repository = self.repository_file()?;
        let kind = match &self.cluster {
            Some(cluster) => cluster.clone(),
            None => self.transient_kind(&repository)?,
        };
        let of_all = Self { cluster: Some(kind), named: None, pr: None, ..self.clone() };
        let settings = of_all.settings(&repository)?;
        let is_written = repository.clusters.contains_key(&settings.cluster);
        if settings.life == Life::Permanent && (is_written || self.namespace.is_none()) {
            return Err(Error::Usage(format!(
                "{} does not end by itself: it has no `ttl` in clustergraph.yaml",
                settings.cluster
            )));
        }
        Ok(Settings { life: Life::Kind, ..settings })
    }

    /// Whether clustergraph.yaml has settings of clusters that end by themselves.
    pub(crate) fn has_transient(&self) -> Result<bool> {
        Ok(self.repository_file()?.clusters.values().any(|cluster| cluster.ttl.is_some()))
    }

    /// clustergraph.yaml as it lies there; nothing of it outside any repository.
    pub(crate) fn repository_file(&self) -> Result<RepositoryFile> {
        let read = match Tree::of_worktree(&self.directory) {
            Ok(tree) => RepositoryFile::read(&tree),
            Err(_) => return Ok(RepositoryFile::default()),
        };
        match read {
            Err(_) if self.namespace.is_some() => Ok(RepositoryFile::default()),
            read => Ok(read?),
        }
    }
}

/// Where a cluster is from which another one takes something: what the command line says is said of the other. It is a permanent one,
/// as what takes from it would outlive it.
pub(crate) fn of_base(repository: &RepositoryFile, name: &str, context: Option<&String>) -> Result<Settings> {
    let known = repository.clusters.get(name).cloned().ok_or_else(|| {
        let known: Vec<&str> = repository.clusters.keys().map(String::as_str).collect();
        Error::Usage(format!("clustergraph.yaml has no cluster {}: it has {}", name.escape_debug(), known.join(", ")))
    })?;
    if known.ttl.is_some() {
        return Err(Error::Usage(format!(
            "{name} ends by itself, and what takes from it would outlive it: say a permanent cluster"
        )));
    }
    Ok(Settings {
        cluster: name.to_owned(),
        life: Life::Permanent,
        context: known.context.or_else(|| context.cloned()),
        namespace: known.namespace.unwrap_or_else(|| name.to_owned()),
        registry: None,
        mirror: None,
        keep: known.keep,
        pull_grace: known.pull_grace,
        pool: Vec::new(),
        quota: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn settings(line: &str, repository: &str) -> std::result::Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("clustergraph.yaml"), repository).unwrap();
        let init = std::process::Command::new("git").current_dir(folder.path()).args(["init", "-q"]).status();
        assert!(init.unwrap().success());
        let words = format!("komandan status -C {} {line}", folder.path().display());
        let cli = crate::cli::Cli::try_parse_from(words.split_whitespace()).unwrap();
        cli.global.settings_without_graph().map_err(|error| error.to_string())
    }

    #[test]
    fn which_cluster_is_meant() {
        let both = "clusters: { production: { namespace: shop }, pr: { ttl: 4h } }\n";
        let found = |line: &str| settings(line, both).map(|it| (it.cluster, it.namespace, it.life));
        let of = |name: &str, namespace: &str, life| Ok((name.to_owned(), namespace.to_owned(), life));
        let transient = || Life::Transient { kind: "pr".to_owned() };
        assert_eq!(found(""), of("production", "shop", Life::Permanent));
        assert_eq!(found("--cluster pr"), of("pr", "pr", Life::Kind));
        assert_eq!(found("--pr 7"), of("pr-7", "pr", transient()));
        assert_eq!(found("--name try --namespace elsewhere"), of("try", "elsewhere", transient()));
        assert!(found("--name production").unwrap_err().contains("is a cluster of clustergraph.yaml"));
        assert!(found("--pr 7 --cluster production").unwrap_err().contains("does not end by itself"));
        assert!(found("--name Try").unwrap_err().contains("`Try`"));

        let none = settings("--pr 7", "").unwrap_err();
        assert!(none.contains("clusters: { pr: { ttl: 4h } }"), "{none}");
        let two = settings("--pr 7", "clusters: { pr: { ttl: 4h }, try: { ttl: 1h } }\n").unwrap_err();
        assert!(two.contains("--cluster pr or --cluster try"), "{two}");
        let bare = settings("--pr 7 --namespace home", "").unwrap();
        assert_eq!((bare.cluster.as_str(), bare.namespace.as_str()), ("pr-7", "home"));
    }
}
