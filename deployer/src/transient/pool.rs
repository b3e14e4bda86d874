//! Namespaces that an administrator has prepared: each is one cluster's after the other, and may be taken when nothing is left of
//! the one before.

use clustergraph::format::service::Security;
use futures_util::future::{join_all, try_join_all};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Namespace;

use super::overview::{Entry, State, sorted};
use super::{Claim, Home, claim};
use crate::cluster::anchor::anchor;
use crate::cluster::left::Left;
use crate::cluster::{Cluster, ENFORCE};
use crate::error::{Error, Result};
use crate::fault;
use crate::names;

/// A namespace of the pool.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slot {
    pub(crate) namespace: String,
    pub(crate) holds: Holds,
}

/// What a namespace of the pool holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Holds {
    /// Nothing: it may be taken.
    Nothing,
    /// A cluster. One that is not settled yet may turn out to be in another namespace.
    Cluster(Box<Claim>),
    /// What is left of one that is over.
    Remnants { of: String, left: Left },
    /// Nothing that we could use, and why.
    Unusable(String),
}

impl Slot {
    /// What a namespace holds, by the Job that ends its cluster and by what else is there of ours.
    fn of(namespace: &str, job: Option<&Job>, left: Left) -> Self {
        let holds = match job {
            Some(job) if !claim::is_over(job) => match Claim::of_pool(job) {
                Some(claim) => Holds::Cluster(Box::new(claim)),
                None => Holds::Unusable(format!(
                    "its Job {} does not say which cluster it ends: whoever changed it deletes it",
                    names::END_JOB
                )),
            },
            Some(job) => {
                let of = Claim::of_pool(job).map(|claim| claim.name);
                Holds::Remnants { of: of.unwrap_or_default(), left }
            }
            None if left.is_empty() => Holds::Nothing,
            None => Holds::Remnants { of: left.whose().unwrap_or_default().to_owned(), left },
        };
        Self { namespace: namespace.to_owned(), holds }
    }

    /// As one of the clusters that there are, or that go.
    pub(crate) fn entry(&self) -> Option<Entry> {
        match &self.holds {
            Holds::Cluster(claim) => Some(Entry {
                name: claim.name.clone(),
                namespace: self.namespace.clone(),
                state: match claim {
                    _ if !claim.is_settled => State::Beginning,
                    _ if claim.asleep.is_some() => State::Asleep,
                    _ => State::Live,
                },
                author: claim.author.clone(),
                began: Some(claim.began),
                ends: Some(claim.ends),
                why: String::new(),
            }),
            Holds::Remnants { of, .. } => Some(Entry {
                name: of.clone(),
                namespace: self.namespace.clone(),
                state: State::Ending,
                author: String::new(),
                began: None,
                ends: None,
                why: self.told(),
            }),
            Holds::Nothing | Holds::Unusable(_) => None,
        }
    }

    /// What it holds, in words.
    fn told(&self) -> String {
        match &self.holds {
            Holds::Nothing => "free".to_owned(),
            Holds::Cluster(claim) => format!("{} of {} until {}", claim.name, claim.author, claim.ends),
            Holds::Remnants { left, .. } if left.is_empty() => "ending".to_owned(),
            Holds::Remnants { left, .. } => format!("still there: {left}"),
            Holds::Unusable(why) => why.clone(),
        }
    }
}

/// Says of a pool of which nothing may be taken what is in it, and the ways out.
pub(super) fn full(slots: &[Slot], kind: &str) -> Error {
    let mut text = format!("no namespace of the pool of {kind} is free:");
    for slot in slots {
        let whose = match &slot.holds {
            Holds::Remnants { of, left } if !left.is_empty() => format!("{of} has ended, "),
            Holds::Remnants { of, .. } => format!("{of} is "),
            _ => String::new(),
        };
        text.push_str(&format!("\n  {}  {whose}{}", slot.namespace, slot.told()));
    }
    let ends = slots.iter().filter_map(|slot| match &slot.holds {
        Holds::Cluster(claim) => Some((claim.ends, claim.name.as_str())),
        _ => None,
    });
    text.push_str(&match ends.min() {
        Some((ends, name)) => {
            format!("\nRun this again after {ends}, or end one before: `komandan down --name {name}`. ")
        }
        None if slots.iter().any(|slot| matches!(slot.holds, Holds::Remnants { .. })) => {
            "\nRun this again in a moment. ".to_owned()
        }
        None => "\n".to_owned(),
    });
    text.push_str(&format!(
        "More room is for an administrator to make: another name in `clusters.{kind}.pool`, and what `komandan rbac --cluster {kind}` \
         prints then. Nothing was changed"
    ));
    Error::Deploy(text)
}

/// The order in which a cluster looks at the pool: its own, so that those who begin at once rarely meet, and the next cluster of
/// the name is where the last one was, if it can.
pub(super) fn order<'p>(pool: &'p [String], name: &str) -> Vec<&'p String> {
    let sum = name.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    let first = sum % pool.len().max(1);
    pool[first..].iter().chain(&pool[..first]).collect()
}

/// Why pods of a level do not come into a namespace, if they do not.
fn too_strict(namespace: &Namespace, security: Security) -> Option<String> {
    let enforced = namespace.metadata.labels.as_ref().and_then(|labels| labels.get(ENFORCE)).map(String::as_str);
    (security == Security::Baseline && enforced == Some("restricted")).then(|| {
        "it takes restricted pods only, and a service says `security: baseline`: an administrator applies what `komandan rbac` \
         prints now"
            .to_owned()
    })
}

impl Home {
    /// Whether clusters live in namespaces of a pool.
    pub(crate) fn has_pool(&self) -> bool {
        self.pool_size().is_some()
    }

    /// How many namespaces the pool has.
    pub(crate) fn pool_size(&self) -> Option<usize> {
        Some(self.pool.len()).filter(|size| *size > 0)
    }

    /// A namespace of the pool, for the cluster that a command is about.
    pub(super) fn in_pool(&self, namespace: &str) -> Cluster {
        self.cluster.at(self.cluster.name(), namespace)
    }

    /// The cluster of a claim in the pool: all that is made for it ends with its Job.
    pub(super) fn anchored(&self, claim: &Claim) -> Cluster {
        self.cluster.at(&claim.name, &claim.namespace).anchored(anchor(&claim.metadata))
    }

    /// The Jobs that end the clusters of the pool, also of those that are over. What may not be asked has none.
    pub(super) async fn jobs_of_pool(&self) -> Result<Vec<Job>> {
        let jobs = join_all(self.pool.iter().map(|namespace| self.job_in(namespace))).await;
        let mut found = Vec::new();
        for job in jobs {
            found.extend(job?.ok().flatten());
        }
        Ok(found)
    }

    /// The Job of a namespace, or why it cannot be asked for.
    async fn job_in(&self, namespace: &str) -> Result<std::result::Result<Option<Job>, String>> {
        match self.in_pool(namespace).api::<Job>().get_opt(names::END_JOB).await {
            Ok(job) => Ok(Ok(job)),
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(Err(
                "this account has no rights in it: an administrator applies what `komandan rbac` prints".to_owned(),
            )),
            Err(error) => Err(Error::cluster(format!("asking whose the namespace {namespace} is"), &error)),
        }
    }

    /// What a namespace of the pool holds.
    pub(super) async fn slot(&self, namespace: &str) -> Result<Slot> {
        let unusable = |why: &str| Slot { namespace: namespace.to_owned(), holds: Holds::Unusable(why.to_owned()) };
        let own = match self.job_in(namespace).await? {
            Ok(job) => job,
            Err(why) => return Ok(unusable(&why)),
        };
        if let Some(job) = own.as_ref().filter(|job| !claim::is_over(job)) {
            return Ok(Slot::of(namespace, Some(job), Left::default()));
        }
        match self.namespace_of_pool(namespace).await? {
            None => return Ok(unusable("it is not there: an administrator applies what `komandan rbac` prints")),
            Some(found) if found.metadata.deletion_timestamp.is_some() => return Ok(unusable("it is being deleted")),
            Some(_) => {}
        }
        let left = self.in_pool(namespace).left().await?;
        // Who has taken it meanwhile has made its Job before all else.
        let job = self.job_in(namespace).await?.unwrap_or(own);
        Ok(Slot::of(namespace, job.as_ref(), left))
    }

    /// What all namespaces of the pool hold, in their order.
    pub(crate) async fn slots(&self) -> Result<Vec<Slot>> {
        try_join_all(self.pool.iter().map(|namespace| self.slot(namespace))).await
    }

    /// A namespace that may be taken, and takes pods of this level. Refused where there is none.
    pub(super) async fn free(&self, kind: &str, security: Security) -> Result<Cluster> {
        let mut seen = Vec::new();
        for namespace in order(&self.pool, self.cluster.name()) {
            let mut slot = self.slot(namespace).await?;
            if slot.holds == Holds::Nothing {
                let found = self.namespace_of_pool(namespace).await?;
                match found.and_then(|found| too_strict(&found, security)) {
                    None => return Ok(self.in_pool(namespace)),
                    Some(why) => slot.holds = Holds::Unusable(why),
                }
            }
            seen.push(slot);
        }
        seen.sort_by(|one, other| one.namespace.cmp(&other.namespace));
        Err(full(&seen, kind))
    }

    /// A namespace that the cluster of this name may have: a free one, or the last one, where somebody has just taken it for the very
    /// same cluster, or was killed when he had.
    pub(crate) async fn place(&self, kind: &str, security: Security) -> Result<Cluster> {
        match self.free(kind, security).await {
            Ok(free) => Ok(free),
            Err(full) => match self.claims_of_name().await?.first() {
                Some(claim) => Ok(self.in_pool(&claim.namespace)),
                None => Err(full),
            },
        }
    }

    async fn namespace_of_pool(&self, name: &str) -> Result<Option<Namespace>> {
        match self.cluster.api_of_all::<Namespace>().get_opt(name).await {
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
            found => found.map_err(|error| Error::cluster(format!("reading the namespace {name}"), &error)),
        }
    }

    /// All clusters of the pool, those that go last.
    pub(super) async fn clusters_of_pool(&self) -> Result<Vec<Entry>> {
        Ok(sorted(self.slots().await?.iter().filter_map(Slot::entry).collect()))
    }

    /// Ends the cluster of this name, and whatever somebody began of it: with its Job goes all that was made for it. Returns the
    /// namespaces that become free by this.
    pub(super) async fn end_in_pool(&self) -> Result<Vec<String>> {
        let mut going = Vec::new();
        for claim in self.claims_of_name().await? {
            self.in_pool(&claim.namespace).remove::<Job>(&claim.metadata).await?;
            going.push(claim.namespace);
        }
        fault::point("end-forgotten");
        Ok(going)
    }

    /// What is still there of the cluster of this name that is over, or that is about to be.
    pub(super) async fn remains_in_pool(&self) -> Result<Option<String>> {
        let slots = self.slots().await?;
        let own = slots.iter().filter(|slot| slot.entry().is_some_and(|entry| entry.name == self.cluster.name()));
        let told: Vec<String> = own.map(|slot| format!("{}: {}", slot.namespace, slot.told())).collect();
        Ok((!told.is_empty()).then(|| told.join("; ")))
    }

    /// Takes away what is left in namespaces of clusters that are over and that nothing ends any more. Returns these namespaces.
    pub(super) async fn clear_pool(&self, dry_run: bool) -> Result<Vec<String>> {
        let mut gone = Vec::new();
        for slot in self.slots().await? {
            let Holds::Remnants { left, .. } = &slot.holds else { continue };
            if dry_run || self.in_pool(&slot.namespace).clear(left).await? > 0 {
                gone.push(slot.namespace.clone());
            }
        }
        Ok(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::left::tests::left;
    use crate::transient::claim::tests::pooled;
    use serde_json::json;

    fn slots() -> Vec<Slot> {
        let over = json!({ "status": { "conditions": [{ "type": "Failed", "status": "True" }] } });
        let pods = |of: &str| left(of, &[("Pod", json!({})), ("Pod", json!({}))]);
        let asleep = json!({ "metadata": { "annotations": { (names::ASLEEP): "2026-05-01T12:30:00Z" } } });
        vec![
            Slot::of("pr-a", Some(&pooled("pr-7", "pr-a", json!({}))), Left::default()),
            Slot::of("pr-b", None, pods("pr-8")),
            Slot::of("pr-c", Some(&pooled("pr-9", "pr-c", over)), Left::default()),
            Slot::of("pr-d", Some(&pooled("nap", "pr-d", asleep)), Left::default()),
            Slot::of("pr-e", None, Left::default()),
            Slot::of("pr-f", Some(&Job::default()), Left::default()),
        ]
    }

    #[test]
    fn a_namespace_is_a_clusters_until_nothing_of_it_is_left() {
        let slots = slots();
        let found: Vec<_> = slots.iter().map(|slot| slot.entry().map(|it| (it.name, it.state, it.why))).collect();
        let entry = |name: &str, state, why: &str| Some((name.to_owned(), state, why.to_owned()));
        assert_eq!(
            found,
            [
                entry("pr-7", State::Live, ""),
                entry("pr-8", State::Ending, "still there: 2 Pods"),
                entry("pr-9", State::Ending, "ending"),
                entry("nap", State::Asleep, ""),
                None,
                None,
            ]
        );
        assert_eq!(slots[4].holds, Holds::Nothing);
        assert!(matches!(slots[5].holds, Holds::Unusable(_)), "{:?}", slots[5]);
    }

    #[test]
    fn a_full_pool_says_who_has_what_until_when_and_how_there_is_more() {
        insta::assert_snapshot!(full(&slots()[..4], "pr"));
        let going = full(&slots()[1..3], "pr").to_string();
        assert!(going.contains("Run this again in a moment"), "{going}");
        let unusable = full(&slots()[5..], "pr").to_string();
        assert!(!unusable.contains("Run this again") && unusable.contains("komandan-end"), "{unusable}");
    }

    #[test]
    fn each_name_looks_at_all_of_it_in_an_order_of_its_own() {
        let pool: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).into();
        let firsts: std::collections::BTreeSet<String> =
            (0..20).map(|number| order(&pool, &format!("pr-{number}"))[0].clone()).collect();
        assert_eq!(firsts.len(), 4);
        let mut all = order(&pool, "pr-7");
        all.sort();
        assert_eq!(all, pool.iter().collect::<Vec<_>>());
        assert_eq!(order(&pool, "pr-7"), order(&pool, "pr-7"));
        assert_eq!(order(&[], "pr-7"), Vec::<&String>::new());
    }

    #[test]
    fn a_namespace_for_restricted_pods_takes_no_others() {
        let namespace = |level: &str| -> Namespace {
            serde_json::from_value(json!({ "metadata": { "labels": { (ENFORCE): level } } })).unwrap()
        };
        assert!(too_strict(&namespace("restricted"), Security::Baseline).is_some());
        assert_eq!(too_strict(&namespace("restricted"), Security::Restricted), None);
        assert_eq!(too_strict(&namespace("baseline"), Security::Baseline), None);
        assert_eq!(too_strict(&Namespace::default(), Security::Baseline), None);
    }
}
