//! The commands of `ssi` beside `up` and `down`, as a person types them.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use clustergraph_tests::{Program, Repository, Session, get};
use serde_json::Value;

/// Waits for what must come to pass; the bound is generous, for slow machines.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(60), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn signal(process: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(process).expect("a pid")).expect("a process");
    rustix::process::kill_process(pid, signal).expect("it is there");
}

fn names(values: &Value) -> Vec<String> {
    values.as_array().expect("a list").iter().map(|value| value.as_str().expect("a name").to_owned()).collect()
}

/// What runs of a session: services and servers that are ready.
fn running(session: &Session) -> Vec<String> {
    let listing = session.ssi("ps --output json").run().succeeds().json();
    let units = listing["units"].as_array().expect("units").clone();
    let ready = units.iter().filter(|unit| unit["state"] == "ready");
    let mut names: Vec<String> = ready.map(|unit| unit["unit"]["name"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    names
}

#[test]
fn the_environment_is_what_the_service_finds_and_secrets_are_shown_only_when_asked() {
    let repository = Repository::of_example("hello");
    let session = Session::of(repository.path());
    let before = session.ssi("env api").run().succeeds();
    assert!(before.stderr().contains("given at its first start"), "{}", before.stderr());
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    let masked = session.ssi("env api").run().succeeds();
    assert!(masked.stdout().contains("DATABASE_URL='********'\n"), "{}", masked.stdout());
    assert!(masked.stderr().contains("`--reveal`"), "{}", masked.stderr());
    assert!(!masked.stdout().contains("PATH="), "only what is wired");
    // A shell reads it, and sees what the service sees.
    let revealed = session.ssi("env api --reveal").run().succeeds().stdout();
    let script = format!("{revealed}\nprintf '%s %s' \"$DATABASE_URL\" \"$PORT\"");
    let read = Command::new("sh").args(["-euc", &script]).output().expect("sh runs");
    let read = String::from_utf8_lossy(&read.stdout).into_owned();
    let seen = session.ssi("exec api --").word("sh").word("-c").word("printf '%s %s' \"$DATABASE_URL\" \"$PORT\"");
    assert_eq!(read, seen.run().succeeds().stdout());
    assert!(read.starts_with("postgresql://api_greetings:"), "{read}");
    let json = session.ssi("env www --for host --output json").run().succeeds().json();
    assert_eq!((json["schema"].as_str(), json["for"].as_str()), (Some("ssi.env/1"), Some("host")));
    assert_eq!(json["variables"]["API_URL"]["value"], session.address("api"));
    let json = session.ssi("env api --output json").run().succeeds().json();
    assert_eq!(json["variables"]["DATABASE_URL"], serde_json::json!({ "value": null, "secret": true }));
    let wrong = session.ssi("env apii").run().ends_with(4);
    assert!(wrong.stderr().contains("did you mean `api`?"));
}

#[test]
fn restart_begins_anew_what_is_named_and_wants_nothing_more() {
    let repository = Repository::of_example("hello");
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    let instances = || ["www", "api", "postgres-15"].map(|name| session.ps(name)["instance"].clone());
    let first = instances();
    let plan = session.ssi("restart api --dry-run").run().succeeds().stdout();
    assert_eq!(plan.trim(), "restart api  asked for");
    assert_eq!(instances(), first, "a dry run does nothing");
    let _ = session.ssi("restart api").run().succeeds();
    let second = instances();
    assert_eq!((&first[0], &first[2]), (&second[0], &second[2]), "the others go on");
    assert_ne!(first[1], second[1]);
    let _ = session.ssi("restart").run().succeeds();
    let third = instances();
    assert!(third[0] != second[0] && third[1] != second[1]);
    assert_eq!(third[2], second[2], "a database server is restarted only by its name");
    let _ = session.ssi("restart postgres-15").run().succeeds();
    assert_ne!(instances()[2], third[2]);
    assert_eq!(get(&session.address("www")).status, 200, "the data is still there");
    assert!(session.plan().is_empty());
    let wrong = session.ssi("restart ap").run().ends_with(4);
    assert!(wrong.stderr().contains("ap does not run here: did you mean `api`?"), "{}", wrong.stderr());
}

/// A program in a running service: its folder, environment, input, output and end.
fn a_program_where_a_service_runs(runtime: &str, folder: &str) {
    let repository = Repository::of_example("hello");
    let session = Session::of(repository.path());
    let refused = session.ssi("exec api -- true").run().ends_with(4);
    assert!(refused.stderr().contains("api does not run: `ssi up api` starts it"), "{}", refused.stderr());
    let _ = session.ssi(&format!("up -d --runtime {runtime}")).run().succeeds();
    let script = "pwd; echo \"$OTEL_SERVICE_NAME\"; echo told >&2; cat; exit 7";
    let run = session.ssi("exec api -- sh -c").word(script).input("typed\n").run().ends_with(7);
    assert_eq!(run.stdout().lines().skip(1).collect::<Vec<_>>(), ["api", "typed"]);
    assert!(run.stdout().lines().next().expect("a folder").ends_with(folder), "{}", run.stdout());
    assert_eq!(run.stderr(), "told\n");
    let missing = session.ssi("exec api -- no-such-program").run();
    assert_ne!(missing.code(), Some(0));
    assert!(missing.stderr().contains("no-such-program") || missing.stdout().contains("no-such-program"));
}

#[test]
fn exec_runs_a_program_beside_a_process() {
    a_program_where_a_service_runs("process", "services/api");
}

#[test]
fn exec_runs_a_program_in_a_container() {
    a_program_where_a_service_runs("docker", "/app/services/api");
}

/// A program once, where nothing runs and where everything does.
fn a_program_of_a_service_once(runtime: &str) {
    let repository = Repository::of_example("hello");
    let session = Session::of(repository.path());
    let _ = session.ssi(&format!("up -d --runtime {runtime}")).run().succeeds();
    let before = running(&session);
    let count = "import os, pg8000.native as p, urllib.parse as u; d = u.urlsplit(os.environ['DATABASE_URL']); \
                 print(p.Connection(d.username, host=d.hostname, port=d.port, password=d.password, database=d.path[1:]).run('select count(*) from greetings')[0][0] >= 3)";
    let beside = session.ssi("run api -- python -c").word(count).run().succeeds();
    assert_eq!(beside.stdout(), "True\n");
    assert_eq!(beside.stderr(), "", "nothing had to be started, and nothing is told");
    assert_eq!(running(&session), before);
    let _ = session.ssi("down").run().succeeds();
    let alone = session.ssi("run api -- python -c").word(count).run().succeeds();
    assert_eq!(alone.stdout(), "True\n", "only data is on standard output");
    assert!(alone.stderr().contains("postgres-15 ready"), "{}", alone.stderr());
    assert_eq!(running(&session), Vec::<String>::new(), "what was started for it stops again");
    let failed = session.ssi("run --no-deps www -- node -e").word("process.exit(3)").run().ends_with(3);
    assert_eq!(failed.stdout(), "");
    let empty = session.ssi("run api").run().ends_with(4);
    assert!(empty.stderr().contains("say what to run"), "{}", empty.stderr());
}

#[test]
fn run_runs_a_program_of_a_service_as_a_process() {
    a_program_of_a_service_once("process");
}

#[test]
fn run_runs_a_program_of_a_service_in_a_container() {
    a_program_of_a_service_once("docker");
}

#[test]
fn a_job_runs_its_own_command_by_its_name_with_the_services_that_it_calls() {
    let repository = Repository::with(&[
        ("api/service.yaml", "name: api\nports: { http: 18470 }\nrun: [sh, -c, 'exec python3 -m http.server $PORT']\n"),
        (
            "etl/service.yaml",
            "name: etl\ndependencies: [api]\njobs:\n  - { name: nightly, schedule: \"0 3 * * *\", run: [sh, -c, 'echo \"loads from $API_URL\"; exit 6'] }\n",
        ),
    ]);
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    assert_eq!(running(&session), ["api"], "a job is no part of what is started");
    let _ = session.ssi("down").run().succeeds();
    let run = session.ssi("run --runtime process etl.nightly").run().ends_with(6);
    assert!(run.stdout().starts_with("loads from http://127.0.0.1:"), "{}", run.stdout());
    assert!(run.stderr().contains("api ready"), "{}", run.stderr());
    let own = session.ssi("run etl -- sh -c").word("echo $API_ADDR").run().succeeds();
    assert!(own.stdout().starts_with("127.0.0.1:"), "{}", own.stdout());
    assert_eq!(running(&session), Vec::<String>::new());
}

/// A job and a further process, both of which need what is installed for their service.
fn what_a_service_installed(runtime: &str) {
    let repository = Repository::with(&[
        (
            "etl/service.yaml",
            "name: etl\nstack: python\nrun: [python, -c, 'import six, time; time.sleep(1000)']\n\
             processes: { worker: { run: [python, -c, 'import six, time; time.sleep(1000)'] } }\n\
             jobs:\n  - { name: show, schedule: \"0 3 * * *\", run: [python, -c, 'import six; print(six.__version__)'] }\n",
        ),
        ("etl/requirements.txt", "six==1.16.0\n"),
    ]);
    let session = Session::of(repository.path());
    let _ = session.ssi(&format!("up -d --runtime {runtime}")).run().succeeds();
    assert_eq!(running(&session), ["etl", "etl.worker"]);
    assert_eq!(session.ssi("run etl.show").run().succeeds().stdout(), "1.16.0\n");
}

#[test]
fn processes_and_jobs_find_what_their_service_installed() {
    what_a_service_installed("process");
}

#[test]
fn processes_and_jobs_in_containers_find_what_their_service_installed() {
    what_a_service_installed("docker");
}

/// What was written before a moment and what after it.
fn logs_since(runtime: &str) {
    let repository = Repository::with(&[(
        "a/service.yaml",
        "name: a\nstack: python\nimage: \nrun: [sh, -c, 'echo early; while [ ! -e /tmp/go-$MARK ]; do sleep 0.1; done; echo late; sleep 1000']\n",
    )]);
    let mark = repository.path().file_name().expect("a name").to_string_lossy().into_owned();
    repository.replace(
        "a/service.yaml",
        "stack: python\nimage: \n",
        &format!("stack: python\nenv: {{ MARK: {mark} }}\n"),
    );
    let session = Session::of(repository.path());
    let _ = session.ssi(&format!("up -d --runtime {runtime}")).run().succeeds();
    wait_until("it is written", || session.ssi("logs a").run().succeeds().stdout().contains("early"));
    // The supervisor notes the length of logs once a second.
    std::thread::sleep(Duration::from_millis(2500));
    let moment = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output().expect("date runs");
    let moment = String::from_utf8_lossy(&moment.stdout).trim().to_owned();
    let _ = session.ssi("exec a -- sh -c").word("touch /tmp/go-$MARK").run().succeeds();
    wait_until("it is written", || session.ssi("logs a").run().succeeds().stdout().contains("late"));
    let since = session.ssi(&format!("logs a --since {moment}")).run().succeeds().stdout();
    assert_eq!(since, "a | late\n");
    assert!(session.ssi("logs a --since 1h").run().succeeds().stdout().contains("early"));
    let wrong = session.ssi("logs a --since yesterday").run().ends_with(2);
    assert!(wrong.stderr().contains("5m or 1h30m"), "{}", wrong.stderr());
    let _ = std::fs::remove_file(format!("/tmp/go-{mark}"));
}

#[test]
fn logs_of_a_process_since_a_moment() {
    logs_since("process");
}

#[test]
fn logs_of_a_container_since_a_moment() {
    logs_since("docker");
}

#[test]
fn list_shows_every_session_and_ends_those_whose_folder_is_gone() {
    let repository = Repository::with(&[("a/service.yaml", "name: a\nrun: [sleep, '1000']\n")]);
    let session = Session::of(repository.path());
    let list = |line: &str| session.ssi(&format!("list {line}"));
    assert_eq!(list("--output json").run().succeeds().json()["sessions"], serde_json::json!([]));
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    // Another work tree with the same state folder.
    let other = tempfile::tempdir().expect("a temporary folder");
    let folder = other.path().join("gone");
    std::fs::create_dir_all(folder.join("b")).expect("a folder");
    std::fs::write(folder.join("b/service.yaml"), "name: b\nrun: [sleep, '1000']\n").expect("a file");
    let git = Command::new("git").args(["init", "--quiet"]).current_dir(&folder).status().expect("git runs");
    assert!(git.success());
    let there = |line: &str| Program::new("ssi", &folder).env("CLUSTERGRAPH_STATE_DIR", session.state()).args(line);
    let _ = there("up -d --runtime process").run().succeeds();
    let pid =
        there("ps --output json").run().succeeds().json()["units"][0]["instance"].as_str().expect("a pid").to_owned();
    let rows = list("--output json").run().succeeds().json();
    assert_eq!(rows["schema"], "ssi.list/1");
    let rows = rows["sessions"].as_array().expect("sessions").clone();
    let mut what: Vec<Vec<String>> = rows.iter().map(|row| names(&row["running"])).collect();
    what.sort();
    assert_eq!(what, [["a"], ["b"]]);
    assert!(rows.iter().all(|row| row["stale"].is_null() && row["since"].is_number()));
    std::fs::remove_dir_all(&folder).expect("it is removed");
    let text = list("").run().succeeds().stdout();
    assert!(text.contains("its folder is gone, and 1 run"), "{text}");
    let pruned = list("--prune --output json").run().succeeds().json();
    assert_eq!(pruned["pruned"].as_array().map(Vec::len), Some(1));
    let pid = pid.trim_start_matches("pid ").to_owned();
    wait_until("what ran of it is gone", || !Path::new("/proc").join(&pid).join("environ").exists() || is_zombie(&pid));
    let rows = list("--output json").run().succeeds().json();
    assert_eq!(rows["sessions"].as_array().map(Vec::len), Some(1));
    assert_eq!(running(&session), ["a"], "the other one goes on");
}

fn is_zombie(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn doctor_finds_this_machine_fit_and_a_folder_without_a_repository_not() {
    let repository = Repository::of_example("hello");
    let session = Session::of(repository.path());
    let report = session.ssi("doctor --output json").run().succeeds().json();
    assert_eq!((report["schema"].as_str(), report["healthy"].as_bool()), (Some("ssi.doctor/1"), Some(true)));
    let checks = report["checks"].as_array().expect("checks");
    for name in ["git", "repository", "engine", "state", "sockets", "proxies", "ports", "tools"] {
        let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {report}"));
        assert!(check["level"] != "problem" && check["finding"].is_string(), "{check}");
    }
    let proxied = session.ssi("doctor").env("HTTP_PROXY", "http://user:secret@proxy.example:3128").env("NO_PROXY", "");
    let proxied = proxied.run().succeeds().stdout();
    assert!(proxied.contains("! proxies") && proxied.contains("NO_PROXY") && !proxied.contains("secret"), "{proxied}");
    let nowhere = tempfile::tempdir().expect("a temporary folder");
    let lost = Program::new("ssi", nowhere.path()).args("doctor").run().ends_with(1).stdout();
    assert!(lost.contains("✗ repository"), "{lost}");
    repository.append("services/api/service.yaml", "nonsense: 1");
    let broken = session.ssi("doctor").run().ends_with(1).stdout();
    assert!(broken.contains("`ssi check` says all that is wrong"), "{broken}");
}

/// A folder of programs that stand in for a machine's: only these are found.
fn machine(programs: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["sh", "git", "cat", "chmod", "sleep"] {
        let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().expect("sh runs");
        let path = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        std::os::unix::fs::symlink(path, folder.path().join(name)).expect("a link");
    }
    for (name, script) in programs {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a file");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    }
    folder
}

#[test]
fn setup_shows_what_is_missing_and_installs_it() {
    let repository = Repository::with(&[("a/service.yaml", "name: a\nstack: node\nrun: [node, a.js]\n")]);
    let session = Session::of(repository.path());
    // An apt that knows a Node, and whose packages are scripts beside it.
    let apt = r#"echo "apt-get $*" >> "${0%/*}/log"
case "$1" in install) for name in node npm; do printf '#!/bin/sh\necho v20.1.0\n' > "${0%/*}/$name"; chmod +x "${0%/*}/$name"; done;; esac"#;
    let machine = machine(&[("apt-get", apt), ("apt-cache", "echo '  Candidate: 20.1.0'")]);
    let setup = |line: &str| session.ssi(&format!("setup --runtime process {line}")).env("PATH", machine.path());
    let shown = setup("--dry-run").run().ends_with(1);
    assert!(shown.stdout().contains("✗  node"), "{}", shown.stdout());
    assert!(shown.stderr().contains("apt-get install --yes --no-install-recommends nodejs"), "{}", shown.stderr());
    assert!(!machine.path().join("log").exists(), "a dry run installs nothing");
    let done = setup("").run();
    if rustix::process::geteuid().is_root() {
        let done = done.succeeds();
        assert!(
            done.stdout().contains("✓  node") && done.stderr().contains("everything is there"),
            "{}",
            done.stderr()
        );
        let log = std::fs::read_to_string(machine.path().join("log")).expect("the log");
        assert!(log.lines().next().is_some_and(|line| line.starts_with("apt-get update")), "{log}");
        assert!(log.lines().last().is_some_and(|line| line.starts_with("apt-get install --yes")), "{log}");
        let again = setup("--output json").run().succeeds().json();
        assert_eq!(again["schema"], "ssi.setup/1");
        assert!(again["needs"].as_array().expect("needs").iter().all(|need| need["met"] == true));
    } else {
        let done = done.ends_with(1);
        assert!(done.stderr().contains("apt-get install"), "{}", done.stderr());
    }
}

#[test]
fn setup_installs_what_a_file_pins_through_its_manager() {
    let repository = Repository::with(&[
        ("a/service.yaml", "name: a\nstack: node\nrun: [node, a.js]\n"),
        ("mise.toml", "[tools]\nnode = \"22.1.0\"\n"),
    ]);
    let session = Session::of(repository.path());
    let mise = r#"printf '#!/bin/sh\necho v22.1.0\n' > "${0%/*}/node"; chmod +x "${0%/*}/node"; cp_npm() { :; }; printf '#!/bin/sh\necho 22.1.0\n' > "${0%/*}/npm"; chmod +x "${0%/*}/npm""#;
    let machine = machine(&[("mise", mise), ("node", "echo v20.0.0"), ("npm", "echo 10.0.0")]);
    let setup = |line: &str| session.ssi(&format!("setup --runtime process {line}")).env("PATH", machine.path());
    let shown = setup("--dry-run").run().ends_with(1);
    assert!(shown.stdout().contains("22.1.0") && shown.stderr().contains("&& mise install)"), "{}", shown.stderr());
    let done = setup("").run().succeeds();
    assert!(done.stderr().contains("everything is there"), "{}", done.stderr());
}

#[test]
fn init_proposes_files_that_check_finds_right_and_overwrites_nothing() {
    let repository = Repository::with(&[
        ("api/requirements.txt", "pg8000==1.31.6\n"),
        ("api/app.py", "import os\nprint(os.environ['PORT'])\n"),
        ("web/package.json", "{\"scripts\": {\"start\": \"node server.js\"}}\n"),
        ("web/server.js", "process.env.PORT\n"),
        ("libs/money/requirements.txt", "\n"),
    ]);
    let session = Session::of(repository.path());
    let dry = session.ssi("init --dry-run").run().succeeds();
    assert!(
        dry.stdout().contains("# api/service.yaml") && dry.stdout().contains("databases: [postgres]"),
        "{}",
        dry.stdout()
    );
    assert!(!repository.path().join("api/service.yaml").exists());
    let done = session.ssi("init").run().succeeds();
    assert_eq!(done.stdout(), "wrote api/service.yaml\nwrote web/service.yaml\n");
    assert!(done.stderr().contains("libs/money"), "{}", done.stderr());
    let check = session.ssi("check").run().succeeds().stdout();
    assert!(check.starts_with("2 services, 1 database, no problems"), "{check}");
    repository.append("api/service.yaml", "# mine");
    let again = session.ssi("init --output json").run().succeeds().json();
    assert_eq!(again["files"], serde_json::json!({}));
    assert_eq!(again["skipped"]["api/service.yaml"], "it is there already");
}

#[test]
fn completions_are_programs_that_their_shells_take() {
    let nowhere = tempfile::tempdir().expect("a temporary folder");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script =
            Program::new("ssi", nowhere.path()).args(&format!("completions {shell}")).run().succeeds().stdout();
        assert!(script.contains("restart") && script.contains("compose"), "{shell}");
        assert!(!script.contains("supervise"), "{shell}: what other commands start, nobody types");
        if shell == "bash" {
            let taken = Command::new("bash").args(["-n", "-c", &script]).status().expect("bash runs");
            assert!(taken.success());
        }
    }
}

#[test]
fn schemas_and_pictures_are_what_other_programs_read() {
    let repository = Repository::of_example("hello");
    let session = Session::of(repository.path());
    for (of, field) in [("", "dependencies"), ("clustergraph", "services")] {
        let schema = session.ssi(&format!("schema {of}")).run().succeeds().json();
        assert!(schema["$schema"].as_str().is_some_and(|url| url.contains("json-schema.org")));
        assert!(schema["properties"][field].is_object(), "{field}");
    }
    let svg = session.ssi("graph --output svg").run().succeeds().stdout();
    assert!(
        svg.starts_with("<svg ") && svg.contains(">greetings</text>") && svg.contains("prefers-color-scheme: dark")
    );
    let parse = "import sys, xml.dom.minidom as m; m.parseString(sys.stdin.read().encode())";
    let mut python =
        Command::new("python3").args(["-c", parse]).stdin(std::process::Stdio::piped()).spawn().expect("python3 runs");
    std::io::Write::write_all(&mut python.stdin.take().expect("its input"), svg.as_bytes()).expect("it reads");
    assert!(python.wait().expect("it ends").success(), "the picture is well-formed");
    let dot = session.ssi("graph --output dot").run().succeeds().stdout();
    assert!(dot.starts_with("digraph") && dot.contains("\"www\" -> \"api\";"), "{dot}");
    let json = session.ssi("graph --output json").run().succeeds().json();
    assert_eq!(json["schema"], "ssi.graph/1");
}

#[test]
fn every_report_for_programs_says_its_schema() {
    let repository = Repository::of_example("hello");
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    for (command, schema) in [
        ("check", "ssi.check/1"),
        ("graph", "ssi.graph/1"),
        ("ps", "ssi.ps/1"),
        ("env api", "ssi.env/1"),
        ("list", "ssi.list/1"),
        ("doctor", "ssi.doctor/1"),
        ("setup --dry-run", "ssi.setup/1"),
        ("init --dry-run", "ssi.init/1"),
    ] {
        let json = session.ssi(&format!("{command} --output json")).run().succeeds().json();
        assert_eq!(json["schema"], schema, "{command}");
    }
    for (command, schema) in [
        ("logs api", "ssi.log/1"),
        ("up --dry-run", "ssi.event/1"),
        ("restart api", "ssi.event/1"),
        ("down", "ssi.event/1"),
    ] {
        let lines = session.ssi(&format!("{command} --output json")).run().succeeds().json_lines();
        assert!(!lines.is_empty() && lines.iter().all(|line| line["schema"] == schema), "{command}: {lines:?}");
    }
}

/// A repository where `www` needs `api`, both of which take their time to end, or never do.
fn slow(trap: &str, grace: &str) -> Repository {
    let run =
        format!("run: [sh, -c, \"trap '{trap}' TERM; while true; do sleep 0.1; done\"]\nstop: {{ grace: {grace} }}\n");
    Repository::with(&[
        ("api/service.yaml", &format!("name: api\n{run}")),
        ("www/service.yaml", &format!("name: www\ndependencies: [api]\n{run}")),
    ])
}

#[test]
fn ctrl_c_stops_in_reverse_what_was_started() {
    let repository = slow("sleep 0.3; exit 0", "20s");
    let session = Session::of(repository.path());
    let up = session.ssi("up --runtime process --output json").spawn();
    wait_until("both are ready", || running(&session) == ["api", "www"]);
    signal(up.id(), rustix::process::Signal::INT);
    let output = up.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let stops: Vec<String> = events
        .iter()
        .filter(|event| matches!(event["state"].as_str(), Some("stopping" | "stopped")))
        .map(|event| {
            format!("{} {}", event["unit"]["name"].as_str().expect("a name"), event["state"].as_str().expect("a state"))
        })
        .collect();
    assert_eq!(stops, ["www stopping", "www stopped", "api stopping", "api stopped"]);
    assert_eq!(running(&session), Vec::<String>::new());
}

#[test]
fn ctrl_c_twice_kills_what_would_take_an_hour_to_end() {
    let repository = slow("", "1h");
    let session = Session::of(repository.path());
    let up = session.ssi("up --runtime process").spawn();
    wait_until("both are ready", || running(&session) == ["api", "www"]);
    signal(up.id(), rustix::process::Signal::INT);
    wait_until("the first is being stopped", || session.ps("www")["state"] == "stopping");
    signal(up.id(), rustix::process::Signal::INT);
    let output = up.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(running(&session), Vec::<String>::new());
}

#[test]
fn a_killed_client_leaves_everything_running() {
    let repository = Repository::of_example("hello");
    let session = Session::of(repository.path());
    let mut up = session.ssi("up --runtime process").spawn();
    wait_until("everything is ready", || running(&session) == ["api", "postgres-15", "www"]);
    let before = session.ps("api")["instance"].clone();
    signal(up.id(), rustix::process::Signal::KILL);
    let _ = up.wait();
    assert_eq!(get(&session.address("www")).status, 200);
    assert_eq!(session.ps("api")["instance"], before);
    assert!(session.plan().is_empty(), "it is wanted as before: {:?}", session.plan());
}

#[test]
fn an_up_that_fails_says_what_runs_on_and_one_that_follows_says_what_ended() {
    let repository = Repository::with(&[
        ("a/service.yaml", "name: a\nrun: [sleep, '1000']\n"),
        ("b/service.yaml", "name: b\ndependencies: [a]\nports: { http: 18480 }\nrun: [sh, -c, 'exit 3']\n"),
    ]);
    let session = Session::of(repository.path());
    let report = session.ssi("up --runtime process").run().ends_with(1).stderr();
    assert!(report.contains("b: it ended with code 3"), "{report}");
    assert!(report.contains("running on: a; `ssi up` tries the rest again, `ssi down` stops everything"), "{report}");
    assert_eq!(running(&session), ["a"]);
    repository.replace(
        "b/service.yaml",
        "ports: { http: 18480 }\nrun: [sh, -c, 'exit 3']",
        "run: [sh, -c, 'sleep 3; exit 3']",
    );
    let up = session.ssi("up").spawn();
    wait_until("b is ready", || session.ps("b")["state"] == "ready");
    wait_until("b has ended", || session.ps("b")["state"] == "failed");
    std::thread::sleep(Duration::from_millis(2500)); // it looks once a second
    signal(up.id(), rustix::process::Signal::INT);
    let output = up.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("b failed: it ended with code 3; the others go on"), "{told}");
}

#[test]
fn down_of_nothing_is_fine() {
    let repository = Repository::of_example("hello");
    let session = Session::of(repository.path());
    let _ = session.ssi("down").run().succeeds();
    let _ = session.ssi("up -d --runtime process www").run().succeeds();
    for _ in 0..2 {
        let _ = session.ssi("down").run().succeeds();
    }
}
