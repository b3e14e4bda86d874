//! Which files there are, and what they say by themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use globset::{Glob, GlobMatcher};

use super::Located;
use super::build::Builder;
use super::parallel;
use crate::diagnostic::{Place, Problem};
use crate::format::lock::{LOCK_FILE, LockFile};
use crate::format::repository::RepositoryFile;
use crate::format::service::ServiceFile;
use crate::format::yaml::{self, Yaml};
use crate::tree::{Directory, Entry, Mode, REPOSITORY_FILE, TreeError, joined};

pub(crate) const SERVICE_FILE: &str = "service.yaml";

impl Builder<'_> {
    /// Reads one YAML file, noting what keeps it from being read.
    fn yaml(&mut self, folder: &Directory, name: &str, path: &str) -> Result<Read, TreeError> {
        let Some(file) = folder.file(name) else { return Ok(Read::Absent) };
        if file.mode == Mode::Link {
            self.problems.add(
                Problem::new("link", Place::start_of(path), format!("{path} is a symbolic link"))
                    .mend("put the file itself there: a link says where a file is, not what it says"),
            );
            return Ok(Read::Bad);
        }
        let Some(bytes) = self.tree.read_within(file, yaml::MAX_BYTES as u64)? else {
            self.problems.add(yaml::too_large(&path.into()));
            return Ok(Read::Bad);
        };
        Ok(match yaml::read(path, &bytes, &mut self.problems) {
            Some(yaml) => Read::Yaml(Box::new(yaml)),
            None => Read::Bad,
        })
    }

    /// What is pinned; nothing where there is no lock, or where it cannot be read, which is noted.
    pub(super) fn read_lock(&mut self) -> Result<(), TreeError> {
        if let Read::Yaml(yaml) = self.yaml(self.tree.root(), LOCK_FILE, LOCK_FILE)? {
            self.lock = Arc::new(LockFile::decode(&yaml, &mut self.problems));
        }
        Ok(())
    }

    /// The repository's own settings; `None` when they are there but cannot be read, so that nobody knows
    /// which folders hold services.
    pub(super) fn repository(&mut self) -> Result<Option<RepositoryFile>, TreeError> {
        Ok(match self.yaml(self.tree.root(), REPOSITORY_FILE, REPOSITORY_FILE)? {
            Read::Absent => Some(RepositoryFile::default()),
            Read::Bad => None,
            Read::Yaml(yaml) => {
                let file = RepositoryFile::decode(&yaml, &mut self.catalogue, &mut self.problems);
                // A folder that is meant may be missing from `services`: its service is not unknown.
                self.nameless |= file.is_broken("services");
                self.catalogue_broken = file.is_broken("stacks");
                self.stores_broken = file.is_broken("databases");
                Some(file)
            }
        })
    }

    /// The service.yaml of a folder; nothing where it cannot be read, which is noted.
    pub(super) fn service_file(
        &mut self,
        folder: &Directory,
        path: &str,
        cluster: &str,
    ) -> Result<Option<ServiceFile>, TreeError> {
        Ok(match self.yaml(folder, SERVICE_FILE, path)? {
            Read::Absent | Read::Bad => None,
            Read::Yaml(yaml) => ServiceFile::decode(*yaml, cluster, &mut self.problems),
        })
    }

    /// Every service.yaml that the patterns reach.
    pub(super) fn located(&mut self, repository: &RepositoryFile, cluster: &str) -> Result<Vec<Located>, TreeError> {
        let mut folders = BTreeMap::new();
        match &repository.services {
            None => folders.extend(self.expand("*", None)),
            Some(patterns) => {
                for (pattern, place) in patterns {
                    folders.extend(self.expand(pattern, Some(place)));
                }
            }
        }
        let folders: Vec<(String, Arc<Directory>)> = folders.into_iter().collect();
        let read = parallel::chunks(&folders, |some| {
            let mut builder = self.another();
            let mut located = Vec::with_capacity(some.len());
            for (folder, directory) in some.iter().filter(|(_, directory)| directory.file(SERVICE_FILE).is_some()) {
                match builder.service_file(directory, &joined(folder, SERVICE_FILE), cluster)? {
                    Some(file) => located.push(Located { folder: folder.clone(), file }),
                    None => builder.nameless = true,
                }
            }
            Ok::<_, TreeError>((located, builder))
        });
        let mut located = Vec::with_capacity(folders.len());
        for read in read {
            let (some, builder) = read?;
            let Builder { problems, nameless, .. } = builder;
            located.extend(some);
            self.problems.append(problems);
            self.nameless |= nameless;
        }
        if located.is_empty() && self.problems.is_empty() {
            let patterns = repository.services.as_deref().and_then(<[_]>::first);
            let place = patterns.map_or_else(|| Place::start_of(REPOSITORY_FILE), |(_, place)| place.clone());
            self.problems.add(
                Problem::new("no-services", place, "there is no service.yaml in this repository's folders")
                    .mend("write one in a folder of its own: `name: web` and `run: [./server]` are enough; folders are those of `services:` in clustergraph.yaml, every top-level folder without it"),
            );
        }
        Ok(located)
    }

    /// The folders that match a pattern; whether they hold services is not looked at yet.
    fn expand(&mut self, pattern: &str, place: Option<&Place>) -> Vec<(String, Arc<Directory>)> {
        let mut parts = Vec::new();
        for part in pattern.split('/').filter(|_| pattern != ".") {
            match Glob::new(part) {
                Ok(glob) => parts.push(glob.compile_matcher()),
                Err(error) => {
                    self.nameless = true;
                    if let Some(place) = place {
                        self.problems.add(
                            Problem::new("path", place.clone(), format!("`{pattern}` is no pattern: {}", error.kind()))
                                .mend("write it relative to the repository's root, such as services/*"),
                        );
                    }
                    return Vec::new();
                }
            }
        }
        let mut found = Vec::new();
        matching(self.tree.root(), "", &parts, &mut found);
        if let Some(place) = place
            && !pattern.contains(['*', '?', '[', '{'])
            && found.iter().all(|(_, folder): &(String, Arc<Directory>)| folder.file(SERVICE_FILE).is_none())
        {
            self.nameless = true;
            self.problems.add(
                Problem::new("missing-file", place.clone(), format!("there is no `{pattern}/{SERVICE_FILE}`"))
                    .mend("write one, or take the folder out of `services`; files that git ignores do not count"),
            );
        }
        found
    }

    pub(super) fn refuse_same_names(&mut self, located: &[Located]) {
        let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
        for service in located {
            let file = &service.file;
            match seen.get(file.name.as_str()) {
                None => {
                    seen.insert(&file.name, &file.name_place);
                }
                Some(first) => self.problems.add(
                    Problem::new(
                        "duplicate-name",
                        file.name_place.clone(),
                        format!("two services are named `{}`", file.name),
                    )
                    .related((*first).clone(), "the first is here")
                    .mend("rename one of them"),
                ),
            }
        }
    }
}

/// What became of a file.
enum Read {
    Absent,
    /// It is there; why it cannot be read has been noted.
    Bad,
    Yaml(Box<Yaml>),
}

fn matching(directory: &Arc<Directory>, below: &str, parts: &[GlobMatcher], found: &mut Vec<(String, Arc<Directory>)>) {
    let Some((part, rest)) = parts.split_first() else {
        found.push((below.to_owned(), Arc::clone(directory)));
        return;
    };
    for (name, entry) in directory.entries() {
        if let Entry::Directory(directory) = entry
            && part.is_match(name)
        {
            matching(directory, &joined(below, name), rest, found);
        }
    }
}
