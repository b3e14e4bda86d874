//! What only the version before needs, and until when it stays ready.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::api::ObjectMeta;

use crate::cluster::anchor::owners;
use crate::cluster::view::Observed;
use crate::names;
use crate::session::Kept;
use crate::store::record::{Content, Record};

/// Until when something is kept that has an owner with a deadline.
pub(crate) fn until(metadata: &ObjectMeta) -> Option<Timestamp> {
    let owned = owners(metadata).any(|owner| owner.kind == "Job");
    let annotation = metadata.annotations.as_ref()?.get(names::WARM_UNTIL)?;
    annotation.parse().ok().filter(|_| owned)
}

/// Until when a version stays ready; `None` where nothing of it has a deadline.
pub(crate) fn version_until(content: &Content, observed: &Observed) -> Option<Timestamp> {
    let live = content.nodes.values().filter_map(|node| observed.deployments.get(&node.workload));
    live.filter_map(|live| until(&live.metadata)).min()
}

/// Whether something is about to go: deleted, handed to the garbage collector, or past its deadline.
pub(crate) fn is_ending(metadata: &ObjectMeta, now: Timestamp) -> bool {
    let is_owned = owners(metadata).next().is_some();
    metadata.deletion_timestamp.is_some() || (is_owned && until(metadata).is_none_or(|until| until <= now))
}

/// Whether something that only the version before needs would stay for ever, though the version that serves says otherwise.
pub(crate) fn is_endless(observed: &Observed, kept: &Kept) -> bool {
    let bounded = kept.current.as_ref().is_some_and(|current| current.content.warm_seconds.is_some());
    bounded && own(observed, kept).any(|metadata| !is_owned(metadata))
}

/// Whether something is not there for good.
pub(crate) fn is_owned(metadata: &ObjectMeta) -> bool {
    metadata.deletion_timestamp.is_some() || owners(metadata).next().is_some()
}

/// The workloads that the version before has, and neither the one that serves nor one that others borrow has.
pub(crate) fn own_workloads(kept: &Kept) -> BTreeSet<&str> {
    let of = |record: &'_ Option<Record>| -> BTreeSet<String> {
        let nodes = record.iter().flat_map(|record| record.content.nodes.values());
        nodes.map(|node| node.workload.clone()).collect()
    };
    let mut serves = of(&kept.current);
    serves.extend(kept.lent().flat_map(|record| record.content.nodes.values()).map(|node| node.workload.clone()));
    let before = kept.previous.iter().flat_map(|record| record.content.nodes.values());
    before.map(|node| node.workload.as_str()).filter(|workload| !serves.contains(*workload)).collect()
}

/// The Deployments and Services that only the version before needs.
pub(crate) fn own<'o>(observed: &'o Observed, kept: &Kept) -> impl Iterator<Item = &'o ObjectMeta> {
    let workloads = own_workloads(kept);
    let deployments = workloads.iter().filter_map(|name| observed.deployments.get(*name)).map(|live| &live.metadata);
    let services = workloads.iter().filter_map(|name| observed.services.get(*name)).map(|live| &live.metadata);
    deployments.chain(services).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::tests::content;
    use serde_json::json;
    use std::sync::Arc;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A Deployment's metadata with this owner, and a deadline at a second.
    fn metadata(owner: Option<&str>, until: Option<i64>) -> ObjectMeta {
        let owners = owner.map(|kind| json!([{ "apiVersion": "v1", "kind": kind, "name": "o", "uid": "u" }]));
        let annotations = until.map(|until| json!({ (names::WARM_UNTIL): second(until).to_string() }));
        let value = json!({ "name": "api", "ownerReferences": owners, "annotations": annotations });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_kept_for_a_while_is_not_ending_before_its_time() {
        for (metadata, ends_at_ten) in [
            (metadata(None, None), false),
            (metadata(Some("Job"), Some(11)), false),
            (metadata(Some("Job"), Some(10)), true),
            // Handed to the garbage collector, whenever that takes it.
            (metadata(Some("Deployment"), None), true),
            (metadata(Some("Deployment"), Some(11)), true),
            (metadata(Some("Job"), None), true),
        ] {
            assert_eq!(is_ending(&metadata, second(10)), ends_at_ten, "{metadata:?}");
        }
        let deleted: ObjectMeta =
            serde_json::from_value(json!({ "deletionTimestamp": second(1).to_string() })).unwrap();
        assert!(is_ending(&deleted, second(0)));
        // An annotation alone is somebody's remark, and nothing that ends anything.
        assert_eq!(until(&metadata(None, Some(11))), None);
    }

    #[test]
    fn only_what_the_version_that_serves_does_not_need_gets_a_deadline() {
        let record = |number, content| Record::new(number, content, None, "a".to_owned(), Timestamp::UNIX_EPOCH);
        let mut now = content(&[("api", "1", 1), ("www", "2", 1)]);
        now.warm_seconds = Some(60);
        let before = content(&[("api", "1", 1), ("www", "1", 1), ("old", "1", 1)]);
        let mut observed = Observed::default();
        for workload in before.nodes.values().chain(now.nodes.values()).map(|node| &node.workload) {
            let live = json!({ "metadata": { "name": workload } });
            observed.deployments.insert(workload.clone(), Arc::new(serde_json::from_value(live.clone()).unwrap()));
            observed.services.insert(workload.clone(), Arc::new(serde_json::from_value(live).unwrap()));
        }
        let names: Vec<&str> = ["old", "www"].map(|name| before.nodes[name].workload.as_str()).into();
        let mut kept =
            Kept { current: Some(record(2, now)), previous: Some(record(1, before.clone())), ..Kept::default() };
        assert_eq!(own_workloads(&kept).into_iter().collect::<Vec<_>>(), names);
        assert_eq!(own(&observed, &kept).count(), 4);
        assert!(is_endless(&observed, &kept));
        kept.pinned = [1].into();
        assert_eq!((own_workloads(&kept).len(), own(&observed, &kept).count()), (0, 0), "others borrow it");
        assert!(!is_endless(&observed, &kept));
        kept.pinned.clear();
        if let Some(current) = &mut kept.current {
            current.content.warm_seconds = None;
        }
        assert!(!is_endless(&observed, &kept), "nobody said how long");
    }
}
