//! A work tree as the tree that `git add --all` would make of it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use git2::{ObjectType, Oid, Repository, Status, StatusOptions};

use super::directory::{Directory, Entry, File, Mode};
use super::{TreeError, read_tree};

/// Reads the index, then what differs from it on disk.
pub(super) fn read(repository: &Repository, worktree: &Path) -> Result<Arc<Directory>, TreeError> {
    let mut root = match repository.head().and_then(|head| head.peel_to_tree()) {
        Ok(tree) => read_tree(repository, &tree)?,
        // Before the first commit everything is new.
        Err(_) => Directory::default(),
    };
    let mut options = StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true).include_ignored(false).renames_head_to_index(false);
    let mut changed = Vec::new();
    for status in repository.statuses(Some(&mut options))?.iter() {
        let path = status
            .path()
            .map_err(|_| TreeError::NotUtf8(String::from_utf8_lossy(status.path_bytes()).into_owned()))?
            .trim_end_matches('/')
            .to_owned();
        if matches!(root.entry(&path), Some(Entry::Submodule(_))) && status.status().intersects(Status::WT_MODIFIED) {
            return Err(TreeError::DirtySubmodule(path));
        }
        let on_disk = worktree.join(&path);
        match std::fs::symlink_metadata(&on_disk) {
            Ok(metadata) if metadata.is_file() || metadata.is_symlink() => changed.push((path, on_disk, metadata)),
            // A folder here is a repository of its own: git adds nothing of it.
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => root.remove(&path),
            Err(error) => return Err(TreeError::Io { path: on_disk, error }),
        }
    }
    let plain: Vec<&str> =
        changed.iter().filter(|(_, _, metadata)| metadata.is_file()).map(|(path, _, _)| path.as_str()).collect();
    let mut oids = hash_as_git_add_would(worktree, &plain)?.into_iter();
    for (path, on_disk, metadata) in changed {
        let (oid, mode) = if metadata.is_symlink() {
            let target =
                std::fs::read_link(&on_disk).map_err(|error| TreeError::Io { path: on_disk.clone(), error })?;
            (Oid::hash_object(ObjectType::Blob, target.as_os_str().as_encoded_bytes())?, Mode::Link)
        } else {
            let oid = oids.next().ok_or_else(|| program("hash-object", "it answered for fewer files than asked"))?;
            (oid, if is_executable(&metadata) { Mode::Executable } else { Mode::Plain })
        };
        root.insert(&path, Entry::File(File { oid, mode, on_disk: Some(on_disk) }));
    }
    Ok(Arc::new(root))
}

#[cfg(unix)]
fn is_executable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &std::fs::Metadata) -> bool {
    false
}

fn program(command: &str, why: &str) -> TreeError {
    TreeError::Program { command: command.to_owned(), why: why.to_owned() }
}

/// The ids that `git add` would give these files. Filters (line ends, LFS) may be programs that only git
/// itself knows how to run, so git does it: one process for all files.
fn hash_as_git_add_would(worktree: &Path, paths: &[&str]) -> Result<Vec<Oid>, TreeError> {
    const COMMAND: &str = "hash-object --stdin-paths";
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(odd) = paths.iter().find(|path| path.contains('\n')) {
        return Err(program(COMMAND, &format!("the name {odd:?} has a line break: rename the file")));
    }
    let failed = |error: std::io::Error| program(COMMAND, &error.to_string());
    let mut git = Command::new("git")
        .args(COMMAND.split(' '))
        .current_dir(worktree)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut stdin = git.stdin.take().ok_or_else(|| program(COMMAND, "it has no input"))?;
    let asked = paths.join("\n") + "\n";
    // A thread of its own: git answers while it is still being asked, and both pipes are finite.
    let writer = std::thread::spawn(move || stdin.write_all(asked.as_bytes()));
    let output = git.wait_with_output().map_err(failed)?;
    // git's own words tell more than a broken pipe does.
    let _ = writer.join();
    if !output.status.success() {
        return Err(program(COMMAND, String::from_utf8_lossy(&output.stderr).trim()));
    }
    String::from_utf8_lossy(&output.stdout).lines().map(|line| Oid::from_str(line).map_err(TreeError::from)).collect()
}
