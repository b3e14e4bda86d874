//! `ssi list`: all sessions of this machine, and an end for those that nobody comes back to.

use clap::Args;
use clustergraph::graph::UnitKind;
use serde::Serialize;

use super::Printed;
use crate::console::{self, DIM, GREEN, RED, paint};
use crate::exit::{Exit, Failure};
use crate::protocol::{Event, Request};
use crate::report::{Output, ago, table};
use crate::runtime;
use crate::session::{At, Client, Found, Instance, Records, Session};

/// Arguments of `ssi list`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi list\n  ssi list --output json\n  ssi list --prune                  ends sessions whose folder is gone\n  ssi list --prune --delete-data    and deletes their databases"
)]
pub(crate) struct ListArgs {
    /// End what runs of stale sessions, and forget them
    #[arg(long)]
    prune: bool,
    /// Also where databases hold data
    #[arg(long, requires = "prune")]
    delete_data: bool,
    #[command(flatten)]
    printed: Printed,
}

/// One session, as it is shown.
#[derive(Serialize)]
struct Row {
    id: String,
    folder: String,
    /// What it was started as, when it is not the work tree's.
    revision: Option<String>,
    /// The commit that this was.
    commit: Option<String>,
    /// The same for people.
    #[serde(skip)]
    shown: String,
    /// Why nobody will use it any more.
    stale: Option<String>,
    /// What runs of it.
    running: Vec<String>,
    /// Since when the oldest of these runs, in seconds since 1970.
    since: Option<i64>,
    /// Database servers that hold data.
    data: Vec<String>,
}

pub(super) async fn run(args: &ListArgs) -> Result<Exit, Failure> {
    let found = Session::all();
    if args.prune {
        return prune(&found, args.delete_data, args.printed.output).await;
    }
    let mut rows = Vec::new();
    for found in &found {
        rows.push(row(found).await?);
    }
    match args.printed.output {
        Output::Json => {
            console::data(&serde_json::json!({ "schema": "ssi.list/1", "sessions": rows }).to_string());
        }
        Output::Text if rows.is_empty() => console::note("there are no sessions on this machine"),
        Output::Text => {
            console::data(&shown(&rows));
            if rows.iter().any(|row| row.stale.is_some()) {
                console::note("`ssi list --prune` ends stale sessions");
            }
        }
    }
    Ok(Exit::Success)
}

async fn row(found: &Found) -> Result<Row, Failure> {
    let session = &found.session;
    let records = Records::read(&session.records()).map_err(Failure::unusable)?;
    let (mut running, mut since) = (Vec::new(), None::<i64>);
    for name in &records.runtimes {
        let of_runtime: Vec<_> = records.units.values().filter(|record| record.runtime == *name).collect();
        let instances: Vec<Instance> = of_runtime.iter().filter_map(|record| record.instance.clone()).collect();
        // An engine that does not answer runs nothing that anybody could use.
        let alive = runtime::of(*name, session).running(&instances).await.unwrap_or_default();
        let units = of_runtime.iter().filter(|record| record.instance.is_some()).zip(alive);
        for (record, _) in units.filter(|(record, alive)| *alive && record.unit.kind != UnitKind::Forward) {
            running.push(record.unit.name.clone());
            since = Some(since.map_or(record.since, |before| before.min(record.since)));
        }
    }
    running.sort();
    Ok(Row {
        id: session.id.clone(),
        folder: session.located.root().display().to_string(),
        revision: session.at.as_ref().map(|at| at.revision.clone()),
        commit: session.at.as_ref().map(|at| at.commit.clone()),
        shown: session.at.as_ref().map(At::shown).unwrap_or_default(),
        stale: found.stale.clone(),
        running,
        since,
        data: records.servers.keys().cloned().collect(),
    })
}

fn shown(rows: &[Row]) -> String {
    let now = jiff::Timestamp::now().as_second();
    let cells = rows.iter().map(|row| {
        let state = match (&row.stale, row.running.is_empty()) {
            (Some(_), _) => paint("stale", RED),
            (None, false) => paint("runs", GREEN),
            (None, true) => paint("stopped", DIM),
        };
        let what = match (&row.stale, row.running.as_slice()) {
            (Some(why), []) => why.clone(),
            (Some(why), running) => format!("{why}, and {} run", running.len()),
            (None, running) => running.join(" "),
        };
        let folder = if row.folder.is_empty() { "-".to_owned() } else { row.folder.clone() };
        vec![
            row.id.clone(),
            folder,
            row.shown.clone(),
            state,
            row.since.map(|since| ago(now - since)).unwrap_or_default(),
            what,
        ]
    });
    table(
        &["SESSION", "FOLDER", "REVISION", "STATE", "AGE", "WHAT RUNS"],
        &["SESSION", "REVISION", "AGE"],
        cells.collect(),
        console::table_width(),
    )
}

async fn prune(found: &[Found], delete_data: bool, output: Output) -> Result<Exit, Failure> {
    let (mut pruned, mut kept) = (Vec::new(), Vec::new());
    for found in found.iter().filter(|found| found.stale.is_some()) {
        let row = row(found).await?;
        if !row.data.is_empty() && !delete_data {
            kept.push(row);
            continue;
        }
        end(&found.session).await?;
        pruned.push(row);
    }
    if output == Output::Json {
        console::data(&serde_json::json!({ "schema": "ssi.list/1", "pruned": pruned, "kept": kept }).to_string());
        return Ok(Exit::Success);
    }
    if pruned.is_empty() && kept.is_empty() {
        console::note("no session is stale");
    }
    for row in &pruned {
        console::data(&format!("ended {} {}", row.id, paint(&row.folder, DIM)));
    }
    for row in &kept {
        let text = format!(
            "{} {}: {} hold data: `ssi list --prune --delete-data` deletes it",
            row.id,
            row.folder,
            row.data.join(", ")
        );
        console::note(&text);
    }
    Ok(Exit::Success)
}

/// Ends what runs of a session and deletes all that it kept.
async fn end(session: &Session) -> Result<(), Failure> {
    let request = Request::Down { services: Vec::new(), delete_data: true };
    let mut client = Client::ask(session, &request).await?;
    while let Some(event) = client.next().await? {
        if let Event::End { exit, message } = event {
            if exit != Exit::Success {
                return Err(Failure { exit, message: format!("session {}: {message}", session.id) });
            }
            break;
        }
    }
    // It must be gone before its folder is: it would make the folder anew.
    if client.send(&Request::Leave).await.is_ok() {
        while client.next().await?.is_some() {}
    }
    match std::fs::remove_dir_all(&session.state_dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::unusable(format!("{}: {error}", session.state_dir.display())))
        }
        _ => Ok(()),
    }
}
