//! What a Compose file puts into a container: volumes that stay, files of the repository, and the rest.

use std::collections::BTreeMap;

use super::compose::{MountKind, Service};
use super::nodes::{Node, label};
use super::{Findings, Known};

/// How many files of a folder are put in one by one.
const MANY: usize = 40;

/// What becomes of a service's mounts.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// Volumes, by name.
    pub(super) volumes: BTreeMap<String, String>,
    /// Files: where they go, and where they are below the service's folder.
    pub(super) files: BTreeMap<String, String>,
    /// Files that must be copied into the service's folder: their names there, and their texts.
    pub(super) copies: BTreeMap<String, String>,
}

/// Sorts the mounts of a service.
pub(super) fn mounts(service: &Service, node: &Node, known: &Known<'_>, findings: &mut Findings) -> Mounts {
    let mut mounts = Mounts::default();
    let name = service.name.as_str();
    for mount in &service.mounts {
        let target = mount.target.trim_end_matches('/');
        match &mount.kind {
            MountKind::Volume(volume) => {
                mounts.volumes.insert(label(volume), target.to_owned());
            }
            // It keeps what the image installed from being hidden by a bind; nothing hides it here.
            MountKind::Anonymous if node.context.is_some() => {}
            MountKind::Anonymous => {
                mounts.volumes.insert(label(target.rsplit('/').next().unwrap_or_default()), target.to_owned());
            }
            MountKind::Memory => {
                findings.add(Some(name), "tmpfs", "every folder of a container can be written to here")
            }
            MountKind::Other(kind) => {
                findings.add(Some(name), &format!("volume of type {kind}"), "there is no such thing here")
            }
            MountKind::Bind(source) => bind(source, target, name, node, known, &mut mounts, findings),
        }
    }
    mounts
}

fn bind(
    source: &str,
    target: &str,
    name: &str,
    node: &Node,
    known: &Known<'_>,
    mounts: &mut Mounts,
    findings: &mut Findings,
) {
    let what = format!("volume {source}:{target}");
    if source.ends_with("docker.sock") {
        return findings.add(Some(name), &what, "no service is given the engine itself");
    }
    let Some(path) = known.path(source) else {
        return findings.add(
            Some(name),
            &what,
            "it lies outside of the repository: a graph is made of the repository alone",
        );
    };
    let is_below = |context: &str| context.is_empty() || path == context || path.starts_with(&format!("{context}/"));
    let is_source = node.context.as_deref().is_some_and(is_below);
    match known.look.entries(&path) {
        Some(_) if is_source => {
            findings.add(Some(name), &what, "sources are in the image: when they change, `ssi up` builds it anew")
        }
        Some(_) => {
            let mut all = BTreeMap::new();
            walk(&path, "", known, &mut all);
            if all.is_empty() || all.len() > MANY {
                let why = format!("it holds {} files: put them into an image, or name some in `files:`", all.len());
                return findings.add(Some(name), &what, if all.is_empty() { "there is nothing in it" } else { &why });
            }
            for (below, text) in all {
                file(&format!("{path}/{below}"), &format!("{target}/{below}"), &text, name, node, mounts, findings);
            }
        }
        None => match known.look.text(&path) {
            Some(text) => file(&path, target, &text, name, node, mounts, findings),
            None => findings.add(Some(name), &what, "it is not there, or no text"),
        },
    }
}

/// The texts below a folder.
fn walk(folder: &str, below: &str, known: &Known<'_>, all: &mut BTreeMap<String, String>) {
    let here = if below.is_empty() { folder.to_owned() } else { format!("{folder}/{below}") };
    for entry in known.look.entries(&here).unwrap_or_default() {
        let inner = if below.is_empty() { entry } else { format!("{below}/{entry}") };
        if all.len() > MANY {
            return;
        }
        let path = format!("{folder}/{inner}");
        if known.look.entries(&path).is_some() {
            walk(folder, &inner, known, all);
        } else if let Some(text) = known.look.text(&path) {
            all.insert(inner, text);
        }
    }
}

fn file(path: &str, target: &str, text: &str, name: &str, node: &Node, mounts: &mut Mounts, findings: &mut Findings) {
    if text.contains("${") {
        let why = format!("in `files:` a `${{...}}` is an expression: write `$${{` in {path} and name it there");
        return findings.add(Some(name), &format!("volume {path}:{target}"), &why);
    }
    let prefix = if node.folder.is_empty() { String::new() } else { format!("{}/", node.folder) };
    if let Some(below) = path.strip_prefix(&prefix) {
        mounts.files.insert(target.to_owned(), below.to_owned());
        return;
    }
    let mut copy = path.rsplit('/').next().unwrap_or(path).to_owned();
    while mounts.copies.contains_key(&copy) {
        copy.push('_');
    }
    let why = format!("files of a service lie in its folder: it is copied to {prefix}{copy}");
    findings.add(Some(name), &format!("volume {path}:{target}"), &why);
    mounts.copies.insert(copy.clone(), text.to_owned());
    mounts.files.insert(target.to_owned(), copy);
}
