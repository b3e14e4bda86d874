//! A stack: how services of one language are set up, run and built.

use std::collections::BTreeMap;

use crate::diagnostic::Problems;
use crate::format::decode::{self, Fields};
use crate::format::service::Command;
use crate::format::yaml::{Value, Yaml};

/// Where the repository lies inside every container, on a laptop as on a cluster.
pub const CONTAINER_ROOT: &str = "/app";
/// Where installed dependencies lie inside a container, unless the stack wants them among the sources.
pub const CONTAINER_DEPS: &str = "/deps";

/// One stack of the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stack {
    /// Its name in `stack:`.
    pub name: String,
    /// A service without `stack:` has this one when its folder holds one of these files.
    pub detect: Vec<String>,
    /// Programs that must be there, each with its least version.
    pub tools: BTreeMap<String, String>,
    /// The image that its services run in while they are developed, and that recipes start from.
    pub image: String,
    /// Files in the folders above a service that count as its sources, such as `go.work`.
    pub workspace: Vec<String>,
    /// How dependencies are installed.
    pub setup: Option<Setup>,
    /// Environment; `PATH` is put before the one that is there. `{deps}` is the folder of dependencies.
    pub env: BTreeMap<String, String>,
    /// What a service without `run:` runs while it is developed. The image of a recipe has a command of its own.
    pub run: Option<Command>,
    /// A Dockerfile with `{image}`, `{root}` and `{folder}`.
    pub recipe: String,
}

/// How a stack installs dependencies, once for each content of the lock files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Files of the service's folder that decide what is installed; nothing is when none exists.
    pub lockfiles: Vec<String>,
    /// A folder among the sources that the tools insist on (`node_modules`); a folder outside otherwise.
    pub into: Option<String>,
    /// The commands, run in the service's folder.
    pub run: Vec<Command>,
}

impl Stack {
    pub(super) fn decode(name: &str, yaml: &Yaml, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::open(yaml, "a stack", problems)?;
        let mut text = |name: &'static str, fields: &mut Fields<'_>| {
            fields.take(name).and_then(|yaml| decode::string(yaml, name, problems)).unwrap_or_default().to_owned()
        };
        let (image, recipe) = (text("image", &mut fields), text("recipe", &mut fields));
        let detect = match fields.take("detect") {
            Some(Yaml { value: Value::Text(name), .. }) => vec![name.clone()],
            Some(yaml) => decode::strings(yaml, "detect", problems),
            None => Vec::new(),
        };
        let run = fields.take("run").and_then(|yaml| decode::command(yaml, "run", problems));
        let workspace =
            fields.take("workspace").map(|yaml| decode::strings(yaml, "workspace", problems)).unwrap_or_default();
        let setup = fields.take("setup").and_then(|yaml| {
            let mut fields = Fields::open(yaml, "setup", problems)?;
            let lockfiles =
                fields.take("lockfiles").map(|yaml| decode::strings(yaml, "lockfiles", problems)).unwrap_or_default();
            let into = fields.take("into").and_then(|yaml| decode::string(yaml, "into", problems).map(str::to_owned));
            let commands = fields.take("run").and_then(|yaml| decode::list(yaml, "run", problems)).unwrap_or_default();
            let run = commands.iter().filter_map(|yaml| decode::command(yaml, "run", problems)).collect();
            fields.close("setup", problems);
            Some(Setup { lockfiles, into, run })
        });
        let mut map = |name: &'static str, fields: &mut Fields<'_>| {
            let entries = fields.take(name).map(|yaml| decode::entries(yaml, name, problems)).unwrap_or_default();
            entries
                .iter()
                .filter_map(|(key, yaml)| decode::scalar(yaml, name, problems).map(|value| (key.name.clone(), value)))
                .collect::<BTreeMap<_, _>>()
        };
        let (tools, env) = (map("tools", &mut fields), map("env", &mut fields));
        fields.close("a stack", problems);
        Some(Self { name: name.to_owned(), detect, tools, image, workspace, setup, env, run, recipe })
    }
}
