//! Whose an object is: ours, made for this very cluster, or somebody else's, which is left as it is.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;

use super::applyset;
use crate::error::{Error, Result};
use crate::names;

/// Whether we made an object, for this very cluster, and nobody has taken it into a set of theirs.
pub(crate) fn is_ours(metadata: &ObjectMeta, cluster: &str, namespace: &str) -> bool {
    is_made_for(metadata, cluster) && applyset::of_another(metadata, namespace).is_none()
}

/// Refuses somebody else's object of a name that we need.
pub(crate) fn refuse(what: &str, metadata: &ObjectMeta, cluster: &str, namespace: &str) -> Result<()> {
    if !is_made_for(metadata, cluster) {
        return Err(Error::Refused(format!(
            "there is a {what} in the namespace {namespace} that was not made by us for the cluster {cluster}: it is left \
             as it is. Remove or rename it, or use another --namespace"
        )));
    }
    let Some(set) = applyset::of_another(metadata, namespace) else { return Ok(()) };
    Err(Error::Refused(format!(
        "the {what} in the namespace {namespace} belongs to somebody else's ApplySet, {}: whoever applies that set would \
         change or remove it, so it is left as it is. Take it out of that set (`kubectl label {what} {}-`), or use another \
         --namespace",
        set.escape_debug(),
        applyset::PART_OF
    )))
}

/// An object as the owner of what goes with it.
pub(crate) fn reference(version: &str, kind: &str, metadata: &ObjectMeta) -> OwnerReference {
    OwnerReference {
        api_version: version.to_owned(),
        kind: kind.to_owned(),
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
        controller: None,
        block_owner_deletion: None,
    }
}

fn is_made_for(metadata: &ObjectMeta, cluster: &str) -> bool {
    let label = |name: &str| metadata.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
    label(names::MANAGED_BY) == Some(names::MANAGER) && label(names::PART_OF) == Some(cluster)
}
