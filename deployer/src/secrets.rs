//! The secrets of services: keys of a Secret that people fill. What is missing is told before anything is done.

use std::collections::{BTreeMap, BTreeSet};

use clustergraph::diagnostic::Problem;
use clustergraph::graph::{Graph, Service};
use k8s_openapi::api::core::v1::Secret;

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::names;
use crate::render::running;
use crate::repository::Repository;

/// The names that have a value, by the service that they are for. No value is kept.
type Known = BTreeMap<String, BTreeSet<String>>;

/// Refuses to go on where a secret that something needs has no value: all of them at once, each with its place and the
/// command that mends it.
pub(crate) async fn refuse_missing(repository: &Repository, cluster: &Cluster) -> Result<()> {
    let owners = owners(&repository.graph);
    if owners.is_empty() {
        return Ok(());
    }
    let read = owners.keys().map(|owner| keys(cluster, owner));
    let names = futures_util::future::try_join_all(read).await?;
    let known: Known = owners.keys().map(|owner| (*owner).to_owned()).zip(names).collect();
    let missing = missing(&owners, &known, cluster.name());
    if missing.is_empty() { Ok(()) } else { Err(Error::Lacks(repository.problems(missing))) }
}

/// What runs and has secrets, one for each service.yaml.
fn owners(graph: &Graph) -> BTreeMap<&str, &Service> {
    let running = running(graph);
    let services = running.iter().filter_map(|name| graph.services.get(name));
    services.filter(|it| !it.secrets.is_empty()).map(|it| (it.owner.as_str(), it)).collect()
}

fn missing(owners: &BTreeMap<&str, &Service>, known: &Known, cluster: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (owner, service) in owners {
        let has = |name: &String| known.get(*owner).is_some_and(|names| names.contains(name));
        for secret in service.secrets.iter().filter(|secret| !secret.optional && !has(&secret.name)) {
            let message = format!("`{}` of {owner} has no value on {cluster}", secret.name);
            let mend = format!("komandan secret set --cluster {cluster} {owner} {}", secret.name);
            problems.push(Problem::new("missing-secret", secret.place.clone(), message).mend(mend));
        }
    }
    problems
}

async fn keys(cluster: &Cluster, owner: &str) -> Result<BTreeSet<String>> {
    let name = names::service_secret(owner);
    let found = cluster.api::<Secret>().get_opt(&name).await;
    let found = found.map_err(|error| Error::cluster(format!("reading which keys the Secret {name} has"), &error))?;
    Ok(found.and_then(|secret| secret.data).unwrap_or_default().into_keys().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clustergraph::tree::Tree;

    #[test]
    fn all_that_is_missing_is_told_at_once_with_the_command_that_mends_it() {
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
        let told = |known: Known| -> Vec<String> {
            let problems = missing(&owners(&graph), &known, "production");
            problems
                .iter()
                .map(|it| format!("{} {} | {}", it.place, it.message, it.mend.as_deref().unwrap_or("")))
                .collect()
        };
        assert_eq!(
            told(Known::new()),
            [
                "pay/service.yaml:4:5 `KEY` of pay has no value on production | komandan secret set --cluster production pay KEY",
                "www/service.yaml:3:11 `CODE` of www has no value on production | komandan secret set --cluster production www CODE",
            ]
        );
        let all = [("pay", "KEY"), ("www", "CODE")].map(|(owner, key)| (owner.to_owned(), [key.to_owned()].into()));
        assert_eq!(told(all.into()), Vec::<String>::new());
    }
}
