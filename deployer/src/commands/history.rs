//! `komandan history`

use serde_json::json;

use super::revert::is_warm;
use super::short;
use crate::cluster::Cluster;
use crate::cluster::view::Observed;
use crate::console::Console;
use crate::error::Result;
use crate::settings::Global;
use crate::store::Store;
use crate::store::head::Head;
use crate::store::record::{Record, changes};

/// Lists the versions that the cluster stores, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  komandan history --output json")]
pub(crate) struct Args {
    /// How many
    #[arg(short = 'n', long, default_value_t = 20)]
    pub(crate) limit: usize,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let cluster = Cluster::connect(&global.settings_without_graph()?).await?;
    let store = Store::new(&cluster);
    let (head, records, observed) = tokio::try_join!(store.head(), store.records(), Observed::read(&cluster))?;
    let head = head.value;
    let listed = records.values().rev().take(args.limit);
    let changed = |record: &Record| {
        let parent = record.parent.and_then(|parent| records.get(&parent));
        changes(parent.map(|parent| &parent.content), &record.content)
    };
    if console.is_json() {
        let versions: Vec<_> = listed
            .map(|record| {
                let mut value = json!(record);
                if let Some(object) = value.as_object_mut() {
                    object.insert("state".to_owned(), json!(state(record, &head, &observed)));
                    object.insert("changed".to_owned(), json!(changed(record)));
                }
                value
            })
            .collect();
        console.json(json!({
            "command": "history", "cluster": cluster.name(), "current": head.current, "previous": head.previous,
            "versions": versions, "moves": head.log,
        }));
        return Ok(());
    }
    let rows: Vec<_> = listed
        .map(|record| {
            let content = &record.content;
            let when = record.created.round(jiff::Unit::Second).unwrap_or(record.created);
            vec![
                record.number.to_string(),
                state(record, &head, &observed).to_owned(),
                content.version.short(),
                short(&content.commit.id).to_owned(),
                when.to_string(),
                record.author.clone(),
                changed(record),
                content.commit.summary.clone(),
            ]
        })
        .collect();
    if rows.is_empty() {
        console.note(&format!("nothing was ever deployed to {} (namespace {})", cluster.name(), cluster.namespace()));
        return Ok(());
    }
    console.table(&["NUMBER", "STATE", "VERSION", "COMMIT", "WHEN", "BY", "CHANGED", "SUMMARY"], &rows);
    Ok(())
}

/// A version at the sizes that were chosen by hand.
fn resized(record: &Record, head: &Head) -> Record {
    let mut record = record.clone();
    head.resize(&mut record.content);
    record
}

/// Whether a version serves, could at once, or has to be made again first.
fn state(record: &Record, head: &Head, observed: &Observed) -> &'static str {
    if head.current == Some(record.number) {
        "current"
    } else if !head.served(record.number) && record.number > head.last {
        "unfinished"
    } else if is_warm(&resized(record, head), observed) {
        "warm"
    } else {
        "cold"
    }
}
