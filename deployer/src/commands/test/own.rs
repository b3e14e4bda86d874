//! A cluster that tests make for themselves: of their commit, before them, and ended after them.

use std::time::Duration;

use super::Args;
use crate::cluster::Cluster;
use crate::commands::up;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::settings::Global;
use crate::transient::{self, Home, LONGEST};

/// How long such a cluster may take to be made, and be looked at when tests have failed.
const BESIDE_TESTS: Duration = Duration::from_secs(3600);

/// The command line as if it named a cluster that is there for these tests alone; nothing where it names one.
pub(super) fn named(global: &Global) -> Result<Option<Global>> {
    if global.cluster.is_some() || global.name()?.is_some() {
        return Ok(None);
    }
    if !global.has_transient()? {
        return Err(Error::Usage(
            "tests write where their services do: write `clusters: { pr: { ttl: 4h } }` in clustergraph.yaml, and they make a \
             cluster of their own and end it; or name the one to run them in with `--cluster NAME`, to which this commit is deployed"
                .to_owned(),
        ));
    }
    let token = crate::transient::Name::token();
    Ok(Some(Global { named: Some(format!("test-{token}")), ..global.clone() }))
}

/// Does `work` with a cluster that is made for it and ends after it. One whose tests have failed may stay for a while, to look at.
pub(super) async fn within<T>(
    global: &Global,
    args: &Args,
    console: &Console,
    work: impl AsyncFnOnce(&Cluster) -> Result<T>,
) -> Result<T> {
    let name = global.named.clone().unwrap_or_default();
    let ttl = args.timeout.saturating_add(BESIDE_TESTS).as_secs().clamp(1, LONGEST);
    let wanted = up::Args {
        commit: args.commit.clone(),
        ttl: Some(ttl),
        from: None,
        dry_run: false,
        wait: false,
        retry_migration: false,
        allow_downtime: false,
    };
    let done = async {
        up::run(&wanted, global, console).await?;
        work(&transient::connect(global).await?).await
    };
    let done = done.await;
    if done.is_err() && args.keep {
        console.note(&format!("  the cluster {name} stays until its end: `komandan down --name {name}` ends it now"));
        return done;
    }
    // Whatever keeps it from being ended now, it ends by itself; what came of the tests counts.
    let ended = async { Home::of_one(global, None).await?.end_now().await };
    if let Err(error) = ended.await {
        console.note(&format!("  the cluster {name} could not be ended, and ends by itself: {error}"));
    }
    done
}
