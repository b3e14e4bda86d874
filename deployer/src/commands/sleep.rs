//! `komandan sleep` and `komandan wake`

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use super::up::ends;
use crate::apply::{Work, handover, rest};
use crate::console::Console;
use crate::error::Result;
use crate::plan::plan;
use crate::session::{Session, under_lock};
use crate::settings::Global;
use crate::store::Stored;
use crate::target;
use crate::transient::{Claim, Home};

/// Lets nothing of a cluster run that ends by itself. Its data, addresses and end stay
///
/// Services, databases and schedules stop. `wake`, or the next `up`, brings them back; the end comes all the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan sleep pr-123
  komandan sleep --pr 123")]
pub(crate) struct Sleep {
    #[command(flatten)]
    of: Of,
}

/// Lets a cluster run again that was put to sleep
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan wake pr-123
  komandan wake --pr 123")]
pub(crate) struct Wake {
    #[command(flatten)]
    of: Of,
}

/// Whose sleep it is.
#[derive(Debug, clap::Args)]
struct Of {
    /// Its name
    #[arg(conflicts_with_all = ["named", "pr"])]
    name: Option<String>,
    /// Wait while somebody else changes the cluster
    #[arg(long)]
    wait: bool,
}

pub(crate) async fn sleep(Sleep { of }: &Sleep, global: &Global, console: &Console) -> Result<()> {
    let home = Home::of_one(global, of.name.as_deref()).await?;
    let claim = home.claim().await?.ok_or_else(|| home.nobody())?;
    let claim = under_lock(&home.of(&claim), console, of.wait, async |session| {
        // Said before it is done: what is interrupted is put to sleep, or woken, by the next one.
        let since = claim.asleep.is_none().then(Timestamp::now);
        let claim = match since {
            Some(since) => home.mark_asleep(&claim, Some(since)).await?,
            None => claim.clone(),
        };
        let step = session.console.step("sleep", "ending what runs");
        rest::sleep(session).await?;
        step.done("nothing runs");
        Ok(claim)
    })
    .await?;
    report("sleep", &claim, console);
    Ok(())
}

pub(crate) async fn wake(Wake { of }: &Wake, global: &Global, console: &Console) -> Result<()> {
    let home = Home::of_one(global, of.name.as_deref()).await?;
    let claim = home.claim().await?.ok_or_else(|| home.nobody())?;
    let claim = wake_up(&home, &claim, of.wait, console).await?;
    report("wake", &claim, console);
    Ok(())
}

/// Lets a cluster run as it did before it slept: databases first, then each service when what it waits for is ready.
pub(super) async fn wake_up(home: &Home, claim: &Claim, wait: bool, console: &Console) -> Result<Claim> {
    under_lock(&home.of(claim), console, wait, async |session| {
        let step = session.console.step("wake", "starting the databases");
        rest::wake_servers(session).await?;
        step.done("the databases answer");
        services(session).await?;
        home.mark_asleep(claim, None).await
    })
    .await
}

/// Gives the version that serves its size again.
async fn services(session: &Session<'_>) -> Result<()> {
    let kept = session.kept().await?;
    let Some(current) = &kept.current else { return Ok(()) };
    let target = target::of_record(current, session.store()).await?;
    let (nothing, no_tasks) = (BTreeMap::new(), BTreeMap::new());
    let observed = session.view.now();
    let name = session.cluster.name();
    let steps = plan(&target, Some(&current.content), &nothing, &no_tasks, &observed, name, Timestamp::now())?;
    let logical = BTreeMap::new();
    let work = Work::new(session, &target, &logical, Stored::default());
    work.run(&steps).await?;
    work.settle().await;
    handover::schedules(session, Some(&target)).await
}

fn report(command: &str, claim: &Claim, console: &Console) {
    if console.is_json() {
        console.json(json!({
            "event": "result", "command": command, "name": claim.name, "namespace": claim.namespace, "ends": claim.ends,
            "asleep": claim.asleep,
        }));
        return;
    }
    let state = if claim.asleep.is_some() { "sleeps" } else { "runs again" };
    console.data(&format!("{} {state}; {}", claim.name, ends(claim, Timestamp::now())));
}
