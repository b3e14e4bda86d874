//! What is put into a service's container: files from the repository, and volumes.

use clustergraph::graph::Service;
use serde_json::{Value, json};

use super::{Object, Scene, hash_of};
use crate::error::Result;
use crate::names::{self, Component};

/// The size of a volume where `size` of the cluster says nothing: 1 GiB.
const VOLUME: u64 = 1 << 30;

impl Scene<'_> {
    /// The ConfigMap of a service's files. It is named by what it holds, and never changes.
    pub(super) fn maps_of_files(&self, service: &Service, workload: &str) -> Result<Vec<Object>> {
        if service.files.is_empty() {
            return Ok(Vec::new());
        }
        let mut data = serde_json::Map::new();
        for (at, file) in service.files.values().enumerate() {
            let text = file.content.resolve(|hole| self.fill(service, hole))?;
            data.insert(key(at), Value::String(text));
        }
        let mut labels = self.node_labels(service);
        labels.insert(names::INSTANCE.to_owned(), workload.to_owned());
        Ok(vec![Object::new(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": names::files(workload, &hash_of(&data)), "labels": labels },
            "immutable": true,
            "data": data,
        }))])
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
                    "accessModes": ["ReadWriteOnce"],
                    "resources": { "requests": { "storage": size.to_string() } },
                },
            }))
        };
        service.volumes.keys().map(claim).collect()
    }

    /// Where files and volumes lie in the container, and what they are.
    pub(super) fn mounts(&self, service: &Service, workload: &str) -> Result<(Vec<Value>, Vec<Value>)> {
        let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
        for map in self.maps_of_files(service, workload)? {
            for (at, path) in service.files.keys().enumerate() {
                mounts.push(json!({ "name": "files", "mountPath": path, "subPath": key(at), "readOnly": true }));
            }
            volumes.push(json!({ "name": "files", "configMap": { "name": map.name() } }));
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
