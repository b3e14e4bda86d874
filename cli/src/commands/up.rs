//! `ssi up`: make the graph real.

use std::collections::BTreeMap;

use clap::Args;

use super::{Global, logs};
use crate::console;
use crate::exit::{Exit, Failure};
use crate::protocol::{Event, Request, RuntimeName, Up};
use crate::report::Reporter;
use crate::session::{Client, connect};

/// Variables of the caller that every program gets, and nothing else of the caller's shell.
const BASE: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "TZ",
    "LANG",
    "LANGUAGE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
];

/// Arguments of `ssi up`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi up                 everything, with its logs, until Ctrl-C\n  ssi up -d              everything, in the background\n  ssi up api             only api and what it needs\n  ssi up --dry-run       what would be done, and why"
)]
pub(crate) struct UpArgs {
    /// Services to start with all that they need; everything when none is named
    services: Vec<String>,
    /// Return once everything is ready
    #[arg(short, long)]
    detach: bool,
    /// Print the plan and do nothing
    #[arg(long)]
    dry_run: bool,
    /// How to run; Docker where an engine answers, else processes
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<RuntimeName>,
    /// A registry that holds public images
    #[arg(long, value_name = "HOST", env = "CLUSTERGRAPH_MIRROR")]
    mirror: Option<String>,
}

pub(super) async fn run(global: &Global, args: UpArgs) -> Result<Exit, Failure> {
    let session = global.session()?;
    let mut client = connect(&session).await?;
    let base_env: BTreeMap<String, String> =
        std::env::vars().filter(|(name, _)| BASE.contains(&name.as_str()) || name.starts_with("LC_")).collect();
    let request = Request::Up(Up {
        services: args.services.clone(),
        runtime: args.runtime,
        dry_run: args.dry_run,
        base_env,
        mirror: args.mirror,
        colour: console::has_colour(),
        width: console::width(),
    });
    client.send(&request).await?;
    let attached = !args.detach && !args.dry_run;
    let mut interrupted = false;
    let mut reporter = Reporter::new(global.output, args.dry_run);
    let exit = tokio::select! {
        exit = follow(&mut client, &mut reporter) => exit?,
        _ = tokio::signal::ctrl_c(), if attached => { interrupted = true; Exit::Interrupted }
    };
    if !attached || (exit != Exit::Success && !interrupted) {
        return Ok(exit);
    }
    if !interrupted {
        console::note("following the logs; Ctrl-C stops everything in order");
        let mut fresh = connect(&session).await?;
        tokio::select! {
            result = logs::follow_all(&session, &mut fresh, &args.services) => result?,
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    console::note("stopping; Ctrl-C again leaves the rest to the background");
    let mut client = connect(&session).await?;
    client.send(&Request::Down { services: args.services, delete_data: false }).await?;
    let mut reporter = Reporter::new(global.output, false);
    tokio::select! {
        exit = follow(&mut client, &mut reporter) => exit.map(|_| Exit::Interrupted),
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

/// Reports everything that the supervisor tells until the request is over.
pub(super) async fn follow(client: &mut Client, reporter: &mut Reporter) -> Result<Exit, Failure> {
    while let Some(event) = client.next().await? {
        reporter.report(&event);
        if let Event::End { exit, message } = event {
            return if message.is_empty() { Ok(exit) } else { Err(Failure { exit, message }) };
        }
    }
    Err(Failure::failed("the supervisor ended; what runs goes on: run the command again"))
}
