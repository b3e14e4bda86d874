//! A kind of database: how its server is run, asked and filled, in a container and natively.

use std::collections::BTreeMap;

use super::handshake::Handshake;
use super::native::Native;
use super::settings::Settings;
use super::{fill, read};
use crate::diagnostic::{Place, Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::service::Command;
use crate::format::yaml::{Value, Yaml};

/// One kind of the catalogue, built in or of a clustergraph.yaml.
///
/// Texts hold, where they mean these: `{version}`; `{admin}` and `{admin_password}`; `{host}` and `{port}`, where a program
/// beside the server reaches it; `{name}`, by which other containers reach it; `{loopback}` (see [`Container::loopback`]);
/// `{data}`; `{home}` for servers that are a folder; and for one logical database `{username}`, `{password}`, `{database}`, with `{extension}` or `{topic}`.
/// Names are DNS labels joined by [`DatabaseKind::separator`], passwords are alphanumeric: they need no escaping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseKind {
    /// Its name in `kind:`.
    pub kind: String,
    /// Where it was written.
    pub place: Place,
    /// The versions that the entry is written for; any when there are none.
    pub versions: Vec<String>,
    /// The version when none is asked for.
    pub default: String,
    /// Whose data a server holds.
    pub scope: Scope,
    /// The port that its server listens on inside a container.
    pub port: u16,
    /// The URL that services get. A kind whose URL has no `{username}`, `{password}` or `{database}` gives no such variables.
    pub url: String,
    /// The list of brokers that services get besides, for kinds that have brokers.
    pub brokers: Option<String>,
    /// The 12-factor names, whole, by what they hold: `url: DATABASE_URL`, `brokers: KAFKA_BROKERS`.
    pub family: BTreeMap<String, String>,
    /// The name of the server's administrator.
    pub admin: String,
    /// The longest name of a user or database, in bytes.
    pub max_name: usize,
    /// What joins owner and alias to the name of a user and database.
    pub separator: String,
    /// The contract of its image.
    pub image: Container,
    /// How the server runs without a container, for kinds that can.
    pub native: Option<Native>,
    /// The signal that stops it in good order, without `SIG`.
    pub stop: String,
    /// How a setting reaches the server, for kinds that take settings.
    pub settings: Option<Settings>,
    /// Environment of the programs below, which run where the server runs.
    pub client_env: BTreeMap<String, String>,
    /// Ends with 0 once the server does what services will ask of it.
    pub ready: Command,
    /// The same question without a program, asked at the server's port: quicker, so it is asked instead where there is one.
    pub handshake: Option<Handshake>,
    /// Makes a logical database and its user; again is fine.
    pub create: Option<Input>,
    /// Adds `{extension}` to a logical database; again is fine.
    pub extension: Option<Input>,
    /// Makes `{topic}`; again is fine.
    pub topic: Option<Input>,
    /// Waits until nobody else holds the lock of a logical database, prints a line, and holds it as long as its input stays
    /// open. `{admin}` and `{admin_password}` are those of the database's user here.
    pub lock: Option<Input>,
    /// Removes a logical database and its user with all data; again is fine.
    pub drop: Option<Input>,
    /// Writes all of a logical database to its standard output.
    pub dump: Option<Command>,
    /// Reads what `dump` wrote from its standard input, into a logical database that was just made.
    pub restore: Option<Command>,
    /// Whether `dump` is of one moment, whatever is written meanwhile.
    pub snapshot: bool,
    /// Lets the server forget what is not in a logical database any more, and could still be asked for by its user: what it
    /// remembers of values to plan queries.
    pub forget: Option<Input>,
    /// What the tests of the entry's own repository run it on, each with the versions that they run.
    pub tested: BTreeMap<Tested, Vec<String>>,
}

/// Whose data a server holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A logical database and a user for each owner.
    Owner,
    /// A user for each owner, and a number below this instead of a database's name: whoever runs the server gives them out.
    Numbered(u32),
    /// All owners share what is in it. Each has a user where the URL names one.
    Shared,
}

/// What an entry was tested on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tested {
    /// The server as a process of the machine.
    Native,
    /// An image that keeps the written contract of the official one.
    StandIn,
    /// The official image.
    Official,
}

const TESTED: &[(&str, Tested)] =
    &[("native", Tested::Native), ("stand-in", Tested::StandIn), ("official", Tested::Official)];

impl Tested {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        TESTED.iter().find(|(_, tested)| *tested == self).map_or("", |(name, _)| name)
    }
}

/// The contract of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Container {
    /// The image, with `{version}`. See [`DatabaseKind::image_name`].
    pub name: String,
    /// What stands for a version in the image's name, where it has no tag of the version itself.
    pub tags: BTreeMap<String, String>,
    /// What `{home}` means inside, for servers that are a folder.
    pub home: Option<String>,
    /// The environment that its entrypoint reads.
    pub env: BTreeMap<String, String>,
    /// Arguments; none leaves the image's own command.
    pub args: Command,
    /// The user and group that the server runs as, where they are known: a cluster lets nothing run as root.
    pub user: Option<u32>,
    /// The folder that must outlive the container; none when nothing does.
    pub data: Option<String>,
    /// Servers that tell clients where to go have one listener for containers, on [`DatabaseKind::port`], and one for
    /// loopback. It listens inside on the very number `{loopback}` that the machine publishes, so that the same
    /// address is right inside and outside; clients beside the server use it. This is the number to begin with.
    pub loopback: Option<u16>,
}

/// A command that reads its work from its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Input {
    /// The command.
    pub run: Command,
    /// What it reads.
    pub input: String,
}

/// What a URL may hold.
const URL_HOLES: [&str; 5] = ["host", "port", "username", "password", "database"];
/// What a family's names may stand for.
const FAMILY: [&str; 8] = ["url", "brokers", "host", "port", "addr", "username", "password", "database"];

impl DatabaseKind {
    /// Whether the entry is written for a version.
    #[must_use]
    pub fn knows(&self, version: &str) -> bool {
        self.versions.is_empty() || self.versions.iter().any(|known| known == version)
    }

    /// The image of a version.
    #[must_use]
    pub fn image_name(&self, version: &str) -> String {
        let tag = self.image.tags.get(version).map_or(version, String::as_str);
        fill(&self.image.name, &[("version", tag)])
    }

    /// Whether its URL names something, so that services get a variable of it.
    #[must_use]
    pub fn gives(&self, hole: &str) -> bool {
        self.url.contains(&format!("{{{hole}}}"))
    }

    /// The arguments of its image with a server's settings; empty leaves the image's own command.
    #[must_use]
    pub fn image_args(&self, settings: &BTreeMap<String, String>, values: &[(&str, &str)]) -> Vec<String> {
        let own = self.image.args.iter().map(|word| fill(word, values));
        own.chain(self.settings.iter().flat_map(|known| known.image_words(settings))).collect()
    }

    /// The environment of its image with a server's settings.
    #[must_use]
    pub fn image_env(&self, settings: &BTreeMap<String, String>, values: &[(&str, &str)]) -> BTreeMap<String, String> {
        let own = self.image.env.iter().map(|(name, text)| (name.clone(), fill(text, values)));
        own.chain(self.settings.iter().flat_map(|known| known.image_env(settings))).collect()
    }

    /// Reads an entry; the image's name alone may stand for its contract.
    pub(crate) fn decode(kind: &str, yaml: &Yaml, problems: &mut Problems) -> Option<Self> {
        let noted = problems.noted();
        let what = format!("the kind `{}`", kind.escape_debug());
        let mut fields = Fields::open(yaml, &what, problems)?;
        let place = fields.place().clone();
        let image = match fields.take("image") {
            Some(yaml) => container(yaml, problems),
            None => {
                problems.add(read::missing(
                    place.clone(),
                    &what,
                    "image",
                    "name the image of its server: `image: example/server:{version}`",
                ));
                None
            }
        };
        let port = read::number(&mut fields, "port", 1..=65_535, problems);
        if port.is_none() && problems.noted() == noted {
            problems.add(read::missing(place.clone(), &what, "port", "say which port its server listens on"));
        }
        let url = fields.take("url");
        let url = match url {
            Some(yaml) => address(yaml, "`url`", problems),
            None => {
                let mend = "say how services reach it, such as `url: \"kind://{username}:{password}@{host}:{port}/{database}\"`";
                problems.add(read::missing(place.clone(), &what, "url", mend));
                None
            }
        };
        let brokers = fields.take("brokers").and_then(|yaml| address(yaml, "`brokers`", problems));
        let scope = scope(&mut fields, problems);
        let versions = read::texts(&mut fields, "versions", problems);
        let default = default_version(&mut fields, &versions, image.as_ref(), &what, problems);
        let kind = Self {
            kind: kind.to_owned(),
            place,
            scope,
            port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or_default(),
            url: url.unwrap_or_default(),
            brokers,
            family: family(&mut fields, problems),
            admin: read::optional_text(&mut fields, "admin", problems).unwrap_or_else(|| "admin".to_owned()),
            max_name: read::number(&mut fields, "max_name", 16..=255, problems)
                .and_then(|number| usize::try_from(number).ok())
                .unwrap_or(63),
            separator: read::optional_text(&mut fields, "separator", problems).unwrap_or_else(|| "_".to_owned()),
            image: image.unwrap_or_default(),
            native: fields.take("native").and_then(|yaml| Native::decode(yaml, problems)),
            stop: read::optional_text(&mut fields, "stop", problems).unwrap_or_else(|| "TERM".to_owned()),
            settings: fields.take("settings").and_then(|yaml| Settings::decode(yaml, problems)),
            client_env: read::map(&mut fields, "client_env", problems),
            ready: read::command(&mut fields, "ready", problems),
            handshake: fields.take("handshake").and_then(|yaml| handshake(yaml, problems)),
            create: fields.take("create").and_then(|yaml| input(yaml, "`create`", problems)),
            extension: fields.take("extension").and_then(|yaml| input(yaml, "`extension`", problems)),
            topic: fields.take("topic").and_then(|yaml| input(yaml, "`topic`", problems)),
            lock: fields.take("lock").and_then(|yaml| input(yaml, "`lock`", problems)),
            drop: fields.take("drop").and_then(|yaml| input(yaml, "`drop`", problems)),
            dump: read::optional_command(&mut fields, "dump", problems),
            restore: read::optional_command(&mut fields, "restore", problems),
            snapshot: fields
                .take("snapshot")
                .and_then(|yaml| decode::boolean(yaml, "`snapshot`", problems))
                .unwrap_or_default(),
            forget: fields.take("forget").and_then(|yaml| input(yaml, "`forget`", problems)),
            tested: tested(&mut fields, &versions, problems),
            versions,
            default,
        };
        fields.close(&what, problems);
        if kind.ready.is_empty() && problems.noted() == noted {
            let mend = "give a command that ends with 0 once the server answers, such as `ready: [program, --ping]`";
            problems.add(read::missing(kind.place.clone(), &what, "ready", mend));
        }
        (problems.noted() == noted).then_some(kind)
    }
}

/// The version when none is asked for: the one that is named, else the newest of the list.
fn default_version(
    fields: &mut Fields<'_>,
    versions: &[String],
    image: Option<&Container>,
    what: &str,
    problems: &mut Problems,
) -> String {
    let place = fields.place();
    match fields.take("default") {
        Some(yaml) => {
            let default = decode::string(yaml, "`default`", problems).unwrap_or_default();
            if !versions.is_empty() && !versions.iter().any(|known| known == default) {
                problems.add(
                    Problem::new(
                        "unknown-version",
                        yaml.place.clone(),
                        format!("{} is none of the `versions`", default.escape_debug()),
                    )
                    .mend(format!("one of {}", versions.join(", "))),
                );
            }
            default.to_owned()
        }
        None => match versions.last() {
            Some(last) => last.clone(),
            None => {
                if image.is_some_and(|image| image.name.contains("{version}")) {
                    let mend = "name the version to take when a service asks for none, or list `versions`";
                    problems.add(read::missing(place.clone(), what, "default", mend));
                }
                "latest".to_owned()
            }
        },
    }
}

fn scope(fields: &mut Fields<'_>, problems: &mut Problems) -> Scope {
    let shared = fields.take("shared");
    let is_shared = shared.and_then(|yaml| decode::boolean(yaml, "`shared`", problems)).unwrap_or_default();
    let numbered = fields.take_with_key("numbered");
    let Some((key, yaml)) = numbered else {
        return if is_shared { Scope::Shared } else { Scope::Owner };
    };
    let number =
        decode::integer(yaml, "`numbered`", 1..=65_536, problems).and_then(|number| u32::try_from(number).ok());
    if is_shared {
        let problem = Problem::new("contradiction", key.place.clone(), "what is shared has no databases to number");
        problems.add(problem.mend("keep `shared` or `numbered`"));
    }
    number.map_or(Scope::Owner, Scope::Numbered)
}

/// A text of host and port, and perhaps more of what URLs hold.
fn address(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<String> {
    let text = decode::string(yaml, what, problems)?;
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        if !URL_HOLES.contains(&name) {
            problems.add(
                Problem::new(
                    "unknown-value",
                    yaml.place.clone(),
                    format!("{what} holds `{{{}}}`, which means nothing here", name.escape_debug()),
                )
                .mend(format!("known are {}", URL_HOLES.map(|hole| format!("{{{hole}}}")).join(", "))),
            );
        }
        rest = after;
    }
    Some(text.to_owned())
}

fn family(fields: &mut Fields<'_>, problems: &mut Problems) -> BTreeMap<String, String> {
    let Some(yaml) = fields.take("family") else { return BTreeMap::new() };
    let entries = decode::entries(yaml, "`family`", problems);
    let mut family = BTreeMap::new();
    for (key, yaml) in entries {
        if !FAMILY.contains(&key.name.as_str()) {
            problems.add(
                Problem::new(
                    "unknown-field",
                    key.place.clone(),
                    format!("`family` has no field `{}`", key.name.escape_debug()),
                )
                .mend(format!("known fields: {}", FAMILY.join(", "))),
            );
        } else if let Some(name) = decode::string(yaml, "the variable's name", problems) {
            family.insert(key.name.clone(), name.to_owned());
        }
    }
    family
}

fn container(yaml: &Yaml, problems: &mut Problems) -> Option<Container> {
    if let Value::Text(name) = &yaml.value {
        return Some(Container { name: name.clone(), ..Container::default() });
    }
    let mut fields = Fields::open(yaml, "`image`", problems)?;
    let name = read::required_text(&mut fields, "name", "`image`", "name the image of the server", problems);
    let number = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
    let container = Container {
        name: name.unwrap_or_default(),
        tags: read::map(&mut fields, "tags", problems),
        home: read::optional_text(&mut fields, "home", problems),
        env: read::map(&mut fields, "env", problems),
        args: read::words(&mut fields, "args", problems),
        user: number(read::number(&mut fields, "user", 1..=2_147_483_647, problems)),
        data: read::optional_text(&mut fields, "data", problems),
        loopback: read::number(&mut fields, "loopback", 1..=65_535, problems).and_then(|port| u16::try_from(port).ok()),
    };
    fields.close("`image`", problems);
    Some(container)
}

fn handshake(yaml: &Yaml, problems: &mut Problems) -> Option<Handshake> {
    let mut fields = Fields::open(yaml, "`handshake`", problems)?;
    let send = fields.take("send").and_then(|yaml| bytes(yaml, "`send`", problems)).unwrap_or_default();
    let skip = read::number(&mut fields, "skip", 0..=4096, problems).and_then(|skip| usize::try_from(skip).ok());
    let place = fields.place();
    let expect = match fields.take("expect") {
        Some(yaml) => bytes(yaml, "`expect`", problems),
        None => {
            let mend = "say how the answer of a server begins that is ready";
            problems.add(read::missing(place.clone(), "`handshake`", "expect", mend));
            None
        }
    };
    fields.close("`handshake`", problems);
    Some(Handshake { send, skip: skip.unwrap_or_default(), expect: expect? })
}

/// A text of which each character is a byte.
fn bytes(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<String> {
    let text = decode::string(yaml, what, problems)?;
    if let Some(wide) = text.chars().find(|c| u32::from(*c) > 0xff) {
        problems.add(
            Problem::new("out-of-range", yaml.place.clone(), format!("`{wide}` in {what} is no byte"))
                .mend("write bytes as \"\\x00\" to \"\\xff\", in double quotes"),
        );
        return None;
    }
    Some(text.to_owned())
}

/// A command, with its input or without.
fn input(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<Input> {
    if !matches!(yaml.value, Value::Map(_)) {
        return decode::command(yaml, what, problems).map(|run| Input { run, input: String::new() });
    }
    let mut fields = Fields::open(yaml, what, problems)?;
    let place = fields.place();
    let run = fields.take("run").map(|yaml| decode::command(yaml, "`run`", problems));
    let input = read::text(&mut fields, "input", problems);
    fields.close(what, problems);
    if run.is_none() {
        problems.add(read::missing(place.clone(), what, "run", "name the program that reads the input"));
    }
    run.flatten().map(|run| Input { run, input })
}

fn tested(fields: &mut Fields<'_>, versions: &[String], problems: &mut Problems) -> BTreeMap<Tested, Vec<String>> {
    let Some(yaml) = fields.take("tested") else { return BTreeMap::new() };
    let mut tested = BTreeMap::new();
    for (key, yaml) in decode::entries(yaml, "`tested`", problems) {
        let Some(on) = read::word(&key.name, &key.place, "`tested`", TESTED, problems) else { continue };
        for yaml in decode::list(yaml, "the versions", problems).unwrap_or_default() {
            let Some(version) = decode::string(yaml, "a version", problems) else { continue };
            if !versions.is_empty() && !versions.iter().any(|known| known == version) {
                problems.add(
                    Problem::new(
                        "unknown-version",
                        yaml.place.clone(),
                        format!("{} is none of the `versions`", version.escape_debug()),
                    )
                    .mend(format!("one of {}", versions.join(", "))),
                );
            }
            tested.entry(on).or_insert_with(Vec::new).push(version.to_owned());
        }
    }
    tested
}
