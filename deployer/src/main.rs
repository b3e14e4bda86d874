//! `komandan` deploys a repository's cluster to Kubernetes, and reverts it.
//!
//! [`plan`] decides, purely, from what is wanted ([`target`], [`render`]) and what is seen
//! ([`cluster::view`], [`health`]); [`apply`] does it, under the lock that [`session`] holds; [`store`] keeps
//! every version in the cluster itself.

mod apply;
mod checks;
mod cli;
mod clones;
mod cluster;
mod commands;
mod console;
mod error;
mod exit;
mod fault;
mod health;
mod images;
mod names;
mod overlay;
mod plan;
mod quota;
mod render;
mod repository;
mod schemas;
mod secrets;
mod session;
mod settings;
mod smoke;
mod store;
mod suites;
mod target;
mod terminal;
mod transient;
mod unsupported;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::console::Console;
use crate::error::Error;
use crate::exit::Exit;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let console = Console::new(cli.global.output);
    // An error here means that a provider is there already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(run(&cli, &console));
            // A thread that waits for a slow program must not keep us.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Error::Io { what: "starting".to_owned(), error }),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            console.error(&error);
            error.exit().into()
        }
    }
}

async fn run(cli: &Cli, console: &Console) -> error::Result<ExitCode> {
    let global = &cli.global;
    match &cli.command {
        // These end as what they ran or looked at.
        Command::Exec(args) => return commands::exec::run(args, global, console).await,
        Command::Doctor(args) => return commands::doctor::run(args, global, console).await,
        Command::Build(args) => commands::build::run(args, global, console).await,
        Command::Plan(args) => commands::plan::run(args, global, console).await,
        Command::Deploy(args) => commands::deploy::run(args, global, console).await,
        Command::Status(args) => commands::status::run(args, global, console).await,
        Command::History(args) => commands::history::run(args, global, console).await,
        Command::Revert(args) => commands::revert::run(args, global, console).await,
        Command::Render(args) => commands::render::run(args, global, console).await,
        Command::Diff(args) => commands::diff::run(args, global, console).await,
        Command::Scale(args) => commands::scale::run(args, global, console).await,
        Command::Restart(args) => commands::restart::run(args, global, console).await,
        Command::Logs(args) => commands::logs::run(args, global, console).await,
        Command::Connect(args) => commands::connect::run(args, global, console).await,
        Command::Secret(args) => commands::secret::run(args, global, console).await,
        Command::Smoke(args) => commands::smoke::run(args, global, console).await,
        Command::Test(args) => commands::test::run(args, global, console).await,
        Command::Gc(args) => commands::gc::run(args, global, console).await,
        Command::Rbac(args) => commands::rbac::run(args, global, console).await,
        Command::Down(args) => commands::down::run(args, global, console).await,
        Command::Up(args) => commands::up::run(args, global, console).await,
        Command::List(args) => commands::list::run(args, global, console).await,
        Command::Extend(args) => commands::extend::run(args, global, console).await,
        Command::Sleep(args) => commands::sleep::sleep(args, global, console).await,
        Command::Wake(args) => commands::sleep::wake(args, global, console).await,
    }?;
    Ok(Exit::Success.into())
}
