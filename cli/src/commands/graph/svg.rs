//! The graph as a picture: entries at the top, what they need below, databases as cylinders.

use std::collections::BTreeMap;
use std::fmt::Write;

use dugong::graphlib::{Graph, GraphOptions};
use dugong::{EdgeLabel, GraphLabel, LabelPos, NodeLabel};
use unicode_width::UnicodeWidthStr;

use super::marks::Mark;
use super::picture::{Arrow, ArrowKind, Node, Picture, Shape};

/// Colours by the reader's own choice, so that one file suits a light and a dark page.
const STYLE: &str = "
  svg { color-scheme: light dark; --page: #fbfcfe; --ink: #1f2430; --dim: #5d6675; --line: #8a94a6; --box: #ffffff; --edge: #aab3c2;
    --entry: #2563eb; --entry-box: #eff5ff; --data: #0f766e; --data-box: #ecfaf7; --data-line: #5fb3a7; }
  @media (prefers-color-scheme: dark) {
    svg { --page: #12161d; --ink: #e8ebf1; --dim: #9aa4b5; --line: #76839a; --box: #1d222c; --edge: #4a566b;
      --entry: #7aa7ff; --entry-box: #1a2740; --data: #5eead4; --data-box: #12302e; --data-line: #3a7f77; } }
  text { font-family: ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif; fill: var(--ink); }
  .title { font-size: 14px; font-weight: 600; }
  .about { font-size: 11px; fill: var(--dim); }
  .box { fill: var(--box); stroke: var(--edge); stroke-width: 1.3; }
  .entry .box { fill: var(--entry-box); stroke: var(--entry); stroke-width: 1.8; }
  .data .box { fill: var(--data-box); stroke: var(--data-line); }
  .data .title { fill: var(--data); }
  .quiet .box { stroke-dasharray: 5 4; }
  .arrow { fill: none; stroke: var(--line); stroke-width: 1.4; }
  .unwaited { stroke-dasharray: 5 4; }
  .part { stroke-dasharray: 1.5 3.5; stroke-linecap: round; }
  .head { fill: var(--line); }
  .wait { font-size: 10.5px; fill: var(--dim); paint-order: stroke; stroke: var(--page); stroke-width: 5px; }
  .page { fill: var(--page); }
";

/// The colours of what differs; nothing where no graphs are compared.
fn marks(picture: &Picture) -> String {
    if picture.nodes.iter().all(|node| node.mark.is_none()) && picture.arrows.iter().all(|arrow| arrow.mark.is_none()) {
        return String::new();
    }
    let rules = |colours: fn(Mark) -> [&'static str; 2]| -> String {
        let rule = |mark: Mark| {
            let (class, [line, ground]) = (mark.as_str(), colours(mark));
            format!(
                ".{class} .box {{ stroke: {line}; fill: {ground}; }} .arrow.{class} {{ stroke: {line}; stroke-width: 2; }}"
            )
        };
        Mark::ALL.into_iter().map(|mark| format!("  {}\n", rule(mark))).collect()
    };
    let gone = ".removed .box, .arrow.removed { stroke-dasharray: 5 4; }";
    format!(
        "{}  {gone}\n  @media (prefers-color-scheme: dark) {{\n{}  }}\n",
        rules(Mark::colours),
        rules(Mark::dark_colours)
    )
}

/// Half the height of a cylinder's upper ellipse.
const LID: f64 = 7.0;
const MARGIN: f64 = 20.0;
/// Half of what an arrow passes straight beside a layer's boxes.
const BESIDE: f64 = 24.0;
/// What arrows at one side of a box keep from each other, at most.
const DOCKS: f64 = 26.0;

/// Draws a picture.
///
/// # Errors
/// When nothing could be laid out.
pub(super) fn svg(picture: &Picture) -> Result<String, String> {
    let placed = Placed::of(picture)?;
    let (width, height) = (placed.width.ceil(), placed.height.ceil());
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"The graph\">\n<style>{STYLE}{}</style>\n",
        marks(picture)
    );
    text.push_str(
        "<defs><marker id=\"head\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path class=\"head\" d=\"M0 1 10 5 0 9z\"/></marker></defs>\n",
    );
    // Its own ground: the page that shows it may be dark where the reader's machine is light.
    let _ = writeln!(text, "<rect class=\"page\" width=\"{width}\" height=\"{height}\" rx=\"12\"/>");
    for (arrow, way) in picture.arrows.iter().zip(&placed.ways) {
        line(arrow, way, &mut text);
    }
    // Words last: no line goes through them.
    for (arrow, way) in picture.arrows.iter().zip(&placed.ways) {
        if let Some((x, y)) = way.label {
            let (y, words) = (y + 3.5, arrow.label());
            let _ =
                writeln!(text, "<text class=\"wait\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
        }
    }
    for node in &picture.nodes {
        if let Some(at) = placed.boxes.get(node.id.as_str()) {
            shape(node, at, &mut text);
        }
    }
    text.push_str("</svg>\n");
    Ok(text)
}

/// Where a node is: its middle and its size.
struct At {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// The points that an arrow passes, and where its words are.
struct Way {
    points: Vec<(f64, f64)>,
    label: Option<(f64, f64)>,
}

struct Placed<'p> {
    boxes: BTreeMap<&'p str, At>,
    ways: Vec<Way>,
    width: f64,
    height: f64,
}

impl<'p> Placed<'p> {
    fn of(picture: &'p Picture) -> Result<Self, String> {
        let options = GraphOptions { multigraph: true, ..GraphOptions::default() };
        let mut layout: Graph<NodeLabel, EdgeLabel, GraphLabel> = Graph::new(options);
        layout.set_graph(GraphLabel {
            nodesep: 28.0,
            ranksep: 46.0,
            edgesep: 14.0,
            marginx: MARGIN,
            marginy: MARGIN,
            ..GraphLabel::default()
        });
        for node in &picture.nodes {
            let (width, height) = size(node);
            layout.set_node(&node.id, NodeLabel { width, height, ..NodeLabel::default() });
        }
        // Two services may be connected twice, under two names.
        let name = |at: usize| Some(at.to_string());
        for (at, arrow) in picture.arrows.iter().enumerate() {
            let words = columns(arrow.label());
            let label = EdgeLabel {
                width: words * 6.0,
                height: if words > 0.0 { 12.0 } else { 0.0 },
                labelpos: LabelPos::C,
                minlen: 1,
                // What nothing waits for need not be short.
                weight: if arrow.is_waited_for() { 1.0 } else { 0.2 },
                ..EdgeLabel::default()
            };
            layout.set_edge_named(&arrow.from, &arrow.to, name(at), Some(label));
        }
        dugong::layout(&mut layout).map_err(|error| format!("the graph cannot be laid out: {error}"))?;
        let mut boxes = BTreeMap::new();
        for node in &picture.nodes {
            let label = layout.node(&node.id).ok_or_else(|| format!("{} was not laid out", node.id))?;
            let (x, y) = (label.x.unwrap_or_default(), label.y.unwrap_or_default());
            boxes.insert(node.id.as_str(), At { x, y, width: label.width, height: label.height });
        }
        let mut ways = Vec::new();
        for (at, arrow) in picture.arrows.iter().enumerate() {
            let label = layout
                .edge(&arrow.from, &arrow.to, name(at).as_deref())
                .ok_or_else(|| format!("{} -> {} was not laid out", arrow.from, arrow.to))?;
            // Every second point lies between two layers: only those beside other nodes say where the way is free.
            let inner = label.points.len().saturating_sub(2);
            let bends = label.points.iter().skip(1).take(inner).skip(1).step_by(2);
            ways.push(Way {
                points: bends.flat_map(|point| [(point.x, point.y - BESIDE), (point.x, point.y + BESIDE)]).collect(),
                label: label.x.zip(label.y).filter(|_| !arrow.label().is_empty()),
            });
        }
        dock(picture, &boxes, &mut ways);
        let all = layout.graph();
        Ok(Self { boxes, ways, width: all.width, height: all.height })
    }
}

/// An end of an arrow at one side of a box.
struct End {
    /// Where it looks to.
    towards: f64,
    /// Whose it is.
    arrow: usize,
    /// Whether the arrow begins here.
    is_first: bool,
}

/// Gives each way its ends: arrows leave at the bottom and arrive at the top, or the reverse where they go up, side
/// by side in the order in which they come, so that none crosses another at a box.
fn dock(picture: &Picture, boxes: &BTreeMap<&str, At>, ways: &mut [Way]) {
    let ends = |arrow: &Arrow| Some((boxes.get(arrow.from.as_str())?, boxes.get(arrow.to.as_str())?));
    // By the box and whether it is its bottom.
    let mut sides: BTreeMap<(&str, bool), Vec<End>> = BTreeMap::new();
    for (at, arrow) in picture.arrows.iter().enumerate() {
        let Some((from, to)) = ends(arrow) else { continue };
        let goes_down = to.y >= from.y;
        if !goes_down {
            // What goes up was laid out as if it came down.
            ways[at].points.sort_by(|one, other| other.1.total_cmp(&one.1));
        }
        let after = ways[at].points.first().map_or(to.x, |point| point.0);
        let before = ways[at].points.last().map_or(from.x, |point| point.0);
        sides.entry((&arrow.from, goes_down)).or_default().push(End { towards: after, arrow: at, is_first: true });
        sides.entry((&arrow.to, !goes_down)).or_default().push(End { towards: before, arrow: at, is_first: false });
    }
    for ((name, is_bottom), mut ends) in sides {
        let Some(place) = boxes.get(name) else { continue };
        ends.sort_by(|one, other| one.towards.total_cmp(&other.towards));
        let last = ends.len().saturating_sub(1) as f64;
        let gap = if last > 0.0 { (place.width * 0.62 / last).min(DOCKS) } else { 0.0 };
        for (nth, end) in ends.into_iter().enumerate() {
            let x = place.x + (nth as f64 - last / 2.0) * gap;
            let half = place.height / 2.0 + if end.is_first { 0.0 } else { 1.5 };
            let points = &mut ways[end.arrow].points;
            let at = if end.is_first { 0 } else { points.len() };
            points.insert(at, (x, if is_bottom { place.y + half } else { place.y - half }));
        }
    }
}

fn line(arrow: &Arrow, way: &Way, text: &mut String) {
    let mut path = String::new();
    let mut last = None;
    for (x, y) in &way.points {
        let _ = match last {
            None => write!(path, "M{x:.1} {y:.1}"),
            Some((_, before)) => {
                let middle = f64::midpoint(before, *y);
                let (from_x, _) = last.unwrap_or_default();
                write!(path, " C{from_x:.1} {middle:.1} {x:.1} {middle:.1} {x:.1} {y:.1}")
            }
        };
        last = Some((*x, *y));
    }
    let (mut class, head) = match arrow.kind {
        ArrowKind::Part => ("arrow part".to_owned(), ""),
        _ if arrow.is_waited_for() => ("arrow".to_owned(), " marker-end=\"url(#head)\""),
        _ => ("arrow unwaited".to_owned(), " marker-end=\"url(#head)\""),
    };
    if let Some(mark) = arrow.mark {
        class = format!("{class} {}", mark.as_str());
    }
    let _ = writeln!(text, "<path class=\"{class}\"{head} d=\"{path}\"/>");
}

fn shape(node: &Node, at: &At, text: &mut String) {
    let (left, top) = (at.x - at.width / 2.0, at.y - at.height / 2.0);
    let (right, bottom) = (at.x + at.width / 2.0, at.y + at.height / 2.0);
    let mut class = String::from(if node.shape == Shape::Database { "data" } else { "service" });
    if node.is_entry {
        class.push_str(" entry");
    }
    if node.is_quiet {
        class.push_str(" quiet");
    }
    if let Some(mark) = node.mark {
        class = format!("{class} {}", mark.as_str());
    }
    let _ = writeln!(text, "<g class=\"{class}\">");
    let mut middle = at.y;
    if node.shape == Shape::Database {
        let rx = at.width / 2.0;
        let (upper, lower) = (top + LID, bottom - LID);
        let _ = writeln!(
            text,
            "<path class=\"box\" d=\"M{left:.1} {upper:.1} A{rx:.1} {LID} 0 0 1 {right:.1} {upper:.1} V{lower:.1} A{rx:.1} {LID} 0 0 1 {left:.1} {lower:.1}z\"/>\n<path class=\"box\" fill-opacity=\"0\" d=\"M{left:.1} {upper:.1} A{rx:.1} {LID} 0 0 0 {right:.1} {upper:.1}\"/>"
        );
        middle += LID / 2.0 + 1.0;
    } else {
        let _ = writeln!(
            text,
            "<rect class=\"box\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"{}\"/>",
            at.width,
            at.height,
            // What ends is round.
            if node.shape == Shape::Task { at.height / 2.0 } else { 9.0 }
        );
    }
    for (class, words, y) in [("title", &node.title, middle - 2.5), ("about", &node.about, middle + 13.5)] {
        let _ = writeln!(
            text,
            "<text class=\"{class}\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{y:.1}\">{words}</text>",
            at.x
        );
    }
    text.push_str("</g>\n");
}

/// How large a node is drawn. Fonts differ: the widths are those of wide ones.
fn size(node: &Node) -> (f64, f64) {
    let words = (columns(&node.title) * 8.8).max(columns(&node.about) * 6.4);
    let lid = if node.shape == Shape::Database { LID + 4.0 } else { 0.0 };
    ((words + 28.0).max(84.0), if node.shape == Shape::Part { 40.0 } else { 46.0 + lid })
}

/// Columns that a text takes.
fn columns(text: &str) -> f64 {
    // A name is far shorter than what a float counts exactly.
    u32::try_from(text.width()).map_or(0.0, f64::from)
}

#[cfg(test)]
mod tests {
    use clustergraph::format::service::Wait;

    use super::*;

    fn node(id: &str, shape: Shape) -> Node {
        Node {
            id: id.into(),
            title: id.into(),
            about: "stack".into(),
            shape,
            is_entry: false,
            is_quiet: false,
            mark: None,
        }
    }

    fn arrow(from: &str, to: &str, wait: Wait) -> Arrow {
        Arrow { from: from.into(), to: to.into(), kind: ArrowKind::Waits(wait), mark: None }
    }

    fn picture() -> Picture {
        let services = ["www", "order", "payment", "flags"].map(|name| node(name, Shape::Service));
        Picture {
            nodes: services.into_iter().chain([node("order/orders", Shape::Database)]).collect(),
            arrows: vec![
                arrow("www", "order", Wait::Ready),
                arrow("www", "flags", Wait::Started),
                arrow("order", "payment", Wait::Ready),
                arrow("order", "order/orders", Wait::Ready),
                arrow("payment", "flags", Wait::Ready),
                arrow("flags", "www", Wait::None),
            ],
        }
    }

    #[test]
    fn boxes_do_not_overlap_and_callers_are_above() {
        let picture = picture();
        let placed = Placed::of(&picture).unwrap();
        let boxes: Vec<&At> = placed.boxes.values().collect();
        for (at, one) in boxes.iter().enumerate() {
            for other in &boxes[at + 1..] {
                let apart = (one.x - other.x).abs() >= f64::midpoint(one.width, other.width)
                    || (one.y - other.y).abs() >= f64::midpoint(one.height, other.height);
                assert!(apart);
            }
        }
        assert!(placed.boxes["www"].y < placed.boxes["order"].y);
        assert!(placed.boxes["order"].y < placed.boxes["order/orders"].y);
    }

    #[test]
    fn every_arrow_goes_from_one_box_to_the_other() {
        let picture = picture();
        let placed = Placed::of(&picture).unwrap();
        for (arrow, way) in picture.arrows.iter().zip(&placed.ways) {
            for (name, end) in [(&arrow.from, way.points.first()), (&arrow.to, way.points.last())] {
                let (place, (x, y)) = (&placed.boxes[name.as_str()], end.unwrap());
                assert!((x - place.x).abs() <= place.width / 2.0, "{name}");
                assert!(((y - place.y).abs() - place.height / 2.0).abs() < 2.0, "{name}");
            }
        }
    }

    #[test]
    fn the_same_graph_is_the_same_picture() {
        let text = svg(&picture()).unwrap();
        assert_eq!(text, svg(&picture()).unwrap());
        assert_eq!(text.matches("<rect class=\"box\"").count(), 4);
        assert_eq!(text.matches("unwaited\"").count(), 1);
        assert!(text.contains(">started</text>"));
    }
}
