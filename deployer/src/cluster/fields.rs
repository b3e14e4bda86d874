//! Who else has set fields of an object. The API server remembers that for every field (`metadata.managedFields`), and what
//! somebody else has set otherwise than we would is a conflict, which names them; it is never overwritten in silence.

use kube::api::ObjectMeta;
use kube::core::Status;
use serde::Serialize;
use serde_json::Value;

use crate::names;

/// A field that is somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Held {
    /// Whose: the name that a program has given itself, such as `kubectl-edit`.
    pub(crate) manager: String,
    /// The field, as the API server writes it, such as `.spec.replicas`.
    pub(crate) field: String,
}

/// What of that may be set all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Takes {
    /// Nothing of it.
    #[default]
    Nothing,
    /// How many instances run: somebody says so now.
    Sizes,
    /// All of it.
    Everything,
}

impl Takes {
    /// Whether a field may be set. What we wrote by other means than an apply is ours.
    pub(crate) fn includes(self, held: &Held) -> bool {
        match self {
            _ if held.manager == names::MANAGER => true,
            Self::Nothing => false,
            Self::Sizes => held.field == ".spec.replicas",
            Self::Everything => true,
        }
    }
}

/// Whether anybody else has set a field of an object, but for its status.
pub(crate) fn is_shared(metadata: &ObjectMeta) -> bool {
    others(metadata).next().is_some()
}

/// The fields of what is wanted that are somebody else's; with the object as it is, only those that it has otherwise.
pub(crate) fn held(metadata: &ObjectMeta, wanted: &Value, live: Option<&Value>) -> Vec<Held> {
    let mut all = Vec::new();
    for (manager, fields) in others(metadata) {
        let mut found = Vec::new();
        walk(fields, wanted, live.map(Some), "", &mut found);
        all.extend(found.into_iter().map(|field| Held { manager: plain(manager), field: plain(&field) }));
    }
    all.sort();
    all.dedup();
    all
}

/// The fields that an apply met, if that is why the API server refused it. Those may be our own as well.
pub(crate) fn met(status: &Status) -> Vec<Held> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let conflicts = causes.filter(|cause| cause.reason == "FieldManagerConflict");
    conflicts
        .map(|cause| {
            // conflict with "kubectl" with subresource "scale" using apps/v1
            let manager = cause.message.split('"').nth(1).unwrap_or("somebody");
            Held { manager: plain(manager), field: plain(&cause.field) }
        })
        .collect()
}

/// Says of objects what is in the way, and the ways out.
pub(crate) fn refusal(namespace: &str, found: &[(String, Vec<Held>)]) -> String {
    let mut text = String::new();
    for (what, held) in found {
        text.push_str(&format!("of the {what} in the namespace {namespace}, {}\n", told(held)));
    }
    text.push_str(
        "This version has it otherwise, and nothing of it was changed. Write into the service.yaml what is to stay (for a \
         size, `komandan scale SERVICE N` does); the `--force-conflicts` of deploy and revert takes the rest over",
    );
    text
}

/// Says who has set what.
pub(crate) fn told(held: &[Held]) -> String {
    held.iter().map(|held| format!("{} was set by {}", held.field, held.manager)).collect::<Vec<_>>().join(", ")
}

fn others(metadata: &ObjectMeta) -> impl Iterator<Item = (&str, &Value)> {
    metadata.managed_fields.iter().flatten().filter_map(|entry| {
        let manager = entry.manager.as_deref().unwrap_or("somebody");
        let is_other = manager != names::MANAGER && entry.subresource.as_deref() != Some("status");
        entry.fields_v1.as_ref().filter(|_| is_other).map(|fields| (manager, &fields.0))
    })
}

/// Whoever may write an object may call itself anything: it must not move a cursor.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Follows a set of fields (`FieldsV1`) through what is wanted. `live` is the same place of the object as it is, where that
/// is known.
fn walk(fields: &Value, wanted: &Value, live: Option<Option<&Value>>, path: &str, found: &mut Vec<String>) {
    for (key, inner) in fields.as_object().into_iter().flatten() {
        // `.` is the item itself; a value in a set (`v:`) is there or not, never otherwise.
        let Some((of_wanted, of_live, step)) = (match key.split_once(':') {
            Some(("f", name)) => {
                Some((wanted.get(name), live.map(|live| live.and_then(|live| live.get(name))), format!(".{name}")))
            }
            Some(("k", keys)) => serde_json::from_str::<Value>(keys).ok().map(|keys| {
                let of_live = live.map(|live| live.and_then(|live| item(live, &keys)));
                (item(wanted, &keys), of_live, format!("[{}]", keys_of(&keys)))
            }),
            _ => None,
        }) else {
            continue;
        };
        let Some(of_wanted) = of_wanted.filter(|value| !value.is_null()) else { continue };
        let path = format!("{path}{step}");
        if inner.as_object().is_some_and(|inner| !inner.is_empty()) {
            walk(inner, of_wanted, of_live, &path, found);
        } else if of_live != Some(Some(of_wanted)) {
            found.push(path);
        }
    }
}

/// The item of a list that has these keys. What it does not say is what the API server fills in, such as a protocol.
fn item<'v>(list: &'v Value, keys: &Value) -> Option<&'v Value> {
    let keys = keys.as_object()?;
    list.as_array()?.iter().find(|item| {
        let said: Vec<bool> = keys.iter().filter_map(|(key, value)| item.get(key).map(|own| own == value)).collect();
        !said.is_empty() && said.into_iter().all(|is_same| is_same)
    })
}

fn keys_of(keys: &Value) -> String {
    let keys = keys.as_object().into_iter().flatten();
    keys.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn metadata(entries: Value) -> ObjectMeta {
        serde_json::from_value(json!({ "managedFields": entries })).unwrap()
    }

    fn wanted() -> Value {
        json!({
            "metadata": { "name": "api-1", "annotations": { "clustergraph.dev/hash": "h" } },
            "spec": {
                "replicas": 2,
                "selector": { "matchLabels": { "a": "b" } },
                "template": { "spec": { "containers": [
                    { "name": "service", "image": "one", "ports": [{ "containerPort": 8000 }] },
                ] } },
            },
        })
    }

    /// What is found where `kubectl` has set these fields.
    fn found(fields: Value, live: Option<&Value>) -> Vec<String> {
        let entries = json!([{ "manager": "kubectl", "operation": "Update", "fieldsV1": fields }]);
        held(&metadata(entries), &wanted(), live).into_iter().map(|held| held.field).collect()
    }

    #[test]
    fn what_somebody_else_has_set_is_found_wherever_it_stands() {
        let container = |field: Value| {
            json!({ "f:spec": { "f:template": { "f:spec": { "f:containers": {
                "k:{\"name\":\"service\"}": field, "k:{\"name\":\"sidecar\"}": { ".": {}, "f:image": {} },
            } } } } })
        };
        for (fields, expected) in [
            (json!({ "f:spec": { "f:replicas": {} } }), vec![".spec.replicas"]),
            (json!({ "f:spec": { "f:selector": {} } }), vec![".spec.selector"]),
            (
                container(json!({ ".": {}, "f:image": {} })),
                vec![".spec.template.spec.containers[name=\"service\"].image"],
            ),
            (
                container(
                    json!({ "f:ports": { "k:{\"containerPort\":8000,\"protocol\":\"TCP\"}": { "f:containerPort": {} } } }),
                ),
                vec![
                    ".spec.template.spec.containers[name=\"service\"].ports[containerPort=8000,protocol=\"TCP\"].containerPort",
                ],
            ),
            // What we say nothing of is nobody's matter but theirs.
            (
                json!({ "f:spec": { "f:paused": {}, "f:template": { "f:metadata": { "f:annotations": { "f:kubectl.kubernetes.io/restartedAt": {} } } } } }),
                vec![],
            ),
            (json!({ "f:metadata": { "f:annotations": { ".": {}, "f:somebody/remark": {} } } }), vec![]),
            (json!("hostile"), vec![]),
            (json!({ "k:{": {}, "f:": {}, "f:spec": [] }), vec![".spec"]),
        ] {
            assert_eq!(found(fields.clone(), None), expected, "{fields}");
        }
    }

    #[test]
    fn what_is_as_it_should_be_is_in_nobodys_way() {
        let fields = json!({ "f:spec": { "f:replicas": {} } });
        assert_eq!(found(fields.clone(), Some(&wanted())), Vec::<String>::new());
        assert_eq!(found(fields.clone(), Some(&json!({ "spec": { "replicas": 5 } }))), [".spec.replicas"]);
        assert_eq!(found(fields, Some(&json!({}))), [".spec.replicas"]);
    }

    #[test]
    fn our_own_writes_and_what_controllers_report_are_nobody_elses() {
        let fields = json!({ "f:spec": { "f:replicas": {} } });
        let own = json!({ "manager": "komandan", "operation": "Update", "fieldsV1": fields });
        let status = json!({ "manager": "kcm", "subresource": "status", "fieldsV1": fields });
        let ours = metadata(json!([own, status]));
        assert!(!is_shared(&ours) && held(&ours, &wanted(), None).is_empty());
        let scaled = json!({ "manager": "kubectl", "subresource": "scale", "fieldsV1": fields });
        assert!(is_shared(&metadata(json!([own, scaled]))));
    }

    #[test]
    fn a_refusal_of_the_api_server_is_read() {
        let status: Status = serde_json::from_value(json!({
            "status": "Failure", "message": "Apply failed with 2 conflicts", "reason": "Conflict", "code": 409,
            "details": { "causes": [
                { "reason": "FieldManagerConflict", "message": "conflict with \"kubectl\" with subresource \"scale\" using apps/v1", "field": ".spec.replicas" },
                { "reason": "FieldManagerConflict", "message": "conflict with \"komandan\" using apps/v1", "field": ".metadata.annotations.clustergraph.dev/fence" },
                { "reason": "FieldValueInvalid", "message": "something else", "field": "spec" },
            ] },
        }))
        .unwrap();
        let met = met(&status);
        let rows: Vec<(&str, &str)> = met.iter().map(|held| (held.manager.as_str(), held.field.as_str())).collect();
        assert_eq!(rows, [("kubectl", ".spec.replicas"), ("komandan", ".metadata.annotations.clustergraph.dev/fence")]);
        let allowed = |takes: Takes| met.iter().map(|held| takes.includes(held)).collect::<Vec<_>>();
        assert_eq!(allowed(Takes::Nothing), [false, true]);
        assert_eq!(allowed(Takes::Sizes), [true, true]);
        let image = Held { manager: "kubectl".to_owned(), field: ".spec.template".to_owned() };
        assert!(!Takes::Sizes.includes(&image) && Takes::Everything.includes(&image));
        let text = refusal("shop", &[("Deployment api-1".to_owned(), met[..1].to_vec())]);
        for words in ["Deployment api-1", "shop", ".spec.replicas was set by kubectl", "--force-conflicts"] {
            assert!(text.contains(words), "{words:?} is not in {text}");
        }
    }

    proptest! {
        #[test]
        fn no_set_of_fields_is_too_strange(keys in proptest::collection::vec("([fkvi]:)?[ -~]{0,12}", 0..6)) {
            let fields = keys.iter().rev().fold(json!({}), |inner, key| json!({ key.clone(): inner }));
            let _ = found(fields, Some(&wanted()));
        }
    }
}
