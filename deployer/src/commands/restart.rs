//! `komandan restart`

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use super::node;
use crate::apply::Work;
use crate::apply::again::mark;
use crate::console::Console;
use crate::error::Result;
use crate::health::{self, Progress};
use crate::names;
use crate::session::{Session, under_lock};
use crate::settings::Global;
use crate::store::Stored;
use crate::store::record::Node;
use crate::target;
use crate::transient;

/// How many services are restarted at once: each of them needs room for more instances while it is.
const AT_ONCE: usize = 4;

/// Replaces the instances of services by new ones of the same version, one after the other
///
/// A new instance takes requests before an old one goes: no request fails. New instances get the secrets as they are now.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan restart api          after `komandan secret set api TOKEN`
  komandan restart --all")]
pub(crate) struct Args {
    /// The services
    #[arg(required_unless_present = "all")]
    pub(crate) services: Vec<String>,
    /// All services of the version that serves
    #[arg(long, conflicts_with = "services")]
    pub(crate) all: bool,
    /// Wait while somebody else changes the cluster
    #[arg(long)]
    pub(crate) wait: bool,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let cluster = transient::connect(global).await?;
    let (_, current) = super::served(&cluster).await?;
    for name in &args.services {
        node(&current, name)?;
    }
    under_lock(&cluster, console, args.wait, async |session| restart(session, args).await).await
}

async fn restart(session: &Session<'_>, args: &Args) -> Result<()> {
    let current = session.kept().await?.current.ok_or_else(|| super::nothing_served(session.cluster))?;
    let all = current.content.nodes.keys().filter(|_| args.all);
    let names: BTreeSet<String> = args.services.iter().chain(all).cloned().collect();
    let target = target::of_record(&current, session.store()).await?;
    let logical = BTreeMap::new();
    let work = Work::new(session, &target, &logical, Stored::default());
    let time = Timestamp::now().to_string();
    let restarted = stream::iter(&names).map(|name| {
        let (work, time) = (&work, time.as_str());
        let node = node(&current, name);
        async move { one(session, work, name, node?, time).await }
    });
    let () = restarted.buffer_unordered(AT_ONCE).try_collect().await?;
    if session.console.is_json() {
        session.console.json(json!({
            "event": "result", "command": "restart", "services": names, "version": current.number,
        }));
    } else {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        session.console.data(&format!("restarted {}", names.join(", ")));
    }
    Ok(())
}

async fn one(session: &Session<'_>, work: &Work<'_>, name: &str, node: &Node, time: &str) -> Result<()> {
    let mut shown = session.console.step(name, "restarting");
    let observed = session.view.now();
    let live = observed.deployments.get(&node.workload);
    let former = live.and_then(|live| annotation(live)).map(str::to_owned);
    let generation = mark(session, &node.workload, Some(time)).await?;
    let ready = work.ready(name, &mut shown, |observed, now| match observed.deployments.get(&node.workload) {
        Some(seen) if seen.metadata.generation < Some(generation) => Progress::Waiting("told".to_owned()),
        _ => health::deployment(observed, &node.workload, now),
    });
    match ready.await {
        Ok(()) => {
            shown.done(&format!("{} has new instances", node.workload));
            Ok(())
        }
        Err(error) => {
            shown.failed(&error.to_string());
            // The instances that serve are still the former ones: the new ones go again.
            mark(session, &node.workload, former.as_deref()).await?;
            Err(error)
        }
    }
}

fn annotation(deployment: &Deployment) -> Option<&str> {
    let template = deployment.spec.as_ref()?.template.metadata.as_ref()?;
    template.annotations.as_ref()?.get(names::RESTARTED).map(String::as_str)
}
