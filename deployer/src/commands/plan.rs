//! `komandan plan`

use super::deploy;
use crate::console::Console;
use crate::error::Result;
use crate::settings::Global;

/// Shows what `deploy` would do, and why
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  komandan plan HEAD")]
pub(crate) struct Args {
    /// The commit
    #[arg(default_value = "HEAD")]
    pub(crate) commit: String,
    /// As for `deploy`
    #[arg(long)]
    pub(crate) allow_downtime: bool,
    /// As for `deploy`
    #[arg(long)]
    pub(crate) force_conflicts: bool,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let args = deploy::Args {
        commit: args.commit.clone(),
        dry_run: true,
        wait: false,
        retry_migration: false,
        allow_downtime: args.allow_downtime,
        force_conflicts: args.force_conflicts,
        smoke: false,
        revert_on_failure: false,
        if_tests_pass: false,
        tests_cluster: None,
    };
    deploy::run(&args, global, console).await
}
