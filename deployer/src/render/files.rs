//! What is put into a service's container: files from the repository, and volumes.

use std::collections::{BTreeMap, BTreeSet};

use clustergraph::graph::Service;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::pod::set;
use super::{Object, Scene, hash_of};
use crate::error::Result;
use crate::names::{self, Component};

/// The size of a volume where `size` of the cluster says nothing: 1 GiB.
const VOLUME: u64 = 1 << 30;

impl Scene<'_> {
    /// The ConfigMap of a service's files, and the Secret of those that hold a secret. Both are named by what they hold, the
    /// Secret by its text without the values: these are filled in when it is made.
    pub(super) fn maps_of_files(&self, service: &Service, workload: &str) -> Result<Vec<Object>> {
        let (mut plain, mut secret) = (serde_json::Map::new(), serde_json::Map::new());
        for (at, file) in service.files.values().enumerate() {
            match self.template(service, &file.content)? {
                Some(template) => secret.insert(key(at), Value::String(template)),
                None => {
                    let text = file.content.resolve(|hole| self.fill(service, hole))?;
                    plain.insert(key(at), Value::String(text))
                }
            };
        }
        let mut labels = self.node_labels(service);
        labels.insert(names::INSTANCE.to_owned(), workload.to_owned());
        let metadata = |data| json!({ "name": names::files(workload, &hash_of(data)), "labels": labels });
        let mut maps = Vec::new();
        if !plain.is_empty() {
            maps.push(Object::new(json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(&plain), "immutable": true, "data": plain,
            })));
        }
        if !secret.is_empty() {
            maps.push(Object::new(json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": metadata(&secret), "type": "Opaque", "stringData": secret,
            })));
        }
        Ok(maps)
    }

    /// A service's claims on volumes. They belong to its data: found again by address, and never taken away with it.
    pub(super) fn claims(&self, service: &Service) -> Vec<Object> {
        let sizes = self.graph.repository.clusters.get(self.cluster).map(|cluster| &cluster.size);
        let claim = |name: &String| {
            let address = format!("{}/{name}", service.owner);
            let size = sizes.and_then(|sizes| sizes.get(&address)).copied().unwrap_or(VOLUME);
            let mut labels = self.labels(Component::Volume);
            labels.insert(names::NAME.to_owned(), service.owner.clone());
            Object::new(json!({
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": { "name": names::claim(&service.owner, name), "labels": labels },
                "spec": {
                    "accessModes": [if self.is_shared(service) { "ReadWriteMany" } else { "ReadWriteOnce" }],
                    "resources": { "requests": { "storage": size.to_string() } },
                },
            }))
        };
        service.volumes.keys().map(claim).collect()
    }

    /// Whether several instances have a service's volumes at once: its own, or those of its processes and jobs.
    fn is_shared(&self, service: &Service) -> bool {
        let family = self.graph.services.values().filter(|other| other.owner == service.owner);
        let running = family.filter(|other| self.running.contains(&other.name));
        running.map(|other| other.scale.max.unwrap_or(other.scale.replicas).max(1)).sum::<u32>() > 1
    }

    /// Where files and volumes lie in the container, and what they are.
    pub(super) fn mounts(&self, service: &Service, workload: &str) -> Result<(Vec<Value>, Vec<Value>)> {
        let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
        for map in self.maps_of_files(service, workload)? {
            let (as_, held, source) = match map.kind() {
                "Secret" => ("secret-files", "stringData", json!({ "secret": { "secretName": map.name() } })),
                _ => ("files", "data", json!({ "configMap": { "name": map.name() } })),
            };
            for (at, path) in service.files.keys().enumerate() {
                if map.body.get(held).is_some_and(|held| held.get(key(at)).is_some()) {
                    mounts.push(json!({ "name": as_, "mountPath": path, "subPath": key(at), "readOnly": true }));
                }
            }
            let mut volume = source;
            set(&mut volume, "name", Some(json!(as_)));
            volumes.push(volume);
        }
        for (at, (name, volume)) in service.volumes.iter().enumerate() {
            let (as_, claim) = (format!("volume-{at}"), names::claim(&service.owner, name));
            mounts.push(json!({ "name": as_, "mountPath": volume.path }));
            volumes.push(json!({ "name": as_, "persistentVolumeClaim": { "claimName": claim } }));
        }
        Ok((mounts, volumes))
    }
}

/// The key of a file: its path is none that Kubernetes takes.
fn key(at: usize) -> String {
    format!("file-{at}")
}

/// The Secrets whose values a Secret of files is made with, each with its keys.
pub(crate) fn made_of(object: &Object) -> BTreeSet<(String, String)> {
    let mut keys = BTreeSet::new();
    for template in templates(object) {
        for piece in pieces(template.1) {
            if let Piece::Key(secret, key) = piece {
                keys.insert((secret.to_owned(), key.to_owned()));
            }
        }
    }
    keys
}

/// A Secret of files with the values in it: only the API server gets to see it. A value that is not there is named.
pub(crate) fn with_values(object: &Object, values: &BTreeMap<(String, String), ByteString>) -> Result<Object, String> {
    let mut data = serde_json::Map::new();
    for (name, template) in templates(object) {
        let mut content = Vec::new();
        for piece in pieces(template) {
            match piece {
                Piece::Text(text) => content.extend_from_slice(text.as_bytes()),
                Piece::Key(secret, key) => match values.get(&(secret.to_owned(), key.to_owned())) {
                    Some(value) => content.extend_from_slice(&value.0),
                    None => return Err(format!("the Secret {secret} has no key {key}")),
                },
            }
        }
        data.insert(name.to_owned(), serde_json::to_value(ByteString(content)).map_err(|error| error.to_string())?);
    }
    let mut filled = object.clone();
    if let Some(body) = filled.body.as_object_mut() {
        body.remove("stringData");
        body.insert("data".to_owned(), Value::Object(data));
    }
    Ok(filled)
}

fn templates(object: &Object) -> impl Iterator<Item = (&str, &str)> {
    let held = object.body.get("stringData").and_then(Value::as_object).into_iter().flatten();
    held.filter_map(|(name, template)| Some((name.as_str(), template.as_str()?)))
}

/// A part of a template.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    Key(&'t str, &'t str),
}

/// The parts of a template, as in a container's environment: `$$` is a dollar, `$(SECRET/KEY)` a value.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        let (text, from) = rest.split_at(at);
        pieces.push(Piece::Text(text));
        let key = from.strip_prefix("$(").and_then(|key| key.split_once(')'));
        match key.and_then(|(key, after)| Some((key.split_once('/')?, after))) {
            Some(((secret, key), after)) => {
                pieces.push(Piece::Key(secret, key));
                rest = after;
            }
            None => {
                pieces.push(Piece::Text("$"));
                rest = from.strip_prefix("$$").or_else(|| from.strip_prefix('$')).unwrap_or_default();
            }
        }
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_a_secret_is_filled_in_when_it_is_made_and_not_before() {
        let template = "key $(page-secrets/CODE); costs 5$$ and $$(NOTHING) $(page-secrets/CODE)$$";
        let object =
            Object::new(json!({ "kind": "Secret", "metadata": { "name": "f" }, "stringData": { "file-0": template } }));
        let key = ("page-secrets".to_owned(), "CODE".to_owned());
        assert_eq!(made_of(&object), [key.clone()].into());
        let filled = with_values(&object, &[(key, ByteString(b"a$b".to_vec()))].into()).unwrap();
        let content: ByteString = serde_json::from_value(filled.body["data"]["file-0"].clone()).unwrap();
        assert_eq!(String::from_utf8(content.0).unwrap(), "key a$b; costs 5$ and $(NOTHING) a$b$");
        assert!(filled.body.get("stringData").is_none() && filled.hash() == object.hash());
        let lacks = with_values(&object, &BTreeMap::new()).unwrap_err();
        assert_eq!(lacks, "the Secret page-secrets has no key CODE");
    }
}
