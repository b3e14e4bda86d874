//! Why what an overlay borrows may not answer, and what of an overlay is somebody else's.

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::render::Borrowed;
use crate::schemas;
use crate::store::Store;
use crate::store::record::Record;

use super::Base;

/// What is wrong with what is borrowed, in a sentence.
pub(crate) type Trouble = Option<String>;

/// Looks at the cluster that lends. Who may not look there says so.
pub(crate) async fn trouble(overlay: &Cluster, borrowed: &Borrowed) -> Trouble {
    let base = Base::new(borrowed.from.clone(), borrowed.namespace.clone())?.by(overlay);
    match look(overlay, &base, borrowed).await {
        Ok(trouble) => trouble,
        Err(error) => Some(format!("what {} lends could not be looked at: {error}", borrowed.from)),
    }
}

async fn look(overlay: &Cluster, base: &Cluster, borrowed: &Borrowed) -> Result<Trouble> {
    let store = Store::new(base);
    let head = store.head().await?.value;
    let Borrowed { from, version, .. } = borrowed;
    let Some(current) = head.current else {
        return Ok(Some(format!("{from} is gone, and with it what is borrowed from it")));
    };
    let serves = store.record(current).await?;
    if serves.is_none_or(|record| !record.content.lends) {
        return Ok(Some(format!("{from} does not lend any more: nobody is let in from here")));
    }
    let record = store.record(*version).await?;
    let is_held = store.pins().await?.value.holds(overlay.namespace(), *version);
    let (Some(record), true) = (record, is_held) else {
        let again = format!("`komandan up --name {}` borrows from what it serves now", overlay.name());
        return Ok(Some(format!("{from} does not keep version {version} any more: {again}")));
    };
    if record.content.migrations.is_empty() {
        return Ok(None);
    }
    let databases = store.databases().await?.value;
    let breaks = schemas::against_revert(*version, &record.content, &databases);
    Ok((!breaks.is_empty()).then(|| format!("{from} has moved its data on: {}", breaks.join("; "))))
}

/// Refuses to change what is borrowed: it is somebody else's.
pub(crate) fn refuse_what_is_borrowed(record: &Record, service: &str) -> Result<()> {
    match &record.content.borrowed {
        Some(borrowed) if borrowed.nodes.contains_key(service) => Err(Error::Usage(format!(
            "{service} is borrowed from {}: it does not run here. `--cluster {}` in place of the name of this one means it there",
            borrowed.label(),
            borrowed.from
        ))),
        _ => Ok(()),
    }
}
