//! Everything that a service can say of itself, on a real Kubernetes: secrets, files, volumes, probes, a process that must be
//! alone, a task, a schedule, scaling by load; there, back, and when it fails.

use std::ops::Deref;
use std::time::{Duration, Instant};

use clustergraph_tests::local::wait_until;
use clustergraph_tests::{Deployed, Namespace, Repository, Session, get};
use serde_json::Value;

const CODE: &str = "c0de-that-opens-the-door";

struct Shop(Deployed);

impl Deref for Shop {
    type Target = Deployed;

    fn deref(&self) -> &Deployed {
        &self.0
    }
}

impl Shop {
    fn new(about: &str) -> Self {
        let namespace = Namespace::new(about);
        let name = namespace.name().to_owned();
        namespace.kubectl_does(&format!("create namespace {name}"));
        namespace.kubectl_does(&format!("label namespace {name} pod-security.kubernetes.io/enforce=restricted"));
        Self(Deployed::new(Repository::of_fixture("workloads"), namespace))
    }

    fn with_code(about: &str) -> Self {
        let shop = Self::new(about);
        shop.namespace.kubectl_does(&format!("create secret generic page-secrets --from-literal=CODE={CODE}"));
        shop
    }

    /// What the page shows, once its address answers.
    fn page(&self) -> Value {
        let answer = get(&self.entry("page"));
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).expect("JSON")
    }

    /// What the workers told: who begins, and who ends by which signal.
    fn told(&self) -> Vec<String> {
        let told = self.page()["told"].as_array().expect("lines").clone();
        told.iter().map(|line| line.as_str().expect("a line").to_owned()).collect()
    }

    fn workload(&self, name: &str) -> String {
        self.status()["nodes"][name]["workload"].as_str().expect("a workload").to_owned()
    }

    fn id(&self, name: &str) -> String {
        self.workload(name).rsplit_once('-').expect("an id").1.to_owned()
    }

    /// Whether a pod of a service reaches an address.
    fn reaches(&self, from: &str, host: &str, port: u16) -> bool {
        let program = format!("__import__(\"socket\").create_connection((\"{host}\",{port}),3)");
        self.namespace.kubectl_can(&format!("exec deployment/{} -- python -c {program}", self.workload(from)))
    }

    /// The address of a pod that is none of the cluster's.
    fn outside(&self) -> String {
        let pods = self.namespace.kubectl("get pods --namespace kube-system --selector k8s-app=kube-dns");
        pods["items"][0]["status"]["podIP"].as_str().expect("an address").to_owned()
    }

    /// What the schedule runs.
    fn template(&self) -> Value {
        self.namespace.kubectl("get cronjob page-tick")["spec"]["jobTemplate"]["spec"]["template"].clone()
    }

    fn change_code(&self, code: &str) {
        self.namespace.kubectl_does("delete secret page-secrets");
        self.namespace.kubectl_does(&format!("create secret generic page-secrets --from-literal=CODE={code}"));
    }

    fn change_worker(&self, words: &str) {
        self.repository.append("page/worker.py", &format!("# {words}"));
        self.repository.commit(words);
    }
}

#[test]
fn secrets_that_are_missing_and_images_that_would_be_root_are_told_before_anything_is_done() {
    let shop = Shop::new("missing");
    let mend = format!("komandan secret set --cluster production --namespace {} page CODE", shop.namespace.name());
    for command in ["plan", "deploy"] {
        let told = shop.komandan(command).run().ends_with(4).stderr();
        for words in ["`CODE` of page has no value", "page/service.yaml:7:11", mend.as_str()] {
            assert!(told.contains(words), "{words:?} is not in\n{told}");
        }
        assert!(!told.contains("`EXTRA` of"), "what is optional is not missing:\n{told}");
    }
    shop.namespace.kubectl_does("create secret generic page-secrets --from-literal=CODE=1");
    shop.repository.write("root/service.yaml", "name: root\nimage: python:3.11-slim\nrun: [python, -m, http.server]\n");
    shop.repository.commit("one that would be root");
    let told = shop.komandan("plan").run().ends_with(3).stderr();
    for words in ["the image python:3.11-slim is not pinned", "root/service.yaml:2:1", "`ssi lock`"] {
        assert!(told.contains(words), "{words:?} is not in\n{told}");
    }
    let _ = Session::of(shop.repository.path()).ssi("lock").run().succeeds();
    shop.repository.commit("pinned");
    let told = shop.komandan("plan").run().ends_with(3).stderr();
    assert!(told.contains("would run as root") && told.contains("root/service.yaml:2:"), "{told}");
    shop.repository.append("root/service.yaml", "security: baseline");
    shop.repository.commit("one that may be root");
    let _ = shop.komandan("plan").run().succeeds();
    assert!(shop.namespace.names("deployments,jobs,configmaps").iter().all(|name| name == "kube-root-ca.crt"));
}

#[test]
fn all_that_a_service_says_of_itself_is_made_real_handed_over_and_brought_back() {
    let shop = Shop::with_code("workloads");
    let deployed = shop.komandan("deploy").run().succeeds();
    assert!(!format!("{}{}", deployed.stdout(), deployed.stderr()).contains(CODE), "a secret is told");
    let page = shop.page();
    assert_eq!(page["greeting"], format!("code {CODE}!"));
    assert_eq!(page["conf"], format!("store = http://{}:8000, costs 5$ and $(NOTHING)\n", shop.workload("store")));
    assert_eq!((&page["extra"], &page["hint"], &page["user"]), (&Value::Null, &Value::Null, &10001.into()));
    let first = shop.id("page.worker");
    assert_eq!(shop.told(), [format!("begins {first}")]);
    let template = shop.template();
    let (store, outside) = (shop.workload("store"), shop.outside());
    assert!(shop.reaches("page", &store, 8000), "page calls store");
    assert!(!shop.reaches("guest", &store, 8000), "guest does not");
    assert!(shop.reaches("guest", &outside, 8181), "guest declares that it calls it");
    assert!(!shop.reaches("page", &outside, 8181), "nobody else is let out");

    // The task ran, and that is known when its Job is gone.
    shop.namespace.kubectl_does(&format!("delete job {}", shop.workload("fill")));
    let again = shop.komandan("deploy").run().succeeds().stdout();
    assert!(again.starts_with("unchanged"), "{again}");

    // A secret that changed restarts who uses it, and nobody else; whoever asks when that is done is answered by the new one.
    shop.change_code("another");
    let plan = shop.komandan("plan").run().succeeds().stdout();
    assert!(plan.contains("its secrets changed") && !plan.contains("store") && !plan.contains("another"), "{plan}");
    let _ = shop.komandan("deploy").run().succeeds();
    assert_eq!(shop.page()["greeting"], "code another!");
    for code in ["third", "fourth"] {
        shop.change_code(code);
        let _ = shop.komandan("deploy").run().succeeds();
        assert_eq!(shop.page()["greeting"], format!("code {code}!"));
    }
    // The worker changed in place: the new one may begin before the old one has told its end.
    let began = Instant::now();
    while shop.told().len() < 7 {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", shop.told());
        std::thread::sleep(Duration::from_millis(200));
    }
    let restarted = shop.told();
    let again = shop.komandan("deploy").run().succeeds().stdout();
    assert!(again.starts_with("unchanged"), "{again}");

    // The load needs two: a new version begins with as many. The worker is handed over, and never two of it are there.
    shop.namespace.kubectl_does(&format!("scale deployment {} --replicas=2", shop.workload("page")));
    shop.change_worker("the second");
    let plan = shop.komandan("plan").run().succeeds().stdout();
    assert!(plan.contains("start") && plan.contains("takes over from page-worker-"), "{plan}");
    let _ = shop.komandan("deploy").run().succeeds();
    let second = shop.id("page.worker");
    let handed = [&restarted[..], &[format!("SIGINT {first}"), format!("begins {second}")]].concat();
    assert_eq!(shop.told(), handed);
    let scaled = shop.namespace.kubectl(&format!("get deployment {}", shop.workload("page")));
    assert_eq!(scaled["spec"]["replicas"], 2);
    assert_ne!(shop.template(), template, "the schedule runs the second version");

    // Back: the schedule is what it was, and the first worker is alone again.
    let _ = shop.komandan("revert").run().succeeds();
    assert_eq!(shop.template(), template);
    let back = [&handed[..], &[format!("SIGINT {second}"), format!("begins {first}")]].concat();
    assert_eq!(shop.told(), back);

    // A worker that fails switches all of it back.
    shop.repository.write("page/worker.py", "raise SystemExit('no work for me')\n");
    shop.repository.commit("a worker that fails");
    let before = shop.status();
    let failed = shop.komandan("deploy").run().ends_with(4).stderr();
    assert!(failed.contains("no work for me"), "{failed}");
    assert_eq!((&shop.status()["version"], &shop.status()["intent"]), (&before["version"], &Value::Null));
    assert_eq!(shop.template(), template);
    let restored = [&back[..], &[format!("SIGINT {first}"), format!("begins {first}")]].concat();
    assert_eq!(shop.told(), restored);

    // What has a volume is handed over, and what it holds is there; what waits for it starts after it.
    shop.repository.git(&["checkout", "--quiet", "HEAD~1", "--", "page"]);
    shop.repository.append("store/store.py", "# the second");
    shop.repository.commit("another store");
    let _ = shop.komandan("deploy").run().succeeds();
    let third = shop.id("page.worker");
    let moved = [&restored[..], &[format!("SIGINT {first}"), format!("begins {third}")]].concat();
    assert_eq!(shop.told(), moved);

    let _ = shop.komandan("down").run().succeeds();
    for kind in ["deployments", "jobs", "cronjobs", "services", "pods"] {
        wait_until_gone(&shop.namespace, kind);
    }
    assert_eq!(shop.namespace.names("persistentvolumeclaims"), ["volume.store.told"], "the data stays");
    let _ = shop.komandan("down --delete-data").run().succeeds();
    for kind in ["persistentvolumeclaims", "horizontalpodautoscalers"] {
        wait_until_gone(&shop.namespace, kind);
    }
    assert_eq!(shop.namespace.names("configmaps"), ["kube-root-ca.crt"]);
    assert_eq!(shop.namespace.names("secrets"), ["page-secrets"], "what a person made stays");

    // The API server takes what is rendered.
    let rendered = shop.komandan("render").run().succeeds().stdout();
    shop.repository.write("rendered.yaml", &rendered);
    let file = shop.repository.path().join("rendered.yaml");
    shop.namespace.kubectl_does(&format!("apply --dry-run=server --filename {}", file.display()));
}

#[test]
fn a_handover_that_dies_at_any_step_is_ended_by_the_next_deploy() {
    let shop = Shop::with_code("handover");
    let _ = shop.komandan("deploy").env("KOMANDAN_FAULT", "task-ended").run();
    let _ = shop.komandan("deploy --wait").run().succeeds();
    for step in ["intent-written", "ended", "started", "switched"] {
        shop.change_worker(&format!("dies when {step}"));
        let wanted = shop.repository.git(&["rev-parse", "HEAD"]);
        let died = shop.komandan("deploy").env("KOMANDAN_FAULT", step).run();
        assert!(
            died.code().is_none(),
            "it was to die when {step}, and ended with {:?}: {}",
            died.code(),
            died.stderr()
        );
        let _ = shop.komandan("deploy --wait").run().succeeds();
        assert_eq!((&shop.status()["commit"], &shop.status()["intent"]), (&wanted.as_str().into(), &Value::Null));
        // Who was started by a recovery, which knows no secrets, is exchanged for the same version once more.
        let worker = shop.id("page.worker");
        wait_until(&format!("it alone runs after it died when {step}"), || running(&shop.told()) == [worker.clone()]);
    }
    // Of one that cannot be finished the next command undoes what is left of it.
    let (version, worker) = (shop.status()["version"].clone(), shop.id("page.worker"));
    shop.repository.write("page/worker.py", "raise SystemExit('no work for me')\n");
    shop.repository.commit("a worker that fails");
    let died = shop.komandan("deploy").env("KOMANDAN_FAULT", "switch-failed").run();
    assert!(died.code().is_none(), "it was to die, and ended with {:?}: {}", died.code(), died.stderr());
    let _ = shop.komandan("deploy --wait HEAD~1").run().succeeds();
    assert_eq!((&shop.status()["version"], &shop.status()["intent"]), (&version, &Value::Null));
    wait_until("the version before runs", || running(&shop.told()) == [worker.clone()]);
}

/// The versions whose workers run, by what they told; fails where one began while another still ran.
fn running(told: &[String]) -> Vec<String> {
    let mut running: Vec<String> = Vec::new();
    for line in told {
        if let Some(who) = line.strip_prefix("begins ") {
            assert!(running.iter().all(|other| other == who), "two at once: {told:?}");
            running.push(who.to_owned());
        } else if let Some(who) = line.strip_prefix("SIGINT ") {
            let at = running.iter().position(|other| other == who).unwrap_or_else(|| panic!("nobody ends: {told:?}"));
            let _ = running.remove(at);
        }
    }
    running
}

fn wait_until_gone(namespace: &Namespace, kind: &str) {
    let began = Instant::now();
    while !namespace.names(kind).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "{kind} are left: {:?}", namespace.names(kind));
        std::thread::sleep(Duration::from_millis(200));
    }
}
