//! What owns all of a cluster whose namespace stays when it ends: a Job without pods, which has the cluster's deadline. With it goes
//! everything that is made there, so the namespace is empty for the next one. Nothing of a permanent cluster has such an owner.
//!
//! What something else owns (what only the version before needs, what goes with a Deployment) hangs on that alone, and so on the
//! Job in the end: an object goes only when its last owner has.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use serde_json::{Value, json};

use super::Cluster;
use super::owner::reference;
use crate::names;
use crate::render::Object;

/// A Job as that owner.
pub(crate) fn anchor(job: &ObjectMeta) -> OwnerReference {
    reference("batch/v1", "Job", job)
}

/// What owns an object beside that: what it goes with before the whole cluster ends.
pub(crate) fn owners(metadata: &ObjectMeta) -> impl Iterator<Item = &OwnerReference> {
    let is_anchor = |owner: &OwnerReference| owner.kind == "Job" && owner.name == names::END_JOB;
    metadata.owner_references.iter().flatten().filter(move |owner| !is_anchor(owner))
}

impl Cluster {
    /// The same, where everything that is made hangs on this owner.
    pub(crate) fn anchored(self, anchor: OwnerReference) -> Self {
        Self { anchor: Some(anchor), ..self }
    }

    /// The owners of what nothing else owns; none in a namespace that goes with its cluster, or that both stay.
    pub(crate) fn anchors(&self) -> Option<Vec<OwnerReference>> {
        self.anchor.clone().map(|anchor| vec![anchor])
    }
}

/// Ties an object to its cluster's end, unless it goes with something else. Its hash is that of what was rendered, and stays.
pub(super) fn tie(object: &mut Object, anchors: Option<Vec<OwnerReference>>) {
    let Some(anchors) = anchors else { return };
    let owned = object.body.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    if owned.is_none_or(Vec::is_empty) {
        object.set_metadata("ownerReferences", json!(anchors));
    }
    if object.kind() == "StatefulSet" {
        // Its controller makes the volumes' claims: they go with it, and stay while it has no instances.
        let policy = json!({ "whenDeleted": "Delete", "whenScaled": "Retain" });
        object.set_spec("persistentVolumeClaimRetentionPolicy", policy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(owners: Value) -> ObjectMeta {
        serde_json::from_value(json!({ "ownerReferences": owners })).unwrap()
    }

    #[test]
    fn what_nothing_else_owns_goes_with_its_cluster_and_is_the_same_all_the_same() {
        let object = |kind: &str, owners: Value| {
            Object::new(json!({ "kind": kind, "metadata": { "name": "a", "ownerReferences": owners }, "spec": {} }))
        };
        let job = ObjectMeta { uid: Some("1".to_owned()), name: Some(names::END_JOB.to_owned()), ..Default::default() };
        let tied = |before: &Object, anchors| {
            let mut object = before.clone();
            tie(&mut object, anchors);
            assert_eq!(object.hash(), before.hash());
            object.body
        };
        let anchors = || Some(vec![anchor(&job)]);
        let uids = |body: &Value| body.pointer("/metadata/ownerReferences/0/uid").cloned();
        let service = object("Service", json!(null));
        assert_eq!(uids(&tied(&service, anchors())), Some(json!("1")));
        assert_eq!(tied(&service, None), service.body, "a cluster that stays");
        let of_another = object("ConfigMap", json!([{ "kind": "Deployment", "uid": "2" }]));
        assert_eq!(uids(&tied(&of_another, anchors())), Some(json!("2")));
        let policy = "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted";
        let set = object("StatefulSet", json!(null));
        assert_eq!(tied(&set, anchors()).pointer(policy), Some(&json!("Delete")));
        assert_eq!(tied(&set, None).pointer(policy), None);
    }

    #[test]
    fn what_ends_all_of_it_is_told_from_what_ends_a_part() {
        let end = json!({ "apiVersion": "batch/v1", "kind": "Job", "name": names::END_JOB, "uid": "1" });
        let warm = json!({ "apiVersion": "batch/v1", "kind": "Job", "name": names::warm_job(7, 41), "uid": "2" });
        let service = json!({ "apiVersion": "v1", "kind": "Service", "name": names::END_JOB, "uid": "3" });
        for (owned, left) in [
            (json!([end]), 0),
            (json!([warm]), 1),
            (json!([end, warm]), 1),
            (json!([service]), 1),
            (json!([]), 0),
            (json!(null), 0),
        ] {
            assert_eq!(owners(&metadata(owned.clone())).count(), left, "{owned}");
        }
        let job = ObjectMeta { uid: Some("1".to_owned()), name: Some(names::END_JOB.to_owned()), ..Default::default() };
        assert_eq!(owners(&ObjectMeta { owner_references: Some(vec![anchor(&job)]), ..Default::default() }).count(), 0);
    }
}
