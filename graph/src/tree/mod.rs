//! The one module that touches the file system and git: a repository's files as a value.
//!
//! A [`Tree`] comes from a work tree or from a commit without a checkout. Both give the same value where
//! the work tree is clean: every file carries the id that git gives its content.

mod archive;
mod directory;
pub mod history;
mod locate;
mod worktree;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::{ObjectType, Repository};

pub use archive::Dockerfile;
pub use directory::{Directory, Entry, File, Mode};
pub use git2::Oid;
pub use locate::{Located, locate};

/// A repository's files, read once.
pub struct Tree {
    repository: Repository,
    root: Arc<Directory>,
    commit: Option<Commit>,
    located: Located,
}

/// What is told of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its full id, in hexadecimal.
    pub id: String,
    /// The first line of its message.
    pub summary: String,
    /// Its author's name.
    pub author: String,
    /// When it was made, in seconds since 1970.
    pub time: i64,
}

/// Why a repository's files could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// There is no repository at or above the folder.
    #[error(
        "{0} is not in a git repository: a cluster is a value of a repository's files. Run `git init` and commit them"
    )]
    NoRepository(PathBuf),
    /// The repository has no work tree.
    #[error("{0} is a bare repository, without files to work on: use a clone of it")]
    Bare(PathBuf),
    /// The revision names nothing.
    #[error("`{revision}` names no commit: {why}")]
    NoCommit {
        /// What was asked for.
        revision: String,
        /// git's own words.
        why: String,
    },
    /// A name that is no text.
    #[error("{0} has a name that is not UTF-8: rename it")]
    NotUtf8(String),
    /// A submodule has changes of its own.
    #[error("the submodule {0} has changes that are not committed: commit them there, then here")]
    DirtySubmodule(String),
    /// git itself failed.
    #[error("git: {0}")]
    Git(#[from] git2::Error),
    /// A file could not be read.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The `git` program failed.
    #[error("`git {command}` failed: {why}")]
    Program {
        /// Its arguments.
        command: String,
        /// Its last words.
        why: String,
    },
}

impl Tree {
    /// The files as they lie in the work tree: committed, changed, and untracked but not ignored.
    ///
    /// # Errors
    /// When there is no repository, or git or the file system fails.
    pub fn of_worktree(folder: &Path) -> Result<Self, TreeError> {
        let located = locate(folder)?;
        let repository = Repository::open(&located.git_dir)?;
        let whole = worktree::read(&repository, &located.worktree)?;
        let root = whole.folder(&located.prefix).unwrap_or_default();
        Ok(Self { repository, root, commit: None, located })
    }

    /// The files of a commit, read from git's objects; the work tree is neither read nor touched.
    ///
    /// # Errors
    /// When there is no repository or no such commit, or git fails.
    pub fn of_commit(folder: &Path, revision: &str) -> Result<Self, TreeError> {
        let located = locate(folder)?;
        let repository = Repository::open(&located.git_dir)?;
        let (commit, root) = {
            let object =
                repository.revparse_single(revision).and_then(|object| object.peel(ObjectType::Commit)).map_err(
                    |error| TreeError::NoCommit { revision: revision.to_owned(), why: error.message().to_owned() },
                )?;
            let found = object.into_commit().map_err(|_| TreeError::NoCommit {
                revision: revision.to_owned(),
                why: "it is no commit".to_owned(),
            })?;
            let whole = Arc::new(read_tree(&repository, &found.tree()?)?);
            let root = whole.folder(&located.prefix).unwrap_or_default();
            let commit = Commit {
                id: found.id().to_string(),
                summary: found.summary().ok().flatten().unwrap_or_default().to_owned(),
                author: String::from_utf8_lossy(found.author().name_bytes()).into_owned(),
                time: found.time().seconds(),
            };
            (commit, root)
        };
        Ok(Self { repository, root, commit: Some(commit), located })
    }

    /// The commit, when this is one's tree.
    #[must_use]
    pub fn commit(&self) -> Option<&Commit> {
        self.commit.as_ref()
    }

    /// Where the repository lies on this machine.
    #[must_use]
    pub fn located(&self) -> &Located {
        &self.located
    }

    /// The folder that holds `clustergraph.yaml`, or the repository's root.
    #[must_use]
    pub fn root(&self) -> &Arc<Directory> {
        &self.root
    }

    /// The content of a file.
    ///
    /// # Errors
    /// When git or the file system fails.
    pub fn read(&self, file: &File) -> Result<Vec<u8>, TreeError> {
        match &file.on_disk {
            Some(path) if file.mode == Mode::Link => std::fs::read_link(path)
                .map(|target| target.into_os_string().into_encoded_bytes())
                .map_err(|error| TreeError::Io { path: path.clone(), error }),
            Some(path) => std::fs::read(path).map_err(|error| TreeError::Io { path: path.clone(), error }),
            None => Ok(self.repository.find_blob(file.oid)?.content().to_vec()),
        }
    }

    /// The size of a file in bytes, without reading it.
    ///
    /// # Errors
    /// When git or the file system fails.
    pub fn size(&self, file: &File) -> Result<u64, TreeError> {
        match &file.on_disk {
            Some(path) => std::fs::symlink_metadata(path)
                .map(|metadata| metadata.len())
                .map_err(|error| TreeError::Io { path: path.clone(), error }),
            None => {
                let (size, _) = self.repository.odb()?.read_header(file.oid)?;
                Ok(size as u64)
            }
        }
    }
}

fn read_tree(repository: &Repository, tree: &git2::Tree<'_>) -> Result<Directory, TreeError> {
    let mut directory = Directory::default();
    for entry in tree {
        let name = entry
            .name()
            .map_err(|_| TreeError::NotUtf8(String::from_utf8_lossy(entry.name_bytes()).into_owned()))?
            .to_owned();
        let entry = match entry.kind() {
            Some(ObjectType::Tree) => {
                Entry::Directory(Arc::new(read_tree(repository, &repository.find_tree(entry.id())?)?))
            }
            Some(ObjectType::Commit) => Entry::Submodule(entry.id()),
            _ => {
                let mode = match entry.filemode() {
                    0o120_000 => Mode::Link,
                    0o100_755 => Mode::Executable,
                    _ => Mode::Plain,
                };
                Entry::File(File { oid: entry.id(), mode, on_disk: None })
            }
        };
        directory.entries.insert(name, entry);
    }
    directory.know_oid(tree.id());
    Ok(directory)
}
