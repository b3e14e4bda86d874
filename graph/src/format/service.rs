//! `service.yaml`: what one service is and what it needs.

mod build;
mod edges;
mod health;
mod operation;
mod overrides;
mod parts;
mod ports;
mod scale;
mod stores;
mod surroundings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ignore::gitignore::GitignoreBuilder;

pub use build::Build;
pub use edges::{Dependency, Wait};
pub use health::{Health, Probe};
pub use operation::{Public, Restart, Security, Start, Stop, Watch};
pub(crate) use parts::ends;
pub use parts::{Process, Smoke, TestSuite};
pub use ports::Port;
pub use scale::{Resources, Scale};
pub(crate) use stores::declared;
pub use stores::{DatabaseSource, DatabaseUse, Mask, Migrate, Store};
pub use surroundings::{FileUse, Secret, Volume};

use crate::diagnostic::{Place, Places, Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::expression::Template;
use crate::format::yaml::{Key, Value, Yaml, merge};
use crate::format::{dns_label, repo_path};

/// A program and its arguments.
pub type Command = Vec<String>;

/// One `service.yaml`, read by itself.
#[derive(Debug, Clone)]
pub struct ServiceFile {
    /// The service's name, unique in the repository.
    pub name: String,
    /// Where the name was written.
    pub name_place: Place,
    /// The stack's name and where it was written; detected from the sources otherwise.
    pub stack: Option<(String, Place)>,
    /// Services that this one calls.
    pub dependencies: Vec<Dependency>,
    /// Databases that this one uses, its own and others'.
    pub databases: Vec<DatabaseUse>,
    /// Ports it listens on, in the order written.
    pub ports: Vec<Port>,
    /// How its health is asked; a probe of its primary port otherwise.
    pub health: Option<Health>,
    /// Environment of its own, with holes for the wiring.
    pub env: BTreeMap<String, Template>,
    /// Names that a process takes from the developer's shell, and where each was written.
    pub passthrough: Vec<(String, Place)>,
    /// Values that are nowhere in the repository.
    pub secrets: Vec<Secret>,
    /// Files that are put into its container, by their paths there.
    pub files: BTreeMap<String, FileUse>,
    /// Folders that outlive its instances, by their names.
    pub volumes: BTreeMap<String, Volume>,
    /// What to run; the stack's otherwise.
    pub run: Option<Command>,
    /// How to set up its dependencies; the stack's otherwise.
    pub setup: Option<Vec<Command>>,
    /// How to build its image; the stack's recipe otherwise.
    pub build: Option<Build>,
    /// A ready image instead of a build, and where it was written.
    pub image: Option<(String, Place)>,
    /// Sources outside its folder, relative to the repository's root, and where each was written.
    pub include: Vec<(String, Place)>,
    /// Patterns (as in `.gitignore`) of files that are no sources.
    pub ignore: Vec<String>,
    /// Whether and where it is an entry into the cluster.
    pub public: Option<Public>,
    /// Whether it runs once and ends.
    pub task: bool,
    /// Further processes from the same sources.
    pub processes: Vec<Process>,
    /// What runs by a schedule from the same sources.
    pub jobs: Vec<Process>,
    /// When it is started.
    pub start: Start,
    /// Whether there must never be two of it at once.
    pub singleton: bool,
    /// Whether an overlay may use the base's instances.
    pub borrow: bool,
    /// Places outside the cluster that it calls, as `host:port`.
    pub egress: Vec<String>,
    /// What it may do on a cluster.
    pub security: Security,
    /// What happens when it ends by itself.
    pub restart: Restart,
    /// How many instances run on a cluster.
    pub scale: Scale,
    /// What an instance asks for and may take.
    pub resources: Resources,
    /// What a change of its sources means to it.
    pub watch: Watch,
    /// How it is stopped.
    pub stop: Stop,
    /// Its tests.
    pub test: Option<TestSuite>,
    /// The question that a running cluster is asked.
    pub smoke: Option<Smoke>,
    /// Labels for people and tools; never seen by the service.
    pub labels: BTreeMap<String, String>,
    /// Where each of its fields was written.
    pub places: Arc<Places>,
    /// Fields that were written but not wholly understood: what they lack is no further problem.
    broken: BTreeSet<&'static str>,
}

const WHAT: &str = "a service";

impl ServiceFile {
    /// Reads one file's document with the overrides of `cluster` laid upon it.
    ///
    /// `None` when it has no usable name; every problem is noted either way.
    pub(crate) fn decode(document: Yaml, cluster: &str, problems: &mut Problems) -> Option<Self> {
        let (base, overrides) = overrides::overrides(document, problems);
        // A slip in another cluster's overrides is told now and not on the day of its deployment. Problems that
        // do not come from the overrides are found again, which is the same as once.
        for (_, over) in overrides.iter().filter(|(name, _)| name != cluster) {
            Self::decode_one(&merge(base.clone(), over), problems);
        }
        match overrides.iter().find(|(name, _)| name == cluster) {
            Some((_, over)) => Self::decode_one(&merge(base, over), problems),
            None => Self::decode_one(&base, problems),
        }
    }

    fn decode_one(document: &Yaml, problems: &mut Problems) -> Option<Self> {
        let fields = Fields::open(document, "service.yaml", problems)?;
        let mut file = Reader { fields, problems, broken: BTreeSet::new(), places: Places::new() };
        let name = file.name();
        let stack = file.field("stack", |yaml, problems| placed(yaml, "`stack`", problems)).flatten();
        let dependencies = file.items("dependencies", edges::dependency);
        let databases = file.items("databases", stores::database);
        let ports = file.field("ports", ports::ports).unwrap_or_default();
        let health = file.keyed_field("health", health::health).flatten();
        let env = file.field("env", surroundings::env).unwrap_or_default();
        let passthrough =
            file.field("passthrough", |yaml, problems| surroundings::variables(yaml, "`passthrough`", problems));
        let secrets = file.field("secrets", surroundings::secrets).unwrap_or_default();
        let files = file.field("files", surroundings::files).unwrap_or_default();
        let volumes = file.field("volumes", surroundings::volumes).unwrap_or_default();
        let run = file.field("run", |yaml, problems| decode::command(yaml, "`run`", problems)).flatten();
        let setup = file.field("setup", setup).flatten();
        let build = file.keyed_field("build", build::build);
        let image = file.field("image", |yaml, problems| placed(yaml, "`image`", problems));
        if let (Some((build, _)), Some(Some((_, image)))) = (&build, &image) {
            file.problems.add(
                Problem::new("conflict", image.clone(), "a service has either `build` or `image`")
                    .related(build.clone(), "`build` is here")
                    .mend("remove one of them"),
            );
        }
        let include = file.items("include", |yaml, problems| {
            let path = decode::string(yaml, "each path of `include`", problems)?;
            repo_path(path, &yaml.place, "the included path", problems).map(|path| (path, yaml.place.clone()))
        });
        let ignore = file.items("ignore", ignored);
        let public = file.keyed_field("public", operation::public).flatten();
        let task = file.field("task", |yaml, problems| decode::boolean(yaml, "`task`", problems)).flatten();
        let processes = file.field("processes", parts::processes).unwrap_or_default();
        let jobs = file.items("jobs", parts::job);
        let start = file.field("start", operation::start).flatten().unwrap_or_default();
        let singleton = file.field("singleton", |yaml, problems| decode::boolean(yaml, "`singleton`", problems));
        let borrow = file.field("borrow", operation::borrow).flatten().unwrap_or(true);
        let egress = file.items("egress", operation::egress);
        let security = file.field("security", operation::security).flatten().unwrap_or_default();
        let restart = file.field("restart", operation::restart).flatten().unwrap_or_default();
        let scale = file.field("scale", scale::scale).flatten().unwrap_or_default();
        let resources = file.field("resources", scale::resources).unwrap_or_default();
        let watch = file.field("watch", operation::watch).flatten().unwrap_or_default();
        let stop = file.field("stop", operation::stop).unwrap_or_default();
        let test = file.keyed_field("test", parts::test).flatten();
        let smoke = file.keyed_field("smoke", parts::smoke).flatten();
        let labels = file.field("labels", |yaml, problems| decode::texts(yaml, "labels", problems)).unwrap_or_default();
        let Reader { mut fields, problems, broken, places } = file;
        // Taken out above; named here so that a slip of the fingers finds it.
        let _ = fields.take("clusters");
        fields.close(WHAT, problems);
        let (name, name_place) = name?;
        Some(Self {
            name,
            name_place,
            stack,
            dependencies,
            databases,
            ports,
            health,
            env,
            passthrough: passthrough.unwrap_or_default(),
            secrets,
            files,
            volumes,
            run,
            setup,
            build: build.and_then(|(_, build)| build),
            image: image.flatten(),
            include,
            ignore,
            public,
            task: task.unwrap_or(false),
            processes,
            jobs,
            start,
            singleton: singleton.flatten().unwrap_or(false),
            borrow,
            egress,
            security,
            restart,
            scale,
            resources,
            watch,
            stop,
            test,
            smoke,
            labels,
            places: Arc::new(places),
            broken,
        })
    }

    /// Whether a field was written but not wholly understood: what it lacks is no further problem.
    pub(crate) fn is_broken(&self, field: &str) -> bool {
        self.broken.contains(field)
    }
}

/// The fields of one file, with a note of those that have problems.
struct Reader<'y, 'p> {
    fields: Fields<'y>,
    problems: &'p mut Problems,
    broken: BTreeSet<&'static str>,
    places: Places,
}

impl<'y> Reader<'y, '_> {
    fn field<T>(&mut self, name: &'static str, read: impl FnOnce(&'y Yaml, &mut Problems) -> T) -> Option<T> {
        self.keyed_field(name, |_, yaml, problems| read(yaml, problems))
    }

    fn keyed_field<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'y Key, &'y Yaml, &mut Problems) -> T,
    ) -> Option<T> {
        let (key, yaml) = self.fields.take_with_key(name)?;
        self.places.insert(name.into(), key.place.clone());
        let before = self.problems.noted();
        let value = read(key, yaml, self.problems);
        if self.problems.noted() > before {
            self.broken.insert(name);
        }
        Some(value)
    }

    fn items<T>(&mut self, name: &'static str, item: impl Fn(&'y Yaml, &mut Problems) -> Option<T>) -> Vec<T> {
        self.field(name, |yaml, problems| {
            decode::list(yaml, &format!("`{name}`"), problems)
                .unwrap_or_default()
                .iter()
                .filter_map(|yaml| item(yaml, problems))
                .collect()
        })
        .unwrap_or_default()
    }

    fn name(&mut self) -> Option<(String, Place)> {
        let name = self.field("name", |yaml, problems| {
            let name = decode::string(yaml, "`name`", problems)?;
            dns_label(name, &yaml.place, "the name", problems).map(|name| (name, yaml.place.clone()))
        });
        if name.is_none() {
            self.problems.add(
                Problem::new("missing-field", self.fields.place().clone(), "a service needs a `name`")
                    .mend("add `name: ` with a DNS label that no other service has"),
            );
        }
        name.flatten()
    }
}

fn placed(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<(String, Place)> {
    decode::string(yaml, what, problems).map(|text| (text.to_owned(), yaml.place.clone()))
}

fn setup(yaml: &Yaml, problems: &mut Problems) -> Option<Vec<Command>> {
    let items = decode::list(yaml, "`setup`", problems)?;
    if items.iter().all(|item| matches!(item.value, Value::List(_))) {
        return Some(
            items.iter().filter_map(|item| decode::command(item, "each command of `setup`", problems)).collect(),
        );
    }
    decode::command(yaml, "`setup`", problems).map(|command| vec![command])
}

fn ignored(yaml: &Yaml, problems: &mut Problems) -> Option<String> {
    let pattern = decode::string(yaml, "each pattern of `ignore`", problems)?;
    if let Err(error) = GitignoreBuilder::new("").add_line(None, pattern) {
        let why = match &error {
            ignore::Error::Glob { err, .. } => err.clone(),
            error => error.to_string(),
        };
        problems.add(
            Problem::new("ignore", yaml.place.clone(), format!("`{}` is no pattern: {why}", pattern.escape_debug()))
                .mend("write patterns as in .gitignore, such as *.md or /docs/"),
        );
        return None;
    }
    Some(pattern.to_owned())
}
