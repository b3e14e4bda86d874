//! All that is in a namespace, without what differs from one run to the next of the very same story.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::Namespace;

/// Everything that may be made; pods, ReplicaSets and endpoints are made by controllers.
const KINDS: &str = "configmaps,cronjobs,deployments,horizontalpodautoscalers,ingresses,jobs,leases,limitranges,\
                     networkpolicies,persistentvolumeclaims,poddisruptionbudgets,resourcequotas,secrets,serviceaccounts,\
                     services,statefulsets";

/// What the API server or a controller makes of a wish.
const OF_THE_SERVER: [&str; 13] = [
    "volume",
    "volumeName",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
    "selfLink",
    "clusterIP",
    "clusterIPs",
    "nodePort",
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
];

/// What tells who wrote something, and when.
const OF_THE_WRITER: [&str; 10] = [
    "clustergraph.dev/fence",
    "clustergraph.dev/write",
    "clustergraph.dev/secrets",
    "deployment.kubernetes.io/revision",
    "fence",
    "time",
    "author",
    "created",
    "write",
    "revision",
];

/// Objects by kind and name, as they should be equal after the same story, whatever came between.
pub type State = BTreeMap<String, Value>;

/// Reads it all, and waits for what is about to go.
#[must_use]
pub fn state(namespace: &Namespace) -> State {
    let mut items = Vec::new();
    crate::local::wait_until("what is going is gone", || {
        let list = namespace.kubectl(&format!("get {KINDS}"));
        items = list["items"].as_array().expect("a list of objects").clone();
        let is_gone = items.iter().all(|item| !is_going(item));
        // To ask costs much, and many ask.
        std::thread::sleep(Duration::from_millis(if is_gone { 0 } else { 300 }));
        is_gone
    });
    items.into_iter().filter(|item| !is_of_the_cluster(item)).map(|item| plain(item, namespace.name())).collect()
}

/// What tells whether anybody wrote to anything, by kind and name. Of what controllers write the status of, that is the
/// generation and the fence of who changed it; of everything else the resourceVersion.
#[must_use]
pub fn revisions(namespace: &Namespace) -> BTreeMap<String, String> {
    let list = namespace.kubectl(&format!("get {KINDS}"));
    let items = list["items"].as_array().expect("a list of objects");
    let revision = |item: &Value| {
        let metadata = &item["metadata"];
        let fence = &metadata["annotations"]["clustergraph.dev/fence"];
        match &metadata["generation"] {
            // Its status changes while nobody is told of a generation.
            Value::Null if item["kind"] == "HorizontalPodAutoscaler" => {
                format!("{} {} {fence}", metadata["uid"], item["spec"])
            }
            Value::Null => format!("{} {}", metadata["uid"], metadata["resourceVersion"]),
            generation => format!("{} {generation} {fence}", metadata["uid"]),
        }
    };
    items.iter().map(|item| (name(item), revision(item))).collect()
}

fn name(item: &Value) -> String {
    format!("{} {}", item["kind"].as_str().unwrap_or_default(), item["metadata"]["name"].as_str().unwrap_or_default())
}

fn is_going(item: &Value) -> bool {
    let metadata = &item["metadata"];
    let is_handed_to_the_collector = item["kind"] == "Deployment" && metadata["ownerReferences"].is_array();
    !metadata["deletionTimestamp"].is_null() || is_handed_to_the_collector
}

/// What every namespace has, and the Jobs of a schedule.
fn is_of_the_cluster(item: &Value) -> bool {
    let owner = &item["metadata"]["ownerReferences"][0]["kind"];
    owner == "CronJob" || ["ConfigMap kube-root-ca.crt", "ServiceAccount default"].contains(&name(item).as_str())
}

fn plain(mut item: Value, namespace: &str) -> (String, Value) {
    let key = name(&item);
    match item["kind"].as_str() {
        // Who holds it, or held it until death, is all that is in it.
        Some("Lease") => item = json!({}),
        Some("Secret") => {
            let keys: Vec<String> = item["data"].as_object().map(|it| it.keys().cloned().collect()).unwrap_or_default();
            item["data"] = json!(keys);
        }
        _ => {}
    }
    if let Some(item) = item.as_object_mut() {
        item.remove("status");
    }
    clean(&mut item, namespace);
    (key, item)
}

fn clean(value: &mut Value, namespace: &str) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !OF_THE_SERVER.contains(&key.as_str()) && !OF_THE_WRITER.contains(&key.as_str()));
            if let Some(Value::Array(log)) = map.get_mut("log") {
                // To serve what serves already, with a part of it renewed, is no move.
                log.retain(|entry| entry["from"] != entry["to"]);
            }
            map.values_mut().for_each(|value| clean(value, namespace));
            *map = std::mem::take(map).into_iter().filter(|(_, value)| !is_empty(value)).collect::<Map<_, _>>();
        }
        Value::Array(list) => list.iter_mut().for_each(|value| clean(value, namespace)),
        Value::String(text) => {
            // Documents of the store are looked into as well.
            match serde_json::from_str::<Value>(text) {
                Ok(mut inner) if inner.is_object() => {
                    clean(&mut inner, namespace);
                    *value = inner;
                }
                // A hash of the namespace's name.
                _ if text.starts_with("applyset-") => "applyset-NAMESPACE".clone_into(text),
                _ => *text = text.replace(namespace, "NAMESPACE"),
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}

/// Says in which objects two states differ, and how.
#[must_use]
pub fn difference(expected: &State, found: &State) -> Option<String> {
    let keys: std::collections::BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let mut lines = Vec::new();
    for key in keys {
        match (expected.get(key), found.get(key)) {
            (Some(expected), Some(found)) => differences(key, expected, found, &mut lines),
            (None, _) => lines.push(format!("{key} is orphaned")),
            (_, None) => lines.push(format!("{key} is missing")),
        }
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn differences(place: &str, expected: &Value, found: &Value, lines: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let keys: std::collections::BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
            for key in keys {
                let of = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                differences(&format!("{place}/{key}"), &of(expected), &of(found), lines);
            }
        }
        _ if expected != found => lines.push(format!("{place} should be {expected} and is {found}")),
        _ => {}
    }
}
