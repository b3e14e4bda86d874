//! What the processes of a graph need of this machine, and what of it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use clustergraph::catalogue::{Artifact, DatabaseKind, Tool, fill, says_version};
use clustergraph::graph::{Graph, UnitKind};

use super::versions::{is_at_least, is_number, pinned};
use crate::protocol::RuntimeName;
use crate::runtime::Runtimes;
use crate::session::Session;

/// Something that is needed.
pub(super) struct Need {
    /// A program's name, or a kind of database with its version.
    pub(super) name: String,
    /// The version that is wanted.
    pub(super) wanted: String,
    /// Who needs it.
    pub(super) by: BTreeSet<String>,
    /// What is there instead, when it is something else.
    pub(super) found: Option<String>,
    /// Whether what is there will do.
    pub(super) is_met: bool,
    /// What would bring it.
    pub(super) sources: Sources,
}

/// What would bring something.
#[derive(Debug, Default, Clone)]
pub(super) struct Sources {
    /// Packages, by package manager.
    pub(super) package: BTreeMap<String, String>,
    /// Its name for version managers, and the version and folder that a file pins.
    pub(super) managed: Option<(String, String, PathBuf)>,
    /// Files to fetch, and the folder that they go to.
    pub(super) fetch: Option<(PathBuf, Vec<Artifact>)>,
    /// What a person does otherwise.
    pub(super) hint: Option<String>,
    /// Whether a package must be of this very version, not only as new.
    pub(super) is_exact: bool,
    /// Whether packages bring what it needs beside it, not it itself.
    pub(super) is_beside: bool,
}

/// Everything that nodes which are processes need.
pub(super) fn needs(graph: &Graph, runtimes: &Runtimes, session: &Session) -> Vec<Need> {
    let root = session.located.root();
    let mut tools: BTreeMap<&String, Wanted> = BTreeMap::new();
    for service in graph.services.values().filter(|service| runtimes.service(&service.name) == RuntimeName::Process) {
        let folder = root.join(&service.folder);
        let pins = pinned(&folder, &root);
        for (tool, least) in &service.stack.tools {
            let wanted = tools.entry(tool).or_default();
            if wanted.least.is_empty() || is_at_least(least, &wanted.least) {
                least.clone_into(&mut wanted.least);
            }
            wanted.by.insert(service.owner.clone());
            let names = graph.catalogue.tools.get(tool).map(|tool| tool.managed.as_slice()).unwrap_or_default();
            let pin = names.iter().find_map(|name| Some((name.clone(), pins.get(name)?.clone(), folder.clone())));
            wanted.managed = wanted.managed.take().or(pin);
        }
    }
    let mut needs: Vec<Need> =
        tools.into_iter().map(|(name, wanted)| tool(name, wanted, graph.catalogue.tools.get(name))).collect();
    for server in graph.servers.values().filter(|server| runtimes.server(&server.name) == RuntimeName::Process) {
        let Some(kind) = graph.catalogue.databases.get(&server.kind) else { continue };
        let by = graph.databases.values().filter(|database| database.server == server.name);
        let by = by.map(|database| database.owner.clone().unwrap_or_else(|| database.address.clone())).collect();
        needs.push(database(kind, &server.version, by, session));
    }
    needs
}

/// The runtimes' nodes that are containers, for people.
pub(super) fn is_container(graph: &Graph, runtimes: &Runtimes) -> bool {
    let all: BTreeSet<String> = graph.services.keys().cloned().collect();
    let units = graph.units(&all, true);
    units.keys().any(|unit| unit.kind != UnitKind::Forward && runtimes.of(unit, graph) == RuntimeName::Docker)
}

/// What services want of a tool.
#[derive(Default)]
struct Wanted {
    least: String,
    by: BTreeSet<String>,
    /// The name, version and folder of a pin.
    managed: Option<(String, String, PathBuf)>,
}

fn tool(name: &str, wanted: Wanted, known: Option<&Tool>) -> Need {
    let Wanted { least, by, managed } = wanted;
    let words = known.map_or_else(|| vec![name.to_owned(), "--version".to_owned()], |tool| tool.version.clone());
    let path = std::env::var("PATH").unwrap_or_default();
    let said = says(&words, &path, &BTreeMap::new());
    let pin = managed.as_ref().map(|(_, version, _)| version.clone()).filter(|version| is_number(version));
    let will_do = |said: &String| is_at_least(said, &least) && pin.as_ref().is_none_or(|pin| says_version(said, pin));
    Need {
        name: name.to_owned(),
        is_met: said.as_ref().is_some_and(will_do),
        found: said
            .as_ref()
            .and_then(|said| said.lines().find(|line| !line.trim().is_empty()))
            .map(|line| line.trim().to_owned()),
        wanted: pin.unwrap_or(least),
        by,
        sources: Sources {
            package: known.map(|tool| tool.package.clone()).unwrap_or_default(),
            hint: known.and_then(|tool| tool.hint.clone()),
            managed,
            ..Sources::default()
        },
    }
}

fn database(kind: &DatabaseKind, version: &str, by: BTreeSet<String>, session: &Session) -> Need {
    let mut need = Need {
        name: format!("{} server", kind.kind),
        wanted: version.to_owned(),
        by,
        found: None,
        is_met: false,
        sources: Sources { is_exact: true, ..Sources::default() },
    };
    let Some(native) = &kind.native else {
        need.sources.hint = Some(format!("{} runs in a container only: start a Docker engine", kind.kind));
        return need;
    };
    let values = [("version", version)];
    need.sources.package =
        native.package.iter().map(|(manager, package)| (manager.clone(), fill(package, &values))).collect();
    let mut home = String::new();
    if let Some(known) = &native.home {
        need.sources.is_beside = true;
        let own = std::env::var_os(&known.variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = own.clone().unwrap_or_else(|| session.home_of(&kind.kind, version));
        let files = known.files(version);
        let into = folder.join(&known.into);
        let lacking = files.iter().any(|file| !into.join(&file.name).is_file());
        if own.is_none() && !files.is_empty() && lacking {
            need.sources.fetch = Some((into, files));
        }
        home = folder.to_string_lossy().into_owned();
    }
    let folders =
        native.folders.iter().map(|folder| PathBuf::from(fill(folder, &values))).filter(|folder| folder.is_dir());
    let path = std::env::var("PATH").unwrap_or_default();
    let path = std::env::join_paths(folders.chain(std::env::split_paths(&path))).unwrap_or_default();
    let fill = |word: &String| fill(word, &[("version", version), ("home", &home)]);
    let words: Vec<String> = native.version.iter().map(&fill).collect();
    let env = native.env.iter().map(|(name, value)| (name.clone(), fill(value))).collect();
    let said = says(&words, &path.to_string_lossy(), &env);
    need.is_met = need.sources.fetch.is_none() && said.as_ref().is_some_and(|said| says_version(said, version));
    let said = said.filter(|_| need.sources.fetch.is_none());
    need.found =
        said.and_then(|said| said.lines().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned()));
    need
}

/// What a program prints of its version; `None` when it is not there.
fn says(words: &[String], path: &str, env: &BTreeMap<String, String>) -> Option<String> {
    let (program, arguments) = words.split_first()?;
    let found = match Path::new(program).is_absolute() {
        true => PathBuf::from(program),
        false => std::env::split_paths(path).map(|folder| folder.join(program)).find(|file| file.is_file())?,
    };
    let output = Command::new(found).args(arguments).env("PATH", path).envs(env).current_dir("/").output().ok()?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success() || !text.trim().is_empty()).then_some(text)
}
