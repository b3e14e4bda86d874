//! Every field of a service.yaml made real, on real engines.

use clustergraph_tests::http::post;
use clustergraph_tests::local::{of_session, one, program, says, wait_until};
use clustergraph_tests::{Repository, Session};

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

#[test]
fn an_optional_dependency_is_wired_where_it_runs_and_a_manual_start_waits_for_its_name() {
    let service = |name: &str, port: u16, more: &str| {
        let text = format!(
            "name: {name}\nstack: python\nports: {{ http: {port} }}\nhealth: {{ http: /name }}\nrun: [python3, relay.py]\n{more}"
        );
        [(format!("{name}/service.yaml"), text), (format!("{name}/relay.py"), program())]
    };
    let files: Vec<(String, String)> = [
        service("a", 18421, "dependencies: [{ service: extra, optional: true }]\n"),
        service("extra", 18422, "start: manual\n"),
    ]
    .concat();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let repository = Repository::with(&files);
    let session = Session::of(repository.path());
    let first = session.ssi("up -d --runtime process").run().succeeds().stderr();
    assert!(!first.contains("extra"), "{first}");
    assert_eq!(says(&session, "a", "/env/EXTRA_URL"), "");
    let second = session.ssi("up -d extra").run().succeeds().stderr();
    assert!(second.contains("a starting  environment changed"), "{second}");
    assert_eq!(says(&session, "a", "/env/EXTRA_URL"), session.address("extra"));
}
