//! What bounds a cluster that ends by itself: a quota for all of it, and what a container asks for that does not say it, since
//! Kubernetes takes none under a quota that does not.

use clustergraph::format::repository::Quota;
use k8s_openapi::api::core::v1::{LimitRange, ResourceQuota};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Map, Value, json};

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::names::{self, Component};

/// What a container asks for that does not say it, where a quota counts that.
const CPU: &str = "50m";
const MEMORY: &str = "128Mi";

/// The two objects.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bounds {
    /// What all together may ask for.
    pub(crate) quota: ResourceQuota,
    /// What each asks for that says nothing, where that is counted.
    pub(crate) defaults: Option<LimitRange>,
}

/// The bounds of a cluster; none where nothing is bounded.
pub(crate) fn bounds(cluster: &str, quota: &Quota) -> Result<Option<Bounds>> {
    let Quota { cpu_millis, memory_bytes, storage_bytes, pods } = quota;
    let said = [
        ("requests.cpu", cpu_millis.map(|millis| format!("{millis}m"))),
        ("requests.memory", memory_bytes.map(|bytes| bytes.to_string())),
        ("requests.storage", storage_bytes.map(|bytes| bytes.to_string())),
        ("pods", pods.map(|pods| pods.to_string())),
    ];
    let hard: Map<String, Value> =
        said.into_iter().filter_map(|(name, amount)| Some((name.to_owned(), json!(amount?)))).collect();
    if hard.is_empty() {
        return Ok(None);
    }
    let mut requests = Map::new();
    for (name, counted, amount) in [("cpu", cpu_millis.is_some(), CPU), ("memory", memory_bytes.is_some(), MEMORY)] {
        if counted {
            requests.insert(name.to_owned(), json!(amount));
        }
    }
    let metadata = json!({ "name": names::QUOTA, "labels": names::labels(cluster, Component::Transient) });
    let broken = |error: serde_json::Error| Error::Usage(format!("the quota cannot be written: {error}"));
    let quota = serde_json::from_value(json!({ "metadata": metadata, "spec": { "hard": hard } })).map_err(broken)?;
    let limits = json!([{ "type": "Container", "defaultRequest": requests }]);
    let defaults = json!({ "metadata": metadata, "spec": { "limits": limits } });
    let defaults = (!requests.is_empty()).then(|| serde_json::from_value(defaults)).transpose().map_err(broken)?;
    Ok(Some(Bounds { quota, defaults }))
}

/// Makes the bounds of a cluster what they should be. The defaults come first: under a quota nothing begins without them.
pub(crate) async fn bound(cluster: &Cluster, bounds: Option<&Bounds>) -> Result<()> {
    keep(cluster, bounds.and_then(|bounds| bounds.defaults.as_ref())).await?;
    keep(cluster, bounds.map(|bounds| &bounds.quota)).await
}

/// Makes one of the bounds what it should be, or takes it away.
async fn keep<K>(cluster: &Cluster, wanted: Option<&K>) -> Result<()>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned,
{
    let api = cluster.api::<K>();
    let what = || format!("bounding the cluster by a {}", K::kind(&()));
    match wanted {
        Some(wanted) => {
            let parameters = PatchParams::apply(names::MANAGER).force();
            let applied = api.patch(names::QUOTA, &parameters, &Patch::Apply(wanted)).await;
            applied.map(drop).map_err(|error| Error::cluster(what(), &error))
        }
        None => {
            let all =
                api.list_metadata(&ListParams::default()).await.map_err(|error| Error::cluster(what(), &error))?;
            let ours = all.items.into_iter().find(|it| it.metadata.name.as_deref() == Some(names::QUOTA));
            match ours {
                Some(ours) => cluster.remove::<K>(&ours.metadata).await,
                None => Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_has_a_default() {
        let quota = Quota { memory_bytes: Some(8 << 30), pods: Some(40), ..Quota::default() };
        insta::assert_yaml_snapshot!(bounds("pr-7", &quota).unwrap().map(|it| (it.quota, it.defaults)));
        assert_eq!(bounds("pr-7", &Quota::default()).unwrap(), None);
    }
}
