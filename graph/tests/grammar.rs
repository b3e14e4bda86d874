//! Every field of the grammar, read into the graph.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use clustergraph::format::repository::{Egress, Strategy};
use clustergraph::format::service::{Probe, Restart, Security, Start, Wait, Watch};
use clustergraph::graph::{Graph, Role, Unit, UnitKind};
use support::Repo;

const ORDER: &str = r#"
name: order
stack: command
dependencies:
  - catalog
  - { service: payment, as: pay, wait: none, optional: true }
  - { service: prepare, wait: completed }
databases:
  - kind: postgres
    version: "16"
    as: orders
    primary: true
    params: { pool: 5 }
    settings: { wal_level: logical }
    extensions: [pg_trgm]
    migrate: { run: [python, migrate.py], schema: migrations/, compatible: "0007" }
    seed: { run: [python, seed.py] }
  - { kind: postgres, as: own, isolation: dedicated }
  - from: catalog/items
  - { from: shared, as: everybodys }
ports: { http: 8080, grpc: { port: 9090, protocol: grpc } }
health: { grpc: order.Order, port: grpc, timeout: 1s, start_timeout: 90s, liveness: { http: /livez }, headers: { X-Probe: "1" } }
env: { LOG_LEVEL: info, CALLBACK: "${services.pay.public_url}/callback", STRIPE: "key=${secrets.STRIPE_KEY}" }
passthrough: [AWS_REGION]
secrets: [STRIPE_KEY, { name: SENTRY, dev: none, optional: true }]
run: [gunicorn, app:app]
watch: { mode: self }
build: { dockerfile: Dockerfile, target: prod, args: { A: b }, secrets: [NPM_TOKEN] }
include: [libs/money]
ignore: ["*.md"]
files: { /etc/nginx/nginx.conf: nginx.conf }
volumes: { uploads: /data }
processes:
  worker: { run: [celery, worker], scale: { replicas: 2 }, env: { QUEUE: "${databases.orders.host}" }, health: { log: ready } }
start: manual
singleton: true
borrow: never
egress: ["api.stripe.example:443"]
security: baseline
restart: on-failure
stop: { signal: INT, grace: 30s }
public: { path: / }
scale: { replicas: 1, min: 1, max: 1, cpu: 70 }
resources: { cpu: 250m, memory: 256Mi }
jobs: [{ name: nightly, schedule: "0 3 * * *", run: [python, etl.py] }]
test: { run: [pytest], list: [pytest, --collect-only, -q], target: test }
smoke: { run: [python, smoke.py], every: 5m }
labels: { team: checkout }
clusters: { production: { labels: { team: shop } }, local: { run: [flask, run] } }
"#;

const REPOSITORY: &str = r#"
services: ["*"]
databases: { shared: { kind: postgres, version: 16, settings: { wal_level: logical } } }
images: { registry: registry.example/shop, mirror: 127.0.0.1:5000 }
suites: { core: [order], comprehensive: ["*"] }
clusters:
  production: { context: prod-eu, namespace: shop, strategy: rolling, domain: shop.example, keep: 5, warm: 30m, lends: true, ingress: { class: nginx, namespace: ingress-nginx }, egress: deny, pull_grace: 3m,
                databases: { order/orders: { secret: order-db } }, size: { order/orders: 20Gi } }
  pr: { context: dev, domain: "pr-{n}.shop.example", ttl: 4h, seed: true, secrets_from: dev-secrets, quota: { memory: 8Gi, cpu: 4, pods: 50 }, pool: [pr-a, pr-b] }
"#;

fn shop() -> Repo {
    let repo = Repo::new();
    repo.write("order/service.yaml", ORDER.trim_start());
    repo.write("order/Dockerfile", "FROM scratch\n");
    repo.write("order/nginx.conf", "upstream ${services.catalog.addr}; key ${secrets.STRIPE_KEY}; $${host}\n");
    repo.write("order/migrations/0007.sql", "select 1;\n");
    repo.write("libs/money/money.py", "1\n");
    repo.write("catalog/service.yaml", "name: catalog\nrun: [./run]\nports: { http: 80 }\ndatabases: [{ kind: postgres, as: items, migrate: { run: [./migrate] } }]\n");
    repo.write(
        "payment/service.yaml",
        "name: payment\nrun: [./run]\nports: { http: 80 }\npublic: {}\ndependencies: [order]\n",
    );
    repo.write("prepare/service.yaml", "name: prepare\nrun: [./run]\ntask: true\n");
    repo.write("clustergraph.yaml", REPOSITORY);
    repo
}

#[test]
fn every_field_of_a_service_is_read() {
    let graph = shop().worktree();
    let order = &graph.services["order"];
    assert_eq!((order.owner.as_str(), &order.role), ("order", &Role::Service));
    assert_eq!(order.run.as_deref(), Some(&["flask".to_owned(), "run".to_owned()][..]));
    assert_eq!(
        order.dependencies.iter().map(|edge| (edge.wait, edge.optional)).collect::<Vec<_>>(),
        [(Wait::Ready, false), (Wait::None, true), (Wait::Completed, false)]
    );
    assert_eq!(order.databases, ["order/orders", "order/own", "catalog/items", "shared"]);
    let health = order.health.as_ref().unwrap();
    assert_eq!(health.probe, Probe::Grpc("order.Order".into()));
    assert_eq!(health.liveness, Some(Probe::Http("/livez".into())));
    assert_eq!((health.timeout, health.start_timeout), (Duration::from_secs(1), Duration::from_secs(90)));
    assert_eq!(health.headers["X-Probe"], "1");
    assert_eq!(order.passthrough, ["AWS_REGION"]);
    let secrets: Vec<_> = order.secrets.iter().map(|s| (s.name.as_str(), s.dev.as_deref(), s.optional)).collect();
    assert_eq!(secrets, [("STRIPE_KEY", None, false), ("SENTRY", Some("none"), true)]);
    assert_eq!(
        (order.watch, order.start, order.security, order.restart),
        (Watch::SelfReload, Start::Manual, Security::Baseline, Restart::OnFailure)
    );
    assert_eq!((order.singleton, order.borrow), (true, false));
    assert_eq!(order.egress, ["api.stripe.example:443"]);
    assert_eq!((order.scale.replicas, order.scale.max, order.scale.cpu), (1, Some(1), Some(70)));
    assert_eq!((order.resources.cpu_millis, order.resources.memory_bytes), (Some(250), Some(256 << 20)));
    assert_eq!(order.volumes["uploads"].path, "/data");
    assert_eq!(order.files["/etc/nginx/nginx.conf"].path, "order/nginx.conf");
    assert!(order.files["/etc/nginx/nginx.conf"].content.is_secret());
    assert_eq!(order.test.as_ref().unwrap().target.as_deref(), Some("test"));
    assert_eq!(order.smoke.as_ref().unwrap().every, Duration::from_secs(300));
    assert!(order.env["STRIPE"].is_secret() && order.env["STRIPE_KEY"].is_secret());
}

#[test]
fn processes_and_jobs_are_nodes_of_their_own() {
    let graph = shop().worktree();
    let (order, worker) = (&graph.services["order"], &graph.services["order.worker"]);
    assert_eq!(worker.owner, "order");
    assert_eq!((worker.source, worker.databases.clone()), (order.source, order.databases.clone()));
    assert_ne!(worker.id, order.id);
    assert!(worker.ports.is_empty() && worker.public.is_none() && !worker.env.contains_key("PORT"));
    assert!(order.env.contains_key("PORT") && worker.env.contains_key("QUEUE") && worker.env.contains_key("LOG_LEVEL"));
    assert_eq!(worker.scale.replicas, 2);
    assert_eq!(worker.health.as_ref().unwrap().probe, Probe::Log("ready".into()));
    assert_eq!(graph.services["order.nightly"].role, Role::Job { schedule: "0 3 * * *".into() });
}

#[test]
fn a_service_yaml_may_hold_nothing_but_jobs_and_processes() {
    let repo = shop();
    repo.write(
        "etl/service.yaml",
        "name: etl\nstack: command\ndatabases: [{ kind: postgres, as: facts }]\njobs: [{ name: load, schedule: '@daily', run: [./load] }]\nprocesses: { follow: { run: [./follow] } }\n",
    );
    repo.write(
        "report/service.yaml",
        "name: report\nrun: [./run]\ndependencies: [etl]\ndatabases: [{ from: etl/facts }]\n",
    );
    let graph = repo.worktree();
    assert_eq!(graph.services["etl"].role, Role::Base);
    let all = graph.closure(&set(&[]));
    assert!(all.contains("etl.follow") && !all.contains("etl.load"), "{all:?}");
    let units = graph.units(&graph.closure(&set(&["report"])), false);
    let names: Vec<String> = units.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["postgres-17", "etl/facts", "etl.follow", "report"]);
}

#[test]
fn servers_are_shared_where_kind_version_settings_and_image_agree() {
    let graph = shop().worktree();
    let server = |address: &str| graph.databases[address].server.as_str();
    assert_eq!(server("catalog/items"), "postgres-17");
    assert_eq!(server("order/orders"), server("shared"));
    assert!(server("shared").starts_with("postgres-16-") && server("shared").len() == "postgres-16-".len() + 6);
    assert_eq!(server("order/own"), "postgres-17-order-own");
    assert_eq!(graph.servers[server("shared")].settings["wal_level"], "logical");
    assert_eq!(graph.servers.len(), 3);
    assert_eq!(graph.databases["shared"].owner, None);
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn manual_starts_optional_edges_and_jobs_pull_nothing_in() {
    let graph = shop().worktree();
    // payment needs order, though that is manual; nobody needs payment.
    assert_eq!(graph.closure(&set(&[])), set(&["catalog", "order", "order.worker", "payment", "prepare"]));
    assert_eq!(graph.closure(&set(&["order"])), set(&["catalog", "order", "order.worker", "prepare"]));
    assert_eq!(graph.closure(&set(&["catalog"])), set(&["catalog"]));
    assert_eq!(graph.closure(&set(&["order.worker"])), set(&["catalog", "order.worker", "prepare"]));
}

#[test]
fn another_s_database_is_waited_for_with_its_migrations_and_not_its_owner() {
    let repo = shop();
    repo.write("report/service.yaml", "name: report\nrun: [./run]\ndatabases: [{ from: catalog/items }]\n");
    let graph = repo.worktree();
    let closure = graph.closure(&set(&["report"]));
    assert_eq!(closure, set(&["report"]));
    let units = graph.units(&closure, true);
    let names: Vec<String> = units.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["postgres-17", "catalog/items", "catalog/items:migrate", "report"]);
    let report = Unit::new(UnitKind::Service, "report");
    assert_eq!(units[&report].keys().cloned().collect::<Vec<_>>(), [Unit::new(UnitKind::Migration, "catalog/items")]);
}

#[test]
fn images_and_tasks_are_units() {
    let graph = shop().worktree();
    let closure = graph.closure(&set(&["order"]));
    let units = graph.units(&closure, true);
    let waits = &units[&Unit::new(UnitKind::Service, "order")];
    assert_eq!(waits[&Unit::new(UnitKind::Task, "prepare")], Wait::Completed);
    assert_eq!(waits[&Unit::new(UnitKind::Image, "order")], Wait::Ready);
    assert!(units[&Unit::new(UnitKind::Migration, "order/orders")].contains_key(&Unit::new(UnitKind::Image, "order")));
    assert!(units[&Unit::new(UnitKind::Service, "order.worker")].contains_key(&Unit::new(UnitKind::Image, "order")));
    assert!(graph.units(&closure, false).keys().all(|unit| unit.kind != UnitKind::Image));
}

#[test]
fn what_is_made_of_an_optional_dependency_is_there_while_that_runs() {
    let graph = shop().worktree();
    let order = &graph.services["order"];
    let without = graph.environment(order, &set(&["order", "catalog"]));
    assert!(!without.contains_key("PAY_URL") && !without.contains_key("CALLBACK"));
    assert!(without.contains_key("CATALOG_URL") && without.contains_key("LOG_LEVEL"));
    let with = graph.environment(order, &set(&["order", "catalog", "payment"]));
    assert!(with.contains_key("PAY_URL") && with.contains_key("CALLBACK"));
}

#[test]
fn every_setting_of_the_repository_is_read() {
    let Graph { repository, .. } = shop().worktree();
    assert_eq!(repository.suites["core"].services[0].0, "order");
    let production = &repository.clusters["production"];
    assert_eq!((production.strategy, production.egress), (Strategy::Rolling, Egress::Deny));
    assert_eq!((production.keep, production.warm, production.lends), (Some(5), Some(Duration::from_secs(1800)), true));
    assert_eq!(production.ingress.as_ref().unwrap().class.as_deref(), Some("nginx"));
    assert_eq!(production.databases["order/orders"].secret, "order-db");
    assert_eq!(production.size["order/orders"], 20 << 30);
    let pr = &repository.clusters["pr"];
    assert_eq!(
        (pr.domain.as_deref(), pr.ttl, pr.seed),
        (Some("pr-{n}.shop.example"), Some(Duration::from_secs(14400)), true)
    );
    assert_eq!(pr.quota.as_ref().unwrap().memory_bytes, Some(8 << 30));
    assert_eq!(pr.secrets_from.as_deref(), Some("dev-secrets"));
    assert_eq!(pr.pool, ["pr-a", "pr-b"]);
}

#[test]
fn a_build_may_see_a_folder_as_its_root() {
    let repo = Repo::new();
    repo.write("api/service.yaml", "name: api\nbuild: { context: api, dockerfile: docker/Dockerfile }\n");
    repo.write("api/docker/Dockerfile", "FROM scratch\nCOPY main.py .\n");
    repo.write("api/main.py", "1\n");
    repo.write("worker/service.yaml", "name: worker\nbuild: { context: api/docker }\ninclude: [api/docker]\n");
    repo.write("plain/service.yaml", "name: plain\nbuild: {}\n");
    repo.write("plain/Dockerfile", "FROM scratch\n");
    let graph = repo.worktree();
    let seen = |name: &str| {
        let service = &graph.services[name];
        let files: Vec<String> = service.build_root().files().into_iter().map(|(path, _)| path).collect();
        (service.dockerfile().unwrap(), files.join(" "))
    };
    assert_eq!(seen("api"), ("docker/Dockerfile".into(), "docker/Dockerfile main.py".into()));
    assert_eq!(seen("worker"), ("Dockerfile".into(), "Dockerfile".into()));
    assert_eq!(seen("plain"), ("plain/Dockerfile".into(), "plain/Dockerfile".into()));
    let before = graph.services["api"].source;
    repo.write("api/service.yaml", "name: api\nbuild: { dockerfile: docker/Dockerfile }\n");
    assert_ne!(repo.worktree().services["api"].source, before, "the same files, seen otherwise");
}

#[test]
fn a_context_that_is_no_source_has_no_dockerfile() {
    let repo = Repo::new();
    repo.write("api/service.yaml", "name: api\nbuild: { context: elsewhere }\n");
    repo.write("elsewhere/Dockerfile", "FROM scratch\n");
    let problems = repo.problems().render(false, 200);
    assert!(problems.contains("there is no `elsewhere/Dockerfile`"), "{problems}");
    assert!(problems.contains("`include`"), "{problems}");
}
