//! Makes a cluster that ends by itself: first what ends it, then its namespace, which hangs on that.
//!
//! A Job without a pod has the cluster's deadline and owns a Service that leads nowhere. With its last owner the API server
//! takes a Service away, and with that the object of its address, which belongs to no namespace and therefore can own one. So a
//! namespace goes soon after the deadline, whoever runs or does not.
//!
//! Each step makes an object under a name that the Job tells, unless it is there. So it makes no difference who does it: whoever
//! was killed in between left what the next one goes on with, or what the deadline ends.

use std::time::Duration;

use clustergraph::format::service::Security;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::networking::v1::IPAddress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::api::{ObjectMeta, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Claim, Home, Name, annotation, claim};
use crate::cluster::lock;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::names::{self, Component};
use crate::overlay::Base;
use crate::render::warm::clock;

/// How often it is begun anew, where what is there is about to go, and how long it is waited for each time.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(250);
/// Annotations of the home that say where pods run (the admission plugins PodNodeSelector and PodTolerationRestriction): they
/// hold for the namespaces made from it.
const WHERE_PODS_RUN: &str = "scheduler.alpha.kubernetes.io/";
/// The group and version of addresses as objects: Kubernetes 1.33 and newer have them.
const ADDRESSES: &str = "/apis/networking.k8s.io/v1";

/// What is to be made.
pub(crate) struct New<'n> {
    pub(crate) name: &'n Name,
    /// What clustergraph.yaml calls its settings.
    pub(crate) kind: &'n str,
    /// After how many seconds it ends.
    pub(crate) ttl: u64,
    /// Which pods its namespace takes.
    pub(crate) security: Security,
    /// From whom it borrows, where it is an overlay.
    pub(crate) from: Option<&'n Base>,
}

impl Home {
    /// The cluster, as it is, or made: with a namespace that is not on its way out.
    pub(crate) async fn make(&self, new: &New<'_>, console: &Console) -> Result<Claim> {
        if self.has_pool() {
            return self.take(new, console).await;
        }
        let step = console.step("namespace", "making what ends it");
        let mut home_is_known = false;
        for _ in 0..TRIES {
            let claim = match self.found().await? {
                Some(job) if claim::is_over(&job) => {
                    // It takes a moment to go, and its name with it; the namespace that it ends is not waited for.
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Some(job) => Claim::of(&job).ok_or_else(|| self.not_understood())?,
                None => {
                    if !std::mem::replace(&mut home_is_known, true) {
                        let home = self.cluster.namespace();
                        self.cluster.at(new.kind, home).ensure_namespace(Security::Restricted).await?;
                    }
                    match self.begin(new).await? {
                        Some(job) => Claim::of(&job).ok_or_else(|| self.not_understood())?,
                        // Somebody else began it at the same moment.
                        None => continue,
                    }
                }
            };
            if self.ensure_namespace_of(&claim, new.security, console).await? {
                step.done(&format!("{}, until {}", claim.namespace, claim.ends));
                return Ok(claim);
            }
            // Its namespace was deleted, or is somebody else's: it is begun anew, in another one.
            self.forget(&claim).await?;
        }
        Err(Error::Locked(format!(
            "{} comes and goes while this runs: somebody else ends it again and again. Run this again",
            new.name
        )))
    }

    /// Whether the namespace of a claim is there and stays.
    pub(crate) async fn lives(&self, claim: &Claim) -> Result<bool> {
        if self.has_pool() {
            return Ok(true);
        }
        let found = self.namespace(&claim.namespace).await?;
        Ok(found.is_some_and(|found| is_of(&found, claim) && found.metadata.deletion_timestamp.is_none()))
    }

    /// The Job of the name of the cluster.
    pub(super) async fn found(&self) -> Result<Option<Job>> {
        let name = self.cluster.name();
        let found = self.cluster.api::<Job>().get_opt(name).await;
        let found = found.map_err(|error| Error::cluster(format!("asking for {name}"), &error))?;
        if let Some(job) = &found {
            self.cluster.refuse_foreign(&format!("Job {name}"), &job.metadata)?;
        }
        Ok(found)
    }

    pub(super) fn not_understood(&self) -> Error {
        let name = self.cluster.name();
        Error::Store(format!(
            "the Job {name} in the namespace {} does not say which cluster it ends: it was changed by somebody else. `komandan \
             down --name {name}` ends it",
            self.cluster.namespace()
        ))
    }

    /// Makes the Job. Its name is the cluster's: of two who do so at once one is first, and the other goes on with what is there.
    async fn begin(&self, new: &New<'_>) -> Result<Option<Job>> {
        let labels = names::labels(new.name.as_str(), Component::End);
        let mut job = clock(new.name.as_str(), &labels, new.ttl);
        job["metadata"]["annotations"] = json!({
            (names::LIVES_IN): new.name.namespace(), (names::SETTINGS): new.kind, (names::AUTHOR): lock::author(),
        });
        if let Some(base) = new.from {
            job["metadata"]["annotations"][names::FROM] = json!(base.name);
            job["metadata"]["annotations"][names::FROM_NAMESPACE] = json!(base.namespace);
        }
        self.create(job, "making the Job that ends it").await
    }

    /// Makes the namespace of a claim, with what ends it. `false` when it is another cluster's, or about to go.
    async fn ensure_namespace_of(&self, claim: &Claim, security: Security, console: &Console) -> Result<bool> {
        if let Some(found) = self.namespace(&claim.namespace).await? {
            return Ok(is_of(&found, claim) && found.metadata.deletion_timestamp.is_none());
        }
        let owner = self.end(claim).await?;
        if owner.is_none() {
            console.note(&format!(
                "  this API server has no IPAddress objects (Kubernetes 1.33 and newer have them): {} does not end by itself. \
                 `komandan gc --cluster {}` ends it after its time",
                claim.name, claim.kind
            ));
        }
        let home = self.namespace(self.cluster.namespace()).await?;
        let inherited = home.and_then(|home| home.metadata.annotations).unwrap_or_default().into_iter();
        let mut annotations: serde_json::Map<String, Value> = inherited
            .filter(|(name, _)| name.starts_with(WHERE_PODS_RUN))
            .map(|(name, value)| (name, Value::String(value)))
            .collect();
        annotations.insert(names::CREATED.to_owned(), json!(names::MANAGER));
        annotations.insert(names::END.to_owned(), json!(claim.uid));
        let mut labels = names::labels(&claim.name, Component::Transient);
        labels.insert(names::HOME.to_owned(), self.cluster.namespace().to_owned());
        if let Some(base) = &claim.from {
            labels.insert(names::OVERLAY_OF.to_owned(), base.namespace.clone());
        }
        labels.insert(crate::cluster::ENFORCE.to_owned(), crate::cluster::enforced(security).to_owned());
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": claim.namespace, "labels": labels, "annotations": annotations,
                "ownerReferences": owner.into_iter().collect::<Vec<_>>(),
            },
        });
        let namespace = understood(namespace)?;
        match self.cluster.api_of_all::<Namespace>().create(&PostParams::default(), &namespace).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let found = self.namespace(&claim.namespace).await?;
                Ok(found.is_some_and(|found| is_of(&found, claim) && found.metadata.deletion_timestamp.is_none()))
            }
            Err(error) => Err(Error::cluster(format!("making the namespace {}", claim.namespace), &error)),
        }
    }

    /// What owns the namespace: the address of a Service that the Job owns. None where addresses are no objects.
    async fn end(&self, claim: &Claim) -> Result<Option<Value>> {
        if !self.has_addresses().await? {
            return Ok(None);
        }
        let anchor = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": claim.namespace, "labels": names::labels(&claim.name, Component::End),
                "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": claim.name, "uid": claim.uid }],
            },
            // No pod is meant, and no port is called.
            "spec": { "type": "ClusterIP", "ports": [{ "name": "none", "port": 1, "protocol": "TCP" }] },
        });
        let name = claim.namespace.as_str();
        let anchor: Service = match self.create(anchor, "making what leads to its end").await? {
            Some(made) => made,
            None => {
                let found = self.cluster.api::<Service>().get(name).await;
                let found = found.map_err(|error| Error::cluster(format!("reading the Service {name}"), &error))?;
                self.cluster.refuse_foreign(&format!("Service {name}"), &found.metadata)?;
                found
            }
        };
        let wrong =
            |why: &str| Error::Cluster { what: format!("asking for the address of {name}"), why: why.to_owned() };
        let address = anchor.spec.and_then(|spec| spec.cluster_ip).filter(|address| address != "None");
        let address = address.ok_or_else(|| wrong("it has none"))?;
        let found = self.cluster.api_of_all::<IPAddress>().get(&address).await;
        let found = found.map_err(|error| Error::cluster(format!("asking for the address of {name}"), &error))?;
        let parent = found.spec.map(|spec| spec.parent_ref);
        if parent
            .is_none_or(|parent| parent.name != name || parent.namespace.as_deref() != Some(self.cluster.namespace()))
        {
            return Err(wrong("it is another Service's by now: run this again"));
        }
        Ok(Some(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress", "name": address, "uid": found.metadata.uid,
        })))
    }

    /// Whether the API server has addresses as objects.
    pub(crate) async fn has_addresses(&self) -> Result<bool> {
        let what = "asking which objects the API server has";
        let answer = self.cluster.get(ADDRESSES).await.map_err(|error| Error::cluster(what, &error))?;
        if answer.status() == http::StatusCode::NOT_FOUND {
            return Ok(false);
        }
        if !answer.status().is_success() {
            return Err(Error::Cluster {
                what: what.to_owned(),
                why: format!("the API server says {}", answer.status()),
            });
        }
        let body = answer.into_body().collect_bytes().await.map_err(|error| Error::cluster(what, &error))?;
        let found = serde_json::from_slice::<APIResourceList>(&body);
        let found = found.map_err(|error| Error::Cluster { what: what.to_owned(), why: error.to_string() })?;
        Ok(found.resources.iter().any(|resource| resource.kind == "IPAddress"))
    }

    /// Makes an object at home, or nothing where one of its name is there.
    async fn create<K>(&self, object: Value, what: &str) -> Result<Option<K>>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + DeserializeOwned,
    {
        let object: K = understood(object)?;
        let parameters = PostParams { field_manager: Some(names::MANAGER.to_owned()), dry_run: false };
        match self.cluster.api::<K>().create(&parameters, &object).await {
            Ok(made) => Ok(Some(made)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(Error::cluster(what, &error)),
        }
    }

    pub(super) async fn namespace(&self, name: &str) -> Result<Option<Namespace>> {
        match self.cluster.api_of_all::<Namespace>().get_opt(name).await {
            // Who has rights in the home alone need not read what it says of itself.
            Err(kube::Error::Api(status)) if status.code == 403 && name == self.cluster.namespace() => Ok(None),
            found => found.map_err(|error| Error::cluster(format!("reading the namespace {name}"), &error)),
        }
    }
}

/// Whether a namespace is the one of a claim.
fn is_of(namespace: &Namespace, claim: &Claim) -> bool {
    let metadata: &ObjectMeta = &namespace.metadata;
    annotation(metadata, names::END) == Some(claim.uid.as_str())
}

/// Our own texts, as the API's types.
pub(super) fn understood<K: DeserializeOwned>(object: Value) -> Result<K> {
    serde_json::from_value(object)
        .map_err(|error| Error::Usage(format!("an object cannot be written: {error}; please report this")))
}
