//! Repositories of any size: services in five layers, twenty files and three dependencies each, and commits that
//! change one of them each.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const LAYERS: usize = 5;
const FILES: usize = 20;
const DEPENDENCIES: usize = 3;

/// Makes a repository of `services` in an empty folder: a commit with all, and `changes` commits after it, each with
/// one file of one service changed. git's own fast-import writes it: no work tree is needed to read a commit.
pub(crate) fn repository(folder: &Path, services: usize, changes: usize) {
    git(folder, &["init", "--quiet", "--initial-branch=main"]);
    let mut stream = String::new();
    commit(&mut stream, 0, "the services");
    file(&mut stream, "clustergraph.yaml", "services: [\"services/*\"]\n");
    for number in 0..services {
        let dependencies: Vec<String> =
            dependencies(number, services).into_iter().map(|target| format!("s{target:05}")).collect();
        let yaml = format!(
            "name: s{number:05}\nstack: command\ndependencies: [{}]\nports: {{ http: 8080 }}\nhealth: {{ http: /healthz }}\nenv: {{ LOG_LEVEL: info, NUMBER: \"{number}\" }}\nrun: [./server]\n",
            dependencies.join(", ")
        );
        file(&mut stream, &format!("services/s{number:05}/service.yaml"), &yaml);
        for nth in 1..FILES {
            file(&mut stream, &source(number, nth), &format!("{number} {nth}\n"));
        }
    }
    for change in 1..=changes {
        // Another service each time, all over the layers.
        let number = change * 7919 % services;
        commit(&mut stream, change, &format!("s{number:05} changes"));
        file(&mut stream, &source(number, 1 + change % (FILES - 1)), &format!("changed {change}\n"));
    }
    let mut import = Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .spawn()
        .expect("git runs");
    import.stdin.take().expect("its input").write_all(stream.as_bytes()).expect("it reads");
    assert!(import.wait().expect("it ends").success());
}

/// A source of a service.
fn source(number: usize, nth: usize) -> String {
    format!("services/s{number:05}/src/file{nth:02}.txt")
}

/// The head of a commit of the stream; without `from` it follows the one before.
fn commit(stream: &mut String, nth: usize, message: &str) {
    let time = 1_700_000_000 + nth;
    let _ = writeln!(stream, "commit refs/heads/main\ncommitter Bench <bench@example.com> {time} +0000");
    data(stream, message);
}

/// The services of the next layer that a service of so many depends on.
pub(crate) fn dependencies(number: usize, services: usize) -> Vec<usize> {
    let layer = services.div_ceil(LAYERS);
    let below = (number / layer + 1) * layer;
    let targets = (0..DEPENDENCIES).map(|nth| below + (number * 7 + nth * 13) % layer);
    let mut targets: Vec<usize> = targets.filter(|target| *target < services).collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}

fn file(stream: &mut String, path: &str, text: &str) {
    let _ = writeln!(stream, "M 100644 inline {path}");
    data(stream, text);
}

fn data(stream: &mut String, text: &str) {
    let _ = writeln!(stream, "data {}\n{text}", text.len());
}

/// Runs git in a folder.
pub(crate) fn git(folder: &Path, arguments: &[&str]) {
    let status = Command::new("git").args(arguments).current_dir(folder).status().expect("git runs");
    assert!(status.success(), "git {arguments:?}");
}
