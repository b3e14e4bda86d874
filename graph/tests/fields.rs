//! Field by field: what a running instance can observe is in its id, how it is operated is not.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::collections::BTreeSet;

use clustergraph::diff::{Node, NodeKind};
use clustergraph::format::schema::{repository_schema, service_schema};
use clustergraph::graph::Graph;
use support::Repo;

/// A service with every field of the grammar.
const SERVICE: &str = r#"
name: web
stack: python
dependencies: [{ service: api, as: upstream, wait: ready, optional: true }]
databases:
  - { kind: postgres, version: "16", as: main, primary: true, params: { pool: 5 }, settings: { wal_level: logical }, extensions: [hstore], isolation: shared, migrate: { run: [./migrate], schema: schema, compatible: "0007" }, seed: { run: [./seed] } }
  - { kind: kafka, as: events, topics: [orders] }
  - { from: api/items, as: items, params: { read: only } }
ports: { http: 8080, admin: { port: 9090, protocol: http, primary: false } }
health: { http: /healthz, port: http, headers: { A: b }, timeout: 2s, start_timeout: 30s, liveness: true }
env: { LEVEL: info }
passthrough: [AWS_REGION]
secrets: [{ name: KEY, dev: x, optional: false }]
setup: [[./setup]]
run: [./web]
watch: { mode: restart }
build: { context: web, dockerfile: Dockerfile, target: prod, args: { A: b }, secrets: [TOKEN] }
include: [libs]
ignore: ["*.md"]
files: { /etc/web.conf: web.conf }
volumes: { data: /data }
task: false
processes: { worker: { run: [./worker], env: { A: b }, health: { log: ready }, scale: { replicas: 1 }, resources: { cpu: 1 }, restart: never, stop: { grace: 5s } } }
jobs: [{ name: nightly, schedule: "0 3 * * *", run: [./etl], env: { A: b }, resources: { cpu: 1 }, restart: never }]
start: automatic
singleton: false
borrow: always
egress: ["api.example:443"]
security: restricted
restart: never
stop: { signal: TERM, grace: 10s }
public: { path: / }
scale: { replicas: 2, min: 1, max: 3, cpu: 70 }
resources: { cpu: 250m, memory: 256Mi }
test: { run: [./test], list: [./list], target: test }
smoke: { run: [./smoke], every: 1m }
labels: { team: checkout }
clusters: { local: { env: { LOCAL: x } }, production: { env: { LEVEL: warn } } }
"#;

const REPOSITORY: &str = r#"
services: ["*"]
stacks: { own: { image: debian, env: { A: b }, run: [./run], recipe: "FROM {image}", tools: { sh: "1" } } }
kinds: { bus: { image: bus, port: 1, url: "bus://{host}:{port}", ready: [bus] } }
databases: { shared: { kind: postgres, version: "16", settings: { a: b } } }
images: { registry: registry.example/shop, mirror: 127.0.0.1:5000 }
suites: { core: [api] }
clusters: { production: { namespace: shop, domain: shop.example, keep: 5 } }
"#;

/// Every node of `web`'s file.
const ALL: &[&str] = &["web", "web.nightly", "web.worker"];

fn repository() -> Repo {
    let repo = Repo::new();
    repo.write("clustergraph.yaml", REPOSITORY);
    repo.write("web/service.yaml", SERVICE.trim_start());
    for (path, text) in [
        ("web/Dockerfile", "FROM scratch\n"),
        ("web/Otherfile", "FROM scratch\n"),
        ("web/web.conf", "level ${secrets.KEY}\n"),
        ("web/other.conf", "to nobody\n"),
        ("web/schema/0009.sql", "select 1;\n"),
        ("web/schema2/0009.sql", "select 2;\n"),
        ("web/readme.md", "hello\n"),
        ("libs/lib", "1"),
        ("libs2/lib", "1"),
    ] {
        repo.write(path, text);
    }
    let api = "run: [./api]\nports: { http: 80 }\ndatabases: [{ kind: postgres, as: items }, { kind: postgres, as: others, primary: true }]\n";
    repo.write("api/service.yaml", format!("name: api\n{api}"));
    repo.write("api2/service.yaml", format!("name: api2\n{api}"));
    repo.write("own/service.yaml", "name: own\nstack: own\ndatabases: [bus, { from: shared }]\n");
    repo.write("once/service.yaml", "name: once\nrun: [./once]\ntask: true\n");
    repo
}

/// The nodes whose ids differ.
fn changed(before: &Graph, after: &Graph) -> BTreeSet<String> {
    let differs = |name: &&String| before.services.get(*name).map(|s| s.id) != after.services.get(*name).map(|s| s.id);
    before.services.keys().chain(after.services.keys()).filter(differs).cloned().collect()
}

/// Changes a file by each row, and holds which ids change.
#[track_caller]
fn assert_changes(path: &str, text: &str, rows: &[(&str, &str, &str, &[&str])]) {
    let repo = repository();
    let before = repo.worktree();
    for (field, from, to, want) in rows {
        assert!(text.contains(from), "{field}: the text has no `{from}`");
        repo.write(path, text.trim_start().replacen(from, to, 1));
        let after = repo.worktree();
        let want: BTreeSet<String> = want.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(changed(&before, &after), want, "{field}: {from} -> {to}");
        assert_eq!(before.version != after.version, !want.is_empty(), "{field} and the version");
    }
    repo.write(path, text.trim_start());
    assert_eq!(changed(&before, &repo.worktree()), BTreeSet::new());
}

/// Holds that a table has a row for each field of a schema.
#[track_caller]
fn assert_complete(schema: &serde_json::Value, elsewhere: &[&str], rows: &[(&str, &str, &str, &[&str])]) {
    let named = rows.iter().map(|row| row.0.split('.').next().unwrap());
    let named: BTreeSet<&str> = named.chain(elsewhere.iter().copied()).collect();
    let fields: BTreeSet<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(named, fields);
}

#[test]
fn of_a_service() {
    let rows: &[(&str, &str, &str, &[&str])] = &[
        // Behaviour.
        (
            "name",
            "name: web",
            "name: page",
            &["page", "page.nightly", "page.worker", "web", "web.nightly", "web.worker"],
        ),
        ("stack", "stack: python", "stack: node", ALL),
        ("dependencies", "service: api,", "service: api2,", ALL),
        ("dependencies.as", "as: upstream", "as: api", ALL),
        ("dependencies.wait", "wait: ready", "wait: started", ALL),
        ("dependencies.optional", "optional: true", "optional: false", ALL),
        ("databases.kind", "kind: postgres, version: \"16\", as: main", "kind: postgres, as: main", ALL),
        ("databases.version", "version: \"16\"", "version: \"17\"", ALL),
        ("databases.as", "as: main", "as: other", ALL),
        ("databases.params", "pool: 5", "pool: 6", ALL),
        ("databases.settings", "wal_level: logical", "wal_level: replica", ALL),
        ("databases.extensions", "[hstore]", "[hstore, pg_trgm]", ALL),
        ("databases.topics", "[orders]", "[orders, carts]", ALL),
        ("databases.image", "isolation: shared", "image: 'postgis/postgis:17-3.4'", ALL),
        ("databases.isolation", "isolation: shared", "isolation: dedicated", ALL),
        ("databases.migrate", "run: [./migrate]", "run: [./migrate, now]", ALL),
        ("databases.migrate.schema", "schema: schema", "schema: schema2", ALL),
        ("databases.seed", "run: [./seed]", "run: [./seed, more]", ALL),
        ("databases.from", "from: api/items", "from: api2/items", ALL),
        ("databases.from.params", "read: only", "read: write", ALL),
        ("ports", "http: 8080", "http: 8081", &["web"]),
        ("ports.name", "admin: {", "metrics: {", &["web"]),
        ("ports.protocol", "protocol: http", "protocol: https", &["web"]),
        ("ports.primary", "primary: false", "primary: true", &["web"]),
        ("env", "LEVEL: info", "LEVEL: debug", ALL),
        ("env.another", "LEVEL: info", "LEVEL: info, MORE: x", ALL),
        ("passthrough", "[AWS_REGION]", "[AWS_REGION, HOME_PAGE]", ALL),
        ("secrets", "name: KEY", "name: KEYS, dev: y }, { name: KEY", ALL),
        ("secrets.optional", "optional: false", "optional: true", ALL),
        ("setup", "[./setup]", "[./setup, more]", ALL),
        ("run", "run: [./web]", "run: [./web, --fast]", &["web"]),
        ("build", "dockerfile: Dockerfile", "dockerfile: Otherfile", ALL),
        ("build.context", "context: web, dockerfile: Dockerfile", "dockerfile: Dockerfile", ALL),
        ("build.target", "target: prod", "target: dev", ALL),
        ("build.args", "args: { A: b }", "args: { A: c }", ALL),
        ("build.secrets", "secrets: [TOKEN]", "secrets: [TOKENS]", ALL),
        ("include", "include: [libs]", "include: [libs2]", ALL),
        ("ignore", "ignore: [\"*.md\"]", "ignore: []", ALL),
        ("files", "/etc/web.conf", "/etc/web2.conf", ALL),
        ("files.content", "web.conf }", "other.conf }", ALL),
        ("volumes", "data: /data", "data: /var/data", ALL),
        ("volumes.name", "data: /data", "more: /data", ALL),
        ("processes", "run: [./worker]", "run: [./worker, 2]", &["web.worker"]),
        ("processes.name", "worker: {", "sender: {", &["web.sender", "web.worker"]),
        ("processes.env", "run: [./worker], env: { A: b }", "run: [./worker], env: { A: c }", &["web.worker"]),
        ("jobs", "run: [./etl]", "run: [./etl, all]", &["web.nightly"]),
        ("jobs.schedule", "0 3 * * *", "0 4 * * *", &["web.nightly"]),
        ("jobs.env", "run: [./etl], env: { A: b }", "run: [./etl], env: { A: c }", &["web.nightly"]),
        ("clusters.local", "LOCAL: x", "LOCAL: y", ALL),
        // Operation, and what only says how the rest is found.
        ("databases.primary", "as: main, primary: true", "as: main", &[]),
        ("databases.migrate.compatible", "compatible: \"0007\"", "compatible: \"0008\"", &[]),
        ("secrets.dev", "dev: x", "dev: y", &[]),
        ("health", "http: /healthz", "http: /ready", &[]),
        ("health.port", "port: http,", "port: admin,", &[]),
        ("health.headers", "headers: { A: b }", "headers: { A: c }", &[]),
        ("health.timeout", "timeout: 2s", "timeout: 3s", &[]),
        ("health.start_timeout", "start_timeout: 30s", "start_timeout: 31s", &[]),
        ("health.liveness", "liveness: true", "liveness: { tcp: true }", &[]),
        ("processes.health", "log: ready", "log: started", &[]),
        ("processes.scale", "scale: { replicas: 1 }", "scale: { replicas: 4 }", &[]),
        (
            "processes.resources",
            "resources: { cpu: 1 }, restart: never, stop",
            "resources: { cpu: 2 }, restart: never, stop",
            &[],
        ),
        ("processes.restart", "restart: never, stop", "restart: always, stop", &[]),
        ("processes.stop", "grace: 5s", "grace: 6s", &[]),
        ("jobs.resources", "resources: { cpu: 1 }, restart: never }]", "resources: { cpu: 2 }, restart: never }]", &[]),
        ("jobs.restart", "restart: never }]", "restart: on-failure }]", &[]),
        ("watch", "mode: restart", "mode: self", &[]),
        ("start", "start: automatic", "start: manual", &[]),
        ("singleton", "singleton: false\n", "", &[]),
        ("borrow", "borrow: always", "borrow: never", &[]),
        ("egress", "api.example:443", "api.example:444", &[]),
        ("security", "security: restricted", "security: baseline", &[]),
        ("restart", "\nrestart: never", "\nrestart: always", &[]),
        ("stop", "signal: TERM", "signal: INT", &[]),
        ("stop.grace", "grace: 10s", "grace: 11s", &[]),
        ("public", "path: /", "path: /shop", &[]),
        ("public.none", "public: { path: / }\n", "", &[]),
        ("scale", "replicas: 2", "replicas: 3", &[]),
        ("scale.min", "min: 1", "min: 2", &[]),
        ("scale.max", "max: 3", "max: 4", &[]),
        ("scale.cpu", "cpu: 70", "cpu: 80", &[]),
        ("resources", "cpu: 250m", "cpu: 300m", &[]),
        ("resources.memory", "memory: 256Mi", "memory: 300Mi", &[]),
        ("test", "run: [./test]", "run: [./test, all]", &[]),
        ("test.list", "list: [./list]", "list: [./list, all]", &[]),
        ("test.target", "target: test }", "target: tests }", &[]),
        ("smoke", "run: [./smoke]", "run: [./smoke, all]", &[]),
        ("smoke.every", "every: 1m", "every: 2m", &[]),
        ("labels", "team: checkout", "team: payments", &[]),
        ("clusters", "LEVEL: warn", "LEVEL: error", &[]),
        ("clusters.same", "LOCAL: x", "LOCAL: x, LEVEL: info", &[]),
        ("task", "task: false\n", "", &[]),
    ];
    // `image` goes without `build` only: the table below has it.
    assert_complete(&service_schema(), &["image"], rows);
    assert_changes("web/service.yaml", SERVICE, rows);
}

#[test]
fn of_a_task_and_of_what_goes_with_few_other_fields() {
    assert_changes(
        "once/service.yaml",
        "name: once\nrun: [./once]\ntask: true\n",
        &[
            ("task", "task: true", "task: false", &["once"]),
            ("singleton", "task: true", "task: true\nsingleton: true", &[]),
            ("start", "task: true", "task: true\nstart: manual", &[]),
            ("image", "task: true", "task: true\nimage: busybox:1", &["once"]),
        ],
    );
}

#[test]
fn of_a_repository() {
    let rows: &[(&str, &str, &str, &[&str])] = &[
        ("stacks", "env: { A: b }", "env: { A: c }", &["own"]),
        ("stacks.run", "run: [./run]", "run: [./run, fast]", &["own"]),
        ("stacks.image", "image: debian", "image: alpine", &["own"]),
        ("stacks.recipe", "FROM {image}", "FROM scratch", &["own"]),
        ("stacks.tools", "sh: \"1\"", "sh: \"2\"", &[]),
        ("kinds", "bus://", "coach://", &["own"]),
        ("kinds.ready", "ready: [bus]", "ready: [bus, ping]", &[]),
        ("databases", "version: \"16\"", "version: \"17\"", &["own"]),
        ("databases.settings", "settings: { a: b }", "settings: { a: c }", &["own"]),
        ("services", "services: [\"*\"]\n", "", &[]),
        ("images", "registry.example/shop", "registry.example/other", &[]),
        ("images.mirror", "127.0.0.1:5000", "127.0.0.1:5001", &[]),
        ("suites", "core: [api]", "core: [own]", &[]),
        ("clusters", "keep: 5", "keep: 6", &[]),
    ];
    assert_complete(&repository_schema(), &[], rows);
    assert_changes("clustergraph.yaml", REPOSITORY, rows);
}

#[test]
fn of_a_server_of_ones_own() {
    let repo = Repo::new();
    let service = "name: web\nrun: [./web]\ndatabases: [{ kind: postgres, isolation: dedicated, settings: { wal_level: logical }, image: 'postgis/postgis:17-3.4' }]\n";
    repo.write("web/service.yaml", service);
    let before = repo.worktree();
    for (from, to) in [("logical", "replica"), ("17-3.4", "16-3.5"), (", settings: { wal_level: logical }", "")] {
        repo.write("web/service.yaml", service.replace(from, to));
        let after = repo.worktree();
        assert_eq!(changed(&before, &after), BTreeSet::from(["web".to_owned()]), "{from} -> {to}");
        // Its data is found again by the same name, and the difference is told with its reason.
        assert_eq!(before.servers.keys().collect::<Vec<_>>(), after.servers.keys().collect::<Vec<_>>());
        let diff = before.diff(&after);
        let web = Node::new(NodeKind::Service, "web");
        let chains: Vec<Vec<String>> =
            diff.chains(&web).into_iter().map(|chain| chain.into_iter().map(ToString::to_string).collect()).collect();
        assert_eq!(chains, [["web", "web/postgres", "postgres-17-web-postgres"]], "{from} -> {to}");
    }
}
