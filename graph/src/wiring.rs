//! What a service finds in its environment. One function for both programs: the same names and shapes on a
//! laptop and on a cluster, only hosts, ports and passwords differ.

use std::collections::BTreeMap;

use crate::catalogue::{Catalogue, fill};
use crate::diagnostic::{Place, Problem, Problems, suggestion};
use crate::format::expression::{DatabaseField, EndpointField, Expression, Part, Template};
use crate::format::service::{DatabaseUse, Port, ServiceFile};
use crate::graph::primary;

/// A variable's value before hosts, ports and passwords are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Value {
    /// Texts and holes, in order.
    pub pieces: Vec<Piece>,
}

/// One piece of a [`Value`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text as it is.
    Text(String),
    /// Something that each runtime knows.
    Hole(Hole),
}

/// What each runtime knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hole {
    /// The host at which a service is reached.
    ServiceHost(String),
    /// The port (by the service's name and the port's name) at which a service is reached.
    ServicePort(String, String),
    /// The port on which the service itself listens, by the port's name.
    OwnPort(String),
    /// The host of a logical database, by its address.
    DatabaseHost(String),
    /// The port of a logical database.
    DatabasePort(String),
    /// The user of a logical database.
    DatabaseUsername(String),
    /// The user's password: whatever holds it is secret.
    DatabasePassword(String),
    /// The name of a logical database inside its server.
    DatabaseName(String),
    /// The service's own short id.
    Version,
}

impl Value {
    /// A value without holes.
    pub fn text(text: impl Into<String>) -> Self {
        Self { pieces: vec![Piece::Text(text.into())] }
    }

    fn hole(hole: Hole) -> Self {
        Self { pieces: vec![Piece::Hole(hole)] }
    }

    /// The value with its holes filled.
    ///
    /// # Errors
    /// The first error of `fill`.
    pub fn resolve<E>(&self, mut fill: impl FnMut(&Hole) -> Result<String, E>) -> Result<String, E> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(words) => text.push_str(words),
                Piece::Hole(hole) => text.push_str(&fill(hole)?),
            }
        }
        Ok(text)
    }

    /// Whether the filled value must not be shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.holes().any(|hole| matches!(hole, Hole::DatabasePassword(_)))
    }

    /// The holes, in order.
    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Hole(hole) => Some(hole),
            Piece::Text(_) => None,
        })
    }

    /// The value as identities see it: holes by what they ask for, never by what fills them.
    #[must_use]
    pub fn placeholder(&self) -> Vec<String> {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => format!("text:{text}"),
                Piece::Hole(hole) => format!("hole:{hole:?}"),
            })
            .collect()
    }

    fn then(mut self, other: Self) -> Self {
        self.pieces.extend(other.pieces);
        self
    }
}

/// `order-db` as a variable's first part: `ORDER_DB`.
#[must_use]
pub fn variable_prefix(alias: &str) -> String {
    let upper: String =
        alias.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    if upper.starts_with(|c: char| c.is_ascii_digit()) { format!("_{upper}") } else { upper }
}

type Ports<'a> = BTreeMap<&'a str, &'a [Port]>;

/// The whole environment of a service: own ports, edges, and `env:` laid over them.
pub(crate) fn environment(
    file: &ServiceFile,
    ports: &Ports<'_>,
    catalogue: &Catalogue,
    problems: &mut Problems,
) -> BTreeMap<String, Value> {
    let mut wired = Wired::default();
    own(file, &mut wired);
    for edge in &file.dependencies {
        if let Some(ports) = ports.get(edge.service.as_str()) {
            service(&edge.service, &variable_prefix(&edge.alias), ports, &edge.place, &mut wired);
        }
    }
    for used in &file.databases {
        database(&file.name, used, &variable_prefix(&used.alias), catalogue, &mut wired);
    }
    families(file, catalogue, &mut wired, problems);
    for (name, places) in &wired.clashes {
        if !file.env.contains_key(name)
            && let [first, second, ..] = places.as_slice()
        {
            problems.add(
                Problem::new("wiring-collision", second.clone(), format!("two edges give the variable `{name}`"))
                    .related(first.clone(), "the other is here")
                    .mend(format!(
                        "name one of them otherwise with `as:`, or say what it is in `env: {{ {name}: ... }}`"
                    )),
            );
        }
    }
    let mut env: BTreeMap<String, Value> = wired.values.into_iter().map(|(name, (value, _))| (name, value)).collect();
    for (name, template) in &file.env {
        env.insert(name.clone(), filled(template, file, ports, catalogue, problems));
    }
    env
}

#[derive(Default)]
struct Wired {
    values: BTreeMap<String, (Value, Option<Place>)>,
    clashes: BTreeMap<String, Vec<Place>>,
}

impl Wired {
    fn set(&mut self, name: String, value: Value, place: Option<&Place>) {
        if let Some((existing, first)) = self.values.get(&name)
            && *existing != value
        {
            let places = self.clashes.entry(name.clone()).or_insert_with(|| first.iter().cloned().collect());
            places.extend(place.cloned());
        }
        self.values.insert(name, (value, place.cloned()));
    }
}

fn own(file: &ServiceFile, wired: &mut Wired) {
    wired.set("OTEL_SERVICE_NAME".to_owned(), Value::text(&file.name), None);
    for port in &file.ports {
        wired.set(format!("PORT_{}", variable_prefix(&port.name)), Value::hole(Hole::OwnPort(port.name.clone())), None);
    }
    if let Some(port) = primary(&file.ports) {
        wired.set("PORT".to_owned(), Value::hole(Hole::OwnPort(port.name.clone())), None);
    }
}

fn service(name: &str, prefix: &str, ports: &[Port], place: &Place, wired: &mut Wired) {
    let main = primary(ports);
    for port in ports {
        let prefixes = [
            main.filter(|main| main.name == port.name).map(|_| prefix.to_owned()),
            main.filter(|main| main.name != port.name).map(|_| format!("{prefix}_{}", variable_prefix(&port.name))),
        ];
        for prefix in prefixes.into_iter().flatten() {
            for (suffix, field) in [
                ("URL", EndpointField::Url),
                ("HOST", EndpointField::Host),
                ("PORT", EndpointField::Port),
                ("ADDR", EndpointField::Addr),
            ] {
                wired.set(format!("{prefix}_{suffix}"), endpoint(name, port, field), Some(place));
            }
        }
    }
}

fn endpoint(service: &str, port: &Port, field: EndpointField) -> Value {
    let host = || Value::hole(Hole::ServiceHost(service.to_owned()));
    let number = || Value::hole(Hole::ServicePort(service.to_owned(), port.name.clone()));
    let addr = || host().then(Value::text(":")).then(number());
    match field {
        EndpointField::Host => host(),
        EndpointField::Port => number(),
        EndpointField::Addr => addr(),
        EndpointField::Url => Value::text(format!("{}://", port.protocol)).then(addr()),
    }
}

fn database(owner: &str, used: &DatabaseUse, prefix: &str, catalogue: &Catalogue, wired: &mut Wired) {
    for (suffix, field) in [
        ("URL", DatabaseField::Url),
        ("HOST", DatabaseField::Host),
        ("PORT", DatabaseField::Port),
        ("ADDR", DatabaseField::Addr),
        ("USERNAME", DatabaseField::Username),
        ("PASSWORD", DatabaseField::Password),
        ("DATABASE", DatabaseField::Database),
    ] {
        wired.set(format!("{prefix}_{suffix}"), store(owner, used, field, catalogue), Some(&used.place));
    }
}

fn store(owner: &str, used: &DatabaseUse, field: DatabaseField, catalogue: &Catalogue) -> Value {
    let address = format!("{owner}/{}", used.alias);
    let hole = |make: fn(String) -> Hole| Value::hole(make(address.clone()));
    match field {
        DatabaseField::Host => hole(Hole::DatabaseHost),
        DatabaseField::Port => hole(Hole::DatabasePort),
        DatabaseField::Username => hole(Hole::DatabaseUsername),
        DatabaseField::Password => hole(Hole::DatabasePassword),
        DatabaseField::Database => hole(Hole::DatabaseName),
        DatabaseField::Addr => hole(Hole::DatabaseHost).then(Value::text(":")).then(hole(Hole::DatabasePort)),
        DatabaseField::Url => {
            let Some(kind) = catalogue.databases.get(&used.kind) else { return Value::default() };
            let mut value = Value::default();
            let mut rest = kind.url.as_str();
            while let Some((before, after)) = rest.split_once('{') {
                let (name, after) = after.split_once('}').unwrap_or((after, ""));
                value = value.then(Value::text(before)).then(match name {
                    "host" => hole(Hole::DatabaseHost),
                    "port" => hole(Hole::DatabasePort),
                    "username" => hole(Hole::DatabaseUsername),
                    "password" => hole(Hole::DatabasePassword),
                    _ => hole(Hole::DatabaseName),
                });
                rest = after;
            }
            let query: Vec<String> =
                used.params.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
            let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
            value = value.then(Value::text(format!("{rest}{query}")));
            value.pieces.retain(|piece| *piece != Piece::Text(String::new()));
            value
        }
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// The 12-factor names: one database of a family has it; of several, the one that says `primary: true`.
fn families(file: &ServiceFile, catalogue: &Catalogue, wired: &mut Wired, problems: &mut Problems) {
    let mut families: BTreeMap<&str, Vec<&DatabaseUse>> = BTreeMap::new();
    for used in &file.databases {
        if let Some(kind) = catalogue.databases.get(&used.kind) {
            families.entry(&kind.family).or_default().push(used);
        }
    }
    for (family, members) in families {
        let marked: Vec<_> = members.iter().filter(|used| used.primary).collect();
        let chosen = match (members.as_slice(), marked.as_slice()) {
            ([only], _) => *only,
            (_, [one]) => **one,
            (several, marked) => {
                let variable = format!("{family}_URL");
                if !file.env.contains_key(&variable) {
                    let mut problem = Problem::new(
                        "no-primary-database",
                        several[0].place.clone(),
                        format!(
                            "{} databases could be `{variable}`",
                            if marked.is_empty() { several.len() } else { marked.len() }
                        ),
                    )
                    .mend("write `primary: true` on the one that is meant");
                    for other in &several[1..] {
                        problem = problem.related(other.place.clone(), "or this one");
                    }
                    problems.add(problem);
                }
                continue;
            }
        };
        let name = format!("{family}_URL");
        let value = store(&file.name, chosen, DatabaseField::Url, catalogue);
        wired.set(name, value, Some(&chosen.place));
    }
}

fn filled(
    template: &Template,
    file: &ServiceFile,
    ports: &Ports<'_>,
    catalogue: &Catalogue,
    problems: &mut Problems,
) -> Value {
    let mut pieces = Vec::new();
    for part in &template.parts {
        match part {
            Part::Text(text) => pieces.push(Piece::Text(text.clone())),
            Part::Hole(expression) => match expand(expression, file, ports, catalogue) {
                Ok(value) => pieces.extend(value.pieces),
                Err((message, mend)) => {
                    let problem = Problem::new("expression", template.place.clone(), message);
                    problems.add(match mend {
                        Some(mend) => problem.mend(mend),
                        None => problem,
                    });
                }
            },
        }
    }
    Value { pieces }
}

fn expand(
    expression: &Expression,
    file: &ServiceFile,
    ports: &Ports<'_>,
    catalogue: &Catalogue,
) -> Result<Value, (String, Option<String>)> {
    let port_of = |of: &[Port], name: Option<&String>, whose: &str| match name {
        None => primary(of).cloned().ok_or_else(|| (format!("{whose} has no primary port"), None)),
        Some(name) => of.iter().find(|port| port.name == *name).cloned().ok_or_else(|| {
            let known: Vec<_> = of.iter().map(|port| port.name.as_str()).collect();
            (format!("{whose} has no port `{}`", name.escape_debug()), Some(format!("its ports: {}", known.join(", "))))
        }),
    };
    match expression {
        Expression::Version => Ok(Value::hole(Hole::Version)),
        Expression::Own { port, field } => {
            let port = port_of(&file.ports, port.as_ref(), "this service")?;
            Ok(endpoint(&file.name, &port, *field))
        }
        Expression::Service { alias, port, field } => {
            let Some(edge) = file.dependencies.iter().find(|edge| edge.alias == *alias) else {
                let known = file.dependencies.iter().map(|edge| edge.alias.as_str());
                let mend = match suggestion(alias, known) {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => format!("add `{alias}` to `dependencies`"),
                };
                return Err((format!("this service depends on nothing called `{}`", alias.escape_debug()), Some(mend)));
            };
            // An unknown service is a problem of its own, noted where the edge is written.
            let Some(ports) = ports.get(edge.service.as_str()) else { return Ok(Value::default()) };
            let port = port_of(ports, port.as_ref(), &format!("`{}`", edge.service))?;
            Ok(endpoint(&edge.service, &port, *field))
        }
        Expression::Database { alias, field } => {
            let Some(used) = file.databases.iter().find(|used| used.alias == *alias) else {
                let known = file.databases.iter().map(|used| used.alias.as_str());
                let mend = suggestion(alias, known).map(|close| format!("did you mean `{close}`?"));
                return Err((format!("this service has no database `{}`", alias.escape_debug()), mend));
            };
            Ok(store(&file.name, used, *field, catalogue))
        }
    }
}

/// Texts of the catalogue for one logical database: `{host}`, `{username}` and so on.
#[must_use]
pub fn fill_database(text: &str, values: &BTreeMap<&str, String>) -> String {
    let pairs: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fill(text, &pairs)
}
