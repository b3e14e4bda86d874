//! Who has rights in the home of clusters has them in each cluster, too: the binding that `komandan rbac` printed is copied.

use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef};
use kube::api::{ObjectMeta, PostParams};

use super::{Claim, Home};
use crate::error::{Error, Result};
use crate::names::{self, Component};

/// How long rights may take to hold that were granted: the API server reads them again at every change.
const NOTICED: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

impl Home {
    /// Grants in a cluster's namespace what is granted here. Where nothing is, as for an administrator, there is nothing to grant.
    pub(crate) async fn grant(&self, claim: &Claim) -> Result<()> {
        // Where namespaces were prepared, rights in them were granted, too.
        if self.has_pool() {
            return Ok(());
        }
        let what = || format!("granting the rights in {}", claim.namespace);
        let here = match self.cluster.api::<RoleBinding>().get_opt(names::MANAGER).await {
            Err(kube::Error::Api(status)) if status.code == 403 => None,
            found => found.map_err(|error| Error::cluster(what(), &error))?,
        };
        let wanted = names::granted_role(self.cluster.namespace());
        let grants = |binding: &RoleBinding| {
            let labels = binding.metadata.labels.as_ref();
            labels.and_then(|labels| labels.get(names::GRANTS)).is_some_and(|granted| *granted == wanted)
        };
        let Some(here) = here.filter(grants) else { return Ok(()) };
        let cluster = self.of(claim);
        let api = cluster.api::<RoleBinding>();
        match api.get_opt(names::MANAGER).await {
            Ok(Some(_)) => return Ok(()),
            // Who may not read it yet was not granted it yet.
            Ok(None) => {}
            Err(kube::Error::Api(status)) if status.code == 403 => {}
            Err(error) => return Err(Error::cluster(what(), &error)),
        }
        let binding = RoleBinding {
            metadata: ObjectMeta {
                name: Some(names::MANAGER.to_owned()),
                labels: Some(names::labels(&claim.name, Component::Transient)),
                ..ObjectMeta::default()
            },
            role_ref: RoleRef {
                api_group: "rbac.authorization.k8s.io".to_owned(),
                kind: "ClusterRole".to_owned(),
                name: wanted.clone(),
            },
            subjects: here.subjects,
        };
        match api.create(&PostParams::default(), &binding).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(Error::cluster(what(), &error)),
        }
        let begun = Instant::now();
        while !self.may(claim).await? && begun.elapsed() < NOTICED {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Whether we may make things in a cluster's namespace.
    async fn may(&self, claim: &Claim) -> Result<bool> {
        let attributes = ResourceAttributes {
            namespace: Some(claim.namespace.clone()),
            resource: Some("configmaps".to_owned()),
            verb: Some("create".to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let asked = self.cluster.api_of_all::<SelfSubjectAccessReview>().create(&PostParams::default(), &review).await;
        let review = asked.map_err(|error| Error::cluster("asking for the own rights", &error))?;
        Ok(review.status.is_some_and(|status| status.allowed))
    }
}
