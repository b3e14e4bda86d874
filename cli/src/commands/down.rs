//! `ssi down`: stop what nothing else wants.

use clap::Args;

use super::{Global, up};
use crate::console;
use crate::exit::{Exit, Failure};
use crate::protocol::Request;
use crate::report::Reporter;
use crate::session::connect;

/// Arguments of `ssi down`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi down                  everything stops, data stays\n  ssi down www              what only www wanted stops\n  ssi down --delete-data    databases and installed dependencies go, too"
)]
pub(crate) struct DownArgs {
    /// Services that are no longer wanted; everything when none is named
    services: Vec<String>,
    /// Also delete databases, volumes and logs of this session
    #[arg(long, conflicts_with = "services")]
    delete_data: bool,
}

pub(super) async fn run(global: &Global, args: DownArgs) -> Result<Exit, Failure> {
    let session = global.session()?;
    if !session.records().exists() {
        console::note("nothing runs here");
        return Ok(Exit::Success);
    }
    let mut client = connect(&session).await?;
    client.send(&Request::Down { services: args.services, delete_data: args.delete_data }).await?;
    let exit = up::follow(&mut client, &mut Reporter::new(global.output, false)).await?;
    if args.delete_data && exit == Exit::Success {
        // The supervisor of a session without records has nothing to own: it leaves, and the last files go.
        client.send(&Request::Leave).await?;
        while client.next().await?.is_some() {}
        match std::fs::remove_dir_all(&session.state_dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => console::note("all data of this session is deleted"),
        }
    }
    Ok(exit)
}
