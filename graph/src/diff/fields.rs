//! Which fields differ. What is compared is what the keys are made from, written down: a field that is new there is found
//! here without being named.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::FieldChange;
use crate::diagnostic::Place;
use crate::format::lock::LockFile;
use crate::graph::{Database, Image, Service, behaviour, source};
use crate::wiring::{Hole, Piece, Value};

/// A field: what counts, and what people are shown of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) counts: String,
    pub(super) shown: Option<String>,
}

/// Fields by their names.
pub(super) type Fields = BTreeMap<String, Field>;

impl Field {
    /// A field that is shown as it is.
    pub(super) fn text(text: impl Into<String>) -> Self {
        let counts = text.into();
        Self { shown: Some(counts.clone()), counts }
    }
}

/// The fields that differ.
pub(super) fn between(before: &Fields, after: &Fields, place: impl Fn(&str) -> Option<Place>) -> Vec<FieldChange> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name).map(|field| &field.counts) != after.get(*name).map(|field| &field.counts))
        .map(|name| FieldChange {
            field: name.clone(),
            before: before.get(name).and_then(|field| field.shown.clone()),
            after: after.get(name).and_then(|field| field.shown.clone()),
            place: after.get(name).and_then(|_| place(name)),
        })
        .collect()
}

/// All that the behaviour key covers, but for the databases: these are nodes of their own.
pub(super) fn of_behaviour(service: &Service, databases: &BTreeMap<String, Database>) -> Fields {
    let mut fields = Fields::new();
    let Ok(Json::Object(written)) = serde_json::to_value(behaviour(service, databases)) else { return fields };
    for (name, value) in written {
        match (name.as_str(), value) {
            ("databases", _) => {}
            ("env", Json::Object(env)) => {
                for (name, written) in env {
                    let shown = service.env.get(&name).map(shown);
                    fields.insert(format!("env.{name}"), Field { counts: written.to_string(), shown });
                }
            }
            // Their contents are texts of many lines.
            ("files", Json::Object(files)) => {
                for (path, written) in files {
                    fields.insert(format!("files.{path}"), Field { counts: written.to_string(), shown: None });
                }
            }
            ("ports", Json::Object(ports)) => {
                for (name, port) in ports {
                    let shown = service.ports.iter().find(|port| port.name == name);
                    let shown = shown.map(|port| format!("{} {}", port.protocol, port.number));
                    fields.insert(format!("ports.{name}"), Field { counts: port.to_string(), shown });
                }
            }
            ("secrets", Json::Object(secrets)) => {
                for (name, optional) in secrets {
                    let shown = if optional == Json::Bool(true) { "optional" } else { "required" };
                    fields.insert(format!("secrets.{name}"), Field::text(shown));
                }
            }
            ("primary", value) => flat("ports.primary".to_owned(), &value, &mut fields),
            (_, value) => flat(name, &value, &mut fields),
        }
    }
    fields
}

/// All that the source key covers, but for the files.
pub(super) fn of_build(service: &Service, lock: &LockFile) -> Fields {
    let mut fields = Fields::new();
    if let Ok(Json::Object(mut written)) = serde_json::to_value(source(service, lock))
        && let Some(build) = written.remove("build")
    {
        let above = match &service.image {
            Image::Ready(_) => "",
            Image::Dockerfile(_) => "build",
            Image::Recipe(_) => "stack",
        };
        flat(above.to_owned(), &build, &mut fields);
    }
    fields
}

/// A JSON value as fields; names of maps become further parts of names.
pub(super) fn flat(name: String, value: &Json, fields: &mut Fields) {
    match value {
        Json::Null => {}
        Json::Object(map) => {
            for (key, value) in map {
                let below = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flat(below, value, fields);
            }
        }
        // What is empty is as good as absent.
        Json::Array(items) if items.is_empty() => {}
        value => {
            let shown = Some(words(value)).filter(|words| !words.contains('\n'));
            fields.insert(name, Field { counts: value.to_string(), shown });
        }
    }
}

fn words(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => {
            let joint = if items.iter().any(Json::is_array) { "; " } else { " " };
            items.iter().map(words).collect::<Vec<_>>().join(joint)
        }
        other => other.to_string(),
    }
}

/// A variable's value for people, nearly as it was written.
fn shown(value: &Value) -> String {
    let pieces = value.pieces.iter().map(|piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Hole(hole) => match hole {
            Hole::ServiceHost(name) => format!("${{services.{name}.host}}"),
            Hole::ServicePort(name, port) => format!("${{services.{name}.ports.{port}.port}}"),
            Hole::OwnPort(port) => format!("${{self.ports.{port}.port}}"),
            Hole::DatabaseHost(address) => format!("${{databases.{address}.host}}"),
            Hole::DatabasePort(address) => format!("${{databases.{address}.port}}"),
            Hole::DatabaseUsername(address) => format!("${{databases.{address}.username}}"),
            Hole::DatabasePassword(address) => format!("${{databases.{address}.password}}"),
            Hole::DatabaseName(address) => format!("${{databases.{address}.database}}"),
            Hole::DatabaseBrokers(address) => format!("${{databases.{address}.brokers}}"),
            Hole::Secret(name) => format!("${{secrets.{name}}}"),
            Hole::PublicUrl(name) => format!("${{services.{name}.public_url}}"),
            Hole::VolumePath(name) => format!("${{volumes.{name}}}"),
            Hole::Version => "${version}".to_owned(),
        },
    });
    pieces.collect()
}

/// Where a field of a service is written.
pub(super) fn place(service: &Service, field: &str) -> Option<Place> {
    let (first, rest) = field.split_once('.').unwrap_or((field, ""));
    match first {
        "env" => service.env_places.get(rest).cloned(),
        "ports" => service.ports.iter().find(|port| port.name == rest).map(|port| port.place.clone()),
        "secrets" => {
            let name = rest.split('.').next().unwrap_or_default();
            service.secrets.iter().find(|secret| secret.name == name).map(|secret| secret.place.clone())
        }
        "files" => service.files.get(rest).map(|file| file.place.clone()),
        "volumes" => service.volumes.get(rest).map(|volume| volume.place.clone()),
        // A part says these of itself.
        "run" | "role" | "health" | "scale" | "resources" | "restart" | "stop" if service.is_part() => {
            Some(service.place.clone())
        }
        "role" => service.places.get("task").cloned(),
        "stack" if !service.places.contains_key("stack") => None,
        first => service.places.get(first).cloned(),
    }
}
