//! `ssi import compose`: a Compose file as services of ours, with a list of what could not carry over.

mod compose;
mod databases;
mod dockerfile;
mod environment;
mod expressions;
mod health;
mod interpolate;
mod keys;
mod mounts;
mod nodes;
mod operation;
mod ports;
mod references;
mod scripts;
mod service;
mod stores;
#[cfg(test)]
mod tests;
mod translate;
mod yaml;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use clap::{Args, Subcommand};
use clustergraph::tree::locate;
use serde::Serialize;

use super::{Global, Printed};
use crate::console::{self, BOLD, DIM, GREEN, YELLOW, paint};
use crate::exit::{Exit, Failure};
use crate::report::Output;

pub(super) use nodes::label;

/// Arguments of `ssi import`.
#[derive(Args)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    from: From,
}

#[derive(Subcommand)]
enum From {
    /// Write a service.yaml for each service of a Compose file
    Compose(ComposeArgs),
}

/// Arguments of `ssi import compose`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi import compose docker-compose.yml\n  ssi import compose docker-compose.yml --dry-run\n  ssi import compose compose.yaml --force --output json"
)]
struct ComposeArgs {
    /// The Compose file
    file: PathBuf,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
    /// Print what would be written and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    printed: Printed,
}

/// Something that could not carry over, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    service: Option<String>,
    what: String,
    why: String,
}

/// All of them.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, service: Option<&str>, what: &str, why: &str) {
        let finding = Finding { service: service.map(str::to_owned), what: what.to_owned(), why: why.to_owned() };
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }
}

/// A repository's files, as far as an import looks at them.
trait Look {
    /// The text of a file; `None` where there is none.
    fn text(&self, path: &str) -> Option<String>;
    /// The names in a folder; `None` for what is no folder.
    fn entries(&self, path: &str) -> Option<Vec<String>>;
}

/// What an import knows beside the Compose file itself.
struct Known<'a> {
    look: &'a dyn Look,
    /// The Compose file's folder in the repository.
    folder: String,
    /// The Compose file's path in the repository.
    file: String,
    /// The variables of the `.env` beside it.
    variables: BTreeMap<String, String>,
}

impl Known<'_> {
    /// A path of the Compose file as one of the repository; `None` for what lies outside.
    fn path(&self, written: &str) -> Option<String> {
        if written.starts_with(['/', '~']) || written.contains("://") {
            return None;
        }
        let mut parts: Vec<&str> = self.folder.split('/').filter(|part| !part.is_empty()).collect();
        for part in written.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                part => parts.push(part),
            }
        }
        Some(parts.join("/"))
    }

    /// The variables of an env file; `None` where it is not there.
    fn env_file(&self, written: &str) -> Option<Vec<(String, String)>> {
        self.look.text(&self.path(written)?).map(|text| interpolate::env_file(&text))
    }
}

/// The files of a folder of this machine.
struct OnDisk(PathBuf);

impl Look for OnDisk {
    fn text(&self, path: &str) -> Option<String> {
        /// What is larger is no file of settings.
        const LARGEST: u64 = 1 << 20;
        let path = self.0.join(path);
        let is_small = std::fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= LARGEST);
        is_small.then(|| std::fs::read_to_string(path).ok()).flatten()
    }

    fn entries(&self, path: &str) -> Option<Vec<String>> {
        let mut names: Vec<String> = std::fs::read_dir(self.0.join(path))
            .ok()?
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name != ".git")
            .collect();
        names.sort();
        Some(names)
    }
}

pub(super) fn run(global: &Global, args: ImportArgs) -> Result<Exit, Failure> {
    let From::Compose(args) = args.from;
    let file = global.directory.join(&args.file);
    let unreadable = |error: &dyn std::fmt::Display| Failure::unusable(format!("{}: {error}", file.display()));
    let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&error))?;
    let file = file.canonicalize()?;
    let root = locate(file.parent().unwrap_or(Path::new(".")))?.root();
    let inside = file.strip_prefix(&root).map_err(|_| unreadable(&"it lies outside of the repository"))?;
    let path = repository_path(inside);
    let folder = path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
    let look = OnDisk(root.clone());
    let variables = look.text(&yaml::in_folder(&folder, ".env")).map(|text| interpolate::env_file(&text));
    let variables = variables.unwrap_or_default().into_iter().collect();
    let known = Known { look: &look, folder, file: path, variables };
    let mut findings = Findings::default();
    let compose = compose::read(&text, &known.variables, &mut findings).map_err(|error| unreadable(&error))?;
    let files = translate::translate(&compose, &known, &mut findings);
    if args.dry_run {
        print(&args, &files, &findings);
        return Ok(Exit::Success);
    }
    let there: Vec<&str> = files.keys().filter(|path| root.join(path).exists()).map(String::as_str).collect();
    if !args.force && !there.is_empty() {
        return Err(Failure::unusable(format!(
            "{}: already there, and nothing was written: look at `--dry-run`, or overwrite with `--force`",
            there.join(", ")
        )));
    }
    for (path, text) in &files {
        let path = root.join(path);
        let write = || {
            std::fs::create_dir_all(path.parent().unwrap_or(&root))?;
            std::fs::write(&path, text)
        };
        write().map_err(|error| Failure::unusable(format!("{}: {error}", path.display())))?;
    }
    print(&args, &files, &findings);
    Ok(Exit::Success)
}

/// A path with `/` between its parts.
fn repository_path(path: &Path) -> String {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    parts.collect::<Vec<_>>().join("/")
}

fn print(args: &ComposeArgs, files: &BTreeMap<String, String>, findings: &Findings) {
    if args.printed.output == Output::Json {
        let files: BTreeMap<&String, Option<&String>> =
            files.iter().map(|(path, text)| (path, args.dry_run.then_some(text))).collect();
        let written = serde_json::json!({
            "schema": "ssi.import/1", "dry_run": args.dry_run, "files": files, "findings": findings.0,
        });
        return console::data(&written.to_string());
    }
    for (path, text) in files {
        if args.dry_run {
            console::data(&format!("{}\n{text}", paint(&format!("# {path}"), BOLD)));
        } else {
            console::data(&format!("{} {path}", paint("wrote", GREEN)));
        }
    }
    if !findings.0.is_empty() {
        console::note(&format!("\n{}", paint("What could not carry over as it is:", BOLD)));
    }
    for finding in &findings.0 {
        let whose = finding.service.as_ref().map(|service| format!("{service}: ")).unwrap_or_default();
        console::note(&format!(
            "  {} {}",
            paint(&format!("{whose}{}", finding.what), YELLOW),
            paint(&finding.why, DIM)
        ));
    }
    if !args.dry_run {
        console::note(&format!("\nnext: {} and {}", paint("ssi check", BOLD), paint("ssi up", BOLD)));
    }
}
