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
