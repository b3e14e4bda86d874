//! `clustergraph.yaml`: what concerns the repository as a whole.

mod cluster;

use std::collections::{BTreeMap, BTreeSet};

pub use cluster::{Cluster, Egress, ExternalDatabase, Ingress, Origin, Quota, Strategy};

use crate::catalogue::{Catalogue, SharedCatalogue};
use crate::diagnostic::{Place, Problem, Problems, suggestion};
use crate::format::decode::{self, Fields};
use crate::format::dns_label;
use crate::format::service::{Store, declared};
use crate::format::yaml::{Key, Yaml};

/// The repository's own settings; all optional.
#[derive(Debug, Clone, Default)]
pub struct RepositoryFile {
    /// Where service.yaml files are: patterns of folders, each with the place it was written.
    /// Every top-level folder when absent.
    pub services: Option<Vec<(String, Place)>>,
    /// Where images are pushed and pulled.
    pub images: Images,
    /// Databases that no one service owns, by address.
    pub databases: BTreeMap<String, Store>,
    /// Groups of tests, by name.
    pub suites: BTreeMap<String, Suite>,
    /// The clusters that are known by name.
    pub clusters: BTreeMap<String, Cluster>,
    /// Where each of its fields was written.
    pub places: BTreeMap<&'static str, Place>,
    /// Fields with problems: who is unknown may be declared there.
    pub(crate) broken: BTreeSet<&'static str>,
}

/// Registries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Images {
    /// Prefix under which built images are pushed, such as `registry.example/shop`.
    pub registry: Option<String>,
    /// A registry that holds the public images that are pulled, under their names.
    pub mirror: Option<String>,
}

/// Services whose tests belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// Names of services, or patterns of them, each with the place it was written.
    pub services: Vec<(String, Place)>,
    /// Where it was written.
    pub place: Place,
}

impl RepositoryFile {
    /// Reads the document, noting every problem. What it declares of stacks and kinds goes to `catalogue`.
    pub(crate) fn decode(document: &Yaml, catalogue: &mut SharedCatalogue, problems: &mut Problems) -> Self {
        let mut file = Self::default();
        let before = problems.noted();
        let Some(mut fields) = Fields::open(document, "clustergraph.yaml", problems) else {
            file.broken.extend(DECLARING);
            return file;
        };
        file.services = fields.take("services").map(|yaml| patterns(yaml, problems));
        file.note(&["services"], before, problems);
        let before = problems.noted();
        let (stacks, kinds) = (fields.take("stacks"), fields.take("kinds"));
        *catalogue = Catalogue::with(stacks, kinds, problems);
        file.note(&["stacks", "kinds"], before, problems);
        let before = problems.noted();
        if let Some((key, yaml)) = fields.take_with_key("databases") {
            file.places.insert("databases", key.place.clone());
            file.databases =
                named(yaml, "`databases`", "the store's name", problems, |_, yaml, problems| store(yaml, problems));
        }
        file.note(&["databases"], before, problems);
        if let Some(yaml) = fields.take("suites") {
            file.suites = named(yaml, "`suites`", "the suite's name", problems, suite);
        }
        if let Some(yaml) = fields.take("images") {
            file.images = images(yaml, problems);
        }
        if let Some(yaml) = fields.take("clusters") {
            let cluster = |_: &Key, yaml: &Yaml, problems: &mut Problems| Some(cluster::cluster(yaml, problems));
            file.clusters = named(yaml, "`clusters`", "the cluster's name", problems, cluster);
            file.check_origins(problems);
        }
        // A field that nobody knows may be one of them, misspelt.
        file.broken.extend(fields.left().filter_map(|name| suggestion(name, DECLARING.iter().copied())));
        fields.close("clustergraph.yaml", problems);
        file
    }

    /// Data is that of a cluster that is known here, and that nobody's deadline ends.
    fn check_origins(&self, problems: &mut Problems) {
        for cluster in self.clusters.values() {
            let of_all = cluster.clone.as_ref().zip(cluster.places.get("clone"));
            let of_single = cluster.origins.values().map(|(origin, place)| (origin, place));
            for (name, place) in of_all.into_iter().chain(of_single).filter_map(|(it, at)| Some((it.cluster()?, at))) {
                let known =
                    self.clusters.iter().filter(|(_, other)| other.ttl.is_none()).map(|(name, _)| name.as_str());
                let problem = match self.clusters.get(name) {
                    Some(found) if found.ttl.is_none() => continue,
                    Some(_) => format!("`{name}` ends by itself: nothing is cloned from there"),
                    None => format!("there is no cluster `{name}`"),
                };
                let problem = Problem::new("unknown-cluster", place.clone(), problem);
                problems.add(match suggestion(name, known.clone()) {
                    Some(close) => problem.mend(format!("did you mean `{close}`?")),
                    None => problem.mend("name a permanent cluster of this file: one without `ttl`; or `none`"),
                });
            }
        }
    }

    fn note(&mut self, fields: &[&'static str], before: usize, problems: &Problems) {
        if problems.noted() > before {
            self.broken.extend(fields);
        }
    }

    /// Whether a field was written but not wholly understood: what it lacks is no further problem.
    pub(crate) fn is_broken(&self, field: &str) -> bool {
        self.broken.contains(field)
    }
}

/// Fields that declare what others name.
const DECLARING: &[&str] = &["services", "stacks", "kinds", "databases"];

/// Entries by DNS labels.
fn named<T>(
    yaml: &Yaml,
    what: &str,
    name: &str,
    problems: &mut Problems,
    read: impl Fn(&Key, &Yaml, &mut Problems) -> Option<T>,
) -> BTreeMap<String, T> {
    let mut all = BTreeMap::new();
    for (key, yaml) in decode::entries(yaml, what, problems) {
        let name = dns_label(&key.name, &key.place, name, problems);
        let value = read(key, yaml, problems);
        all.extend(name.zip(value));
    }
    all
}

/// Patterns of folders.
fn patterns(yaml: &Yaml, problems: &mut Problems) -> Vec<(String, Place)> {
    let patterns = decode::list(yaml, "`services`", problems).unwrap_or_default();
    let pattern = |yaml: &Yaml, problems: &mut Problems| {
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
    };
    patterns.iter().filter_map(|yaml| pattern(yaml, problems)).collect()
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

fn store(yaml: &Yaml, problems: &mut Problems) -> Option<Store> {
    let mut fields = Fields::open(yaml, "a store", problems)?;
    let store = declared(&mut fields, "a store", problems);
    fields.close("a store", problems);
    store
}

fn suite(key: &Key, yaml: &Yaml, problems: &mut Problems) -> Option<Suite> {
    let items = decode::list(yaml, "a suite", problems).unwrap_or_default();
    let item = |yaml: &Yaml, problems: &mut Problems| {
        decode::string(yaml, "each item of a suite", problems).map(|name| (name.to_owned(), yaml.place.clone()))
    };
    let services = items.iter().filter_map(|yaml| item(yaml, problems)).collect();
    Some(Suite { services, place: key.place.clone() })
}
