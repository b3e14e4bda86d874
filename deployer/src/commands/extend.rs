//! `komandan extend`

use jiff::Timestamp;
use serde_json::json;

use super::up::{ends, seconds};
use crate::console::Console;
use crate::error::Result;
use crate::settings::Global;
use crate::transient::Home;

/// Moves the end of a cluster that ends by itself
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan extend pr-123 --ttl 2h      two hours from now, whatever was said before
  komandan extend --pr 123 --ttl 2h    the same")]
pub(crate) struct Args {
    /// Its name
    #[arg(conflicts_with_all = ["named", "pr"])]
    pub(crate) name: Option<String>,
    /// After which time it ends, from now
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) ttl: u64,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let home = Home::of_one(global, args.name.as_deref()).await?;
    let claim = home.claim().await?.ok_or_else(|| home.nobody())?;
    let claim = home.extend(&claim, args.ttl).await?;
    if console.is_json() {
        console.json(json!({
            "event": "result", "command": "extend", "name": claim.name, "namespace": claim.namespace, "ends": claim.ends,
        }));
    } else {
        console.data(&ends(&claim, Timestamp::now()));
    }
    Ok(())
}
