//! What a database gives to the services that use it, and who of several has the names of their family.

use std::collections::BTreeMap;

use super::environment::{Scene, Wired};
use super::{Hole, Value};
use crate::catalogue::DatabaseKind;
use crate::diagnostic::{Place, Problem, Problems};
use crate::format::expression::DatabaseField;
use crate::format::service::{DatabaseUse, ServiceFile};

/// The parts that a kind's databases give.
pub(super) fn database_fields(kind: &DatabaseKind) -> impl Iterator<Item = DatabaseField> {
    DatabaseField::ALL.into_iter().filter(|field| match field {
        DatabaseField::Username | DatabaseField::Password | DatabaseField::Database => kind.gives(field.as_str()),
        DatabaseField::Brokers => kind.brokers.is_some(),
        _ => true,
    })
}

pub(super) fn store(
    address: &str,
    params: &BTreeMap<String, String>,
    field: DatabaseField,
    kind: &DatabaseKind,
) -> Value {
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
pub(super) fn families(file: &ServiceFile, scene: &Scene<'_>, wired: &mut Wired, problems: &mut Problems) {
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
        for field in database_fields(kind) {
            if let Some(variable) = family.get(field.as_str()) {
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
