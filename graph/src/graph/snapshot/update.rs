//! From what is known of one tree to what holds of a tree like it: only the services that a difference concerns are read,
//! and only they and what depends on them get new ids.
//!
//! It is for differences of what there is. Where a service.yaml comes, goes or says otherwise what others see of it, or where
//! a file of the repository's own differs, any service may be meant otherwise: then nothing follows from what was known, and
//! the whole is read.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::interface::Interface;
use super::layout::{Shared, Snapshot, record, row};
use crate::format::lock::LOCK_FILE;
use crate::graph::build::Builder;
use crate::graph::discover::SERVICE_FILE;
use crate::graph::identity::{give_ids, version_of};
use crate::graph::source::{above, holds};
use crate::graph::stores::Stores;
use crate::graph::{Located, Service};
use crate::tree::{REPOSITORY_FILE, Tree, compare, joined};
use crate::wiring::{Files, Scene};

/// With more differences than these the whole is read.
const MOST: usize = 1_000;

/// What holds of `tree`, where `snapshot` is of `before`; nothing when the whole must be read to know.
pub(super) fn update(mut snapshot: Snapshot, before: &Tree, tree: &Tree, cluster: &str) -> Option<Snapshot> {
    let paths = differing(before, tree)?;
    for path in &paths {
        if [REPOSITORY_FILE, LOCK_FILE].contains(&path.as_str()) {
            return None;
        }
        if let Some(folder) = folder_of_declaration(path)
            && !is_same_to_others(&snapshot, folder, before, tree, cluster)
        {
            return None;
        }
    }
    let concerned = concerned(&snapshot, &paths)?;
    if concerned.is_empty() {
        return Some(snapshot);
    }
    let resolved = resolve(&snapshot, concerned, tree, cluster)?;
    if let Some(shared) = resolved.shared {
        snapshot.set_shared(shared);
    }
    let at = names(&snapshot);
    let reached = with_callers(&snapshot, resolved.services.keys().filter_map(|name| at.get(name.as_str()).copied()));
    let mut services = resolved.services;
    // What only gets a new id has the links that it had: its sources are not made to look.
    let links: BTreeMap<String, bool> =
        services.iter().map(|(name, service)| (name.clone(), !service.sources.links().is_empty())).collect();
    let others: Vec<usize> =
        reached.iter().copied().filter(|at| !services.contains_key(&snapshot.index.rows[*at].name)).collect();
    services.extend(snapshot.services(tree, Some(&others))?);
    give_ids(&mut services, &|name| Some(snapshot.index.rows.get(*at.get(name)?)?.id));
    let rows: Option<Vec<_>> = services
        .values()
        .map(|service| {
            let place = *at.get(service.name.as_str())?;
            let known = snapshot.index.rows.get(place)?.has_links;
            let has_links = links.get(&service.name).copied().unwrap_or(known);
            let row = row(service, has_links, |name| u32::try_from(*at.get(name)?).ok())?;
            Some((place, row, record(service)?))
        })
        .collect();
    for (at, row, record) in rows? {
        let row = snapshot.put(row, &record)?;
        *snapshot.index.rows.get_mut(at)? = row;
    }
    snapshot.index.version = version_of(snapshot.index.rows.iter().map(|row| (&row.name, row.id)));
    Some(snapshot)
}

/// The paths that differ; nothing when they are too many.
fn differing(before: &Tree, after: &Tree) -> Option<Vec<String>> {
    let mut paths = Vec::new();
    let walked = compare("", before.root(), after.root(), &mut |path, _, _| {
        paths.push(path.to_owned());
        if paths.len() > MOST { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    walked.is_continue().then_some(paths)
}

/// The folder of what may be a service.yaml.
fn folder_of_declaration(path: &str) -> Option<&str> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    (name == SERVICE_FILE).then_some(folder)
}

/// Whether a service.yaml is there on both sides, and says the same of what others see.
fn is_same_to_others(snapshot: &Snapshot, folder: &str, before: &Tree, after: &Tree, cluster: &str) -> bool {
    let path = joined(folder, SERVICE_FILE);
    let read = |tree: &Tree| {
        let mut builder = Builder::new(tree);
        let file = builder.service_file(&*tree.root().folder(folder)?, &path, cluster).ok()??;
        builder.problems.is_empty().then_some(file)
    };
    let (Some(old), Some(new)) = (read(before), read(after)) else { return false };
    // One that no pattern reaches is nobody's.
    snapshot.index.folders().any(|known| known == folder) && Interface::of(&old) == Interface::of(&new)
}

/// Where each name's row is.
fn names(snapshot: &Snapshot) -> BTreeMap<&str, usize> {
    snapshot.index.rows.iter().enumerate().map(|(at, row)| (row.name.as_str(), at)).collect()
}

/// The services whose reading may have looked at one of these paths: their folder holds it, or what they include from
/// elsewhere; it is a file of their stack's above them; or they have links, which look anywhere.
fn concerned(snapshot: &Snapshot, paths: &[String]) -> Option<BTreeSet<usize>> {
    let shared = snapshot.shared()?;
    let mut concerned = BTreeSet::new();
    // A folder is looked for among the folders above each path, which are few.
    let mut by_folder: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, row) in snapshot.index.rows.iter().enumerate().filter(|(at, row)| row.owner as usize == *at) {
        if row.has_links {
            concerned.insert(at);
        }
        by_folder.entry(&row.folder).or_default().push(at);
        for path in &row.include {
            by_folder.entry(path).or_default().push(at);
        }
        let workspace = &shared.stacks.get(&row.stack)?.workspace;
        if !workspace.is_empty() {
            let of_stack = |path: &String| {
                let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
                workspace.iter().any(|file| file == name) && (folder.is_empty() || holds(folder, &row.folder))
            };
            if paths.iter().any(of_stack) {
                concerned.insert(at);
            }
        }
    }
    for path in paths {
        for folder in std::iter::once(path.as_str()).chain(above(path)) {
            concerned.extend(by_folder.get(folder).into_iter().flatten());
        }
    }
    Some(concerned)
}

/// Rows and all that call them, and those that call these.
fn with_callers(snapshot: &Snapshot, rows: impl Iterator<Item = usize>) -> BTreeSet<usize> {
    let mut callers: Vec<Vec<usize>> = vec![Vec::new(); snapshot.index.rows.len()];
    for (at, row) in snapshot.index.rows.iter().enumerate() {
        for called in &row.calls {
            if let Some(callers) = callers.get_mut(*called as usize) {
                callers.push(at);
            }
        }
    }
    let mut reached = BTreeSet::new();
    let mut open: Vec<usize> = rows.collect();
    while let Some(at) = open.pop() {
        if reached.insert(at) {
            open.extend(callers.get(at).into_iter().flatten());
        }
    }
    reached
}

/// Services that were read again, with their processes and jobs, and what nodes share where that is otherwise.
struct Resolved {
    services: BTreeMap<String, Service>,
    shared: Option<Shared>,
}

/// Reads services again, as building the whole does; nothing where one has a problem, which only the whole tells well.
fn resolve(snapshot: &Snapshot, mut rows: BTreeSet<usize>, tree: &Tree, cluster: &str) -> Option<Resolved> {
    let mut builder = Builder::new(tree);
    let repository = builder.repository().ok().flatten()?;
    builder.read_lock().ok()?;
    let at = names(snapshot);
    let shared = snapshot.shared()?;
    let mut read: BTreeMap<usize, Located> = BTreeMap::new();
    let mut stores = Stores { databases: shared.databases.clone(), servers: shared.servers.clone() };
    let mut is_shared = true;
    // What is different of a service's databases, those see who use them.
    let mut open: Vec<usize> = rows.iter().copied().collect();
    while let Some(row) = open.pop() {
        let located = locate(snapshot, row, &mut builder, cluster)?;
        for used in &located.file.databases {
            let Some(store) = used.own() else { continue };
            let address = used.address(&located.file.name);
            builder.database(Some(&located), &used.alias, store, &used.params, &mut stores);
            if stores.databases.get(&address) == shared.databases.get(&address) {
                continue;
            }
            is_shared = false;
            for user in snapshot.index.rows.iter().filter(|row| row.databases.contains(&address)) {
                if rows.insert(user.owner as usize) {
                    open.push(user.owner as usize);
                }
            }
        }
        read.insert(row, located);
    }
    // Whom they call, and whose databases they use: both are wired by what the others' files say.
    let mut others = BTreeSet::new();
    for located in read.values() {
        let called = located.file.dependencies.iter().map(|edge| edge.service.as_str());
        let addresses = located.file.databases.iter().map(|used| used.address(&located.file.name));
        let owners: Vec<String> = addresses.filter_map(|address| Some(address.split_once('/')?.0.to_owned())).collect();
        for name in called.chain(owners.iter().map(String::as_str)) {
            others.insert(*at.get(name)?);
        }
    }
    for row in others {
        if let Entry::Vacant(place) = read.entry(row) {
            place.insert(locate(snapshot, row, &mut builder, cluster)?);
        }
    }
    let files: Files<'_> = read.values().map(|located| (located.file.name.as_str(), &located.file)).collect();
    let catalogue = builder.catalogue.clone();
    let scene = Scene { files: &files, stores: &repository.databases, catalogue: &catalogue };
    let folders = snapshot.index.folders().cloned().collect();
    let mut services = BTreeMap::new();
    for located in rows.iter().filter_map(|row| read.get(row)) {
        builder.check(&located.file, &scene);
        let service = builder.service(located, &folders, &scene, &stores.databases)?;
        let parts = builder.parts(located, &service, &scene, &stores.databases);
        for service in parts.into_iter().chain([service]) {
            services.insert(service.name.clone(), service);
        }
    }
    let same_names = services.keys().all(|name| at.contains_key(name.as_str()));
    if !builder.problems.is_empty() || !same_names {
        return None;
    }
    let mut stacks = shared.stacks.clone();
    for service in services.values() {
        // Another stack may be detected now.
        if !stacks.contains_key(&service.stack.name) {
            is_shared = false;
            stacks.insert(service.stack.name.clone(), std::sync::Arc::clone(&service.stack));
        }
    }
    let Stores { databases, servers } = stores;
    let shared = (!is_shared).then_some(Shared { stacks, databases, servers });
    Some(Resolved { services, shared })
}

/// A row's service.yaml, read again.
fn locate(snapshot: &Snapshot, row: usize, builder: &mut Builder<'_>, cluster: &str) -> Option<Located> {
    let row = snapshot.index.rows.get(row)?;
    let folder = builder.tree.root().folder(&row.folder)?;
    let file = builder.service_file(&folder, &joined(&row.folder, SERVICE_FILE), cluster).ok()??;
    (file.name == row.name).then(|| Located { folder: row.folder.clone(), file })
}
