//! `komandan test` on a real Kubernetes with real pods: tests are listed, divided, run once each and judged; what failed is told
//! apart from what was ended from outside; what has passed is remembered.

use std::collections::BTreeSet;

use clustergraph_tests::local::wait_until;
use clustergraph_tests::{Deployed, Namespace, Program, Repository, get};
use serde_json::{Value, json};

/// `komandan test` of somebody who remembers nothing but what these commands do.
fn test(shop: &Deployed, line: &str) -> Program {
    shop.komandan(&format!("--cluster production test {line}"))
        .env("CLUSTERGRAPH_CACHE_DIR", shop.beside().join("cache"))
}

fn result(run: &clustergraph_tests::Run) -> Value {
    run.json_lines().into_iter().find(|it| it["command"] == "test").expect("the result")
}

/// What the tally was told.
fn told(shop: &Deployed) -> Value {
    serde_json::from_str(&get(&shop.entry("tally")).body).expect("JSON")
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().filter_map(Value::as_str).collect()
}

#[test]
fn each_listed_test_runs_once_in_one_of_four_shards_and_the_one_that_fails_is_reported() {
    let shop = Deployed::of_fixture("suites", "suites");
    let _ = shop.komandan("deploy").run().succeeds();
    let unnamed = shop.komandan("test").run().ends_with(1).stderr();
    assert!(unnamed.contains("--cluster NAME"), "{unnamed}");

    let file = shop.beside().join("report.xml");
    let run =
        test(&shop, "cart --shards 4 --output json --junit").word(file.to_str().expect("a path")).run().ends_with(9);
    let result = result(&run);
    let cart = &result["services"][0];
    assert_eq!((&cart["passed"], &cart["failed"]), (&11.into(), &1.into()), "{cart}");
    let shards = cart["shards"].as_array().expect("shards");
    assert_eq!(shards.len(), 4);
    let mut given: Vec<&str> = shards.iter().flat_map(|shard| strings(&shard["tests"])).collect();
    assert_eq!(given.len(), 12, "each name is in one shard: {given:?}");
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), 12, "and no name is in two: {given:?}");
    let tests = cart["tests"].as_array().expect("tests");
    let names: BTreeSet<&str> = tests.iter().filter_map(|test| test["name"].as_str()).collect();
    assert_eq!((tests.len(), names), (12, given.into_iter().collect()));
    assert!(tests.iter().all(|test| test["runs"] == 1), "each is told of once: {tests:?}");
    let told = told(&shop);
    let ran: Vec<(&String, &Value)> = told.as_object().expect("counts").iter().collect();
    assert!(ran.len() == 12 && ran.iter().all(|(_, times)| **times == 1), "each ran once: {told}");
    let failing: Vec<&Value> = tests.iter().filter(|test| test["outcome"] != "passed").collect();
    assert_eq!(failing.len(), 1);
    assert_eq!(failing[0]["name"], "cart/test_total.py::test_07[a/b]");
    assert_eq!(
        (&failing[0]["message"], &cart["problems"], &cart["lost"]),
        (&"3 is not 4".into(), &json!([]), &json!([]))
    );
    assert_eq!(shards.iter().filter(|shard| shard["exit"] == 1).count(), 1);
    let junit = std::fs::read_to_string(&file).expect("the file");
    assert!(junit.contains("<testsuites tests=\"12\" failures=\"1\" errors=\"0\""), "{junit}");

    // A person is told of the one that fails, and of nothing else.
    let run = test(&shop, "core --shards 3").run().ends_with(9);
    let text = run.stdout();
    assert!(text.contains("failed  cart  cart/test_total.py::test_07[a/b]\n  E  assert 3 == 4 & more"), "{text}");
    assert!(!text.contains("test_06") && text.contains("12 tests of 2 services passed, 1 failed"), "{text}");
    assert!(run.stderr().contains("tests failed: cart"), "{}", run.stderr());
    let maps: Vec<String> =
        shop.namespace.names("configmaps").into_iter().filter(|it| it.contains(".tests-")).collect();
    assert_eq!(maps.len(), 2, "the names of shards go with their Job, which stays for its log: {maps:?}");
    let owned = shop.namespace.kubectl(&format!("get configmap {}", maps[0]));
    assert_eq!(owned["metadata"]["ownerReferences"][0]["kind"], "Job");
    assert_eq!(shop.namespace.names("jobs").into_iter().filter(|it| it.starts_with("list-")).count(), 0);
}

#[test]
fn what_has_passed_is_remembered_until_something_that_it_depends_on_changes() {
    let shop = Deployed::of_fixture("suites", "remember");
    shop.repository.replace("cart/check.py", "FAILS = \"test_07\"", "FAILS = \"none\"");
    shop.repository.commit("nothing fails");
    let _ = shop.komandan("deploy").run().succeeds();
    let services = |line: &str| -> Vec<(String, bool)> {
        let run = test(&shop, &format!("{line} --output json")).run().succeeds();
        let result = result(&run);
        let services = result["services"].as_array().expect("services").iter();
        services.map(|it| (it["service"].as_str().expect("a name").to_owned(), !it["remembered"].is_null())).collect()
    };
    let (cart, page) = ("cart".to_owned(), "page".to_owned());
    assert_eq!(services("core --shards 2"), [(cart.clone(), false), (page.clone(), false)]);
    assert_eq!(services("core --shards 2"), [(cart.clone(), true), (page.clone(), true)]);
    assert_eq!(services("core --shards 2 --force"), [(cart.clone(), false), (page.clone(), false)]);
    assert!(shop.namespace.names("jobs").iter().all(|it| !it.starts_with("test-")), "what has passed is gone");

    shop.repository.append("cart/cart.py", "# a remark");
    shop.repository.commit("a remark");
    let other = test(&shop, "core").run().ends_with(1).stderr();
    assert!(other.contains("other versions of cart, page") && other.contains("Deploy this commit"), "{other}");
    let _ = shop.komandan("deploy").run().succeeds();
    assert_eq!(services("core"), [(cart, false), (page, false)], "the page depends on the cart");
}

#[test]
fn a_deploy_that_asks_for_tests_deploys_nothing_where_one_fails() {
    let shop = Deployed::of_fixture("suites", "staging");
    let production = Namespace::new("gated");
    let clusters = format!("clusters: {{ staging: {{ namespace: {} }} }}", shop.namespace.name());
    shop.repository.append("clustergraph.yaml", &clusters);
    shop.repository.commit("where it is tested");
    let staged = || shop.komandan("--cluster staging deploy").run().succeeds();
    let deploy = || {
        Program::new("komandan", shop.repository.path())
            .env("KUBECONFIG", production.kubeconfig())
            .env("CLUSTERGRAPH_CACHE_DIR", shop.beside().join("cache"))
            .args(&format!("--namespace {} deploy --if-tests-pass --tests-cluster staging", production.name()))
            .run()
    };
    let _ = staged();
    let refused = deploy().ends_with(9).stderr();
    assert!(refused.contains("tests failed: cart. Nothing was deployed"), "{refused}");
    assert_eq!(production.names("deployments"), Vec::<String>::new());
    shop.repository.replace("cart/check.py", "FAILS = \"test_07\"", "FAILS = \"none\"");
    shop.repository.commit("nothing fails");
    let _ = staged();
    let deployed = deploy().succeeds().stdout();
    assert!(
        deployed.contains("13 tests of 2 services passed") && deployed.contains("version 1 serves production"),
        "{deployed}"
    );
}

#[test]
fn a_pod_that_is_evicted_is_begun_again_and_says_nothing_of_its_tests() {
    let shop = Deployed::of_fixture("suites", "evicted");
    let _ = shop.komandan("deploy").run().succeeds();
    let child = test(&shop, "gate --output json").spawn();
    wait_until("the test has begun", || told(&shop)["began"] == 1);
    let selector = "--selector clustergraph.dev/component=test";
    let pods = shop.namespace.kubectl(&format!("get pods {selector}"));
    let pod = pods["items"][0]["metadata"]["name"].as_str().expect("the pod").to_owned();
    let namespace = shop.namespace.name();
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod, "namespace": namespace },
    });
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/eviction");
    shop.namespace.kubectl_takes(&format!("create --raw {path} --filename -"), &eviction.to_string());
    wait_until("it was begun again", || told(&shop)["began"] == 2);
    let _ = get(&format!("{}ran/open", shop.entry("tally")));
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = text.lines().rev().find_map(|line| serde_json::from_str(line).ok()).expect("the result");
    let slow = &result["services"][0];
    assert_eq!((&slow["fine"], &slow["shards"][0]["tries"]), (&true.into(), &2.into()), "{slow}");
}

#[test]
fn who_is_interrupted_leaves_no_pod_behind() {
    let shop = Deployed::of_fixture("suites", "interrupted");
    let _ = shop.komandan("deploy").run().succeeds();
    let mut child = test(&shop, "gate").spawn();
    wait_until("the test has begun", || told(&shop)["began"] == 1);
    let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT);
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    wait_until("its Job is gone", || shop.namespace.names("jobs").iter().all(|it| !it.starts_with("test-")));
}

#[test]
fn a_test_that_cannot_be_run_is_no_test_that_fails() {
    let shop = Deployed::of_fixture("suites", "lost");
    shop.repository.replace("slow/service.yaml", "run: [python, /program/wait.py]", "run: [no-such-program]");
    shop.repository.replace("page/service.yaml", "'/total'", "'/total', 1 / 0");
    shop.repository.commit("wrong programs");
    let _ = shop.komandan("deploy").run().succeeds();
    let run = test(&shop, "slow").run().ends_with(9);
    assert!(run.stderr().contains("exit code 127: its image may lack the program"), "{}", run.stderr());
    assert!(run.stdout().contains("no-such-program"), "its last words say which: {}", run.stdout());
    let whole = test(&shop, "page --output json").run().ends_with(9);
    assert_eq!(result(&whole)["services"][0]["problems"], json!(["its tests: its command ended with exit code 1"]));
    let late = test(&shop, "page --timeout 1s --force").run().ends_with(9).stderr();
    assert!(late.contains("within 1 seconds (--timeout)"), "{late}");
    let unknown = test(&shop, "cort").run().ends_with(1).stderr();
    assert!(unknown.contains("no suite and no service `cort`: did you mean `c"), "{unknown}");
}

const DOCKERFILE: &str = "FROM python:3.11-slim AS base
COPY calc/sum.py /srv/
WORKDIR /srv
USER 10001
FROM base AS test
COPY --chown=10001 calc/check.py /srv/
FROM base
CMD [\"python\", \"-m\", \"http.server\", \"8000\"]
";

const CHECK: &str = "import os, sum
assert sum.of(3, 4) == 7 and os.getuid() == 10001
open(os.environ['JUNIT_FILE'], 'w').write('<testsuite><testcase name=\"adds\" time=\"0.1\"/></testsuite>')
";

#[test]
fn tests_run_in_the_stage_that_they_name_with_no_more_rights_than_their_service_has() {
    let service = "name: calc\nbuild: { dockerfile: Dockerfile }\nports: { http: 8000 }\n\
                   test: { run: [python, check.py], target: test }\n\
                   smoke: { run: [python, -c, \"import urllib.request, os; urllib.request.urlopen(os.environ['CALC_URL'])\"] }\n";
    let repository = Repository::with(&[
        ("calc/service.yaml", service),
        ("calc/Dockerfile", DOCKERFILE),
        ("calc/sum.py", "def of(a, b):\n    return a + b\n"),
        ("calc/check.py", CHECK),
    ]);
    let shop = Deployed::new(repository, Namespace::new("stage"));
    // A namespace that komandan makes takes restricted pods only.
    let _ = shop.komandan("deploy").run().succeeds();
    let namespace = shop.namespace.kubectl(&format!("get namespace {}", shop.namespace.name()));
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    let run = test(&shop, "calc --output json").run().succeeds();
    let calc = &result(&run)["services"][0];
    assert_eq!((&calc["passed"], &calc["tests"][0]["name"]), (&1.into(), &"adds".into()), "{calc}");
    assert_eq!(shop.result("smoke")["passed"], 1, "nobody may call it but its own checks");
    shop.repository.replace("calc/Dockerfile", "FROM base AS test", "FROM base AS test\nUSER root");
    shop.repository.commit("tests as root");
    let _ = shop.komandan("deploy").run().succeeds();
    let refused = test(&shop, "calc").run().ends_with(3).stderr();
    assert!(refused.contains("the image of calc would run as root"), "{refused}");
}

#[test]
fn tests_that_name_no_cluster_have_one_of_their_own_which_ends_after_them() {
    let shop = Deployed::of_fixture("suites", "own");
    shop.repository.append("clustergraph.yaml", "clusters: { pr: { ttl: 2h } }");
    shop.repository.commit("clusters that end by themselves");
    let run = |line: &str| {
        let line = format!("test cart --shards 2 --output json {line}");
        shop.komandan(&line).env("CLUSTERGRAPH_CACHE_DIR", shop.beside().join("cache")).run().ends_with(9)
    };
    let names = || {
        let list = shop.json("list");
        let clusters = list["clusters"].as_array().expect("clusters").iter();
        clusters.filter_map(|it| it["name"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let tested = result(&run(""));
    let cart = &tested["services"][0];
    assert_eq!((&cart["passed"], &cart["failed"]), (&11.into(), &1.into()), "{cart}");
    assert!(tested["cluster"].as_str().expect("a name").starts_with("test-"), "{tested}");
    wait_until("the cluster is gone", || names().is_empty());

    let kept = result(&run("--keep"));
    assert_eq!(names(), [kept["cluster"].as_str().expect("a name")], "what failed can be looked at");
    let _ = shop.komandan(&format!("down --name {} --wait", names()[0])).run().succeeds();
    assert_eq!(names(), Vec::<String>::new());
}
