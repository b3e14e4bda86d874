//! A work tree as git tells of it, for repositories that libgit2 cannot read.

use std::path::Path;

use super::directory::{Directory, Entry, File};
use super::oid::Oid;
use super::worktree::{Indexed, Listed, mode, not_utf8, refuse_same_names};
use super::{TreeError, program};

const INDEX: &[&str] = &["ls-files", "--stage", "-z"];
const IGNORE_CASE: &[&str] = &["config", "--type=bool", "--default=false", "core.ignorecase"];
const STATUS: &[&str] =
    &["status", "--porcelain=v2", "-z", "--untracked-files=all", "--ignore-submodules=none", "--no-renames"];

/// The files of an index: the work tree's own, or a copy of it.
pub(super) fn index(worktree: &Path, copy: Option<&Path>) -> Result<Indexed, TreeError> {
    let rows = rows(worktree, copy)?;
    Ok(rows.into_iter().filter(|row| row.mode != SUBMODULE).map(|row| (row.path, (row.oid, mode(row.mode)))).collect())
}

/// Reads the index, and what git says differs from it.
pub(super) fn list(worktree: &Path) -> Result<Listed, TreeError> {
    let mut root = Directory::default();
    let rows = rows(worktree, None)?;
    if program::line(worktree, IGNORE_CASE)? == "true" {
        refuse_same_names(rows.iter().map(|row| row.path.clone()))?;
    }
    for row in rows {
        let entry = match row.mode {
            SUBMODULE => Entry::Submodule(row.oid),
            number => Entry::File(File { oid: row.oid, mode: mode(number), on_disk: None }),
        };
        root.insert(&row.path, entry);
    }
    let mut listed = Listed { root, ..Listed::default() };
    for line in program::output(worktree, STATUS)?.split(|byte| *byte == 0) {
        let Some((kind, rest)) = line.split_first() else { continue };
        // Before the path: for a change 7 words, of a conflict 9, of an untracked file none.
        let words = match kind {
            b'1' => 8,
            b'u' => 10,
            b'?' => 1,
            _ => continue,
        };
        let mut parts = rest.splitn(words + 1, |byte| *byte == b' ').skip(1);
        let part = |parts: &mut dyn Iterator<Item = &[u8]>| {
            parts.next().map(String::from_utf8_lossy).unwrap_or_default().into_owned()
        };
        let path = |raw: Option<&[u8]>| {
            let raw = raw.unwrap_or_default();
            std::str::from_utf8(raw).map(str::to_owned).map_err(|_| not_utf8(raw))
        };
        if *kind == b'?' {
            let path = path(parts.next())?;
            // A repository of its own.
            if !path.ends_with('/') {
                listed.look(worktree, path, false, true)?;
            }
            continue;
        }
        let (state, submodule) = (part(&mut parts), part(&mut parts));
        let path = path(parts.last())?;
        match (state.chars().nth(1), submodule.starts_with('S')) {
            // Only the index differs from the last commit.
            (Some('.'), _) if *kind == b'1' => {}
            (Some('D'), true) => listed.removed.push(path),
            (_, true) => {
                if submodule.contains(['M', 'U']) {
                    return Err(TreeError::DirtySubmodule(path));
                }
                let head = program::line(&worktree.join(&path), &["rev-parse", "HEAD"])?;
                let oid = Oid::of_digits(&head).ok_or_else(|| program::failed(&["rev-parse", "HEAD"], &head))?;
                listed.submodules.push((path, Entry::Submodule(oid)));
            }
            (state, false) => listed.look(worktree, path, state == Some('D') && *kind == b'1', false)?,
        }
    }
    Ok(listed)
}

const SUBMODULE: u32 = 0o160_000;

/// One line of what git lists.
struct Row {
    mode: u32,
    oid: Oid,
    path: String,
}

/// Entries of other stages are sides of a conflict; the status names it, and the disk decides.
fn rows(worktree: &Path, copy: Option<&Path>) -> Result<Vec<Row>, TreeError> {
    let mut git = program::git(worktree);
    git.envs(copy.map(|copy| ("GIT_INDEX_FILE", copy)));
    let listed = program::output_of(git, INDEX)?;
    let mut rows = Vec::new();
    for line in listed.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let tab = line.iter().position(|byte| *byte == b'\t').unwrap_or(line.len());
        let (head, path) = line.split_at(tab);
        let path = path.get(1..).unwrap_or_default();
        let head = String::from_utf8_lossy(head);
        let mut words = head.split(' ');
        let mode = words.next().and_then(|mode| u32::from_str_radix(mode, 8).ok());
        let (Some(mode), Some(oid)) = (mode, words.next().and_then(Oid::of_digits)) else {
            return Err(program::failed(INDEX, &format!("it says {:?}", String::from_utf8_lossy(line))));
        };
        if words.next() == Some("0") {
            let path = std::str::from_utf8(path).map_err(|_| not_utf8(path))?.to_owned();
            rows.push(Row { mode, oid, path });
        }
    }
    Ok(rows)
}
