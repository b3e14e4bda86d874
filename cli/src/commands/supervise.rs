//! `ssi supervise`: the session's owner; other commands start it.

use clap::Args;

use super::Global;
use crate::exit::{Exit, Failure};
use crate::session::Session;
use crate::supervisor;

/// Arguments of `ssi supervise`.
#[derive(Args)]
pub(crate) struct SuperviseArgs {
    /// The session's id, where its work tree is gone
    #[arg(long)]
    session: Option<String>,
}

pub(super) async fn run(global: &Global, args: &SuperviseArgs) -> Result<Exit, Failure> {
    let session = match &args.session {
        Some(id) => Session::named(id).ok_or_else(|| Failure::unusable(format!("there is no session {id}")))?.session,
        None => global.session()?,
    };
    supervisor::run(session).await.map(|()| Exit::Success)
}
