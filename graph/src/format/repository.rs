//! `clustergraph.yaml`: what concerns the repository as a whole.

use std::collections::BTreeMap;

use crate::diagnostic::{Place, Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::dns_label;
use crate::format::yaml::Yaml;

/// The repository's own settings; all optional.
#[derive(Debug, Clone, Default)]
pub struct RepositoryFile {
    /// Where service.yaml files are: patterns of folders, each with the place it was written.
    /// Every top-level folder when absent.
    pub services: Option<Vec<(String, Place)>>,
    /// Where images are pushed and pulled.
    pub images: Images,
    /// The clusters that are known by name.
    pub clusters: BTreeMap<String, Cluster>,
}

/// Registries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Images {
    /// Prefix under which built images are pushed, such as `registry.example/shop`.
    pub registry: Option<String>,
    /// A registry that holds the public images that are pulled, under their names.
    pub mirror: Option<String>,
}

/// A permanent cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The kubeconfig's context; the current one otherwise.
    pub context: Option<String>,
    /// The namespace; the cluster's name otherwise.
    pub namespace: Option<String>,
}

impl RepositoryFile {
    /// Reads the document, noting every problem.
    pub(crate) fn decode(document: &Yaml, problems: &mut Problems) -> Self {
        let mut file = Self::default();
        let Some(mut fields) = Fields::open(document, "clustergraph.yaml", problems) else { return file };
        if let Some(yaml) = fields.take("services") {
            let patterns = decode::list(yaml, "`services`", problems).unwrap_or_default();
            let patterns = patterns.iter().filter_map(|yaml| {
                let pattern = decode::string(yaml, "each pattern of `services`", problems)?;
                let fine = pattern == "."
                    || !pattern.is_empty() && pattern.split('/').all(|part| !matches!(part, "" | "." | ".." | "**"));
                if !fine {
                    problems.add(
                        Problem::new(
                            "path",
                            yaml.place.clone(),
                            format!("`{}` is no pattern of folders", pattern.escape_debug()),
                        )
                        .mend("write it relative to the repository's root, such as services/*"),
                    );
                }
                fine.then(|| (pattern.to_owned(), yaml.place.clone()))
            });
            file.services = Some(patterns.collect());
        }
        if let Some(yaml) = fields.take("images") {
            file.images = images(yaml, problems);
        }
        if let Some(yaml) = fields.take("clusters") {
            for (key, yaml) in decode::entries(yaml, "`clusters`", problems) {
                let name = dns_label(&key.name, &key.place, "the cluster's name", problems);
                let cluster = cluster(yaml, problems);
                if let Some(name) = name {
                    file.clusters.insert(name, cluster);
                }
            }
        }
        fields.not_yet(&["stacks", "databases", "kinds", "suites"], problems);
        fields.close("clustergraph.yaml", problems);
        file
    }
}

fn images(yaml: &Yaml, problems: &mut Problems) -> Images {
    let mut images = Images::default();
    let Some(mut fields) = Fields::open(yaml, "`images`", problems) else { return images };
    images.registry =
        fields.take("registry").and_then(|yaml| decode::string(yaml, "`images.registry`", problems).map(str::to_owned));
    images.mirror =
        fields.take("mirror").and_then(|yaml| decode::string(yaml, "`images.mirror`", problems).map(str::to_owned));
    fields.close("`images`", problems);
    images
}

fn cluster(yaml: &Yaml, problems: &mut Problems) -> Cluster {
    let mut cluster = Cluster::default();
    let Some(mut fields) = Fields::open(yaml, "a cluster", problems) else { return cluster };
    cluster.context =
        fields.take("context").and_then(|yaml| decode::string(yaml, "`context`", problems).map(str::to_owned));
    cluster.namespace = fields.take("namespace").and_then(|yaml| {
        decode::string(yaml, "`namespace`", problems)
            .and_then(|name| dns_label(name, &yaml.place, "the namespace", problems))
    });
    fields.not_yet(
        &[
            "strategy",
            "domain",
            "keep",
            "warm",
            "lends",
            "ingress",
            "egress",
            "pull_grace",
            "databases",
            "size",
            "ttl",
            "seed",
            "secrets_from",
            "quota",
        ],
        problems,
    );
    fields.close("a cluster", problems);
    cluster
}
