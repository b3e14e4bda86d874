//! Who may call whom. Policies select by the stable labels of services, and hold the edges of all versions that are kept:
//! they are widened before a version starts, and narrowed when one is collected.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Object;
use super::database::SERVER;
use crate::names::{self, Component};
use crate::store::record::Content;

/// The port of DNS.
const DNS: u16 = 53;

/// The label that every namespace has, with its name.
const NAMESPACE: &str = "kubernetes.io/metadata.name";

/// All edges of some versions.
#[derive(Debug, Default)]
struct Edges<'c> {
    /// Who calls a service, by its name.
    callers: BTreeMap<&'c str, BTreeSet<&'c str>>,
    /// Who stores on a server, by its name.
    clients: BTreeMap<&'c str, BTreeSet<&'c str>>,
    /// The ports at which a service is called from outside, each with the only namespace from which, if there is one.
    entries: BTreeMap<&'c str, BTreeSet<(Option<&'c str>, u16)>>,
    /// What services call outside the cluster, as `host:port`.
    outside: BTreeMap<&'c str, BTreeSet<&'c str>>,
}

/// The policies of some versions; the first of them says whether pods may reach what is outside.
pub(crate) fn policies(cluster: &str, versions: &[&Content]) -> Vec<Object> {
    let Some(first) = versions.first() else { return Vec::new() };
    let mut edges = Edges::default();
    for content in versions {
        for (name, node) in &content.nodes {
            for called in &node.dependencies {
                edges.callers.entry(called).or_default().insert(name);
            }
            if node.calls_itself {
                edges.callers.entry(name).or_default().insert(name);
            }
            for server in &node.servers {
                edges.clients.entry(server).or_default().insert(name);
            }
            edges.outside.entry(name).or_default().extend(node.egress.iter().map(String::as_str));
        }
        for entry in content.entries.values() {
            // A controller leads to the port that its Ingress names, and to no other.
            let from = content.front.as_ref().map(|front| front.namespace.as_deref());
            let ports = entry.ports.values().filter(|port| from.is_none() || **port == entry.port);
            let ports = ports.map(|port| (from.flatten(), *port));
            edges.entries.entry(&entry.service).or_default().extend(ports);
        }
    }
    let scene = Scene { cluster };
    let mut policies = vec![scene.default(first.is_closed)];
    policies.extend(first.lets_in.as_ref().map(|label| scene.to_lent(label, versions)));
    let called: BTreeSet<&str> = edges.callers.keys().chain(edges.entries.keys()).copied().collect();
    policies.extend(called.into_iter().map(|service| scene.to_service(service, &edges)));
    policies.extend(edges.clients.iter().map(|(server, clients)| scene.to_server(server, clients)));
    if first.is_closed {
        policies.push(scene.reach_of_migrations());
        policies.extend(edges.outside.iter().filter_map(|(name, outside)| scene.reach_of(name, outside, &edges)));
        policies.extend(scene.reach_of_borrowed(versions));
    }
    policies
}

struct Scene<'c> {
    cluster: &'c str,
}

impl Scene<'_> {
    fn policy(&self, name: &str, spec: Value) -> Object {
        Object::new(json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": { "name": name, "labels": names::labels(self.cluster, Component::Policy) },
            "spec": spec,
        }))
    }

    /// Pods of the cluster that have one of these values of a label.
    fn pods(&self, label: &str, values: &BTreeSet<&str>) -> Value {
        json!({
            "matchLabels": { (names::PART_OF): self.cluster },
            "matchExpressions": [{ "key": label, "operator": "In", "values": values }],
        })
    }

    /// What holds for every pod of the cluster: nobody calls it. Outside it may reach everything, or names alone.
    fn default(&self, is_closed: bool) -> Object {
        let egress = match is_closed {
            true => json!([{ "ports": [{ "protocol": "UDP", "port": DNS }, { "protocol": "TCP", "port": DNS }] }]),
            false => json!([{}]),
        };
        let spec = json!({
            "podSelector": { "matchLabels": { (names::PART_OF): self.cluster } },
            "policyTypes": ["Ingress", "Egress"],
            "egress": egress,
        });
        self.policy(names::DEFAULT_POLICY, spec)
    }

    fn to_service(&self, service: &str, edges: &Edges<'_>) -> Object {
        let mut ingress = Vec::new();
        if let Some(callers) = edges.callers.get(service) {
            ingress.push(json!({ "from": [{ "podSelector": self.pods(names::NAME, callers) }] }));
        }
        if let Some(ports) = edges.entries.get(service) {
            let namespaces: BTreeSet<Option<&str>> = ports.iter().map(|(from, _)| *from).collect();
            for from in namespaces {
                let ports = ports.iter().filter(|(namespace, _)| *namespace == from);
                let ports: Vec<Value> = ports.map(|(_, port)| json!({ "protocol": "TCP", "port": port })).collect();
                let mut rule = json!({ "ports": ports });
                if let Some(name) = from {
                    let labels = json!({ "matchLabels": { (NAMESPACE): name } });
                    rule["from"] = json!([{ "namespaceSelector": labels }]);
                }
                ingress.push(rule);
            }
        }
        let spec = json!({
            "podSelector": self.pods(names::NAME, &[service].into()),
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        });
        self.policy(&names::policy_to_service(service), spec)
    }

    /// A server is called by who stores there, by the Jobs that make its databases, and by others of its own.
    fn to_server(&self, server: &str, clients: &BTreeSet<&str>) -> Object {
        let from = [
            self.pods(names::NAME, clients),
            self.pods(names::COMPONENT, &[Component::Migration.as_str()].into()),
            self.pods(SERVER, &[server].into()),
        ];
        let from: Vec<Value> = from.into_iter().map(|pods| json!({ "podSelector": pods })).collect();
        let spec = json!({
            "podSelector": self.pods(SERVER, &[server].into()),
            "policyTypes": ["Ingress"],
            "ingress": [{ "from": from }],
        });
        self.policy(&names::policy_to_server(server), spec)
    }

    /// Namespaces of overlays call what is lent. It is the same policy whoever they are, and however many.
    fn to_lent(&self, label: &str, versions: &[&Content]) -> Object {
        let nodes = versions.iter().flat_map(|content| &content.nodes);
        let never: BTreeSet<&str> = nodes.filter(|(_, node)| node.never_lent).map(|(name, _)| name.as_str()).collect();
        let mut pods = self.pods(names::COMPONENT, &[Component::Service.as_str()].into());
        if let (Some(rules), false) = (pods["matchExpressions"].as_array_mut(), never.is_empty()) {
            rules.push(json!({ "key": names::NAME, "operator": "NotIn", "values": never }));
        }
        let from = json!({ "namespaceSelector": { "matchLabels": { (names::OVERLAY_OF): label } } });
        let spec = json!({ "podSelector": pods, "policyTypes": ["Ingress"], "ingress": [{ "from": [from] }] });
        self.policy(names::LENDING_POLICY, spec)
    }

    /// What is borrowed may be reached by who calls it, where nobody else is let out.
    fn reach_of_borrowed(&self, versions: &[&Content]) -> Option<Object> {
        let borrowers = versions.iter().flat_map(|content| &content.nodes);
        let borrowers: BTreeSet<&str> =
            borrowers.filter(|(_, node)| !node.borrows.is_empty()).map(|(name, _)| name.as_str()).collect();
        let lenders = versions.iter().filter_map(|content| content.borrowed.as_ref());
        let lenders: BTreeSet<(&str, &str)> = lenders.map(|it| (it.from.as_str(), it.namespace.as_str())).collect();
        let to = lenders.into_iter().map(|(from, namespace)| {
            json!({
                "namespaceSelector": { "matchLabels": { (NAMESPACE): namespace } },
                "podSelector": { "matchLabels": {
                    (names::PART_OF): from, (names::COMPONENT): Component::Service.as_str(),
                } },
            })
        });
        let to: Vec<Value> = to.collect();
        if to.is_empty() || borrowers.is_empty() {
            return None;
        }
        let spec = json!({
            "podSelector": self.pods(names::NAME, &borrowers),
            "policyTypes": ["Egress"],
            "egress": [{ "to": to }],
        });
        Some(self.policy(names::BORROWING_POLICY, spec))
    }

    fn reach_of_migrations(&self) -> Object {
        let servers = json!({
            "matchLabels": { (names::PART_OF): self.cluster },
            "matchExpressions": [{ "key": SERVER, "operator": "Exists" }],
        });
        let pods = [Component::Migration.as_str(), Component::Database.as_str()];
        let spec = json!({
            "podSelector": self.pods(names::COMPONENT, &pods.into()),
            "policyTypes": ["Egress"],
            "egress": [{ "to": [{ "podSelector": servers }] }],
        });
        self.policy(names::MIGRATIONS_POLICY, spec)
    }

    /// What a service may reach where the cluster lets nobody out: what it calls, where it stores, and what it declares.
    fn reach_of(&self, service: &str, outside: &BTreeSet<&str>, edges: &Edges<'_>) -> Option<Object> {
        let of = |edges: &BTreeMap<&str, BTreeSet<&str>>| -> Vec<String> {
            edges.iter().filter(|(_, from)| from.contains(service)).map(|(to, _)| (*to).to_owned()).collect()
        };
        let mut egress = Vec::new();
        for (label, called) in [(names::NAME, of(&edges.callers)), (SERVER, of(&edges.clients))] {
            let called: BTreeSet<&str> = called.iter().map(String::as_str).collect();
            if !called.is_empty() {
                egress.push(json!({ "to": [{ "podSelector": self.pods(label, &called) }] }));
            }
        }
        egress.extend(outside.iter().filter_map(|address| outside_rule(address)));
        let spec = json!({
            "podSelector": self.pods(names::NAME, &[service].into()),
            "policyTypes": ["Egress"],
            "egress": egress,
        });
        (!egress.is_empty()).then(|| self.policy(&names::policy_from_service(service), spec))
    }
}

/// One place outside. Kubernetes' policies know addresses only: of a name, the port alone can be held.
fn outside_rule(address: &str) -> Option<Value> {
    let (host, port) = address.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let (base, length) = host.split_once('/').map_or((host, None), |(base, length)| (base, Some(length)));
    let everywhere = || vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()];
    let blocks = match (base.parse::<std::net::IpAddr>(), length) {
        (Ok(_), Some(_)) => vec![host.to_owned()],
        (Ok(address), None) => vec![format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })],
        (Err(_), _) => everywhere(),
    };
    let to: Vec<Value> = blocks.into_iter().map(|block| json!({ "ipBlock": { "cidr": block } })).collect();
    Some(json!({ "to": to, "ports": [{ "protocol": "TCP", "port": port }] }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Entry;
    use crate::store::record::tests::content;

    fn version(calls: &[(&str, &[&str])], is_closed: bool) -> Content {
        let nodes: Vec<(&str, &str, u32)> = calls.iter().map(|(name, _)| (*name, "1", 1)).collect();
        let mut content = content(&nodes);
        for (name, called) in calls {
            let node = content.nodes.get_mut(*name).unwrap();
            node.dependencies = called.iter().map(|name| (*name).to_owned()).collect();
        }
        content.is_closed = is_closed;
        content
    }

    fn entry(ports: &[(&str, u16)]) -> Entry {
        Entry {
            service: "www".into(),
            id: "1".into(),
            path: "/".into(),
            port: 80,
            scheme: "http".into(),
            ports: ports.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect(),
        }
    }

    #[test]
    fn policies_hold_the_edges_of_all_versions_that_are_kept() {
        let mut now = version(&[("www", &["api"]), ("api", &[])], false);
        now.entries.insert("www".into(), entry(&[("http", 80)]));
        now.nodes.get_mut("api").unwrap().servers = vec!["db-postgres-15".into()];
        let before = version(&[("www", &["api", "cart"]), ("etl.load", &["api"]), ("cart", &[]), ("api", &[])], true);
        insta::assert_yaml_snapshot!("union", policies("production", &[&now, &before]));
        assert!(policies("production", &[]).is_empty());
    }

    #[test]
    fn behind_an_ingress_only_its_controller_calls_the_entries() {
        let mut now = version(&[("www", &[])], false);
        now.entries.insert("www".into(), entry(&[("http", 80), ("metrics", 9090)]));
        let namespace = Some("ingress-nginx".to_owned());
        now.front = Some(crate::render::Front {
            host: "shop.example".into(),
            class: None,
            namespace,
            gateway: None,
            tls: None,
        });
        insta::assert_yaml_snapshot!("behind_an_ingress", policies("production", &[&now]));
    }

    #[test]
    fn who_lends_lets_in_overlays_but_not_to_what_is_never_lent_and_who_borrows_is_let_out() {
        let mut base = version(&[("www", &["api", "pay"]), ("api", &[]), ("pay", &[])], false);
        base.lets_in = Some("shop".to_owned());
        base.nodes.get_mut("pay").unwrap().never_lent = true;
        insta::assert_yaml_snapshot!("lending", policies("production", &[&base])[1]);
        let mut overlay = version(&[("www", &[]), ("pay", &[])], true);
        overlay.nodes.get_mut("www").unwrap().borrows = vec!["api".to_owned()];
        overlay.borrowed = Some(crate::render::Borrowed {
            from: "production".to_owned(),
            namespace: "shop".to_owned(),
            version: 12,
            nodes: BTreeMap::new(),
        });
        insta::assert_yaml_snapshot!("borrowing", policies("pr-7", &[&overlay]).last());
    }

    #[test]
    fn where_nobody_is_let_out_each_reaches_what_it_calls_and_what_it_declares() {
        let mut now = version(&[("www", &["api"]), ("api", &[])], true);
        let api = now.nodes.get_mut("api").unwrap();
        api.servers = vec!["db-postgres-15".into()];
        api.egress = ["api.stripe.example:443", "10.0.0.0/8:5432", "192.0.2.7:25"].map(str::to_owned).into();
        insta::assert_yaml_snapshot!("closed", policies("production", &[&now]));
    }
}
