//! The command line.

use clap::{Parser, Subcommand};

use crate::commands::{build, deploy, down, history, plan, render, revert, status};
use crate::settings::Global;

/// Deploys a repository's cluster to Kubernetes, and reverts it
///
/// A cluster is the value of a commit: its services, databases and the wiring between them. `deploy` makes
/// that value real beside what runs, and then sends the requests to it at once; `revert` sends them back.
#[derive(Debug, Parser)]
#[command(name = "komandan", version, after_help = AFTER)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER: &str = "Examples:
  komandan deploy                  the current commit to the cluster `production`
  komandan deploy --dry-run v1.4   what that would do with the commit v1.4
  komandan revert                  back to the version before

Exit codes: 0 as asked, 1 failure, 2 command line, 3 the repository's files, 4 not ready (traffic stays),
5 locked by somebody else, 6 refused to protect data or foreign objects, 7 cluster, 8 images, 130 interrupted";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Build(build::Args),
    Plan(plan::Args),
    Deploy(deploy::Args),
    Status(status::Args),
    History(history::Args),
    Revert(revert::Args),
    Render(render::Args),
    Down(down::Args),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_sound_and_every_command_has_an_example() {
        let command = Cli::command();
        command.clone().debug_assert();
        for command in command.get_subcommands() {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Example"), "{}", command.get_name());
        }
    }
}
