//! What a service is wired to: other services and databases.

use std::collections::BTreeMap;

use super::{Command, texts};
use crate::diagnostic::{Place, Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::yaml::{Value, Yaml};
use crate::format::{dns_label, repo_path};

/// A service that this one calls.
#[derive(Debug, Clone)]
pub struct Dependency {
    /// The other service's name.
    pub service: String,
    /// The name under which this service knows it.
    pub alias: String,
    /// What starting waits for.
    pub wait: Wait,
    /// Where it was written.
    pub place: Place,
}

/// What the start of a service waits for on one of its edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// The other is ready.
    Ready,
    /// The other was started.
    Started,
    /// Nothing: wired, not waited for. May close a cycle.
    None,
}

impl Wait {
    /// The word in the format.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Started => "started",
            Self::None => "none",
        }
    }
}

/// A logical database that a service stores in.
#[derive(Debug, Clone)]
pub struct DatabaseUse {
    /// The kind's name in the catalogue.
    pub kind: String,
    /// The server's version; the catalogue's default otherwise.
    pub version: Option<String>,
    /// Where the version was written.
    pub version_place: Option<Place>,
    /// The name under which this service knows it.
    pub alias: String,
    /// Whether it takes the family's name (`DATABASE_URL`) among several.
    pub primary: bool,
    /// The query part of the URL.
    pub params: BTreeMap<String, String>,
    /// How its schema is brought up to date.
    pub migrate: Option<Migrate>,
    /// How first data is put in.
    pub seed: Option<Command>,
    /// Where it was written.
    pub place: Place,
}

/// How a database's schema is brought up to date.
#[derive(Debug, Clone)]
pub struct Migrate {
    /// The command, run in the service's own environment.
    pub run: Command,
    /// Files that the schema is made of, relative to the service's folder.
    pub schema: Option<String>,
    /// Where `schema` was written, or the whole entry.
    pub place: Place,
}

fn alias(yaml: Option<&Yaml>, default: &str, problems: &mut Problems) -> Option<String> {
    match yaml {
        None => Some(default.to_owned()),
        Some(yaml) => {
            let alias = decode::string(yaml, "`as`", problems)?;
            dns_label(alias, &yaml.place, "the alias", problems)
        }
    }
}

pub(super) fn dependency(yaml: &Yaml, problems: &mut Problems) -> Option<Dependency> {
    if let Value::Text(name) = &yaml.value {
        let place = yaml.place.clone();
        return Some(Dependency { service: name.clone(), alias: name.clone(), wait: Wait::Ready, place });
    }
    let mut fields = Fields::open(yaml, "a dependency", problems)?;
    let service = required(&mut fields, "service", "a dependency", problems);
    let alias_yaml = fields.take("as");
    let wait = match fields.take("wait") {
        None => Some(Wait::Ready),
        Some(yaml) => match decode::string(yaml, "`wait`", problems) {
            Some("ready") => Some(Wait::Ready),
            Some("started") => Some(Wait::Started),
            Some("none") => Some(Wait::None),
            Some("completed") => {
                problems.add(
                    Problem::new("wait", yaml.place.clone(), "only a task can be `completed`")
                        .mend("wait for `ready`: tasks are not supported by this version"),
                );
                None
            }
            Some(other) => {
                problems.add(
                    Problem::new(
                        "wait",
                        yaml.place.clone(),
                        format!("`{}` is nothing to wait for", other.escape_debug()),
                    )
                    .mend("write ready, started or none"),
                );
                None
            }
            None => None,
        },
    };
    fields.not_yet(&["optional"], problems);
    let place = service.map_or_else(|| yaml.place.clone(), |(_, place)| place.clone());
    fields.close("a dependency", problems);
    let (service, _) = service?;
    let alias = alias(alias_yaml, service, problems)?;
    Some(Dependency { service: service.to_owned(), alias, wait: wait?, place })
}

fn required<'y>(
    fields: &mut Fields<'y>,
    name: &'static str,
    what: &str,
    problems: &mut Problems,
) -> Option<(&'y str, &'y Place)> {
    match fields.take(name) {
        Some(yaml) => decode::string(yaml, &format!("`{name}`"), problems).map(|text| (text, &yaml.place)),
        None => {
            problems.add(Problem::new("missing-field", fields.place().clone(), format!("{what} needs `{name}`")));
            None
        }
    }
}

pub(super) fn database(yaml: &Yaml, problems: &mut Problems) -> Option<DatabaseUse> {
    if let Value::Text(kind) = &yaml.value {
        return Some(DatabaseUse {
            kind: kind.clone(),
            version: None,
            version_place: None,
            alias: kind.clone(),
            primary: false,
            params: BTreeMap::new(),
            migrate: None,
            seed: None,
            place: yaml.place.clone(),
        });
    }
    let mut fields = Fields::open(yaml, "a database", problems)?;
    fields.not_yet(&["from", "settings", "isolation"], problems);
    let kind = required(&mut fields, "kind", "a database", problems);
    let version_yaml = fields.take("version");
    let version = version_yaml.and_then(|yaml| match &yaml.value {
        Value::Integer(number) => Some(number.to_string()),
        _ => decode::string(yaml, "`version`", problems).map(str::to_owned),
    });
    let version_place = version_yaml.map(|yaml| yaml.place.clone());
    let alias_yaml = fields.take("as");
    let primary = fields.take("primary").and_then(|yaml| decode::boolean(yaml, "`primary`", problems)).unwrap_or(false);
    let params = fields.take("params").map(|yaml| texts(yaml, "params", problems)).unwrap_or_default();
    let migrate = fields.take("migrate").and_then(|yaml| migrate(yaml, problems));
    let seed = fields.take("seed").and_then(|yaml| {
        let mut fields = Fields::open(yaml, "`seed`", problems)?;
        let run = fields.take("run").and_then(|yaml| decode::command(yaml, "`seed.run`", problems));
        if run.is_none() {
            problems.add(Problem::new("missing-field", fields.place().clone(), "`seed` needs `run`"));
        }
        fields.close("`seed`", problems);
        run
    });
    let place = kind.map_or_else(|| yaml.place.clone(), |(_, place)| place.clone());
    fields.close("a database", problems);
    let (kind, _) = kind?;
    let alias = alias(alias_yaml, kind, problems)?;
    Some(DatabaseUse { kind: kind.to_owned(), version, version_place, alias, primary, params, migrate, seed, place })
}

fn migrate(yaml: &Yaml, problems: &mut Problems) -> Option<Migrate> {
    let mut fields = Fields::open(yaml, "`migrate`", problems)?;
    let run = fields.take("run");
    let command = run.and_then(|yaml| decode::command(yaml, "`migrate.run`", problems));
    if run.is_none() {
        problems.add(Problem::new("missing-field", fields.place().clone(), "`migrate` needs `run`"));
    }
    let schema = fields.take("schema").and_then(|yaml| {
        let path = decode::string(yaml, "`migrate.schema`", problems)?;
        repo_path(path, &yaml.place, "the schema's folder", problems).map(|path| (path, yaml.place.clone()))
    });
    fields.not_yet(&["compatible"], problems);
    fields.close("`migrate`", problems);
    let (schema, place) = match schema {
        Some((schema, place)) => (Some(schema), place),
        None => (None, yaml.place.clone()),
    };
    Some(Migrate { run: command?, schema, place })
}
