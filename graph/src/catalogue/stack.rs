//! A stack: how services of one language are set up, run and built.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::read;
use crate::diagnostic::{Place, Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::service::Command;
use crate::format::yaml::{Value, Yaml};

/// Where the repository lies inside every container, on a laptop as on a cluster.
pub const CONTAINER_ROOT: &str = "/app";
/// Where installed dependencies lie inside a container, unless the stack wants them among the sources.
pub const CONTAINER_DEPS: &str = "/deps";
/// Where a container finds what its stack keeps between starts.
pub const CONTAINER_CACHE: &str = "/cache";

/// One stack of the catalogue, built in or of a clustergraph.yaml.
///
/// `env`, `setup.run` and `run` hold `{deps}`, the folder of dependencies, filled once for each content of the lock files and
/// then only read, and `{cache}`, a folder of the service that is kept between starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// Its name in `stack:`.
    pub name: String,
    /// Where it was written.
    pub place: Place,
    /// A service without `stack:` has this one when its folder holds one of these files.
    pub detect: Vec<String>,
    /// Of several that are detected, the lowest counts; of several lowest, none.
    pub rank: u32,
    /// Programs that must be there, each with its least version. See [`super::Catalogue::tools`].
    pub tools: BTreeMap<String, String>,
    /// The image that its services run in while they are developed, and that recipes start from.
    pub image: String,
    /// The image that recipes end on, for stacks whose programs need no compiler to run.
    pub base: Option<String>,
    /// Files in the folders above a service that count as its sources, such as `go.work`.
    pub workspace: Vec<String>,
    /// How dependencies are installed.
    pub setup: Option<Setup>,
    /// Environment while it is developed; `PATH` is put before the one that is there.
    pub env: BTreeMap<String, String>,
    /// What a service without `run:` runs while it is developed. The image of a recipe has a command of its own.
    pub run: Option<Command>,
    /// A Dockerfile with `{image}`, `{base}`, `{root}` and `{folder}`.
    pub recipe: String,
    /// The Dockerfile of the service's own that its image is built from, instead of a recipe.
    pub dockerfile: Option<String>,
}

/// How a stack installs dependencies, once for each content of the lock files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Files that decide what is installed, in the service's folder or, for those that are also of the workspace, in the
    /// nearest above it; nothing is when one is missing.
    pub lockfiles: Vec<String>,
    /// A folder among the sources that the tools insist on (`node_modules`); a folder outside otherwise.
    pub into: Option<String>,
    /// The commands, run in the service's folder.
    pub run: Vec<Command>,
}

impl Stack {
    /// Whether its services keep something between starts.
    #[must_use]
    pub fn has_cache(&self) -> bool {
        let texts = self.env.values().chain(self.run.iter().flatten());
        texts.chain(self.setup.iter().flat_map(|setup| setup.run.iter().flatten())).any(|text| text.contains("{cache}"))
    }

    /// Reads an entry.
    pub(crate) fn decode(name: &str, yaml: &Yaml, problems: &mut Problems) -> Option<Self> {
        let noted = problems.noted();
        let what = format!("the stack `{}`", name.escape_debug());
        let mut fields = Fields::open(yaml, &what, problems)?;
        let place = fields.place().clone();
        let rank = read::number(&mut fields, "rank", 0..=100, problems);
        let stack = Self {
            name: name.to_owned(),
            place,
            detect: detect(&mut fields, problems),
            rank: rank.and_then(|rank| u32::try_from(rank).ok()).unwrap_or_default(),
            tools: read::map(&mut fields, "tools", problems),
            image: read::text(&mut fields, "image", problems),
            base: read::optional_text(&mut fields, "base", problems),
            workspace: read::texts(&mut fields, "workspace", problems),
            setup: setup(&mut fields, problems),
            env: read::map(&mut fields, "env", problems),
            run: read::optional_command(&mut fields, "run", problems),
            recipe: read::text(&mut fields, "recipe", problems),
            dockerfile: read::optional_text(&mut fields, "dockerfile", problems),
        };
        fields.close(&what, problems);
        if problems.noted() > noted {
            return None;
        }
        if stack.image.is_empty() && stack.dockerfile.is_none() {
            let mend =
                "name the image that its services run in, or with `dockerfile:` the file that they are built from";
            problems.add(read::missing(stack.place.clone(), &what, "image", mend));
        }
        let mut ignored: BTreeSet<&str> = BTreeSet::new();
        if stack.dockerfile.is_some() {
            ignored.extend(
                [(!stack.recipe.is_empty()).then_some("recipe"), stack.base.as_ref().map(|_| "base")]
                    .into_iter()
                    .flatten(),
            );
        }
        for field in ignored {
            problems.add(
                Problem::new("contradiction", stack.place.clone(), format!("{what} has `dockerfile` and `{field}`"))
                    .mend(format!("keep one: what is built from a Dockerfile has no `{field}`")),
            );
        }
        (problems.noted() == noted).then_some(stack)
    }
}

/// One file's name, or several.
fn detect(fields: &mut Fields<'_>, problems: &mut Problems) -> Vec<String> {
    match fields.take("detect") {
        Some(Yaml { value: Value::Text(name), .. }) => vec![name.clone()],
        Some(yaml) => decode::strings(yaml, "`detect`", problems),
        None => Vec::new(),
    }
}

/// Commands alone, or with what decides and where they install to.
fn setup(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Setup> {
    // A stack of a clustergraph.yaml may say it shorter: `setup: [tool, install]` beside `lockfiles: [...]`.
    let beside = read::texts(fields, "lockfiles", problems);
    let yaml = fields.take("setup")?;
    if !matches!(yaml.value, Value::Map(_)) {
        return Some(Setup { lockfiles: beside, into: None, run: commands(yaml, "`setup`", problems) });
    }
    let mut fields = Fields::open(yaml, "`setup`", problems)?;
    let place = fields.place();
    let lockfiles = read::texts(&mut fields, "lockfiles", problems);
    let into = read::optional_text(&mut fields, "into", problems);
    let run = fields.take("run").map(|yaml| commands(yaml, "`setup.run`", problems));
    fields.close("`setup`", problems);
    if run.is_none() {
        problems.add(read::missing(place.clone(), "`setup`", "run", "name the commands that install dependencies"));
    }
    Some(Setup { lockfiles: if lockfiles.is_empty() { beside } else { lockfiles }, into, run: run? })
}

/// One command, or a list of them.
fn commands(yaml: &Yaml, what: &str, problems: &mut Problems) -> Vec<Command> {
    match &yaml.value {
        Value::List(items) if items.iter().any(|item| matches!(item.value, Value::List(_))) => {
            items.iter().filter_map(|yaml| decode::command(yaml, what, problems)).collect()
        }
        _ => decode::command(yaml, what, problems).into_iter().collect(),
    }
}
