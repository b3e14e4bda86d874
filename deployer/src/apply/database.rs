//! Makes logical databases and brings their schemas up to date: one Job each, whose end is written down.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::Work;
use crate::console;
use crate::error::{Error, Result};
use crate::fault;
use crate::health;
use crate::names;
use crate::render::Logical;
use crate::store::databases::{Known, State, Work as Run};

impl Work<'_> {
    /// Lets a database's Job go, or awaits the one that was let go before, and writes down how it ended.
    pub(super) async fn database(&self, address: &str, shown: &mut console::Step) -> Result<String> {
        let logical = self.logical.get(address).ok_or_else(|| Error::Store(format!("no database {address}")))?;
        let running = {
            let databases = self.databases.lock().await;
            let known = databases.value.0.get(address);
            known
                .filter(|known| known.work.state == State::Running && self.has_job(&known.work))
                .map(|known| known.work.clone())
        };
        let run = match running {
            Some(run) => run,
            None => self.begin(address, logical, shown).await?,
        };
        fault::point("job-noted");
        self.release(&run).await?;
        fault::point("job-released");
        let look = |observed: &_, now| health::job(observed, &run.job, now);
        let outcome = self.ready(address, shown, look).await;
        match outcome {
            Ok(()) => {
                fault::point("job-ended");
                self.write(address, &run, State::Done).await?;
                fault::point("job-done-noted");
                self.expire(&run.job).await;
                Ok(if run.migration.is_some() { "made and migrated" } else { "made" }.to_owned())
            }
            Err(error) => {
                let observed = self.session.view.now();
                let job = observed.jobs.get(&run.job);
                if job.is_some_and(|job| health::migration_began(&observed, job)) {
                    self.write(address, &run, State::Failed).await?;
                    return Err(Error::Deploy(format!(
                        "{error}\nThe schema may have changed in part: check it and mend the migration, then run \
                         `komandan deploy --retry-migration`."
                    )));
                }
                // The migration never began: nothing is known to be wrong with the data.
                self.forget(address).await?;
                if let Some(job) = job {
                    self.session.cluster.remove::<Job>(&job.metadata).await?;
                }
                Err(error)
            }
        }
    }

    fn has_job(&self, run: &Run) -> bool {
        let observed = self.session.view.now();
        observed.jobs.get(&run.job).is_some_and(|job| job.metadata.uid.as_ref() == Some(&run.uid))
    }

    /// Makes the Job, held back, and writes down that it runs.
    async fn begin(&self, address: &str, logical: &Logical, shown: &mut console::Step) -> Result<Run> {
        let session = self.session;
        session.cluster.ensure_credentials(&logical.secret).await?;
        let name = logical.job.name();
        if let Some(old) = session.view.now().jobs.get(name) {
            session.cluster.refuse_foreign(&format!("Job {name}"), &old.metadata)?;
            shown.doing("removing the former Job");
            session.cluster.remove::<Job>(&old.metadata).await?;
            session.view.until(|observed| (!observed.jobs.contains_key(name)).then_some(())).await;
        }
        let metadata = session.cluster.ensure(&logical.job, None, session.guard).await?;
        fault::point("job-made");
        let run = Run {
            state: State::Running,
            job: name.to_owned(),
            uid: metadata.uid.unwrap_or_default(),
            migration: self.target.content.migrations.get(address).copied(),
            time: Timestamp::now(),
        };
        self.write(address, &run, State::Running).await?;
        Ok(run)
    }

    /// Lets a Job go that is held back.
    async fn release(&self, run: &Run) -> Result<()> {
        let session = self.session;
        let job = session
            .view
            .until(|observed| {
                observed.jobs.get(&run.job).filter(|job| job.metadata.uid.as_ref() == Some(&run.uid)).cloned()
            })
            .await;
        if !job.spec.as_ref().and_then(|spec| spec.suspend).unwrap_or(false) {
            return Ok(());
        }
        let patch = Patch::Merge(json!({
            "metadata": { "uid": run.uid, "annotations": { (names::FENCE): session.guard.fence.to_string() } },
            "spec": { "suspend": false },
        }));
        let patched = session.cluster.api::<Job>().patch(&run.job, &parameters(), &patch).await;
        patched.map(drop).map_err(|error| Error::cluster(format!("starting the Job {}", run.job), &error))
    }

    /// Writes down how far a run is.
    async fn write(&self, address: &str, run: &Run, state: State) -> Result<()> {
        let server = self.target.server_of.get(address).cloned().unwrap_or_default();
        let volume = self.volume(&server);
        let mut databases = self.databases.lock().await;
        let before = databases.value.0.get(address).cloned();
        let run = Run { state, time: Timestamp::now(), ..run.clone() };
        let migration = run.migration;
        let mut known = Known::running(address, &server, volume, run, before.as_ref());
        if state == State::Done {
            known.migration = migration;
        }
        databases.value.0.insert(address.to_owned(), known);
        self.session.store().save_databases(&mut databases).await
    }

    async fn forget(&self, address: &str) -> Result<()> {
        let mut databases = self.databases.lock().await;
        let Some(known) = databases.value.0.get_mut(address) else { return Ok(()) };
        match known.migration {
            // What was there before is still so.
            Some(migration) => {
                known.work.state = State::Done;
                known.work.migration = Some(migration);
            }
            None => {
                databases.value.0.remove(address);
            }
        }
        self.session.store().save_databases(&mut databases).await
    }

    /// The volume that a server's data lies on.
    fn volume(&self, server: &str) -> Option<String> {
        let name = &self.target.servers.get(server)?.name;
        let claims = self.session.view.now().claims;
        claims.get(&format!("data-{name}-0")).and_then(|claim| claim.metadata.uid.clone())
    }

    /// A Job whose end is written down is kept an hour for its log.
    async fn expire(&self, job: &str) {
        let patch = Patch::Merge(json!({ "spec": { "ttlSecondsAfterFinished": 3600 } }));
        // It is no harm if it stays.
        let _ = self.session.cluster.api::<Job>().patch(job, &parameters(), &patch).await;
    }
}

fn parameters() -> PatchParams {
    PatchParams { field_manager: Some(names::MANAGER.to_owned()), ..PatchParams::default() }
}
