//! Which files differ between two folders.

use std::ops::ControlFlow;

use serde::Serialize;

use crate::tree::{Directory, Entry, compare, compare_entries};

/// Files that are named one by one; the others are counted.
const NAMED: usize = 20;

/// Files that differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FilesChange {
    /// The first of them, by path.
    pub named: Vec<FileChange>,
    /// How many there are.
    pub count: usize,
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Its path, relative to the repository's root.
    pub path: String,
    /// How it differs.
    pub kind: FileChangeKind,
}

/// How a file differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileChangeKind {
    /// It is new among the sources.
    Added,
    /// It is gone from the sources.
    Removed,
    /// Its content differs.
    Modified,
    /// Only what git keeps of its permissions differs.
    Mode,
}

impl FileChangeKind {
    /// The word for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Modified => "changed",
            Self::Mode => "changed its mode",
        }
    }
}

impl FilesChange {
    /// What differs between two folders that lie at `path`; nothing when their ids are equal.
    pub(super) fn between(path: &str, before: &Directory, after: &Directory) -> Option<Self> {
        let mut found = Self::default();
        let _ = compare(path, before, after, &mut |path, before, after| found.add(path, before, after));
        (found.count > 0).then_some(found)
    }

    /// What differs between what lies at a path: files, folders, one of each, or nothing on one side.
    pub(super) fn between_entries(path: &str, before: Option<&Entry>, after: Option<&Entry>) -> Option<Self> {
        let mut found = Self::default();
        let _ = compare_entries(path, before, after, &mut |path, before, after| found.add(path, before, after));
        (found.count > 0).then_some(found)
    }

    fn add(&mut self, path: &str, before: Option<&Entry>, after: Option<&Entry>) -> ControlFlow<()> {
        let kind = match (before, after) {
            (None, _) => FileChangeKind::Added,
            (_, None) => FileChangeKind::Removed,
            (Some(Entry::File(before)), Some(Entry::File(after))) if before.oid == after.oid => FileChangeKind::Mode,
            _ => FileChangeKind::Modified,
        };
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(FileChange { path: path.to_owned(), kind });
        }
        ControlFlow::Continue(())
    }
}
