//! Smoke checks on a real Kubernetes with real pods: asked once, again and again, and after a deploy, which goes back where one fails.

use std::io::{BufRead, BufReader};

use clustergraph_tests::Deployed;
use clustergraph_tests::local::wait_until;
use serde_json::Value;

/// What breaks the cart while it goes on to be ready.
const BREAK: (&str, &str) = ("total = 3 + 4", "total = 3 + 5");

fn commit(shop: &Deployed, (from, to): (&str, &str)) {
    shop.repository.replace("cart/cart.py", from, to);
    shop.repository.commit("an edit of the cart");
}

/// The Jobs of checks that are there.
fn jobs(shop: &Deployed) -> Vec<String> {
    shop.namespace.names("jobs").into_iter().filter(|name| name.starts_with("smoke-")).collect()
}

#[test]
fn what_serves_is_asked_and_what_does_not_do_its_work_is_told_with_its_last_words() {
    let shop = Deployed::of_fixture("suites", "smoke");
    let _ = shop.komandan("deploy").run().succeeds();
    let result = shop.result("smoke");
    assert_eq!(
        (&result["passed"], &result["failed"], &result["version"]),
        (&1.into(), &0.into(), &1.into()),
        "{result}"
    );
    assert_eq!((&result["schema"], &result["checks"][0]["service"]), (&"komandan.smoke/1".into(), &"cart".into()));
    assert!(
        result["checks"][0]["elapsed_ms"].as_u64().is_some_and(|it| it > 0) && result["checks"][0]["seconds"].is_u64()
    );
    assert_eq!(jobs(&shop), Vec::<String>::new(), "what has passed is gone");

    let metrics = shop.beside().join("smoke.prom");
    let _ = shop.komandan("smoke cart").word("--openmetrics").word(metrics.to_str().expect("a path")).run().succeeds();
    let text = std::fs::read_to_string(&metrics).expect("the file");
    let sample = "clustergraph_smoke_success{cluster=\"production\",service=\"cart\",version=\"1\"} 1\n";
    assert!(text.contains(sample) && text.ends_with("# EOF\n"), "{text}");
    let unknown = shop.komandan("smoke carts").run().ends_with(1).stderr();
    assert!(unknown.contains("did you mean `cart`?"), "{unknown}");
    let none = shop.komandan("smoke tally").run().ends_with(1).stderr();
    assert!(none.contains("tally has no smoke check in version 1"), "{none}");

    commit(&shop, BREAK);
    let _ = shop.komandan("deploy").run().succeeds();
    let run = shop.komandan("smoke").run().ends_with(9);
    assert!(run.stdout().contains("the total is 8") && run.stdout().contains("that is wrong"), "{}", run.stdout());
    assert!(run.stderr().contains("1 of 1 smoke check failed: cart"), "{}", run.stderr());
    let left = jobs(&shop);
    assert_eq!(left.len(), 1, "what failed stays for a while");
    let job = shop.namespace.kubectl(&format!("get job {}", left[0]));
    assert_eq!(job["spec"]["ttlSecondsAfterFinished"], 600, "and goes by itself");
    assert_eq!(job["spec"]["template"]["spec"]["automountServiceAccountToken"], false);
    let pods = shop.namespace.kubectl("get endpointslices --selector kubernetes.io/service-name");
    let endpoints = pods["items"].as_array().expect("slices").iter().filter(|slice| {
        let name = slice["metadata"]["labels"]["kubernetes.io/service-name"].as_str().unwrap_or_default();
        name.starts_with("cart-")
    });
    let addresses: usize = endpoints.map(|slice| slice["endpoints"].as_array().map_or(0, Vec::len)).sum();
    assert!(addresses <= 2, "a check takes no requests: {addresses} endpoints of two versions");
}

#[test]
fn a_deploy_whose_smoke_check_fails_is_taken_back_and_says_so() {
    let shop = Deployed::of_fixture("suites", "smoked");
    let fine = shop.komandan("deploy --smoke --revert-on-failure --output json").run().succeeds().json_lines();
    let last = fine.last().expect("a document");
    assert_eq!((&last["schema"], &last["passed"]), (&"komandan.smoke/1".into(), &1.into()), "{last}");
    commit(&shop, BREAK);
    let run = shop.komandan("deploy --smoke --revert-on-failure").run().ends_with(4);
    assert!(run.stderr().contains("1 of 1 smoke check failed: cart. Version 1 serves again"), "{}", run.stderr());
    assert!(run.stdout().contains("that is wrong"), "{}", run.stdout());
    assert_eq!(shop.status()["version"], 1);
    assert_eq!(shop.result("smoke")["passed"], 1, "what serves again does its work");

    let kept = shop.komandan("deploy --smoke").run().ends_with(9);
    assert!(kept.stderr().contains("serves all the same"), "{}", kept.stderr());
    assert_ne!(shop.status()["version"], 1);
    // The very same again: nothing is deployed, and still it is asked.
    let again = shop.komandan("deploy --smoke").run().ends_with(9);
    assert!(again.stdout().contains("unchanged"), "{}", again.stdout());
    let _ = shop.komandan("deploy --revert-on-failure").run().ends_with(2);
}

#[test]
fn who_watches_hears_of_each_answer_of_whatever_serves_then() {
    let shop = Deployed::of_fixture("suites", "watch");
    let _ = shop.komandan("deploy").run().succeeds();
    let metrics = shop.beside().join("watch.prom");
    let mut child =
        shop.komandan("smoke --watch --output json --openmetrics").word(metrics.to_str().expect("a path")).spawn();
    let out = child.stdout.take().expect("its stdout");
    let mut lines = BufReader::new(out).lines().map_while(Result::ok);
    let mut next = || -> Value { serde_json::from_str(&lines.next().expect("a line")).expect("JSON") };
    let (first, second) = (next(), next());
    assert_eq!((&first["schema"], &first["verdict"]), (&"komandan.smoke-check/1".into(), &"passed".into()));
    assert_ne!(first["time"], second["time"]);
    commit(&shop, BREAK);
    let _ = shop.komandan("deploy").run().succeeds();
    let failed = loop {
        let answer = next();
        // One that was asked at the very switch has no answer.
        if answer["verdict"] == "failed" {
            break answer;
        }
    };
    assert_eq!((&failed["verdict"], &failed["version"]), (&"failed".into(), &2.into()), "{failed}");
    let text = || std::fs::read_to_string(&metrics).unwrap_or_default();
    let sample = "clustergraph_smoke_success{cluster=\"production\",service=\"cart\",version=\"2\"} 0\n";
    wait_until("it is measured", || text().contains(sample) && text().contains("clustergraph_smoke_failures_total"));
    let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn the_cluster_asks_by_itself_what_serves_until_it_is_told_not_to() {
    let shop = Deployed::of_fixture("suites", "schedules");
    let _ = shop.komandan("deploy").run().succeeds();
    let result = shop.result("smoke --install");
    assert_eq!((&result["installed"], &result["schedules"]["cart"]), (&true.into(), &"* * * * *".into()), "{result}");
    let run = |job: &str| shop.namespace.kubectl_does(&format!("create job {job} --from=cronjob/smoke.cart"));
    let ended = |job: &str, how: &str| {
        let conditions = shop.namespace.kubectl(&format!("get job {job}"))["status"]["conditions"].clone();
        conditions.as_array().is_some_and(|all| all.iter().any(|it| it["type"] == how && it["status"] == "True"))
    };
    run("now");
    wait_until("it passes", || ended("now", "Complete"));
    commit(&shop, BREAK);
    let _ = shop.komandan("deploy").run().succeeds();
    run("then");
    wait_until("the version that serves then is asked", || ended("then", "Failed"));
    let _ = shop.komandan("revert").run().succeeds();
    run("again");
    wait_until("and the one that serves again", || ended("again", "Complete"));
    let _ = shop.komandan("smoke --uninstall").run().succeeds();
    assert_eq!(shop.namespace.names("cronjobs"), Vec::<String>::new());
    let _ = shop.komandan("smoke --install --watch").run().ends_with(2);
}
