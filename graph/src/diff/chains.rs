//! For each node the nearest roots of its change, and the way there.

use std::collections::{BTreeMap, VecDeque};

use super::{Change, Node};

/// Roots that are remembered for one node: whoever wants all of them follows [`Change::through`].
pub(super) const MOST: usize = 6;

/// A root that a node's change comes from.
#[derive(Debug, Clone, Copy)]
struct Way {
    root: usize,
    /// The next node on the shortest way; nothing at the root itself.
    next: Option<usize>,
}

/// The nearest roots of every node.
#[derive(Debug, Clone, Default)]
pub(super) struct Ways {
    nodes: Vec<Node>,
    ways: Vec<Vec<Way>>,
}

impl Ways {
    /// Breadth first from all roots at once, each node keeping the first few that reach it: the cost is that of the changed
    /// part of the graph, whatever leads where, and a cycle ends where its nodes know the root already.
    pub(super) fn of(changes: &BTreeMap<Node, Change>) -> Self {
        let nodes: Vec<Node> = changes.keys().cloned().collect();
        let index: BTreeMap<&Node, usize> = nodes.iter().enumerate().map(|(at, node)| (node, at)).collect();
        let mut made_of_it = vec![Vec::new(); nodes.len()];
        for (at, change) in changes.values().enumerate() {
            for through in change.through.iter().filter_map(|node| index.get(node)) {
                made_of_it[*through].push(at);
            }
        }
        let mut ways: Vec<Vec<Way>> = vec![Vec::new(); nodes.len()];
        let mut open = VecDeque::new();
        for (at, _) in changes.values().enumerate().filter(|(_, change)| change.is_root()) {
            ways[at].push(Way { root: at, next: None });
            open.push_back((at, at));
        }
        while let Some((node, root)) = open.pop_front() {
            for above in &made_of_it[node] {
                let known = &mut ways[*above];
                if known.len() < MOST && known.iter().all(|way| way.root != root) {
                    known.push(Way { root, next: Some(node) });
                    open.push_back((*above, root));
                }
            }
        }
        Self { nodes, ways }
    }

    pub(super) fn chains(&self, node: &Node) -> Vec<Vec<&Node>> {
        let Ok(at) = self.nodes.binary_search(node) else { return Vec::new() };
        self.ways[at].iter().map(|way| self.chain(at, *way)).collect()
    }

    fn chain(&self, at: usize, way: Way) -> Vec<&Node> {
        let mut chain = vec![&self.nodes[at]];
        let mut next = way.next;
        while let Some(at) = next {
            chain.push(&self.nodes[at]);
            // It passed the root on, so it knows it.
            next = self.ways[at].iter().find(|known| known.root == way.root).and_then(|known| known.next);
        }
        chain
    }
}
