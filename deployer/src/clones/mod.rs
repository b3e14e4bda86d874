//! Databases that begin with another cluster's data: which, and whether that cluster gives it.
//!
//! What is asked for, the commit says; what is given, and how it is masked, says the other cluster alone, as it was deployed: a pull
//! request may have written anything into its own files.

mod base;
mod decide;

use std::collections::BTreeMap;

use clustergraph::catalogue::{Catalogue, Scope};
use clustergraph::graph::{Database, Graph};

pub(crate) use base::refuse_changed;

use crate::cluster::Cluster;
use crate::cluster::view::Observed;
use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::settings::of_base;
use crate::store::databases::Databases;
use crate::store::lent::Offer;
use base::Stock;
use decide::{Decided, asked, decide};

/// The copies that a cluster begins with.
#[derive(Default)]
pub(crate) struct Clones {
    /// What is given, by address.
    pub(crate) offers: BTreeMap<String, Offer>,
    /// Where from, by the cluster's name.
    pub(crate) bases: BTreeMap<String, Cluster>,
    /// What begins empty all the same, by address, and why.
    pub(crate) empty: BTreeMap<String, String>,
    /// What is asked for by its address and began otherwise before.
    pub(crate) late: Vec<String>,
}

impl Clones {
    /// Asks the clusters that `clone` names for what has not begun yet, or refuses: all reasons at once. Nobody is asked where
    /// everything has begun.
    pub(crate) async fn read(
        repository: &Repository,
        connection: &Cluster,
        databases: &Databases,
        observed: &Observed,
    ) -> Result<Self> {
        let (graph, settings) = (&repository.graph, repository.cluster());
        let mut asked = asked(graph, &settings);
        let is_late = |address: &&String| databases.0.get(*address).is_some_and(|known| known.origin.is_none());
        let late = asked.iter().filter(|(_, asked)| asked.is_named).map(|(address, _)| address).filter(is_late);
        let late: Vec<String> = late.cloned().collect();
        asked.retain(|address, _| databases.is_to_begin(address));
        let mut bases = BTreeMap::new();
        let mut stocks: BTreeMap<String, Option<Stock>> = BTreeMap::new();
        for name in asked.values().map(|asked| asked.of.clone()).collect::<std::collections::BTreeSet<_>>() {
            let place = of_base(&graph.repository, &name, repository.settings.context.as_ref())?;
            let base = match place.context == repository.settings.context {
                true => connection.at(&name, &place.namespace),
                false => Cluster::connect(&place).await?,
            };
            let stock = base::read(&base).await.map_err(|error| base::explained(error, repository, &name))?;
            stocks.insert(name.clone(), stock);
            bases.insert(name, base);
        }
        let Decided { offers, empty, mut refused } = decide(graph, &asked, &stocks);
        for (address, offer) in &offers {
            if is_twin(observed, offer) == Some(false) {
                refused.push(other_server(address, offer));
            }
        }
        if refused.is_empty() {
            return Ok(Self { offers, bases, empty, late });
        }
        Err(Error::Refused(format!("{}\nNothing was changed", refused.join("\n"))))
    }

    /// The image of each server that copies are put into, by what the graph calls the server: that of where the data comes from.
    pub(crate) fn servers<'c>(&'c self, graph: &'c Graph) -> impl Iterator<Item = (String, String)> + use<'c> {
        self.offers.iter().filter_map(|(address, offer)| {
            Some((graph.databases.get(address)?.server.clone(), offer.lent.image.clone()))
        })
    }
}

/// Whether the server that is there is of the same kind as where the data comes from; nothing where none is there.
pub(crate) fn is_twin(observed: &Observed, offer: &Offer) -> Option<bool> {
    let live = observed.stateful_sets.get(&offer.lent.server)?.spec.as_ref()?;
    Some(offer.lent.is_of(live.template.spec.as_ref()?.containers.first()?))
}

/// That the server which is there is none that a copy may be put into.
pub(crate) fn other_server(address: &str, offer: &Offer) -> String {
    format!(
        "the server {} that is there is of another image, or started otherwise, than that of {}: what runs there sees the data of {address} \
         before it is masked. End the cluster by `komandan down`, then `komandan up` begins with that of {}",
        offer.lent.server, offer.of, offer.of
    )
}

/// Why no database of this kind is cloned; nothing where one can be.
///
/// What a kind of the repository's own runs, a pull request can have written.
pub(crate) fn against_kind(graph: &Graph, database: &Database) -> Option<String> {
    let name = &database.kind;
    let found = graph.catalogue.databases.get(name)?;
    if found.scope == Scope::Shared {
        return Some(format!("{name} is shared by all who use it, and is never cloned"));
    }
    if Catalogue::built_in().databases.get(name) != Some(found) {
        return Some(format!("the kind {name} is this repository's own, and only komandan's are cloned"));
    }
    (!found.snapshot).then(|| format!("{name} has no dump of one moment"))
}
