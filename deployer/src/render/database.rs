//! A database server: one StatefulSet of one pod and its Service, with data in a volume that outlives both.

use std::collections::BTreeMap;

use clustergraph::catalogue::{DatabaseKind, fill};
use clustergraph::graph::{Database, Graph};
use serde_json::{Value, json};

use super::env::{PASSWORD, from_secret, literal};
use super::{Credentials, Object, Scene, Server, container_security};
use crate::error::{Error, Result};
use crate::names::{self, Component};

/// The variable that holds the administrator's password, for what is composed of it.
pub(super) const ADMIN_PASSWORD: &str = "CLUSTERGRAPH_ADMIN_PASSWORD";
/// The size of a server's volume.
const VOLUME: &str = "1Gi";
/// How often a starting server may say no, a second apart: a day. A recovery that takes long must not be killed.
const WHILE_IT_STARTS: u32 = 24 * 60 * 60;
/// The label by which a server's pods are found.
pub(super) const SERVER: &str = "clustergraph.dev/server";

/// The catalogue's entry for a database.
pub(super) fn kind<'g>(graph: &'g Graph, database: &Database) -> Result<&'g DatabaseKind> {
    graph
        .catalogue
        .databases
        .get(&database.kind)
        .ok_or_else(|| Error::Usage(format!("{} is no kind of database that this version knows", database.kind)))
}

/// Asks a server with its own client, every `period` seconds. A client is a process with a connection of its own: asked every
/// second for ever, the questions to five servers would fill a core. So it is asked often only while it starts.
fn probe(client: &[String], period: u32, failures: u32) -> Value {
    json!({ "exec": { "command": client }, "periodSeconds": period, "timeoutSeconds": 5, "failureThreshold": failures })
}

/// The image that the catalogue names for a server.
pub(crate) fn server_image(graph: &Graph, database: &Database) -> Result<String> {
    Ok(kind(graph, database)?.image_name(&database.version))
}

/// Environment from the catalogue's texts. What is a password comes from a Secret.
pub(super) fn catalogue_env(texts: &BTreeMap<String, String>, values: &[(&str, &str)], secret: &str) -> Vec<Value> {
    let mut env = vec![from_secret(ADMIN_PASSWORD, secret, PASSWORD)];
    let reference = format!("$({ADMIN_PASSWORD})");
    let mut values = values.to_vec();
    values.push(("admin_password", &reference));
    for (name, text) in texts {
        if text == "{admin_password}" {
            env.push(from_secret(name, secret, PASSWORD));
        } else {
            env.push(json!({ "name": name, "value": fill(&literal(text), &values) }));
        }
    }
    env
}

impl Scene<'_> {
    pub(super) fn server(&self, database: &Database) -> Result<Server> {
        let kind = kind(self.graph, database)?;
        let name = names::server(database);
        let secret = names::admin_secret(&name);
        let mut labels = self.labels(Component::Database);
        labels.insert(SERVER.to_owned(), name.clone());
        let selector = json!({ (SERVER): name });
        let port = kind.port.to_string();
        let values = [
            ("host", "127.0.0.1"),
            ("port", port.as_str()),
            ("admin", kind.admin.as_str()),
            ("version", database.version.as_str()),
            ("data", kind.image.data.as_deref().unwrap_or_default()),
        ];
        // The probe runs inside the server's container and finds the client's variables there.
        let mut texts = kind.image.env.clone();
        texts.extend(kind.client_env.clone());
        // Unlike a container's command, a probe's is taken as it stands.
        let ready: Vec<String> = kind.ready.iter().map(|word| fill(word, &values)).collect();
        let args: Vec<String> = kind.image.args.iter().map(|word| fill(&literal(word), &values)).collect();
        let mounts: Vec<Value> =
            kind.image.data.iter().map(|data| json!({ "name": "data", "mountPath": data })).collect();
        let container = json!({
            "name": "server",
            "image": self.server_image(database)?,
            "imagePullPolicy": "IfNotPresent",
            "args": args,
            "env": catalogue_env(&texts, &values, &secret),
            "ports": [{ "containerPort": kind.port, "protocol": "TCP" }],
            "startupProbe": probe(&ready, 1, WHILE_IT_STARTS),
            "readinessProbe": probe(&ready, 10, 3),
            "securityContext": container_security(),
            "volumeMounts": mounts,
        });
        let user = kind.image.user;
        let stateful = Object::new(json!({
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": { "name": name, "labels": labels },
            "spec": {
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
                        "containers": [container],
                    },
                },
                "volumeClaimTemplates": [{
                    "metadata": { "name": "data", "labels": labels },
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": { "requests": { "storage": VOLUME } },
                    },
                }],
            },
        }));
        let service = Object::new(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": name, "labels": labels },
            "spec": {
                "selector": selector,
                "ports": [{ "name": database.kind, "port": kind.port, "targetPort": kind.port, "protocol": "TCP" }],
            },
        }));
        let mut labels = self.labels(Component::Credentials);
        labels.insert(SERVER.to_owned(), name.clone());
        let secret = Credentials { name: secret, labels, username: kind.admin.clone() };
        Ok(Server { name, secret, objects: vec![service, stateful] })
    }
}
