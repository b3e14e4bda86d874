//! What is different on one cluster: `clusters:` laid upon the rest.

use crate::diagnostic::{Problem, Problems};
use crate::format::decode;
use crate::format::yaml::{Value, Yaml};

/// Takes `clusters:` out of the document: what is left, and the overrides of each cluster.
pub(super) fn overrides(document: Yaml, problems: &mut Problems) -> (Yaml, Vec<(String, Yaml)>) {
    let Value::Map(mut entries) = document.value else { return (document, Vec::new()) };
    let clusters = entries.iter().position(|(key, _)| key.name == "clusters").map(|at| entries.remove(at).1);
    let mut overrides = Vec::new();
    let clusters = clusters.as_ref().map(|yaml| decode::entries(yaml, "`clusters`", problems)).unwrap_or_default();
    for (cluster, over) in clusters {
        match &over.value {
            Value::Null => {}
            Value::Map(fields) => {
                let (refused, fields): (Vec<_>, Vec<_>) =
                    fields.iter().cloned().partition(|(key, _)| matches!(key.name.as_str(), "name" | "clusters"));
                for (key, _) in refused {
                    problems.add(
                        Problem::new("override", key.place, format!("a cluster cannot override `{}`", key.name))
                            .mend("remove it: a service is the same one on every cluster"),
                    );
                }
                let over = Yaml { place: over.place.clone(), value: Value::Map(fields) };
                overrides.push((cluster.name.clone(), over));
            }
            other => {
                let what = format!("`clusters.{}`", cluster.name.escape_debug());
                problems.add(decode::wrong_kind(&over.place, &what, "a map", other));
            }
        }
    }
    (Yaml { place: document.place, value: Value::Map(entries) }, overrides)
}
