//! Containers and processes, alone and side by side: every field of a service.yaml made real on real engines.

use std::process::Command;
use std::time::{Duration, Instant};

use clustergraph_tests::{Repository, Session, get, http::post, workspace};

/// The program of the services below, which say their name.
fn program() -> String {
    std::fs::read_to_string(workspace().join("tests/fixtures/services/relay.py")).expect("the fixture")
}

/// A repository of one such service with more fields.
fn one(more: &str) -> Repository {
    let text = format!(
        "name: a\nstack: python\nports: {{ http: 18400 }}\nhealth: {{ http: /name }}\nrun: [python3, relay.py]\n{more}"
    );
    Repository::with(&[("a/service.yaml", &text), ("a/relay.py", &program())])
}

fn docker(arguments: &[&str]) -> Vec<String> {
    let output = Command::new("docker").args(arguments).output().expect("docker runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn of_session(kind: &[&str], session: &Session) -> Vec<String> {
    let label = format!("label=dev.clustergraph.session={}", session.id());
    docker(&[kind, &["--quiet", "--filter", &label]].concat())
}

/// What a service of the fixture answers at a path.
fn says(session: &Session, service: &str, path: &str) -> String {
    get(&format!("{}{path}", session.address(service))).body
}

/// A service that says its name and, where it has a `next`, what that one says.
fn relay(name: &str, port: u16, next: Option<&str>) -> Vec<(String, String)> {
    let mut text = format!(
        "name: {name}\nstack: python\nports: {{ http: {port} }}\nhealth: {{ http: /name }}\nrun: [python3, relay.py]\n"
    );
    if let Some(next) = next {
        text.push_str(&format!("dependencies: [{next}]\nenv: {{ NEXT: \"${{services.{next}.url}}\" }}\n"));
    }
    vec![(format!("{name}/service.yaml"), text), (format!("{name}/relay.py"), program())]
}

fn repository(services: &[Vec<(String, String)>]) -> Repository {
    let files: Vec<(&str, &str)> =
        services.iter().flatten().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    Repository::with(&files)
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is killed");
}

/// Waits for what must come to pass; the bound is generous, for slow machines.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(30), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn kill_supervisor(session: &Session) {
    let supervisors = session.supervisors();
    assert_eq!(supervisors.len(), 1, "one supervisor for a session");
    kill(supervisors[0]);
    wait_until("the supervisor is gone", || session.supervisors().is_empty());
}

#[test]
fn a_container_calls_a_process_and_a_process_a_container_by_the_same_names() {
    // web (process) -> middle (container) -> back (process)
    let repository = repository(&[
        relay("web", 18301, Some("middle")),
        relay("middle", 18302, Some("back")),
        relay("back", 18303, None),
    ]);
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    let _ = session.ssi("up -d --runtime docker middle").run().succeeds();
    let runtimes = ["web", "middle", "back"].map(|name| session.ps(name)["runtime"].clone());
    assert_eq!(runtimes, ["process", "docker", "process"]);
    assert_eq!(get(&session.address("web")).body, "web middle back");
    // What was chosen stays chosen.
    assert!(session.plan().is_empty(), "{:?}", session.plan());
    let _ = session.ssi("down").run().succeeds();
    let _ = session.ssi("up -d").run().succeeds();
    assert_eq!(session.ps("middle")["runtime"], "docker");
    assert_eq!(get(&session.address("web")).body, "web middle back");
    // And back again.
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    assert_eq!(session.ps("middle")["runtime"], "process");
    assert_eq!(get(&session.address("web")).body, "web middle back");
    let all = session.ssi("ps --all --output json").run().succeeds().stdout();
    assert!(!all.contains("forward"), "nothing leads from containers to processes any more: {all}");
}

#[test]
fn a_killed_supervisor_of_both_harms_nothing() {
    let repository = repository(&[relay("front", 18311, Some("back")), relay("back", 18312, None)]);
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process back").run().succeeds();
    let _ = session.ssi("up -d --runtime docker front").run().succeeds();
    let before = session.ps("front")["instance"].clone();
    kill_supervisor(&session);
    assert_eq!(get(&session.address("front")).body, "front back", "the way to back does not depend on a supervisor");
    assert!(session.plan().is_empty(), "the next up adopts what runs: {:?}", session.plan());
    assert_eq!(session.ps("front")["instance"], before);
    let _ = session.ssi("down").run().succeeds();
    assert!(session.ssi("ps --output json").run().succeeds().json()["units"].as_array().expect("units").is_empty());
}

#[test]
fn a_server_with_data_stays_where_it_is_and_services_move_around_it() {
    let repository = Repository::of_example("hello");
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    let page = get(&session.address("www")).body;
    let moved = session.ssi("up -d --runtime docker").run().succeeds().stderr();
    assert!(moved.contains("postgres-15 stays a process: its data is there"), "{moved}");
    assert!(!moved.contains("seed"), "the data is the same: {moved}");
    let runtimes = ["www", "api", "postgres-15"].map(|name| session.ps(name)["runtime"].clone());
    assert_eq!(runtimes, ["docker", "docker", "process"]);
    let items = |page: &str| page.matches("<li").count() + page.matches("<article").count();
    assert_eq!(items(&get(&session.address("www")).body), items(&page));
}

#[test]
fn a_dockerfile_is_built_once_for_each_content_and_its_images_go_with_the_data() {
    let dockerfile = "FROM python:3.11-slim\nARG GREETING\nENV GREETING=$GREETING\nCOPY a/relay.py /srv/\nCMD [\"python3\", \"/srv/relay.py\"]\n";
    let repository = Repository::with(&[
        (
            "a/service.yaml",
            "name: a\nports: { http: 18401 }\nhealth: { http: /name }\nbuild: { dockerfile: Dockerfile, args: { GREETING: hello } }\n",
        ),
        ("a/Dockerfile", dockerfile),
        ("a/relay.py", &program()),
    ]);
    let session = Session::of(repository.path());
    // It can only be a container, whatever the default is.
    let first = session.ssi("up -d").run().succeeds().stderr();
    assert!(first.contains("a:image done"), "{first}");
    assert_eq!((says(&session, "a", "/"), says(&session, "a", "/env/GREETING")), ("a".into(), "hello".into()));
    let refused = session.ssi("up -d --runtime process a").run().ends_with(4).stderr();
    assert!(
        refused.contains("a cannot be a process: its Dockerfile says what to run (a/service.yaml:1:7)"),
        "{refused}"
    );
    assert!(session.plan().is_empty());
    let built = || of_session(&["images"], &session);
    assert_eq!(built().len(), 1);
    repository.append("a/relay.py", "# edited");
    let plan: Vec<String> =
        session.plan().iter().map(|step| format!("{} {}", step["unit"]["kind"], step["reason"])).collect();
    assert_eq!(plan, [r#""image" "source changed""#, r#""service" "source changed""#]);
    let _ = session.ssi("up -d").run().succeeds();
    assert_eq!(says(&session, "a", "/"), "a");
    assert_eq!(built().len(), 2);
    repository.append("a/Dockerfile", "RUN echo the disk is on fire && exit 3");
    let broken = session.ssi("up -d").run().ends_with(1).stderr();
    assert!(broken.contains("the image of a does not build") && broken.contains("the disk is on fire"), "{broken}");
    assert_eq!(says(&session, "a", "/"), "a", "what ran goes on");
    let _ = session.ssi("down --delete-data").run().succeeds();
    assert_eq!(built(), Vec::<String>::new());
}

#[test]
fn a_ready_image_runs_its_own_command() {
    let repository = Repository::with(&[(
        "a/service.yaml",
        "name: a\nimage: postgres:15\nports: { sql: 15999 }\nenv: { POSTGRES_PASSWORD: opensesame }\nhealth: { log: ready to accept connections }\n",
    )]);
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d").run().succeeds();
    assert_eq!(
        (session.ps("a")["runtime"].clone(), session.ps("a")["state"].clone()),
        ("docker".into(), "ready".into())
    );
    let _ = session.ssi("down").run().succeeds();
    wait_until("the supervisor leaves", || session.supervisors().is_empty());
    let nobody = session.ssi("up -d").env("DOCKER_HOST", "unix:///nobody").run().ends_with(4).stderr();
    assert!(nobody.contains("a can only be a container (its `image` brings its own command"), "{nobody}");
    assert!(nobody.contains("no Docker engine answers"), "{nobody}");
}

/// A task runs once for what it is and the data that it uses; who waits for its end waits.
fn a_task_and_who_waits_for_it(runtime: &str) {
    let repository = Repository::with(&[
        (
            "a/service.yaml",
            "name: a\nstack: python\ndependencies: [{ service: fill, wait: completed }]\nports: { http: 18411 }\nrun: [python3, relay.py]\n",
        ),
        ("a/relay.py", &program()),
        (
            "fill/service.yaml",
            "name: fill\nstack: python\ntask: true\nrun: [python3, -c, 'import time; time.sleep(1); print(\"filled\")']\n",
        ),
    ]);
    let session = Session::of(repository.path());
    let up = format!("up -d --runtime {runtime}");
    let first = session.ssi(&up).run().succeeds().stderr();
    let at = |what: &str| first.find(what).unwrap_or_else(|| panic!("no {what} in {first}"));
    assert!(at("fill done") < at("a starting"), "{first}");
    assert!(session.plan().is_empty(), "once is enough: {:?}", session.plan());
    let _ = session.ssi("down").run().succeeds();
    let again = session.ssi(&up).run().succeeds().stderr();
    assert!(!again.contains("fill"), "also after a down: {again}");
    repository.replace("fill/service.yaml", "filled", "filled otherwise");
    assert_eq!(session.plan()[0]["unit"]["name"], "fill", "another task runs");
    repository.replace("fill/service.yaml", "time.sleep(1)", "1/0");
    let broken = session.ssi(&up).run().ends_with(1).stderr();
    assert!(broken.contains("ZeroDivisionError"), "{broken}");
}

#[test]
fn a_task_and_who_waits_for_it_as_processes() {
    a_task_and_who_waits_for_it("process");
}

#[test]
fn a_task_and_who_waits_for_it_as_containers() {
    a_task_and_who_waits_for_it("docker");
}

/// Further processes, volumes, secrets, files and what is passed through.
fn everything_around_a_service(runtime: &str) {
    let repository = one("secrets: [KEY, { name: OTHER, dev: opens-nothing }, { name: NONE, optional: true }]\n\
         passthrough: [FROM_THE_SHELL]\n\
         volumes: { notes: /notes }\n\
         env: { SECRETLY: \"<${secrets.KEY}>\" }\n\
         processes: { worker: { run: [python3, -c, 'import os, time; print(os.environ[\"SECRETLY\"], flush=True); time.sleep(1000)'], env: { ROLE: worker } } }\n");
    let session = Session::of(repository.path());
    let up = format!("up -d --runtime {runtime}");
    let missing = session.ssi(&up).run().ends_with(4).stderr();
    assert!(
        missing.contains("a secret has no value:") && missing.contains("KEY of a (a/service.yaml:6:11)"),
        "{missing}"
    );
    assert!(
        session.ssi("ps --output json").run().json()["units"].as_array().is_some_and(Vec::is_empty),
        "nothing is started"
    );
    repository.write(".gitignore", ".env\n");
    repository.write(".env", "KEY=root-value\n");
    repository.write("a/.env", "KEY=hunter2hunter2\n");
    let _ = session.ssi(&up).env("FROM_THE_SHELL", "of the developer").env("ANOTHER", "leaks").run().succeeds();
    for (name, value) in [
        ("KEY", "hunter2hunter2"),
        ("SECRETLY", "<hunter2hunter2>"),
        ("OTHER", "opens-nothing"),
        ("NONE", ""),
        ("FROM_THE_SHELL", "of the developer"),
        ("ANOTHER", ""),
    ] {
        assert_eq!(says(&session, "a", &format!("/env/{name}")), value, "{name}");
    }
    assert_eq!(session.ps("a.worker")["state"], "ready");
    let words = |path: &str| std::fs::read_to_string(session.state().join("sessions").join(session.id()).join(path));
    assert!(!words("records.json").expect("records").contains("hunter2"), "no secret is remembered");

    let notes = format!("/file{}/note", says(&session, "a", "/env/VOLUME_NOTES"));
    assert_eq!(post(&format!("{}{notes}", session.address("a")), "remember me"), 200);
    let _ = session.ssi("down").run().succeeds();
    let _ = session.ssi(&up).env("FROM_THE_SHELL", "of the developer").run().succeeds();
    assert_eq!(says(&session, "a", &notes), "remember me");
    repository.write("a/.env", "KEY=another-value\n");
    let again = session.ssi(&up).env("FROM_THE_SHELL", "of the developer").run().succeeds().stderr();
    assert!(again.contains("a starting  environment changed"), "{again}");
    assert_eq!(says(&session, "a", "/env/KEY"), "another-value");
    let _ = session.ssi("down --delete-data").run().succeeds();
    let _ = session.ssi(&up).run().succeeds();
    assert!(says(&session, "a", &notes).contains("No such file"), "the volume went with the data");
}

#[test]
fn everything_around_a_process() {
    everything_around_a_service("process");
}

#[test]
fn everything_around_a_container() {
    everything_around_a_service("docker");
}

#[test]
fn a_file_at_an_absolute_path_makes_its_service_a_container() {
    let repository = one("files: { /etc/a.conf: a.conf }\nsecrets: [{ name: KEY, dev: opens-nothing }]\n");
    repository.write("a/a.conf", "key=${secrets.KEY} port=${self.port}\n");
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    assert_eq!(session.ps("a")["runtime"], "docker");
    assert_eq!(says(&session, "a", "/file/etc/a.conf"), "key=opens-nothing port=18400\n");
    let refused = session.ssi("up -d --runtime process a").run().ends_with(4).stderr();
    assert!(refused.contains("a cannot be a process: its `files` lie at absolute paths"), "{refused}");
    repository.replace("a/a.conf", "key=", "secret=");
    let again = session.ssi("up -d").run().succeeds().stderr();
    assert!(again.contains("a starting"), "{again}");
    assert!(says(&session, "a", "/file/etc/a.conf").starts_with("secret="));
}

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
