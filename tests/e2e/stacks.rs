//! Each stack of the catalogue, and one of a repository's own, through the real `ssi`: the example with a service in each.

use clustergraph_tests::local::{docker, wait_until};
use clustergraph_tests::{Program, Repository, Session, get, leave_early};

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
        leave_early(&session.address(name));
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

/// A container that ends with the test.
struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        let _ = std::process::Command::new("docker").args(["rm", "--force", "--volumes", &self.0]).output();
    }
}

#[test]
fn the_images_of_recipes_run_by_themselves_without_root() {
    let repository = Repository::of_example("stacks");
    // Of each sort of recipe one: compiled, interpreted, neither. The others take minutes and say nothing new.
    for other in ["go", "java", "python", "perl", "command"] {
        std::fs::remove_dir_all(repository.path().join(other)).expect("the folder");
    }
    repository.commit("fewer services");
    let built = Program::new("komandan", repository.path()).args("build --output json").run().succeeds().json_lines();
    let images = &built.last().expect("a result")["images"];
    for (name, greeting) in GREETINGS.iter().filter(|(name, _)| matches!(*name, "rust" | "node" | "static")) {
        let image = images[*name].as_str().expect("its image");
        let run = ["run", "--detach", "--read-only", "--env", "PORT=8080", "--publish", "127.0.0.1::8080", image];
        let container = Container(docker(&run)[0].clone());
        let address = docker(&["port", &container.0, "8080"])[0].clone();
        wait_until(name, || answers(&address));
        let answer = get(&format!("http://{address}/"));
        assert!(answer.body.starts_with(greeting), "{name}: {answer:?}");
        assert_eq!(docker(&["inspect", "--format", "{{.Config.User}}", &container.0]), ["10001:10001"]);
    }
}

/// Whether an address answers a request: the engine accepts connections for programs that do not listen yet.
fn answers(address: &str) -> bool {
    use std::io::{Read, Write};
    let ask = || -> std::io::Result<usize> {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        stream.read(&mut [0; 1])
    };
    ask().is_ok_and(|read| read == 1)
}
