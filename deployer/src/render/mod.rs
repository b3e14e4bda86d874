//! From a graph to Kubernetes objects. Pure: the same graph and images give the same bytes.

mod borrowed;
mod catalogue;
pub(crate) mod check;
mod copy;
pub(crate) mod database;
mod disruption;
mod env;
pub(crate) mod external;
pub(crate) mod files;
pub(crate) mod front;
pub(crate) mod job;
mod lent;
mod logical;
mod object;
mod pod;
pub(crate) mod policy;
mod probe;
mod rolling;
mod scale;
mod service;
mod task;
pub(crate) mod warm;

use std::collections::{BTreeMap, BTreeSet, btree_map};

use clustergraph::format::service::{Security, Start};
use clustergraph::graph::{Database, Graph, Role, Service};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) use borrowed::{Borrowed, Loan};
pub(crate) use copy::Copy;
pub(crate) use front::Front;
pub(crate) use object::{Object, hash_of, hash_of_node};

pub(crate) use database::SERVER_CONTAINER;
pub(crate) use job::beside;
pub(crate) use pod::command;

use crate::error::{Error, Result};
use crate::names::{self, Component};
use crate::store::databases::Wanted;
use crate::store::lent::{Lent, Offer};

/// What rendering needs to know besides the graph.
#[derive(Debug, Clone, Default)]
pub(crate) struct Images {
    /// The image of each service.yaml, by its name: processes and jobs have their service's.
    pub(crate) services: BTreeMap<String, String>,
    /// The image of each database server (by `Database::server`), by digest.
    pub(crate) servers: BTreeMap<String, String>,
    /// The number of each logical database that has one instead of a name, by address.
    pub(crate) numbers: BTreeMap<String, u32>,
    /// What is called and runs elsewhere.
    pub(crate) borrowed: Option<Borrowed>,
    /// The databases that begin with another cluster's data, by address.
    pub(crate) offers: BTreeMap<String, Offer>,
}

/// Everything that a graph is on Kubernetes.
#[derive(Debug, Clone)]
pub(crate) struct Rendered {
    /// What all pods share.
    pub(crate) base: Vec<Object>,
    /// Claims on volumes. They are data: made once, and then left alone.
    pub(crate) claims: Vec<Object>,
    /// Database servers, by `Database::server`.
    pub(crate) servers: BTreeMap<String, Server>,
    /// Logical databases, by address.
    pub(crate) databases: BTreeMap<String, Logical>,
    /// Those that the cluster lends, by address.
    pub(crate) lent: BTreeMap<String, Lent>,
    /// Services, by name.
    pub(crate) nodes: BTreeMap<String, Node>,
    /// Entries, by the name of their Service.
    pub(crate) entries: BTreeMap<String, Entry>,
    /// What stands in front of them.
    pub(crate) front: Option<Front>,
}

/// A database server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// The name of its StatefulSet and Service.
    pub(crate) name: String,
    /// The Secret of its administrator, for kinds that have one.
    pub(crate) secret: Option<Credentials>,
    /// Its StatefulSet and Service.
    pub(crate) objects: Vec<Object>,
}

/// A Secret that is generated once and then stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// The Secret's name.
    pub(crate) name: String,
    /// What it is for, as a label's value.
    pub(crate) labels: BTreeMap<String, String>,
    /// What it holds besides the password.
    pub(crate) username: String,
}

/// A logical database.
#[derive(Debug, Clone)]
pub(crate) struct Logical {
    /// What it is to be.
    pub(crate) wanted: Wanted,
    /// Its user's Secret, where we make one.
    pub(crate) secret: Option<Credentials>,
    /// The Job that makes it, held back; none where its server is all that it takes.
    pub(crate) make: Option<Object>,
    /// What makes it where no Job can.
    pub(crate) beside: Option<Beside>,
    /// The Job that makes it and brings its schema up to date, held back.
    pub(crate) migrate: Option<Object>,
    /// The Job that gives it its first data, held back; none where it gets none.
    pub(crate) seed: Option<Object>,
    /// How it gets another cluster's data; nothing where it begins empty, or has begun.
    pub(crate) copy: Option<Copy>,
}

/// Commands that only work in the container of their server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beside {
    /// The server's pod.
    pub(crate) pod: String,
    /// The Secret of the administrator, where an input holds that password.
    pub(crate) admin: Option<String>,
    /// Shell commands, each with what it reads after a line with the database's password.
    pub(crate) commands: Vec<(String, BesideInput)>,
}

/// What a command beside its server reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BesideInput(pub(super) String);

impl BesideInput {
    /// The input with the administrator's and the database's own password in it.
    pub(crate) fn with_passwords(&self, admin: &str, own: &str) -> String {
        catalogue::with_passwords(&self.0, admin, own)
    }
}

/// How a node is made real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Its instances run beside those of the former version, and take requests after the switch.
    #[default]
    Service,
    /// Its instances start at the switch, when those of the former version have ended.
    HandedOver,
    /// It runs once and ends.
    Task,
    /// It runs now and then: what it is changes at the switch.
    Job,
}

/// One version of a service.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    /// The name of its Deployment and Service, or of its Job.
    pub(crate) workload: String,
    /// How it is made real.
    pub(crate) kind: Kind,
    /// Its size, which is no part of the objects' hash.
    pub(crate) replicas: u32,
    /// Whether it is scaled by load; then this is only the size that it begins with.
    pub(crate) scales: bool,
    /// Its Deployment, Job or CronJob, if it has ports its Service, and what stands beside them.
    pub(crate) objects: Vec<Object>,
    /// The hash over its objects.
    pub(crate) hash: String,
}

/// What leads into the cluster.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Entry {
    /// The service behind it.
    pub(crate) service: String,
    /// The short id of the version behind it.
    pub(crate) id: String,
    /// The path below which requests come here.
    pub(crate) path: String,
    /// The port that is meant when none is named.
    pub(crate) port: u16,
    /// The scheme of its URL.
    pub(crate) scheme: String,
    /// All ports, by name.
    pub(crate) ports: BTreeMap<String, u16>,
}

/// Renders a graph for one cluster.
pub(crate) fn render(graph: &Graph, images: &Images, cluster: &str) -> Result<Rendered> {
    let running = &running(graph);
    let lent = images.borrowed.iter().flat_map(|borrowed| borrowed.nodes.keys());
    let wired = &running.iter().chain(lent).cloned().collect();
    let scene = Scene { graph, images, cluster, running, wired };
    let mut rendered = Rendered {
        base: vec![scene.account()],
        claims: Vec::new(),
        servers: BTreeMap::new(),
        databases: BTreeMap::new(),
        lent: BTreeMap::new(),
        nodes: BTreeMap::new(),
        entries: BTreeMap::new(),
        front: scene.front(),
    };
    for database in graph.databases.values() {
        if let btree_map::Entry::Vacant(server) = rendered.servers.entry(database.server.clone())
            && scene.external(&database.address).is_none()
        {
            server.insert(scene.server(database)?);
        }
        let server = rendered.servers.get(&database.server).filter(|_| scene.external(&database.address).is_none());
        if let Some(server) = server {
            scene.refuse_other_server(database, server)?;
        }
        let lent = scene.lent(database, server)?;
        rendered.lent.extend(lent.map(|lent| (database.address.clone(), lent)));
        rendered.databases.insert(database.address.clone(), scene.logical(database)?);
    }
    for service in running.iter().filter_map(|name| graph.services.get(name)) {
        // Processes and jobs have the volumes of their service.
        let claims = scene.claims(service).into_iter();
        let new: Vec<Object> =
            claims.filter(|claim| rendered.claims.iter().all(|known| known.name() != claim.name())).collect();
        rendered.claims.extend(new);
        rendered.nodes.insert(service.name.clone(), scene.node(service)?);
        if let (Some(public), Some(port)) = (&service.public, service.primary_port()) {
            let entry = Entry {
                service: service.name.clone(),
                id: scene.id(service),
                path: public.path.clone(),
                port: port.number,
                scheme: port.protocol.clone(),
                ports: service.ports.iter().map(|port| (port.name.clone(), port.number)).collect(),
            };
            rendered.entries.insert(service.name.clone(), entry);
        }
    }
    refuse_same_names(&rendered, cluster)?;
    Ok(rendered)
}

/// What runs of a graph: all that starts by itself and what that needs, with their jobs. Of a service that only lends its
/// sources to processes and jobs, these are.
pub(crate) fn running(graph: &Graph) -> BTreeSet<String> {
    let automatic = graph.closure(&BTreeSet::new());
    let jobs = graph.services.values().filter(|service| matches!(service.role, Role::Job { .. }));
    let jobs = jobs.filter(|job| job.start == Start::Automatic || automatic.contains(&job.owner));
    let mut running: BTreeSet<String> = jobs.map(|job| job.name.clone()).chain(automatic.iter().cloned()).collect();
    if !running.is_empty() {
        running = graph.closure(&running);
    }
    running.retain(|name| graph.services.get(name).is_some_and(|service| service.role != Role::Base));
    running
}

/// What the namespace must allow so that all that runs may run.
pub(crate) fn security(graph: &Graph) -> Security {
    let running = running(graph);
    let mut services = running.iter().filter_map(|name| graph.services.get(name));
    let is_baseline = services.any(|service| service.security == Security::Baseline);
    if is_baseline { Security::Baseline } else { Security::Restricted }
}

/// The key by which secrets are compared.
pub(crate) fn key(cluster: &str) -> Credentials {
    let labels = names::labels(cluster, Component::Credentials);
    Credentials { name: names::KEY_SECRET.to_owned(), labels, username: names::MANAGER.to_owned() }
}

/// Two objects of one kind and name would silently be one.
fn refuse_same_names(rendered: &Rendered, cluster: &str) -> Result<()> {
    let entries = rendered.entry_objects(cluster);
    let mut seen = std::collections::BTreeSet::new();
    for object in rendered.all().into_iter().chain(&entries) {
        if !seen.insert((object.kind().to_owned(), object.name().to_owned())) {
            return Err(Error::Usage(format!(
                "two parts of the graph would both be the {} `{}` in the namespace: rename one of the services",
                object.kind(),
                object.name()
            )));
        }
    }
    Ok(())
}

impl Rendered {
    /// Every object but Secrets and entries.
    pub(crate) fn all(&self) -> Vec<&Object> {
        let servers = self.servers.values().flat_map(|server| &server.objects);
        let jobs = self.databases.values().filter_map(|database| database.migrate.as_ref().or(database.make.as_ref()));
        let nodes = self.nodes.values().flat_map(|node| &node.objects);
        self.base.iter().chain(&self.claims).chain(servers).chain(jobs).chain(nodes).collect()
    }
}

impl Rendered {
    /// What leads into it.
    pub(crate) fn entry_objects(&self, cluster: &str) -> Vec<Object> {
        let workload = |service: &str| self.nodes.get(service).map(|node| node.workload.as_str());
        front::objects(self.front.as_ref(), &self.entries, workload, cluster)
    }
}

impl Entry {
    /// The Service: stable by name, and all of the switch is in its selector.
    pub(crate) fn object(&self, name: &str, cluster: &str) -> Object {
        let mut labels = names::labels(cluster, Component::Entry);
        labels.insert(names::NAME.to_owned(), self.service.clone());
        let ports: Vec<Value> = self
            .ports
            .iter()
            .map(|(name, number)| json!({ "name": name, "port": number, "targetPort": number, "protocol": "TCP" }))
            .collect();
        Object::new(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": name, "labels": labels },
            "spec": {
                "selector": { (names::NAME): self.service, (names::ID): self.id },
                "ports": ports,
            },
        }))
    }
}

/// What every rendering function reads.
struct Scene<'g> {
    graph: &'g Graph,
    images: &'g Images,
    cluster: &'g str,
    /// The services that run.
    running: &'g BTreeSet<String>,
    /// Those that run here or elsewhere: of optional ones, only these are wired.
    wired: &'g BTreeSet<String>,
}

impl Scene<'_> {
    fn labels(&self, component: Component) -> BTreeMap<String, String> {
        names::labels(self.cluster, component)
    }

    /// What runs elsewhere.
    fn borrowed(&self) -> Option<&Borrowed> {
        self.images.borrowed.as_ref()
    }

    fn front(&self) -> Option<Front> {
        self.settings().and_then(Front::of)
    }

    /// Pods run as an account of their own that may do nothing, and get no token for it.
    fn account(&self) -> Object {
        Object::new(json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "name": names::ACCOUNT, "labels": self.labels(Component::Base) },
            "automountServiceAccountToken": false,
        }))
    }

    fn service_image(&self, service: &Service) -> Result<&str> {
        self.images.services.get(&service.owner).map(String::as_str).ok_or_else(|| {
            Error::Image(format!("the image of {} was not resolved: run `komandan build` first", service.owner))
        })
    }

    fn server_image(&self, database: &Database) -> Result<&str> {
        self.images
            .servers
            .get(&database.server)
            .map(String::as_str)
            .ok_or_else(|| Error::Image(format!("the image of {} was not resolved", database.server)))
    }
}

/// What every container may not do.
fn container_security() -> Value {
    json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } })
}

#[cfg(test)]
mod tests;
