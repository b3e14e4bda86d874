//! One cluster's namespace on a Kubernetes API.

pub(crate) mod anchor;
pub(crate) mod applyset;
pub(crate) mod ensure;
pub(crate) mod fields;
pub(crate) mod left;
pub(crate) mod lock;
pub(crate) mod owner;
pub(crate) mod patience;
pub(crate) mod pods;
pub(crate) mod rights;
mod secrets;
pub(crate) mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clustergraph::format::service::Security;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource};
use serde_json::json;
use tower::BoxError;
use tower::buffer::BufferLayer;
use tower::filter::FilterLayer;
use tower::limit::ConcurrencyLimitLayer;
use tower::retry::RetryLayer;

pub(crate) use ensure::{Condition, Guard};

use crate::error::{Error, Result};
use crate::fault;
use crate::names;
use crate::settings::Settings;
use fields::Takes;
use patience::{Patience, Tenure};

/// Requests in flight at once. The client itself has no limit, and the API server's fairness queues beyond.
const IN_FLIGHT: usize = 32;

/// The label by which a namespace says which pods it takes.
pub(crate) const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// What every change of an object says: who makes it.
pub(crate) fn as_manager() -> PatchParams {
    PatchParams { field_manager: Some(names::MANAGER.to_owned()), ..PatchParams::default() }
}

/// A connection to one cluster's namespace.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    name: String,
    namespace: String,
    requests: Arc<AtomicU64>,
    pull_grace: Option<Duration>,
    tenure: Tenure,
    takes: Takes,
    /// What owns all that is made, where the namespace stays when its cluster ends.
    anchor: Option<OwnerReference>,
}

impl Cluster {
    /// Connects as `kubectl` would. Nothing is asked of the API yet.
    pub(crate) async fn connect(settings: &Settings) -> Result<Self> {
        let options = KubeConfigOptions { context: settings.context.clone(), ..KubeConfigOptions::default() };
        let config = match (Kubeconfig::read(), &settings.context) {
            (Ok(file), _) => Config::from_custom_kubeconfig(file, &options).await.map_err(|error| error.to_string()),
            // Inside a cluster there is no kubeconfig, but an account.
            (Err(error), None) => Config::incluster().map_err(|_| error.to_string()),
            (Err(error), Some(_)) => Err(error.to_string()),
        };
        let mut config = config.map_err(|why| Error::Cluster {
            what: "finding the Kubernetes API".to_owned(),
            why: format!("{why}. Set KUBECONFIG, or choose a context with --context"),
        })?;
        let requests = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&requests);
        let count = FilterLayer::new(move |request: http::Request<Body>| {
            counter.fetch_add(1, Ordering::Relaxed);
            if request.method() != http::Method::GET {
                fault::before_write();
            }
            rights::check(request.method(), request.uri()).map(|()| request).map_err(BoxError::from)
        });
        let tenure = Tenure::default();
        let held = tenure.clone();
        let hold = FilterLayer::new(move |request: http::Request<Body>| {
            held.check(request.method()).map(|()| request).map_err(BoxError::from)
        });
        // Ours waits for more, and asks the lock before each try.
        config.default_retry = false;
        let builder = ClientBuilder::try_from(config).map_err(|error| Error::cluster("connecting", &error))?;
        let client = builder
            .with_layer(&hold)
            .with_layer(&BufferLayer::new(IN_FLIGHT))
            .with_layer(&RetryLayer::new(Patience::default()))
            .with_layer(&count)
            .with_layer(&ConcurrencyLimitLayer::new(IN_FLIGHT))
            .build();
        let (name, namespace) = (settings.cluster.clone(), settings.namespace.clone());
        let (pull_grace, takes) = (settings.pull_grace, Takes::default());
        Ok(Self { client, name, namespace, requests, pull_grace, tenure, takes, anchor: None })
    }

    /// The same, with what it may set although somebody else has set it otherwise.
    pub(crate) fn taking(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }

    /// The same connection, for another cluster.
    pub(crate) fn at(&self, name: &str, namespace: &str) -> Self {
        Self { name: name.to_owned(), namespace: namespace.to_owned(), anchor: None, ..self.clone() }
    }

    /// The cluster's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// For how long pulling an image may fail, where clustergraph.yaml says it.
    pub(crate) fn pull_grace(&self) -> Option<Duration> {
        self.pull_grace
    }

    /// How many requests were made so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The objects of one kind in the namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The objects of one kind that are in no namespace.
    pub(crate) fn api_of_all<K>(&self) -> Api<K>
    where
        K: Resource<Scope = ClusterResourceScope>,
        K::DynamicType: Default,
    {
        Api::all(self.client.clone())
    }

    /// Asks the API server for something that is no object, with the headers of its answer.
    pub(crate) async fn get(&self, path: &str) -> kube::Result<http::Response<Body>> {
        let request = http::Request::get(path).body(Body::empty()).map_err(kube::Error::HttpError)?;
        self.client.send(request).await
    }

    /// Whether we made an object, for this very cluster.
    pub(crate) fn owns(&self, metadata: &ObjectMeta) -> bool {
        owner::is_ours(metadata, &self.name, &self.namespace)
    }

    /// Makes sure that the namespace exists. One that we make only takes pods of this level; one that we made for a
    /// stricter one takes this level from now on, and is not made stricter again: former versions are in it.
    pub(crate) async fn ensure_namespace(&self, level: Security) -> Result<()> {
        let api = Api::<Namespace>::all(self.client.clone());
        let found = match api.get_opt(&self.namespace).await {
            // For a permanent cluster the rights of one namespace are enough, and reading it is not among them.
            Err(kube::Error::Api(status)) if status.code == 403 => return Ok(()),
            found => {
                found.map_err(|error| Error::cluster(format!("reading the namespace {}", self.namespace), &error))?
            }
        };
        let enforced = enforced(level);
        if let Some(found) = found {
            return match level {
                Security::Baseline if is_restricted_by_us(self, &found.metadata) => self.relax(&found.metadata).await,
                _ => Ok(()),
            };
        }
        let labels = [(names::MANAGED_BY, names::MANAGER), (names::PART_OF, self.name.as_str()), (ENFORCE, enforced)];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(self.namespace.clone()),
                labels: Some(labels.map(owned).into()),
                annotations: Some([owned((names::CREATED, names::MANAGER))].into()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        match api.create(&PostParams::default(), &namespace).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(Error::cluster(format!("making the namespace {}", self.namespace), &error)),
        }
    }

    /// Lets pods of the baseline into a namespace that we made.
    async fn relax(&self, live: &ObjectMeta) -> Result<()> {
        let change = Patch::Merge(json!({
            "metadata": { "resourceVersion": live.resource_version, "labels": { (ENFORCE): "baseline" } },
        }));
        let patched = Api::<Namespace>::all(self.client.clone()).patch(&self.namespace, &as_manager(), &change).await;
        let what = || format!("letting pods of `security: baseline` into the namespace {}", self.namespace);
        patched.map(drop).map_err(|error| Error::cluster(what(), &error))
    }

    /// Deletes the namespace if we made it. `true` when it goes.
    pub(crate) async fn delete_namespace(&self) -> Result<bool> {
        let api = Api::<Namespace>::all(self.client.clone());
        let found = match api.get_opt(&self.namespace).await {
            Err(kube::Error::Api(status)) if status.code == 403 => return Ok(false),
            found => {
                found.map_err(|error| Error::cluster(format!("reading the namespace {}", self.namespace), &error))?
            }
        };
        let Some(found) = found else { return Ok(false) };
        let made = found.metadata.annotations.as_ref().and_then(|annotations| annotations.get(names::CREATED));
        if !self.owns(&found.metadata) || made.is_none() {
            return Ok(false);
        }
        let condition = Condition::of(&found.metadata);
        api.delete(&self.namespace, &condition.parameters())
            .await
            .map_err(|error| Error::cluster(format!("deleting the namespace {}", self.namespace), &error))?;
        Ok(true)
    }
}

/// A level as a namespace says it.
pub(crate) fn enforced(level: Security) -> &'static str {
    match level {
        Security::Restricted => "restricted",
        Security::Baseline => "baseline",
    }
}

fn is_restricted_by_us(cluster: &Cluster, namespace: &ObjectMeta) -> bool {
    let made = namespace.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(names::CREATED));
    let enforced = namespace.labels.as_ref().and_then(|labels| labels.get(ENFORCE)).map(String::as_str);
    made && cluster.owns(namespace) && enforced == Some("restricted")
}
