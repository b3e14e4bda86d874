//! `ssi diff`: what differs between two versions, and why.

mod json;
mod text;

use clap::Args;

use super::{Global, Printed, range};
use crate::console;
use crate::exit::{Exit, Failure};
use crate::report::Output;

pub(super) use json::nodes;

/// Arguments of `ssi diff`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi diff\n  ssi diff HEAD~1..HEAD\n  ssi diff origin/main... --output json\n  ssi diff v1.0 --exit-code"
)]
pub(crate) struct DiffArgs {
    #[arg(value_name = "RANGE", help = range::HELP)]
    range: Option<String>,
    /// End with 1 where something differs
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    printed: Printed,
}

pub(super) fn run(global: &Global, args: &DiffArgs) -> Result<Exit, Failure> {
    let sides = range::read(global, args.range.as_deref(), args.printed.output)?;
    let diff = sides.before.diff(&sides.after);
    let is_same = diff.is_empty() && diff.operation.is_empty();
    match args.printed.output {
        Output::Json => console::data(&json::json(&sides, &diff).to_string()),
        Output::Text if is_same => console::note(&format!("no node differs; version {}", diff.after.short())),
        Output::Text => console::data(text::text(&sides, &diff).trim_end()),
    }
    Ok(if args.exit_code && !is_same { Exit::Failed } else { Exit::Success })
}
