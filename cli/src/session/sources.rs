//! Where a service's sources lie: in the work tree or, for a commit, laid out in the user's cache.
//!
//! `sources/TREE/files` holds one tree of sources in repository layout, shared by all commits and sessions that have
//! the same; `sources/TREE/uses/SESSION` says whose they are. Nothing else knows of them: the folder may be deleted at
//! any time, and what is missing is laid out anew.

mod layout;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clustergraph::graph::Service;

use super::{Session, random};
use layout::Layout;

/// Where a service's sources lie, in repository layout.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    root: PathBuf,
    /// How they come there, where they are not the work tree's.
    layout: Option<Arc<Laid>>,
}

/// One tree of sources in the cache, for one session.
#[derive(Debug)]
struct Laid {
    cache: Cache,
    /// The id of its tree.
    name: String,
    session: String,
    /// Whoever has this folder is a session that may use it.
    state_dir: PathBuf,
    layout: Layout,
}

impl Session {
    /// Where the sources of a service lie, or will.
    pub(crate) fn sources(&self, service: &Service) -> Sources {
        let Some(at) = &self.at else { return Sources { root: self.located.root(), layout: None } };
        let (cache, name) = (Cache::of(&self.cache_dir), service.sources.oid().to_string());
        let root = cache.folder(&name).join(FILES);
        let layout = Layout {
            service: service.name.clone(),
            folder: service.folder.clone(),
            sources: Arc::clone(&service.sources),
            repository: self.located.clone(),
            commit: at.commit.clone(),
        };
        let (session, state_dir) = (self.id.clone(), self.state_dir.clone());
        Sources { root, layout: Some(Arc::new(Laid { cache, name, session, state_dir, layout })) }
    }

    /// Gives back what was laid out for this session, and removes what nobody uses any more.
    ///
    /// # Errors
    /// When the cache cannot be read or written.
    pub(crate) fn give_back_sources(&self) -> std::io::Result<()> {
        if self.at.is_none() {
            return Ok(());
        }
        Cache::of(&self.cache_dir).give_back(&self.id)
    }
}

impl Sources {
    /// The folder that stands for the repository's root.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether they are where they should be.
    pub(crate) fn are_there(&self) -> bool {
        self.root.is_dir()
    }

    /// Lays them out where they are not yet.
    ///
    /// # Errors
    /// What of them cannot be laid out and what to do instead, or why the cache cannot be written.
    pub(crate) async fn ensure(&self) -> Result<(), String> {
        let Some(laid) = self.layout.clone() else { return Ok(()) };
        let done = tokio::task::spawn_blocking(move || laid.ensure());
        done.await.map_err(|_| "interrupted".to_owned())?
    }
}

impl Laid {
    fn ensure(&self) -> Result<(), String> {
        let folder = self.cache.folder(&self.name);
        let said = |error: std::io::Error| format!("{}: {error}", folder.display());
        self.cache.take(&self.name, &self.session, &self.state_dir).map_err(said)?;
        let files = folder.join(FILES);
        if !files.is_dir() {
            let draft = folder.join(format!(".{}", random(12)));
            let made = self.layout.lay_out(&draft).and_then(|()| match std::fs::rename(&draft, &files) {
                // Another session was faster, with the same.
                Err(_) if files.is_dir() => remove(&draft).map_err(said),
                renamed => renamed.map_err(said),
            });
            if made.is_err() {
                let _ = remove(&draft); // what is left of it goes with the rest
            }
            made?;
        }
        // A service of which git has no file but its service.yaml runs somewhere, too.
        std::fs::create_dir_all(files.join(&self.layout.folder)).map_err(said)
    }
}

const FILES: &str = "files";
const USES: &str = "uses";
/// How the name of what is being removed begins.
const GONE: &str = ".gone-";

/// All that is laid out for this user.
#[derive(Debug)]
struct Cache {
    folder: PathBuf,
}

impl Cache {
    fn of(cache_dir: &Path) -> Self {
        Self { folder: cache_dir.join("sources") }
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Held until dropped: nobody else takes or removes anything meanwhile.
    fn lock(&self) -> std::io::Result<File> {
        std::fs::create_dir_all(&self.folder)?;
        let lock = File::options().create(true).append(true).open(self.folder.join("lock"))?;
        lock.lock()?;
        Ok(lock)
    }

    /// Notes that a session uses a tree: from here on nobody removes it.
    fn take(&self, name: &str, session: &str, state_dir: &Path) -> std::io::Result<()> {
        let _lock = self.lock()?;
        let uses = self.folder(name).join(USES);
        std::fs::create_dir_all(&uses)?;
        std::fs::write(uses.join(session), state_dir.as_os_str().as_encoded_bytes())
    }

    /// Forgets what a session used, and removes what nobody uses: of a session whose state folder is gone nothing runs.
    fn give_back(&self, session: &str) -> std::io::Result<()> {
        if !self.folder.is_dir() {
            return Ok(());
        }
        let mut gone = Vec::new();
        {
            let _lock = self.lock()?;
            for entry in std::fs::read_dir(&self.folder)?.flatten().filter(|entry| entry.path().is_dir()) {
                let path = entry.path();
                if entry.file_name().to_string_lossy().starts_with(GONE) {
                    gone.push(path);
                    continue;
                }
                for used in std::fs::read_dir(path.join(USES)).into_iter().flatten().flatten() {
                    if used.file_name().to_str() == Some(session) || !is_used(&used.path()) {
                        std::fs::remove_file(used.path())?;
                    }
                }
                if std::fs::read_dir(path.join(USES)).map_or(true, |mut uses| uses.next().is_none()) {
                    let away = self.folder.join(format!("{GONE}{}", random(12)));
                    std::fs::rename(&path, &away)?;
                    gone.push(away);
                }
            }
        }
        // Much may lie there by now, installed dependencies above all: others need not wait for it.
        gone.iter().try_for_each(|path| remove(path))
    }
}

fn is_used(note: &Path) -> bool {
    use std::os::unix::ffi::OsStringExt;
    std::fs::read(note).is_ok_and(|bytes| PathBuf::from(std::ffi::OsString::from_vec(bytes)).is_dir())
}

fn remove(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_laid_out_goes_with_the_last_session_that_uses_it() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::of(folder.path());
        let state = folder.path().join("state");
        std::fs::create_dir(&state).unwrap();
        for (name, session) in [("a", "one"), ("b", "one"), ("b", "two")] {
            cache.take(name, session, &state).unwrap();
            std::fs::create_dir_all(cache.folder(name).join(FILES)).unwrap();
        }
        cache.give_back("one").unwrap();
        assert!(!cache.folder("a").exists() && cache.folder("b").join(FILES).exists());
        // What was killed while it removed something is gone on with.
        std::fs::create_dir(cache.folder.join(".gone-x")).unwrap();
        std::fs::remove_dir(&state).unwrap();
        cache.give_back("one").unwrap();
        let left: Vec<_> = std::fs::read_dir(&cache.folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["lock"], "a session without a state folder uses nothing");
    }
}
