//! Clusters that end by themselves: each has a namespace of its own, which is made when it begins and goes when it ends.
//!
//! Where all of one kind are at home (`clusters.pr.namespace`), a Job for each says by its name which one it is, by an annotation in
//! which namespace it lives, and by its deadline when it ends. It is made first and by its name, so that of two who begin the
//! same cluster at once both go on with the one that is there. Everything else hangs on it ([`make`]).
//!
//! Or an administrator has prepared namespaces for them ([`pool`]): then the Job is in the namespace itself, which stays.

mod bounds;
mod certificate;
mod claim;
mod end;
mod grant;
pub(crate) mod make;
mod name;
pub(crate) mod overview;
pub(crate) mod pool;
mod source;
mod take;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ListParams, ObjectMeta};

pub(crate) use bounds::{Bounds, bound, bounds};
pub(crate) use certificate::certificate;
pub(crate) use claim::{Claim, deadline};
pub(crate) use name::Name;
pub(crate) use source::given;

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::names::{self, Component};
use crate::settings::{Global, Life, Settings};
use overview::{Entry, overview};

/// The longest time that a cluster may have: a year. More seconds than some number are a time that no clock of Kubernetes can
/// tell.
pub(crate) const LONGEST: u64 = 366 * 24 * 3600;

/// Why nothing is borrowed from a pool: who is let in is known by a label of a namespace that komandan makes, and these are an
/// administrator's.
pub(crate) const NO_OVERLAYS: &str = "what lives in a pool borrows nothing: a cluster that lends lets namespaces in that komandan \
                                      made. Leave `--from` out for a whole cluster";

/// Where clusters of one kind are at home.
#[derive(Clone)]
pub(crate) struct Home {
    cluster: Cluster,
    /// The namespaces that are there for clusters; none where each makes its own.
    pool: Vec<String>,
}

/// Connects to the cluster that a command is about: to one that ends by itself where it lives now.
pub(crate) async fn connect(global: &Global) -> Result<Cluster> {
    let settings = global.settings_without_graph()?;
    match settings.life {
        Life::Permanent => Cluster::connect(&settings).await,
        Life::Kind => Err(which(&settings)),
        Life::Transient { .. } => {
            let home = Home::connect(&settings).await?;
            let claim = home.claim().await?.ok_or_else(|| home.nobody())?;
            Ok(home.of(&claim))
        }
    }
}

/// Where the cluster is that a command is about, for those that connect themselves. The settings of clusters that end by themselves
/// are at their home.
pub(crate) async fn located(global: &Global) -> Result<Settings> {
    let settings = global.settings_without_graph()?;
    let Life::Transient { .. } = settings.life else { return Ok(settings) };
    let home = Home::connect(&settings).await?;
    let claim = home.claim().await?.ok_or_else(|| home.nobody())?;
    Ok(Settings { namespace: claim.namespace, ..settings })
}

/// None of the clusters that share these settings was named.
pub(crate) fn which(settings: &Settings) -> Error {
    Error::Usage(format!(
        "which of the clusters of {} is meant? Say --pr N or --name NAME; `komandan list` shows them",
        settings.cluster
    ))
}

impl Home {
    /// Connects. Nothing is asked of the API yet.
    pub(crate) async fn connect(settings: &Settings) -> Result<Self> {
        Ok(Self { cluster: Cluster::connect(settings).await?, pool: settings.pool.clone() })
    }

    /// The home of the one cluster that a command is about, by the name that stands first on its command line or by the options.
    pub(crate) async fn of_one(global: &Global, first: Option<&str>) -> Result<Self> {
        let global = match first {
            Some(first) => &Global { named: Some(first.to_owned()), ..global.clone() },
            None => global,
        };
        let settings = global.settings_without_graph()?;
        match settings.life {
            Life::Transient { .. } => Self::connect(&settings).await,
            Life::Permanent | Life::Kind => Err(Error::Usage(
                "say which cluster that ends by itself is meant: its name, or --pr N; `komandan list` shows them"
                    .to_owned(),
            )),
        }
    }

    /// The home itself, as who asks for the cluster sees it.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The cluster of a claim.
    pub(crate) fn of(&self, claim: &Claim) -> Cluster {
        if self.has_pool() {
            return self.anchored(claim);
        }
        self.cluster.at(&claim.name, &claim.namespace)
    }

    /// What is written down of the cluster, if it is there and not over.
    pub(crate) async fn claim(&self) -> Result<Option<Claim>> {
        if self.has_pool() {
            return Ok(self.claims_of_name().await?.into_iter().find(|claim| claim.is_settled));
        }
        let Some(job) = self.found().await? else { return Ok(None) };
        if claim::is_over(&job) {
            return Ok(None);
        }
        Claim::of(&job).map(Some).ok_or_else(|| self.not_understood())
    }

    /// All clusters that are at home here, those that go last.
    pub(crate) async fn clusters(&self) -> Result<Vec<Entry>> {
        if self.has_pool() {
            return self.clusters_of_pool().await;
        }
        let (jobs, namespaces) = tokio::try_join!(self.jobs(), self.namespaces())?;
        let claims: Vec<Claim> = jobs.iter().filter_map(Claim::of).collect();
        Ok(overview(&claims, &namespaces))
    }

    /// The Jobs of all clusters that are not over.
    async fn jobs(&self) -> Result<Vec<Job>> {
        let found = self.cluster.api::<Job>().list(&selected(Component::End, &[])).await;
        let found = found.map_err(|error| Error::cluster("asking which clusters there are", &error))?;
        Ok(found.items.into_iter().filter(|job| !claim::is_over(job)).collect())
    }

    /// The namespaces of all clusters that are at home here, also of those that are over.
    async fn namespaces(&self) -> Result<Vec<Namespace>> {
        let home = format!("{}={}", names::HOME, self.cluster.namespace());
        let found = self.cluster.api_of_all::<Namespace>().list(&selected(Component::Transient, &[home])).await;
        Ok(found.map_err(|error| Error::cluster("asking for the namespaces of clusters", &error))?.items)
    }

    /// There is no cluster of the name.
    pub(crate) fn nobody(&self) -> Error {
        Error::Usage(format!(
            "there is no cluster {} (or it is over already): `komandan list` shows those that are there",
            self.cluster.name()
        ))
    }
}

/// Everything of ours that is for one thing.
fn selected(component: Component, more: &[String]) -> ListParams {
    let mut selector = format!("{}={},{}={}", names::MANAGED_BY, names::MANAGER, names::COMPONENT, component.as_str());
    for more in more {
        selector.push(',');
        selector.push_str(more);
    }
    ListParams::default().labels(&selector)
}

fn annotation<'m>(metadata: &'m ObjectMeta, name: &str) -> Option<&'m str> {
    metadata.annotations.as_ref()?.get(name).map(String::as_str)
}
