//! Two services on a real Kubernetes, from an image that needs no build: a page that calls an API, each saying who it is.

use std::collections::BTreeSet;
use std::ops::Deref;

use serde_json::Value;

use crate::local::wait_until;
use crate::{Deployed, Namespace, Repository, Session, get};

/// The fixture, and the namespace that it is deployed to.
pub struct Versions(Deployed);

impl Deref for Versions {
    type Target = Deployed;

    fn deref(&self) -> &Deployed {
        &self.0
    }
}

impl Versions {
    /// The fixture, its cluster with these settings: `warm: 5s`.
    #[must_use]
    pub fn new(about: &str, settings: &str) -> Self {
        let versions = Self(Deployed::new(Repository::of_fixture("versions"), Namespace::new(about)));
        versions.settings(settings);
        // Only pinned images run on a cluster.
        let _ = Session::of(versions.repository.path()).ssi("lock").run().succeeds();
        versions.repository.commit("pins");
        versions
    }

    /// Gives the cluster these settings, and commits them.
    pub fn settings(&self, settings: &str) {
        let text = format!("services: [\"*\"]\nclusters: {{ production: {{ {settings} }} }}\n");
        self.repository.write("clustergraph.yaml", &text);
        self.repository.commit(settings);
    }

    /// Changes the API, and so the page's version, and commits it.
    pub fn edit(&self, words: &str) {
        self.repository.append("api/server.py", &format!("# {words}"));
        self.repository.commit(words);
    }

    /// The page's address, once it answers.
    #[must_use]
    pub fn page(&self) -> String {
        self.entry("www")
    }

    /// Who answers at the page.
    #[must_use]
    pub fn answers(&self, page: &str) -> BTreeSet<String> {
        let answer = get(page);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.served_by.into_iter().collect()
    }

    /// The workloads of a version, by its number.
    #[must_use]
    pub fn workloads(&self, number: u64) -> BTreeSet<String> {
        let history = self.json("history");
        let versions = history["versions"].as_array().expect("versions");
        let version = versions.iter().find(|version| version["number"] == number).expect("the version");
        let nodes = version["nodes"].as_object().expect("nodes");
        nodes.values().map(|node| node["workload"].as_str().expect("a workload").to_owned()).collect()
    }

    /// What of a version is there: the names of its Deployments and Services that are not on their way out.
    #[must_use]
    pub fn there(&self, kind: &str, workloads: &BTreeSet<String>) -> BTreeSet<String> {
        let list = self.namespace.kubectl(&format!("get {kind}"));
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let stays = items.iter().filter(|item| item["metadata"]["deletionTimestamp"].is_null());
        let names = stays.filter_map(|item| item["metadata"]["name"].as_str().map(str::to_owned));
        names.filter(|name| workloads.contains(name)).collect()
    }

    /// Waits until a version answers at the page: nodes hear of a switch a moment after the API server.
    pub fn wait_for(&self, workloads: &BTreeSet<String>) {
        let page = self.page();
        wait_until("the version answers", || self.answers(&page) == *workloads);
    }

    /// The objects of a kind that have an owner and are not on their way out, by name, each with the owner's kind.
    #[must_use]
    pub fn owned(&self, kind: &str) -> Vec<(String, String)> {
        let list = self.namespace.kubectl(&format!("get {kind}"));
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let owner = |item: &Value| {
            if !item["metadata"]["deletionTimestamp"].is_null() {
                return None;
            }
            let owner = item["metadata"]["ownerReferences"][0]["kind"].as_str()?.to_owned();
            Some((item["metadata"]["name"].as_str()?.to_owned(), owner))
        };
        items.iter().filter_map(owner).collect()
    }
}
