//! What a deploy and a revert have in common: requests go to a version, or back if that fails, and what nobody needs any more goes.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::apply::handover::{self, First};
use crate::apply::{Work, collect, warm};
use crate::error::{Error, Result};
use crate::fault;
use crate::plan::{Action, Step, Target};
use crate::session::Session;
use crate::smoke::schedule;
use crate::store::record::Record;
use crate::store::{Stored, pins};
use crate::target;

/// Gives back their form and size to what serves and was changed in place by a command that failed.
pub(in crate::commands) async fn restore(session: &Session<'_>, steps: &[Step], current: Option<&Record>) {
    let in_place = |step: &&Step| matches!(step.action, Action::Change | Action::Scale);
    let Some(current) = current.filter(|_| steps.iter().any(|step| in_place(&step))) else { return };
    let shown = session.console.step("restore", "what was changed in place");
    let restored = async {
        let target = target::of_record(current, session.store()).await?;
        let logical = BTreeMap::new();
        Work::new(session, &target, &logical, Stored::default()).restore(steps).await
    };
    match restored.await {
        Ok(()) => shown.done("what was changed in place is as it was"),
        Err(error) => shown.failed(&error.to_string()),
    }
}

/// Sends the requests to a version whose nodes all take them: intent, switch, verification, commit. What must not run
/// beside its former version is handed over, and schedules follow. If anything of that fails, all of it is undone.
pub(in crate::commands) async fn serve(
    session: &mut Session<'_>,
    record: &Record,
    target: Option<&Target>,
    by: &str,
) -> Result<()> {
    let kept = session.kept().await?;
    let current = kept.current.as_ref().map(|current| &current.content);
    let first = if by == "revert" { First::Entries } else { First::Handover };
    let step = session.console.step("switch", &format!("to version {}", record.number));
    session.head.value.intend(record.number, by);
    if record.content.lends && !session.head.value.has_lent {
        pins::make(session.store()).await?;
        session.head.value.has_lent = true;
    }
    session.head.value.has_routes |= record.content.front.as_ref().is_some_and(|front| front.gateway.is_some());
    session.save_head().await?;
    fault::point("intent-written");
    if let Err(error) = handover::bring(session, record, target, current, first).await {
        step.failed("failed");
        fault::point("switch-failed");
        // Of a lost lock the next holder takes care; everything else is undone here.
        if matches!(error, Error::Locked(_)) {
            return Err(error);
        }
        if let Some(current) = &kept.current {
            handover::bring(session, current, None, None, First::Entries).await?;
        }
        session.head.value.abandon();
        session.save_head().await?;
        return Err(error);
    }
    fault::point("switched");
    let intended = session.head.value.clone();
    session.head.value.commit(&session.author.clone(), Timestamp::now());
    if let Err(error) = session.save_head().await {
        step.failed("it could not be written down");
        session.head.value = intended;
        return Err(error);
    }
    fault::point("committed");
    step.done(&format!("version {} serves", record.number));
    Ok(())
}

/// Takes away what no kept version needs, and gives the version before its deadline. What cannot go now goes the next time.
pub(in crate::commands) async fn tidy(session: &Session<'_>) {
    let gone = async {
        let kept = session.kept().await?;
        let gone = collect::collect(session, &kept.all()).await?;
        let until = warm::retain(session, &kept).await?;
        schedule::follow(session).await?;
        if let (Some(until), Some(previous)) = (until, &kept.previous) {
            session.console.note(&format!("  version {} stays warm until {until}", previous.number));
        }
        Ok::<usize, Error>(gone)
    };
    match gone.await {
        Ok(0) => {}
        Ok(1) => session.console.note("  1 workload of a former version is going"),
        Ok(count) => session.console.note(&format!("  {count} workloads of former versions are going")),
        Err(error) => session.console.note(&format!("  left for the next time: {error}")),
    }
}
