//! What of a commit's graph and of the version that the base serves decides what an overlay runs, and the graph of that alone. Pure.

use std::collections::{BTreeMap, BTreeSet};

use clustergraph::catalogue::Scope;
use clustergraph::format::service::Start;
use clustergraph::graph::{Database, Graph, Role, Service};

use super::decide::Candidate;
use crate::render::{Kind, running};
use crate::store::record::{Content, Node};

/// All services of a commit's cluster, and those that only the base runs.
///
/// What the base says of what it lends counts beside what the commit says: whoever wrote the commit may have written anything.
pub(super) fn candidates(graph: &Graph, base: &Content) -> BTreeMap<String, Candidate> {
    let running = running(graph);
    let here = running.iter().filter_map(|name| graph.services.get(name));
    let mut all: BTreeMap<String, Candidate> =
        here.map(|service| (service.name.clone(), of_service(service, graph, &running, base))).collect();
    for (name, node) in &base.nodes {
        all.entry(name.clone()).or_insert_with(|| only_there(node));
    }
    all
}

fn of_service(service: &Service, graph: &Graph, running: &BTreeSet<String>, base: &Content) -> Candidate {
    let there = base.nodes.get(&service.name);
    let differs = differs(service, there);
    // Of what is the very same the base says what it calls there: what is optional may run there and not here.
    let same = there.filter(|_| differs.is_none());
    let takes_requests = |name: &&String| graph.services.get(*name).is_none_or(|called| !called.ports.is_empty());
    let calls = service.dependencies.iter().map(|edge| &edge.service).filter(|name| running.contains(*name));
    let calls = calls.chain(same.into_iter().flat_map(|node| &node.dependencies));
    let stored = service.databases.iter().filter_map(|address| graph.databases.get(address));
    Candidate {
        runs: true,
        is_entry: service.public.is_some(),
        is_never_lent: !service.borrow || there.is_some_and(|node| node.never_lent),
        is_alone: service.singleton
            || !service.volumes.is_empty()
            || same.is_some_and(|node| node.kind == Kind::HandedOver),
        calls: calls.filter(takes_requests).cloned().collect(),
        stores: stored.map(|database| data(graph, database)).collect(),
        differs,
    }
}

fn only_there(node: &Node) -> Candidate {
    Candidate {
        is_never_lent: node.never_lent,
        is_alone: node.kind == Kind::HandedOver,
        calls: node.dependencies.iter().cloned().collect(),
        // Which databases these are on its servers, its version does not say.
        stores: node.servers.iter().cloned().collect(),
        ..Candidate::default()
    }
}

/// How a service differs from what the base runs under its name.
fn differs(service: &Service, there: Option<&Node>) -> Option<String> {
    let Some(there) = there else { return Some("the base does not run it".to_owned()) };
    if there.id == service.id {
        return None;
    }
    let how = if there.source != service.source {
        "its sources differ"
    } else if there.behaviour != service.behaviour {
        "its service.yaml differs"
    } else {
        "what it calls differs"
    };
    Some(how.to_owned())
}

/// What data a database is: what all share in a server is the same data, whoever calls it what.
fn data(graph: &Graph, database: &Database) -> String {
    let kind = graph.catalogue.databases.get(&database.kind);
    if kind.is_some_and(|kind| kind.scope == Scope::Shared) {
        database.server.clone()
    } else {
        database.address.clone()
    }
}

/// Leaves of a graph what an overlay runs itself: that is all that starts, whatever would be started by itself or by others. What
/// these call beside it is wired, and not there.
pub(super) fn reduce(graph: &mut Graph, own: &BTreeSet<&String>) {
    let is_own = |name: &String| own.contains(name);
    let services = || graph.services.values().filter(|service| is_own(&service.name));
    let stored: BTreeSet<String> = services().flat_map(|service| service.databases.iter().cloned()).collect();
    // Processes and jobs run from their service's image, and a database is migrated by its owner's.
    let owners = stored.iter().filter_map(|address| graph.databases.get(address)?.owner.clone());
    let needed: BTreeSet<String> = services().map(|service| service.owner.clone()).chain(owners).collect();
    graph.databases.retain(|address, _| stored.contains(address));
    graph.services.retain(|name, _| own.contains(name) || needed.contains(name));
    for (name, service) in &mut graph.services {
        if own.contains(name) {
            service.start = Start::Automatic;
        } else {
            service.role = Role::Base;
            service.public = None;
            service.smoke = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::decide::{Decision, decide};
    use super::*;
    use crate::render::{self, Images};
    use crate::target;
    use clustergraph::tree::Tree;

    /// A shop: what is stored in an order's database is told by a worker, and each order is paid for.
    const SHOP: &[(&str, &str)] = &[
        (
            "www",
            "dependencies: [catalog, order, { service: hints, optional: true }]\nports: { http: 80 }\npublic: {}\n",
        ),
        ("catalog", "ports: { http: 80 }\ndatabases: [{ kind: postgres, as: products }]\n"),
        (
            "order",
            "dependencies: [catalog, payment]\nports: { http: 80 }\ndatabases: [{ kind: postgres, as: orders }]\nprocesses: { teller: { run: [./tell] } }\n",
        ),
        ("payment", "ports: { http: 80 }\nborrow: never\n"),
        ("hints", "ports: { http: 80 }\ndatabases: [kafka]\n"),
        ("etl", "databases: [kafka]\njobs: [{ name: load, schedule: \"0 3 * * *\", run: [./load] }]\n"),
        (
            "report",
            "databases: [{ from: catalog/products }]\njobs: [{ name: daily, schedule: \"0 3 * * *\", run: [./report] }]\n",
        ),
    ];

    fn graph(edit: impl Fn(&str, &str) -> String) -> Graph {
        let folder = tempfile::tempdir().unwrap();
        let text = |name: &str, yaml: &str| format!("name: {name}\nimage: some@sha256:{:064}\n{yaml}", 7);
        for (name, yaml) in SHOP {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("service.yaml"), edit(name, &text(name, yaml))).unwrap();
        }
        let git = std::process::Command::new("git").current_dir(folder.path()).args(["init", "-q"]).status();
        assert!(git.unwrap().success());
        Graph::build(&Tree::of_worktree(folder.path()).unwrap(), "production").unwrap()
    }

    fn images(graph: &Graph) -> Images {
        Images {
            services: graph
                .services
                .values()
                .map(|service| (service.owner.clone(), "image@sha256:0".to_owned()))
                .collect(),
            servers: graph
                .databases
                .values()
                .map(|database| (database.server.clone(), "server@sha256:0".to_owned()))
                .collect(),
            ..Images::default()
        }
    }

    fn version(graph: &Graph) -> Content {
        let images = images(graph);
        let rendered = render::render(graph, &images, "production").unwrap();
        target::of_graph(graph, rendered, &images, "production", &[]).unwrap().0.content
    }

    fn unchanged(_: &str, text: &str) -> String {
        text.to_owned()
    }

    /// What an overlay of the shop runs when these services have another environment.
    fn own(changed: &[&str]) -> (Graph, Decision) {
        let base = version(&graph(unchanged));
        let graph =
            graph(|name, text| format!("{text}{}", if changed.contains(&name) { "env: { A: b }\n" } else { "" }));
        let decision = decide(&candidates(&graph, &base));
        (graph, decision)
    }

    fn names<V>(map: &BTreeMap<String, V>) -> Vec<&str> {
        map.keys().map(String::as_str).collect()
    }

    #[test]
    fn what_a_change_reaches_is_own_with_all_that_shares_its_data() {
        let (_, decision) = own(&["www"]);
        assert_eq!(names(&decision.own), ["order", "order.teller", "payment", "www"]);
        assert_eq!(names(&decision.borrowed), ["catalog", "hints"]);
        assert_eq!(decision.borrowed["catalog"], ["catalog/products".to_owned()].into());
        let (_, decision) = own(&["hints"]);
        assert!(names(&decision.own).contains(&"etl.load"), "it shares the stream: {decision:?}");
        let (_, decision) = own(&["catalog"]);
        assert!(names(&decision.own).contains(&"report.daily"), "it stores in the catalog's: {decision:?}");
        assert_eq!(names(&decision.borrowed), ["hints"]);
    }

    #[test]
    fn only_what_is_own_runs_of_the_graph_and_it_is_wired_as_ever() {
        for changed in [&["www"][..], &["catalog"], &["hints"], &["order", "etl"], &[]] {
            let (mut graph, decision) = own(changed);
            let ids: BTreeMap<String, String> =
                graph.services.iter().map(|(name, service)| (name.clone(), service.id.short())).collect();
            reduce(&mut graph, &decision.own.keys().collect());
            let running = running(&graph);
            assert_eq!(running.iter().map(String::as_str).collect::<Vec<_>>(), names(&decision.own), "{changed:?}");
            let nodes = decision.borrowed.keys().map(|name| {
                let lent = render::Loan {
                    workload: format!("{name}-{}", ids[name]),
                    ports: [("http".to_owned(), 80)].into(),
                    writes: Vec::new(),
                };
                (name.clone(), lent)
            });
            let borrowed = render::Borrowed {
                from: "production".to_owned(),
                namespace: "shop".to_owned(),
                version: 12,
                nodes: nodes.collect(),
            };
            let images = Images { borrowed: Some(borrowed), ..images(&graph) };
            let rendered = render::render(&graph, &images, "pr-7").unwrap();
            let env = serde_json::to_string(&rendered.nodes["www"].objects[0].body).unwrap();
            for (name, id) in ["order", "catalog", "hints"].map(|name| (name, &ids[name])) {
                let host = if decision.own.contains_key(name) {
                    format!("{name}-{id}")
                } else {
                    format!("{name}-{id}.shop.svc")
                };
                let url = format!("{{\"name\":\"{}_URL\",\"value\":\"http://{host}:80\"}}", name.to_uppercase());
                assert!(env.contains(&url), "{url} is not in {env}");
            }
        }
    }

    #[test]
    fn whoever_wrote_the_commit_cannot_lend_themselves_what_the_base_does_not() {
        let base = version(&graph(unchanged));
        let lent = graph(|_, text| text.replace("borrow: never\n", ""));
        let decision = decide(&candidates(&lent, &base));
        assert!(decision.own.contains_key("payment"), "{decision:?}");
    }
}
