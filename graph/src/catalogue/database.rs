//! A kind of database: how its server is run, asked and filled, in a container and natively.

use std::collections::BTreeMap;

use crate::diagnostic::Problems;
use crate::format::decode::{self, Fields};
use crate::format::service::Command;
use crate::format::yaml::Yaml;

/// One kind of the catalogue. Texts hold `{host}`, `{port}`, `{admin}`, `{admin_password}`, `{username}`,
/// `{password}`, `{database}`, `{version}` and `{data}` where they mean these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseKind {
    /// Its name in `kind:`.
    pub kind: String,
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
    /// Whether its servers take settings.
    pub settings: Option<Command>,
    /// Adds `{extension}` to a logical database; again is fine.
    pub extension: Option<Input>,
    /// Makes `{topic}`; again is fine.
    pub topic: Option<Input>,
    /// The contract of its image.
    pub image: Container,
    /// How the server runs without a container.
    pub native: Native,
    /// Environment of `ready` and `create`.
    pub client_env: BTreeMap<String, String>,
    /// Ends with 0 once the server does what services will ask of it.
    pub ready: Command,
    /// Makes a logical database and its user; again is fine.
    pub create: Input,
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

/// The contract of an official image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The image, with `{version}`.
    pub name: String,
    /// The environment that its entrypoint reads.
    pub env: BTreeMap<String, String>,
    /// Arguments.
    pub args: Command,
    /// The user and group that the server runs as.
    pub user: u32,
    /// The folder that must outlive the container.
    pub data: String,
}

/// A server as a process of the machine. Commands also hold `{password_file}` and `{sockets}` (a folder).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    /// Folders that programs are looked for in, with `{version}`, before `PATH`.
    pub folders: Vec<String>,
    /// Prints the version.
    pub version: Command,
    /// The packages that hold it, by package manager, with `{version}`.
    pub package: BTreeMap<String, String>,
    /// The account that it runs as when the caller is root, if the machine has it.
    pub account: String,
    /// A file that exists in a data folder that was made.
    pub marker: String,
    /// Makes a data folder.
    pub init: Command,
    /// Runs the server in the foreground.
    pub run: Command,
    /// The signal that stops it in good order, without `SIG`.
    pub stop: String,
}

/// A command that reads its work from its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The command.
    pub run: Command,
    /// What it reads.
    pub input: String,
}

impl DatabaseKind {
    /// Whether the entry is written for a version.
    #[must_use]
    pub fn knows(&self, version: &str) -> bool {
        self.versions.is_empty() || self.versions.iter().any(|known| known == version)
    }

    /// Whether its URL names something, so that services get a variable of it.
    #[must_use]
    pub fn gives(&self, hole: &str) -> bool {
        self.url.contains(&format!("{{{hole}}}"))
    }

    pub(super) fn decode(kind: &str, yaml: &Yaml, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::open(yaml, "a kind of database", problems)?;
        let versions =
            fields.take("versions").map(|yaml| decode::strings(yaml, "versions", problems)).unwrap_or_default();
        let default = text(&mut fields, "default", problems);
        let port = number(&mut fields, "port", problems);
        let url = text(&mut fields, "url", problems);
        let brokers = fields.take("brokers").and_then(|yaml| decode::string(yaml, "brokers", problems));
        let brokers = brokers.map(str::to_owned);
        let family = map(&mut fields, "family", problems);
        let separator = match text(&mut fields, "separator", problems) {
            none if none.is_empty() => "_".to_owned(),
            some => some,
        };
        let shared = fields.take("shared").and_then(|yaml| decode::boolean(yaml, "shared", problems)).unwrap_or(false);
        let numbered = fields.take("numbered").and_then(|yaml| decode::integer(yaml, "numbered", 1..=65_536, problems));
        let scope = match numbered.and_then(|number| u32::try_from(number).ok()) {
            Some(number) => Scope::Numbered(number),
            None if shared => Scope::Shared,
            None => Scope::Owner,
        };
        let settings = fields.take("settings").and_then(|yaml| decode::command(yaml, "settings", problems));
        let extension = fields.take("extension").and_then(|yaml| input(yaml, "extension", problems));
        let topic = fields.take("topic").and_then(|yaml| input(yaml, "topic", problems));
        let admin = text(&mut fields, "admin", problems);
        let max_name = number(&mut fields, "max_name", problems);
        let image = container(fields.take("image")?, problems)?;
        let native = native(fields.take("native")?, problems)?;
        let client_env = map(&mut fields, "client_env", problems);
        let ready = command(&mut fields, "ready", problems);
        let create = input(fields.take("create")?, "create", problems)?;
        fields.close("a kind of database", problems);
        Some(Self {
            kind: kind.to_owned(),
            versions,
            default,
            scope,
            url,
            brokers,
            family,
            separator,
            settings,
            extension,
            topic,
            admin,
            image,
            native,
            client_env,
            ready,
            port: u16::try_from(port).ok()?,
            max_name: usize::try_from(max_name).ok()?,
            create,
        })
    }
}

fn container(yaml: &Yaml, problems: &mut Problems) -> Option<Container> {
    let mut fields = Fields::open(yaml, "image", problems)?;
    let container = Container {
        name: text(&mut fields, "name", problems),
        env: map(&mut fields, "env", problems),
        args: fields.take("args").map(|yaml| decode::strings(yaml, "args", problems)).unwrap_or_default(),
        user: u32::try_from(number(&mut fields, "user", problems)).ok()?,
        data: text(&mut fields, "data", problems),
    };
    fields.close("image", problems);
    Some(container)
}

fn native(yaml: &Yaml, problems: &mut Problems) -> Option<Native> {
    let mut fields = Fields::open(yaml, "native", problems)?;
    let native = Native {
        folders: fields.take("folders").map(|yaml| decode::strings(yaml, "folders", problems)).unwrap_or_default(),
        version: command(&mut fields, "version", problems),
        package: map(&mut fields, "package", problems),
        account: text(&mut fields, "account", problems),
        marker: text(&mut fields, "marker", problems),
        init: command(&mut fields, "init", problems),
        run: command(&mut fields, "run", problems),
        stop: text(&mut fields, "stop", problems),
    };
    fields.close("native", problems);
    Some(native)
}

fn input(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<Input> {
    let mut fields = Fields::open(yaml, what, problems)?;
    let input = Input { run: command(&mut fields, "run", problems), input: text(&mut fields, "input", problems) };
    fields.close(what, problems);
    Some(input)
}

fn text(fields: &mut Fields<'_>, name: &'static str, problems: &mut Problems) -> String {
    fields.take(name).and_then(|yaml| decode::string(yaml, name, problems)).unwrap_or_default().to_owned()
}

fn number(fields: &mut Fields<'_>, name: &'static str, problems: &mut Problems) -> i64 {
    fields.take(name).and_then(|yaml| decode::integer(yaml, name, 0..=1_000_000, problems)).unwrap_or_default()
}

fn command(fields: &mut Fields<'_>, name: &'static str, problems: &mut Problems) -> Command {
    fields.take(name).and_then(|yaml| decode::command(yaml, name, problems)).unwrap_or_default()
}

fn map(fields: &mut Fields<'_>, name: &'static str, problems: &mut Problems) -> BTreeMap<String, String> {
    fields
        .take(name)
        .map(|yaml| decode::entries(yaml, name, problems))
        .unwrap_or_default()
        .iter()
        .filter_map(|(key, yaml)| decode::scalar(yaml, name, problems).map(|value| (key.name.clone(), value)))
        .collect()
}
