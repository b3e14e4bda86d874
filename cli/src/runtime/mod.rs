//! How units are made real. Two runtimes behind one trait: containers of a Docker engine, and processes of
//! this machine.

mod choice;
mod docker;
mod environment;
mod forward;
mod ports;
mod process;
mod terminal;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clustergraph::catalogue::DatabaseKind;
use clustergraph::graph::{Service, Unit};

use crate::protocol::RuntimeName;
use crate::session::{Instance, Session};

pub(crate) use choice::{Asked, Runtimes, Undecided};
pub(crate) use docker::{Docker, Gateway, lines as container_lines};
pub(crate) use environment::{Addresses, forward_row, port_row, server_row, service_environment};
pub(crate) use forward::{Forward, Route, forward};
pub(crate) use ports::{Claims, allocate};
pub(crate) use process::Process;
pub(crate) use terminal::Terminal;

/// Why something could not be done: the cause in one line, and the program's last words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cause {
    pub(crate) message: String,
    pub(crate) lines: Vec<String>,
}

impl Cause {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), lines: Vec::new() }
    }
}

impl From<std::io::Error> for Cause {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        for line in &self.lines {
            write!(f, "\n  | {line}")?;
        }
        Ok(())
    }
}

/// A program of a service: the service itself, its migration or its seed.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// Which unit it is.
    pub(crate) unit: Unit,
    /// Whose program it is.
    pub(crate) service: Arc<Service>,
    /// What to run; nothing when the image brings its own command.
    pub(crate) command: Option<Vec<String>>,
    /// The wired environment.
    pub(crate) env: BTreeMap<String, String>,
    /// The client's variables that every program gets.
    pub(crate) base_env: BTreeMap<String, String>,
    /// Each port: its number inside, and the number on this machine.
    pub(crate) ports: Vec<(u16, u16)>,
    /// What a container calls programs of this machine, each with the address of their forwarder.
    pub(crate) hosts: BTreeMap<String, String>,
    /// One of these that must be reached before the program can be of use, and its port.
    pub(crate) reaches: Option<(String, u16)>,
    /// The image to run in, where there are images.
    pub(crate) image: String,
    /// Where it writes.
    pub(crate) log: PathBuf,
}

/// A database server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// Which unit it is.
    pub(crate) unit: Unit,
    /// What is known of its kind.
    pub(crate) kind: Arc<DatabaseKind>,
    /// Its version.
    pub(crate) version: String,
    /// The image to run, where there are images.
    pub(crate) image: String,
    /// The administrator's password.
    pub(crate) admin_password: String,
    /// Its port on this machine.
    pub(crate) port: u16,
    /// The client's variables that every program gets.
    pub(crate) base_env: BTreeMap<String, String>,
    /// Where it writes.
    pub(crate) log: PathBuf,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this code.
    Code(i64),
    /// By a signal.
    Signal(i32),
    /// It was another supervisor's child: nobody knows.
    Unknown,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "ended with code {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::Unknown => f.write_str("ended"),
        }
    }
}

/// The verbs of a runtime. Each may be repeated: what is there already is left or replaced as its line says.
#[async_trait]
pub(crate) trait Runtime: Send + Sync {
    /// Which one this is.
    fn name(&self) -> RuntimeName;

    /// Makes what everything else needs, and looks whether the runtime works at all.
    async fn prepare(&self) -> Result<(), Cause>;

    /// Installs a service's dependencies where they are not yet installed for its lock files.
    async fn ensure_setup(&self, program: &Program, tell: &(dyn Fn(String) + Send + Sync)) -> Result<(), Cause>;

    /// Starts a server on its data, which is made at the first time. Replaces one of this unit that is left over.
    async fn start_server(&self, server: &Server, tell: &(dyn Fn(String) + Send + Sync)) -> Result<Instance, Cause>;

    /// Runs one of the server's own client programs to its end and gives what it printed. Fails on another
    /// end than 0, and after `deadline`.
    async fn run_client(
        &self,
        server: &Server,
        instance: &Instance,
        command: &[String],
        env: &BTreeMap<String, String>,
        input: &str,
        deadline: Duration,
    ) -> Result<String, Cause>;

    /// Starts a program. Replaces one of this unit that is left over.
    async fn start(&self, program: &Program, tell: &(dyn Fn(String) + Send + Sync)) -> Result<Instance, Cause>;

    /// Runs a program at the caller's terminal, beside what else runs of its unit, and gives its end.
    async fn run_attached(&self, program: &Program, terminal: Terminal) -> Result<Ended, Cause>;

    /// Runs a program at the caller's terminal where an instance of its service runs, and gives its end.
    async fn exec(&self, instance: &Instance, program: &Program, terminal: Terminal) -> Result<Ended, Cause>;

    /// Asks it to end by the signal, kills it after the grace, and removes it. Fine when it is gone.
    async fn stop(&self, instance: &Instance, signal: &str, grace: Duration) -> Result<(), Cause>;

    /// Starts a forwarder, which is a process of this machine. Replaces one of this unit that is left over.
    async fn start_forward(&self, forward: &Forward) -> Result<Instance, Cause>;

    /// Asks from inside whether a program reaches what it is wired to. One that cannot be asked is believed.
    async fn check_way_out(&self, program: &Program, instance: &Instance) -> Result<(), Cause>;

    /// Which of them run. Fails when that cannot be known.
    async fn running(&self, instances: &[Instance]) -> Result<Vec<bool>, Cause>;

    /// Waits for its end, and ends what it left behind.
    async fn ended(&self, instance: &Instance) -> Ended;

    /// The last lines that it wrote.
    async fn last_lines(&self, instance: Option<&Instance>, log: &std::path::Path) -> Vec<String>;

    /// Removes what [`Runtime::prepare`] made, and all data if told so.
    async fn clean_up(&self, delete_data: bool) -> Result<(), Cause>;
}

/// The runtime of a name.
pub(crate) fn of(name: RuntimeName, session: &Session) -> Arc<dyn Runtime> {
    match name {
        RuntimeName::Docker => Arc::new(Docker::new(session)),
        RuntimeName::Process => Arc::new(Process::new(session)),
    }
}

/// How many of a failed program's last lines are shown.
pub(crate) const LAST_LINES: usize = 12;

/// The last lines of a file, without reading all of it.
pub(crate) fn tail(path: &std::path::Path, lines: usize) -> Vec<String> {
    use std::io::{Read, Seek, SeekFrom};
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(16 * 1024)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect()
}
