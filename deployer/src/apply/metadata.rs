//! Changes the metadata of what is there, under this lock, whatever its controllers write beside.

use std::collections::BTreeSet;
use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{ObjectMeta, Patch};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::switch::refuse_newer;
use crate::cluster::as_manager;
use crate::cluster::view::Observed;
use crate::error::{Error, Result};
use crate::names;
use crate::session::Session;

/// How often an object is read again of which only the status has changed meanwhile.
const TRIES: usize = 8;

/// Changes the Deployments and Services of workloads alike. `false` when one of them is gone or going.
pub(super) async fn change_all(
    session: &Session<'_>,
    observed: &Observed,
    workloads: &BTreeSet<&str>,
    metadata: &Value,
) -> Result<bool> {
    let deployments = workloads.iter().filter_map(|name| observed.deployments.get(*name));
    let deployments = deployments.map(|live| change::<Deployment>(session, &live.metadata, metadata));
    let services = workloads.iter().filter_map(|name| observed.services.get(*name));
    let services = services.map(|live| change::<Service>(session, &live.metadata, metadata));
    let all = futures_util::future::try_join_all(deployments);
    let (deployments, services) = tokio::try_join!(all, futures_util::future::try_join_all(services))?;
    Ok(deployments.into_iter().chain(services).all(|is_there| is_there))
}

/// Changes the metadata of an object as it was read, and says that this lock's holder did. `false` when it is gone or going.
pub(super) async fn change<K>(session: &Session<'_>, live: &ObjectMeta, change: &Value) -> Result<bool>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let name = live.name.clone().unwrap_or_default();
    let api = session.cluster.api::<K>();
    let mut metadata = live.clone();
    for _ in 0..TRIES {
        session.cluster.refuse_foreign(&format!("{} {name}", K::kind(&())), &metadata)?;
        refuse_newer(session, &metadata)?;
        if metadata.deletion_timestamp.is_some() {
            return Ok(false);
        }
        let mut body = json!({ "metadata": change });
        if let Some(body) = body["metadata"].as_object_mut() {
            body.insert("uid".to_owned(), json!(metadata.uid));
            body.insert("resourceVersion".to_owned(), json!(metadata.resource_version));
            let annotations = body.entry("annotations").or_insert_with(|| json!({}));
            annotations[names::FENCE] = json!(session.guard.fence.to_string());
        }
        match api.patch_metadata(&name, &as_manager(), &Patch::Merge(body)).await {
            Ok(_) => return Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(false),
            // Often only its status has changed.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(Error::cluster(format!("changing {} {name}", K::kind(&())), &error)),
        }
        let found = api.get_metadata_opt(&name).await;
        match found.map_err(|error| Error::cluster(format!("reading {name}"), &error))? {
            Some(found) if found.metadata.uid == metadata.uid => metadata = found.metadata,
            _ => return Ok(false),
        }
    }
    Err(Error::Locked(format!("{name} was changed by somebody else again and again while this ran. Run this again")))
}
