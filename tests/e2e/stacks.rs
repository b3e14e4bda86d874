//! Each stack of the catalogue, and one of a repository's own, through the real `ssi`: the example with a service in each.

use clustergraph_tests::{Repository, Session, get};

/// The services that answer over HTTP, each with how its greeting begins.
const GREETINGS: &[(&str, &str)] = &[
    ("rust", "hello from rust"),
    ("go", "hello from go"),
    ("java", "hello from java"),
    ("node", "hello from node"),
    ("python", "hello from python"),
    ("perl", "hello from perl"),
    ("static", "<!doctype html><title>hello</title>"),
];

/// Sets everything up, compiles what is compiled and starts it; again, nothing is installed or restarted.
fn every_stack_runs(runtime: &str, further: &[&str]) {
    let repository = Repository::of_example("stacks");
    let session = Session::of(repository.path());
    let names: Vec<&str> =
        GREETINGS.iter().map(|(name, _)| *name).chain(["command"]).chain(further.iter().copied()).collect();
    let names = names.join(" ");
    let plan = || {
        let events = session.ssi(&format!("up --dry-run --output json {names}")).run().succeeds().json_lines();
        let plan = events.into_iter().find(|event| event["event"] == "plan").expect("a plan");
        let steps = plan["steps"].as_array().expect("steps").clone();
        steps.iter().map(|step| step["unit"]["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    // What compiles takes its time, so each by itself.
    for name in ["java", "go", "rust"] {
        let _ = session.ssi(&format!("up -d --runtime {runtime} {name}")).run().succeeds();
    }
    let _ = session.ssi(&format!("up -d {names}")).run().succeeds();
    let further = further.iter().map(|name| (*name, "hello from"));
    for (name, greeting) in GREETINGS.iter().copied().chain(further) {
        let answer = get(&session.address(name));
        assert!(answer.status == 200 && answer.body.starts_with(greeting), "{name}: {answer:?}");
    }
    let logs = session.ssi("logs command --tail 1").run().succeeds().stdout();
    assert!(logs.contains("hello from command"), "{logs}");
    assert_eq!(plan(), Vec::<String>::new());

    // An edit compiles again, with what was compiled before, and installs nothing.
    repository.replace("go/main.go", "hello from go", "greetings from go");
    assert_eq!(plan(), ["go"]);
    let _ = session.ssi(&format!("up -d {names}")).run().succeeds();
    assert!(get(&session.address("go")).body.starts_with("greetings from go"));
}

#[test]
fn every_stack_runs_as_processes() {
    every_stack_runs("process", &[]);
}

#[test]
fn every_stack_runs_in_containers() {
    every_stack_runs("docker", &["docker"]);
}
