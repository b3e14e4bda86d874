//! What a graph asks for and this version does not do on Kubernetes: refused before anything is done, because what is
//! left out in silence is found out in production.

use clustergraph::diagnostic::{Place, Problem};
use clustergraph::format::repository::{Cluster, Egress, Strategy};
use clustergraph::format::service::{Health, Probe, Start};
use clustergraph::graph::{Database, Graph, Role, Service};

/// Kinds of databases whose servers are rendered.
const KINDS: &[&str] = &["postgres"];

/// Fields of a service that would be ignored, wherever they are said.
const SERVICE: &[&str] = &["files", "volumes", "secrets", "singleton", "security", "restart", "resources"];

/// Fields of a cluster that would be ignored. Others only matter where they say something else than the default.
const CLUSTER: &[&str] =
    &["domain", "warm", "ingress", "pull_grace", "databases", "size", "ttl", "seed", "secrets_from", "quota"];

/// Everything that would be ignored, each with its place.
pub(crate) fn problems(graph: &Graph, cluster: &str) -> Vec<Problem> {
    let mut found = Found::default();
    for service in graph.services.values() {
        found.service(service);
        found.databases_used(service, graph);
    }
    for database in graph.databases.values() {
        found.database(database, graph);
    }
    if let Some(settings) = graph.repository.clusters.get(cluster) {
        found.cluster(settings);
    }
    found.problems
}

#[derive(Default)]
struct Found {
    problems: Vec<Problem>,
}

impl Found {
    fn add(&mut self, place: &Place, what: &str) {
        let message = format!("{what} is not supported by this version of komandan on Kubernetes");
        let mend = "a later version will honour it; until then, leave it out for this cluster: `clusters: { NAME: { FIELD: null } }` removes a field";
        self.problems.push(Problem::new("not-supported-yet", place.clone(), message).mend(mend));
    }

    fn service(&mut self, service: &Service) {
        match &service.role {
            Role::Task => self.add(service.places.get("task").unwrap_or(&service.place), "`task`"),
            Role::Job { .. } => return self.add(&service.place, "a job"),
            Role::Service if service.is_part() => return self.add(&service.place, "a further process"),
            Role::Service | Role::Base => {}
        }
        for (field, place) in SERVICE.iter().filter_map(|field| Some((field, service.places.get(*field)?))) {
            self.add(place, &format!("`{field}`"));
        }
        if service.start == Start::Manual {
            self.add(service.places.get("start").unwrap_or(&service.place), "`start: manual`");
        }
        let scale = &service.scale;
        if scale.min.is_some() || scale.max.is_some() || scale.cpu.is_some() {
            self.add(service.places.get("scale").unwrap_or(&service.place), "scaling by load");
        }
        for edge in service.dependencies.iter().filter(|edge| edge.optional) {
            self.add(&edge.place, "an optional dependency");
        }
        if let Some(health) = &service.health {
            self.health(health);
        }
        if let clustergraph::graph::Image::Dockerfile(build) = &service.image
            && !build.secrets.is_empty()
        {
            self.add(&build.place, "`build.secrets`");
        }
        let public = service.env.values().flat_map(clustergraph::wiring::Value::holes);
        if public.into_iter().any(|hole| matches!(hole, clustergraph::wiring::Hole::PublicUrl(_))) {
            self.add(service.places.get("env").unwrap_or(&service.place), "`public_url`");
        }
    }

    fn health(&mut self, health: &Health) {
        if !matches!(health.probe, Probe::Http(_) | Probe::Tcp) {
            self.add(&health.place, &format!("asking for health by `{}`", health.probe.as_str()));
        }
        if !health.headers.is_empty() {
            self.add(&health.place, "`health.headers`");
        }
        if health.liveness.is_some() {
            self.add(&health.place, "`health.liveness`");
        }
    }

    fn databases_used(&mut self, service: &Service, graph: &Graph) {
        for database in service.databases.iter().filter_map(|address| graph.databases.get(address)) {
            // The owner's file does not say who else uses it: this service's does.
            if database.owner.as_ref() != Some(&service.owner) && !service.is_part() {
                let place = service.places.get("databases").unwrap_or(&service.place);
                self.add(place, &format!("using {}, another's database,", database.address));
            }
        }
    }

    fn database(&mut self, database: &Database, graph: &Graph) {
        if database.owner.is_none() {
            return self.add(&database.place, "a store that no service owns");
        }
        if !KINDS.contains(&database.kind.as_str()) {
            return self.add(&database.place, &format!("a database of the kind {}", database.kind));
        }
        if !database.topics.is_empty() {
            self.add(&database.place, "`topics`");
        }
        if !database.extensions.is_empty() {
            self.add(&database.place, "`extensions`");
        }
        if let Some(migrate) = database.migrate.as_ref().filter(|migrate| migrate.compatible.is_some()) {
            self.add(&migrate.place, "`migrate.compatible`");
        }
        if let Some(server) = graph.servers.get(&database.server) {
            if !server.settings.is_empty() {
                self.add(&database.place, "`settings` of a database");
            }
            if server.image.is_some() {
                self.add(&database.place, "`image` of a database");
            }
        }
    }

    fn cluster(&mut self, cluster: &Cluster) {
        let said = |field: &str| cluster.places.get(field);
        for (field, place) in CLUSTER.iter().filter_map(|field| Some((field, said(field)?))) {
            self.add(place, &format!("`{field}`"));
        }
        for (field, differs) in [
            ("strategy", cluster.strategy != Strategy::Atomic),
            ("lends", cluster.lends),
            ("egress", cluster.egress == Egress::Deny),
        ] {
            if let Some(place) = said(field).filter(|_| differs) {
                self.add(place, &format!("this `{field}`"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
