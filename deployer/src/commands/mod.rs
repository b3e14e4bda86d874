//! One file for each command, with its arguments.

pub(crate) mod build;
pub(crate) mod connect;
pub(crate) mod deploy;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod exec;
pub(crate) mod extend;
pub(crate) mod gc;
pub(crate) mod history;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod plan;
pub(crate) mod rbac;
pub(crate) mod render;
pub(crate) mod restart;
pub(crate) mod revert;
pub(crate) mod scale;
pub(crate) mod secret;
pub(crate) mod sleep;
pub(crate) mod smoke;
pub(crate) mod status;
pub(crate) mod test;
pub(crate) mod up;

use std::collections::BTreeMap;

use clustergraph::diagnostic::suggestion;
use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::pods::Instances;
use crate::cluster::view::{Observed, list};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::overlay::refuse_what_is_borrowed;
use crate::plan::Step;
use crate::store::record::{Content, Node, Record};
use crate::store::{Store, head::Head};

/// The version that serves, with the head that says so.
async fn served(cluster: &Cluster) -> Result<(Head, Record)> {
    let store = Store::new(cluster);
    let head = store.head().await?.value;
    match crate::session::kept(store, &head).await?.current {
        Some(current) => Ok((head, current)),
        None => Err(nothing_served(cluster)),
    }
}

fn nothing_served(cluster: &Cluster) -> Error {
    Error::Usage(format!(
        "nothing is deployed to {} (namespace {}): `komandan deploy` does that",
        cluster.name(),
        cluster.namespace()
    ))
}

/// A service of a version.
pub(crate) fn node<'r>(record: &'r Record, name: &str) -> Result<&'r Node> {
    refuse_what_is_borrowed(record, name)?;
    record.content.nodes.get(name).ok_or_else(|| {
        let known = record.content.nodes.keys();
        unknown(name, known.map(String::as_str), &format!("version {}", record.number))
    })
}

/// The pods of a service of a version, or of a database server.
async fn instances(cluster: &Cluster, record: &Record, name: &str) -> Result<Instances> {
    if let Some(node) = record.content.nodes.get(name) {
        return Ok(Instances::of_workload(name, &node.workload));
    }
    refuse_what_is_borrowed(record, name)?;
    let servers = list::<StatefulSet>(cluster).await?;
    let ours: Vec<&str> = servers
        .values()
        .filter(|set| cluster.owns(&set.metadata))
        .filter_map(|set| set.metadata.name.as_deref())
        .collect();
    let meant = crate::names::server_of(name);
    if let Some(server) = ours.iter().find(|server| **server == name || **server == meant) {
        return Ok(Instances::of_server(server));
    }
    let known = record.content.nodes.keys().map(String::as_str).chain(ours.iter().copied());
    Err(unknown(name, known, &format!("version {}", record.number)))
}

/// There is nothing of a name; one that is much like it is named.
fn unknown<'k>(name: &str, known: impl Iterator<Item = &'k str> + Clone, of: &str) -> Error {
    let mend = match suggestion(name, known.clone()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
    };
    Error::Usage(format!("{of} has no `{}`: {mend}", name.escape_debug()))
}

/// Where each entry of a version is reached: from the world, or else from inside the cluster's network.
fn entry_urls(content: &Content, observed: &Observed) -> BTreeMap<String, String> {
    let url = |name: &String| {
        let entry = content.entries.get(name)?;
        if let Some(front) = &content.front {
            return Some((name.clone(), front.url(&entry.path)));
        }
        let service = observed.services.get(name)?;
        let address = service.spec.as_ref()?.cluster_ip.clone().filter(|address| address != "None")?;
        let host = if address.contains(':') { format!("[{address}]") } else { address };
        Some((name.clone(), format!("{}://{host}:{}{}", entry.scheme, entry.port, entry.path)))
    };
    content.entries.keys().filter_map(url).collect()
}

/// Shows the entries below the sentence that says what serves.
fn show_entries(urls: &BTreeMap<String, String>, console: &Console) {
    for (name, url) in urls {
        console.data(&format!("  {name}  {url}"));
    }
}

/// A span of time on the command line: `30s`, `5m`, `1h30m`.
fn span(text: &str) -> std::result::Result<std::time::Duration, String> {
    let span: Option<jiff::SignedDuration> = text.parse().ok();
    let span = span.and_then(|span| std::time::Duration::try_from(span).ok()).filter(|span| span.as_secs() > 0);
    // More than a week is a mistake.
    span.filter(|span| span.as_secs() <= 7 * 24 * 3600).ok_or_else(|| "write a span such as 30s, 5m or 1h".to_owned())
}

/// The first digits of a commit.
fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

/// A plan for people.
fn plan_rows(steps: &[Step]) -> Vec<Vec<String>> {
    steps.iter().map(|step| vec![step.action.as_str().to_owned(), step.part.to_string(), step.reason.clone()]).collect()
}

/// A plan for programs.
fn plan_json(steps: &[Step]) -> Value {
    json!(steps)
}
