//! The floor of a deploy: the same objects by server-side apply, 32 in flight, until every Deployment is available.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::Value;

/// How many requests are under way at once.
const IN_FLIGHT: usize = 32;

/// A client of the cluster that a kubeconfig names.
async fn client(kubeconfig: &str) -> Client {
    let read = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.expect("a configuration");
    Client::try_from(config).expect("a client")
}

/// Applies objects to a namespace and waits until every Deployment among them is available.
pub(crate) fn apply(kubeconfig: &str, namespace: &str, objects: &[Value]) {
    // As a program of that kind would: cryptography is chosen once.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = client(kubeconfig).await;
        stream::iter(objects)
            .map(|object| one(&client, namespace, object))
            .buffer_unordered(IN_FLIGHT)
            .try_collect::<Vec<()>>()
            .await
            .expect("the API server takes them");
        until_available(&client, namespace, objects).await;
    });
}

async fn one(client: &Client, namespace: &str, object: &Value) -> kube::Result<()> {
    let word = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (word("apiVersion"), word("kind"));
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let plural = match kind.as_str() {
        "NetworkPolicy" => "networkpolicies".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    };
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, &kind), &plural);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let mut body = object.clone();
    body["metadata"]["namespace"] = namespace.into();
    let parameters = PatchParams { field_manager: Some("floor".to_owned()), ..PatchParams::default() };
    api.patch(name, &parameters, &Patch::Apply(&body)).await.map(drop)
}

async fn until_available(client: &Client, namespace: &str, objects: &[Value]) {
    let deployments = objects.iter().filter(|object| object["kind"] == "Deployment");
    let mut waiting: BTreeSet<String> =
        deployments.filter_map(|object| Some(object["metadata"]["name"].as_str()?.to_owned())).collect();
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let mut seen = watcher(api, watcher::Config::default()).applied_objects().boxed();
    while !waiting.is_empty() {
        let deployment = seen.try_next().await.expect("it is watched").expect("it goes on");
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let available = deployment.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0);
        if available >= wanted {
            waiting.remove(&deployment.name_any());
        }
    }
}
