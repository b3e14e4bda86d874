//! The pods of a service or server, for those who look into them.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;

use super::Cluster;
use crate::error::{Error, Result};
use crate::health;
use crate::names;
use crate::render::database::SERVER;
use crate::render::job::{DATABASE, MIGRATE};

/// Whose pods are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instances {
    /// What people call it.
    pub(crate) name: String,
    /// Selects its pods, besides those that are ours.
    selector: String,
    /// The container that does the work.
    pub(crate) container: &'static str,
}

impl Instances {
    /// Those of one version of a service.
    pub(crate) fn of_workload(name: &str, workload: &str) -> Self {
        let selector = format!("{}={workload}", names::INSTANCE);
        Self { name: name.to_owned(), selector, container: "service" }
    }

    /// Those of a database server, by the name of its StatefulSet.
    pub(crate) fn of_server(server: &str) -> Self {
        Self { name: server.to_owned(), selector: format!("{SERVER}={server}"), container: "server" }
    }

    /// Those that bring a logical database's schema up to date, by its address.
    pub(crate) fn of_database(address: &str) -> Self {
        let selector = format!("{DATABASE}={}", address.replace('/', "."));
        Self { name: address.to_owned(), selector, container: MIGRATE }
    }

    /// The same under another name for people.
    pub(crate) fn called(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// Selects its pods.
    pub(crate) fn selector(&self, cluster: &Cluster) -> String {
        format!("{},{}", names::selector(cluster.name()), self.selector)
    }

    /// All of them, in the order of their names.
    pub(crate) async fn pods(&self, cluster: &Cluster) -> Result<Vec<Pod>> {
        let parameters = ListParams::default().labels(&self.selector(cluster));
        let found = cluster.api::<Pod>().list(&parameters).await;
        let mut pods =
            found.map_err(|error| Error::cluster(format!("reading the pods of {}", self.name), &error))?.items;
        pods.sort_by_key(ResourceExt::name_any);
        Ok(pods)
    }

    /// The name of one that takes requests.
    pub(crate) async fn ready(&self, cluster: &Cluster) -> Result<String> {
        let pods = self.pods(cluster).await?;
        let ready = pods.iter().find(|pod| health::is_ready(pod));
        ready.map(ResourceExt::name_any).ok_or_else(|| {
            let there = pods.len();
            Error::Usage(format!(
                "no instance of {} is ready ({there} are there); `komandan status` says why",
                self.name
            ))
        })
    }
}
