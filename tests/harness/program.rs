//! The real programs, as a person runs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// How long a command may take where nothing else is said; far more than it should.
const LIMIT: Duration = Duration::from_secs(180);

/// One of the programs, about to be run.
pub struct Program {
    command: Command,
    words: String,
    limit: Duration,
}

/// How a program ended.
pub struct Run {
    words: String,
    output: Output,
}

impl Program {
    /// A program of this workspace, in a folder.
    #[must_use]
    pub fn new(name: &str, folder: &Path) -> Self {
        let mut command = Command::new(binary(name));
        command.current_dir(folder).stdin(Stdio::null()).env_remove("XDG_STATE_HOME").env("NO_COLOR", "1");
        Self { command, words: name.to_owned(), limit: LIMIT }
    }

    /// Where the programs of this workspace are.
    #[must_use]
    pub fn folder() -> PathBuf {
        if let Some(folder) = std::env::var_os("CLUSTERGRAPH_BIN_DIR") {
            return PathBuf::from(folder);
        }
        let test = std::env::current_exe().expect("the test's own path");
        let above = if test.parent().is_some_and(|folder| folder.ends_with("deps")) { 2 } else { 1 };
        test.ancestors().nth(above).expect("a target folder").to_owned()
    }

    /// Adds words to the command line.
    #[must_use]
    pub fn args(mut self, line: &str) -> Self {
        self.command.args(line.split_whitespace());
        self.words = format!("{} {line}", self.words);
        self
    }

    /// Adds one word to the command line, whatever is in it.
    #[must_use]
    pub fn word(mut self, word: &str) -> Self {
        self.command.arg(word);
        self.words = format!("{} {word}", self.words);
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// What it finds on its standard input; nothing otherwise.
    #[must_use]
    pub fn input(mut self, text: &str) -> Self {
        use std::io::{Seek, Write};
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(text.as_bytes()).and_then(|()| file.rewind()).expect("the file is written");
        self.command.stdin(file);
        self
    }

    /// Allows it more time, or less.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end. One that hangs is ended, and the test fails with what it said.
    #[must_use]
    pub fn run(self) -> Run {
        let (words, limit) = (self.words.clone(), self.limit);
        let child = self.spawn();
        let pid = rustix::process::Pid::from_child(&child);
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(child.wait_with_output()));
        let hangs = |output: &Output| {
            let err = String::from_utf8_lossy(&output.stderr).into_owned();
            panic!("`{words}` did not end within {} s\n{err}", limit.as_secs())
        };
        let output = match told.recv_timeout(limit) {
            Ok(output) => output,
            Err(_) => {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                hangs(&told.recv().expect("its output").expect("its output"))
            }
        };
        Run { words: words.clone(), output: output.unwrap_or_else(|error| panic!("`{words}`: {error}")) }
    }

    /// Starts it and goes on.
    #[must_use]
    pub fn spawn(mut self) -> std::process::Child {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.spawn().unwrap_or_else(|error| panic!("`{}`: {error}", self.words))
    }
}

impl Run {
    /// Asserts that it succeeded.
    #[must_use]
    pub fn succeeds(self) -> Self {
        self.ends_with(0)
    }

    /// Asserts its exit code.
    #[must_use]
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(
            self.output.status.code(),
            Some(code),
            "`{}` should end with {code}\n--- stdout\n{}\n--- stderr\n{}",
            self.words,
            self.stdout(),
            self.stderr()
        );
        self
    }

    /// Its exit code; `None` when a signal ended it.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// Its data.
    #[must_use]
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// What it told a person.
    #[must_use]
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Its data as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let text = self.stdout();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("`{}` printed no JSON ({error}): {text}", self.words))
    }

    /// Its data as JSON, one value a line.
    #[must_use]
    pub fn json_lines(&self) -> Vec<Value> {
        let text = self.stdout();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }
}

/// A session of `ssi` with its own state; ended with its data when dropped, whatever the test did.
pub struct Session {
    folder: PathBuf,
    state: TempDir,
}

impl Session {
    /// The session of a repository.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        let state = TempDir::with_prefix("clustergraph-state-").expect("a temporary folder");
        std::fs::set_permissions(state.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).expect("chmod");
        Self { folder: folder.to_owned(), state }
    }

    /// Where its records are.
    #[must_use]
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// A command of this session.
    #[must_use]
    pub fn ssi(&self, line: &str) -> Program {
        Program::new("ssi", &self.folder).env("CLUSTERGRAPH_STATE_DIR", self.state.path()).args(line)
    }

    /// What `ssi ps` says of a unit; fails when it does not name it.
    #[must_use]
    pub fn ps(&self, name: &str) -> Value {
        let listing = self.ssi("ps --all --output json").run().succeeds().json();
        let units = listing["units"].as_array().expect("units").clone();
        units
            .into_iter()
            .find(|listed| {
                listed["unit"]["name"] == name && matches!(listed["unit"]["kind"].as_str(), Some("service" | "server"))
            })
            .unwrap_or_else(|| panic!("ps does not name {name}: {listing}"))
    }

    /// Where this machine reaches a service.
    #[must_use]
    pub fn address(&self, name: &str) -> String {
        self.ps(name)["addresses"][0].as_str().unwrap_or_else(|| panic!("{name} has no address")).to_owned()
    }

    /// The steps that `up` would take.
    #[must_use]
    pub fn plan(&self) -> Vec<Value> {
        let events = self.ssi("up --dry-run --output json").run().succeeds().json_lines();
        let plan = events.into_iter().find(|event| event["event"] == "plan").expect("a plan");
        plan["steps"].as_array().expect("steps").clone()
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> String {
        self.ssi("ps --output json").run().succeeds().json()["session"].as_str().expect("an id").to_owned()
    }

    /// The processes of this machine that belong to it, by what they hold in memory of its state folder.
    #[must_use]
    pub fn supervisors(&self) -> Vec<i32> {
        let state = self.state.path().to_string_lossy().into_owned();
        processes()
            .into_iter()
            .filter(|(_, command, environ)| command.contains("supervise") && environ.contains(&state))
            .map(|(pid, _, _)| pid)
            .collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = Program::new("ssi", &self.folder)
            .env("CLUSTERGRAPH_STATE_DIR", self.state.path())
            .args("down --delete-data")
            .command
            .output();
    }
}

/// Each process of this machine with its command line and environment, where they can be read.
fn processes() -> Vec<(i32, String, String)> {
    let read = |pid: &str, file: &str| {
        let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    };
    std::fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = name.parse().ok()?;
            Some((pid, read(&name, "cmdline"), read(&name, "environ")))
        })
        .collect()
}

/// A program that was built with the tests.
fn binary(name: &str) -> PathBuf {
    let binary = Program::folder().join(name);
    assert!(
        binary.exists(),
        "{} is not there: run `cargo build --workspace` first, as `make test` does",
        binary.display()
    );
    binary
}
