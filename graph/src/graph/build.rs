//! From a tree to a validated graph, with every problem of every file at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use globset::{Glob, GlobMatcher};
use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;
use serde_json::json;

use super::identity::{behaviour_key, give_ids, source_key, version};
use super::source::sources;
use super::{Database, Graph, Image, Key, Located, Service, primary};
use crate::catalogue::{CONTAINER_ROOT, Catalogue, DatabaseKind, Stack, fill};
use crate::diagnostic::{Place, Problem, Problems, suggestion};
use crate::format::repository::RepositoryFile;
use crate::format::service::{DatabaseUse, ServiceFile, Wait};
use crate::format::yaml::{self, Yaml};
use crate::tree::{Directory, Entry, Tree, TreeError};
use crate::wiring;

const REPOSITORY_FILE: &str = "clustergraph.yaml";
const SERVICE_FILE: &str = "service.yaml";

/// Why there is no graph.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The files say something wrong. Show [`Problems::render`].
    #[error("{} problems in the repository's files", .0.len())]
    Problems(Problems),
    /// The files could not be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl Graph {
    /// Reads and validates a repository, with the overrides of `cluster` (`local` is a laptop's).
    ///
    /// # Errors
    /// All problems of all files at once, or a failure of git or the file system.
    pub fn build(tree: &Tree, cluster: &str) -> Result<Self, BuildError> {
        let mut builder = Builder { tree, catalogue: Catalogue::built_in(), problems: Problems::default() };
        let repository = builder.repository()?;
        let located = builder.located(&repository, cluster)?;
        builder.refuse_same_names(&located);
        let mut graph = builder.resolve(repository, &located);
        builder.refuse_cycles(&graph);
        if !builder.problems.is_empty() {
            return Err(BuildError::Problems(builder.problems));
        }
        give_ids(&mut graph.services);
        graph.version = version(&graph.services);
        graph.commit = tree.commit().cloned();
        Ok(graph)
    }
}

struct Builder<'t> {
    tree: &'t Tree,
    catalogue: &'static Catalogue,
    problems: Problems,
}

impl Builder<'_> {
    /// Reads one YAML file; `None` when there is none or it is no YAML.
    fn yaml(&mut self, path: &str) -> Result<Option<Yaml>, TreeError> {
        let Some(file) = self.tree.root().file(path) else { return Ok(None) };
        if self.tree.size(file)? > yaml::MAX_BYTES as u64 {
            let message = format!("{path} is larger than {} KiB", yaml::MAX_BYTES / 1024);
            self.problems.add(Problem::new("too-large", Place::start_of(path), message));
            return Ok(None);
        }
        let text = match String::from_utf8(self.tree.read(file)?) {
            Ok(text) => text,
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let message = format!("{path} is not UTF-8: byte {at} is no character");
                self.problems.add(Problem::new("not-utf-8", Place::start_of(path), message));
                return Ok(None);
            }
        };
        self.problems.keep_text(path, Arc::from(text.as_str()));
        match yaml::parse(&path.into(), &text) {
            Ok(yaml) => Ok(Some(yaml)),
            Err(problem) => {
                self.problems.add(*problem);
                Ok(None)
            }
        }
    }

    fn repository(&mut self) -> Result<RepositoryFile, TreeError> {
        let yaml = self.yaml(REPOSITORY_FILE)?;
        Ok(yaml.map(|yaml| RepositoryFile::decode(&yaml, &mut self.problems)).unwrap_or_default())
    }

    /// Every service.yaml that the patterns reach.
    fn located(&mut self, repository: &RepositoryFile, cluster: &str) -> Result<Vec<Located>, TreeError> {
        let mut folders = Vec::new();
        match &repository.services {
            None => self.expand("*", None, &mut folders),
            Some(patterns) => {
                for (pattern, place) in patterns {
                    self.expand(pattern, Some(place), &mut folders);
                }
            }
        }
        folders.sort();
        folders.dedup();
        let mut located = Vec::new();
        for folder in folders {
            let path = if folder.is_empty() { SERVICE_FILE.to_owned() } else { format!("{folder}/{SERVICE_FILE}") };
            let Some(yaml) = self.yaml(&path)? else { continue };
            if let Some(file) = ServiceFile::decode(yaml, cluster, &mut self.problems) {
                located.push(Located { folder, file });
            }
        }
        if located.is_empty() && self.problems.is_empty() {
            self.problems.add(
                Problem::new("no-services", Place::start_of(REPOSITORY_FILE), "there is no service.yaml in this repository")
                    .mend("write one in a folder of its own: `name: web` and `run: [./server]` are enough; folders are those of `services:` in clustergraph.yaml, every top-level folder without it"),
            );
        }
        Ok(located)
    }

    /// The folders with a service.yaml that match a pattern.
    fn expand(&mut self, pattern: &str, place: Option<&Place>, folders: &mut Vec<String>) {
        fn walk(directory: &Directory, below: &str, parts: &[GlobMatcher], found: &mut Vec<String>) {
            let Some((part, rest)) = parts.split_first() else {
                if directory.entries.contains_key(SERVICE_FILE) {
                    found.push(below.to_owned());
                }
                return;
            };
            for (name, entry) in &directory.entries {
                if let Entry::Directory(directory) = entry
                    && part.is_match(name)
                {
                    let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
                    walk(directory, &path, rest, found);
                }
            }
        }
        let mut parts = Vec::new();
        if pattern != "." {
            for part in pattern.split('/') {
                match Glob::new(part) {
                    Ok(glob) => parts.push(glob.compile_matcher()),
                    Err(error) => {
                        if let Some(place) = place {
                            self.problems.add(Problem::new("path", place.clone(), format!("`{pattern}`: {error}")));
                        }
                        return;
                    }
                }
            }
        }
        walk(self.tree.root(), "", &parts, folders);
    }

    fn refuse_same_names(&mut self, located: &[Located]) {
        let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
        for service in located {
            let file = &service.file;
            match seen.get(file.name.as_str()) {
                None => {
                    seen.insert(&file.name, &file.name_place);
                }
                Some(first) => self.problems.add(
                    Problem::new(
                        "duplicate-name",
                        file.name_place.clone(),
                        format!("two services are named `{}`", file.name),
                    )
                    .related((*first).clone(), "the first is here")
                    .mend("rename one of them"),
                ),
            }
        }
    }

    fn resolve(&mut self, repository: RepositoryFile, located: &[Located]) -> Graph {
        let names: Vec<&str> = located.iter().map(|service| service.file.name.as_str()).collect();
        let folders: Vec<&str> = located.iter().map(|service| service.folder.as_str()).collect();
        let mut databases = BTreeMap::new();
        for service in located {
            self.check_dependencies(&service.file, &names);
            self.check_health(&service.file);
            for used in &service.file.databases {
                if let Some(database) = self.database(service, used) {
                    databases.insert(database.address.clone(), database);
                }
            }
        }
        let ports = located.iter().map(|service| (service.file.name.as_str(), service.file.ports.as_slice())).collect();
        let mut services = BTreeMap::new();
        for service in located {
            let env = wiring::environment(&service.file, &ports, self.catalogue, &mut self.problems);
            if let Some(service) = self.service(service, &folders, env, &databases) {
                services.insert(service.name.clone(), service);
            }
        }
        Graph { repository, services, databases, commit: None, version: Key::default() }
    }

    fn check_dependencies(&mut self, file: &ServiceFile, names: &[&str]) {
        let mut aliases: BTreeMap<&str, &Place> = BTreeMap::new();
        for edge in &file.dependencies {
            if !names.contains(&edge.service.as_str()) {
                let problem = Problem::new(
                    "unknown-service",
                    edge.place.clone(),
                    format!("there is no service `{}`", edge.service.escape_debug()),
                );
                self.problems.add(match suggestion(&edge.service, names.iter().copied()) {
                    Some(close) => problem.mend(format!("did you mean `{close}`?")),
                    None => problem.mend(
                        "name a service of this repository; folders are those of `services:` in clustergraph.yaml",
                    ),
                });
            }
            if let Some(first) = aliases.insert(&edge.alias, &edge.place) {
                self.problems.add(
                    Problem::new("duplicate-name", edge.place.clone(), format!("`{}` is there twice", edge.alias))
                        .related(first.clone(), "here first")
                        .mend("give one of them another name with `as:`"),
                );
            }
        }
        let mut aliases: BTreeMap<&str, &Place> = BTreeMap::new();
        for used in &file.databases {
            if let Some(first) = aliases.insert(&used.alias, &used.place) {
                self.problems.add(
                    Problem::new(
                        "duplicate-name",
                        used.place.clone(),
                        format!("two databases are named `{}`", used.alias),
                    )
                    .related(first.clone(), "here first")
                    .mend("give one of them another name with `as:`"),
                );
            }
        }
        if file.ports.len() > 1 && primary(&file.ports).is_none() {
            self.problems.add(
                Problem::new(
                    "no-primary-port",
                    file.ports[0].place.clone(),
                    "none of several ports is the primary one",
                )
                .mend("name one `http`, or write `{ port: ..., primary: true }`"),
            );
        }
        if let Some(public) = &file.public
            && file.ports.is_empty()
        {
            self.problems.add(
                Problem::new("no-port", public.place.clone(), "an entry needs a port")
                    .mend("add `ports: { http: 8080 }`"),
            );
        }
    }

    fn check_health(&mut self, file: &ServiceFile) {
        let Some(health) = &file.health else { return };
        if let Some((name, place)) = &health.port
            && !file.ports.iter().any(|port| port.name == *name)
        {
            self.problems.add(Problem::new(
                "unknown-port",
                place.clone(),
                format!("there is no port `{}`", name.escape_debug()),
            ));
        }
        if file.ports.is_empty() {
            self.problems.add(
                Problem::new(
                    "no-port",
                    file.name_place.clone(),
                    format!("the health of `{}` is asked, but it has no port", file.name),
                )
                .mend("add `ports:`, or remove `health:`"),
            );
        }
    }

    fn database(&mut self, service: &Located, used: &DatabaseUse) -> Option<Database> {
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
        if !kind.versions.contains(&version) {
            self.problems.add(
                Problem::new(
                    "unknown-version",
                    used.place.clone(),
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

    fn service(
        &mut self,
        located: &Located,
        folders: &[&str],
        env: BTreeMap<String, wiring::Value>,
        databases: &BTreeMap<String, Database>,
    ) -> Option<Service> {
        let file = &located.file;
        let stack = self.stack(located)?;
        let run = file.run.clone();
        if run.is_none() && file.image.is_none() && file.build.is_none() {
            self.problems.add(
                Problem::new("missing-field", file.name_place.clone(), format!("`{}` has nothing to run", file.name))
                    .mend("add `run: [program, argument]`, or `image:`"),
            );
        }
        let sources = sources(self.tree.root(), located, &stack, folders, &mut self.problems);
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

    /// A cycle of waits could never start. Each is shown as a path with the place of every edge.
    fn refuse_cycles(&mut self, graph: &Graph) {
        let names: Vec<&str> = graph.services.keys().map(String::as_str).collect();
        let mut waits = DiGraph::<&str, &Place>::new();
        let nodes: BTreeMap<&str, _> = names.iter().map(|name| (*name, waits.add_node(name))).collect();
        for service in graph.services.values() {
            for edge in service.dependencies.iter().filter(|edge| edge.wait != Wait::None) {
                if let (Some(from), Some(to)) = (nodes.get(service.name.as_str()), nodes.get(edge.service.as_str())) {
                    waits.add_edge(*from, *to, &edge.place);
                }
            }
        }
        let mut components: Vec<Vec<_>> = tarjan_scc(&waits)
            .into_iter()
            .filter(|members| members.len() > 1 || members.iter().any(|node| waits.contains_edge(*node, *node)))
            .collect();
        components.sort_by_key(|members| members.iter().map(|node| waits[*node]).min());
        for members in components {
            let Some(start) = members.iter().copied().min_by_key(|node| waits[*node]) else { continue };
            let path = shortest_cycle(&waits, start);
            let words: Vec<&str> = path.iter().map(|(node, _)| waits[*node]).chain([waits[start]]).collect();
            let Some((_, first)) = path.first() else { continue };
            let mut problem = Problem::new(
                "cycle",
                (*first).clone(),
                format!("these services wait for each other: {}", words.join(" -> ")),
            )
            .label("waits here")
            .mend("where one needs no other to start, write `wait: none` on its edge");
            for (_, place) in path.iter().skip(1) {
                problem = problem.related((*place).clone(), "and here");
            }
            self.problems.add(problem);
        }
    }
}

/// The shortest way from `start` back to itself, each node with the place of the edge that leaves it.
fn shortest_cycle<'p>(
    waits: &DiGraph<&str, &'p Place>,
    start: petgraph::graph::NodeIndex,
) -> Vec<(petgraph::graph::NodeIndex, &'p Place)> {
    use petgraph::visit::EdgeRef;
    let mut came: BTreeMap<_, (petgraph::graph::NodeIndex, &'p Place)> = BTreeMap::new();
    let mut open = std::collections::VecDeque::from([start]);
    while let Some(node) = open.pop_front() {
        for edge in waits.edges(node) {
            if edge.target() == start {
                let mut path = vec![(node, *edge.weight())];
                let mut at = node;
                while at != start {
                    let Some((before, place)) = came.get(&at) else { break };
                    path.push((*before, place));
                    at = *before;
                }
                path.reverse();
                return path;
            }
            came.entry(edge.target()).or_insert_with(|| {
                open.push_back(edge.target());
                (node, *edge.weight())
            });
        }
    }
    Vec::new()
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
    let name = format!("{owner}_{alias}");
    if name.len() <= kind.max_name {
        return name;
    }
    let key = Key::of("database-name", &json!(name)).short();
    let kept: String = name.chars().take(kind.max_name.saturating_sub(key.len() + 1)).collect();
    format!("{kept}_{key}")
}
