//! `komandan list`

use std::collections::BTreeMap;

use futures_util::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::up::span;
use super::{entry_urls, short};
use crate::cluster::Cluster;
use crate::cluster::view::Observed;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::overlay::{Trouble, trouble};
use crate::quota::Extra;
use crate::session;
use crate::settings::Global;
use crate::store::Store;
use crate::store::record::Record;
use crate::transient::Home;
use crate::transient::overview::{Entry, State};

/// Shows the clusters that end by themselves: whose they are, when they end, what they take, and what still goes
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan list
  komandan list --cluster pr --output json")]
pub(crate) struct Args {}

/// What is known of what runs in a cluster.
#[derive(Default)]
struct Inside {
    current: Option<Record>,
    urls: BTreeMap<String, String>,
    asks: Extra,
    /// Why what it borrows may not answer.
    trouble: Trouble,
}

pub(crate) async fn run(_: &Args, global: &Global, console: &Console) -> Result<()> {
    let settings = global.settings_of_transient()?;
    let home = Home::connect(&settings).await?;
    let entries = home.clusters().await?;
    let looked = join_all(entries.iter().map(|entry| async {
        match entry.state {
            State::Live | State::Asleep => look(&home.cluster().at(&entry.name, &entry.namespace)).await,
            State::Beginning | State::Over | State::Ending => Ok(Inside::default()),
        }
    }));
    let looked = looked.await;
    let now = Timestamp::now();
    if console.is_json() {
        let clusters: Vec<Value> = entries.iter().zip(&looked).map(|(entry, inside)| as_json(entry, inside)).collect();
        console.json(json!({
            "command": "list", "cluster": settings.cluster, "namespace": settings.namespace, "clusters": clusters,
            "pool": home.pool_size().map(|size| json!({ "namespaces": size, "used": entries.len() })),
        }));
        return Ok(());
    }
    if entries.is_empty() {
        console.note(&format!("there is no cluster of {} (namespace {})", settings.cluster, settings.namespace));
        return Ok(());
    }
    let rows: Vec<Vec<String>> =
        entries.iter().zip(&looked).map(|(entry, inside)| row(entry, inside.as_ref().ok(), now)).collect();
    console.table(&["NAME", "NAMESPACE", "AGE", "ENDS", "OWNER", "COMMIT", "FROM", "ASKS FOR", ""], &rows);
    if let Some(size) = home.pool_size() {
        console.note(&format!("  {} of {size} namespaces of the pool are used", entries.len()));
    }
    for (entry, trouble) in entries.iter().zip(&looked).filter_map(|(entry, it)| Some((entry, trouble_of(it)?))) {
        console.note(&format!("  {}: {trouble}", entry.name));
    }
    for (entry, error) in entries.iter().zip(&looked).filter_map(|(entry, it)| Some((entry, it.as_ref().err()?))) {
        console.note(&format!("  {} could not be looked into: {error}", entry.name));
    }
    Ok(())
}

/// Looks at what runs in a cluster.
async fn look(cluster: &Cluster) -> Result<Inside> {
    let store = Store::new(cluster);
    let all = ListParams::default();
    let pods = async {
        let pods = cluster.api::<Pod>().list(&all).await;
        pods.map_err(|error| Error::cluster("reading the pods", &error))
    };
    let (head, pods) = tokio::try_join!(store.head(), pods)?;
    let current = session::kept(store, &head.value).await?.current;
    let mut observed = Observed::default();
    // Behind an Ingress the version says where it is.
    if current.as_ref().is_some_and(|current| current.content.front.is_none()) {
        observed.services = crate::cluster::view::list(cluster).await?;
    }
    let urls = current.as_ref().map(|current| entry_urls(&current.content, &observed)).unwrap_or_default();
    let trouble = match current.as_ref().and_then(|current| current.content.borrowed.as_ref()) {
        Some(borrowed) => trouble(cluster, borrowed).await,
        None => None,
    };
    Ok(Inside { current, urls, asks: Extra::of_pods(pods.items.iter()), trouble })
}

fn trouble_of(inside: &Result<Inside>) -> Option<&String> {
    inside.as_ref().ok()?.trouble.as_ref()
}

/// From which version of which cluster it borrows.
fn from(current: Option<&Record>) -> Option<String> {
    Some(current?.content.borrowed.as_ref()?.label())
}

fn row(entry: &Entry, inside: Option<&Inside>, now: Timestamp) -> Vec<String> {
    let current = inside.and_then(|inside| inside.current.as_ref());
    let last = match (entry.state, current) {
        (State::Ending | State::Over, _) => entry.why.clone(),
        (State::Beginning, _) => "it is yet to be made".to_owned(),
        (State::Asleep, _) => format!("asleep: `komandan wake {}`", entry.name),
        (State::Live, None) => "nothing serves yet".to_owned(),
        (State::Live, Some(_)) => {
            let urls: Vec<&str> = inside.into_iter().flat_map(|it| it.urls.values()).map(String::as_str).collect();
            if urls.is_empty() { format!("`komandan connect --name {}`", entry.name) } else { urls.join(" ") }
        }
    };
    vec![
        entry.name.clone(),
        entry.namespace.clone(),
        entry.began.map(|began| span(began, now)).unwrap_or_default(),
        entry
            .ends
            .filter(|_| entry.state != State::Ending)
            .map(|ends| format!("in {}", span(now, ends)))
            .unwrap_or_default(),
        entry.author.clone(),
        current.map(|current| short(&current.content.commit.id).to_owned()).unwrap_or_default(),
        from(current).unwrap_or_default(),
        inside.and_then(|inside| inside.asks.amounts()).unwrap_or_default(),
        last,
    ]
}

fn as_json(entry: &Entry, inside: &Result<Inside>) -> Value {
    let (error, trouble) = (inside.as_ref().err().map(ToString::to_string), trouble_of(inside));
    let inside = inside.as_ref().ok();
    let current = inside.and_then(|inside| inside.current.as_ref());
    json!({
        "name": entry.name, "namespace": entry.namespace, "state": entry.state, "owner": entry.author, "began": entry.began,
        "ends": entry.ends, "why": entry.why, "version": current.map(|current| current.number),
        "commit": current.map(|current| current.content.commit.id.clone()),
        "entries": inside.map(|inside| inside.urls.clone()).unwrap_or_default(),
        "from": from(current), "trouble": trouble,
        "asks_for": inside.map(|inside| inside.asks.json()), "error": error,
    })
}
