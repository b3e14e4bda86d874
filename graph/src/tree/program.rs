//! The `git` program, for what libgit2 cannot do: filters, and repositories of other formats.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::TreeError;
use super::oid::Oid;

/// git in a folder, whatever the caller's own git commands have set.
pub(super) fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Inside a hook these name another repository's parts, or a commit's half-made index.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_PREFIX", "GIT_INDEX_FILE", "GIT_COMMON_DIR"] {
        git.env_remove(name);
    }
    // Whoever reads does not wait for a lock, nor for a password.
    git.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0");
    git
}

/// Runs git to its end and gives what it prints.
pub(super) fn output(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, TreeError> {
    output_of(git(folder), arguments)
}

/// Runs a git that was told more of its surroundings.
pub(super) fn output_of(mut git: Command, arguments: &[&str]) -> Result<Vec<u8>, TreeError> {
    let output = git.args(arguments).output().map_err(|error| failed(arguments, &error.to_string()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(failed(arguments, &String::from_utf8_lossy(&output.stderr)))
}

/// One line of what git prints.
pub(super) fn line(folder: &Path, arguments: &[&str]) -> Result<String, TreeError> {
    let mut text = String::from_utf8(output(folder, arguments)?)
        .map_err(|error| TreeError::NotUtf8(String::from_utf8_lossy(error.as_bytes()).into_owned()))?;
    text.truncate(text.trim_end_matches('\n').len());
    Ok(text)
}

pub(super) fn failed(arguments: &[&str], why: &str) -> TreeError {
    TreeError::Program { command: arguments.join(" "), why: why.trim().to_owned() }
}

const CAT_FILE: &[&str] = &["cat-file", "--batch"];

/// One `git cat-file --batch` for all objects of a read. A partial clone fetches what it lacks.
pub(super) struct CatFile {
    folder: PathBuf,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl CatFile {
    pub(super) fn start(folder: &Path) -> Result<Self, TreeError> {
        let failed = |why: &str| failed(CAT_FILE, why);
        let mut git = git(folder);
        git.args(CAT_FILE).stdin(Stdio::piped());
        let mut child = git.spawn().map_err(|error| failed(&error.to_string()))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("it has no input or output"));
        };
        Ok(Self { folder: folder.to_owned(), child, stdin: Some(stdin), stdout: BufReader::new(stdout) })
    }

    /// The content of an object; `None` when it is larger than `limit` bytes. The size is given too.
    pub(super) fn read(&mut self, oid: Oid, limit: u64) -> Result<(u64, Option<Vec<u8>>), TreeError> {
        self.ask(oid, limit).map_err(|error| self.why(oid, &error))
    }

    fn ask(&mut self, oid: Oid, limit: u64) -> std::io::Result<(u64, Option<Vec<u8>>)> {
        use std::io::{Error, ErrorKind};
        let stdin = self.stdin.as_mut().ok_or(ErrorKind::BrokenPipe)?;
        stdin.write_all(format!("{oid}\n").as_bytes())?;
        let mut header = String::new();
        self.stdout.read_line(&mut header)?;
        // `ID TYPE SIZE`, or `ID missing`; nothing at all when git has ended.
        let mut words = header.trim_end().rsplit(' ');
        let size: u64 = match (words.next(), words.next(), words.next()) {
            (Some(size), Some(_), Some(_)) => size.parse().map_err(|_| Error::other(header.trim_end().to_owned()))?,
            (Some("missing"), Some(_), None) => return Err(ErrorKind::NotFound.into()),
            _ => return Err(ErrorKind::UnexpectedEof.into()),
        };
        let mut content = (&mut self.stdout).take(size);
        let bytes = if size <= limit {
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            content.read_to_end(&mut bytes)?;
            if bytes.len() as u64 != size {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            Some(bytes)
        } else {
            std::io::copy(&mut content, &mut std::io::sink())?;
            None
        };
        self.stdout.read_exact(&mut [0])?;
        Ok((size, bytes))
    }

    /// git's own words of why it ended tell more than a broken pipe does.
    fn why(&mut self, oid: Oid, error: &std::io::Error) -> TreeError {
        if error.kind() == std::io::ErrorKind::NotFound {
            return TreeError::Missing { oid, repository: self.folder.clone() };
        }
        self.stdin = None;
        let mut words = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            // Bounded: whatever it says, the end of a line or two is enough.
            let _ = (&mut stderr).take(4096).read_to_string(&mut words);
        }
        failed(CAT_FILE, if words.trim().is_empty() { error.to_string() } else { words }.as_str())
    }
}

impl Drop for CatFile {
    fn drop(&mut self) {
        // Without input it ends by itself.
        self.stdin = None;
        let _ = self.child.wait();
    }
}
