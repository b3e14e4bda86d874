//! What a graph asks for and Kubernetes cannot do, or this version does not do: refused before anything is done, because what
//! is left out in silence is found out in production.

use std::collections::BTreeMap;

use clustergraph::diagnostic::{Place, Problem, suggestion};
use clustergraph::format::repository::{Cluster, Strategy};
use clustergraph::format::service::{Probe, Restart};
use clustergraph::graph::{Database, Graph, Role, Service};
use clustergraph::wiring::{Hole, Piece, Value};

use crate::render::external::is_external;
use crate::render::front::{self, Front};
use crate::render::running;

/// Fields of clusters that end by themselves only.
const TRANSIENT: &[&str] = &["seed", "clone", "secrets_from", "quota", "pool"];

/// Everything that would be ignored, each with its place.
pub(crate) fn problems(graph: &Graph, cluster: &str) -> Vec<Problem> {
    let mut found = Found::default();
    let has_front = graph.repository.clusters.get(cluster).is_some_and(|settings| Front::of(settings).is_some());
    for service in graph.services.values() {
        found.service(service);
        if !has_front {
            found.public_urls(service);
        }
    }
    for database in graph.databases.values().filter(|database| !is_external(graph, cluster, database)) {
        found.database(database, graph);
    }
    if let Some(settings) = graph.repository.clusters.get(cluster) {
        found.cluster(settings, graph);
        found.front(settings, graph);
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

    /// What will never be: why, and what to do instead.
    fn never(&mut self, place: &Place, what: &str, why: &str, mend: &str) {
        let message = format!("{what} cannot be had on Kubernetes: {why}");
        self.problems.push(Problem::new("not-on-kubernetes", place.clone(), message).mend(mend));
    }

    fn service(&mut self, service: &Service) {
        let health = service.health.as_ref();
        if let Some(health) = health.filter(|health| matches!(health.probe, Probe::Log(_))) {
            self.never(
                &health.place,
                "asking for health by `log`",
                "the kubelet asks each instance as long as it lives, and reads no output",
                "say how it is asked there: `clusters: { NAME: { health: { command: [...] } } }`, or `tcp`, or `http`",
            );
        }
        // What a service says of these counts for its processes and jobs: it is told once.
        if service.is_part() {
            return;
        }
        if let (Role::Base, Some(smoke)) = (&service.role, &service.smoke) {
            self.never(
                &smoke.place,
                "`smoke` of a service of which only processes and jobs run",
                "a check runs as the service that it asks does, and nothing does",
                "give the check to a service that calls it",
            );
        }
        let restart = service.places.get("restart");
        if let (Role::Service, Restart::Never, Some(place)) = (&service.role, service.restart, restart) {
            self.never(
                place,
                "`restart: never` of what is no task",
                "what runs on is started anew there whenever it ends",
                "make it `task: true` if it runs once; else say `clusters: { NAME: { restart: always } }`",
            );
        }
        self.scale(service);
        self.values(service);
    }

    fn scale(&mut self, service: &Service) {
        let scale = &service.scale;
        if scale.min == Some(0) && scale.max.is_some() {
            self.never(
                service.places.get("scale").unwrap_or(&service.place),
                "`scale.min: 0`",
                "its autoscaler measures the instances that run, and where none does nothing would ever start one",
                "write `min: 1`",
            );
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
        let optional = |name: &String| service.secrets.iter().any(|secret| secret.name == *name && secret.optional);
        for (name, value) in &service.env {
            let is_made_of = |piece: &Piece| matches!(piece, Piece::Hole(Hole::Secret(name)) if optional(name));
            if value.pieces.len() > 1 && value.pieces.iter().any(is_made_of) {
                let place = service.env_places.get(name).unwrap_or(&service.place);
                self.never(
                    place,
                    &format!("`{name}`, which is made of more than an optional secret,"),
                    "a variable that is a missing secret is left out there, but not one that is made of it",
                    "let the variable be the secret alone, and add the rest in the program; or let the secret not be optional",
                );
            }
        }
    }

    /// Where the world reaches a service, nobody knows who has no host.
    fn public_urls(&mut self, service: &Service) {
        let is_public = |value: &Value| value.holes().any(|hole| matches!(hole, Hole::PublicUrl(_)));
        let env = service.env.iter().filter(|(_, value)| is_public(value));
        let env = env.map(|(name, _)| service.env_places.get(name).unwrap_or(&service.place));
        let files = service.files.values().filter(|file| is_public(&file.content)).map(|file| &file.place);
        for place in env.chain(files) {
            let message = "`public_url` is not known: the cluster has no `ingress` with a `domain`";
            let mend = "write `clusters: { NAME: { domain: shop.example, ingress: { class: nginx } } }`";
            self.problems.push(Problem::new("no-host", place.clone(), message).mend(mend));
        }
    }

    /// What an Ingress cannot carry, or does not say.
    fn front(&mut self, settings: &Cluster, graph: &Graph) {
        let said = |field: &str| settings.places.get(field);
        for (field, other) in [("ingress", "domain"), ("domain", "ingress")] {
            if let (Some(place), None) = (said(field), said(other)) {
                let message =
                    format!("`{field}` without `{other}`: one says the host, the other who leads its requests here");
                let mend = "write both, `domain: shop.example` and `ingress: { class: nginx }`, or neither";
                self.problems.push(Problem::new("missing-field", place.clone(), message).mend(mend));
            }
        }
        let tells_apart = settings.domain.as_ref().is_some_and(|domain| domain.contains("{n}"));
        if let Some(place) = said("domain").filter(|_| tells_apart != settings.ttl.is_some()) {
            let (message, mend) = if tells_apart {
                (
                    "`{n}` in the `domain` of a cluster that does not end by itself: it has no number",
                    "write `ttl: 4h` beside it, or a host without `{n}`",
                )
            } else {
                (
                    "`domain` without `{n}`: each cluster of these settings would ask for the same host",
                    "write `pr-{n}.shop.example`: the number of the pull request, or the cluster's name, stands there",
                )
            };
            self.problems.push(Problem::new("no-host", place.clone(), message).mend(mend));
        }
        if Front::of(settings).is_none() {
            return;
        }
        let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
        let running = running(graph);
        let running = running.iter().filter_map(|name| graph.services.get(name));
        for (public, service) in running.filter_map(|service| Some((service.public.as_ref()?, service))) {
            if service.primary_port().is_some_and(|port| port.protocol != front::SCHEME) {
                self.add(&public.place, "`public` of another protocol than http behind an Ingress");
            }
            if let Some(first) = seen.insert(&public.path, &public.place) {
                let message = format!("two services are public at `{}` of one host", public.path.escape_debug());
                let problem =
                    Problem::new("same-path", public.place.clone(), message).related(first.clone(), "the other one");
                self.problems.push(problem.mend("give one of them a path of its own: `public: { path: /order }`"));
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

    fn cluster(&mut self, cluster: &Cluster, graph: &Graph) {
        let said = |field: &str| cluster.places.get(field);
        for (address, (_, place)) in
            cluster.origins.iter().filter(|(address, _)| !graph.databases.contains_key(*address))
        {
            let problem = format!("`clone` of {}, which is no database", address.escape_debug());
            let problem = Problem::new("unknown-database", place.clone(), problem);
            self.problems.push(match suggestion(address, graph.databases.keys().map(String::as_str)) {
                Some(close) => problem.mend(format!("did you mean `{close}`?")),
                None => problem.mend("write its address: OWNER/ALIAS, or the name of a store of clustergraph.yaml"),
            });
        }
        if cluster.ttl.is_none() {
            for (_, place) in cluster.origins.values() {
                let message = "`clone` is of clusters that end by themselves, and this one has no `ttl`";
                let mend = "write `ttl: 4h` beside `databases`, if it is to end by itself; else leave it out";
                self.problems.push(Problem::new("missing-field", place.clone(), message).mend(mend));
            }
            for (field, place) in TRANSIENT.iter().filter_map(|field| Some((field, said(field)?))) {
                let message = format!("`{field}` is of clusters that end by themselves, and this one has no `ttl`");
                let mend = "write `ttl: 4h` beside it, if it is to end by itself; else leave it out";
                self.problems.push(Problem::new("missing-field", place.clone(), message).mend(mend));
            }
        } else {
            if let Some(place) = said("databases").filter(|_| !cluster.databases.is_empty()) {
                self.add(place, "`databases` that somebody else runs, of clusters that end by themselves,");
            }
            let of_a_cluster =
                cluster.secrets_from.as_ref().is_some_and(|source| graph.repository.clusters.contains_key(source));
            if let Some(place) = said("secrets_from").filter(|_| of_a_cluster) {
                self.add(place, "`secrets_from` with the name of a cluster, and not of a Secret,");
            }
        }
        if let Some(place) = said("lends").filter(|_| cluster.lends) {
            if cluster.ttl.is_some() {
                let message = "`lends` of clusters that end by themselves: who borrowed would be left with nothing";
                let mend = "leave it out, or write it in the settings of a permanent cluster";
                self.problems.push(Problem::new("contradiction", place.clone(), message).mend(mend));
            }
            if cluster.strategy == Strategy::Rolling {
                self.never(
                    place,
                    "`lends` with `strategy: rolling`",
                    "its instances are exchanged in place, so no version of it stays for those who borrow it",
                    "write `strategy: atomic`, or `lends: false`",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
