//! The shop on a real Kubernetes: deployed from its commit, bought from by the visitor who buys on a laptop, and taken back.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clustergraph_tests::local::wait_until;
use clustergraph_tests::shop::{Place, a_purchase};
use clustergraph_tests::{Namespace, Program, Repository, Session, get};
use serde_json::{Value, json};

/// Ten images are built, some of them compiled.
const FIRST_DEPLOY: Duration = Duration::from_secs(900);

/// A node of two processors has room for one shop.
fn room() -> MutexGuard<'static, ()> {
    static ROOM: Mutex<()> = Mutex::new(());
    ROOM.lock().unwrap_or_else(PoisonError::into_inner)
}

struct There {
    repository: Arc<Repository>,
    namespace: Namespace,
    /// Of a cluster that ends by itself: the words that name it, and the namespace that it has.
    own: Option<(&'static str, String)>,
    /// Ports of this machine that lead into the cluster; they end with the test.
    ways: Mutex<Vec<Child>>,
}

impl There {
    fn new(about: &str) -> Self {
        Self::of(Arc::new(Repository::of_shop()), about)
    }

    /// The same of a repository that is there.
    fn of(repository: Arc<Repository>, about: &str) -> Self {
        let namespace = Namespace::new(about);
        Self { repository, namespace, own: None, ways: Mutex::new(Vec::new()) }
    }

    fn komandan(&self, line: &str) -> Program {
        let named = self.own.as_ref().map_or("", |(named, _)| named);
        Program::new("komandan", self.repository.path())
            .env("KUBECONFIG", self.namespace.kubeconfig())
            .args(&format!("--namespace {} {named} {line}", self.namespace.name()))
    }

    /// Where its pods are.
    fn at(&self) -> &str {
        self.own.as_ref().map_or(self.namespace.name(), |(_, own)| own)
    }

    /// What there is of a kind.
    fn get(&self, what: &str) -> Value {
        self.namespace.kubectl(&format!("get {what} --namespace {}", self.at()))
    }

    /// Runs a command in a pod like those of a job, and gives what it printed.
    fn run_like(&self, job: &str, command: Option<&[&str]>) -> String {
        let cron_job = self.get(&format!("cronjob {}", job.replace('.', "-")));
        let mut spec = cron_job["spec"]["jobTemplate"]["spec"].clone();
        if let Some(command) = command {
            spec["template"]["spec"]["containers"][0]["command"] = json!(command);
        }
        let labels = spec["template"]["metadata"]["labels"].clone();
        let made = self.create(&json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "generateName": "by-hand-", "labels": labels }, "spec": spec,
        }));
        let state = || self.get(&format!("job {made}"))["status"].clone();
        wait_until("the job has ended", || state()["succeeded"] == 1 || state()["failed"].is_number());
        let printed = self.kubectl(&["logs", &format!("job/{made}")], None);
        assert_eq!(state()["succeeded"], 1, "{printed}");
        printed
    }

    /// Makes an object, and gives its name.
    fn create(&self, object: &Value) -> String {
        let made = self.kubectl(&["create", "--filename", "-", "--output", "json"], Some(&object.to_string()));
        let made: Value = serde_json::from_str(&made).expect("an object");
        made["metadata"]["name"].as_str().expect("a name").to_owned()
    }

    fn kubectl(&self, words: &[&str], input: Option<&str>) -> String {
        let mut child = Command::new("kubectl")
            .args(["--kubeconfig", self.namespace.kubeconfig(), "--namespace", self.at()])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl runs");
        let mut stdin = child.stdin.take().expect("its input");
        std::io::Write::write_all(&mut stdin, input.unwrap_or_default().as_bytes()).expect("it reads");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "kubectl {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }
}

impl Drop for There {
    fn drop(&mut self) {
        for way in self.ways.get_mut().into_iter().flatten() {
            let _ = way.kill();
            let _ = way.wait();
        }
    }
}

impl Place for There {
    fn address(&self, service: &str) -> String {
        let status = self.komandan("status --output json").run().succeeds().json();
        if let Some(address) = status["entries"][service].as_str() {
            return address.to_owned();
        }
        let mut child = self.komandan(&format!("connect {service}")).spawn();
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let found = lines.map_while(Result::ok).find(|line| line.starts_with("http://")).expect("an address");
        self.ways.lock().expect("no test panicked there").push(child);
        found
    }

    fn run(&self, service: &str, command: &[&str]) -> String {
        if service.contains('.') {
            return self.run_like(service, Some(command));
        }
        let run = command.iter().fold(self.komandan(&format!("exec {service} --")), |run, word| run.word(word));
        run.run().succeeds().stdout()
    }

    fn run_job(&self, job: &str) {
        let _ = self.run_like(job, None);
    }
}

#[test]
fn a_purchase_from_the_shop_of_a_pull_request() {
    let _room = room();
    let mut there = There::new("pull-request");
    let settings = "{ ttl: 1h, seed: true, secrets_from: dev-secrets, quota: { pods: 80 } }";
    there.repository.append("clustergraph.yaml", &format!("clusters: {{ pr: {settings} }}"));
    there.repository.commit("clusters of pull requests");
    let refused = there.komandan("up --pr 7").within(FIRST_DEPLOY).run().ends_with(4).stderr();
    assert!(refused.contains("PROCESSOR_KEY") && refused.contains("STAFF_CODE"), "{refused}");
    there.namespace.kubectl_makes_it();
    there.namespace.kubectl_does(
        "create secret generic dev-secrets --from-literal=PROCESSOR_KEY=of-this-test --from-literal=STAFF_CODE=of-this-test",
    );
    let up = there.komandan("up --pr 7 --output json").within(FIRST_DEPLOY).run().succeeds();
    let up = up.json_lines().pop().expect("a result");
    eprintln!("{} ms: {}", up["elapsed_ms"], up["stages_ms"]);
    there.own = Some(("--pr 7", up["namespace"].as_str().expect("a namespace").to_owned()));

    // The goods are on its shelves already.
    let address = there.address("www");
    wait_until("the shop answers", || get(&address).status == 200);
    a_purchase(&there);

    // A second commit, of which only the recommender and who calls it are others; its data is what it was.
    let servers = |there: &There| there.get("statefulsets")["items"].as_array().map(Vec::len);
    let before = servers(&there);
    there.repository.replace("services/recommender/service.yaml", "env: {", "env: { MIX: another,");
    there.repository.commit("another mix");
    let second = there.komandan("up --output json").within(FIRST_DEPLOY).run().succeeds();
    let second = second.json_lines().pop().expect("a result");
    assert_eq!((&second["version"], servers(&there)), (&2.into(), before));
    wait_until("the second version answers", || get(&there.address("www")).status == 200);

    let _ = there.komandan("extend --ttl 2h").run().succeeds();
    let _ = there.komandan("extend --ttl 1s").run().succeeds();
    let namespace = there.at().to_owned();
    let is_gone = || {
        let found = there.namespace.kubectl(&format!("get namespace {namespace}"));
        found.is_null() || !found["metadata"]["deletionTimestamp"].is_null()
    };
    wait_until("it ends by itself", is_gone);
}

#[test]
fn a_purchase_on_kubernetes_and_one_through_an_overlay_of_the_recommender_that_leaves_the_shop_as_it_was() {
    let _room = room();
    let base = There::new("shop");
    let repository = Arc::clone(&base.repository);
    // There is room for a shop and most of another one where each service has one instance.
    for name in std::fs::read_dir(repository.path().join("services")).expect("services").flatten() {
        let path = name.path().join("service.yaml");
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        std::fs::write(path, text.replace("replicas: 2", "replicas: 1").replace("min: 2", "min: 1")).expect("written");
    }
    let production = format!("{{ namespace: {}, lends: true }}", base.namespace.name());
    let pr = "{ ttl: 1h, seed: true, secrets_from: dev-secrets }";
    repository.append("clustergraph.yaml", &format!("clusters: {{ production: {production}, pr: {pr} }}"));
    repository.commit("it lends");
    // What has no value is told with its place before anything is made.
    let refused = base.komandan("deploy").within(FIRST_DEPLOY).run().ends_with(4).stderr();
    assert!(refused.contains("PROCESSOR_KEY") && refused.contains("STAFF_CODE"), "{refused}");
    for (service, name) in [("payment", "PROCESSOR_KEY"), ("www", "STAFF_CODE")] {
        let _ = base.komandan(&format!("secret set {service} {name}")).input("a-value-of-this-test").run().succeeds();
    }
    let _ = base.komandan("deploy").within(FIRST_DEPLOY).run().succeeds();
    every_service_finds_the_variables_that_it_finds_on_a_laptop(&base);
    // Seeds do not run on a permanent cluster: whoever opens the shop puts the goods on its shelves.
    for service in ["catalog", "etl.load"] {
        let _ = base.run(service, &["python", "seed.py"]);
    }
    let address = base.address("www");
    wait_until("the shop answers", || get(&address).status == 200);
    a_purchase(&base);

    // Every row of the databases that a purchase writes.
    let rows = || {
        let dump = ["exec", "db-postgres-15-0", "--", "pg_dumpall", "--host=127.0.0.1", "--username=postgres"];
        let text = base.kubectl(&[&dump[..], &["--data-only", "--inserts"]].concat(), None);
        text.lines().filter(|line| line.starts_with("INSERT")).count()
    };
    let before = rows();
    let mut there = There::of(Arc::clone(&repository), "borrows");
    repository.replace("services/recommender/service.yaml", "env: {", "env: { MIX: another,");
    repository.commit("another mix");
    there.namespace.kubectl_makes_it();
    there.namespace.kubectl_does(
        "create secret generic dev-secrets --from-literal=PROCESSOR_KEY=of-this-test --from-literal=STAFF_CODE=of-this-test",
    );
    let up = there.komandan("up --pr 7 --from production --output json").within(FIRST_DEPLOY).run().succeeds();
    let up = up.json_lines().pop().expect("a result");
    eprintln!("{} ms: {}", up["elapsed_ms"], up["stages_ms"]);
    let borrowed: Vec<&String> = up["overlay"]["borrowed"].as_object().expect("what is borrowed").keys().collect();
    assert_eq!(borrowed, ["catalog", "flags"], "{up}");
    there.own = Some(("--pr 7", up["namespace"].as_str().expect("a namespace").to_owned()));
    let address = there.address("www");
    wait_until("the overlay answers", || get(&address).status == 200);
    a_purchase(&there);
    base.run_job("etl.load");
    assert_eq!(rows(), before, "nobody bought anything there");
    let _ = there.komandan("down").run().succeeds();

    let _ = base.komandan("down --delete-data").within(FIRST_DEPLOY).run().succeeds();
    // A volume goes when its last pod is known to be gone.
    wait_until("nothing is left", || base.namespace.names("persistentvolumeclaims,deployments,cronjobs").is_empty());
}

fn every_service_finds_the_variables_that_it_finds_on_a_laptop(there: &There) {
    let session = Session::of(there.repository.path());
    let graph = session.ssi("graph --output json").run().succeeds().json();
    let pods = there.get("pods --selector clustergraph.dev/component=service");
    let mut compared = 0;
    for service in graph["services"].as_array().expect("services") {
        let name = service["name"].as_str().expect("a name");
        let is_of_it = |pod: &&Value| pod["metadata"]["labels"]["app.kubernetes.io/name"] == name;
        let Some(pod) = pods["items"].as_array().and_then(|pods| pods.iter().find(is_of_it)) else { continue };
        let env = pod["spec"]["containers"][0]["env"].as_array().expect("an environment").clone();
        let names = env.iter().filter_map(|variable| variable["name"].as_str());
        // What only carries a value to another variable is nobody's.
        let there: BTreeSet<&str> = names.filter(|name| !name.starts_with("CLUSTERGRAPH_")).collect();
        let here = session.ssi(&format!("env {name} --for container --output json")).run().succeeds().json();
        // An optional dependency is wired where it runs: all of them do there, and nothing runs here yet.
        let edges = service["dependencies"].as_array().expect("dependencies").iter();
        let optional = edges.filter(|edge| edge["optional"] == true);
        let prefixes: Vec<String> =
            optional.map(|edge| format!("{}_", edge["as"].as_str().expect("a name").to_uppercase())).collect();
        let is_certain = |name: &&str| !prefixes.iter().any(|prefix| name.starts_with(prefix));
        let here = here["variables"].as_object().expect("variables").keys().map(String::as_str);
        let (there, here): (BTreeSet<&str>, BTreeSet<&str>) =
            (there.into_iter().filter(is_certain).collect(), here.filter(is_certain).collect());
        assert_eq!(there, here, "{name}");
        compared += 1;
    }
    assert!(compared >= 8, "{compared} services were compared");
}
