//! The graph in the language of Graphviz.

use std::fmt::Write;

use super::marks::Mark;
use super::picture::{ArrowKind, Picture, Shape};

/// Names are DNS labels and schedules those of cron: nothing needs escaping.
pub(super) fn dot(picture: &Picture) -> String {
    let mut text =
        String::from("digraph cluster {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
    for node in &picture.nodes {
        let shape = if node.shape == Shape::Database { "shape=cylinder, " } else { "" };
        let bold = if node.is_entry { ", penwidth=2" } else { "" };
        let mark = node.mark.map(|mark| ground(mark, node.shape)).unwrap_or_default();
        let _ = writeln!(text, "  \"{}\" [{shape}label=\"{}\\n{}\"{bold}{mark}];", node.id, node.title, node.about);
    }
    for arrow in &picture.arrows {
        let mut style = match arrow.kind {
            ArrowKind::Part => vec!["style=dotted".to_owned(), "arrowhead=none".to_owned()],
            _ if arrow.is_waited_for() => Vec::new(),
            _ => vec!["style=dashed".to_owned()],
        };
        if let Some(mark) = arrow.mark {
            style.push(format!("color=\"{}\"", mark.colours()[0]));
            style.push("penwidth=1.6".to_owned());
        }
        let style = if style.is_empty() { String::new() } else { format!(" [{}]", style.join(", ")) };
        let _ = writeln!(text, "  \"{}\" -> \"{}\"{style};", arrow.from, arrow.to);
    }
    text.push_str("}\n");
    text
}

/// The colours of a node that differs.
fn ground(mark: Mark, shape: Shape) -> String {
    let [line, ground] = mark.colours();
    let style = match (shape, mark) {
        (Shape::Database, Mark::Removed) => "filled,dashed",
        (Shape::Database, _) => "filled",
        (_, Mark::Removed) => "rounded,filled,dashed",
        _ => "rounded,filled",
    };
    format!(", style=\"{style}\", color=\"{line}\", fillcolor=\"{ground}\"")
}
