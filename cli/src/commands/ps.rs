//! `ssi ps`: what runs.

use clap::Args;
use clustergraph::graph::UnitKind;

use super::{Global, Printed, Revision};
use crate::console::{self, DIM, GREEN, RED, YELLOW, paint};
use crate::exit::{Exit, Failure};
use crate::protocol::{Event, Listed, Request, State};
use crate::report::{Output, ago, table};
use crate::session::{Client, Records, Session, is_running};
use crate::supervisor;

/// Arguments of `ssi ps`.
#[derive(Args)]
#[command(after_help = "Examples:\n  ssi ps\n  ssi ps --all\n  ssi ps --at v1.2\n  ssi ps --output json")]
pub(crate) struct PsArgs {
    /// Also what was done once: setups, databases, migrations, seeds
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    revision: Revision,
    #[command(flatten)]
    printed: Printed,
}

pub(super) async fn run(global: &Global, args: &PsArgs) -> Result<Exit, Failure> {
    let session = args.revision.session(global)?;
    let mut units = listing(&session).await?;
    units.retain(|listed| args.all || matches!(listed.unit.kind, UnitKind::Service | UnitKind::Server));
    match args.printed.output {
        Output::Json => {
            console::data(
                &serde_json::json!({ "schema": "ssi.ps/1", "session": session.id, "units": units }).to_string(),
            );
        }
        Output::Text if units.is_empty() => console::note(&session.nothing_runs()),
        Output::Text => console::data(&rows(&units)),
    }
    Ok(Exit::Success)
}

/// What the supervisor knows. Where nothing is recorded as running none is started: the records say it all.
pub(super) async fn listing(session: &Session) -> Result<Vec<Listed>, Failure> {
    if !is_running(session).await {
        let records = Records::read(&session.records()).map_err(Failure::unusable)?;
        if records.units.values().all(|record| record.instance.is_none()) {
            return Ok(supervisor::recorded(records));
        }
    }
    let mut client = Client::ask(session, &Request::Ps).await?;
    while let Some(event) = client.next().await? {
        if let Event::Listing { units } = event {
            return Ok(units);
        }
    }
    Err(Failure::failed("the supervisor ended: run the command again"))
}

fn rows(units: &[Listed]) -> String {
    let now = jiff::Timestamp::now().as_second();
    let rows = units.iter().map(|listed| {
        let style = match listed.state {
            State::Ready | State::Done => GREEN,
            State::Failed | State::Skipped => RED,
            State::Waiting | State::Starting | State::Stopping => YELLOW,
            State::Stopped | State::Unknown => DIM,
        };
        vec![
            listed.unit.to_string(),
            listed.unit.kind.as_str().to_owned(),
            paint(listed.state.as_str(), style),
            listed.runtime.as_str().to_owned(),
            listed.since.map(|since| ago(now - since)).unwrap_or_default(),
            listed.addresses.join(" "),
        ]
    });
    let header = ["NAME", "KIND", "STATE", "RUNTIME", "AGE", "ADDRESS"];
    table(&header, &["KIND", "RUNTIME", "AGE"], rows.collect(), console::table_width())
}
