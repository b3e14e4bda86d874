//! Who needs which secret: the services of a commit, and the versions that are kept ready.

use std::collections::BTreeMap;

use clustergraph::graph::Graph;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::error::Result;
use crate::names;
use crate::repository;
use crate::session;
use crate::settings::Global;
use crate::store::Store;
use crate::target;

/// One service's need of one secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) service: String,
    pub(super) name: String,
    /// Whether it also runs without.
    pub(super) optional: bool,
    /// Where that is said: a place in a file, or a version.
    pub(super) by: String,
}

/// All needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Needs(pub(super) Vec<Need>);

/// What is known of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) service: String,
    pub(super) name: String,
    pub(super) set: bool,
    pub(super) optional: bool,
    pub(super) needed_by: Vec<String>,
}

impl Row {
    /// In one word.
    pub(super) fn state(&self) -> &'static str {
        match (self.set, self.needed_by.is_empty(), self.optional) {
            (true, false, _) => "set",
            (true, true, _) => "unused",
            (false, _, true) => "optional",
            (false, _, false) => "missing",
        }
    }
}

impl Needs {
    /// What the services of a commit name in their `secrets:`.
    pub(super) async fn of_commit(global: &Global, commit: &str) -> Result<Self> {
        Ok(Self::of_graph(&repository::graph(global, commit).await?))
    }

    fn of_graph(graph: &Graph) -> Self {
        let needs = graph.services.values().flat_map(|service| {
            service.secrets.iter().map(|secret| Need {
                service: service.owner.clone(),
                name: secret.name.clone(),
                optional: secret.optional,
                by: secret.place.to_string(),
            })
        });
        Self(needs.collect())
    }

    /// What the objects of the versions that serve and are kept ready refer to.
    pub(super) async fn of_versions(cluster: &Cluster) -> Result<Self> {
        let store = Store::new(cluster);
        let head = store.head().await?.value;
        let kept = session::kept(store, &head).await?;
        let mut needs = Self::default();
        for record in kept.all() {
            let target = target::of_record(record, store).await?;
            for (node, objects) in &target.objects {
                // A part of a service has the secrets of its owner.
                let service = node.split('.').next().unwrap_or(node);
                let secret = names::service_secret(service);
                let mut found = BTreeMap::new();
                objects.iter().for_each(|object| references(&object.body, &secret, &mut found));
                needs.0.extend(found.into_iter().map(|(name, optional)| Need {
                    service: service.to_owned(),
                    name,
                    optional,
                    by: format!("version {}", record.number),
                }));
            }
        }
        Ok(needs)
    }

    /// Needs beside what is set, by service and name.
    pub(super) fn beside(self, set: &BTreeMap<String, Vec<String>>) -> Vec<Row> {
        let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
        let row = |service: &str, name: &str| Row {
            service: service.to_owned(),
            name: name.to_owned(),
            set: false,
            optional: true,
            needed_by: Vec::new(),
        };
        for (service, names) in set {
            for name in names {
                rows.entry((service.clone(), name.clone())).or_insert_with(|| row(service, name)).set = true;
            }
        }
        for need in self.0 {
            let key = (need.service.clone(), need.name.clone());
            let row = rows.entry(key).or_insert_with(|| row(&need.service, &need.name));
            row.optional &= need.optional;
            if !row.needed_by.contains(&need.by) {
                row.needed_by.push(need.by);
            }
        }
        rows.into_values().collect()
    }
}

/// The keys of a Secret that an object refers to, each with whether it may be missing.
fn references(value: &Value, secret: &str, found: &mut BTreeMap<String, bool>) {
    match value {
        Value::Object(map) => {
            if let Some(reference) = map.get("secretKeyRef").filter(|reference| reference["name"] == secret)
                && let Some(key) = reference["key"].as_str()
            {
                let optional = reference["optional"].as_bool().unwrap_or(false);
                found.entry(key.to_owned()).and_modify(|known| *known &= optional).or_insert(optional);
            }
            map.values().for_each(|value| references(value, secret, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, secret, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_objects_references_to_a_secret_are_found_wherever_they_stand() {
        let reference =
            |name: &str, key: &str| json!({ "valueFrom": { "secretKeyRef": { "name": name, "key": key } } });
        let mut optional = reference("api-secrets", "DSN");
        optional["valueFrom"]["secretKeyRef"]["optional"] = json!(true);
        let object = json!({ "spec": { "template": { "spec": {
            "initContainers": [{ "env": [reference("api-secrets", "A")] }],
            "containers": [{ "env": [reference("api-secrets", "KEY"), reference("other-secrets", "B"), optional] }],
        } } } });
        let mut found = BTreeMap::new();
        references(&object, "api-secrets", &mut found);
        assert_eq!(found, [("A", false), ("DSN", true), ("KEY", false)].map(|(key, it)| (key.to_owned(), it)).into());
    }

    #[test]
    fn each_name_is_set_missing_optional_or_unused() {
        let need = |service: &str, name: &str, optional, by: &str| Need {
            service: service.to_owned(),
            name: name.to_owned(),
            optional,
            by: by.to_owned(),
        };
        let needs = Needs(vec![
            need("api", "KEY", false, "version 3"),
            need("api", "KEY", false, "api/service.yaml:4"),
            need("api", "DSN", true, "version 3"),
            need("www", "TOKEN", true, "version 3"),
            need("www", "TOKEN", false, "www/service.yaml:4"),
        ]);
        let set = BTreeMap::from([("api".to_owned(), vec!["KEY".to_owned(), "OLD".to_owned()])]);
        let rows: Vec<String> = needs
            .beside(&set)
            .iter()
            .map(|row| format!("{} {} {} [{}]", row.service, row.name, row.state(), row.needed_by.join(", ")))
            .collect();
        assert_eq!(
            rows,
            [
                "api DSN optional [version 3]",
                "api KEY set [version 3, api/service.yaml:4]",
                "api OLD unused []",
                "www TOKEN missing [version 3, www/service.yaml:4]",
            ]
        );
    }
}
