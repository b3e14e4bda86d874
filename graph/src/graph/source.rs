//! Which files are a service's sources.

use std::sync::Arc;

use ignore::gitignore::GitignoreBuilder;

use super::Located;
use crate::catalogue::Stack;
use crate::diagnostic::{Problem, Problems};
use crate::tree::{Directory, Entry};

/// The files that a build of `service` reads, in repository layout: its folder without `service.yaml`,
/// the folders of services below it and what it ignores, and what it includes from elsewhere.
pub(crate) fn sources(
    root: &Arc<Directory>,
    service: &Located,
    stack: &Stack,
    all_folders: &[&str],
    problems: &mut Problems,
) -> Arc<Directory> {
    let mut ignore = GitignoreBuilder::new("");
    for pattern in &service.file.ignore {
        if let Err(error) = ignore.add_line(None, pattern) {
            problems.add(Problem::new(
                "ignore",
                service.file.name_place.clone(),
                format!("`ignore: {pattern}`: {error}"),
            ));
        }
    }
    let ignore = match ignore.build() {
        Ok(ignore) => ignore,
        Err(error) => {
            problems.add(Problem::new("ignore", service.file.name_place.clone(), format!("`ignore`: {error}")));
            return Arc::default();
        }
    };
    let folder = service.folder.as_str();
    let full = |path: &str| if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") };
    // What a setup installs is no source, whether or not `.gitignore` says so.
    let installed = stack.setup.as_ref().and_then(|setup| setup.into.as_deref());
    let unwanted = |path: &str, is_folder: bool| {
        path == "service.yaml"
            || folder.is_empty() && path == "clustergraph.yaml"
            || is_folder && all_folders.contains(&full(path).as_str())
            || is_folder && Some(path) == installed
            || ignore.matched(path, is_folder).is_ignore()
    };
    let own = root.folder(folder).unwrap_or_default().without(&unwanted);
    if folder.is_empty() && service.file.include.is_empty() {
        return own;
    }
    let mut sources = Directory::default();
    if folder.is_empty() {
        sources = (*own).clone();
    } else {
        sources.insert(folder, Entry::Directory(own));
    }
    for (path, place) in &service.file.include {
        match root.entry(path) {
            Some(entry) => sources.insert(path, entry.clone()),
            None => problems.add(
                Problem::new("missing-file", place.clone(), format!("there is no `{path}` to include"))
                    .mend("the path starts at the repository's root; ignored files are no sources"),
            ),
        }
    }
    Arc::new(sources)
}
