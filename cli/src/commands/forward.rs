//! `ssi forward`: the way from containers to a program of this machine; the supervisor starts it.

use std::net::IpAddr;

use clap::Args;
use ipnet::IpNet;

use crate::exit::{Exit, Failure};
use crate::runtime::{self, Route};

/// Arguments of `ssi forward`.
#[derive(Args)]
pub(crate) struct ForwardArgs {
    /// Where to listen
    #[arg(long)]
    listen: IpAddr,
    /// Who may come
    #[arg(long)]
    allow: IpNet,
    /// Ports, as FROM=TO
    #[arg(required = true)]
    routes: Vec<Route>,
}

pub(super) async fn run(args: &ForwardArgs) -> Result<Exit, Failure> {
    runtime::forward(args.listen, args.allow, &args.routes).await?;
    Ok(Exit::Success)
}
