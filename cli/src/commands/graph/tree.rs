//! The graph as a tree for the terminal.

use std::collections::BTreeSet;
use std::fmt::Write;

use clustergraph::format::service::Wait;
use clustergraph::graph::Graph;

use crate::console::{BOLD, CYAN, DIM, paint};

/// A tree from the entries down. What was shown before is only named again.
pub(super) fn tree(graph: &Graph) -> String {
    let depended: BTreeSet<&str> =
        graph.services.values().flat_map(|service| &service.dependencies).map(|edge| edge.service.as_str()).collect();
    let mut roots: Vec<&str> =
        graph.services.keys().map(String::as_str).filter(|name| !depended.contains(name)).collect();
    let mut shown = BTreeSet::new();
    let mut text = String::new();
    // Services that only call each other have no root: the first by name stands for them.
    loop {
        for root in &roots {
            branch(graph, root, "", &Joint::default(), &mut shown, &mut text);
        }
        match graph.services.keys().find(|name| !shown.contains(name.as_str())) {
            Some(name) => roots = vec![name],
            None => break,
        }
    }
    let _ = writeln!(text, "{}", paint(&format!("version {}", graph.version.short()), DIM));
    text
}

/// Where a line hangs: the joint before it, the indent of what hangs below it, and what is said of the edge.
#[derive(Default)]
struct Joint<'a> {
    line: &'a str,
    below: &'a str,
    edge: String,
}

fn branch<'g>(
    graph: &'g Graph,
    name: &'g str,
    indent: &str,
    joint: &Joint<'_>,
    shown: &mut BTreeSet<&'g str>,
    text: &mut String,
) {
    let Some(service) = graph.services.get(name) else { return };
    let again = !shown.insert(name);
    let mut about =
        if again { vec!["see above".to_owned()] } else { vec![service.stack.name.clone(), service.id.short()] };
    if let Some(public) = service.public.as_ref().filter(|_| !again) {
        about.push(format!("public {}", public.path));
    }
    if !joint.edge.is_empty() {
        about.push(joint.edge.clone());
    }
    let _ = writeln!(text, "{indent}{}{} {}", joint.line, paint(name, BOLD), paint(&about.join(" "), DIM));
    if again {
        return;
    }
    let indent = format!("{indent}{}", joint.below);
    let databases: Vec<_> = service.databases.iter().filter_map(|address| graph.databases.get(address)).collect();
    let count = service.dependencies.len() + databases.len();
    let joints = |at: usize| if at + 1 == count { ("└─ ", "   ") } else { ("├─ ", "│  ") };
    for (at, edge) in service.dependencies.iter().enumerate() {
        let (line, below) = joints(at);
        let words = if edge.wait == Wait::Ready { String::new() } else { format!("wait: {}", edge.wait.as_str()) };
        branch(graph, &edge.service, &indent, &Joint { line, below, edge: words }, shown, text);
    }
    for (at, database) in databases.iter().enumerate() {
        let (line, _) = joints(service.dependencies.len() + at);
        let kind = format!("{} {}", database.kind, database.version);
        let _ = writeln!(text, "{indent}{line}{} {}", paint(&database.address, CYAN), paint(&kind, DIM));
    }
}
