//! `source`, `id` and the version of the whole: which image, which version, which cluster.
//!
//! The third key, `run` (must it restart here?), needs resolved values and is made by
//! [`crate::plan::run_key`].

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::canonical::{Pairs, hash};
use super::{Database, Image, Role, Service};
use crate::format::lock::LockFile;
use crate::format::service::Command;

/// A SHA-256, shown in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of a value under a name that keeps different uses apart.
    #[must_use]
    pub fn of(use_: &str, value: &Value) -> Self {
        Self(hash(use_, value))
    }

    /// The key of what is written with sorted names.
    pub(crate) fn of_written(use_: &str, value: &impl Serialize) -> Self {
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
        if !serializer.is_human_readable() {
            return serializer.serialize_bytes(&self.0);
        }
        let mut digits = [0; 64];
        // The room is exactly what 32 bytes need.
        let _ = hex::encode_to_slice(self.0, &mut digits);
        serializer.serialize_str(std::str::from_utf8(&digits).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            let bytes = <&[u8]>::deserialize(deserializer)?;
            return bytes.try_into().map(Self).map_err(serde::de::Error::custom);
        }
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What [`source_key`] is made from. The names are sorted, here and below.
#[derive(Serialize)]
struct Source<'s> {
    build: Recipe<'s>,
    tree: String,
}

/// How an image is built.
#[derive(Serialize)]
#[serde(untagged)]
enum Recipe<'s> {
    Ready {
        image: &'s str,
        #[serde(skip_serializing_if = "Option::is_none")]
        pin: Option<&'s str>,
    },
    /// The images by their names: which mirror they are pulled through is not part of it.
    Stack {
        base: Option<&'s str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        base_pin: Option<&'s str>,
        image: &'s str,
        #[serde(skip_serializing_if = "Option::is_none")]
        image_pin: Option<&'s str>,
        recipe: &'s str,
    },
    Dockerfile {
        args: &'s BTreeMap<String, String>,
        context: Option<&'s str>,
        dockerfile: &'s str,
        folder: &'s str,
        secrets: &'s [String],
        target: Option<&'s str>,
    },
}

/// Which image: the files that a build reads, how it is built, and what of that is pinned.
pub(crate) fn source_key(service: &Service, lock: &LockFile) -> Key {
    Key::of_written("source", &source(service, lock))
}

/// All that [`source_key`] covers, to be written down.
pub(crate) fn source<'s>(service: &'s Service, lock: &'s LockFile) -> impl Serialize + 's {
    let build = match &service.image {
        Image::Ready(image) => Recipe::Ready { image, pin: lock.digest(image) },
        Image::Recipe(recipe) => {
            let (base, image) = (service.stack.base.as_deref(), service.stack.image.as_str());
            let base_pin = base.and_then(|base| lock.digest(base));
            Recipe::Stack { base, base_pin, image, image_pin: lock.digest(image), recipe }
        }
        Image::Dockerfile(build) => Recipe::Dockerfile {
            args: &build.args,
            context: build.context.as_deref(),
            dockerfile: &build.dockerfile,
            folder: &service.folder,
            secrets: &build.secrets,
            target: build.target.as_deref(),
        },
    };
    Source { build, tree: service.sources.oid().to_string() }
}

/// What [`behaviour_key`] is made from, field by field.
#[derive(Serialize)]
struct Behaviour<'s, D, E, F, P, S, V> {
    databases: D,
    env: E,
    files: F,
    name: &'s str,
    passthrough: &'s [String],
    ports: P,
    primary: Option<&'s str>,
    role: serde_json::Value,
    run: Option<&'s Command>,
    secrets: S,
    setup: &'s [Command],
    stack: StackBehaviour<'s>,
    volumes: V,
}

#[derive(Serialize)]
struct StackBehaviour<'s> {
    env: &'s BTreeMap<String, String>,
    name: &'s str,
}

#[derive(Serialize)]
struct PortBehaviour<'s> {
    number: u16,
    protocol: &'s str,
}

#[derive(Serialize)]
struct StoreBehaviour<'s> {
    address: &'s str,
    extensions: &'s [String],
    kind: &'s str,
    migration: Option<Key>,
    seed: Option<&'s Command>,
    server: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_key: Option<Key>,
    topics: &'s [String],
    version: &'s str,
}

/// Behaviour: everything beside its sources that a running instance can observe, wiring as placeholders.
pub(crate) fn behaviour_key(service: &Service, databases: &BTreeMap<String, Database>) -> Key {
    Key::of_written("behaviour", &behaviour(service, databases))
}

/// All that [`behaviour_key`] covers, to be written down.
pub(crate) fn behaviour<'s>(
    service: &'s Service,
    databases: &'s BTreeMap<String, Database>,
) -> impl Serialize + use<'s> {
    let mut stores: Vec<StoreBehaviour<'_>> = service
        .databases
        .iter()
        .filter_map(|address| databases.get(address))
        .map(|database| StoreBehaviour {
            address: &database.address,
            extensions: &database.extensions,
            kind: &database.kind,
            migration: database.migration,
            seed: database.seed.as_ref(),
            server: &database.server,
            server_key: database.server_key,
            topics: &database.topics,
            version: &database.version,
        })
        .collect();
    stores.sort_by_key(|store| store.address);
    let ports: BTreeMap<&str, PortBehaviour<'_>> = service
        .ports
        .iter()
        .map(|port| (port.name.as_str(), PortBehaviour { number: port.number, protocol: &port.protocol }))
        .collect();
    let secrets: BTreeMap<&str, bool> =
        service.secrets.iter().map(|secret| (secret.name.as_str(), secret.optional)).collect();
    Behaviour {
        databases: stores,
        env: Pairs(service.env.iter().map(|(name, value)| (name, value.placeholder()))),
        files: Pairs(service.files.iter().map(|(path, file)| (path, file.content.placeholder()))),
        name: &service.name,
        passthrough: &service.passthrough,
        ports,
        primary: service.primary_port().map(|port| port.name.as_str()),
        role: match &service.role {
            Role::Service => json!("service"),
            Role::Base => json!("base"),
            Role::Task => json!("task"),
            Role::Job { schedule } => json!({ "schedule": schedule }),
        },
        run: service.run_here(),
        secrets,
        setup: &service.setup,
        stack: StackBehaviour { env: &service.stack.env, name: &service.stack.name },
        volumes: Pairs(service.volumes.iter().map(|(name, volume)| (name, &volume.path))),
    }
}

/// One node of a component, as its id sees it.
#[derive(Serialize)]
struct Member<'s> {
    behaviour: Key,
    dependencies: Vec<Edge<'s>>,
    name: &'s str,
    source: Key,
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct Edge<'s> {
    r#as: &'s str,
    id: Option<Key>,
    optional: bool,
    service: &'s str,
    wait: &'static str,
}

/// Gives every service its id: the hash of its source, its behaviour and the ids of what it depends on. The ids of services
/// that are not among them are known otherwise: none of these depends on one of them.
///
/// Services on a cycle (which only `wait: none` can close) are versioned together: each one's id covers
/// the behaviour of all of them.
pub(crate) fn give_ids(services: &mut BTreeMap<String, Service>, known: &dyn Fn(&str) -> Option<Key>) {
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
        let whole: Vec<Member<'_>> = members
            .iter()
            .filter_map(|name| services.get(*name))
            .map(|service| {
                let mut dependencies: Vec<Edge<'_>> = service
                    .dependencies
                    .iter()
                    .map(|dependency| Edge {
                        r#as: &dependency.alias,
                        id: match members.contains(dependency.service.as_str()) {
                            true => None,
                            false => match services.get(&dependency.service) {
                                Some(target) => Some(target.id),
                                None => known(&dependency.service),
                            },
                        },
                        optional: dependency.optional,
                        service: &dependency.service,
                        wait: dependency.wait.as_str(),
                    })
                    .collect();
                dependencies.sort();
                Member { behaviour: service.behaviour, dependencies, name: &service.name, source: service.source }
            })
            .collect();
        let whole = Key::of_written("component", &whole);
        let ids: Vec<(String, Key)> = members
            .iter()
            .map(|name| {
                let id = Key::of_written(
                    "id",
                    &Pairs([("component", whole.to_string().as_str()), ("name", name)].into_iter()),
                );
                ((*name).to_owned(), id)
            })
            .collect();
        for (name, id) in ids {
            if let Some(service) = services.get_mut(&name) {
                service.id = id;
            }
        }
    }
}

/// Which cluster: the hash over all ids, which come sorted by name.
pub(crate) fn version_of<'s>(ids: impl Iterator<Item = (&'s String, Key)> + Clone) -> Key {
    Key::of_written("version", &Pairs(ids))
}
