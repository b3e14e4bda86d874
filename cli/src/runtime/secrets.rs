//! Values that are nowhere in the repository: read from `.env` files, and never written anywhere.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use clustergraph::format::env_file::{self, EnvFileError};
use clustergraph::graph::{Image, Service};
use clustergraph::tree::{Mode, Tree, TreeError};

use crate::session::Session;

/// The file of a folder.
const FILE: &str = ".env";
/// More than any such file needs; whatever is larger is something else.
const LARGEST: u64 = 1024 * 1024;

/// Where `.env` files are: in the work tree's folders, but for those that a commit has itself.
pub(crate) struct EnvFiles {
    root: PathBuf,
    committed: Option<Tree>,
}

impl EnvFiles {
    /// Those that count for a session.
    pub(crate) fn of(session: &Session) -> Result<Self, TreeError> {
        let committed = session.at.as_ref().map(|_| session.tree()).transpose()?;
        Ok(Self { root: session.located.root(), committed })
    }

    /// The variables of a folder's file; none when it is not there.
    fn read(&self, folder: &str) -> Result<BTreeMap<String, String>, String> {
        let name = if folder.is_empty() { FILE.to_owned() } else { format!("{folder}/{FILE}") };
        let committed = self.committed.as_ref().and_then(|tree| Some((tree, tree.root().file(&name)?)));
        match committed.filter(|(_, file)| file.mode != Mode::Link) {
            None => read(&self.root.join(name)),
            Some((tree, file)) => {
                let bytes = tree.read_within(file, LARGEST).map_err(|error| format!("{name}: {error}"))?;
                variables(&name, &bytes.ok_or_else(|| too_large(&name))?)
            }
        }
    }
}

/// The secrets of services, by the name of the service.yaml.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    values: BTreeMap<String, BTreeMap<String, String>>,
}

impl Secrets {
    /// Reads what services need: from the repository's own file, then from that of the service's folder, which
    /// wins, then what the service itself gives a laptop. Everything that is missing is told at once.
    pub(crate) fn read<'s>(env: &EnvFiles, services: impl Iterator<Item = &'s Service>) -> Result<Self, String> {
        let mut files: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut file = |folder: &str| match files.get(folder) {
            Some(known) => Ok(known.clone()),
            None => {
                let read = env.read(folder)?;
                Ok::<_, String>(files.entry(folder.to_owned()).or_insert(read).clone())
            }
        };
        let mut secrets = Self::default();
        let mut missing = Vec::new();
        for service in services.filter(|service| !wanted(service).is_empty()) {
            let mut written = file("")?;
            written.extend(file(&service.folder)?);
            let values = secrets.values.entry(service.owner.clone()).or_default();
            for (name, dev, optional) in wanted(service) {
                match written.get(name).cloned().or_else(|| dev.map(str::to_owned)) {
                    Some(value) => drop(values.insert(name.to_owned(), value)),
                    None if optional || values.contains_key(name) => {}
                    None => missing.push((name, service)),
                }
            }
        }
        missing.sort_by_key(|(name, service)| (*name, service.owner.clone()));
        missing.dedup_by_key(|(name, service)| (*name, service.owner.clone()));
        if missing.is_empty() { Ok(secrets) } else { Err(told(&missing)) }
    }

    /// A secret's value; none for one that is optional and not there.
    pub(crate) fn get(&self, owner: &str, name: &str) -> Option<&str> {
        self.values.get(owner)?.get(name).map(String::as_str)
    }

    /// All values, so that nobody is shown one. The shortest would mask half of every line, and protect nothing.
    pub(crate) fn values(&self) -> impl Iterator<Item = &str> {
        self.values.values().flat_map(BTreeMap::values).map(String::as_str).filter(|value| value.len() >= 4)
    }
}

/// Each secret that a service or its build needs: its name, what a laptop gets, whether it can be missing.
fn wanted(service: &Service) -> Vec<(&str, Option<&str>, bool)> {
    let own = service.secrets.iter().map(|secret| (secret.name.as_str(), secret.dev.as_deref(), secret.optional));
    let of_build = match &service.image {
        Image::Dockerfile(build) => build.secrets.as_slice(),
        _ => &[],
    };
    // A build is not made everywhere: whoever makes it says what it lacks.
    own.chain(of_build.iter().map(|name| (name.as_str(), None, true))).collect()
}

fn told(missing: &[(&str, &Service)]) -> String {
    let mut text = match missing {
        [_] => "a secret has no value:".to_owned(),
        several => format!("{} secrets have no value:", several.len()),
    };
    for (name, service) in missing {
        let place = service.secrets.iter().find(|secret| secret.name == *name).map_or(&service.place, |it| &it.place);
        text.push_str(&format!("\n  {name} of {} ({place})", service.owner));
    }
    text.push_str(
        "\nWrite `NAME=value` into .env, which git should ignore, at the root or in the service's folder; or give laptops a value \
         that opens nothing: `secrets: [{ name: NAME, dev: value }]`",
    );
    text
}

/// The values of a file; none when it is not there. What it says wrong is told by its line, never by its text.
fn read(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(said(&error)),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| said(&error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(too_large(&path.display()));
    }
    variables(&path.display(), &bytes)
}

fn too_large(path: &dyn std::fmt::Display) -> String {
    format!("{path}: it is larger than any file of variables")
}

fn variables(path: &dyn std::fmt::Display, bytes: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let said = |error: &dyn std::fmt::Display| format!("{path}: {error}");
    let mut values = BTreeMap::new();
    for variable in env_file::read(bytes) {
        let (name, value) = variable.map_err(|error| match error {
            EnvFileError::Line(at) => {
                said(&format!("line {at} is not `NAME=value`; a value with blanks or quotes stands in quotes"))
            }
            EnvFileError::Other(error) => said(&error),
        })?;
        if value.contains('\0') {
            return Err(said(&format!("{name} holds a zero byte")));
        }
        values.insert(name, value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clustergraph::graph::Graph;

    fn secrets(files: &[(&str, &str)]) -> Result<Secrets, String> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            std::fs::create_dir_all(folder.path().join(path).parent().unwrap()).unwrap();
            std::fs::write(folder.path().join(path), text).unwrap();
        }
        std::process::Command::new("git").args(["init", "-q"]).current_dir(folder.path()).status().unwrap();
        let graph = Graph::build(&Tree::of_worktree(folder.path()).unwrap(), "local").unwrap();
        let env = EnvFiles { root: folder.path().to_owned(), committed: None };
        Secrets::read(&env, graph.services.values())
    }

    const SERVICE: (&str, &str) = (
        "pay/service.yaml",
        "name: pay\nrun: [x]\nsecrets: [A, B, { name: C, dev: opens-nothing }, { name: D, optional: true }]\n",
    );

    #[test]
    fn the_folders_file_wins_over_the_roots_and_both_over_what_the_service_gives() {
        let found =
            secrets(&[SERVICE, (".env", "A=root\nB=root\n"), ("pay/.env", "export B='of the folder'\n")]).unwrap();
        assert_eq!(
            ["A", "B", "C", "D"].map(|name| found.get("pay", name)),
            [Some("root"), Some("of the folder"), Some("opens-nothing"), None]
        );
        let given = secrets(&[SERVICE, (".env", "A=1\nB=2\nC=3\nD=4\n")]).unwrap();
        assert_eq!((given.get("pay", "C"), given.get("pay", "D")), (Some("3"), Some("4")));
    }

    #[test]
    fn all_that_is_missing_is_told_at_once_with_its_places() {
        let told = secrets(&[SERVICE, ("x/service.yaml", "name: x\nrun: [x]\nsecrets: [Z]\n")]).map(drop).unwrap_err();
        assert!(told.starts_with("3 secrets have no value:"), "{told}");
        for line in
            ["A of pay (pay/service.yaml:3:11)", "B of pay (pay/service.yaml:3:14)", "Z of x (x/service.yaml:3:11)"]
        {
            assert!(told.contains(line), "{told}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_refused_without_a_word_of_it() {
        let told = secrets(&[SERVICE, (".env", "A=1\nhunter2 hunter2\n")]).map(drop).unwrap_err();
        assert!(told.contains("line 2 is not `NAME=value`") && !told.contains("hunter2"), "{told}");
        let told = secrets(&[SERVICE, (".env", "A=1\n\nB=hunter2 hunter2\n")]).map(drop).unwrap_err();
        assert!(told.contains("line 3 is not `NAME=value`") && !told.contains("hunter2"), "{told}");
        let large = "X=1\n".repeat(300_000);
        assert!(secrets(&[SERVICE, (".env", &large)]).map(drop).unwrap_err().contains("larger"));
    }
}
