//! Which services there will be: what is built alike becomes one service with further processes.

use std::collections::{BTreeMap, BTreeSet};

use super::compose::{Build, Compose, MountKind, Service};
use super::databases::Server;
use super::{Findings, Known};

/// A service.yaml that will be written.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The service's name.
    pub(super) name: String,
    /// Its folder in the repository; empty for the root.
    pub(super) folder: String,
    /// Which service of the Compose file it is.
    pub(super) at: usize,
    /// Further processes: their names, and which services of the Compose file they were.
    pub(super) processes: Vec<(String, usize)>,
    /// Whether it runs once.
    pub(super) is_task: bool,
    /// Where its build begins, in the repository.
    pub(super) context: Option<String>,
}

impl Node {
    /// The services of the Compose file that it is made of.
    pub(super) fn parts(&self) -> impl Iterator<Item = usize> {
        std::iter::once(self.at).chain(self.processes.iter().map(|(_, at)| *at))
    }
}

/// Names, folders and parts of everything that is no database server.
pub(super) fn nodes(
    compose: &Compose,
    servers: &BTreeMap<String, Server>,
    known: &Known<'_>,
    findings: &mut Findings,
) -> Vec<Node> {
    let awaited: BTreeSet<&str> = conditions(compose, |condition| condition == "service_completed_successfully");
    let needed: BTreeSet<&str> = conditions(compose, |_| true);
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut folders: BTreeSet<String> = BTreeSet::new();
    let mut nodes: Vec<Node> = Vec::new();
    // Whoever is called owns the build; the others are its processes.
    let mut order: Vec<usize> = (0..compose.services.len()).collect();
    order.sort_by_key(|at| {
        let service = &compose.services[*at];
        (service.ports.is_empty(), service.command.is_some())
    });
    let mut owners: Vec<(usize, Vec<usize>)> = Vec::new();
    for at in order {
        let service = &compose.services[at];
        if servers.contains_key(&service.name) {
            continue;
        }
        let may_be_part = service.ports.is_empty()
            && service.command.is_some()
            && !needed.contains(service.name.as_str())
            && service.profiles.is_empty();
        let build = build_of(service, compose);
        let owner = owners.iter_mut().find(|(owner, _)| {
            let other = &compose.services[*owner];
            build.is_some() && build_of(other, compose) == build && !awaited.contains(other.name.as_str())
        });
        match owner.filter(|_| may_be_part) {
            Some((_, members)) => members.push(at),
            None => owners.push((at, Vec::new())),
        }
    }
    owners.sort_by_key(|(at, _)| *at);
    for (at, members) in owners {
        let service = &compose.services[at];
        let name = unique(&label(&service.name), &mut names);
        if name != service.name {
            findings.add(Some(&service.name), "name", &format!("names are DNS labels: it is `{name}` here"));
        }
        let context = build_of(service, compose).and_then(|build| {
            let path = known.path(&build.context);
            if path.is_none() {
                findings.add(
                    Some(&service.name),
                    &format!("build {}", build.context),
                    "it lies outside of the repository",
                );
            }
            path
        });
        let folder = folder(service, &name, context.as_deref(), known, &folders);
        folders.insert(folder.clone());
        let processes = members.iter().map(|at| (label(&compose.services[*at].name), *at)).collect();
        let is_task = awaited.contains(service.name.as_str());
        nodes.push(Node { name, folder, at, processes, is_task, context });
    }
    nodes
}

/// The services that others wait for in some way.
fn conditions(compose: &Compose, is_meant: impl Fn(&str) -> bool) -> BTreeSet<&str> {
    let all = compose.services.iter().flat_map(|service| &service.depends_on);
    all.filter(|depends| is_meant(&depends.condition)).map(|depends| depends.service.as_str()).collect()
}

/// How a service is built: by itself, or as the service that its image is named by.
pub(super) fn build_of<'c>(service: &'c Service, compose: &'c Compose) -> Option<&'c Build> {
    service.build.as_ref().or_else(|| {
        let same = |other: &&Service| other.build.is_some() && other.image.is_some() && other.image == service.image;
        compose.services.iter().find(same).and_then(|other| other.build.as_ref())
    })
}

/// Where its service.yaml goes: to its sources, to its files, or to a folder of its own.
fn folder(service: &Service, name: &str, context: Option<&str>, known: &Known<'_>, taken: &BTreeSet<String>) -> String {
    let own = format!("services/{name}");
    let is_free = |folder: &str| !taken.contains(folder);
    if let Some(context) = context {
        return if is_free(context) { context.to_owned() } else { own };
    }
    let files = service.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Bind(source) => {
            let path = known.path(source).filter(|path| !path.is_empty())?;
            match known.look.entries(&path) {
                Some(_) => Some(path),
                None => path.rsplit_once('/').map(|(folder, _)| folder.to_owned()),
            }
        }
        _ => None,
    });
    let common = files.reduce(|one, other| common(&one, &other)).filter(|folder| !folder.is_empty());
    common.filter(|folder| is_free(folder)).unwrap_or(own)
}

/// The folder that holds both.
fn common(one: &str, other: &str) -> String {
    let parts = one.split('/').zip(other.split('/')).take_while(|(one, other)| one == other);
    parts.map(|(part, _)| part).collect::<Vec<_>>().join("/")
}

/// A name as a DNS label.
pub(in crate::commands) fn label(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let text: String = lower.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let text = text.trim_matches('-');
    if text.is_empty() { "service".to_owned() } else { text.to_owned() }
}

fn unique(name: &str, names: &mut BTreeSet<String>) -> String {
    let mut candidate = name.to_owned();
    let mut number = 2;
    while !names.insert(candidate.clone()) {
        candidate = format!("{name}-{number}");
        number += 1;
    }
    candidate
}
