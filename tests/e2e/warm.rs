//! The version before, on a real Kubernetes: ready for as long as the cluster says, and then gone with nobody running.

use clustergraph_tests::local::wait_until;
use clustergraph_tests::{Load, Versions};

#[test]
fn the_version_before_ends_at_its_deadline_with_nobody_running() {
    let shop = Versions::new("deadline", "warm: 8s");
    let _ = shop.komandan("deploy").run().succeeds();
    assert!(shop.json("status")["warm"].is_null(), "there is none before the first");
    let first = shop.workloads(1);
    shop.edit("the second");
    let told = shop.komandan("deploy").run().succeeds().stderr();
    assert!(told.contains("version 1 stays warm until "), "{told}");
    // From here on nobody changes anything.
    wait_until("the first version's workloads are gone", || {
        ["deployments", "services"].iter().all(|kind| shop.there(kind, &first).is_empty())
    });
    wait_until("and the Job that ended them", || shop.namespace.names("jobs").is_empty());
    let second = shop.workloads(2);
    assert_eq!(shop.there("deployments", &second), second, "what serves stays");
    assert!(shop.owned("deployments").is_empty(), "{:?}", shop.owned("deployments"));
    let history = shop.komandan("history").run().succeeds().stdout();
    let states: Vec<&str> = history.lines().skip(1).filter_map(|row| row.split_whitespace().nth(1)).collect();
    assert_eq!(states, ["current", "cold"], "{history}");
    assert!(shop.json("status")["warm"].is_null());
    // Nothing is left to do, and the plan says so.
    assert!(shop.komandan("deploy").run().succeeds().stdout().starts_with("unchanged"));
    // It comes back from the store.
    let reverted = shop.result("revert");
    assert_eq!((&reverted["warm"], &reverted["version"]), (&false.into(), &1.into()));
    shop.wait_for(&first);
}

#[test]
fn within_its_time_a_revert_is_a_switch_and_what_serves_again_has_no_deadline() {
    let shop = Versions::new("within", "warm: 1h");
    let _ = shop.komandan("deploy").run().succeeds();
    shop.edit("the second");
    let _ = shop.komandan("deploy").run().succeeds();
    let (first, second) = (shop.workloads(1), shop.workloads(2));
    let page = shop.page();
    let owned = |kind: &str| shop.owned(kind).into_iter().map(|(name, _)| name).collect();
    assert_eq!((owned("deployments"), owned("services")), (first.clone(), first.clone()));
    let status = shop.json("status");
    assert_eq!(status["warm"]["version"], 1);
    let until = status["warm"]["until"].as_str().expect("a time").to_owned();
    let history = shop.json("history");
    assert_eq!(
        (&history["versions"][1]["state"], &history["versions"][1]["warm_until"]),
        (&"warm".into(), &until.into())
    );
    let sizes = |workloads: &std::collections::BTreeSet<String>| -> Vec<i64> {
        let size = |name: &String| {
            shop.namespace.kubectl(&format!("get deployment {name}"))["status"]["readyReplicas"].as_i64()
        };
        workloads.iter().filter_map(size).collect()
    };
    assert_eq!(sizes(&first), [2, 1], "at the size at which it served");

    let pods = || shop.namespace.names("pods");
    let before = pods();
    let load = Load::on(&page, 5, 5);
    wait_until("the second version answers", || !load.so_far().sets.is_empty());
    let reverted = shop.result("revert");
    assert_eq!((&reverted["warm"], &reverted["version"]), (&true.into(), &1.into()));
    wait_until("the first version answers", || load.so_far().sets.len() == 2);
    assert_eq!(load.stop().failures, Vec::<String>::new());
    assert_eq!(before, pods(), "no instance was made or ended");
    // Two lists and a watch for each kind, the lock, the head, and what has an owner: nothing that grows with the graph else.
    assert!(reverted["requests"].as_u64().expect("a number") < 60, "{reverted}");
    assert_eq!((owned("deployments"), owned("services")), (second.clone(), second), "now the second has a deadline");
    assert_eq!(shop.namespace.names("jobs").len(), 1, "{:?}", shop.namespace.names("jobs"));
    shop.wait_for(&first);

    // A deploy that needs the second version's workloads takes them back as well.
    let _ = shop.komandan("deploy").run().succeeds();
    assert_eq!((owned("deployments"), owned("services")), (first.clone(), first));
    assert_eq!(shop.namespace.names("jobs").len(), 1);
}

#[test]
fn what_is_scaled_by_load_keeps_its_size_while_it_is_warm() {
    let shop = Versions::new("load", "warm: 1h");
    shop.repository.replace("api/service.yaml", "scale: { replicas: 2 }", "scale: { max: 3 }\nresources: { cpu: 10m }");
    shop.repository.commit("scaled by load");
    let _ = shop.komandan("deploy").run().succeeds();
    shop.edit("the second");
    let _ = shop.komandan("deploy").run().succeeds();
    let api = |number| shop.workloads(number).into_iter().find(|name| name.starts_with("api")).expect("the API");
    let shrinks = |number| {
        let scaler = shop.namespace.kubectl(&format!("get hpa {}", api(number)));
        scaler["spec"]["behavior"]["scaleDown"]["selectPolicy"] != "Disabled"
    };
    assert_eq!((shrinks(1), shrinks(2)), (false, true));
    assert_eq!(shop.result("revert")["warm"], true);
    assert_eq!((shrinks(1), shrinks(2)), (true, false));
    let _ = shop.komandan("deploy").run().succeeds();
    assert_eq!((shrinks(1), shrinks(2)), (false, true));
}

#[test]
fn whatever_is_interrupted_the_next_command_goes_on_and_nothing_that_serves_has_a_deadline() {
    let shop = Versions::new("interrupted", "warm: 1h");
    let _ = shop.komandan("deploy").run().succeeds();
    shop.edit("the second");
    // It serves, and the version before has a Job that owns nothing yet.
    let _ = shop.komandan("deploy").env("KOMANDAN_FAULT", "warm-job-made").run();
    assert_eq!((&shop.json("status")["version"], shop.owned("deployments").len()), (&2.into(), 0));
    let (first, second) = (shop.workloads(1), shop.workloads(2));
    let owned = || shop.owned("deployments").into_iter().map(|(name, _)| name).collect();
    let again = shop.komandan("deploy --wait").run().succeeds();
    // Whoever takes a lock over stamps what is kept: Kubernetes may not have looked at that yet.
    let told = again.stdout();
    assert!(told.starts_with("unchanged") || told.contains("(changed: nothing)"), "{told}{}", again.stderr());
    assert_eq!((owned(), shop.namespace.names("jobs").len()), (first.clone(), 1), "it has its deadline, and one Job");
    // Nothing serves it yet, and nothing ends it any more.
    let _ = shop.komandan("revert").env("KOMANDAN_FAULT", "taken-back").run();
    assert_eq!((&shop.json("status")["version"], shop.owned("deployments").len()), (&2.into(), 0));
    assert_eq!(shop.result("revert --wait")["warm"], true);
    shop.wait_for(&first);
    assert_eq!((owned(), shop.namespace.names("jobs").len()), (second, 1));
}

#[test]
fn a_revert_that_comes_too_late_is_a_cold_one() {
    let shop = Versions::new("late", "warm: 1h");
    let _ = shop.komandan("deploy").run().succeeds();
    shop.edit("the second");
    let _ = shop.komandan("deploy").run().succeeds();
    let first = shop.workloads(1);
    let job = shop.namespace.names("jobs").pop().expect("the owner");
    // What was meant to end in an hour ends now: the clock of the deadline is the cluster's.
    shop.namespace
        .kubectl_does(&format!("patch job {job} --type merge --patch {{\"spec\":{{\"activeDeadlineSeconds\":1}}}}"));
    wait_until("it goes", || shop.there("deployments", &first).len() < 2);
    let reverted = shop.result("revert");
    assert_eq!((&reverted["warm"], &reverted["version"]), (&false.into(), &1.into()));
    shop.wait_for(&first);
    let owned: Vec<String> = shop.owned("deployments").into_iter().map(|(name, _)| name).collect();
    assert!(owned.iter().all(|name| !first.contains(name)), "{owned:?}");
}
