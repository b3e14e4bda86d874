//! From a Compose file to files of ours. Pure but for the files that it looks at.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::{Mapping, Value};

use super::compose::{Compose, Service};
use super::databases::Server;
use super::environment::{Environment, environment};
use super::health::{Health, Probe, health};
use super::nodes::{Node, nodes};
use super::ports::{Port, ports};
use super::references::{Field, Host, Segment};
use super::stores::Stores;
use super::yaml::{document, list, map};
use super::{Findings, Known, keys, scripts};

/// Everything that is known once the file is read.
pub(super) struct Plan<'a> {
    pub(super) compose: &'a Compose,
    pub(super) known: &'a Known<'a>,
    pub(super) servers: BTreeMap<String, Server>,
    pub(super) nodes: Vec<Node>,
    pub(super) environments: BTreeMap<usize, Environment>,
    pub(super) stores: Stores,
    /// The ports of each node.
    pub(super) ports: Vec<Vec<Port>>,
}

/// The files to write, by their paths in the repository.
pub(super) fn translate(compose: &Compose, known: &Known<'_>, findings: &mut Findings) -> BTreeMap<String, String> {
    for service in &compose.services {
        keys::unread(service, findings);
    }
    let plan = Plan::of(compose, known, findings);
    let mut files = BTreeMap::new();
    for number in 0..plan.nodes.len() {
        plan.write(number, &mut files, findings);
    }
    for (name, server) in plan.servers.iter().filter(|(_, server)| !server.scripts.is_empty()) {
        scripts::write(&plan, name, server, &mut files, findings);
    }
    plan.repository(&mut files);
    files
}

impl<'a> Plan<'a> {
    fn of(compose: &'a Compose, known: &'a Known<'a>, findings: &mut Findings) -> Self {
        let mut servers: BTreeMap<String, Server> = BTreeMap::new();
        for service in &compose.services {
            if let Some(server) = Server::of(service, known, findings) {
                servers.insert(service.name.clone(), server);
            }
        }
        // A server that no variable names cannot be wired: it stays the image that it is, under its own name.
        let judged = environments(compose, &servers, known);
        let named: BTreeSet<&str> = judged
            .values()
            .flat_map(|environment| environment.values.values().flatten())
            .filter_map(|segment| match segment {
                Segment::Database { server, .. } => Some(server.as_str()),
                _ => None,
            })
            .collect();
        let silent: Vec<String> = servers.keys().filter(|name| !named.contains(name.as_str())).cloned().collect();
        for name in silent {
            servers.remove(&name);
            let why = "no variable of another service names it: it runs as the image that it is; write `databases:` and read its wiring to have it managed";
            findings.add(Some(&name), "database", why);
        }
        let environments = environments(compose, &servers, known);
        let nodes = nodes(compose, &servers, known, findings);
        let stores = Stores::of(&nodes, &environments, &servers);
        let mut plan = Self { compose, known, servers, nodes, environments, stores, ports: Vec::new() };
        plan.ports = plan.nodes.iter().map(|node| plan.ports_of(node)).collect();
        plan
    }

    /// The service of the Compose file that a node is.
    pub(super) fn service(&self, node: &Node) -> &'a Service {
        &self.compose.services[node.at]
    }

    /// The node that a service of the Compose file became, as itself or as a process.
    pub(super) fn node_of(&self, name: &str) -> Option<(usize, &Node)> {
        let is_it = |at: usize| self.compose.services[at].name == name;
        self.nodes.iter().enumerate().find(|(_, node)| node.parts().any(is_it))
    }

    fn ports_of(&self, node: &Node) -> Vec<Port> {
        let service = self.service(node);
        let (mut called, mut http) = (BTreeSet::new(), BTreeSet::new());
        for segment in self.environments.values().flat_map(|environment| environment.values.values().flatten()) {
            if let Segment::Service { name, port: Some(port), field } = segment
                && *name == service.name
            {
                called.insert(*port);
                if *field == Field::Url {
                    http.insert(*port);
                }
            }
        }
        if let Some(Health { probe: Some(Probe::Http(_)), port: Some(port), .. }) =
            service.healthcheck.as_ref().and_then(health)
        {
            called.insert(port);
            http.insert(port);
        }
        ports(service, &called, &http)
    }

    /// The repository's own file, where folders or shared databases need one.
    fn repository(&self, files: &mut BTreeMap<String, String>) {
        let folders: BTreeSet<String> = files
            .keys()
            .filter_map(|path| path.strip_suffix("service.yaml"))
            .map(|folder| match folder.trim_end_matches('/') {
                "" => ".".to_owned(),
                folder if folder.starts_with("services/") => "services/*".to_owned(),
                folder => folder.to_owned(),
            })
            .collect();
        let mut yaml = Mapping::new();
        if folders.iter().any(|folder| folder == "." || folder.contains('/')) {
            list(&mut yaml, "services", folders.into_iter().map(Value::from).collect());
        }
        let shared = self.stores.iter().filter(|store| store.owner.is_none());
        let shared = shared.filter_map(|store| {
            Some((Value::from(store.alias.as_str()), declared(self.servers.get(&store.server)?).into()))
        });
        map(&mut yaml, "databases", shared.collect());
        if !yaml.is_empty() {
            files.insert("clustergraph.yaml".to_owned(), document(&yaml, self.known));
        }
    }
}

/// The variables of all services that are no database servers.
fn environments(
    compose: &Compose,
    servers: &BTreeMap<String, Server>,
    known: &Known<'_>,
) -> BTreeMap<usize, Environment> {
    let hosts: BTreeMap<String, Host> =
        compose.services.iter().map(|service| (service.name.clone(), host(service, servers))).collect();
    let others = compose.services.iter().enumerate().filter(|(_, service)| !servers.contains_key(&service.name));
    others
        .map(|(at, service)| {
            let mut hosts = hosts.clone();
            hosts.remove(&service.name);
            (at, environment(service, &hosts, servers, known))
        })
        .collect()
}

fn host(service: &Service, servers: &BTreeMap<String, Server>) -> Host {
    let kinds = &clustergraph::catalogue::Catalogue::built_in().databases;
    match servers.get(&service.name).and_then(|server| kinds.get(&server.kind)) {
        Some(kind) => Host::Server { url: kind.url.clone(), has_brokers: kind.brokers.is_some() },
        None => Host::Service,
    }
}

/// What a store says of itself.
pub(super) fn declared(server: &Server) -> Mapping {
    let mut entry = Mapping::new();
    entry.insert("kind".into(), server.kind.as_str().into());
    if let Some(version) = &server.version {
        entry.insert("version".into(), version.as_str().into());
    }
    if let Some(image) = &server.image {
        entry.insert("image".into(), image.as_str().into());
    }
    let has_settings = clustergraph::catalogue::Catalogue::built_in()
        .databases
        .get(&server.kind)
        .is_some_and(|kind| kind.settings.is_some());
    if has_settings {
        let settings =
            server.settings.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect();
        map(&mut entry, "settings", settings);
    }
    entry
}
