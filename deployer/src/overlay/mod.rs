//! Overlays: clusters that end by themselves, run what a commit changes, and borrow the rest from a permanent cluster.
//!
//! What the permanent cluster says of itself where it serves decides whether and what it lends ([`base`]), never the commit, which
//! anybody may have written. What is own is decided purely ([`decide`], [`facts`]), and from then on an overlay is a cluster like any
//! other, of a smaller graph. What it borrows is written down where the other one looks before it ends anything ([`pin`]).

pub(crate) mod base;
mod decide;
mod facts;
pub(crate) mod pin;
mod show;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};

use clustergraph::graph::Graph;

pub(crate) use base::Base;
pub(crate) use trouble::{Trouble, refuse_what_is_borrowed, trouble};

use crate::cluster::Cluster;
use crate::render::{Borrowed, Loan};
use crate::store::record::Record;
use decide::{Reason, decide};

/// An overlay of a commit.
#[derive(Debug, Clone)]
pub(crate) struct Overlay {
    /// What it runs itself, each with the reason.
    own: BTreeMap<String, Reason>,
    /// What these call of the base.
    pub(crate) borrowed: Borrowed,
}

impl Overlay {
    /// Decides, and leaves of the graph what the overlay runs itself.
    pub(crate) fn of(graph: &mut Graph, base: &Cluster, record: &Record) -> Self {
        let decision = decide(&facts::candidates(graph, &record.content));
        let lent = |(name, writes): (String, BTreeSet<String>)| {
            // What is borrowed is the very same here and there.
            let workload = record.content.nodes.get(&name)?.workload.clone();
            let ports = &graph.services.get(&name)?.ports;
            let ports = ports.iter().map(|port| (port.name.clone(), port.number)).collect();
            Some((name, Loan { workload, ports, writes: writes.into_iter().collect() }))
        };
        let borrowed = Borrowed {
            from: base.name().to_owned(),
            namespace: base.namespace().to_owned(),
            version: record.number,
            nodes: decision.borrowed.into_iter().filter_map(lent).collect(),
        };
        facts::reduce(graph, &decision.own.keys().collect());
        Self { own: decision.own, borrowed }
    }

    /// Whether it runs nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_empty()
    }
}
