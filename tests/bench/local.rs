//! Clusters on this machine: started, started again, listed and stopped, beside the bare work and beside Compose.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::floor;
use crate::measure::{Row, Target, median, time};
use crate::rows::program;

const RAW: &str = "raw engine";
const COMPOSE: &str = "Compose";
/// `up` again and `ps` must feel like nothing.
const AGAIN: Duration = Duration::from_millis(150);
const LISTED: Duration = Duration::from_millis(100);

/// What a runner takes for one cluster.
#[derive(Default)]
struct Times {
    up: Vec<Duration>,
    again: Vec<Duration>,
    ps: Vec<Duration>,
    down: Vec<Duration>,
}

/// Containers, at three sizes.
pub(crate) fn docker() -> Vec<Row> {
    let compose = compose();
    let mut rows = Vec::new();
    for (services, runs) in [(10, 3), (30, 3), (100, 1)] {
        let cluster = Cluster::of(services);
        let (mut ours, mut raw, mut peer) = (Times::default(), Times::default(), Times::default());
        for _ in 0..runs {
            measure_ours(&cluster, "docker", &mut ours);
            if let Some(bare) = floor::containers(&cluster) {
                raw.up.push(bare.up);
                raw.ps.push(bare.list);
                raw.down.push(bare.down);
            }
        }
        if let Some(compose) = &compose {
            measure_compose(&cluster, compose, &mut peer);
        }
        let row = |what: &str, ours: &[Duration], floor_name, floor: &[Duration], target| Row {
            what: format!("docker: {what} {services} services"),
            ours: median(ours.to_vec()).into(),
            floor_name,
            floor: (!floor.is_empty()).then(|| median(floor.to_vec()).into()),
            target,
            runs: ours.len(),
        };
        rows.push(row("up,", &ours.up, RAW, &raw.up, Target::Times(1.3)));
        rows.push(row("up,", &ours.up, COMPOSE, &peer.up, Target::Times(0.4)));
        rows.push(row("up again,", &ours.again, COMPOSE, &peer.again, Target::Within(AGAIN)));
        rows.push(row("ps,", &ours.ps, RAW, &raw.ps, Target::Within(LISTED)));
        rows.push(row("ps,", &ours.ps, COMPOSE, &peer.ps, Target::Within(LISTED)));
        rows.push(row("down,", &ours.down, RAW, &raw.down, Target::Times(1.3)));
        rows.push(row("down,", &ours.down, COMPOSE, &peer.down, Target::Times(1.0)));
    }
    rows
}

/// Processes.
pub(crate) fn process() -> Vec<Row> {
    const SERVICES: usize = 100;
    let cluster = Cluster::of(SERVICES);
    let (mut ours, mut bare) = (Times::default(), Vec::new());
    for _ in 0..3 {
        measure_ours(&cluster, "process", &mut ours);
        bare.push(floor::processes(&cluster));
    }
    let what = |what: &str| format!("process: {what} {SERVICES} services");
    let floor = Some(median(bare).into());
    let row = |name: &str, times: Vec<Duration>, target| Row {
        what: what(name),
        runs: times.len(),
        ours: median(times).into(),
        floor_name: "fork, exec, critical path",
        floor,
        target,
    };
    vec![
        row("up,", ours.up, Target::Times(1.2)),
        row("up again,", ours.again, Target::Within(AGAIN)),
        row("ps,", ours.ps, Target::Within(LISTED)),
    ]
}

fn measure_ours(cluster: &Cluster, runtime: &str, times: &mut Times) {
    let state = session_folder();
    let ssi = |line: &str| {
        let mut command = Command::new(program("ssi"));
        command.args(line.split_whitespace()).current_dir(cluster.path());
        for name in ["STATE", "RUNTIME"] {
            command.env(format!("CLUSTERGRAPH_{name}_DIR"), state.path());
        }
        command
    };
    let up = format!("up --detach --runtime {runtime}");
    times.up.push(time(ssi(&up)));
    times.again.push(time(ssi(&up)));
    times.ps.push(time(ssi("ps")));
    times.down.push(time(ssi("down")));
    let _ = time(ssi("down --delete-data"));
}

fn session_folder() -> TempDir {
    tempfile::Builder::new().prefix("ssi-bench-").tempdir().expect("a temporary folder")
}

fn measure_compose(cluster: &Cluster, program: &PathBuf, times: &mut Times) {
    let compose = |line: &str| {
        let mut command = Command::new(program);
        command.args(line.split_whitespace()).current_dir(cluster.path());
        command
    };
    times.up.push(time(compose("up --detach --wait --quiet-pull")));
    times.again.push(time(compose("up --detach --wait")));
    times.ps.push(time(compose("ps")));
    // Its removal of the network may fail while the engine still counts what is gone: asked again, it holds.
    let began = std::time::Instant::now();
    let down = compose("down --timeout 1").output();
    times.down.push(began.elapsed());
    if down.is_ok_and(|output| !output.status.success()) {
        let _ = time(compose("down --timeout 1"));
    }
}

/// Compose, built from its module where that is possible.
fn compose() -> Option<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/peers/compose.sh");
    let output = Command::new(script).output().ok()?;
    if !output.status.success() {
        eprintln!("no Compose to compare with: {}", String::from_utf8_lossy(&output.stderr).trim_end());
        return None;
    }
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
}
