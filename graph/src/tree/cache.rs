//! A folder of files that may vanish at any time: what is kept there only saves work.
//!
//! Several processes share it without a lock: a file appears whole or not at all, and who has it open keeps it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How many files are kept; the oldest go first, down to half of it.
const MOST: usize = 64;
/// How many bytes are kept.
const MOST_BYTES: u64 = 1 << 30;

/// Where this user keeps what may vanish: `CLUSTERGRAPH_CACHE_DIR`, else a folder of ours where the XDG base directories say.
#[must_use]
pub fn user_cache() -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let general = || absolute("XDG_CACHE_HOME").map(|path| path.join("clustergraph"));
    let home = || absolute("HOME").unwrap_or_else(|| PathBuf::from("/")).join(".cache/clustergraph");
    absolute("CLUSTERGRAPH_CACHE_DIR").or_else(general).unwrap_or_else(home)
}

/// A folder of such files.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    folder: PathBuf,
}

/// One of its files, open: its parts are read when they are asked for.
#[derive(Debug)]
pub(crate) struct Stored(Mutex<File>);

impl Cache {
    /// One in this folder, which is made when something is kept.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// A file of it.
    pub(crate) fn open(&self, name: &str) -> Option<Stored> {
        Some(Stored(Mutex::new(File::open(self.folder.join(name)).ok()?)))
    }

    /// Keeps a file, made of these parts. That it cannot be kept costs time, and nothing else.
    pub(crate) fn keep<'p>(&self, name: &str, parts: impl IntoIterator<Item = &'p [u8]>) {
        let kept = self.write(name, parts);
        if kept.is_ok() {
            self.prune();
        }
    }

    fn write<'p>(&self, name: &str, parts: impl IntoIterator<Item = &'p [u8]>) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        // Most of what is written is one large part: a buffer would only copy it.
        let mut file = tempfile::Builder::new().prefix(".draft-").tempfile_in(&self.folder)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.persist(self.folder.join(name))?;
        Ok(())
    }

    /// The names of its files that begin with this, the newest first.
    pub(crate) fn newest(&self, prefix: &str) -> Vec<String> {
        let mut files: Vec<Kept> = self.files().into_iter().filter(|file| file.name.starts_with(prefix)).collect();
        files.sort_by_key(|file| std::cmp::Reverse(file.written));
        files.into_iter().map(|file| file.name).collect()
    }

    fn files(&self) -> Vec<Kept> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let kept = entries.flatten().filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            let name = entry.file_name().into_string().ok()?;
            Some(Kept { name, written: (metadata.mtime(), metadata.mtime_nsec()), bytes: metadata.len() })
        });
        kept.collect()
    }

    /// Takes away the oldest files where there are too many. Drafts that a killed process left are files, too.
    fn prune(&self) {
        let mut files = self.files();
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        if files.len() <= MOST && bytes <= MOST_BYTES {
            return;
        }
        files.sort_by_key(|file| std::cmp::Reverse(file.written));
        let mut left = MOST_BYTES / 2;
        for (at, file) in files.iter().enumerate() {
            left = left.saturating_sub(file.bytes);
            if at >= MOST / 2 || left == 0 && at > 0 {
                let _ = fs::remove_file(self.folder.join(&file.name)); // another process took it away
            }
        }
    }
}

struct Kept {
    name: String,
    /// Seconds since 1970, and nanoseconds.
    written: (i64, i64),
    bytes: u64,
}

impl Stored {
    /// So many bytes from an offset on; an error where there are fewer.
    pub(crate) fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        // Not made beforehand of a length that a damaged file may say.
        (&mut *file).take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_in_parts_and_the_oldest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(&folder.path().join("graphs"));
        assert!(cache.open("a").is_none());
        assert_eq!(cache.newest(""), Vec::<String>::new());
        cache.keep("a", [&b"hel"[..], b"lo"]);
        let stored = cache.open("a").unwrap();
        assert_eq!(stored.read(1, 3).unwrap(), b"ell");
        assert!(stored.read(3, 3).is_err());
        let second = |nth: u64| std::time::UNIX_EPOCH + std::time::Duration::from_secs(nth);
        for nth in 0..=MOST as u64 {
            cache.keep(&format!("b{nth}"), [&b"x"[..]]);
            if let Ok(file) = File::open(cache.folder.join(format!("b{nth}"))) {
                file.set_modified(second(nth)).unwrap();
            }
        }
        let left = cache.newest("b");
        assert!(left.len() <= MOST && left.contains(&format!("b{MOST}")), "{left:?}");
        assert!(!left.contains(&"b0".to_owned()));
        // Who had it open keeps it.
        assert_eq!(stored.read(0, 5).unwrap(), b"hello");
    }
}
