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
    /// The versions that the entry is written for.
    pub versions: Vec<String>,
    /// The version when none is asked for.
    pub default: String,
    /// The port that its server listens on inside a container.
    pub port: u16,
    /// The URL that services get.
    pub url: String,
    /// The 12-factor name's first part: `DATABASE` for `DATABASE_URL`.
    pub family: String,
    /// The name of the server's administrator.
    pub admin: String,
    /// The longest name of a user or database, in bytes.
    pub max_name: usize,
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
    pub(super) fn decode(yaml: &Yaml, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::open(yaml, "a kind of database", problems)?;
        let kind = text(&mut fields, "kind", problems);
        let versions =
            fields.take("versions").map(|yaml| decode::strings(yaml, "versions", problems)).unwrap_or_default();
        let default = text(&mut fields, "default", problems);
        let port = number(&mut fields, "port", problems);
        let url = text(&mut fields, "url", problems);
        let family = text(&mut fields, "family", problems);
        let admin = text(&mut fields, "admin", problems);
        let max_name = number(&mut fields, "max_name", problems);
        let image = container(fields.take("image")?, problems)?;
        let native = native(fields.take("native")?, problems)?;
        let client_env = map(&mut fields, "client_env", problems);
        let ready = command(&mut fields, "ready", problems);
        let mut create = Fields::open(fields.take("create")?, "create", problems)?;
        let create_run = command(&mut create, "run", problems);
        let input = text(&mut create, "input", problems);
        create.close("create", problems);
        fields.close("a kind of database", problems);
        Some(Self {
            kind,
            versions,
            default,
            url,
            family,
            admin,
            image,
            native,
            client_env,
            ready,
            port: u16::try_from(port).ok()?,
            max_name: usize::try_from(max_name).ok()?,
            create: Input { run: create_run, input },
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
