//! Jobs of checks: made without a lock, since nobody else's are touched; looked at until they are over; their words read.

pub(crate) mod ended;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::io::AsyncReadExt;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{LogParams, ObjectMeta, Patch, PostParams};
use serde_json::json;

use crate::cluster::Cluster;
use crate::cluster::as_manager;
use crate::cluster::view::View;
use crate::commands::logs::printable;
use crate::error::{Error, Result};
use crate::health::{self, Cause, Progress};
use crate::names;
use crate::render::Object;

/// How many lines of a log are shown.
const LAST_WORDS: i64 = 20;
/// How much of them, in bytes.
const MOST_WORDS: i64 = 64 * 1024;
/// How much longer a Job may last than it is waited for, in seconds: its last words are read before it goes. It ends all the same
/// where nobody waits any more.
const LONGER: u64 = 30;

/// The Jobs that a command has made and that are not taken away yet: whoever interrupts it takes them along.
pub(crate) struct Jobs<'c> {
    pub(crate) cluster: &'c Cluster,
    pub(crate) view: &'c View,
    made: Mutex<BTreeMap<String, ObjectMeta>>,
}

/// How a Job came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It ran as far as it could.
    Over,
    /// It took longer than it may.
    Late,
    /// Waiting will not let it run.
    Blocked(Cause),
    /// Somebody took it away.
    Gone,
}

/// How long the Job of a check may take that is waited for so long, in seconds.
pub(crate) fn deadline(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(LONGER)
}

/// What tells the Jobs of one command from all others.
pub(crate) fn mark() -> String {
    hex::encode(rand::random::<[u8; 4]>())
}

impl<'c> Jobs<'c> {
    /// No Jobs yet.
    pub(crate) fn new(cluster: &'c Cluster, view: &'c View) -> Self {
        Self { cluster, view, made: Mutex::default() }
    }

    /// Makes a Job. Somebody else's of that name is refused.
    pub(crate) async fn make(&self, object: &Object) -> Result<ObjectMeta> {
        let mut job: Job = typed(object)?;
        job.metadata.owner_references = self.cluster.anchors();
        let api = self.cluster.api::<Job>();
        let what = format!("Job {}", object.name());
        let made = match api.create(&parameters(), &job).await {
            Ok(made) => made.metadata,
            Err(kube::Error::Api(status)) if status.code == 409 => {
                // Nobody else has this name: where it is ours, only the answer got lost.
                let found = api.get_metadata_opt(object.name()).await;
                let found = found.map_err(|error| Error::cluster(format!("reading {what}"), &error))?;
                let found = found
                    .ok_or_else(|| Error::Locked(format!("{what} came and went while this ran. Run this again")))?;
                self.cluster.refuse_foreign(&what, &found.metadata)?;
                found.metadata
            }
            Err(error) => return Err(Error::cluster(format!("making {what}"), &error)),
        };
        self.lock().insert(object.name().to_owned(), made.clone());
        Ok(made)
    }

    /// Lets a Job have so many pods at once that was made without any.
    pub(crate) async fn begin(&self, job: &ObjectMeta, pods: usize) -> Result<()> {
        let name = job.name.clone().unwrap_or_default();
        let change = Patch::Merge(json!({ "metadata": { "uid": job.uid }, "spec": { "parallelism": pods } }));
        let begun = self.cluster.api::<Job>().patch(&name, &as_manager(), &change).await;
        begun.map(drop).map_err(|error| Error::cluster(format!("beginning Job {name}"), &error))
    }

    /// Makes something that goes with a Job.
    pub(crate) async fn make_beside(&self, map: &ConfigMap) -> Result<()> {
        let name = map.metadata.name.clone().unwrap_or_default();
        let what = format!("ConfigMap {name}");
        match self.cluster.api::<ConfigMap>().create(&parameters(), map).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let found = self.cluster.api::<ConfigMap>().get_opt(&name).await;
                let found = found.map_err(|error| Error::cluster(format!("reading {what}"), &error))?;
                found.map_or(Ok(()), |found| self.cluster.refuse_foreign(&what, &found.metadata))
            }
            Err(error) => Err(Error::cluster(format!("making {what}"), &error)),
        }
    }

    /// Waits until a Job is over, or so long, telling how it stands.
    pub(crate) async fn end(&self, job: &ObjectMeta, wait: Duration, mut tell: impl FnMut(&Job, &str)) -> End {
        let name = job.name.clone().unwrap_or_default();
        let mut seen = false;
        let end = self.view.until(|observed| {
            let Some(live) = observed.jobs.get(&name).filter(|live| live.metadata.uid == job.uid) else {
                return seen.then_some(End::Gone);
            };
            seen = true;
            match health::job_end(live) {
                Some(false) if ended::is_late(live) => return Some(End::Late),
                Some(_) => return Some(End::Over),
                None => {}
            }
            match health::job(observed, &name, Timestamp::now()) {
                Progress::Ready => Some(End::Over),
                Progress::Failed(cause) => Some(End::Blocked(cause)),
                Progress::Waiting(why) => {
                    tell(live, &why);
                    None
                }
            }
        });
        tokio::time::timeout(wait, end).await.unwrap_or(End::Late)
    }

    /// Takes a Job away, with its pods. It is no harm if it stays: it goes by itself.
    pub(crate) async fn remove(&self, job: &ObjectMeta) {
        let name = job.name.clone().unwrap_or_default();
        let found = self.cluster.api::<Job>().get_metadata_opt(&name).await;
        if let Ok(Some(found)) = found
            && found.metadata.uid == job.uid
        {
            let _ = self.cluster.remove::<Job>(&found.metadata).await;
        }
        self.lock().remove(&name);
    }

    /// Takes away all that are left: nobody waits for them any more.
    pub(crate) async fn remove_all(&self) {
        let left: Vec<ObjectMeta> = self.lock().values().cloned().collect();
        futures_util::future::join_all(left.iter().map(|job| self.remove(job))).await;
    }

    /// Leaves a Job for its log: it goes by itself.
    pub(crate) fn leave(&self, job: &ObjectMeta) {
        self.lock().remove(job.name.as_deref().unwrap_or_default());
    }

    /// What a container has written, up to so many bytes; nothing where it cannot be read any more.
    pub(crate) async fn log(&self, pod: &str, parameters: &LogParams) -> Option<Vec<u8>> {
        let limit = parameters.limit_bytes.and_then(|most| u64::try_from(most).ok()).unwrap_or(u64::MAX);
        let reader = self.cluster.api::<Pod>().log_stream(pod, parameters).await.ok()?;
        let mut bytes = Vec::new();
        std::pin::pin!(reader).take(limit).read_to_end(&mut bytes).await.ok()?;
        Some(bytes)
    }

    /// The last lines of a container; empty where it wrote none.
    pub(crate) async fn last_words(&self, pod: &str, container: &str) -> Vec<String> {
        let parameters = LogParams {
            container: Some(container.to_owned()),
            tail_lines: Some(LAST_WORDS),
            limit_bytes: Some(MOST_WORDS),
            ..LogParams::default()
        };
        let bytes = self.log(pod, &parameters).await.unwrap_or_default();
        let mut lines: Vec<String> = bytes.split(|byte| *byte == b'\n').map(printable).collect();
        while lines.last().is_some_and(|line| line.trim().is_empty()) {
            lines.pop();
        }
        lines
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, ObjectMeta>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An object of ours as the client's type of it.
fn typed(object: &Object) -> Result<Job> {
    serde_json::from_value(object.body.clone())
        .map_err(|error| Error::Store(format!("the Job {} cannot be made of what is stored: {error}", object.name())))
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(names::MANAGER.to_owned()), dry_run: false }
}
