//! The graph in the language of Graphviz.

use std::fmt::Write;

use super::picture::{ArrowKind, Picture, Shape};

/// Names are DNS labels and schedules those of cron: nothing needs escaping.
pub(super) fn dot(picture: &Picture) -> String {
    let mut text =
        String::from("digraph cluster {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
    for node in &picture.nodes {
        let shape = if node.shape == Shape::Database { "shape=cylinder, " } else { "" };
        let bold = if node.is_entry { ", penwidth=2" } else { "" };
        let _ = writeln!(text, "  \"{}\" [{shape}label=\"{}\\n{}\"{bold}];", node.id, node.title, node.about);
    }
    for arrow in &picture.arrows {
        let style = match arrow.kind {
            ArrowKind::Part => " [style=dotted, arrowhead=none]",
            _ if arrow.is_waited_for() => "",
            _ => " [style=dashed]",
        };
        let _ = writeln!(text, "  \"{}\" -> \"{}\"{style};", arrow.from, arrow.to);
    }
    text.push_str("}\n");
    text
}
