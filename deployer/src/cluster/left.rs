//! What is still there of a cluster that is over, in a namespace that stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, ObjectMeta};

use super::{Cluster, Condition};
use crate::error::{Error, Result};
use crate::names;

/// Every kind that we make, each with its version. What controllers make of these goes with them; pods are looked at besides.
const KINDS: [(&str, &str); 15] = [
    ("v1", "ConfigMap"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
    ("coordination.k8s.io/v1", "Lease"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1", "PodDisruptionBudget"),
];

/// An object that is still there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Remnant {
    version: &'static str,
    kind: &'static str,
    metadata: ObjectMeta,
}

/// All that is still there of clusters that are over.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Left(Vec<Remnant>);

impl Left {
    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The cluster whose it was.
    pub(crate) fn whose(&self) -> Option<&str> {
        let labels = self.0.iter().filter_map(|remnant| remnant.metadata.labels.as_ref());
        labels.filter_map(|labels| labels.get(names::PART_OF)).map(String::as_str).next()
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: BTreeMap<&str, (usize, BTreeSet<&str>)> = BTreeMap::new();
        for remnant in &self.0 {
            let (count, held) = kinds.entry(remnant.kind).or_default();
            *count += 1;
            held.extend(remnant.metadata.finalizers.iter().flatten().map(String::as_str));
        }
        let told = kinds.iter().map(|(kind, (count, held))| {
            let held: Vec<String> = held.iter().map(|it| it.chars().filter(|c| !c.is_control()).collect()).collect();
            let held = if held.is_empty() { String::new() } else { format!(" (held by {})", held.join(", ")) };
            format!("{count} {kind}{}{held}", if *count == 1 { "" } else { "s" })
        });
        f.write_str(&told.collect::<Vec<_>>().join(", "))
    }
}

impl Cluster {
    /// What is in the namespace that we made, whichever cluster it was for; but for the Job that would end it.
    pub(crate) async fn left(&self) -> Result<Left> {
        let ours = ListParams::default().labels(&format!("{}={}", names::MANAGED_BY, names::MANAGER));
        let pods = async {
            let pods = self.api::<Pod>().list_metadata(&ours).await.map_err(|error| reading("Pod", &error))?;
            let pod = |metadata| Remnant { version: "v1", kind: "Pod", metadata };
            Ok::<_, Error>(pods.items.into_iter().map(|it| pod(it.metadata)).collect())
        };
        let listed = KINDS.iter().map(|(version, kind)| self.listed(version, kind, &ours));
        let (mut all, pods): (Vec<Vec<Remnant>>, Vec<Remnant>) = tokio::try_join!(try_join_all(listed), pods)?;
        all.push(pods);
        let is_end = |it: &Remnant| it.kind == "Job" && it.metadata.name.as_deref() == Some(names::END_JOB);
        Ok(Left(all.into_iter().flatten().filter(|it| !is_end(it)).collect()))
    }

    async fn listed(&self, version: &'static str, kind: &'static str, which: &ListParams) -> Result<Vec<Remnant>> {
        match self.objects(version, kind)?.list_metadata(which).await {
            Ok(found) => {
                Ok(found.items.into_iter().map(|it| Remnant { version, kind, metadata: it.metadata }).collect())
            }
            // Of a kind that it does not know, the API server has none.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
            Err(error) => Err(reading(kind, &error)),
        }
    }

    /// Deletes what is left as it was read, but for pods, which go with what made them. Returns how much went by this.
    pub(crate) async fn clear(&self, left: &Left) -> Result<usize> {
        let stays = |it: &&Remnant| it.kind != "Pod" && it.metadata.deletion_timestamp.is_none();
        let gone = try_join_all(left.0.iter().filter(stays).map(|remnant| async {
            let name = remnant.metadata.name.as_deref().unwrap_or_default();
            let parameters = Condition::of(&remnant.metadata).parameters();
            match self.objects(remnant.version, remnant.kind)?.delete(name, &parameters).await {
                Ok(_) => Ok(1),
                // Somebody else ends it, or has just written to it: that is looked at another time.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(0),
                Err(error) => Err(Error::cluster(format!("deleting {} {name}", remnant.kind), &error)),
            }
        }));
        Ok(gone.await?.into_iter().sum())
    }
}

fn reading(kind: &str, error: &kube::Error) -> Error {
    Error::cluster(format!("looking which objects of the kind {kind} are left"), error)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Something that is left of a cluster.
    pub(crate) fn left(of: &str, kinds: &[(&'static str, Value)]) -> Left {
        let remnant = |(kind, more): &(&'static str, Value)| {
            let mut metadata = json!({ "name": "some", "labels": { (names::PART_OF): of } });
            for (key, value) in more.as_object().unwrap() {
                metadata[key] = value.clone();
            }
            Remnant { version: "v1", kind, metadata: serde_json::from_value(metadata).unwrap() }
        };
        Left(kinds.iter().map(remnant).collect())
    }

    #[test]
    fn what_is_left_is_told_by_kind_and_with_what_holds_it() {
        let held = json!({ "finalizers": ["kubernetes.io/pvc-protection\u{1b}"] });
        let left = left("pr-7", &[("Pod", json!({})), ("PersistentVolumeClaim", held), ("Pod", json!({}))]);
        assert_eq!(left.to_string(), "1 PersistentVolumeClaim (held by kubernetes.io/pvc-protection), 2 Pods");
        assert_eq!(left.whose(), Some("pr-7"));
        assert!(Left::default().is_empty() && Left::default().whose().is_none());
    }

    #[test]
    fn every_kind_that_is_in_a_set_of_ours_is_looked_for() {
        let known: BTreeSet<&str> = KINDS.iter().map(|(_, kind)| *kind).collect();
        let mut parent = ObjectMeta::default();
        super::super::applyset::parent(&mut parent, "shop", true);
        let kinds = parent.annotations.unwrap()["applyset.kubernetes.io/contains-group-kinds"].clone();
        for kind in kinds.split(',') {
            assert!(known.contains(kind.split('.').next().unwrap()), "{kind}");
        }
    }
}
