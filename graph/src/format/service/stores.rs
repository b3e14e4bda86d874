//! Where a service stores: databases of its own, and those of others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Command;
use super::edges::alias;
use crate::diagnostic::{Place, Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::repo_path;
use crate::format::yaml::{Value, Yaml};

/// A logical database that a service uses.
#[derive(Debug, Clone)]
pub struct DatabaseUse {
    /// Whose it is.
    pub source: DatabaseSource,
    /// The name under which this service knows it.
    pub alias: String,
    /// Whether it takes the family's name (`DATABASE_URL`) among several.
    pub primary: bool,
    /// The query part of the URL.
    pub params: BTreeMap<String, String>,
    /// Where it was written.
    pub place: Place,
}

/// Whose a database is.
#[derive(Debug, Clone)]
pub enum DatabaseSource {
    /// The service's own.
    Own(Box<Store>),
    /// Another service's (`OWNER/ALIAS`) or a store of `clustergraph.yaml`, by its address.
    From(String),
}

impl DatabaseUse {
    /// What it is, when it is the service's own.
    #[must_use]
    pub fn own(&self) -> Option<&Store> {
        match &self.source {
            DatabaseSource::Own(store) => Some(store),
            DatabaseSource::From(_) => None,
        }
    }

    /// The address of the logical database that is meant in a service's file.
    #[must_use]
    pub fn address(&self, service: &str) -> String {
        match &self.source {
            DatabaseSource::Own(_) => format!("{service}/{}", self.alias),
            DatabaseSource::From(address) => address.clone(),
        }
    }
}

/// A logical database as it is declared.
#[derive(Debug, Clone)]
pub struct Store {
    /// The kind's name in the catalogue.
    pub kind: String,
    /// The server's version; the catalogue's default otherwise.
    pub version: Option<String>,
    /// Where the version was written.
    pub version_place: Option<Place>,
    /// What its server is set to; databases share one only where this is the same.
    pub settings: BTreeMap<String, String>,
    /// Extensions that are put into it.
    pub extensions: Vec<String>,
    /// Topics that are made in it.
    pub topics: Vec<String>,
    /// An image for its server instead of the catalogue's.
    pub image: Option<String>,
    /// Whether it has a server of its own.
    pub dedicated: bool,
    /// How its schema is brought up to date.
    pub migrate: Option<Migrate>,
    /// How first data is put in.
    pub seed: Option<Command>,
    /// What is done to a copy of it before anybody sees that.
    pub mask: Option<Mask>,
    /// Where the kind was written.
    pub place: Place,
    /// Where `settings`, `extensions`, `topics`, `image`, `isolation`, `migrate`, `seed` and `mask` were written.
    pub places: BTreeMap<&'static str, Place>,
}

impl Store {
    fn of_kind(kind: &str, place: &Place) -> Self {
        Self {
            kind: kind.to_owned(),
            version: None,
            version_place: None,
            settings: BTreeMap::new(),
            extensions: Vec::new(),
            topics: Vec::new(),
            image: None,
            dedicated: false,
            migrate: None,
            seed: None,
            mask: None,
            place: place.clone(),
            places: BTreeMap::new(),
        }
    }
}

/// How a database's schema is brought up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migrate {
    /// The command, run in the service's own environment.
    pub run: Command,
    /// Files that the schema is made of, relative to the service's folder.
    pub schema: Option<String>,
    /// The oldest schema that this code still runs on; only its newest otherwise.
    pub compatible: Option<String>,
    /// Where `schema` was written, or the whole entry.
    pub place: Place,
}

/// What is done to a copy of a database before anybody sees that. Only its owner can know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mask {
    /// The command, run in the copy by the owner's own program.
    Run(Command),
    /// Nothing: whoever may begin a cluster may see all of it.
    Unneeded,
}

/// Fields that only a database of the service's own has.
const OWN: &[&str] = &[
    "kind",
    "version",
    "primary",
    "settings",
    "extensions",
    "topics",
    "image",
    "isolation",
    "migrate",
    "seed",
    "mask",
];

pub(super) fn database(yaml: &Yaml, problems: &mut Problems) -> Option<DatabaseUse> {
    if let Value::Text(kind) = &yaml.value {
        return Some(DatabaseUse {
            source: DatabaseSource::Own(Box::new(Store::of_kind(kind, &yaml.place))),
            alias: kind.clone(),
            primary: false,
            params: BTreeMap::new(),
            place: yaml.place.clone(),
        });
    }
    let mut fields = Fields::open(yaml, "a database", problems)?;
    if let Some((key, from)) = fields.take_with_key("from") {
        return shared(fields, &key.place, from, problems);
    }
    let alias_yaml = fields.take("as");
    let primary = fields.take("primary").and_then(|yaml| decode::boolean(yaml, "`primary`", problems)).unwrap_or(false);
    let params = fields.take("params").map(|yaml| decode::texts(yaml, "params", problems)).unwrap_or_default();
    let store = declared(&mut fields, "a database", problems);
    let mut places = BTreeMap::new();
    let migrate = fields.take_with_key("migrate").and_then(|(key, yaml)| {
        places.insert("migrate", key.place.clone());
        migrate(yaml, problems)
    });
    let seed = fields.take_with_key("seed").and_then(|(key, yaml)| {
        places.insert("seed", key.place.clone());
        run(yaml, "seed", problems)
    });
    let mask = fields.take_with_key("mask").and_then(|(key, yaml)| {
        places.insert("mask", key.place.clone());
        mask(yaml, problems)
    });
    fields.close("a database", problems);
    let mut store = store?;
    store.places.append(&mut places);
    let alias = alias(alias_yaml, &store.kind, problems)?;
    let place = store.place.clone();
    Some(DatabaseUse {
        source: DatabaseSource::Own(Box::new(Store { migrate, seed, mask, ..store })),
        alias,
        primary,
        params,
        place,
    })
}

/// Another's database: what it is, its owner says.
fn shared(mut fields: Fields<'_>, key: &Place, from: &Yaml, problems: &mut Problems) -> Option<DatabaseUse> {
    for name in OWN {
        if let Some((key, _)) = fields.take_with_key(name) {
            let mend = match *name {
                "primary" => {
                    "the names of a family count a service's own databases; write what is meant in `env: { DATABASE_URL: \"${databases.ALIAS.url}\" }`"
                }
                _ => "write it where the database is declared",
            };
            problems.add(
                Problem::new("conflict", key.place.clone(), format!("`{name}` is said by who owns a database"))
                    .label("this is another's, by `from`")
                    .mend(mend),
            );
        }
    }
    let address = decode::string(from, "`from`", problems);
    let alias_yaml = fields.take("as");
    let params = fields.take("params").map(|yaml| decode::texts(yaml, "params", problems)).unwrap_or_default();
    fields.close("a database", problems);
    let address = address?;
    let place = if from.place.bytes.is_empty() { key.clone() } else { from.place.clone() };
    let default = address.rsplit('/').next().unwrap_or(address);
    let alias = alias(alias_yaml, default, problems)?;
    Some(DatabaseUse { source: DatabaseSource::From(address.to_owned()), alias, primary: false, params, place })
}

/// What any store says of itself, wherever it is declared.
pub(crate) fn declared(fields: &mut Fields<'_>, what: &str, problems: &mut Problems) -> Option<Store> {
    let kind = decode::required(fields, "kind", what, problems)
        .and_then(|yaml| decode::string(yaml, "`kind`", problems).map(|kind| (kind, &yaml.place)));
    let (name, place) = kind.map_or_else(|| ("", fields.place()), |(kind, place)| (kind, place));
    let mut store = Store::of_kind(name, place);
    if let Some(yaml) = fields.take("version") {
        store.version = match &yaml.value {
            Value::Integer(number) => Some(number.to_string()),
            _ => decode::string(yaml, "`version`", problems).map(str::to_owned),
        };
        store.version_place = Some(yaml.place.clone());
    }
    let places = &mut store.places;
    let mut take = |name: &'static str| {
        let (key, yaml) = fields.take_with_key(name)?;
        places.insert(name, key.place.clone());
        Some(yaml)
    };
    store.settings = take("settings").map(|yaml| decode::texts(yaml, "settings", problems)).unwrap_or_default();
    store.extensions =
        take("extensions").map(|yaml| names(yaml, "extensions", "an extension", problems)).unwrap_or_default();
    store.topics = take("topics").map(|yaml| names(yaml, "topics", "a topic", problems)).unwrap_or_default();
    store.image = take("image").and_then(|yaml| decode::string(yaml, "`image`", problems).map(str::to_owned));
    store.dedicated = take("isolation")
        .and_then(|yaml| decode::choice(yaml, "`isolation`", &[("shared", false), ("dedicated", true)], problems))
        .unwrap_or(false);
    kind.map(|_| store)
}

/// Names that reach a server's own commands: nothing in them may need escaping there.
fn names(yaml: &Yaml, what: &str, one: &str, problems: &mut Problems) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for yaml in decode::list(yaml, &format!("`{what}`"), problems).unwrap_or_default() {
        let Some(name) = decode::string(yaml, &format!("each item of `{what}`"), problems) else { continue };
        let fine = name.len() <= 200
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if !fine {
            problems.add(
                Problem::new("name", yaml.place.clone(), format!("`{}` is no name of {one}", name.escape_debug()))
                    .mend("letters, digits, `.`, `_` and `-`"),
            );
        } else if names.iter().any(|known| known == name) {
            problems.add(
                Problem::new("duplicate-name", yaml.place.clone(), format!("`{name}` is there twice"))
                    .mend("remove one of them"),
            );
        } else {
            names.push(name.to_owned());
        }
    }
    names
}

fn migrate(yaml: &Yaml, problems: &mut Problems) -> Option<Migrate> {
    let mut fields = Fields::open(yaml, "`migrate`", problems)?;
    let command = decode::required(&mut fields, "run", "`migrate`", problems)
        .and_then(|yaml| decode::command(yaml, "`migrate.run`", problems));
    let schema = fields.take("schema").and_then(|yaml| {
        let path = decode::string(yaml, "`migrate.schema`", problems)?;
        repo_path(path, &yaml.place, "the schema's folder", problems).map(|path| (path, yaml.place.clone()))
    });
    let compatible = fields
        .take("compatible")
        .and_then(|yaml| decode::string(yaml, "`migrate.compatible`", problems).map(str::to_owned));
    fields.close("`migrate`", problems);
    let (schema, place) = match schema {
        Some((schema, place)) => (Some(schema), place),
        None => (None, yaml.place.clone()),
    };
    Some(Migrate { run: command?, schema, compatible, place })
}

/// `{ run: [...] }`.
fn run(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<Command> {
    let command = format!("`{what}.run`");
    let what = format!("`{what}`");
    let mut fields = Fields::open(yaml, &what, problems)?;
    let run = decode::required(&mut fields, "run", &what, problems)
        .and_then(|yaml| decode::command(yaml, &command, problems));
    fields.close(&what, problems);
    run
}

/// `{ run: [...] }`, or `none`.
fn mask(yaml: &Yaml, problems: &mut Problems) -> Option<Mask> {
    match &yaml.value {
        Value::Text(_) => decode::choice(yaml, "`mask`", &[("none", ())], problems).map(|()| Mask::Unneeded),
        _ => run(yaml, "mask", problems).map(Mask::Run),
    }
}
