//! `ssi graph`: the graph as a tree, as a picture, as JSON for programs.

mod dot;
mod json;
mod marks;
mod picture;
mod svg;
mod tree;

use std::mem::ManuallyDrop;

use clap::{Args, ValueEnum};

use super::Global;
use crate::console;
use crate::exit::{Exit, Failure};
use crate::report::Output;
use marks::Marks;
use picture::Picture;

/// Arguments of `ssi graph`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi graph\n  ssi graph --at HEAD~1 --output json\n  ssi graph --output svg > graph.svg\n  ssi graph --output dot | dot -Tpng > graph.png\n  ssi graph --at HEAD --diff HEAD~1"
)]
pub(crate) struct GraphArgs {
    /// Show a commit's graph instead of the work tree's
    #[arg(long, value_name = "REVISION")]
    at: Option<String>,
    /// Colour what differs from this commit
    #[arg(long, value_name = "REVISION")]
    diff: Option<String>,
    /// How the graph is shown
    #[arg(long, value_name = "FORMAT", default_value = "tree")]
    output: Form,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A tree for the terminal
    Tree,
    /// The language of Graphviz
    Dot,
    /// For programs: stable, with the number of its schema
    Json,
    /// A picture, for light and dark pages
    Svg,
}

pub(super) fn run(global: &Global, args: &GraphArgs) -> Result<Exit, Failure> {
    let problems = if args.output == Form::Json { Output::Json } else { Output::Text };
    // The process ends when it has printed: what it holds is not taken apart piece by piece before.
    let graph = ManuallyDrop::new(global.graph(args.at.as_deref(), problems)?);
    let before = args
        .diff
        .as_deref()
        .map(|revision| global.graph(Some(revision), problems).map(ManuallyDrop::new))
        .transpose()?;
    let marks = before.as_ref().map(|before| Marks::of(&before.diff(&graph))).unwrap_or_default();
    let picture = || match &before {
        Some(before) => Picture::compared(before, &graph, &marks),
        None => Picture::of(&graph),
    };
    let text = match args.output {
        Form::Tree => tree::tree(&graph, &marks),
        Form::Dot => dot::dot(&picture()),
        Form::Json => json::json(&graph, before.as_deref(), &marks).to_string(),
        Form::Svg => svg::svg(&picture()).map_err(Failure::unusable)?,
    };
    console::data(text.trim_end());
    Ok(Exit::Success)
}
