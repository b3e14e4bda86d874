//! `service.yaml`: what one service is and what it needs.

mod edges;
mod operation;
mod ports;

use std::collections::{BTreeMap, BTreeSet};

use ignore::gitignore::GitignoreBuilder;

pub use edges::{DatabaseUse, Dependency, Migrate, Wait};
pub use operation::{Public, Stop};
pub use ports::{Health, Port, Probe};

use crate::diagnostic::{Place, Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::expression::Template;
use crate::format::yaml::{Key, Value, Yaml, merge};
use crate::format::{dns_label, is_env_name, repo_path};

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
    /// Databases that this one stores in.
    pub databases: Vec<DatabaseUse>,
    /// Ports it listens on, in the order written.
    pub ports: Vec<Port>,
    /// How its health is asked; a probe of its primary port otherwise.
    pub health: Option<Health>,
    /// Environment of its own, with holes for the wiring.
    pub env: BTreeMap<String, Template>,
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
    /// How many instances run on a cluster.
    pub replicas: u32,
    /// How it is stopped.
    pub stop: Stop,
    /// Labels for people and tools; never seen by the service.
    pub labels: BTreeMap<String, String>,
    /// Fields that were written but not wholly understood: what they lack is no further problem.
    broken: BTreeSet<&'static str>,
}

/// How an image is built from a Dockerfile of the service's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The Dockerfile, relative to the service's folder.
    pub dockerfile: String,
    /// The stage to build; the last otherwise.
    pub target: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Where it was written.
    pub place: Place,
}

const WHAT: &str = "a service";
/// Fields of the grammar that a later version honours.
const LATER: &[&str] = &[
    "passthrough",
    "secrets",
    "watch",
    "files",
    "volumes",
    "task",
    "processes",
    "start",
    "singleton",
    "borrow",
    "egress",
    "security",
    "restart",
    "resources",
    "jobs",
    "test",
    "smoke",
];

impl ServiceFile {
    /// Reads one file's document with the overrides of `cluster` laid upon it.
    ///
    /// `None` when it has no usable name; every problem is noted either way.
    pub(crate) fn decode(document: Yaml, cluster: &str, problems: &mut Problems) -> Option<Self> {
        let (base, overrides) = overrides(document, problems);
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
        let mut file = Reader { fields, problems, broken: BTreeSet::new() };
        let name = file.name();
        let stack = file.field("stack", |yaml, problems| placed(yaml, "`stack`", problems)).flatten();
        let dependencies = file.items("dependencies", edges::dependency);
        let databases = file.items("databases", edges::database);
        let ports = file.field("ports", ports::ports).unwrap_or_default();
        let health = file.keyed_field("health", ports::health).flatten();
        let env = file.field("env", env).unwrap_or_default();
        let run = file.field("run", |yaml, problems| decode::command(yaml, "`run`", problems)).flatten();
        let setup = file.field("setup", setup).flatten();
        let build = file.keyed_field("build", build);
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
        let replicas = file.field("scale", operation::scale).flatten().unwrap_or(1);
        let stop = file.field("stop", operation::stop).unwrap_or_default();
        let labels = file.field("labels", |yaml, problems| texts(yaml, "labels", problems)).unwrap_or_default();
        let Reader { mut fields, problems, broken } = file;
        fields.not_yet(LATER, problems);
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
            run,
            setup,
            build: build.and_then(|(_, build)| build),
            image: image.flatten(),
            include,
            ignore,
            public,
            replicas,
            stop,
            labels,
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

/// Takes `clusters:` out of the document: what is left, and the overrides of each cluster.
fn overrides(document: Yaml, problems: &mut Problems) -> (Yaml, Vec<(String, Yaml)>) {
    let Value::Map(mut entries) = document.value else { return (document, Vec::new()) };
    let clusters = entries.iter().position(|(key, _)| key.name == "clusters").map(|at| entries.remove(at).1);
    let mut overrides = Vec::new();
    let clusters = clusters.as_ref().map(|yaml| decode::entries(yaml, "`clusters`", problems)).unwrap_or_default();
    for (cluster, over) in clusters {
        match &over.value {
            Value::Null => {}
            Value::Map(fields) => {
                let (refused, fields): (Vec<_>, Vec<_>) =
                    fields.iter().cloned().partition(|(key, _)| matches!(key.name.as_str(), "name" | "clusters"));
                for (key, _) in refused {
                    problems.add(
                        Problem::new("override", key.place, format!("a cluster cannot override `{}`", key.name))
                            .mend("remove it: a service is the same one on every cluster"),
                    );
                }
                let over = Yaml { place: over.place.clone(), value: Value::Map(fields) };
                overrides.push((cluster.name.clone(), over));
            }
            other => {
                let what = format!("`clusters.{}`", cluster.name.escape_debug());
                problems.add(decode::wrong_kind(&over.place, &what, "a map", other));
            }
        }
    }
    (Yaml { place: document.place, value: Value::Map(entries) }, overrides)
}

fn env(yaml: &Yaml, problems: &mut Problems) -> BTreeMap<String, Template> {
    let mut env = BTreeMap::new();
    for (key, yaml) in decode::entries(yaml, "`env`", problems) {
        if !is_env_name(&key.name) {
            problems.add(
                Problem::new(
                    "name",
                    key.place.clone(),
                    format!("`{}` is no name of a variable", key.name.escape_debug()),
                )
                .mend("letters, digits and `_`, not starting with a digit"),
            );
            continue;
        }
        let text = decode::scalar(yaml, &format!("`env.{}`", key.name), problems).unwrap_or_default();
        if text.contains('\0') {
            problems.add(Problem::new("value", yaml.place.clone(), "a variable cannot hold a zero byte"));
        }
        // Whatever is wrong with its value: this name is taken, and wins over the wiring.
        env.insert(key.name.clone(), Template::parse(&text, &yaml.place, problems));
    }
    env
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

/// Where `build` was written, and what it says.
fn build(key: &Key, yaml: &Yaml, problems: &mut Problems) -> (Place, Option<Build>) {
    (key.place.clone(), dockerfile_build(key, yaml, problems))
}

fn dockerfile_build(key: &Key, yaml: &Yaml, problems: &mut Problems) -> Option<Build> {
    let mut fields = Fields::open(yaml, "`build`", problems)?;
    let mut place = key.place.clone();
    let dockerfile = match fields.take("dockerfile") {
        None => Some("Dockerfile".to_owned()),
        Some(yaml) => {
            place = yaml.place.clone();
            decode::string(yaml, "`build.dockerfile`", problems)
                .and_then(|path| repo_path(path, &yaml.place, "the Dockerfile", problems))
        }
    };
    let target =
        fields.take("target").and_then(|yaml| decode::string(yaml, "`build.target`", problems).map(str::to_owned));
    let args = fields.take("args").map(|yaml| texts(yaml, "build.args", problems)).unwrap_or_default();
    fields.not_yet(&["secrets"], problems);
    fields.close("`build`", problems);
    Some(Build { dockerfile: dockerfile?, target, args, place })
}

fn texts(yaml: &Yaml, what: &str, problems: &mut Problems) -> BTreeMap<String, String> {
    decode::entries(yaml, &format!("`{what}`"), problems)
        .iter()
        .filter_map(|(key, yaml)| {
            decode::scalar(yaml, &format!("`{what}.{}`", key.name), problems).map(|text| (key.name.clone(), text))
        })
        .collect()
}
