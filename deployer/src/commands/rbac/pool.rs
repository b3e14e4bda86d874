//! The rights for clusters that end by themselves, each in a namespace that is there for them: rights in these and in the home, and
//! nothing of the whole Kubernetes cluster.
//!
//! The namespaces are printed, too, each with the pods that it takes and with what all in it may ask for: both are the administrator's,
//! and no commit changes them.

use clustergraph::format::service::Security;
use serde_json::{Value, json};

use super::{Subject, granted, rules};
use crate::cluster::rights::{IN_NAMESPACE, IN_POOL, OF_POOL};
use crate::cluster::{ENFORCE, enforced};
use crate::error::{Error, Result};
use crate::names;
use crate::settings::Settings;
use crate::transient::bounds;

/// The objects for clusters that live in these namespaces and are at home in another one.
pub(super) fn objects(subject: &Subject, settings: &Settings, security: Security) -> Result<Vec<Value>> {
    let home = settings.namespace.as_str();
    let mut objects = vec![json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": home } })];
    objects.extend(subject.account.iter().cloned());
    objects.extend(granted(subject, names::MANAGER, home, rules(OF_POOL)));
    let bounds = settings.quota.as_ref().map(|quota| bounds(&settings.cluster, quota)).transpose()?.flatten();
    for namespace in &settings.pool {
        let labels = json!({ (names::HOME): home, (ENFORCE): enforced(security) });
        objects.push(json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace, "labels": labels },
        }));
        objects.extend(granted(subject, names::MANAGER, namespace, rules(&[IN_NAMESPACE, IN_POOL].concat())));
        if let Some(bounds) = &bounds {
            objects.extend(bounds.defaults.iter().map(|it| placed(it, namespace)).collect::<Result<Vec<_>>>()?);
            objects.push(placed(&bounds.quota, namespace)?);
        }
    }
    Ok(objects)
}

/// An object as it is in a namespace, with its kind.
fn placed<K>(object: &K, namespace: &str) -> Result<Value>
where
    K: kube::Resource<DynamicType = ()> + serde::Serialize,
{
    let broken = |error: serde_json::Error| Error::Usage(format!("the quota cannot be written: {error}"));
    let mut placed = serde_json::to_value(object).map_err(broken)?;
    placed["apiVersion"] = json!(K::api_version(&()));
    placed["kind"] = json!(K::kind(&()));
    placed["metadata"]["namespace"] = json!(namespace);
    Ok(placed)
}
