//! The one module that touches the file system and git: a repository's files as a value.
//!
//! A [`Tree`] comes from a work tree or from a commit without a checkout. Both give the same value where
//! the work tree is clean: every file carries the id that git gives its content.

mod archive;
mod cache;
mod commit;
mod compare;
mod directory;
pub mod history;
mod lfs;
mod listing;
mod locate;
mod objects;
mod oid;
mod program;
mod worktree;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use archive::Dockerfile;
pub use cache::user_cache;
pub(crate) use cache::{Cache, Stored};
pub use commit::Commit;
pub(crate) use compare::{compare, compare_entries};
pub(crate) use directory::joined;
pub use directory::{Directory, Entry, File, Mode};
pub use lfs::Pointer;
pub(crate) use locate::REPOSITORY_FILE;
pub use locate::{Located, locate};
use objects::Objects;
pub use oid::Oid;

/// A repository's files. Each folder and file of a commit is read when it is asked for.
pub struct Tree {
    objects: Arc<Objects>,
    root: Arc<Directory>,
    commit: Option<Commit>,
    located: Located,
    /// Whether git has an object of every file.
    is_stored: bool,
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
    /// Two names that this machine cannot tell apart.
    #[error(
        "{one} and {other} differ only in case, and this file system takes them for one: rename one where they can be told apart"
    )]
    SameName {
        /// The first.
        one: String,
        /// The second.
        other: String,
    },
    /// Neither libgit2 nor git can read the repository.
    #[error("{repository} is in a format that cannot be read here: {library}; {program}. A newer git may read it")]
    Unreadable {
        /// Its work tree.
        repository: PathBuf,
        /// What libgit2 said.
        library: String,
        /// What git said.
        program: String,
    },
    /// An object is not there.
    #[error("{repository} lacks the object {oid}: it is damaged, or a clone of a part. `git fsck` tells which")]
    Missing {
        /// Which.
        oid: Oid,
        /// The work tree.
        repository: PathBuf,
    },
    /// A tree object makes no sense.
    #[error("the tree {0} is damaged, or too deep: `git fsck` tells what is wrong with it")]
    Broken(Oid),
    /// A folder could not be read when it was asked for; what was made of it is not whole.
    #[error("{0}")]
    Folder(String),
    /// What a pointer of Git LFS stands for is not here.
    #[error(
        "{path} is a pointer of Git LFS, and what it stands for is not here: {why}. `git lfs install` and `git lfs pull` bring it"
    )]
    Lfs {
        /// Which file.
        path: String,
        /// Why it could not be brought.
        why: String,
    },
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
        let objects = Arc::new(Objects::open(&located.git_dir, &located.worktree)?);
        let (whole, is_stored) = worktree::read(&objects)?;
        let root = whole.folder(&located.prefix).unwrap_or_default();
        Ok(Self { objects, root, commit: None, located, is_stored })
    }

    /// The files of a commit, read from git's objects; the work tree is neither read nor touched.
    ///
    /// # Errors
    /// When there is no repository or no such commit, or git fails.
    pub fn of_commit(folder: &Path, revision: &str) -> Result<Self, TreeError> {
        let located = locate(folder)?;
        let objects = Arc::new(Objects::open(&located.git_dir, &located.worktree)?);
        Self::of_objects(&objects, located, revision)
    }

    /// The files of another commit of the same repository.
    ///
    /// # Errors
    /// When there is no such commit, or git fails.
    pub fn at(&self, revision: &str) -> Result<Self, TreeError> {
        Self::of_objects(&self.objects, self.located.clone(), revision)
    }

    fn of_objects(objects: &Arc<Objects>, located: Located, revision: &str) -> Result<Self, TreeError> {
        let (commit, tree) = commit::find(objects, revision)?;
        let whole = Arc::new(Directory::unread(tree, objects));
        let root = whole.folder(&located.prefix).unwrap_or_default();
        objects.intact()?;
        Ok(Self { objects: Arc::clone(objects), root, commit: Some(commit), located, is_stored: true })
    }

    /// The first of these trees that the repository has, for who knows that there were some; its failures are its own.
    /// Nothing where libgit2 finds none.
    pub(crate) fn first_of(&self, roots: impl IntoIterator<Item = Oid>) -> Option<Self> {
        let objects = Arc::new(Objects::open(&self.located.git_dir, &self.located.worktree).ok()?);
        let root = roots.into_iter().find(|root| objects.holds(*root))?;
        let root = Arc::new(Directory::unread(root, &objects));
        Some(Self { objects, root, commit: None, located: self.located.clone(), is_stored: true })
    }

    /// A folder whose id is known, and that is made of this tree's files when it is first asked for its entries.
    pub(crate) fn made(&self, oid: Oid, make: impl Fn() -> Arc<Directory> + Send + Sync + 'static) -> Arc<Directory> {
        Arc::new(Directory::made(oid, &self.objects, make))
    }

    /// Whether git has an object of every file: what is told of such a tree holds wherever there is one of the same id.
    pub(crate) fn is_stored(&self) -> bool {
        self.is_stored
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
    /// When git or the file system fails, now or when a folder was asked for its entries.
    pub fn read(&self, file: &File) -> Result<Vec<u8>, TreeError> {
        // Whoever lays out files must not take what is missing for what is not there.
        self.intact()?;
        match &file.on_disk {
            Some(path) => read_on_disk(file, path),
            None => self.objects.read(file.oid, <[u8]>::to_vec),
        }
    }

    /// The content of a file that is no larger than `limit` bytes; `None` when it is larger, and is not read.
    ///
    /// # Errors
    /// When git or the file system fails.
    pub fn read_within(&self, file: &File, limit: u64) -> Result<Option<Vec<u8>>, TreeError> {
        match &file.on_disk {
            Some(_) if self.size(file)? > limit => Ok(None),
            Some(path) => read_on_disk(file, path).map(Some),
            None => self.objects.read_within(file.oid, limit, <[u8]>::to_vec),
        }
    }

    /// The content of a file with the line ends that git keeps: those of a file that was edited here are the disk's.
    ///
    /// # Errors
    /// As those of [`Self::read`].
    pub fn read_text(&self, file: &File) -> Result<Vec<u8>, TreeError> {
        let content = self.read(file)?;
        if file.on_disk.is_none() || file.oid.is_of_file(&content) {
            return Ok(content);
        }
        // What else git's filters do (large files, keywords) is not a text's affair.
        let with_next = content.iter().zip(content.iter().skip(1).chain([&0]));
        let kept: Vec<u8> = with_next.filter(|pair| *pair != (&b'\r', &b'\n')).map(|(byte, _)| *byte).collect();
        Ok(if file.oid.is_of_file(&kept) { kept } else { content })
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
            None => self.objects.size(file.oid),
        }
    }

    /// That every folder could be read that was asked for its entries so far: one that could not be read has
    /// none. Whoever decides by what is not there asks this afterwards.
    ///
    /// # Errors
    /// The first failure.
    pub fn intact(&self) -> Result<(), TreeError> {
        self.objects.intact()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // A graph outlives its tree, and with it folders that can still be asked: they hold nothing open till then.
        self.objects.rest();
    }
}

fn read_on_disk(file: &File, path: &Path) -> Result<Vec<u8>, TreeError> {
    let read = match file.mode {
        Mode::Link => std::fs::read_link(path).map(|target| target.into_os_string().into_encoded_bytes()),
        Mode::Plain | Mode::Executable => std::fs::read(path),
    };
    read.map_err(|error| TreeError::Io { path: path.to_owned(), error })
}
