//! `service.yaml`: what one service is and what it needs.

use std::collections::BTreeMap;
use std::time::Duration;

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
}

/// A service that this one calls.
#[derive(Debug, Clone)]
pub struct Dependency {
    /// The other service's name.
    pub service: String,
    /// The name under which this service knows it.
    pub alias: String,
    /// What starting waits for.
    pub wait: Wait,
    /// Where it was written.
    pub place: Place,
}

/// What the start of a service waits for on one of its edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// The other is ready.
    Ready,
    /// The other was started.
    Started,
    /// Nothing: wired, not waited for. May close a cycle.
    None,
}

impl Wait {
    /// The word in the format.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Started => "started",
            Self::None => "none",
        }
    }
}

/// A logical database that a service stores in.
#[derive(Debug, Clone)]
pub struct DatabaseUse {
    /// The kind's name in the catalogue.
    pub kind: String,
    /// The server's version; the catalogue's default otherwise.
    pub version: Option<String>,
    /// The name under which this service knows it.
    pub alias: String,
    /// Whether it takes the family's name (`DATABASE_URL`) among several.
    pub primary: bool,
    /// The query part of the URL.
    pub params: BTreeMap<String, String>,
    /// How its schema is brought up to date.
    pub migrate: Option<Migrate>,
    /// How first data is put in.
    pub seed: Option<Command>,
    /// Where it was written.
    pub place: Place,
}

/// How a database's schema is brought up to date.
#[derive(Debug, Clone)]
pub struct Migrate {
    /// The command, run in the service's own environment.
    pub run: Command,
    /// Files that the schema is made of, relative to the service's folder.
    pub schema: Option<String>,
    /// Where `schema` was written, or the whole entry.
    pub place: Place,
}

/// A port a service listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The number it prefers.
    pub number: u16,
    /// The scheme of its URLs.
    pub protocol: String,
    /// Whether it is the one meant when none is named.
    pub primary: bool,
    /// Where it was written.
    pub place: Place,
}

/// How health is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The question.
    pub probe: Probe,
    /// The name of the port that is asked; the primary one otherwise.
    pub port: Option<(String, Place)>,
    /// How long one answer may take.
    pub timeout: Duration,
    /// How long the service may take to become ready after its start.
    pub start_timeout: Duration,
}

/// One way to ask for health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A GET of this path is answered with a status from 200 to 399.
    Http(String),
    /// A connection is accepted and stays open.
    Tcp,
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

/// An entry into the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    /// The path below which requests come here.
    pub path: String,
    /// Where it was written.
    pub place: Place,
}

/// How a service is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The signal's name without `SIG`.
    pub signal: String,
    /// How long it may take before it is killed.
    pub grace: Duration,
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: "TERM".to_owned(), grace: Duration::from_secs(10) }
    }
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
        let document = with_overrides(document, cluster, problems);
        let mut fields = Fields::open(&document, "service.yaml", problems)?;
        let name = match fields.take("name") {
            Some(yaml) => decode::string(yaml, "`name`", problems)
                .and_then(|name| dns_label(name, &yaml.place, "the name", problems))
                .map(|name| (name, yaml.place.clone())),
            None => {
                problems.add(
                    Problem::new("missing-field", fields.place().clone(), "a service needs a `name`")
                        .mend("add `name: ` with a DNS label that no other service has"),
                );
                None
            }
        };
        let stack = fields.take("stack").and_then(|yaml| {
            decode::string(yaml, "`stack`", problems).map(|name| (name.to_owned(), yaml.place.clone()))
        });
        let dependencies = items(fields.take("dependencies"), "`dependencies`", problems, dependency);
        let databases = items(fields.take("databases"), "`databases`", problems, database);
        let ports = fields.take("ports").map(|yaml| ports(yaml, problems)).unwrap_or_default();
        let health = fields.take("health").and_then(|yaml| health(yaml, problems));
        let env = fields.take("env").map(|yaml| env(yaml, problems)).unwrap_or_default();
        let run = fields.take("run").and_then(|yaml| decode::command(yaml, "`run`", problems));
        let setup = fields.take("setup").and_then(|yaml| setup(yaml, problems));
        let build_key = fields.take_with_key("build");
        let build = build_key.and_then(|(_, yaml)| build(yaml, problems));
        let image_key = fields.take_with_key("image");
        let image = image_key.and_then(|(_, yaml)| {
            decode::string(yaml, "`image`", problems).map(|image| (image.to_owned(), yaml.place.clone()))
        });
        if let (Some((build, _)), Some((image, _))) = (build_key, image_key) {
            problems.add(
                Problem::new("conflict", image.place.clone(), "a service has either `build` or `image`")
                    .related(build.place.clone(), "`build` is here")
                    .mend("remove one of them"),
            );
        }
        let include = fields
            .take("include")
            .and_then(|yaml| decode::list(yaml, "`include`", problems))
            .unwrap_or_default()
            .iter()
            .filter_map(|yaml| {
                let path = decode::string(yaml, "each path of `include`", problems)?;
                repo_path(path, &yaml.place, "the included path", problems).map(|path| (path, yaml.place.clone()))
            })
            .collect();
        let ignore = fields.take("ignore").map(|yaml| decode::strings(yaml, "`ignore`", problems)).unwrap_or_default();
        let public = fields.take("public").and_then(|yaml| public(yaml, problems));
        let replicas = fields.take("scale").and_then(|yaml| scale(yaml, problems)).unwrap_or(1);
        let stop = fields.take("stop").map(|yaml| stop(yaml, problems)).unwrap_or_default();
        let labels = fields.take("labels").map(|yaml| texts(yaml, "`labels`", problems)).unwrap_or_default();
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
            build,
            image,
            include,
            ignore,
            public,
            replicas,
            stop,
            labels,
        })
    }
}

/// Takes `clusters:` out of the document and lays the named one's entries upon the rest.
fn with_overrides(document: Yaml, cluster: &str, problems: &mut Problems) -> Yaml {
    let Value::Map(mut entries) = document.value else { return document };
    let Some(at) = entries.iter().position(|(key, _)| key.name == "clusters") else {
        return Yaml { place: document.place, value: Value::Map(entries) };
    };
    let (_, clusters) = entries.remove(at);
    let base = Yaml { place: document.place, value: Value::Map(entries) };
    let mut result = base;
    for (key, over) in decode::entries(&clusters, "`clusters`", problems) {
        if !matches!(over.value, Value::Map(_) | Value::Null) {
            problems.add(decode::wrong_kind(&over.place, &format!("`clusters.{}`", key.name), "a map", &over.value));
        } else if let Value::Map(overrides) = &over.value {
            if let Some((key, _)) = overrides.iter().find(|(key, _)| matches!(key.name.as_str(), "name" | "clusters")) {
                problems.add(Problem::new(
                    "override",
                    key.place.clone(),
                    format!("a cluster cannot override `{}`", key.name),
                ));
            } else if key.name == cluster {
                result = merge(result, over);
            }
        }
    }
    result
}

fn items<T>(
    yaml: Option<&Yaml>,
    what: &str,
    problems: &mut Problems,
    item: fn(&Yaml, &mut Problems) -> Option<T>,
) -> Vec<T> {
    yaml.and_then(|yaml| decode::list(yaml, what, problems))
        .unwrap_or_default()
        .iter()
        .filter_map(|yaml| item(yaml, problems))
        .collect()
}

fn alias(yaml: Option<&Yaml>, default: &str, problems: &mut Problems) -> Option<String> {
    match yaml {
        None => Some(default.to_owned()),
        Some(yaml) => {
            let alias = decode::string(yaml, "`as`", problems)?;
            dns_label(alias, &yaml.place, "the alias", problems)
        }
    }
}

fn dependency(yaml: &Yaml, problems: &mut Problems) -> Option<Dependency> {
    if let Value::Text(name) = &yaml.value {
        let place = yaml.place.clone();
        return Some(Dependency { service: name.clone(), alias: name.clone(), wait: Wait::Ready, place });
    }
    let mut fields = Fields::open(yaml, "a dependency", problems)?;
    let service = required(&mut fields, "service", "a dependency", problems);
    let alias_yaml = fields.take("as");
    let wait = match fields.take("wait") {
        None => Some(Wait::Ready),
        Some(yaml) => match decode::string(yaml, "`wait`", problems) {
            Some("ready") => Some(Wait::Ready),
            Some("started") => Some(Wait::Started),
            Some("none") => Some(Wait::None),
            Some("completed") => {
                problems.add(
                    Problem::new("wait", yaml.place.clone(), "only a task can be `completed`")
                        .mend("wait for `ready`: tasks are not supported by this version"),
                );
                None
            }
            Some(other) => {
                problems.add(
                    Problem::new(
                        "wait",
                        yaml.place.clone(),
                        format!("`{}` is nothing to wait for", other.escape_debug()),
                    )
                    .mend("write ready, started or none"),
                );
                None
            }
            None => None,
        },
    };
    fields.not_yet(&["optional"], problems);
    let place = service.map_or_else(|| yaml.place.clone(), |(_, place)| place.clone());
    fields.close("a dependency", problems);
    let (service, _) = service?;
    let alias = alias(alias_yaml, service, problems)?;
    Some(Dependency { service: service.to_owned(), alias, wait: wait?, place })
}

fn required<'y>(
    fields: &mut Fields<'y>,
    name: &'static str,
    what: &str,
    problems: &mut Problems,
) -> Option<(&'y str, &'y Place)> {
    match fields.take(name) {
        Some(yaml) => decode::string(yaml, &format!("`{name}`"), problems).map(|text| (text, &yaml.place)),
        None => {
            problems.add(Problem::new("missing-field", fields.place().clone(), format!("{what} needs `{name}`")));
            None
        }
    }
}

fn database(yaml: &Yaml, problems: &mut Problems) -> Option<DatabaseUse> {
    if let Value::Text(kind) = &yaml.value {
        return Some(DatabaseUse {
            kind: kind.clone(),
            version: None,
            alias: kind.clone(),
            primary: false,
            params: BTreeMap::new(),
            migrate: None,
            seed: None,
            place: yaml.place.clone(),
        });
    }
    let mut fields = Fields::open(yaml, "a database", problems)?;
    fields.not_yet(&["from", "settings", "isolation"], problems);
    let kind = required(&mut fields, "kind", "a database", problems);
    let version = fields.take("version").and_then(|yaml| match &yaml.value {
        Value::Integer(number) => Some(number.to_string()),
        _ => decode::string(yaml, "`version`", problems).map(str::to_owned),
    });
    let alias_yaml = fields.take("as");
    let primary = fields.take("primary").and_then(|yaml| decode::boolean(yaml, "`primary`", problems)).unwrap_or(false);
    let params = fields.take("params").map(|yaml| texts(yaml, "`params`", problems)).unwrap_or_default();
    let migrate = fields.take("migrate").and_then(|yaml| migrate(yaml, problems));
    let seed = fields.take("seed").and_then(|yaml| {
        let mut fields = Fields::open(yaml, "`seed`", problems)?;
        let run = fields.take("run").and_then(|yaml| decode::command(yaml, "`seed.run`", problems));
        if run.is_none() {
            problems.add(Problem::new("missing-field", fields.place().clone(), "`seed` needs `run`"));
        }
        fields.close("`seed`", problems);
        run
    });
    let place = kind.map_or_else(|| yaml.place.clone(), |(_, place)| place.clone());
    fields.close("a database", problems);
    let (kind, _) = kind?;
    let alias = alias(alias_yaml, kind, problems)?;
    Some(DatabaseUse { kind: kind.to_owned(), version, alias, primary, params, migrate, seed, place })
}

fn migrate(yaml: &Yaml, problems: &mut Problems) -> Option<Migrate> {
    let mut fields = Fields::open(yaml, "`migrate`", problems)?;
    let run = fields.take("run");
    let command = run.and_then(|yaml| decode::command(yaml, "`migrate.run`", problems));
    if run.is_none() {
        problems.add(Problem::new("missing-field", fields.place().clone(), "`migrate` needs `run`"));
    }
    let schema = fields.take("schema").and_then(|yaml| {
        let path = decode::string(yaml, "`migrate.schema`", problems)?;
        repo_path(path, &yaml.place, "the schema's folder", problems).map(|path| (path, yaml.place.clone()))
    });
    fields.not_yet(&["compatible"], problems);
    fields.close("`migrate`", problems);
    let (schema, place) = match schema {
        Some((schema, place)) => (Some(schema), place),
        None => (None, yaml.place.clone()),
    };
    Some(Migrate { run: command?, schema, place })
}

fn ports(yaml: &Yaml, problems: &mut Problems) -> Vec<Port> {
    let mut ports: Vec<Port> = Vec::new();
    for (key, yaml) in decode::entries(yaml, "`ports`", problems) {
        let Some(port) = port(key, yaml, problems) else { continue };
        if let Some(other) = ports.iter().find(|other| other.number == port.number) {
            problems.add(
                Problem::new(
                    "port-clash",
                    port.place.clone(),
                    format!("the port {} is taken by `{}`", port.number, other.name),
                )
                .related(other.place.clone(), "here"),
            );
        }
        ports.push(port);
    }
    let marked: Vec<_> = ports.iter().filter(|port| port.primary).collect();
    if let [first, second, ..] = marked.as_slice() {
        problems.add(
            Problem::new("conflict", second.place.clone(), "only one port can be primary")
                .related(first.place.clone(), "this one is, too"),
        );
    }
    ports
}

fn port(key: &Key, yaml: &Yaml, problems: &mut Problems) -> Option<Port> {
    let name = dns_label(&key.name, &key.place, "the port's name", problems)?;
    let what = format!("the port `{name}`");
    let number = |yaml: &Yaml, problems: &mut Problems| {
        decode::integer(yaml, &what, 1..=65535, problems).and_then(|number| u16::try_from(number).ok())
    };
    if !matches!(yaml.value, Value::Map(_)) {
        let protocol = if name == "grpc" { "grpc" } else { "http" }.to_owned();
        let number = number(yaml, problems)?;
        return Some(Port { name, number, protocol, primary: false, place: key.place.clone() });
    }
    let mut fields = Fields::open(yaml, &what, problems)?;
    let number = match fields.take("port") {
        Some(yaml) => number(yaml, problems),
        None => {
            problems.add(Problem::new("missing-field", key.place.clone(), format!("{what} needs `port`")));
            None
        }
    };
    let protocol = fields.take("protocol").and_then(|yaml| {
        let protocol = decode::string(yaml, "`protocol`", problems)?;
        let fine = protocol.starts_with(|c: char| c.is_ascii_lowercase())
            && protocol.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c));
        if !fine {
            problems.add(
                Problem::new("protocol", yaml.place.clone(), format!("`{}` is no URL scheme", protocol.escape_debug()))
                    .mend("write http, https, grpc, tcp, ..."),
            );
        }
        fine.then(|| protocol.to_owned())
    });
    let primary = fields.take("primary").and_then(|yaml| decode::boolean(yaml, "`primary`", problems)).unwrap_or(false);
    fields.close(&what, problems);
    let protocol = protocol.unwrap_or_else(|| if name == "grpc" { "grpc" } else { "http" }.to_owned());
    Some(Port { name, number: number?, protocol, primary, place: key.place.clone() })
}

fn health(yaml: &Yaml, problems: &mut Problems) -> Option<Health> {
    let mut fields = Fields::open(yaml, "`health`", problems)?;
    let http = fields.take("http").and_then(|yaml| {
        let path = decode::string(yaml, "`health.http`", problems)?;
        if !path.starts_with('/') || path.chars().any(|c| c.is_control() || c == ' ') {
            problems.add(Problem::new("path", yaml.place.clone(), "the path of a health check starts with `/`"));
            return None;
        }
        Some(Probe::Http(path.to_owned()))
    });
    let tcp = fields
        .take("tcp")
        .and_then(|yaml| decode::boolean(yaml, "`health.tcp`", problems))
        .and_then(|on| on.then_some(Probe::Tcp));
    let port = fields.take("port").and_then(|yaml| {
        decode::string(yaml, "`health.port`", problems).map(|port| (port.to_owned(), yaml.place.clone()))
    });
    let timeout = fields.take("timeout").and_then(|yaml| decode::duration(yaml, "`health.timeout`", problems));
    let start =
        fields.take("start_timeout").and_then(|yaml| decode::duration(yaml, "`health.start_timeout`", problems));
    fields.not_yet(&["grpc", "command", "log", "headers", "liveness"], problems);
    if http.is_some() && tcp.is_some() {
        problems.add(Problem::new("conflict", fields.place().clone(), "`health` asks one question: `http` or `tcp`"));
    }
    fields.close("`health`", problems);
    Some(Health {
        probe: http.or(tcp).unwrap_or(Probe::Tcp),
        port,
        timeout: timeout.unwrap_or(Duration::from_secs(2)),
        start_timeout: start.unwrap_or(Duration::from_secs(60)),
    })
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
        if let Some(text) = decode::scalar(yaml, &format!("`env.{}`", key.name), problems) {
            if text.contains('\0') {
                problems.add(Problem::new("value", yaml.place.clone(), "a variable cannot hold a zero byte"));
                continue;
            }
            env.insert(key.name.clone(), Template::parse(&text, &yaml.place, problems));
        }
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

fn build(yaml: &Yaml, problems: &mut Problems) -> Option<Build> {
    let mut fields = Fields::open(yaml, "`build`", problems)?;
    let dockerfile = match fields.take("dockerfile") {
        None => Some("Dockerfile".to_owned()),
        Some(yaml) => decode::string(yaml, "`build.dockerfile`", problems)
            .and_then(|path| repo_path(path, &yaml.place, "the Dockerfile", problems)),
    };
    let target =
        fields.take("target").and_then(|yaml| decode::string(yaml, "`build.target`", problems).map(str::to_owned));
    let args = fields.take("args").map(|yaml| texts(yaml, "`build.args`", problems)).unwrap_or_default();
    fields.not_yet(&["secrets"], problems);
    fields.close("`build`", problems);
    Some(Build { dockerfile: dockerfile?, target, args, place: yaml.place.clone() })
}

fn public(yaml: &Yaml, problems: &mut Problems) -> Option<Public> {
    let mut fields = Fields::open(yaml, "`public`", problems)?;
    let path = match fields.take("path") {
        None => Some("/".to_owned()),
        Some(yaml) => decode::string(yaml, "`public.path`", problems).and_then(|path| {
            if path.starts_with('/') {
                return Some(path.to_owned());
            }
            problems.add(Problem::new("path", yaml.place.clone(), "a public path starts with `/`"));
            None
        }),
    };
    fields.close("`public`", problems);
    Some(Public { path: path?, place: yaml.place.clone() })
}

fn scale(yaml: &Yaml, problems: &mut Problems) -> Option<u32> {
    let mut fields = Fields::open(yaml, "`scale`", problems)?;
    let replicas =
        fields.take("replicas").and_then(|yaml| decode::integer(yaml, "`scale.replicas`", 0..=10_000, problems));
    fields.not_yet(&["min", "max", "cpu"], problems);
    fields.close("`scale`", problems);
    replicas.and_then(|replicas| u32::try_from(replicas).ok())
}

fn stop(yaml: &Yaml, problems: &mut Problems) -> Stop {
    let mut stop = Stop::default();
    let Some(mut fields) = Fields::open(yaml, "`stop`", problems) else { return stop };
    if let Some(yaml) = fields.take("signal") {
        match decode::string(yaml, "`stop.signal`", problems) {
            Some(signal @ ("TERM" | "INT" | "QUIT" | "HUP" | "USR1" | "USR2" | "KILL")) => {
                signal.clone_into(&mut stop.signal)
            }
            Some(other) => problems.add(
                Problem::new(
                    "signal",
                    yaml.place.clone(),
                    format!("`{}` is no signal to stop by", other.escape_debug()),
                )
                .mend("write TERM, INT, QUIT, HUP, USR1, USR2 or KILL"),
            ),
            None => {}
        }
    }
    if let Some(grace) = fields.take("grace").and_then(|yaml| decode::duration(yaml, "`stop.grace`", problems)) {
        stop.grace = grace;
    }
    fields.close("`stop`", problems);
    stop
}

fn texts(yaml: &Yaml, what: &str, problems: &mut Problems) -> BTreeMap<String, String> {
    decode::entries(yaml, what, problems)
        .iter()
        .filter_map(|(key, yaml)| {
            decode::scalar(yaml, &format!("`{}`", key.name), problems).map(|text| (key.name.clone(), text))
        })
        .collect()
}
