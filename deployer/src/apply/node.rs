//! Makes services and servers real.

use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Patch;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::{Work, again, hold, secret};
use crate::cluster::as_manager;
use crate::cluster::ensure::{hash_of_live, is_leaving};
use crate::cluster::owner::reference;
use crate::cluster::view::Observed;
use crate::console;
use crate::error::{Error, Result};
use crate::fault;
use crate::health;
use crate::names;
use crate::plan::{self, Action, Part, Step, warm::until};
use crate::render::{Kind, Object};
use crate::session::Session;
use crate::store::record::Node;

/// What stands beside a Deployment under its very name, in one form or not at all.
const BESIDE: [(&str, &str); 2] = [("autoscaling/v2", "HorizontalPodAutoscaler"), ("policy/v1", "PodDisruptionBudget")];

const SERVICE: (&str, &str) = ("v1", "Service");
const DEPLOYMENT: (&str, &str) = ("apps/v1", "Deployment");

/// An object as it is seen.
struct Live {
    metadata: ObjectMeta,
    replicas: Option<i32>,
    leaving: bool,
}

fn live(observed: &Observed, object: &Object) -> Option<Live> {
    match object.kind() {
        "Deployment" => observed.deployments.get(object.name()).map(|live| Live {
            metadata: live.metadata.clone(),
            replicas: live.spec.as_ref().and_then(|spec| spec.replicas),
            leaving: is_leaving(live.as_ref()),
        }),
        _ => observed.services.get(object.name()).map(|live| Live {
            metadata: live.metadata.clone(),
            replicas: None,
            leaving: is_leaving(live.as_ref()),
        }),
    }
}

impl Work<'_> {
    /// Makes a service's objects what they should be, and waits until it takes requests.
    pub(super) async fn node(&self, name: &str, shown: &mut console::Step) -> Result<String> {
        let unknown = || Error::Store(format!("there is nothing to make {name} of"));
        let node = self.target.content.nodes.get(name).ok_or_else(unknown)?;
        let objects = self.target.objects.get(name).ok_or_else(unknown)?;
        match node.kind {
            Kind::Task => return self.task(name, node, objects, shown).await,
            // A schedule changes when its version serves.
            Kind::Job => return Ok("changes when this version serves".to_owned()),
            Kind::Service | Kind::HandedOver => {
                // What failed before is tried again at once: its cause may be mended, which nobody else would find out soon.
                let was_stuck = health::is_stuck(&self.session.view.now(), &node.workload, Timestamp::now());
                self.objects(name, node, objects).await?;
                if was_stuck && self.generation(&node.workload).is_none() {
                    let time = Timestamp::now().to_string();
                    let generation = again::mark(self.session, &node.workload, Some(&time)).await?;
                    lock(&self.applied).insert(node.workload.clone(), generation);
                }
            }
        }
        let label = format!("{name} ({})", node.workload);
        let generation = self.generation(&node.workload);
        self.ready(&label, shown, |observed, now| {
            // What was just changed must have been seen before it can be judged.
            match (generation, observed.deployments.get(&node.workload)) {
                (Some(wanted), Some(seen)) if seen.metadata.generation < Some(wanted) => {
                    health::Progress::Waiting("applied".to_owned())
                }
                _ => health::deployment(observed, &node.workload, now),
            }
        })
        .await?;
        if self.target.content.nodes.values().any(|other| other.dependencies.iter().any(|called| called == name)) {
            *lock(&self.called) = Some(Instant::now());
        }
        Ok(format!("{} ready, {}", node.workload, count(self.size(name, node))))
    }

    /// Makes a node's objects what they should be. What stands beside its Deployment goes with its Service, which is made
    /// first: then all of it is there before the Deployment, whose hash tells so, is made or changed by one write.
    async fn objects(&self, name: &str, node: &Node, objects: &[Object]) -> Result<()> {
        let (watched, others): (Vec<&Object>, Vec<&Object>) = objects.iter().partition(|object| object.is_watched());
        left_beside(self.session, objects).await?;
        let size = self.size(name, node);
        let live = self.session.view.now().deployments.get(&node.workload).cloned();
        if let Some(live) = &live {
            self.session.cluster.refuse_foreign(&format!("Deployment {}", node.workload), &live.metadata)?;
        }
        let live = live.filter(|live| !is_leaving(live.as_ref()));
        let (services, workloads): (Vec<&Object>, Vec<&Object>) =
            watched.iter().partition(|object| object.kind() == "Service");
        let owner = match (services.first(), live) {
            (Some(service), _) => owner_reference(SERVICE, &self.object(name, service, size).await?),
            (None, Some(live)) => owner_reference(DEPLOYMENT, &live.metadata),
            (None, None) => return self.without_service(name, node, (&workloads, &others), size).await,
        };
        let beside = others.iter().map(|object| beside(self.session, object, Some(&owner)));
        futures_util::future::try_join_all(beside).await?;
        for object in workloads {
            self.object(name, object, size).await?;
        }
        Ok(())
    }

    /// Makes what has neither a Service nor a Deployment yet: files before the pods look for them, and then again as the
    /// Deployment's own, so that they go with it.
    async fn without_service(
        &self,
        name: &str,
        node: &Node,
        (workloads, others): (&[&Object], &[&Object]),
        size: u32,
    ) -> Result<()> {
        for files in others.iter().filter(|object| matches!(object.kind(), "ConfigMap" | "Secret")) {
            beside(self.session, files, None).await?;
        }
        // What stands beside a Deployment is not watched: that it is there is told by the Deployment's hash, which is
        // therefore written last. Else nobody would make it where this ends before it did.
        for object in workloads {
            let mut wanted = (*object).clone();
            if !others.is_empty() {
                wanted.annotate(names::HASH, names::UNFINISHED);
            }
            self.object(name, &wanted, size).await?;
        }
        if others.is_empty() {
            return Ok(());
        }
        let there = |observed: &Observed| observed.deployments.get(&node.workload).map(|live| live.metadata.clone());
        let live = self.session.view.until(there).await;
        let owner = owner_reference(DEPLOYMENT, &live);
        for object in others {
            beside(self.session, object, Some(&owner)).await?;
        }
        for object in workloads {
            self.finished(object, &live).await?;
        }
        Ok(())
    }

    /// Says by its hash that a Deployment and all that stands beside it are there.
    async fn finished(&self, object: &Object, live: &ObjectMeta) -> Result<()> {
        if hash_of_live(live) == Some(object.hash()) {
            return Ok(());
        }
        let fence = self.session.guard.fence.to_string();
        let annotations = json!({ (names::HASH): object.hash(), (names::FENCE): fence });
        let patch = Patch::Merge(json!({ "metadata": { "uid": live.uid, "annotations": annotations } }));
        let patched = patch_metadata(&self.session.cluster.api::<Deployment>(), object.name(), &patch).await;
        let patched = patched.map_err(|error| Error::cluster(format!("finishing {}", object.name()), &error))?;
        // An annotation is a generation of its own to a Deployment: what is told of the one before says too little.
        if let Some(generation) = patched.generation {
            lock(&self.applied).insert(object.name().to_owned(), generation);
        }
        Ok(())
    }

    /// How many instances a node gets.
    fn size(&self, name: &str, node: &Node) -> u32 {
        if node.scales { plan::size_by_load(name, node, &self.session.view.now()) } else { node.replicas }
    }

    /// Makes the services of these steps what they should be, without waiting for them.
    pub(crate) async fn restore(&self, steps: &[Step]) -> Result<()> {
        for step in steps {
            let Part::Service(name) = &step.part else { continue };
            let (Some(node), Some(objects)) = (self.target.content.nodes.get(name), self.target.objects.get(name))
            else {
                continue;
            };
            if matches!(step.action, Action::Change | Action::Scale)
                && matches!(node.kind, Kind::Service | Kind::HandedOver)
            {
                self.objects(name, node, objects).await?;
            }
        }
        Ok(())
    }

    fn generation(&self, workload: &str) -> Option<i64> {
        lock(&self.applied).get(workload).copied()
    }

    async fn object(&self, name: &str, object: &Object, replicas: u32) -> Result<ObjectMeta> {
        let session = self.session;
        let mut wanted = object.clone();
        let is_deployment = object.kind() == "Deployment";
        if is_deployment {
            wanted.set_spec("replicas", json!(replicas));
        }
        let mut found = live(&session.view.now(), object);
        if let Some(leaving) = found.as_ref().filter(|found| found.leaving) {
            session.cluster.refuse_foreign(&object.what(), &leaving.metadata)?;
            if leaving.metadata.deletion_timestamp.is_none() {
                // Handed to the garbage collector, but not gone: it is taken back. If that comes too late, it
                // goes, and is made anew.
                self.take_back(object, &leaving.metadata).await?;
            }
            found = session
                .view
                .until(|observed| match live(observed, object) {
                    Some(live) if live.leaving => None,
                    other => Some(other),
                })
                .await;
        }
        let code = |found: &Live| found.metadata.annotations.as_ref()?.get(names::SECRETS).cloned();
        let coded = found.as_ref().and_then(code);
        // Whoever does not know the secrets leaves what is there.
        let code = self.target.codes.get(name).cloned().or_else(|| coded.clone()).filter(|_| is_deployment);
        if let Some(code) = &code {
            wanted.annotate(names::SECRETS, code);
            wanted.annotate_pods(names::SECRETS, code);
        }
        let is_ours = |found: &Live| !session.cluster.takes_from(&found.metadata, &wanted);
        if let Some(found) = &found
            && hash_of_live(&found.metadata) == Some(object.hash())
            && code == coded
            && is_ours(found)
            && (!is_deployment || found.replicas == i32::try_from(replicas).ok())
        {
            session.cluster.refuse_foreign(&object.what(), &found.metadata)?;
            return Ok(found.metadata.clone());
        }
        if let Some(found) = found.as_mut().filter(|found| found.replicas == i32::try_from(replicas).ok())
            && let Some(managers) = &mut found.metadata.managed_fields
        {
            // Whoever scales it has chosen the very size that is applied: that is in nobody's way.
            managers.retain(|entry| entry.subresource.as_deref() != Some("scale"));
        }
        let metadata =
            session.cluster.ensure(&wanted, found.as_ref().map(|found| &found.metadata), session.guard).await?;
        if let (true, Some(generation)) = (is_deployment, metadata.generation) {
            lock(&self.applied).insert(object.name().to_owned(), generation);
        }
        Ok(metadata)
    }

    async fn take_back(&self, object: &Object, live: &ObjectMeta) -> Result<()> {
        let patch = Patch::Merge(json!({
            "metadata": {
                "resourceVersion": live.resource_version,
                "uid": live.uid,
                "ownerReferences": self.session.cluster.anchors(),
                "annotations": {
                    (names::FENCE): self.session.guard.fence.to_string(),
                    (names::WARM_UNTIL): null,
                },
            },
        }));
        let cluster = self.session.cluster;
        let patched = match object.kind() {
            "Deployment" => patch_metadata(&cluster.api::<Deployment>(), object.name(), &patch).await,
            _ => patch_metadata(&cluster.api::<Service>(), object.name(), &patch).await,
        };
        match patched {
            Ok(_) if object.kind() == "Deployment" && until(live).is_some() => {
                hold::one(self.session, object.name(), false).await
            }
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(Error::cluster(format!("keeping {}", object.name()), &error)),
        }
    }

    /// Makes a database server, and waits until it answers.
    pub(super) async fn server(&self, name: &str, shown: &mut console::Step) -> Result<String> {
        let server = self.target.servers.get(name).ok_or_else(|| Error::Store(format!("no server {name}")))?;
        let session = self.session;
        if let Some(secret) = &server.secret {
            session.cluster.ensure_credentials(secret).await?;
        }
        let observed = session.view.now();
        for object in &server.objects {
            let found = match object.kind() {
                "StatefulSet" => observed.stateful_sets.get(object.name()).map(|live| &live.metadata),
                _ => observed.services.get(object.name()).map(|live| &live.metadata),
            };
            // A server that is there stays as it is: changing one restarts it, and that is never a side effect.
            match found {
                Some(live) => session.cluster.refuse_foreign(&object.what(), live)?,
                None => {
                    session.cluster.ensure(object, None, session.guard).await?;
                }
            }
        }
        self.ready(&server.name, shown, |observed, now| health::stateful_set(observed, &server.name, now)).await?;
        Ok(format!("{} ready", server.name))
    }
}

/// Makes something that is not watched what it should be; what has no owner yet only has to be there.
pub(super) async fn beside(session: &Session<'_>, object: &Object, owner: Option<&Value>) -> Result<()> {
    let live = session.cluster.live(object).await?;
    let is_secret = object.kind() == "Secret";
    let mut wanted = if is_secret { secret::filled(session, object).await? } else { object.clone() };
    match (owner, &live) {
        (Some(owner), _) => wanted.set_metadata("ownerReferences", json!([owner])),
        // Its values may be others by now, and must be there before the pods that look for them.
        (None, Some(live)) if is_secret => wanted.set_metadata("ownerReferences", json!(live.owner_references)),
        (None, Some(live)) => return session.cluster.refuse_foreign(&object.what(), live),
        (None, None) => {}
    }
    session.cluster.ensure(&wanted, live.as_ref(), session.guard).await.map(drop)
}

/// Takes away what stood beside a Deployment before and does not any more, such as an autoscaler, which would go on. Where
/// nothing beside it changes, nothing is asked; and until this is done, the Deployment says that something does.
async fn left_beside(session: &Session<'_>, objects: &[Object]) -> Result<()> {
    let Some(deployment) = objects.iter().find(|object| object.kind() == "Deployment") else { return Ok(()) };
    let before = session
        .view
        .now()
        .deployments
        .get(deployment.name())
        .and_then(|live| live.annotations().get(names::BESIDE).cloned());
    let after = deployment.body.pointer("/metadata/annotations").and_then(|annotations| annotations.get(names::BESIDE));
    if before.is_none() || before.as_deref() == after.and_then(Value::as_str) {
        return Ok(());
    }
    for (version, kind) in BESIDE.into_iter().filter(|(_, kind)| objects.iter().all(|object| object.kind() != *kind)) {
        let meant =
            Object { body: json!({ "apiVersion": version, "kind": kind, "metadata": { "name": deployment.name() } }) };
        if let Some(live) = session.cluster.readable(&meant).await?.filter(|live| session.cluster.owns(live)) {
            fault::point("beside-to-go");
            session.cluster.remove_object(&meant, &live).await?;
        }
    }
    Ok(())
}

fn owner_reference((version, kind): (&str, &str), live: &ObjectMeta) -> Value {
    json!(reference(version, kind, live))
}

async fn patch_metadata<K>(api: &Api<K>, name: &str, patch: &Patch<Value>) -> kube::Result<ObjectMeta>
where
    K: ResourceExt + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    api.patch_metadata(name, &as_manager(), patch).await.map(|patched| patched.metadata)
}

/// Nothing that is held here can be left half done.
pub(super) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn count(replicas: u32) -> String {
    if replicas == 1 { "1 instance".to_owned() } else { format!("{replicas} instances") }
}
