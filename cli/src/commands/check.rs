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
    let tree = global.tree(args.at.as_deref())?;
    let summary = Global::read(&tree, args.printed.output)?.summary();
    match args.printed.output {
        Output::Json => console::data(
            &serde_json::json!({
                "schema": "ssi.check/1", "version": summary.version,
                "services": summary.nodes(), "databases": summary.databases, "problems": [],
            })
            .to_string(),
        ),
        Output::Text => {
            let mut words = vec![count(summary.services, "service", "services")];
            for (number, one, several) in [
                (summary.processes, "process", "processes"),
                (summary.jobs, "job", "jobs"),
                (summary.databases, "database", "databases"),
            ] {
                words.extend((number > 0).then(|| count(number, one, several)));
            }
            console::data(&format!("{}, no problems; version {}", words.join(", "), summary.version.short()));
        }
    }
    Ok(Exit::Success)
}

/// `1 service`, `2 services`.
fn count(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}
