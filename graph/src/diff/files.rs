//! Which files differ between two folders.

use serde::Serialize;

use crate::tree::{Directory, Entry, File, joined};

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
        found.folders(path, before, after);
        (found.count > 0).then_some(found)
    }

    /// What differs between what lies at a path: files, folders, one of each, or nothing on one side.
    pub(super) fn between_entries(path: &str, before: Option<&Entry>, after: Option<&Entry>) -> Option<Self> {
        let mut found = Self::default();
        found.entries(path.to_owned(), before, after);
        (found.count > 0).then_some(found)
    }

    fn folders(&mut self, path: &str, before: &Directory, after: &Directory) {
        if before.oid() == after.oid() {
            return;
        }
        // Both are sorted by name: one walk along both.
        let (mut olds, mut news) = (before.entries().peekable(), after.entries().peekable());
        loop {
            let order = match (olds.peek(), news.peek()) {
                (None, None) => return,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((old, _)), Some((new, _))) => old.cmp(new),
            };
            let old = if order.is_le() { olds.next() } else { None };
            let new = if order.is_ge() { news.next() } else { None };
            let Some((name, _)) = old.or(new) else { return };
            self.entries(joined(path, name), old.map(|(_, entry)| entry), new.map(|(_, entry)| entry));
        }
    }

    fn entries(&mut self, path: String, before: Option<&Entry>, after: Option<&Entry>) {
        match (before, after) {
            (Some(Entry::Directory(before)), Some(Entry::Directory(after))) => self.folders(&path, before, after),
            (Some(Entry::File(before)), Some(Entry::File(after))) => {
                if let Some(kind) = between_files(before, after) {
                    self.add(path, kind);
                }
            }
            (Some(Entry::Submodule(before)), Some(Entry::Submodule(after))) => {
                if before != after {
                    self.add(path, FileChangeKind::Modified);
                }
            }
            (before, after) => {
                for (entry, kind) in [(before, FileChangeKind::Removed), (after, FileChangeKind::Added)] {
                    match entry {
                        Some(Entry::Directory(directory)) => {
                            for (name, entry) in directory.entries() {
                                let sides = if kind == FileChangeKind::Added {
                                    (None, Some(entry))
                                } else {
                                    (Some(entry), None)
                                };
                                self.entries(format!("{path}/{name}"), sides.0, sides.1);
                            }
                        }
                        Some(_) => self.add(path.clone(), kind),
                        None => {}
                    }
                }
            }
        }
    }

    fn add(&mut self, path: String, kind: FileChangeKind) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(FileChange { path, kind });
        }
    }
}

fn between_files(before: &File, after: &File) -> Option<FileChangeKind> {
    match (before.oid == after.oid, before.mode == after.mode) {
        (true, true) => None,
        (true, false) => Some(FileChangeKind::Mode),
        (false, _) => Some(FileChangeKind::Modified),
    }
}
