//! Ends clusters before their time, moves their ends, and ends those whose time is over where nobody else does.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Patch;
use serde_json::{Value, json};

use super::overview::overview;
use super::{Claim, Home, annotation, deadline};
use crate::cluster::Condition;
use crate::cluster::as_manager;
use crate::error::{Error, Result};
use crate::fault;
use crate::names;

/// How often something is looked at again that changed meanwhile.
const TRIES: usize = 4;

impl Home {
    /// Ends the cluster of this name: what would end it, and every namespace that it ever had and that is not on its way out
    /// yet. Returns the namespaces that go by this.
    ///
    /// The Job goes first: whoever is killed after that has ended the cluster all the same, since all hangs on it.
    pub(crate) async fn end_now(&self) -> Result<Vec<String>> {
        if self.has_pool() {
            return self.end_in_pool().await;
        }
        let namespaces = self.namespaces().await?;
        if let Some(job) = self.found().await? {
            self.cluster.remove::<Job>(&job.metadata).await?;
        }
        fault::point("end-forgotten");
        let mut going = Vec::new();
        for namespace in namespaces.iter().filter(|it| self.cluster.owns(&it.metadata)) {
            let stays = namespace.metadata.deletion_timestamp.is_none();
            going.extend(namespace.metadata.name.clone().filter(|_| stays));
            // The garbage collector may be faster than we are.
            self.delete_namespace(namespace).await?;
        }
        Ok(going)
    }

    /// Ends what is left of clusters whose time is over: namespaces whose Job is gone. Returns these, and only names them in a dry
    /// run.
    pub(crate) async fn end_what_is_over(&self, dry_run: bool) -> Result<Vec<String>> {
        if self.has_pool() {
            return self.clear_pool(dry_run).await;
        }
        // The namespaces first: whoever begins a cluster makes its Job before its namespace.
        let namespaces = self.namespaces().await?;
        let jobs = self.jobs().await?;
        // Of a Job that somebody changed it is only known that it is there: that is enough to leave its namespace alone.
        let live: Vec<&str> = jobs.iter().filter_map(|job| job.metadata.uid.as_deref()).collect();
        let is_over = |namespace: &&Namespace| {
            annotation(&namespace.metadata, names::END).is_some_and(|end| !live.contains(&end))
        };
        let mut gone = Vec::new();
        for namespace in namespaces.iter().filter(is_over) {
            if dry_run {
                let stays = namespace.metadata.deletion_timestamp.is_none();
                gone.extend(namespace.metadata.name.clone().filter(|_| stays));
            } else {
                gone.extend(self.delete_namespace(namespace).await?);
            }
        }
        Ok(gone)
    }

    /// What is still there of the cluster of this name, whose namespaces go; nothing when they are gone.
    pub(crate) async fn remains(&self) -> Result<Option<String>> {
        if self.has_pool() {
            return self.remains_in_pool().await;
        }
        let namespaces = self.namespaces().await?;
        let own: Vec<Namespace> = namespaces.into_iter().filter(|it| self.cluster.owns(&it.metadata)).collect();
        let told = overview(&[], &own).into_iter().map(|entry| format!("{}: {}", entry.namespace, entry.why));
        let told: Vec<String> = told.collect();
        Ok((!own.is_empty()).then(|| told.join("; ")))
    }

    /// Moves the end to so many seconds from now. Returns the cluster as it is then.
    pub(crate) async fn extend(&self, claim: &Claim, ttl: u64) -> Result<Claim> {
        let seconds = deadline(claim, Timestamp::now(), ttl);
        self.change(claim, json!({ "spec": { "activeDeadlineSeconds": seconds } })).await
    }

    /// Says since when the cluster sleeps, or that it does not.
    pub(crate) async fn mark_asleep(&self, claim: &Claim, since: Option<Timestamp>) -> Result<Claim> {
        let since = since.map(|since| since.round(jiff::Unit::Second).unwrap_or(since).to_string());
        self.change(claim, json!({ "metadata": { "annotations": { (names::ASLEEP): since } } })).await
    }

    async fn change(&self, claim: &Claim, mut change: Value) -> Result<Claim> {
        change["metadata"]["uid"] = json!(claim.uid);
        // At home, or in the cluster's own namespace of a pool.
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        let place = claim.metadata.namespace.as_deref().unwrap_or_default();
        let read = if self.has_pool() { Claim::of_pool } else { Claim::of };
        match self.cluster.at(&claim.name, place).api::<Job>().patch(name, &as_manager(), &Patch::Merge(change)).await {
            Ok(job) if !super::claim::is_over(&job) => read(&job).ok_or_else(|| self.nobody()),
            Ok(_) => Err(self.nobody()),
            // It is another one by now.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Err(self.nobody()),
            Err(error) => Err(Error::cluster(format!("changing when {} ends", claim.name), &error)),
        }
    }

    /// Takes away what would end a cluster that has no namespace any more.
    pub(super) async fn forget(&self, claim: &Claim) -> Result<()> {
        self.cluster.remove::<Job>(&claim.metadata).await
    }

    /// Deletes a namespace of ours. Its name, if it goes by this.
    async fn delete_namespace(&self, namespace: &Namespace) -> Result<Option<String>> {
        let api = self.cluster.api_of_all::<Namespace>();
        let mut metadata = namespace.metadata.clone();
        let name = metadata.name.clone().unwrap_or_default();
        for _ in 0..TRIES {
            if metadata.deletion_timestamp.is_some() || annotation(&metadata, names::CREATED).is_none() {
                return Ok(None);
            }
            match api.delete(&name, &Condition::of(&metadata).parameters()).await {
                Ok(_) => return Ok(Some(name)),
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(Error::cluster(format!("deleting the namespace {name}"), &error)),
            }
            match self.namespace(&name).await? {
                Some(found) if found.metadata.uid == metadata.uid => metadata = found.metadata,
                _ => return Ok(None),
            }
        }
        Err(Error::Locked(format!("the namespace {name} was changed by somebody else all the while. Run this again")))
    }
}
