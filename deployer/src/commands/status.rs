//! `komandan status`

use jiff::Timestamp;
use serde_json::json;

use super::revert::is_warm;
use super::{entry_urls, short};
use crate::cluster::view::Observed;
use crate::console::Console;
use crate::error::Result;
use crate::health::{self, Progress};
use crate::names::{self, Component};
use crate::overlay::trouble;
use crate::plan::warm;
use crate::render::Kind;
use crate::session;
use crate::settings::Global;
use crate::store::Store;
use crate::store::head::{Head, Size};
use crate::store::pins::Pin;
use crate::transient;

/// Shows what serves, and whether all of it is ready
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  komandan status --cluster production")]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, global: &Global, console: &Console) -> Result<()> {
    let cluster = transient::connect(global).await?;
    let store = Store::new(&cluster);
    let (head, observed) = tokio::try_join!(store.head(), Observed::read(&cluster))?;
    let head = head.value;
    let kept = session::kept(store, &head).await?;
    let Some(current) = &kept.current else {
        if console.is_json() {
            console.json(json!({ "command": "status", "cluster": cluster.name(), "namespace": cluster.namespace(), "version": null, "nodes": {}, "entries": {} }));
        } else {
            console.note(&format!("nothing is deployed to {} (namespace {})", cluster.name(), cluster.namespace()));
        }
        return Ok(());
    };
    let content = &current.content;
    let now = Timestamp::now();
    let ready = |workload: &str| {
        let live = observed.deployments.get(workload).and_then(|live| live.status.as_ref());
        live.and_then(|status| status.available_replicas).unwrap_or(0)
    };
    let words = |progress: Progress| match progress {
        Progress::Ready => String::new(),
        Progress::Waiting(why) => why,
        Progress::Failed(cause) => cause.why,
    };
    let servers: Vec<(String, String)> = observed
        .stateful_sets
        .values()
        .filter(|set| cluster.owns(&set.metadata))
        .filter(|set| {
            let labels = set.metadata.labels.as_ref();
            labels.and_then(|labels| labels.get(names::COMPONENT)).map(String::as_str)
                == Some(Component::Database.as_str())
        })
        .filter_map(|set| set.metadata.name.clone())
        .map(|name| (name.clone(), words(health::stateful_set(&observed, &name, now))))
        .collect();
    let urls = entry_urls(content, &observed);
    let previous = kept.previous.as_ref().filter(|previous| is_warm(previous, &observed, now));
    let ready_before = previous.map(|previous| (previous.number, warm::version_until(&previous.content, &observed)));
    let trouble = match &content.borrowed {
        Some(borrowed) => trouble(&cluster, borrowed).await,
        None => None,
    };
    let borrowers = borrowers(store, &head, now).await?;
    if console.is_json() {
        let nodes: serde_json::Map<_, _> = content
            .nodes
            .iter()
            .map(|(name, node)| {
                let note = words(health::node(&observed, node, now));
                let value = json!({
                    "id": node.id, "workload": node.workload, "image": node.image, "desired": node.replicas,
                    "ready": ready(&node.workload), "note": note, "scaled": head.sizes.get(name),
                });
                (name.clone(), value)
            })
            .collect();
        let servers: serde_json::Map<_, _> =
            servers.into_iter().map(|(name, note)| (name, json!({ "ready": note.is_empty(), "note": note }))).collect();
        console.json(json!({
            "command": "status", "cluster": cluster.name(), "namespace": cluster.namespace(), "version": current.number,
            "previous": head.previous, "graph": content.version, "commit": content.commit.id, "nodes": nodes,
            "servers": servers, "entries": urls, "intent": head.intent, "borrowed": content.borrowed, "trouble": trouble,
            "borrowers": borrowers.iter().map(|pin| json!({ "name": pin.name, "versions": pin.versions, "until": pin.until })).collect::<Vec<_>>(),
            "warm": ready_before.map(|(version, until)| json!({ "version": version, "until": until })),
        }));
        return Ok(());
    }
    console.data(&format!(
        "version {} of {} (namespace {}): {} {}",
        current.number,
        cluster.name(),
        cluster.namespace(),
        short(&content.commit.id),
        content.commit.summary
    ));
    let mut rows: Vec<Vec<String>> = content
        .nodes
        .iter()
        .map(|(name, node)| {
            vec![
                name.clone(),
                node.workload.clone(),
                match node.kind {
                    Kind::Service | Kind::HandedOver => format!("{}/{}", ready(&node.workload), node.replicas),
                    Kind::Task => "done".to_owned(),
                    Kind::Job => "scheduled".to_owned(),
                },
                noted(words(health::node(&observed, node, now)), head.sizes.get(name)),
            ]
        })
        .collect();
    for (name, note) in servers {
        let ready = if note.is_empty() { "1/1" } else { "0/1" };
        rows.push(vec![name.clone(), name, ready.to_owned(), note]);
    }
    for (borrowed, name, lent) in
        content.borrowed.iter().flat_map(|it| it.nodes.iter().map(move |(name, lent)| (it, name, lent)))
    {
        let from = format!("from {}", borrowed.label());
        rows.push(vec![name.clone(), lent.workload.clone(), "borrowed".to_owned(), from]);
    }
    console.table(&["NODE", "WORKLOAD", "READY", ""], &rows);
    if let Some(trouble) = trouble {
        console.data(&format!("what it borrows may not answer: {trouble}"));
    }
    for pin in borrowers {
        let versions: Vec<String> = pin.versions.iter().map(u64::to_string).collect();
        console.note(&format!("{} borrows version {} until {}", pin.name, versions.join(", "), pin.until));
    }
    for (name, url) in urls {
        console.data(&format!("{name}  {url}"));
    }
    if let Some((number, until)) = ready_before {
        let until = until.map_or_else(|| "the next deploy".to_owned(), |until| until.to_string());
        console.note(&format!("version {number} is warm until {until}: `komandan revert` is one switch"));
    }
    if let Some(intent) = &head.intent {
        console.note(&format!(
            "a switch to version {} was begun and is not over: the next deploy or revert ends it",
            intent.to
        ));
    }
    Ok(())
}

/// Who borrows from it.
async fn borrowers(store: Store<'_>, head: &Head, now: Timestamp) -> Result<Vec<Pin>> {
    if !head.has_lent {
        return Ok(Vec::new());
    }
    Ok(store.pins().await?.value.live(now).cloned().collect())
}

/// What is said of a node, and of who chose its size.
fn noted(state: String, size: Option<&Size>) -> String {
    let Some(size) = size else { return state };
    let scaled = format!("scaled to {} by {}", size.replicas, size.author);
    if state.is_empty() { scaled } else { format!("{state}; {scaled}") }
}
