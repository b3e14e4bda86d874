//! What one service says, judged in the company of the others.

use std::collections::BTreeMap;

use globset::Glob;

use super::Database;
use super::build::Builder;
use crate::catalogue::Stack;
use crate::diagnostic::{Place, Problem, suggestion};
use crate::format::repository::RepositoryFile;
use crate::format::service::{DatabaseSource, Port, Probe, Restart, ServiceFile, Wait, ends};
use crate::tree::Directory;
use crate::wiring::{Files, Scene};

impl Builder<'_> {
    /// Names that must exist, be told apart or go together.
    ///
    /// A field that has problems of its own is not judged further: what it lacks may only be misspelt.
    pub(super) fn check(&mut self, file: &ServiceFile, scene: &Scene<'_>) {
        self.check_dependencies(file, scene.files);
        self.check_databases(file, scene);
        if !file.is_broken("ports") {
            self.check_ports(file);
        }
        self.check_parts(file);
        self.check_task(file);
        self.check_together(file);
    }

    fn check_dependencies(&mut self, file: &ServiceFile, files: &Files<'_>) {
        let mut aliases: BTreeMap<&str, &Place> = BTreeMap::new();
        for edge in &file.dependencies {
            if !files.contains_key(edge.service.as_str()) && !self.nameless {
                self.unknown_service(&edge.service, &edge.place, files);
            }
            if let Some(target) = files.get(edge.service.as_str())
                && edge.wait == Wait::Completed
                && !target.task
                && !target.is_broken("task")
            {
                let message = format!("`{}` never completes: it is no task", edge.service);
                self.problems.add(
                    Problem::new("wait", edge.wait_place.clone(), message)
                        .related(target.name_place.clone(), "this goes on running")
                        .mend(format!("wait for `ready`, or write `task: true` where `{}` is declared", edge.service)),
                );
            }
            if let Some(first) = aliases.insert(&edge.alias, &edge.place) {
                self.problems.add(
                    Problem::new(
                        "duplicate-name",
                        edge.place.clone(),
                        format!("two dependencies are named `{}`", edge.alias),
                    )
                    .related(first.clone(), "the first is here")
                    .mend("remove one of them, or give it another name with `as:`"),
                );
            }
        }
    }

    fn unknown_service(&mut self, name: &str, place: &Place, files: &Files<'_>) {
        let problem =
            Problem::new("unknown-service", place.clone(), format!("there is no service `{}`", name.escape_debug()));
        self.problems.add(match suggestion(name, files.keys().copied()) {
            Some(close) => problem.mend(format!("did you mean `{close}`?")),
            None => {
                problem.mend("name a service of this repository; folders are those of `services:` in clustergraph.yaml")
            }
        });
    }

    fn check_databases(&mut self, file: &ServiceFile, scene: &Scene<'_>) {
        let mut aliases: BTreeMap<&str, &Place> = BTreeMap::new();
        for used in &file.databases {
            if let Some(first) = aliases.insert(&used.alias, &used.place) {
                self.problems.add(
                    Problem::new(
                        "duplicate-name",
                        used.place.clone(),
                        format!("two databases are named `{}`", used.alias),
                    )
                    .related(first.clone(), "the first is here")
                    .mend("give one of them another name with `as:`"),
                );
            }
            if let DatabaseSource::From(address) = &used.source
                && scene.declared(used).is_none()
            {
                self.unknown_database(address, &used.place, scene);
            }
        }
        for (name, volume) in &file.volumes {
            if let Some(place) = aliases.get(name.as_str()) {
                self.problems.add(
                    Problem::new("duplicate-name", volume.place.clone(), format!("a database is named `{name}`, too"))
                        .related((*place).clone(), "the database is here")
                        .mend("give one of them another name: data is found again by it"),
                );
            }
        }
    }

    /// Who could be meant is not known when its file, or its field, could not be read.
    fn unknown_database(&mut self, address: &str, place: &Place, scene: &Scene<'_>) {
        let may_be_there = match address.split_once('/') {
            None => self.stores_broken,
            Some((owner, _)) => match scene.files.get(owner) {
                Some(owner) => owner.is_broken("databases"),
                None => self.nameless,
            },
        };
        if may_be_there {
            return;
        }
        let problem = Problem::new(
            "unknown-database",
            place.clone(),
            format!("there is no database `{}`", address.escape_debug()),
        );
        let others = address
            .split_once('/')
            .and_then(|(owner, alias)| scene.files.get(owner)?.databases.iter().find(|used| used.alias == alias));
        if let Some(others) = others {
            let (own, further) = (address.split('/').next().unwrap_or_default(), others.address(""));
            return self.problems.add(problem.mend(format!("`{own}` takes it from `{further}`: do the same")));
        }
        let own = scene.files.values().flat_map(|file| {
            file.databases.iter().filter(|used| used.own().is_some()).map(|used| used.address(&file.name))
        });
        let known: Vec<String> = own.chain(scene.stores.keys().cloned()).collect();
        self.problems.add(match suggestion(address, known.iter().map(String::as_str)) {
            Some(close) => problem.mend(format!("did you mean `{close}`?")),
            None => problem
                .mend("write SERVICE/ALIAS of a service's own database, or the name of a store of clustergraph.yaml"),
        });
    }

    fn check_ports(&mut self, file: &ServiceFile) {
        if let [first, ..] = file.ports.as_slice()
            && Port::primary(&file.ports).is_none()
        {
            self.problems.add(
                Problem::new("no-primary-port", first.place.clone(), "none of several ports is the primary one")
                    .mend("name one `http`, or write `{ port: ..., primary: true }`"),
            );
        }
        if let Some(public) = &file.public
            && file.ports.is_empty()
        {
            self.problems.add(
                Problem::new("no-port", public.place.clone(), "an entry into the cluster needs a port")
                    .mend("add `ports: { http: 8080 }`"),
            );
        }
        let Some(health) = &file.health else { return };
        let asks_port = health.probe.needs_port() || health.liveness.as_ref().is_some_and(Probe::needs_port);
        if file.ports.is_empty() && asks_port {
            self.problems.add(
                Problem::new(
                    "no-port",
                    health.place.clone(),
                    format!("the health of `{}` is asked, but it has no port", file.name),
                )
                .mend("add `ports:`, ask by `command` or `log`, or remove `health:`"),
            );
        } else if let Some((name, place)) = &health.port
            && !file.ports.iter().any(|port| port.name == *name)
        {
            let known: Vec<&str> = file.ports.iter().map(|port| port.name.as_str()).collect();
            self.problems.add(
                Problem::new("unknown-port", place.clone(), format!("there is no port `{}`", name.escape_debug()))
                    .mend(format!("its ports: {}", known.join(", "))),
            );
        }
    }

    /// Processes and jobs are nodes of one name each.
    fn check_parts(&mut self, file: &ServiceFile) {
        let mut names: BTreeMap<&str, &Place> = BTreeMap::new();
        for part in file.processes.iter().chain(&file.jobs) {
            if let Some(first) = names.insert(&part.name, &part.place) {
                let message = format!("two of its processes and jobs are named `{}`", part.name);
                self.problems.add(
                    Problem::new("duplicate-name", part.place.clone(), message)
                        .related(first.clone(), "the first is here")
                        .mend("rename one of them"),
                );
            }
        }
    }

    /// What ends is not called, not asked, and not kept up.
    fn check_task(&mut self, file: &ServiceFile) {
        if !file.task {
            return;
        }
        for field in ["ports", "public", "health", "processes", "jobs", "scale"] {
            if let Some(place) = file.places.get(field) {
                let problem =
                    Problem::new("conflict", place.clone(), format!("a task runs once and ends: it has no `{field}`"));
                let related = file.places.get("task").cloned();
                let problem = problem.mend(format!("remove `{field}`, or `task`"));
                self.problems.add(match related {
                    Some(task) => problem.related(task, "it is a task"),
                    None => problem,
                });
            }
        }
        if let Some(place) = file.places.get("restart")
            && file.restart == Restart::Always
        {
            self.problems.add(ends(place, "a task"));
        }
    }

    /// Fields that contradict each other.
    fn check_together(&mut self, file: &ServiceFile) {
        if file.singleton
            && file.scale.max.unwrap_or(file.scale.replicas) > 1
            && let Some(place) = file.places.get("scale")
        {
            let problem =
                Problem::new("conflict", place.clone(), format!("there is never more than one `{}`", file.name))
                    .mend("remove `singleton`, or scale it to 1");
            self.problems.add(match file.places.get("singleton") {
                Some(singleton) => problem.related(singleton.clone(), "it is a singleton"),
                None => problem,
            });
        }
        if let Some(test) = &file.test
            && test.target.is_some()
            && file.build.is_none()
            && !file.is_broken("build")
        {
            self.problems.add(
                Problem::new(
                    "conflict",
                    test.place.clone(),
                    "`test.target` is a stage of a Dockerfile, and there is none",
                )
                .mend("add `build:`, or remove `target`: the tests run where the service does"),
            );
        }
    }

    /// What `clustergraph.yaml` says of services and databases.
    pub(super) fn check_repository(
        &mut self,
        repository: &RepositoryFile,
        files: &Files<'_>,
        databases: &BTreeMap<String, Database>,
    ) {
        if self.nameless {
            return;
        }
        for (name, place) in repository.suites.values().flat_map(|suite| &suite.services) {
            let is_pattern = name.contains(['*', '?', '[', '{']);
            match Glob::new(name) {
                Err(error) => self.problems.add(
                    Problem::new(
                        "path",
                        place.clone(),
                        format!("`{}` is no pattern: {}", name.escape_debug(), error.kind()),
                    )
                    .mend("write the name of a service, or a pattern such as shop-*"),
                ),
                Ok(_) if !is_pattern && !files.contains_key(name.as_str()) => self.unknown_service(name, place, files),
                Ok(_) => {}
            }
        }
        if self.stores_broken || files.values().any(|file| file.is_broken("databases")) {
            return;
        }
        for cluster in repository.clusters.values() {
            let Some(place) = cluster.places.get("databases") else { continue };
            for address in cluster.databases.keys().filter(|address| !databases.contains_key(*address)) {
                let problem = Problem::new(
                    "unknown-database",
                    place.clone(),
                    format!("there is no database `{}`", address.escape_debug()),
                );
                self.problems.add(match suggestion(address, databases.keys().map(String::as_str)) {
                    Some(close) => problem.mend(format!("did you mean `{close}`?")),
                    None => problem.mend("write SERVICE/ALIAS, or the name of a store"),
                });
            }
        }
    }

    /// A link to a file of the repository that is no source: what it leads to would be neither hashed nor mounted.
    /// Links that leave the repository, or lead nowhere, mean what they mean where they are followed.
    pub(super) fn check_links(&mut self, file: &ServiceFile, sources: &Directory) {
        for (path, link) in sources.links() {
            // What cannot be read here will be said by whoever needs it.
            let Ok(target) = self.tree.read(link) else { continue };
            let Some(target) = std::str::from_utf8(&target).ok().and_then(|target| led_to(&path, target)) else {
                continue;
            };
            if self.tree.root().entry(&target).is_some() && sources.entry(&target).is_none() {
                let message = format!("`{path}` links to `{target}`, which is no source of `{}`", file.name);
                self.problems.add(
                    Problem::new("link", file.name_place.clone(), message)
                        .mend(format!("add `{target}` to `include`, or remove the link")),
                );
            }
        }
    }

    /// Whether it runs by itself. Else it must have processes or jobs, and nobody can call it.
    pub(super) fn check_something_runs(&mut self, file: &ServiceFile, stack: &Stack) -> bool {
        let broken = ["run", "image", "build"].into_iter().any(|field| file.is_broken(field));
        let of_stack = stack.run.is_some() || stack.dockerfile.is_some();
        let runs = file.run.is_some() || file.image.is_some() || file.build.is_some() || of_stack;
        if runs || broken {
            return true;
        }
        let missing = |place: &Place| {
            Problem::new("missing-field", place.clone(), format!("`{}` has nothing to run", file.name))
                .mend("add `run: [program, argument]`, or `image:`")
        };
        let parts = ["processes", "jobs"].into_iter().any(|field| file.is_broken(field));
        if !parts && file.processes.is_empty() && file.jobs.is_empty() {
            self.problems.add(missing(&file.name_place));
            return true;
        }
        // What only a running service can have.
        for place in ["ports", "public", "health", "task"].into_iter().filter_map(|field| file.places.get(field)) {
            self.problems.add(missing(place));
        }
        false
    }
}

/// The path in the repository that a relative link leads to.
fn led_to(link: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = link.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}
