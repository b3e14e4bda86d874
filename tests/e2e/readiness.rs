//! Readiness is true: what becomes ready after two seconds is never called ready earlier, and soon after.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clustergraph_tests::{Repository, Session, workspace};
use serde_json::Value;

/// How much later it may be called so. The one bound in time of all tests: the promise itself is one.
const LATE: Duration = Duration::from_millis(300);
/// On a machine with other work a figure may be the machine's: each must be good once in so many times.
const ATTEMPTS: usize = 4;

/// The ways in which services are asked, and the kinds of databases.
const PROBES: [&str; 5] = ["tcp", "http", "grpc", "command", "log"];
const DATABASES: [&str; 5] = ["postgres", "mariadb", "mysql", "redis", "kafka"];

fn fixture(name: &str) -> String {
    std::fs::read_to_string(workspace().join("tests/fixtures/late").join(name)).expect("the fixture")
}

/// A repository where everything is late: a service for each probe, and servers that speak as the real ones do.
fn repository() -> Repository {
    let late = |kind: &str, more: &str| {
        format!(
            "name: {kind}\nstack: python\nrun: [sh, -c, 'exec python3 late.py {kind} \"${{PORT:-0}}\" \"$VOLUME_STATE/ready\"']\n{more}"
        )
    };
    let mut files: Vec<(String, String)> = [
        ("tcp", "ports: { main: { port: 18601, protocol: tcp } }\n"),
        ("http", "ports: { http: 18602 }\nhealth: { http: /healthz }\n"),
        ("command", "volumes: { state: /state }\nhealth: { command: [sh, -c, 'test -e \"$VOLUME_STATE/ready\"'] }\n"),
        ("log", "health: { log: began }\n"),
    ]
    .into_iter()
    .map(|(kind, more)| (format!("{kind}/service.yaml"), late(kind, more)))
    .collect();
    for kind in ["tcp", "http", "command", "log"] {
        files.push((format!("{kind}/late.py"), fixture("late.py")));
    }
    files.push((
        "grpc/service.yaml".into(),
        "name: grpc\nstack: node\nports: { main: { port: 18604, protocol: grpc } }\nhealth: { grpc: true }\nrun: [node, grpc.js]\n".into(),
    ));
    files.push(("grpc/grpc.js".into(), fixture("grpc.js")));
    let kinds: Vec<String> = DATABASES.iter().map(|kind| late_kind(kind)).collect();
    files.push(("clustergraph.yaml".into(), format!("kinds:\n{}", kinds.join(""))));
    let used: Vec<String> = DATABASES.iter().map(|kind| format!("late-{kind}")).collect();
    let user = format!("name: user\nrun: [sleep, '100000']\ndatabases: [{}]\n", used.join(", "));
    files.push(("user/service.yaml".into(), user));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    Repository::with(&files)
}

/// A kind of database that asks as the catalogue's own does, of a server that is late.
fn late_kind(kind: &str) -> String {
    let entry = workspace().join(format!("graph/catalogue/databases/{kind}.yaml"));
    let entry = std::fs::read_to_string(entry).expect("the catalogue's entry");
    let handshake = entry.lines().find(|line| line.starts_with("handshake:")).expect("a handshake");
    let program = serde_json::to_string(&fixture("late.py")).expect("a text");
    let run = |port: &str| format!("[python3, -c, {program}, {kind}, \"{port}\"]");
    format!(
        "  late-{kind}:\n    versions: [\"1\"]\n    port: 7000\n    url: \"late://{{host}}:{{port}}\"\n    ready: [\"false\"]\n    {handshake}\n\
         \x20   image: {{ name: \"python:3.11-slim\", args: {} }}\n\
         \x20   native: {{ version: [echo, \"1\"], account: root, marker: made, init: [touch, \"{{data}}/made\"], run: {} }}\n",
        run("7000"),
        run("{port}"),
    )
}

/// When each unit was told to be ready, by its name.
fn told(session: &Session, runtime: &str) -> BTreeMap<String, Duration> {
    let mut child = session.ssi(&format!("up -d --runtime {runtime} --output json")).spawn();
    let mut told = BTreeMap::new();
    let mut words = String::new();
    for line in BufReader::new(child.stdout.take().expect("its output")).lines() {
        let line = line.expect("a line");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time");
        let event: Value = serde_json::from_str(&line).expect("JSON");
        if event["event"] == "state" && event["state"] == "ready" {
            told.insert(event["unit"]["name"].as_str().expect("a name").to_owned(), now);
        }
        words.push_str(&line);
        words.push('\n');
    }
    assert!(child.wait().expect("it ends").success(), "{words}");
    told
}

/// When a unit began to be ready, as it says itself in its log; the last time, of several.
fn began(session: &Session, name: &str) -> Duration {
    let log = session.ssi(&format!("logs {name}")).run().succeeds().stdout();
    let said =
        log.lines().rev().find_map(|line| line.split_once("began ")).unwrap_or_else(|| panic!("{name} said: {log}"));
    Duration::from_secs_f64(said.1.trim().parse().expect("a time"))
}

fn readiness_is_true(runtime: &str) {
    let repository = repository();
    let session = Session::of(repository.path());
    let names: Vec<String> = PROBES
        .iter()
        .map(|probe| (*probe).to_owned())
        .chain(DATABASES.iter().map(|kind| format!("late-{kind}-1")))
        .collect();
    let mut late: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for _ in 0..ATTEMPTS {
        let told = told(&session, runtime);
        for name in &names {
            let (told, began) = (told[name], began(&session, name));
            assert!(told >= began, "{name} was called ready {} ms before it was", (began - told).as_millis());
            late.entry(name.clone()).or_default().push(told - began);
        }
        // What was ready once must not seem so the next time.
        let _ = session.ssi("down --delete-data").run().succeeds();
        if late.values().all(|times| times.iter().any(|time| *time <= LATE)) {
            return;
        }
    }
    panic!("called ready too late, each time: {late:#?}");
}

#[test]
fn readiness_of_processes_is_true() {
    readiness_is_true("process");
}

#[test]
fn readiness_of_containers_is_true() {
    readiness_is_true("docker");
}
