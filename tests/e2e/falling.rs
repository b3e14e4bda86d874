//! What becomes of what falls: services, supervisors, engines, data.

use clustergraph_tests::local::{kill_supervisor, of_session, one, says, wait_until};
use clustergraph_tests::{Repository, Session, get};

/// A service that ends is started anew; one that ends again and again is told.
fn who_falls_is_started_anew(runtime: &str) {
    let repository = one("restart: on-failure\n");
    let session = Session::of(repository.path());
    let _ = session.ssi(&format!("up -d --runtime {runtime}")).run().succeeds();
    let before = session.ps("a")["instance"].clone();
    assert_eq!(says(&session, "a", "/exit/1"), "bye");
    let stands = || session.ps("a")["state"] == "ready" && session.ps("a")["instance"] != before;
    wait_until("it is started anew", stands);
    assert_eq!(says(&session, "a", "/"), "a");
    // A supervisor that knows nothing of how it was started, too.
    kill_supervisor(&session);
    let before = session.ps("a")["instance"].clone();
    assert_eq!(says(&session, "a", "/exit/1"), "bye");
    wait_until("it is started anew by the next supervisor", || {
        session.ps("a")["state"] == "ready" && session.ps("a")["instance"] != before
    });
    assert_eq!(says(&session, "a", "/exit/0"), "bye");
    wait_until("an end in order is the end", || session.ps("a")["state"] == "failed");
    assert_eq!(session.ps("a")["detail"], "ended with code 0");
}

#[test]
fn a_process_that_falls_is_started_anew() {
    who_falls_is_started_anew("process");
}

#[test]
fn a_container_that_falls_is_started_anew() {
    who_falls_is_started_anew("docker");
}

#[test]
fn who_falls_again_and_again_is_told_and_left() {
    let repository = Repository::with(&[(
        "a/service.yaml",
        "name: a\nrun: [sh, -c, 'sleep 0.7; echo the disk is on fire; exit 3']\nrestart: always\n",
    )]);
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    wait_until("it is left", || session.ps("a")["state"] == "failed");
    let detail = session.ps("a")["detail"].as_str().expect("a detail").to_owned();
    assert!(detail.contains("code 3") && detail.contains("5 times within 60 s"), "{detail}");
}

#[test]
fn an_engine_that_does_not_answer_is_told_and_not_taken_for_an_empty_one() {
    let repository = one("");
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime docker").run().succeeds();
    kill_supervisor(&session);
    let listing = session.ssi("ps --output json").env("DOCKER_HOST", "unix:///nobody").run().succeeds().json();
    let unit = &listing["units"][0];
    assert_eq!((&unit["state"], &unit["detail"]), (&"unknown".into(), &"the Docker engine does not answer".into()));
    wait_until("that supervisor leaves", || session.supervisors().is_empty());
    assert_eq!(session.ps("a")["state"], "ready");
}

#[test]
fn what_a_crashed_process_leaves_in_its_group_is_ended() {
    let repository = Repository::with(&[(
        "a/service.yaml",
        "name: a\nports: { http: 18441 }\nhealth: { http: / }\nrun: [sh, -c, 'python3 -m http.server $PORT & sleep 2; exit 3']\n",
    )]);
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    let address = session.address("a").trim_start_matches("http://").to_owned();
    wait_until("its leader crashes", || session.ps("a")["state"] == "failed");
    wait_until("nobody holds its port", || std::net::TcpStream::connect(&address).is_err());
}

#[test]
fn an_interrupted_migration_leaves_nothing_behind() {
    let repository = Repository::with(&[(
        "a/service.yaml",
        "name: a\nstack: python\nrun: [sleep, '1000']\ndatabases: [{ kind: postgres, version: '15', migrate: { run: [sleep, '1000'] } }]\n",
    )]);
    let session = Session::of(repository.path());
    let child = session.ssi("up --runtime docker").spawn();
    let migrations = || of_session(&["ps", "--filter", "label=dev.clustergraph.unit=a/postgres:migrate"], &session);
    wait_until("the migration runs", || !migrations().is_empty());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is interrupted");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(of_session(&["ps", "--all"], &session), Vec::<String>::new());
}

#[test]
fn data_that_somebody_took_away_is_made_anew() {
    let repository = Repository::of_example("hello");
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    let _ = session.ssi("down").run().succeeds();
    let folder = session.state().join("sessions").join(session.id()).join("databases");
    std::fs::remove_dir_all(folder).expect("the data is taken away");
    let up = session.ssi("up -d").run().succeeds().stderr();
    assert!(up.contains("api/greetings:migrate done") && up.contains("api/greetings:seed done"), "{up}");
    assert_eq!(get(&session.address("www")).status, 200);
}

#[test]
fn who_answers_no_more_is_started_anew() {
    let repository = one("");
    repository.replace(
        "a/service.yaml",
        "health: { http: /name }",
        "health: { http: /name, timeout: 1s, liveness: { http: /alive } }",
    );
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    let before = session.ps("a")["instance"].clone();
    assert_eq!(says(&session, "a", "/break"), "broken");
    wait_until("it is started anew", || session.ps("a")["state"] == "ready" && session.ps("a")["instance"] != before);
    assert_eq!((says(&session, "a", "/alive"), session.ps("a")["restarts"].clone()), ("a".to_owned(), 1.into()));
}

/// A supervisor that is killed while something is done once leaves it to the next one, which ends it and does it anew.
fn a_supervisor_killed_at(step: &str, fields: &str, runtime: &str) {
    let service = format!("name: a\nstack: python\nrun: [sleep, '100000']\nvolumes: {{ state: /state }}\n{fields}");
    let repository = Repository::with(&[("a/service.yaml", &service)]);
    let session = Session::of(repository.path());
    let up = format!("up -d --runtime {runtime}");
    let mut first = session.ssi(&up).spawn();
    let state = || {
        let listing = session.ssi("ps --all --output json").run().succeeds().json();
        let units = listing["units"].as_array().cloned().unwrap_or_default();
        units.into_iter().find(|listed| listed["unit"]["kind"] == step)
    };
    wait_until("the step is under way", || {
        state().is_some_and(|listed| listed["state"] == "starting" && !listed["instance"].is_null())
    });
    kill_supervisor(&session);
    let _ = first.wait();
    let _ = session.ssi(&up).run().succeeds();
    assert_eq!(session.ps("a")["state"], "ready");
    assert_eq!(state().expect("the step")["state"], "done");
    assert!(session.plan().is_empty(), "{:?}", session.plan());
}

const SLOW: &str = "databases: [{ kind: postgres, version: '15', migrate: { run: [sleep, '3'] } }]\n";

#[test]
fn a_supervisor_killed_while_processes_migrate_leaves_that_to_the_next() {
    a_supervisor_killed_at("migration", SLOW, "process");
}

#[test]
fn a_supervisor_killed_while_containers_migrate_leaves_that_to_the_next() {
    a_supervisor_killed_at("migration", SLOW, "docker");
}

#[test]
fn an_installation_outlives_a_killed_supervisor_and_is_not_met_by_another() {
    let state = tempfile::tempdir().expect("a folder");
    let marks = state.path().join("marks");
    let setup = format!("[[sh, -c, 'echo begun >>{0}; sleep 3; echo ended >>{0}']]", marks.display());
    let service = format!("name: a\nstack: python\nrun: [sleep, '100000']\nsetup: {setup}\n");
    let repository = Repository::with(&[("a/service.yaml", &service)]);
    let session = Session::of(repository.path());
    let mut first = session.ssi("up -d --runtime process").spawn();
    let said = || std::fs::read_to_string(&marks).unwrap_or_default();
    wait_until("the installation is under way", || said() == "begun\n");
    kill_supervisor(&session);
    let _ = first.wait();
    let _ = session.ssi("up -d").run().succeeds();
    assert_eq!(said(), "begun\nended\nbegun\nended\n", "never two at once");
}

#[test]
fn another_version_of_a_server_with_data_is_refused_with_both_and_the_ways_out() {
    let repository = Repository::of_example("hello");
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    repository.replace("services/api/service.yaml", "version: \"15\"", "version: \"16\"");
    let refused = session.ssi("up -d").run().ends_with(4).stderr();
    for words in ["the data of api/greetings is in postgres 15", "asks for postgres 16", "ssi down --delete-data"] {
        assert!(refused.contains(words), "{refused}");
    }
    assert_eq!(get(&session.address("www")).status, 200, "what runs goes on");
    repository.replace("services/api/service.yaml", "version: \"16\"", "version: \"15\"");
    assert!(session.plan().is_empty(), "{:?}", session.plan());
}
