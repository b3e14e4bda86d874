//! `ssi`: the cluster of a repository, on a laptop, databases included.
//!
//! A command is a client: it asks the session's supervisor, which owns what runs, and reports what it is
//! told. See ARCHITECTURE.md for the map.

mod commands;
mod console;
mod exit;
mod protocol;
mod report;
mod runtime;
mod session;
mod supervisor;

fn main() -> std::process::ExitCode {
    commands::run()
}
