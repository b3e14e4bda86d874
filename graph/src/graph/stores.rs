//! Logical databases and the servers that hold them.

use std::collections::BTreeMap;

use serde_json::json;

use super::build::Builder;
use super::{Database, DatabaseServer, Key, Located, Schemas};
use crate::catalogue::DatabaseKind;
use crate::diagnostic::{Problem, suggestion};
use crate::format::service::{Migrate, Store};
use crate::tree::Entry;

/// What was resolved of databases so far.
#[derive(Default)]
pub(super) struct Stores {
    pub(super) databases: BTreeMap<String, Database>,
    pub(super) servers: BTreeMap<String, DatabaseServer>,
}

impl Builder<'_> {
    /// Resolves one declared database, of a service or of nobody.
    pub(super) fn database(
        &mut self,
        owner: Option<&Located>,
        alias: &str,
        store: &Store,
        params: &BTreeMap<String, String>,
        stores: &mut Stores,
    ) {
        let catalogue = self.catalogue.clone();
        let Some(kind) = self.kind(&catalogue.databases, store) else { return };
        let version = store.version.clone().unwrap_or_else(|| kind.default.clone());
        // An image of one's own has the versions that it has.
        if store.image.is_none() && !kind.knows(&version) {
            self.problems.add(
                Problem::new(
                    "unknown-version",
                    store.version_place.as_ref().unwrap_or(&store.place).clone(),
                    format!("{} has no version {} here", store.kind, version.escape_debug()),
                )
                .mend(format!("this version knows: {}", kind.versions.join(", "))),
            );
            return;
        }
        self.check_store(store, kind);
        let owner_name = owner.map(|service| service.file.name.clone());
        let address = match &owner_name {
            Some(owner) => format!("{owner}/{alias}"),
            None => alias.to_owned(),
        };
        let server = server(store, &version, &address);
        let (migration, schemas) = match (owner, &store.migrate) {
            (Some(service), Some(migrate)) => {
                let (migration, schemas) = self.migration(service, migrate);
                (Some(migration), schemas)
            }
            _ => (None, None),
        };
        let database = Database {
            name: database_name(&address, kind),
            owner: owner_name,
            alias: alias.to_owned(),
            kind: store.kind.clone(),
            version,
            server: server.name.clone(),
            server_key: store.dedicated.then(|| server_key(store)).flatten(),
            params: params.clone(),
            topics: store.topics.clone(),
            extensions: store.extensions.clone(),
            migrate: store.migrate.clone(),
            migration,
            schemas,
            seed: store.seed.clone(),
            mask: store.mask.clone(),
            place: store.place.clone(),
            address: address.clone(),
        };
        stores.servers.insert(server.name.clone(), server);
        stores.databases.insert(address, database);
    }

    fn kind<'c>(&mut self, kinds: &'c BTreeMap<String, DatabaseKind>, store: &Store) -> Option<&'c DatabaseKind> {
        let found = kinds.get(&store.kind);
        if found.is_none() && !self.catalogue_broken {
            let problem = Problem::new(
                "unknown-kind",
                store.place.clone(),
                format!("`{}` is no kind of database", store.kind.escape_debug()),
            );
            let known = kinds.keys().map(String::as_str);
            self.problems.add(match suggestion(&store.kind, known.clone()) {
                Some(close) => problem.mend(format!("did you mean `{close}`?")),
                None => problem.mend(format!("this version knows: {}", known.collect::<Vec<_>>().join(", "))),
            });
        }
        found
    }

    /// What a kind cannot do must not be asked of it.
    fn check_store(&mut self, store: &Store, kind: &DatabaseKind) {
        for (field, asked, can) in [
            ("settings", !store.settings.is_empty(), kind.settings.is_some()),
            ("extensions", !store.extensions.is_empty(), kind.extension.is_some()),
            ("topics", !store.topics.is_empty(), kind.topic.is_some()),
        ] {
            if asked && !can {
                let place = store.places.get(field).unwrap_or(&store.place).clone();
                self.problems.add(
                    Problem::new("conflict", place, format!("{} has no {field}", store.kind))
                        .mend(format!("remove `{field}`")),
                );
            }
        }
    }

    /// The hash of a migration, and the schemas that the service's code runs on.
    fn migration(&mut self, service: &Located, migrate: &Migrate) -> (Key, Option<Schemas>) {
        let tree = self.tree;
        let folder = migrate.schema.as_ref().and_then(|schema| tree.root().entry(&service.full(schema)));
        let schema = migrate.schema.as_ref().and_then(|schema| {
            let path = service.full(schema);
            match folder {
                Some(Entry::Directory(directory)) => Some(directory.oid().to_string()),
                Some(Entry::File(file)) => Some(file.oid.to_string()),
                _ => {
                    self.problems.add(
                        Problem::new("missing-file", migrate.place.clone(), format!("there is no `{path}`"))
                            .mend("`schema` names the folder of migrations below the service's folder; ignored files are no sources"),
                    );
                    None
                }
            }
        });
        // What is not there is told already.
        let schemas = match migrate.schema.is_some() && folder.is_none() {
            true => None,
            false => self.schemas(migrate, folder),
        };
        (Key::of("migration", &json!({ "run": migrate.run, "schema": schema })), schemas)
    }
}

/// The server of a database: shared where kind, version, settings and image agree.
fn server(store: &Store, version: &str, address: &str) -> DatabaseServer {
    let plain = format!("{}-{version}", store.kind);
    let name = if store.dedicated {
        dedicated(&plain, address)
    } else {
        match server_key(store) {
            None => plain,
            Some(key) => format!("{plain}-{}", key.short().get(..6).unwrap_or_default()),
        }
    };
    DatabaseServer {
        name,
        kind: store.kind.clone(),
        version: version.to_owned(),
        settings: store.settings.clone(),
        image: store.image.clone(),
    }
}

/// The hash of what a server is set to and made from; nothing where nothing is said of it.
fn server_key(store: &Store) -> Option<Key> {
    let says = !store.settings.is_empty() || store.image.is_some();
    says.then(|| Key::of("server", &json!({ "settings": store.settings, "image": store.image })))
}

/// A host's name that only this address has: `a-b/c` and `a/b-c` must not share a server.
fn dedicated(plain: &str, address: &str) -> String {
    const LONGEST: usize = 63;
    let name = format!("{plain}-{}", address.replace('/', "-"));
    let is_clear = address.split_once('/').is_none_or(|(owner, _)| !owner.contains('-'));
    if is_clear && name.len() <= LONGEST {
        return name;
    }
    let key = Key::of("server", &json!(address)).short();
    let kept = name.get(..LONGEST - key.len() - 1).unwrap_or(&name);
    format!("{kept}-{key}")
}

/// A name inside the server: owner and alias are DNS labels, so what joins them is unambiguous.
fn database_name(address: &str, kind: &DatabaseKind) -> String {
    let name = address.replace('/', &kind.separator);
    if name.len() <= kind.max_name {
        return name;
    }
    let key = Key::of("database-name", &json!(name)).short();
    let kept: String = name.chars().take(kind.max_name.saturating_sub(key.len() + kind.separator.len())).collect();
    format!("{kept}{}{key}", kind.separator)
}
