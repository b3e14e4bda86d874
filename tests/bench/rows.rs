//! Commands that read: their start, and a commit's graph.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::generate;
use crate::measure::{Row, Target, pair};

/// One of the programs, built beside this one.
pub(crate) fn program(name: &str) -> PathBuf {
    let bench = std::env::current_exe().expect("the benchmark's own path");
    let program = bench.with_file_name(name);
    assert!(program.exists(), "{} is not there: `make bench` builds it", program.display());
    program
}

/// A command's start.
pub(crate) fn start() -> Vec<Row> {
    const RUNS: usize = 30;
    const MORE: Duration = Duration::from_millis(10);
    let row = |name: &'static str, argument: &'static str| {
        let ours = move || {
            let mut command = Command::new(program(name));
            command.arg(argument);
            command
        };
        let (ours, floor) = pair(RUNS, ours, || Command::new("/bin/true"));
        let what = format!("start: {name} {argument}");
        Row { what, ours, floor_name: "/bin/true", floor: Some(floor), target: Target::More(MORE), runs: RUNS }
    };
    vec![row("ssi", "--version"), row("komandan", "--help")]
}

/// Reading and validating a commit's graph, in a process of its own.
pub(crate) fn read() -> Vec<Row> {
    [(1_000, 5), (10_000, 3)]
        .into_iter()
        .map(|(services, runs)| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            generate::repository(folder.path(), services);
            let path = folder.path().to_owned();
            let ours = || {
                let mut command = Command::new(program("ssi"));
                command.args(["check", "--at", "HEAD"]).current_dir(&path);
                command
            };
            // The same list of files and the same blobs, by git itself.
            let floor = || {
                let mut command = Command::new("sh");
                command.args(["-c", "git ls-tree -r HEAD | awk -F'[ \\t]' '/service.yaml$/ { print $3 }' | git cat-file --batch >/dev/null"]);
                command.current_dir(&path);
                command
            };
            let (ours, floor) = pair(runs, ours, floor);
            let what = format!("read: a commit of {services} services");
            let floor = Some(floor);
            Row { what, ours, floor_name: "git ls-tree + cat-file", floor, target: Target::Times(2.0), runs }
        })
        .collect()
}
