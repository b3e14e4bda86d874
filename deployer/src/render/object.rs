//! One Kubernetes object as a value.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::names;

/// An object as it is sent, without its namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Object {
    /// The whole of it.
    pub(crate) body: Value,
}

impl Object {
    /// An object that carries the hash of what was rendered.
    pub(crate) fn new(body: Value) -> Self {
        let hash = hash_of(&body);
        let mut object = Self { body };
        object.annotate(names::HASH, &hash);
        object
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// Its API version.
    pub(crate) fn api_version(&self) -> &str {
        self.text("/apiVersion")
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Its kind and name, for people.
    pub(crate) fn what(&self) -> String {
        format!("{} {}", self.kind(), self.name())
    }

    /// The hash it carries.
    pub(crate) fn hash(&self) -> &str {
        self.body
            .pointer("/metadata/annotations")
            .and_then(|annotations| annotations.get(names::HASH))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Whether objects of its kind are watched, so that what is not as it should be is seen.
    pub(crate) fn is_watched(&self) -> bool {
        matches!(self.kind(), "Deployment" | "Service" | "Job" | "CronJob")
    }

    /// Sets an annotation, without a change of the hash.
    pub(crate) fn annotate(&mut self, name: &str, value: &str) {
        self.set_in("annotations", name, value);
    }

    /// Sets a label, without a change of the hash. Pods that it makes do not get it.
    pub(crate) fn label(&mut self, name: &str, value: &str) {
        self.set_in("labels", name, value);
    }

    /// Sets an annotation of the pods that it makes, without a change of the hash.
    pub(crate) fn annotate_pods(&mut self, name: &str, value: &str) {
        let annotations = self.body.pointer_mut("/spec/template/metadata/annotations").and_then(Value::as_object_mut);
        if let Some(annotations) = annotations {
            annotations.insert(name.to_owned(), Value::String(value.to_owned()));
        }
    }

    fn set_in(&mut self, map: &str, name: &str, value: &str) {
        if let Some(metadata) = self.body.get_mut("metadata").and_then(Value::as_object_mut) {
            let map = metadata.entry(map).or_insert_with(|| Value::Object(serde_json::Map::new()));
            if let Some(map) = map.as_object_mut() {
                map.insert(name.to_owned(), Value::String(value.to_owned()));
            }
        }
    }

    /// Sets a field of the metadata, such as the resourceVersion that a change is conditional on.
    pub(crate) fn set_metadata(&mut self, name: &str, value: Value) {
        if let Some(metadata) = self.body.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert(name.to_owned(), value);
        }
    }

    /// Sets a field of the spec.
    pub(crate) fn set_spec(&mut self, name: &str, value: Value) {
        if let Some(spec) = self.body.get_mut("spec").and_then(Value::as_object_mut) {
            spec.insert(name.to_owned(), value);
        }
    }

    fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

/// The hash of a value: serde_json writes maps in the order of their keys.
pub(crate) fn hash_of(value: &impl Serialize) -> String {
    // Values of ours have string keys and no failing parts: there is nothing that could not be written.
    let text = serde_json::to_vec(value).unwrap_or_default();
    hex::encode(Sha256::digest(text))
}

/// The hash over the objects of a node that are watched. What stands beside these is in the hash of its Deployment.
pub(crate) fn hash_of_node(objects: &[Object]) -> String {
    hash_of(&objects.iter().filter(|object| object.is_watched()).map(Object::hash).collect::<Vec<_>>())
}
