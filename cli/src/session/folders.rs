//! A session's identity and where it keeps things.

use std::path::{Path, PathBuf};

use clustergraph::tree::{Located, locate, user_cache};
use serde::{Deserialize, Serialize};

use super::revision::At;
use crate::exit::Failure;

/// What runs for one repository of one work tree: its files as they are, or as they were at a commit.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// A random name; everything that belongs to the session carries it.
    pub(crate) id: String,
    /// Where the repository lies.
    pub(crate) located: Located,
    /// Which commit it runs; the work tree's files otherwise.
    pub(crate) at: Option<At>,
    /// Socket and lock: gone after a restart of the machine.
    pub(crate) runtime_dir: PathBuf,
    /// Records, logs, credentials and native databases: outlive everything but `down --delete-data`.
    pub(crate) state_dir: PathBuf,
    /// Installed dependencies, shared by the sessions of this user.
    pub(crate) cache_dir: PathBuf,
}

/// What is kept in the work tree's git folder.
#[derive(Serialize, Deserialize)]
struct Identity {
    id: String,
    /// A tree that was moved or copied finds another path here and starts anew.
    path: PathBuf,
}

impl Session {
    /// The session of a folder's repository. It is named at its first use.
    pub(crate) fn of(folder: &Path) -> Result<Self, Failure> {
        let located = locate(folder)?;
        let kept = Self::name_file(&located);
        let path = located.root();
        let id = match known(&kept, &path) {
            Some(id) => id,
            None => name_it(&kept, &path).map_err(|error| Failure::unusable(format!("{}: {error}", kept.display())))?,
        };
        Ok(Base::of_user().session(id, located, None))
    }

    /// Where a work tree keeps its session's name.
    pub(super) fn name_file(located: &Located) -> PathBuf {
        let name = if located.prefix.is_empty() { "root".to_owned() } else { located.prefix.replace('/', "%2F") };
        located.git_dir.join("clustergraph").join(name).join("session.json")
    }

    /// The supervisor's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.runtime_dir.join("supervisor.sock")
    }

    /// Held by the supervisor while it lives.
    pub(crate) fn lock(&self) -> PathBuf {
        self.runtime_dir.join("supervisor.lock")
    }

    /// What the supervisor itself has to say.
    pub(crate) fn supervisor_log(&self) -> PathBuf {
        self.state_dir.join("supervisor.log")
    }

    /// Where the records are.
    pub(crate) fn records(&self) -> PathBuf {
        self.state_dir.join("records.json")
    }

    /// Where a host process finds a volume of a service.
    pub(crate) fn volume(&self, owner: &str, name: &str) -> PathBuf {
        self.state_dir.join("volumes").join(owner).join(name)
    }

    /// What a stack keeps for a service between starts; what a container keeps is another machine's.
    pub(crate) fn kept(&self, owner: &str, runtime: crate::protocol::RuntimeName) -> PathBuf {
        self.state_dir.join("kept").join(owner).join(runtime.as_str())
    }

    /// A database server that is a folder, filled once for all sessions of this user.
    pub(crate) fn home_of(&self, kind: &str, version: &str) -> PathBuf {
        self.cache_dir.join("servers").join(format!("{kind}-{version}"))
    }

    /// Where a unit's programs write.
    pub(crate) fn log(&self, unit: &clustergraph::graph::Unit) -> PathBuf {
        let name = unit.to_string().replace(['/', ':'], ".");
        self.state_dir.join("logs").join(format!("{}.{name}.log", unit.kind.as_str()))
    }
}

/// Where this user's sessions keep things.
pub(super) struct Base {
    pub(super) state: PathBuf,
    cache: PathBuf,
    runtime: PathBuf,
}

impl Base {
    pub(super) fn of_user() -> Self {
        let root = rustix::process::geteuid().is_root();
        let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
        let state = folder_of("CLUSTERGRAPH_STATE_DIR", "XDG_STATE_HOME")
            // A server that runs as another user must be able to reach its data below root's folders.
            .unwrap_or_else(
                || if root { "/var/lib/clustergraph".into() } else { home.join(".local/state/clustergraph") },
            );
        let runtime = folder_of("CLUSTERGRAPH_RUNTIME_DIR", "XDG_RUNTIME_DIR").unwrap_or_else(|| {
            std::env::temp_dir().join(format!("clustergraph-{}", rustix::process::geteuid().as_raw()))
        });
        Self { state, cache: user_cache(), runtime }
    }

    /// A session of an id.
    pub(super) fn session(&self, id: String, located: Located, at: Option<At>) -> Session {
        Session {
            located,
            at,
            runtime_dir: self.runtime.join(&id),
            state_dir: self.state.join("sessions").join(&id),
            cache_dir: self.cache.clone(),
            id,
        }
    }
}

fn folder_of(own: &str, general: &str) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(own).or_else(|| absolute(general).map(|path| path.join("clustergraph")))
}

/// The name that a work tree has.
pub(super) fn known(kept: &Path, path: &Path) -> Option<String> {
    let identity: Identity = serde_json::from_slice(&std::fs::read(kept).ok()?).ok()?;
    (identity.path == path && is_id(&identity.id)).then_some(identity.id)
}

/// Gives a work tree its name; commands that do so at the same moment agree on one.
fn name_it(kept: &Path, path: &Path) -> std::io::Result<String> {
    if let Some(folder) = kept.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let lock = std::fs::File::options().create(true).append(true).open(kept.with_extension("lock"))?;
    lock.lock()?;
    if let Some(id) = known(kept, path) {
        return Ok(id);
    }
    let id = hex::encode(rand::random::<[u8; 6]>());
    let identity = Identity { id: id.clone(), path: path.to_owned() };
    write_whole(kept, &serde_json::to_vec_pretty(&identity)?)?;
    Ok(id)
}

pub(super) fn is_id(id: &str) -> bool {
    id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Writes a file so that a reader sees all of it or what was there before. It may hold passwords: at no
/// moment does anybody else read it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let write = || {
        std::fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(&draft)?.write_all(bytes)?;
        std::fs::rename(&draft, path)
    };
    write().inspect_err(|_| {
        let _ = std::fs::remove_file(&draft); // half of it is worth nothing, and the disk may be full
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_come_first_together_agree_on_the_session() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("clustergraph/root/session.json");
        let names: std::collections::BTreeSet<String> = std::thread::scope(|scope| {
            let name = || name_it(&kept, Path::new("/somewhere")).unwrap();
            let all: Vec<_> = (0..8).map(|_| scope.spawn(name)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(names.len(), 1);
        assert_ne!(Some(name_it(&kept, Path::new("/elsewhere")).unwrap()), names.into_iter().next());
    }

    #[test]
    fn what_may_hold_passwords_is_readable_by_its_owner_alone_and_a_failed_write_keeps_the_old() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.json");
        write_whole(&path, b"one").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        // A folder in the draft's place stands for a disk that takes nothing.
        std::fs::create_dir(path.with_extension(format!("{}.draft", std::process::id()))).unwrap();
        assert!(write_whole(&path, b"two").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
    }
}
