//! What services find in their environment.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::collections::BTreeMap;
use std::convert::Infallible;

use clustergraph::graph::Graph;
use clustergraph::wiring::{Hole, Value, variable_prefix};
use support::Repo;

/// A word for every hole, so that a whole environment reads as text.
fn word(hole: &Hole) -> String {
    match hole {
        Hole::ServiceHost(service) => format!("<{service}>"),
        Hole::ServicePort(service, port) => format!("<{service}:{port}>"),
        Hole::OwnPort(port) => format!("<port {port}>"),
        Hole::DatabaseHost(address) => format!("<host {address}>"),
        Hole::DatabasePort(address) => format!("<port {address}>"),
        Hole::DatabaseUsername(address) => format!("<user {address}>"),
        Hole::DatabasePassword(address) => format!("<password {address}>"),
        Hole::DatabaseName(address) => format!("<name {address}>"),
        Hole::DatabaseBrokers(address) => format!("<brokers {address}>"),
        Hole::Secret(name) => format!("<secret {name}>"),
        Hole::PublicUrl(service) => format!("<public {service}>"),
        Hole::VolumePath(name) => format!("<volume {name}>"),
        Hole::Version => "<version>".to_owned(),
    }
}

fn text(value: &Value) -> String {
    let Ok(text) = value.resolve(|hole| Ok::<_, Infallible>(word(hole)));
    text
}

fn graph(web: &str, others: &[(&str, &str)]) -> Graph {
    let repo = Repo::new();
    repo.write("web/service.yaml", format!("name: web\nrun: [./web]\n{web}\n"));
    for (name, other) in others {
        repo.write(&format!("{name}/service.yaml"), format!("name: {name}\nrun: [./run]\n{other}\n"));
    }
    repo.worktree()
}

fn environment(web: &str, others: &[(&str, &str)]) -> BTreeMap<String, String> {
    graph(web, others).services["web"].env.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

#[track_caller]
fn assert_environment(web: &str, others: &[(&str, &str)], want: &[(&str, &str)]) {
    let found = environment(web, others);
    let want: BTreeMap<String, String> =
        want.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(found, want, "{web}");
}

#[test]
fn names_become_variables() {
    for (alias, prefix) in [
        ("order", "ORDER"),
        ("order-db", "ORDER_DB"),
        ("a-b-c", "A_B_C"),
        ("2fa", "_2FA"),
        ("v2", "V2"),
        ("shop/order", "SHOP_ORDER"),
    ] {
        assert_eq!(variable_prefix(alias), prefix);
    }
}

#[test]
fn a_service_alone_finds_its_name() {
    assert_environment("", &[], &[("OTEL_SERVICE_NAME", "web")]);
}

#[test]
fn a_check_of_a_service_finds_it_as_who_calls_it_does() {
    let ports = "ports: { http: 8080, grpc: { port: 9090, protocol: grpc } }";
    let graph = graph("dependencies: [shop-page]", &[("shop-page", ports)]);
    let own: BTreeMap<String, String> =
        graph.services["shop-page"].own_address().iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let called = environment("dependencies: [shop-page]", &[("shop-page", ports)]);
    assert_eq!(own["SHOP_PAGE_URL"], "http://<shop-page>:<shop-page:http>");
    assert_eq!(own["SHOP_PAGE_GRPC_ADDR"], "<shop-page>:<shop-page:grpc>");
    assert!(own.iter().all(|(name, value)| called.get(name) == Some(value)), "{own:?}");
    assert_eq!(own.len() + 1, called.len(), "and OTEL_SERVICE_NAME");
    assert!(graph.services["web"].own_address().is_empty(), "what has no ports is nowhere");
}

#[test]
fn a_service_finds_its_own_ports() {
    assert_environment(
        "ports: { grpc: 9090, http: 8080, 9p: 564 }",
        &[],
        &[
            ("OTEL_SERVICE_NAME", "web"),
            ("PORT", "<port http>"),
            ("PORT_HTTP", "<port http>"),
            ("PORT_GRPC", "<port grpc>"),
            ("PORT_9P", "<port 9p>"),
        ],
    );
    assert_eq!(environment("ports: { main: 80 }", &[])["PORT"], "<port main>");
    assert_eq!(environment("ports: { http: 80, b: { port: 81, primary: true } }", &[])["PORT"], "<port b>");
}

#[test]
fn an_edge_gives_url_host_port_and_address() {
    assert_environment(
        "dependencies: [order-db, { service: pay, as: 2fa, wait: none }]",
        &[("order-db", "ports: { http: 80 }"), ("pay", "ports: { grpc: 81 }")],
        &[
            ("OTEL_SERVICE_NAME", "web"),
            ("ORDER_DB_URL", "http://<order-db>:<order-db:http>"),
            ("ORDER_DB_HOST", "<order-db>"),
            ("ORDER_DB_PORT", "<order-db:http>"),
            ("ORDER_DB_ADDR", "<order-db>:<order-db:http>"),
            ("_2FA_URL", "grpc://<pay>:<pay:grpc>"),
            ("_2FA_HOST", "<pay>"),
            ("_2FA_PORT", "<pay:grpc>"),
            ("_2FA_ADDR", "<pay>:<pay:grpc>"),
        ],
    );
}

#[test]
fn further_ports_are_named_and_the_primary_one_is_not() {
    let env = environment(
        "dependencies: [pay]",
        &[("pay", "ports: { http: 80, admin: { port: 81, protocol: https }, 9p: { port: 82, protocol: tcp } }")],
    );
    assert_eq!(env["PAY_URL"], "http://<pay>:<pay:http>");
    assert_eq!(env["PAY_ADMIN_URL"], "https://<pay>:<pay:admin>");
    assert_eq!(env["PAY_9P_ADDR"], "<pay>:<pay:9p>");
    assert!(!env.contains_key("PAY_HTTP_URL"));
}

#[test]
fn a_dependency_without_ports_gives_nothing() {
    assert_environment("dependencies: [worker]", &[("worker", "")], &[("OTEL_SERVICE_NAME", "web")]);
}

#[test]
fn a_database_gives_its_parts_and_the_name_of_its_family() {
    let url =
        "postgresql://<user web/orders>:<password web/orders>@<host web/orders>:<port web/orders>/<name web/orders>";
    assert_environment(
        "databases: [{ kind: postgres, as: orders }]",
        &[],
        &[
            ("OTEL_SERVICE_NAME", "web"),
            ("DATABASE_URL", url),
            ("ORDERS_URL", url),
            ("ORDERS_HOST", "<host web/orders>"),
            ("ORDERS_PORT", "<port web/orders>"),
            ("ORDERS_ADDR", "<host web/orders>:<port web/orders>"),
            ("ORDERS_USERNAME", "<user web/orders>"),
            ("ORDERS_PASSWORD", "<password web/orders>"),
            ("ORDERS_DATABASE", "<name web/orders>"),
        ],
    );
}

#[test]
fn of_several_databases_the_primary_one_has_the_familys_name() {
    let env = environment("databases: [{ kind: postgres, as: one }, { kind: postgres, as: two, primary: true }]", &[]);
    assert_eq!(env["DATABASE_URL"], env["TWO_URL"]);
    let env = environment(
        "databases: [{ kind: postgres, as: one }, { kind: postgres, as: two }]\nenv: { DATABASE_URL: '${databases.one.url}' }",
        &[],
    );
    assert_eq!(env["DATABASE_URL"], env["ONE_URL"]);
}

#[test]
fn parameters_are_percent_encoded_and_sorted() {
    let env = environment("databases: [{ kind: postgres, params: { z: 1, options: '-c a=b&c/ü', on: true } }]", &[]);
    let (_, query) = env["POSTGRES_URL"].split_once('?').unwrap();
    assert_eq!(query, "on=true&options=-c%20a%3Db%26c%2F%C3%BC&z=1");
}

#[test]
fn env_is_laid_over_the_wiring_and_may_use_it() {
    let env = environment(
        "\
ports: { http: 8080, admin: 9090 }
dependencies: [{ service: pay, as: p }]
databases: [{ kind: postgres, as: main }]
env:
  P_URL: https://pay.example
  CALLBACK: '${services.p.url}/back?from=${self.addr}'
  METRICS: '${services.p.ports.metrics.addr}'
  ADMIN: '${self.ports.admin.port}'
  USER_AT: '${databases.main.username}@${databases.main.addr}'
  LITERAL: 'a $${HOME} $5 ${version}'
  NUMBER: 5
  FLAG: true
  EMPTY: ''
",
        &[("pay", "ports: { http: 80, metrics: 81 }")],
    );
    for (name, want) in [
        ("P_URL", "https://pay.example"),
        ("P_HOST", "<pay>"),
        ("CALLBACK", "http://<pay>:<pay:http>/back?from=<web>:<web:http>"),
        ("METRICS", "<pay>:<pay:metrics>"),
        ("ADMIN", "<web:admin>"),
        ("USER_AT", "<user web/main>@<host web/main>:<port web/main>"),
        ("LITERAL", "a ${HOME} $5 <version>"),
        ("NUMBER", "5"),
        ("FLAG", "true"),
        ("EMPTY", ""),
    ] {
        assert_eq!(env[name], want, "{name}");
    }
}

#[test]
fn a_value_that_reaches_a_password_is_secret() {
    let graph = graph(
        "databases: [{ kind: postgres, as: main }]\nenv: { A: 'x ${databases.main.url}', B: '${databases.main.password}', C: '${databases.main.addr}' }",
        &[],
    );
    let env = &graph.services["web"].env;
    for (name, secret) in [
        ("A", true),
        ("B", true),
        ("C", false),
        ("MAIN_URL", true),
        ("MAIN_PASSWORD", true),
        ("DATABASE_URL", true),
        ("MAIN_HOST", false),
        ("MAIN_USERNAME", false),
        ("OTEL_SERVICE_NAME", false),
    ] {
        assert_eq!(env[name].is_secret(), secret, "{name}");
    }
}

#[test]
fn kafka_gives_brokers_and_no_credentials() {
    assert_environment(
        "databases: [{ kind: kafka, as: events }]",
        &[],
        &[
            ("OTEL_SERVICE_NAME", "web"),
            ("EVENTS_URL", "kafka://<host web/events>:<port web/events>"),
            ("EVENTS_HOST", "<host web/events>"),
            ("EVENTS_PORT", "<port web/events>"),
            ("EVENTS_ADDR", "<host web/events>:<port web/events>"),
            ("EVENTS_BROKERS", "<brokers web/events>"),
            ("KAFKA_BROKERS", "<brokers web/events>"),
            ("KAFKA_URL", "kafka://<host web/events>:<port web/events>"),
        ],
    );
}

#[test]
fn each_family_has_names_of_its_own() {
    let env = environment("databases: [postgres, redis, kafka]", &[]);
    assert_eq!(env["DATABASE_URL"], env["POSTGRES_URL"]);
    assert!(env["REDIS_URL"].starts_with("redis://") && env["KAFKA_BROKERS"] == "<brokers web/kafka>");
    let text = problems("databases: [postgres, mysql]", &[]);
    assert!(text.contains("2 databases could be `DATABASE_URL`"), "{text}");
    let env = environment("databases: [postgres, { kind: mysql, primary: true }]", &[]);
    assert_eq!(env["DATABASE_URL"], env["MYSQL_URL"]);
}

#[test]
fn another_s_database_is_wired_and_has_no_name_of_a_family() {
    let others = [("api", "databases: [{ kind: postgres, as: items, params: { pool: 5 } }]")];
    let env =
        environment("databases: [{ from: api/items, params: { read: only } }, { kind: postgres, as: own }]", &others);
    assert_eq!(env["ITEMS_USERNAME"], "<user api/items>");
    let (_, query) = env["ITEMS_URL"].split_once('?').unwrap();
    assert_eq!(query, "read=only");
    assert_eq!(env["DATABASE_URL"], env["OWN_URL"]);
    let env = environment("databases: [{ from: api/items, as: theirs }]", &others);
    assert!(env.contains_key("THEIRS_URL") && !env.contains_key("DATABASE_URL"));
}

#[test]
fn secrets_and_volumes_are_variables() {
    assert_environment(
        "secrets: [STRIPE_KEY, { name: SENTRY, optional: true }]\nvolumes: { user-uploads: /data }\nenv: { AUTH: 'Bearer ${secrets.STRIPE_KEY}' }",
        &[],
        &[
            ("OTEL_SERVICE_NAME", "web"),
            ("STRIPE_KEY", "<secret STRIPE_KEY>"),
            ("SENTRY", "<secret SENTRY>"),
            ("AUTH", "Bearer <secret STRIPE_KEY>"),
            ("VOLUME_USER_UPLOADS", "<volume user-uploads>"),
        ],
    );
    let graph = graph("secrets: [A]\nenv: { B: 'x${secrets.A}', C: 'x' }", &[]);
    let env = &graph.services["web"].env;
    assert_eq!(["A", "B", "C"].map(|name| env[name].is_secret()), [true, true, false]);
}

#[test]
fn a_public_address_may_be_another_s_or_its_own() {
    let env = environment(
        "ports: { http: 80 }\npublic: {}\ndependencies: [{ service: shop, as: s, wait: none }]\nenv: { A: '${services.s.public_url}/x', B: '${self.public_url}' }",
        &[("shop", "ports: { http: 80 }\npublic: { path: /shop }")],
    );
    assert_eq!((env["A"].as_str(), env["B"].as_str()), ("<public shop>/x", "<public web>"));
}

#[test]
fn a_process_finds_what_its_service_finds_but_its_ports() {
    let web = "\
ports: { http: 80 }
dependencies: [api]
databases: [postgres]
secrets: [KEY]
volumes: { data: /data }
env: { LEVEL: info, SELF: '${self.url}' }
processes: { worker: { run: [./worker], env: { LEVEL: debug, QUEUE: '${databases.postgres.host}' } } }
";
    let graph = graph(web, &[("api", "ports: { http: 80 }")]);
    let words = |name: &str| -> BTreeMap<String, String> {
        graph.services[name].env.iter().map(|(name, value)| (name.clone(), text(value))).collect()
    };
    let mut want = words("web");
    want.remove("PORT");
    want.remove("PORT_HTTP");
    for (name, value) in [("LEVEL", "debug"), ("QUEUE", "<host web/postgres>"), ("OTEL_SERVICE_NAME", "web.worker")] {
        want.insert(name.to_owned(), value.to_owned());
    }
    assert_eq!(words("web.worker"), want);
}

#[test]
fn a_file_has_its_expressions_filled_and_nothing_else() {
    let repo = Repo::new();
    repo.write(
        "web/service.yaml",
        "name: web\nrun: [./web]\ndependencies: [api]\nfiles: { /etc/web.conf: conf/web.conf }\n",
    );
    repo.write("web/conf/web.conf", "to ${services.api.addr};\nset $host $${host}; # {not} a $hole\n");
    repo.write("api/service.yaml", "name: api\nrun: [./api]\nports: { http: 80 }\n");
    let graph = repo.worktree();
    let file = &graph.services["web"].files["/etc/web.conf"];
    assert_eq!(file.path, "web/conf/web.conf");
    assert_eq!(text(&file.content), "to <api>:<api:http>;\nset $host ${host}; # {not} a $hole\n");
    repo.write("api/service.yaml", "name: api\nrun: [./api]\nports: { http: 81 }\n");
    assert_eq!(repo.worktree().services["web"].behaviour, graph.services["web"].behaviour);
}

fn problems(web: &str, others: &[(&str, &str)]) -> String {
    let repo = Repo::new();
    repo.write("web/service.yaml", format!("name: web\nrun: [./web]\n{web}\n"));
    for (name, other) in others {
        repo.write(&format!("{name}/service.yaml"), format!("name: {name}\nrun: [./run]\n{other}\n"));
    }
    let problems = repo.problems();
    problems.render(false, 100)
}

#[test]
fn collisions_are_judged_after_env() {
    let others = [("order", "ports: { http: 80, db: 81 }"), ("order-db", "ports: { http: 80 }")];
    let open = problems("dependencies: [order, order-db]", &others);
    assert!(open.contains("`ORDER_DB_URL`, `ORDER_DB_HOST`, `ORDER_DB_PORT` and `ORDER_DB_ADDR`"), "{open}");
    let partly = problems("dependencies: [order, order-db]\nenv: { ORDER_DB_URL: x, ORDER_DB_HOST: y }", &others);
    assert!(partly.contains("`ORDER_DB_PORT` and `ORDER_DB_ADDR`"), "{partly}");
    let said = "env: { ORDER_DB_URL: x, ORDER_DB_HOST: x, ORDER_DB_PORT: x, ORDER_DB_ADDR: x }";
    assert_eq!(problems(&format!("dependencies: [order, order-db]\n{said}"), &others), "");
    assert_eq!(problems("dependencies: [order, { service: order-db, as: store }]", &others), "");
}

#[test]
fn a_service_and_a_database_may_collide() {
    let text = problems("dependencies: [postgres]\ndatabases: [postgres]", &[("postgres", "ports: { http: 80 }")]);
    assert!(text.contains("wiring-collision"), "{text}");
}

#[test]
fn two_edges_that_give_the_same_value_do_not_collide() {
    let others = [("pay", "ports: { http: 80, grpc: 81 }")];
    assert_eq!(problems("dependencies: [pay, { service: pay, as: second }]", &others), "");
}
