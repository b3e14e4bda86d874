//! ARCHITECTURE.md is the house that stands: its map names every file, and its invariants hold.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use clustergraph_tests::workspace;

const BEGIN: &str =
    "<!-- map: `UPDATE_MAP=1 cargo test --package clustergraph-tests --test architecture` writes it -->\n";
const END: &str = "<!-- end of the map -->\n";

/// The files of the repository, committed or about to be.
fn files() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(workspace())
        .output()
        .expect("git runs");
    let mut files: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|path| workspace().join(path).is_file())
        .map(str::to_owned)
        .collect();
    files.sort();
    files.dedup();
    files
}

fn text(path: &str) -> String {
    std::fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether the map names a file by itself: sources and scripts, not examples, data of tests, or lock files.
fn is_mapped(path: &str) -> bool {
    let source = [".rs", ".sh", ".py"].iter().any(|end| path.ends_with(end))
        || path.starts_with("graph/catalogue/")
        || path == ".ci/run";
    let elsewhere = ["examples/", "services/", "tests/machine/images/", "tests/cluster/build/"];
    source && !elsewhere.iter().any(|folder| path.starts_with(folder))
}

/// What a file says of itself: the first sentence of its first comment.
fn subject(path: &str) -> String {
    let text = text(path);
    if path.ends_with(".py") {
        // A docstring: what it does; where that is two paragraphs, the first is its usage.
        let said = text.split("\"\"\"").nth(1).unwrap_or_default();
        let mut paragraphs = said.split("\n\n");
        let first = paragraphs.next().unwrap_or_default();
        let said = paragraphs.next().unwrap_or(first).trim().replace('\n', " ");
        return said.split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned();
    }
    let marks = if path.ends_with(".rs") { "//!" } else { "#" };
    let said: Vec<&str> = text
        .lines()
        .skip_while(|line| line.starts_with("#!") || line.starts_with("# shellcheck") || line.trim().is_empty())
        .map_while(|line| line.strip_prefix(marks))
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let said = said.join(" ");
    let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // Scripts begin with their usage: `name.sh up|down - what it does`.
    let said = match said.strip_prefix(name) {
        Some(rest) => rest.split_once(" - ").map_or(rest, |(_, rest)| rest).trim().to_owned(),
        None => said,
    };
    let end = said.find(". ").map_or(said.len(), |at| at + 1);
    said[..end].trim_end_matches('.').to_owned()
}

fn map() -> String {
    let mut map = String::new();
    let mut folder = String::new();
    let mut mapped: Vec<String> = files().into_iter().filter(|path| is_mapped(path)).collect();
    mapped.sort_by_key(|path| path.rsplit_once('/').map(|(parent, name)| (parent.to_owned(), name.to_owned())));
    for path in mapped {
        let (parent, _) = path.rsplit_once('/').unwrap_or(("", &path));
        if parent != folder {
            folder = parent.to_owned();
            map.push_str(&format!("\n**{folder}/**\n\n"));
        }
        let subject = subject(&path);
        assert!(!subject.is_empty(), "{path} does not say what it is: begin it with a comment");
        map.push_str(&format!("- `{path}`: {subject}\n"));
    }
    map.push('\n');
    map
}

#[test]
fn the_map_names_every_file_with_its_subject() {
    let document = text("ARCHITECTURE.md");
    let (before, rest) = document.split_once(BEGIN).expect("the map's begin");
    let (written, after) = rest.split_once(END).expect("the map's end");
    let stands = map();
    if std::env::var_os("UPDATE_MAP").is_some() {
        let document = format!("{before}{BEGIN}{stands}{END}{after}");
        std::fs::write(workspace().join("ARCHITECTURE.md"), document).expect("it is written");
    } else {
        let (written, stands): (BTreeSet<&str>, BTreeSet<&str>) = (written.lines().collect(), stands.lines().collect());
        let wrong: Vec<String> = (written.difference(&stands).map(|line| format!("- {line}")))
            .chain(stands.difference(&written).map(|line| format!("+ {line}")))
            .collect();
        assert!(
            wrong.is_empty(),
            "the map is not the house (its first line has the command that writes it):\n{}",
            wrong.join("\n")
        );
    }
}

#[test]
fn every_path_that_a_document_names_exists() {
    for document in files().into_iter().filter(|path| path.ends_with(".md") && !path.contains("examples/")) {
        let body = text(&document);
        for word in body.split('`').skip(1).step_by(2) {
            let is_path = word.contains('/')
                && [".rs", ".sh", ".md", ".yaml", ".toml", ".json"].iter().any(|end| word.ends_with(end))
                && word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
                && ["graph/", "cli/", "deployer/", "tests/", "docs/", "examples/"]
                    .iter()
                    .any(|top| word.starts_with(top));
            assert!(!is_path || workspace().join(word).exists(), "{document} names {word}, which is not there");
        }
    }
}

/// The crates that a crate of the workspace is made from, those of its tests left out.
fn crates_of(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--package",
            package,
        ])
        .current_dir(workspace())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_graph_knows_no_runtime_no_command_line_and_no_clock() {
    let crates = crates_of("clustergraph");
    for forbidden in
        ["tokio", "clap", "bollard", "kube", "k8s-openapi", "jiff", "chrono", "time", "reqwest", "indicatif"]
    {
        assert!(!crates.contains(forbidden), "clustergraph must not be made from {forbidden}");
    }
    for path in files().into_iter().filter(|path| path.starts_with("graph/src/")) {
        let body = text(&path);
        for forbidden in ["SystemTime", "Instant::now", "HashMap", "HashSet"] {
            assert!(!body.contains(forbidden), "{path} must not use {forbidden}");
        }
        if !path.starts_with("graph/src/tree/") {
            let code = body.split("#[cfg(test)]").next().unwrap_or_default();
            for forbidden in ["std::fs", "std::process", "git2::", "std::env", "std::net"] {
                assert!(!code.contains(forbidden), "{path} must not touch {forbidden}: only graph/src/tree/ does");
            }
        }
    }
}

#[test]
fn the_two_programs_do_not_know_each_other_and_read_no_yaml_of_services() {
    let (cli, deployer) = (crates_of("clustergraph-ssi"), crates_of("clustergraph-komandan"));
    assert!(!cli.contains("clustergraph-komandan") && !deployer.contains("clustergraph-ssi"));
    for path in files() {
        if (path.starts_with("cli/src/") || path.starts_with("deployer/src/")) && path.ends_with(".rs") {
            let code = text(&path);
            let code = code.split("#[cfg(test)]").next().unwrap_or_default();
            // Compose's files are somebody else's format, and read in one place.
            let reads = code.contains("serde_saphyr") || code.contains("serde_yaml::from");
            assert!(!reads || path.starts_with("cli/src/commands/import/"), "{path} reads YAML");
        }
    }
}

#[test]
fn there_is_one_way_to_speak_tls() {
    for package in ["clustergraph-ssi", "clustergraph-komandan"] {
        let crates = crates_of(package);
        for forbidden in ["openssl", "openssl-sys", "aws-lc-rs", "aws-lc-sys", "native-tls"] {
            assert!(!crates.contains(forbidden), "{package} must not be made from {forbidden}");
        }
    }
}

#[test]
fn only_the_consoles_print() {
    for path in files().into_iter().filter(|path| path.ends_with(".rs") && !path.starts_with("tests/")) {
        let allows = text(&path).contains("allow(clippy::print");
        assert!(!allows || path.ends_with("src/console.rs"), "{path}: only console.rs prints");
    }
}

#[test]
fn no_file_has_outgrown_one_subject() {
    for path in files().into_iter().filter(|path| path.ends_with(".rs")) {
        let lines = text(&path).lines().count();
        assert!(lines < 1000, "{path} has {lines} lines: split it by subject");
    }
}
