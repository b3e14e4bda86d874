//! `ssi doctor`: what of this machine keeps a cluster from running, and what mends it.

mod checks;
mod judge;

use clap::Args;
use serde::Serialize;

use super::{Global, Printed};
use crate::console::{self, BOLD, DIM, GREEN, RED, YELLOW, paint};
use crate::exit::{Exit, Failure};
use crate::report::Output;

/// Arguments of `ssi doctor`.
#[derive(Args)]
#[command(after_help = "Examples:\n  ssi doctor\n  ssi doctor --output json")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    printed: Printed,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Level {
    /// As it should be.
    Fine,
    /// It works, but somebody may wonder one day.
    Warning,
    /// Something will not work.
    Problem,
}

/// What one look at the machine found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    level: Level,
    finding: String,
    /// What to do about it.
    mend: Option<String>,
}

impl Check {
    fn fine(name: &'static str, finding: impl Into<String>) -> Self {
        Self { name, level: Level::Fine, finding: finding.into(), mend: None }
    }

    fn warning(name: &'static str, finding: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, level: Level::Warning, finding: finding.into(), mend: Some(mend.into()) }
    }

    fn problem(name: &'static str, finding: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, level: Level::Problem, finding: finding.into(), mend: Some(mend.into()) }
    }
}

pub(super) async fn run(global: &Global, args: &DoctorArgs) -> Result<Exit, Failure> {
    let checks = checks::all(global).await;
    let worst = checks.iter().map(|check| check.level).max().unwrap_or(Level::Fine);
    match args.printed.output {
        Output::Json => {
            let value =
                serde_json::json!({ "schema": "ssi.doctor/1", "healthy": worst < Level::Problem, "checks": checks });
            console::data(&value.to_string());
        }
        Output::Text => {
            let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
            for check in &checks {
                console::data(&shown(check, width));
            }
        }
    }
    Ok(if worst == Level::Problem { Exit::Failed } else { Exit::Success })
}

fn shown(check: &Check, width: usize) -> String {
    let (mark, style) = match check.level {
        Level::Fine => ("✓", GREEN),
        Level::Warning => ("!", YELLOW),
        Level::Problem => ("✗", RED),
    };
    let mend = check.mend.as_ref().map(|mend| format!("\n  {:width$}  {}", "", paint(mend, DIM))).unwrap_or_default();
    let name = format!("{:width$}", check.name);
    format!("{} {}  {}{mend}", paint(mark, style), paint(&name, BOLD), check.finding)
}
