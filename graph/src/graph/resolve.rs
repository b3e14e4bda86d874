//! One service or database with all that its file leaves to the catalogue and the sources.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::build::Builder;
use super::identity::{behaviour_key, source_key};
use super::source::sources;
use super::{Database, Image, Key, Located, Service};
use crate::catalogue::{CONTAINER_ROOT, DatabaseKind, Stack, fill};
use crate::diagnostic::{Problem, suggestion};
use crate::format::service::{DatabaseUse, ServiceFile};
use crate::tree::{Directory, Entry};
use crate::wiring;

impl Builder<'_> {
    pub(super) fn database(&mut self, service: &Located, used: &DatabaseUse) -> Option<Database> {
        let kinds = &self.catalogue.databases;
        let Some(kind) = kinds.get(&used.kind) else {
            let problem = Problem::new(
                "unknown-kind",
                used.place.clone(),
                format!("`{}` is no kind of database", used.kind.escape_debug()),
            );
            let known = kinds.keys().map(String::as_str);
            self.problems.add(match suggestion(&used.kind, known.clone()) {
                Some(close) => problem.mend(format!("did you mean `{close}`?")),
                None => problem.mend(format!("this version knows: {}", known.collect::<Vec<_>>().join(", "))),
            });
            return None;
        };
        let version = used.version.clone().unwrap_or_else(|| kind.default.clone());
        if !kind.knows(&version) {
            self.problems.add(
                Problem::new(
                    "unknown-version",
                    used.version_place.as_ref().unwrap_or(&used.place).clone(),
                    format!("{} has no version {} here", used.kind, version.escape_debug()),
                )
                .mend(format!("this version knows: {}", kind.versions.join(", "))),
            );
            return None;
        }
        let owner = &service.file.name;
        let migration = used.migrate.as_ref().map(|migrate| {
            let folder = service.folder.as_str();
            let schema = migrate.schema.as_ref().and_then(|schema| {
                let path = if folder.is_empty() { schema.clone() } else { format!("{folder}/{schema}") };
                match self.tree.root().entry(&path) {
                    Some(Entry::Directory(directory)) => Some(directory.oid().to_string()),
                    Some(Entry::File(file)) => Some(file.oid.to_string()),
                    _ => {
                        self.problems.add(
                            Problem::new("missing-file", migrate.place.clone(), format!("there is no `{path}`"))
                                .mend("`schema` names the folder of migrations below the service's folder; ignored files are no sources"),
                        );
                        None
                    }
                }
            });
            Key::of("migration", &json!({ "run": migrate.run, "schema": schema }))
        });
        Some(Database {
            address: format!("{owner}/{}", used.alias),
            name: database_name(owner, &used.alias, kind),
            owner: owner.clone(),
            alias: used.alias.clone(),
            kind: used.kind.clone(),
            version,
            params: used.params.clone(),
            migrate: used.migrate.clone(),
            migration,
            seed: used.seed.clone(),
            place: used.place.clone(),
        })
    }

    fn stack(&mut self, service: &Located) -> Option<Stack> {
        let file = &service.file;
        let stacks = &self.catalogue.stacks;
        if let Some((name, place)) = &file.stack {
            let stack = stacks.get(name);
            if stack.is_none() {
                let problem = Problem::new(
                    "unknown-stack",
                    place.clone(),
                    format!("there is no stack `{}`", name.escape_debug()),
                );
                let known = stacks.keys().map(String::as_str);
                self.problems.add(match suggestion(name, known.clone()) {
                    Some(close) => problem.mend(format!("did you mean `{close}`?")),
                    None => problem.mend(format!("this version knows: {}", known.collect::<Vec<_>>().join(", "))),
                });
            }
            return stack.cloned();
        }
        if file.is_broken("stack") {
            return None;
        }
        let folder = self.tree.root().folder(&service.folder).unwrap_or_default();
        let detected: Vec<&Stack> =
            stacks.values().filter(|stack| stack.detect.iter().any(|file| folder.entries.contains_key(file))).collect();
        match detected.as_slice() {
            [] => stacks.get("command").cloned(),
            [stack] => Some((*stack).clone()),
            several => {
                let names: Vec<_> = several.iter().map(|stack| stack.name.as_str()).collect();
                self.problems.add(
                    Problem::new(
                        "ambiguous-stack",
                        file.name_place.clone(),
                        format!("`{}` could be {}", file.name, names.join(" or ")),
                    )
                    .mend(format!("say which with `stack: {}`", names.first().unwrap_or(&""))),
                );
                None
            }
        }
    }

    /// One service with all that its file and its sources say; `None` when that does not even give it a stack.
    pub(super) fn service(
        &mut self,
        located: &Located,
        folders: &BTreeSet<&str>,
        env: BTreeMap<String, wiring::Value>,
        databases: &BTreeMap<String, Database>,
    ) -> Option<Service> {
        let file = &located.file;
        let stack = self.stack(located)?;
        let run = file.run.clone();
        let sources = sources(self.tree.root(), located, &stack, folders, &mut self.problems);
        self.check_links(file, &sources);
        let full = |path: &str| {
            if located.folder.is_empty() { path.to_owned() } else { format!("{}/{path}", located.folder) }
        };
        let image = match (&file.image, &file.build) {
            (Some((image, _)), _) => Image::Ready(image.clone()),
            (None, Some(build)) => {
                if sources.file(&full(&build.dockerfile)).is_none() {
                    let message = format!("there is no `{}`", full(&build.dockerfile));
                    self.problems.add(
                        Problem::new("missing-file", build.place.clone(), message)
                            .mend("`dockerfile` is a path below the service's folder; ignored files are no sources"),
                    );
                }
                Image::Dockerfile(build.clone())
            }
            (None, None) => {
                let folder = if located.folder.is_empty() { "." } else { located.folder.as_str() };
                // `{image}` stays: which registry it comes from is not behaviour.
                Image::Recipe(fill(&stack.recipe, &[("root", CONTAINER_ROOT), ("folder", folder)]))
            }
        };
        let (setup, setup_key) = setup(file, &stack, &sources, &full);
        let mut service = Service {
            name: file.name.clone(),
            folder: located.folder.clone(),
            place: file.name_place.clone(),
            stack,
            dependencies: file.dependencies.clone(),
            databases: file.databases.iter().map(|used| format!("{}/{}", file.name, used.alias)).collect(),
            ports: file.ports.clone(),
            health: file.health.clone(),
            run,
            image,
            setup,
            setup_key,
            public: file.public.clone(),
            replicas: file.replicas,
            stop: file.stop.clone(),
            labels: file.labels.clone(),
            env,
            sources,
            source: Key::default(),
            behaviour: Key::default(),
            id: Key::default(),
        };
        service.source = source_key(&service);
        service.behaviour = behaviour_key(&service, databases);
        Some(service)
    }
}

/// What installs a service's dependencies, and the key of what that depends on.
fn setup(
    file: &ServiceFile,
    stack: &Stack,
    sources: &Directory,
    full: &dyn Fn(&str) -> String,
) -> (Vec<Vec<String>>, Key) {
    let lockfiles: BTreeMap<&str, String> = stack
        .setup
        .iter()
        .flat_map(|setup| &setup.lockfiles)
        .filter_map(|name| sources.file(&full(name)).map(|found| (name.as_str(), found.oid.to_string())))
        .collect();
    let commands = match (&file.setup, &stack.setup) {
        _ if file.image.is_some() => Vec::new(),
        (Some(commands), _) => commands.clone(),
        (None, Some(setup)) if setup.lockfiles.iter().all(|name| lockfiles.contains_key(name.as_str())) => {
            setup.run.clone()
        }
        _ => Vec::new(),
    };
    // A setup of the service's own may read any of its sources.
    let tree = file.setup.is_some().then(|| sources.oid().to_string());
    let key = Key::of(
        "setup",
        &json!({ "stack": stack.name, "image": stack.image, "run": commands, "lockfiles": lockfiles, "tree": tree }),
    );
    (commands, key)
}

/// A name inside the server: owner and alias are DNS labels, so `_` between them is unambiguous.
fn database_name(owner: &str, alias: &str, kind: &DatabaseKind) -> String {
    let name = format!("{owner}{}{alias}", kind.separator);
    if name.len() <= kind.max_name {
        return name;
    }
    let key = Key::of("database-name", &json!(name)).short();
    let kept: String = name.chars().take(kind.max_name.saturating_sub(key.len() + kind.separator.len())).collect();
    format!("{kept}{}{key}", kind.separator)
}
