//! The cluster that an overlay borrows from: which one is meant, and whether it lends.

use clustergraph::format::is_dns_label;
use kube::config::Kubeconfig;

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::settings::{Settings, of_base};
use crate::store::Store;
use crate::store::record::Record;

/// A cluster that others borrow from, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    /// Its name.
    pub(crate) name: String,
    /// Its namespace.
    pub(crate) namespace: String,
}

impl Base {
    /// The one that is written down, if both make sense.
    pub(crate) fn new(name: String, namespace: String) -> Option<Self> {
        (is_dns_label(&name) && is_dns_label(&namespace)).then_some(Self { name, namespace })
    }

    /// The one of this name in clustergraph.yaml. It is on the same Kubernetes as the overlay.
    pub(crate) fn named(name: &str, repository: &Repository) -> Result<Self> {
        let settings = of_base(&repository.graph.repository, name, repository.settings.context.as_ref())?;
        let own = &repository.settings;
        if !is_same_kubernetes(&settings, own) {
            let context =
                |settings: &Settings| settings.context.clone().unwrap_or_else(|| "the current one".to_owned());
            return Err(Error::Usage(format!(
                "{name} is on another Kubernetes (context {}) than {} (context {}): only what runs on the same one can be borrowed. \
                 Leave `--from` out for a whole cluster",
                context(&settings),
                own.cluster,
                context(own),
            )));
        }
        Ok(Self { name: settings.cluster, namespace: settings.namespace })
    }

    /// It, by the connection of another cluster of the same Kubernetes.
    pub(crate) fn by(&self, cluster: &Cluster) -> Cluster {
        cluster.at(&self.name, &self.namespace)
    }

    /// The version that it serves, if it lends that.
    pub(crate) async fn serving(&self, cluster: &Cluster) -> Result<Record> {
        let store = Store::new(cluster);
        let head = store.head().await?.value;
        let record = match head.current {
            Some(number) => store.record(number).await?,
            None => None,
        };
        let Self { name, namespace } = self;
        let record = record.ok_or_else(|| {
            Error::Refused(format!(
                "nothing serves in {name} (namespace {namespace}): there is nothing to borrow. `komandan deploy --cluster {name}` comes \
                 first; or leave `--from` out for a whole cluster"
            ))
        })?;
        refuse(name, &record)?;
        Ok(record)
    }
}

/// Refuses a version that is not lent, with the way out.
fn refuse(name: &str, record: &Record) -> Result<()> {
    let number = record.number;
    let why = if record.content.nodes.values().any(|node| node.kind != crate::render::Kind::Job && node.is_rolling()) {
        "is deployed by `strategy: rolling`, so its instances are exchanged in place, and no version of it stays for those who borrow \
         it. `strategy: atomic` and `lends: true` in what is deployed there change that"
    } else if !record.content.lends {
        "does not lend. What it serves decides that, whatever this commit says: write `lends: true` beside it in clustergraph.yaml, and \
         deploy that to it"
    } else {
        return Ok(());
    };
    Err(Error::Refused(format!("{name} (version {number}) {why}; or leave `--from` out for a whole cluster")))
}

/// Whether two clusters are on one Kubernetes, as the kubeconfig says.
fn is_same_kubernetes(one: &Settings, other: &Settings) -> bool {
    if one.context == other.context {
        return true;
    }
    Kubeconfig::read().is_ok_and(|file| {
        let servers = (server(&file, one.context.as_deref()), server(&file, other.context.as_deref()));
        matches!(servers, (Some(one), Some(other)) if one == other)
    })
}

/// The address of a context's API server; of the current one where none is named.
fn server<'f>(file: &'f Kubeconfig, context: Option<&str>) -> Option<&'f str> {
    let name = context.or(file.current_context.as_deref())?;
    let context = file.contexts.iter().find(|context| context.name == name)?.context.as_ref()?;
    let cluster = file.clusters.iter().find(|cluster| cluster.name == context.cluster)?;
    cluster.cluster.as_ref()?.server.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::tests::content;
    use jiff::Timestamp;
    use serde_json::json;

    #[test]
    fn only_what_serves_says_whether_it_is_lent() {
        let record = |lends: bool, workload: Option<&str>| {
            let mut content = content(&[("api", "1", 1)]);
            content.lends = lends;
            if let Some(workload) = workload {
                content.nodes.get_mut("api").unwrap().workload = workload.to_owned();
            }
            Record::new(12, content, None, "a".to_owned(), Timestamp::UNIX_EPOCH)
        };
        let refused = |record: &Record| refuse("production", record).map_err(|error| error.to_string());
        assert_eq!(refused(&record(true, None)), Ok(()));
        let why = refused(&record(false, None)).unwrap_err();
        assert!(why.contains("production (version 12) does not lend") && why.contains("`lends: true`"), "{why}");
        let why = refused(&record(true, Some("api-rolling"))).unwrap_err();
        assert!(why.contains("`strategy: rolling`") && why.contains("leave `--from` out"), "{why}");
    }

    #[test]
    fn two_contexts_may_lead_to_one_kubernetes() {
        let file: Kubeconfig = serde_json::from_value(json!({
            "current-context": "a",
            "contexts": [
                { "name": "a", "context": { "cluster": "one", "user": "u" } },
                { "name": "b", "context": { "cluster": "one", "user": "v" } },
                { "name": "c", "context": { "cluster": "two", "user": "u" } },
            ],
            "clusters": [
                { "name": "one", "cluster": { "server": "https://one" } },
                { "name": "two", "cluster": { "server": "https://two" } },
            ],
        }))
        .unwrap();
        assert_eq!(server(&file, None), Some("https://one"));
        assert_eq!((server(&file, Some("b")), server(&file, Some("c"))), (Some("https://one"), Some("https://two")));
        assert_eq!(server(&file, Some("gone")), None);
    }
}
