//! What is known of stacks, databases and tools: data, read from `graph/catalogue/` and from a clustergraph.yaml.

mod database;
mod fill;
mod handshake;
mod native;
mod read;
mod settings;
mod shared;
mod stack;
mod tool;
mod version;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::diagnostic::Problems;
use crate::format::decode;
use crate::format::dns_label;
use crate::format::yaml::{self, Yaml};

pub use database::{Container, DatabaseKind, Input, Scope, Tested};
pub use fill::{fill, fill_database};
pub use handshake::{Answer, Handshake};
pub use native::{Artifact, Home, Native};
pub use settings::Settings;
pub use shared::SharedCatalogue;
pub use stack::{CONTAINER_CACHE, CONTAINER_DEPS, CONTAINER_ROOT, Setup, Stack};
pub use tool::Tool;
pub use version::says_version;

/// Everything that is known: what comes with the program, and what a repository adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Stacks, by name.
    pub stacks: BTreeMap<String, Arc<Stack>>,
    /// Kinds of databases, by name.
    pub databases: BTreeMap<String, DatabaseKind>,
    /// Tools that stacks need, by the program's name.
    pub tools: BTreeMap<String, Tool>,
}

macro_rules! entries {
    ($folder:literal, $($name:literal),* $(,)?) => {
        &[$(($name, concat!($folder, "/", $name, ".yaml"), include_str!(concat!("../../catalogue/", $folder, "/", $name, ".yaml")))),*]
    };
}

type Entry = (&'static str, &'static str, &'static str);
const STACKS: &[Entry] = entries!["stacks", "command", "docker", "go", "java", "node", "python", "rust", "static"];
const DATABASES: &[Entry] = entries![
    "databases",
    "elasticsearch",
    "kafka",
    "mariadb",
    "memcached",
    "minio",
    "mongodb",
    "mysql",
    "nats",
    "postgres",
    "rabbitmq",
    "redis",
];
const TOOLS: (&str, &str) = ("tools.yaml", include_str!("../../catalogue/tools.yaml"));

static BUILT_IN: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::read(&mut Problems::default()));

impl Catalogue {
    /// The entries that come with the program.
    #[must_use]
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// The built-in entries with those of a clustergraph.yaml, which win.
    pub(crate) fn with(stacks: Option<&Yaml>, kinds: Option<&Yaml>, problems: &mut Problems) -> SharedCatalogue {
        if stacks.is_none() && kinds.is_none() {
            return SharedCatalogue::default();
        }
        let mut catalogue = Self::clone(&BUILT_IN);
        for (key, yaml) in stacks.map(|yaml| decode::entries(yaml, "`stacks`", problems)).unwrap_or_default() {
            let name = dns_label(&key.name, &key.place, "the stack's name", problems);
            if let (Some(name), Some(stack)) = (name, Stack::decode(&key.name, yaml, problems)) {
                catalogue.stacks.insert(name, Arc::new(stack));
            }
        }
        for (key, yaml) in kinds.map(|yaml| decode::entries(yaml, "`kinds`", problems)).unwrap_or_default() {
            let name = dns_label(&key.name, &key.place, "the kind's name", problems);
            if let (Some(name), Some(kind)) = (name, DatabaseKind::decode(&key.name, yaml, problems)) {
                catalogue.databases.insert(name, kind);
            }
        }
        SharedCatalogue::from(catalogue)
    }

    fn read(problems: &mut Problems) -> Self {
        let mut catalogue = Self::default();
        let parse = |path: &str, text: &str, problems: &mut Problems| {
            problems.keep_text(path, Arc::from(text));
            yaml::parse(&path.into(), text).map_err(|problem| problems.add(*problem)).ok()
        };
        for (name, path, text) in STACKS {
            if let Some(stack) = parse(path, text, problems).and_then(|yaml| Stack::decode(name, &yaml, problems)) {
                catalogue.stacks.insert((*name).to_owned(), Arc::new(stack));
            }
        }
        for (name, path, text) in DATABASES {
            let kind = parse(path, text, problems).and_then(|yaml| DatabaseKind::decode(name, &yaml, problems));
            if let Some(kind) = kind {
                catalogue.databases.insert((*name).to_owned(), kind);
            }
        }
        if let Some(yaml) = parse(TOOLS.0, TOOLS.1, problems) {
            for (key, yaml) in decode::entries(&yaml, "the tools", problems) {
                if let Some(tool) = Tool::decode(&key.name, yaml, problems) {
                    catalogue.tools.insert(key.name.clone(), tool);
                }
            }
        }
        catalogue
    }
}

#[cfg(test)]
mod tests;
