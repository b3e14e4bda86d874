//! `komandan history`

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::revert::is_warm;
use super::short;
use crate::cluster::view::Observed;
use crate::console::Console;
use crate::error::Result;
use crate::plan::warm;
use crate::settings::Global;
use crate::store::Store;
use crate::store::head::Head;
use crate::store::record::{Record, changes};
use crate::transient;

/// Lists the versions that the cluster stores, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  komandan history --output json")]
pub(crate) struct Args {
    /// How many
    #[arg(short = 'n', long, default_value_t = 20)]
    pub(crate) limit: usize,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let cluster = transient::connect(global).await?;
    let store = Store::new(&cluster);
    let (head, records, observed) = tokio::try_join!(store.head(), store.records(), Observed::read(&cluster))?;
    let (head, now) = (head.value, Timestamp::now());
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
                    object.insert("state".to_owned(), json!(state(record, &head, &observed, now)));
                    object.insert("warm_until".to_owned(), json!(warm::version_until(&record.content, &observed)));
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
                shown(state(record, &head, &observed, now), warm::version_until(content, &observed), now),
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
fn state(record: &Record, head: &Head, observed: &Observed, now: Timestamp) -> &'static str {
    if head.current == Some(record.number) {
        "current"
    } else if !head.served(record.number) && record.number > head.last {
        "unfinished"
    } else if is_warm(&resized(record, head), observed, now) {
        "warm"
    } else {
        "cold"
    }
}

/// A state with the time that is left of it.
fn shown(state: &str, until: Option<Timestamp>, now: Timestamp) -> String {
    match until.filter(|_| state == "warm") {
        Some(until) => format!("{state} {}", left(until.duration_since(now))),
        None => state.to_owned(),
    }
}

/// A time in the largest unit that says something: `29m`.
fn left(time: SignedDuration) -> String {
    match time.as_secs().max(0) {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_warm_for_a_while_says_for_how_long() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (state, until, expected) in [
            ("warm", Some(1799), "warm 29m"),
            ("warm", Some(119), "warm 119s"),
            ("warm", Some(86_400), "warm 24h"),
            ("warm", Some(-1), "warm 0s"),
            ("warm", None, "warm"),
            ("current", Some(10), "current"),
        ] {
            assert_eq!(shown(state, until.map(at), at(0)), expected);
        }
    }
}
