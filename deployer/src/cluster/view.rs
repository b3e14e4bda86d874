//! What the cluster looks like, kept up to date by watches.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Event as Told, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::ListParams;
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Cluster;
use crate::error::{Error, Result};
use crate::names::{self, Component};

/// Objects of one kind, by name.
pub(crate) type Named<K> = BTreeMap<String, Arc<K>>;

/// What was observed. Deployments, Services, StatefulSets, Jobs, CronJobs and policies are all of the namespace's, so that
/// somebody else's are seen before anything is done; pods and endpoints are ours.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed {
    pub(crate) deployments: Named<Deployment>,
    pub(crate) stateful_sets: Named<StatefulSet>,
    pub(crate) services: Named<Service>,
    pub(crate) jobs: Named<Job>,
    pub(crate) cron_jobs: Named<CronJob>,
    pub(crate) policies: Named<NetworkPolicy>,
    pub(crate) claims: Named<PersistentVolumeClaim>,
    pub(crate) pods: Named<Pod>,
    pub(crate) slices: Named<EndpointSlice>,
    /// What the cluster tells of the namespace's objects, but for what is told of everything that goes well.
    pub(crate) events: Named<Told>,
    /// What was told already when the view began: the version of each event.
    pub(crate) told: Arc<BTreeMap<String, String>>,
    /// When the view began: who begins anew waits anew.
    pub(crate) since: Option<Timestamp>,
    /// For how long pulling an image may fail; as everything else where nothing is said.
    pub(crate) pull_grace: Option<Duration>,
}

/// A kind that is observed.
pub(crate) trait Observable:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// Where it is kept.
    fn of(observed: &mut Observed) -> &mut Named<Self>;
    /// Which of the namespace's are observed; all by default.
    fn selector(_cluster: &str) -> Option<String> {
        None
    }
    /// Which of these, by their fields.
    fn fields() -> Option<String> {
        None
    }
}

/// What is told of every pod that is well, and would be most of all that is told.
const USUAL: &[&str] = &[
    "BackOff",
    "Completed",
    "Created",
    "Killing",
    "Pulled",
    "Pulling",
    "ScalingReplicaSet",
    "Scheduled",
    "Started",
    "SuccessfulCreate",
    "SuccessfulDelete",
    "Unhealthy",
];

impl Observable for Told {
    fn of(observed: &mut Observed) -> &mut Named<Self> {
        &mut observed.events
    }
    fn fields() -> Option<String> {
        Some(USUAL.iter().map(|reason| format!("reason!={reason}")).collect::<Vec<_>>().join(","))
    }
}

macro_rules! observable {
    ($($kind:ty: $field:ident $(, $selector:expr)?;)*) => {
        $(impl Observable for $kind {
            fn of(observed: &mut Observed) -> &mut Named<Self> {
                &mut observed.$field
            }
            $(fn selector(cluster: &str) -> Option<String> {
                Some($selector(cluster))
            })?
        })*
    };
}

observable! {
    Deployment: deployments;
    StatefulSet: stateful_sets;
    Service: services;
    Job: jobs;
    CronJob: cron_jobs;
    NetworkPolicy: policies;
    PersistentVolumeClaim: claims, names::selector;
    Pod: pods, names::selector;
    // The controller copies a Service's labels onto the slices that it makes.
    EndpointSlice: slices, |cluster| format!("{}={cluster},{}={}", names::PART_OF, names::COMPONENT, Component::Entry.as_str());
}

impl Observed {
    /// Whether something was told since the view began.
    pub(crate) fn is_news(&self, event: &Told) -> bool {
        self.told.get(&event.name_any()) != Some(&event.resource_version().unwrap_or_default())
    }

    /// What a plan needs to see, read once; Jobs are not among it, as hardly any plan asks for them.
    pub(crate) async fn read(cluster: &Cluster) -> Result<Self> {
        let mut observed = Self::default();
        let (deployments, services, stateful_sets, cron_jobs, policies, pods, claims) = tokio::try_join!(
            list::<Deployment>(cluster),
            list::<Service>(cluster),
            list::<StatefulSet>(cluster),
            list::<CronJob>(cluster),
            list::<NetworkPolicy>(cluster),
            list::<Pod>(cluster),
            list::<PersistentVolumeClaim>(cluster),
        )?;
        observed.claims = claims;
        observed.cron_jobs = cron_jobs;
        observed.policies = policies;
        observed.deployments = deployments;
        observed.services = services;
        observed.stateful_sets = stateful_sets;
        observed.pods = pods;
        Ok(observed)
    }
}

/// All objects of a kind that are observed, read once.
pub(crate) async fn list<K: Observable>(cluster: &Cluster) -> Result<Named<K>> {
    let mut parameters = ListParams::default();
    if let Some(selector) = K::selector(cluster.name()) {
        parameters = parameters.labels(&selector);
    }
    let list = cluster.api::<K>().list(&parameters).await;
    let list = list.map_err(|error| Error::cluster(format!("reading the {}", K::plural(&())), &error))?;
    Ok(list.items.into_iter().map(|object| (object.name_any(), Arc::new(object))).collect())
}

/// A view that is kept up to date until it is dropped.
pub(crate) struct View {
    observed: Arc<Mutex<Observed>>,
    changed: watch::Receiver<u64>,
    trouble: watch::Receiver<Option<String>>,
    _tasks: JoinSet<()>,
}

impl View {
    /// Starts watching, and returns when everything was seen once.
    pub(crate) async fn start(cluster: &Cluster) -> Result<Self> {
        let observed = Arc::new(Mutex::new(Observed::default()));
        let (change, changed) = watch::channel(0);
        let (tell, trouble) = watch::channel(None);
        let (seen, mut all_seen) = watch::channel(0_usize);
        let mut tasks = JoinSet::new();
        let shared = Shared { observed: Arc::clone(&observed), change, tell, seen };
        follow::<Deployment>(cluster, &shared, &mut tasks);
        follow::<StatefulSet>(cluster, &shared, &mut tasks);
        follow::<Service>(cluster, &shared, &mut tasks);
        follow::<Job>(cluster, &shared, &mut tasks);
        follow::<CronJob>(cluster, &shared, &mut tasks);
        follow::<NetworkPolicy>(cluster, &shared, &mut tasks);
        follow::<PersistentVolumeClaim>(cluster, &shared, &mut tasks);
        follow::<Pod>(cluster, &shared, &mut tasks);
        follow::<EndpointSlice>(cluster, &shared, &mut tasks);
        follow::<Told>(cluster, &shared, &mut tasks);
        let kinds = tasks.len();
        let first = tokio::time::timeout(Duration::from_secs(30), all_seen.wait_for(|seen| *seen >= kinds)).await;
        if !matches!(first, Ok(Ok(_))) {
            let why = trouble.borrow().clone().unwrap_or_else(|| "no answer within 30 seconds".to_owned());
            return Err(Error::Cluster { what: format!("watching the namespace {}", cluster.namespace()), why });
        }
        {
            let mut observed = lock(&observed);
            let version = |event: &Arc<Told>| event.resource_version().unwrap_or_default();
            observed.told =
                Arc::new(observed.events.iter().map(|(name, event)| (name.clone(), version(event))).collect());
            observed.since = Some(Timestamp::now());
            observed.pull_grace = cluster.pull_grace();
        }
        Ok(Self { observed, changed, trouble, _tasks: tasks })
    }

    /// What is seen now.
    pub(crate) fn now(&self) -> Observed {
        lock(&self.observed).clone()
    }

    /// Asks `question` now and after every change, until it has an answer. It is also asked every second,
    /// for questions that time answers.
    pub(crate) async fn until<T>(&self, mut question: impl FnMut(&Observed) -> Option<T>) -> T {
        let mut changed = self.changed.clone();
        loop {
            changed.borrow_and_update();
            let answer = question(&lock(&self.observed));
            if let Some(answer) = answer {
                return answer;
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), changed.changed()).await;
        }
    }

    /// Why the view may be old, if it is.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }
}

#[derive(Clone)]
struct Shared {
    observed: Arc<Mutex<Observed>>,
    change: watch::Sender<u64>,
    tell: watch::Sender<Option<String>>,
    seen: watch::Sender<usize>,
}

fn lock(observed: &Mutex<Observed>) -> std::sync::MutexGuard<'_, Observed> {
    // What panicked while holding it changed one entry at most.
    observed.lock().unwrap_or_else(PoisonError::into_inner)
}

fn follow<K: Observable>(cluster: &Cluster, shared: &Shared, tasks: &mut JoinSet<()>) {
    let config = watcher::Config {
        label_selector: K::selector(cluster.name()),
        field_selector: K::fields(),
        ..watcher::Config::default()
    };
    let shared = shared.clone();
    let stream = watcher::watcher(cluster.api::<K>(), config);
    tasks.spawn(async move {
        let mut stream = std::pin::pin!(kube::runtime::WatchStreamExt::default_backoff(stream));
        let mut first = true;
        let mut anew: Named<K> = Named::new();
        while let Some(event) = stream.next().await {
            match event {
                Ok(Event::Apply(object)) => {
                    K::of(&mut lock(&shared.observed)).insert(object.name_any(), Arc::new(object));
                }
                Ok(Event::Delete(object)) => {
                    K::of(&mut lock(&shared.observed)).remove(&object.name_any());
                }
                Ok(Event::Init) => anew.clear(),
                Ok(Event::InitApply(object)) => {
                    anew.insert(object.name_any(), Arc::new(object));
                    continue;
                }
                Ok(Event::InitDone) => {
                    *K::of(&mut lock(&shared.observed)) = std::mem::take(&mut anew);
                    if std::mem::take(&mut first) {
                        shared.seen.send_modify(|seen| *seen += 1);
                    }
                }
                Err(error) => {
                    shared.tell.send_replace(Some(error.to_string()));
                    continue;
                }
            }
            shared.tell.send_if_modified(|trouble| trouble.take().is_some());
            shared.change.send_modify(|change| *change += 1);
        }
    });
}
