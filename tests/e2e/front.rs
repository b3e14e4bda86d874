//! Entries behind an Ingress, as the API server takes it. No controller runs here: where its backends lead is asked at the
//! Services that it names.

use std::collections::BTreeMap;

use clustergraph_tests::{Versions, get};
use serde_json::Value;

const FRONT: &str = "domain: shop.example, ingress: { class: nginx }";

/// A shop of which both services are public, and the page knows where the world reaches it.
fn shop(about: &str, settings: &str) -> Versions {
    let shop = Versions::new(about, settings);
    shop.repository.append("api/service.yaml", "public: { path: /api }");
    if settings == FRONT {
        shop.repository.replace("www/service.yaml", "env: {", "env: { HOME_URL: \"${self.public_url}/home\",");
    }
    shop.repository.commit("public");
    shop
}

fn ingress(shop: &Versions) -> Value {
    shop.namespace.kubectl("get ingress komandan-entries")
}

/// The Service behind each path.
fn backends(shop: &Versions) -> BTreeMap<String, String> {
    let ingress = ingress(shop);
    let paths = ingress["spec"]["rules"][0]["http"]["paths"].as_array().expect("paths");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    paths.iter().map(|path| (text(&path["path"]), text(&path["backend"]["service"]["name"]))).collect()
}

#[test]
fn all_public_services_are_switched_by_one_write_there_and_back() {
    let shop = shop("front", FRONT);
    let _ = shop.komandan("deploy").run().succeeds();
    let first = backends(&shop);
    let made = ingress(&shop);
    assert_eq!(
        (&made["spec"]["rules"][0]["host"], &made["spec"]["ingressClassName"]),
        (&"shop.example".into(), &"nginx".into())
    );
    assert_eq!(first.values().cloned().collect::<std::collections::BTreeSet<_>>(), shop.workloads(1));
    let services = shop.namespace.names("services");
    assert!(!services.iter().any(|name| name == "www" || name == "api"), "{services:?}");
    let status = shop.json("status");
    assert_eq!(
        (&status["entries"]["www"], &status["entries"]["api"]),
        (&"http://shop.example".into(), &"http://shop.example/api".into())
    );
    let page = shop.namespace.kubectl(&format!("get deployment {}", first["/"]));
    let env = page["spec"]["template"]["spec"]["containers"][0]["env"].as_array().expect("an environment").clone();
    assert!(
        env.iter().any(|variable| variable["name"] == "HOME_URL" && variable["value"] == "http://shop.example/home"),
        "{env:?}"
    );
    let address = |name: &str| {
        let service = shop.namespace.kubectl(&format!("get service {name}"));
        format!(
            "http://{}:{}",
            service["spec"]["clusterIP"].as_str().expect("an address"),
            service["spec"]["ports"][0]["port"]
        )
    };
    assert_eq!(get(&address(&first["/"])).status, 200);

    shop.edit("the second");
    let plan = shop.komandan("plan").run().succeeds().stdout();
    assert!(plan.contains("entry shop.example") && plan.contains("to the services of this version"), "{plan}");
    let _ = shop.komandan("deploy").run().succeeds();
    let second = backends(&shop);
    assert!(first.iter().all(|(path, service)| second[path] != *service), "{second:?}");
    let generation = |ingress: Value| ingress["metadata"]["generation"].as_u64().expect("a number");
    assert_eq!(generation(ingress(&shop)), generation(made.clone()) + 1, "one write for all of them");
    assert_eq!(get(&address(&second["/"])).status, 200);

    let reverted = shop.result("revert");
    assert_eq!((&reverted["warm"], &reverted["entries"]["www"]), (&true.into(), &"http://shop.example".into()));
    assert_eq!(backends(&shop), first);
    assert_eq!(generation(ingress(&shop)), generation(made) + 2);

    assert!(shop.komandan("deploy HEAD~1").run().succeeds().stdout().starts_with("unchanged"));
    let _ = shop.komandan("down").run().succeeds();
    assert!(shop.namespace.names("ingresses").is_empty());
}

#[test]
fn a_cluster_gets_an_ingress_and_loses_it_again_by_a_switch() {
    let shop = shop("fronts", "egress: allow");
    let _ = shop.komandan("deploy").run().succeeds();
    let entries = || -> Vec<String> {
        shop.namespace.names("services").into_iter().filter(|name| name == "www" || name == "api").collect()
    };
    assert_eq!((entries().len(), ingress(&shop)), (2, Value::Null));
    shop.settings(FRONT);
    let _ = shop.komandan("deploy").run().succeeds();
    assert_eq!(backends(&shop).len(), 2);
    // The version before still has them; a revert leads there again.
    let _ = shop.komandan("revert").run().succeeds();
    assert_eq!((entries().len(), ingress(&shop)), (2, Value::Null));
    assert_eq!(shop.answers(&shop.page()), shop.workloads(1));
}

#[test]
fn what_is_rendered_is_what_the_api_server_takes() {
    let shop = shop(
        "dry",
        "domain: shop.example, strategy: rolling, ingress: { class: nginx, namespace: ingress-nginx, tls: shop-tls }",
    );
    let name = shop.namespace.name();
    shop.namespace.kubectl_does(&format!("create namespace {name}"));
    let objects = shop.komandan("render").run().succeeds().stdout();
    for kind in ["Ingress", "PodDisruptionBudget", "Deployment", "NetworkPolicy"] {
        assert!(objects.contains(&format!("kind: {kind}\n")), "{kind}");
    }
    let file = shop.repository.path().join("objects.yaml");
    std::fs::write(&file, objects).expect("a file");
    shop.namespace.kubectl_does(&format!("apply --dry-run=server --validate=strict --filename {}", file.display()));
}
