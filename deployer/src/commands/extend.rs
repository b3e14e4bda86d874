//! `komandan extend`

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::up::{ends, seconds};
use crate::console::Console;
use crate::error::Result;
use crate::overlay::pin;
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
    // What it borrows is kept first: an end that is moved for nothing harms nobody.
    if let Some(base) = &claim.from {
        let ends = Timestamp::now().checked_add(SignedDuration::from_secs(i64::try_from(args.ttl).unwrap_or(i64::MAX)));
        let ends = ends.unwrap_or(Timestamp::MAX);
        pin::extend(&base.by(home.cluster()), &home.of(&claim), ends).await?;
    }
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
