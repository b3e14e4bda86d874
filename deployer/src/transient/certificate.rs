//! The certificate of the clusters' hosts: one Secret of their home, for a name such as `*.shop.example`, which each Ingress needs in
//! its own namespace.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, Patch, PatchParams};

use super::Home;
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::names::{self, Component};
use crate::repository::Repository;

/// A certificate that a cluster gets.
pub(crate) struct Certificate {
    name: String,
    found: Secret,
}

/// The certificate that the settings' `ingress.tls` names; none where they name none, or a Gateway has its own. Refused where it
/// is missing.
pub(crate) async fn certificate(repository: &Repository, home: &Home) -> Result<Option<Certificate>> {
    let ingress = repository.cluster().ingress.filter(|ingress| ingress.gateway.is_none());
    let Some(name) = ingress.and_then(|ingress| ingress.tls) else { return Ok(None) };
    let found = home.cluster().api::<Secret>().get_opt(&name).await;
    let found = found.map_err(|error| Error::cluster(format!("reading the Secret {name}"), &error))?;
    let namespace = home.cluster().namespace();
    match found {
        Some(found) => Ok(Some(Certificate { name, found })),
        None => Err(Error::Refused(format!(
            "there is no Secret {name} in the namespace {namespace}, where `ingress.tls` says that the certificate of the clusters' \
             hosts is: make it there, for a name such as *.shop.example. Nothing was changed"
        ))),
    }
}

impl Certificate {
    /// Keeps it where the cluster's Ingress looks for it. What is so already is not written.
    pub(crate) async fn keep(&self, cluster: &Cluster) -> Result<()> {
        let wanted = Secret {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some(names::labels(cluster.name(), Component::Transient)),
                owner_references: cluster.anchors(),
                ..ObjectMeta::default()
            },
            data: self.found.data.clone(),
            type_: self.found.type_.clone(),
            ..Secret::default()
        };
        let parameters = PatchParams::apply(names::MANAGER).force();
        let applied = cluster.api::<Secret>().patch(&self.name, &parameters, &Patch::Apply(&wanted)).await;
        applied.map(drop).map_err(|error| Error::cluster(format!("writing the Secret {}", self.name), &error))
    }
}
