//! `komandan test` and `komandan smoke`, killed before each of their writes: what is left has an end, and the next run finds the whole
//! truth. Pods only say that they ran here; what those of tests would have written is said in their place.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clustergraph_tests::local::wait_until;
use clustergraph_tests::{Clusters, Deployed, EveryImage, Fault, Namespace, Proxy, Repository, Run};
use serde_json::Value;

/// What is killed at once.
const AT_ONCE: usize = 4;

/// A service with listed tests and a check.
const API: &str = "name: api\nimage: demo@sha256:7777777777777777777777777777777777777777777777777777777777777777\n\
    security: baseline\nports: { http: 8000 }\nstop: { grace: 1s }\n\
    test: { run: [check], list: [list] }\nsmoke: { run: [smoke], every: 60s }\n";

/// What the pod that lists tests prints, and what the pod that has run them does.
const LISTED: &str = "clustergraph plain 8\none\ntwo\n\nclustergraph exit 0\n";
const RAN: &str = "clustergraph plain 85\n<testsuite><testcase name=\"one\" time=\"1\"/><testcase name=\"two\" time=\"1\"/></testsuite>\n\
    clustergraph exit 0\n";

/// Says in place of a node what pods of tests have written.
fn words_of_pods(kubeconfig: &str) -> Proxy {
    Proxy::new(kubeconfig, |_, request| {
        let of = |job: &str| request.path.contains(&format!("/pods/{job}-")) && request.path.contains("/log?");
        match () {
            () if of("list") => Fault::Said(LISTED),
            () if of("test") => Fault::Said(RAN),
            () => Fault::None,
        }
    })
}

/// Runs `kill` with each number of a write, some at a time, until one tells that there are no more. Returns how many there are.
fn each_write(kill: impl Fn(u64) -> bool + Sync) -> u64 {
    let (next, after) = (AtomicU64::new(1), AtomicU64::new(u64::MAX));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while after.load(Ordering::Relaxed) == u64::MAX {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if !kill(number) {
                        after.fetch_min(number, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    after.into_inner() - 1
}

/// Whether a command was killed; else it has done its work.
fn is_killed(run: &Run) -> bool {
    assert!(matches!(run.code(), None | Some(0)), "{}", run.stderr());
    run.code().is_none()
}

/// What is wrong with a run that should find both tests, and that they pass; or that they have passed.
fn wrong(run: &Run) -> Option<String> {
    let result = run.json_lines().into_iter().find(|it| it["command"] == "test").unwrap_or_default();
    let service = &result["services"][0];
    let is_whole =
        service["tests"].as_array().is_some_and(|tests| tests.len() == 2) || service["remembered"].is_string();
    let is_right = run.code() == Some(0) && is_whole && service["fine"] == true;
    (!is_right).then(|| format!("{result} {}", run.stderr()))
}

/// The Jobs that are there for good: without a deadline, or with nothing that takes them away after it.
fn endless(deployed: &Deployed) -> Vec<String> {
    let jobs = deployed.namespace.kubectl("get jobs");
    let ends = |job: &&Value| {
        let spec = &job["spec"];
        spec["activeDeadlineSeconds"].is_u64() && spec["ttlSecondsAfterFinished"].is_u64()
    };
    let endless = jobs["items"].as_array().expect("Jobs").iter().filter(|job| !ends(job));
    endless.map(|job| job["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
}

/// A permanent cluster of the one service.
fn permanent(about: &str, images: &EveryImage) -> Deployed {
    let repository = Repository::with(&[("clustergraph.yaml", "services: [\"*\"]\n"), ("api/service.yaml", API)]);
    let deployed = Deployed::new(repository, Namespace::without_processes(about)).with_images(images);
    let _ = deployed.komandan("deploy").run().succeeds();
    deployed
}

#[test]
fn tests_that_are_killed_leave_what_ends_by_itself_and_the_next_ones_find_the_whole() {
    let images = EveryImage::new();
    let deployed = permanent("testkill", &images);
    let proxy = words_of_pods(deployed.namespace.kubeconfig());
    let kubeconfig = proxy.kubeconfig(&deployed);
    let before: BTreeSet<String> = deployed.namespace.names("configmaps").into_iter().collect();
    let failed = Mutex::new(Vec::new());
    let writes = each_write(|number| {
        let test = |fault: &str| {
            // Each remembers what it found itself, also when it was killed then.
            let cache = deployed.beside().join(format!("cache-{number}"));
            let test = deployed.komandan("--cluster production test api --output json").env("KUBECONFIG", &kubeconfig);
            test.env("CLUSTERGRAPH_CACHE_DIR", cache).env("KOMANDAN_FAULT", fault).run()
        };
        let died = test(&format!("write-{number}"));
        let was_killed = is_killed(&died);
        let next = if was_killed { test("") } else { died };
        failed.lock().expect("nobody panics").extend(wrong(&next).map(|why| format!("{number}: {why}")));
        was_killed
    });
    assert_eq!(failed.into_inner().expect("nobody panics"), Vec::<String>::new());
    assert!(writes >= 6, "two Jobs and the names of tests, made and taken away: {writes}");
    assert_eq!(endless(&deployed), Vec::<String>::new());
    let maps = deployed.namespace.kubectl("get configmaps");
    for map in maps["items"].as_array().expect("ConfigMaps") {
        let name = map["metadata"]["name"].as_str().expect("a name");
        assert!(before.contains(name) || map["metadata"]["ownerReferences"][0]["kind"] == "Job", "{name} has no end");
    }
    let _ = deployed.komandan("down --delete-data").run().succeeds();
    wait_until("nothing of them is left", || deployed.namespace.names("jobs,pods").is_empty());
}

#[test]
fn tests_that_are_killed_with_a_cluster_of_their_own_leave_one_that_ends_and_can_be_ended() {
    let clusters = Clusters::with("ownkill", "", &[("api/service.yaml", API)]);
    let before = clusters.everything(&[]);
    let proxy = words_of_pods(clusters.home().kubeconfig());
    let kubeconfig = proxy.kubeconfig(&clusters.deployed);
    let failed = Mutex::new(Vec::new());
    let writes = each_write(|number| {
        let test = |fault: &str| {
            let cache = clusters.deployed.beside().join(format!("cache-{number}"));
            let test = clusters.komandan("test api --output json").env("KUBECONFIG", &kubeconfig);
            test.env("CLUSTERGRAPH_CACHE_DIR", cache).env("KOMANDAN_FAULT", fault).run()
        };
        let died = test(&format!("write-{number}"));
        let was_killed = is_killed(&died);
        // The next run makes a cluster of its own: what it finds hangs on nothing but what was remembered.
        if !was_killed || number % 4 == 0 {
            let next = if was_killed { test("") } else { died };
            failed.lock().expect("nobody panics").extend(wrong(&next).map(|why| format!("{number}: {why}")));
        }
        was_killed
    });
    assert_eq!(failed.into_inner().expect("nobody panics"), Vec::<String>::new());
    assert!(writes > 25, "a cluster is made, tests run in it, and it is ended: {writes}");

    let listed = clusters.deployed.json("list");
    let left: Vec<&Value> =
        listed["clusters"].as_array().expect("clusters").iter().filter(|it| it["state"] != "ending").collect();
    assert!(left.len() > 10, "what was killed is there: {listed}");
    for cluster in &left {
        let name = cluster["name"].as_str().expect("a name");
        assert!(name.starts_with("test-") && cluster["ends"].is_string(), "{cluster}");
    }
    let down = |names: &[&Value]| {
        let children =
            names.iter().map(|it| clusters.komandan("down --name").word(it["name"].as_str().expect("a name")).spawn());
        for child in children.collect::<Vec<_>>() {
            let output = child.wait_with_output().expect("it ends");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    };
    left.chunks(AT_ONCE).for_each(down);
    clusters.wait_until_all_is_gone(&before, &[]);
}

#[test]
fn checks_that_are_killed_leave_what_ends_by_itself_and_the_next_ones_get_their_answers() {
    let images = EveryImage::new();
    let deployed = permanent("smokekill", &images);
    let smoke =
        |line: &str, number: u64| deployed.komandan(line).env("KOMANDAN_FAULT", format!("write-{number}")).run();
    let writes = each_write(|number| {
        let was_killed = is_killed(&smoke("smoke", number));
        let next = deployed.result("smoke");
        assert_eq!((&next["passed"], &next["failed"]), (&1.into(), &0.into()), "{number}: {next}");
        was_killed
    });
    assert!(writes >= 2, "a Job is made and taken away: {writes}");
    assert_eq!(endless(&deployed), Vec::<String>::new());

    // Schedules that the cluster keeps are made, and taken away, by whoever comes next; one after the other, under one lock.
    let schedules = || deployed.namespace.names("cronjobs");
    for (line, are_there) in [("smoke --install", true), ("smoke --uninstall", false)] {
        let other = if are_there { "smoke --uninstall" } else { "smoke --install" };
        for number in 1.. {
            let _ = deployed.komandan(other).run().succeeds();
            if !is_killed(&smoke(line, number)) {
                assert!(number > 3, "every write is a step: {number}");
                break;
            }
            let _ = deployed.komandan(line).run().succeeds();
            assert_eq!(!schedules().is_empty(), are_there, "{line} at {number}: {:?}", schedules());
        }
    }
    let _ = deployed.komandan("smoke --install").run().succeeds();
    let died = deployed.komandan("down --delete-data").env("KOMANDAN_FAULT", "write-2").run();
    assert_eq!(died.code(), None, "{}", died.stderr());
    let _ = deployed.komandan("down --delete-data").run().succeeds();
    wait_until("nothing of them is left", || deployed.namespace.names("cronjobs,jobs,pods").is_empty());
}
