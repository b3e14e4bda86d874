//! A work tree as the tree that `git add --all` would make of it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use git2::{
    Index, IndexEntry, IndexEntryExtendedFlag, Repository, Status, StatusOptions, StatusShow, SubmoduleIgnore,
    SubmoduleStatus,
};

use super::directory::{Directory, Entry, File, Mode};
use super::objects::Objects;
use super::oid::Oid;
use super::{TreeError, listing, program};

/// What the index says, and what of it differs on disk.
#[derive(Default)]
pub(super) struct Listed {
    /// The files of the index.
    pub(super) root: Directory,
    /// Submodules at other commits.
    pub(super) submodules: Vec<(String, Entry)>,
    /// What is no longer there.
    pub(super) removed: Vec<String>,
    /// What is there and differs.
    pub(super) changed: Vec<(String, PathBuf)>,
}

/// Reads the index, then what differs from it on disk; and whether git has an object of every file.
///
/// A repository inside that is no submodule is passed over: its files belong to it.
pub(super) fn read(objects: &Objects) -> Result<(Arc<Directory>, bool), TreeError> {
    let worktree = objects.worktree();
    let listed = match objects.with_library(|repository| list(repository, worktree))? {
        Some(listed) => listed,
        None => listing::list(worktree)?,
    };
    let Listed { mut root, submodules, removed, changed } = listed;
    for (path, entry) in submodules {
        root.insert(&path, entry);
    }
    for path in removed {
        root.remove(&path);
    }
    let of_copy = |copy: &Path| match objects.with_library(|_| by_library(copy))? {
        Some(entries) => Ok(entries),
        None => listing::index(worktree, Some(copy)),
    };
    let mut is_stored = true;
    for (path, (oid, mode)) in added(objects, &changed, of_copy)? {
        // What git has an object of (a file that was only touched, or changed back) is read from there.
        let on_disk = (!objects.holds(oid)).then(|| worktree.join(&path));
        is_stored &= on_disk.is_none();
        root.insert(&path, Entry::File(File { oid, mode, on_disk }));
    }
    Ok((Arc::new(root), is_stored))
}

/// What an index says of each path that is a file.
pub(super) type Indexed = BTreeMap<String, (Oid, Mode)>;

fn list(repository: &Repository, worktree: &Path) -> Result<Listed, TreeError> {
    let index = repository.index()?;
    if repository.config()?.get_bool("core.ignorecase").unwrap_or(false) {
        refuse_same_names(index.iter().filter(|entry| stage(entry) == 0).map(|entry| lossy(&entry.path)))?;
    }
    let mut listed = Listed { root: of_index(&index)?, ..Listed::default() };
    let mut options = StatusOptions::new();
    options.show(StatusShow::Workdir).include_untracked(true).recurse_untracked_dirs(true).include_ignored(false);
    for status in repository.statuses(Some(&mut options))?.iter() {
        let path = status.path().map_err(|_| not_utf8(status.path_bytes()))?.trim_end_matches('/').to_owned();
        if matches!(listed.root.entry(&path), Some(Entry::Submodule(_))) {
            match submodule(repository, &path)? {
                Some(entry) => listed.submodules.push((path, entry)),
                None => listed.removed.push(path),
            }
            continue;
        }
        // What lies behind a link that took a folder's place is not there, whatever the system says.
        let is_deleted = status.status().contains(Status::WT_DELETED);
        listed.look(worktree, path, is_deleted, status.status().contains(Status::WT_NEW))?;
    }
    listed.removed.retain(|path| !is_sparse(&index, path));
    Ok(listed)
}

impl Listed {
    /// Looks at what is said to differ.
    pub(super) fn look(
        &mut self,
        worktree: &Path,
        path: String,
        is_deleted: bool,
        is_new: bool,
    ) -> Result<(), TreeError> {
        let on_disk = worktree.join(&path);
        match std::fs::symlink_metadata(&on_disk) {
            _ if is_deleted => self.removed.push(path),
            Ok(metadata) if metadata.is_file() || metadata.is_symlink() => self.changed.push((path, on_disk)),
            Ok(_) if is_new => {}
            Ok(_) => self.removed.push(path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.removed.push(path),
            Err(error) => return Err(TreeError::Io { path: on_disk, error }),
        }
        Ok(())
    }
}

/// Where the disk does not tell cases apart, one of two names would hide the other.
pub(super) fn refuse_same_names(paths: impl IntoIterator<Item = String>) -> Result<(), TreeError> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for path in paths {
        // Folders, too: `Shop/a` and `shop/b` lie in one folder there.
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for part in ends.filter_map(|end| path.get(..end)) {
            let one = seen.entry(part.to_lowercase()).or_insert_with(|| part.to_owned());
            if one != part {
                return Err(TreeError::SameName { one: one.clone(), other: part.to_owned() });
            }
        }
    }
    Ok(())
}

/// The files of a copy of the index.
fn by_library(copy: &Path) -> Result<Indexed, TreeError> {
    let index = Index::open(copy)?;
    let files = index.iter().filter(|entry| stage(entry) == 0).map(|entry| {
        let path = std::str::from_utf8(&entry.path).map_err(|_| not_utf8(&entry.path))?;
        Ok((path.to_owned(), (Oid::from(entry.id), mode(entry.mode))))
    });
    files.collect()
}

fn of_index(index: &Index) -> Result<Directory, TreeError> {
    let mut root = Directory::default();
    // An entry of another stage is one side of a conflict; the status names it, and the disk decides.
    for entry in index.iter().filter(|entry| stage(entry) == 0) {
        let path = std::str::from_utf8(&entry.path).map_err(|_| not_utf8(&entry.path))?;
        let entry = match entry.mode {
            0o160_000 => Entry::Submodule(entry.id.into()),
            number => Entry::File(File { oid: entry.id.into(), mode: mode(number), on_disk: None }),
        };
        root.insert(path, entry);
    }
    Ok(root)
}

fn stage(entry: &IndexEntry) -> u16 {
    (entry.flags >> 12) & 3
}

/// What an index calls a file's mode.
pub(super) fn mode(number: u32) -> Mode {
    match number {
        0o120_000 => Mode::Link,
        0o100_755 => Mode::Executable,
        _ => Mode::Plain,
    }
}

/// Whether a file is absent because the checkout is sparse: that is no deletion.
fn is_sparse(index: &Index, path: &str) -> bool {
    index
        .get_path(Path::new(path), 0)
        .is_some_and(|entry| IndexEntryExtendedFlag::from_bits_truncate(entry.flags_extended).is_skip_worktree())
}

/// What `git add` would make of a submodule that differs from the index; `None` when its folder is gone.
fn submodule(repository: &Repository, path: &str) -> Result<Option<Entry>, TreeError> {
    let status = repository.submodule_status(path, SubmoduleIgnore::None)?;
    if status.contains(SubmoduleStatus::WD_DELETED) {
        return Ok(None);
    }
    if status.intersects(
        SubmoduleStatus::WD_INDEX_MODIFIED | SubmoduleStatus::WD_WD_MODIFIED | SubmoduleStatus::WD_UNTRACKED,
    ) {
        return Err(TreeError::DirtySubmodule(path.to_owned()));
    }
    let submodule = repository.find_submodule(path)?;
    Ok(submodule.workdir_id().or(submodule.index_id()).map(|id| Entry::Submodule(id.into())))
}

pub(super) fn not_utf8(path: &[u8]) -> TreeError {
    TreeError::NotUtf8(lossy(path))
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// What the index would hold of these files after `git add`.
///
/// Filters (line ends, LFS) may be programs, and what they do depends on what the index holds already; only git
/// knows all of it. So git does it: one process for all files, on a copy of the index, and without making objects.
fn added(
    objects: &Objects,
    changed: &[(String, PathBuf)],
    of_copy: impl Fn(&Path) -> Result<Indexed, TreeError>,
) -> Result<Indexed, TreeError> {
    const COMMAND: &[&str] = &["update-index", "--add", "--replace", "--info-only", "-z", "--stdin"];
    let failed = |why: &str| program::failed(COMMAND, why);
    if changed.is_empty() {
        return Ok(Indexed::new());
    }
    let folder = tempfile::tempdir().map_err(|error| failed(&error.to_string()))?;
    let copy = folder.path().join("index");
    copy_index(&objects.git_dir().join("index"), &copy)?;
    let mut git = program::git(objects.worktree())
        .args(["-c", "core.safecrlf=false", "-c", "core.fsmonitor=false", "-c", "core.splitIndex=false"])
        .args(COMMAND)
        .env("GIT_INDEX_FILE", &copy)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| failed(&error.to_string()))?;
    let mut stdin = git.stdin.take().ok_or_else(|| failed("it has no input"))?;
    let asked: String = changed.iter().flat_map(|(path, _)| [path.as_str(), "\0"]).collect();
    // A thread of its own: a filter may fill the other pipe while git is still being told what to add.
    let writer = std::thread::spawn(move || stdin.write_all(asked.as_bytes()));
    let output = git.wait_with_output().map_err(|error| failed(&error.to_string()))?;
    // git's own words tell more than a broken pipe does.
    let _ = writer.join();
    if !output.status.success() {
        return Err(failed(&String::from_utf8_lossy(&output.stderr)));
    }
    let mut index = of_copy(&copy)?;
    changed
        .iter()
        .map(|(path, _)| {
            let entry = index.remove(path);
            entry.map(|entry| (path.clone(), entry)).ok_or_else(|| failed(&format!("it passed over {path:?}")))
        })
        .collect()
}

/// Copies an index with its time: git trusts an entry's size and time only when they are older than the index,
/// so a younger copy would hide an edit made within the same second as the commit before it.
fn copy_index(original: &Path, copy: &Path) -> Result<(), TreeError> {
    let failed = |error| TreeError::Io { path: original.to_owned(), error };
    let modified = match std::fs::metadata(original).and_then(|metadata| metadata.modified()) {
        Ok(modified) => modified,
        // Nothing was ever added.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    // The time is read first: should git write the index meanwhile, the older time makes git look twice.
    std::fs::copy(original, copy).map_err(failed)?;
    std::fs::File::options().write(true).open(copy).and_then(|file| file.set_modified(modified)).map_err(failed)
}
