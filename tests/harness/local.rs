//! What tests of the local side have in common: a small service that can be told to do things, and looks at the engine.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::{Repository, Session, get, workspace};

/// The program of the services below, which say their name.
pub fn program() -> String {
    std::fs::read_to_string(workspace().join("tests/fixtures/services/relay.py")).expect("the fixture")
}

/// A repository of one such service with more fields.
pub fn one(more: &str) -> Repository {
    let text = format!(
        "name: a\nstack: python\nports: {{ http: 18400 }}\nhealth: {{ http: /name }}\nrun: [python3, relay.py]\n{more}"
    );
    Repository::with(&[("a/service.yaml", &text), ("a/relay.py", &program())])
}

/// A service that says its name and, where it has a `next`, what that one says.
pub fn relay(name: &str, port: u16, next: Option<&str>) -> Vec<(String, String)> {
    let mut text = format!(
        "name: {name}\nstack: python\nports: {{ http: {port} }}\nhealth: {{ http: /name }}\nrun: [python3, relay.py]\n"
    );
    if let Some(next) = next {
        text.push_str(&format!("dependencies: [{next}]\nenv: {{ NEXT: \"${{services.{next}.url}}\" }}\n"));
    }
    vec![(format!("{name}/service.yaml"), text), (format!("{name}/relay.py"), program())]
}

/// A repository of several of them.
pub fn repository(services: &[Vec<(String, String)>]) -> Repository {
    let files: Vec<(&str, &str)> =
        services.iter().flatten().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    Repository::with(&files)
}

/// What the engine's own client prints, by lines.
pub fn docker(arguments: &[&str]) -> Vec<String> {
    let output = Command::new("docker").args(arguments).output().expect("docker runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// What the engine has of a session, of a kind that its client lists.
pub fn of_session(kind: &[&str], session: &Session) -> Vec<String> {
    let label = format!("label=dev.clustergraph.session={}", session.id());
    docker(&[kind, &["--quiet", "--filter", &label]].concat())
}

/// What a service of the fixture answers at a path.
pub fn says(session: &Session, service: &str, path: &str) -> String {
    get(&format!("{}{path}", session.address(service))).body
}

/// Waits for what must come to pass; the bound is generous, for slow machines.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(60), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is killed");
}

/// Kills the session's supervisor, as `kill -9` does.
pub fn kill_supervisor(session: &Session) {
    let supervisors = session.supervisors();
    assert_eq!(supervisors.len(), 1, "one supervisor for a session");
    kill(supervisors[0]);
    wait_until("the supervisor is gone", || session.supervisors().is_empty());
}
