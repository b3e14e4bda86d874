//! What can go wrong: what happened, where, why, and what to do next.

use clustergraph::diagnostic::Problems;
use clustergraph::graph::BuildError;
use clustergraph::tree::TreeError;

use crate::cluster::patience::Over;
use crate::exit::Exit;

/// The one error of the program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The repository's files say something wrong.
    #[error(transparent)]
    Graph(#[from] BuildError),
    /// The repository could not be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The cluster lacks what the repository's files ask for.
    #[error("the cluster lacks {}", if .0.len() == 1 { "something".to_owned() } else { format!("{} things", .0.len()) })]
    Lacks(Problems),
    /// The command cannot be done as asked.
    #[error("{0}")]
    Usage(String),
    /// Going on would harm what is not ours, or data.
    #[error("{0}")]
    Refused(String),
    /// Somebody else holds the lock.
    #[error("{0}")]
    Locked(String),
    /// Images.
    #[error("{0}")]
    Image(String),
    /// What was deployed did not become ready.
    #[error("{0}")]
    Deploy(String),
    /// Tests or smoke checks ran, and failed.
    #[error("{0}")]
    Checks(String),
    /// A request to the cluster failed.
    #[error("{what}: {why}")]
    Cluster {
        /// What was being done.
        what: String,
        /// The API's own words.
        why: String,
    },
    /// Something in the store is not what we wrote.
    #[error("{0}")]
    Store(String),
    /// A file or process of this machine.
    #[error("{what}: {error}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// Interrupted by a signal.
    #[error("interrupted; traffic is where it was. The same command again goes on from here")]
    Interrupted,
}

/// Shorthand.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A request to the cluster failed.
    pub(crate) fn cluster(what: impl Into<String>, error: &kube::Error) -> Self {
        let why = match error {
            kube::Error::Api(status) => {
                let hint = match status.code {
                    401 => " (the credentials of the kubeconfig are not accepted)",
                    403 => " (the account of the kubeconfig lacks this right)",
                    _ => "",
                };
                format!("the API server says {} {}{hint}", status.code, status.message)
            }
            other => {
                // kube's messages repeat their sources; the last one says what happened.
                let mut last: &dyn std::error::Error = other;
                while let Some(source) = last.source() {
                    last = source;
                }
                if last.is::<Over>() {
                    return Self::lost();
                }
                last.to_string()
            }
        };
        Self::Cluster { what: what.into(), why }
    }

    /// The lock is no longer ours.
    pub(crate) fn lost() -> Self {
        Self::Locked(
            "the lock was lost: the API did not answer in time, this process was paused, or another komandan took over. \
             Run this again, which goes on from here"
                .to_owned(),
        )
    }

    /// The exit code that tells this kind of failure.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Graph(_) | Self::Tree(_) => Exit::Repository,
            Self::Usage(_) | Self::Store(_) | Self::Io { .. } => Exit::Failure,
            Self::Refused(_) => Exit::Refused,
            Self::Locked(_) => Exit::Locked,
            Self::Image(_) => Exit::Image,
            Self::Deploy(_) | Self::Lacks(_) => Exit::Deploy,
            Self::Checks(_) => Exit::Checks,
            Self::Cluster { .. } => Exit::Cluster,
            Self::Interrupted => Exit::Interrupted,
        }
    }
}
