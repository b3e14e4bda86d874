//! What a session remembers: what was started, how, and where it is reached.

use std::collections::BTreeMap;
use std::path::Path;

use clustergraph::format::service::{Restart, Wait};
use clustergraph::graph::{Key, Unit, Units};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::folders::write_whole;
use crate::protocol::RuntimeName;

/// All of it. Written whole after each change, by the supervisor alone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Records {
    /// The services that were asked for; empty with `all` means none.
    pub(crate) roots: std::collections::BTreeSet<String>,
    /// Whether everything was asked for.
    pub(crate) all: bool,
    /// What connected clients need beside that, by client: forgotten with the supervisor, and never written.
    #[serde(skip)]
    pub(crate) leases: BTreeMap<u64, Lease>,
    /// The runtimes that were used: each may hold something that belongs to no unit.
    pub(crate) runtimes: std::collections::BTreeSet<RuntimeName>,
    /// How each node runs, by `service NAME` and `server NAME`: chosen at its first `up`.
    #[serde(default)]
    pub(crate) chosen: BTreeMap<String, RuntimeName>,
    /// Servers that may hold data, by name.
    #[serde(default)]
    pub(crate) servers: BTreeMap<String, Stored>,
    /// Logical databases, by address.
    #[serde(default)]
    pub(crate) databases: BTreeMap<String, Kept>,
    /// What hashes of secret values are keyed with: nobody who reads a hash can try values.
    #[serde(default)]
    pub(crate) salt: String,
    /// The ids of the services as they were wanted last, by name.
    #[serde(default)]
    pub(crate) versions: BTreeMap<String, Key>,
    /// Units that were started or done, by `kind name`.
    pub(crate) units: BTreeMap<String, Record>,
    /// Ports of this machine, by `unit port`: a unit keeps its ports from one start to the next.
    pub(crate) ports: BTreeMap<String, u16>,
    /// Generated passwords, by server or database.
    pub(crate) passwords: BTreeMap<String, String>,
}

/// A server that was started once, so that there may be data of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Where the data is: it stays there.
    pub(crate) runtime: RuntimeName,
    /// Which data it is; written beside the data, too.
    pub(crate) incarnation: String,
}

/// A logical database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The server that holds it.
    pub(crate) server: String,
    /// The server's kind.
    pub(crate) kind: String,
    /// The server's version.
    pub(crate) version: String,
    /// The incarnation of the server's data.
    pub(crate) data: String,
    /// A random name of this very database: another one has nothing of what was done to this one.
    pub(crate) incarnation: String,
    /// Its number, where a server's databases have numbers.
    pub(crate) number: Option<u32>,
}

/// What a client needs while it is connected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lease {
    /// The services whose needs they are.
    pub(crate) of: std::collections::BTreeSet<String>,
    /// The units.
    pub(crate) units: std::collections::BTreeSet<Unit>,
}

/// One unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Which.
    pub(crate) unit: Unit,
    /// With which key it was started or done.
    pub(crate) key: Key,
    /// The parts of that key.
    pub(crate) parts: BTreeMap<String, Key>,
    /// How it was made real.
    pub(crate) runtime: RuntimeName,
    /// What it waited for.
    pub(crate) waits: Vec<(Unit, String)>,
    /// The services that it is wired to, waited for or not.
    #[serde(default)]
    pub(crate) needs: std::collections::BTreeSet<Unit>,
    /// What runs of it; `None` for what is done once.
    pub(crate) instance: Option<Instance>,
    /// Where this machine reaches it.
    pub(crate) addresses: Vec<String>,
    /// Whether it became ready, or was done.
    pub(crate) ready: bool,
    /// What happens when it ends by itself.
    #[serde(default)]
    pub(crate) restart: Policy,
    /// How often it was started anew after it had ended by itself.
    #[serde(default)]
    pub(crate) restarts: u32,
    /// How it ended or failed, when it did by itself.
    #[serde(default)]
    pub(crate) ended: Option<String>,
    /// When it was started, in seconds since 1970.
    pub(crate) since: i64,
    /// How it is stopped: the signal's name and the grace in milliseconds.
    pub(crate) stop: (String, u64),
}

/// What happens when a unit ends by itself, as it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Policy {
    /// That it ended is told.
    #[default]
    Never,
    /// It is started anew unless it ended with 0.
    OnFailure,
    /// It is started anew.
    Always,
}

impl From<Restart> for Policy {
    fn from(restart: Restart) -> Self {
        match restart {
            Restart::Never => Self::Never,
            Restart::OnFailure => Self::OnFailure,
            Restart::Always => Self::Always,
        }
    }
}

impl From<Policy> for Restart {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Never => Self::Never,
            Policy::OnFailure => Self::OnFailure,
            Policy::Always => Self::Always,
        }
    }
}

/// Something that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Instance {
    /// A process and when it began, in the kernel's own count: numbers of processes come back.
    Process {
        /// Its number, which is also its group's.
        pid: i32,
        /// Ticks since the machine started.
        started: u64,
    },
    /// A container's id.
    Container(String),
}

impl std::fmt::Display for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Process { pid, .. } => write!(f, "pid {pid}"),
            Self::Container(id) => write!(f, "container {}", id.get(..12).unwrap_or(id)),
        }
    }
}

fn row(unit: &Unit) -> String {
    format!("{} {}", unit.kind.as_str(), unit.name)
}

impl Records {
    /// What was written last; nothing when there is nothing.
    ///
    /// # Errors
    /// When there are records that cannot be read: starting anew would forget what runs.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                format!(
                    "{}: {error}: the session's records are damaged; move the file away to start anew",
                    path.display()
                )
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// Writes everything.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        write_whole(path, &serde_json::to_vec(self)?)
    }

    pub(crate) fn get(&self, unit: &Unit) -> Option<&Record> {
        self.units.get(&row(unit))
    }

    pub(crate) fn get_mut(&mut self, unit: &Unit) -> Option<&mut Record> {
        self.units.get_mut(&row(unit))
    }

    pub(crate) fn put(&mut self, record: Record) {
        self.units.insert(row(&record.unit), record);
    }

    pub(crate) fn forget(&mut self, unit: &Unit) -> Option<Record> {
        self.units.remove(&row(unit))
    }

    /// The waits of what was started, for stopping it in the reverse order.
    pub(crate) fn waits(&self) -> Units {
        self.units
            .values()
            .map(|record| {
                let waits = record.waits.iter().map(|(unit, _)| (unit.clone(), Wait::Ready)).collect();
                (record.unit.clone(), waits)
            })
            .collect()
    }

    /// A password that stays the same for as long as the data does: 24 letters and digits.
    pub(crate) fn password(&mut self, of: &str) -> String {
        self.passwords.entry(of.to_owned()).or_insert_with(|| random(24)).clone()
    }

    /// Gives the records what hashes are keyed with, once.
    pub(crate) fn ensure_salt(&mut self) {
        if self.salt.is_empty() {
            self.salt = random(32);
        }
    }
}

/// Random letters and digits.
pub(crate) fn random(length: usize) -> String {
    rand::rng().sample_iter(rand::distr::Alphanumeric).take(length).map(char::from).collect()
}
