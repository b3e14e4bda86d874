//! How units are made real. Two runtimes behind one trait: containers of a Docker engine, and processes of
//! this machine.

mod choice;
mod docker;
mod environment;
mod forward;
mod ports;
mod process;
mod registry;
mod secrets;
mod shell;
mod terminal;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clustergraph::catalogue::DatabaseKind;
use clustergraph::graph::{Image, Service, Unit};

use crate::protocol::RuntimeName;
use crate::session::{Instance, Session, Sources};

pub(crate) use choice::{Asked, Runtimes, Undecided};
pub(crate) use docker::{Docker, Gateway, built_image, lines as container_lines};
pub(crate) use environment::{Addresses, forward_row, port_row, server_row, service_environment, service_files};
pub(crate) use forward::{Forward, Route, forward};
pub(crate) use ports::{Claims, allocate};
pub(crate) use process::Process;
pub(crate) use registry::Registries;
pub(crate) use secrets::{EnvFiles, Secrets};
pub(crate) use shell::{base, shell};
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

/// A program of a service: the service itself, a task, its migration or its seed.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// Which unit it is.
    pub(crate) unit: Unit,
    /// Whose program it is.
    pub(crate) service: Arc<Service>,
    /// Where its sources lie.
    pub(crate) sources: Sources,
    /// What to run; nothing when the image brings its own command.
    pub(crate) command: Option<Vec<String>>,
    /// The wired environment.
    pub(crate) env: BTreeMap<String, String>,
    /// The client's variables that every program gets.
    pub(crate) base_env: BTreeMap<String, String>,
    /// What it finds at absolute paths.
    pub(crate) files: BTreeMap<String, String>,
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

impl Program {
    /// Whether its command is the stack's, which may name the stack's folders.
    pub(crate) fn is_of_stack(&self) -> bool {
        self.service.run.is_none() && self.command == self.service.stack.run
    }

    /// Lays out its sources where they are not yet. An image of its own brings them.
    pub(crate) async fn ensure_sources(&self, runtime: RuntimeName) -> Result<(), Cause> {
        if runtime == RuntimeName::Docker && !matches!(self.service.image, Image::Recipe(_)) {
            return Ok(());
        }
        self.sources.ensure().await.map_err(Cause::new)
    }
}

/// A service's image that is built here.
#[derive(Debug, Clone)]
pub(crate) struct Building {
    /// Whose image it is.
    pub(crate) service: Arc<Service>,
    /// What it is called.
    pub(crate) image: String,
    /// What the build may read, and the image never holds.
    pub(crate) secrets: BTreeMap<String, String>,
    /// Where the build writes.
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
    /// What it is set to.
    pub(crate) settings: BTreeMap<String, String>,
    /// The image to run, where there are images.
    pub(crate) image: String,
    /// The administrator's password.
    pub(crate) admin_password: String,
    /// Its port on this machine.
    pub(crate) port: u16,
    /// Further ports of this machine, by what the catalogue calls them.
    pub(crate) further: BTreeMap<&'static str, u16>,
    /// Which data it is of, where there is none yet.
    pub(crate) incarnation: String,
    /// The client's variables that every program gets.
    pub(crate) base_env: BTreeMap<String, String>,
    /// The folder that a variable of the client names, for servers that are a folder.
    pub(crate) home: Option<PathBuf>,
    /// Where it writes.
    pub(crate) log: PathBuf,
}

impl Server {
    /// The port inside its container that this machine's `port` leads to. One that tells clients where to go has the
    /// same number on both sides.
    pub(crate) fn inside(&self) -> u16 {
        if self.kind.image.loopback.is_some() { self.port } else { self.kind.port }
    }

    /// What the catalogue's texts mean where the server runs so.
    pub(crate) fn values(&self, runtime: RuntimeName) -> BTreeMap<&'static str, String> {
        let port = match runtime {
            RuntimeName::Docker => self.inside(),
            RuntimeName::Process => self.port,
        };
        let mut values = BTreeMap::from([
            ("host", "127.0.0.1".to_owned()),
            ("port", port.to_string()),
            ("name", self.unit.name.clone()),
            ("loopback", self.port.to_string()),
            ("admin", self.kind.admin.clone()),
            ("admin_password", self.admin_password.clone()),
            ("version", self.version.clone()),
        ]);
        values.extend(self.further.iter().map(|(name, port)| (*name, port.to_string())));
        if let (RuntimeName::Docker, Some(home)) = (runtime, &self.kind.image.home) {
            values.insert("home", home.clone());
        }
        values
    }
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

/// The length of a log; nothing when there is none yet.
pub(crate) fn length(log: &std::path::Path) -> u64 {
    std::fs::metadata(log).map_or(0, |metadata| metadata.len())
}

/// The verbs of a runtime. Each may be repeated: what is there already is left or replaced as its line says.
#[async_trait]
pub(crate) trait Runtime: Send + Sync {
    /// Which one this is.
    fn name(&self) -> RuntimeName;

    /// Makes what everything else needs, and looks whether the runtime works at all.
    async fn prepare(&self) -> Result<(), Cause>;

    /// Builds a service's image where the engine lacks it.
    async fn ensure_image(&self, building: &Building, tell: &(dyn Fn(String) + Send + Sync)) -> Result<(), Cause>;

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

    /// Which data the servers of these names have, by its incarnation. Those without data are left out.
    async fn stored(&self, servers: &BTreeSet<String>) -> Result<BTreeMap<String, String>, Cause>;

    /// Runs a command beside a running program, in its surroundings, to its end. Fails on another end than 0.
    async fn run_beside(&self, program: &Program, instance: &Instance, command: &[String]) -> Result<(), Cause>;

    /// Waits for a line of the program's output, since its start, that holds a text. `before` is where its log ended
    /// when it was started.
    async fn says(&self, program: &Program, instance: &Instance, before: u64, text: &str);

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
