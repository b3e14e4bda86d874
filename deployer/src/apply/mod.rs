//! Does the steps of a plan, each as soon as what it waits for is over.

mod adopt;
pub(crate) mod again;
mod beside;
pub(crate) mod collect;
mod copy;
mod database;
pub(crate) mod external;
pub(crate) mod front;
pub(crate) mod handover;
mod hold;
mod metadata;
mod node;
mod pipe;
mod policy;
pub(crate) mod rest;
mod secret;
pub(crate) mod switch;
mod task;
mod tracker;
pub(crate) mod warm;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use tokio::sync::Mutex;

use crate::cluster::Cluster;
use crate::cluster::view::Observed;
use crate::console;
use crate::error::{Error, Result};
use crate::health::{Cause, Progress, Speaker};
use crate::plan::{Part, Step, Target};
use crate::render::{Logical, Object};
use crate::session::Session;
use crate::store::Stored;
use crate::store::databases::Databases;
use crate::store::tasks::Tasks;
use tracker::Tracker;

/// How many lines of a log are shown.
const LAST_WORDS: i64 = 20;

/// For how long kube-proxy gathers changes before it acts on them: its `minSyncPeriod`.
const PROXIES: Duration = Duration::from_secs(1);

/// What the steps of a plan work with.
pub(crate) struct Work<'w> {
    session: &'w Session<'w>,
    target: &'w Target,
    /// The databases of the graph, by address; none when a stored version is brought back.
    logical: &'w BTreeMap<String, Logical>,
    /// The databases' migrations, by address.
    databases: Mutex<Stored<Databases>>,
    /// The generation of each Deployment that was applied: an older one says nothing of it.
    applied: std::sync::Mutex<BTreeMap<String, i64>>,
    /// When the last service that others call became ready.
    called: std::sync::Mutex<Option<Instant>>,
    /// The tasks that have run, read when the first is asked for.
    tasks: Mutex<Option<Stored<Tasks>>>,
    /// The clusters whose data databases begin with, by name.
    bases: BTreeMap<String, Cluster>,
}

impl<'w> Work<'w> {
    /// Work that has not begun.
    pub(crate) fn new(
        session: &'w Session<'w>,
        target: &'w Target,
        logical: &'w BTreeMap<String, Logical>,
        databases: Stored<Databases>,
    ) -> Self {
        let (applied, called) = (std::sync::Mutex::default(), std::sync::Mutex::default());
        let (databases, tasks) = (Mutex::new(databases), Mutex::default());
        Self { session, target, logical, databases, applied, called, tasks, bases: BTreeMap::new() }
    }

    /// The same, where databases begin with the data of other clusters.
    pub(crate) fn cloning(self, bases: &BTreeMap<String, Cluster>) -> Self {
        Self { bases: bases.clone(), ..self }
    }
}

impl Work<'_> {
    /// Does all steps that are done before the switch. The first that fails ends all.
    pub(crate) async fn run(&self, steps: &[Step]) -> Result<()> {
        let before = |step: &&Step| !step.at_switch && !matches!(step.part, Part::Entry(_));
        self.run_these(steps.iter().filter(before).collect()).await
    }

    async fn run_these(&self, steps: Vec<&Step>) -> Result<()> {
        let tracker = Tracker::of(self.session.console, &steps);
        let mut open = steps.clone();
        let mut over: BTreeSet<Part> = BTreeSet::new();
        let mut running: FuturesUnordered<LocalBoxFuture<'_, (Part, Result<()>)>> = FuturesUnordered::new();
        loop {
            let (ready, rest) = open.into_iter().partition(|step: &&Step| step.after.is_subset(&over));
            open = rest;
            for step in ready {
                running.push(Box::pin(async { (step.part.clone(), self.step(step, &tracker).await) }));
            }
            match running.next().await {
                Some((part, Ok(()))) => {
                    over.insert(part);
                }
                Some((_, Err(error))) if open.is_empty() => return Err(error),
                Some((_, Err(error))) => {
                    let names: Vec<String> = open.iter().map(|step| step.part.to_string()).collect();
                    return Err(and_not_begun(error, &names));
                }
                None => {
                    tracker.finish();
                    return Ok(());
                }
            }
        }
    }

    /// Waits until every node knows the way to what has just become ready and is called by others: their
    /// first request must find it.
    pub(crate) async fn settle(&self) {
        let called = *node::lock(&self.called);
        if let Some(rest) = called.and_then(|called| PROXIES.checked_sub(called.elapsed())) {
            tokio::time::sleep(rest).await;
        }
    }

    async fn step(&self, step: &Step, tracker: &Tracker<'_>) -> Result<()> {
        let began = Instant::now();
        let mut shown = tracker.begin(step);
        let done = match &step.part {
            Part::Base => self.base().await,
            Part::Server(name) => self.server(name, &mut shown).await,
            Part::Database(address) => self.database(address, &mut shown).await,
            Part::Service(name) => self.node(name, &mut shown).await,
            Part::Entry(_) => Ok(String::new()),
        };
        match done {
            Ok(how) => {
                shown.done(&format!("{how} ({})", step.reason));
                tracker.over(&step.part, began);
                Ok(())
            }
            Err(error) => {
                shown.failed(&error.to_string());
                Err(error)
            }
        }
    }

    /// Makes what all pods share, and widens who may call whom.
    async fn base(&self) -> Result<String> {
        let cluster = self.session.cluster;
        let is_policy = |object: &&Object| object.kind() == "NetworkPolicy";
        for object in self.target.base.iter().chain(&self.target.claims).filter(|object| !is_policy(object)) {
            cluster.ensure_base(object, self.session.guard).await?;
        }
        let policies: Vec<&Object> = self.target.base.iter().filter(is_policy).collect();
        policy::ensure(self.session, &policies).await?;
        Ok("there".to_owned())
    }

    /// Waits until something is ready, telling what it waits for.
    pub(crate) async fn ready(
        &self,
        name: &str,
        shown: &mut console::Step,
        look: impl Fn(&Observed, Timestamp) -> Progress,
    ) -> Result<()> {
        let view = &self.session.view;
        let outcome = view
            .until(|observed| match look(observed, Timestamp::now()) {
                Progress::Ready => Some(Ok(())),
                Progress::Failed(cause) => Some(Err(cause)),
                Progress::Waiting(why) => {
                    match view.trouble() {
                        Some(trouble) => shown.doing(&format!("the API does not answer: {trouble}")),
                        None => shown.doing(&why),
                    }
                    None
                }
            })
            .await;
        match outcome {
            Ok(()) => Ok(()),
            Err(cause) => Err(self.failure(name, &cause).await),
        }
    }

    /// A failure with the last words of who failed.
    async fn failure(&self, name: &str, cause: &Cause) -> Error {
        let mut text = format!("{name}: {}", cause.why);
        if let Some(speaker) = &cause.speaker {
            match self.last_words(speaker).await {
                Some(words) => {
                    text.push_str(&format!("\nIts last words ({}):\n  {}", speaker.pod, words.replace('\n', "\n  ")))
                }
                None => text.push_str(&format!("\n{} said nothing.", speaker.pod)),
            }
        }
        Error::Deploy(text)
    }

    async fn last_words(&self, speaker: &Speaker) -> Option<String> {
        let pods = self.session.cluster.api::<Pod>();
        let parameters = |previous| LogParams {
            container: Some(speaker.container.clone()),
            tail_lines: Some(LAST_WORDS),
            limit_bytes: Some(64 * 1024),
            previous,
            ..LogParams::default()
        };
        // The instance that is asked for may have been replaced meanwhile.
        for previous in [speaker.previous, !speaker.previous] {
            if let Ok(words) = pods.logs(&speaker.pod, &parameters(previous)).await
                && !words.trim().is_empty()
            {
                return Some(words.trim_end().to_owned());
            }
        }
        None
    }
}

fn and_not_begun(error: Error, names: &[String]) -> Error {
    match error {
        Error::Deploy(text) => {
            Error::Deploy(format!("{text}\nNot begun, because it waits for that: {}", names.join(", ")))
        }
        other => other,
    }
}
