//! Values that must be seen by nobody: read without echo, and told by their line in a file, never by their text.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;

use clustergraph::format::env_file::{self, EnvFileError};
use rustix::termios::LocalModes;

use crate::console::Console;
use crate::error::{Error, Result};
use crate::terminal::Changed;

/// The most that one variable may hold, on Linux.
const LARGEST: u64 = 128 * 1024 - 1;
/// More than any file of variables needs; Kubernetes keeps 1 MiB for each service.
const LARGEST_FILE: u64 = 1024 * 1024;

/// Reads one value from a file, from standard input, or from a person.
pub(super) async fn read(file: Option<&Path>, service: &str, name: &str, console: &Console) -> Result<String> {
    let text = match file {
        Some(path) => text(&bytes(path, LARGEST)?, name)?,
        None if std::io::stdin().is_terminal() => {
            console.ask(&format!("{name} of {service} (it is not shown): "));
            let quiet = Changed::with(|terminal| terminal.local_modes.remove(LocalModes::ECHO));
            let line = tokio::task::spawn_blocking(|| std::io::stdin().lock().lines().next());
            let line = tokio::select! {
                line = line => line,
                // The terminal shows again what is typed before this ends.
                _ = tokio::signal::ctrl_c() => return Err(Error::Interrupted),
            };
            drop(quiet);
            console.note("");
            let failed = |error| Error::Io { what: "reading the value".to_owned(), error };
            let line = line.map_err(|error| failed(std::io::Error::other(error)))?.unwrap_or_else(|| Ok(String::new()));
            text(line.map_err(failed)?.as_bytes(), name)?
        }
        None => {
            let whole = text(&limited(std::io::stdin().lock(), "standard input", LARGEST)?, name)?;
            let line = whole.strip_suffix('\n').unwrap_or(&whole);
            line.strip_suffix('\r').unwrap_or(line).to_owned()
        }
    };
    if text.is_empty() {
        return Err(Error::Usage(format!(
            "the value of {name} is empty: nothing was changed; `komandan secret unset {service} {name}` forgets it"
        )));
    }
    Ok(text)
}

/// Reads a file of lines `NAME=value`, as ssi reads `.env`.
pub(super) fn file(path: &Path) -> Result<BTreeMap<String, String>> {
    let bytes = if path == Path::new("-") {
        limited(std::io::stdin().lock(), "standard input", LARGEST_FILE)?
    } else {
        self::bytes(path, LARGEST_FILE)?
    };
    variables(&path.display().to_string(), &bytes)
}

fn variables(path: &str, bytes: &[u8]) -> Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    for variable in env_file::read(bytes) {
        let (name, value) = variable.map_err(|error| match error {
            EnvFileError::Line(at) => Error::Usage(format!(
                "{path}:{at}: this is not `NAME=value`; a value with blanks or quotes stands in quotes"
            )),
            EnvFileError::Other(error) => Error::Usage(format!("{path}: {error}")),
        })?;
        text(value.as_bytes(), &name)?;
        values.insert(name, value);
    }
    Ok(values)
}

fn bytes(path: &Path, most: u64) -> Result<Vec<u8>> {
    let file =
        std::fs::File::open(path).map_err(|error| Error::Io { what: format!("opening {}", path.display()), error })?;
    limited(file, &path.display().to_string(), most)
}

fn limited(from: impl Read, what: &str, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = from.take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| Error::Io { what: format!("reading {what}"), error })?;
    if bytes.len() as u64 > most {
        return Err(Error::Usage(format!(
            "{what} holds more than {} KiB: that is no secret of a variable",
            most.div_ceil(1024)
        )));
    }
    Ok(bytes)
}

/// What a program can find in a variable.
fn text(bytes: &[u8], name: &str) -> Result<String> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let text = text.ok_or_else(|| {
        Error::Usage(format!(
            "the value of {name} is no text, and a variable holds nothing else: encode it, as with base64"
        ))
    })?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_by_names_and_what_is_wrong_is_told_by_its_line_only() {
        let read = variables("x.env", b"# keys\nA=1\nexport B='two words'\n\nC=\n").unwrap();
        let expected = [("A", "1"), ("B", "two words"), ("C", "")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let error = variables("x.env", b"A=1\nB=very secret words\n").unwrap_err().to_string();
        assert!(error.starts_with("x.env:2: ") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn what_no_variable_can_hold_is_refused_without_being_shown() {
        for bytes in [b"hunter\0two".as_slice(), b"hunter\xfftwo"] {
            let error = text(bytes, "KEY").unwrap_err().to_string();
            assert!(error.contains("KEY") && !error.contains("hunter"), "{error}");
        }
        assert!(limited(std::io::repeat(b'x'), "standard input", 1024).unwrap_err().to_string().contains("1 KiB"));
    }
}
