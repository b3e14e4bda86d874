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
dependencies: [{ service: api, wait: started }]
databases: [{ kind: postgres, as: orders, isolation: dedicated, migrate: { run: [./migrate] }, seed: { run: [./seed] } }]
env: { A: '${databases.orders.url}' }
passthrough: [AWS_REGION]
watch: { mode: self }
start: automatic
borrow: never
egress: ['api.stripe.example:443']
public: { path: / }
scale: { replicas: 2 }
test: { run: [./test] }
smoke: { run: [./smoke] }
labels: { team: checkout }
";

const CLUSTER: &str = "clusters: { production: { namespace: shop, strategy: atomic, lends: false, egress: allow } }\n";

fn refused(web: &str, repository: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("web/service.yaml", web),
        ("web/nginx.conf", "listen 80;\n"),
        ("web/Dockerfile", "FROM scratch\n"),
        ("web/db/7.sql", "select 7;\n"),
        ("api/service.yaml", "name: api\nrun: [./api]\nports: { http: 1 }\ndatabases: [postgres]\n"),
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
fn what_is_honoured_is_not_refused() {
    assert_eq!(refused(HELLO, CLUSTER), Vec::<String>::new());
}

#[test]
fn each_feature_that_would_be_ignored_is_refused_with_its_place() {
    let name = "name: web\nrun: [./web]\n";
    for (field, want) in [
        ("files: { /etc/nginx.conf: nginx.conf }", "`files`"),
        ("volumes: { uploads: /data }", "`volumes`"),
        ("secrets: [KEY]", "`secrets`"),
        ("task: true", "`task`"),
        ("processes: { worker: { run: [./worker] } }", "a further process"),
        ("jobs: [{ name: nightly, schedule: '0 3 * * *', run: [./etl] }]", "a job"),
        ("start: manual", "`start: manual`"),
        ("singleton: true", "`singleton`"),
        ("security: baseline", "`security`"),
        ("restart: always", "`restart`"),
        ("resources: { cpu: 1 }", "`resources`"),
        ("scale: { max: 3 }", "scaling by load"),
        ("dependencies: [{ service: api, optional: true }]", "an optional dependency"),
        ("health: { command: [./check] }", "asking for health by `command`"),
        ("health: { log: ready }", "asking for health by `log`"),
        ("ports: { http: 1 }\nhealth: { grpc: true }", "asking for health by `grpc`"),
        ("ports: { http: 1 }\nhealth: { http: /, headers: { A: b } }", "`health.headers`"),
        ("ports: { http: 1 }\nhealth: { http: /, liveness: true }", "`health.liveness`"),
        ("build: { secrets: [TOKEN] }", "`build.secrets`"),
        ("ports: { http: 1 }\npublic: {}\nenv: { A: '${self.public_url}' }", "`public_url`"),
    ] {
        let found = refused(&format!("{name}{field}\n"), "");
        let [one] = found.as_slice() else { panic!("{field}: {found:#?}") };
        assert!(one.contains(want) && one.contains("not supported by this version of komandan on Kubernetes"), "{one}");
        assert!(one.starts_with("web/service.yaml:") && !one.starts_with("web/service.yaml:1:"), "{one}");
    }
}

#[test]
fn so_are_settings_of_the_cluster_that_is_meant() {
    for setting in [
        "strategy: rolling",
        "domain: shop.example",
        "warm: 30m",
        "lends: true",
        "ingress: { class: nginx }",
        "egress: deny",
        "pull_grace: 3m",
        "size: { web/uploads: 5Gi }",
        "ttl: 4h",
        "seed: true",
        "secrets_from: dev",
        "quota: { memory: 8Gi }",
    ] {
        let name = setting.split(':').next().unwrap();
        let found = refused(HELLO, &format!("clusters:\n  production: {{ {setting} }}\n"));
        assert!(found.len() == 1 && found[0].contains(&format!("`{name}`")), "{setting}: {found:#?}");
        assert_eq!(refused(HELLO, &format!("clusters:\n  other: {{ {setting} }}\n")), Vec::<String>::new());
    }
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
