//! What is known of stacks and databases: data, read from `graph/catalogue/`.

mod database;
mod fill;
mod stack;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::diagnostic::Problems;
use crate::format::yaml;

pub use database::{Container, DatabaseKind, Input, Native};
pub use fill::{fill, fill_database};
pub use stack::{CONTAINER_DEPS, CONTAINER_ROOT, Setup, Stack};

/// Everything that is known without asking a repository.
#[derive(Debug, Default)]
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

static BUILT_IN: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::read(&mut Problems::default()));

impl Catalogue {
    /// The entries that come with the program.
    #[must_use]
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    fn read(problems: &mut Problems) -> Self {
        let mut catalogue = Self::default();
        let parse = |path: &str, text: &str, problems: &mut Problems| {
            problems.keep_text(path, Arc::from(text));
            yaml::parse(&path.into(), text).map_err(|problem| problems.add(*problem)).ok()
        };
        for (path, text) in STACKS {
            if let Some(stack) = parse(path, text, problems).and_then(|yaml| Stack::decode(&yaml, problems)) {
                catalogue.stacks.insert(stack.name.clone(), stack);
            }
        }
        for (path, text) in DATABASES {
            if let Some(kind) = parse(path, text, problems).and_then(|yaml| DatabaseKind::decode(&yaml, problems)) {
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
