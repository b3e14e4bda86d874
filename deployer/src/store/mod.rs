//! Versions are stored in the cluster itself, in ConfigMaps of its namespace: bundles of rendered objects by
//! their content, records of versions, and the head that says which version is served.

pub(crate) mod bundle;
pub(crate) mod databases;
pub(crate) mod head;
pub(crate) mod lent;
pub(crate) mod origin;
pub(crate) mod pins;
pub(crate) mod record;
pub(crate) mod tasks;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{ListParams, ObjectMeta, PostParams};

use crate::cluster::{Cluster, applyset};
use crate::error::{Error, Result};
use crate::names::{self, Component};
use bundle::Bundle;
use databases::Databases;
use head::Head;
use pins::Pins;
use record::Record;
use tasks::Tasks;

/// A value of the store with the resourceVersion that a change of it is conditional on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stored<T> {
    /// The value; the default where nothing is stored.
    pub(crate) value: T,
    /// Where it was read; `None` when it does not exist yet.
    pub(crate) revision: Option<String>,
}

/// Reads and writes of one cluster's store.
#[derive(Clone, Copy)]
pub(crate) struct Store<'c> {
    cluster: &'c Cluster,
}

impl<'c> Store<'c> {
    /// The store of a cluster.
    pub(crate) fn new(cluster: &'c Cluster) -> Self {
        Self { cluster }
    }

    /// Which version is served. Nothing was ever deployed when it does not exist.
    pub(crate) async fn head(&self) -> Result<Stored<Head>> {
        self.load(names::HEAD, Head::KEY, Head::decode).await
    }

    /// Moves the head, provided that nobody else did since it was read.
    pub(crate) async fn save_head(&self, head: &mut Stored<Head>) -> Result<()> {
        let text = head.value.encode()?;
        // The parent of all that is applied under it: its set says what may be in it before anything is.
        let mut metadata = self.metadata(names::HEAD, Component::Store);
        applyset::parent(&mut metadata, self.cluster.namespace(), head.value.has_routes);
        head.revision = self.save(metadata, [(Head::KEY.to_owned(), text)].into(), &head.revision).await?;
        Ok(())
    }

    /// What was done to which database.
    pub(crate) async fn databases(&self) -> Result<Stored<Databases>> {
        let found = self.config_map(names::DATABASES).await?;
        let Some(found) = found else { return Ok(Stored::default()) };
        let value = Databases::decode(found.data.as_ref().unwrap_or(&BTreeMap::new()))?;
        Ok(Stored { value, revision: found.metadata.resource_version })
    }

    /// Notes what was done to databases, provided that nobody else did since it was read.
    pub(crate) async fn save_databases(&self, databases: &mut Stored<Databases>) -> Result<()> {
        let data = databases.value.encode()?;
        databases.revision =
            self.save(self.metadata(names::DATABASES, Component::Credentials), data, &databases.revision).await?;
        Ok(())
    }

    /// Which tasks have run.
    pub(crate) async fn tasks(&self) -> Result<Stored<Tasks>> {
        let found = self.config_map(names::TASKS).await?;
        let Some(found) = found else { return Ok(Stored::default()) };
        let value = Tasks::decode(found.data.as_ref().unwrap_or(&BTreeMap::new()))?;
        Ok(Stored { value, revision: found.metadata.resource_version })
    }

    /// Notes which tasks have run, provided that nobody else did since it was read.
    pub(crate) async fn save_tasks(&self, tasks: &mut Stored<Tasks>) -> Result<()> {
        let data = tasks.value.encode()?;
        tasks.revision = self.save(self.metadata(names::TASKS, Component::Credentials), data, &tasks.revision).await?;
        Ok(())
    }

    /// Which versions are borrowed.
    pub(crate) async fn pins(&self) -> Result<Stored<Pins>> {
        self.load(names::PINS, Pins::KEY, Pins::decode).await
    }

    /// Notes which versions are borrowed, provided that nobody else did since it was read.
    pub(crate) async fn save_pins(&self, pins: &mut Stored<Pins>) -> Result<()> {
        let data = [(Pins::KEY.to_owned(), pins.value.encode()?)].into();
        pins.revision = self.save(self.metadata(names::PINS, Component::Store), data, &pins.revision).await?;
        Ok(())
    }

    /// One version's record.
    pub(crate) async fn record(&self, number: u64) -> Result<Option<Record>> {
        let name = names::version_record(number);
        self.config_map(&name).await?.map(|map| decode_record(&map)).transpose()
    }

    /// Everything that is stored, as it is kept.
    pub(crate) async fn all(&self) -> Result<Vec<ConfigMap>> {
        let selector =
            format!("{},{}={}", names::selector(self.cluster.name()), names::COMPONENT, Component::Store.as_str());
        let list = self.cluster.api::<ConfigMap>().list(&ListParams::default().labels(&selector)).await;
        Ok(list.map_err(|error| Error::cluster("reading the versions", &error))?.items)
    }

    /// All records, by number.
    pub(crate) async fn records(&self) -> Result<BTreeMap<u64, Record>> {
        let is_record = |map: &&ConfigMap| map.data.as_ref().is_some_and(|data| data.contains_key(Record::KEY));
        self.all()
            .await?
            .iter()
            .filter(is_record)
            .map(|map| decode_record(map).map(|record| (record.number, record)))
            .collect()
    }

    /// Writes a record. It never changes again. One of that number that was never switched to is what an
    /// interrupted command left, and makes way.
    pub(crate) async fn save_record(&self, record: &Record, head: &Head) -> Result<()> {
        if record.number > head.last
            && let Some(left) = self.config_map(&names::version_record(record.number)).await?
        {
            self.cluster.remove::<ConfigMap>(&left.metadata).await?;
        }
        let map = ConfigMap {
            metadata: self.metadata(&names::version_record(record.number), Component::Store),
            data: Some([(Record::KEY.to_owned(), record.encode()?)].into()),
            immutable: Some(true),
            ..ConfigMap::default()
        };
        self.create(&map).await
    }

    /// Writes a bundle, if it is not there yet: its name is its content's.
    pub(crate) async fn save_bundle(&self, bundle: &Bundle) -> Result<()> {
        let map = ConfigMap {
            metadata: self.metadata(&bundle.name, Component::Store),
            binary_data: Some([(Bundle::KEY.to_owned(), k8s_openapi::ByteString(bundle.bytes.clone()))].into()),
            immutable: Some(true),
            ..ConfigMap::default()
        };
        self.create(&map).await
    }

    /// The objects of a bundle, by the name of the workload that they belong to.
    pub(crate) async fn bundle(&self, name: &str) -> Result<bundle::Content> {
        let map = self.config_map(name).await?.ok_or_else(|| {
            Error::Store(format!("the stored bundle {name} is gone: this version cannot be brought back from the store; deploy its commit again"))
        })?;
        let bytes = map.binary_data.as_ref().and_then(|data| data.get(Bundle::KEY));
        bundle::decode(name, bytes.map(|bytes| bytes.0.as_slice()).unwrap_or_default())
    }

    async fn config_map(&self, name: &str) -> Result<Option<ConfigMap>> {
        let found = self.cluster.api::<ConfigMap>().get_opt(name).await;
        let found = found.map_err(|error| Error::cluster(format!("reading {name}"), &error))?;
        if let Some(tool) = found.as_ref().and_then(|map| applyset::tool_of_another(&map.metadata)) {
            return Err(Error::Refused(format!(
                "the ConfigMap {name} in the namespace {} is the parent of an ApplySet that {} applies: it is left as it is. \
                 Use another --namespace",
                self.cluster.namespace(),
                tool.escape_debug()
            )));
        }
        if let Some(map) = &found
            && !self.cluster.owns(&map.metadata)
        {
            return Err(Error::Refused(format!(
                "there is a ConfigMap {name} in the namespace {} that is not this cluster's: it is left as it is. Use another --namespace",
                self.cluster.namespace()
            )));
        }
        Ok(found)
    }

    async fn load<T: Default>(&self, name: &str, key: &str, decode: fn(&str) -> Result<T>) -> Result<Stored<T>> {
        let Some(map) = self.config_map(name).await? else { return Ok(Stored::default()) };
        let text = map.data.as_ref().and_then(|data| data.get(key));
        let text = text.ok_or_else(|| Error::Store(format!("the ConfigMap {name} has no {key}")))?;
        Ok(Stored { value: decode(text)?, revision: map.metadata.resource_version })
    }

    /// Writes a ConfigMap that changes, conditional on the revision at which it was read.
    async fn save(
        &self,
        mut metadata: ObjectMeta,
        data: BTreeMap<String, String>,
        revision: &Option<String>,
    ) -> Result<Option<String>> {
        let api = self.cluster.api::<ConfigMap>();
        let name = &metadata.name.clone().unwrap_or_default();
        let mark = hex::encode(rand::random::<[u8; 8]>());
        metadata.annotations.get_or_insert_default().insert(names::WRITE.to_owned(), mark.clone());
        let mut map = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
        let written = match revision {
            None => api.create(&parameters(), &map).await,
            Some(revision) => {
                map.metadata.resource_version = Some(revision.clone());
                api.replace(name, &parameters(), &map).await
            }
        };
        match written {
            Ok(map) => Ok(map.metadata.resource_version),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let marked = |map: &ConfigMap| map.annotations().get(names::WRITE) == Some(&mark);
                // It was ourselves, and only the answer got lost.
                if let Some(found) = self.config_map(name).await?.filter(marked) {
                    return Ok(found.metadata.resource_version);
                }
                Err(Error::Locked(format!(
                    "{name} was changed by somebody else since it was read: another komandan has taken over. Look at `komandan history`, then run this again"
                )))
            }
            Err(error) => Err(Error::cluster(format!("writing {name}"), &error)),
        }
    }

    /// Creates a ConfigMap whose name stands for its content. One that is there is that very one.
    async fn create(&self, map: &ConfigMap) -> Result<()> {
        let name = map.metadata.name.clone().unwrap_or_default();
        match self.cluster.api::<ConfigMap>().create(&parameters(), map).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => match self.config_map(&name).await? {
                Some(found) if found.data == map.data && found.binary_data == map.binary_data => Ok(()),
                None => {
                    Err(Error::Locked(format!("the ConfigMap {name} came and went while this ran. Run this again")))
                }
                Some(_) => Err(Error::Store(format!(
                    "there is a ConfigMap {name} with other content than ours would have: it is left as it is"
                ))),
            },
            Err(error) => Err(Error::cluster(format!("writing {name}"), &error)),
        }
    }

    fn metadata(&self, name: &str, component: Component) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(names::labels(self.cluster.name(), component)),
            owner_references: self.cluster.anchors(),
            ..ObjectMeta::default()
        }
    }
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(names::MANAGER.to_owned()), dry_run: false }
}

fn decode_record(map: &ConfigMap) -> Result<Record> {
    let text = map.data.as_ref().and_then(|data| data.get(Record::KEY));
    let name = map.metadata.name.as_deref().unwrap_or_default();
    Record::decode(text.ok_or_else(|| Error::Store(format!("the ConfigMap {name} holds no record")))?)
}

/// Reads a document of ours, refusing those of a version that does not exist yet.
fn decode<T: serde::de::DeserializeOwned>(what: &str, schema: u32, text: &str) -> Result<T> {
    #[derive(serde::Deserialize)]
    struct Schema {
        schema: u32,
    }
    let broken = |error: serde_json::Error| Error::Store(format!("{what} of the store cannot be read: {error}"));
    let found: Schema = serde_json::from_str(text).map_err(broken)?;
    if found.schema > schema {
        return Err(Error::Store(format!("{what} was written by a newer komandan: update this one")));
    }
    serde_json::from_str(text).map_err(broken)
}

fn encode(what: &str, value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Store(format!("{what} cannot be written: {error}")))
}
