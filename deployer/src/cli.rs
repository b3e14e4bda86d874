//! The command line.

use clap::{Parser, Subcommand};

use crate::commands::{
    build, connect, deploy, diff, doctor, down, exec, extend, gc, history, list, logs, plan, rbac, render, restart,
    revert, scale, secret, sleep, smoke, status, test, up,
};
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
  komandan up --pr 7               the current commit as a cluster of its own, which ends by itself

Exit codes: 0 as asked, 1 failure, 2 command line, 3 the repository's files, 4 not ready (traffic stays),
5 locked by somebody else, 6 refused to protect data or foreign objects, 7 cluster, 8 images, 9 failing tests or smoke checks, 130 interrupted";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Build(build::Args),
    Plan(plan::Args),
    Deploy(deploy::Args),
    Status(status::Args),
    History(history::Args),
    Revert(revert::Args),
    Diff(diff::Args),
    Scale(scale::Args),
    Restart(restart::Args),
    Logs(logs::Args),
    Exec(exec::Args),
    Connect(connect::Args),
    Secret(secret::Args),
    Smoke(smoke::Args),
    Test(test::Args),
    Render(render::Args),
    Gc(gc::Args),
    Rbac(rbac::Args),
    Doctor(doctor::Args),
    Down(down::Args),
    Up(up::Args),
    List(list::Args),
    Extend(extend::Args),
    Sleep(sleep::Sleep),
    Wake(sleep::Wake),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_sound_and_every_command_has_an_example() {
        let command = Cli::command();
        command.clone().debug_assert();
        let mut open: Vec<&clap::Command> = command.get_subcommands().collect();
        while let Some(command) = open.pop() {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Example"), "{}", command.get_name());
            open.extend(command.get_subcommands());
        }
    }
}
