//! What the program's exit codes mean.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Exit {
    /// It did what was asked.
    Success,
    /// Something of the cluster failed: a program, a probe, an image.
    Failed,
    /// The files of the repository say something wrong; nothing was started.
    InvalidGraph,
    /// The command itself cannot be carried out here: no repository, no engine, no such service.
    Unusable,
    /// Stopped by Ctrl-C.
    Interrupted,
    /// As the program ended that the command ran at the caller's terminal.
    Program(u8),
}

impl Exit {
    /// The number. 2 is clap's, for a wrong command line.
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::InvalidGraph => 3,
            Self::Unusable => 4,
            Self::Interrupted => 130,
            Self::Program(code) => code,
        })
    }
}

/// Why a command cannot go on, and how it ends.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What happened, and what to do next. Empty when it was already told.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn unusable(message: impl Into<String>) -> Self {
        Self { exit: Exit::Unusable, message: message.into() }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into() }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::unusable(error.to_string())
    }
}

impl From<clustergraph::tree::TreeError> for Failure {
    fn from(error: clustergraph::tree::TreeError) -> Self {
        Self::unusable(error.to_string())
    }
}
