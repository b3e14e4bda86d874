//! Which files are a service's sources.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::discover::SERVICE_FILE;
use crate::catalogue::Stack;
use crate::format::lock::LOCK_FILE;
use crate::tree::{Directory, Entry, REPOSITORY_FILE, joined};

/// What a service says of its sources.
pub(crate) struct Selection<'s> {
    /// Its folder.
    pub(crate) folder: &'s str,
    /// Patterns of what is none.
    pub(crate) ignore: &'s [String],
    /// What it includes from elsewhere.
    pub(crate) include: &'s [String],
    /// Its stack, which may know more.
    pub(crate) stack: &'s Stack,
}

/// The files that a build of a service reads, in repository layout: its folder without `service.yaml`,
/// the folders of services below it and what it ignores, its stack's files in the folders above (`go.work`), and what it
/// includes from elsewhere, where that is there.
pub(crate) fn sources(
    root: &Arc<Directory>,
    selection: &Selection<'_>,
    all_folders: &BTreeSet<String>,
) -> Arc<Directory> {
    let Selection { folder, stack, .. } = *selection;
    let mut ignore = GitignoreBuilder::new("");
    for pattern in selection.ignore {
        // Each was tried when the file was read; one that fails nevertheless ignores nothing.
        let _ = ignore.add_line(None, pattern);
    }
    let ignore = ignore.build().unwrap_or_else(|_| Gitignore::empty());
    // What a setup installs is no source, whether or not `.gitignore` says so.
    let installed = stack.setup.as_ref().and_then(|setup| setup.into.as_deref());
    let whole = root.folder(folder).unwrap_or_default();
    let is_folder = |path: &&str| matches!(whole.entry(path), Some(Entry::Directory(_)));
    let settings = folder.is_empty().then_some([REPOSITORY_FILE, LOCK_FILE]);
    let own = whole.without_paths([SERVICE_FILE].into_iter().chain(settings.into_iter().flatten()));
    let own = own.without_paths(below(all_folders, folder).chain(installed).filter(is_folder));
    // Only what is ignored may lie anywhere.
    let own = if ignore.is_empty() {
        own
    } else {
        own.without(&|path, is_folder| ignore.matched(path, is_folder).is_ignore())
    };
    if folder.is_empty() && selection.include.is_empty() {
        return own;
    }
    let mut sources = Directory::default();
    if folder.is_empty() {
        sources = (*own).clone();
    } else {
        sources.insert(folder, Entry::Directory(own));
    }
    for path in stack.workspace.iter().flat_map(|name| above(folder).map(move |above| joined(above, name))) {
        if let Some(Entry::File(file)) = root.entry(&path) {
            sources.insert(&path, Entry::File(file.clone()));
        }
    }
    for path in selection.include.iter().filter(|path| !holds(path, folder)) {
        match root.entry(path) {
            Some(Entry::Directory(directory)) => {
                sources.insert(path, Entry::Directory(without_service_files(directory, path, all_folders)));
            }
            Some(entry) => sources.insert(path, entry.clone()),
            None => {}
        }
    }
    Arc::new(sources)
}

/// Whether a folder is another one, or lies above it.
pub(super) fn holds(path: &str, folder: &str) -> bool {
    folder.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The folders above a folder, the nearest first; the root is the empty path.
pub(super) fn above(folder: &str) -> impl Iterator<Item = &str> {
    fn parent<'f>(folder: &&'f str) -> Option<&'f str> {
        (!folder.is_empty()).then(|| folder.rsplit_once('/').map_or("", |(above, _)| above))
    }
    std::iter::successors(parent(&folder), parent)
}

/// The folders of services below a folder, relative to it.
fn below<'f>(all_folders: &'f BTreeSet<String>, folder: &str) -> impl Iterator<Item = &'f str> {
    let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let from = (Bound::Excluded(start.as_str()), Bound::Unbounded);
    let folders: Vec<&'f str> =
        all_folders.range::<str, _>(from).map_while(|path| path.strip_prefix(start.as_str())).collect();
    folders.into_iter()
}

/// What another service is must not change this one, however it is written down: only its files may.
fn without_service_files(directory: &Arc<Directory>, at: &str, all_folders: &BTreeSet<String>) -> Arc<Directory> {
    let own = all_folders.contains(at).then(|| SERVICE_FILE.to_owned());
    let files: Vec<String> =
        own.into_iter().chain(below(all_folders, at).map(|folder| joined(folder, SERVICE_FILE))).collect();
    directory.without_paths(files.iter().map(String::as_str))
}
