//! What is written, as YAML.

use serde_yaml::{Mapping, Value};

use super::Known;

/// A path in a folder of the repository; the root's has no name.
pub(super) fn in_folder(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// A list under a key, if there is anything in it.
pub(super) fn list(yaml: &mut Mapping, key: &str, values: Vec<Value>) {
    if !values.is_empty() {
        yaml.insert(key.into(), values.into());
    }
}

/// A map under a key, if there is anything in it.
pub(super) fn map(yaml: &mut Mapping, key: &str, values: Mapping) {
    if !values.is_empty() {
        yaml.insert(key.into(), values.into());
    }
}

/// A file's text.
pub(super) fn document(yaml: &Mapping, known: &Known<'_>) -> String {
    let text = serde_yaml::to_string(yaml).unwrap_or_default();
    format!("# From {}.\n{text}", known.file)
}
