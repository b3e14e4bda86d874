//! What a picture of a graph shows, whatever draws it: nodes and arrows.

use clustergraph::format::service::Wait;
use clustergraph::graph::{Graph, Service};

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
}

/// What a node is drawn as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Service,
    Database,
}

/// Who needs whom.
pub(super) struct Arrow {
    pub(super) from: String,
    pub(super) to: String,
    /// What the start waits for, where that is not readiness.
    pub(super) wait: Option<Wait>,
}

impl Arrow {
    /// Whether the start of one waits for the other at all.
    pub(super) fn is_waited_for(&self) -> bool {
        self.wait != Some(Wait::None)
    }

    /// The words beside the arrow.
    pub(super) fn label(&self) -> &'static str {
        self.wait.filter(|wait| *wait != Wait::None).map_or("", |wait| wait.as_str())
    }
}

impl Picture {
    /// The picture of a graph. Names are DNS labels, addresses two of them and a `/`.
    pub(super) fn of(graph: &Graph) -> Self {
        let services = graph.services.values().map(service);
        let databases = graph.databases.values().map(|database| Node {
            id: database.address.clone(),
            title: database.alias.clone(),
            about: format!("{} {}", database.kind, database.version),
            shape: Shape::Database,
            is_entry: false,
        });
        let arrows = graph.services.values().flat_map(|service| {
            let calls = service.dependencies.iter().map(|edge| Arrow {
                from: service.name.clone(),
                to: edge.service.clone(),
                wait: Some(edge.wait).filter(|wait| *wait != Wait::Ready),
            });
            let stores =
                service.databases.iter().map(|to| Arrow { from: service.name.clone(), to: to.clone(), wait: None });
            calls.chain(stores)
        });
        Self { nodes: services.chain(databases).collect(), arrows: arrows.collect() }
    }
}

fn service(service: &Service) -> Node {
    Node {
        id: service.name.clone(),
        title: service.name.clone(),
        about: service.stack.name.clone(),
        shape: Shape::Service,
        is_entry: service.public.is_some(),
    }
}
