//! The schemas and the decoder say the same: each field, and what becomes of every value that is changed, left out or
//! put in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use super::{lock_schema, repository_schema, service_schema};
use crate::catalogue::Catalogue;
use crate::diagnostic::{Problem, Problems};
use crate::format::decode::record;
use crate::format::lock::LockFile;
use crate::format::repository::RepositoryFile;
use crate::format::service::ServiceFile;
use crate::format::yaml;

/// A service.yaml with every field.
fn service() -> Value {
    json!({
        "name": "order", "stack": "python",
        "dependencies": ["catalog", { "service": "pay", "as": "p", "wait": "none", "optional": true }],
        "databases": [
            "redis",
            {
                "kind": "postgres", "version": 16, "as": "orders", "primary": true, "params": { "pool": 5 },
                "settings": { "a": "b" }, "extensions": ["x"], "topics": ["t"], "image": "i", "isolation": "shared",
                "migrate": { "run": ["m"], "schema": "migrations", "compatible": "7" }, "seed": { "run": ["s"] },
                "mask": { "run": ["m"] },
            },
            { "kind": "mariadb", "as": "open", "mask": "none" },
            { "from": "catalog/items", "as": "items", "params": { "a": "b" } },
        ],
        "ports": { "http": 80, "grpc": { "port": 90, "protocol": "grpc", "primary": true } },
        "health": {
            "http": "/", "port": "http", "headers": { "A": "b" }, "timeout": "1s", "start_timeout": "9s",
            "liveness": { "tcp": true },
        },
        "env": { "A": "b", "N": 5, "Y": true }, "passthrough": ["X"],
        "secrets": ["KEY", { "name": "OTHER", "dev": "x", "optional": true }],
        "run": ["./run", 5], "setup": [["a"], ["b", "c"]],
        "build": { "context": "order", "dockerfile": "Dockerfile", "target": "prod", "args": { "A": "b" }, "secrets": ["TOKEN"] },
        "include": ["libs"], "ignore": ["*.md"], "files": { "/etc/x": "x.conf" }, "volumes": { "data": "/data" },
        "task": false,
        "processes": { "worker": {
            "run": ["w"], "env": { "A": "b" }, "health": { "log": "ready" }, "scale": { "replicas": 2 },
            "resources": { "cpu": "250m", "memory": "256Mi" }, "restart": "always", "stop": { "signal": "INT" },
        } },
        "jobs": [{
            "name": "nightly", "schedule": "0 3 * * *", "run": ["j"], "env": { "A": "b" }, "resources": { "cpu": 1 },
            "restart": "on-failure",
        }],
        "watch": { "mode": "self" }, "start": "manual", "singleton": false, "borrow": "never",
        "egress": ["api.example:443"], "security": "baseline", "restart": "never",
        "stop": { "signal": "TERM", "grace": "10s" }, "public": { "path": "/" },
        "scale": { "replicas": 2, "min": 1, "max": 7, "cpu": 7 }, "resources": { "cpu": "1", "memory": 1000 },
        "test": { "run": ["t"], "list": ["l"], "target": "test" }, "smoke": { "run": ["s"], "every": "1m" },
        "labels": { "team": "a" },
        "clusters": { "production": { "scale": { "replicas": 6 }, "env": { "A": null } }, "local": null },
    })
}

/// A clustergraph.yaml with every field.
fn repository() -> Value {
    json!({
        "services": [".", "services/*"],
        "stacks": {
            "one": {
                "detect": "mix.exs", "rank": 2, "tools": { "elixir": "1.17" }, "image": "elixir", "base": "debian",
                "workspace": ["x"], "setup": { "run": [["a"]], "lockfiles": ["mix.lock"], "into": "deps" },
                "env": { "A": "b" }, "run": ["r"], "recipe": "FROM {image}",
            },
            "two": { "detect": ["x"], "image": "i", "setup": ["a"], "lockfiles": ["l"] },
            "three": { "dockerfile": "Dockerfile" },
        },
        "kinds": { "events": {
            "image": {
                "name": "e:{version}", "tags": { "1": "1.0" }, "home": "/h", "env": { "A": "b" }, "args": ["a"],
                "user": 999, "data": "/data", "loopback": 9093,
            },
            "port": 9092, "url": "e://{username}:{password}@{host}:{port}/{database}", "brokers": "{host}:{port}",
            "numbered": 16, "versions": ["1"], "default": "1", "family": { "url": "E_URL" }, "admin": "a",
            "max_name": 63, "separator": "_",
            "native": {
                "version": ["v"], "marker": "m", "init": ["i"], "run": ["r"], "folders": ["f"],
                "home": { "variable": "E_HOME", "into": "libs", "maven": { "1": { "a:b:1": "0".repeat(64) } } },
                "package": { "apt": "e" }, "account": "e", "env": { "A": "b" },
            },
            "stop": "TERM",
            "settings": { "args": ["a"], "image": ["a"], "env": { "A": "b" }, "replace": { "a": "b" }, "native": ["n"] },
            "client_env": { "A": "b" }, "ready": ["r"], "handshake": { "send": "a", "skip": 1, "expect": "b" },
            "create": { "run": ["c"], "input": "i" }, "extension": { "run": ["c"], "input": "i" },
            "topic": { "run": ["c"], "input": "i" }, "drop": { "run": ["d"], "input": "i" }, "lock": { "run": ["l"], "input": "i" }, "dump": ["d"],
            "restore": ["r"], "snapshot": true, "forget": { "run": ["f"], "input": "i" }, "tested": { "native": ["1"] },
        }, "bus": { "image": "b", "port": 1, "url": "b://{host}:{port}", "ready": ["r"], "shared": true } },
        "databases": { "shared": {
            "kind": "postgres", "version": "16", "settings": { "a": "b" }, "extensions": ["x"], "topics": ["t"],
            "image": "i", "isolation": "dedicated",
        } },
        "images": { "registry": "r", "mirror": "m" },
        "suites": { "core": ["order"] },
        "clusters": {
            "production": {
                "context": "c", "namespace": "n", "strategy": "atomic", "domain": "shop.example", "keep": 5,
                "warm": "30m", "lends": false, "ingress": { "class": "nginx", "namespace": "i", "tls": "t" }, "egress": "allow",
                "pull_grace": "3m", "databases": { "a/b": { "secret": "s" }, "c/d": { "clone": "behind-a-gateway" } }, "size": { "a/b": "1Gi" }, "ttl": "4h",
                "seed": true, "clone": "behind-a-gateway", "secrets_from": "x",
                "quota": { "cpu": 1, "memory": "8Gi", "storage": "8Gi", "pods": 7 },
                "pool": ["pr-a", "pr-b"],
            },
            "behind-a-gateway": { "domain": "shop.example", "ingress": { "gateway": "g/w" } },
            "pr": null,
        },
    })
}

/// A clustergraph.lock with every field.
fn lock() -> Value {
    json!({
        "scheme": 2, "images": { "postgres:16": format!("sha256:{}", "a".repeat(64)) },
        "stacks": { "python": "b".repeat(64) }, "tools": { "node": "20" },
    })
}

/// What the decoder finds wrong.
fn found(name: &str, document: &Value) -> Vec<Problem> {
    let file: Arc<str> = name.into();
    let text = document.to_string();
    let mut problems = Problems::default();
    match yaml::parse(&file, &text) {
        Err(problem) => problems.add(*problem),
        Ok(yaml) if name == "service.yaml" => {
            ServiceFile::decode(yaml, "local", &mut problems);
        }
        Ok(yaml) if name == "clustergraph.lock" => {
            LockFile::decode(&yaml, &mut problems);
        }
        Ok(yaml) => {
            let mut catalogue = Catalogue::with(None, None, &mut problems);
            RepositoryFile::decode(&yaml, &mut catalogue, &mut problems);
        }
    }
    problems.sorted().into_iter().cloned().collect()
}

/// Every map of a schema: what it is called, and its fields.
fn maps(schema: &Value, found: &mut BTreeMap<String, BTreeSet<String>>) {
    if let (Some(title), Some(properties)) = (schema["title"].as_str(), schema["properties"].as_object()) {
        found.entry(title.to_owned()).or_default().extend(properties.keys().cloned());
    }
    let nested = schema.as_object().into_iter().flatten().map(|(_, value)| value);
    nested.chain(schema.as_array().into_iter().flatten()).for_each(|value| maps(value, found));
}

/// A schema, ready to judge.
struct Judge {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Judge {
    fn new(schema: Value) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("schema.json", schema).unwrap();
        let index = compiler.compile("schema.json", &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
        Self { schemas, index }
    }

    /// What is wrong with a document.
    fn refuses(&self, document: &Value) -> Option<String> {
        self.schemas.validate(document, self.index).err().map(|error| error.to_string())
    }
}

fn documents() -> [(&'static str, Value, Judge); 3] {
    [
        ("service.yaml", service(), Judge::new(service_schema())),
        ("clustergraph.yaml", repository(), Judge::new(repository_schema())),
        ("clustergraph.lock", lock(), Judge::new(lock_schema())),
    ]
}

#[test]
fn every_field_of_the_decoder_is_in_the_schemas_and_the_reverse() {
    let mut schemas = BTreeMap::new();
    maps(&super::service::service(), &mut schemas);
    maps(&super::repository::repository(), &mut schemas);
    maps(&super::lock::lock(), &mut schemas);
    schemas.entry("a service".to_owned()).or_default().insert("clusters".to_owned());
    // The built-in entries are read once, by whoever is first.
    let _ = (Catalogue::built_in(), record::take());
    for (name, document, _) in documents() {
        found(name, &document);
    }
    let mut decoded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (what, fields) in record::take() {
        // `the port `http`` is a port like any other.
        let what = match what.split_once(" `") {
            Some((kind, _)) if kind.starts_with("the ") => kind.to_owned(),
            _ => what,
        };
        decoded.entry(what).or_default().extend(fields.into_iter().map(str::to_owned));
    }
    // Where another's database is used, the decoder knows the fields of one's own to say why they are wrong.
    assert_eq!(decoded, schemas);
}

#[test]
fn what_is_right_is_valid() {
    for (name, document, schema) in documents() {
        assert_eq!(found(name, &document), [], "{name}");
        assert_eq!(schema.refuses(&document), None, "{name}");
    }
}

/// Every place in a document.
fn places(document: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, places: &mut Vec<String>) {
        places.push(at.to_owned());
        let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
        for (key, value) in value.as_object().into_iter().flatten() {
            walk(value, &format!("{at}/{}", escaped(key)), places);
        }
        for (number, value) in value.as_array().into_iter().flatten().enumerate() {
            walk(value, &format!("{at}/{number}"), places);
        }
    }
    let mut places = Vec::new();
    walk(document, "", &mut places);
    places
}

/// The document with each place changed in each of many ways.
fn changed(document: &Value) -> Vec<(String, Value)> {
    let values = [
        json!(null),
        json!(true),
        json!(7),
        json!(-1),
        json!(""),
        json!("x y"),
        json!([]),
        json!([[["a"]]]),
        json!({}),
        json!({ "zzz": 1 }),
    ];
    let mut all = Vec::new();
    for place in places(document) {
        for value in &values {
            let mut changed = document.clone();
            *changed.pointer_mut(&place).unwrap() = value.clone();
            all.push((format!("{place} = {value}"), changed));
        }
        let mut more = document.clone();
        if let Some(fields) = more.pointer_mut(&place).and_then(Value::as_object_mut) {
            fields.insert("zzz".to_owned(), json!(1));
            all.push((format!("{place} with a further field"), more));
        }
        let Some((above, key)) = place.rsplit_once('/') else { continue };
        let mut less = document.clone();
        if let Some(fields) = less.pointer_mut(above).and_then(Value::as_object_mut) {
            fields.remove(&key.replace("~1", "/"));
            all.push((format!("without {place}"), less));
        }
    }
    all
}

/// Problems that a schema can see, by their codes.
const STRUCTURAL: &[&str] =
    &["unknown-field", "wrong-type", "missing-field", "choice", "out-of-range", "wait", "signal", "unknown-value"];

/// Where decoder and schema do not agree on a document that was changed in one place.
fn disagreements(name: &str, document: &Value, schema: &Judge) -> Vec<String> {
    let judge = |(what, document): (String, Value)| {
        let (problems, refused) = (found(name, &document), schema.refuses(&document));
        let structural = problems.iter().find(|problem| STRUCTURAL.contains(&problem.code));
        match (structural, refused) {
            (_, Some(why)) if problems.is_empty() => Some(format!("{what}: only the schema refuses it: {why}")),
            (Some(problem), None) => Some(format!("{what}: only the decoder refuses it: {}", problem.message)),
            _ => None,
        }
    };
    parts(document).iter().flat_map(changed).filter_map(judge).collect()
}

/// The document's fields one by one, each with what every document needs: what is wrong with one field shows in it alone.
fn parts(document: &Value) -> Vec<Value> {
    let fields = document.as_object().unwrap();
    let needed = ["name", "scheme"].iter().find_map(|name| Some(((*name).to_owned(), fields.get(*name)?.clone())));
    let part =
        |(key, value): (&String, &Value)| needed.clone().into_iter().chain([(key.clone(), value.clone())]).collect();
    fields.iter().map(part).collect()
}

#[test]
fn the_schema_of_a_service_refuses_what_the_decoder_refuses_and_nothing_else() {
    let [(name, document, schema), ..] = documents();
    assert_eq!(disagreements(name, &document, &schema), Vec::<String>::new());
}

#[test]
fn the_schema_of_a_repository_refuses_what_the_decoder_refuses_and_nothing_else() {
    let [_, (name, document, schema), _] = documents();
    assert_eq!(disagreements(name, &document, &schema), Vec::<String>::new());
}

#[test]
fn the_schema_of_a_lock_refuses_what_the_decoder_refuses_and_nothing_else() {
    let [.., (name, document, schema)] = documents();
    assert_eq!(disagreements(name, &document, &schema), Vec::<String>::new());
}
