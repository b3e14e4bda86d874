//! What is said of a deploy: the plan, and what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::super::{entry_urls, plan_json, plan_rows, short, show_entries};
use super::{Decided, Wanted};
use crate::cluster::Cluster;
use crate::cluster::view::Observed;
use crate::console::Console;
use crate::overlay::Overlay;
use crate::session::Session;
use crate::store::record::{Record, changes};

/// Tells which version serves now, and how long each stage took.
pub(super) fn report(
    session: &Session<'_>,
    record: &Record,
    former: Option<&Record>,
    observed: &Observed,
    wanted: &Wanted<'_>,
    stages: &[(&str, Duration)],
) {
    let took = wanted.begun.elapsed();
    let urls = entry_urls(&record.content, observed);
    let requests = session.cluster.requests();
    let changed = changes(former.map(|former| &former.content), &record.content);
    if session.console.is_json() {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let stages: BTreeMap<_, _> = stages.iter().map(|(name, took)| (*name, milliseconds(*took))).collect();
        session.console.json(wanted.told(json!({
            "event": "result", "command": wanted.command, "unchanged": false, "cluster": session.cluster.name(),
            "namespace": session.cluster.namespace(), "version": record.number, "graph": record.content.version,
            "commit": record.content.commit.id, "changed": changed, "entries": urls, "elapsed_ms": milliseconds(took),
            "stages_ms": stages, "requests": requests,
        })));
        return;
    }
    let commit = &record.content.commit;
    session.console.data(&format!(
        "version {} serves {}: {} {} (changed: {changed})",
        record.number,
        session.cluster.name(),
        short(&commit.id),
        commit.summary
    ));
    show_entries(&urls, session.console);
    let stages: Vec<String> = stages.iter().map(|(name, took)| format!("{name} {:.1} s", took.as_secs_f64())).collect();
    session.console.note(&format!("  {:.1} s ({}), {requests} requests", took.as_secs_f64(), stages.join(", ")));
}

/// Tells that what is wanted serves already.
pub(super) fn unchanged(
    current: &Record,
    wanted: &Wanted<'_>,
    observed: &Observed,
    cluster: &Cluster,
    console: &Console,
) {
    let urls = entry_urls(&current.content, observed);
    let asked = wanted.repository.graph.commit.as_ref().map(|commit| commit.id.as_str()).unwrap_or_default();
    if console.is_json() {
        console.json(wanted.told(json!({
            "event": "result", "command": wanted.command, "unchanged": true, "cluster": cluster.name(),
            "namespace": cluster.namespace(), "version": current.number, "graph": current.content.version,
            "commit": current.content.commit.id, "entries": urls, "requests": cluster.requests(),
        })));
        return;
    }
    console.data(&format!(
        "unchanged: version {} of {} is {} already",
        current.number,
        cluster.name(),
        if current.content.commit.id == asked {
            short(asked).to_owned()
        } else {
            format!("the same cluster as {}", short(asked))
        }
    ));
    show_entries(&urls, console);
    console.note(&format!("  {} requests", cluster.requests()));
}

/// Shows a plan.
pub(super) fn show(
    Decided { prepared, extra, strangers, .. }: &Decided,
    wanted: &Wanted<'_>,
    going: &[String],
    console: &Console,
) {
    let shared: Vec<&String> = prepared
        .target
        .content
        .nodes
        .keys()
        .filter(|name| !prepared.steps.iter().any(|step| step.part == crate::plan::Part::Service((*name).clone())))
        .collect();
    if console.is_json() {
        console.json(json!({
            "event": "plan", "build": wanted.missing, "overlay": wanted.overlay.map(Overlay::json), "steps": plan_json(&prepared.steps), "shared": shared, "removed": going, "extra": extra.json(),
            "left": strangers, "graph": prepared.target.content.version,
        }));
        return;
    }
    if let Some(overlay) = wanted.overlay {
        overlay.show(console);
    }
    let mut rows: Vec<Vec<String>> = wanted
        .missing
        .iter()
        .map(|name| vec!["build".to_owned(), format!("image {name}"), "the registry lacks it".to_owned()])
        .collect();
    rows.extend(plan_rows(&prepared.steps));
    rows.extend(
        going.iter().map(|name| vec!["remove".to_owned(), name.clone(), "no version that is kept needs it".to_owned()]),
    );
    if rows.is_empty() {
        console.data("nothing to do: a version with the same parts is recorded and served");
        return;
    }
    console.table(&["", "WHAT", "WHY"], &rows);
    if let Some(text) = extra.text() {
        console.data(&text);
    }
    if !shared.is_empty() {
        let names: Vec<&str> = shared.iter().map(|name| name.as_str()).collect();
        console.note(&format!("shared with the version that serves: {}", names.join(", ")));
    }
}
