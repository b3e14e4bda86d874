//! Keeps what an overlay borrows from being ended by the cluster that lends it.

use jiff::{SignedDuration, Timestamp};

use super::Base;
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::fault;
use crate::store::record::Record;
use crate::store::{Store, pins};

/// How long something stays borrowed beyond the end of who borrows it: its last requests are answered, too.
const BEYOND: SignedDuration = SignedDuration::from_mins(2);

/// Borrows a version for an overlay until its end. `false` when the base serves another one by now, and the overlay did not borrow
/// this one before.
pub(crate) async fn hold(base: &Cluster, overlay: &Cluster, version: u64, ends: Timestamp) -> Result<bool> {
    let store = Store::new(base);
    let until = beyond(ends);
    let (before, _) = pins::change(store, |pins| pins.pin(overlay.namespace(), overlay.name(), version, until)).await?;
    fault::point("pinned");
    let namespace = overlay.namespace();
    if before.holds(namespace, version) || store.head().await?.value.current == Some(version) {
        return Ok(true);
    }
    pins::change(store, |pins| {
        if let Some(pin) = pins.overlays.get_mut(namespace) {
            pin.versions.remove(&version);
        }
        pins.overlays.retain(|_, pin| !pin.versions.is_empty());
    })
    .await?;
    Ok(false)
}

/// Lets go of the versions that an overlay does not need any more, neither for what it serves nor for what it would go back to.
pub(crate) async fn settle(base: &Cluster, overlay: &Cluster, kept: &[&Record]) -> Result<()> {
    let needed = |version: &u64| {
        kept.iter().any(|record| {
            record
                .content
                .borrowed
                .as_ref()
                .is_some_and(|it| it.namespace == base.namespace() && it.version == *version)
        })
    };
    let change = pins::change(Store::new(base), |pins| {
        if let Some(pin) = pins.overlays.get_mut(overlay.namespace()) {
            pin.versions.retain(needed);
        }
    });
    change.await.map(drop)
}

/// Moves the end of what an overlay borrows. Refused where nothing is borrowed any more.
pub(crate) async fn extend(base: &Cluster, overlay: &Cluster, ends: Timestamp) -> Result<()> {
    let (_, now) = pins::change(Store::new(base), |pins| {
        if let Some(pin) = pins.overlays.get_mut(overlay.namespace()) {
            pin.until = pin.until.max(beyond(ends));
        }
    })
    .await?;
    if now.overlays.contains_key(overlay.namespace()) {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "{} lends nothing to {} any more, so its end is not moved: `komandan up --name {}` brings it to what {} serves now, first",
        base.name(),
        overlay.name(),
        overlay.name(),
        base.name()
    )))
}

/// Borrows nothing more. Whoever cannot say so leaves it to its end, which is written down.
pub(crate) async fn release(base: &Cluster, namespace: &str) -> Result<()> {
    pins::change(Store::new(base), |pins| drop(pins.overlays.remove(namespace))).await.map(drop)
}

/// Refuses to go back to what borrows a version that is not held any more, and holds it where it is.
pub(crate) async fn again(overlay: &Cluster, record: &Record) -> Result<()> {
    let Some(borrowed) = &record.content.borrowed else { return Ok(()) };
    let Some(base) = Base::new(borrowed.from.clone(), borrowed.namespace.clone()) else { return Ok(()) };
    let base = base.by(overlay);
    let store = Store::new(&base);
    let pins = store.pins().await?.value;
    let until = pins.overlays.get(overlay.namespace()).map(|pin| pin.until);
    let held = match until {
        Some(_) if pins.holds(overlay.namespace(), borrowed.version) => true,
        Some(until) => hold(&base, overlay, borrowed.version, until - BEYOND).await?,
        None => false,
    };
    if held {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "version {} of {} borrows from {}, which is not kept there any more: `komandan up --name {} {}` makes it of what {} serves now",
        record.number,
        overlay.name(),
        borrowed.label(),
        overlay.name(),
        record.content.commit.id.get(..10).unwrap_or_default(),
        borrowed.from,
    )))
}

fn beyond(ends: Timestamp) -> Timestamp {
    ends.checked_add(BEYOND).unwrap_or(Timestamp::MAX)
}
