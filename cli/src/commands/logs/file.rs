//! What a process wrote: the lines of a file, from somewhere on, and more as they are written.

use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{Stream, stream};

use super::Extent;
use crate::session::marks;

/// How often a file is looked at for more.
const LOOK: Duration = Duration::from_millis(100);

/// The lines of a file as far as they are wanted.
pub(super) fn lines(path: PathBuf, extent: Extent) -> impl Stream<Item = String> + Send {
    struct Reading {
        path: PathBuf,
        position: u64,
        first: Option<usize>,
    }
    let position = extent.since.map_or(0, |since| marks::size_at(&path, since.as_second()));
    let start = Reading { path, position, first: Some(extent.tail.unwrap_or(usize::MAX)) };
    stream::unfold(start, move |mut state| async move {
        loop {
            let (lines, position) = read_from(&state.path, state.position).unwrap_or((Vec::new(), state.position));
            state.position = position;
            let skip = state.first.take().map_or(0, |keep| lines.len().saturating_sub(keep));
            let text = lines[skip..].join("\n");
            if !text.is_empty() {
                return Some((text, state));
            }
            if !extent.follow {
                return None;
            }
            tokio::time::sleep(LOOK).await;
        }
    })
}

/// The whole lines from a position on, and the position behind them.
fn read_from(path: &Path, position: u64) -> std::io::Result<(Vec<String>, u64)> {
    let mut file = BufReader::new(std::fs::File::open(path)?);
    // A log that was deleted and begun anew is shorter: it is read from its start.
    let length = file.get_ref().metadata()?.len();
    let mut position = if length < position { 0 } else { position };
    file.seek(SeekFrom::Start(position))?;
    let mut lines = Vec::new();
    let mut bytes = Vec::new();
    while file.read_until(b'\n', &mut bytes)? > 0 && bytes.ends_with(b"\n") {
        position += bytes.len() as u64;
        lines.push(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned());
        bytes.clear();
    }
    Ok((lines, position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_waits_for_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        let (lines, position) = read_from(&path, 0).unwrap();
        assert_eq!((lines, position), (vec!["one".to_owned(), "two".to_owned()], 8));
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(read_from(&path, position).unwrap(), (vec!["three".to_owned()], 14));
    }
}
