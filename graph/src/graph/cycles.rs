//! Waits that could never end.

use std::collections::{BTreeMap, VecDeque};

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use super::Located;
use crate::diagnostic::{Place, Problem};
use crate::format::service::Wait;

type Waits<'f> = DiGraph<&'f str, &'f Place>;

/// A cycle of waits could never start. One of each knot is shown, as a path with the place of every edge.
///
/// Asked of the files and not of the graph: a service with another problem still closes its cycle.
pub(super) fn cycles(files: &[Located]) -> Vec<Problem> {
    let mut waits = Waits::new();
    let mut nodes = BTreeMap::new();
    for name in files.iter().map(|located| located.file.name.as_str()) {
        nodes.entry(name).or_insert_with(|| waits.add_node(name));
    }
    for file in files.iter().map(|located| &located.file) {
        for edge in file.dependencies.iter().filter(|edge| edge.wait != Wait::None) {
            if let (Some(from), Some(to)) = (nodes.get(file.name.as_str()), nodes.get(edge.service.as_str())) {
                waits.add_edge(*from, *to, &edge.place);
            }
        }
    }
    let mut knots: Vec<(&str, NodeIndex)> = tarjan_scc(&waits)
        .into_iter()
        .filter(|members| members.len() > 1 || members.iter().any(|node| waits.contains_edge(*node, *node)))
        .filter_map(|members| members.into_iter().map(|node| (waits[node], node)).min())
        .collect();
    knots.sort();
    knots.into_iter().filter_map(|(_, start)| problem(&waits, start)).collect()
}

fn problem(waits: &Waits<'_>, start: NodeIndex) -> Option<Problem> {
    let path = shortest_cycle(waits, start);
    let ((_, first), rest) = path.split_first()?;
    let place = (*first).clone();
    if rest.is_empty() {
        return Some(
            Problem::new("cycle", place, format!("`{}` waits for itself", waits[start]))
                .mend("remove the dependency; its own address is `${self.url}`"),
        );
    }
    let words: Vec<&str> = path.iter().map(|(node, _)| waits[*node]).chain([waits[start]]).collect();
    let label = |at: usize| format!("`{}` waits for `{}`", words[at], words[at + 1]);
    let mut problem =
        Problem::new("cycle", place, format!("these services wait for each other: {}", words.join(" -> ")))
            .label(label(0))
            .mend("where one needs no other to start, write `{ service: NAME, wait: none }` on its edge");
    for (at, (_, place)) in path.iter().enumerate().skip(1) {
        problem = problem.related((*place).clone(), label(at));
    }
    Some(problem)
}

/// The shortest way from `start` back to itself, each node with the place of the edge that leaves it.
fn shortest_cycle<'p>(waits: &Waits<'p>, start: NodeIndex) -> Vec<(NodeIndex, &'p Place)> {
    let mut came: BTreeMap<NodeIndex, (NodeIndex, &'p Place)> = BTreeMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(node) = open.pop_front() {
        for edge in waits.edges(node) {
            if edge.target() == start {
                let mut path = vec![(node, *edge.weight())];
                let mut at = node;
                while at != start {
                    let Some((before, place)) = came.get(&at) else { break };
                    path.push((*before, place));
                    at = *before;
                }
                path.reverse();
                return path;
            }
            came.entry(edge.target()).or_insert_with(|| {
                open.push_back(edge.target());
                (node, *edge.weight())
            });
        }
    }
    Vec::new()
}
