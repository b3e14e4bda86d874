//! What brings what is missing: commands of version managers and package managers, and files to fetch.

use std::collections::BTreeSet;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use clustergraph::catalogue::{Artifact, says_version};
use sha2::{Digest, Sha256};

use super::needs::Need;
use super::versions::is_at_least;
use crate::exit::Failure;

/// Where artifacts of Maven are, unless `CLUSTERGRAPH_MAVEN` names a mirror.
const MAVEN: &str = "https://repo1.maven.org/maven2";
/// Tells packages that they must not start what they bring (policy-rc.d(8)).
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// Run this, in this folder where one matters.
    Command { words: Vec<String>, folder: Option<PathBuf>, is_ours: bool },
    /// Fetch files into a folder.
    Fetch { into: PathBuf, files: Vec<Artifact> },
    /// A person has to do it.
    Told(String),
}

/// What this machine installs with.
pub(super) struct Machine {
    pub(super) is_root: bool,
    pub(super) has: BTreeSet<&'static str>,
    /// The version of a package that apt would install.
    pub(super) candidate: fn(&str) -> Option<String>,
    /// Whether apt's lists were fetched just now: what it does not know does not exist.
    pub(super) is_fresh: bool,
}

impl Machine {
    pub(super) fn here() -> Self {
        let known = ["apt-get", "brew", "mise", "asdf", "sudo"];
        Self {
            is_root: rustix::process::geteuid().is_root(),
            has: known.into_iter().filter(|program| find(program).is_some()).collect(),
            candidate,
            is_fresh: false,
        }
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn candidate(package: &str) -> Option<String> {
    let output = std::process::Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?.to_owned();
    // An epoch is the package's, not the program's.
    let version = version.split_once(':').map_or(version.as_str(), |(_, version)| version);
    (version != "(none)").then(|| version.to_owned())
}

/// The ways to what is missing. Pure but for what `machine` answers.
pub(super) fn ways(missing: &[&Need], machine: &Machine) -> Vec<Way> {
    let (mut ways, mut packages) = (Vec::new(), BTreeSet::new());
    for need in missing {
        let sources = &need.sources;
        if let Some((into, files)) = &sources.fetch {
            // What its program needs beside them shows once they are there.
            ways.push(Way::Fetch { into: into.clone(), files: files.clone() });
            continue;
        }
        if let Some((name, version, folder)) = &sources.managed {
            if machine.has.contains("mise") {
                ways.push(command(&["mise", "install"], Some(folder), true));
                continue;
            }
            if machine.has.contains("asdf") {
                ways.push(command(&["asdf", "install", name, version], Some(folder), true));
                continue;
            }
        }
        let package = |manager: &str| sources.package.get(manager).filter(|package| !package.is_empty());
        if machine.has.contains("apt-get")
            && let Some(package) = package("apt")
        {
            let fits = |version: &String| match sources.is_exact {
                true => says_version(version, &need.wanted),
                false => is_at_least(version, &need.wanted),
            };
            match (machine.candidate)(package) {
                None if machine.is_fresh => {
                    ways.push(Way::Told(format!(
                        "{} {}: apt knows no {package}{}",
                        need.name,
                        need.wanted,
                        hint(need)
                    )));
                }
                Some(version) if !sources.is_beside && !fits(&version) => {
                    let text = format!("{} {}: apt has {package} {version} only{}", need.name, need.wanted, hint(need));
                    ways.push(Way::Told(text));
                }
                // Whether it is known may only show once the lists are there.
                _ => {
                    packages.insert(package.clone());
                }
            }
        } else if machine.has.contains("brew")
            && let Some(package) = package("brew")
        {
            ways.push(command(&["brew", "install", package], None, false));
        } else {
            ways.push(Way::Told(format!("{} {}{}", need.name, need.wanted, hint(need))));
        }
    }
    if !packages.is_empty() {
        let mut words = vec!["apt-get", "install", "--yes", "--no-install-recommends"];
        if !machine.is_root && machine.has.contains("sudo") {
            words.insert(0, "sudo");
        }
        words.extend(packages.iter().map(String::as_str));
        ways.push(command(&words, None, machine.is_root));
    }
    let mut seen = Vec::new();
    ways.retain(|way| {
        !seen.contains(way) && {
            seen.push(way.clone());
            true
        }
    });
    ways
}

fn hint(need: &Need) -> String {
    let managed = need
        .sources
        .managed
        .as_ref()
        .map(|(name, version, _)| format!(": `mise install {name}@{version}` brings it (https://mise.jdx.dev)"));
    let own = need.sources.hint.as_ref().map(|hint| format!(": {hint}"));
    managed.or(own).unwrap_or_else(|| ": install it, or use `--runtime docker`".to_owned())
}

fn command(words: &[&str], folder: Option<&Path>, is_ours: bool) -> Way {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    Way::Command { words, folder: folder.map(Path::to_owned), is_ours }
}

impl Way {
    /// Whether we do it, rather than tell of it.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::Fetch { .. } | Self::Command { is_ours: true, .. })
    }

    /// Whether it asks apt, which wants new lists first.
    pub(super) fn is_apt(&self) -> bool {
        matches!(self, Self::Command { words, is_ours: true, .. } if words.first().is_some_and(|word| word == "apt-get"))
    }
}

/// Fetches apt's lists anew. Where that fails, the old ones may do.
pub(super) async fn refresh() {
    let _ = spawn("apt-get", &["update".to_owned(), "--quiet".to_owned()], None).await;
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Command { words, folder: Some(folder), .. } => {
                write!(f, "(cd {} && {})", folder.display(), words.join(" "))
            }
            Self::Command { words, folder: None, .. } => f.write_str(&words.join(" ")),
            Self::Fetch { into, files } => {
                write!(f, "fetch {} files from {} into {}", files.len(), maven(), into.display())
            }
            Self::Told(text) => f.write_str(text),
        }
    }
}

fn maven() -> String {
    let own = std::env::var("CLUSTERGRAPH_MAVEN").ok().filter(|url| !url.is_empty());
    own.map_or_else(|| MAVEN.to_owned(), |url| url.trim_end_matches('/').to_owned())
}

/// Does it, when it is ours to do.
pub(super) async fn install(way: &Way, tell: &dyn Fn(&str)) -> Result<(), Failure> {
    match way {
        Way::Command { words, folder, is_ours: true } => run(words, folder.as_deref()).await,
        Way::Fetch { into, files } => fetch(into, files, tell).await,
        Way::Command { .. } | Way::Told(_) => Ok(()),
    }
}

/// Runs a command whose words a person may read on standard error.
async fn run(words: &[String], folder: Option<&Path>) -> Result<(), Failure> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let _quiet = if program == "apt-get" { Quiet::keep(find(program).as_deref()) } else { None };
    let status = spawn(program, arguments, folder).await?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::failed(format!("`{}` ended with {status}", words.join(" "))))
}

async fn spawn(
    program: &str,
    arguments: &[String],
    folder: Option<&Path>,
) -> Result<std::process::ExitStatus, Failure> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    // Data is what we say, not what others say.
    command.stdout(std::io::stderr());
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    command.status().await.map_err(|error| Failure::unusable(format!("{program}: {error}")))
}

/// For as long as this is kept, packages start no daemons.
struct Quiet;

impl Quiet {
    fn keep(apt: Option<&Path>) -> Option<Self> {
        use std::io::Write;
        // Somebody's own policy stays, and an apt that is none of the system's has none.
        if !apt.is_some_and(|apt| apt.starts_with("/usr")) {
            return None;
        }
        let mut file = std::fs::File::options().create_new(true).write(true).mode(0o755).open(POLICY).ok()?;
        file.write_all(b"#!/bin/sh\nexit 101\n").ok()?;
        Some(Self)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(POLICY);
    }
}

/// Fetches files; each is what its hash says, and appears whole or not at all.
async fn fetch(into: &Path, files: &[Artifact], tell: &dyn Fn(&str)) -> Result<(), Failure> {
    let said = |error: &dyn std::fmt::Display| Failure::failed(error.to_string());
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().build().map_err(|error| said(&error))?;
    std::fs::create_dir_all(into)?;
    for (at, file) in files.iter().enumerate() {
        let target = into.join(&file.name);
        if std::fs::read(&target).is_ok_and(|bytes| is_file(&bytes, file)) {
            continue;
        }
        let url = format!("{}/{}", maven(), file.path);
        tell(&format!("{}/{} {}", at + 1, files.len(), file.name));
        let answer = client.get(&url).send().await.and_then(reqwest::Response::error_for_status);
        let bytes = answer.map_err(|error| said(&error))?.bytes().await.map_err(|error| said(&error))?;
        if !is_file(&bytes, file) {
            return Err(Failure::failed(format!(
                "{url} is not what it should be: its SHA-256 differs from {}; nothing of it is kept",
                file.sha256
            )));
        }
        let draft = target.with_extension("draft");
        std::fs::write(&draft, &bytes)?;
        std::fs::rename(&draft, &target)?;
    }
    Ok(())
}

fn is_file(bytes: &[u8], file: &Artifact) -> bool {
    hex::encode(Sha256::digest(bytes)).eq_ignore_ascii_case(&file.sha256)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::needs::Sources;
    use super::*;

    fn need(name: &str, wanted: &str, apt: &str, sources: Sources) -> Need {
        let package = BTreeMap::from([("apt".to_owned(), apt.to_owned()), ("brew".to_owned(), format!("{apt}@brew"))]);
        let package = if apt.is_empty() { BTreeMap::new() } else { package };
        let (name, wanted, by) = (name.to_owned(), wanted.to_owned(), BTreeSet::new());
        Need { name, wanted, by, found: None, is_met: false, sources: Sources { package, ..sources } }
    }

    fn shown(needs: &[Need], is_root: bool, has: &[&'static str]) -> Vec<String> {
        let candidate = |package: &str| match package {
            "nodejs" => Some("18.19.0+dfsg-6".to_owned()),
            "redis-server" => Some("7.0.15-1".to_owned()),
            _ => None,
        };
        let machine = Machine { is_root, has: has.iter().copied().collect(), candidate, is_fresh: false };
        ways(&needs.iter().collect::<Vec<_>>(), &machine).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn packages_are_installed_together() {
        let needs = [
            need("python3", "3.11", "python3-venv", Sources::default()),
            need("postgres server", "15", "postgresql-15", Sources { is_exact: true, ..Sources::default() }),
        ];
        let line = "apt-get install --yes --no-install-recommends postgresql-15 python3-venv";
        assert_eq!(shown(&needs, true, &["apt-get"]), [line]);
        assert_eq!(shown(&needs, false, &["apt-get", "sudo"]), [format!("sudo {line}")]);
        assert_eq!(
            shown(&needs, false, &["brew"]),
            ["brew install python3-venv@brew", "brew install postgresql-15@brew"]
        );
    }

    #[test]
    fn a_package_that_is_too_old_is_not_installed() {
        let node = [need("node", "20", "nodejs", Sources::default())];
        assert_eq!(
            shown(&node, true, &["apt-get"]),
            ["node 20: apt has nodejs 18.19.0+dfsg-6 only: install it, or use `--runtime docker`"]
        );
        let exact =
            |wanted| [need("redis server", wanted, "redis-server", Sources { is_exact: true, ..Sources::default() })];
        assert!(shown(&exact("7.0"), true, &["apt-get"])[0].starts_with("apt-get install"));
        assert!(shown(&exact("8.0"), true, &["apt-get"])[0].contains("7.0.15-1 only"));
    }

    #[test]
    fn what_a_file_pins_its_manager_installs() {
        let managed = Some(("nodejs".to_owned(), "20.11.0".to_owned(), PathBuf::from("/repo")));
        let needs = [need("node", "20.11.0", "nodejs", Sources { managed, ..Sources::default() })];
        assert_eq!(shown(&needs, true, &["mise", "apt-get"]), ["(cd /repo && mise install)"]);
        assert_eq!(shown(&needs, true, &["asdf", "apt-get"]), ["(cd /repo && asdf install nodejs 20.11.0)"]);
        assert!(shown(&needs, true, &["apt-get"])[0].contains("`mise install nodejs@20.11.0`"));
    }

    #[test]
    fn what_nothing_brings_is_told() {
        let cargo = [need("cargo", "1.85", "", Sources { hint: Some("install Rust".into()), ..Sources::default() })];
        assert_eq!(shown(&cargo, true, &["apt-get"]), ["cargo 1.85: install Rust"]);
    }
}
