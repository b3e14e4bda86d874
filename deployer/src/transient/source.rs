//! Where the secrets of a cluster that ends by itself come from: one Secret of its home, which people fill once for all
//! clusters of a kind. A service gets what its `secrets:` name, and nothing else.

use std::collections::BTreeMap;

use clustergraph::graph::Service;

use super::Home;
use crate::error::Result;
use crate::repository::Repository;
use crate::secrets::{self, Secrets, Values};

/// The values for what runs, from the Secret that the settings' `secrets_from` names. Refused where one that something needs
/// is missing: all of them at once, each with its place.
pub(crate) async fn given(repository: &Repository, home: &Home) -> Result<Secrets> {
    let source = repository.cluster().secrets_from;
    let owners = secrets::owners(&repository.graph);
    let there = match &source {
        Some(source) if !owners.is_empty() => secrets::read(home.cluster(), source.clone()).await?,
        _ => Values::new(),
    };
    let values = owners.iter().map(|(owner, service)| ((*owner).to_owned(), own(service, &there))).collect();
    let namespace = home.cluster().namespace();
    let mend = |owner: &str, name: &str| match &source {
        Some(source) => format!(
            "add the key `{name}`, or `{}` for {owner} alone, to the Secret {source} in the namespace {namespace}",
            key(owner, name)
        ),
        None => format!(
            "name the Secret of the namespace {namespace} that has the key `{name}`: `secrets_from: dev-secrets` beside `ttl`"
        ),
    };
    Secrets::given(values, repository, home.cluster().name(), mend)
}

/// What a service gets: what is meant for it alone, else what is meant for all that name it.
fn own(service: &Service, there: &Values) -> BTreeMap<String, k8s_openapi::ByteString> {
    let names = service.secrets.iter().map(|secret| &secret.name);
    let value = |name: &String| there.get(&key(&service.owner, name)).or_else(|| there.get(name)).cloned();
    names.filter_map(|name| Some((name.clone(), value(name)?))).collect()
}

/// The key of a value for one service alone. Names of variables have no dots, and neither have those of services.
fn key(owner: &str, name: &str) -> String {
    format!("{owner}.{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clustergraph::graph::Graph;
    use clustergraph::tree::Tree;
    use k8s_openapi::ByteString;

    #[test]
    fn a_service_gets_what_it_names_and_its_own_value_first() {
        let folder = tempfile::tempdir().unwrap();
        for (name, secrets) in [("pay", "[KEY, TOKEN]"), ("www", "[KEY]")] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            let text = format!("name: {name}\nrun: [./run]\nsecrets: {secrets}\n");
            std::fs::write(folder.path().join(name).join("service.yaml"), text).unwrap();
        }
        let git = std::process::Command::new("git").current_dir(folder.path()).args(["init", "-q"]).status();
        assert!(git.unwrap().success());
        let graph = Graph::build(&Tree::of_worktree(folder.path()).unwrap(), "pr").unwrap();
        let there: Values = [("KEY", "of all"), ("pay.KEY", "of pay"), ("TOKEN", "t"), ("OTHER", "nobody's")]
            .map(|(name, value)| (name.to_owned(), ByteString(value.as_bytes().to_vec())))
            .into();
        let gets = |service: &str| -> Vec<(String, String)> {
            let own = own(&graph.services[service], &there);
            own.into_iter().map(|(name, value)| (name, String::from_utf8(value.0).unwrap())).collect()
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(gets("pay"), [pair("KEY", "of pay"), pair("TOKEN", "t")]);
        assert_eq!(gets("www"), [pair("KEY", "of all")]);
    }
}
