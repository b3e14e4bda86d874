//! Runs tasks: one Job each, whose good end is written down.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::api::Patch;
use serde_json::json;

use super::{Work, node};
use crate::cluster::as_manager;
use crate::console;
use crate::error::{Error, Result};
use crate::fault;
use crate::health;
use crate::render::{Kind, Object};
use crate::session::Session;
use crate::store::databases::State;
use crate::store::record::{Node, Record};
use crate::store::tasks::{Done, Tasks};

/// How long the Job of a task that is over stays for its log, in seconds.
const KEPT: u32 = 3600;

impl Work<'_> {
    /// Runs a task, or awaits the Job that runs it already, and writes down that it ended well.
    pub(super) async fn task(
        &self,
        name: &str,
        version: &Node,
        objects: &[Object],
        shown: &mut console::Step,
    ) -> Result<String> {
        let session = self.session;
        let wanted = objects.iter().find(|object| object.kind() == "Job");
        let wanted = wanted.ok_or_else(|| Error::Store(format!("there is no Job to run {name} with")))?;
        let volumes = Tasks::volumes(name, self.target, &session.view.now());
        let had_run = self.tasks(async |tasks| Ok(tasks.value.0.contains_key(&Tasks::key(name, version)))).await?;
        if let Some(old) = session.view.now().jobs.get(wanted.name()).cloned() {
            session.cluster.refuse_foreign(&format!("Job {}", wanted.name()), &old.metadata)?;
            // One that failed, or that ended well with other data than is there now, says nothing of this run.
            if health::job_end(&old) == Some(false) || had_run {
                shown.doing("removing the former Job");
                session.cluster.remove::<Job>(&old.metadata).await?;
                session.view.until(|observed| (!observed.jobs.contains_key(wanted.name())).then_some(())).await;
            }
        }
        if !session.view.now().jobs.contains_key(wanted.name()) {
            for object in objects.iter().filter(|object| !object.is_watched()) {
                node::beside(session, object, None).await?;
            }
            let made = session.cluster.ensure(wanted, None, session.guard).await?;
            fault::point("task-made");
            let is_it = |observed: &crate::cluster::view::Observed| {
                observed.jobs.get(wanted.name()).filter(|job| job.metadata.uid == made.uid).map(drop)
            };
            session.view.until(is_it).await;
        }
        self.ready(name, shown, |observed, now| health::job(observed, wanted.name(), now)).await?;
        fault::point("task-ended");
        let done = Done::new(name, version, volumes, Timestamp::now());
        self.tasks(async |tasks| {
            tasks.value.0.insert(Tasks::key(name, version), done.clone());
            session.store().save_tasks(tasks).await
        })
        .await?;
        fault::point("task-noted");
        expire(session, wanted.name()).await;
        Ok(format!("{} done", wanted.name()))
    }

    /// Reads or changes what is written down of tasks, one after the other.
    async fn tasks<T>(&self, work: impl AsyncFnOnce(&mut crate::store::Stored<Tasks>) -> Result<T>) -> Result<T> {
        let mut held = self.tasks.lock().await;
        let tasks = match held.as_mut() {
            Some(tasks) => tasks,
            None => held.insert(self.session.store().tasks().await?),
        };
        work(tasks).await
    }
}

/// Lets the Job of a task go some time after its end, which is written down. It is no harm if it stays.
async fn expire(session: &Session<'_>, job: &str) {
    let patch = Patch::Merge(json!({ "spec": { "ttlSecondsAfterFinished": KEPT } }));
    let _ = session.cluster.api::<Job>().patch(job, &as_manager(), &patch).await;
}

/// Lets the Jobs of tasks and migrations go whose good end is written down: whoever did that may have been killed before
/// more was done.
pub(super) async fn expire_ended(session: &Session<'_>, kept: &[&Record]) -> Result<()> {
    let observed = session.view.now();
    let is_left = |job: &Job| {
        let stays = job.spec.as_ref().is_some_and(|spec| spec.ttl_seconds_after_finished.is_none());
        stays && health::job_end(job) == Some(true) && session.cluster.owns(&job.metadata)
    };
    let left: BTreeSet<&str> =
        observed.jobs.iter().filter(|(_, job)| is_left(job)).map(|(name, _)| name.as_str()).collect();
    if left.is_empty() {
        return Ok(());
    }
    let store = session.store();
    let (tasks, databases) = tokio::try_join!(store.tasks(), store.databases())?;
    let nodes = kept.iter().flat_map(|record| &record.content.nodes).filter(|(_, node)| node.kind == Kind::Task);
    let noted = nodes.filter(|(name, node)| tasks.value.0.contains_key(&Tasks::key(name, node)));
    let noted = noted.map(|(_, node)| node.workload.as_str());
    let migrated = databases.value.0.values().filter(|known| known.work.state == State::Done);
    let over: BTreeSet<&str> = noted.chain(migrated.map(|known| known.work.job.as_str())).collect();
    for job in left.intersection(&over) {
        expire(session, job).await;
    }
    Ok(())
}
