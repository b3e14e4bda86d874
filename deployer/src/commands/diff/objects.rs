//! Two versions' objects, line by line.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use similar::TextDiff;

use super::Of;
use crate::cluster::Cluster;
use crate::cluster::view::Observed;
use crate::error::{Error, Result};
use crate::images::reference;
use crate::names;
use crate::render::{self, Object};
use crate::repository;
use crate::settings::Global;
use crate::store::Store;
use crate::store::record::Record;
use crate::target;

/// Texts of objects, by what they are the same of in every version: a service and a kind.
pub(super) type Texts = BTreeMap<String, String>;

/// The objects of a side. `others` are versions whose images are known, so that no registry is asked: what was never
/// deployed has its image's name there, without a digest.
pub(super) async fn of(side: &Of, others: &[&Of], global: &Global, cluster: &Cluster) -> Result<Texts> {
    match side {
        Of::Version(record) => {
            let objects = target::of_record(record, Store::new(cluster)).await?.objects;
            let nodes = record.content.nodes.iter().map(|(name, node)| (name.as_str(), node.replicas));
            texts(nodes, &objects, record.content.entry_objects(cluster.name()))
        }
        Of::Commit(commit) => {
            let repository = repository::read(global, commit).await?;
            let graph = &repository.graph;
            let records: Vec<&Record> = others
                .iter()
                .filter_map(|other| match other {
                    Of::Version(record) => Some(record.as_ref()),
                    Of::Commit(_) => None,
                })
                .collect();
            let mut images = target::known_images(graph, &records, &Observed::default());
            for service in graph.services.values() {
                if !images.services.contains_key(&service.name) {
                    let wanted = reference::wanted(service, graph, &repository.settings)?;
                    images.services.insert(service.name.clone(), wanted.name);
                }
            }
            for database in graph.databases.values() {
                let image = render::database::server_image(graph, database)?;
                let image = reference::pulled(&image, graph, repository.settings.mirror.as_deref());
                images.servers.insert(database.server.clone(), image);
            }
            let rendered = render::render(graph, &images, cluster.name())?;
            let nodes = rendered.nodes.iter().map(|(name, node)| (name.as_str(), node.replicas));
            let objects = rendered.nodes.iter().map(|(name, node)| (name.clone(), node.objects.clone())).collect();
            texts(nodes, &objects, rendered.entry_objects(cluster.name()))
        }
    }
}

fn texts<'n>(
    nodes: impl Iterator<Item = (&'n str, u32)>,
    objects: &BTreeMap<String, Vec<Object>>,
    entries: Vec<Object>,
) -> Result<Texts> {
    let mut texts = Texts::new();
    for (name, replicas) in nodes {
        for object in objects.get(name).into_iter().flatten() {
            let mut object = object.clone();
            if object.kind() == "Deployment" {
                object.set_spec("replicas", json!(replicas));
            }
            texts.insert(format!("{name}: {}", object.kind()), text(object)?);
        }
    }
    for object in entries {
        texts.insert(format!("entry {}: {}", object.name(), object.kind()), text(object)?);
    }
    Ok(texts)
}

/// An object as YAML, without the hash that differs whenever anything else does.
fn text(mut object: Object) -> Result<String> {
    if let Some(annotations) = object.body.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(names::HASH);
    }
    serde_yaml::to_string(&object.body)
        .map_err(|error| Error::Usage(format!("{} {} cannot be written: {error}", object.kind(), object.name())))
}

/// What differs, object by object.
pub(super) fn unified(before: &str, one: &Texts, after: &str, other: &Texts) -> Vec<String> {
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let nothing = String::new();
    let differ = names.into_iter().filter(|name| one.get(*name) != other.get(*name));
    differ
        .map(|name| {
            let texts = (one.get(name).unwrap_or(&nothing), other.get(name).unwrap_or(&nothing));
            let header = (format!("{name} ({before})"), format!("{name} ({after})"));
            let diff = TextDiff::from_lines(texts.0, texts.1);
            diff.unified_diff().context_radius(3).header(&header.0, &header.1).to_string()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown_and_hashes_are_not() {
        let deployment = |grace: u32| {
            let body = json!({ "kind": "Deployment", "metadata": { "name": "api-1" }, "spec": { "grace": grace } });
            BTreeMap::from([("api".to_owned(), vec![Object::new(body)])])
        };
        let of = |grace, replicas| texts([("api", replicas)].into_iter(), &deployment(grace), Vec::new()).unwrap();
        assert_eq!(unified("version 1", &of(5, 2), "HEAD", &of(5, 2)), Vec::<String>::new());
        let [one] = unified("version 1", &of(5, 2), "HEAD", &of(9, 3)).try_into().unwrap();
        insta::assert_snapshot!(one);
        let [gone] = unified("version 1", &of(5, 2), "HEAD", &Texts::new()).try_into().unwrap();
        assert!(gone.contains("-kind: Deployment") && !gone.contains("\n+ "), "{gone}");
    }
}
