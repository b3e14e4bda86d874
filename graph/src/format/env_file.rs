//! Files of variables, `NAME=value` a line: what laptops keep secrets in, and what is imported into clusters.

/// Why a file of variables cannot be read. Its text is not told: it may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvFileError {
    /// This line, from 1, is none; 0 where it is not known which.
    Line(usize),
    /// It cannot be read otherwise.
    Other(String),
}

/// The variables of a file, in order, each as it is read.
pub fn read(bytes: &[u8]) -> impl Iterator<Item = Result<(String, String), EnvFileError>> {
    dotenvy::from_read_iter(bytes).map(|read| {
        read.map_err(|error| match error {
            // What is told is the line, or the end of it that is wrong.
            dotenvy::Error::LineParse(line, _) => {
                let text = String::from_utf8_lossy(bytes);
                let at = text.lines().position(|known| known.trim_end().ends_with(&line));
                EnvFileError::Line(at.map_or(0, |at| at + 1))
            }
            other => EnvFileError::Other(other.to_string()),
        })
    })
}
