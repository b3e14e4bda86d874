//! What values of the formats look like to JSON Schema.

use serde_json::{Map, Value, json};

/// A map with known fields; `what` is what the decoder calls it.
pub(super) struct Object {
    what: &'static str,
    properties: Map<String, Value>,
    required: Vec<&'static str>,
}

impl Object {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, properties: Map::new(), required: Vec::new() }
    }

    /// A field that may be absent, or null, which is the same.
    pub(super) fn may(mut self, name: &'static str, about: &str, value: Value) -> Self {
        self.properties.insert(name.to_owned(), described(or_null(value), about));
        self
    }

    /// A field that must be there.
    pub(super) fn must(mut self, name: &'static str, about: &str, value: Value) -> Self {
        self.properties.insert(name.to_owned(), described(value, about));
        self.required.push(name);
        self
    }

    pub(super) fn build(self) -> Value {
        json!({
            "title": self.what, "type": "object", "properties": self.properties, "required": self.required,
            "additionalProperties": false,
        })
    }
}

/// A schema with a description.
pub(super) fn described(schema: Value, about: &str) -> Value {
    with_key(schema, "description", json!(about))
}

/// An object's schema with one more field.
pub(super) fn with_property(mut object: Value, name: &str, property: Value) -> Value {
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(name.to_owned(), or_null(property));
    }
    object
}

/// An object's schema in which some fields need others. Null is as good as absent.
pub(super) fn needing(object: Value, pairs: &[(&str, &str)]) -> Value {
    let rules: Vec<Value> = pairs.iter().map(|(one, other)| json!({ "if": said(one), "then": said(other) })).collect();
    with_key(object, "allOf", json!(rules))
}

/// An object's schema in which at least one of some fields is said.
pub(super) fn needing_one(object: Value, names: &[&str]) -> Value {
    let any: Vec<Value> = names.iter().map(|name| said(name)).collect();
    with_key(object, "allOf", json!([{ "anyOf": any }]))
}

/// That a field is there and says something.
fn said(name: &str) -> Value {
    json!({ "required": [name], "properties": { (name): { "not": { "type": "null" } } } })
}

fn with_key(mut schema: Value, key: &str, value: Value) -> Value {
    if let Some(fields) = schema.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
    schema
}

/// The same, or null.
pub(super) fn or_null(mut schema: Value) -> Value {
    let nothing = json!({ "type": "null" });
    let Some(fields) = schema.as_object_mut() else { return schema };
    if let Some(choices) = fields.get_mut("anyOf").and_then(Value::as_array_mut) {
        if !choices.contains(&nothing) {
            choices.push(nothing);
        }
        return schema;
    }
    if let Some(words) =
        fields.get_mut("enum").and_then(Value::as_array_mut).filter(|words| !words.contains(&Value::Null))
    {
        words.push(Value::Null);
    }
    match fields.get_mut("type") {
        Some(Value::Array(kinds)) if kinds.contains(&json!("null")) => {}
        Some(Value::Array(kinds)) => kinds.push(json!("null")),
        Some(kind) if *kind != "null" => *kind = json!([kind, "null"]),
        _ => {}
    }
    schema
}

/// What `clusters:` may lay upon an object: maps merge, so nothing is required and null removes; lists replace.
pub(super) fn relaxed(schema: &Value, without: &[&str]) -> Value {
    let mut schema = schema.clone();
    let Some(fields) = schema.as_object_mut() else { return schema };
    fields.remove("required");
    fields.remove("allOf");
    if let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| !without.contains(&name.as_str()));
        for property in properties.values_mut() {
            *property = or_null(relaxed(property, &[]));
        }
    }
    if let Some(further) = fields.get_mut("additionalProperties").filter(|further| further.is_object()) {
        *further = or_null(relaxed(further, &[]));
    }
    if let Some(choices) = fields.get_mut("anyOf").and_then(Value::as_array_mut) {
        for choice in choices.iter_mut() {
            *choice = relaxed(choice, &[]);
        }
    }
    schema
}

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

pub(super) fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

pub(super) fn boolean() -> Value {
    json!({ "type": "boolean" })
}

pub(super) fn integer(least: i64, greatest: i64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": greatest })
}

/// What counts as a text where a variable or an argument is meant.
pub(super) fn scalar() -> Value {
    json!({ "type": ["string", "integer", "boolean"] })
}

pub(super) fn words(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

pub(super) fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

pub(super) fn any_of(choices: Vec<Value>) -> Value {
    json!({ "anyOf": choices })
}

/// A map of any names.
pub(super) fn named(value: Value, about: &str) -> Value {
    json!({ "type": "object", "additionalProperties": described(value, about) })
}

/// A map of names that must look so.
pub(super) fn named_by(names: &str, value: Value) -> Value {
    json!({ "type": "object", "propertyNames": { "pattern": names }, "additionalProperties": value })
}

/// Texts by any names.
pub(super) fn texts() -> Value {
    json!({ "type": "object", "additionalProperties": scalar() })
}

pub(super) const LABEL: &str = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";
pub(super) const VARIABLE: &str = "^[A-Za-z_][A-Za-z0-9_]*$";

pub(super) fn label() -> Value {
    pattern(LABEL)
}

pub(super) fn variable() -> Value {
    pattern(VARIABLE)
}

/// A program and its arguments.
pub(super) fn command() -> Value {
    json!({ "type": "array", "items": scalar(), "minItems": 1 })
}

/// One command, or several.
pub(super) fn commands() -> Value {
    any_of(vec![command(), list(command())])
}

pub(super) fn duration() -> Value {
    with_key(pattern(r"^\s*([0-9][0-9. ]*[a-zA-Zµ]+\s*)+$|^0$"), "examples", json!(["500ms", "10s", "5m", "4h"]))
}

pub(super) fn processors() -> Value {
    let text = with_key(pattern(r"^([0-9]+m|[0-9]{1,12}(\.[0-9]{1,12})?)$"), "examples", json!(["250m", "2"]));
    any_of(vec![text, json!({ "type": "number", "exclusiveMinimum": 0 })])
}

pub(super) fn bytes() -> Value {
    let text = pattern(r"^[0-9]{1,12}(\.[0-9]{1,12})?(Ki|Mi|Gi|Ti|k|M|G|T)?$");
    let text = with_key(text, "examples", json!(["256Mi", "8Gi"]));
    any_of(vec![text, json!({ "type": "number", "exclusiveMinimum": 0 })])
}

/// A path in the repository.
pub(super) fn path() -> Value {
    pattern(r"^[^/\\]")
}
