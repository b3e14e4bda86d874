//! `ssi restart`: what runs begins anew, whether or not anything of it changed.

use clap::Args;

use super::{Global, Printed, Revision, up};
use crate::exit::{Exit, Failure};
use crate::protocol::{Purpose, Request, Up};
use crate::report::{Output, Reporter};
use crate::session::Client;

/// Arguments of `ssi restart`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi restart api\n  ssi restart                 every service, but no database server\n  ssi restart postgres-16     a database server, its data stays"
)]
pub(crate) struct RestartArgs {
    /// Services, tasks and database servers; every service that runs when none is named
    names: Vec<String>,
    /// Print the plan and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    revision: Revision,
    #[command(flatten)]
    printed: Printed,
}

pub(super) async fn run(global: &Global, args: RestartArgs) -> Result<Exit, Failure> {
    let session = args.revision.session(global)?;
    let colour = args.printed.output == Output::Text;
    let wish = up::wish(&args.names, Purpose::Restart);
    let request = Request::Up(Up { dry_run: args.dry_run, colour: wish.colour && colour, ..wish });
    let mut client = Client::ask(&session, &request).await?;
    up::follow(&mut client, &mut Reporter::new(args.printed.output, args.dry_run)).await
}
