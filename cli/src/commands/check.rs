//! `ssi check`: all that is wrong, at once.

use clap::Args;

use super::{Global, Printed};
use crate::console;
use crate::exit::{Exit, Failure};
use crate::report::Output;

/// Arguments of `ssi check`.
#[derive(Args)]
#[command(after_help = "Examples:\n  ssi check\n  ssi check --at origin/main --output json")]
pub(crate) struct CheckArgs {
    /// Check a commit instead of the work tree
    #[arg(long, value_name = "REVISION")]
    at: Option<String>,
    #[command(flatten)]
    printed: Printed,
}

pub(super) fn run(global: &Global, args: &CheckArgs) -> Result<Exit, Failure> {
    let graph = global.graph(args.at.as_deref(), args.printed.output)?;
    match args.printed.output {
        Output::Json => console::data(
            &serde_json::json!({
                "schema": "ssi.check/1", "version": graph.version,
                "services": graph.services.len(), "databases": graph.databases.len(), "problems": [],
            })
            .to_string(),
        ),
        Output::Text => console::data(&format!(
            "{}, {}, no problems; version {}",
            count(graph.services.len(), "service"),
            count(graph.databases.len(), "database"),
            graph.version.short()
        )),
    }
    Ok(Exit::Success)
}

/// `1 service`, `2 services`.
fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}
