//! A change of a cluster: under its lock, with what is seen of it and what is stored.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::apply::handover::{self, First};
use crate::apply::{switch, warm};
use crate::cluster::lock::{self, Lock};
use crate::cluster::view::{Observed, View};
use crate::cluster::{Cluster, Guard};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::health::{self, Progress};
use crate::plan;
use crate::store::head::Head;
use crate::store::pins::{self, Pins};
use crate::store::record::Record;
use crate::store::{Store, Stored};
use crate::target;

/// How long a lock may take to be given back.
const GOODBYE: Duration = Duration::from_secs(5);

/// What a command that changes a cluster works with.
pub(crate) struct Session<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) console: &'a Console,
    pub(crate) view: View,
    pub(crate) guard: Guard,
    pub(crate) head: Stored<Head>,
    pub(crate) author: String,
}

/// Does `work` under the lock. It ends early when the lock is lost or a signal comes; what was begun is
/// finished or undone by whoever comes next.
pub(crate) async fn under_lock<T>(
    cluster: &Cluster,
    console: &Console,
    wait: bool,
    work: impl AsyncFnOnce(&mut Session<'_>) -> Result<T>,
) -> Result<T> {
    let lock = Lock::acquire(cluster, wait, console).await?;
    let result = tokio::select! {
        result = begin(cluster, console, lock.taken_over, work) => result,
        lost = lock.lost() => Err(lost),
        () = interrupted() => Err(Error::Interrupted),
    };
    let _ = tokio::time::timeout(GOODBYE, lock.release()).await;
    result
}

async fn begin<T>(
    cluster: &Cluster,
    console: &Console,
    taken_over: bool,
    work: impl AsyncFnOnce(&mut Session<'_>) -> Result<T>,
) -> Result<T> {
    let store = Store::new(cluster);
    let raise = async {
        let mut head = store.head().await?;
        head.value.fence += 1;
        store.save_head(&mut head).await?;
        if head.value.has_lent {
            pins::let_go_of_what_is_over(store).await?;
        }
        Ok(head)
    };
    let (view, head) = tokio::try_join!(View::start(cluster), raise)?;
    let guard = Guard { fence: head.value.fence };
    let mut session = Session { cluster, console, view, guard, head, author: lock::author() };
    if taken_over {
        // A holder that was only paused must meet a conflict at the entries and workloads as well.
        switch::stamp(&session).await?;
        warm::stamp(&session).await?;
    }
    session.recover().await?;
    work(&mut session).await
}

/// How long what starts at a switch may take where somebody else began it: who comes next wants something, and maybe
/// just because it does not start.
const RECOVERY: Duration = Duration::from_secs(20);

impl<'a> Session<'a> {
    /// The store.
    pub(crate) fn store(&self) -> Store<'a> {
        Store::new(self.cluster)
    }

    /// Finishes or undoes a switch that somebody began.
    async fn recover(&mut self) -> Result<()> {
        let Some(intent) = self.head.value.intent.clone() else { return Ok(()) };
        let step = self.console.step("recovery", &format!("a switch to version {} was begun", intent.to));
        let to = self.store().record(intent.to).await?;
        let ready = match &to {
            Some(record) => self.can_be_finished(record).await,
            None => false,
        };
        if let (Some(record), true) = (&to, ready) {
            let bring = handover::bring(self, record, None, None, First::Handover);
            let brought = tokio::time::timeout(RECOVERY, bring).await.unwrap_or_else(|_| {
                Err(Error::Deploy(format!("what starts at it is not ready after {} seconds", RECOVERY.as_secs())))
            });
            match brought {
                Ok(()) => {
                    self.head.value.commit(&self.author, Timestamp::now());
                    self.save_head().await?;
                    step.done(&format!("the switch to version {} was finished", intent.to));
                    return Ok(());
                }
                Err(error @ Error::Locked(_)) => return Err(error),
                // What starts at the switch does not start: nobody would come further than this.
                Err(error) => self.console.note(&format!("  it cannot be finished, and is undone: {error}")),
            }
        }
        if let Some(from) = intent.from
            && let Some(record) = self.store().record(from).await?
        {
            handover::bring(self, &record, None, None, First::Entries).await?;
        }
        self.head.value.abandon();
        self.save_head().await?;
        step.done(&format!("the switch to version {} was undone", intent.to));
        Ok(())
    }

    /// Whether everything of a version takes requests but what starts at the switch.
    async fn can_be_finished(&self, record: &Record) -> bool {
        // Without its objects it cannot be finished.
        let Ok(target) = target::of_record(record, self.store()).await else { return false };
        let late = plan::late(&target, None);
        let mut record = record.clone();
        record.content.nodes.retain(|name, _| !late.contains(name));
        all_ready(&record, &self.view.now())
    }

    /// Moves the head.
    pub(crate) async fn save_head(&mut self) -> Result<()> {
        let store = self.store();
        store.save_head(&mut self.head).await
    }

    /// The records of the versions that are served and kept warm.
    pub(crate) async fn kept(&self) -> Result<Kept> {
        kept(self.store(), &self.head.value).await
    }
}

/// The versions that are served, kept warm, and borrowed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    pub(crate) current: Option<Record>,
    pub(crate) previous: Option<Record>,
    /// Those that others borrow. One that also serves or is kept warm is not among them.
    pub(crate) borrowed: Vec<Record>,
    /// The numbers of all that others borrow.
    pub(crate) pinned: BTreeSet<u64>,
    /// Whether somebody borrows something whose time is over: who comes next lets go of it.
    pub(crate) is_over: bool,
}

impl Kept {
    /// All of them, the one that serves first.
    pub(crate) fn all(&self) -> Vec<&Record> {
        self.current.iter().chain(&self.previous).chain(&self.borrowed).collect()
    }

    /// Those that others borrow.
    pub(crate) fn lent(&self) -> impl Iterator<Item = &Record> {
        self.all().into_iter().filter(|record| self.pinned.contains(&record.number))
    }
}

/// Reads the versions that are served, kept warm and borrowed, at the sizes that were chosen by hand.
///
/// What is borrowed counts for as long as it is written down: only whoever takes it out, by a write that nobody else's change gets
/// past, may act as if it were over.
pub(crate) async fn kept(store: Store<'_>, head: &Head) -> Result<Kept> {
    let read = async |number: Option<u64>| match number {
        Some(number) => store.record(number).await,
        None => Ok(None),
    };
    let pins = async {
        match head.has_lent {
            true => store.pins().await.map(|pins| pins.value),
            false => Ok(Pins::default()),
        }
    };
    let (mut current, mut previous, pins) = tokio::try_join!(read(head.current), read(head.previous), pins)?;
    let pinned = pins.versions();
    let others = pinned.iter().copied().filter(|number| ![head.current, head.previous].contains(&Some(*number)));
    let others = futures_util::future::try_join_all(others.map(|number| store.record(number))).await?;
    let mut borrowed: Vec<Record> = others.into_iter().flatten().collect();
    for record in current.iter_mut().chain(&mut previous).chain(&mut borrowed) {
        head.resize(&mut record.content);
    }
    if let (Some(number), None) = (head.current, &current) {
        return Err(Error::Store(format!("the record of version {number}, which is served, is gone")));
    }
    Ok(Kept { current, previous, borrowed, pinned, is_over: pins.is_any_over(Timestamp::now()) })
}

/// Whether every node of a version takes requests, or starts at the switch.
pub(crate) fn all_ready(record: &Record, observed: &Observed) -> bool {
    let now = Timestamp::now();
    record.content.nodes.values().all(|node| health::node(observed, node, now) == Progress::Ready)
}

/// Ends when a person or the system wants us to end.
pub(crate) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
}
