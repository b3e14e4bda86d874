//! What a graph asks for and this version does not do on Kubernetes: refused before anything is done, because what is
//! left out in silence is found out in production.

use clustergraph::diagnostic::{Place, Problem};
use clustergraph::format::repository::{Cluster, Egress, Strategy};
use clustergraph::format::service::{Health, Probe, Start};
use clustergraph::graph::{Database, Graph, Role, Service};

use crate::render::external::is_external;

/// Fields of a service that would be ignored, wherever they are said.
const SERVICE: &[&str] = &["files", "volumes", "secrets", "singleton", "security", "restart", "resources"];

/// Fields of a cluster that would be ignored. Others only matter where they say something else than the default.
const CLUSTER: &[&str] = &["domain", "warm", "ingress", "pull_grace", "ttl", "seed", "secrets_from", "quota"];

/// Everything that would be ignored, each with its place.
pub(crate) fn problems(graph: &Graph, cluster: &str) -> Vec<Problem> {
    let mut found = Found::default();
    for service in graph.services.values() {
        found.service(service);
    }
    for database in graph.databases.values().filter(|database| !is_external(graph, cluster, database)) {
        found.database(database, graph);
    }
    if let Some(settings) = graph.repository.clusters.get(cluster) {
        found.cluster(settings);
        found.sizes(settings, graph);
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

    fn database(&mut self, database: &Database, graph: &Graph) {
        let Some(kind) = graph.catalogue.databases.get(&database.kind) else { return };
        if kind.image.user.is_none() {
            let message = format!("the kind {} does not say which user its server runs as", database.kind);
            let mend = "nothing runs as root on a cluster: write `image: { name: ..., user: 999 }` with the user's number in `kinds:`";
            let problem = Problem::new("no-user", database.place.clone(), message)
                .related(kind.place.clone(), "the kind is here");
            self.problems.push(problem.mend(mend));
        }
    }

    /// Sizes are those of databases; a volume's is not honoured yet.
    fn sizes(&mut self, cluster: &Cluster, graph: &Graph) {
        let of_a_database = |name: &String| {
            graph.databases.contains_key(name) || graph.databases.values().any(|database| database.kind == *name)
        };
        if let (Some(place), false) = (cluster.places.get("size"), cluster.size.keys().all(of_a_database)) {
            self.add(place, "`size` of what is no database");
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
