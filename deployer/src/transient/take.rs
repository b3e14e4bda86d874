//! Takes a namespace of the pool for a cluster: a Job of one name in it, so that of two who take the same namespace one makes it.
//!
//! Two who begin the same cluster at once may each take a namespace. So what was taken is the cluster's only once it is settled that
//! there is no other: whoever looks at all Jobs after one of them was made sees those that were made before it, keeps one, takes the
//! others away, and writes that down as a change of the very Job that was seen. Of two who do so, one changes the Job first and the
//! other looks again. It makes no difference who does it: whoever was killed in between left what the next one settles.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use super::make::{New, understood};
use super::{Claim, Home, claim};
use crate::cluster::{Condition, lock};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::fault;
use crate::names::{self, Component};
use crate::render::warm::clock;

/// How often it is looked again, where others take and leave at the same time, and how long it is waited for each time.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(50);

/// What is next on the way to a namespace.
#[derive(Debug, PartialEq)]
enum Next<'j> {
    /// Nobody has the name: a Job is made.
    Make,
    /// Some were made at the same time. It is looked again, now that they are known.
    Look,
    /// These are one too many each.
    Remove(Vec<&'j Claim>),
    /// There is one alone, and it was there before all were looked at.
    Settle(&'j Claim),
    /// It is the cluster's.
    Is(&'j Claim),
}

/// What is next, by the claims of one name; `known` are those that were there before this look began.
fn next<'j>(claims: &'j [Claim], known: &BTreeSet<String>) -> Next<'j> {
    let settled = claims.iter().find(|claim| claim.is_settled);
    let Some(first) = settled.or_else(|| claims.iter().min_by_key(|claim| &claim.uid)) else { return Next::Make };
    if settled.is_none() && !claims.iter().all(|claim| known.contains(&claim.uid)) {
        return Next::Look;
    }
    let others: Vec<&Claim> = claims.iter().filter(|claim| claim.uid != first.uid).collect();
    match (others.is_empty(), first.is_settled) {
        (false, _) => Next::Remove(others),
        (true, false) => Next::Settle(first),
        (true, true) => Next::Is(first),
    }
}

impl Home {
    /// The cluster, as it is, or in a namespace that is taken for it.
    pub(super) async fn take(&self, new: &New<'_>, console: &Console) -> Result<Claim> {
        let step = console.step("namespace", "taking one of the pool");
        let mut known = BTreeSet::new();
        for _ in 0..TRIES {
            let claims = self.claims_of_name().await?;
            match next(&claims, &known) {
                Next::Make => {
                    let namespace = match self.free(new.kind, new.security).await {
                        // Somebody else may have taken the last one for the very same cluster.
                        Err(_) if !self.claims_of_name().await?.is_empty() => continue,
                        free => free?,
                    };
                    known.extend(self.begin_in(namespace.namespace(), new).await?);
                    continue;
                }
                Next::Is(claim) => {
                    step.done(&format!("{}, until {}", claim.namespace, claim.ends));
                    return Ok(claim.clone());
                }
                Next::Settle(claim) => {
                    if self.settle(claim).await? {
                        continue;
                    }
                }
                Next::Remove(claims) => {
                    for claim in claims {
                        self.yields(claim).await?;
                    }
                }
                Next::Look => {
                    known.extend(claims.iter().map(|claim| claim.uid.clone()));
                    continue;
                }
            }
            // Kubernetes writes to a Job that is new.
            tokio::time::sleep(PAUSE).await;
        }
        Err(Error::Locked(format!(
            "{} comes and goes while this runs: somebody else begins and ends it again and again. Run this again",
            new.name
        )))
    }

    /// The claims of the cluster's name that are not over: one, but while somebody begins it.
    pub(super) async fn claims_of_name(&self) -> Result<Vec<Claim>> {
        let jobs = self.jobs_of_pool().await?;
        let claims = jobs.iter().filter(|job| !claim::is_over(job)).filter_map(Claim::of_pool);
        Ok(claims.filter(|claim| claim.name == self.cluster.name()).collect())
    }

    /// Makes the Job in a namespace; `None` where somebody else has just taken it.
    async fn begin_in(&self, namespace: &str, new: &New<'_>) -> Result<Option<String>> {
        let mut job = clock(names::END_JOB, &names::labels(new.name.as_str(), Component::End), new.ttl);
        job["metadata"]["annotations"] = json!({
            (names::LIVES_IN): namespace, (names::SETTINGS): new.kind, (names::AUTHOR): lock::author(),
        });
        let job: Job = understood(job)?;
        let parameters = PostParams { field_manager: Some(names::MANAGER.to_owned()), dry_run: false };
        match self.in_pool(namespace).api::<Job>().create(&parameters, &job).await {
            Ok(made) => {
                fault::point("pool-taken");
                Ok(made.metadata.uid)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(Error::cluster(format!("taking the namespace {namespace}"), &error)),
        }
    }

    /// Writes down that a claim is the cluster's. `false` when it was changed since it was seen.
    async fn settle(&self, claim: &Claim) -> Result<bool> {
        let change = json!({ "metadata": {
            "uid": claim.uid, "resourceVersion": claim.metadata.resource_version,
            "annotations": { (names::SETTLED): "true" },
        }});
        let parameters = PatchParams { field_manager: Some(names::MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.in_pool(&claim.namespace).api::<Job>();
        match api.patch(names::END_JOB, &parameters, &Patch::Merge(change)).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(Error::cluster(format!("keeping the namespace {}", claim.namespace), &error)),
        }
    }

    /// Takes a claim away as it was seen: one that was settled meanwhile stays.
    async fn yields(&self, claim: &Claim) -> Result<()> {
        let api = self.in_pool(&claim.namespace).api::<Job>();
        match api.delete(names::END_JOB, &Condition::of(&claim.metadata).parameters()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(Error::cluster(format!("giving the namespace {} back", claim.namespace), &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transient::claim::tests::pooled;
    use proptest::prelude::*;

    fn claim(uid: &str, is_settled: bool) -> Claim {
        let mut job = pooled("pr-7", &format!("pool-{uid}"), json!({}));
        job.metadata.uid = Some(uid.to_owned());
        if !is_settled {
            job.metadata.annotations.as_mut().unwrap().remove(names::SETTLED);
        }
        Claim::of_pool(&job).unwrap()
    }

    #[test]
    fn a_claim_is_settled_when_it_is_known_to_be_alone() {
        let known: BTreeSet<String> = ["a".to_owned(), "b".to_owned()].into();
        let (a, b, c) = (claim("a", false), claim("b", false), claim("c", false));
        assert_eq!(next(&[], &known), Next::Make);
        assert_eq!(next(std::slice::from_ref(&a), &known), Next::Settle(&a));
        assert_eq!(next(std::slice::from_ref(&c), &known), Next::Look, "seen for the first time");
        assert_eq!(next(&[b.clone(), a.clone()], &known), Next::Remove(vec![&b]));
        assert_eq!(next(&[a.clone(), c.clone()], &known), Next::Look);
        let settled = claim("b", true);
        assert_eq!(next(std::slice::from_ref(&settled), &known), Next::Is(&settled));
        assert_eq!(next(&[a.clone(), settled.clone()], &known), Next::Remove(vec![&a]), "though its uid is the first");
        let of_another = claim("d", true);
        assert_eq!(next(std::slice::from_ref(&of_another), &known), Next::Is(&of_another), "whoever settled it");
    }

    /// One who takes a namespace: what it knows, what it has read so far of the pool, and what it does next.
    #[derive(Debug, Clone, Default)]
    struct Taker {
        known: BTreeSet<String>,
        /// What was read of each namespace of the pool in this look, in order.
        read: Vec<Option<(String, bool, u64)>>,
        /// Its claim, when it has come to an end.
        has: Option<String>,
    }

    /// A namespace's Job: its uid, whether it is settled, and its revision.
    type Pool = Vec<Option<(String, bool, u64)>>;

    impl Taker {
        /// One request: reads one namespace more, or does what all that was read asks for.
        fn step(&mut self, pool: &mut Pool, made: &mut u64) {
            if self.read.len() < pool.len() {
                return self.read.push(pool[self.read.len()].clone());
            }
            let read = std::mem::take(&mut self.read);
            let claims: Vec<Claim> =
                read.iter().flatten().map(|(uid, is_settled, _)| claim(uid, *is_settled)).collect();
            let place = |wanted: &Claim| read.iter().position(|it| it.as_ref().is_some_and(|it| it.0 == wanted.uid));
            match next(&claims, &self.known) {
                Next::Make => {
                    let Some(free) = pool.iter().position(Option::is_none) else { return };
                    *made += 1;
                    // Uids have no order that tells who was first.
                    let uid = format!("{:x}", made.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                    pool[free] = Some((uid.clone(), false, *made));
                    self.known.insert(uid);
                }
                Next::Look => self.known.extend(claims.iter().map(|claim| claim.uid.clone())),
                Next::Is(claim) => self.has = Some(claim.uid.clone()),
                Next::Settle(claim) => {
                    let at = place(claim).unwrap();
                    if pool[at] == read[at] {
                        *made += 1;
                        pool[at] = Some((claim.uid.clone(), true, *made));
                    }
                }
                Next::Remove(others) => {
                    for at in others.into_iter().filter_map(place) {
                        if pool[at] == read[at] {
                            pool[at] = None;
                        }
                    }
                }
            }
        }
    }

    proptest! {
        /// In whatever order those who begin the same cluster come to act, they end with one claim, the same for all.
        #[test]
        fn whoever_begins_the_same_cluster_at_once_has_the_same_one(order in proptest::collection::vec(0_usize..3, 60..400)) {
            let (mut pool, mut made) = (vec![None; 4], 0);
            let mut takers = vec![Taker::default(); 3];
            // After that each comes to its end in turn.
            let rest = (0..3).flat_map(|taker| std::iter::repeat_n(taker, 200));
            for taker in order.into_iter().chain(rest) {
                if takers[taker].has.is_none() {
                    takers[taker].step(&mut pool, &mut made);
                }
                let settled = pool.iter().flatten().filter(|(_, is_settled, _)| *is_settled).count();
                prop_assert!(settled <= 1, "{pool:?}");
            }
            let has: BTreeSet<&Option<String>> = takers.iter().map(|taker| &taker.has).collect();
            prop_assert!(has.len() == 1 && takers[0].has.is_some(), "{takers:?} {pool:?}");
            prop_assert_eq!(pool.iter().flatten().count(), 1);
        }
    }
}
