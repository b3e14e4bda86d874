//! Overlays: clusters that run what a commit changes and borrow the rest from a permanent one, which goes its own way meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;

use clustergraph_tests::local::wait_until;
use clustergraph_tests::{Clusters, Deployed, EveryImage, Namespace, Repository, Session, get};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().map(String::as_str).collect()
}

/// The names of the services that have a Deployment in a namespace.
fn running(home: &Namespace, namespace: &str) -> BTreeSet<String> {
    let list = home.kubectl(&format!("get deployments --namespace {namespace}"));
    let items = list["items"].as_array().expect("Deployments");
    items.iter().map(|item| text(&item["metadata"]["labels"]["app.kubernetes.io/name"])).collect()
}

/// A permanent cluster and the home of overlays, of one repository. Pods only say that they run.
struct Lent {
    clusters: Clusters,
    base: Deployed,
    _images: EveryImage,
}

impl Lent {
    /// Both, with more files and these settings of the permanent cluster.
    fn with(about: &str, settings: &str, more: &[(&str, &str)]) -> Self {
        let clusters = Clusters::with(about, "", more);
        let images = EveryImage::new();
        let namespace = Namespace::without_processes(&format!("{about}-base"));
        let base = Deployed::new(Arc::clone(&clusters.deployed.repository), namespace).with_images(&images);
        let lent = Self { clusters, base, _images: images };
        lent.settings(settings);
        lent
    }

    /// Gives the permanent cluster other settings, in a commit.
    fn settings(&self, settings: &str) {
        let text = format!(
            "services: [\"*\"]\nclusters:\n  production: {{ namespace: {}, {settings} }}\n  pr: {{ ttl: 1h }}\n",
            self.base.namespace.name()
        );
        self.base.repository.write("clustergraph.yaml", &text);
        self.base.repository.commit(settings);
    }

    /// Gives a service another environment, in a commit.
    fn edit(&self, service: &str, words: &str) {
        let path = format!("{service}/service.yaml");
        let text = std::fs::read_to_string(self.base.repository.path().join(&path)).expect("the file is there");
        let rest: String =
            text.lines().filter(|line| !line.starts_with("env:")).map(|line| format!("{line}\n")).collect();
        self.base.repository.write(&path, &format!("{rest}env: {{ EDIT: \"{words}\" }}\n"));
        self.base.repository.commit(words);
    }

    fn deploy(&self) {
        let _ = self.base.komandan("deploy").run().succeeds();
    }

    /// What the permanent cluster has written down of who borrows: their names, each with the versions.
    fn pins(&self) -> Vec<(String, Value)> {
        let map = self.base.namespace.kubectl("get configmap komandan-pins");
        let pins: Value = serde_json::from_str(map["data"]["pins.json"].as_str().unwrap_or("{}")).expect("JSON");
        let overlays = pins["overlays"].as_object().cloned().unwrap_or_default();
        overlays.values().map(|pin| (text(&pin["name"]), pin["versions"].clone())).collect()
    }
}

#[test]
fn who_does_not_lend_is_not_borrowed_from_and_what_an_overlay_is_stays_that() {
    let lent = Lent::with("asked", "lends: false", &[]);
    let before = lent.clusters.everything(&[]);
    let up = |line: &str| lent.clusters.komandan(line).run();
    let nothing = up("up --pr 7 --from production").ends_with(6).stderr();
    assert!(nothing.contains("nothing serves in production") && nothing.contains("komandan deploy"), "{nothing}");
    lent.deploy();
    // Whoever wrote the commit cannot lend themselves what serves does not lend.
    lent.settings("lends: true");
    let refused = up("up --pr 7 --from production").ends_with(6).stderr();
    assert!(refused.contains("production (version 1) does not lend") && refused.contains("lends: true"), "{refused}");
    lent.settings("strategy: rolling");
    lent.deploy();
    let refused = up("up --pr 7 --from production").ends_with(6).stderr();
    assert!(refused.contains("strategy: rolling"), "{refused}");
    lent.settings("context: elsewhere, lends: true");
    let refused = up("up --pr 7 --from production").ends_with(1).stderr();
    assert!(refused.contains("another Kubernetes (context elsewhere)"), "{refused}");
    let refused = up("up --pr 7 --from pr").ends_with(1).stderr();
    assert!(refused.contains("pr ends by itself"), "{refused}");
    assert_eq!(lent.clusters.live(), Vec::<String>::new());
    assert_eq!(lent.clusters.everything(&[]), before, "nothing was made");

    lent.settings("lends: true");
    lent.deploy();
    let _ = up("up --pr 7").succeeds();
    let whole = up("up --pr 7 --from production").ends_with(1).stderr();
    assert!(whole.contains("as a whole cluster") && whole.contains("komandan down --name pr-7"), "{whole}");
    let _ = up("up --pr 8 --from production").succeeds();
    let again = lent.clusters.result("up --pr 8");
    assert_eq!((&again["unchanged"], &again["overlay"]["from"]), (&true.into(), &"production".into()), "{again}");
    for line in ["scale api 3 --pr 8", "restart api --pr 8", "logs api --pr 8", "exec api --pr 8 -- true"] {
        let refused = up(line).stderr();
        assert!(refused.contains("api is borrowed from production@"), "{line}: {refused}");
    }
    let _ = up("scale www 2 --pr 8").succeeds();
}

#[test]
fn what_is_borrowed_is_held_until_it_is_let_go_of() {
    let never = "name: pay\nimage: demo@sha256:7777777777777777777777777777777777777777777777777777777777777777\nsecurity: baseline\n\
                 ports: { http: 8000 }\nstop: { grace: 1s }\nborrow: never\n";
    let lent = Lent::with("held", "lends: true, keep: 1", &[("pay/service.yaml", never)]);
    lent.deploy();
    let planned = lent.clusters.komandan("up --pr 7 --from production --dry-run").run().succeeds().stdout();
    assert!(planned.contains("requests come in here") && planned.contains("from production@1"), "{planned}");
    assert!(!planned.contains("pay"), "nothing of this overlay reaches it: {planned}");
    assert_eq!((lent.clusters.live(), lent.pins()), (Vec::new(), Vec::new()), "and nothing was made");

    // Whoever is killed when it has said what it borrows is gone on with.
    let died = lent.clusters.komandan("up --pr 7 --from production").env("KOMANDAN_FAULT", "pinned").run();
    assert_eq!(died.code(), None, "{}", died.stderr());
    let up = lent.clusters.result("up --pr 7 --from production");
    let namespace = text(&up["namespace"]);
    assert_eq!((keys(&up["overlay"]["own"]), keys(&up["overlay"]["borrowed"])), (vec!["www"], vec!["api"]), "{up}");
    assert_eq!(running(lent.clusters.home(), &namespace), ["www".to_owned()].into());
    let host = text(&up["overlay"]["borrowed"]["api"]["host"]);
    let www = lent.clusters.home().kubectl(&format!("get deployments --namespace {namespace}"))["items"][0].clone();
    let env = www["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    let url = json!({ "name": "API_URL", "value": format!("http://{host}:8000") });
    assert!(env.as_array().expect("variables").contains(&url), "{env}");
    assert_eq!(lent.pins(), [("pr-7".to_owned(), json!([1]))]);

    // The base moves on, three times, and collects; what is borrowed stays, without an end.
    let first = lent.base.status()["nodes"]["api"]["workload"].clone();
    let there = |workload: &Value| lent.base.namespace.kubectl(&format!("get deployment {}", text(workload)));
    for words in ["two", "three", "four"] {
        lent.edit("api", words);
        lent.deploy();
    }
    let _ = lent.base.komandan("gc").run().succeeds();
    assert!(there(&first)["metadata"]["ownerReferences"].is_null() && !there(&first).is_null(), "{}", there(&first));
    let listed = lent.clusters.deployed.json("list")["clusters"][0].clone();
    assert_eq!((&listed["from"], &listed["trouble"]), (&"production@1".into(), &Value::Null), "{listed}");
    let told = lent.clusters.komandan("status --pr 7").run().succeeds().stdout();
    assert!(told.contains("borrowed") && told.contains("from production@1"), "{told}");
    assert_eq!(lent.base.status()["borrowers"][0]["name"], "pr-7");
    let refused = lent.base.komandan("down").run().ends_with(6).stderr();
    assert!(refused.contains("pr-7 borrows from production") && refused.contains("--force"), "{refused}");

    // Another `up` borrows from what serves now; what the version before it needs stays for as long as that may come back.
    let second = lent.clusters.result("up --pr 7");
    assert_eq!((&second["overlay"]["version"], lent.pins()[0].1.clone()), (&4.into(), json!([1, 4])), "{second}");
    assert_eq!(lent.clusters.result("revert --pr 7")["version"], 1);
    lent.edit("www", "other");
    let _ = lent.clusters.result("up --pr 7");
    lent.edit("www", "third");
    let _ = lent.clusters.result("up --pr 7");
    assert_eq!(lent.pins(), [("pr-7".to_owned(), json!([4]))]);
    let refused = lent.clusters.komandan("revert --pr 7 1").run().ends_with(6).stderr();
    assert!(refused.contains("borrows from production@1, which is not kept there any more"), "{refused}");
    lent.deploy();
    // Who called it drains first, and nobody waits for that.
    wait_until("nobody borrows it any more, and it goes", || there(&first).is_null());

    // Its end is moved with the overlay's, and it is let go of with it.
    let until = |lent: &Lent| text(&lent.base.status()["borrowers"][0]["until"]);
    let before = until(&lent);
    let _ = lent.clusters.result("extend pr-7 --ttl 9h");
    assert!(until(&lent) > before);
    let _ = lent.clusters.komandan("down --pr 7").run().succeeds();
    assert_eq!(lent.pins(), Vec::new());
    // What nobody lets go of goes by itself.
    let _ = lent.clusters.komandan("up --name short --from production --ttl 5s").run().succeeds();
    assert_eq!(lent.pins()[0].0, "short");
    let over = lent.pins_over();
    lent.base.namespace.kubectl_takes("replace --filename -", &over.to_string());
    let _ = lent.base.komandan("gc").run().succeeds();
    assert_eq!(lent.pins(), Vec::new());
}

#[test]
fn what_moves_on_while_an_overlay_begins_is_borrowed_as_it_is_then() {
    let lent = Lent::with("race", "lends: true, warm: 1s", &[]);
    lent.deploy();
    let commit = lent.base.repository.git(&["rev-parse", "HEAD"]);
    let line = format!("up --pr 7 --from production {commit} --output json");
    let mut child = lent.clusters.komandan(&line).env("KOMANDAN_PAUSE", "namespace-made").spawn();
    let stat = format!("/proc/{}/stat", child.id());
    wait_until("it is paused", || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
    lent.edit("api", "two");
    lent.deploy();
    // It begins once more, and comes to the same place again.
    wait_until("it comes to its end", || {
        let _ = kill_process(Pid::from_child(&child), Signal::CONT);
        child.try_wait().expect("it is ours").is_some()
    });
    let output = child.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let done: Value = serde_json::from_str(told.lines().last().unwrap_or_default()).expect("a result");
    assert_eq!((keys(&done["overlay"]["own"]), &done["overlay"]["version"]), (vec!["api", "www"], &2.into()), "{done}");
    assert_eq!(lent.pins(), [("pr-7".to_owned(), json!([2]))]);
}

impl Lent {
    /// The object that says who borrows, as if everybody's time were over.
    fn pins_over(&self) -> Value {
        let mut map = self.base.namespace.kubectl("get configmap komandan-pins");
        let mut pins: Value = serde_json::from_str(&text(&map["data"]["pins.json"])).expect("JSON");
        for pin in pins["overlays"].as_object_mut().expect("overlays").values_mut() {
            pin["until"] = "2026-01-01T00:00:00Z".into();
        }
        map["data"]["pins.json"] = pins.to_string().into();
        map
    }
}

#[test]
fn one_of_a_hundred_changed_at_the_entry_is_a_twentieth_of_the_objects() {
    let image = "demo@sha256:7777777777777777777777777777777777777777777777777777777777777777";
    let service = |number: usize| {
        let calls: Vec<String> =
            (1..=3).map(|step| number * 2 + step).filter(|it| *it < 98).map(|it| format!("s{it}")).collect();
        let calls = if number == 0 { format!("api, {}", calls.join(", ")) } else { calls.join(", ") };
        let text = format!(
            "name: s{number}\nimage: {image}\nsecurity: baseline\nports: {{ http: 8000 }}\nstop: {{ grace: 1s }}\ndependencies: [{calls}]\n"
        );
        (format!("s{number}/service.yaml"), text)
    };
    let services: Vec<(String, String)> = (0..98).map(service).collect();
    let files: Vec<(&str, &str)> = services.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let lent = Lent::with("hundred", "lends: true", &files);
    lent.base.repository.replace("www/service.yaml", "dependencies: [api]", "dependencies: [s0]");
    lent.base.repository.commit("a hundred");
    lent.deploy();
    lent.edit("www", "one");
    let objects = |namespace: &str| {
        let mut kinds = lent.base.namespace.kinds();
        kinds.retain(|kind| !kind.starts_with("events") && !kind.ends_with(".metrics.k8s.io"));
        let list = lent.base.namespace.kubectl(&format!("get {} --namespace {namespace}", kinds.join(",")));
        list["items"].as_array().expect("objects").len()
    };
    let overlay = text(&lent.clusters.result("up --name one --from production")["namespace"]);
    assert_eq!(running(lent.clusters.home(), &overlay), ["www".to_owned()].into());
    let whole = text(&lent.clusters.result("up --name whole")["namespace"]);
    let (own, all) = (objects(&overlay), objects(&whole));
    assert!(own * 20 <= all, "{own} of {all}");
}

/// A small shop, really running: a page that calls a catalogue, hints and orders, which are paid for and kept.
fn shop() -> (Deployed, Deployed) {
    let program = include_str!("../fixtures/overlay/shop.py");
    let services = [
        (
            "www",
            "dependencies: [catalog, hints, order]\nenv: { NODE_ID: \"${version}\", CALLS: CATALOG HINTS ORDER }\npublic: {}\n",
        ),
        ("catalog", "env: { NODE_ID: \"${version}\" }\n"),
        ("hints", "dependencies: [catalog]\nenv: { NODE_ID: \"${version}\", CALLS: CATALOG }\n"),
        (
            "order",
            "dependencies: [payment]\nenv: { NODE_ID: \"${version}\", CALLS: PAYMENT }\ndatabases: [{ kind: redis, version: \"7.0\", as: orders }]\n",
        ),
        ("payment", "env: { NODE_ID: \"${version}\" }\nborrow: never\n"),
    ];
    let (base, home) = (Namespace::new("lender"), Namespace::new("borrower"));
    let settings = format!(
        "services: [\"*\"]\nclusters:\n  production: {{ namespace: {}, lends: true, warm: 5s, keep: 1 }}\n  pr: {{ ttl: 1h }}\n",
        base.name()
    );
    let mut files = vec![("clustergraph.yaml".to_owned(), settings)];
    for (name, more) in services {
        let text = format!(
            "name: {name}\nimage: python:3.11-slim\nsecurity: baseline\nfiles: {{ /program/shop.py: shop.py }}\nports: {{ http: 8000 }}\n\
             health: {{ http: /healthz }}\nrun: [python, /program/shop.py]\nresources: {{ cpu: 10m, memory: 32Mi }}\nstop: {{ grace: 1s }}\n{more}"
        );
        files.push((format!("{name}/service.yaml"), text));
        files.push((format!("{name}/shop.py"), program.to_owned()));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let repository = Arc::new(Repository::with(&files));
    let _ = Session::of(repository.path()).ssi("lock").run().succeeds();
    repository.commit("pins");
    (Deployed::new(Arc::clone(&repository), base), Deployed::new(repository, home))
}

#[test]
fn an_overlay_answers_with_what_changed_and_what_it_borrows_whatever_becomes_of_that() {
    let (base, pr) = shop();
    let _ = base.komandan("deploy").run().succeeds();
    let page = base.entry("www");
    let ask = |page: &str, path: &str| get(&format!("{}{path}", page.trim_end_matches('/')));
    let counts = |page: &str| -> Value { serde_json::from_str(&ask(page, "/counts").body).expect("counts") };
    let nodes = |page: &str| -> BTreeSet<String> { ask(page, "/").served_by.into_iter().collect() };
    let first = nodes(&page);
    assert_eq!(ask(&page, "/buy").status, 200);
    assert_eq!(counts(&page), json!({ "order": 1, "payment": 1 }));

    // A branch changes the hints. What it reaches is own, and so is what nobody may borrow, with the way to it.
    base.repository.append("hints/shop.py", "# better ones");
    let branch = base.repository.commit("better hints");
    let up = pr.result("up --pr 7 --from production");
    let namespace = text(&up["namespace"]);
    assert_eq!(keys(&up["overlay"]["own"]), ["hints", "order", "payment", "www"], "{up}");
    assert_eq!(keys(&up["overlay"]["borrowed"]), ["catalog"]);
    let own = ["hints", "order", "payment", "www"].map(str::to_owned);
    assert_eq!(running(&pr.namespace, &namespace), own.into());
    let entry = text(&pr.json("status --pr 7")["entries"]["www"]);
    wait_until("the overlay answers", || std::net::TcpStream::connect(host(&entry)).is_ok());
    let of = |all: &BTreeSet<String>, service: &str| {
        all.iter().find(|node| node.starts_with(&format!("{service}-"))).expect("it took part").clone()
    };
    let answered = nodes(&entry);
    assert_eq!(of(&answered, "catalog"), of(&first, "catalog"));
    assert_ne!(of(&answered, "hints"), of(&first, "hints"));

    // Who buys there changes nothing of what the base keeps and charges.
    for _ in 0..3 {
        assert_eq!(ask(&entry, "/buy").status, 200);
    }
    assert_eq!(
        (counts(&entry), counts(&page)),
        (json!({ "order": 3, "payment": 3 }), json!({ "order": 1, "payment": 1 }))
    );
    // And the base calls nobody but its own.
    assert_eq!(nodes(&page), first);
    // The overlay's pods are let in where something is lent, and nowhere else; nobody else is.
    let reaches = |from: &str, service: &str| {
        let workload = text(&base.status()["nodes"][service]["workload"]);
        let url = format!("http://{workload}.{}.svc:8000/healthz", base.namespace.name());
        let program = format!("import urllib.request; urllib.request.urlopen('{url}', timeout=3)");
        let pods = pr.namespace.kubectl(&format!("get pods --namespace {from} --selector app.kubernetes.io/name=www"));
        let pod = text(&pods["items"][0]["metadata"]["name"]);
        let mut kubectl = std::process::Command::new("kubectl");
        kubectl.args([
            "--kubeconfig",
            pr.namespace.kubeconfig(),
            "exec",
            "--namespace",
            from,
            &pod,
            "--",
            "python",
            "-c",
            &program,
        ]);
        kubectl.output().expect("kubectl runs").status.success()
    };
    assert!(reaches(&namespace, "catalog") && !reaches(&namespace, "payment"));

    // The base moves on, collects, and goes back: the overlay answers with what it borrowed.
    base.repository.append("catalog/shop.py", "# more of it");
    base.repository.commit("a larger catalogue");
    let _ = base.komandan("deploy").run().succeeds();
    let _ = base.komandan("gc").run().succeeds();
    wait_until("the base answers with the other catalogue", || of(&nodes(&page), "catalog") != of(&first, "catalog"));
    assert_eq!(nodes(&entry), answered);
    let _ = base.komandan("revert").run().succeeds();
    wait_until("the base answers as before", || nodes(&page) == first);
    assert_eq!(nodes(&entry), answered);
    let _ = base.komandan("deploy").run().succeeds();

    // A whole cluster has none of that: it is not let in.
    let whole = text(&pr.result(&format!("up --name whole {branch}"))["namespace"]);
    assert!(!reaches(&whole, "catalog"));
    let _ = pr.komandan("down --name whole").run().succeeds();

    // It borrows from what serves now.
    let second = pr.result("up --pr 7");
    assert_eq!(keys(&second["overlay"]["borrowed"]), ["catalog", "hints"], "{second}");
    wait_until("it answers with the other catalogue", || of(&nodes(&entry), "catalog") != of(&first, "catalog"));
    assert_eq!(counts(&entry)["order"], 3, "its own data stays");
    let _ = pr.komandan("sleep pr-7").run().succeeds();
    let _ = pr.komandan("wake pr-7").run().succeeds();
    wait_until("it answers again", || std::net::TcpStream::connect(host(&entry)).is_ok());

    // The base is deleted under it: whoever asks is told.
    pr.namespace.kubectl_does(&format!("delete namespace {}", base.namespace.name()));
    let told = pr.komandan("status --pr 7").run().succeeds().stdout();
    assert!(told.contains("production is gone, and with it what is borrowed from it"), "{told}");
    let told = pr.komandan("list").run().succeeds();
    assert!(told.stderr().contains("pr-7: production is gone"), "{}", told.stderr());
    let _ = pr.komandan("down --pr 7 --wait").run().succeeds();
    assert!(pr.namespace.kubectl(&format!("get namespace {namespace}")).is_null(), "nothing of it is left");
}

/// The host and port of an address.
fn host(url: &str) -> String {
    url.trim_start_matches("http://").trim_end_matches('/').to_owned()
}
