//! What a client and its session's supervisor say to each other: one JSON value a line.

use std::collections::{BTreeMap, BTreeSet};

use clustergraph::graph::Unit;
use clustergraph::plan::Step;
use serde::{Deserialize, Serialize};

use crate::exit::Exit;

/// What a client asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Request {
    /// Which program is this? Answered by [`Event::Hello`].
    Hello,
    /// Make the closure of these services real, beside what is wanted already.
    Up(Up),
    /// Stop what only these services want; everything when none is named.
    Down {
        /// The services.
        services: Vec<String>,
        /// Also delete data: databases, volumes, installed dependencies.
        delete_data: bool,
    },
    /// Stop what an [`Request::Up`] of this client wanted before anyone else did.
    TakeBack {
        /// Everything was wanted by it first.
        all: bool,
        /// These services were wanted by it first.
        services: Vec<String>,
    },
    /// End by force what this client's command is stopping.
    Kill,
    /// What is there? Answered by [`Event::Listing`].
    Ps,
    /// End once no command is under way, but leave what runs as it is.
    Leave,
}

/// An `up` with what the client knows and the supervisor does not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Up {
    /// The services; all when none is named.
    pub(crate) services: Vec<String>,
    /// The runtime, when the person chose one.
    pub(crate) runtime: Option<RuntimeName>,
    /// What is to become of these services.
    #[serde(default)]
    pub(crate) purpose: Purpose,
    /// Only tell the plan.
    pub(crate) dry_run: bool,
    /// The client's variables: programs get a few of them, and those that their service names.
    pub(crate) shell: BTreeMap<String, String>,
    /// A registry that holds public images.
    pub(crate) mirror: Option<String>,
    /// Whether reports may hold colours, and how wide they may be.
    pub(crate) colour: bool,
    /// Columns of the client's terminal.
    pub(crate) width: usize,
}

/// What an [`Up`] is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Purpose {
    /// The services are wanted from now on.
    #[default]
    Start,
    /// What runs of them is started anew, whether or not anything of it changed; all that runs when none is named.
    Restart,
    /// What they need is started, but not they themselves, and stays at least as long as the client does.
    Needs {
        /// Whether services that they call are needed, too, or their databases alone.
        services: bool,
    },
}

/// How nodes are made real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RuntimeName {
    /// Containers of a Docker engine.
    Docker,
    /// Processes of this machine.
    Process,
}

impl RuntimeName {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Process => "process",
        }
    }

    /// What of this machine runs it, for people.
    pub(crate) fn engine(self) -> &'static str {
        match self {
            Self::Docker => "the Docker engine",
            Self::Process => "this machine",
        }
    }
}

/// What a supervisor tells a client.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event {
    /// The answer to [`Request::Hello`].
    Hello {
        /// Which build of the program this is.
        build: String,
    },
    /// What was wanted before this `up`: what is to be taken back later is the rest.
    Before {
        /// Whether everything was.
        all: bool,
        /// The services that were asked for.
        roots: BTreeSet<String>,
    },
    /// What will be done. Empty when everything is as it should be.
    Plan {
        /// The steps, in order.
        steps: Vec<Step>,
        /// What goes on although its version changed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        keeps: Vec<Keeps>,
    },
    /// A unit changed its state.
    State {
        /// Which unit.
        unit: Unit,
        /// Its new state.
        state: State,
        /// Why, or where it is reached.
        detail: String,
        /// Since its step began, in milliseconds.
        elapsed_ms: u64,
    },
    /// Something to tell a person while they wait.
    Note {
        /// The words.
        text: String,
    },
    /// Everything that is there.
    Listing {
        /// The units.
        units: Vec<Listed>,
    },
    /// The request is over.
    End {
        /// How.
        exit: Exit,
        /// What to tell the person; may be empty.
        message: String,
    },
}

/// A unit that no step of a plan touches, though somebody may expect one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Keeps {
    /// Which.
    pub(crate) unit: Unit,
    /// Why.
    pub(crate) reason: String,
}

/// Where a unit is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// Its step waits for others.
    Waiting,
    /// It was begun and is not ready yet.
    Starting,
    /// It runs and answers.
    Ready,
    /// It was done, once.
    Done,
    /// It is being ended.
    Stopping,
    /// It does not run.
    Stopped,
    /// What runs it does not answer.
    Unknown,
    /// It ended by itself or could not be begun.
    Failed,
    /// It was not begun because something that it waits for failed.
    Skipped,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Done => "done",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One row of `ssi ps`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Listed {
    /// The unit.
    pub(crate) unit: Unit,
    /// Its state.
    pub(crate) state: State,
    /// How it is made real.
    pub(crate) runtime: RuntimeName,
    /// Why it is in this state, where that is not plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// Where this machine reaches it.
    pub(crate) addresses: Vec<String>,
    /// How often it was started anew after it had ended by itself.
    #[serde(default)]
    pub(crate) restarts: u32,
    /// Since when it runs, in seconds since 1970.
    pub(crate) since: Option<i64>,
    /// The process or container, for people.
    pub(crate) instance: Option<String>,
    /// The container's id, when it is one.
    pub(crate) container: Option<String>,
}

/// Which build of the program runs: a client of another build replaces the supervisor.
pub(crate) fn build() -> String {
    let stamp = std::env::current_exe()
        .and_then(std::fs::metadata)
        .and_then(|metadata| Ok((metadata.len(), metadata.modified()?)))
        .ok()
        .and_then(|(size, modified)| {
            let modified = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
            Some(format!("{size}-{}", modified.as_millis()))
        });
    format!("{}+{}", env!("CARGO_PKG_VERSION"), stamp.unwrap_or_default())
}
