//! What each database of a cluster that ends by itself begins with. Pure.

use std::collections::BTreeMap;

use clustergraph::format::repository::{Cluster, Origin};
use clustergraph::graph::{Database, Graph};

use super::against_kind;
use super::base::{Shelf, Stock};
use crate::names;
use crate::store::lent::{Lent, Offer};

/// A copy that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// Of which cluster.
    pub(super) of: String,
    /// Whether it is asked for by the database's address, and not with all others.
    pub(super) is_named: bool,
}

/// What came of it, by address.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) offers: BTreeMap<String, Offer>,
    /// What begins empty, and why: what was asked for with all others is cloned as far as it can be.
    pub(super) empty: BTreeMap<String, String>,
    pub(super) refused: Vec<String>,
}

/// The copies that settings ask for, by address.
pub(super) fn asked(graph: &Graph, settings: &Cluster) -> BTreeMap<String, Asked> {
    let of = |address: &String| {
        let (origin, is_named) = match settings.origins.get(address) {
            Some((origin, _)) => (Some(origin), true),
            None => (settings.clone.as_ref(), false),
        };
        let of = origin.and_then(Origin::cluster)?.to_owned();
        Some((address.clone(), Asked { of, is_named }))
    };
    graph.databases.keys().filter_map(of).collect()
}

/// What is given of what is asked for. `stocks` has each cluster that is asked; none where nothing was deployed.
pub(super) fn decide(
    graph: &Graph,
    asked: &BTreeMap<String, Asked>,
    stocks: &BTreeMap<String, Option<Stock>>,
) -> Decided {
    let mut decided = Decided::default();
    for (name, stock) in stocks {
        let why = match stock {
            Some(stock) if stock.lends() => continue,
            Some(stock) => format!(
                "version {} of {name}, which serves, lends nothing: write `lends: true` in `clusters: {{ {name}: ... }}` and deploy that. \
                 What a pull request writes there does not count",
                stock.version
            ),
            None => format!("nothing was ever deployed to {name}, so there is nothing to clone"),
        };
        decided.refused.push(why);
    }
    for (address, Asked { of, is_named }) in asked {
        let (Some(database), Some(Some(stock))) = (graph.databases.get(address), stocks.get(of)) else { continue };
        if !stock.lends() {
            continue;
        }
        let shelf = stock.shelf(address);
        let cannot = against_kind(graph, database).or_else(|| match shelf {
            Shelf::Missing => Some(format!("{of} has no such database")),
            Shelf::External => Some(format!("somebody else runs that of {of}")),
            _ => None,
        });
        if let Some(why) = cannot {
            match is_named {
                true => decided.refused.push(format!("{address} cannot be cloned: {why}. {}", otherwise(address))),
                false => drop(decided.empty.insert(address.clone(), why)),
            }
            continue;
        }
        match shelf {
            Shelf::Lent(lent, level) => match against(database, of, lent) {
                Some(why) => decided.refused.push(why),
                None => {
                    let offer = Offer { of: of.clone(), version: stock.version, lent: lent.clone(), level };
                    decided.offers.insert(address.clone(), offer);
                }
            },
            Shelf::Changing => decided.refused.push(format!(
                "a migration of {address} is under way in {of}, or has failed there: nobody knows which schema a copy would have. Run this \
                 again when that is over"
            )),
            Shelf::Unlent | Shelf::Missing | Shelf::External => decided.refused.push(format!(
                "{of} does not say how {address} is copied: deploy it again with this version of komandan"
            )),
        }
    }
    decided.refused.extend(two_images(graph, &decided.offers));
    decided
}

/// Why a database cannot be the copy of one that is lent.
fn against(database: &Database, of: &str, lent: &Lent) -> Option<String> {
    let address = &database.address;
    if (&lent.kind, &lent.version, &lent.server) != (&database.kind, &database.version, &names::server(database)) {
        return Some(format!(
            "{address} is {} {} (the server {}), and in {of} {} {} (the server {}): a copy needs the same server. Deploy the change to {of} \
             first. {}",
            database.kind,
            database.version,
            names::server(database),
            lent.kind,
            lent.version,
            lent.server,
            otherwise(address)
        ));
    }
    lent.mask.is_none().then(|| {
        format!(
            "{of} does not say how a copy of {address} is masked: write `mask: {{ run: [...] }}` beside its `migrate` ({}), or `mask: none` \
             where everybody may see all of it, and deploy that to {of}. What a pull request writes there does not count. {}",
            database.place,
            otherwise(address)
        )
    })
}

/// How to do without.
fn otherwise(address: &str) -> String {
    format!("Or let it begin empty: `databases: {{ {address}: {{ clone: none }} }}`")
}

/// Copies of several clusters need several servers where these differ.
fn two_images(graph: &Graph, offers: &BTreeMap<String, Offer>) -> Vec<String> {
    let mut first: BTreeMap<&str, (&String, &Offer)> = BTreeMap::new();
    let mut refused = Vec::new();
    for (address, offer) in offers {
        let Some(database) = graph.databases.get(address) else { continue };
        let (other, its) = *first.entry(&database.server).or_insert((address, offer));
        if its.lent.image != offer.lent.image {
            refused.push(format!(
                "{other} and {address} would share the server {}, which {} and {} run from different images: clone both from one of them",
                database.server, its.of, offer.of
            ));
        }
    }
    refused
}

#[cfg(test)]
mod tests;
