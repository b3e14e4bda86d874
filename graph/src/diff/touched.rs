//! Which services may differ when files do, before any other graph is read.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{Graph, SERVICE_FILE, Service};
use crate::tree::{Directory, REPOSITORY_FILE, joined};

/// Services that paths reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Those whose own files hold one of the paths, with their further processes and jobs.
    pub direct: BTreeSet<String>,
    /// These and all that depend on them.
    pub all: BTreeSet<String>,
}

impl Graph {
    /// The services that a change of these paths may reach: those whose sources hold one, those whose service.yaml or whose
    /// database's declaration it is, and all that depend on them; clustergraph.yaml reaches every service.
    ///
    /// Paths are relative to the repository's root, with `/` between their parts. What is not below `root` was removed:
    /// it touches whoever has the nearest folder that is left.
    #[must_use]
    pub fn touched<'p>(&self, root: &Directory, paths: impl IntoIterator<Item = &'p str>) -> Touched {
        let paths: BTreeSet<&str> = paths.into_iter().collect();
        let mut direct = BTreeSet::new();
        // Who declares a database declares it for all who store there.
        let mut declaring = BTreeSet::new();
        for service in self.services.values().filter(|service| !service.is_part()) {
            if paths.iter().any(|path| self.declares(service, path)) {
                declaring.insert(service.name.as_str());
            } else if paths.iter().any(|path| self.holds(service, root, path)) {
                direct.insert(service.name.clone());
            }
        }
        let owners = |service: &Service| -> BTreeSet<String> {
            let stores = service.databases.iter().filter_map(|address| address.split_once('/'));
            stores.map(|(owner, _)| owner.to_owned()).chain([service.owner.clone()]).collect()
        };
        for service in self.services.values() {
            if owners(service).iter().any(|owner| declaring.contains(owner.as_str())) || direct.contains(&service.owner)
            {
                direct.insert(service.name.clone());
            }
        }
        let all = self.with_dependents(&direct);
        Touched { direct, all }
    }

    /// Whether any of these paths can be a reason for a service's id to differ. It may be said of one that is none, never the
    /// reverse: a history passes over what this says no to.
    #[must_use]
    pub fn concerns(&self, name: &str, root: &Directory, paths: &[String]) -> bool {
        let mut needed = BTreeSet::new();
        let mut open = vec![name];
        while let Some(service) = open.pop().and_then(|name| self.services.get(name)) {
            if needed.insert(service.name.as_str()) {
                open.extend(service.dependencies.iter().map(|edge| edge.service.as_str()));
                open.push(&service.owner);
            }
        }
        let needed = || needed.iter().filter_map(|name| self.services.get(*name));
        let owners: BTreeSet<&str> = needed()
            .flat_map(|service| &service.databases)
            .filter_map(|address| address.split_once('/').map(|(owner, _)| owner))
            .collect();
        paths.iter().any(|path| {
            needed().any(|service| self.declares(service, path) || self.holds(service, root, path))
                || owners.iter().filter_map(|owner| self.services.get(*owner)).any(|owner| self.declares(owner, path))
        })
    }

    /// Whether a path says what a service and its databases are: its service.yaml, the repository's, or part of the schema of
    /// one of its databases, be it a source or not.
    fn declares(&self, service: &Service, path: &str) -> bool {
        let own = |address: &&String| address.split_once('/').is_some_and(|(owner, _)| owner == service.name);
        path == REPOSITORY_FILE
            || path == service.place.file.as_ref()
            || (service.databases.iter().filter(own))
                .filter_map(|address| self.databases.get(address)?.migrate.as_ref()?.schema.as_deref())
                .any(|schema| is_at_or_below(path, &joined(&service.folder, schema)))
    }

    /// Whether a path is one of a service's sources, or may have been one.
    fn holds(&self, service: &Service, root: &Directory, path: &str) -> bool {
        if service.sources.entry(path).is_some() || service.files.values().any(|file| file.path == path) {
            return true;
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        // By one of these its stack is found.
        let detects = || self.catalogue.stacks.values().any(|stack| stack.detect.iter().any(|file| file == name));
        if folder == service.folder && detects() {
            return true;
        }
        // It is there and no source: ignored, or of a service below. Only that there is one takes sources away.
        if name != SERVICE_FILE && root.entry(path).is_some() {
            return false;
        }
        if is_at_or_below(path, &service.folder) || service.stack.workspace.iter().any(|file| file == name) {
            return true;
        }
        // It may have been in a folder that is included. What lies above the service's own folder cannot be.
        std::iter::successors(Some(folder), |folder| folder.rsplit_once('/').map(|(above, _)| above))
            .filter(|folder| !folder.is_empty() && !is_at_or_below(&service.folder, folder))
            .any(|folder| service.sources.entry(folder).is_some())
    }

    fn with_dependents(&self, names: &BTreeSet<String>) -> BTreeSet<String> {
        let mut callers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for service in self.services.values() {
            for edge in &service.dependencies {
                callers.entry(&edge.service).or_default().push(&service.name);
            }
        }
        let mut reached = names.clone();
        let mut open: Vec<&str> = names.iter().map(String::as_str).collect();
        while let Some(name) = open.pop() {
            for caller in callers.get(name).into_iter().flatten() {
                if reached.insert((*caller).to_owned()) {
                    open.push(caller);
                }
            }
        }
        reached
    }
}

fn is_at_or_below(path: &str, folder: &str) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
