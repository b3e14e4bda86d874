//! The files that processes write to: they outlive whoever started them.

use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// How often a log is looked at that somebody waits for a line of.
const LOOK: Duration = Duration::from_millis(50);

/// Opens a log for writing at its end.
pub(in crate::runtime) fn open(path: &Path) -> std::io::Result<std::fs::File> {
    if let Some(folder) = path.parent() {
        // Programs write what they know, passwords included.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Waits for a line beyond a place of a log that holds a text.
pub(super) async fn says(path: &Path, from: u64, text: &str) {
    let mut looked_at = from;
    let mut line = Vec::new();
    loop {
        // A log that cannot be read now may be there soon.
        for byte in read_from(path, looked_at).unwrap_or_default() {
            looked_at += 1;
            if byte == b'\n' {
                line.clear();
            } else {
                line.push(byte);
            }
            if line.ends_with(text.as_bytes()) {
                return;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn read_from(path: &Path, at: u64) -> std::io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[tokio::test]
    async fn only_what_is_said_since_the_start_counts_and_half_a_line_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut log = open(&path).unwrap();
        log.write_all(b"server ready\n").unwrap();
        let before = std::fs::metadata(&path).unwrap().len();
        let waiting = says(&path, before, "server ready");
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(LOOK * 3, &mut waiting).await.is_err(), "that was said before");
        log.write_all(b"the server rea").unwrap();
        assert!(tokio::time::timeout(LOOK * 3, &mut waiting).await.is_err());
        log.write_all(b"dy now").unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(5), waiting).await.is_ok());
        let across = says(&path, 0, "ready\nthe");
        assert!(tokio::time::timeout(LOOK * 3, across).await.is_err(), "a text is of one line");
    }
}
