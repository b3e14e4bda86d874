//! The ApplySet that a cluster's objects are, by the specification that kubectl follows (KEP-3659): the head is its parent and
//! says whose it is, and every object that is applied carries its id. So others see what belongs together and leave it alone,
//! and we leave theirs alone.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kube::api::ObjectMeta;
use sha2::{Digest, Sha256};

use crate::names::{self, Component};
use crate::render::Object;

/// On a parent: the id of its set.
const ID: &str = "applyset.kubernetes.io/id";
/// On a parent: whose set it is, and what wrote it last.
const TOOLING: &str = "applyset.kubernetes.io/tooling";
/// On a parent: the kinds that its set may hold.
const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
/// On a member: the id of the set that it is part of.
pub(crate) const PART_OF: &str = "applyset.kubernetes.io/part-of";

/// What this program calls itself in a parent: a name and a version.
const OURS: &str = concat!("komandan/v", env!("CARGO_PKG_VERSION"));

/// The kinds that every API server knows, sorted. Data (claims on volumes, passwords) is in no set: nobody prunes it.
const ALWAYS: [&str; 12] = [
    "ConfigMap",
    "CronJob.batch",
    "Deployment.apps",
    "HorizontalPodAutoscaler.autoscaling",
    "Ingress.networking.k8s.io",
    "Job.batch",
    "NetworkPolicy.networking.k8s.io",
    "PodDisruptionBudget.policy",
    "Secret",
    "Service",
    "ServiceAccount",
    "StatefulSet.apps",
];
/// What only a cluster with the Gateway API knows: named as soon as there may be one.
const ROUTE: &str = "HTTPRoute.gateway.networking.k8s.io";

/// The id of a namespace's set: a hash of its parent's name, namespace, kind and group, so that a copy elsewhere is another's.
pub(crate) fn id(namespace: &str) -> String {
    let parent = format!("{}.{namespace}.ConfigMap.", names::HEAD);
    format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(Sha256::digest(parent)))
}

/// What the parent carries besides what it is.
pub(crate) fn parent(metadata: &mut ObjectMeta, namespace: &str, has_routes: bool) {
    metadata.labels.get_or_insert_default().insert(ID.to_owned(), id(namespace));
    let mut kinds = ALWAYS.to_vec();
    kinds.extend(has_routes.then_some(ROUTE));
    kinds.sort_unstable();
    let annotations = [(TOOLING, OURS.to_owned()), (KINDS, kinds.join(","))];
    let annotations: BTreeMap<String, String> = annotations.map(|(name, value)| (name.to_owned(), value)).into();
    metadata.annotations.get_or_insert_default().extend(annotations);
}

/// Another's tool, where an object is the parent of its set.
pub(crate) fn tool_of_another(metadata: &ObjectMeta) -> Option<&str> {
    let tooling = metadata.annotations.as_ref()?.get(TOOLING)?;
    let tool = tooling.split_once('/').map_or(tooling.as_str(), |(name, _)| name);
    (tool != names::MANAGER).then_some(tool)
}

/// The id of another's set, where an object is part of one.
pub(crate) fn of_another<'m>(metadata: &'m ObjectMeta, namespace: &str) -> Option<&'m str> {
    part_of(metadata).filter(|set| *set != id(namespace))
}

/// Whether something that should be a member is none: it was made before there was a set.
pub(crate) fn is_missing(metadata: &ObjectMeta) -> bool {
    let component = metadata.labels.as_ref().and_then(|labels| labels.get(names::COMPONENT));
    part_of(metadata).is_none() && component.is_some_and(|component| !is_data(component))
}

/// Whether an object is a member.
pub(crate) fn takes(object: &Object) -> bool {
    let labels = object.body.pointer("/metadata/labels");
    let component = labels.and_then(|labels| labels.get(names::COMPONENT)).and_then(serde_json::Value::as_str);
    component.is_some_and(|component| !is_data(component))
}

fn part_of(metadata: &ObjectMeta) -> Option<&str> {
    metadata.labels.as_ref()?.get(PART_OF).map(String::as_str)
}

/// What outlives all that is applied; and what ends all of it.
fn is_data(component: &str) -> bool {
    [Component::Credentials, Component::End, Component::Secrets, Component::Volume]
        .iter()
        .any(|data| data.as_str() == component)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn labelled(name: &str, value: &str) -> ObjectMeta {
        ObjectMeta { labels: Some([(name.to_owned(), value.to_owned())].into()), ..ObjectMeta::default() }
    }

    #[test]
    fn a_set_is_known_by_its_parent() {
        // printf komandan-head.shop.ConfigMap. | openssl dgst -sha256 -binary | base64 | tr +/ -_ | tr -d =
        assert_eq!(id("shop"), "applyset-DR8GnaoY5AICCfvbe9K-OnkpGAyod4ORd5kMrDUBf5A-v1");
        assert!(id("shop").len() <= 63 && id("shop") != id("shop-2"));
        let mut metadata = ObjectMeta::default();
        parent(&mut metadata, "shop", false);
        assert_eq!(metadata.labels.as_ref().unwrap()[ID], id("shop"));
        let (name, version) = metadata.annotations.as_ref().unwrap()[TOOLING].split_once("/v").unwrap();
        assert!(name == names::MANAGER && version.split('.').count() == 3);
        assert!(!metadata.annotations.as_ref().unwrap()[KINDS].contains("HTTPRoute"));
        parent(&mut metadata, "shop", true);
        let kinds: Vec<&str> = metadata.annotations.as_ref().unwrap()[KINDS].split(',').collect();
        assert!(kinds.is_sorted() && kinds.contains(&ROUTE) && kinds.len() == ALWAYS.len() + 1);
    }

    #[test]
    fn what_is_of_another_set_is_told_from_what_is_of_none() {
        assert_eq!(of_another(&labelled(PART_OF, &id("shop")), "shop"), None);
        assert_eq!(of_another(&ObjectMeta::default(), "shop"), None);
        assert_eq!(of_another(&labelled(PART_OF, "applyset-x-v1"), "shop"), Some("applyset-x-v1"));
        let tooled = |tool: &str| ObjectMeta {
            annotations: Some([(TOOLING.to_owned(), tool.to_owned())].into()),
            ..ObjectMeta::default()
        };
        assert_eq!(tool_of_another(&tooled("kubectl/v1.36.0")), Some("kubectl"));
        assert_eq!(tool_of_another(&tooled("kubectl")), Some("kubectl"));
        assert_eq!(tool_of_another(&tooled("komandan/v9.9.9")), None, "another version of us");
        assert_eq!(tool_of_another(&ObjectMeta::default()), None);
    }

    #[test]
    fn data_is_no_member() {
        for (component, is_member) in [(Component::Service, true), (Component::Base, true), (Component::Volume, false)]
        {
            let body = json!({ "metadata": { "name": "a", "labels": names::labels("production", component) } });
            assert_eq!(takes(&Object::new(body)), is_member, "{component:?}");
            assert_eq!(is_missing(&labelled(names::COMPONENT, component.as_str())), is_member, "{component:?}");
        }
        assert!(!is_missing(&labelled(PART_OF, "any")) && !is_missing(&ObjectMeta::default()));
    }
}
