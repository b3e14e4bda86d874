//! `strategy: rolling`: a service keeps its workload over all versions, and Kubernetes exchanges its instances in place.

use clustergraph::format::repository::{Cluster, Strategy};
use clustergraph::graph::{Role, Service};

use super::Scene;
use crate::names;

/// What stands for the id where there is only one workload for all versions: selectors never change.
const ONE_FOR_ALL: &str = "rolling";

impl Scene<'_> {
    /// What clustergraph.yaml says of the cluster.
    pub(super) fn settings(&self) -> Option<&Cluster> {
        self.graph.repository.clusters.get(self.cluster)
    }

    /// Whether a service is changed in place. What runs once for a version is that version's.
    pub(super) fn is_rolling(&self, service: &Service) -> bool {
        matches!(service.role, Role::Service | Role::Base)
            && self.settings().is_some_and(|settings| settings.strategy == Strategy::Rolling)
    }

    /// Which version a service's pods are of, as a label's value.
    pub(super) fn id(&self, service: &Service) -> String {
        if self.is_rolling(service) { ONE_FOR_ALL.to_owned() } else { service.id.short() }
    }

    /// The name of a service's workload and Service.
    pub(super) fn workload(&self, service: &Service) -> String {
        names::workload(service, &self.id(service))
    }
}
