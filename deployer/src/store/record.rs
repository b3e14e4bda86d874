//! A version: which nodes it consists of, where their objects are stored, and where it came from.

use std::collections::BTreeMap;

use clustergraph::graph::{Key, Schemas};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::lent::Lent;
use crate::error::Result;
use crate::render::{Borrowed, Entry, Front, Kind, Object, front, hash_of};

const SCHEMA: u32 = 1;

/// A version's record. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) schema: u32,
    /// Its number, counting from 1.
    pub(crate) number: u64,
    /// What it was made of.
    #[serde(flatten)]
    pub(crate) content: Content,
    /// The version that was served when it was made.
    pub(crate) parent: Option<u64>,
    /// Who made it.
    pub(crate) author: String,
    /// When.
    pub(crate) created: Timestamp,
}

/// All of a version that does not depend on who made it and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    /// The graph's version.
    pub(crate) version: Key,
    /// The commit that it was read from.
    pub(crate) commit: Commit,
    /// Its nodes, by the service's name.
    pub(crate) nodes: BTreeMap<String, Node>,
    /// What leads into it, by the name of the Service.
    pub(crate) entries: BTreeMap<String, Entry>,
    /// What stands in front of them: then no Service of its own leads to an entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) front: Option<Front>,
    /// The migration that each database was brought to, by address.
    pub(crate) migrations: BTreeMap<String, Key>,
    /// The schemas that its code runs on in each database whose migrations are numbered, by address.
    #[serde(default)]
    pub(crate) schemas: BTreeMap<String, Schemas>,
    /// Whether its pods only reach what they declare.
    #[serde(default)]
    pub(crate) is_closed: bool,
    /// For how many seconds the version that it takes over from stays ready; until the next deploy, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) warm_seconds: Option<u64>,
    /// Whether others may use its instances, and begin with copies of its data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) lends: bool,
    /// What the namespaces of those are labelled with who are let in to borrow: the name of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lets_in: Option<String>,
    /// What a copy of each database takes that can be copied, by address; nothing where it lends none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) lent: BTreeMap<String, Lent>,
    /// What it takes from another cluster instead of running it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) borrowed: Option<Borrowed>,
}

/// Where a version came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Commit {
    /// Its full id.
    pub(crate) id: String,
    /// The first line of its message.
    pub(crate) summary: String,
    /// Its author.
    pub(crate) author: String,
}

/// One version of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    /// The node's id.
    pub(crate) id: Key,
    /// Which image.
    pub(crate) source: Key,
    /// What of it can be observed, without its sources and what it calls.
    pub(crate) behaviour: Key,
    /// The name of its Deployment and Service.
    pub(crate) workload: String,
    /// How it is made real.
    #[serde(default)]
    pub(crate) kind: Kind,
    /// Its image, by digest.
    pub(crate) image: String,
    /// Its size; where it is scaled by load, the one that it begins with.
    pub(crate) replicas: u32,
    /// Whether it is scaled by load.
    #[serde(default)]
    pub(crate) scales: bool,
    /// The hash over its objects.
    pub(crate) hash: String,
    /// The bundle that holds its objects.
    pub(crate) bundle: String,
    /// The services that it calls.
    pub(crate) dependencies: Vec<String>,
    /// Those of them that its start waits for; all, where nothing is said.
    #[serde(default)]
    pub(crate) waits: Option<Vec<String>>,
    /// The database servers that it stores on, as the cluster calls them.
    #[serde(default)]
    pub(crate) servers: Vec<String>,
    /// What it calls outside the cluster, as `host:port`.
    #[serde(default)]
    pub(crate) egress: Vec<String>,
    /// How it is asked whether it does its work, while it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) smoke: Option<Smoke>,
    /// Whether its own pods call it: those of its checks do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) calls_itself: bool,
    /// What of another cluster it calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) borrows: Vec<String>,
    /// Whether it is never lent: its calls have effects outside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) never_lent: bool,
}

/// A question that a service is asked while it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Smoke {
    /// What asks it, in a pod of the service's own image and environment. It is fine when that ends with 0.
    pub(crate) run: Vec<String>,
    /// How often it is asked where it is asked again and again, in seconds.
    pub(crate) every: u64,
    /// Where the service is: no secrets.
    pub(crate) env: BTreeMap<String, String>,
}

impl Node {
    /// Whether its workload is the same over all versions, and so is not named by this one.
    pub(crate) fn is_rolling(&self) -> bool {
        !self.workload.ends_with(&format!("-{}", self.id.short()))
    }

    /// The services that its start waits for.
    pub(crate) fn waits(&self) -> &[String] {
        self.waits.as_deref().unwrap_or(&self.dependencies)
    }
}

impl Record {
    /// The key of its ConfigMap.
    pub(crate) const KEY: &'static str = "version.json";

    /// A record of now.
    pub(crate) fn new(number: u64, content: Content, parent: Option<u64>, author: String, created: Timestamp) -> Self {
        Self { schema: SCHEMA, number, content, parent, author, created }
    }

    pub(crate) fn decode(text: &str) -> Result<Self> {
        super::decode("a version", SCHEMA, text)
    }

    pub(crate) fn encode(&self) -> Result<String> {
        super::encode("a version", self)
    }
}

impl Content {
    /// What leads into it: an Ingress, or a Service for each entry.
    pub(crate) fn entry_objects(&self, cluster: &str) -> Vec<Object> {
        let workload = |service: &str| self.nodes.get(service).map(|node| node.workload.as_str());
        front::objects(self.front.as_ref(), &self.entries, workload, cluster)
    }

    /// The entries that a Service of their own leads to.
    pub(crate) fn own_entries(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter().filter(|_| self.front.is_none())
    }

    /// Whether another is made of the same: the commit may differ, and says nothing of what runs.
    pub(crate) fn same_cluster(&self, other: &Self) -> bool {
        let strip = |content: &Self| {
            let nodes: BTreeMap<_, _> = content
                .nodes
                .iter()
                .map(|(name, node)| {
                    let runs = (node.workload.clone(), node.hash.clone(), node.replicas, node.egress.clone());
                    (name.clone(), (runs, node.smoke.clone(), node.calls_itself, node.never_lent))
                })
                .collect();
            let more = (&content.front, &content.migrations, &content.schemas, content.is_closed, content.warm_seconds);
            let others = (content.lends, &content.lets_in, &content.lent, &content.borrowed);
            hash_of(&(content.version, nodes, &content.entries, more, others))
        };
        strip(self) == strip(other)
    }
}

/// What changed from one version to another, in a few words.
pub(crate) fn changes(from: Option<&Content>, to: &Content) -> String {
    let Some(from) = from else { return format!("{} services", to.nodes.len()) };
    let mut words = Vec::new();
    for (name, node) in &to.nodes {
        match from.nodes.get(name) {
            None => words.push(format!("+{name}")),
            // What changed only because something below it did is not named: it was not edited.
            Some(old) if (old.source, old.behaviour) != (node.source, node.behaviour) => words.push(name.clone()),
            Some(old) if old.replicas != node.replicas => {
                words.push(format!("{name} {}->{}", old.replicas, node.replicas));
            }
            Some(old) if old.hash != node.hash && old.id == node.id => words.push(format!("{name} (operation)")),
            Some(_) => {}
        }
    }
    words.extend(from.nodes.keys().filter(|name| !to.nodes.contains_key(*name)).map(|name| format!("-{name}")));
    let entry = |sign: &'static str, name: &String| format!("{sign}entry {name}");
    let (old, new) = (&from.entries, &to.entries);
    words.extend(new.keys().filter(|name| !old.contains_key(*name)).map(|name| entry("+", name)));
    words.extend(old.keys().filter(|name| !new.contains_key(*name)).map(|name| entry("-", name)));
    if let Some(now) =
        to.borrowed.as_ref().filter(|now| from.borrowed.as_ref().map(|then| then.label()) != Some(now.label()))
    {
        words.push(format!("from {}", now.label()));
    }
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A content of nodes, each by name, what its behaviour is made of, and its size.
    pub(crate) fn content(nodes: &[(&str, &str, u32)]) -> Content {
        let key = |text: &str| Key::of("test", &json!(text));
        let node = |name: &str, text: &str, replicas| Node {
            id: key(text),
            source: key(text),
            behaviour: key(text),
            workload: format!("{name}-{}", key(text).short()),
            kind: Kind::Service,
            image: "registry/image@sha256:0".to_owned(),
            replicas,
            scales: false,
            hash: text.to_owned(),
            bundle: "komandan-bundle-0".to_owned(),
            dependencies: Vec::new(),
            waits: None,
            servers: Vec::new(),
            egress: Vec::new(),
            smoke: None,
            calls_itself: false,
            borrows: Vec::new(),
            never_lent: false,
        };
        Content {
            version: key(&format!("{nodes:?}")),
            commit: Commit { id: "0".repeat(40), summary: "a commit".to_owned(), author: "someone".to_owned() },
            nodes: nodes.iter().map(|(name, text, size)| ((*name).to_owned(), node(name, text, *size))).collect(),
            entries: BTreeMap::new(),
            front: None,
            migrations: BTreeMap::new(),
            schemas: BTreeMap::new(),
            is_closed: false,
            warm_seconds: None,
            lends: false,
            lets_in: None,
            borrowed: None,
            lent: BTreeMap::new(),
        }
    }

    #[test]
    fn changes_are_named() {
        let before = content(&[("api", "1", 2), ("www", "1", 1), ("old", "1", 1)]);
        let after = content(&[("api", "2", 2), ("www", "1", 3), ("new", "1", 1)]);
        assert_eq!(changes(None, &after), "3 services");
        assert_eq!(changes(Some(&before), &after), "api, +new, www 1->3, -old");
        assert_eq!(changes(Some(&after), &after), "nothing");
    }

    #[test]
    fn a_record_is_read_as_written_and_newer_ones_are_refused() {
        let record = Record::new(7, content(&[("api", "1", 2)]), Some(6), "a".into(), Timestamp::UNIX_EPOCH);
        let text = record.encode().unwrap();
        assert_eq!(Record::decode(&text).unwrap(), record);
        let newer = text.replace("\"schema\":1", "\"schema\":2");
        assert!(Record::decode(&newer).unwrap_err().to_string().contains("newer komandan"));
    }
}
