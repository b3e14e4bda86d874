//! What `komandan` does when it is killed, paused or badly served at any step: the state of the API server is what an
//! undisturbed run leaves, and nothing is orphaned. Pods only say that they run here: what is proved is about the API.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clustergraph_tests::listener::Request;
use clustergraph_tests::local::wait_until;
use clustergraph_tests::state::{State, difference, revisions, state};
use clustergraph_tests::{ApiServer, Deployed, EveryImage, Fault, Namespace, Proxy, Repository};
use rustix::process::{Pid, Signal, kill_process};

/// Namespaces in which something goes on at once.
const AT_ONCE: usize = 6;

/// Four services, of which one is handed over, with all that a service can have: a task before it, a schedule, files,
/// secrets, an entry. The second commit changes some of it.
struct Story {
    repository: Arc<Repository>,
    images: EveryImage,
    commits: [String; 2],
}

impl Story {
    /// One service with a database and its migrations, of which the second commit has one more.
    fn of_a_database() -> Self {
        let service = "name: keeper\nimage: demo@sha256:7777777777777777777777777777777777777777777777777777777777777777\nsecurity: baseline\nports: { http: 8000 }\npublic: {}\n\
                       databases: [{ kind: postgres, version: \"15\", as: kept, migrate: { run: [migrate], schema: migrations/ } }]\n";
        let files = [
            ("clustergraph.yaml", "services: [\"*\"]\n"),
            ("keeper/service.yaml", service),
            ("keeper/migrations/1.sql", "create table kept (id int);\n"),
        ];
        let more =
            |repository: &Repository| repository.write("keeper/migrations/2.sql", "create table more (id int);\n");
        Self::of(Repository::with(&files), more)
    }

    fn new() -> Self {
        let common = "image: demo@sha256:7777777777777777777777777777777777777777777777777777777777777777\nsecurity: baseline\nstop: { grace: 1s }\n";
        let files = [
            ("clustergraph.yaml", "services: [\"*\"]\nclusters: { production: { egress: deny } }\n".to_owned()),
            (
                "www/service.yaml",
                format!("name: www\n{common}dependencies: [api]\nports: {{ http: 8000 }}\npublic: {{}}\n"),
            ),
            (
                "api/service.yaml",
                format!(
                    "name: api\n{common}dependencies: [store, {{ service: fill, wait: completed }}]\nports: {{ http: 8000 }}\n\
                     secrets: [TOKEN]\nfiles: {{ /etc/api.conf: api.conf }}\nrun: [serve]\nscale: {{ replicas: 2 }}\n\
                     processes: {{ worker: {{ run: [work] }} }}\n\
                     jobs: [{{ name: nightly, schedule: \"0 3 * * *\", run: [tidy] }}]\n"
                ),
            ),
            ("api/api.conf", "first\n".to_owned()),
            ("store/service.yaml", format!("name: store\n{common}ports: {{ http: 8000 }}\n")),
            ("fill/service.yaml", format!("name: fill\n{common}task: true\n")),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        Self::of(Repository::with(&files), |repository| {
            repository.write("api/api.conf", "second\n");
            repository.append("store/service.yaml", "env: { LEVEL: high }");
        })
    }

    fn of(repository: Repository, change: impl Fn(&Repository)) -> Self {
        let first = repository.git(&["rev-parse", "HEAD"]);
        change(&repository);
        let second = repository.commit("the second");
        Self { repository: Arc::new(repository), images: EveryImage::new(), commits: [first, second] }
    }

    /// A namespace in which these commands were done; `A` and `B` stand for the commits.
    fn after(&self, about: &str, lines: &[&str]) -> Deployed {
        let deployed =
            Deployed::new(Arc::clone(&self.repository), Namespace::without_processes(about)).with_images(&self.images);
        deployed
            .namespace
            .kubectl_does("create secret generic api-secrets --from-literal=TOKEN=a-token-that-nobody-sees");
        for line in lines {
            let _ = deployed.komandan(&self.line(line)).run().succeeds();
        }
        deployed
    }

    fn line(&self, line: &str) -> String {
        let [a, b] = &self.commits;
        line.replace('A', a).replace('B', b)
    }

    fn state(&self, about: &str, lines: &[&str]) -> State {
        state(&self.after(about, lines).namespace)
    }

    /// Kills `victim` before each of its writes in turn, does one of `mends` after that, each in its turn (or all, if
    /// `CLUSTERGRAPH_TEST_WHOLE` is set), and compares what is there then with what undisturbed runs leave. Gives the number
    /// of writes.
    fn matrix(&self, about: &str, before: &[&str], victim: &str, mends: &[Mend]) -> u64 {
        let is_whole = std::env::var_os("CLUSTERGRAPH_TEST_WHOLE").is_some();
        let wanted: Vec<Vec<State>> =
            mends.iter().map(|mend| mend.leaves.iter().map(|lines| self.state(about, lines)).collect()).collect();
        let (next, is_over, wrong) = (AtomicU64::new(1), AtomicBool::new(false), Mutex::new(BTreeMap::new()));
        let kill = |number: u64, which: usize| {
            let deployed = self.after(&format!("{about}-{number}"), before);
            let died = deployed.komandan(&self.line(victim)).env("KOMANDAN_FAULT", format!("write-{number}")).run();
            if died.code().is_some() {
                let _ = died.succeeds();
                is_over.store(true, Ordering::Relaxed);
                return None;
            }
            let mut told = format!("{:?}:\n", mends[which].by);
            for line in mends[which].by {
                let mended = deployed.komandan(&self.line(line)).run();
                told.push_str(&mended.stderr());
                if mended.code() != Some(0) {
                    return Some(format!("`{line}` ended with {:?}: {told}", mended.code()));
                }
            }
            let (wanted, found) = (&wanted[which], state(&deployed.namespace));
            let differences: Vec<String> = wanted.iter().filter_map(|wanted| difference(wanted, &found)).collect();
            (differences.len() == wanted.len()).then(|| format!("{}\n{told}", differences.join("\n  or\n")))
        };
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        for which in
                            (0..mends.len()).filter(|which| is_whole || number as usize % mends.len() == *which)
                        {
                            if let Some(what) = kill(number, which) {
                                wrong.lock().expect("nobody panics").insert((number, which), what);
                            }
                        }
                    }
                });
            }
        });
        let wrong = wrong.into_inner().expect("nobody panics");
        let told: Vec<String> =
            wrong.iter().map(|((number, _), what)| format!("killed before write {number}, then {what}")).collect();
        assert!(wrong.is_empty(), "`{victim}`:\n{}", told.join("\n"));
        next.into_inner()
    }
}

/// What is done after a death.
struct Mend {
    by: &'static [&'static str],
    /// What undisturbed commands leave the same.
    leaves: &'static [&'static [&'static str]],
}

#[test]
fn a_first_deploy_that_is_killed_before_any_of_its_writes_is_ended_by_the_next_one() {
    let again = Mend { by: &["deploy A"], leaves: &[&["deploy A"]] };
    let writes = Story::new().matrix("first", &[], "deploy A", &[again]);
    assert!(writes > 20, "only {writes} were tried");
}

#[test]
fn databases_and_migrations_of_a_deploy_that_is_killed_before_any_of_its_writes_are_ended_by_the_next_one() {
    let again = Mend { by: &["deploy B"], leaves: &[&["deploy B"]] };
    let writes = Story::of_a_database().matrix("database", &[], "deploy B", &[again]);
    assert!(writes > 20, "only {writes} were tried");
}

#[test]
fn a_deploy_that_is_killed_before_any_of_its_writes_is_ended_by_the_next_one_or_taken_back() {
    let again = Mend { by: &["deploy B"], leaves: &[&["deploy A", "deploy B"]] };
    // It was not yet to be, or it is ended before it is gone back from.
    let back =
        Mend { by: &["revert 1", "gc"], leaves: &[&["deploy A", "gc"], &["deploy A", "deploy B", "revert", "gc"]] };
    let writes = Story::new().matrix("change", &["deploy A"], "deploy B", &[again, back]);
    assert!(writes > 20, "only {writes} were tried");
}

#[test]
fn a_revert_that_is_killed_before_any_of_its_writes_is_ended_by_the_next_one() {
    let again = Mend { by: &["revert 1"], leaves: &[&["deploy A", "deploy B", "revert"]] };
    let writes = Story::new().matrix("revert", &["deploy A", "deploy B"], "revert", &[again]);
    assert!(writes > 6, "only {writes} were tried");
}

#[test]
fn a_down_that_is_killed_before_any_of_its_writes_is_ended_by_the_next_one_and_a_deploy_begins_anew() {
    let again = Mend { by: &["down"], leaves: &[&["deploy A", "down"]] };
    let anew = Mend { by: &["deploy A"], leaves: &[&["deploy A"], &["deploy A", "down", "deploy A"]] };
    let writes = Story::new().matrix("down", &["deploy A"], "down", &[again, anew]);
    assert!(writes > 15, "only {writes} were tried");
}

#[test]
fn a_down_with_all_data_that_is_killed_before_any_of_its_writes_leaves_nothing_after_the_next_one() {
    let again = Mend { by: &["down --delete-data"], leaves: &[&["deploy A", "down --delete-data"]] };
    let writes = Story::of_a_database().matrix("data", &["deploy A"], "down --delete-data", &[again]);
    assert!(writes > 15, "only {writes} were tried");
}

#[test]
fn a_plan_after_a_death_between_the_switch_and_the_rest_says_nothing_of_the_version_that_stays_warm() {
    let service = "image: demo@sha256:7777777777777777777777777777777777777777777777777777777777777777\nsecurity: baseline\nname: www\nports: { http: 8000 }\npublic: {}\n";
    let files = [
        ("clustergraph.yaml", "services: [\"*\"]\nclusters: { production: { warm: 1h } }\n"),
        ("www/service.yaml", service),
    ];
    let story = Story::of(Repository::with(&files), |repository| {
        repository.append("www/service.yaml", "env: { LEVEL: high }");
    });
    let deployed = story.after("warm-plan", &["deploy A"]);
    let died = deployed.komandan(&story.line("deploy B")).env("KOMANDAN_FAULT", "committed").run();
    assert!(died.code().is_none(), "it was to die, and ended with {:?}", died.code());
    let plan =
        deployed.komandan(&story.line("plan B --output json")).run().succeeds().json_lines().pop().expect("a plan");
    assert_eq!((&plan["removed"], &plan["steps"]), (&serde_json::json!([]), &serde_json::json!([])), "{plan}");
    let _ = deployed.komandan(&story.line("deploy B --wait")).run().succeeds();
    assert_eq!(deployed.status()["warm"]["version"], 1, "what was left to be done is done");
}

/// Pauses a deploy at a point, lets another one take over when the lock has ended, and lets the first one go on.
fn pause(story: &Story, point: &str) {
    let deployed = story.after("paused", &["deploy A"]);
    let child = deployed.komandan(&story.line("deploy B")).env("KOMANDAN_PAUSE", point).spawn();
    let pid = Pid::from_child(&child);
    let stat = format!("/proc/{}/stat", child.id());
    wait_until("it is paused", || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
    let refused = deployed.komandan("revert").run().ends_with(5).stderr();
    assert!(refused.contains(" is changing production since ") && refused.contains("--wait"), "{refused}");
    let _ = deployed.komandan("scale www 2 --wait").run().succeeds();
    let (wanted, untouched) = (state(&deployed.namespace), revisions(&deployed.namespace));
    kill_process(pid, Signal::CONT).expect("it goes on");
    let output = child.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "paused at {point}: {told}");
    assert!(told.contains("the lock was lost"), "paused at {point}: {told}");
    assert_eq!(revisions(&deployed.namespace), untouched, "paused at {point}: {told}");
    assert_eq!(difference(&wanted, &state(&deployed.namespace)), None, "paused at {point}");
}

#[test]
fn a_deploy_that_was_paused_past_its_lock_changes_nothing_when_it_goes_on() {
    let story = Story::new();
    std::thread::scope(|scope| {
        for point in ["write-4", "write-9", "write-14", "applied", "record-written", "intent-written", "switched"] {
            let story = &story;
            scope.spawn(move || pause(story, point));
        }
    });
}

/// Deploys the second commit through a proxy; `true` when that came to its end. If it did not, the traffic is where it was,
/// and the next one ends it. What is there at the end is always the same.
fn deploy_through(story: &Story, about: &str, fault: impl Fn(u64, &Request) -> Fault + Send + Sync + 'static) -> bool {
    let deployed = story.after(about, &["deploy A"]);
    let proxy = Proxy::new(deployed.namespace.kubeconfig(), fault);
    deploy_by(story, about, &deployed, &proxy)
}

fn deploy_by(story: &Story, about: &str, deployed: &Deployed, proxy: &Proxy) -> bool {
    let leads_to = || deployed.namespace.kubectl("get service www")["spec"]["selector"].clone();
    let before = leads_to();
    let program = deployed.komandan(&story.line("deploy B")).env("KUBECONFIG", proxy.kubeconfig(deployed));
    let run = program.run();
    assert!(!proxy.harmed().is_empty(), "{about}: nothing was done to any request");
    let is_done = run.code() == Some(0);
    if !is_done {
        assert!(matches!(run.code(), Some(5 | 7)), "{about} ended with {:?}: {}", run.code(), run.stderr());
        assert_eq!(leads_to(), before, "{about}: {}", run.stderr());
        let _ = deployed.komandan(&story.line("deploy B --wait")).run().succeeds();
    }
    let (wanted, found) = (story.state(about, &["deploy A", "deploy B"]), state(&deployed.namespace));
    assert_eq!(difference(&wanted, &found), None, "{about}: {}\n{:#?}", run.stderr(), proxy.harmed());
    if !is_done {
        eprintln!("{about}: {}", run.stderr());
    }
    is_done
}

fn is_watch(request: &Request) -> bool {
    request.path.contains("watch=")
}

fn every(count: u64, number: u64, fault: Fault) -> Fault {
    if number.is_multiple_of(count) { fault } else { Fault::None }
}

#[test]
fn an_api_server_that_is_busy_or_fails_or_breaks_off_now_and_then_is_asked_again() {
    let story = &Story::new();
    let done = |about, fault: fn(u64, &Request) -> Fault| {
        move || assert!(deploy_through(story, about, fault), "{about}: it was to come to its end")
    };
    std::thread::scope(|scope| {
        scope.spawn(done("busy", |number, _| every(6, number, Fault::Busy(1))));
        scope.spawn(done("failing", |number, _| every(5, number, Fault::Status(500))));
        scope.spawn(done("refused", |number, _| every(5, number, Fault::Refused)));
        // The very first connection breaks, too.
        scope.spawn(done("first", |number, _| if number <= 2 { Fault::Refused } else { Fault::None }));
        scope.spawn(done("lost", |number, request| match is_watch(request) {
            true => Fault::None,
            false => every(4, number, Fault::Lost),
        }));
        scope.spawn(done("broken", |_, request| match is_watch(request) {
            true => Fault::Broken(Duration::from_millis(300)),
            false => Fault::None,
        }));
        scope.spawn(done("stale", |number, request| match is_watch(request) {
            true => every(2, number, Fault::Stale),
            false => Fault::None,
        }));
    });
}

#[test]
fn a_conflict_at_any_write_ends_the_deploy_or_is_overcome_and_the_traffic_is_where_it_was() {
    let story = &Story::new();
    std::thread::scope(|scope| {
        for (about, count) in [("conflict-3", 3), ("conflict-5", 5), ("conflict-11", 11)] {
            scope.spawn(move || {
                let _ = deploy_through(story, about, move |number, request| match request.method.as_str() {
                    "GET" => Fault::None,
                    _ => every(count, number, Fault::Status(409)),
                });
            });
        }
    });
}

#[test]
fn an_api_server_that_is_killed_in_the_middle_of_a_deploy_harms_nothing_and_is_waited_for_while_it_starts() {
    let story = Story::new();
    let deployed = story.after("killed", &["deploy A"]);
    let server = Arc::new(ApiServer::beside(&deployed));
    let (kubeconfig, killed) = (server.kubeconfig().to_owned(), Arc::clone(&server));
    let proxy = Proxy::new(kubeconfig.to_str().expect("a path"), move |number, _| {
        if number != 40 {
            return Fault::None;
        }
        killed.restart();
        Fault::Refused
    });
    let is_done = deploy_by(&story, "killed", &deployed, &proxy);
    // Where it takes longer to start than a lock holds, the next deploy ends what was begun.
    eprintln!("the deploy itself came to its end: {is_done}");
}

#[test]
fn an_api_server_that_starts_again_in_the_middle_of_a_deploy_is_waited_for() {
    let began: Mutex<Option<Instant>> = Mutex::new(None);
    let is_done = deploy_through(&Story::new(), "restarted", move |number, request| {
        let mut began = began.lock().expect("nobody panics");
        if number == 40 {
            *began = Some(Instant::now());
        }
        match *began {
            Some(began) if began.elapsed() < Duration::from_secs(4) => Fault::Refused,
            None if is_watch(request) => Fault::Broken(Duration::from_millis(700)),
            _ => Fault::None,
        }
    });
    assert!(is_done, "it was to come to its end");
}

#[test]
fn an_api_server_that_never_answered_is_not_waited_for() {
    let story = Story::new();
    let deployed = story.after("never", &[]);
    let proxy = Proxy::new(deployed.namespace.kubeconfig(), |_, _| Fault::Refused);
    let kubeconfig = proxy.kubeconfig(&deployed);
    let status = || {
        let began = Instant::now();
        let status = deployed.komandan("status").env("KUBECONFIG", &kubeconfig).run().ends_with(7);
        format!("after {:?}: {}", began.elapsed(), status.stderr())
    };
    // What a command asks at once, and each of it some times: somebody takes the connections.
    let told = status();
    assert!(proxy.harmed().len() < 6 * 25, "{:?} {told}", proxy.harmed());
    // Where nobody does, nothing is asked twice.
    drop(proxy);
    let told = status();
    assert!(told.to_lowercase().contains("connection refused"), "{told}");
}
