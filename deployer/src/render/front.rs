//! What stands in front of the entries where the cluster has an `ingress`: one Ingress, or one HTTPRoute of a Gateway, carries
//! the public paths of all services, each with the Service of its version behind it, so that a switch of all of them is one write.

use std::collections::BTreeMap;

use clustergraph::format::repository::Cluster;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Entry, Object};
use crate::names::{self, Component};

/// Ingress objects, as the API server knows them.
pub(crate) const INGRESS: (&str, &str) = ("networking.k8s.io/v1", "Ingress");
/// Routes of a Gateway.
pub(crate) const ROUTE: (&str, &str) = ("gateway.networking.k8s.io/v1", "HTTPRoute");

/// The scheme that both carry.
pub(crate) const SCHEME: &str = "http";

/// A host whose requests a controller of the cluster leads to the entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Front {
    /// The host.
    pub(crate) host: String,
    /// The class of the controller; the cluster's default one otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) class: Option<String>,
    /// The namespace of the controller's pods: nobody else calls the entries then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// The Gateway, as `NAME` or `NAMESPACE/NAME`, where it is no Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<String>,
    /// The Secret with the host's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<String>,
}

impl Front {
    /// What a cluster has in front of its entries, if it has something.
    pub(crate) fn of(settings: &Cluster) -> Option<Self> {
        let ingress = settings.ingress.as_ref()?;
        Some(Self {
            host: settings.domain.clone()?,
            class: ingress.class.clone(),
            namespace: ingress.namespace.clone(),
            gateway: ingress.gateway.clone(),
            tls: ingress.tls.clone(),
        })
    }

    /// Where the world reaches what is public below a path, without a slash at the end.
    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { SCHEME };
        format!("{scheme}://{}{}", self.host, path.trim_end_matches('/'))
    }

    /// The Ingress or HTTPRoute: stable by name, and all of the switch is in its backends. `workload` gives the Service of a service's version.
    pub(crate) fn object<'n>(
        &self,
        entries: &BTreeMap<String, Entry>,
        workload: impl Fn(&str) -> Option<&'n str>,
        cluster: &str,
    ) -> Object {
        if let Some(gateway) = &self.gateway {
            return self.route(gateway, entries, workload, cluster);
        }
        let path = |entry: &Entry| -> Option<Value> {
            let service = json!({ "name": workload(&entry.service)?, "port": { "number": entry.port } });
            Some(json!({ "path": entry.path, "pathType": "Prefix", "backend": { "service": service } }))
        };
        let paths: Vec<Value> = entries.values().filter_map(path).collect();
        let mut spec = json!({ "rules": [{ "host": self.host, "http": { "paths": paths } }] });
        if let Some(class) = &self.class {
            spec["ingressClassName"] = json!(class);
        }
        if let Some(secret) = &self.tls {
            spec["tls"] = json!([{ "hosts": [self.host], "secretName": secret }]);
        }
        object(INGRESS, cluster, spec)
    }

    fn route<'n>(
        &self,
        gateway: &str,
        entries: &BTreeMap<String, Entry>,
        workload: impl Fn(&str) -> Option<&'n str>,
        cluster: &str,
    ) -> Object {
        let rule = |entry: &Entry| -> Option<Value> {
            let path = json!({ "type": "PathPrefix", "value": entry.path });
            let backend = json!({ "name": workload(&entry.service)?, "port": entry.port });
            Some(json!({ "matches": [{ "path": path }], "backendRefs": [backend] }))
        };
        let rules: Vec<Value> = entries.values().filter_map(rule).collect();
        let parent = match gateway.split_once('/') {
            Some((namespace, name)) => json!({ "name": name, "namespace": namespace }),
            None => json!({ "name": gateway }),
        };
        object(ROUTE, cluster, json!({ "parentRefs": [parent], "hostnames": [self.host], "rules": rules }))
    }
}

fn object((version, kind): (&str, &str), cluster: &str, spec: Value) -> Object {
    Object::new(json!({
        "apiVersion": version,
        "kind": kind,
        "metadata": { "name": names::FRONT, "labels": names::labels(cluster, Component::Entry) },
        "spec": spec,
    }))
}

/// What leads into a version: its Ingress, or a Service for each entry. An Ingress without a path would be none.
pub(crate) fn objects<'n>(
    front: Option<&Front>,
    entries: &BTreeMap<String, Entry>,
    workload: impl Fn(&str) -> Option<&'n str>,
    cluster: &str,
) -> Vec<Object> {
    match front {
        Some(_) if entries.is_empty() => Vec::new(),
        Some(front) => vec![front.object(entries, workload, cluster)],
        None => entries.iter().map(|(name, entry)| entry.object(name, cluster)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::networking::v1::Ingress;

    fn front() -> Front {
        let class = Some("nginx".to_owned());
        let tls = Some("shop-tls".to_owned());
        Front { host: "shop.example".to_owned(), class, namespace: None, gateway: None, tls }
    }

    fn entry(service: &str, path: &str) -> (String, Entry) {
        let entry = Entry {
            service: service.to_owned(),
            id: "0".to_owned(),
            path: path.to_owned(),
            port: 80,
            scheme: "http".to_owned(),
            ports: [("http".to_owned(), 80)].into(),
        };
        (service.to_owned(), entry)
    }

    #[test]
    fn one_ingress_carries_all_public_paths() {
        let entries = [entry("www", "/"), entry("api", "/api")].into();
        let objects =
            objects(Some(&front()), &entries, |name| Some(if name == "www" { "www-1" } else { "api-2" }), "production");
        insta::assert_yaml_snapshot!(objects);
        let read: Ingress = serde_json::from_value(objects[0].body.clone()).unwrap();
        assert_eq!(read.spec.unwrap().rules.unwrap().len(), 1);
    }

    #[test]
    fn so_does_one_route_of_a_gateway() {
        let entries = [entry("www", "/"), entry("api", "/api")].into();
        let front = Front { gateway: Some("infra/shop".to_owned()), class: None, ..front() };
        insta::assert_yaml_snapshot!(front.object(&entries, |_| Some("some-1"), "production"));
    }

    #[test]
    fn without_an_entry_there_is_none() {
        assert!(objects(Some(&front()), &BTreeMap::new(), |_| None, "production").is_empty());
    }

    #[test]
    fn a_url_has_the_scheme_that_the_world_sees() {
        assert_eq!(front().url("/"), "https://shop.example");
        assert_eq!(Front { tls: None, ..front() }.url("/order"), "http://shop.example/order");
    }
}
