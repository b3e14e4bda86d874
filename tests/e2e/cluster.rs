//! `komandan` on a real Kubernetes with real pods: the story of the README under a steady load, and what may go wrong in it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use clustergraph_tests::local::wait_until;
use clustergraph_tests::{Deployed, Load, Namespace, Served, get, http};
use serde_json::Value;

fn assert_one_version_each(served: &Served, closures: &BTreeSet<String>) {
    assert_eq!(served.failures, Vec::<String>::new(), "of {} requests", served.requests);
    for set in served.sets.keys() {
        assert!(closures.contains(set), "an answer came from {set:?}, which is no version of {closures:?}");
    }
}

/// Waits until the load has seen so many sets of nodes.
fn wait_for_sets(load: &Load, sets: usize) {
    let began = Instant::now();
    while load.so_far().sets.len() < sets {
        assert!(began.elapsed() < Duration::from_secs(60), "only {:?} answered", load.so_far().sets);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_commit_is_deployed_changed_and_reverted_under_load_without_a_failed_request() {
    let hello = Deployed::of_example("hello", "story");

    let built = hello.komandan("build --output json").run().succeeds();
    assert!(built.stdout().contains("@sha256:"), "{}", built.stdout());
    let deployed = hello.komandan("deploy").run().succeeds().stderr();
    let position = |words: &str| deployed.find(words).unwrap_or_else(|| panic!("{words} is not in\n{deployed}"));
    let order = [
        position("ok    postgres-15"),
        position("ok    api/greetings"),
        position("ok    api  "),
        position("ok    www"),
        position("ok    switch"),
    ];
    assert!(order.is_sorted(), "database, migration, consumers, switch:\n{deployed}");

    let page = hello.entry("www");
    assert_eq!(http::post(&page, "author=Ada&message=first+of+all"), 303);
    assert!(get(&page).body.contains("first of all"));

    let load = Load::on(&page, 50, 50);
    wait_for_sets(&load, 1);
    hello.edit_api("the second version");
    let _ = hello.komandan("deploy HEAD").run().succeeds();
    wait_for_sets(&load, 2);
    assert!(get(&page).body.contains("first of all"), "the data is there under the second version");

    // A machine that is busy may let an instance miss a question or two: then its version is not warm for a moment.
    let history = || hello.komandan("history").run().succeeds().stdout();
    wait_until("the version before is warm", || history().lines().nth(2).is_some_and(|row| row.contains("warm")));
    let history = history();
    let rows: Vec<&str> = history.lines().skip(1).collect();
    assert!(rows[0].contains("current") && rows[0].ends_with("the second version"), "{history}");
    assert!(rows[1].ends_with("the example"), "{history}");

    let first = hello.history()["versions"][1]["nodes"]["www"]["workload"].as_str().expect("a workload").to_owned();
    let _ = hello.komandan("revert").run().succeeds();
    let began = Instant::now();
    while !get(&page).served_by.contains(&first) {
        assert!(began.elapsed() < Duration::from_secs(30), "the first version never answers again");
    }
    let broken = "run: [python, -c, 'raise SystemExit(\"no word of thanks\")']";
    hello.repository.replace("services/api/service.yaml", "run: [python, app.py]", broken);
    hello.repository.commit("a broken one");
    let _ = hello.komandan("deploy").run().ends_with(4);
    let _ = hello.komandan("scale api 3").run().succeeds();
    let _ = hello.komandan("scale api --reset").run().succeeds();
    std::thread::sleep(Duration::from_secs(1));

    let served = load.stop();
    assert_eq!(served.sets.len(), 2, "{:?}", served.sets);
    assert_one_version_each(&served, &hello.closures());
    assert!(get(&page).body.contains("first of all"), "the data is there after the revert");

    let again = hello.komandan("deploy HEAD~2").run().succeeds().stdout();
    assert!(again.starts_with("unchanged"), "deploying what serves changes nothing: {again}");
}

#[test]
fn a_version_that_fails_is_told_with_its_last_words_and_leaves_the_traffic() {
    let hello = Deployed::of_example("hello", "broken");
    let _ = hello.komandan("deploy").run().succeeds();
    let load = Load::on(&hello.entry("www"), 5, 5);
    let before = hello.status();
    hello.repository.replace(
        "services/api/service.yaml",
        "run: [python, app.py]",
        "run: [python, -c, 'raise SystemExit(\"the disk is on fire\")']",
    );
    hello.repository.commit("a broken one");
    let failed = hello.komandan("deploy").run();
    let report = failed.ends_with(4).stderr();
    assert!(report.contains("the disk is on fire"), "{report}");
    let after = hello.status();
    assert_eq!((&before["version"], &before["nodes"]), (&after["version"], &after["nodes"]));
    // Mended, the next deploy goes through.
    hello.repository.replace(
        "services/api/service.yaml",
        "'raise SystemExit(\"the disk is on fire\")'",
        "'import runpy; runpy.run_path(\"app.py\", run_name=\"__main__\")'",
    );
    hello.repository.commit("a mended one");
    let _ = hello.komandan("deploy").run().succeeds();
    wait_for_sets(&load, 2);
    assert_one_version_each(&load.stop(), &hello.closures());
}

#[test]
fn a_killed_deploy_leaves_the_traffic_and_the_next_one_ends_what_it_began() {
    let hello = Deployed::of_example("hello", "killed");
    let _ = hello.komandan("deploy").run().succeeds();
    let load = Load::on(&hello.entry("www"), 5, 5);
    hello.edit_api("interrupted");
    // Killed as soon as it has begun to change the cluster.
    let mut child = hello.komandan("deploy").spawn();
    let began = Instant::now();
    while hello.namespace.names("deployments").len() < 3 {
        assert!(
            began.elapsed() < Duration::from_secs(60) && child.try_wait().expect("a child").is_none(),
            "it was to be killed midway"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("it is killed");
    let _ = child.wait();
    assert_eq!(hello.status()["version"], 1, "the traffic is where it was");
    let _ = hello.komandan("deploy --wait").run().succeeds();
    wait_for_sets(&load, 2);
    assert_one_version_each(&load.stop(), &hello.closures());
    let workloads: BTreeSet<String> = hello.namespace.names("deployments").into_iter().collect();
    let kept: BTreeSet<String> =
        hello.closures().iter().flat_map(|set| set.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
    assert_eq!(workloads, kept, "nothing is orphaned");
}

#[test]
fn of_two_deploys_at_once_one_is_refused_with_the_holders_name() {
    let hello = Deployed::of_example("hello", "two");
    let _ = hello.komandan("deploy").run().succeeds();
    hello.edit_api("twice");
    let first = hello.komandan("deploy").spawn();
    let began = Instant::now();
    let held = || {
        let lease = hello.namespace.kubectl("get lease komandan-lock");
        lease["spec"]["holderIdentity"].as_str().is_some_and(|holder| !holder.is_empty())
    };
    while !held() {
        assert!(began.elapsed() < Duration::from_secs(60), "the first one never held the lock");
        std::thread::sleep(Duration::from_millis(5));
    }
    let refused = hello.komandan("revert").run().ends_with(5).stderr();
    assert!(refused.contains("is changing production since") && refused.contains("--wait"), "{refused}");
    let output = first.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(hello.status()["version"], 2);
}

#[test]
fn foreign_objects_of_our_names_are_refused_by_name_and_untouched() {
    let hello = Deployed::of_example("hello", "foreign");
    hello.namespace.kubectl_does(&format!("create namespace {}", hello.namespace.name()));
    hello.namespace.kubectl_does("create service clusterip www --tcp=8080:8080");
    let before = hello.namespace.kubectl("get service www");
    let report = hello.komandan("deploy").run().ends_with(6).stderr();
    assert!(report.contains("www"), "{report}");
    let after = hello.namespace.kubectl("get service www");
    assert_eq!(before["spec"], after["spec"]);
    assert_eq!(before["metadata"]["resourceVersion"], after["metadata"]["resourceVersion"]);
}

#[test]
fn a_dry_run_prints_the_plan_and_changes_nothing() {
    let hello = Deployed::of_example("hello", "dry");
    let plan = hello.komandan("deploy --dry-run").run().succeeds();
    let text = format!("{}{}", plan.stdout(), plan.stderr());
    for name in ["create  postgres-15", "run     api/greetings", "create  api", "create  www", "create  entry www"] {
        assert!(text.contains(name), "{name} is not in the plan:\n{text}");
    }
    assert!(hello.namespace.names("deployments").is_empty());
    assert_eq!(
        hello.namespace.kubectl(&format!("get namespace {}", hello.namespace.name())),
        Value::Null,
        "not even the namespace is made"
    );
}

#[test]
fn no_secret_value_is_outside_of_secrets() {
    use std::fmt::Write as _;
    let hello = Deployed::of_example("hello", "secret");
    let deployed = hello.komandan("deploy --output json").run().succeeds();
    let secrets = hello.namespace.kubectl("get secrets");
    let mut values = Vec::new();
    for secret in secrets["items"].as_array().expect("secrets") {
        for (key, value) in secret["data"].as_object().into_iter().flatten() {
            if key.contains("password") {
                values.push(value.as_str().expect("base64").to_owned());
            }
        }
    }
    assert!(!values.is_empty(), "there are passwords");
    let mut told = format!("{}{}", deployed.stdout(), deployed.stderr());
    for command in ["status --output json", "history --output json", "render", "plan"] {
        let run = hello.komandan(command).run().succeeds();
        told.push_str(&run.stdout());
        told.push_str(&run.stderr());
    }
    for kind in ["configmaps", "deployments", "statefulsets", "jobs", "services", "events", "pods"] {
        let _ = write!(told, "{}", hello.namespace.kubectl(&format!("get {kind}")));
    }
    for value in values {
        let plain = Namespace::decode(&value);
        assert!(plain.len() >= 16);
        assert!(!told.contains(&plain) && !told.contains(&value), "a password was told");
    }
}

#[test]
fn down_leaves_data_and_down_with_data_leaves_nothing() {
    let hello = Deployed::of_example("hello", "down");
    let _ = hello.komandan("deploy").run().succeeds();
    assert_eq!(http::post(&hello.entry("www"), "author=Ada&message=still+here"), 303);
    let _ = hello.komandan("down").run().succeeds();
    for kind in ["deployments", "statefulsets", "jobs", "services", "pods"] {
        wait_until_gone(&hello.namespace, kind);
    }
    assert!(!hello.namespace.names("persistentvolumeclaims").is_empty(), "the data stays");
    let _ = hello.komandan("down").run().succeeds();
    let _ = hello.komandan("deploy").run().succeeds();
    assert!(get(&hello.entry("www")).body.contains("still here"), "the data was kept");
    let _ = hello.komandan("down --delete-data").run().succeeds();
    for kind in
        ["deployments", "statefulsets", "jobs", "services", "pods", "secrets", "persistentvolumeclaims", "leases"]
    {
        wait_until_gone(&hello.namespace, kind);
    }
}

fn wait_until_gone(namespace: &Namespace, kind: &str) {
    let began = Instant::now();
    while !namespace.names(kind).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "{kind} are left: {:?}", namespace.names(kind));
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_broken_service_in_the_work_tree_keeps_nobody_from_reverting() {
    let hello = Deployed::of_example("hello", "broken-tree");
    let _ = hello.komandan("deploy").run().succeeds();
    hello.edit_api("the second version");
    let _ = hello.komandan("deploy").run().succeeds();
    hello.repository.write("services/api/service.yaml", "name: [this is no name\n");
    let _ = hello.komandan("revert").run().succeeds();
    assert_eq!(hello.status()["version"], 1);
    let _ = hello.komandan("deploy").run().succeeds();
    assert_ne!(hello.status()["version"], 1, "a commit is deployed as it is, whatever the work tree says");
}

#[test]
fn a_deploy_that_dies_at_any_step_is_ended_by_the_next_one_and_no_request_fails() {
    let hello = Deployed::of_example("hello", "faults");
    let _ = hello.komandan("deploy").run().succeeds();
    let load = Load::on(&hello.entry("www"), 5, 5);
    for step in ["applied", "record-written", "intent-written", "switched", "committed", "handed-over"] {
        hello.edit_api(&format!("dies when {step}"));
        let wanted = hello.repository.git(&["rev-parse", "HEAD"]);
        let died = hello.komandan("deploy").env("KOMANDAN_FAULT", step).run();
        assert!(!died.stderr().contains("error:"), "it was to die when {step}: {}", died.stderr());
        assert!(died.code().is_none(), "it was to die when {step}, and ended with {:?}", died.code());
        let _ = hello.komandan("deploy --wait").run().succeeds();
        assert_eq!(hello.status()["commit"], wanted.as_str(), "after it died when {step}");
        assert_eq!(hello.status()["intent"], Value::Null, "after it died when {step}");
    }
    let served = load.stop();
    assert_eq!(served.failures, Vec::<String>::new(), "of {} requests", served.requests);
    // What serves and what is warm, and nothing else, once collected pods have drained.
    let kept = hello.kept();
    let began = Instant::now();
    while hello.namespace.names("deployments").into_iter().collect::<BTreeSet<_>>() != kept {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{:?} are there, not {kept:?}",
            hello.namespace.names("deployments")
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}
