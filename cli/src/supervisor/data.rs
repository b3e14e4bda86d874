//! Which data is whose: what was done to a database is remembered for that very data, by a random name that lies
//! beside it. Where the data is gone, whoever took it, everything is done anew. Pure.

use std::collections::BTreeMap;

use clustergraph::catalogue::Scope;
use clustergraph::graph::{Database, Graph, Unit, UnitKind, Units};

use crate::session::{Kept, Records, Stored, random};

/// Brings the records of data up to what was found, and refuses what would begin an empty database in silence.
///
/// `found` are the incarnations of servers that have data. Returns one for each server of `units`: that of its data,
/// or the one that its data will have.
pub(super) fn settle(
    graph: &Graph,
    units: &Units,
    found: &BTreeMap<String, String>,
    runtimes: &crate::runtime::Runtimes,
    records: &mut Records,
) -> Result<BTreeMap<String, String>, String> {
    let mut incarnations = BTreeMap::new();
    for unit in units.keys().filter(|unit| unit.kind == UnitKind::Server) {
        let incarnation = match found.get(&unit.name) {
            Some(there) => {
                let stored = Stored { runtime: runtimes.server(&unit.name), incarnation: there.clone() };
                records.servers.insert(unit.name.clone(), stored);
                there.clone()
            }
            None => {
                records.servers.remove(&unit.name);
                random(12)
            }
        };
        incarnations.insert(unit.name.clone(), incarnation);
    }
    let mut refused = Vec::new();
    for unit in units.keys().filter(|unit| unit.kind == UnitKind::Database) {
        let Some(database) = graph.databases.get(&unit.name) else { continue };
        match moved(database, records) {
            Some(why) => refused.push(why),
            None => keep(database, graph, &incarnations, records)?,
        }
    }
    if refused.is_empty() { Ok(incarnations) } else { Err(refused.join("\n")) }
}

/// Why a database cannot be where it is wanted: its data is elsewhere.
fn moved(database: &Database, records: &Records) -> Option<String> {
    let kept = records.databases.get(&database.address).filter(|kept| kept.server != database.server)?;
    let has_data = records.get(&Unit::new(UnitKind::Database, &database.address)).is_some_and(|record| record.ready)
        && records.servers.get(&kept.server).is_some_and(|stored| stored.incarnation == kept.data);
    if !has_data {
        return None;
    }
    let (was, is) = (format!("{} {}", kept.kind, kept.version), format!("{} {}", database.kind, database.version));
    let (was, is) = match was == is {
        true => (format!("the server {}", kept.server), format!("the server {}", database.server)),
        false => (was, is),
    };
    Some(format!(
        "the data of {} is in {was}, and {} asks for {is}: ssi moves no data, and begins no empty database in silence. \
         Go back to {was}; or, while that runs, dump what you need with its own programs, give it up with \
         `ssi down --delete-data`, and load it into {is}",
        database.address, database.place
    ))
}

/// Remembers a database with the incarnation that it has or will have.
fn keep(
    database: &Database,
    graph: &Graph,
    incarnations: &BTreeMap<String, String>,
    records: &mut Records,
) -> Result<(), String> {
    let data = incarnations.get(&database.server).cloned().unwrap_or_default();
    let known = records.databases.get(&database.address);
    if known.is_some_and(|kept| kept.server == database.server && kept.data == data) {
        return Ok(());
    }
    let number = match graph.catalogue.databases.get(&database.kind).map(|kind| kind.scope) {
        Some(Scope::Numbered(limit)) => Some(number(database, limit, records)?),
        _ => None,
    };
    let kept = Kept {
        server: database.server.clone(),
        kind: database.kind.clone(),
        version: database.version.clone(),
        data,
        incarnation: random(12),
        number,
    };
    records.databases.insert(database.address.clone(), kept);
    Ok(())
}

/// The least number that no other database of the server has.
fn number(database: &Database, limit: u32, records: &Records) -> Result<u32, String> {
    let others = records.databases.iter().filter(|(address, _)| **address != database.address);
    let taken: Vec<u32> =
        others.filter(|(_, kept)| kept.server == database.server).filter_map(|(_, kept)| kept.number).collect();
    (0..limit).find(|number| !taken.contains(number)).ok_or_else(|| {
        format!(
            "{} has room for {limit} databases, and {} is one too many ({}): give it a server of its own with `isolation: dedicated`",
            database.server, database.address, database.place
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::RuntimeName;
    use crate::runtime::{Asked, Runtimes};
    use crate::session::Record;
    use clustergraph::graph::Key;
    use clustergraph::tree::Tree;
    use std::collections::BTreeSet;

    fn graph(databases: &str) -> Graph {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/service.yaml"), format!("name: a\nrun: [x]\ndatabases: {databases}\n"))
            .unwrap();
        std::process::Command::new("git").args(["init", "-q"]).current_dir(folder.path()).status().unwrap();
        Graph::build(&Tree::of_worktree(folder.path()).unwrap(), "local").unwrap()
    }

    fn settled(
        databases: &str,
        found: &[(&str, &str)],
        records: &mut Records,
    ) -> Result<BTreeMap<String, String>, String> {
        let graph = graph(databases);
        let units = graph.units(&BTreeSet::from(["a".to_owned()]), false);
        let found = found.iter().map(|(server, name)| ((*server).to_owned(), (*name).to_owned())).collect();
        let asked = Asked { runtime: Some(RuntimeName::Process), named: &[], engine: None };
        let (runtimes, _) = Runtimes::choose(&graph, &units, &asked, records).unwrap();
        let incarnations = settle(&graph, &units, &found, &runtimes, records)?;
        for address in graph.databases.keys() {
            records.put(done(address));
        }
        Ok(incarnations)
    }

    /// A database that was made.
    fn done(address: &str) -> Record {
        Record {
            unit: Unit::new(UnitKind::Database, address),
            key: Key::default(),
            parts: BTreeMap::new(),
            runtime: RuntimeName::Process,
            waits: Vec::new(),
            needs: BTreeSet::new(),
            instance: None,
            addresses: Vec::new(),
            ready: true,
            restart: clustergraph::format::service::Restart::Never.into(),
            restarts: 0,
            ended: None,
            since: 0,
            stop: ("TERM".into(), 0),
        }
    }

    const ONE: &str = "[{ kind: postgres, version: '15', as: items }]";

    #[test]
    fn data_that_is_there_is_the_same_and_data_that_is_gone_is_other_data() {
        let mut records = Records::default();
        let first = settled(ONE, &[], &mut records).unwrap()["postgres-15"].clone();
        let made = records.databases["a/items"].clone();
        assert_eq!(made.data, first);
        let again = settled(ONE, &[("postgres-15", &first)], &mut records).unwrap();
        assert_eq!((again["postgres-15"].clone(), &records.databases["a/items"]), (first, &made));
        let gone = settled(ONE, &[], &mut records).unwrap()["postgres-15"].clone();
        assert_ne!(gone, made.data);
        assert_ne!(records.databases["a/items"].incarnation, made.incarnation, "everything is done anew");
    }

    #[test]
    fn another_version_or_kind_is_refused_while_there_is_data() {
        let mut records = Records::default();
        let data = settled(ONE, &[], &mut records).unwrap()["postgres-15"].clone();
        settled(ONE, &[("postgres-15", &data)], &mut records).unwrap();
        for (other, says) in [
            (
                "[{ kind: postgres, version: '16', as: items }]",
                "is in postgres 15, and a/service.yaml:3:21 asks for postgres 16",
            ),
            ("[{ kind: mariadb, as: items }]", "is in postgres 15"),
            ("[{ kind: postgres, version: '15', as: items, isolation: dedicated }]", "is in the server postgres-15"),
        ] {
            let refused = settled(other, &[("postgres-15", &data)], &mut records.clone()).unwrap_err();
            assert!(refused.contains(says) && refused.contains("ssi down --delete-data"), "{refused}");
        }
        records.servers.clear();
        settled("[{ kind: postgres, version: '16', as: items }]", &[], &mut records).unwrap();
    }

    #[test]
    fn numbered_databases_get_numbers_and_keep_them() {
        let mut records = Records::default();
        let two = "[{ kind: redis, as: one }, { kind: redis, as: two, primary: true }]";
        let data = settled(two, &[], &mut records).unwrap();
        let (server, data) = data.iter().next().unwrap();
        let numbers = |records: &Records| ["a/one", "a/two"].map(|address| records.databases[address].number);
        assert_eq!(numbers(&records), [Some(0), Some(1)]);
        records.databases.remove("a/one");
        settled("[{ kind: redis, as: two }]", &[(server, data)], &mut records).unwrap();
        assert_eq!(records.databases["a/two"].number, Some(1));
        settled(two, &[(server, data)], &mut records).unwrap();
        assert_eq!(numbers(&records), [Some(0), Some(1)]);
    }
}
