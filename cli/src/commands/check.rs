//! `ssi check`: all that is wrong, at once.

use clap::Args;
use clustergraph::graph::Role;

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
        Output::Text => {
            let parts = graph.services.values().filter(|service| service.is_part());
            let (jobs, processes): (Vec<_>, Vec<_>) = parts.partition(|part| matches!(part.role, Role::Job { .. }));
            let services = graph.services.len() - jobs.len() - processes.len();
            let mut words = vec![count(services, "service", "services")];
            for (number, one, several) in [
                (processes.len(), "process", "processes"),
                (jobs.len(), "job", "jobs"),
                (graph.databases.len(), "database", "databases"),
            ] {
                words.extend((number > 0).then(|| count(number, one, several)));
            }
            console::data(&format!("{}, no problems; version {}", words.join(", "), graph.version.short()));
        }
    }
    Ok(Exit::Success)
}

/// `1 service`, `2 services`.
fn count(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}
