//! Targets: a version to deploy from a graph, or to bring back from the store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clustergraph::format::repository::Egress;
use clustergraph::format::service::Wait;
use clustergraph::graph::{Graph, Service};

use crate::cluster::view::Observed;
use crate::error::{Error, Result};
use crate::plan::Target;
use crate::render::{Images, Kind, Object, Rendered, check, hash_of_node, policy};
use crate::store::Store;
use crate::store::bundle::{self, Bundle};
use crate::store::databases::{EXTERNAL, Need};
use crate::store::record::{Commit, Content, Node, Record, Smoke};

/// The longest time for which a former version stays ready: a year. More seconds than some number are a time that no clock
/// of Kubernetes can tell.
const LONGEST_WARM: u64 = 366 * 24 * 3600;

/// The images that are known without asking a registry: an id that is stored has its image already, and a
/// server keeps the one it runs.
pub(crate) fn known_images(graph: &Graph, records: &[&Record], observed: &Observed) -> Images {
    let mut images = Images::default();
    for service in graph.services.values() {
        let stored = records.iter().filter_map(|record| record.content.nodes.get(&service.name));
        // A process or a job of the same id has its service's very sources, and so its image.
        if let Some(node) = stored.into_iter().find(|node| node.id == service.id) {
            images.services.insert(service.owner.clone(), node.image.clone());
        }
    }
    for database in graph.databases.values() {
        let set = observed.stateful_sets.get(&crate::names::server(database));
        let pod = set.and_then(|set| set.spec.as_ref()).and_then(|spec| spec.template.spec.as_ref());
        if let Some(image) = pod.and_then(|pod| pod.containers.first()).and_then(|container| container.image.clone()) {
            images.servers.insert(database.server.clone(), image);
        }
    }
    images
}

/// A graph as a target, with the bundles that the store does not have yet.
pub(crate) fn of_graph(
    graph: &Graph,
    rendered: Rendered,
    images: &Images,
    cluster: &str,
    records: &[&Record],
) -> Result<(Target, Vec<Bundle>)> {
    let commit = graph.commit.as_ref().map_or_else(
        || Commit { id: String::new(), summary: "uncommitted".to_owned(), author: String::new() },
        |commit| Commit { id: commit.id.clone(), summary: commit.summary.clone(), author: commit.author.clone() },
    );
    let settings = graph.repository.clusters.get(cluster);
    let mut content = Content {
        version: graph.version,
        commit,
        nodes: BTreeMap::new(),
        entries: rendered.entries.clone(),
        front: rendered.front.clone(),
        migrations: BTreeMap::new(),
        schemas: BTreeMap::new(),
        is_closed: settings.is_some_and(|it| it.egress == Egress::Deny),
        warm_seconds: settings.and_then(|it| it.warm).map(warm_seconds),
        lends: settings.is_some_and(|it| it.lends && it.ttl.is_none()),
        lets_in: None,
        borrowed: images.borrowed.clone(),
        lent: rendered.lent.clone(),
    };
    let stored: BTreeMap<(&str, &str), &str> = records
        .iter()
        .flat_map(|record| record.content.nodes.values())
        .map(|node| ((node.workload.as_str(), node.hash.as_str()), node.bundle.as_str()))
        .collect();
    let is_stored = |workload: &str, hash: &str| stored.get(&(workload, hash)).map(|bundle| (*bundle).to_owned());
    let new: Vec<_> = rendered.nodes.values().filter(|node| is_stored(&node.workload, &node.hash).is_none()).collect();
    let bundles = bundle::pack(&new)?;
    for (name, node) in &rendered.nodes {
        let Some(service) = graph.services.get(name) else { continue };
        let packed = bundles.iter().find(|bundle| bundle.workloads.contains(&node.workload));
        let bundle = is_stored(&node.workload, &node.hash).or_else(|| packed.map(|bundle| bundle.name.clone()));
        let edges = || service.dependencies.iter().filter(|edge| rendered.nodes.contains_key(&edge.service));
        let dependencies: BTreeSet<String> = edges().map(|edge| edge.service.clone()).collect();
        let lent = images.borrowed.iter().flat_map(|borrowed| borrowed.nodes.keys());
        let called = |name: &&String| service.dependencies.iter().any(|edge| edge.service == **name);
        let waited: BTreeSet<String> =
            edges().filter(|edge| edge.wait != Wait::None).map(|edge| edge.service.clone()).collect();
        content.nodes.insert(
            name.clone(),
            Node {
                id: service.id,
                source: service.source,
                behaviour: service.behaviour,
                workload: node.workload.clone(),
                kind: node.kind,
                image: images.services.get(&service.owner).cloned().unwrap_or_default(),
                replicas: node.replicas,
                scales: node.scales,
                hash: node.hash.clone(),
                bundle: bundle.unwrap_or_default(),
                dependencies: dependencies.into_iter().collect(),
                waits: Some(waited.into_iter().collect()),
                servers: servers(service, graph).into_iter().collect(),
                egress: service.egress.clone(),
                smoke: service.smoke.as_ref().map(|smoke| Smoke {
                    run: smoke.run.clone(),
                    every: smoke.every.as_secs().max(1),
                    env: check::own_address(service, &node.workload),
                }),
                calls_itself: !service.ports.is_empty() && (service.smoke.is_some() || service.test.is_some()),
                borrows: lent.filter(called).cloned().collect(),
                never_lent: !service.borrow,
            },
        );
    }
    for database in graph.databases.values() {
        if let Some(key) = database.migration {
            content.migrations.insert(database.address.clone(), key);
        }
        content.schemas.extend(database.schemas.map(|schemas| (database.address.clone(), schemas)));
    }
    let running = graph.services.values().filter(|service| content.nodes.contains_key(&service.name));
    let stores = running.map(|service| (service.name.clone(), service.databases.iter().cloned().collect())).collect();
    let target = Target {
        waits: waits(&content),
        content,
        objects: rendered.nodes.into_iter().map(|(name, node)| (name, node.objects)).collect(),
        stores,
        base: rendered.base,
        claims: rendered.claims,
        codes: BTreeMap::new(),
        servers: rendered.servers,
        server_of: rendered
            .databases
            .into_iter()
            .map(|(address, database)| (address, database.wanted.server))
            .filter(|(_, server)| server != EXTERNAL)
            .collect(),
    };
    Ok((target, bundles))
}

/// Kubernetes' deadlines are whole seconds, and one of none would be over before it is given to anything.
fn warm_seconds(warm: Duration) -> u64 {
    let whole = warm.as_secs() + u64::from(warm.subsec_nanos() > 0);
    whole.clamp(1, LONGEST_WARM)
}

fn servers(service: &Service, graph: &Graph) -> BTreeSet<String> {
    let databases = service.databases.iter().filter_map(|address| graph.databases.get(address));
    databases.map(crate::names::server).collect()
}

impl Target {
    /// Lets in those who are labelled with the name of its namespace, where it lends.
    pub(crate) fn letting_in(mut self, namespace: &str) -> Self {
        self.content.lets_in = self.content.lends.then(|| namespace.to_owned());
        self
    }

    /// Adds who may call whom, in this version and in those that are kept beside it.
    pub(crate) fn with_policies(mut self, kept: &[&Record], cluster: &str) -> Self {
        let mut versions = vec![&self.content];
        versions.extend(kept.iter().map(|record| &record.content));
        let policies = policy::policies(cluster, &versions);
        self.base.extend(policies);
        self
    }
}

/// A stored version as a target: neither repository nor registry is asked. Databases stay as they are.
pub(crate) async fn of_record(record: &Record, store: Store<'_>) -> Result<Target> {
    let names: BTreeSet<&str> = record.content.nodes.values().map(|node| node.bundle.as_str()).collect();
    let read = names.into_iter().map(|name| async move { store.bundle(name).await.map(|content| (name, content)) });
    let bundles = futures_util::future::try_join_all(read).await?;
    let objects = objects_of(record, &bundles.into_iter().collect())?;
    Ok(Target {
        content: record.content.clone(),
        objects,
        waits: waits(&record.content),
        stores: BTreeMap::new(),
        base: Vec::new(),
        claims: Vec::new(),
        codes: BTreeMap::new(),
        servers: BTreeMap::new(),
        server_of: BTreeMap::new(),
    })
}

/// What must be done for the tasks of a target. Nothing is asked of the store where there are none.
pub(crate) async fn tasks(target: &Target, store: Store<'_>, observed: &Observed) -> Result<BTreeMap<String, Need>> {
    if target.content.nodes.values().all(|node| node.kind != Kind::Task) {
        return Ok(BTreeMap::new());
    }
    Ok(store.tasks().await?.value.needs(target, observed))
}

fn waits(content: &Content) -> BTreeMap<String, BTreeSet<String>> {
    content.nodes.iter().map(|(name, node)| (name.clone(), node.waits().iter().cloned().collect())).collect()
}

/// The objects of each node, from the very bundle that its record names: another bundle may hold the same
/// workload in another form.
fn objects_of(record: &Record, bundles: &BTreeMap<&str, bundle::Content>) -> Result<BTreeMap<String, Vec<Object>>> {
    let objects_of = |node: &Node| {
        let found = bundles.get(node.bundle.as_str()).and_then(|content| content.get(&node.workload));
        found.filter(|objects| hash_of_node(objects) == node.hash).cloned().ok_or_else(|| {
            Error::Store(format!(
                "the stored bundle {} does not hold {} as version {} had it: deploy its commit again",
                node.bundle, node.workload, record.number
            ))
        })
    };
    record.content.nodes.iter().map(|(name, node)| Ok((name.clone(), objects_of(node)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::tests::content;
    use jiff::Timestamp;
    use serde_json::json;

    #[test]
    fn a_node_is_taken_from_the_bundle_that_its_record_names() {
        let form = |grace: u32| {
            let body = json!({ "kind": "Deployment", "metadata": { "name": "api-1" }, "spec": { "grace": grace } });
            vec![Object::new(body)]
        };
        let holds = |grace| bundle::Content::from([("api-1".to_owned(), form(grace))]);
        let mut content = content(&[("api", "1", 1)]);
        if let Some(api) = content.nodes.get_mut("api") {
            api.workload = "api-1".to_owned();
            api.bundle = "b".to_owned();
            api.hash = hash_of_node(&form(2));
        }
        let record = Record::new(1, content, None, "a".to_owned(), Timestamp::UNIX_EPOCH);
        let bundles = BTreeMap::from([("a", holds(1)), ("b", holds(2)), ("c", holds(3))]);
        assert_eq!(objects_of(&record, &bundles).unwrap()["api"], form(2));
        let bundles = BTreeMap::from([("a", holds(2)), ("b", holds(1))]);
        assert!(objects_of(&record, &bundles).unwrap_err().to_string().contains("deploy its commit again"));
    }
}
