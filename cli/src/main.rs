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

/// Reading a graph is a fifth allocation, and static programs have a slow allocator else.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    commands::run()
}
