//! What a cluster whose data is asked for says of itself: read only, and only what was deployed there.

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::schemas::Level;
use crate::settings::Life;
use crate::store::Store;
use crate::store::databases::{Databases, EXTERNAL, State};
use crate::store::lent::{Lent, Offer};
use crate::store::record::Content;

/// What a cluster has, and lends.
#[derive(Debug, Clone)]
pub(super) struct Stock {
    /// The version that serves.
    pub(super) version: u64,
    content: Content,
    databases: Databases,
}

/// What a cluster says of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shelf<'s> {
    /// It has none of this address.
    Missing,
    /// Somebody else runs it.
    External,
    /// It is there, and no copy can be made.
    Unlent,
    /// Nobody knows its schema right now.
    Changing,
    /// It is there.
    Lent(&'s Lent, Option<Level>),
}

impl Stock {
    #[cfg(test)]
    pub(super) fn new(version: u64, content: Content, databases: Databases) -> Self {
        Self { version, content, databases }
    }

    /// Whether it gives its data at all.
    pub(super) fn lends(&self) -> bool {
        self.content.lends
    }

    /// A database.
    pub(super) fn shelf(&self, address: &str) -> Shelf<'_> {
        let Some(known) = self.databases.0.get(address) else { return Shelf::Missing };
        if known.server == EXTERNAL {
            return Shelf::External;
        }
        let Some(lent) = self.content.lent.get(address) else { return Shelf::Unlent };
        if known.work.state != State::Done {
            return Shelf::Changing;
        }
        Shelf::Lent(lent, known.level())
    }
}

/// Reads a cluster; nothing where none was ever deployed.
pub(super) async fn read(base: &Cluster) -> Result<Option<Stock>> {
    let store = Store::new(base);
    let (head, databases) = tokio::try_join!(store.head(), store.databases())?;
    let Some(version) = head.value.current else { return Ok(None) };
    let record = store.record(version).await?;
    let record =
        record.ok_or_else(|| Error::Store(format!("the record of version {version} of {} is gone", base.name())))?;
    Ok(Some(Stock { version, content: record.content, databases: databases.value }))
}

/// Why a cluster could not be read, with what to do where it is a matter of rights.
pub(super) fn explained(error: Error, repository: &Repository, name: &str) -> Error {
    let Error::Cluster { what, why } = error else { return error };
    let Life::Transient { kind } = &repository.settings.life else { return Error::Cluster { what, why } };
    let mend = match why.contains("says 403") {
        true => format!(". `komandan rbac --cluster {kind} --clone {name}` prints the rights that cloning takes there"),
        false => String::new(),
    };
    Error::Cluster { what: format!("{what} of {name}"), why: format!("{why}{mend}") }
}

/// Refuses what is not offered any more as it was: the schema of what was read meanwhile would not be known, or another mask counts.
pub(crate) async fn refuse_changed(base: &Cluster, address: &str, offer: &Offer) -> Result<()> {
    let stock = read(base).await?;
    let stock = stock.filter(Stock::lends);
    match stock.as_ref().map(|stock| stock.shelf(address)) {
        Some(Shelf::Lent(lent, level)) if *lent == offer.lent && level == offer.level => Ok(()),
        _ => Err(Error::Deploy(format!(
            "{} has changed what it lends of {address}, or migrates it, since this began. Run this again",
            offer.of
        ))),
    }
}
