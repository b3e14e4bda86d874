//! A repository's cluster on a real Kubernetes, as the tests of `komandan` make it, look at it and change it.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::local::wait_until;
use crate::{EveryImage, Namespace, Program, Repository, Session};

/// A repository, and the namespace that it is deployed to.
pub struct Deployed {
    /// The repository; others may deploy it, too.
    pub repository: Arc<Repository>,
    /// The namespace.
    pub namespace: Namespace,
    /// Files beside the repository; gone when dropped.
    beside: TempDir,
    /// Where images of public registries are, when not where the machine says.
    mirror: Option<String>,
}

impl Deployed {
    /// A repository and a namespace; nothing is deployed yet.
    #[must_use]
    pub fn new(repository: impl Into<Arc<Repository>>, namespace: Namespace) -> Self {
        let beside = TempDir::with_prefix("clustergraph-beside-").expect("a temporary folder");
        Self { repository: repository.into(), namespace, beside, mirror: None }
    }

    /// Takes images of public registries from here.
    #[must_use]
    pub fn with_images(mut self, images: &EveryImage) -> Self {
        self.mirror = Some(images.address().to_string());
        self
    }

    /// A copy of an example, and a namespace whose name says what for.
    #[must_use]
    pub fn of_example(name: &str, about: &str) -> Self {
        Self::new(Repository::of_example(name), Namespace::new(about))
    }

    /// A repository that is only there for tests, its images pinned, and a namespace whose name says what for.
    #[must_use]
    pub fn of_fixture(name: &str, about: &str) -> Self {
        let repository = Repository::of_fixture(name);
        // Only pinned images run on a cluster.
        let _ = Session::of(repository.path()).ssi("lock").run().succeeds();
        repository.commit("pins");
        Self::new(repository, Namespace::new(about))
    }

    /// A command.
    #[must_use]
    pub fn komandan(&self, line: &str) -> Program {
        self.komandan_in(self.repository.path(), line)
    }

    /// A command of somebody who is in another folder.
    #[must_use]
    pub fn komandan_in(&self, folder: &Path, line: &str) -> Program {
        let program = Program::new("komandan", folder).env("KUBECONFIG", self.namespace.kubeconfig());
        let program = match &self.mirror {
            Some(mirror) => program.env("CLUSTERGRAPH_MIRROR", mirror),
            None => program,
        };
        program.args(&format!("--namespace {} {line}", self.namespace.name()))
    }

    /// The folder beside the repository.
    #[must_use]
    pub fn beside(&self) -> &Path {
        self.beside.path()
    }

    /// A file beside the repository.
    #[must_use]
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.beside.path().join(name);
        std::fs::write(&path, text).expect("the file is written");
        path
    }

    /// A kubeconfig with the token of a ServiceAccount of the namespace.
    #[must_use]
    pub fn kubeconfig_of(&self, account: &str) -> PathBuf {
        let mut config = self.namespace.kubectl("config view --raw --flatten");
        let token = self.namespace.kubectl(&format!("create token {account}"))["status"]["token"].clone();
        assert!(token.is_string(), "a token");
        for user in config["users"].as_array_mut().expect("users") {
            user["user"] = serde_json::json!({ "token": token });
        }
        self.file("kubeconfig", &config.to_string())
    }

    /// What a command says in one document.
    #[must_use]
    pub fn json(&self, line: &str) -> Value {
        self.komandan(&format!("{line} --output json")).run().succeeds().json()
    }

    /// The last document of a command that tells its steps.
    #[must_use]
    pub fn result(&self, line: &str) -> Value {
        let run = self.komandan(&format!("{line} --output json")).run().succeeds();
        run.json_lines().pop().expect("a result")
    }

    /// What serves.
    #[must_use]
    pub fn status(&self) -> Value {
        self.json("status")
    }

    /// Which versions there are.
    #[must_use]
    pub fn history(&self) -> Value {
        self.json("history")
    }

    /// Where an entry is, once it answers: a node's proxy learns of a new Service a moment after the API server. What asks
    /// too early is never answered: each try is a new connection.
    #[must_use]
    pub fn entry(&self, name: &str) -> String {
        let page = self.status()["entries"][name].as_str().expect("the entry's address").to_owned();
        let address: SocketAddr = page.trim_start_matches("http://").trim_end_matches('/').parse().expect("an address");
        wait_until("the entry answers", || TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok());
        page
    }

    /// The closure of every version record, each as the sorted names of its workloads joined by blanks.
    #[must_use]
    pub fn closures(&self) -> BTreeSet<String> {
        let history = self.history();
        let versions = history["versions"].as_array().expect("versions");
        versions.iter().map(|version| Vec::from_iter(workloads(version)).join(" ")).collect()
    }

    /// The workloads of the version that serves and of those that are kept warm.
    #[must_use]
    pub fn kept(&self) -> BTreeSet<String> {
        let history = self.history();
        let versions = history["versions"].as_array().expect("versions");
        versions.iter().filter(|it| it["state"] == "current" || it["state"] == "warm").flat_map(workloads).collect()
    }

    /// The uids of the pods of a service that are not about to go.
    #[must_use]
    pub fn pods(&self, service: &str) -> BTreeSet<String> {
        let pods = self.namespace.kubectl(&format!("get pods --selector app.kubernetes.io/name={service}"));
        let pods = pods["items"].as_array().cloned().unwrap_or_default();
        let live = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        live.map(|pod| pod["metadata"]["uid"].as_str().expect("a uid").to_owned()).collect()
    }

    /// Changes the example's api, and so the whole page's version, and commits it.
    pub fn edit_api(&self, words: &str) {
        self.repository.append("services/api/app.py", &format!("# {words}"));
        self.repository.commit(words);
    }
}

fn workloads(version: &Value) -> BTreeSet<String> {
    let nodes = version["nodes"].as_object().expect("nodes");
    nodes.values().map(|node| node["workload"].as_str().expect("a workload").to_owned()).collect()
}
