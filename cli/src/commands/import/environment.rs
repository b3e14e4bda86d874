//! What becomes of a service's variables: wiring, secrets, names of the caller's shell, or text.

use std::collections::{BTreeMap, BTreeSet};

use super::Known;
use super::compose::Service;
use super::databases::Server;
use super::interpolate::{Otherwise, Piece, fill, pieces};
use super::references::{Field, Host, Segment, segments};

/// A service's variables, sorted by what they are.
#[derive(Debug, Default, Clone)]
pub(super) struct Environment {
    /// Variables with their values.
    pub(super) values: BTreeMap<String, Vec<Segment>>,
    /// Secrets, each with the value for development that the file itself gives.
    pub(super) secrets: BTreeMap<String, Option<String>>,
    /// Names that come from the caller's shell.
    pub(super) passthrough: BTreeSet<String>,
    /// Env files that could not be read.
    pub(super) missing: Vec<String>,
}

/// A variable before it is judged.
struct Entry {
    name: String,
    /// Its value with its variables; `None` where it is taken from the shell.
    raw: Option<String>,
    /// Whether `$` means something in it.
    is_template: bool,
}

/// Judges the variables of a service.
pub(super) fn environment(
    service: &Service,
    hosts: &BTreeMap<String, Host>,
    servers: &BTreeMap<String, Server>,
    known: &Known<'_>,
) -> Environment {
    let mut environment = Environment::default();
    let mut entries: Vec<Entry> = Vec::new();
    for file in &service.env_files {
        match known.env_file(file) {
            Some(read) => entries.extend(read.into_iter().map(|(name, value)| Entry {
                name,
                raw: Some(value),
                is_template: false,
            })),
            None => environment.missing.push(file.clone()),
        }
    }
    // What stands in the file itself wins.
    entries.retain(|entry| !service.environment.iter().any(|(name, _)| *name == entry.name));
    entries.extend(service.environment.iter().map(|(name, raw)| Entry {
        name: name.clone(),
        raw: raw.clone(),
        is_template: true,
    }));
    let filled: BTreeMap<String, String> = entries
        .iter()
        .filter_map(|entry| {
            let raw = entry.raw.as_ref()?;
            let value = if entry.is_template { fill(raw, &known.variables, &mut Vec::new()) } else { raw.clone() };
            Some((entry.name.clone(), value))
        })
        .collect();
    let mut wired: BTreeMap<String, Vec<Segment>> = BTreeMap::new();
    for (name, value) in &filled {
        let found = segments(value, is_host_variable(name), hosts);
        if found.iter().any(|segment| !matches!(segment, Segment::Text(_))) {
            wired.insert(name.clone(), found);
        }
    }
    beside_hosts(&filled, &mut wired, servers);
    credentials(service, &filled, &mut wired, servers);
    for entry in entries {
        if let Some(found) = wired.remove(&entry.name) {
            environment.values.insert(entry.name, found);
        } else {
            judge(entry, known, &mut environment);
        }
    }
    environment
}

/// What is neither wiring nor a credential: a secret, something of the shell, or text.
fn judge(entry: Entry, known: &Known<'_>, environment: &mut Environment) {
    let Entry { name, raw, is_template } = entry;
    let Some(raw) = raw else {
        // Compose takes it from `.env` or the shell.
        if is_secret(&name) || known.variables.contains_key(&name) {
            environment.secrets.insert(name, None);
        } else {
            environment.passthrough.insert(name);
        }
        return;
    };
    if !is_template {
        if is_secret(&name) {
            environment.secrets.insert(name, Some(raw));
        } else {
            environment.values.insert(name, vec![Segment::Text(raw)]);
        }
        return;
    }
    let parts = pieces(&raw);
    let has_variables = parts.iter().any(|piece| matches!(piece, Piece::Variable { .. }));
    if !has_variables {
        let value = fill(&raw, &known.variables, &mut Vec::new());
        if is_secret(&name) && !value.is_empty() {
            environment.secrets.insert(name, Some(value));
        } else {
            environment.values.insert(name, vec![Segment::Text(value)]);
        }
        return;
    }
    let mut value = Vec::new();
    for piece in parts {
        match piece {
            Piece::Text(text) => value.push(Segment::Text(text)),
            Piece::Variable { name: variable, otherwise } => {
                let default = match &otherwise {
                    Otherwise::Default(text) => Some(fill(text, &known.variables, &mut Vec::new())),
                    _ => None,
                };
                let is_known = known.variables.contains_key(&variable);
                let is_wanted = matches!(otherwise, Otherwise::Nothing | Otherwise::Required(_)) && !is_known;
                // What nobody knows has to be given by somebody, and so has what must not be written down.
                if is_secret(&variable) || is_secret(&name) || is_wanted {
                    environment.secrets.entry(variable.clone()).or_insert(default);
                    value.push(Segment::Secret(variable));
                } else {
                    let text = piece_text(&variable, &otherwise, known);
                    value.push(Segment::Text(text));
                }
            }
        }
    }
    match value.as_slice() {
        // A secret is in the environment by its own name.
        [Segment::Secret(variable)] if *variable == name => {}
        _ => {
            environment.values.insert(name, joined(value));
        }
    }
}

fn piece_text(variable: &str, otherwise: &Otherwise, known: &Known<'_>) -> String {
    let value = known.variables.get(variable).filter(|value| !value.is_empty());
    match (value, otherwise) {
        (Some(_), Otherwise::IfSet(text)) => fill(text, &known.variables, &mut Vec::new()),
        (Some(value), _) => value.clone(),
        (None, Otherwise::Default(text)) => fill(text, &known.variables, &mut Vec::new()),
        (None, _) => String::new(),
    }
}

/// Texts beside each other as one.
fn joined(segments: Vec<Segment>) -> Vec<Segment> {
    let mut all: Vec<Segment> = Vec::new();
    for segment in segments {
        match (all.last_mut(), segment) {
            (Some(Segment::Text(text)), Segment::Text(more)) => text.push_str(&more),
            (_, segment) => all.push(segment),
        }
    }
    all
}

/// Whether a name says that its value must not be shown.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words: Vec<&str> = name.split('_').collect();
    let has = |word: &str| words.contains(&word);
    has("SECRET")
        || has("SECRETS")
        || has("PASSWORD")
        || has("PASSWD")
        || has("PASS")
        || has("TOKEN")
        || has("CREDENTIALS")
        || has("APIKEY")
        || (has("KEY")
            && !has("PUBLIC")
            && (has("API") || has("PRIVATE") || has("SECRET") || has("ENCRYPTION") || has("SIGNING") || has("LICENSE")))
}

/// Whether a variable of this name may hold nothing but a host.
fn is_host_variable(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["HOST", "HOSTNAME", "HOSTS", "SERVER", "SERVERS", "ADDR", "ADDRESS", "ENDPOINT", "UPSTREAM"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// What a variable means that stands beside `X_HOST`.
const BESIDE: &[(&[&str], Field)] = &[
    (&["PORT"], Field::Port),
    (&["USER", "USERNAME"], Field::Username),
    (&["PASS", "PASSWORD", "PWD"], Field::Password),
    (&["DB", "NAME", "DATABASE", "DBNAME", "DB_NAME", "DATABASE_NAME"], Field::Database),
];

/// `DB_PORT`, `DB_USER` and so on beside a `DB_HOST` that names a server or a service.
fn beside_hosts(
    filled: &BTreeMap<String, String>,
    wired: &mut BTreeMap<String, Vec<Segment>>,
    servers: &BTreeMap<String, Server>,
) {
    let hosts: Vec<(String, Segment)> = wired
        .iter()
        .filter_map(|(name, value)| match value.as_slice() {
            [one @ (Segment::Service { .. } | Segment::Database { .. })] => Some((name.clone(), one.clone())),
            _ => None,
        })
        .collect();
    for (name, target) in hosts {
        let upper = name.to_ascii_uppercase();
        let ends = ["HOSTNAME", "HOST", "SERVER", "ADDRESS", "ADDR"];
        let Some(end) = ends.iter().find(|end| upper.ends_with(*end)) else { continue };
        let prefix = &name[..name.len() - end.len()];
        let beside = |words: &[&str]| {
            words
                .iter()
                .find_map(|word| filled.get_key_value(&format!("{prefix}{word}")))
                .filter(|(_, value)| !value.is_empty())
        };
        match target {
            Segment::Service { name: service, .. } => {
                let Some((variable, value)) = beside(&["PORT"]) else { continue };
                let (variable, port) = (variable.clone(), value.parse());
                if let Ok(port) = port {
                    let of = |field| vec![Segment::Service { name: service.clone(), port: Some(port), field }];
                    wired.insert(name, of(Field::Host));
                    wired.insert(variable, of(Field::Port));
                }
            }
            Segment::Database { server, field, .. } => {
                let named = beside(BESIDE[3].0).map(|(_, value)| value.clone());
                let declared = servers.get(&server).and_then(|server| server.database.clone());
                let database = named.filter(|name| declared.as_ref() != Some(name));
                let of = |field| vec![Segment::Database { server: server.clone(), database: database.clone(), field }];
                for (words, field) in BESIDE {
                    if let Some((variable, _)) = beside(words) {
                        wired.insert(variable.clone(), of(*field));
                    }
                }
                wired.insert(name, of(field));
            }
            _ => {}
        }
    }
}

/// User, password and database of a server that the service uses, wherever they stand.
fn credentials(
    service: &Service,
    filled: &BTreeMap<String, String>,
    wired: &mut BTreeMap<String, Vec<Segment>>,
    servers: &BTreeMap<String, Server>,
) {
    let mut used: BTreeSet<&str> = service.depends_on.iter().map(|depends| depends.service.as_str()).collect();
    let named: Vec<String> = wired
        .values()
        .flatten()
        .filter_map(|segment| match segment {
            Segment::Database { server, .. } => Some(server.clone()),
            _ => None,
        })
        .collect();
    used.extend(named.iter().map(String::as_str));
    for (name, server) in servers.iter().filter(|(name, _)| used.contains(name.as_str())) {
        // The database that the service's URL names is the one whose user is meant.
        let database = wired.values().flatten().find_map(|segment| match segment {
            Segment::Database { server, database, .. } if server == name => Some(database.clone()),
            _ => None,
        });
        for (variable, value) in filled.iter().filter(|(_, value)| !value.is_empty()) {
            let upper = variable.to_ascii_uppercase();
            let says = |words: &[&str]| words.iter().any(|word| upper.contains(word));
            let is = |declared: &Option<String>| declared.as_ref() == Some(value);
            let field = if is(&server.password) && says(&["PASS", "PWD", "SECRET"]) {
                Field::Password
            } else if is(&server.user) && says(&["USER", "LOGIN", "ACCESS_KEY"]) {
                Field::Username
            } else if is(&server.database) && says(&["DB", "DATABASE"]) {
                Field::Database
            } else {
                continue;
            };
            let database = database.clone().flatten();
            wired
                .entry(variable.clone())
                .or_insert_with(|| vec![Segment::Database { server: name.clone(), database, field }]);
        }
    }
}
