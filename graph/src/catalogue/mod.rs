//! What is known of stacks and databases: data, read from `graph/catalogue/`.

mod database;
mod fill;
mod stack;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::diagnostic::Problems;
use crate::format::yaml::{self, Yaml};
use crate::format::{decode, dns_label};

pub use database::{Container, DatabaseKind, Input, Native, Scope};
pub use fill::{fill, fill_database};
pub use stack::{CONTAINER_DEPS, CONTAINER_ROOT, Setup, Stack};

/// Everything that is known: what comes with the program, and what a repository adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Stacks, by name.
    pub stacks: BTreeMap<String, Stack>,
    /// Kinds of databases, by name.
    pub databases: BTreeMap<String, DatabaseKind>,
}

macro_rules! entries {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../catalogue/", $path)))),*]
    };
}

const STACKS: &[(&str, &str)] = entries!["stacks/command.yaml", "stacks/node.yaml", "stacks/python.yaml"];
const DATABASES: &[(&str, &str)] = entries!["databases/postgres.yaml"];

static BUILT_IN: LazyLock<Arc<Catalogue>> = LazyLock::new(|| Arc::new(Catalogue::read(&mut Problems::default())));

impl Catalogue {
    /// The entries that come with the program.
    #[must_use]
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// The built-in entries with those of a clustergraph.yaml, which win.
    pub(crate) fn with(stacks: Option<&Yaml>, kinds: Option<&Yaml>, problems: &mut Problems) -> Arc<Self> {
        if stacks.is_none() && kinds.is_none() {
            return Arc::clone(&BUILT_IN);
        }
        let mut catalogue = Self::clone(&BUILT_IN);
        for (key, yaml) in stacks.map(|yaml| decode::entries(yaml, "`stacks`", problems)).unwrap_or_default() {
            let name = dns_label(&key.name, &key.place, "the stack's name", problems);
            if let (Some(name), Some(stack)) = (name, Stack::decode(&key.name, yaml, problems)) {
                catalogue.stacks.insert(name, stack);
            }
        }
        for (key, yaml) in kinds.map(|yaml| decode::entries(yaml, "`kinds`", problems)).unwrap_or_default() {
            let name = dns_label(&key.name, &key.place, "the kind's name", problems);
            if let (Some(name), Some(kind)) = (name, DatabaseKind::decode(&key.name, yaml, problems)) {
                catalogue.databases.insert(name, kind);
            }
        }
        Arc::new(catalogue)
    }

    fn read(problems: &mut Problems) -> Self {
        let mut catalogue = Self::default();
        let parse = |path: &str, text: &str, problems: &mut Problems| {
            problems.keep_text(path, Arc::from(text));
            yaml::parse(&path.into(), text).map_err(|problem| problems.add(*problem)).ok()
        };
        let name = |path: &str| path.rsplit(['/', '.']).nth(1).unwrap_or(path).to_owned();
        for (path, text) in STACKS {
            if let Some(stack) =
                parse(path, text, problems).and_then(|yaml| Stack::decode(&name(path), &yaml, problems))
            {
                catalogue.stacks.insert(stack.name.clone(), stack);
            }
        }
        for (path, text) in DATABASES {
            let kind = parse(path, text, problems).and_then(|yaml| DatabaseKind::decode(&name(path), &yaml, problems));
            if let Some(kind) = kind {
                catalogue.databases.insert(kind.kind.clone(), kind);
            }
        }
        catalogue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_reads_without_a_problem() {
        let mut problems = Problems::default();
        let catalogue = Catalogue::read(&mut problems);
        assert!(problems.is_empty(), "{}", problems.render(false, 120));
        assert_eq!(catalogue.stacks.len(), STACKS.len());
        assert_eq!(catalogue.databases.len(), DATABASES.len());
    }
}
