//! `ssi down`: stop what nothing else wants.

use clap::Args;

use super::{Global, Printed, Revision, up};
use crate::console;
use crate::exit::{Exit, Failure};
use crate::protocol::Request;
use crate::report::Reporter;
use crate::session::Client;

/// Arguments of `ssi down`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi down                  everything stops, data stays\n  ssi down www              what only www wanted stops\n  ssi down --delete-data    databases and installed dependencies go, too\n  ssi down --at v1.2        the cluster of a revision stops"
)]
pub(crate) struct DownArgs {
    /// Services that are no longer wanted; everything when none is named
    services: Vec<String>,
    /// Also delete databases, volumes and logs of this session
    #[arg(long, conflicts_with = "services")]
    delete_data: bool,
    #[command(flatten)]
    revision: Revision,
    #[command(flatten)]
    printed: Printed,
}

pub(super) async fn run(global: &Global, args: DownArgs) -> Result<Exit, Failure> {
    let session = args.revision.session(global)?;
    if !session.records().exists() {
        console::note(&session.nothing_runs());
        return Ok(Exit::Success);
    }
    let request = Request::Down { services: args.services, delete_data: args.delete_data };
    let mut client = Client::ask(&session, &request).await?;
    let exit = up::follow(&mut client, &mut Reporter::new(args.printed.output, false)).await?;
    if args.delete_data && exit == Exit::Success {
        console::note("all data of this session is deleted");
    }
    // With nothing left to own it need not wait for the next command; where more is asked of it, it stays.
    if !session.records().exists() && client.send(&Request::Leave).await.is_ok() {
        while client.next().await?.is_some() {}
    }
    Ok(exit)
}
