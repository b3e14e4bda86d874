//! The secrets of services: keys of a Secret that people fill. What is missing is told before anything is done, and what
//! changed restarts who uses it.

use std::collections::BTreeMap;

use clustergraph::diagnostic::Problem;
use clustergraph::graph::{Graph, Service};
use clustergraph::wiring::Hole;
use hmac::{Hmac, KeyInit, Mac};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use sha2::Sha256;

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::names;
use crate::render::running;
use crate::repository::Repository;

/// How many digits of a code are kept: 80 bits.
const DIGITS: usize = 20;

/// The values of one Secret, by key.
pub(crate) type Values = BTreeMap<String, ByteString>;

/// The secrets of what runs. Values are only in memory, and shown nowhere.
#[derive(Default)]
pub(crate) struct Secrets {
    /// By the name of the service.yaml.
    values: BTreeMap<String, Values>,
    /// Whether they come from elsewhere, and are to be kept in the cluster's namespace.
    are_given: bool,
}

impl Secrets {
    /// Reads the secrets of what runs. Refused where one that something needs has no value: all of them at once, each with
    /// its place and the command that mends it.
    pub(crate) async fn read(repository: &Repository, cluster: &Cluster) -> Result<Self> {
        let owners = owners(&repository.graph);
        let read = owners.keys().map(|owner| read(cluster, names::service_secret(owner)));
        let values = futures_util::future::try_join_all(read).await?;
        let values = owners.keys().map(|owner| (*owner).to_owned()).zip(values).collect();
        // The command must meet the same namespace, whoever said which it is.
        let (name, namespace) = (cluster.name(), cluster.namespace());
        let at = if namespace == name { String::new() } else { format!(" --namespace {namespace}") };
        let mend = |owner: &str, secret: &str| format!("komandan secret set --cluster {name}{at} {owner} {secret}");
        Self { values, are_given: false }.complete(repository, name, mend)
    }

    /// Secrets that come from elsewhere, by the name of the service.yaml. Refused as [`Self::read`] does; `mend` says how a
    /// service gets a value.
    pub(crate) fn given(
        values: BTreeMap<String, Values>,
        repository: &Repository,
        cluster: &str,
        mend: impl Fn(&str, &str) -> String,
    ) -> Result<Self> {
        Self { values, are_given: true }.complete(repository, cluster, mend)
    }

    fn complete(self, repository: &Repository, cluster: &str, mend: impl Fn(&str, &str) -> String) -> Result<Self> {
        let missing = self.missing(&owners(&repository.graph), cluster, mend);
        if missing.is_empty() { Ok(self) } else { Err(Error::Lacks(repository.problems(missing))) }
    }

    /// Keeps what comes from elsewhere where the cluster is; what is there already stays as it is.
    pub(crate) async fn keep(&self, cluster: &Cluster) -> Result<()> {
        for (owner, values) in self.values.iter().filter(|_| self.are_given) {
            let there = read(cluster, names::service_secret(owner)).await?;
            if values.iter().any(|(name, value)| there.get(name) != Some(value)) {
                cluster.put_secrets(owner, values).await?;
            }
        }
        Ok(())
    }

    /// For each service a code of the values that it uses: it restarts when that is another one. The code tells nothing of
    /// the values to who does not have the key, which is generated and never leaves the cluster. There is none before the
    /// first deploy.
    pub(crate) async fn codes(&self, graph: &Graph, cluster: &Cluster) -> Result<BTreeMap<String, String>> {
        if self.values.is_empty() {
            return Ok(BTreeMap::new());
        }
        let key = read(cluster, names::KEY_SECRET.to_owned()).await?;
        let Some(key) = key.get("password") else { return Ok(BTreeMap::new()) };
        let coded = graph.services.values().filter_map(|it| Some((it, self.values.get(&it.owner)?)));
        coded.map(|(service, values)| Ok((service.name.clone(), code(service, values, &key.0)?))).collect()
    }

    /// Whether anything here has a value.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn missing(
        &self,
        owners: &BTreeMap<&str, &Service>,
        cluster: &str,
        mend: impl Fn(&str, &str) -> String,
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (owner, service) in owners {
            let has = |name: &String| self.values.get(*owner).is_some_and(|values| values.contains_key(name));
            // A file is there or not, but never with a hole in it.
            let in_a_file = |name: &String| {
                let mut holes = service.files.values().flat_map(|file| file.content.holes());
                holes.any(|hole| matches!(hole, Hole::Secret(used) if used == name))
            };
            let needed = |secret: &&clustergraph::format::service::Secret| !secret.optional || in_a_file(&secret.name);
            for secret in service.secrets.iter().filter(needed).filter(|secret| !has(&secret.name)) {
                let message = format!("`{}` of {owner} has no value on {cluster}", secret.name);
                let problem = Problem::new("missing-secret", secret.place.clone(), message);
                problems.push(problem.mend(mend(owner, &secret.name)));
            }
        }
        problems
    }
}

fn code(service: &Service, values: &Values, key: &[u8]) -> Result<String> {
    let failed = |_| Error::Store(format!("the key in the Secret {} cannot be used", names::KEY_SECRET));
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(failed)?;
    for secret in &service.secrets {
        if let Some(value) = values.get(&secret.name) {
            // With their lengths, so that no two sets of values are told alike.
            for text in [secret.name.as_bytes(), &value.0] {
                mac.update(&(text.len() as u64).to_be_bytes());
                mac.update(text);
            }
        }
    }
    let code = hex::encode(mac.finalize().into_bytes());
    Ok(code.get(..DIGITS).unwrap_or_default().to_owned())
}

/// What runs and has secrets, one for each service.yaml.
pub(crate) fn owners(graph: &Graph) -> BTreeMap<&str, &Service> {
    let running = running(graph);
    let services = running.iter().filter_map(|name| graph.services.get(name));
    services.filter(|it| !it.secrets.is_empty()).map(|it| (it.owner.as_str(), it)).collect()
}

/// The values of a Secret of the cluster's namespace; none where there is none.
pub(crate) async fn read(cluster: &Cluster, name: String) -> Result<Values> {
    let found = cluster.api::<Secret>().get_opt(&name).await;
    let found = found.map_err(|error| Error::cluster(format!("reading which keys the Secret {name} has"), &error))?;
    Ok(found.and_then(|secret| secret.data).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clustergraph::tree::Tree;

    #[test]
    fn what_is_missing_is_told_at_once_with_the_command_that_mends_it_and_what_changed_has_another_code() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            ("pay", "name: pay\nrun: [./pay]\nsecrets:\n  - KEY\n  - { name: HINT, optional: true }\n"),
            ("www", "name: www\nrun: [./www]\nsecrets: [CODE]\nprocesses: { worker: { run: [./worker] } }\n"),
            ("off", "name: off\nrun: [./off]\nsecrets: [NOBODY_NEEDS]\nstart: manual\n"),
        ];
        for (name, text) in files {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("service.yaml"), text).unwrap();
        }
        let git = std::process::Command::new("git").current_dir(folder.path()).args(["init", "-q"]).status();
        assert!(git.unwrap().success());
        let graph = Graph::build(&Tree::of_worktree(folder.path()).unwrap(), "production").unwrap();
        let of = |values: &[(&str, &str, &str)]| {
            let mut secrets = Secrets::default();
            for (owner, name, value) in values {
                let values = secrets.values.entry((*owner).to_owned()).or_default();
                values.insert((*name).to_owned(), ByteString(value.as_bytes().into()));
            }
            secrets
        };
        let told = |secrets: Secrets| -> Vec<String> {
            let problems = secrets.missing(&owners(&graph), "production", |owner, name| format!("set {owner} {name}"));
            problems
                .iter()
                .map(|it| format!("{} {} | {}", it.place, it.message, it.mend.as_deref().unwrap_or("")))
                .collect()
        };
        assert_eq!(
            told(of(&[])),
            [
                "pay/service.yaml:4:5 `KEY` of pay has no value on production | set pay KEY",
                "www/service.yaml:3:11 `CODE` of www has no value on production | set www CODE",
            ]
        );
        assert_eq!(told(of(&[("pay", "KEY", "a"), ("www", "CODE", "b")])), Vec::<String>::new());

        let code = |values: &[(&str, &str, &str)], key: &str| {
            super::code(&graph.services["pay"], &of(values).values["pay"], key.as_bytes()).unwrap()
        };
        let one = code(&[("pay", "KEY", "a")], "k");
        assert_eq!(one, code(&[("pay", "KEY", "a"), ("pay", "NOT_ITS_OWN", "b")], "k"));
        let others = [
            code(&[("pay", "KEY", "b")], "k"),
            code(&[("pay", "KEY", "a"), ("pay", "HINT", "")], "k"),
            code(&[("pay", "KEY", "a")], "another key"),
        ];
        assert!(!others.contains(&one), "{one} {others:?}");
    }
}
