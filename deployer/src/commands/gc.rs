//! `komandan gc`

mod reach;

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use serde_json::json;

use crate::apply::{collect, warm};
use crate::cluster::Cluster;
use crate::cluster::view::{Named, Observed, list};
use crate::console::Console;
use crate::error::Result;
use crate::session::{Kept, Session, kept, under_lock};
use crate::settings::{Global, Life, Settings};
use crate::store::Store;
use crate::store::head::Head;
use crate::transient::{self, Home};
use reach::{Kind, Stored, Waste, waste};

/// How many versions stay where nothing else is said.
const KEEP: u32 = 20;

/// Removes what no version needs any more: old versions, objects of none, Jobs that are over
///
/// Of the settings of clusters that end by themselves: those clusters whose time is over, which is needed only where the API
/// server is older than Kubernetes 1.33, and of a pool of namespaces what is left there of clusters that are over. The versions that serve and are kept ready always stay, and so do the newest ones (`clusters.NAME.keep`). Data is never
/// touched: databases, their volumes, credentials and secrets.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan gc --dry-run
  komandan gc --keep 5
  komandan gc --cluster pr       clusters of pull requests whose time is over")]
pub(crate) struct Args {
    /// How many versions stay [default: clusters.NAME.keep, else 20]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) keep: Option<u32>,
    /// Say what would go and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Wait while somebody else changes the cluster
    #[arg(long)]
    pub(crate) wait: bool,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let settings = global.settings_without_graph()?;
    if settings.life == Life::Kind {
        return end_what_is_over(&settings, args.dry_run, console).await;
    }
    let keep = args.keep.or(settings.keep).unwrap_or(KEEP);
    let cluster = transient::connect(global).await?;
    let head = Store::new(&cluster).head().await?.value;
    let (jobs, observed) = tokio::try_join!(list::<Job>(&cluster), Observed::read(&cluster))?;
    let kept = kept(Store::new(&cluster), &head).await?;
    let waste = found(&cluster, &head, &kept.pinned, &jobs, keep).await?;
    let littered = collect::is_littered(&observed, &kept, cluster.name());
    // Where nothing is to be done, there may not even be a namespace to lock.
    if args.dry_run || (waste.is_empty() && !littered) {
        report(&waste, littered, &cluster, keep, args.dry_run, console);
        return Ok(());
    }
    under_lock(&cluster, console, args.wait, async |session| {
        let waste = collect_all(session, keep).await?;
        report(&waste, false, session.cluster, keep, false, session.console);
        Ok(())
    })
    .await
}

/// Ends the clusters whose time is over, where nobody else has.
async fn end_what_is_over(settings: &Settings, dry_run: bool, console: &Console) -> Result<()> {
    let home = Home::connect(settings).await?;
    let gone = home.end_what_is_over(dry_run).await?;
    let why = if home.has_pool() { "something was left in it of a cluster that is over" } else { "its time is over" };
    if console.is_json() {
        let removed: Vec<_> =
            gone.iter().map(|name| json!({ "kind": "namespace", "name": name, "reason": why })).collect();
        console.json(json!({
            "event": "result", "command": "gc", "cluster": settings.cluster, "namespace": settings.namespace,
            "dry_run": dry_run, "removed": removed,
        }));
    } else if gone.is_empty() {
        console
            .note(&format!("no cluster of {} is over its time (namespace {})", settings.cluster, settings.namespace));
    } else {
        let rows: Vec<Vec<String>> =
            gone.iter().map(|name| vec!["namespace".to_owned(), name.clone(), why.to_owned()]).collect();
        console.table(&["", "NAME", "WHY"], &rows);
    }
    Ok(())
}

/// Decided again under the lock: what was seen before may serve by now.
async fn collect_all(session: &mut Session<'_>, keep: u32) -> Result<Vec<Waste>> {
    let kept: Kept = session.kept().await?;
    let jobs = session.view.now().jobs;
    collect::collect(session, &kept.all()).await?;
    warm::retain(session, &kept).await?;
    let waste = found(session.cluster, &session.head.value, &kept.pinned, &jobs, keep).await?;
    // Versions before the objects that only they name: what is interrupted leaves no version without its objects.
    for waste in waste.iter().filter(|waste| waste.kind != Kind::Bundle) {
        remove(session.cluster, waste).await?;
    }
    for waste in waste.iter().filter(|waste| waste.kind == Kind::Bundle) {
        remove(session.cluster, waste).await?;
    }
    Ok(waste)
}

async fn remove(cluster: &Cluster, waste: &Waste) -> Result<()> {
    let metadata: &ObjectMeta = &waste.metadata;
    match waste.kind {
        Kind::Version | Kind::Bundle => cluster.remove::<ConfigMap>(metadata).await,
        Kind::Job => cluster.remove::<Job>(metadata).await,
    }
}

async fn found(
    cluster: &Cluster,
    head: &Head,
    pinned: &BTreeSet<u64>,
    jobs: &Named<Job>,
    keep: u32,
) -> Result<Vec<Waste>> {
    let store = Store::new(cluster);
    let (maps, databases) = tokio::try_join!(store.all(), store.databases())?;
    let stored = Stored::read(maps)?;
    let jobs = jobs.values().filter(|job| cluster.owns(&job.metadata)).map(AsRef::as_ref);
    Ok(waste(&stored, head, pinned, jobs, &databases.value, keep))
}

fn report(waste: &[Waste], littered: bool, cluster: &Cluster, keep: u32, dry_run: bool, console: &Console) {
    if console.is_json() {
        let waste: Vec<_> = waste
            .iter()
            .map(|waste| json!({ "kind": waste.kind.as_str(), "name": waste.name(), "reason": waste.reason }))
            .collect();
        console.json(json!({
            "event": "result", "command": "gc", "cluster": cluster.name(), "namespace": cluster.namespace(),
            "keep": keep, "dry_run": dry_run, "removed": waste, "workloads_left": littered,
        }));
        return;
    }
    if waste.is_empty() && !littered {
        console.note(&format!("nothing to collect in {} (namespace {})", cluster.name(), cluster.namespace()));
        return;
    }
    let mut rows: Vec<Vec<String>> = waste
        .iter()
        .map(|waste| vec![waste.kind.as_str().to_owned(), waste.name().to_owned(), waste.reason.clone()])
        .collect();
    if littered {
        rows.push(vec!["workloads".to_owned(), String::new(), "no version that is kept needs them".to_owned()]);
    }
    console.table(&["", "NAME", "WHY"], &rows);
    let count = rows.len();
    let things = if count == 1 { "object" } else { "objects" };
    console.note(&format!("  {count} {things} {}", if dry_run { "would go" } else { "gone" }));
}
