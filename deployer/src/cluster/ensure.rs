//! Verbs that may be repeated: what is already as asked is left alone, what is somebody else's is refused.

use std::fmt::Debug;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ObjectMeta, Patch, PatchParams, Preconditions,
};
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::anchor::{owners, tie};
use super::fields::{self, Held, Takes, held, met};
use super::{Cluster, applyset, owner};
use crate::error::{Error, Result};
use crate::names;
use crate::render::Object;
use crate::render::front::{INGRESS, ROUTE};

/// How often something is read again that changed while it was to be deleted.
const TRIES: usize = 4;

/// What a change is conditional on: that an object is the very one that was read, and unchanged since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    uid: Option<String>,
    revision: Option<String>,
}

impl Condition {
    /// The object as it was read.
    pub(crate) fn of(metadata: &ObjectMeta) -> Self {
        Self { uid: metadata.uid.clone(), revision: metadata.resource_version.clone() }
    }

    /// Deletes that very object, and what it made after it.
    pub(crate) fn parameters(&self) -> DeleteParams {
        let conditions = Preconditions { uid: self.uid.clone(), resource_version: self.revision.clone() };
        DeleteParams { preconditions: Some(conditions), ..DeleteParams::background() }
    }
}

/// What became of an apply.
enum Applied {
    /// It is what it should be.
    Done(ObjectMeta),
    /// Its status has changed since it was read, and nothing else.
    Reported(ObjectMeta),
}

/// Whether an object is the one that was read, but for its status: who changes what is wanted makes a new generation, and who
/// holds a newer lock leaves an annotation.
fn is_as_read(read: &ObjectMeta, found: &ObjectMeta) -> bool {
    read.uid == found.uid
        && read.generation == found.generation
        && read.annotations == found.annotations
        && read.labels == found.labels
        && read.owner_references == found.owner_references
        && read.deletion_timestamp == found.deletion_timestamp
}

/// Whether an object is as this very lock's holder wanted it, also in what its hash does not tell: the holder may have written to
/// it before, for the sake of something else.
fn is_done(found: &DynamicObject, wanted: &Object, guard: Guard) -> bool {
    let replicas = wanted.body.pointer("/spec/replicas");
    let code = wanted.body.pointer("/metadata/annotations").and_then(|annotations| annotations.get(names::SECRETS));
    is_of(&found.metadata, guard)
        && hash_of_live(&found.metadata) == Some(wanted.hash())
        && replicas.is_none_or(|replicas| found.data.pointer("/spec/replicas") == Some(replicas))
        && found.annotations().get(names::SECRETS).map(String::as_str) == code.and_then(serde_json::Value::as_str)
}

/// What every change carries: the number of the lock's holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guard {
    /// The fence of the lock under which this is done.
    pub(crate) fence: u64,
}

impl Cluster {
    /// Makes an object what it should be, if `live` (as just read) is not.
    ///
    /// Nothing is asked when the hash and the fields in `also` say that it is. Somebody else's object is
    /// refused by name and left untouched. An object changed since it was read is a conflict, unless only its status was.
    pub(crate) async fn ensure(&self, object: &Object, live: Option<&ObjectMeta>, guard: Guard) -> Result<ObjectMeta> {
        let mut live = live.cloned();
        for _ in 0..TRIES {
            match self.apply(object, live.as_ref(), guard).await? {
                Applied::Done(metadata) => return Ok(metadata),
                Applied::Reported(found) => live = Some(found),
            }
        }
        Err(conflict(&object.what()))
    }

    async fn apply(&self, object: &Object, live: Option<&ObjectMeta>, guard: Guard) -> Result<Applied> {
        let what = object.what();
        let mut wanted = object.clone();
        if let Some(live) = live {
            self.refuse_foreign(&what, live)?;
            wanted.set_metadata("resourceVersion", json!(live.resource_version));
            wanted.set_metadata("uid", json!(live.uid));
        }
        wanted.annotate(names::FENCE, &guard.fence.to_string());
        if applyset::takes(object) {
            wanted.label(applyset::PART_OF, &applyset::id(self.namespace()));
        }
        tie(&mut wanted, self.anchors());
        let api = self.dynamic(object)?;
        let send = async |force: bool| {
            let parameters = PatchParams { force, ..PatchParams::apply(names::MANAGER).validation_strict() };
            api.patch(object.name(), &parameters, &Patch::Apply(&wanted)).await
        };
        // A new object must be nobody's: without force, what somebody else has just made is a conflict. So is a field that is
        // somebody else's; where there is none, all are ours, whether we wrote them by an apply or otherwise.
        let is_ours = |live: &ObjectMeta| held(live, &wanted.body, None).iter().all(|held| self.takes.includes(held));
        let force = live.is_some_and(is_ours);
        let mut applied = send(force).await;
        if let (Err(kube::Error::Api(status)), Some(_), false) = (&applied, live, force) {
            let met = met(status);
            self.refuse_held(&[(what.clone(), met.clone())])?;
            // As it was read: nobody else has set anything since.
            if !met.is_empty() {
                applied = send(true).await;
            }
        }
        let applied = match applied {
            Ok(applied) => applied,
            Err(kube::Error::Api(status)) if status.code == 409 && live.is_none() => {
                let Some(found) = self.whole(object).await? else { return Err(conflict(&what)) };
                if self.owns(&found.metadata) && is_done(&found, &wanted, guard) {
                    return Ok(Applied::Done(found.metadata));
                }
                return Err(Error::Refused(format!(
                    "there is a {what} in the namespace {} that was not made by us: it is left as it is ({})",
                    self.namespace(),
                    status.message
                )));
            }
            Err(kube::Error::Api(status)) if status.code == 409 => match self.whole(object).await? {
                // It was ourselves, and only the answer got lost: nobody else has this fence.
                Some(found) if is_done(&found, &wanted, guard) => return Ok(Applied::Done(found.metadata)),
                // Controllers write what they see: the disruption controller at every change of a pod.
                Some(found) if live.is_some_and(|read| is_as_read(read, &found.metadata)) => {
                    return Ok(Applied::Reported(found.metadata));
                }
                _ => return Err(conflict(&what)),
            },
            Err(error) => return Err(Error::cluster(format!("applying {what}"), &error)),
        };
        Ok(Applied::Done(applied.metadata))
    }

    /// Whether somebody else has set fields of an object that are all to be taken over.
    pub(crate) fn takes_from(&self, live: &ObjectMeta, wanted: &Object) -> bool {
        self.takes == Takes::Everything && !held(live, &wanted.body, None).is_empty()
    }

    /// Refuses to set what somebody else has set otherwise, unless that may be taken over.
    pub(crate) fn refuse_held(&self, found: &[(String, Vec<Held>)]) -> Result<()> {
        let left = |held: &Vec<Held>| held.iter().filter(|held| !self.takes.includes(held)).cloned().collect();
        let found: Vec<(String, Vec<Held>)> = found
            .iter()
            .map(|(what, held)| (what.clone(), left(held)))
            .filter(|(_, held): &(_, Vec<_>)| !held.is_empty())
            .collect();
        if found.is_empty() { Ok(()) } else { Err(Error::Refused(fields::refusal(self.namespace(), &found))) }
    }

    /// Refuses an object that we did not make for this cluster.
    pub(crate) fn refuse_foreign(&self, what: &str, live: &ObjectMeta) -> Result<()> {
        owner::refuse(what, live, self.name(), self.namespace())
    }

    /// Deletes an object as it was read. One that is gone, or is another by now, is fine.
    pub(crate) async fn remove<K>(&self, metadata: &ObjectMeta) -> Result<()>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        let name = metadata.name.as_deref().unwrap_or_default();
        let what = format!("{} {name}", K::kind(&K::DynamicType::default()));
        self.delete(&self.api::<K>(), &what, metadata).await
    }

    /// The same of an object of whatever kind.
    pub(crate) async fn remove_object(&self, object: &Object, live: &ObjectMeta) -> Result<()> {
        self.delete(&self.dynamic(object)?, &object.what(), live).await
    }

    async fn delete<K>(&self, api: &Api<K>, what: &str, metadata: &ObjectMeta) -> Result<()>
    where
        K: Clone + Debug + DeserializeOwned,
    {
        let name = metadata.name.clone().unwrap_or_default();
        let mut metadata = metadata.clone();
        for _ in 0..TRIES {
            self.refuse_foreign(what, &metadata)?;
            match api.delete(&name, &Condition::of(&metadata).parameters()).await {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                // Often only its status has changed. It goes if it is still the very same object of ours.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(Error::cluster(format!("deleting {what}"), &error)),
            }
            let found = api.get_metadata_opt(&name).await;
            let found = found.map_err(|error| Error::cluster(format!("reading {what}"), &error))?;
            match found.map(|found| found.metadata) {
                Some(found) if found.uid == metadata.uid => metadata = found,
                _ => return Ok(()),
            }
        }
        Err(conflict(what))
    }

    /// The metadata of the object of this kind and name, if there is one.
    pub(crate) async fn live(&self, object: &Object) -> Result<Option<ObjectMeta>> {
        let found = self.dynamic(object)?.get_metadata_opt(object.name()).await;
        let found = found.map_err(|error| Error::cluster(format!("reading {}", object.what()), &error))?;
        Ok(found.map(|found| found.metadata))
    }

    /// The object of this kind and name, if there is one.
    async fn whole(&self, object: &Object) -> Result<Option<DynamicObject>> {
        let found = self.dynamic(object)?.get_opt(object.name()).await;
        found.map_err(|error| Error::cluster(format!("reading {}", object.what()), &error))
    }

    /// The same of what an account may have no right to, or a cluster may not know: then nobody ever made it.
    pub(crate) async fn readable(&self, object: &Object) -> Result<Option<ObjectMeta>> {
        match self.dynamic(object)?.get_metadata_opt(object.name()).await {
            // Of a kind that it does not know, the API server says 404 in a page of its own.
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => Ok(None),
            found => Ok(found
                .map_err(|error| Error::cluster(format!("reading {}", object.what()), &error))?
                .map(|found| found.metadata)),
        }
    }

    fn dynamic(&self, object: &Object) -> Result<Api<DynamicObject>> {
        self.objects(object.api_version(), object.kind())
    }

    /// The objects of a kind that we make.
    pub(super) fn objects(&self, version: &str, kind: &str) -> Result<Api<DynamicObject>> {
        let resource = match (version, kind) {
            ("v1", "Service") => ApiResource::erase::<Service>(&()),
            ("v1", "ServiceAccount") => ApiResource::erase::<ServiceAccount>(&()),
            ("apps/v1", "Deployment") => ApiResource::erase::<Deployment>(&()),
            ("apps/v1", "StatefulSet") => ApiResource::erase::<StatefulSet>(&()),
            ("batch/v1", "Job") => ApiResource::erase::<Job>(&()),
            ("batch/v1", "CronJob") => ApiResource::erase::<CronJob>(&()),
            ("networking.k8s.io/v1", "NetworkPolicy") => ApiResource::erase::<NetworkPolicy>(&()),
            INGRESS => ApiResource::erase::<Ingress>(&()),
            ROUTE => {
                let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
                ApiResource::from_gvk_with_plural(&kind, "httproutes")
            }
            ("policy/v1", "PodDisruptionBudget") => ApiResource::erase::<PodDisruptionBudget>(&()),
            ("v1", "ConfigMap") => ApiResource::erase::<ConfigMap>(&()),
            ("v1", "Secret") => ApiResource::erase::<Secret>(&()),
            ("v1", "PersistentVolumeClaim") => ApiResource::erase::<PersistentVolumeClaim>(&()),
            ("autoscaling/v2", "HorizontalPodAutoscaler") => ApiResource::erase::<HorizontalPodAutoscaler>(&()),
            ("coordination.k8s.io/v1", "Lease") => ApiResource::erase::<Lease>(&()),
            (version, kind) => {
                return Err(Error::Store(format!("{version} {kind} is no object that this komandan makes: update it")));
            }
        };
        Ok(Api::namespaced_with(self.client.clone(), self.namespace(), &resource))
    }
}

fn conflict(what: &str) -> Error {
    Error::Locked(format!(
        "{what} was changed by somebody else while this ran; it is left as it is. Run this again, which goes on from here"
    ))
}

/// The hash that an object of ours carries.
pub(crate) fn hash_of_live(metadata: &ObjectMeta) -> Option<&str> {
    metadata.annotations.as_ref().and_then(|annotations| annotations.get(names::HASH)).map(String::as_str)
}

/// Whether an object was last changed under this very lock.
pub(crate) fn is_of(metadata: &ObjectMeta, guard: Guard) -> bool {
    let fence = metadata.annotations.as_ref().and_then(|annotations| annotations.get(names::FENCE));
    fence.is_some_and(|fence| *fence == guard.fence.to_string())
}

/// Whether an object is about to go: deleted, or handed to the garbage collector.
pub(crate) fn is_leaving(object: &impl ResourceExt) -> bool {
    object.meta().deletion_timestamp.is_some() || owners(object.meta()).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read() -> ObjectMeta {
        let annotations = [(names::FENCE.to_owned(), "3".to_owned())].into();
        ObjectMeta {
            uid: Some("u".to_owned()),
            generation: Some(2),
            resource_version: Some("70".to_owned()),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn an_object_of_this_holder_is_done_only_when_it_has_the_size_and_the_secrets_that_are_wanted() {
        let mut wanted = Object::new(json!({ "kind": "Deployment", "metadata": { "name": "api" }, "spec": {} }));
        wanted.set_spec("replicas", json!(2));
        wanted.annotate(names::SECRETS, "c");
        let found = |replicas: u32, code: &str, fence: &str| -> DynamicObject {
            let annotations = json!({ (names::FENCE): fence, (names::HASH): wanted.hash(), (names::SECRETS): code });
            let metadata = json!({ "name": "api", "annotations": annotations });
            serde_json::from_value(json!({ "metadata": metadata, "spec": { "replicas": replicas } })).unwrap()
        };
        let guard = Guard { fence: 3 };
        assert!(is_done(&found(2, "c", "3"), &wanted, guard));
        // It was only taken back from the garbage collector under this lock, and still sleeps.
        assert!(!is_done(&found(0, "c", "3"), &wanted, guard));
        assert!(!is_done(&found(2, "b", "3"), &wanted, guard));
        assert!(!is_done(&found(2, "c", "2"), &wanted, guard));
    }

    #[test]
    fn a_status_is_no_change_and_everything_else_is() {
        let reported = ObjectMeta { resource_version: Some("71".to_owned()), ..read() };
        assert!(is_as_read(&read(), &reported));
        let fenced = [(names::FENCE.to_owned(), "4".to_owned())].into();
        for changed in [
            ObjectMeta { generation: Some(3), ..reported.clone() },
            ObjectMeta { uid: Some("another".to_owned()), ..reported.clone() },
            ObjectMeta { annotations: Some(fenced), ..reported.clone() },
            ObjectMeta { labels: Some([("a".to_owned(), "b".to_owned())].into()), ..reported },
        ] {
            assert!(!is_as_read(&read(), &changed), "{changed:?}");
        }
    }
}
