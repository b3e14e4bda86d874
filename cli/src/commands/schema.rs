//! `ssi schema`: JSON Schemas of the files, for editors.

use clap::{Args, ValueEnum};
use clustergraph::format::schema::{lock_schema, repository_schema, service_schema};

use crate::console;
use crate::exit::{Exit, Failure};

/// Arguments of `ssi schema`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi schema > service.schema.json\n  ssi schema clustergraph > clustergraph.schema.json"
)]
pub(crate) struct SchemaArgs {
    /// Of which file
    #[arg(default_value = "service")]
    of: Of,
}

#[derive(Clone, Copy, ValueEnum)]
enum Of {
    /// service.yaml
    Service,
    /// clustergraph.yaml
    Clustergraph,
    /// clustergraph.lock
    Lock,
}

pub(super) fn run(args: &SchemaArgs) -> Result<Exit, Failure> {
    let schema = match args.of {
        Of::Service => service_schema(),
        Of::Clustergraph => repository_schema(),
        Of::Lock => lock_schema(),
    };
    let text = serde_json::to_string_pretty(&schema).map_err(|error| Failure::unusable(error.to_string()))?;
    console::data(&text);
    Ok(Exit::Success)
}
