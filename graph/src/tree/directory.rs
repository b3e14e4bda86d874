//! Files and folders as git sees them. A folder of a commit is read when it is first asked for its entries.

use std::cmp::Ordering;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::TreeError;
use super::objects::Objects;
use super::oid::{Format, Oid};

/// A folder. Cheap to share; its entries are read, and its id is computed, at most once.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// Sorted by name.
    entries: OnceLock<Vec<(Box<str>, Entry)>>,
    oid: OnceLock<Oid>,
    /// Where its entries come from.
    origin: Origin,
}

/// Where a folder's entries come from when they are first asked for.
#[derive(Debug, Clone, Default)]
enum Origin {
    /// They are there.
    #[default]
    Here,
    /// A tree of git's.
    Objects(Arc<Objects>),
    /// A folder that is made of others.
    Made(Arc<Recipe>),
}

/// How a folder is made of others, and whom to ask whether those could be read.
struct Recipe {
    make: Box<dyn Fn() -> Arc<Directory> + Send + Sync>,
    objects: Arc<Objects>,
}

impl std::fmt::Debug for Recipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a folder that is made of others")
    }
}

/// One thing in a folder.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A file or link.
    File(File),
    /// A folder.
    Directory(Arc<Directory>),
    /// Another repository at a commit.
    Submodule(Oid),
}

/// A file or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The id that git gives its content.
    pub oid: Oid,
    /// What git keeps of its permissions.
    pub mode: Mode,
    /// Where its content lies when git has no object of it: changed and untracked files. Their bytes are those
    /// of the disk, before git's filters (line ends and the like); `oid` is of what `git add` would store.
    pub on_disk: Option<PathBuf>,
}

/// What git keeps of a file's permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// A plain file.
    Plain,
    /// A file that can be run.
    Executable,
    /// A symbolic link; its content is the target.
    Link,
}

impl Mode {
    fn octal(self) -> &'static str {
        match self {
            Self::Plain => "100644",
            Self::Executable => "100755",
            Self::Link => "120000",
        }
    }
}

impl Entry {
    /// A folder whose entries are read when they are asked for.
    pub(super) fn unread(oid: Oid, objects: &Arc<Objects>) -> Self {
        Self::Directory(Arc::new(Directory::unread(oid, objects)))
    }

    fn oid(&self) -> Oid {
        match self {
            Self::File(file) => file.oid,
            Self::Submodule(oid) => *oid,
            Self::Directory(directory) => directory.oid(),
        }
    }
}

impl Directory {
    /// A folder of which only the id is known so far.
    pub(super) fn unread(oid: Oid, objects: &Arc<Objects>) -> Self {
        let origin = Origin::Objects(Arc::clone(objects));
        Self { entries: OnceLock::new(), oid: OnceLock::from(oid), origin }
    }

    /// A folder whose id is known, and that is made when it is first asked for its entries.
    pub(super) fn made(oid: Oid, objects: &Arc<Objects>, make: impl Fn() -> Arc<Self> + Send + Sync + 'static) -> Self {
        let recipe = Recipe { make: Box::new(make), objects: Arc::clone(objects) };
        Self { entries: OnceLock::new(), oid: OnceLock::from(oid), origin: Origin::Made(Arc::new(recipe)) }
    }

    fn of(entries: Vec<(Box<str>, Entry)>) -> Self {
        Self { entries: OnceLock::from(entries), oid: OnceLock::new(), origin: Origin::Here }
    }

    fn read(&self) -> &Vec<(Box<str>, Entry)> {
        self.entries.get_or_init(|| match (&self.origin, self.oid.get()) {
            (Origin::Objects(objects), Some(oid)) => objects.entries(*oid),
            (Origin::Made(recipe), _) => (recipe.make)().read().clone(),
            (Origin::Here | Origin::Objects(_), _) => Vec::new(),
        })
    }

    /// Takes its entries to change them: its id is no longer known.
    fn take(&mut self) -> Vec<(Box<str>, Entry)> {
        self.read();
        std::mem::take(self).entries.into_inner().unwrap_or_default()
    }

    fn at(&self, name: &str) -> Result<usize, usize> {
        self.read().binary_search_by(|(other, _)| (**other).cmp(name))
    }

    fn get(&self, name: &str) -> Option<&Entry> {
        self.read().get(self.at(name).ok()?).map(|(_, entry)| entry)
    }

    /// That it could be read, and all below it that was asked for its entries: what could not be read holds nothing.
    ///
    /// # Errors
    /// The first failure.
    pub fn intact(&self) -> Result<(), TreeError> {
        match &self.origin {
            Origin::Here => {}
            Origin::Objects(objects) => objects.intact()?,
            Origin::Made(recipe) => recipe.objects.intact()?,
        }
        // What was never asked has nothing to tell.
        for (_, entry) in self.entries.get().into_iter().flatten() {
            if let Entry::Directory(directory) = entry {
                directory.intact()?;
            }
        }
        Ok(())
    }

    /// What it holds, sorted by name.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&str, &Entry)> {
        self.read().iter().map(|(name, entry)| (&**name, entry))
    }

    /// The id that git gives this folder (gitformat: tree objects). Empty folders are nothing to git.
    #[must_use]
    pub fn oid(&self) -> Oid {
        *self.oid.get_or_init(|| {
            let mut rows: Vec<(&str, &Entry)> = self.entries().collect();
            rows.sort_by(|one, other| as_git_sorts(*one, *other));
            let mut bytes = Vec::with_capacity(48 * rows.len());
            let mut format = Format::Sha1;
            for (name, entry) in rows {
                let mode = match entry {
                    Entry::File(file) => file.mode.octal(),
                    Entry::Submodule(_) => "160000",
                    Entry::Directory(directory) if directory.is_empty() => continue,
                    Entry::Directory(_) => "40000",
                };
                let oid = entry.oid();
                format = oid.format();
                bytes.extend_from_slice(mode.as_bytes());
                bytes.push(b' ');
                bytes.extend_from_slice(name.as_bytes());
                bytes.push(0);
                bytes.extend_from_slice(oid.as_bytes());
            }
            Oid::of_tree(format, &bytes)
        })
    }

    /// Whether git would see nothing here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self.oid.get() {
            // Trees of git hold something, but for one.
            Some(oid) => oid.is_empty_tree(),
            None => self.entries().all(|(_, entry)| matches!(entry, Entry::Directory(folder) if folder.is_empty())),
        }
    }

    /// What lies at a path of names with `/` between them. The empty path is no entry: see [`Self::folder`].
    #[must_use]
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        let Some((first, rest)) = path.split_once('/') else { return self.get(path) };
        match self.get(first)? {
            Entry::Directory(directory) => directory.entry(rest),
            _ => None,
        }
    }

    /// The file at a path.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&File> {
        match self.entry(path)? {
            Entry::File(file) => Some(file),
            _ => None,
        }
    }

    /// The folder at a path; the empty path is this folder.
    #[must_use]
    pub fn folder(self: &Arc<Self>, path: &str) -> Option<Arc<Self>> {
        if path.is_empty() {
            return Some(Arc::clone(self));
        }
        match self.entry(path)? {
            Entry::Directory(directory) => Some(Arc::clone(directory)),
            _ => None,
        }
    }

    /// Puts something at a path, making the folders on the way.
    pub fn insert(&mut self, path: &str, entry: Entry) {
        let (name, rest) = match path.split_once('/') {
            None => (path, None),
            Some((first, rest)) => (first, Some(rest)),
        };
        let at = self.at(name);
        let mut entries = self.take();
        let at = at.unwrap_or_else(|at| {
            entries.insert(at, (name.into(), Entry::Directory(Arc::default())));
            at
        });
        let place = &mut entries[at].1;
        match rest {
            None => *place = entry,
            Some(rest) => {
                if !matches!(place, Entry::Directory(_)) {
                    *place = Entry::Directory(Arc::default());
                }
                if let Entry::Directory(directory) = place {
                    Arc::make_mut(directory).insert(rest, entry);
                }
            }
        }
        *self = Self::of(entries);
    }

    /// Takes away what lies at a path, and the folders that hold nothing without it: git knows no empty ones.
    pub fn remove(&mut self, path: &str) {
        if self.entry(path).is_none() {
            return;
        }
        let (name, rest) = match path.split_once('/') {
            None => (path, None),
            Some((first, rest)) => (first, Some(rest)),
        };
        let Ok(at) = self.at(name) else { return };
        let mut entries = self.take();
        let is_gone = match (rest, &mut entries[at].1) {
            (Some(rest), Entry::Directory(directory)) => {
                let directory = Arc::make_mut(directory);
                directory.remove(rest);
                directory.read().is_empty()
            }
            _ => true,
        };
        if is_gone {
            entries.remove(at);
        }
        *self = Self::of(entries);
    }

    /// This folder without what `unwanted` says of a path (relative to this folder) and whether it is a folder.
    /// Folders that stay whole are shared, not copied. Every folder below is read: where it is known what goes, see
    /// [`Self::without_paths`].
    #[must_use]
    pub fn without(self: &Arc<Self>, unwanted: &dyn Fn(&str, bool) -> bool) -> Arc<Self> {
        self.without_below(&mut String::new(), unwanted).unwrap_or_else(|| Arc::clone(self))
    }

    /// This folder without what lies at some paths. Only the folders on the way are read.
    #[must_use]
    pub fn without_paths<'p>(self: &Arc<Self>, paths: impl IntoIterator<Item = &'p str>) -> Arc<Self> {
        let mut less = Arc::clone(self);
        for path in paths {
            if less.entry(path).is_some() {
                Arc::make_mut(&mut less).remove(path);
            }
        }
        less
    }

    /// `None` when nothing goes. `path` is this folder's, and so it is again at the end.
    fn without_below(&self, path: &mut String, unwanted: &dyn Fn(&str, bool) -> bool) -> Option<Arc<Self>> {
        let mut kept: Option<Vec<(Box<str>, Entry)>> = None;
        let above = path.len();
        for (at, (name, entry)) in self.read().iter().enumerate() {
            path.truncate(above);
            if above > 0 {
                path.push('/');
            }
            path.push_str(name);
            let goes = unwanted(path, matches!(entry, Entry::Directory(_)));
            let less = match entry {
                Entry::Directory(directory) if !goes => directory.without_below(path, unwanted),
                _ => None,
            };
            if goes || less.is_some() {
                kept.get_or_insert_with(|| self.read()[..at].to_vec());
            }
            if let Some(kept) = kept.as_mut().filter(|_| !goes) {
                kept.push((name.clone(), less.map_or_else(|| entry.clone(), Entry::Directory)));
            }
        }
        path.truncate(above);
        kept.map(|kept| Arc::new(Self::of(kept)))
    }

    /// All files below, with their paths relative to this folder, in order.
    #[must_use]
    pub fn files(&self) -> Vec<(String, &File)> {
        let mut files = Vec::new();
        self.collect_files("", &mut files);
        files
    }

    /// The links below, with their paths relative to this folder, in order.
    #[must_use]
    pub fn links(&self) -> Vec<(String, &File)> {
        let mut links = Vec::new();
        self.collect_links("", &mut links);
        links
    }

    /// The paths of other repositories below, relative to this folder, in order.
    #[must_use]
    pub fn submodules(&self) -> Vec<String> {
        let mut submodules = Vec::new();
        self.collect_submodules("", &mut submodules);
        submodules
    }

    fn collect_submodules(&self, below: &str, submodules: &mut Vec<String>) {
        for (name, entry) in self.entries() {
            match entry {
                Entry::Submodule(_) => submodules.push(joined(below, name)),
                Entry::Directory(directory) => directory.collect_submodules(&joined(below, name), submodules),
                Entry::File(_) => {}
            }
        }
    }

    fn collect_links<'d>(&'d self, below: &str, links: &mut Vec<(String, &'d File)>) {
        // Most folders have no links, and are not made of their objects for that.
        if let (Origin::Objects(objects), Some(oid), None) = (&self.origin, self.oid.get(), self.entries.get())
            && !objects.has_links(*oid)
        {
            return;
        }
        for (name, entry) in self.entries() {
            match entry {
                Entry::File(file) if file.mode == Mode::Link => links.push((joined(below, name), file)),
                Entry::Directory(directory) => directory.collect_links(&joined(below, name), links),
                Entry::File(_) | Entry::Submodule(_) => {}
            }
        }
    }

    fn collect_files<'d>(&'d self, below: &str, files: &mut Vec<(String, &'d File)>) {
        for (name, entry) in self.entries() {
            match entry {
                Entry::File(file) => files.push((joined(below, name), file)),
                Entry::Directory(directory) => directory.collect_files(&joined(below, name), files),
                Entry::Submodule(_) => {}
            }
        }
    }
}

/// git sorts a folder as if its name ended in a slash.
fn as_git_sorts((one, entry): (&str, &Entry), (other, other_entry): (&str, &Entry)) -> Ordering {
    let ended = |entry: &Entry| matches!(entry, Entry::Directory(_)).then_some(b'/');
    one.bytes().chain(ended(entry)).cmp(other.bytes().chain(ended(other_entry)))
}

/// A name below a folder; the empty path is the root.
pub(crate) fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
