//! What is refused, feature by feature, and that nothing else is.

use std::process::Command;

use clustergraph::graph::Graph;
use clustergraph::tree::Tree;

use super::problems;

const HELLO: &str = "\
name: web
run: [./web]
ports: { http: 8080 }
health: { http: /healthz, timeout: 1s }
dependencies: [{ service: api, wait: started }, { service: later, optional: true }, { service: fill, wait: completed }]
databases: [{ from: api/postgres }, { kind: postgres, as: orders, isolation: dedicated, migrate: { run: [./migrate] }, seed: { run: [./seed] } }]
env: { A: '${databases.orders.url}' }
passthrough: [AWS_REGION]
watch: { mode: self }
start: automatic
secrets: [KEY, { name: D, optional: true }]
files: { /etc/nginx.conf: nginx.conf }
volumes: { uploads: /data }
singleton: true
security: baseline
restart: always
stop: { signal: INT }
resources: { cpu: 1, memory: 1Gi }
borrow: never
egress: ['api.stripe.example:443']
public: { path: / }
test: { run: [./test] }
smoke: { run: [./smoke] }
labels: { team: checkout }
";

const LATER: &str = "\
name: later
run: [./later]
ports: { http: 1 }
start: manual
resources: { cpu: 1 }
scale: { min: 1, max: 3, cpu: 70 }
health: { grpc: true, liveness: { command: [./check] } }
processes: { worker: { run: [./worker] } }
jobs: [{ name: nightly, schedule: '0 3 * * *', run: [./etl] }]
";

const CLUSTER: &str = "clusters: { production: { namespace: shop, strategy: atomic, lends: true, egress: deny, pull_grace: 3m, warm: 30m } }\n";

fn refused(web: &str, repository: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("web/service.yaml", web),
        ("web/nginx.conf", "listen 80;\n"),
        ("web/Dockerfile", "FROM scratch\n"),
        ("web/db/7.sql", "select 7;\n"),
        (
            "api/service.yaml",
            "name: api\nrun: [./api]\nports: { http: 1 }\ndatabases: [postgres]\npublic: { path: /api }\n",
        ),
        ("later/service.yaml", LATER),
        ("fill/service.yaml", "name: fill\nrun: [./fill]\ntask: true\nrestart: on-failure\n"),
        ("web/with-a-secret", "key ${secrets.KEY};\n"),
        ("clustergraph.yaml", repository),
    ];
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    assert!(Command::new("git").current_dir(folder.path()).args(["init", "-q"]).status().unwrap().success());
    let graph = Graph::build(&Tree::of_worktree(folder.path()).unwrap(), "production").unwrap();
    problems(&graph, "production").iter().map(|problem| format!("{} {}", problem.place, problem.message)).collect()
}

#[test]
fn a_check_of_what_does_not_run_is_refused() {
    let base = "name: web\nstack: command\nprocesses: { work: { run: [./work] } }\nsmoke: { run: [./smoke] }\n";
    let found = refused(base, CLUSTER);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("web/service.yaml:4:1 `smoke` of a service of which only processes and jobs run"));
}

#[test]
fn what_is_honoured_is_not_refused() {
    assert_eq!(refused(HELLO, CLUSTER), Vec::<String>::new());
}

#[test]
fn each_feature_that_would_be_ignored_is_refused_with_its_place() {
    let name = "name: web\nrun: [./web]\n";
    let never = "cannot be had on Kubernetes: ";
    for (field, want, how) in [
        (
            "secrets: [{ name: D, optional: true }]\nenv: { A: 'x${secrets.D}' }",
            "`A`, which is made of more than an optional",
            never,
        ),
        ("restart: never", "`restart: never`", never),
        ("resources: { cpu: 1 }\nscale: { min: 0, max: 3 }", "`scale.min: 0`", never),
        ("health: { log: ready }", "asking for health by `log`", never),
    ] {
        let found = refused(&format!("{name}{field}\n"), "");
        let [one] = found.as_slice() else { panic!("{field}: {found:#?}") };
        assert!(one.contains(want) && one.contains(how), "{one}");
        assert!(one.starts_with("web/service.yaml:") && !one.starts_with("web/service.yaml:1:"), "{one}");
    }
}

#[test]
fn what_was_refused_once_is_honoured() {
    for field in [
        "secrets: [KEY]\nfiles: { /etc/key: with-a-secret }",
        "volumes: { uploads: /data }\nscale: { replicas: 2 }",
        "volumes: { uploads: /data }\nprocesses: { worker: { run: [./worker] } }",
        "stop: { signal: KILL }",
        "build: { secrets: [TOKEN] }",
    ] {
        assert_eq!(refused(&format!("name: web\nrun: [./web]\n{field}\n"), ""), Vec::<String>::new(), "{field}");
    }
}

#[test]
fn what_is_scaled_by_load_must_say_what_it_asks_for() {
    let found = refused("name: web\nrun: [./web]\nscale: { max: 3 }\n", "");
    assert!(found.len() == 1 && found[0].contains("web/service.yaml:3:"), "{found:#?}");
}

#[test]
fn so_are_settings_of_the_cluster_that_is_meant() {
    for setting in [
        "lends: true, strategy: rolling",
        "size: { web/nothing: 5Gi }",
        "seed: true",
        "clone: staging",
        "databases: { web/orders: { clone: staging } }",
        "secrets_from: dev",
        "quota: { memory: 8Gi }",
        "pool: [web-a]",
        "ttl: 4h, lends: true",
        "ttl: 4h, secrets_from: production",
        "ttl: 4h, databases: { web/orders: { secret: db } }",
    ] {
        let name = setting.trim_start_matches("ttl: 4h, ").split(':').next().unwrap();
        let name = if setting.contains("clone") { "clone" } else { name };
        let clusters = |name: &str| format!("clusters:\n  {name}: {{ {setting} }}\n  staging: {{}}\n");
        let found = refused(HELLO, &clusters("production"));
        assert!(found.len() == 1 && found[0].contains(&format!("`{name}`")), "{setting}: {found:#?}");
        assert_eq!(refused(HELLO, &clusters("other")), Vec::<String>::new());
    }
}

#[test]
fn what_clusters_have_that_end_by_themselves_is_honoured_with_a_time_to_live() {
    let settings = "ttl: 4h, seed: true, secrets_from: dev-secrets, quota: { memory: 8Gi }, pool: [web-a], \
                    domain: 'pr-{n}.shop.example', ingress: { class: nginx, tls: shop-tls }";
    let cluster = |settings: &str| format!("clusters:\n  production: {{ {settings} }}\n");
    assert_eq!(refused(HELLO, &cluster(settings)), Vec::<String>::new());
    let copies = "ttl: 4h, clone: staging, databases: { web/orders: { clone: none } } }\n  staging: { lends: true";
    assert_eq!(refused(HELLO, &cluster(copies)), Vec::<String>::new());
    let nothing = refused(HELLO, &cluster("ttl: 4h, databases: { web/order: { clone: staging } } }\n  staging: {"));
    assert!(nothing.len() == 1 && nothing[0].contains("`clone` of web/order, which is no database"), "{nothing:#?}");
    let fixed = refused(HELLO, &cluster("ttl: 4h, domain: shop.example, ingress: { class: nginx }"));
    assert!(fixed.len() == 1 && fixed[0].contains("would ask for the same host"), "{fixed:#?}");
}

#[test]
fn the_world_reaches_a_service_by_an_ingress_and_a_host() {
    let public = "name: web\nrun: [./web]\nports: { http: 1 }\npublic: {}\nenv: { A: '${self.public_url}' }\n";
    let cluster = |settings: &str| format!("clusters:\n  production: {{ {settings} }}\n");
    let both = cluster("domain: shop.example, ingress: { class: nginx, namespace: i, tls: t }");
    assert_eq!(refused(public, &both), Vec::<String>::new());
    let one = |web: &str, settings: &str| {
        let found = refused(web, settings);
        let [one] = found.as_slice() else { panic!("{found:#?}") };
        one.clone()
    };
    let none = one(public, "");
    assert!(none.starts_with("web/service.yaml:5:") && none.contains("no `ingress` with a `domain`"), "{none}");
    let half = one(HELLO, &cluster("domain: shop.example"));
    assert!(half.contains("`domain` without `ingress`") && half.starts_with("clustergraph.yaml:2:"), "{half}");
    let half = one(HELLO, &cluster("ingress: { class: nginx }"));
    assert!(half.contains("`ingress` without `domain`"), "{half}");
    let many = one(HELLO, &cluster("domain: 'pr-{n}.shop.example', ingress: {}"));
    assert!(many.contains("`{n}` in the `domain`"), "{many}");
    let grpc = one(&public.replace("{ http: 1 }", "{ grpc: { port: 1, protocol: grpc } }"), &both);
    assert!(grpc.contains("another protocol than http"), "{grpc}");
    let twice = one(&public.replace("public: {}", "public: { path: /api }"), &both);
    assert!(twice.contains("two services are public at `/api`"), "{twice}");
}

#[test]
fn all_of_a_database_is_honoured() {
    for database in [
        "{ from: api/postgres }",
        "{ from: shared }",
        "{ kind: postgres, settings: { wal_level: logical } }",
        "{ kind: postgres, image: 'postgis/postgis:16' }",
        "{ kind: postgres, extensions: [hstore] }",
        "{ kind: postgres, migrate: { run: [./m], schema: db, compatible: '7' } }",
        "{ kind: kafka, topics: [orders] }",
        "redis",
        "mariadb",
        "mysql",
        "mongodb",
        "memcached",
        "nats",
        "minio",
        "elasticsearch",
        "rabbitmq",
    ] {
        let web = format!("name: web\nrun: [./web]\ndatabases: [{database}]\n");
        let found = refused(&web, "databases: { shared: { kind: postgres } }\n");
        assert_eq!(found, Vec::<String>::new(), "{database}");
    }
    let settings = "databases: { web/orders: { secret: db } }, size: { api/postgres: 5Gi, postgres: 2Gi }";
    assert_eq!(refused(HELLO, &format!("clusters:\n  production: {{ {settings} }}\n")), Vec::<String>::new());
}

#[test]
fn a_kind_that_names_no_user_is_refused_unless_somebody_else_runs_it() {
    let kinds = "kinds: { own: { image: own, port: 1, url: 'own://{host}', ready: [own] } }\n";
    let web = "name: web\nrun: [./web]\ndatabases: [own]\n";
    let found = refused(web, kinds);
    assert!(found.len() == 1 && found[0].contains("which user its server runs as"), "{found:#?}");
    let outside = format!("{kinds}clusters: {{ production: {{ databases: {{ web/own: {{ secret: db }} }} }} }}\n");
    assert_eq!(refused(web, &outside), Vec::<String>::new());
}
