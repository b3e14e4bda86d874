//! Where a repository lies.

use std::path::{Path, PathBuf};

use git2::{ErrorCode, Repository};

use super::{TreeError, program};

/// The file that marks a repository's root where that is not git's.
pub(crate) const REPOSITORY_FILE: &str = "clustergraph.yaml";

/// A repository on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The work tree's git folder (`.git`, or the linked work tree's own below it).
    pub git_dir: PathBuf,
    /// The work tree's root, absolute.
    pub worktree: PathBuf,
    /// The folder of `clustergraph.yaml` below the work tree's root, with `/` between its parts; empty for the root.
    pub prefix: String,
}

impl Located {
    /// The folder of `clustergraph.yaml`, absolute.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.worktree.join(&self.prefix)
    }
}

/// Finds the repository of a folder: the nearest `clustergraph.yaml` at or above it, else git's root.
///
/// # Errors
/// When there is no repository or it has no work tree.
pub fn locate(folder: &Path) -> Result<Located, TreeError> {
    let folder = folder.canonicalize().map_err(|error| TreeError::Io { path: folder.to_owned(), error })?;
    let (git_dir, worktree) = match Repository::discover(&folder) {
        Ok(repository) => (repository.path().to_owned(), repository.workdir().map(Path::to_owned)),
        Err(error) if error.code() == ErrorCode::NotFound => return Err(TreeError::NoRepository(folder)),
        // What libgit2 cannot open, git may; else its words say why.
        Err(_) => by_program(&folder)?,
    };
    let worktree = worktree.ok_or_else(|| TreeError::Bare(folder.clone()))?;
    let worktree = worktree.canonicalize().map_err(|error| TreeError::Io { path: worktree.clone(), error })?;
    let marked = folder
        .ancestors()
        .take_while(|ancestor| ancestor.starts_with(&worktree))
        .find(|ancestor| ancestor.join(REPOSITORY_FILE).is_file());
    let prefix = match marked.and_then(|marked| marked.strip_prefix(&worktree).ok()) {
        None => String::new(),
        Some(prefix) => prefix.to_str().ok_or_else(|| TreeError::NotUtf8(prefix.display().to_string()))?.to_owned(),
    };
    Ok(Located { git_dir, worktree, prefix })
}

/// The git folder and the work tree, as git finds them.
fn by_program(folder: &Path) -> Result<(PathBuf, Option<PathBuf>), TreeError> {
    let git_dir = program::line(folder, &["rev-parse", "--absolute-git-dir"])?;
    let is_inside = program::line(folder, &["rev-parse", "--is-inside-work-tree"])? == "true";
    let worktree = match is_inside {
        true => Some(PathBuf::from(program::line(folder, &["rev-parse", "--show-toplevel"])?)),
        false => None,
    };
    Ok((PathBuf::from(git_dir), worktree))
}
