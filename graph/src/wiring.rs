//! What a service finds in its environment. One function for both programs: the same names and shapes on a
//! laptop and on a cluster, only hosts, ports and passwords differ.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalogue::{Catalogue, DatabaseKind};
use crate::diagnostic::{Place, Problem, Problems, suggestion};
use crate::format::expression::{DatabaseField, EndpointField, Expression, Part, Template};
use crate::format::service::{DatabaseSource, DatabaseUse, Dependency, Port, Process, ServiceFile, Store};

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
    /// All hosts and ports of a logical database's servers.
    DatabaseBrokers(String),
    /// A secret of the service's own, by its name: whatever holds it is secret.
    Secret(String),
    /// Where the world reaches a service.
    PublicUrl(String),
    /// Where a volume of the service's own lies, by its name.
    VolumePath(String),
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
        self.holes().any(|hole| matches!(hole, Hole::DatabasePassword(_) | Hole::Secret(_)))
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
                Piece::Hole(hole) => hole.placeholder(),
            })
            .collect()
    }

    fn then(mut self, other: Self) -> Self {
        self.extend(other);
        self
    }

    /// Adds pieces. Texts beside each other become one: equal values have equal pieces.
    fn extend(&mut self, other: Self) {
        for piece in other.pieces {
            match (self.pieces.last_mut(), piece) {
                (_, Piece::Text(more)) if more.is_empty() => {}
                (Some(Piece::Text(text)), Piece::Text(more)) => text.push_str(&more),
                (_, piece) => self.pieces.push(piece),
            }
        }
    }
}

impl Hole {
    /// The service whose address it asks for.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::ServiceHost(name) | Self::ServicePort(name, _) | Self::PublicUrl(name) => Some(name),
            _ => None,
        }
    }

    /// What it asks for, in words that are part of identities: a renamed variant must not change them.
    fn placeholder(&self) -> String {
        match self {
            Self::ServiceHost(service) => format!("service-host:{service}"),
            Self::ServicePort(service, port) => format!("service-port:{service}:{port}"),
            Self::OwnPort(port) => format!("own-port:{port}"),
            Self::DatabaseHost(address) => format!("database-host:{address}"),
            Self::DatabasePort(address) => format!("database-port:{address}"),
            Self::DatabaseUsername(address) => format!("database-username:{address}"),
            Self::DatabasePassword(address) => format!("database-password:{address}"),
            Self::DatabaseName(address) => format!("database-name:{address}"),
            Self::DatabaseBrokers(address) => format!("database-brokers:{address}"),
            Self::Secret(name) => format!("secret:{name}"),
            Self::PublicUrl(service) => format!("public-url:{service}"),
            Self::VolumePath(name) => format!("volume-path:{name}"),
            Self::Version => "version".to_owned(),
        }
    }
}

/// `order-db` as a variable's first part: `ORDER_DB`.
#[must_use]
pub fn variable_prefix(alias: &str) -> String {
    let upper = upper(alias);
    if upper.starts_with(|c: char| c.is_ascii_digit()) { format!("_{upper}") } else { upper }
}

/// A name as a variable's further part, where a digit may lead.
fn upper(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// The files of all services, by name.
pub(crate) type Files<'a> = BTreeMap<&'a str, &'a ServiceFile>;

/// What wiring looks names up in.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) files: &'a Files<'a>,
    pub(crate) stores: &'a BTreeMap<String, Store>,
    pub(crate) catalogue: &'a Catalogue,
}

impl<'a> Scene<'a> {
    /// What a database that a service uses is declared as, whoever declares it.
    pub(crate) fn declared(&self, used: &'a DatabaseUse) -> Option<&'a Store> {
        match &used.source {
            DatabaseSource::Own(store) => Some(store),
            DatabaseSource::From(address) => match address.split_once('/') {
                None => self.stores.get(address),
                Some((owner, alias)) => {
                    let mut others = self.files.get(owner)?.databases.iter();
                    others.find(|other| other.alias == alias && other.own().is_some())?.own()
                }
            },
        }
    }

    fn kind(&self, used: &'a DatabaseUse) -> Option<&'a DatabaseKind> {
        self.catalogue.databases.get(&self.declared(used)?.kind)
    }
}

/// The whole environment of a service, or of a further process or job of it: own ports, edges, secrets and volumes, and
/// `env:` laid over them.
pub(crate) fn environment(
    file: &ServiceFile,
    part: Option<&Process>,
    scene: &Scene<'_>,
    problems: &mut Problems,
) -> BTreeMap<String, Value> {
    let mut wired = Wired::default();
    own(file, part, &mut wired);
    // A second edge of the same name is a problem already, and its variables are no others.
    let mut aliases = BTreeSet::new();
    for edge in file.dependencies.iter().filter(|edge| aliases.insert(&edge.alias)) {
        if let Some(target) = scene.files.get(edge.service.as_str()) {
            service(&edge.service, &variable_prefix(&edge.alias), &target.ports, &edge.place, &mut wired);
        }
    }
    let mut aliases = BTreeSet::new();
    for used in file.databases.iter().filter(|used| aliases.insert(&used.alias)) {
        if let Some(kind) = scene.kind(used) {
            let (prefix, address) = (variable_prefix(&used.alias), used.address(&file.name));
            for (part, field) in database_fields(kind) {
                let value = store(&address, &used.params, field, kind);
                wired.set(format!("{prefix}_{}", upper(part)), value, &used.place);
            }
        }
    }
    families(file, scene, &mut wired, problems);
    for secret in &file.secrets {
        wired.set(secret.name.clone(), Value::hole(Hole::Secret(secret.name.clone())), &secret.place);
    }
    refuse_clashes(file, &wired, problems);
    let mut env: BTreeMap<String, Value> = wired.values.into_iter().map(|(name, (value, _))| (name, value)).collect();
    let further = part.map(|part| &part.env);
    for (name, template) in file.env.iter().chain(further.into_iter().flatten()) {
        env.insert(name.clone(), filled(template, file, scene, problems));
    }
    for (name, place) in file.passthrough.iter().filter(|(name, _)| env.contains_key(name)) {
        problems.add(
            Problem::new("conflict", place.clone(), format!("`{name}` is passed through, and has a value here"))
                .mend("take it out of `passthrough`, or give the other one another name"),
        );
    }
    env
}

#[derive(Default)]
struct Wired {
    values: BTreeMap<String, (Value, Place)>,
    /// Pairs of places that give one variable two values, with the names of these.
    clashes: BTreeMap<[usize; 2], (Place, Place, Vec<String>)>,
}

impl Wired {
    fn set(&mut self, name: String, value: Value, place: &Place) {
        if let Some((existing, first)) = self.values.get(&name)
            && *existing != value
            && first != place
        {
            let pair = [first.bytes.start, place.bytes.start];
            let clash = self.clashes.entry(pair).or_insert_with(|| (first.clone(), place.clone(), Vec::new()));
            clash.2.push(name.clone());
        }
        self.values.insert(name, (value, place.clone()));
    }
}

/// Two values for one variable are a problem, unless `env:` says which is meant.
fn refuse_clashes(file: &ServiceFile, wired: &Wired, problems: &mut Problems) {
    for (first, second, names) in wired.clashes.values() {
        let open: Vec<&str> = names.iter().map(String::as_str).filter(|name| !file.env.contains_key(*name)).collect();
        let (message, example) = match open.as_slice() {
            [] => continue,
            [one] => (format!("the variable `{one}` is given twice"), one),
            [one, ..] => (format!("the variables {} are given twice", ticked(&open)), one),
        };
        problems.add(
            Problem::new("wiring-collision", second.clone(), message)
                .label("by this")
                .related(first.clone(), "and by this")
                .mend(format!(
                    "name one of them otherwise with `as:`, or say what is meant in `env: {{ {example}: ... }}`"
                )),
        );
    }
}

fn ticked(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.join(""),
    }
}

fn own(file: &ServiceFile, part: Option<&Process>, wired: &mut Wired) {
    let name = part.map_or_else(|| file.name.clone(), |part| format!("{}.{}", file.name, part.name));
    wired.set("OTEL_SERVICE_NAME".to_owned(), Value::text(name), &file.name_place);
    for (name, volume) in &file.volumes {
        let path = Value::hole(Hole::VolumePath(name.clone()));
        wired.set(format!("VOLUME_{}", upper(name)), path, &volume.place);
    }
    // Nobody calls a further process or a job: the ports are the service's.
    if part.is_some() {
        return;
    }
    for port in &file.ports {
        wired.set(format!("PORT_{}", upper(&port.name)), Value::hole(Hole::OwnPort(port.name.clone())), &port.place);
    }
    if let Some(port) = Port::primary(&file.ports) {
        wired.set("PORT".to_owned(), Value::hole(Hole::OwnPort(port.name.clone())), &port.place);
    }
}

fn service(name: &str, prefix: &str, ports: &[Port], place: &Place, wired: &mut Wired) {
    let main = Port::primary(ports);
    for port in ports {
        let prefixes = [
            main.filter(|main| main.name == port.name).map(|_| prefix.to_owned()),
            main.filter(|main| main.name != port.name).map(|_| format!("{prefix}_{}", upper(&port.name))),
        ];
        for prefix in prefixes.into_iter().flatten() {
            for (suffix, field) in [
                ("URL", EndpointField::Url),
                ("HOST", EndpointField::Host),
                ("PORT", EndpointField::Port),
                ("ADDR", EndpointField::Addr),
            ] {
                wired.set(format!("{prefix}_{suffix}"), endpoint(name, port, field), place);
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

/// The parts that a kind's databases give, by the names that variables and families know them by.
fn database_fields(kind: &DatabaseKind) -> impl Iterator<Item = (&'static str, DatabaseField)> {
    let all = [
        ("url", DatabaseField::Url),
        ("host", DatabaseField::Host),
        ("port", DatabaseField::Port),
        ("addr", DatabaseField::Addr),
        ("username", DatabaseField::Username),
        ("password", DatabaseField::Password),
        ("database", DatabaseField::Database),
        ("brokers", DatabaseField::Brokers),
    ];
    all.into_iter().filter(|(name, field)| match field {
        DatabaseField::Username | DatabaseField::Password | DatabaseField::Database => kind.gives(name),
        DatabaseField::Brokers => kind.brokers.is_some(),
        _ => true,
    })
}

fn store(address: &str, params: &BTreeMap<String, String>, field: DatabaseField, kind: &DatabaseKind) -> Value {
    let hole = |make: fn(String) -> Hole| Value::hole(make(address.to_owned()));
    match field {
        DatabaseField::Host => hole(Hole::DatabaseHost),
        DatabaseField::Port => hole(Hole::DatabasePort),
        DatabaseField::Username => hole(Hole::DatabaseUsername),
        DatabaseField::Password => hole(Hole::DatabasePassword),
        DatabaseField::Database => hole(Hole::DatabaseName),
        DatabaseField::Brokers => hole(Hole::DatabaseBrokers),
        DatabaseField::Addr => hole(Hole::DatabaseHost).then(Value::text(":")).then(hole(Hole::DatabasePort)),
        DatabaseField::Url => {
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
                params.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
            let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
            value.then(Value::text(format!("{rest}{query}")))
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

/// The 12-factor names: one of a service's own databases of a family has them; of several, the one that says
/// `primary: true`.
fn families(file: &ServiceFile, scene: &Scene<'_>, wired: &mut Wired, problems: &mut Problems) {
    let mut families: BTreeMap<&BTreeMap<String, String>, Vec<(&DatabaseUse, &DatabaseKind)>> = BTreeMap::new();
    for used in file.databases.iter().filter(|used| used.own().is_some()) {
        if let Some(kind) = scene.kind(used) {
            families.entry(&kind.family).or_default().push((used, kind));
        }
    }
    for (family, members) in families {
        // The one that is primary may be among those that could not be read.
        if file.is_broken("databases") && members.len() > 1 {
            continue;
        }
        let marked: Vec<_> = members.iter().filter(|(used, _)| used.primary).collect();
        let (chosen, kind) = match (members.as_slice(), marked.as_slice()) {
            ([only], _) => *only,
            (_, [one]) => **one,
            (several, marked) => {
                if let Some(variable) = family.values().find(|variable| !file.env.contains_key(*variable)) {
                    let uses = |members: &[(&'_ DatabaseUse, &'_ DatabaseKind)]| {
                        members.iter().map(|(used, _)| used.place.clone()).collect::<Vec<_>>()
                    };
                    let marked: Vec<_> = marked.iter().map(|member| **member).collect();
                    problems.add(no_primary(variable, &uses(several), &uses(&marked)));
                }
                continue;
            }
        };
        let address = chosen.address(&file.name);
        for (part, field) in database_fields(kind) {
            if let Some(variable) = family.get(part) {
                wired.set(variable.clone(), store(&address, &chosen.params, field, kind), &chosen.place);
            }
        }
    }
}

fn no_primary(variable: &str, several: &[Place], marked: &[Place]) -> Problem {
    let (places, label, others, mend) = if marked.is_empty() {
        (several, "this one", "or this one", "write `primary: true` on the one that is meant")
    } else {
        (marked, "this one is primary", "and this one", "keep `primary: true` on the one that is meant")
    };
    let first = places.first().cloned().unwrap_or_else(|| Place::start_of(""));
    let message = format!("{} databases could be `{variable}`", places.len());
    let problem = Problem::new("no-primary-database", first, message).label(label);
    places.iter().skip(1).fold(problem, |problem, place| problem.related(place.clone(), others)).mend(mend)
}

/// A text with its expressions as holes.
pub(crate) fn filled(template: &Template, file: &ServiceFile, scene: &Scene<'_>, problems: &mut Problems) -> Value {
    let mut filled = Value::default();
    let mut places = template.hole_places.iter();
    for part in &template.parts {
        match part {
            Part::Text(text) => filled.extend(Value::text(text)),
            Part::Hole(expression) => {
                let place = places.next().unwrap_or(&template.place);
                match expand(expression, file, scene) {
                    Ok(value) => filled.extend(value),
                    // What it lacks may stand where another problem was noted.
                    Err(lack) if lack.is_excused => {}
                    Err(Lack { message, mend, .. }) => {
                        let problem = Problem::new("expression", place.clone(), message);
                        problems.add(match mend {
                            Some(mend) => problem.mend(mend),
                            None => problem,
                        });
                    }
                }
            }
        }
    }
    filled
}

/// Why an expression has no value.
struct Lack {
    message: String,
    mend: Option<String>,
    /// Whether the field that lacks it has problems of its own.
    is_excused: bool,
}

fn expand(expression: &Expression, file: &ServiceFile, scene: &Scene<'_>) -> Result<Value, Lack> {
    let port_of = |of: &ServiceFile, name: Option<&String>, whose: &str| {
        let found = match name {
            None => Port::primary(&of.ports),
            Some(name) => of.ports.iter().find(|port| port.name == *name),
        };
        found.cloned().ok_or_else(|| {
            let known: Vec<_> = of.ports.iter().map(|port| port.name.as_str()).collect();
            let (message, mend) = match name {
                _ if known.is_empty() => (format!("{whose} has no port"), Some(format!("add `ports:` to {whose}"))),
                None => (format!("{whose} has no primary port"), None),
                Some(name) => (
                    format!("{whose} has no port `{}`", name.escape_debug()),
                    Some(format!("its ports: {}", known.join(", "))),
                ),
            };
            // That none of several is primary is noted where they are written.
            let is_excused = of.is_broken("ports") || name.is_none() && known.len() > 1;
            Lack { message, mend, is_excused }
        })
    };
    match expression {
        Expression::Version => Ok(Value::hole(Hole::Version)),
        Expression::Own { port, field } => {
            let port = port_of(file, port.as_ref(), "this service")?;
            Ok(endpoint(&file.name, &port, *field))
        }
        Expression::PublicUrl { alias } => {
            let (name, target) = match alias {
                None => (&file.name, Some(file)),
                Some(alias) => {
                    let edge = edge(alias, file)?;
                    (&edge.service, scene.files.get(edge.service.as_str()).copied())
                }
            };
            // An unknown service is a problem of its own, noted where the edge is written.
            let Some(target) = target else { return Ok(Value::default()) };
            if target.public.is_none() {
                return Err(Lack {
                    message: format!("`{name}` is no entry into the cluster"),
                    mend: Some(format!("add `public: {{ path: / }}` to `{name}`, or write `url`")),
                    is_excused: target.is_broken("public"),
                });
            }
            Ok(Value::hole(Hole::PublicUrl(name.clone())))
        }
        Expression::Secret(name) => {
            if file.secrets.iter().any(|secret| secret.name == *name) {
                return Ok(Value::hole(Hole::Secret(name.clone())));
            }
            let mend = match suggestion(name, file.secrets.iter().map(|secret| secret.name.as_str())) {
                Some(close) => format!("did you mean `{close}`?"),
                None => format!("add `{}` to `secrets`", name.escape_debug()),
            };
            Err(Lack {
                message: format!("this service has no secret `{}`", name.escape_debug()),
                mend: Some(mend),
                is_excused: file.is_broken("secrets"),
            })
        }
        Expression::Service { alias, port, field } => {
            let edge = edge(alias, file)?;
            // An unknown service is a problem of its own, noted where the edge is written.
            let Some(target) = scene.files.get(edge.service.as_str()) else { return Ok(Value::default()) };
            let port = port_of(target, port.as_ref(), &format!("`{}`", edge.service))?;
            Ok(endpoint(&edge.service, &port, *field))
        }
        Expression::Database { alias, field } => {
            let Some(used) = file.databases.iter().find(|used| used.alias == *alias) else {
                let known: Vec<&str> = file.databases.iter().map(|used| used.alias.as_str()).collect();
                let mend = match suggestion(alias, known.iter().copied()) {
                    Some(close) => format!("did you mean `{close}`?"),
                    None if known.is_empty() => "add it to `databases`".to_owned(),
                    None => format!("its databases: {}", known.join(", ")),
                };
                return Err(Lack {
                    message: format!("this service has no database `{}`", alias.escape_debug()),
                    mend: Some(mend),
                    is_excused: file.is_broken("databases"),
                });
            };
            // An unknown database or kind is a problem of its own.
            let Some(kind) = scene.kind(used) else { return Ok(Value::default()) };
            let known: Vec<_> = database_fields(kind).collect();
            if !known.iter().any(|(_, known)| known == field) {
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                return Err(Lack {
                    message: format!("a database of the kind {} does not have this", kind.kind),
                    mend: Some(format!("it has {}", names.join(", "))),
                    is_excused: false,
                });
            }
            Ok(store(&used.address(&file.name), &used.params, *field, kind))
        }
    }
}

/// The dependency that a service knows by a name.
fn edge<'f>(alias: &str, file: &'f ServiceFile) -> Result<&'f Dependency, Lack> {
    file.dependencies.iter().find(|edge| edge.alias == alias).ok_or_else(|| {
        let known = file.dependencies.iter().map(|edge| edge.alias.as_str());
        let mend = match suggestion(alias, known) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("add `{}` to `dependencies`", alias.escape_debug()),
        };
        Lack {
            message: format!("this service depends on nothing called `{}`", alias.escape_debug()),
            mend: Some(mend),
            is_excused: file.is_broken("dependencies"),
        }
    })
}
