//! What of a store may go, by reachability. Pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;

use crate::error::Result;
use crate::health::job_end;
use crate::names::{self, Component};
use crate::store::bundle::Bundle;
use crate::store::databases::{Databases, State};
use crate::store::head::Head;
use crate::store::record::Record;

/// What something is that may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Version,
    Bundle,
    Job,
}

impl Kind {
    /// The word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Bundle => "bundle",
            Self::Job => "job",
        }
    }
}

/// Something that may go.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Waste {
    pub(super) kind: Kind,
    /// Which object, as it was read.
    pub(super) metadata: ObjectMeta,
    pub(super) reason: String,
}

impl Waste {
    /// Its object's name.
    pub(super) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}

/// What a store holds.
#[derive(Debug, Default)]
pub(super) struct Stored {
    records: BTreeMap<u64, (Record, ObjectMeta)>,
    bundles: BTreeMap<String, ObjectMeta>,
}

impl Stored {
    /// Tells records from bundles; of what is neither nothing is said.
    pub(super) fn read(maps: Vec<ConfigMap>) -> Result<Self> {
        let mut stored = Self::default();
        for map in maps {
            if let Some(text) = map.data.as_ref().and_then(|data| data.get(Record::KEY)) {
                let record = Record::decode(text)?;
                stored.records.insert(record.number, (record, map.metadata));
            } else if map.binary_data.as_ref().is_some_and(|data| data.contains_key(Bundle::KEY)) {
                stored.bundles.insert(map.metadata.name.clone().unwrap_or_default(), map.metadata);
            }
        }
        Ok(stored)
    }
}

/// What may go when the newest `keep` versions stay, besides those that serve, are kept ready, or are borrowed.
pub(super) fn waste<'j>(
    stored: &Stored,
    head: &Head,
    pinned: &BTreeSet<u64>,
    jobs: impl Iterator<Item = &'j Job>,
    databases: &Databases,
    keep: u32,
) -> Vec<Waste> {
    let newest: BTreeSet<u64> = stored
        .records
        .keys()
        .rev()
        .filter(|number| is_finished(head, **number))
        .take(usize::try_from(keep).unwrap_or(usize::MAX))
        .copied()
        .collect();
    let stays = |number: u64| head.keeps(number) || pinned.contains(&number) || newest.contains(&number);
    let mut all = Vec::new();
    for (number, (_, metadata)) in stored.records.iter().filter(|(number, _)| !stays(**number)) {
        let reason = if is_finished(head, *number) {
            format!("older than the {keep} versions that stay")
        } else {
            "it never served".to_owned()
        };
        all.push(Waste { kind: Kind::Version, metadata: metadata.clone(), reason });
    }
    let reached: BTreeSet<&str> = stored
        .records
        .iter()
        .filter(|(number, _)| stays(**number))
        .flat_map(|(_, (record, _))| record.content.nodes.values())
        .map(|node| node.bundle.as_str())
        .collect();
    for (_, metadata) in stored.bundles.iter().filter(|(name, _)| !reached.contains(name.as_str())) {
        let reason = "no version that stays has an object in it".to_owned();
        all.push(Waste { kind: Kind::Bundle, metadata: metadata.clone(), reason });
    }
    for job in jobs.filter(|job| job_end(job).is_some() && is_once(job) && !is_asked_for(job, databases)) {
        let reason = "it is over, and its end is written down".to_owned();
        all.push(Waste { kind: Kind::Job, metadata: job.metadata.clone(), reason });
    }
    all
}

/// Whether a version came so far that the head knew of it.
fn is_finished(head: &Head, number: u64) -> bool {
    number <= head.last
}

/// Whether a Job is one that komandan itself let run. What a schedule made has its own limit.
fn is_once(job: &Job) -> bool {
    let labels = job.metadata.labels.as_ref();
    let component = labels.and_then(|labels| labels.get(names::COMPONENT)).map(String::as_str);
    component == Some(Component::Migration.as_str())
        && !job.metadata.owner_references.iter().flatten().any(|owner| owner.controller == Some(true))
}

/// Whether somebody still has to see how it ended: a deploy, or a person.
fn is_asked_for(job: &Job, databases: &Databases) -> bool {
    databases
        .0
        .values()
        .any(|known| Some(&known.work.uid) == job.metadata.uid.as_ref() && known.work.state != State::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::databases::tests::wanted;
    use crate::store::databases::{Known, Work};
    use crate::store::record::tests::content;
    use jiff::Timestamp;
    use k8s_openapi::api::batch::v1::{JobCondition, JobStatus};
    use proptest::prelude::*;

    fn metadata(name: &str) -> ObjectMeta {
        ObjectMeta { name: Some(name.to_owned()), uid: Some(format!("uid-{name}")), ..ObjectMeta::default() }
    }

    /// Versions by number, each with its bundles, and bundles of none.
    fn stored(versions: &[(u64, &[&str])], bundles: &[&str]) -> Stored {
        let mut stored = Stored::default();
        for (number, names) in versions {
            let nodes: Vec<(String, &str)> = names.iter().map(|name| (format!("of-{name}"), *name)).collect();
            let wanted: Vec<(&str, &str, u32)> = nodes.iter().map(|(name, _)| (name.as_str(), "1", 1)).collect();
            let mut content = content(&wanted);
            for (name, bundle) in &nodes {
                content.nodes.get_mut(name).unwrap().bundle = (*bundle).to_owned();
            }
            let record = Record::new(*number, content, None, "a".to_owned(), Timestamp::UNIX_EPOCH);
            stored.records.insert(*number, (record, metadata(&format!("version-{number}"))));
            stored.bundles.extend(names.iter().map(|name| ((*name).to_owned(), metadata(name))));
        }
        stored.bundles.extend(bundles.iter().map(|name| ((*name).to_owned(), metadata(name))));
        stored
    }

    fn head(served: &[u64]) -> Head {
        let mut head = Head::default();
        for number in served {
            head.intend(*number, "deploy");
            head.commit("a", Timestamp::UNIX_EPOCH);
        }
        head
    }

    fn names(waste: &[Waste]) -> Vec<&str> {
        waste.iter().map(Waste::name).collect()
    }

    #[test]
    fn versions_beyond_those_that_stay_go_with_what_only_they_need() {
        let stored = stored(&[(1, &["a", "b"]), (2, &["b", "c"]), (3, &["c"]), (4, &["d"])], &["lost"]);
        let found = |head: &Head, keep| {
            let all = waste(&stored, head, &BTreeSet::new(), std::iter::empty(), &Databases::default(), keep);
            names(&all).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let borrowed = waste(&stored, &head(&[1, 2, 3, 4]), &[1].into(), std::iter::empty(), &Databases::default(), 1);
        assert_eq!(names(&borrowed), ["version-2", "lost"], "others borrow the first");
        assert_eq!(found(&head(&[1, 2, 3, 4]), 9), ["lost"]);
        assert_eq!(found(&head(&[1, 2, 3, 4]), 1), ["version-1", "version-2", "a", "b", "lost"]);
        assert_eq!(found(&head(&[1, 2, 3, 4, 1]), 1), ["version-2", "version-3", "c", "lost"], "after a revert to 1");
        assert_eq!(found(&head(&[1, 2, 3]), 9), ["version-4", "d", "lost"], "one that never served");
        let mut switching = head(&[1, 2, 3]);
        switching.intend(4, "deploy");
        assert_eq!(found(&switching, 9), ["lost"], "one that is being switched to");
    }

    #[test]
    fn a_job_goes_when_nobody_has_to_look_at_its_end() {
        let job = |name: &str, component: Component, end: Option<&str>| Job {
            metadata: ObjectMeta { labels: Some(names::labels("production", component)), ..metadata(name) },
            status: Some(JobStatus {
                conditions: end.map(|kind| {
                    vec![JobCondition { type_: kind.to_owned(), status: "True".to_owned(), ..JobCondition::default() }]
                }),
                ..JobStatus::default()
            }),
            ..Job::default()
        };
        let migration = Component::Migration;
        let jobs = [
            job("done", migration, Some("Complete")),
            job("running", migration, None),
            job("failed", migration, Some("Failed")),
            job("unknown", migration, Some("Failed")),
            job("else", Component::Service, Some("Complete")),
        ];
        let known = |name: &str, state| {
            let work = Work {
                state,
                job: name.to_owned(),
                uid: format!("uid-{name}"),
                made: None,
                migration: None,
                schemas: None,
                seeds: false,
                time: Timestamp::UNIX_EPOCH,
            };
            (format!("api/{name}"), Known::doing(&wanted("15", None), None, work, None))
        };
        let databases = Databases(
            [known("done", State::Done), known("running", State::Running), known("failed", State::Failed)].into(),
        );
        let all = waste(&Stored::default(), &Head::default(), &BTreeSet::new(), jobs.iter(), &databases, 5);
        assert_eq!(names(&all), ["done", "unknown"]);
    }

    proptest! {
        #[test]
        fn whatever_is_kept_can_be_brought_back_from_the_store(served in proptest::collection::vec(1..8_u64, 1..12), keep in 1..6_u32) {
            let versions: Vec<(u64, Vec<String>)> =
                (1..8).map(|number| (number, vec![format!("b{number}"), format!("b{}", number / 2)])).collect();
            let borrowed: Vec<(u64, Vec<&str>)> =
                versions.iter().map(|(number, names)| (*number, names.iter().map(String::as_str).collect())).collect();
            let slices: Vec<(u64, &[&str])> = borrowed.iter().map(|(number, names)| (*number, names.as_slice())).collect();
            let stored = stored(&slices, &[]);
            let head = head(&served);
            let all = waste(&stored, &head, &BTreeSet::new(), std::iter::empty(), &Databases::default(), keep);
            let gone: BTreeSet<&str> = names(&all).into_iter().collect();
            for number in [head.current, head.previous].into_iter().flatten() {
                let version = format!("version-{number}");
                prop_assert!(!gone.contains(version.as_str()));
            }
            for (record, metadata) in stored.records.values() {
                if !gone.contains(metadata.name.as_deref().unwrap()) {
                    prop_assert!(record.content.nodes.values().all(|node| !gone.contains(node.bundle.as_str())));
                }
            }
        }
    }
}
