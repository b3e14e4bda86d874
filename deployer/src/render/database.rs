//! A database server: one StatefulSet of one pod and its Service, with data in a volume that outlives both.

use clustergraph::catalogue::DatabaseKind;
use clustergraph::graph::{Database, Graph};
use serde_json::{Value, json};

use super::catalogue::{Texts, has_administrator, kind};
use super::{Credentials, Object, Scene, Server, container_security};
use crate::error::Result;
use crate::names::{self, Component};

/// The size of a server's volume where `size:` says nothing.
const VOLUME: u64 = 1 << 30;
/// How often a starting server may say no, a second apart: a day. A recovery that takes long must not be killed.
const WHILE_IT_STARTS: u32 = 24 * 60 * 60;
/// The container of a server.
pub(crate) const SERVER_CONTAINER: &str = "server";
/// The label by which a server's pods are found.
pub(crate) const SERVER: &str = "clustergraph.dev/server";

/// Asks a server with its own client, every `period` seconds. A client is a process with a connection of its own: asked every
/// second for ever, the questions to five servers would fill a core. So it is asked often only while it starts.
fn probe(client: &[String], period: u32, failures: u32) -> Value {
    json!({ "exec": { "command": client }, "periodSeconds": period, "timeoutSeconds": 5, "failureThreshold": failures })
}

/// The image of a server: its databases' own, else the one that the catalogue names.
pub(crate) fn server_image(graph: &Graph, database: &Database) -> Result<String> {
    let own = graph.servers.get(&database.server).and_then(|server| server.image.clone());
    own.map_or_else(|| Ok(kind(graph, database)?.image_name(&database.version)), Ok)
}

/// Where the data's folder lies on its volume. The root of a volume is its owner's: a file system keeps `lost+found`
/// there, and servers that find something else than their data refuse to begin. A kind that uses a folder of its own
/// below gets the whole volume.
fn folder_of(kind: &DatabaseKind, data: &str) -> Option<&'static str> {
    let below = format!("{data}/");
    let is_below = kind.image.env.values().any(|text| text.starts_with(&below));
    (!is_below).then_some("data")
}

impl Scene<'_> {
    pub(super) fn server(&self, database: &Database) -> Result<Server> {
        let kind = kind(self.graph, database)?;
        let name = names::server(database);
        let mut labels = self.labels(Component::Database);
        labels.insert(SERVER.to_owned(), name.clone());
        let secret = has_administrator(kind).then(|| {
            let mut labels = self.labels(Component::Credentials);
            labels.insert(SERVER.to_owned(), name.clone());
            Credentials { name: names::admin_secret(&name), labels, username: kind.admin.clone() }
        });
        let selector = json!({ (SERVER): name });
        let settings =
            self.graph.servers.get(&database.server).map(|server| server.settings.clone()).unwrap_or_default();
        let texts = Texts::beside(kind, database);
        let ready = texts.probe();
        let mut container = json!({
            "name": SERVER_CONTAINER,
            "image": self.server_image(database)?,
            "imagePullPolicy": "IfNotPresent",
            "env": texts.server_env(&settings, secret.as_ref().map(|secret| secret.name.as_str())),
            "ports": [{ "containerPort": kind.port, "protocol": "TCP" }],
            "startupProbe": probe(&ready, 1, WHILE_IT_STARTS),
            "readinessProbe": probe(&ready, 10, 3),
            "securityContext": container_security(),
        });
        let args = texts.image_args(&settings);
        if let (Some(container), false) = (container.as_object_mut(), args.is_empty()) {
            container.insert("args".to_owned(), json!(args));
        }
        let user = kind.image.user;
        let mut spec = json!({
            "replicas": 1,
            "serviceName": name,
            "revisionHistoryLimit": 1,
            "selector": { "matchLabels": selector },
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "serviceAccountName": names::ACCOUNT,
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 60,
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": user,
                        "runAsGroup": user,
                        "fsGroup": user,
                        "seccompProfile": { "type": "RuntimeDefault" },
                    },
                },
            },
        });
        if let Some(data) = &kind.image.data {
            let mut mount = json!({ "name": "data", "mountPath": data });
            if let (Some(mount), Some(folder)) = (mount.as_object_mut(), folder_of(kind, data)) {
                mount.insert("subPath".to_owned(), json!(folder));
            }
            if let Some(container) = container.as_object_mut() {
                container.insert("volumeMounts".to_owned(), json!([mount]));
            }
            if let Some(spec) = spec.as_object_mut() {
                spec.insert("volumeClaimTemplates".to_owned(), json!([self.claim(database, &labels)]));
            }
        }
        if let Some(pod) = spec.pointer_mut("/template/spec").and_then(Value::as_object_mut) {
            pod.insert("containers".to_owned(), json!([container]));
        }
        let stateful = Object::new(json!({
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": { "name": name, "labels": labels },
            "spec": spec,
        }));
        let service = Object::new(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": name, "labels": labels },
            "spec": {
                "selector": selector,
                "ports": [{ "name": port_name(&database.kind), "port": kind.port, "targetPort": kind.port, "protocol": "TCP" }],
            },
        }));
        Ok(Server { name, secret, objects: vec![service, stateful] })
    }

    fn claim(&self, database: &Database, labels: &std::collections::BTreeMap<String, String>) -> Value {
        json!({
            "metadata": { "name": names::VOLUME, "labels": labels },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": quantity(self.size(database)) } },
            },
        })
    }

    /// The bytes that `size:` asks for: the largest for any database of the server, else that of its kind.
    ///
    /// Copies of other clusters' data need the room that they have there.
    pub(super) fn size(&self, database: &Database) -> u64 {
        let here = || self.graph.databases.values().filter(|other| other.server == database.server);
        let copied =
            here().filter_map(|other| self.images.offers.get(&other.address)).map(|offer| offer.lent.bytes).max();
        let size = self.settings().and_then(|cluster| {
            let of_address = here().filter_map(|other| cluster.size.get(&other.address)).max();
            of_address.or_else(|| cluster.size.get(&database.kind)).copied()
        });
        size.unwrap_or(VOLUME).max(copied.unwrap_or(0))
    }
}

/// Bytes as Kubernetes writes them, in the largest unit that leaves nothing over.
fn quantity(bytes: u64) -> String {
    let units = [(1 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    let unit = units.into_iter().find(|(size, _)| bytes > 0 && bytes.is_multiple_of(*size));
    unit.map_or_else(|| bytes.to_string(), |(size, name)| format!("{}{name}", bytes / size))
}

/// A kind's name as that of a port: at most fifteen characters, none but letters, digits and dashes.
fn port_name(kind: &str) -> String {
    let is_one = kind.len() <= 15 && clustergraph::format::is_dns_label(kind);
    if is_one { kind.to_owned() } else { "database".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_people_write_them() {
        for (bytes, text) in [(1 << 30, "1Gi"), (5 << 20, "5Mi"), (1500, "1500"), (3 << 40, "3Ti"), (0, "0")] {
            assert_eq!(quantity(bytes), text);
        }
    }

    #[test]
    fn servers_that_keep_data_in_the_root_of_a_volume_get_a_folder_of_it() {
        let catalogue = clustergraph::catalogue::Catalogue::built_in();
        let folder = |name: &str| {
            let kind = &catalogue.databases[name];
            kind.image.data.as_deref().map(|data| folder_of(kind, data))
        };
        assert_eq!((folder("postgres"), folder("kafka")), (Some(None), Some(None)));
        assert_eq!((folder("mysql"), folder("mariadb")), (Some(Some("data")), Some(Some("data"))));
        assert_eq!(folder("memcached"), None);
    }
}
