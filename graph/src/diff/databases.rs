//! What differs of databases, their migrations and their servers.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::{Fields, between, flat};
use super::{Cause, Change, FieldChange, FilesChange, Node, NodeKind};
use crate::format::service::Mask;
use crate::graph::{Database, DatabaseServer, Graph};
use crate::tree::{Entry, joined};

/// Of all databases, migrations and servers.
pub(super) fn changes(before: &Graph, after: &Graph) -> BTreeMap<Node, Change> {
    let mut changes = BTreeMap::new();
    for name in both(&before.servers, &after.servers) {
        let change = match (before.servers.get(name), after.servers.get(name)) {
            // Most are as they were: what they say is only written down to be told.
            (Some(old), Some(new)) if old == new => None,
            (Some(old), Some(new)) => {
                let fields = between(&of_server(Some(old)), &of_server(Some(new)), |_| None);
                let own: Vec<Cause> = fields.into_iter().map(Cause::Field).collect();
                (!own.is_empty()).then(|| Change::of(own, Vec::new()))
            }
            (old, _) => Some(Change::only(old.is_some(), None)),
        };
        changes.extend(change.map(|change| (Node::new(NodeKind::Server, name), change)));
    }
    for address in both(&before.databases, &after.databases) {
        let (old, new) = (before.databases.get(address), after.databases.get(address));
        let change = match (old, new) {
            (Some(old), Some(new)) => database(before, after, old, new, &changes),
            (old, _) => Some(Change::only(old.is_some(), None)),
        };
        changes.extend(change.map(|change| (Node::new(NodeKind::Database, address), change)));
        let change = match (old.filter(|old| old.migration.is_some()), new.filter(|new| new.migration.is_some())) {
            (Some(old), Some(new)) => {
                (old.migration != new.migration).then(|| Change::of(migration(before, after, old, new), Vec::new()))
            }
            (None, None) => None,
            (old, _) => Some(Change::only(old.is_some(), None)),
        };
        changes.extend(change.map(|change| (Node::new(NodeKind::Migration, address), change)));
    }
    changes
}

/// All names of both maps, in order.
pub(super) fn both<'m, T>(before: &'m BTreeMap<String, T>, after: &'m BTreeMap<String, T>) -> BTreeSet<&'m String> {
    before.keys().chain(after.keys()).collect()
}

fn database(
    before: &Graph,
    after: &Graph,
    old: &Database,
    new: &Database,
    changes: &BTreeMap<Node, Change>,
) -> Option<Change> {
    let server = Node::new(NodeKind::Server, &new.server);
    let is_same = (&old.kind, &old.version, &old.server, &old.params)
        == (&new.kind, &new.version, &new.server, &new.params)
        && (&old.topics, &old.extensions) == (&new.topics, &new.extensions)
        && (&old.seed, &old.mask) == (&new.seed, &new.mask);
    if is_same && !changes.contains_key(&server) {
        return None;
    }
    let (mut olds, mut news) = (of_database(old), of_database(new));
    let mut through = Vec::new();
    if old.server == new.server {
        through.extend(changes.contains_key(&server).then_some(server));
    } else {
        // What the other server is, its settings and its image say; only where they agree, its name does.
        olds.extend(of_server(before.servers.get(&old.server)));
        news.extend(of_server(after.servers.get(&new.server)));
    }
    let mut found = between(&olds, &news, |_| Some(new.place.clone()));
    if found.is_empty() && old.server != new.server {
        found.push(FieldChange {
            field: "server".to_owned(),
            before: Some(old.server.clone()),
            after: Some(new.server.clone()),
            place: Some(new.place.clone()),
        });
    }
    let own: Vec<Cause> = found.into_iter().map(Cause::Field).collect();
    (!own.is_empty() || !through.is_empty()).then(|| Change::of(own, through))
}

fn of_database(database: &Database) -> Fields {
    let mut fields = Fields::new();
    let written = serde_json::json!({
        "kind": database.kind, "version": database.version, "params": database.params, "topics": database.topics,
        "extensions": database.extensions, "seed": database.seed,
        "mask": database.mask.as_ref().map(|mask| match mask {
            Mask::Run(run) => serde_json::json!(run),
            Mask::Unneeded => serde_json::json!("none"),
        }),
    });
    flat(String::new(), &written, &mut fields);
    fields
}

fn of_server(server: Option<&DatabaseServer>) -> Fields {
    let mut fields = Fields::new();
    if let Some(server) = server {
        let written = serde_json::json!({ "settings": server.settings, "image": server.image });
        flat(String::new(), &written, &mut fields);
    }
    fields
}

/// What differs of a migration whose key differs: its command, its schema or both.
fn migration(before: &Graph, after: &Graph, old: &Database, new: &Database) -> Vec<Cause> {
    let fields = |database: &Database| {
        let mut fields = Fields::new();
        if let Some(migrate) = &database.migrate {
            let written = serde_json::json!({ "migrate": { "run": migrate.run, "schema": migrate.schema } });
            flat(String::new(), &written, &mut fields);
        }
        fields
    };
    let place = new.migrate.as_ref().map(|migrate| migrate.place.clone());
    let found = between(&fields(old), &fields(new), |_| place.clone());
    let mut own: Vec<Cause> = found.into_iter().map(Cause::Field).collect();
    let (was, is) = (schema(before, old), schema(after, new));
    if let Some((path, _)) = is.as_ref().or(was.as_ref()) {
        let entry = |side: &Option<(String, Entry)>| side.as_ref().map(|(_, entry)| entry.clone());
        let files = FilesChange::between_entries(path, entry(&was).as_ref(), entry(&is).as_ref());
        own.extend(files.map(Cause::Files));
    }
    if own.is_empty() {
        // Its schema is no source of the service: which file it was cannot be seen from here.
        let schema = new.migrate.as_ref().and_then(|migrate| migrate.schema.clone());
        own.push(Cause::Field(FieldChange {
            field: format!("the files of {}", schema.unwrap_or_default()),
            before: None,
            after: None,
            place,
        }));
    }
    own
}

/// Where a migration's schema lies, and what lies there.
fn schema(graph: &Graph, database: &Database) -> Option<(String, Entry)> {
    let owner = graph.services.get(database.owner.as_ref()?)?;
    let schema = database.migrate.as_ref()?.schema.as_ref()?;
    let path = joined(&owner.folder, schema);
    let entry = owner.sources.entry(&path)?.clone();
    Some((path, entry))
}
