//! `komandan revert`

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;

use super::deploy::{restore, serve, takes, tidy};
use super::{entry_urls, short, show_entries};
use crate::apply::{Work, switch, warm};
use crate::cluster::Cluster;
use crate::cluster::ensure::hash_of_live;
use crate::cluster::view::Observed;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::overlay::pin;
use crate::plan::{conflicts, plan, warm::is_ending};
use crate::render::{Kind, hash_of};
use crate::schemas;
use crate::session::{Session, all_ready, under_lock};
use crate::settings::Global;
use crate::store::record::Record;
use crate::store::{Store, Stored};
use crate::target;
use crate::transient;

/// Sends the requests back to a former version
///
/// The version before is kept warm: going back to it takes one write. An older one is made again from the
/// store first; neither the repository nor the registry is asked.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan revert       to the version that served before
  komandan revert 12    to version 12 of `komandan history`")]
pub(crate) struct Args {
    /// The version's number [default: the one that served before]
    #[arg(value_name = "VERSION")]
    pub(crate) number: Option<u64>,
    /// Wait while somebody else changes the cluster
    #[arg(long)]
    pub(crate) wait: bool,
    /// Go back even where the code was not made for the schema that is there
    #[arg(long)]
    pub(crate) allow_downtime: bool,
    /// Take fields over that somebody else has set otherwise, such as `kubectl edit` or `kubectl scale`
    #[arg(long)]
    pub(crate) force_conflicts: bool,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let begun = Instant::now();
    let cluster = transient::connect(global).await?.taking(takes(args.force_conflicts));
    // Where nothing is, there may not even be a namespace to lock.
    let head = Store::new(&cluster).head().await?.value;
    if head.current.is_none() && head.intent.is_none() {
        return Err(never_deployed(&cluster));
    }
    under_lock(&cluster, console, args.wait, async |session| revert(session, args, begun).await).await
}

pub(super) async fn revert(session: &mut Session<'_>, args: &Args, begun: Instant) -> Result<()> {
    let head = &session.head.value;
    let current = head.current.ok_or_else(|| never_deployed(session.cluster))?;
    let number = args.number.or(head.previous).ok_or_else(|| {
        Error::Usage(format!("version {current} is the first of {}: there is none before it", session.cluster.name()))
    })?;
    let mut record = session.store().record(number).await?.ok_or_else(|| {
        Error::Usage(format!(
            "there is no version {number} of {}; `komandan history` lists them",
            session.cluster.name()
        ))
    })?;
    head.resize(&mut record.content);
    if !args.allow_downtime {
        refuse_what_does_not_run(session, &record).await?;
    }
    pin::again(session.cluster, &record).await?;
    let mut warm = is_warm(&record, &session.view.now(), Timestamp::now());
    if number == current && warm {
        report(session, &record, begun.elapsed(), warm, true);
        // What an interrupted deploy left goes with it.
        tidy(session).await;
        return Ok(());
    }
    // What had a deadline loses it before requests come. Where that is too late, it is made again.
    warm = warm && warm::take_back(session, &record).await?;
    if !warm {
        warm_up(session, &record).await?;
    }
    let has_new_entries = switch::has_new_entries(session, &record);
    serve(session, &record, None, "revert").await?;
    // Nodes follow a switch within a second; whoever is on call need not look at that.
    if !warm || has_new_entries {
        switch::followed().await;
    }
    report(session, &record, begun.elapsed(), warm, false);
    tidy(session).await;
    Ok(())
}

/// Refuses a version whose code does not run on the schemas that are there, with the ways out.
async fn refuse_what_does_not_run(session: &Session<'_>, record: &Record) -> Result<()> {
    if record.content.migrations.is_empty() {
        return Ok(());
    }
    let databases = session.store().databases().await?.value;
    let breaks = schemas::against_revert(record.number, &record.content, &databases);
    if breaks.is_empty() {
        return Ok(());
    }
    let records = session.store().records().await?;
    let versions = records.iter().map(|(number, record)| (*number, &record.content)).collect();
    let current = session.head.value.current.unwrap_or_default();
    let ways = schemas::ways_out(current, &versions, &databases);
    Err(Error::Refused(format!("{}. {ways}", breaks.join("\n"))))
}

fn never_deployed(cluster: &Cluster) -> Error {
    Error::Usage(format!(
        "nothing was ever deployed to {} (namespace {}): there is nothing to go back to",
        cluster.name(),
        cluster.namespace()
    ))
}

/// Makes a version again from the store, beside what serves.
async fn warm_up(session: &Session<'_>, record: &Record) -> Result<()> {
    let target = target::of_record(record, session.store()).await?;
    let kept = session.kept().await?;
    let target = target.with_policies(&kept.all(), session.cluster.name());
    let current = kept.current.as_ref().map(|record| &record.content);
    let observed = session.view.now();
    let tasks = target::tasks(&target, session.store(), &observed).await?;
    let steps = plan(&target, current, &BTreeMap::new(), &tasks, &observed, session.cluster.name(), Timestamp::now())?;
    session.cluster.refuse_held(&conflicts(&steps, &target, &observed, session.cluster.name()))?;
    let logical = BTreeMap::new();
    let work = Work::new(session, &target, &logical, Stored::default());
    if let Err(error) = work.run(&steps).await {
        restore(session, &steps, kept.current.as_ref()).await;
        return Err(error);
    }
    work.settle().await;
    Ok(())
}

/// Whether a version takes requests at once, in exactly the form and size in which it was stored.
pub(super) fn is_warm(record: &Record, observed: &Observed, now: Timestamp) -> bool {
    let same = record.content.nodes.values().all(|node| {
        // What ends by itself, or starts at the switch, is not kept warm.
        if matches!(node.kind, Kind::Task | Kind::Job) {
            return true;
        }
        let Some(deployment) = observed.deployments.get(&node.workload) else { return false };
        let leaving = is_ending(&deployment.metadata, now);
        let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let is_sized = match node.kind {
            Kind::HandedOver if replicas == 0 => true,
            _ if node.scales => replicas > 0,
            _ => u32::try_from(replicas).ok() == Some(node.replicas),
        };
        let service = observed.services.get(&node.workload).map(|service| &service.metadata);
        let hashes: Vec<&str> =
            [Some(&deployment.metadata), service].into_iter().flatten().filter_map(hash_of_live).collect();
        !leaving && is_sized && hash_of(&hashes) == node.hash
    });
    same && all_ready(record, observed)
}

fn report(session: &Session<'_>, record: &Record, took: Duration, warm: bool, unchanged: bool) {
    let urls = entry_urls(&record.content, &session.view.now());
    let requests = session.cluster.requests();
    if session.console.is_json() {
        session.console.json(json!({
            "event": "result", "command": "revert", "unchanged": unchanged, "cluster": session.cluster.name(),
            "namespace": session.cluster.namespace(), "version": record.number, "graph": record.content.version,
            "commit": record.content.commit.id, "warm": warm, "entries": urls,
            "elapsed_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX), "requests": requests,
        }));
        return;
    }
    let commit = &record.content.commit;
    let again = if unchanged { "already" } else { "again" };
    session.console.data(&format!(
        "version {} serves {} {again}: {} {}",
        record.number,
        session.cluster.name(),
        short(&commit.id),
        commit.summary
    ));
    show_entries(&urls, session.console);
    let how = if warm { "warm" } else { "made ready first, from the store" };
    session.console.note(&format!("  {:.2} s ({how}), {requests} requests", took.as_secs_f64()));
}
