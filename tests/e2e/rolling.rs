//! `strategy: rolling` on a real Kubernetes: the same workloads over all versions, their instances exchanged under load.

use std::collections::BTreeSet;

use clustergraph_tests::local::wait_until;
use clustergraph_tests::{Load, Versions};

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_rolling_cluster_changes_its_workloads_in_place_there_and_back_without_a_failed_request() {
    let shop = Versions::new("rolling", "strategy: rolling");
    let _ = shop.komandan("deploy").run().succeeds();
    let workloads = names(&["api-rolling", "www-rolling"]);
    assert_eq!(shop.workloads(1), workloads);
    let page = shop.page();
    let first = shop.answers(&page);
    let load = Load::on(&page, 5, 5);
    wait_until("the first version answers", || load.so_far().requests > 20);

    shop.edit("the second");
    let plan = shop.komandan("plan").run().succeeds().stdout();
    assert!(plan.contains("change  api") && plan.contains("its sources changed"), "{plan}");
    assert!(!plan.contains("entry"), "nothing is switched:\n{plan}");
    let _ = shop.komandan("deploy").run().succeeds();
    wait_until("only the second version answers", || shop.answers(&page).is_disjoint(&first));
    let second = shop.answers(&page);
    assert_eq!(shop.workloads(2), workloads);
    let there: BTreeSet<String> = shop.namespace.names("deployments").into_iter().collect();
    assert_eq!(there, workloads, "one workload for all versions");
    let history = shop.json("history");
    let states: Vec<_> = history["versions"].as_array().expect("versions").iter().map(|it| &it["state"]).collect();
    assert_eq!(states, ["current", "cold"], "what is changed in place is not ready beside what serves");

    let reverted = shop.result("revert");
    assert_eq!((&reverted["warm"], &reverted["version"]), (&false.into(), &1.into()));
    wait_until("only the first version answers", || shop.answers(&page) == first);
    assert!(second.is_disjoint(&first));
    let files = shop.namespace.names("configmaps").into_iter().filter(|name| name.contains("-rolling.files-"));
    assert_eq!(files.count(), 2, "the files of the version that serves, and no other's");
    let served = load.stop();
    assert_eq!(served.failures, Vec::<String>::new(), "of {} requests", served.requests);
}

#[test]
fn what_does_not_become_ready_is_given_back_its_form() {
    let shop = Versions::new("undone", "strategy: rolling");
    let _ = shop.komandan("deploy").run().succeeds();
    let page = shop.page();
    let first = shop.answers(&page);
    let load = Load::on(&page, 5, 5);
    let form = || shop.namespace.kubectl("get deployment api-rolling")["spec"]["template"].clone();
    let before = form();
    shop.repository.replace(
        "www/service.yaml",
        "run: [python, /program/server.py]",
        "run: [python, -c, 'raise SystemExit(\"on fire\")']",
    );
    shop.edit("broken");
    let report = shop.komandan("deploy").run().ends_with(4).stderr();
    assert!(report.contains("on fire"), "{report}");
    assert_eq!(form(), before, "what was changed before it is as it was");
    wait_until("only the first version answers", || shop.answers(&page) == first);
    let served = load.stop();
    assert_eq!(served.failures, Vec::<String>::new(), "of {} requests", served.requests);
    assert_eq!(shop.json("status")["version"], 1);
}

#[test]
fn a_cluster_becomes_rolling_and_atomic_again_by_a_switch() {
    let shop = Versions::new("becomes", "strategy: atomic");
    let _ = shop.komandan("deploy").run().succeeds();
    let page = shop.page();
    let load = Load::on(&page, 5, 5);
    let first = shop.workloads(1);
    shop.settings("strategy: rolling");
    let _ = shop.komandan("deploy").run().succeeds();
    assert_eq!(shop.workloads(2), names(&["api-rolling", "www-rolling"]));
    shop.settings("strategy: atomic");
    let _ = shop.komandan("deploy").run().succeeds();
    assert_eq!(shop.workloads(3), first);
    let served = load.stop();
    assert_eq!(served.failures, Vec::<String>::new(), "of {} requests", served.requests);
}

#[test]
fn whoever_asks_after_a_deploy_is_answered_by_what_it_deployed() {
    for strategy in ["atomic", "rolling"] {
        let shop = Versions::new(strategy, &format!("strategy: {strategy}"));
        let _ = shop.komandan("deploy").run().succeeds();
        let page = shop.page();
        let mut before = shop.answers(&page);
        for edited in ["www", "api", "www"] {
            shop.repository.append(&format!("{edited}/server.py"), "# edited");
            shop.repository.commit(edited);
            let _ = shop.komandan("deploy").run().succeeds();
            let answers = shop.answers(&page);
            let stays: Vec<_> = answers.intersection(&before).collect();
            assert_eq!(stays.len(), if edited == "www" { 1 } else { 0 }, "{strategy}, {edited}: {stays:?}");
            before = answers;
        }
    }
}
