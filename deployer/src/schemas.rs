//! May code run on the schema that is there, or will be? Pure: decided before anything is written.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use clustergraph::graph::{Key, Schemas};

use crate::store::databases::{Databases, Known, Wanted};
use crate::store::record::Content;

/// A state of a database's schema, or what code was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    /// The migration that brings it about.
    pub(crate) migration: Key,
    /// Which schemas it is good for, where they are numbered.
    pub(crate) schemas: Option<Schemas>,
}

impl Level {
    /// Whether code of one and a schema of the other go together.
    fn goes_with(self, other: Self) -> bool {
        let overlap = |one: Schemas, other: Schemas| one.overlap(other);
        self.migration == other.migration
            || self.schemas.zip(other.schemas).is_some_and(|(one, other)| overlap(one, other))
    }

    /// Whether its schema is one that the other's migrations have left behind.
    pub(crate) fn is_before(self, other: Self) -> bool {
        self.migration != other.migration
            && self.schemas.zip(other.schemas).is_some_and(|(one, other)| one.age(other) == Ordering::Less)
    }

    fn words(self) -> String {
        self.schemas.map_or_else(|| "an unnumbered schema".to_owned(), |schemas| format!("schema {}", schemas.newest))
    }
}

/// What a version's code was made for, in one database.
pub(crate) fn of_version(content: &Content, address: &str) -> Option<Level> {
    let migration = *content.migrations.get(address)?;
    Some(Level { migration, schemas: content.schemas.get(address).copied() })
}

/// Why a deploy would break what serves, or itself; nothing where it may go on. `data` says the schema that is there.
///
/// `live` is the version that serves, with its number: while a migration runs and after it, its code meets the new schema.
pub(crate) fn against_deploy(wanted: &Wanted, data: Option<Level>, live: Option<(u64, &Content)>) -> Option<String> {
    let (Some(to), Some(from)) = (wanted.level(), data) else { return None };
    if to.migration == from.migration {
        return None;
    }
    let (address, place) = (&wanted.address, &wanted.place);
    if to.is_before(from) {
        let problem = format!(
            "{address} is at {}, and this commit was made for {}, on which code of today no longer runs. Deploy a commit whose \
             migrations reach it, or {RESTORE}",
            from.words(),
            to.words(),
        );
        return (!to.goes_with(from)).then_some(problem);
    }
    let (number, live) = live?;
    let code = of_version(live, address)?;
    if code.goes_with(to) {
        return None;
    }
    let oldest = match to.schemas {
        Some(schemas) => format!("its `compatible` reaches back to {}", schemas.oldest),
        None => "the files of its schema have no numbers to tell".to_owned(),
    };
    Some(format!(
        "the migration of {address} to {} may break version {number}, which serves and was made for {} ({place}: {oldest}). Deploy \
         in two steps: first code that runs on both schemas, then the migration; or, if what serves does run on the new schema, \
         say so by `compatible`; or accept that it may fail until the switch: `komandan deploy --allow-downtime`",
        to.words(),
        code.words(),
    ))
}

/// How a schema comes back that no migration brings back.
const RESTORE: &str = "put the former schema back yourself (from a dump) and give `--allow-downtime`";

/// Why a stored version must not serve: its code does not run on the schemas that are there.
pub(crate) fn against_revert(number: u64, content: &Content, databases: &Databases) -> Vec<String> {
    let known = |address: &String| databases.0.get(address).map(Known::levels).unwrap_or_default();
    let each = content.migrations.keys().filter_map(|address| Some((address, of_version(content, address)?)));
    each.flat_map(|(address, code)| known(address).into_iter().map(move |data| (address, code, data)))
        .filter(|(_, code, data)| !code.goes_with(*data))
        .map(|(address, code, data)| {
            format!(
                "version {number} was made for {} of {address}, which is at {} and serves code from {} on",
                code.words(),
                data.words(),
                data.schemas
                    .map_or_else(|| "that very schema".to_owned(), |schemas| format!("schema {}", schemas.oldest)),
            )
        })
        .collect()
}

/// The versions that would run on what is there, newest first, and how else to go back.
/// `current` is what serves, and what somebody wants to leave.
pub(crate) fn ways_out(current: u64, versions: &BTreeMap<u64, &Content>, databases: &Databases) -> String {
    let fit = versions.iter().rev().filter(|(other, _)| **other != current);
    let fit = fit.filter(|(other, content)| against_revert(**other, content, databases).is_empty());
    let fit: Vec<String> = fit.map(|(number, _)| number.to_string()).take(5).collect();
    let forward = match fit.as_slice() {
        [] => "Deploy a commit that mends what is wrong and runs on this schema".to_owned(),
        [one] => format!("Go back to version {one}, which runs on it, or deploy a commit that mends what is wrong"),
        several => format!(
            "Go back to one that runs on it ({}), or deploy a commit that mends what is wrong",
            several.join(", ")
        ),
    };
    format!("{forward}; or {RESTORE}")
}

#[cfg(test)]
mod tests;
