//! An overlay of one changed service among a hundred, beside a complete cluster of the same commit: time and objects.

use clustergraph_tests::Namespace;
use serde_json::Value;

use crate::kubernetes::{API, Deployed, PLACES, at, is_there, quiet, size};
use crate::measure::{Amount, Row, Target, median, time};

/// How often each is measured.
const RUNS: usize = 3;

/// What of a namespace is nobody's but Kubernetes' own, or only tells of others.
const NOT_COUNTED: [&str; 2] = ["events", "events.events.k8s.io"];

/// The rows of an overlay; nothing where there is no cluster to measure on.
pub(crate) fn overlay() -> Vec<Row> {
    if !is_there("overlay", API) {
        return Vec::new();
    }
    let (base, home) = (Namespace::without_processes("bench-base"), Namespace::without_processes("bench-home"));
    let settings = format!("production: {{ namespace: {}, lends: true }}, pr: {{ ttl: 1h }}", base.name());
    let deployed = Deployed::with(&settings);
    let _ = time(deployed.komandan(&base, &["deploy"]));
    let mut rows = Vec::new();
    for (place, what) in PLACES.into_iter().enumerate() {
        deployed.edit(at(place), place + 1);
        let (mut ours, mut whole) = (Vec::new(), Vec::new());
        let (mut own, mut all) = (0, 0);
        for run in 0..RUNS {
            let (overlay, cluster) = (format!("overlay-{place}-{run}"), format!("whole-{place}-{run}"));
            quiet();
            ours.push(time(deployed.komandan(&home, &["up", "--name", &overlay, "--from", "production"])));
            own = objects(&home, &overlay);
            // The next one is not measured while this one goes.
            let _ = time(deployed.komandan(&home, &["down", "--name", &overlay, "--wait"]));
            // A whole cluster is the same every time, and takes its time to go.
            if run == 0 {
                quiet();
                whole.push(time(deployed.komandan(&home, &["up", "--name", &cluster])));
                all = objects(&home, &cluster);
                let _ = time(deployed.komandan(&home, &["down", "--name", &cluster, "--wait"]));
            }
        }
        let target = if place == 0 { Target::Within(std::time::Duration::from_secs(3)) } else { Target::Times(1.0) };
        rows.push(Row {
            what: format!("overlay: {what} of {} changed", size()),
            ours: median(ours).into(),
            floor_name: "a whole cluster",
            floor: Some(median(whole).into()),
            target,
            runs: RUNS,
        });
        rows.push(Row {
            what: format!("overlay: {what} changed, objects"),
            ours: Amount::Objects(own),
            floor_name: "of a whole cluster",
            floor: Some(Amount::Objects(all)),
            // What calls a service that changed is another version, too: only the entry is called by nobody.
            target: Target::Times(if place == 0 { 0.05 } else { 1.0 }),
            runs: 1,
        });
        // The next one differs from the base by itself alone.
        let _ = time(deployed.komandan(&base, &["deploy"]));
    }
    let _ = time(deployed.komandan(&base, &["down", "--force"]));
    rows
}

/// How many objects there are in the namespace of a cluster.
fn objects(home: &Namespace, name: &str) -> u64 {
    let selector = format!("app.kubernetes.io/part-of={name},clustergraph.dev/component=transient");
    let namespaces = home.kubectl(&format!("get namespaces --selector {selector}"));
    let items = namespaces["items"].as_array().cloned().unwrap_or_default();
    let there = items.iter().find(|item| item["metadata"]["deletionTimestamp"].is_null());
    let namespace = there.and_then(|item| item["metadata"]["name"].as_str()).expect("its namespace").to_owned();
    let mut kinds = home.kinds();
    kinds.retain(|kind| !NOT_COUNTED.contains(&kind.as_str()) && !kind.ends_with(".metrics.k8s.io"));
    let list: Value = home.kubectl(&format!("get {} --namespace {namespace}", kinds.join(",")));
    list["items"].as_array().map_or(0, Vec::len).try_into().expect("a number")
}
