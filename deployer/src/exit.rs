//! Exit codes, all in one place.

use std::process::ExitCode;

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// As asked.
    Success = 0,
    /// Something that has no code of its own.
    Failure = 1,
    /// The repository's files say something wrong. (2 is clap's: the command line.)
    Repository = 3,
    /// What was deployed did not become ready, or the cluster lacks a secret. Traffic is where it was.
    Deploy = 4,
    /// Somebody else is changing the cluster.
    Locked = 5,
    /// Going on would harm what is not ours, or data.
    Refused = 6,
    /// The cluster does not answer, or refuses us.
    Cluster = 7,
    /// An image could not be built, pushed or found.
    Image = 8,
    /// Tests or smoke checks ran, and failed.
    Checks = 9,
    /// Interrupted by a signal.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
