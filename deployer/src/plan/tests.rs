//! Plans, by cases and properties.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::render::Entry;
use crate::store::record::tests::content;

const CLUSTER: &str = "production";

fn object(kind: &str, name: &str, text: &str) -> Object {
    Object::new(json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name }, "spec": { "text": text } }))
}

/// `www` calls `api`; each is a Deployment and a Service, made of a text.
pub(super) fn target(api: &str, www: &str) -> Target {
    let mut content = content(&[("api", api, 2), ("www", www, 1)]);
    let www_id = content.nodes["www"].id.short();
    let entry = Entry {
        service: "www".into(),
        id: www_id,
        path: "/".into(),
        port: 80,
        scheme: "http".into(),
        ports: [("http".to_owned(), 80)].into(),
    };
    content.entries.insert("www".into(), entry);
    let objects = content
        .nodes
        .iter()
        .map(|(name, node)| {
            let objects = ["Deployment", "Service"].map(|kind| object(kind, &node.workload, &node.hash));
            (name.clone(), objects.to_vec())
        })
        .collect();
    Target {
        content,
        objects,
        waits: [("www".to_owned(), ["api".to_owned()].into())].into(),
        stores: BTreeMap::new(),
        base: Vec::new(),
        claims: Vec::new(),
        codes: BTreeMap::new(),
        servers: BTreeMap::new(),
        server_of: BTreeMap::new(),
    }
}

/// A cluster that is the target, all of it ready.
pub(super) fn made(target: &Target) -> Observed {
    let mut observed = Observed::default();
    let labels = json!({ (names::MANAGED_BY): names::MANAGER, (names::PART_OF): CLUSTER });
    for (name, objects) in &target.objects {
        let replicas = target.content.nodes[name].replicas;
        for object in objects {
            let metadata = json!({
                "name": object.name(), "labels": labels, "generation": 1,
                "annotations": { (names::HASH): object.hash() },
            });
            if object.kind() == "Deployment" {
                let status = json!({
                    "observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas,
                });
                let spec = json!({ "replicas": replicas, "selector": {}, "template": {} });
                let live: Deployment =
                    serde_json::from_value(json!({ "metadata": metadata, "spec": spec, "status": status })).unwrap();
                observed.deployments.insert(object.name().to_owned(), Arc::new(live));
            } else if object.kind() == "CronJob" {
                let mut metadata = metadata;
                metadata["labels"][names::NAME] = json!(name);
                let live = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
                observed.cron_jobs.insert(object.name().to_owned(), Arc::new(live));
            } else {
                let live: Service = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
                observed.services.insert(object.name().to_owned(), Arc::new(live));
            }
        }
    }
    for (name, entry) in &target.content.entries {
        let hash = entry.object(name, CLUSTER).hash().to_owned();
        let metadata = json!({ "name": name, "labels": labels, "annotations": { (names::HASH): hash } });
        let live: Service = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
        observed.services.insert(name.clone(), Arc::new(live));
    }
    observed
}

fn steps(target: &Target, current: Option<&Target>, observed: &Observed) -> Vec<String> {
    let steps = plan(
        target,
        current.map(|current| &current.content),
        &BTreeMap::new(),
        &BTreeMap::new(),
        observed,
        CLUSTER,
        Timestamp::UNIX_EPOCH,
    );
    let line = |step: &Step| {
        let after: Vec<String> = step.after.iter().map(ToString::to_string).collect();
        format!("{} {}: {} [{}]", step.action.as_str(), step.part, step.reason, after.join(" "))
    };
    steps.unwrap().iter().map(line).collect()
}

#[test]
fn everything_is_made_callees_first() {
    let wanted = target("1", "1");
    assert_eq!(
        steps(&wanted, None, &Observed::default()),
        [
            "create base: what the others stand on []",
            "create api: new [base]",
            "create www: new [base api]",
            "create entry www: new [base api www]",
        ]
    );
}

#[test]
fn what_is_as_it_should_be_is_no_step() {
    let wanted = target("1", "1");
    assert!(steps(&wanted, Some(&wanted), &made(&wanted)).is_empty());
}

#[test]
fn what_did_not_change_is_shared_and_the_entry_is_switched() {
    let (before, wanted) = (target("1", "1"), target("1", "2"));
    let www = &wanted.content.nodes["www"].workload;
    assert_eq!(
        steps(&wanted, Some(&before), &made(&before)),
        [
            "create base: what the others stand on []".to_owned(),
            "create www: its sources changed [base]".to_owned(),
            format!("switch entry www: to {www} [base www]"),
        ]
    );
}

#[test]
fn size_and_readiness_and_operation_are_changed_in_place() {
    let wanted = target("1", "1");
    let mut larger = wanted.clone();
    if let Some(api) = larger.content.nodes.get_mut("api") {
        api.replicas = 3;
    }
    assert_eq!(steps(&larger, Some(&wanted), &made(&wanted)), ["scale api: from 2 to 3 []"]);

    let mut observed = made(&wanted);
    let api = &wanted.content.nodes["api"].workload;
    let mut live = observed.deployments[api].as_ref().clone();
    live.status = None;
    observed.deployments.insert(api.clone(), Arc::new(live));
    assert_eq!(steps(&wanted, Some(&wanted), &observed), ["await api: not ready []"]);

    let mut other = wanted.clone();
    other.objects.insert("api".into(), vec![object("Deployment", api, "another probe")]);
    assert_eq!(steps(&other, Some(&wanted), &made(&wanted)), ["change api: its operation changed []"]);
}

#[test]
fn somebody_elses_object_stops_the_plan() {
    let wanted = target("1", "1");
    for name in ["www", &wanted.content.nodes["api"].workload] {
        let mut observed = Observed::default();
        let foreign: Service = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        observed.services.insert(name.to_owned(), Arc::new(foreign));
        let error = plan(&wanted, None, &BTreeMap::new(), &BTreeMap::new(), &observed, CLUSTER, Timestamp::UNIX_EPOCH)
            .unwrap_err();
        assert!(error.to_string().contains(name) && error.to_string().contains("left as it is"), "{error}");
    }
}

fn graph(edges: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
    edges.iter().map(|(from, to)| ((*from).to_owned(), to.iter().map(|to| (*to).to_owned()).collect())).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn callers_go_before_what_they_call() {
    let calls =
        graph(&[("www-1", &["api-1", "auth-1"]), ("api-1", &["auth-1"]), ("auth-1", &[]), ("www-2", &["auth-1"])]);
    let garbage = garbage(&calls, &set(&["www-2", "auth-1"]));
    assert_eq!(garbage.now, set(&["www-1"]));
    assert_eq!(garbage.later, [("api-1".to_owned(), set(&["www-1"]))].into());
}

#[test]
fn a_circle_goes_at_once_unless_somebody_calls_into_it() {
    let calls = graph(&[("a", &["b"]), ("b", &["a"])]);
    assert_eq!(garbage(&calls, &set(&[])).now, set(&["a", "b"]));
    let calls = graph(&[("a", &["b"]), ("b", &["a"]), ("c", &["a"])]);
    let garbage = garbage(&calls, &set(&[]));
    assert_eq!(garbage.now, set(&["c"]));
    assert_eq!(garbage.later.len(), 2);
}

proptest! {
    #[test]
    fn all_of_the_garbage_goes_and_nothing_that_is_kept(
        edges in proptest::collection::btree_map("[a-f]", proptest::collection::btree_set("[a-f]", 0..4), 0..6),
        kept in proptest::collection::btree_set("[a-f]", 0..4),
    ) {
        let garbage = garbage(&edges, &kept);
        let mut gone: BTreeSet<String> = garbage.now.clone();
        gone.extend(garbage.later.keys().cloned());
        let dead: BTreeSet<String> = edges.keys().filter(|name| !kept.contains(*name)).cloned().collect();
        prop_assert_eq!(gone, dead);
        // Something goes at once, so that the rest can follow.
        prop_assert!(garbage.later.is_empty() || !garbage.now.is_empty());
    }
}

#[test]
fn a_plan_is_stable_for_programs() {
    let wanted = target("1", "1");
    let steps =
        plan(&wanted, None, &BTreeMap::new(), &BTreeMap::new(), &Observed::default(), CLUSTER, Timestamp::UNIX_EPOCH)
            .unwrap();
    let value: Value = serde_json::to_value(&steps[2]).unwrap();
    assert_eq!(
        value,
        json!({
            "kind": "service", "name": "www", "action": "create", "reason": "new",
            "after": [{ "kind": "base" }, { "kind": "service", "name": "api" }],
        })
    );
}

/// `store` must be alone and `www` waits for it; `etl.load` is a job.
fn alone(text: &str) -> Target {
    let mut content = content(&[("store", text, 1), ("www", text, 1), ("etl.load", text, 1)]);
    let kinds = [("store", Kind::HandedOver), ("etl.load", Kind::Job)];
    for (name, kind) in kinds {
        content.nodes.get_mut(name).unwrap().kind = kind;
    }
    let mut objects = BTreeMap::new();
    for (name, node) in &content.nodes {
        let (kind, name_of_it) = match node.kind {
            Kind::Job => ("CronJob", "etl-load".to_owned()),
            _ => ("Deployment", node.workload.clone()),
        };
        objects.insert(name.clone(), vec![object(kind, &name_of_it, text)]);
    }
    let waits = [("www".to_owned(), ["store".to_owned()].into())].into();
    Target { content, objects, waits, ..target("1", "1") }
}

#[test]
fn what_must_be_alone_starts_at_the_switch_and_so_does_what_waits_for_it() {
    let (before, wanted) = (alone("1"), alone("2"));
    let former = &before.content.nodes["store"].workload;
    let plan_of = |current: Option<&Target>, observed: &Observed| -> Vec<(String, bool)> {
        let current = current.map(|current| &current.content);
        let (needs, tasks) = (BTreeMap::new(), BTreeMap::new());
        let steps = plan(&wanted, current, &needs, &tasks, observed, CLUSTER, Timestamp::UNIX_EPOCH).unwrap();
        steps
            .iter()
            .map(|step| (format!("{} {}: {}", step.action.as_str(), step.part, step.reason), step.at_switch))
            .collect()
    };
    assert_eq!(
        plan_of(Some(&before), &made(&before)),
        [
            ("create base: what the others stand on".to_owned(), false),
            ("change etl.load: its sources changed".to_owned(), true),
            (format!("start store: takes over from {former}"), true),
            ("create www: its sources changed".to_owned(), true),
        ]
    );
    assert_eq!(plan_of(Some(&wanted), &made(&wanted)), []);
    // What serves already is changed in place, whatever it is.
    let mut observed = made(&wanted);
    let store = &wanted.content.nodes["store"].workload;
    let mut live = observed.deployments[store].as_ref().clone();
    live.spec.as_mut().unwrap().replicas = Some(0);
    observed.deployments.insert(store.clone(), Arc::new(live));
    assert_eq!(plan_of(Some(&wanted), &observed), [("scale store: from 0 to 1".to_owned(), false)]);
}

#[test]
fn what_a_version_does_not_have_any_more_is_stopped_at_the_switch() {
    let (before, mut wanted) = (alone("1"), alone("1"));
    wanted.content.nodes.retain(|name, _| name == "www");
    wanted.waits.clear();
    let observed = made(&before);
    assert_eq!(
        steps(&wanted, Some(&before), &observed),
        ["stop etl.load: this version has no etl.load []", "stop store: this version has no store []"]
    );
}

#[test]
fn what_is_scaled_by_load_keeps_its_size_and_a_new_version_begins_with_that_of_the_former() {
    let (before, mut wanted) = (target("1", "1"), target("2", "1"));
    let mut observed = made(&before);
    let api = wanted.content.nodes.get_mut("api").unwrap();
    api.scales = true;
    let former = &before.content.nodes["api"].workload;
    let mut live = observed.deployments[former].as_ref().clone();
    live.spec.as_mut().unwrap().replicas = Some(7);
    live.metadata.labels.as_mut().unwrap().insert(names::NAME.to_owned(), "api".to_owned());
    observed.deployments.insert(former.clone(), Arc::new(live));
    assert_eq!(size_by_load("api", &wanted.content.nodes["api"], &observed), 7);
    assert_eq!(size_by_load("api", &wanted.content.nodes["api"], &Observed::default()), 2);
    // One that is handed over was ended before its new version starts.
    let mut ended = observed.clone();
    let mut live = ended.deployments[former].as_ref().clone();
    live.spec.as_mut().unwrap().replicas = Some(0);
    live.metadata.annotations.as_mut().unwrap().insert(names::SIZE.to_owned(), "7".to_owned());
    ended.deployments.insert(former.clone(), Arc::new(live));
    assert_eq!(size_by_load("api", &wanted.content.nodes["api"], &ended), 7);
    let mut same = before.clone();
    same.content.nodes.get_mut("api").unwrap().scales = true;
    assert_eq!(steps(&same, Some(&before), &observed), ["await api: not ready []"], "no step sets its size");
}

/// A task that fills a database whose server lies on a volume.
pub(crate) fn task(text: &str, volume: &str) -> (Target, Observed) {
    let mut content = content(&[("fill", text, 1)]);
    content.nodes.get_mut("fill").unwrap().kind = Kind::Task;
    let server = Server {
        name: "db-postgres-15".to_owned(),
        secret: Some(crate::render::Credentials {
            name: String::new(),
            labels: BTreeMap::new(),
            username: String::new(),
        }),
        objects: Vec::new(),
    };
    let target = Target {
        content,
        stores: [("fill".to_owned(), ["api/orders".to_owned()].into())].into(),
        servers: [("postgres-15".to_owned(), server)].into(),
        server_of: [("api/orders".to_owned(), "postgres-15".to_owned())].into(),
        ..target("1", "1")
    };
    let mut observed = Observed::default();
    let claim = serde_json::from_value(json!({ "metadata": { "uid": volume } })).unwrap();
    observed.claims.insert("data-db-postgres-15-0".to_owned(), Arc::new(claim));
    (target, observed)
}

#[test]
fn what_was_started_with_other_secrets_is_restarted() {
    let (wanted, mut coded) = (target("1", "1"), target("1", "1"));
    let observed = made(&wanted);
    coded.codes.insert("api".into(), "a code".into());
    assert_eq!(steps(&coded, Some(&wanted), &observed), ["change api: its secrets changed []"]);
    let mut started = observed.clone();
    let api = &wanted.content.nodes["api"].workload;
    let mut live = started.deployments[api].as_ref().clone();
    live.metadata.annotations.as_mut().unwrap().insert(names::SECRETS.into(), "a code".into());
    started.deployments.insert(api.clone(), Arc::new(live));
    assert!(steps(&coded, Some(&wanted), &started).is_empty());
    assert!(steps(&wanted, Some(&wanted), &started).is_empty(), "who does not know the secrets leaves what is there");
}
