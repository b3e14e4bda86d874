//! Files and folders as git sees them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use git2::{ObjectType, Oid};

/// A folder. Cheap to share; its id is computed once.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// What it holds, by name.
    pub entries: BTreeMap<String, Entry>,
    oid: OnceLock<Oid>,
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

impl Directory {
    pub(crate) fn know_oid(&self, oid: Oid) {
        // A second value could only be the same one.
        let _ = self.oid.set(oid);
    }

    /// The id that git gives this folder (gitformat: tree objects). Empty folders are nothing to git.
    #[must_use]
    pub fn oid(&self) -> Oid {
        *self.oid.get_or_init(|| {
            let mut rows: Vec<(String, &'static str, Oid, &str)> = Vec::new();
            for (name, entry) in &self.entries {
                match entry {
                    Entry::File(file) => rows.push((name.clone(), file.mode.octal(), file.oid, name)),
                    Entry::Submodule(oid) => rows.push((name.clone(), "160000", *oid, name)),
                    Entry::Directory(directory) if directory.is_empty() => {}
                    // git sorts a folder as if its name ended in a slash
                    Entry::Directory(directory) => rows.push((format!("{name}/"), "40000", directory.oid(), name)),
                }
            }
            rows.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
            let mut bytes = Vec::new();
            for (_, mode, oid, name) in rows {
                bytes.extend_from_slice(mode.as_bytes());
                bytes.push(b' ');
                bytes.extend_from_slice(name.as_bytes());
                bytes.push(0);
                bytes.extend_from_slice(oid.as_bytes());
            }
            // Hashing bytes in memory cannot fail; the zero id would only make a key that matches nothing.
            Oid::hash_object(ObjectType::Tree, &bytes).unwrap_or(Oid::ZERO_SHA1)
        })
    }

    /// Whether git would see nothing here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.values().all(|entry| matches!(entry, Entry::Directory(directory) if directory.is_empty()))
    }

    /// What lies at a path of names with `/` between them. The empty path is no entry: see [`Self::folder`].
    #[must_use]
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        let (first, rest) = match path.split_once('/') {
            Some((first, rest)) => (first, Some(rest)),
            None => (path, None),
        };
        match (self.entries.get(first)?, rest) {
            (entry, None) => Some(entry),
            (Entry::Directory(directory), Some(rest)) => directory.entry(rest),
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
        self.oid = OnceLock::new();
        match path.split_once('/') {
            None => {
                self.entries.insert(path.to_owned(), entry);
            }
            Some((first, rest)) => {
                let folder =
                    self.entries.entry(first.to_owned()).or_insert_with(|| Entry::Directory(Arc::new(Self::default())));
                if !matches!(folder, Entry::Directory(_)) {
                    *folder = Entry::Directory(Arc::new(Self::default()));
                }
                if let Entry::Directory(directory) = folder {
                    Arc::make_mut(directory).insert(rest, entry);
                }
            }
        }
    }

    /// Takes away what lies at a path, and the folders that hold nothing without it: git knows no empty ones.
    pub fn remove(&mut self, path: &str) {
        self.oid = OnceLock::new();
        match path.split_once('/') {
            None => {
                self.entries.remove(path);
            }
            Some((first, rest)) => {
                let Some(Entry::Directory(directory)) = self.entries.get_mut(first) else { return };
                let directory = Arc::make_mut(directory);
                directory.remove(rest);
                if directory.entries.is_empty() {
                    self.entries.remove(first);
                }
            }
        }
    }

    /// This folder without what `unwanted` says of a path (relative to this folder) and whether it is a folder.
    /// Folders that stay whole are shared, not copied.
    #[must_use]
    pub fn without(self: &Arc<Self>, unwanted: &dyn Fn(&str, bool) -> bool) -> Arc<Self> {
        self.without_below(&mut String::new(), unwanted).unwrap_or_else(|| Arc::clone(self))
    }

    /// `None` when nothing goes. `path` is this folder's, and so it is again at the end.
    fn without_below(&self, path: &mut String, unwanted: &dyn Fn(&str, bool) -> bool) -> Option<Arc<Self>> {
        let mut changed: Option<Self> = None;
        let above = path.len();
        for (name, entry) in &self.entries {
            path.truncate(above);
            if above > 0 {
                path.push('/');
            }
            path.push_str(name);
            let is_folder = matches!(entry, Entry::Directory(_));
            let replacement = if unwanted(path, is_folder) {
                None
            } else if let Entry::Directory(directory) = entry {
                match directory.without_below(path, unwanted) {
                    None => continue,
                    Some(less) => Some(Entry::Directory(less)),
                }
            } else {
                continue;
            };
            let copy = changed.get_or_insert_with(|| Self { entries: self.entries.clone(), oid: OnceLock::new() });
            match replacement {
                None => copy.entries.remove(name),
                Some(entry) => copy.entries.insert(name.clone(), entry),
            };
        }
        path.truncate(above);
        changed.map(Arc::new)
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
        for (name, entry) in &self.entries {
            let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            match entry {
                Entry::Submodule(_) => submodules.push(path),
                Entry::Directory(directory) => directory.collect_submodules(&path, submodules),
                Entry::File(_) => {}
            }
        }
    }

    fn collect_links<'d>(&'d self, below: &str, links: &mut Vec<(String, &'d File)>) {
        let path = |name: &str| if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        for (name, entry) in &self.entries {
            match entry {
                Entry::File(file) if file.mode == Mode::Link => links.push((path(name), file)),
                Entry::Directory(directory) => directory.collect_links(&path(name), links),
                Entry::File(_) | Entry::Submodule(_) => {}
            }
        }
    }

    fn collect_files<'d>(&'d self, below: &str, files: &mut Vec<(String, &'d File)>) {
        for (name, entry) in &self.entries {
            let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            match entry {
                Entry::File(file) => files.push((path, file)),
                Entry::Directory(directory) => directory.collect_files(&path, files),
                Entry::Submodule(_) => {}
            }
        }
    }
}
