//! What is counted, and what a quota says to it.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;

use super::*;
use crate::render::Object;
use crate::store::record::tests::content;

fn quota(hard: Value, used: Value) -> Room {
    let quota =
        json!({ "metadata": { "name": "team" }, "spec": { "hard": hard }, "status": { "hard": hard, "used": used } });
    Room { quotas: vec![serde_json::from_value(quota).unwrap()], defaults: Amounts::new() }
}

fn of_pods(count: i128, pod: &Value, defaults: &Amounts) -> Extra {
    let mut extra = Extra::default();
    extra.pods("api", pod, count, defaults);
    extra
}

fn asking(cpu: &str, memory: &str) -> Value {
    json!({ "containers": [{ "resources": { "requests": { "cpu": cpu, "memory": memory }, "limits": { "memory": memory } } }] })
}

#[test]
fn quantities_are_read_as_kubernetes_reads_them() {
    for (text, thousandths) in [
        ("1", Some(1000)),
        ("250m", Some(250)),
        ("0.1", Some(100)),
        ("1.5Gi", Some(1_610_612_736_000)),
        ("128Mi", Some(134_217_728_000)),
        ("1k", Some(1_000_000)),
        ("2e3", Some(2_000_000)),
        ("2E", Some(2_000_000_000_000_000_000_000)),
        ("100n", Some(1)),
        ("0", Some(0)),
        ("", None),
        ("lots", None),
        ("1Qi", None),
        ("1MM", None),
    ] {
        assert_eq!(super::thousandths(text), thousandths, "{text}");
    }
    for (name, amount, text) in [
        (CPU, 2000, "2"),
        (CPU, 750, "750m"),
        (MEMORY, 1_610_612_736_000, "1.5Gi"),
        (MEMORY, 512_000, "512"),
        (PODS, 3000, "3"),
    ] {
        assert_eq!(words(name, amount), text);
    }
}

#[test]
fn a_quota_is_asked_before_anything_is_written() {
    let three = of_pods(3, &asking("100m", "128Mi"), &Amounts::new());
    assert_eq!(three.text().as_deref(), Some("asks for 3 pods, 300m cpu, 384Mi memory beside what still runs"));
    assert_eq!(
        three.json(),
        json!({ "pods": 3, "cpu_millis": 300, "memory_bytes": 402_653_184_u64, "storage_bytes": 0 })
    );
    let enough = quota(
        json!({ "requests.cpu": "1", "memory": "512Mi", "pods": "10" }),
        json!({ "requests.cpu": "700m", "memory": "128Mi", "pods": "7" }),
    );
    assert_eq!(enough.against(&three), Vec::<String>::new());
    let full = quota(
        json!({ "requests.cpu": "1", "memory": "512Mi", "pods": "10" }),
        json!({ "requests.cpu": "701m", "memory": "129Mi", "pods": "8" }),
    );
    assert_eq!(
        full.against(&three),
        [
            "the ResourceQuota team allows 512Mi of memory: 129Mi are taken, and this takes 384Mi more",
            "the ResourceQuota team allows 10 of pods: 8 are taken, and this takes 3 more",
            "the ResourceQuota team allows 1 of requests.cpu: 701m are taken, and this takes 300m more",
        ]
    );
    assert!(full.refuse(&three).unwrap_err().to_string().contains("Nothing was changed"));
    // What is counted already and not added to says nothing, even if it is too much.
    assert_eq!(full.against(&Extra::default()), Vec::<String>::new());
}

#[test]
fn who_does_not_say_what_it_takes_gets_the_default_or_is_named() {
    let silent = of_pods(1, &json!({ "containers": [{}] }), &Amounts::new());
    assert_eq!(
        silent.text().as_deref(),
        Some("asks for 1 pod beside what still runs; without a word about all of cpu and memory: api")
    );
    let wants = quota(json!({ "limits.memory": "1Gi" }), json!({}));
    let said = wants.against(&silent);
    assert!(said.len() == 1 && said[0].contains("one of api does not") && said[0].contains("LimitRange"), "{said:?}");
    let range = json!({ "metadata": {}, "spec": { "limits": [
        { "type": "Pod", "max": { "memory": "1Ti" } },
        { "type": "Container", "default": { "memory": "64Mi" }, "defaultRequest": { "cpu": "10m" } },
    ] } });
    let defaults = defaults(&[serde_json::from_value(range).unwrap()]);
    let silent = of_pods(2, &json!({ "containers": [{}] }), &defaults);
    assert_eq!(wants.against(&silent), Vec::<String>::new());
    assert_eq!(silent.text().as_deref(), Some("asks for 2 pods, 20m cpu, 128Mi memory beside what still runs"));
}

#[test]
fn what_runs_first_counts_where_it_takes_more_than_the_rest() {
    let container = |cpu: &str| json!({ "resources": { "limits": { "cpu": cpu, "memory": "1Mi" } } });
    let pod = json!({ "containers": [container("100m"), container("200m")], "initContainers": [container("500m"), container("1m")] });
    assert_eq!(of_pods(1, &pod, &Amounts::new()).amounts[CPU], 500);
    let mut beside = container("400m");
    beside["restartPolicy"] = "Always".into();
    let pod = json!({ "containers": [container("200m")], "initContainers": [beside, container("500m")] });
    assert_eq!(of_pods(1, &pod, &Amounts::new()).amounts[CPU], 600);
}

#[test]
fn only_what_is_new_is_counted() {
    let content = content(&[("api", "1", 3)]);
    let pod = asking("100m", "128Mi");
    let body = json!({ "kind": "Deployment", "metadata": { "name": "api" }, "spec": { "template": { "spec": pod } } });
    let target = Target {
        content,
        objects: [("api".to_owned(), vec![Object::new(body)])].into(),
        codes: BTreeMap::new(),
        waits: BTreeMap::new(),
        stores: BTreeMap::new(),
        base: Vec::new(),
        claims: Vec::new(),
        servers: BTreeMap::new(),
        server_of: BTreeMap::new(),
    };
    let mut observed = Observed::default();
    let room = Room::default();
    let count = |observed: &Observed, action: Action| {
        let extra = room.extra(
            &[Step::new(Part::Service("api".to_owned()), action, String::new())],
            (&target, None),
            &BTreeMap::new(),
            observed,
        );
        extra.json()["pods"].as_u64().unwrap()
    };
    assert_eq!(count(&observed, Action::Create), 3);
    let live: Deployment =
        serde_json::from_value(json!({ "metadata": {}, "spec": { "replicas": 2, "selector": {}, "template": {} } }))
            .unwrap();
    observed.deployments.insert(target.content.nodes["api"].workload.clone(), Arc::new(live));
    assert_eq!(count(&observed, Action::Scale), 1);
    assert_eq!(count(&observed, Action::Stop), 0);
}
