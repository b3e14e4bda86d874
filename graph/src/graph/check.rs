//! What one service says, judged in the company of the others.

use std::collections::BTreeMap;

use super::build::Builder;
use crate::diagnostic::{Place, Problem, suggestion};
use crate::format::service::{Port, ServiceFile};
use crate::tree::{Directory, Mode};

impl Builder<'_> {
    /// Names that must exist, be told apart or go together.
    ///
    /// A field that has problems of its own is not judged further: what it lacks may only be misspelt.
    pub(super) fn check(&mut self, file: &ServiceFile, files: &BTreeMap<&str, &ServiceFile>) {
        self.check_dependencies(file, files);
        self.check_databases(file);
        if !file.is_broken("ports") {
            self.check_ports(file);
        }
        self.check_something_runs(file);
    }

    fn check_dependencies(&mut self, file: &ServiceFile, files: &BTreeMap<&str, &ServiceFile>) {
        let mut aliases: BTreeMap<&str, &Place> = BTreeMap::new();
        for edge in &file.dependencies {
            if !files.contains_key(edge.service.as_str()) && !self.nameless {
                let problem = Problem::new(
                    "unknown-service",
                    edge.place.clone(),
                    format!("there is no service `{}`", edge.service.escape_debug()),
                );
                self.problems.add(match suggestion(&edge.service, files.keys().copied()) {
                    Some(close) => problem.mend(format!("did you mean `{close}`?")),
                    None => problem.mend(
                        "name a service of this repository; folders are those of `services:` in clustergraph.yaml",
                    ),
                });
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

    fn check_databases(&mut self, file: &ServiceFile) {
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
        }
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
        if file.ports.is_empty() {
            self.problems.add(
                Problem::new(
                    "no-port",
                    health.place.clone(),
                    format!("the health of `{}` is asked, but it has no port", file.name),
                )
                .mend("add `ports:`, or remove `health:`"),
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

    /// A link to a file of the repository that is no source: what it leads to would be neither hashed nor mounted.
    /// Links that leave the repository, or lead nowhere, mean what they mean where they are followed.
    pub(super) fn check_links(&mut self, file: &ServiceFile, sources: &Directory) {
        for (path, link) in sources.files().into_iter().filter(|(_, found)| found.mode == Mode::Link) {
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

    fn check_something_runs(&mut self, file: &ServiceFile) {
        let broken = ["run", "image", "build"].into_iter().any(|field| file.is_broken(field));
        if file.run.is_none() && file.image.is_none() && file.build.is_none() && !broken {
            self.problems.add(
                Problem::new("missing-field", file.name_place.clone(), format!("`{}` has nothing to run", file.name))
                    .mend("add `run: [program, argument]`, or `image:`"),
            );
        }
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
