//! What an overlay takes from another cluster of the same Kubernetes instead of running it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is borrowed, and of which version. Who is wired to it finds that very version, whatever the other cluster serves by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Borrowed {
    /// The cluster that lends.
    pub(crate) from: String,
    /// Its namespace.
    pub(crate) namespace: String,
    /// The number of its version.
    pub(crate) version: u64,
    /// The services of it that are called, by name.
    pub(crate) nodes: BTreeMap<String, Loan>,
}

/// One service that is lent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Loan {
    /// The name of its Deployment and Service there.
    pub(crate) workload: String,
    /// Its ports, by name.
    pub(crate) ports: BTreeMap<String, u16>,
    /// The data of the other cluster that it writes, itself or by what it calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) writes: Vec<String>,
}

impl Borrowed {
    /// Where a service is that is borrowed, from another namespace.
    pub(crate) fn host(&self, service: &str) -> Option<String> {
        self.nodes.get(service).map(|lent| format!("{}.{}.svc", lent.workload, self.namespace))
    }

    /// One of its ports.
    pub(crate) fn port(&self, service: &str, port: &str) -> Option<u16> {
        self.nodes.get(service)?.ports.get(port).copied()
    }

    /// From what: `production@12`.
    pub(crate) fn label(&self) -> String {
        format!("{}@{}", self.from, self.version)
    }
}
