//! What lies between commits: common ancestors, and a branch's commits with the paths that each changed.
//!
//! Asked of the git program, which reads every repository that it made, whatever its objects and references look like.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use super::program::git;
use super::{Commit, TreeError, locate};

/// A commit with what it changed against its first parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The commit.
    pub commit: Commit,
    /// Its first parent; none where the history begins.
    pub parent: Option<String>,
    /// The paths that differ between the two, relative to the folder of `clustergraph.yaml`.
    pub paths: Vec<String>,
}

/// The commits of a branch, the newest first, each followed by its first parent. Commits that change nothing in the folder of
/// `clustergraph.yaml` may be left out.
pub struct FirstParents {
    git: Child,
    lines: std::iter::Peekable<Lines>,
    /// With a `/` at its end; empty for the root.
    prefix: String,
    has_ended: bool,
}

type Lines = std::io::Split<BufReader<ChildStdout>>;

/// Begins a commit's lines. In names of files git writes such a character as `\001`.
const MARK: u8 = 1;

/// The commits from a revision back.
///
/// # Errors
/// When there is no repository or no such commit.
pub fn first_parents(folder: &Path, revision: &str) -> Result<FirstParents, TreeError> {
    let located = locate(folder)?;
    let start = commit_id(folder, revision)?;
    let format = "--format=%x01%H%x00%P%x00%an%x00%ct%x00%s";
    let mut log = git(&located.worktree);
    log.args(["-c", "core.quotePath=false", "-c", "log.showSignature=false", "-c", "log.diffMerges=first-parent"]);
    log.args(["log", "--first-parent", "-m", "--name-only", "--no-renames", "--no-color", "--encoding=UTF-8", format]);
    log.args([&start, "--"]);
    if !located.prefix.is_empty() {
        log.arg(format!(":(top,literal){}", located.prefix));
    }
    let mut git = log.stderr(Stdio::null()).spawn().map_err(|error| failed("log", &error.to_string()))?;
    let stdout = git.stdout.take().ok_or_else(|| failed("log", "it has no output"))?;
    let prefix = if located.prefix.is_empty() { String::new() } else { format!("{}/", located.prefix) };
    Ok(FirstParents { git, lines: BufReader::new(stdout).split(b'\n').peekable(), prefix, has_ended: false })
}

impl Iterator for FirstParents {
    type Item = Result<Step, TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let head = match self.lines.next() {
            Some(Ok(line)) => line,
            Some(Err(error)) => return Some(Err(failed("log", &error.to_string()))),
            None => return self.end().map(Err),
        };
        let text = String::from_utf8_lossy(head.get(1..).unwrap_or_default()).into_owned();
        let mut words = text.splitn(5, '\0');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (id, parents, author, time, summary) = (word(), word(), word(), word(), word());
        if head.first() != Some(&MARK) || id.is_empty() {
            return Some(Err(failed("log", &format!("it said {text:?}"))));
        }
        let mut paths = Vec::new();
        while let Some(Ok(line)) =
            self.lines.next_if(|line| line.as_ref().is_ok_and(|line| line.first() != Some(&MARK)))
        {
            let line = String::from_utf8_lossy(&line).into_owned();
            // A name with a quote or a control character is quoted. Nobody needs to read it: it is in its folder.
            let path = line.strip_prefix('"').map_or(line.as_str(), |quoted| quoted.trim_end_matches('"'));
            if let Some(path) = path.strip_prefix(&self.prefix).filter(|path| !path.is_empty()) {
                paths.push(path.to_owned());
            }
        }
        let parent = parents.split(' ').next().filter(|id| !id.is_empty()).map(str::to_owned);
        let commit = Commit { id, summary, author, time: time.parse().unwrap_or_default() };
        Some(Ok(Step { commit, parent, paths }))
    }
}

impl FirstParents {
    /// Why git ended before the history did, told once.
    fn end(&mut self) -> Option<TreeError> {
        if std::mem::replace(&mut self.has_ended, true) {
            return None;
        }
        match self.git.wait() {
            Ok(status) if status.success() => None,
            Ok(status) => Some(failed("log", &format!("it ended with {status}"))),
            Err(error) => Some(failed("log", &error.to_string())),
        }
    }
}

impl Drop for FirstParents {
    fn drop(&mut self) {
        // Whoever has seen enough needs the rest of the history no more.
        let _ = self.git.kill();
        let _ = self.git.wait();
    }
}

/// The full id of the commit that a revision names.
///
/// # Errors
/// When it names none.
pub fn commit_id(folder: &Path, revision: &str) -> Result<String, TreeError> {
    let asked = format!("{revision}^{{commit}}");
    ask(folder, &["rev-parse", "--verify", "--quiet", "--end-of-options", &asked])?.ok_or_else(|| TreeError::NoCommit {
        revision: revision.to_owned(),
        why: "git knows no such revision".to_owned(),
    })
}

/// The best common ancestor of two revisions, as `git diff A...B` takes it.
///
/// # Errors
/// When one of them names no commit, or they have nothing in common.
pub fn merge_base(folder: &Path, one: &str, other: &str) -> Result<String, TreeError> {
    let (left, right) = (commit_id(folder, one)?, commit_id(folder, other)?);
    ask(folder, &["merge-base", &left, &right])?.ok_or_else(|| TreeError::NoCommit {
        revision: format!("{one}...{other}"),
        why: "the two have no commit in common (in a shallow clone it may be missing: `git fetch --unshallow`)"
            .to_owned(),
    })
}

/// Whether older commits were left out when the repository was cloned.
///
/// # Errors
/// When there is no repository.
pub fn is_shallow(folder: &Path) -> Result<bool, TreeError> {
    Ok(ask(folder, &["rev-parse", "--is-shallow-repository"])?.as_deref() == Some("true"))
}

/// The first line that git answers; nothing where it says no.
fn ask(folder: &Path, arguments: &[&str]) -> Result<Option<String>, TreeError> {
    let located = locate(folder)?;
    let command = arguments.first().copied().unwrap_or_default();
    let output = git(&located.worktree)
        .args(arguments)
        .stderr(Stdio::null())
        .output()
        .map_err(|error| failed(command, &error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned);
    Ok(text.filter(|_| output.status.success()))
}

fn failed(command: &str, why: &str) -> TreeError {
    TreeError::Program { command: command.to_owned(), why: why.to_owned() }
}
