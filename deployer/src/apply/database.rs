//! Makes logical databases and brings their schemas up to date: one Job each, whose end is written down.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::api::Patch;
use serde_json::{Value, json};

use super::Work;
use crate::cluster::as_manager;
use crate::console;
use crate::error::{Error, Result};
use crate::fault;
use crate::health;
use crate::names;
use crate::render::{Logical, Object};
use crate::store::databases::{Known, Lack, State, Wanted, Work as Run};

/// How many things a database can lack one after the other: it is copied or made, something is made in it, it is migrated, it is
/// filled.
const THINGS: usize = 5;

/// What a Job does for a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Make,
    Migrate,
    Seed,
    Mask,
}

impl Work<'_> {
    /// Makes what a database lacks, one thing after the other: lets a Job go, or awaits the one that was let go before, and writes
    /// down how it ended.
    pub(super) async fn database(&self, address: &str, shown: &mut console::Step) -> Result<String> {
        let logical = self.logical.get(address).ok_or_else(|| Error::Store(format!("no database {address}")))?;
        let wanted = &logical.wanted;
        let known = self.databases.lock().await.value.0.get(address).cloned();
        let begun =
            known.filter(|known| known.work.state == State::Running && !known.is_half() && self.has_job(&known.work));
        if let Some(known) = begun {
            self.finish(wanted, &known.work, shown).await?;
        }
        let mut done: Vec<String> = Vec::new();
        for _ in 0..THINGS {
            // What was let go before may have been of another version.
            let lack = self.databases.lock().await.value.lack(wanted, self.volume(&wanted.server).as_deref());
            done.push(match lack {
                Lack::Nothing => break,
                Lack::Copy => self.copy(logical, shown).await?,
                Lack::Contents(_) => self.make(logical, logical.make.as_ref(), Verb::Make, shown).await?.to_owned(),
                Lack::All(_) if logical.migrate.is_some() => {
                    self.make(logical, logical.migrate.as_ref(), Verb::Migrate, shown).await?.to_owned()
                }
                Lack::All(_) => self.make(logical, logical.make.as_ref(), Verb::Make, shown).await?.to_owned(),
                Lack::Data(_) => {
                    let run = match &logical.seed {
                        Some(seed) => self.begin(logical, seed, Verb::Seed, shown).await?,
                        None => return Err(Error::Store(format!("there is nothing to fill {address} with"))),
                    };
                    self.finish(wanted, &run, shown).await?;
                    "given its first data".to_owned()
                }
            });
        }
        Ok(if done.is_empty() { "as asked".to_owned() } else { done.join(", ") })
    }

    /// Makes a database, by a Job or beside its server.
    pub(super) async fn make(
        &self,
        logical: &Logical,
        job: Option<&Object>,
        verb: Verb,
        shown: &mut console::Step,
    ) -> Result<&'static str> {
        let wanted = &logical.wanted;
        if let Some(beside) = &logical.beside {
            shown.doing("making it beside its server");
            self.make_beside(logical, beside).await?;
        }
        let Some(job) = job else {
            // There is nothing more to run, but where its data lies is known from now on.
            self.write(wanted, &run_of(wanted, "", "", Verb::Make), State::Done).await?;
            return Ok(if logical.beside.is_some() { "made" } else { "known" });
        };
        let run = self.begin(logical, job, verb, shown).await?;
        self.finish(wanted, &run, shown).await?;
        Ok(if verb == Verb::Migrate { "made and migrated" } else { "made" })
    }

    /// Lets a Job go and waits for its end.
    async fn finish(&self, wanted: &Wanted, run: &Run, shown: &mut console::Step) -> Result<()> {
        fault::point("job-noted");
        self.release(run).await?;
        fault::point("job-released");
        let look = |observed: &_, now| health::job(observed, &run.job, now);
        let outcome = self.ready(&wanted.address, shown, look).await;
        match outcome {
            Ok(()) => {
                fault::point("job-ended");
                self.write(wanted, run, State::Done).await?;
                fault::point("job-done-noted");
                self.expire(&run.job).await;
                Ok(())
            }
            Err(error) => {
                let observed = self.session.view.now();
                let job = observed.jobs.get(&run.job);
                if job.is_some_and(|job| health::migration_began(&observed, job)) {
                    self.write(wanted, run, State::Failed).await?;
                    let mend = if run.seeds {
                        "A part of the first data may be there: mend the seed, and begin anew with `komandan down`, or check the \
                         data and run `komandan up --retry-migration`."
                    } else {
                        "The schema may have changed in part: check it and mend the migration, then run `komandan deploy \
                         --retry-migration`."
                    };
                    return Err(Error::Deploy(format!("{error}\n{mend}")));
                }
                // The migration never began: nothing is known to be wrong with the data.
                self.forget(&wanted.address).await?;
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
    pub(super) async fn begin(
        &self,
        logical: &Logical,
        job: &Object,
        verb: Verb,
        shown: &mut console::Step,
    ) -> Result<Run> {
        let session = self.session;
        // A migration has all of its service's environment, so other databases' credentials, too.
        let named = secrets_of(&job.body);
        let secrets = self.logical.values().filter_map(|other| other.secret.as_ref());
        let secrets = secrets.filter(|secret| named.contains(secret.name.as_str()));
        let made = secrets.map(|secret| session.cluster.ensure_credentials(secret));
        futures_util::future::try_join_all(made).await?;
        let name = job.name();
        if let Some(old) = session.view.now().jobs.get(name) {
            session.cluster.refuse_foreign(&format!("Job {name}"), &old.metadata)?;
            shown.doing("removing the former Job");
            session.cluster.remove::<Job>(&old.metadata).await?;
            session.view.until(|observed| (!observed.jobs.contains_key(name)).then_some(())).await;
        }
        let metadata = session.cluster.ensure(job, None, session.guard).await?;
        fault::point("job-made");
        let run = run_of(&logical.wanted, name, &metadata.uid.unwrap_or_default(), verb);
        self.write(&logical.wanted, &run, State::Running).await?;
        Ok(run)
    }

    /// Lets a Job go that is held back.
    pub(super) async fn release(&self, run: &Run) -> Result<()> {
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
        let patched = session.cluster.api::<Job>().patch(&run.job, &as_manager(), &patch).await;
        patched.map(drop).map_err(|error| Error::cluster(format!("starting the Job {}", run.job), &error))
    }

    /// Writes down how far a run is.
    async fn write(&self, wanted: &Wanted, run: &Run, state: State) -> Result<()> {
        let volume = self.volume(&wanted.server);
        let mut databases = self.databases.lock().await;
        let run = Run { state, time: Timestamp::now(), ..run.clone() };
        let known = Known::doing(wanted, volume, run, databases.value.0.get(&wanted.address));
        databases.value.0.insert(wanted.address.clone(), known);
        self.session.store().save_databases(&mut databases).await
    }

    /// Takes back a run that changed nothing.
    async fn forget(&self, address: &str) -> Result<()> {
        let mut databases = self.databases.lock().await;
        let Some(known) = databases.value.0.get_mut(address) else { return Ok(()) };
        if known.made.is_some() || known.migration.is_some() {
            // What was there before is still so.
            known.work.state = State::Done;
            known.work.seeds = false;
            (known.work.made, known.work.migration) = (known.made, known.migration);
        } else {
            databases.value.0.remove(address);
        }
        self.session.store().save_databases(&mut databases).await
    }

    /// The volume that a server's data lies on.
    pub(super) fn volume(&self, server: &str) -> Option<String> {
        let name = &self.target.servers.get(server)?.name;
        let claims = self.session.view.now().claims;
        claims.get(&names::server_claim(name)).and_then(|claim| claim.metadata.uid.clone())
    }

    /// A Job whose end is written down is kept an hour for its log.
    pub(super) async fn expire(&self, job: &str) {
        let patch = Patch::Merge(json!({ "spec": { "ttlSecondsAfterFinished": 3600 } }));
        // It is no harm if it stays.
        let _ = self.session.cluster.api::<Job>().patch(job, &as_manager(), &patch).await;
    }
}

/// The Secrets whose keys an object names.
fn secrets_of(value: &Value) -> BTreeSet<&str> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("secretKeyRef").and_then(|key| key.get("name")).and_then(Value::as_str);
            own.into_iter().chain(fields.values().flat_map(secrets_of)).collect()
        }
        Value::Array(items) => items.iter().flat_map(secrets_of).collect(),
        _ => BTreeSet::new(),
    }
}

/// A run of a Job that begins.
fn run_of(wanted: &Wanted, job: &str, uid: &str, verb: Verb) -> Run {
    let migrates = verb == Verb::Migrate;
    Run {
        state: State::Running,
        job: job.to_owned(),
        uid: uid.to_owned(),
        made: Some(wanted.made).filter(|_| matches!(verb, Verb::Make | Verb::Migrate)),
        migration: wanted.migration.filter(|_| migrates),
        schemas: wanted.schemas.filter(|_| migrates),
        seeds: verb == Verb::Seed,
        time: Timestamp::now(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secrets_that_a_job_reads_are_found_wherever_they_stand() {
        let env =
            |secret: &str| json!([{ "name": "A", "valueFrom": { "secretKeyRef": { "name": secret, "key": "b" } } }]);
        let pod =
            json!({ "initContainers": [{ "env": env("one") }], "containers": [{ "env": env("two") }, { "env": [] }] });
        assert_eq!(secrets_of(&pod), ["one", "two"].into());
    }
}
