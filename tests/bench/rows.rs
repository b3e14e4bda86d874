//! Commands that read: their start, a commit's graph, and what differs between two.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::generate;
use crate::measure::{Amount, Row, Target, memory, pair};

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
        Row {
            what,
            ours: ours.into(),
            floor_name: "/bin/true",
            floor: Some(floor.into()),
            target: Target::More(MORE),
            runs: RUNS,
        }
    };
    vec![row("ssi", "--version"), row("komandan", "--help")]
}

/// Reading and validating a commit's graph, in a process of its own: for the first time, again, and after one change.
pub(crate) fn read() -> Vec<Row> {
    let mut rows = Vec::new();
    for (services, runs) in [(100, 5), (1_000, 5), (10_000, 3)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        generate::repository(folder.path(), services, runs + 2);
        // The same list of files and the same blobs, by git itself.
        let floor = || {
            let mut command = Command::new("sh");
            command.args([
                "-c",
                "git ls-tree -r HEAD | awk -F'[ \\t]' '/service.yaml$/ { print $3 }' | git cat-file --batch >/dev/null",
            ]);
            command.current_dir(folder.path());
            command
        };
        let kept = tempfile::tempdir().expect("a temporary folder");
        let check = |revision: &str, cache: &Path| {
            let mut command = Command::new(program("ssi"));
            command.args(["check", "--at", revision]).current_dir(folder.path()).env("CLUSTERGRAPH_CACHE_DIR", cache);
            command
        };
        let row = |what: &str, (ours, floor): (Duration, Duration)| Row {
            what: format!("read: {what} {services} services"),
            ours: ours.into(),
            floor_name: "git ls-tree + cat-file",
            floor: Some(floor.into()),
            target: Target::Times(2.0),
            runs,
        };
        // Nothing was read before: each run keeps what it read in a folder that no other knows.
        let mut nth = 0;
        let first = || {
            nth += 1;
            check("HEAD", &kept.path().join(nth.to_string()))
        };
        rows.push(row("first time,", pair(runs, first, floor)));
        rows.push(row("again,", pair(runs, || check("HEAD", kept.path()), floor)));
        // Each run reads the commit after the last one's: one file of one service is another.
        let mut before = runs + 2;
        let next = || {
            before -= 1;
            check(&format!("HEAD~{before}"), kept.path())
        };
        rows.push(row("one change later,", pair(runs, next, floor)));
        // The target is for this size, and for no other.
        if services == 1_000 {
            rows.push(Row {
                what: format!("read: memory for {services} services"),
                ours: Amount::Memory(memory(check("HEAD", &kept.path().join("memory")))),
                floor_name: "",
                floor: None,
                target: Target::Memory(MOST_MEMORY),
                runs: 1,
            });
        }
    }
    rows
}

/// What a graph of 1,000 services may take, in MB.
const MOST_MEMORY: u64 = 100;

/// Showing a graph, and what differs between two commits, beside git's own list of what differs.
pub(crate) fn diff() -> Vec<Row> {
    const SERVICES: usize = 1_000;
    const COMMITS: usize = 1_000;
    const RUNS: usize = 5;
    let folder = tempfile::tempdir().expect("a temporary folder");
    generate::repository(folder.path(), SERVICES, COMMITS);
    let floor = |from: &str| {
        let mut command = Command::new("git");
        command.args(["diff", "--stat", from, "HEAD"]).current_dir(folder.path());
        command
    };
    let kept = tempfile::tempdir().expect("a temporary folder");
    let ssi = |arguments: &[&str]| {
        let mut command = Command::new(program("ssi"));
        command.args(arguments).current_dir(folder.path()).env("CLUSTERGRAPH_CACHE_DIR", kept.path());
        command
    };
    let lines: [(&str, &[&str], &str); 3] = [
        ("diff: ssi graph", &["graph", "--at", "HEAD"], "HEAD~1000"),
        ("diff: one commit", &["diff", "HEAD~1..HEAD"], "HEAD~1"),
        ("diff: 1,000 commits", &["diff", "HEAD~1000..HEAD"], "HEAD~1000"),
    ];
    let mut rows = Vec::new();
    for (what, arguments, from) in lines {
        // An unknown command's help is an error.
        let known = ssi(&[arguments[0], "--help"]).output().is_ok_and(|output| output.status.success());
        if !known {
            eprintln!("missing: {what}: this build has no `ssi {}`", arguments[0]);
            continue;
        }
        let (ours, floor) = pair(RUNS, || ssi(arguments), || floor(from));
        rows.push(Row {
            what: format!("{what}, {SERVICES} services"),
            ours: ours.into(),
            floor_name: "git diff --stat A B",
            floor: Some(floor.into()),
            target: Target::Times(1.5),
            runs: RUNS,
        });
        rows.push(Row {
            what: format!("{what}, memory"),
            ours: Amount::Memory(memory(ssi(arguments))),
            floor_name: "",
            floor: None,
            target: Target::Memory(MOST_MEMORY),
            runs: 1,
        });
    }
    rows
}
