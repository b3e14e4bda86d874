//! Clusters that end by themselves in namespaces that are there for them, with exactly the rights that `komandan rbac` prints: none of
//! the whole Kubernetes cluster.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clustergraph_tests::local::wait_until;
use clustergraph_tests::{Clusters, Deployed, Program};
use serde_json::Value;

/// A service with a database that is migrated.
const KEEPER: &str = "name: keeper\nimage: demo@sha256:7777777777777777777777777777777777777777777777777777777777777777\n\
    security: baseline\nports: { http: 8000 }\nstop: { grace: 1s }\nvolumes: { files: /files }\n\
    databases: [{ kind: postgres, version: \"15\", as: kept, migrate: { run: [migrate], schema: migrations/ } }]\n";
const KEPT: &[(&str, &str)] =
    &[("keeper/service.yaml", KEEPER), ("keeper/migrations/1.sql", "create table kept (id int);\n")];

/// A home and a pool, and an account that has rights in these alone.
struct Pool {
    clusters: Clusters,
    namespaces: Vec<String>,
    kubeconfig: PathBuf,
}

impl Pool {
    fn new(about: &str, size: usize, settings: &str, more: &[(&str, &str)]) -> Self {
        let clusters = Clusters::with(about, settings, more);
        let namespaces = name_them(&clusters.deployed, size, "ttl: 1h");
        let kubeconfig = grant(&clusters.deployed);
        // Where pods run is said of a namespace when it is made, by who makes it.
        let home = clusters.home().kubectl(&format!("get namespace {}", clusters.home().name()));
        for (name, value) in home["metadata"]["annotations"].as_object().expect("annotations") {
            if name.starts_with("scheduler.alpha.kubernetes.io/") {
                let value = value.as_str().expect("a text").replace(' ', "");
                let all = namespaces.join(" ");
                clusters.home().kubectl_does(&format!("annotate namespace {all} {name}={value}"));
            }
        }
        wait_until("accounts are there", || {
            namespaces
                .iter()
                .all(|it| clusters.home().kubectl_can(&format!("get serviceaccount default --namespace {it}")))
        });
        Self { clusters, namespaces, kubeconfig }
    }

    fn komandan(&self, line: &str) -> Program {
        self.clusters.komandan(line).env("KUBECONFIG", &self.kubeconfig)
    }

    fn result(&self, line: &str) -> Value {
        let run = self.komandan(&format!("{line} --output json")).run().succeeds();
        run.json_lines().pop().expect("a result")
    }

    fn list(&self) -> Vec<(String, String, String)> {
        let listed = self.komandan("list --output json").run().succeeds().json();
        let one = |it: &Value| (text(&it["name"]), text(&it["namespace"]), text(&it["state"]));
        listed["clusters"].as_array().expect("clusters").iter().map(one).collect()
    }

    fn everything(&self) -> BTreeSet<String> {
        self.clusters.everything(&[])
    }

    /// Waits until there is what there was before, and nothing else.
    fn empties(&self, before: &BTreeSet<String>) {
        let mut left = BTreeSet::new();
        wait_until("nothing is left", || {
            left = &self.everything() - before;
            left.is_empty()
        });
        assert_eq!(&self.everything(), before, "what was there before is there still");
    }

    /// Objects of ours in a namespace that would be there for ever.
    fn endless(&self, namespace: &str) -> Vec<String> {
        let home = self.clusters.home();
        let kinds = home.kinds().into_iter().filter(|it| !it.starts_with("events") && !it.ends_with(".metrics.k8s.io"));
        let kinds: Vec<String> = kinds.collect();
        let ours = "--selector app.kubernetes.io/managed-by=komandan";
        let list = home.kubectl(&format!("get {} --namespace {namespace} {ours}", kinds.join(",")));
        let items = list["items"].as_array().expect("objects");
        assert!(items.len() > 10, "what is there was looked at: {list}");
        let is_endless = |item: &&Value| {
            // The first two are the administrator's, and the last go with their Services without saying so.
            let goes_otherwise =
                ["LimitRange", "ResourceQuota", "Endpoints"].contains(&item["kind"].as_str().expect("a kind"));
            item["metadata"]["ownerReferences"].as_array().is_none_or(Vec::is_empty) && !goes_otherwise
        };
        let name = |item: &Value| format!("{} {}", text(&item["kind"]), text(&item["metadata"]["name"]));
        items.iter().filter(is_endless).map(name).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Writes the names of a pool into the repository, beside what is there.
fn name_them(deployed: &Deployed, size: usize, beside: &str) -> Vec<String> {
    let home = deployed.namespace.name();
    let names: Vec<String> = (0..size).map(|number| format!("{home}-{number}")).collect();
    deployed.repository.replace("clustergraph.yaml", beside, &format!("{beside}, pool: [{}]", names.join(", ")));
    deployed.repository.commit("a pool");
    names
}

/// Applies what is printed, as an administrator, and gives the account's kubeconfig.
fn grant(deployed: &Deployed) -> PathBuf {
    let printed = deployed.komandan("rbac --cluster pr").run().succeeds().stdout();
    assert!(!printed.contains("ClusterRole"), "{printed}");
    let file = deployed.file("rbac.yaml", &printed);
    // Of no namespace: each object says its own.
    let kubectl = ["--kubeconfig", deployed.namespace.kubeconfig(), "apply", "--filename"];
    let applied = Command::new("kubectl").args(kubectl).arg(file).output().expect("kubectl runs");
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    deployed.kubeconfig_of("komandan")
}

#[test]
fn with_rights_in_its_namespaces_and_the_home_alone_clusters_live_there_one_after_the_other() {
    let pool = Pool::new("pool", 2, "secrets_from: dev-secrets, quota: { pods: 30 }, warm: 30m", KEPT);
    let home = pool.clusters.home();
    pool.clusters.deployed.repository.append("api/service.yaml", "secrets: [KEY]\nfiles: { /etc/api.conf: api.conf }");
    pool.clusters.deployed.repository.write("api/api.conf", "key ${secrets.KEY}\n");
    pool.clusters.deployed.repository.commit("a secret");
    home.kubectl_does("create secret generic dev-secrets --from-literal=KEY=k");
    let before = pool.everything();

    let doctor = pool.komandan("doctor --cluster pr --output json").run();
    let checks = doctor.json()["checks"].as_array().expect("checks").clone();
    for name in ["rights", "pool"] {
        assert!(checks.iter().any(|check| check["name"] == name && check["state"] == "ok"), "{name}: {checks:?}");
    }
    let may = |line: &str| {
        let words = ["--kubeconfig", pool.kubeconfig.to_str().expect("a path")];
        let done = Command::new("kubectl").args(words).args(line.split_whitespace()).output();
        done.expect("kubectl runs").status.success()
    };
    for line in [
        "get namespaces",
        "get secrets --namespace kube-system",
        "create namespace another --dry-run=server",
        &format!("label namespace {} some=label --dry-run=server", pool.namespaces[0]),
        &format!("delete resourcequota komandan-quota --namespace {} --dry-run=server", pool.namespaces[0]),
        &format!(
            "create rolebinding mine --role=komandan --user=me --namespace {} --dry-run=server",
            pool.namespaces[0]
        ),
    ] {
        assert!(!may(line), "it may `{line}`");
    }
    let planned = pool.komandan("up --pr 7 --dry-run").run().succeeds().stdout();
    assert!(planned.contains("keeper/kept"), "{planned}");
    assert_eq!(pool.everything(), before, "nothing was made");

    let up = pool.result("up --pr 7");
    let namespace = text(&up["namespace"]);
    assert!(pool.namespaces.contains(&namespace), "{namespace}");
    pool.clusters.deployed.repository.append("www/service.yaml", "env: { LEVEL: high }");
    pool.clusters.deployed.repository.commit("another level");
    for line in [
        "up --pr 7",
        "revert --pr 7",
        "list",
        "status --pr 7",
        "history --pr 7",
        "extend pr-7 --ttl 2h",
        "sleep pr-7",
        "wake pr-7",
        "restart api --pr 7",
        "gc --pr 7",
        "gc --cluster pr",
        "up --pr 7",
    ] {
        let _ = pool.komandan(line).run().succeeds();
    }
    assert_eq!(pool.result("up --pr 7")["unchanged"], true, "what owns it is no change");
    assert_eq!(pool.result("up --pr 7")["namespace"], up["namespace"]);
    let mut endless = Vec::new();
    wait_until("all of it is there, the volumes of databases included", || {
        endless = pool.endless(&namespace);
        !endless.iter().any(|it| it.starts_with("PersistentVolumeClaim"))
    });
    assert_eq!(endless, ["Job komandan-end"], "all else has an end");

    // The second takes the other namespace, and the third is told who has what.
    let second = text(&pool.result("up --pr 8")["namespace"]);
    assert_ne!(second, namespace);
    for line in ["up --pr 9", "up --pr 9 --dry-run"] {
        let full = pool.komandan(line).run().ends_with(4).stderr();
        for words in
            ["no namespace of the pool of pr is free", "pr-7 of ", "pr-8 of ", " until ", "komandan rbac --cluster pr"]
        {
            assert!(full.contains(words), "{words:?} is not in {full}");
        }
    }

    // One whose end is held up by somebody is not taken, and whoever asks is told why.
    home.kubectl_does(&format!(
        "patch configmap komandan-head --namespace {second} --type merge --patch {{\"metadata\":{{\"finalizers\":[\"test.example/hold\"]}}}}"
    ));
    let down = pool.result("down --pr 8");
    assert_eq!((&down["namespaces"][0], &down["namespace_deleted"]), (&second.as_str().into(), &false.into()));
    wait_until("all else is gone", || {
        let told = pool.komandan("list").run().succeeds().stdout();
        told.contains("still there: 1 ConfigMap (held by test.example/hold)")
    });
    assert_eq!(pool.list().last().expect("it goes"), &("pr-8".to_owned(), second.clone(), "ending".to_owned()));
    let full = pool.komandan("up --pr 9").run().ends_with(4).stderr();
    assert!(full.contains("pr-8 has ended, still there: 1 ConfigMap"), "{full}");
    home.kubectl_does(&format!(
        "patch configmap komandan-head --namespace {second} --type merge --patch {{\"metadata\":{{\"finalizers\":null}}}}"
    ));
    let third = pool.result("up --pr 9");
    assert_eq!((&third["namespace"], &third["version"]), (&second.as_str().into(), &1.into()), "it begins anew");

    // The ends come by themselves, for all that was made.
    let _ = pool.komandan("sleep pr-9").run().succeeds();
    for name in ["pr-7", "pr-9"] {
        let _ = pool.result(&format!("extend {name} --ttl 3s"));
    }
    pool.empties(&before);
    assert_eq!(pool.list(), []);
    let none = pool.komandan("status --pr 7").run().ends_with(1).stderr();
    assert!(none.contains("there is no cluster pr-7"), "{none}");

    // What nothing would end is taken away when that is asked for.
    let labels = "app.kubernetes.io/managed-by=komandan app.kubernetes.io/part-of=pr-5";
    home.kubectl_does(&format!("create configmap astray --namespace {second}"));
    home.kubectl_does(&format!("label configmap astray --namespace {second} {labels}"));
    assert_eq!(pool.list(), [("pr-5".to_owned(), second.clone(), "ending".to_owned())]);
    for line in ["gc --cluster pr --dry-run", "gc --cluster pr"] {
        assert_eq!(pool.result(line)["removed"][0]["name"], second.as_str());
    }
    pool.empties(&before);
}

#[test]
fn of_those_who_begin_at_once_each_name_has_one_namespace_and_each_namespace_one_name() {
    let pool = Pool::new("crowd", 4, "", &[]);
    let before = pool.everything();
    let at_once = |lines: &[&str]| -> Vec<(Option<i32>, String)> {
        let children: Vec<_> = lines.iter().map(|line| pool.komandan(line).spawn()).collect();
        let outputs = children.into_iter().map(|child| child.wait_with_output().expect("it ends"));
        outputs.map(|it| (it.status.code(), String::from_utf8_lossy(&it.stderr).into_owned())).collect()
    };
    let ended = at_once(&["up --name one", "up --name two", "up --name three", "up --name one", "up --name two"]);
    // Whoever comes when another one is at work on the same is told so.
    assert!(ended.iter().all(|(code, _)| matches!(code, Some(0 | 5))), "{ended:?}");
    let listed = pool.list();
    let names: Vec<&str> = listed.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["one", "three", "two"]);
    let namespaces: BTreeSet<&String> = listed.iter().map(|(_, namespace, _)| namespace).collect();
    assert_eq!(namespaces.len(), 3, "{listed:?}");
    assert!(listed.iter().all(|(.., state)| state == "live"), "{listed:?}");

    // One place is left, and two want it.
    let ended = at_once(&["up --name four", "up --name five"]);
    let codes: BTreeSet<Option<i32>> = ended.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, [Some(0), Some(4)].into(), "{ended:?}");
    assert!(ended.iter().any(|(_, told)| told.contains("no namespace of the pool of pr is free")), "{ended:?}");
    // Who is killed with the last one has it still, and goes on; nobody else gets it.
    let _ = pool.komandan("down --name one --wait").run().succeeds();
    let died = pool.komandan("up --name six").env("KOMANDAN_FAULT", "pool-taken").run();
    assert_eq!(died.code(), None, "{}", died.stderr());
    assert!(pool.list().iter().any(|(name, _, state)| (name.as_str(), state.as_str()) == ("six", "beginning")));
    let _ = pool.komandan("up --name seven").run().ends_with(4);
    let six = pool.komandan("up --name six --output json").run().succeeds().json_lines();
    assert_eq!(six.last().expect("a result")["version"], 1);
    let _ =
        at_once(&["down --name six", "down --name two", "down --name three", "down --name four", "down --name five"]);
    pool.empties(&before);
}

#[test]
fn whoever_is_killed_at_any_step_leaves_a_namespace_that_is_free_again() {
    let pool = Pool::new("poolkill", 8, "", &[]);
    let before = pool.everything();
    let killed = |line: &str, number: u64| {
        let died = pool.komandan(line).env("KOMANDAN_FAULT", format!("write-{number}")).run();
        assert!(matches!(died.code(), None | Some(0)), "{line} at {number}: {}", died.stderr());
        died.code().is_none()
    };
    // Nobody comes back, and the deadline ends what is there.
    std::thread::scope(|scope| {
        for number in 1..=6 {
            let killed = &killed;
            scope.spawn(move || assert!(killed(&format!("up --name left-{number} --ttl 20s"), number)));
        }
    });
    pool.empties(&before);

    // Every step there is: the next `up` goes on from there, or `down` ends it. At most half of the pool is in use.
    let (next, is_over, wrong) = (AtomicU64::new(1), AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while is_over.load(Ordering::Relaxed) == 0 {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let name = format!("again-{number}");
                    if !killed(&format!("up --name {name}"), number) {
                        is_over.store(number, Ordering::Relaxed);
                    } else if number % 2 == 0 {
                        let up = pool.komandan(&format!("up --name {name} --output json")).run();
                        let serves = up.json_lines().pop().is_some_and(|it| it["version"] == 1);
                        if up.code() != Some(0) || !serves {
                            wrong.lock().expect("nobody panics").push(format!("{number}: {}", up.stderr()));
                        }
                    }
                    let down = pool.komandan(&format!("down --name {name} --wait")).run();
                    if down.code() != Some(0) {
                        wrong.lock().expect("nobody panics").push(format!("{number}: {}", down.stderr()));
                    }
                }
            });
        }
    });
    assert_eq!(wrong.into_inner().expect("nobody panics"), Vec::<String>::new());
    assert!(is_over.into_inner() > 15, "every write is a step");
    pool.empties(&before);
}

/// The namespaces of a pool; gone when dropped, whatever the test did.
struct Namespaces<'d>(&'d Deployed, Vec<String>);

impl Drop for Namespaces<'_> {
    fn drop(&mut self) {
        let names = self.1.join(" ");
        let _ = self.0.namespace.kubectl_can(&format!("delete namespace --ignore-not-found --wait=false {names}"));
    }
}

#[test]
fn a_database_goes_with_its_volume_and_the_next_cluster_of_the_namespace_has_a_new_one() {
    let hello = Deployed::of_example("hello", "volume");
    hello.repository.append("clustergraph.yaml", "clusters: { pr: { ttl: 1h } }");
    hello.repository.commit("clusters that end by themselves");
    let names = Namespaces(&hello, name_them(&hello, 1, "ttl: 1h"));
    let kubeconfig = grant(&hello);
    let namespace = &names.1[0];
    let printed = hello.namespace.kubectl(&format!("get namespace {namespace}"));
    assert_eq!(printed["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    let komandan = |line: &str| hello.komandan(line).env("KUBECONFIG", &kubeconfig).run().succeeds();
    let of = |kind: &str| {
        let list = hello.namespace.kubectl(&format!("get {kind} --namespace {namespace}"));
        list["items"].as_array().cloned().unwrap_or_default()
    };
    let uid = |item: &Value| text(&item["metadata"]["uid"]);

    let _ = komandan("up --pr 1");
    let first = of("persistentvolumeclaims");
    assert_eq!((first.len(), &first[0]["status"]["phase"]), (1, &"Bound".into()), "{first:?}");
    // Its data stays while it sleeps.
    let _ = komandan("sleep pr-1");
    let _ = komandan("wake pr-1");
    assert_eq!(of("persistentvolumeclaims").iter().map(uid).collect::<Vec<_>>(), [uid(&first[0])]);
    let _ = komandan("extend pr-1 --ttl 2s");
    wait_until("its volume is gone", || of("persistentvolumeclaims").is_empty());
    wait_until("its pods and passwords are gone", || of("pods").is_empty() && of("secrets").is_empty());

    let _ = komandan("up --pr 2");
    let second = of("persistentvolumeclaims");
    assert!(second.len() == 1 && uid(&second[0]) != uid(&first[0]), "{second:?}");
    let _ = komandan("down --pr 2 --wait");
    assert!(of("persistentvolumeclaims").is_empty() && of("statefulsets").is_empty());
}
