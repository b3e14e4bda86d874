//! What is made once and then stays: accounts, claims on volumes and generated credentials; and Secrets that are filled from
//! others.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use rand::RngExt;
use rand::distr::Alphanumeric;

use crate::cluster::{Cluster, Guard};
use crate::error::{Error, Result};
use crate::names;
use crate::render::{Credentials, Object, files};
use crate::session::Session;

/// 190 bits.
const PASSWORD_LENGTH: usize = 32;

impl Cluster {
    /// Makes an object that all pods share or that holds data, unless it is there.
    pub(super) async fn ensure_base(&self, object: &Object, guard: Guard) -> Result<()> {
        match self.live(object).await? {
            Some(found) => self.refuse_foreign(&object.what(), &found),
            None => self.ensure(object, None, guard).await.map(drop),
        }
    }

    /// Makes a Secret with a password of its own, unless it is there: a password that exists is never changed.
    pub(crate) async fn ensure_credentials(&self, credentials: &Credentials) -> Result<()> {
        let password: String = rand::rng().sample_iter(Alphanumeric).take(PASSWORD_LENGTH).map(char::from).collect();
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(credentials.name.clone()),
                labels: Some(credentials.labels.clone()),
                owner_references: self.anchors(),
                ..ObjectMeta::default()
            },
            string_data: Some(
                [("username", credentials.username.clone()), ("password", password)]
                    .map(|(name, value)| (name.to_owned(), value))
                    .into(),
            ),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        };
        let api = self.api::<Secret>();
        let parameters = PostParams { field_manager: Some(names::MANAGER.to_owned()), dry_run: false };
        let what = format!("Secret {}", credentials.name);
        match api.create(&parameters, &secret).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let found = api.get_metadata(&credentials.name).await;
                let found = found.map_err(|error| Error::cluster(format!("reading the {what}"), &error))?;
                self.refuse_foreign(&what, &found.metadata)
            }
            Err(error) => Err(Error::cluster(format!("making the {what}"), &error)),
        }
    }
}

/// A Secret of files with the values of those that it is made of.
pub(super) async fn filled(session: &Session<'_>, object: &Object) -> Result<Object> {
    let keys = files::made_of(object);
    let secrets: BTreeSet<&String> = keys.iter().map(|(secret, _)| secret).collect();
    let read = secrets.into_iter().map(|name| async move {
        let found = session.cluster.api::<Secret>().get_opt(name).await;
        let found = found.map_err(|error| Error::cluster(format!("reading the Secret {name}"), &error))?;
        let data = found.and_then(|secret| secret.data).unwrap_or_default();
        Ok::<_, Error>(data.into_iter().map(|(key, value)| ((name.clone(), key), value)).collect::<BTreeMap<_, _>>())
    });
    let values = futures_util::future::try_join_all(read).await?.into_iter().flatten().collect();
    files::with_values(object, &values)
        .map_err(|why| Error::Deploy(format!("the files of {} cannot be made: {why}", object.name())))
}
