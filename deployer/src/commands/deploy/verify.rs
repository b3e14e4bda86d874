//! Smoke checks of a version that has just begun to serve, and the way back where they fail.

use std::time::{Duration, Instant};

use super::super::{revert, smoke};
use super::Args;
use crate::checks::Jobs;
use crate::cluster::Cluster;
use crate::cluster::view::View;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::smoke::{questions, sum};
use crate::store::Store;
use crate::store::record::Record;

/// How long a check may take.
const WAIT: Duration = Duration::from_secs(120);

/// Asks all services of a version that serves.
pub(super) async fn ask(cluster: &Cluster, view: &View, record: &Record, console: &Console) -> Result<()> {
    let begun = Instant::now();
    let questions = questions(record, Store::new(cluster), &[]).await?;
    if questions.is_empty() {
        console.note("  no service has a smoke check: `smoke: { run: [...] }` in its service.yaml is one");
        return Ok(());
    }
    let jobs = Jobs::new(cluster, view);
    let asked = smoke::ask(&jobs, &questions, WAIT, console).await;
    jobs.remove_all().await;
    let asked = asked?;
    smoke::report(&asked, record, cluster, begun.elapsed(), console);
    sum(&asked)
}

/// Asks a version to which requests were just sent; if it does not do its work they are sent back, where that is wanted.
/// What could not be asked is no reason to go back.
pub(super) async fn verify(session: &mut Session<'_>, record: &Record, args: &Args) -> Result<()> {
    let asked = ask(session.cluster, &session.view, record, session.console).await;
    let Err(Error::Checks(failed)) = asked else { return asked };
    if !args.revert_on_failure {
        return Err(Error::Checks(format!(
            "{failed}. Version {} serves all the same; `komandan revert` goes back",
            record.number
        )));
    }
    let args = revert::Args {
        number: None,
        wait: false,
        allow_downtime: args.allow_downtime,
        force_conflicts: args.force_conflicts,
    };
    match revert::revert(session, &args, Instant::now()).await {
        Ok(()) => {
            let serves = session.head.value.current.unwrap_or_default();
            Err(Error::Deploy(format!("{failed}. Version {serves} serves again")))
        }
        Err(error @ (Error::Locked(_) | Error::Interrupted)) => Err(error),
        Err(error) => Err(Error::Checks(format!(
            "{failed}. It could not be taken back, and version {} serves: {error}",
            record.number
        ))),
    }
}
