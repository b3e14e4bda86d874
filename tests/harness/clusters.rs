//! Clusters that end by themselves, of one repository and one home. Pods only say that they run.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::local::wait_until;
use crate::{Deployed, EveryImage, Namespace, Program, Repository};

/// What every service of the repository says of itself.
const COMMON: &str = "image: demo@sha256:7777777777777777777777777777777777777777777777777777777777777777\n\
                      security: baseline\nports: { http: 8000 }\nstop: { grace: 1s }\n";

/// A repository and its clusters; all of them are gone when dropped, whatever the test did.
pub struct Clusters {
    /// The repository, and the home of its clusters.
    pub deployed: Deployed,
    _images: EveryImage,
}

impl Clusters {
    /// A page that calls an API, with these settings of their clusters beside an hour to live.
    #[must_use]
    pub fn new(about: &str, settings: &str) -> Self {
        Self::with(about, settings, &[])
    }

    /// The same with more files.
    #[must_use]
    pub fn with(about: &str, settings: &str, more: &[(&str, &str)]) -> Self {
        let more_settings = if settings.is_empty() { String::new() } else { format!(", {settings}") };
        let files = [
            (
                "clustergraph.yaml",
                format!("services: [\"*\"]\nclusters:\n  production: {{}}\n  pr: {{ ttl: 1h{more_settings} }}\n"),
            ),
            ("www/service.yaml", format!("name: www\n{COMMON}dependencies: [api]\npublic: {{}}\n")),
            ("api/service.yaml", format!("name: api\n{COMMON}")),
        ];
        let mut files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        files.extend(more);
        let images = EveryImage::new();
        let home = Namespace::without_processes(about);
        let deployed = Deployed::new(Repository::with(&files), home).with_images(&images);
        Self { deployed, _images: images }
    }

    /// A command.
    #[must_use]
    pub fn komandan(&self, line: &str) -> Program {
        self.deployed.komandan(line)
    }

    /// The last document of a command.
    #[must_use]
    pub fn result(&self, line: &str) -> Value {
        self.deployed.result(line)
    }

    /// The home of the clusters.
    #[must_use]
    pub fn home(&self) -> &Namespace {
        &self.deployed.namespace
    }

    /// The namespaces of the clusters, each with whether it goes.
    #[must_use]
    pub fn namespaces(&self) -> Vec<(String, bool)> {
        let selector = format!("get namespaces --selector clustergraph.dev/home={}", self.home().name());
        let list = self.home().kubectl(&selector);
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let each = items.iter().map(|item| &item["metadata"]);
        each.map(|it| (it["name"].as_str().expect("a name").to_owned(), !it["deletionTimestamp"].is_null())).collect()
    }

    /// The namespaces that stay.
    #[must_use]
    pub fn live(&self) -> Vec<String> {
        self.namespaces().into_iter().filter(|(_, goes)| !goes).map(|(name, _)| name).collect()
    }

    /// Everything of any kind that names the home or one of its clusters, wherever it is. Of what is told of objects nothing, as
    /// that goes later by itself, and of volumes only what somebody has: what becomes of one that nobody has any more is its class's
    /// affair.
    #[must_use]
    pub fn everything(&self, namespaces: &[String]) -> BTreeSet<String> {
        let home = self.home();
        let mut kinds = home.kinds();
        kinds.extend(home.kinds_of_all());
        kinds.retain(|kind| !kind.starts_with("events") && !kind.ends_with(".metrics.k8s.io"));
        let list = home.kubectl(&format!("get {} --all-namespaces", kinds.join(",")));
        let items = list["items"].as_array().expect("everything there is").clone();
        assert!(items.len() > 20, "all that a cluster of Kubernetes has itself");
        let ours = items.iter().filter(|item| {
            let text = item.to_string();
            let names_us = text.contains(home.name()) || namespaces.iter().any(|name| text.contains(name.as_str()));
            names_us && item["status"]["phase"] != "Released"
        });
        let name = |item: &Value| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            format!(
                "{} {}/{}",
                text(&item["kind"]),
                text(&item["metadata"]["namespace"]),
                text(&item["metadata"]["name"])
            )
        };
        ours.map(name).collect()
    }

    /// Waits until no cluster is left, and nothing that one was made of.
    pub fn wait_until_all_is_gone(&self, before: &BTreeSet<String>, namespaces: &[String]) {
        wait_until("its namespace goes", || self.live().is_empty());
        wait_until("nothing of it is left", || self.namespaces().is_empty());
        // The garbage collector follows in its own time.
        let mut left = BTreeSet::new();
        wait_until("what led to its end is gone", || {
            left = &self.everything(namespaces) - before;
            left.is_empty()
        });
    }
}

impl Drop for Clusters {
    fn drop(&mut self) {
        let names = self.live();
        if !names.is_empty() {
            let _ = self.home().kubectl_can(&format!("delete namespace --wait=false {}", names.join(" ")));
        }
    }
}
