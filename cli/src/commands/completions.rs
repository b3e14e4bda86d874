//! `ssi completions`: what a shell needs to complete command lines.

use clap::{Args, Command, CommandFactory};
use clap_complete::{Shell, generate};

use super::Cli;
use crate::console;
use crate::exit::Exit;

/// Arguments of `ssi completions`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi completions bash > ~/.local/share/bash-completion/completions/ssi\n  ssi completions zsh > ~/.zfunc/_ssi\n  ssi completions fish > ~/.config/fish/completions/ssi.fish"
)]
pub(crate) struct CompletionsArgs {
    /// The shell that completes
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> Exit {
    let cli = Cli::command();
    // What other commands start, nobody types.
    let shown = cli.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut shown = Command::new("ssi").args(cli.get_arguments().cloned()).subcommands(shown);
    let mut script = Vec::new();
    generate(args.shell, &mut shown, "ssi", &mut script);
    console::data(String::from_utf8_lossy(&script).trim_end());
    Exit::Success
}
