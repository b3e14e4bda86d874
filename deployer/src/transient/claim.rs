//! What a Job says of the cluster that it ends.

use clustergraph::format::is_dns_label;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use kube::api::ObjectMeta;

use super::{LONGEST, Name, annotation};
use crate::names;
use crate::overlay::Base;

/// A cluster that ends by itself, as it is written down.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claim {
    /// Its name.
    pub(crate) name: String,
    /// Where it lives.
    pub(crate) namespace: String,
    /// What clustergraph.yaml calls its settings.
    pub(crate) kind: String,
    /// Who made it.
    pub(crate) author: String,
    /// Which Job of that name.
    pub(crate) uid: String,
    /// When it was made, by the clock of Kubernetes.
    pub(crate) began: Timestamp,
    /// From when on its time is counted.
    pub(super) counted_from: Timestamp,
    /// When it ends.
    pub(crate) ends: Timestamp,
    /// Since when it sleeps.
    pub(crate) asleep: Option<String>,
    /// From whom it borrows, where it is an overlay.
    pub(crate) from: Option<Base>,
    /// Whether no other namespace can be the cluster's. One that makes its own has only one.
    pub(crate) is_settled: bool,
    /// The Job's.
    pub(crate) metadata: ObjectMeta,
}

impl Claim {
    /// Reads a Job at home. Whoever may write it may write anything: what makes no sense is none.
    pub(super) fn of(job: &Job) -> Option<Self> {
        let name = job.metadata.name.clone()?;
        let namespace = text(job, names::LIVES_IN).filter(|it| is_dns_label(it) && it.starts_with(&format!("{name}-")));
        Self::read(job, name, namespace?, true)
    }

    /// Reads the Job in a namespace of a pool.
    pub(super) fn of_pool(job: &Job) -> Option<Self> {
        let name = Name::new(job.metadata.labels.as_ref()?.get(names::PART_OF)?).ok()?.to_string();
        let is_settled = annotation(&job.metadata, names::SETTLED).is_some();
        Self::read(job, name, job.metadata.namespace.clone()?, is_settled)
    }

    fn read(job: &Job, name: String, namespace: String, is_settled: bool) -> Option<Self> {
        let metadata = &job.metadata;
        let text = |name: &str| text(job, name);
        let began = metadata.creation_timestamp.as_ref()?.0;
        // Kubernetes counts from when it first saw the Job.
        let counted_from =
            job.status.as_ref().and_then(|status| status.start_time.as_ref()).map_or(began, |time| time.0);
        let seconds = job.spec.as_ref()?.active_deadline_seconds?;
        Some(Self {
            namespace,
            kind: text(names::SETTINGS).unwrap_or_default(),
            author: text(names::AUTHOR).unwrap_or_default(),
            uid: metadata.uid.clone()?,
            began,
            counted_from,
            ends: counted_from.checked_add(SignedDuration::from_secs(seconds)).ok()?,
            asleep: text(names::ASLEEP),
            from: Base::new(text(names::FROM).unwrap_or_default(), text(names::FROM_NAMESPACE).unwrap_or_default()),
            is_settled,
            metadata: metadata.clone(),
            name,
        })
    }
}

/// What an annotation says.
fn text(job: &Job, name: &str) -> Option<String> {
    annotation(&job.metadata, name).map(|text| text.chars().filter(|c| !c.is_control()).collect())
}

/// Whether a Job is on its way out, or about to be: its cluster ends.
pub(super) fn is_over(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    let has_ended = conditions.into_iter().flatten().any(|condition| {
        condition.status == "True" && matches!(condition.type_.as_str(), "Failed" | "FailureTarget" | "Complete")
    });
    has_ended || job.metadata.deletion_timestamp.is_some()
}

/// The deadline of a Job with which a cluster ends so many seconds from now: both are counted from its beginning.
pub(crate) fn deadline(claim: &Claim, now: Timestamp, ttl: u64) -> i64 {
    let past = now.duration_since(claim.counted_from).as_secs().max(0);
    past.saturating_add(i64::try_from(ttl.clamp(1, LONGEST)).unwrap_or(i64::MAX))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A Job as Kubernetes gives it back.
    pub(in crate::transient) fn job(name: &str, namespace: &str, more: Value) -> Job {
        let mut job = json!({
            "metadata": {
                "name": name, "uid": format!("uid-{name}"), "creationTimestamp": "2026-05-01T12:00:00Z",
                "annotations": { (names::LIVES_IN): namespace, (names::AUTHOR): "ada@desk", (names::SETTINGS): "pr" },
            },
            "spec": { "activeDeadlineSeconds": 3600, "template": {} },
            "status": { "startTime": "2026-05-01T12:00:02Z" },
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            job[key] = value.clone();
        }
        serde_json::from_value(job).unwrap()
    }

    /// The same in a namespace of a pool.
    pub(in crate::transient) fn pooled(name: &str, namespace: &str, more: Value) -> Job {
        let mut pooled = job(names::END_JOB, namespace, json!({}));
        let metadata = &mut pooled.metadata;
        metadata.namespace = Some(namespace.to_owned());
        metadata.labels = Some(names::labels(name, names::Component::End));
        metadata.annotations.get_or_insert_default().insert(names::SETTLED.to_owned(), "true".to_owned());
        let annotations = more.pointer("/metadata/annotations").and_then(Value::as_object);
        for (key, value) in annotations.into_iter().flatten() {
            metadata.annotations.get_or_insert_default().insert(key.clone(), value.as_str().unwrap().to_owned());
        }
        if let Some(status) = more.get("status") {
            pooled.status = serde_json::from_value(status.clone()).unwrap();
        }
        pooled
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_job_says_where_its_cluster_is_and_when_it_ends() {
        let claim = Claim::of(&job("pr-7", "pr-7-x7k2", json!({}))).unwrap();
        assert_eq!((claim.namespace.as_str(), claim.author.as_str()), ("pr-7-x7k2", "ada@desk"));
        assert_eq!(claim.ends, at("2026-05-01T13:00:02Z"));
        assert_eq!(claim.from, None);
        let borrows = |from: &str, namespace: &str| {
            let mut job = job("pr-7", "pr-7-x7k2", json!({}));
            let annotations = job.metadata.annotations.as_mut().unwrap();
            annotations.insert(names::FROM.to_owned(), from.to_owned());
            annotations.insert(names::FROM_NAMESPACE.to_owned(), namespace.to_owned());
            Claim::of(&job).unwrap().from.map(|base| (base.name, base.namespace))
        };
        assert_eq!(borrows("production", "shop"), Some(("production".to_owned(), "shop".to_owned())));
        assert_eq!((borrows("production", "../kube-system"), borrows("", "shop")), (None, None));
        let not_seen_yet = Claim::of(&job("pr-7", "pr-7-x7k2", json!({ "status": {} }))).unwrap();
        assert_eq!(not_seen_yet.ends, at("2026-05-01T13:00:00Z"));
        for elsewhere in ["kube-system", "pr-8-x7k2", "../../pr-7-x", "pr-7-X"] {
            assert_eq!(Claim::of(&job("pr-7", elsewhere, json!({}))), None, "{elsewhere}");
        }
    }

    #[test]
    fn in_a_pool_the_jobs_own_namespace_is_the_clusters() {
        let claim = Claim::of_pool(&pooled("pr-7", "shop-a", json!({}))).unwrap();
        assert_eq!((claim.name.as_str(), claim.namespace.as_str(), claim.is_settled), ("pr-7", "shop-a", true));
        let mut job = pooled("pr-7", "shop-a", json!({}));
        job.metadata.annotations = None;
        assert!(!Claim::of_pool(&job).unwrap().is_settled);
        assert_eq!(Claim::of_pool(&pooled("Not A Name", "shop-a", json!({}))), None);
        assert_eq!(Claim::of_pool(&Job::default()), None);
    }

    #[test]
    fn a_new_end_is_counted_from_the_beginning() {
        let claim = Claim::of(&job("pr-7", "pr-7-x7k2", json!({}))).unwrap();
        assert_eq!(deadline(&claim, at("2026-05-01T12:30:02Z"), 7200), 1800 + 7200);
        assert_eq!(deadline(&claim, at("2026-05-01T11:00:00Z"), 60), 60, "a clock that is behind");
        assert_eq!(deadline(&claim, at("2026-05-01T12:00:02Z"), u64::MAX), i64::try_from(LONGEST).unwrap());
    }

    #[test]
    fn what_has_failed_or_is_deleted_is_over() {
        assert!(!is_over(&job("pr-7", "pr-7-x7k2", json!({}))));
        let failed = json!({ "status": { "conditions": [{ "type": "Failed", "status": "True" }] } });
        assert!(is_over(&job("pr-7", "pr-7-x7k2", failed)));
        let suspended = json!({ "status": { "conditions": [{ "type": "Suspended", "status": "True" }] } });
        assert!(!is_over(&job("pr-7", "pr-7-x7k2", suspended)));
    }
}
