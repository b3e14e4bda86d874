//! What people gave for a service to keep: one Secret for each service, a key for each name of its `secrets:`.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, ObjectMeta, Patch, PostParams};
use serde_json::{Value, json};

use super::{Cluster, Condition};
use crate::cluster::as_manager;
use crate::error::{Error, Result};
use crate::names::{self, Component};

/// How often a Secret is looked at again that came or went meanwhile.
const TRIES: usize = 4;

impl Cluster {
    /// The names that were given for each service; the values stay where they are.
    pub(crate) async fn secret_names(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let component = Component::Secrets.as_str();
        let selector = format!("{},{}={component}", names::selector(self.name()), names::COMPONENT);
        let found = self.api::<Secret>().list(&ListParams::default().labels(&selector)).await;
        let found = found.map_err(|error| Error::cluster("reading the names of secrets", &error))?;
        let of = |secret: Secret| {
            let service = secret.metadata.labels.as_ref()?.get(names::NAME)?.clone();
            Some((service, secret.data.unwrap_or_default().into_keys().collect()))
        };
        Ok(found.items.into_iter().filter_map(of).collect())
    }

    /// Keeps values for a service, beside those that it has.
    pub(crate) async fn put_secrets(&self, service: &str, data: &BTreeMap<String, ByteString>) -> Result<()> {
        let name = names::service_secret(service);
        let what = format!("Secret {name}");
        let api = self.api::<Secret>();
        let writing = |error: &kube::Error| Error::cluster(format!("writing the {what}"), error);
        for _ in 0..TRIES {
            let tried = match self.own_secret(&name).await? {
                Some(found) => {
                    // Other names may be given at the same moment: only that it is the very same object matters.
                    let patch = json!({ "metadata": { "uid": found.uid }, "data": data });
                    api.patch_metadata(&name, &as_manager(), &Patch::<Value>::Merge(patch)).await.map(drop)
                }
                None => {
                    let mut labels = names::labels(self.name(), Component::Secrets);
                    labels.insert(names::NAME.to_owned(), service.to_owned());
                    let metadata = ObjectMeta {
                        name: Some(name.clone()),
                        labels: Some(labels),
                        owner_references: self.anchors(),
                        ..ObjectMeta::default()
                    };
                    let secret = Secret {
                        metadata,
                        data: Some(data.clone()),
                        type_: Some("Opaque".to_owned()),
                        ..Secret::default()
                    };
                    let parameters = PostParams { field_manager: Some(names::MANAGER.to_owned()), dry_run: false };
                    api.create(&parameters, &secret).await.map(drop)
                }
            };
            match tried {
                Ok(()) => return Ok(()),
                // It has come or gone since it was looked for.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(error) => return Err(writing(&error)),
            }
        }
        Err(Error::Locked(format!("the {what} was changed by somebody else all the while. Run this again")))
    }

    /// Forgets names of a service; the Secret goes with its last one.
    pub(crate) async fn remove_secrets(&self, service: &str, gone: &[String]) -> Result<()> {
        let name = names::service_secret(service);
        let what = format!("Secret {name}");
        let api = self.api::<Secret>();
        for _ in 0..TRIES {
            let found =
                api.get_opt(&name).await.map_err(|error| Error::cluster(format!("reading the {what}"), &error))?;
            let Some(found) = found else { return Ok(()) };
            self.refuse_foreign(&what, &found.metadata)?;
            let left = found.data.iter().flatten().filter(|(name, _)| !gone.contains(name)).count();
            let tried = if left == 0 {
                api.delete(&name, &Condition::of(&found.metadata).parameters()).await.map(drop)
            } else {
                let nothing: BTreeMap<&String, Value> = gone.iter().map(|name| (name, Value::Null)).collect();
                let patch = json!({ "metadata": { "uid": found.metadata.uid }, "data": nothing });
                api.patch_metadata(&name, &as_manager(), &Patch::<Value>::Merge(patch)).await.map(drop)
            };
            match tried {
                Ok(()) => return Ok(()),
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(error) => return Err(Error::cluster(format!("changing the {what}"), &error)),
            }
        }
        Err(Error::Locked(format!("the {what} was changed by somebody else all the while. Run this again")))
    }

    /// A Secret of ours, without its values; somebody else's of that name is refused.
    async fn own_secret(&self, name: &str) -> Result<Option<ObjectMeta>> {
        let what = format!("Secret {name}");
        let found = self.api::<Secret>().get_metadata_opt(name).await;
        let found = found.map_err(|error| Error::cluster(format!("reading the {what}"), &error))?;
        let Some(found) = found else { return Ok(None) };
        self.refuse_foreign(&what, &found.metadata)?;
        Ok(Some(found.metadata))
    }
}
