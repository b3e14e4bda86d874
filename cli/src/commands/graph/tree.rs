//! The graph as a tree for the terminal.

use std::collections::BTreeSet;
use std::fmt::Write;

use clustergraph::format::service::{Start, Wait};
use clustergraph::graph::{Graph, Role, Service};

use super::marks::{Mark, Marks};
use crate::console::{BOLD, CYAN, DIM, paint};

/// A tree from the entries down. What was shown before is only named again. What is gone is named at the end.
pub(super) fn tree(graph: &Graph, marks: &Marks) -> String {
    let own = graph.services.values().filter(|service| !service.is_part());
    let depended: BTreeSet<&str> =
        graph.services.values().flat_map(|service| &service.dependencies).map(|edge| edge.service.as_str()).collect();
    let mut roots: Vec<&str> =
        own.clone().map(|service| service.name.as_str()).filter(|name| !depended.contains(name)).collect();
    let mut shown = BTreeSet::new();
    let mut text = String::new();
    // Services that only call each other have no root: the first by name stands for them.
    loop {
        for root in &roots {
            branch((graph, marks), root, "", &Joint::default(), &mut shown, &mut text);
        }
        match own.clone().find(|service| !shown.contains(service.name.as_str())) {
            Some(service) => roots = vec![&service.name],
            None => break,
        }
    }
    for gone in marks.removed().into_iter().flatten() {
        let _ = writeln!(text, "{} {}", name(gone, Some(Mark::Removed), BOLD), paint("removed", DIM));
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
    (graph, marks): (&'g Graph, &Marks),
    name: &'g str,
    indent: &str,
    joint: &Joint<'_>,
    shown: &mut BTreeSet<&'g str>,
    text: &mut String,
) {
    let Some(service) = graph.services.get(name) else { return };
    let again = !shown.insert(name);
    let mut about = if again { vec!["see above".to_owned()] } else { about(service) };
    if !joint.edge.is_empty() {
        about.push(joint.edge.clone());
    }
    let _ = writeln!(
        text,
        "{indent}{}{} {}",
        joint.line,
        self::name(name, marks.service(name), BOLD),
        paint(&about.join(" "), DIM)
    );
    if again {
        return;
    }
    let indent = format!("{indent}{}", joint.below);
    let databases: Vec<_> = service.databases.iter().filter_map(|address| graph.databases.get(address)).collect();
    let parts: Vec<_> = graph.parts(name).collect();
    let count = service.dependencies.len() + databases.len() + parts.len();
    let joints = |at: usize| if at + 1 == count { ("└─ ", "   ") } else { ("├─ ", "│  ") };
    for (at, edge) in service.dependencies.iter().enumerate() {
        let (line, below) = joints(at);
        let words = match edge.wait {
            _ if edge.optional => "optional".to_owned(),
            Wait::Ready => String::new(),
            wait => format!("wait: {}", wait.as_str()),
        };
        branch((graph, marks), &edge.service, &indent, &Joint { line, below, edge: words }, shown, text);
    }
    for (at, database) in databases.iter().enumerate() {
        let (line, _) = joints(service.dependencies.len() + at);
        let kind = format!("{} {}", database.kind, database.version);
        let _ = writeln!(
            text,
            "{indent}{line}{} {}",
            self::name(&database.address, marks.database(&database.address), CYAN),
            paint(&kind, DIM)
        );
    }
    for (at, part) in parts.iter().enumerate() {
        shown.insert(&part.name);
        let (line, _) = joints(service.dependencies.len() + databases.len() + at);
        let words = self::about(part).join(" ");
        let _ = writeln!(
            text,
            "{indent}{line}{} {}",
            self::name(&part.name, marks.service(&part.name), BOLD),
            paint(&words, DIM)
        );
    }
}

/// A name; that of a node that differs with the sign and in the colour of how.
fn name(name: &str, mark: Option<Mark>, style: anstyle::Style) -> String {
    match mark {
        Some(mark) => paint(&format!("{} {name}", mark.sign()), mark.style()),
        None => paint(name, style),
    }
}

/// What is said of a node beside its name.
fn about(service: &Service) -> Vec<String> {
    let kind = match &service.role {
        Role::Job { schedule } => format!("job {schedule}"),
        Role::Task => format!("{} task", service.stack.name),
        Role::Service if service.is_part() => "process".to_owned(),
        Role::Service | Role::Base => service.stack.name.clone(),
    };
    let mut words = vec![kind, service.id.short()];
    if let Some(public) = service.public.as_ref().filter(|_| !service.is_part()) {
        words.push(format!("public {}", public.path));
    }
    if service.start == Start::Manual {
        words.push("start: manual".to_owned());
    }
    words
}
