//! What differs between two folders: folders with the same id are not walked.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use super::directory::{Directory, Entry, joined};

/// Tells of each file, link and submodule that is not the same on both sides, by its path below `path`, in order, until it
/// is told to stop.
pub(crate) fn compare(
    path: &str,
    before: &Directory,
    after: &Directory,
    tell: &mut impl FnMut(&str, Option<&Entry>, Option<&Entry>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    if before.oid() == after.oid() {
        return ControlFlow::Continue(());
    }
    // Both are sorted by name: one walk along both.
    let (mut olds, mut news) = (before.entries().peekable(), after.entries().peekable());
    loop {
        let order = match (olds.peek(), news.peek()) {
            (None, None) => return ControlFlow::Continue(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let old = if order.is_le() { olds.next() } else { None };
        let new = if order.is_ge() { news.next() } else { None };
        let Some((name, _)) = old.or(new) else { return ControlFlow::Continue(()) };
        let (old, new) = (old.map(|(_, entry)| entry), new.map(|(_, entry)| entry));
        // Most are the same: their paths are not written down.
        if !is_same(old, new) {
            compare_entries(&joined(path, name), old, new, tell)?;
        }
    }
}

/// The same of what lies at a path: files, folders, one of each, or nothing on one side. A folder is told of by what it holds.
pub(crate) fn compare_entries(
    path: &str,
    before: Option<&Entry>,
    after: Option<&Entry>,
    tell: &mut impl FnMut(&str, Option<&Entry>, Option<&Entry>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    if is_same(before, after) {
        return ControlFlow::Continue(());
    }
    let is_leaf = |entry: &&Entry| !matches!(entry, Entry::Directory(_));
    let (old, new) = (before.filter(is_leaf), after.filter(is_leaf));
    if old.is_some() || new.is_some() {
        tell(path, old, new)?;
    }
    match (folder(before), folder(after)) {
        (None, None) => ControlFlow::Continue(()),
        (Some(before), None) => compare(path, before, &Directory::default(), tell),
        (None, Some(after)) => compare(path, &Directory::default(), after, tell),
        (Some(before), Some(after)) => compare(path, before, after, tell),
    }
}

fn folder(entry: Option<&Entry>) -> Option<&Directory> {
    match entry {
        Some(Entry::Directory(directory)) => Some(directory),
        _ => None,
    }
}

fn is_same(before: Option<&Entry>, after: Option<&Entry>) -> bool {
    match (before, after) {
        (Some(Entry::File(before)), Some(Entry::File(after))) => (before.oid, before.mode) == (after.oid, after.mode),
        (Some(Entry::Submodule(before)), Some(Entry::Submodule(after))) => before == after,
        (Some(Entry::Directory(before)), Some(Entry::Directory(after))) => before.oid() == after.oid(),
        (None, None) => true,
        _ => false,
    }
}
