//! Which logical databases there will be, under which names, and whose they are.

use std::collections::{BTreeMap, BTreeSet};

use super::databases::Server;
use super::environment::Environment;
use super::nodes::{Node, label};
use super::references::Segment;

/// A database of a server of the Compose file: the server, and its name there unless it is the server's first.
type Wanted = (String, Option<String>);

/// All logical databases.
#[derive(Debug, Default)]
pub(super) struct Stores {
    stores: BTreeMap<Wanted, Store>,
    /// The name of each server's first database.
    firsts: BTreeMap<String, String>,
}

/// A logical database that will be declared.
#[derive(Debug)]
pub(super) struct Store {
    /// Its server in the Compose file.
    pub(super) server: String,
    /// What expressions name it by.
    pub(super) alias: String,
    /// The only service that uses it; `None` where several do, and it belongs to the repository.
    pub(super) owner: Option<usize>,
}

impl Stores {
    /// The databases that the variables of the nodes name.
    pub(super) fn of(
        nodes: &[Node],
        environments: &BTreeMap<usize, Environment>,
        servers: &BTreeMap<String, Server>,
    ) -> Self {
        let mut all = Self { firsts: firsts(environments, servers), ..Self::default() };
        let mut users: BTreeMap<Wanted, BTreeSet<usize>> = BTreeMap::new();
        for (number, node) in nodes.iter().enumerate() {
            for environment in node.parts().filter_map(|at| environments.get(&at)) {
                for (server, database) in named(environment) {
                    users.entry(all.wanted(server, database)).or_default().insert(number);
                }
            }
        }
        let mut aliases = BTreeSet::new();
        let mut on_server: BTreeMap<String, usize> = BTreeMap::new();
        for (server, _) in users.keys() {
            *on_server.entry(server.clone()).or_default() += 1;
        }
        for ((server, database), users) in users {
            let base = match &database {
                Some(database) if on_server.get(&server) > Some(&1) => label(&format!("{server}-{database}")),
                _ => label(&server),
            };
            let mut alias = base.clone();
            let mut number = 2;
            while !aliases.insert(alias.clone()) {
                alias = format!("{base}-{number}");
                number += 1;
            }
            // Scripts that the image would run become a task, and that is a second user.
            let has_scripts =
                database.is_none() && servers.get(&server).is_some_and(|server| !server.scripts.is_empty());
            let owner = users.first().copied().filter(|_| users.len() == 1 && !has_scripts);
            all.stores.insert((server.clone(), database), Store { server, alias, owner });
        }
        all
    }

    /// The store of a database that a variable names.
    pub(super) fn get(&self, server: &str, database: Option<&str>) -> Option<&Store> {
        self.stores.get(&self.wanted(server, database))
    }

    /// The stores that a service's variables name, by alias.
    pub(super) fn used<'s>(&'s self, environment: &Environment) -> BTreeMap<&'s str, &'s Store> {
        let stores = named(environment).filter_map(|(server, database)| self.get(server, database));
        stores.map(|store| (store.alias.as_str(), store)).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Store> {
        self.stores.values()
    }

    fn wanted(&self, server: &str, database: Option<&str>) -> Wanted {
        let first = self.firsts.get(server).map(String::as_str);
        (server.to_owned(), database.filter(|name| Some(*name) != first).map(str::to_owned))
    }
}

/// What the variables name: servers and databases there.
fn named(environment: &Environment) -> impl Iterator<Item = (&str, Option<&str>)> {
    environment.values.values().flatten().filter_map(|segment| match segment {
        Segment::Database { server, database, .. } => Some((server.as_str(), database.as_deref())),
        _ => None,
    })
}

/// The first database of each server: the one that it makes, else the first by name that anybody uses.
fn firsts(environments: &BTreeMap<usize, Environment>, servers: &BTreeMap<String, Server>) -> BTreeMap<String, String> {
    let mut firsts: BTreeMap<String, String> = BTreeMap::new();
    for (server, database) in environments.values().flat_map(named) {
        let Some(database) = database else { continue };
        let first = firsts.entry(server.to_owned()).or_insert_with(|| database.to_owned());
        if database < first.as_str() {
            database.clone_into(first);
        }
    }
    for (name, server) in servers {
        if let Some(declared) = &server.database {
            firsts.insert(name.clone(), declared.clone());
        }
    }
    firsts
}
