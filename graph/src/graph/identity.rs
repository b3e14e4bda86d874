//! `source`, `id` and the version of the whole: which image, which version, which cluster.
//!
//! The third key, `run` (must it restart here?), needs resolved values and is made by
//! [`crate::plan::run_key`].

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::canonical::hash;
use super::{Database, Image, Role, Service};

/// A SHA-256, shown in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of a value under a name that keeps different uses apart.
    #[must_use]
    pub fn of(use_: &str, value: &Value) -> Self {
        Self(hash(use_, value))
    }

    /// The first ten digits, as names of versions carry them (40 bits: one in a million to meet
    /// among a thousand versions of one name).
    #[must_use]
    pub fn short(&self) -> String {
        hex::encode(&self.0[..5])
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.short())
    }
}

impl std::str::FromStr for Key {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Which image: the files that a build reads, and how it is built.
pub(crate) fn source_key(service: &Service) -> Key {
    let recipe = match &service.image {
        Image::Ready(image) => json!({ "image": image }),
        // The images by their names: which mirror they are pulled through is not part of it.
        Image::Recipe(recipe) => json!({ "recipe": recipe, "image": service.stack.image, "base": service.stack.base }),
        Image::Dockerfile(build) => {
            let mut recipe = json!({
                "dockerfile": build.dockerfile, "target": build.target, "args": build.args, "secrets": build.secrets,
                "folder": service.folder,
            });
            if let Some(context) = &build.context {
                recipe["context"] = json!(context);
            }
            recipe
        }
    };
    Key::of("source", &json!({ "tree": service.sources.oid().to_string(), "build": recipe }))
}

/// Behaviour: everything beside its sources that a running instance can observe, wiring as placeholders.
pub(crate) fn behaviour_key(service: &Service, databases: &BTreeMap<String, Database>) -> Key {
    let primary = service.primary_port().map(|port| &port.name);
    let ports: BTreeMap<_, _> = service
        .ports
        .iter()
        .map(|port| (&port.name, json!({ "number": port.number, "protocol": port.protocol })))
        .collect();
    let mut stores: Vec<_> = service
        .databases
        .iter()
        .filter_map(|address| databases.get(address))
        .map(|database| {
            json!({
                "address": database.address, "kind": database.kind, "version": database.version,
                "server": database.server, "topics": database.topics, "extensions": database.extensions,
                "migration": database.migration, "seed": database.seed,
            })
        })
        .collect();
    stores.sort_by_key(ToString::to_string);
    let env: BTreeMap<_, _> = service.env.iter().map(|(name, value)| (name, value.placeholder())).collect();
    let files: BTreeMap<_, _> = service.files.iter().map(|(path, file)| (path, file.content.placeholder())).collect();
    let volumes: BTreeMap<_, _> = service.volumes.iter().map(|(name, volume)| (name, &volume.path)).collect();
    let secrets: BTreeMap<_, _> = service.secrets.iter().map(|secret| (&secret.name, secret.optional)).collect();
    let role = match &service.role {
        Role::Service => json!("service"),
        Role::Base => json!("base"),
        Role::Task => json!("task"),
        Role::Job { schedule } => json!({ "schedule": schedule }),
    };
    Key::of(
        "behaviour",
        &json!({
            "name": service.name, "role": role,
            "stack": { "name": service.stack.name, "env": service.stack.env },
            "run": service.run_here(), "setup": service.setup, "ports": ports, "primary": primary,
            "databases": stores, "env": env, "passthrough": service.passthrough, "secrets": secrets,
            "files": files, "volumes": volumes,
        }),
    )
}

/// Gives every service its id: the hash of its source, its behaviour and the ids of what it depends on.
///
/// Services on a cycle (which only `wait: none` can close) are versioned together: each one's id covers
/// the behaviour of all of them.
pub(crate) fn give_ids(services: &mut BTreeMap<String, Service>) {
    let names: Vec<String> = services.keys().cloned().collect();
    let index: BTreeMap<&str, usize> = names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    let mut graph = DiGraph::<usize, ()>::new();
    let nodes: Vec<_> = (0..names.len()).map(|at| graph.add_node(at)).collect();
    for (at, name) in names.iter().enumerate() {
        for dependency in services.get(name).map(|service| service.dependencies.as_slice()).unwrap_or_default() {
            if let Some(target) = index.get(dependency.service.as_str()) {
                graph.add_edge(nodes[at], nodes[*target], ());
            }
        }
    }
    // tarjan_scc yields components in reverse topological order: what is depended on comes first.
    for component in tarjan_scc(&graph) {
        let members: BTreeSet<&str> = component.iter().map(|node| names[graph[*node]].as_str()).collect();
        let whole: Vec<_> = members
            .iter()
            .filter_map(|name| services.get(*name))
            .map(|service| {
                let mut edges: Vec<_> = service
                    .dependencies
                    .iter()
                    .map(|edge| {
                        let inside = members.contains(edge.service.as_str());
                        let id = services.get(&edge.service).filter(|_| !inside).map(|target| target.id);
                        json!({
                            "service": edge.service, "as": edge.alias, "wait": edge.wait.as_str(),
                            "optional": edge.optional, "id": id,
                        })
                    })
                    .collect();
                edges.sort_by_key(ToString::to_string);
                json!({ "name": service.name, "source": service.source, "behaviour": service.behaviour, "dependencies": edges })
            })
            .collect();
        let whole = Key::of("component", &json!(whole));
        let ids: Vec<(String, Key)> = members
            .iter()
            .map(|name| ((*name).to_owned(), Key::of("id", &json!({ "name": name, "component": whole }))))
            .collect();
        for (name, id) in ids {
            if let Some(service) = services.get_mut(&name) {
                service.id = id;
            }
        }
    }
}

/// Which cluster: the hash over all ids.
pub(crate) fn version(services: &BTreeMap<String, Service>) -> Key {
    let ids: BTreeMap<_, _> = services.iter().map(|(name, service)| (name, service.id)).collect();
    Key::of("version", &json!(ids))
}
