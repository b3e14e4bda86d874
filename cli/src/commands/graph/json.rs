//! The graph as a program reads it.

use clustergraph::format::service::Start;
use clustergraph::graph::{Graph, Role};

use super::marks::Marks;

/// The graph as a program reads it; with what became of each node where it is compared with one before.
pub(super) fn json(graph: &Graph, before: Option<&Graph>, marks: &Marks) -> serde_json::Value {
    let mut services: Vec<_> = graph
        .services
        .values()
        .map(|service| {
            let edges: Vec<_> = service
                .dependencies
                .iter()
                .map(|edge| serde_json::json!({ "service": edge.service, "as": edge.alias, "wait": edge.wait.as_str(), "optional": edge.optional, "place": edge.place }))
                .collect();
            let (role, schedule) = match &service.role {
                Role::Service => ("service", None),
                Role::Base => ("base", None),
                Role::Task => ("task", None),
                Role::Job { schedule } => ("job", Some(schedule)),
            };
            serde_json::json!({
                "role": role, "schedule": schedule, "owner": service.owner, "manual": service.start == Start::Manual,
                "name": service.name, "folder": service.folder, "stack": service.stack.name, "id": service.id,
                "source": service.source, "dependencies": edges, "databases": service.databases,
                "public": service.public.as_ref().map(|public| &public.path),
            })
        })
        .collect();
    let mut databases: Vec<_> = graph
        .databases
        .values()
        .map(|database| serde_json::json!({ "address": database.address, "owner": database.owner, "kind": database.kind, "version": database.version, "server": database.server }))
        .collect();
    if before.is_some() {
        for (node, service) in services.iter_mut().zip(graph.services.keys()) {
            node["change"] = serde_json::json!(marks.service(service));
        }
        for (node, address) in databases.iter_mut().zip(graph.databases.keys()) {
            node["change"] = serde_json::json!(marks.database(address));
        }
    }
    let mut value = serde_json::json!({
        "schema": "ssi.graph/1", "version": graph.version, "commit": graph.commit.as_ref().map(|commit| &commit.id),
        "services": services, "databases": databases,
    });
    if let Some(before) = before {
        let [services, databases] = marks.removed();
        value["compared"] = serde_json::json!({
            "version": before.version, "commit": before.commit.as_ref().map(|commit| &commit.id),
            "removed": { "services": services, "databases": databases },
        });
    }
    value
}
