//! What a graph asks for and this version does not do on Kubernetes: refused before anything is done, because what is
//! left out in silence is found out in production.

use clustergraph::diagnostic::{Place, Problem};
use clustergraph::format::repository::Cluster;
use clustergraph::format::service::{Probe, Restart};
use clustergraph::graph::{Database, Graph, Role, Service};
use clustergraph::wiring::{Hole, Piece, Value};

use crate::render::external::is_external;

/// Fields of a cluster that would be ignored. Others only matter where they say something else than the default.
const CLUSTER: &[&str] = &["domain", "ingress", "pull_grace", "ttl", "seed", "secrets_from", "quota"];

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

    /// A field of a service, where its file says it.
    fn field(&mut self, service: &Service, field: &str, what: &str) {
        self.add(service.places.get(field).unwrap_or(&service.place), what);
    }

    fn service(&mut self, service: &Service) {
        let health = service.health.as_ref();
        // A line of output is nothing that Kubernetes can ask for.
        if let Some(health) = health.filter(|health| matches!(health.probe, Probe::Log(_))) {
            self.add(&health.place, "asking for health by `log`");
        }
        // What a service says of these counts for its processes and jobs: it is told once.
        if service.is_part() {
            if !service.volumes.is_empty() {
                self.add(&service.place, "a further process or job of a service with `volumes`");
            }
            return;
        }
        if service.role == Role::Service && service.restart == Restart::Never && service.places.contains_key("restart")
        {
            // Whatever ends in a Deployment is started anew.
            self.field(service, "restart", "`restart: never` of what is no task");
        }
        if service.stop.signal == "KILL" {
            self.field(service, "stop", "`stop.signal: KILL`");
        }
        if !service.volumes.is_empty() && service.scale.max.unwrap_or(service.scale.replicas) > 1 {
            self.field(service, "volumes", "more than one instance of what has `volumes`");
        }
        self.scale(service);
        self.values(service);
        if let clustergraph::graph::Image::Dockerfile(build) = &service.image
            && !build.secrets.is_empty()
        {
            self.add(&build.place, "`build.secrets`");
        }
    }

    fn scale(&mut self, service: &Service) {
        let scale = &service.scale;
        if scale.min == Some(0) && scale.max.is_some() {
            self.field(service, "scale", "`scale.min: 0`");
        }
        if scale.max.is_some() && service.resources.cpu_millis.is_none() {
            let place = service.places.get("scale").unwrap_or(&service.place).clone();
            let message = "what is scaled by load must say how much of a processor an instance asks for";
            let mend = "add `resources: { cpu: 100m }`: the load is measured in percent of that";
            self.problems.push(Problem::new("missing-field", place, message).mend(mend));
        }
    }

    /// Values that cannot be had in the place where they are wanted.
    fn values(&mut self, service: &Service) {
        let is_public = |value: &Value| value.holes().any(|hole| matches!(hole, Hole::PublicUrl(_)));
        if service.env.values().any(is_public) {
            self.field(service, "env", "`public_url`");
        }
        for file in service.files.values() {
            if file.content.is_secret() {
                self.add(&file.place, "a file with a password or secret in it");
            }
            if is_public(&file.content) {
                self.add(&file.place, "`public_url`");
            }
        }
        let optional = |name: &String| service.secrets.iter().any(|secret| secret.name == *name && secret.optional);
        for (name, value) in &service.env {
            let is_made_of = |piece: &Piece| matches!(piece, Piece::Hole(Hole::Secret(name)) if optional(name));
            if value.pieces.len() > 1 && value.pieces.iter().any(is_made_of) {
                let place = service.env_places.get(name).unwrap_or(&service.place);
                self.add(place, &format!("`{name}`, which is made of more than an optional secret,"));
            }
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

    /// Sizes are those of databases and volumes.
    fn sizes(&mut self, cluster: &Cluster, graph: &Graph) {
        let of_a_database = |name: &String| {
            graph.databases.contains_key(name) || graph.databases.values().any(|database| database.kind == *name)
        };
        let of_a_volume = |name: &String| {
            let volume = name.split_once('/');
            volume.is_some_and(|(owner, volume)| {
                graph.services.get(owner).is_some_and(|owner| owner.volumes.contains_key(volume))
            })
        };
        let is_known = |name: &String| of_a_database(name) || of_a_volume(name);
        if let (Some(place), false) = (cluster.places.get("size"), cluster.size.keys().all(is_known)) {
            self.add(place, "`size` of what is no database and no volume");
        }
    }

    fn cluster(&mut self, cluster: &Cluster) {
        let said = |field: &str| cluster.places.get(field);
        for (field, place) in CLUSTER.iter().filter_map(|field| Some((field, said(field)?))) {
            self.add(place, &format!("`{field}`"));
        }
        if let Some(place) = said("lends").filter(|_| cluster.lends) {
            self.add(place, "this `lends`");
        }
    }
}

#[cfg(test)]
mod tests;
