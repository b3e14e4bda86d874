//! A namespace of a real Kubernetes, for one test.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// A namespace with a name of its own; gone when dropped, whatever the test did.
pub struct Namespace {
    name: String,
    kubeconfig: String,
}

impl Namespace {
    /// A name that no other test has. Nothing is made: that is the program's affair.
    #[must_use]
    pub fn new(about: &str) -> Self {
        let kubeconfig = std::env::var("KOMANDAN_TEST_KUBECONFIG")
            .expect("KOMANDAN_TEST_KUBECONFIG names a cluster to test on: `make machine-up` makes one, tests/machine/env.sh prints its name");
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_nanos();
        let name = format!("test-{about}-{:x}-{:x}", std::process::id(), nanos % 0xffff_ffff);
        Self { name, kubeconfig }
    }

    /// A namespace whose pods only say that they run, and at once: for what is about the API, in any number. Their node
    /// is one of KWOK's (tests/cluster/kwok.yaml).
    #[must_use]
    pub fn without_processes(about: &str) -> Self {
        let namespace = Self::new(about);
        assert!(
            namespace.kubectl_can("get node kwok-0"),
            "this needs the cluster of tests/cluster: it has a node of KWOK's"
        );
        let annotations = json!({
            "scheduler.alpha.kubernetes.io/node-selector": "type=kwok",
            "scheduler.alpha.kubernetes.io/defaultTolerations":
                r#"[{"key": "kwok.x-k8s.io/node", "operator": "Exists", "effect": "NoSchedule"}]"#,
        });
        let made = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace.name, "annotations": annotations },
        });
        namespace.kubectl_takes("create --filename -", &made.to_string());
        namespace
    }

    /// Tells kubectl to do something with what it reads.
    pub fn kubectl_takes(&self, line: &str, input: &str) {
        let mut command = self.command(line);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("kubectl runs");
        child.stdin.take().expect("its stdin").write_all(input.as_bytes()).expect("it reads");
        assert!(child.wait().expect("kubectl ends").success(), "kubectl {line}");
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that says where the cluster is.
    #[must_use]
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// Asks kubectl for JSON of this namespace; `Null` when there is none of it.
    #[must_use]
    pub fn kubectl(&self, line: &str) -> Value {
        let output = self.command(line).args(["--output", "json"]).output().expect("kubectl runs");
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// Tells kubectl to do something to this namespace.
    pub fn kubectl_does(&self, line: &str) {
        let output = self.command(line).output().expect("kubectl runs");
        assert!(output.status.success(), "kubectl {line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Has kubectl do something by an ApplySet (KEP-3659): whether it did, and what it said.
    #[must_use]
    pub fn kubectl_applyset(&self, parent: &str, file: &Path) -> (bool, String) {
        let mut command = self.command(&format!("apply --prune --applyset={parent} --filename"));
        let output = command.arg(file).env("KUBECTL_APPLYSET", "true").output().expect("kubectl runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Makes the namespace itself, where no program of ours does.
    pub fn kubectl_makes_it(&self) {
        self.kubectl_does(&format!("create namespace {}", self.name));
    }

    /// Starts kubectl with these words and goes on.
    #[must_use]
    pub fn spawn(&self, words: &[&str]) -> std::process::Child {
        let null = std::process::Stdio::null;
        self.command("").args(words).stdout(null()).stderr(null()).spawn().expect("kubectl runs")
    }

    /// Whether kubectl can do something in this namespace.
    #[must_use]
    pub fn kubectl_can(&self, line: &str) -> bool {
        self.command(line).output().expect("kubectl runs").status.success()
    }

    /// The names of everything of a kind.
    #[must_use]
    pub fn names(&self, kind: &str) -> Vec<String> {
        let list = self.kubectl(&format!("get {kind}"));
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| item["metadata"]["name"].as_str().map(str::to_owned)).collect()
    }

    /// Every kind of object that a namespace can hold.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        self.resources("--namespaced")
    }

    /// Every kind of object that is in no namespace.
    #[must_use]
    pub fn kinds_of_all(&self) -> Vec<String> {
        self.resources("--namespaced=false")
    }

    fn resources(&self, which: &str) -> Vec<String> {
        let line = format!("api-resources {which} --verbs=list --output name");
        let output = self.command(&line).output().expect("kubectl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    /// What a value of a Secret says.
    #[must_use]
    pub fn decode(value: &str) -> String {
        use base64::Engine;
        let bytes = base64::engine::general_purpose::STANDARD.decode(value).expect("base64");
        String::from_utf8(bytes).expect("a text")
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("kubectl");
        command.args(["--kubeconfig", &self.kubeconfig, "--namespace", &self.name]).args(line.split_whitespace());
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its end takes its time, and nobody needs to wait for it.
        let _ = self.command("delete namespace --ignore-not-found --wait=false").arg(&self.name).output();
    }
}
