//! Schemas by their numbers: which of them a service's code runs on.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::build::Builder;
use crate::diagnostic::Problem;
use crate::format::service::Migrate;
use crate::tree::Entry;

/// The schemas that code runs on, by the numbers that the files of `migrate.schema` begin with:
/// `0007_stock.sql`, `V7__stock.sql`, `20260131_stock/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Schemas {
    /// The oldest: what `migrate.compatible` says, else the newest.
    pub oldest: u64,
    /// The newest, which its own migrations bring about.
    pub newest: u64,
}

impl Schemas {
    /// Whether there is a schema that both run on.
    ///
    /// `compatible` is said of both ways: this code runs on that schema, and code that was made for that schema or a later one
    /// runs on what the migrations since then have made of it. So versions that overlap live on the newer schema.
    #[must_use]
    pub fn overlap(self, other: Self) -> bool {
        self.oldest <= other.newest && other.oldest <= self.newest
    }

    /// How old its own schema is beside another's.
    #[must_use]
    pub fn age(self, other: Self) -> Ordering {
        self.newest.cmp(&other.newest)
    }
}

/// The number that a schema's name begins with, perhaps after one letter: `7` of `0007_stock.sql` and of `V7__stock.sql`.
fn number(name: &str) -> Option<u64> {
    let rest = name.strip_prefix(|c: char| c.is_ascii_alphabetic()).unwrap_or(name);
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

impl Builder<'_> {
    /// The schemas that a service's code runs on; nothing where its files have no numbers.
    pub(super) fn schemas(&mut self, migrate: &Migrate, folder: Option<&Entry>) -> Option<Schemas> {
        let newest = match folder {
            Some(Entry::Directory(folder)) => folder.entries().filter_map(|(name, _)| number(name)).max(),
            _ => None,
        };
        let Some(compatible) = &migrate.compatible else {
            return newest.map(|newest| Schemas { oldest: newest, newest });
        };
        let shown = compatible.escape_debug();
        let (message, mend) = match (newest, number(compatible)) {
            (Some(newest), Some(oldest)) if oldest <= newest => return Some(Schemas { oldest, newest }),
            (_, None) => (
                format!("`compatible: {shown}` is no number of a schema"),
                "write the number that the oldest schema's file begins with, such as `\"0007\"`".to_owned(),
            ),
            (Some(newest), Some(_)) => (
                format!("there is no schema `{shown}` yet: the newest is {newest}"),
                format!("name one up to {newest}, or add the migration that it means"),
            ),
            (None, Some(_)) => (
                "`compatible` counts schemas, and no file of `schema` begins with a number".to_owned(),
                "name the folder of numbered migrations by `schema: migrations/`, or leave `compatible` out".to_owned(),
            ),
        };
        self.problems.add(Problem::new("schema-number", migrate.place.clone(), message).mend(mend));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_with_the_numbers_of_schemas() {
        for (name, found) in [
            ("0007_stock.sql", Some(7)),
            ("7", Some(7)),
            ("V10__stock.sql", Some(10)),
            ("20260131120000_stock", Some(20_260_131_120_000)),
            ("__init__.py", None),
            ("README.md", None),
            ("", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(number(name), found, "{name}");
        }
    }

    #[test]
    fn versions_share_a_schema_where_their_ranges_overlap() {
        let range = |oldest, newest| Schemas { oldest, newest };
        for (one, other, overlap) in [
            (range(7, 7), range(7, 9), true),
            (range(7, 8), range(8, 8), true),
            (range(7, 7), range(8, 8), false),
            (range(5, 9), range(7, 7), true),
            (range(1, 2), range(4, 9), false),
        ] {
            assert_eq!(one.overlap(other), overlap, "{one:?} {other:?}");
            assert_eq!(other.overlap(one), overlap, "{other:?} {one:?}");
        }
    }
}
