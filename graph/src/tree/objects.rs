//! Where the content of objects comes from: libgit2, or one `git cat-file --batch` for what libgit2 does not find.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use git2::{ErrorCode, Repository};

use super::directory::{Entry, File, Mode};
use super::oid::Oid;
use super::program::CatFile;
use super::{TreeError, program};

/// How deep folders may lie in folders: git's own bound. Each costs whoever walks them some of its stack.
const MAX_DEPTH: usize = 2048;

/// A repository's objects, for any number of threads.
pub(crate) struct Objects {
    /// The work tree's git folder.
    git_dir: PathBuf,
    /// The work tree.
    worktree: PathBuf,
    /// libgit2's handles are for one thread at a time: whoever reads takes one, or opens another. None where libgit2
    /// does not know the repository's format.
    library: Option<Mutex<Vec<Repository>>>,
    /// Started when it is needed.
    program: Mutex<Option<CatFile>>,
    /// Whether there is a link somewhere below a tree: a folder that many services include is looked through once.
    links: Mutex<BTreeMap<Oid, bool>>,
    /// Why a folder could not be read. What asks a folder for its entries cannot be told; whoever reads next is.
    failure: OnceLock<String>,
}

impl Objects {
    /// Opens a repository; by libgit2 where it can, else by git.
    pub(super) fn open(git_dir: &Path, worktree: &Path) -> Result<Self, TreeError> {
        let library = match Repository::open(git_dir) {
            Ok(repository) => {
                // Each object is read once, so keeping them would only cost memory. git does not hash what it
                // reads from its own store either; `git fsck` does.
                git2::opts::strict_hash_verification(false);
                git2::opts::enable_caching(false);
                Some(Mutex::new(vec![repository]))
            }
            Err(library) => {
                // Another format (sha256, reftable): git must be able to read it.
                program::output(worktree, &["rev-parse", "--git-dir"]).map_err(|program| {
                    let library = library.message().to_owned();
                    TreeError::Unreadable { repository: worktree.to_owned(), library, program: program.to_string() }
                })?;
                None
            }
        };
        Ok(Self {
            git_dir: git_dir.to_owned(),
            worktree: worktree.to_owned(),
            library,
            program: Mutex::default(),
            links: Mutex::default(),
            failure: OnceLock::new(),
        })
    }

    /// The work tree's git folder.
    pub(super) fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The work tree.
    pub(super) fn worktree(&self) -> &Path {
        &self.worktree
    }

    /// Does something with libgit2's view of the repository.
    pub(super) fn with_library<T>(
        &self,
        doing: impl FnOnce(&Repository) -> Result<T, TreeError>,
    ) -> Result<Option<T>, TreeError> {
        let Some(pool) = &self.library else { return Ok(None) };
        let free = locked(pool).pop();
        let repository = match free {
            Some(repository) => repository,
            None => Repository::open(&self.git_dir)?,
        };
        let done = doing(&repository);
        locked(pool).push(repository);
        done.map(Some)
    }

    /// What an object holds, when it is no larger than `limit` bytes.
    pub(super) fn read_within<T>(
        &self,
        oid: Oid,
        limit: u64,
        reading: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, TreeError> {
        let mut reading = Some(reading);
        let read = self.with_library(|repository| {
            let id = library_oid(oid)?;
            let objects = repository.odb()?;
            if limit < u64::MAX {
                match found(objects.read_header(id))? {
                    Some((size, _)) if size as u64 > limit => return Ok(Some(None)),
                    Some(_) => {}
                    None => return Ok(None),
                }
            }
            let object = found(objects.read(id))?;
            Ok(object.map(|object| reading.take().map(|reading| reading(object.data()))))
        })?;
        if let Some(read) = read.flatten() {
            return Ok(read);
        }
        // In a partial clone git fetches what is not there.
        let (_, content) = self.by_program(oid, limit)?;
        Ok(content.zip(reading).map(|(content, reading)| reading(&content)))
    }

    /// What an object holds.
    pub(super) fn read<T>(&self, oid: Oid, reading: impl FnOnce(&[u8]) -> T) -> Result<T, TreeError> {
        // Without a limit nothing is too large.
        self.read_within(oid, u64::MAX, reading)?
            .ok_or_else(|| TreeError::Missing { oid, repository: self.worktree.clone() })
    }

    /// An object's size in bytes.
    pub(super) fn size(&self, oid: Oid) -> Result<u64, TreeError> {
        let size = self.with_library(|repository| found(repository.odb()?.read_header(library_oid(oid)?)))?;
        match size.flatten() {
            Some((size, _)) => Ok(size as u64),
            None => Ok(self.by_program(oid, 0)?.0),
        }
    }

    /// Whether there is such an object here; where only git can tell, nobody asks.
    pub(super) fn holds(&self, oid: Oid) -> bool {
        let held = self.with_library(|repository| Ok(repository.odb()?.exists(library_oid(oid)?)));
        matches!(held, Ok(Some(true)))
    }

    fn by_program(&self, oid: Oid, limit: u64) -> Result<(u64, Option<Vec<u8>>), TreeError> {
        let mut process = locked(&self.program);
        let cat_file = match process.as_mut() {
            Some(cat_file) => cat_file,
            None => process.insert(CatFile::start(&self.worktree)?),
        };
        let read = cat_file.read(oid, limit);
        if matches!(read, Err(TreeError::Program { .. })) {
            *process = None;
        }
        read
    }

    /// The entries of a tree, sorted by name. What cannot be read is remembered: see [`Self::intact`].
    pub(super) fn entries(self: &std::sync::Arc<Self>, oid: Oid) -> Vec<(Box<str>, Entry)> {
        let parsed = self.read(oid, |content| {
            let mut entries = Vec::with_capacity(content.len() / 32);
            for row in Rows::of(content, oid) {
                let row = row?;
                let name = std::str::from_utf8(row.name).map_err(|_| TreeError::NotUtf8(lossy(row.name)))?;
                let entry = match row.kind {
                    Kind::Tree => Entry::unread(row.oid, self),
                    Kind::Commit => Entry::Submodule(row.oid),
                    Kind::Blob(mode) => Entry::File(File { oid: row.oid, mode, on_disk: None }),
                };
                entries.push((name.into(), entry));
            }
            // git sorts a folder as if its name ended in a slash.
            entries.sort_unstable_by(|(one, _): &(Box<str>, Entry), (other, _)| one.cmp(other));
            Ok(entries)
        });
        parsed.and_then(|entries| entries).unwrap_or_else(|error| {
            self.fail(&error);
            Vec::new()
        })
    }

    /// Whether there is a link in a tree or below it.
    pub(super) fn has_links(&self, oid: Oid) -> bool {
        self.has_links_below(oid, 0)
    }

    fn has_links_below(&self, oid: Oid, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            self.fail(&TreeError::Broken(oid));
            return false;
        }
        if let Some(known) = locked(&self.links).get(&oid) {
            return *known;
        }
        let looked = self.read(oid, |content| {
            let (mut found, mut below) = (false, Vec::new());
            for row in Rows::of(content, oid) {
                match row? {
                    Row { kind: Kind::Blob(Mode::Link), .. } => found = true,
                    Row { kind: Kind::Tree, oid, .. } => below.push(oid),
                    _ => {}
                }
            }
            Ok::<_, TreeError>((found, below))
        });
        let (found, below) = looked.and_then(|looked| looked).unwrap_or_else(|error| {
            self.fail(&error);
            (false, Vec::new())
        });
        let found = found || below.into_iter().any(|oid| self.has_links_below(oid, depth + 1));
        locked(&self.links).insert(oid, found);
        found
    }

    fn fail(&self, error: &TreeError) {
        // The first one tells what happened.
        let _ = self.failure.set(error.to_string());
    }

    /// That every folder that was asked for its entries could be read.
    pub(super) fn intact(&self) -> Result<(), TreeError> {
        match self.failure.get() {
            None => Ok(()),
            Some(why) => Err(TreeError::Folder(why.clone())),
        }
    }

    /// Ends processes and closes files; they are opened again when something is asked.
    pub(super) fn rest(&self) {
        if let Some(pool) = &self.library {
            locked(pool).clear();
        }
        *locked(&self.program) = None;
    }
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the objects of {}", self.git_dir.display())
    }
}

/// What a thread that panicked left is whole: nothing is changed in more than one step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What libgit2 read; `None` where it does not find it.
fn found<T>(read: Result<T, git2::Error>) -> Result<Option<T>, TreeError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn library_oid(oid: Oid) -> Result<git2::Oid, TreeError> {
    Ok(git2::Oid::from_bytes(oid.as_bytes())?)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One entry of a tree object.
struct Row<'t> {
    kind: Kind,
    name: &'t [u8],
    oid: Oid,
}

enum Kind {
    Tree,
    Commit,
    Blob(Mode),
}

/// The entries of a tree object as git writes them: mode, blank, name, zero, id.
struct Rows<'t> {
    rest: &'t [u8],
    tree: Oid,
}

impl<'t> Rows<'t> {
    fn of(content: &'t [u8], tree: Oid) -> Self {
        Self { rest: content, tree }
    }

    fn row(&mut self) -> Option<Row<'t>> {
        let blank = self.rest.iter().position(|byte| *byte == b' ')?;
        let (mode, rest) = self.rest.split_at(blank);
        let zero = rest.iter().position(|byte| *byte == 0)?;
        let name = rest.get(1..zero).filter(|name| !name.is_empty() && !name.contains(&b'/'))?;
        let after = zero + 1 + self.tree.format().length();
        let oid = Oid::of_bytes(rest.get(zero + 1..after)?)?;
        self.rest = rest.get(after..)?;
        let mode = u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok()?;
        let kind = match mode & 0o170_000 {
            0o040_000 => Kind::Tree,
            0o160_000 => Kind::Commit,
            0o120_000 => Kind::Blob(Mode::Link),
            _ if mode & 0o100 != 0 => Kind::Blob(Mode::Executable),
            _ => Kind::Blob(Mode::Plain),
        };
        Some(Row { kind, name, oid })
    }
}

impl<'t> Iterator for Rows<'t> {
    type Item = Result<Row<'t>, TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let row = self.row();
        if row.is_none() {
            self.rest = &[];
        }
        Some(row.ok_or(TreeError::Broken(self.tree)))
    }
}
