//! What a graph is rendered to, as snapshots.

use std::path::Path;
use std::process::Command;

use clustergraph::tree::Tree;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::Value;

use super::*;
use crate::store::databases::Databases;

const API: &str = r#"
name: api
databases:
  - { kind: postgres, version: "15", as: orders, params: { pool: "5" }, migrate: { run: [./migrate, "$(HOME)"] } }
ports: { http: 8000 }
health: { http: /healthz, timeout: 1500ms }
env: { NODE: "${version}", PRICE: "$5 $(NOT)", ORDERS_PASSWORD: "hidden", DSN: "u=${databases.orders.username} p=${databases.orders.password}" }
run: [./api, "$PORT"]
scale: { replicas: 2 }
labels: { team: checkout, motto: "we ship!" }
"#;

const WWW: &str = r"
name: www
dependencies: [api]
ports: { http: 8080 }
run: [./www]
public: { path: / }
stop: { grace: 15s }
";

fn write(root: &Path, files: &[(&str, &str)]) -> Graph {
    for (path, text) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    for arguments in
        [&["init", "-q"][..], &["add", "-A"], &["-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x"]]
    {
        assert!(Command::new("git").current_dir(root).args(arguments).status().unwrap().success());
    }
    let tree = Tree::of_commit(root, "HEAD").unwrap();
    Graph::build(&tree, "production").unwrap()
}

fn rendered(files: &[(&str, &str)]) -> Rendered {
    let folder = tempfile::tempdir().unwrap();
    let graph = write(folder.path(), files);
    let digest = |name: &str| format!("registry.example/shop/{name}@sha256:0123");
    let images = Images {
        services: graph.services.values().map(|it| (it.owner.clone(), digest(&it.owner))).collect(),
        servers: graph.databases.values().map(|database| (database.server.clone(), digest(&database.kind))).collect(),
        numbers: Databases::default().numbers(&graph, "production").unwrap(),
        ..Images::default()
    };
    render(&graph, &images, "production").unwrap()
}

fn shop() -> Rendered {
    rendered(&[("api/service.yaml", API), ("api/api", "x"), ("www/service.yaml", WWW), ("www/www", "x")])
}

/// Ids and hashes follow from everything else: their values are no part of a snapshot's meaning.
fn settled(value: &impl serde::Serialize) -> Value {
    fn walk(value: &mut Value) {
        match value {
            Value::String(text) => {
                let words: Vec<String> = text
                    .split_inclusive(|c: char| !c.is_ascii_alphanumeric())
                    .map(|word| {
                        let hex = word.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
                        let is_id = matches!(hex.len(), 10 | 64) && hex.chars().all(|c| c.is_ascii_hexdigit());
                        if is_id {
                            word.replace(hex, if hex.len() == 10 { "<id>" } else { "<hash>" })
                        } else {
                            word.to_owned()
                        }
                    })
                    .collect();
                *text = words.concat();
            }
            Value::Array(items) => items.iter_mut().for_each(walk),
            Value::Object(fields) => fields.values_mut().for_each(walk),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(value).unwrap();
    walk(&mut value);
    value
}

#[test]
fn a_service() {
    let shop = shop();
    insta::assert_yaml_snapshot!("service_api", settled(&shop.nodes["api"].objects));
    insta::assert_yaml_snapshot!("service_www", settled(&shop.nodes["www"].objects));
}

#[test]
fn a_database() {
    let shop = shop();
    insta::assert_yaml_snapshot!("server", settled(&shop.servers["postgres-15"].objects));
    insta::assert_yaml_snapshot!("job", settled(&shop.databases["api/orders"].migrate));
}

const STORES: &str = r#"
name: keeper
run: [./keeper]
databases:
  - { kind: redis, version: "7.0", as: carts, settings: { maxmemory: 64mb } }
  - { kind: mariadb, version: "10.11", as: items, isolation: dedicated }
  - { kind: postgres, version: "15", as: facts, primary: true, image: "postgis/postgis:15", extensions: [postgis, hstore], params: { pool: "5" } }
  - { from: stream }
"#;

/// Databases of other kinds, a store of nobody's, and perhaps a cluster's own settings.
fn stores(cluster: &str) -> Rendered {
    let repository = format!(
        "databases: {{ stream: {{ kind: kafka, version: '4.1', topics: [orders, activity] }} }}\nclusters: {{ production: {{ {cluster} }} }}\n"
    );
    rendered(&[("keeper/service.yaml", STORES), ("keeper/keeper", "x"), ("clustergraph.yaml", &repository)])
}

fn container(rendered: &Rendered) -> Value {
    rendered.nodes["keeper"].objects[0].body.pointer("/spec/template/spec/containers/0").unwrap().clone()
}

/// A variable as its value, or as `SECRET:KEY`.
fn variable(container: &Value, name: &str) -> String {
    let env = container["env"].as_array().unwrap();
    let found = env.iter().find(|variable| variable["name"] == name).unwrap_or_else(|| panic!("{name} in {env:#?}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match &found["valueFrom"]["secretKeyRef"] {
        Value::Null => text(&found["value"]),
        key => format!("{}:{}", text(&key["name"]), text(&key["key"])),
    }
}

#[test]
fn databases_of_other_kinds() {
    let stores = stores("");
    let servers: Vec<&Vec<Object>> = stores.servers.values().map(|server| &server.objects).collect();
    insta::assert_yaml_snapshot!("servers_of_other_kinds", settled(&servers));
    let jobs: Vec<&Object> = stores.databases.values().flat_map(|database| &database.make).collect();
    insta::assert_yaml_snapshot!("jobs_of_other_kinds", settled(&jobs));
    assert!(stores.databases.values().all(|database| database.migrate.is_none()));
    assert_eq!(stores.databases["stream"].secret, None, "nobody logs in to Kafka");
}

#[test]
fn services_find_databases_of_other_kinds() {
    let container = container(&stores(""));
    for (name, value) in [
        ("CARTS_DATABASE", "0"),
        ("CARTS_URL", "redis://keeper_carts:$(CARTS_PASSWORD)@db-redis-7-0-<>:6379/0"),
        ("ITEMS_URL", "mysql://keeper_items:$(ITEMS_PASSWORD)@db-mariadb-10-11-keeper-items:3306/keeper_items"),
        ("STREAM_BROKERS", "db-kafka-4-1:9092"),
        ("STREAM_URL", "kafka://db-kafka-4-1:9092"),
        ("CARTS_PASSWORD", "credentials.keeper.carts:password"),
    ] {
        let found = variable(&container, name);
        let (before, after) = value.split_once("<>").unwrap_or((value, ""));
        assert!(found.starts_with(before) && found.ends_with(after), "{name}: {found}");
    }
}

#[test]
fn of_what_somebody_else_runs_everything_comes_from_its_secret() {
    let stores = stores("databases: { keeper/facts: { secret: facts-db }, stream: { secret: bus } }");
    assert!(stores.servers.keys().all(|server| !server.starts_with("postgres") && !server.starts_with("kafka")));
    let (facts, stream) = (&stores.databases["keeper/facts"], &stores.databases["stream"]);
    assert!(facts.make.is_none() && facts.secret.is_none() && stream.make.is_none(), "nothing of it is made");
    let container = container(&stores);
    for (name, value) in [
        ("FACTS_URL", "facts-db:url"),
        ("FACTS_HOST", "facts-db:host"),
        ("FACTS_PORT", "facts-db:port"),
        ("FACTS_USERNAME", "facts-db:username"),
        ("FACTS_PASSWORD", "facts-db:password"),
        ("FACTS_DATABASE", "facts-db:database"),
        ("FACTS_ADDR", "$(FACTS_HOST):$(FACTS_PORT)"),
        ("STREAM_BROKERS", "bus:brokers"),
        ("STREAM_URL", "bus:url"),
    ] {
        assert_eq!(variable(&container, name), value, "{name}");
    }
}

#[test]
fn a_migration_of_what_somebody_else_runs_holds_its_lock() {
    let outside = "clusters: { production: { databases: { api/orders: { secret: orders-db } } } }\n";
    let shop = rendered(&[("api/service.yaml", API), ("api/api", "x"), ("clustergraph.yaml", outside)]);
    let job = shop.databases["api/orders"].migrate.as_ref().unwrap();
    let containers = job.body.pointer("/spec/template/spec/initContainers").unwrap();
    insta::assert_yaml_snapshot!("lock", settled(containers));
}

#[test]
fn the_first_data_is_given_where_a_cluster_ends_by_itself_and_says_so() {
    let api = API.replace("[./migrate, \"$(HOME)\"] }", "[./migrate] }, seed: { run: [./seed] }");
    let seed = |settings: &str| {
        let repository = format!("services: ['*']\nclusters: {{ production: {{ {settings} }} }}\n");
        let rendered = rendered(&[("clustergraph.yaml", &repository), ("api/service.yaml", &api)]);
        let database = &rendered.databases["api/orders"];
        assert_eq!(database.wanted.seeds, database.seed.is_some());
        assert!(database.migrate.is_some());
        database.seed.clone()
    };
    for without in ["", "ttl: 4h", "seed: true"] {
        assert_eq!(seed(without), None, "{without}");
    }
    insta::assert_yaml_snapshot!(settled(&seed("ttl: 4h, seed: true")));
}

#[test]
fn a_volume_has_the_size_that_is_asked_for() {
    let size = |rendered: &Rendered, name: &str| {
        let server = rendered.servers.iter().find(|(server, _)| server.starts_with(name)).unwrap().1;
        let claim = server.objects[1].body.pointer("/spec/volumeClaimTemplates/0/spec/resources/requests/storage");
        claim.unwrap().as_str().unwrap().to_owned()
    };
    let stores = stores("size: { keeper/items: 20Gi, redis: 300Mi }");
    assert_eq!(
        [size(&stores, "mariadb"), size(&stores, "redis"), size(&stores, "kafka")],
        ["20Gi", "300Mi", "1Gi"].map(str::to_owned)
    );
}

/// One of everything that runs: secrets, files, volumes, probes, limits, a process, a task, a job.
const PAY: &str = r#"
name: pay
dependencies: [{ service: fill, wait: completed }, { service: off, optional: true }]
secrets: [KEY, { name: HINT, optional: true }]
files: { /etc/pay/limits.conf: limits.conf }
ports: { http: 8000, grpc: { port: 9000, protocol: grpc } }
health: { grpc: pay, port: grpc, liveness: { http: /alive }, headers: { X-Probe: "1" }, start_timeout: 90s }
env: { CALL: "http://pay:${secrets.KEY}@processor" }
run: [./pay]
stop: { signal: INT, grace: 20s }
resources: { cpu: 250m, memory: 256Mi }
scale: { min: 2, max: 6, cpu: 70 }
restart: always
processes:
  worker: { run: [./pay, work], health: { command: [./pay, "$alive"] }, scale: { replicas: 3 } }
jobs:
  - { name: settle, schedule: "0 3 * * *", run: [./pay, settle], restart: on-failure }
"#;

const STORE: &str = r#"
name: store
image: store:1
security: baseline
volumes: { uploads: /data }
ports: { http: 80 }
env: { WHERE: "${self.url}" }
"#;

fn workloads() -> Rendered {
    let of = |name: &str, more: &str| format!("name: {name}\nrun: [./{name}]\n{more}");
    let (fill, off) = (of("fill", "task: true\n"), of("off", "ports: { http: 1 }\nstart: manual\n"));
    let repository = "clusters: { production: { size: { store/uploads: 20Gi } } }\n";
    rendered(&[
        ("clustergraph.yaml", repository),
        ("pay/service.yaml", PAY),
        ("pay/limits.conf", "own $HOME ${self.addr} at most 5$\n"),
        ("store/service.yaml", STORE),
        ("fill/service.yaml", &fill),
        ("off/service.yaml", &off),
    ])
}

#[test]
fn what_a_service_can_say_of_itself() {
    let rendered = workloads();
    assert_eq!(rendered.nodes.keys().collect::<Vec<_>>(), ["fill", "pay", "pay.settle", "pay.worker", "store"]);
    for (name, snapshot) in [("pay", "service_pay"), ("pay.worker", "process"), ("store", "service_store")] {
        insta::assert_yaml_snapshot!(snapshot, settled(&rendered.nodes[name].objects));
    }
    insta::assert_yaml_snapshot!("claims", settled(&rendered.claims));
}

#[test]
fn what_ends_by_itself() {
    let rendered = workloads();
    insta::assert_yaml_snapshot!("task", settled(&rendered.nodes["fill"].objects));
    insta::assert_yaml_snapshot!("schedule", settled(&rendered.nodes["pay.settle"].objects));
}

#[test]
fn what_must_not_run_beside_its_former_version_is_handed_over() {
    let kinds: Vec<(String, Kind)> = workloads().nodes.into_iter().map(|(name, node)| (name, node.kind)).collect();
    let of = |name: &str, kind| (name.to_owned(), kind);
    assert_eq!(
        kinds,
        [
            of("fill", Kind::Task),
            of("pay", Kind::Service),
            of("pay.settle", Kind::Job),
            of("pay.worker", Kind::HandedOver),
            of("store", Kind::HandedOver),
        ]
    );
}

#[test]
fn files_with_secrets_are_a_secret_that_is_rendered_without_its_values() {
    let page = "name: page\nrun: [./page]\nsecrets: [KEY]\nports: { http: 80 }\n\
                files: { /etc/key: key.conf, /etc/plain: plain.conf }\n";
    let rendered = rendered(&[
        ("page/service.yaml", page),
        ("page/key.conf", "key = ${secrets.KEY} at ${self.addr}, 5$ $(NOTHING)\n"),
        ("page/plain.conf", "plain\n"),
    ]);
    let objects = &rendered.nodes["page"].objects;
    let of = |kind: &str| objects.iter().find(|object| object.kind() == kind).unwrap();
    let (secret, map) = (of("Secret"), of("ConfigMap"));
    let text = format!("key = $(page-secrets/KEY) at {}:80, 5$$ $$(NOTHING)\n", rendered.nodes["page"].workload);
    assert_eq!(secret.body["stringData"], json!({ "file-0": text }));
    assert_eq!(map.body["data"], json!({ "file-1": "plain\n" }));
    let spec = of("Deployment").body.pointer("/spec/template/spec").unwrap();
    let mount = |name: &str, path: &str, key: &str| json!({ "name": name, "mountPath": path, "subPath": key, "readOnly": true });
    assert_eq!(
        spec["containers"][0]["volumeMounts"],
        json!([mount("files", "/etc/plain", "file-1"), mount("secret-files", "/etc/key", "file-0")])
    );
    assert_eq!(spec["volumes"][1], json!({ "name": "secret-files", "secret": { "secretName": secret.name() } }));
}

#[test]
fn a_volume_is_for_as_many_as_have_it() {
    let modes = |more: &str| {
        let store = format!("name: store\nrun: [./store]\nvolumes: {{ all: /all }}\n{more}");
        let rendered = rendered(&[("store/service.yaml", &store)]);
        assert_eq!(rendered.claims.len(), 1, "one claim, whoever has it");
        rendered.claims[0].body["spec"]["accessModes"][0].as_str().unwrap().to_owned()
    };
    assert_eq!(modes(""), "ReadWriteOnce");
    assert_eq!(modes("scale: { replicas: 2 }\n"), "ReadWriteMany");
    assert_eq!(modes("resources: { cpu: 1 }\nscale: { max: 3 }\n"), "ReadWriteMany");
    assert_eq!(modes("processes: { worker: { run: [./work] } }\n"), "ReadWriteMany");
    assert_eq!(modes("jobs: [{ name: tick, schedule: '0 3 * * *', run: [./tick] }]\n"), "ReadWriteMany");
}

#[test]
fn what_is_to_be_killed_is_killed_from_beside_it() {
    let rendered =
        rendered(&[("page/service.yaml", "name: page\nrun: [./page]\nports: { http: 80 }\nstop: { signal: KILL }\n")]);
    let spec = rendered.nodes["page"].objects[0].body.pointer("/spec/template/spec").unwrap();
    assert_eq!(spec["shareProcessNamespace"], true);
    let stop = spec.pointer("/containers/0/lifecycle/preStop/exec/command/2").unwrap();
    assert_eq!(stop, "sleep 5; kill -KILL -1");
}

#[test]
fn what_is_rolled_keeps_its_names_over_all_versions() {
    let cluster = "clusters: { production: { strategy: rolling } }\n";
    let of =
        |www: &str| rendered(&[("api/service.yaml", API), ("www/service.yaml", www), ("clustergraph.yaml", cluster)]);
    let (before, after) = (of(WWW), of(&WWW.replace("[./www]", "[./www, --new]")));
    let names = |rendered: &Rendered| -> BTreeSet<String> {
        rendered.nodes.values().flat_map(|node| &node.objects).map(|object| object.name().to_owned()).collect()
    };
    assert_eq!(names(&before), ["api-rolling".to_owned(), "www-rolling".to_owned()].into());
    assert_eq!(names(&before), names(&after));
    assert_eq!(before.entries, after.entries, "the entry's selector never changes");
    assert_eq!(before.nodes["api"].hash, after.nodes["api"].hash);
    assert_ne!(before.nodes["www"].hash, after.nodes["www"].hash);
    insta::assert_yaml_snapshot!("rolling", settled(&after.nodes["www"].objects));
}

#[test]
fn an_entry() {
    insta::assert_yaml_snapshot!("entry", settled(&shop().entries["www"].object("www", "production")));
}

#[test]
fn objects_are_what_kubernetes_reads() {
    let (shop, workloads) = (shop(), workloads());
    for object in shop.all().into_iter().chain(workloads.all()) {
        let body = object.body.clone();
        match object.kind() {
            "Deployment" => drop(serde_json::from_value::<Deployment>(body).unwrap()),
            "StatefulSet" => drop(serde_json::from_value::<StatefulSet>(body).unwrap()),
            "Job" => drop(serde_json::from_value::<Job>(body).unwrap()),
            "CronJob" => drop(serde_json::from_value::<CronJob>(body).unwrap()),
            "HorizontalPodAutoscaler" => drop(serde_json::from_value::<HorizontalPodAutoscaler>(body).unwrap()),
            "PodDisruptionBudget" => drop(serde_json::from_value::<PodDisruptionBudget>(body).unwrap()),
            "PersistentVolumeClaim" => drop(serde_json::from_value::<PersistentVolumeClaim>(body).unwrap()),
            _ => {}
        }
        assert!(!object.hash().is_empty());
    }
}

#[test]
fn consumers_are_wired_to_the_versions_of_their_own_graph() {
    let shop = shop();
    let env = shop.nodes["www"].objects[0].body.pointer("/spec/template/spec/containers/0/env").unwrap().clone();
    let url = env.as_array().unwrap().iter().find(|variable| variable["name"] == "API_URL").unwrap();
    assert_eq!(url["value"], format!("http://{}:8000", shop.nodes["api"].workload));
}

#[test]
fn a_password_is_only_ever_referred_to_and_stands_before_what_is_made_of_it() {
    let shop = shop();
    let env = shop.nodes["api"].objects[0].body.pointer("/spec/template/spec/containers/0/env").unwrap().clone();
    let env = env.as_array().unwrap();
    let at = |name: &str| env.iter().position(|variable| variable["name"] == name).unwrap();
    let helper = "CLUSTERGRAPH_API_ORDERS_PASSWORD";
    assert_eq!(env[at(helper)]["valueFrom"]["secretKeyRef"]["name"], "credentials.api.orders");
    assert!(at(helper) < at("ORDERS_URL") && at(helper) < at("DSN"));
    assert_eq!(env[at("DSN")]["value"], format!("u=api_orders p=$({helper})"));
    assert_eq!(env[at("ORDERS_PASSWORD")]["value"], "hidden");
    assert_eq!(env[at("PRICE")]["value"], "$$5 $$(NOT)");
}

#[test]
fn two_parts_of_one_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let service = |name: &str| format!("name: {name}\nrun: [./x]\nports: {{ http: 80 }}\npublic: {{ path: / }}\n");
    // The entry of this one is called like the server of the other.
    let clash = service("db-postgres-15");
    let other = "name: api\nrun: [./x]\ndatabases: [{ kind: postgres, version: \"15\" }]\n";
    let graph = write(folder.path(), &[("a/service.yaml", &clash), ("b/service.yaml", other)]);
    let images = Images {
        services: graph.services.keys().map(|name| (name.clone(), "x@sha256:0".to_owned())).collect(),
        servers: [("postgres-15".to_owned(), "x@sha256:0".to_owned())].into(),
        ..Images::default()
    };
    let error = render(&graph, &images, "production").unwrap_err().to_string();
    assert!(error.contains("db-postgres-15"), "{error}");
}

#[test]
fn what_a_cluster_lends_and_what_a_copy_of_that_takes() {
    let api = API.replace("migrate: {", "mask: { run: [./mask, \"$5\"] }, migrate: {").replace(
        "env: {",
        "dependencies: [www]\nsecrets: [KEY]\nenv: { WWW: \"at ${services.www.url}\", KEYS: \"k=${secrets.KEY}\",",
    );
    let www = WWW.replace("dependencies: [api]\n", "");
    let files = |settings: &str| {
        let repository = format!("clusters: {{ production: {{ {settings} }} }}\n");
        [
            ("api/service.yaml", api.clone()),
            ("api/api", "x".into()),
            ("www/service.yaml", www.clone()),
            ("clustergraph.yaml", repository),
        ]
    };
    let of = |settings: &str, offers: BTreeMap<String, Offer>| {
        let folder = tempfile::tempdir().unwrap();
        let files = files(settings);
        let graph = write(folder.path(), &files.each_ref().map(|(path, text)| (*path, text.as_str())));
        let digest = |name: &str| format!("registry.example/shop/{name}@sha256:0123");
        let images = Images {
            services: graph.services.values().map(|it| (it.owner.clone(), digest(&it.owner))).collect(),
            servers: [("postgres-15".to_owned(), "postgres@sha256:0123".to_owned())].into(),
            offers,
            ..Images::default()
        };
        render(&graph, &images, "production")
    };
    assert_eq!(of("", BTreeMap::new()).unwrap().lent, BTreeMap::new());
    let lends = of("lends: true, size: { postgres: 3Gi }", BTreeMap::new()).unwrap();
    insta::assert_yaml_snapshot!("lent", settled(&lends.lent));

    let offer = Offer { of: "production".into(), version: 7, lent: lends.lent["api/orders"].clone(), level: None };
    let offers = |offer: Offer| BTreeMap::from([("api/orders".to_owned(), offer)]);
    let copied = of("ttl: 4h, size: { postgres: 2Gi }", offers(offer.clone())).unwrap();
    let copy = copied.databases["api/orders"].copy.as_ref().unwrap();
    let mut told = settled(&copy.mask.as_ref().unwrap().body);
    told["does"] = serde_json::json!([copy.pod, copy.dump, copy.restore, copy.drop.0]);
    insta::assert_yaml_snapshot!("copy", told);
    let claim = |rendered: &Rendered| {
        let set = &rendered.servers["postgres-15"].objects[1].body;
        set.pointer("/spec/volumeClaimTemplates/0/spec/resources/requests/storage").unwrap().clone()
    };
    assert_eq!(claim(&copied), "3Gi", "as large as where it comes from");
    let grown = of("ttl: 4h, size: { postgres: 5Gi }", offers(offer.clone())).unwrap();
    assert_eq!(claim(&grown), "5Gi");

    let other = Offer { lent: Lent { form: "other".into(), ..offer.lent.clone() }, ..offer };
    let refused = of("ttl: 4h", offers(other)).unwrap_err().to_string();
    assert!(refused.contains("sees the data before it is masked") && refused.contains("clone: none"), "{refused}");
}
