//! `komandan` on an API server whose nodes only say that they run: a complete deploy, one of nothing, of one change, and
//! back, beside the raw apply of the same objects, kubectl and Helm.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clustergraph_tests::{EveryImage, Namespace};
use serde_json::Value;
use tempfile::TempDir;

use crate::apply;
use crate::generate::{dependencies, git};
use crate::measure::{Amount, Row, Target, median, time};
use crate::rows::program;

/// How many services there are; `CLUSTERGRAPH_BENCH_SERVICES` says another number.
pub(crate) fn size() -> usize {
    std::env::var("CLUSTERGRAPH_BENCH_SERVICES").ok().and_then(|number| number.parse().ok()).unwrap_or(100)
}

/// Each is edited: first, middle, last.
pub(crate) const PLACES: [&str; 3] = ["entry", "median node", "deepest leaf"];

/// The number of the service at a place.
pub(crate) fn at(place: usize) -> usize {
    [0, size() / 2, size() - 1][place]
}

/// How often each is measured; what takes a minute is measured once.
const RUNS: usize = 3;
/// How many writes there are in half a second of a cluster on which nothing happens: nodes say that they live.
const FEW: u64 = 6;
/// Without these Helm asks at most 5 times a second.
const TUNED: [&str; 4] = ["--qps", "1000", "--burst-limit", "2000"];

/// A repository of services whose images nobody builds.
pub(crate) struct Deployed {
    folder: TempDir,
    images: EveryImage,
}

impl Deployed {
    fn new() -> Self {
        Self::with("production: {}")
    }

    /// The same with these settings of clusters.
    pub(crate) fn with(clusters: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("komandan-bench-").tempdir().expect("a temporary folder");
        let deployed = Self { folder, images: EveryImage::new() };
        std::fs::write(
            deployed.path().join("clustergraph.yaml"),
            format!("services: [\"services/*\"]\nclusters: {{ {clusters} }}\n"),
        )
        .expect("a file");
        for number in 0..size() {
            let needs: Vec<String> = dependencies(number, size()).into_iter().map(name).collect();
            let public = if number == 0 { "public: { path: / }\n" } else { "" };
            let yaml = format!(
                "name: {}\nimage: docker.io/library/nobody@sha256:{:064x}\nsecurity: baseline\ndependencies: [{}]\nports: {{ http: 8080 }}\nhealth: {{ http: /healthz }}\nscale: {{ replicas: 2 }}\nresources: {{ cpu: 10m, memory: 32Mi }}\n{public}",
                name(number),
                number + 1,
                needs.join(", ")
            );
            let folder = deployed.path().join("services").join(name(number));
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(folder.join("service.yaml"), yaml).expect("a file");
        }
        git(deployed.path(), &["init", "--quiet", "--initial-branch=main"]);
        deployed.commit("all");
        deployed
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn commit(&self, message: &str) {
        git(self.path(), &["add", "--all"]);
        git(
            self.path(),
            &["-c", "user.name=Bench", "-c", "user.email=bench@example.com", "commit", "--quiet", "-m", message],
        );
    }

    /// Changes what a service is: another environment.
    pub(crate) fn edit(&self, number: usize, nth: usize) {
        let file = self.path().join("services").join(name(number)).join("service.yaml");
        let text = std::fs::read_to_string(&file).expect("a file");
        let text: String =
            text.lines().filter(|line| !line.starts_with("env:")).map(|line| format!("{line}\n")).collect();
        std::fs::write(&file, format!("{text}env: {{ EDIT: \"{nth}\" }}\n")).expect("a file");
        self.commit("an edit");
    }

    pub(crate) fn komandan(&self, namespace: &Namespace, words: &[&str]) -> Command {
        let mut command = Command::new(program("komandan"));
        command.current_dir(self.path()).env("KUBECONFIG", namespace.kubeconfig());
        command.env("CLUSTERGRAPH_MIRROR", self.images.address().to_string());
        command.args(["--namespace", namespace.name()]).args(words);
        command
    }

    /// The objects of the commit, as `render` prints them.
    fn objects(&self, namespace: &Namespace) -> Vec<Value> {
        let output = self.komandan(namespace, &["render", "--output", "json"]).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let rendered: Value = serde_json::from_slice(&output.stdout).expect("objects");
        rendered["objects"].as_array().expect("objects").clone()
    }
}

fn name(number: usize) -> String {
    format!("s{number:03}")
}

fn names(objects: &[Value]) -> BTreeSet<String> {
    objects.iter().map(|object| format!("{} {}", object["kind"], object["metadata"]["name"])).collect()
}

/// What one peer takes for each thing that is done.
#[derive(Default)]
struct Times {
    first: Vec<Duration>,
    again: Vec<Duration>,
    /// By place.
    changed: [Vec<Duration>; PLACES.len()],
    back: Vec<Duration>,
}

/// The rows of a deploy; nothing where there is no cluster to measure on.
pub(crate) fn deploy() -> Vec<Row> {
    if !is_there("deploy", API) {
        return Vec::new();
    }
    let deployed = Deployed::new();
    let (mut ours, mut raw) = (Times::default(), Times::default());
    let mut renamed = [0; PLACES.len()];
    let mut edits = 0;
    let mut objects = 0;
    for _ in 0..RUNS {
        let (namespace, floor) = (Namespace::without_processes("bench"), Namespace::without_processes("floor"));
        let mut before = deployed.objects(&floor);
        objects = before.len();
        quiet();
        raw.first.push(timed(|| apply::apply(floor.kubeconfig(), floor.name(), &before)));
        quiet();
        ours.first.push(time(deployed.komandan(&namespace, &["deploy"])));
        ours.again.push(time(deployed.komandan(&namespace, &["deploy"])));
        for (place, renamed) in renamed.iter_mut().enumerate() {
            edits += 1;
            deployed.edit(at(place), edits);
            let after = deployed.objects(&floor);
            let known = names(&before);
            let new: Vec<Value> =
                after.iter().filter(|object| !names(std::slice::from_ref(object)).is_subset(&known)).cloned().collect();
            *renamed = new.iter().filter(|object| object["kind"] == "Deployment").count();
            quiet();
            raw.changed[place].push(timed(|| apply::apply(floor.kubeconfig(), floor.name(), &new)));
            quiet();
            ours.changed[place].push(time(deployed.komandan(&namespace, &["deploy"])));
            before = after;
        }
        ours.back.push(time(deployed.komandan(&namespace, &["revert"])));
        let _ = time(deployed.komandan(&namespace, &["down"]));
    }
    // Helm takes most of the time: whoever looks for what stands in the way goes without.
    let is_beside = |peer: &str| std::env::var("CLUSTERGRAPH_BENCH_PEERS").map_or(true, |peers| peers.contains(peer));
    let kubectl = is_beside("kubectl").then(|| kubectl(&deployed));
    let helm = is_beside("helm").then(helm).flatten();
    let tuned = helm.as_ref().map(|helm| with_helm(helm, &deployed, &TUNED, &mut edits));
    let default = helm.as_ref().map(|helm| with_helm(helm, &deployed, &[], &mut edits));
    let row =
        |what: String, ours: &[Duration], floor_name: &'static str, floor: Option<Duration>, target: Target| Row {
            what,
            ours: median(ours.to_vec()).into(),
            floor_name,
            floor: floor.map(Amount::from),
            target,
            runs: ours.len(),
        };
    let of = |times: &Option<Times>, pick: fn(&Times) -> &Vec<Duration>| {
        times.as_ref().map(|times| median(pick(times).clone()))
    };
    let complete = format!("deploy: {} services, {objects} objects", size());
    let mut rows = vec![
        row(complete.clone(), &ours.first, "raw apply", Some(median(raw.first.clone())), Target::Times(1.2)),
        row(complete.clone(), &ours.first, "Helm, tuned", of(&tuned, |times| &times.first), Target::Times(0.6)),
        row(
            complete.clone(),
            &ours.first,
            "Helm, default",
            of(&default, |times| &times.first),
            Target::Within(Duration::from_secs(15)),
        ),
        row(complete, &ours.first, "kubectl apply + wait", kubectl, Target::Within(Duration::from_secs(15))),
        row(
            "deploy: nothing changed".to_owned(),
            &ours.again,
            "Helm, tuned",
            of(&tuned, |times| &times.again),
            Target::Within(Duration::from_millis(500)),
        ),
        row(
            "deploy: nothing changed".to_owned(),
            &ours.again,
            "Helm, default",
            of(&default, |times| &times.again),
            Target::Within(Duration::from_millis(500)),
        ),
    ];
    for (place, what) in PLACES.into_iter().enumerate() {
        let text = format!("deploy: {what} changed, {} renamed", renamed[place]);
        let target = if place == 0 { Target::Within(Duration::from_secs(2)) } else { Target::Times(1.2) };
        rows.push(row(
            text.clone(),
            &ours.changed[place],
            "raw apply of these",
            Some(median(raw.changed[place].clone())),
            target,
        ));
        let peer = tuned.as_ref().map(|times| median(times.changed[place].clone()));
        rows.push(row(text, &ours.changed[place], "Helm, tuned", peer, target_beside(place)));
    }
    rows.push(row(
        "deploy: revert".to_owned(),
        &ours.back,
        "Helm rollback, tuned",
        of(&tuned, |times| &times.back),
        Target::Within(Duration::from_secs(1)),
    ));
    rows.push(row(
        "deploy: revert".to_owned(),
        &ours.back,
        "Helm rollback, default",
        of(&default, |times| &times.back),
        Target::Within(Duration::from_secs(1)),
    ));
    rows
}

/// Beside Helm only the entry has a target of its own; the others must not take longer.
fn target_beside(place: usize) -> Target {
    if place == 0 { Target::Within(Duration::from_secs(2)) } else { Target::Times(1.0) }
}

/// What makes a cluster that is nothing but an API.
pub(crate) const API: &str = "CG_CLUSTER_API=only tests/cluster/up.sh";

/// Whether there is a cluster to measure a row on; else says what makes one.
pub(crate) fn is_there(row: &str, up: &str) -> bool {
    let is_there = std::env::var_os("KOMANDAN_TEST_KUBECONFIG").is_some();
    if !is_there {
        eprintln!("missing: {row}: there is no cluster: `{up}` makes one, `eval \"$(tests/machine/env.sh)\"` names it");
    }
    is_there
}

/// Waits until nearly nothing changes any more: what was measured last, and namespaces that go, have their own work, which
/// nobody else's figure is to hold.
pub(crate) fn quiet() {
    let revision = || {
        let mut command = Command::new("kubectl");
        command.env("KUBECONFIG", std::env::var_os("KOMANDAN_TEST_KUBECONFIG").expect("a cluster"));
        let output = command.args(["get", "--raw", "/api/v1/namespaces?limit=1"]).output().expect("kubectl runs");
        let list: Value = serde_json::from_slice(&output.stdout).expect("a list");
        list["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse::<u64>().ok()).expect("a revision")
    };
    let (mut before, mut calm) = (revision(), 0);
    for _ in 0..240 {
        std::thread::sleep(Duration::from_millis(500));
        let now = revision();
        calm = if now - before <= FEW { calm + 1 } else { 0 };
        if calm == 4 {
            return;
        }
        before = now;
    }
    eprintln!("somebody else is at work on this cluster: the figures are theirs, too");
}

fn timed(doing: impl FnOnce()) -> Duration {
    let began = Instant::now();
    doing();
    began.elapsed()
}

/// The objects by kubectl, until all are available; once: it takes half a minute.
fn kubectl(deployed: &Deployed) -> Duration {
    let namespace = Namespace::without_processes("kubectl");
    let objects = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": deployed.objects(&namespace) });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("objects.json");
    std::fs::write(&file, objects.to_string()).expect("a file");
    quiet();
    let run = |words: &[&str]| {
        let mut command = Command::new("kubectl");
        command.args(["--kubeconfig", namespace.kubeconfig(), "--namespace", namespace.name()]).args(words);
        time(command)
    };
    run(&["apply", "--server-side", "--filename", file.to_str().expect("a path")])
        + run(&["wait", "--for=condition=Available", "deployments", "--all", "--timeout=600s"])
}

/// Helm, built from its module; `None` with a line that says so where that fails.
fn helm() -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/peers/helm.sh");
    let output = Command::new(script).stdin(Stdio::null()).stderr(Stdio::inherit()).output().ok()?;
    if !output.status.success() {
        eprintln!("missing: Helm could not be built");
        return None;
    }
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// The same by Helm: a chart of exactly these objects.
fn with_helm(helm: &Path, deployed: &Deployed, flags: &[&str], edits: &mut usize) -> Times {
    let namespace = Namespace::without_processes("helm");
    let chart = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(chart.path().join("templates")).expect("a folder");
    std::fs::write(chart.path().join("Chart.yaml"), "apiVersion: v2\nname: bench\nversion: 0.1.0\n").expect("a file");
    let write = || {
        let documents = deployed.objects(&namespace).into_iter().map(|object| format!("---\n{object}\n"));
        std::fs::write(chart.path().join("templates/all.yaml"), documents.collect::<String>()).expect("a file");
    };
    let run = |words: &[&str]| {
        let mut command = Command::new(helm);
        command.args(["--kubeconfig", namespace.kubeconfig(), "--namespace", namespace.name()]).args(flags).args(words);
        time(command)
    };
    let path = chart.path().to_str().expect("a path");
    let upgrade: &[&str] = &["upgrade", "bench", path, "--wait", "--timeout", "15m"];
    let mut times = Times::default();
    write();
    quiet();
    times.first.push(run(&["install", "bench", path, "--wait", "--timeout", "15m"]));
    times.again.push(run(upgrade));
    for place in 0..PLACES.len() {
        *edits += 1;
        deployed.edit(at(place), *edits);
        write();
        quiet();
        times.changed[place].push(run(upgrade));
    }
    times.back.push(run(&["rollback", "bench", "--wait", "--timeout", "15m"]));
    times
}
