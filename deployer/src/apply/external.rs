//! Databases that somebody else runs: what their Secrets lack is told before anything is done.

use std::collections::BTreeSet;

use clustergraph::graph::Graph;
use k8s_openapi::api::core::v1::Secret;

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::render::external::{External, externals};

/// Refuses to begin where a Secret is missing, or a key of one. Only the names of keys are looked at.
pub(crate) async fn check(cluster: &Cluster, graph: &Graph) -> Result<()> {
    let mut lacks = Vec::new();
    for external in externals(graph, cluster.name())? {
        let found = cluster.api::<Secret>().get_opt(&external.secret).await;
        let found = found.map_err(|error| Error::cluster(format!("reading the Secret {}", external.secret), &error))?;
        let keys = found.map(|secret| secret.data.unwrap_or_default().into_keys().collect());
        lacks.extend(lack(&external, keys.as_ref()));
    }
    if lacks.is_empty() {
        return Ok(());
    }
    let lacks = lacks.join("\n");
    Err(Error::Refused(format!(
        "{lacks}\nAdd what is missing in the namespace {}; nothing was changed",
        cluster.namespace()
    )))
}

/// What a Secret lacks of what it must say; `keys` are those that it has, nothing where it is not there.
fn lack(external: &External, keys: Option<&BTreeSet<String>>) -> Option<String> {
    let External { address, secret, keys: wanted } = external;
    let Some(keys) = keys else {
        return Some(format!(
            "{address} is run by somebody else, and there is no Secret {secret} with {}",
            wanted.join(", ")
        ));
    };
    let missing: Vec<&str> = wanted.iter().copied().filter(|key| !keys.contains(*key)).collect();
    (!missing.is_empty()).then(|| format!("the Secret {secret} of {address} has no {}", missing.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_secrets_and_keys_are_named() {
        let external = External { address: "a/b".into(), secret: "s".into(), keys: vec!["url", "host", "port"] };
        let keys = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(lack(&external, Some(&keys(&["host", "more", "port", "url"]))), None);
        let told = lack(&external, Some(&keys(&["host"]))).unwrap();
        assert_eq!(told, "the Secret s of a/b has no url, port");
        assert!(lack(&external, None).unwrap().contains("there is no Secret s with url, host, port"));
    }
}
