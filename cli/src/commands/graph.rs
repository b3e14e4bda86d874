//! `ssi graph`: the graph as a tree, as DOT for pictures, as JSON for programs.

use std::collections::BTreeSet;
use std::fmt::Write;

use clap::{Args, ValueEnum};
use clustergraph::format::service::Wait;
use clustergraph::graph::Graph;

use super::Global;
use crate::console::{self, BOLD, CYAN, DIM, paint};
use crate::exit::{Exit, Failure};
use crate::report::Output;

/// Arguments of `ssi graph`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi graph\n  ssi graph --at HEAD~1 --output json\n  ssi graph --format dot | dot -Tsvg > graph.svg"
)]
pub(crate) struct GraphArgs {
    /// Show a commit's graph instead of the work tree's
    #[arg(long, value_name = "REVISION")]
    at: Option<String>,
    /// The form of the picture
    #[arg(long, value_name = "FORMAT", default_value = "tree")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// A tree for the terminal
    Tree,
    /// The language of Graphviz
    Dot,
}

pub(super) fn run(global: &Global, args: &GraphArgs) -> Result<Exit, Failure> {
    let graph = global.graph(args.at.as_deref())?;
    let text = match (global.output, args.format) {
        (Output::Json, _) => json(&graph).to_string(),
        (Output::Text, Format::Tree) => tree(&graph),
        (Output::Text, Format::Dot) => dot(&graph),
    };
    console::data(text.trim_end());
    Ok(Exit::Success)
}

/// The graph as a program reads it.
fn json(graph: &Graph) -> serde_json::Value {
    let services: Vec<_> = graph
        .services
        .values()
        .map(|service| {
            let edges: Vec<_> = service
                .dependencies
                .iter()
                .map(|edge| serde_json::json!({ "service": edge.service, "as": edge.alias, "wait": edge.wait.as_str(), "place": edge.place }))
                .collect();
            serde_json::json!({
                "name": service.name, "folder": service.folder, "stack": service.stack.name, "id": service.id,
                "source": service.source, "dependencies": edges, "databases": service.databases,
                "public": service.public.as_ref().map(|public| &public.path),
            })
        })
        .collect();
    let databases: Vec<_> = graph
        .databases
        .values()
        .map(|database| serde_json::json!({ "address": database.address, "kind": database.kind, "version": database.version }))
        .collect();
    serde_json::json!({
        "schema": "ssi.graph/1", "version": graph.version, "commit": graph.commit.as_ref().map(|commit| &commit.id),
        "services": services, "databases": databases,
    })
}

/// A tree from the entries down. What was shown before is only named again.
fn tree(graph: &Graph) -> String {
    let depended: BTreeSet<&str> =
        graph.services.values().flat_map(|service| &service.dependencies).map(|edge| edge.service.as_str()).collect();
    let mut roots: Vec<&str> =
        graph.services.keys().map(String::as_str).filter(|name| !depended.contains(name)).collect();
    let mut shown = BTreeSet::new();
    let mut text = String::new();
    // Services that only call each other have no root: the first by name stands for them.
    loop {
        for root in &roots {
            branch(graph, root, "", None, &mut shown, &mut text);
        }
        match graph.services.keys().find(|name| !shown.contains(name.as_str())) {
            Some(name) => roots = vec![name],
            None => break,
        }
    }
    let _ = writeln!(text, "{}", paint(&format!("version {}", graph.version.short()), DIM));
    text
}

fn branch<'g>(
    graph: &'g Graph,
    name: &'g str,
    indent: &str,
    joint: Option<(&str, &str)>,
    shown: &mut BTreeSet<&'g str>,
    text: &mut String,
) {
    let Some(service) = graph.services.get(name) else { return };
    let (line, below) = joint.unwrap_or_default();
    let mut about = vec![service.stack.name.clone(), service.id.short()];
    if let Some(public) = &service.public {
        about.push(format!("public {}", public.path));
    }
    let again = !shown.insert(name);
    if again {
        about = vec!["see above".to_owned()];
    }
    let _ = writeln!(text, "{indent}{line}{} {}", paint(name, BOLD), paint(&about.join(" "), DIM));
    if again {
        return;
    }
    let indent = format!("{indent}{below}");
    let databases: Vec<_> = service.databases.iter().filter_map(|address| graph.databases.get(address)).collect();
    let count = service.dependencies.len() + databases.len();
    let joints = |at: usize| if at + 1 == count { ("└─ ", "   ") } else { ("├─ ", "│  ") };
    for (at, edge) in service.dependencies.iter().enumerate() {
        branch(graph, &edge.service, &indent, Some(joints(at)), shown, text);
        if edge.wait != Wait::Ready {
            let _ = text.pop();
            let _ = writeln!(text, " {}", paint(&format!("wait: {}", edge.wait.as_str()), DIM));
        }
    }
    for (at, database) in databases.iter().enumerate() {
        let (line, _) = joints(service.dependencies.len() + at);
        let kind = format!("{} {}", database.kind, database.version);
        let _ = writeln!(text, "{indent}{line}{} {}", paint(&database.address, CYAN), paint(&kind, DIM));
    }
}

/// Graphviz. Names are DNS labels: nothing needs escaping.
fn dot(graph: &Graph) -> String {
    let mut text =
        String::from("digraph cluster {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
    for service in graph.services.values() {
        let bold = if service.public.is_some() { ", penwidth=2" } else { "" };
        let _ = writeln!(text, "  \"{}\" [label=\"{}\\n{}\"{bold}];", service.name, service.name, service.id.short());
    }
    for database in graph.databases.values() {
        let _ = writeln!(
            text,
            "  \"{}\" [shape=cylinder, label=\"{}\\n{} {}\"];",
            database.address, database.alias, database.kind, database.version
        );
    }
    for service in graph.services.values() {
        for edge in &service.dependencies {
            let style = if edge.wait == Wait::None { " [style=dashed]" } else { "" };
            let _ = writeln!(text, "  \"{}\" -> \"{}\"{style};", service.name, edge.service);
        }
        for address in &service.databases {
            let _ = writeln!(text, "  \"{}\" -> \"{address}\";", service.name);
        }
    }
    text.push_str("}\n");
    text
}
