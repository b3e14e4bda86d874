//! A supervisor's place: the lock that makes it the only one of its session, and the socket it is asked at.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Held by one supervisor of a session. What it made is removed when it is dropped, and nothing else: the
/// folder may have been swept meanwhile, and another supervisor may have taken the place.
pub(super) struct Place {
    lock: File,
    lock_path: PathBuf,
    socket: PathBuf,
    /// The socket's own number in its file system.
    inode: u64,
}

impl Place {
    /// Takes the place; `None` when another supervisor holds it.
    pub(super) fn take(lock_path: &Path, socket: &Path) -> std::io::Result<Option<(Self, UnixListener)>> {
        let lock = loop {
            let lock = File::options().create(true).append(true).mode(0o600).open(lock_path)?;
            if lock.try_lock().is_err() {
                return Ok(None);
            }
            // Who held it may have removed the file between our opening and our locking: then it locks nothing.
            if is_same(&lock, lock_path) {
                break lock;
            }
        };
        match std::fs::remove_file(socket) {
            // Left by one that was killed: the lock says that it is gone.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(socket)?;
        std::fs::set_permissions(socket, PermissionsExt::from_mode(0o600))?;
        let inode = std::fs::symlink_metadata(socket)?.ino();
        Ok(Some((Self { lock, lock_path: lock_path.to_owned(), socket: socket.to_owned(), inode }, listener)))
    }

    /// Whether clients still find this supervisor here.
    pub(super) fn is_ours(&self) -> bool {
        std::fs::symlink_metadata(&self.socket).is_ok_and(|found| found.ino() == self.inode)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The lock is held until the files are gone. What cannot be removed is found stale by the next one.
        if self.is_ours() {
            let _ = std::fs::remove_file(&self.socket);
        }
        if is_same(&self.lock, &self.lock_path) {
            let _ = std::fs::remove_file(&self.lock_path);
        }
        if let Some(folder) = self.socket.parent() {
            let _ = std::fs::remove_dir(folder); // only when nothing else is in it
        }
    }
}

fn is_same(open: &File, path: &Path) -> bool {
    let (Ok(open), Ok(there)) = (open.metadata(), std::fs::metadata(path)) else { return false };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_supervisor_at_a_time_and_the_next_one_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let (lock, socket) = (folder.path().join("a/lock"), folder.path().join("a/sock"));
        std::fs::create_dir(folder.path().join("a")).unwrap();
        let (first, _listener) = Place::take(&lock, &socket).unwrap().unwrap();
        assert!(Place::take(&lock, &socket).unwrap().is_none());
        assert!(first.is_ours());
        assert_eq!(std::fs::metadata(&socket).unwrap().mode() & 0o777, 0o600);
        drop(first);
        assert!(!folder.path().join("a").exists());
        std::fs::create_dir(folder.path().join("a")).unwrap();
        assert!(Place::take(&lock, &socket).unwrap().is_some());
    }

    #[tokio::test]
    async fn what_another_one_made_after_a_sweep_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (lock, socket) = (folder.path().join("lock"), folder.path().join("sock"));
        let (first, _listener) = Place::take(&lock, &socket).unwrap().unwrap();
        std::fs::remove_file(&lock).unwrap();
        std::fs::remove_file(&socket).unwrap();
        assert!(!first.is_ours());
        let (second, _listener) = Place::take(&lock, &socket).unwrap().unwrap();
        drop(first);
        assert!(second.is_ours() && lock.exists());
        assert!(Place::take(&lock, &socket).unwrap().is_none(), "the second one still holds its lock");
    }

    #[tokio::test]
    async fn a_socket_of_one_that_was_killed_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let (lock, socket) = (folder.path().join("lock"), folder.path().join("sock"));
        drop(UnixListener::bind(&socket).unwrap());
        assert!(socket.exists());
        let (place, _listener) = Place::take(&lock, &socket).unwrap().unwrap();
        assert!(place.is_ours());
    }
}
