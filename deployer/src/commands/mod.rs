//! One file for each command, with its arguments.

pub(crate) mod build;
pub(crate) mod deploy;
pub(crate) mod down;
pub(crate) mod history;
pub(crate) mod plan;
pub(crate) mod render;
pub(crate) mod revert;
pub(crate) mod status;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cluster::view::Observed;
use crate::console::Console;
use crate::plan::Step;
use crate::store::record::Content;

/// Where each entry of a version is reached from inside the cluster's network.
fn entry_urls(content: &Content, observed: &Observed) -> BTreeMap<String, String> {
    let url = |name: &String| {
        let entry = content.entries.get(name)?;
        let service = observed.services.get(name)?;
        let address = service.spec.as_ref()?.cluster_ip.clone().filter(|address| address != "None")?;
        let host = if address.contains(':') { format!("[{address}]") } else { address };
        Some((name.clone(), format!("{}://{host}:{}{}", entry.scheme, entry.port, entry.path)))
    };
    content.entries.keys().filter_map(url).collect()
}

/// Shows the entries below the sentence that says what serves.
fn show_entries(urls: &BTreeMap<String, String>, console: &Console) {
    for (name, url) in urls {
        console.data(&format!("  {name}  {url}"));
    }
}

/// The first digits of a commit.
fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

/// A plan for people.
fn plan_rows(steps: &[Step]) -> Vec<Vec<String>> {
    steps.iter().map(|step| vec![step.action.as_str().to_owned(), step.part.to_string(), step.reason.clone()]).collect()
}

/// A plan for programs.
fn plan_json(steps: &[Step]) -> Value {
    json!(steps)
}
