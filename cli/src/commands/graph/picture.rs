//! What a picture of a graph shows, whatever draws it: nodes and arrows.

use std::collections::BTreeSet;

use clustergraph::format::service::{Start, Wait};
use clustergraph::graph::{Graph, Role, Service};

use super::marks::{Mark, Marks};

/// What ids of databases begin with: a store that no service owns may be called as a service is.
const DATABASE: &str = "database ";

/// All of it.
pub(super) struct Picture {
    pub(super) nodes: Vec<Node>,
    pub(super) arrows: Vec<Arrow>,
}

/// A service or a database.
pub(super) struct Node {
    /// What arrows name it by.
    pub(super) id: String,
    pub(super) title: String,
    pub(super) about: String,
    pub(super) shape: Shape,
    /// Whether visitors come in here.
    pub(super) is_entry: bool,
    /// Whether it starts only when it is named.
    pub(super) is_quiet: bool,
    /// What became of it, where graphs are compared.
    pub(super) mark: Option<Mark>,
}

/// What a node is drawn as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Service,
    /// A further process or a job of a service.
    Part,
    /// What runs once and ends.
    Task,
    Database,
}

/// Who needs whom.
pub(super) struct Arrow {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) kind: ArrowKind,
    /// Whether it is new or gone, where graphs are compared.
    pub(super) mark: Option<Mark>,
}

/// How one needs the other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ArrowKind {
    /// Its start waits for the other to be so far.
    Waits(Wait),
    /// It runs without the other, too.
    Optional,
    /// It stores there.
    Stores,
    /// The other is made of the same.
    Part,
}

impl Arrow {
    /// Whether the start of one waits for the other at all.
    pub(super) fn is_waited_for(&self) -> bool {
        matches!(self.kind, ArrowKind::Stores | ArrowKind::Waits(Wait::Ready | Wait::Started | Wait::Completed))
    }

    /// The words beside the arrow.
    pub(super) fn label(&self) -> &'static str {
        match self.kind {
            ArrowKind::Waits(wait @ (Wait::Started | Wait::Completed)) => wait.as_str(),
            ArrowKind::Optional => "optional",
            _ => "",
        }
    }
}

impl Picture {
    /// The picture of a graph. Names are DNS labels, with a `.` or a `/` between two of them.
    pub(super) fn of(graph: &Graph) -> Self {
        let services = graph.services.values().map(service);
        let id = |address: &String| format!("{DATABASE}{address}");
        let databases = graph.databases.values().map(|database| Node {
            id: id(&database.address),
            title: database.alias.clone(),
            about: format!("{} {}", database.kind, database.version),
            shape: Shape::Database,
            is_entry: false,
            is_quiet: false,
            mark: None,
        });
        let arrows = graph.services.values().flat_map(|service| {
            let arrow = |to: String, kind| Arrow { from: service.name.clone(), to, kind, mark: None };
            if service.is_part() {
                // What its service needs, it needs: one line says both.
                let (from, to) = (service.owner.clone(), service.name.clone());
                return vec![Arrow { from, to, kind: ArrowKind::Part, mark: None }];
            }
            let calls = service.dependencies.iter().map(|edge| {
                let kind = if edge.optional { ArrowKind::Optional } else { ArrowKind::Waits(edge.wait) };
                arrow(edge.service.clone(), kind)
            });
            let stores = service.databases.iter().map(|address| arrow(id(address), ArrowKind::Stores));
            calls.chain(stores).collect()
        });
        Self { nodes: services.chain(databases).collect(), arrows: arrows.collect() }
    }

    /// The picture of a graph with what became of each node since another one. What is gone is in it, too.
    pub(super) fn compared(before: &Graph, after: &Graph, marks: &Marks) -> Self {
        let (gone, mut picture) = (Self::of(before), Self::of(after));
        let ids = |picture: &Self| -> BTreeSet<String> { picture.nodes.iter().map(|node| node.id.clone()).collect() };
        let ends = |arrow: &Arrow| (arrow.from.clone(), arrow.to.clone());
        let ways = |picture: &Self| -> BTreeSet<(String, String)> { picture.arrows.iter().map(ends).collect() };
        let (known, was, is) = (ids(&picture), ways(&gone), ways(&picture));
        for node in &mut picture.nodes {
            node.mark = match node.id.strip_prefix(DATABASE) {
                Some(address) => marks.database(address),
                None => marks.service(&node.id),
            };
        }
        for arrow in picture.arrows.iter_mut().filter(|arrow| !was.contains(&ends(arrow))) {
            arrow.mark = Some(Mark::Added);
        }
        let nodes = gone.nodes.into_iter().filter(|node| !known.contains(&node.id));
        picture.nodes.extend(nodes.map(|node| Node { mark: Some(Mark::Removed), ..node }));
        let arrows = gone.arrows.into_iter().filter(|arrow| !is.contains(&ends(arrow)));
        picture.arrows.extend(arrows.map(|arrow| Arrow { mark: Some(Mark::Removed), ..arrow }));
        for node in &mut picture.nodes {
            if let Some(mark) = node.mark {
                node.title = format!("{} {}", mark.sign(), node.title);
            }
        }
        picture
    }
}

fn service(service: &Service) -> Node {
    let (shape, about) = match &service.role {
        Role::Job { schedule } => (Shape::Part, format!("job {schedule}")),
        Role::Task => (Shape::Task, "task".to_owned()),
        Role::Service if service.is_part() => (Shape::Part, "process".to_owned()),
        Role::Service | Role::Base => (Shape::Service, service.stack.name.clone()),
    };
    let own = service.name.strip_prefix(&service.owner).and_then(|rest| rest.strip_prefix('.'));
    Node {
        id: service.name.clone(),
        title: own.unwrap_or(&service.name).to_owned(),
        about,
        shape,
        is_entry: service.public.is_some() && !service.is_part(),
        is_quiet: service.start == Start::Manual || matches!(service.role, Role::Job { .. }),
        mark: None,
    }
}
