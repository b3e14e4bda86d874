//! JSON Schemas of the files, for editors and other tools.
//!
//! They say what the decoder says, no more and no less, as far as JSON Schema can: the tests hold each field, type and
//! bound of one against the other.

mod catalogue;
mod lock;
mod repository;
mod service;
mod types;

use serde_json::{Map, Value, json};

/// The schema of `service.yaml`.
#[must_use]
pub fn service_schema() -> Value {
    let service = service::service();
    let over = types::relaxed(&service, &["name", "clusters"]);
    let clusters = types::named(types::or_null(over), "A cluster's name; `local` is ssi's.");
    let clusters = types::described(clusters, service::CLUSTERS);
    whole("service", "service.yaml", types::with_property(service, "clusters", clusters))
}

/// The schema of `clustergraph.yaml`.
#[must_use]
pub fn repository_schema() -> Value {
    whole("clustergraph", "clustergraph.yaml", types::or_null(repository::repository()))
}

/// The schema of `clustergraph.lock`.
#[must_use]
pub fn lock_schema() -> Value {
    whole("lock", "clustergraph.lock", lock::lock())
}

fn whole(name: &str, title: &str, object: Value) -> Value {
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("$id".to_owned(), json!(format!("https://clustergraph.dev/schema/{name}.json")));
    if let Value::Object(fields) = object {
        schema.extend(fields);
    }
    schema.insert("title".to_owned(), json!(title));
    Value::Object(schema)
}

#[cfg(test)]
mod tests;
