//! One service with all that its file leaves to the catalogue and the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;

use super::build::Builder;
use super::identity::{behaviour_key, source_key};
use super::source::{Selection, above, holds, sources};
use super::{Database, Image, Key, Located, Role, Service};
use crate::catalogue::{CONTAINER_ROOT, Stack, fill};
use crate::diagnostic::{Place, Problem, suggestion};
use crate::format::expression::{Expression, Template};
use crate::format::lock::LockFile;
use crate::format::service::{Build, ServiceFile};
use crate::format::yaml::MAX_BYTES;
use crate::tree::{Directory, Mode, joined};
use crate::wiring::{self, Scene};

impl Builder<'_> {
    fn stack(&mut self, service: &Located) -> Option<Arc<Stack>> {
        let file = &service.file;
        let stacks = &self.catalogue.stacks;
        if let Some((name, place)) = &file.stack {
            let stack = stacks.get(name);
            if stack.is_none() && !self.catalogue_broken {
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
        let detected: Vec<&Arc<Stack>> =
            stacks.values().filter(|stack| stack.detect.iter().any(|file| folder.entry(file).is_some())).collect();
        let first = detected.iter().map(|stack| stack.rank).min();
        let detected: Vec<&Arc<Stack>> = detected.into_iter().filter(|stack| Some(stack.rank) == first).collect();
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
        folders: &BTreeSet<String>,
        scene: &Scene<'_>,
        databases: &BTreeMap<String, Database>,
    ) -> Option<Service> {
        let file = &located.file;
        let env = wiring::environment(file, None, scene, &mut self.problems);
        let files = self.files(located, scene);
        let stack = self.stack(located)?;
        let runs = self.check_something_runs(file, &stack);
        self.check_include(located);
        let include: Vec<String> = file.include.iter().map(|(path, _)| path.clone()).collect();
        let selection = Selection { folder: &located.folder, ignore: &file.ignore, include: &include, stack: &stack };
        let sources = sources(self.tree.root(), &selection, folders);
        self.check_links(file, &sources);
        let image = self.image(located, &stack, &sources);
        let (setup, setup_key) = setup(located, &stack, &sources, &self.lock);
        let mut service = Service {
            name: file.name.clone(),
            owner: file.name.clone(),
            role: match (file.task, runs) {
                (true, _) => Role::Task,
                (false, true) => Role::Service,
                (false, false) => Role::Base,
            },
            folder: located.folder.clone(),
            place: file.name_place.clone(),
            stack,
            dependencies: file.dependencies.clone(),
            databases: file.databases.iter().map(|used| used.address(&file.name)).collect(),
            ports: file.ports.clone(),
            health: file.health.clone(),
            run: file.run.clone(),
            image,
            setup,
            setup_key,
            public: file.public.clone(),
            passthrough: file.passthrough.iter().map(|(name, _)| name.clone()).collect(),
            secrets: file.secrets.clone(),
            files,
            volumes: file.volumes.clone(),
            start: file.start,
            singleton: file.singleton,
            borrow: file.borrow,
            egress: file.egress.clone(),
            security: file.security,
            restart: file.restart,
            scale: file.scale.clone(),
            resources: file.resources.clone(),
            watch: file.watch,
            stop: file.stop.clone(),
            test: file.test.clone(),
            smoke: file.smoke.clone(),
            labels: file.labels.clone(),
            include,
            ignore: file.ignore.clone(),
            places: Arc::clone(&file.places),
            env_places: Arc::new(file.env.iter().map(|(name, text)| (name.clone(), text.place.clone())).collect()),
            env,
            sources,
            source: Key::default(),
            behaviour: Key::default(),
            id: Key::default(),
        };
        service.source = source_key(&service, &self.lock);
        service.behaviour = behaviour_key(&service, databases);
        Some(service)
    }

    /// What it includes from elsewhere must be there, and elsewhere.
    fn check_include(&mut self, located: &Located) {
        for (path, place) in &located.file.include {
            if holds(path, &located.folder) {
                self.problems.add(
                    Problem::new("include", place.clone(), format!("`{path}` holds the service's own folder"))
                        .mend("its own folder is there anyway; include what lies beside it"),
                );
            } else if self.tree.root().entry(path).is_none() {
                self.problems.add(
                    Problem::new("missing-file", place.clone(), format!("there is no `{path}` to include")).mend(
                        "the path starts at the folder of clustergraph.yaml; files that git ignores are no sources",
                    ),
                );
            }
        }
    }

    fn image(&mut self, located: &Located, stack: &Stack, sources: &Directory) -> Image {
        let file = &located.file;
        // A stack whose services bring a Dockerfile says where it lies.
        let of_stack = stack.dockerfile.as_ref().map(|path| Build::of_dockerfile(path, &file.name_place));
        match (&file.image, file.build.as_ref().or(of_stack.as_ref())) {
            (Some((image, _)), _) => Image::Ready(image.clone()),
            (None, Some(build)) => {
                let (path, mend) = match &build.context {
                    Some(context) => (
                        format!("{context}/{}", build.dockerfile),
                        "`dockerfile` is a path below `context`, which lies in the service's folder or in `include`; ignored files are no sources",
                    ),
                    None => (
                        located.full(&build.dockerfile),
                        "`dockerfile` is a path below the service's folder; ignored files are no sources",
                    ),
                };
                if sources.file(&path).is_none() {
                    self.problems.add(
                        Problem::new("missing-file", build.place.clone(), format!("there is no `{path}`")).mend(mend),
                    );
                }
                Image::Dockerfile(build.clone())
            }
            (None, None) => {
                let folder = if located.folder.is_empty() { "." } else { located.folder.as_str() };
                // `{image}` stays: which registry it comes from is not behaviour.
                Image::Recipe(fill(&stack.recipe, &[("root", CONTAINER_ROOT), ("folder", folder)]))
            }
        }
    }

    /// The files that are put into its container, read and with their expressions as holes.
    fn files(&mut self, located: &Located, scene: &Scene<'_>) -> BTreeMap<String, super::File> {
        let mut files = BTreeMap::new();
        for (at, used) in &located.file.files {
            let path = located.full(&used.path);
            let Some(text) = self.text(&path, &used.place) else { continue };
            let template = Template::parse(&text, &Place::start_of(&path), &mut self.problems);
            let content = wiring::filled(&template, &located.file, scene, &mut self.problems);
            self.refuse_optional(&template, &located.file);
            files.insert(at.clone(), super::File { path, content, place: used.place.clone() });
        }
        files
    }

    /// A variable that is made of what does not run is left out. A file is there whole, or not at all.
    fn refuse_optional(&mut self, template: &Template, file: &ServiceFile) {
        for (expression, place) in template.expressions() {
            let (Expression::Service { alias, .. } | Expression::PublicUrl { alias: Some(alias) }) = expression else {
                continue;
            };
            let edge = file.dependencies.iter().find(|edge| edge.alias == *alias);
            if let Some(edge) = edge.filter(|edge| edge.optional) {
                let message = format!("`{alias}` may not run, and then this has no value");
                self.problems.add(
                    Problem::new("expression", place.clone(), message)
                        .related(edge.place.clone(), "it is optional here")
                        .mend("pass it as a variable, which is left out then, or remove `optional`"),
                );
            }
        }
    }

    /// A file of the repository as text, kept for excerpts.
    fn text(&mut self, path: &str, asked: &Place) -> Option<String> {
        let refused = |message: String, mend: &str| Problem::new("missing-file", asked.clone(), message).mend(mend);
        let problem = match self.tree.root().file(path) {
            None => refused(
                format!("there is no `{path}`"),
                "name a file below the service's folder; files that git ignores do not count",
            ),
            Some(file) if file.mode == Mode::Link => {
                refused(format!("`{path}` is a symbolic link"), "name the file itself")
            }
            Some(file) if !self.tree.size(file).is_ok_and(|size| size <= MAX_BYTES as u64) => {
                Problem::new("too-large", asked.clone(), format!("`{path}` is larger than {} KiB", MAX_BYTES / 1024))
                    .mend("large files belong into the image")
            }
            Some(file) => match self.tree.read_text(file).map(String::from_utf8) {
                Ok(Ok(text)) => {
                    self.problems.keep_text(path, Arc::from(text.as_str()));
                    return Some(text);
                }
                Ok(Err(_)) => Problem::new("not-utf-8", asked.clone(), format!("`{path}` is not UTF-8"))
                    .mend("files with expressions are texts; put others into the image"),
                Err(error) => refused(format!("`{path}` cannot be read: {error}"), "make it readable"),
            },
        };
        self.problems.add(problem);
        None
    }
}

/// What installs a service's dependencies, and the key of what that depends on.
fn setup(located: &Located, stack: &Stack, sources: &Directory, lock: &LockFile) -> (Vec<Vec<String>>, Key) {
    let file = &located.file;
    let found = |name: &String| {
        // A lock file of the whole workspace lies above; the nearest is the one that tools take.
        let further = above(&located.folder).filter(|_| stack.workspace.contains(name));
        let mut folders = std::iter::once(located.folder.as_str()).chain(further);
        folders.find_map(|folder| sources.file(&joined(folder, name)))
    };
    let lockfiles: BTreeMap<&str, String> = stack
        .setup
        .iter()
        .flat_map(|setup| &setup.lockfiles)
        .filter_map(|name| found(name).map(|found| (name.as_str(), found.oid.to_string())))
        .collect();
    let commands = match (&file.setup, &stack.setup) {
        _ if file.image.is_some() => Vec::new(),
        (Some(commands), _) => commands.clone(),
        (None, Some(setup)) if setup.lockfiles.iter().all(|name| lockfiles.contains_key(name.as_str())) => {
            setup.run.clone()
        }
        _ => Vec::new(),
    };
    if commands.is_empty() {
        return (commands, Key::default());
    }
    // A setup of the service's own may read any of its sources.
    let tree = file.setup.is_some().then(|| sources.oid().to_string());
    let key = Key::of(
        "setup",
        &json!({ "stack": stack.name, "image": stack.image, "run": commands, "lockfiles": lockfiles, "tree": tree }),
    );
    let key = match lock.digest(&stack.image) {
        Some(pin) => Key::of("pinned setup", &json!({ "pin": pin, "setup": key })),
        None => key,
    };
    (commands, key)
}
