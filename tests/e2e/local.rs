//! `ssi` on a real machine: the story of the README, under both runtimes, and what may go wrong in it.

use std::process::Command;
use std::time::{Duration, Instant};

use clustergraph_tests::{Load, Repository, Session, get};

/// The whole story: check, graph, up, up again, an edit, ps, logs, down, nothing left.
fn the_story(runtime: &str) {
    let repository = Repository::of_example("hello");
    let session = Session::of(repository.path());
    let up = format!("up -d --runtime {runtime}");

    let check = session.ssi("check").run().succeeds().stdout();
    assert!(check.starts_with("2 services, 1 database, no problems"), "{check}");
    let graph = session.ssi("graph").run().succeeds().stdout();
    let names: Vec<&str> = graph
        .lines()
        .filter_map(|line| {
            line.split_whitespace().find(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '/'))
        })
        .collect();
    assert_eq!(names, ["www", "api", "api/greetings", "version"], "{graph}");

    let _ = session.ssi(&up).run().succeeds();
    let page = get(&session.address("www"));
    assert_eq!(page.status, 200);
    assert!(
        page.body.matches("<li").count() + page.body.matches("<article").count() >= 3,
        "the page shows the seeded rows"
    );

    assert!(session.plan().is_empty(), "up again has nothing to do: {:?}", session.plan());
    let again = session.ssi(&up).run().succeeds();
    assert_eq!(again.stderr().trim(), "nothing to do");

    let before = (session.ps("www"), session.ps("api"), session.ps("postgres-15"));
    repository.append("services/api/app.py", "# edited");
    let plan = session.plan();
    assert_eq!(plan.len(), 1, "{plan:?}");
    assert_eq!(
        (&plan[0]["action"], &plan[0]["unit"]["name"], &plan[0]["reason"]),
        (&"restart".into(), &"api".into(), &"source changed".into())
    );
    let _ = session.ssi(&up).run().succeeds();
    let after = (session.ps("www"), session.ps("api"), session.ps("postgres-15"));
    assert_eq!(before.0["instance"], after.0["instance"], "www goes on");
    assert_ne!(before.1["instance"], after.1["instance"], "api was restarted");
    assert_eq!(before.2["instance"], after.2["instance"], "the server goes on");
    assert_eq!(get(&session.address("www")).status, 200);

    let ps = session.ssi("ps").run().succeeds().stdout();
    for name in ["www", "api", "postgres-15"] {
        let row = ps.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} is not in:\n{ps}"));
        assert!(row.contains("ready") && row.contains(runtime), "{row}");
    }
    let logs = session.ssi("logs api").run().succeeds().stdout();
    assert!(logs.lines().any(|line| line.starts_with("api | ") && line.contains("listens")), "{logs}");

    let id = session.id();
    let address = session.address("www");
    let _ = session.ssi("down").run().succeeds();
    assert!(std::net::TcpStream::connect(address.trim_start_matches("http://")).is_err(), "nobody listens any more");
    assert_eq!(leftovers(&id, runtime), Vec::<String>::new());
    let _ = session.ssi("down").run().succeeds();

    // The data is still there: the next up neither makes nor seeds it again.
    let units: Vec<String> = session
        .plan()
        .iter()
        .map(|step| {
            format!("{} {}", step["action"].as_str().unwrap_or(""), step["unit"]["name"].as_str().unwrap_or(""))
        })
        .collect();
    assert_eq!(units, ["start postgres-15", "start api", "start www"]);
    let _ = session.ssi("down --delete-data").run().succeeds();
    assert!(!session.state().join("sessions").join(&id).exists(), "the session's folder is gone");
    assert_eq!(volumes(&id), Vec::<String>::new());
    wait_until("the supervisor leaves", || session.supervisors().is_empty());
}

#[test]
fn the_story_with_processes() {
    the_story("process");
}

#[test]
fn the_story_with_docker() {
    the_story("docker");
}

/// Containers and networks of a session.
fn leftovers(id: &str, runtime: &str) -> Vec<String> {
    if runtime == "process" {
        return Vec::new();
    }
    let label = format!("label=dev.clustergraph.session={id}");
    let mut left = docker(&["ps", "--all", "--quiet", "--filter", &label]);
    left.extend(docker(&["network", "ls", "--quiet", "--filter", &label]));
    left
}

fn volumes(id: &str) -> Vec<String> {
    docker(&["volume", "ls", "--quiet", "--filter", &format!("label=dev.clustergraph.session={id}")])
}

fn docker(arguments: &[&str]) -> Vec<String> {
    let output = Command::new("docker").args(arguments).output().expect("docker runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Waits for what must come to pass; the bound is generous, for slow machines.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(30), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A killed supervisor harms no service, and the next one finds everything as it should be.
fn a_killed_supervisor(runtime: &str) {
    let repository = Repository::of_example("hello");
    let session = Session::of(repository.path());
    let _ = session.ssi(&format!("up -d --runtime {runtime}")).run().succeeds();
    let before = session.ps("api")["instance"].clone();
    let load = Load::on(&session.address("www"), 2, 2);
    let supervisors = session.supervisors();
    assert_eq!(supervisors.len(), 1, "one supervisor for a session");
    let pid = rustix::process::Pid::from_raw(supervisors[0]).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is killed");
    wait_until("the supervisor is gone", || session.supervisors().is_empty());
    assert!(session.plan().is_empty(), "the next up adopts what runs: {:?}", session.plan());
    assert_eq!(session.ps("api")["instance"], before);
    assert_eq!(session.ps("api")["state"], "ready");
    let served = load.stop();
    assert_eq!(served.failures, Vec::<String>::new());
    assert!(served.requests > 0);
    let _ = session.ssi("down").run().succeeds();
}

#[test]
fn a_killed_supervisor_of_processes_harms_nothing() {
    a_killed_supervisor("process");
}

#[test]
fn a_killed_supervisor_of_containers_harms_nothing() {
    a_killed_supervisor("docker");
}

#[test]
fn two_worktrees_run_side_by_side() {
    let repositories = (Repository::of_example("hello"), Repository::of_example("hello"));
    let (one, other) = (Session::of(repositories.0.path()), Session::of(repositories.1.path()));
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| one.ssi("up -d --runtime process").run());
        let second = scope.spawn(|| other.ssi("up -d --runtime process").run());
        (first.join().expect("it runs"), second.join().expect("it runs"))
    });
    let _ = (first.succeeds(), second.succeeds());
    assert_ne!(one.address("www"), other.address("www"));
    let _ = one.ssi("down").run().succeeds();
    assert_eq!(get(&other.address("www")).status, 200, "the other one goes on");
    let _ = other.ssi("down").run().succeeds();
}

#[test]
fn up_of_one_service_starts_only_what_it_needs_and_down_keeps_what_others_want() {
    let repository = Repository::with(&[
        ("a/service.yaml", "name: a\ndependencies: [c]\nrun: [sleep, '1000']\n"),
        ("b/service.yaml", "name: b\ndependencies: [c]\nrun: [sleep, '1000']\n"),
        ("c/service.yaml", "name: c\nrun: [sleep, '1000']\n"),
        ("d/service.yaml", "name: d\nrun: [sleep, '1000']\n"),
    ]);
    let session = Session::of(repository.path());
    let running = || {
        let listing = session.ssi("ps --output json").run().succeeds().json();
        let mut names: Vec<String> = listing["units"]
            .as_array()
            .expect("units")
            .iter()
            .map(|unit| unit["unit"]["name"].as_str().expect("a name").to_owned())
            .collect();
        names.sort();
        names
    };
    let _ = session.ssi("up -d a --runtime process").run().succeeds();
    assert_eq!(running(), ["a", "c"]);
    let _ = session.ssi("up -d b").run().succeeds();
    assert_eq!(running(), ["a", "b", "c"]);
    let _ = session.ssi("down a").run().succeeds();
    assert_eq!(running(), ["b", "c"]);
    let wrong = session.ssi("down x").run().ends_with(4);
    assert!(wrong.stderr().contains("no service x runs here"), "{}", wrong.stderr());
    let wrong = session.ssi("up -d bb").run().ends_with(4);
    assert!(wrong.stderr().contains("did you mean `b`?"), "{}", wrong.stderr());
}

#[test]
fn an_invalid_graph_starts_nothing_and_says_all_that_is_wrong() {
    let repository = Repository::with(&[
        ("a/service.yaml", "name: a\ndependancies: [b]\nrun: [sleep, '1']\n"),
        ("b/service.yaml", "name: b\ndependencies: [c]\n"),
    ]);
    let session = Session::of(repository.path());
    for command in ["check", "up -d --runtime process"] {
        let report = session.ssi(command).run().ends_with(3).stderr();
        for words in [
            "a/service.yaml:2:1",
            "did you mean `dependencies`?",
            "b/service.yaml:2:16",
            "no service `c`",
            "nothing to run",
        ] {
            assert!(report.contains(words), "{command} does not say {words}:\n{report}");
        }
    }
    assert!(session.ssi("ps --output json").run().succeeds().json()["units"].as_array().expect("units").is_empty());
}

#[test]
fn a_service_that_ends_is_told_with_its_last_words_and_what_waits_is_not_begun() {
    let repository = Repository::with(&[
        ("a/service.yaml", "name: a\ndependencies: [b]\nrun: [sleep, '1000']\n"),
        ("b/service.yaml", "name: b\nports: { http: 18080 }\nrun: [sh, -c, 'echo the disk is on fire; exit 7']\n"),
        ("c/service.yaml", "name: c\nrun: [sleep, '1000']\n"),
    ]);
    let session = Session::of(repository.path());
    let report = session.ssi("up -d --runtime process").run().ends_with(1).stderr();
    assert!(report.contains("b: it ended with code 7"), "{report}");
    assert!(report.contains("| the disk is on fire"), "{report}");
    assert!(report.contains("a skipped  b failed"), "{report}");
    assert!(report.contains("c ready"), "what does not wait for it is begun: {report}");
    // Mended, the next up does what is left.
    repository.replace("b/service.yaml", "echo the disk is on fire; exit 7", "exec python3 -m http.server $PORT");
    let _ = session.ssi("up -d").run().succeeds();
    assert_eq!(session.ps("a")["state"], "ready");
}

#[test]
fn a_missing_program_is_told_with_the_way_out() {
    let repository = Repository::with(&[("a/service.yaml", "name: a\nrun: [no-such-program]\n")]);
    let session = Session::of(repository.path());
    let report = session.ssi("up -d --runtime process").run().ends_with(1).stderr();
    assert!(
        report.contains("there is no program `no-such-program`") && report.contains("--runtime docker"),
        "{report}"
    );
}

#[test]
fn a_taken_port_is_stepped_around() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let service = format!("name: a\nports: {{ http: {port} }}\nrun: [sh, -c, 'exec python3 -m http.server $PORT']\n");
    let repository = Repository::with(&[("a/service.yaml", &service)]);
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    let address = session.address("a");
    assert!(!address.ends_with(&format!(":{port}")), "{address}");
    assert_eq!(get(&address).status, 200);
}

#[test]
fn secrets_are_in_no_report() {
    let repository = Repository::of_example("hello");
    let session = Session::of(repository.path());
    let up = session.ssi("up -d --runtime process --output json").run().succeeds();
    let id = session.id();
    let records =
        std::fs::read_to_string(session.state().join("sessions").join(&id).join("records.json")).expect("records");
    let records: serde_json::Value = serde_json::from_str(&records).expect("JSON");
    let passwords = records["passwords"].as_object().expect("passwords");
    assert_eq!(passwords.len(), 2, "the server's and the database's");
    let mut reports = vec![up.stdout(), up.stderr()];
    for command in ["ps --all --output json", "graph --output json", "logs", "up --dry-run --output json"] {
        let run = session.ssi(command).run().succeeds();
        reports.extend([run.stdout(), run.stderr()]);
    }
    for password in passwords.values().filter_map(|value| value.as_str()) {
        assert!(reports.iter().all(|report| !report.contains(password)));
    }
}
