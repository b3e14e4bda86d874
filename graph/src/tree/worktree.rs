//! A work tree as the tree that `git add --all` would make of it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use git2::{
    Index, IndexEntry, IndexEntryExtendedFlag, Repository, Status, StatusOptions, StatusShow, SubmoduleIgnore,
    SubmoduleStatus,
};

use super::TreeError;
use super::directory::{Directory, Entry, File, Mode};

/// Reads the index, then what differs from it on disk.
///
/// A repository inside that is no submodule is passed over: its files belong to it.
pub(super) fn read(repository: &Repository, worktree: &Path) -> Result<Arc<Directory>, TreeError> {
    let index = repository.index()?;
    let mut root = of_index(&index)?;
    let mut options = StatusOptions::new();
    options.show(StatusShow::Workdir).include_untracked(true).recurse_untracked_dirs(true).include_ignored(false);
    let mut removed = Vec::new();
    let mut changed = Vec::new();
    for status in repository.statuses(Some(&mut options))?.iter() {
        let path = status.path().map_err(|_| not_utf8(status.path_bytes()))?.trim_end_matches('/').to_owned();
        if matches!(root.entry(&path), Some(Entry::Submodule(_))) {
            match submodule(repository, &path)? {
                Some(entry) => root.insert(&path, entry),
                None => removed.push(path),
            }
            continue;
        }
        let on_disk = worktree.join(&path);
        match std::fs::symlink_metadata(&on_disk) {
            // What lies behind a link that took a folder's place is not there, whatever the system says.
            _ if status.status().contains(Status::WT_DELETED) => removed.push(path),
            Ok(metadata) if metadata.is_file() || metadata.is_symlink() => changed.push((path, on_disk)),
            Ok(_) if status.status().contains(Status::WT_NEW) => {}
            Ok(_) => removed.push(path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => removed.push(path),
            Err(error) => return Err(TreeError::Io { path: on_disk, error }),
        }
    }
    for path in removed.iter().filter(|path| !is_sparse(&index, path)) {
        root.remove(path);
    }
    let objects = repository.odb()?;
    for (path, entry) in added(repository, worktree, &changed)? {
        // What git has an object of (a file that was only touched, or changed back) is read from there.
        let on_disk = (!objects.exists(entry.id)).then(|| worktree.join(&path));
        root.insert(&path, Entry::File(File { oid: entry.id, mode: mode(&entry), on_disk }));
    }
    Ok(Arc::new(root))
}

fn of_index(index: &Index) -> Result<Directory, TreeError> {
    let mut root = Directory::default();
    // An entry of another stage is one side of a conflict; the status names it, and the disk decides.
    for entry in index.iter().filter(|entry| stage(entry) == 0) {
        let path = std::str::from_utf8(&entry.path).map_err(|_| not_utf8(&entry.path))?;
        let entry = match entry.mode {
            0o160_000 => Entry::Submodule(entry.id),
            _ => Entry::File(File { oid: entry.id, mode: mode(&entry), on_disk: None }),
        };
        root.insert(path, entry);
    }
    Ok(root)
}

fn stage(entry: &IndexEntry) -> u16 {
    (entry.flags >> 12) & 3
}

fn mode(entry: &IndexEntry) -> Mode {
    match entry.mode {
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
    Ok(submodule.workdir_id().or(submodule.index_id()).map(Entry::Submodule))
}

fn not_utf8(path: &[u8]) -> TreeError {
    TreeError::NotUtf8(String::from_utf8_lossy(path).into_owned())
}

/// What the index would hold of these files after `git add`.
///
/// Filters (line ends, LFS) may be programs, and what they do depends on what the index holds already; only git
/// knows all of it. So git does it: one process for all files, on a copy of the index, and without making objects.
fn added(
    repository: &Repository,
    worktree: &Path,
    changed: &[(String, PathBuf)],
) -> Result<Vec<(String, IndexEntry)>, TreeError> {
    const COMMAND: &[&str] = &["update-index", "--add", "--replace", "--info-only", "-z", "--stdin"];
    let failed = |why: &str| TreeError::Program { command: COMMAND.join(" "), why: why.to_owned() };
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    let folder = tempfile::tempdir().map_err(|error| failed(&error.to_string()))?;
    let copy = folder.path().join("index");
    copy_index(&repository.path().join("index"), &copy)?;
    let mut git = Command::new("git")
        .args(["-c", "core.safecrlf=false", "-c", "core.fsmonitor=false", "-c", "core.splitIndex=false"])
        .args(COMMAND)
        .current_dir(worktree)
        // Inside a hook these name another repository's parts, or a commit's half-made index.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_PREFIX")
        .env("GIT_INDEX_FILE", &copy)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
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
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim()));
    }
    let index = Index::open(&copy)?;
    changed
        .iter()
        .map(|(path, _)| {
            let entry = index.get_path(Path::new(path), 0);
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
