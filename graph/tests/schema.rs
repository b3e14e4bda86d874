//! The schemas that editors use, against every file of this repository: what is shown is valid, what is broken is not.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use clustergraph::format::schema::{lock_schema, repository_schema, service_schema};
use serde_json::Value;

/// Both schemas, ready to judge.
struct Judge {
    schemas: Schemas,
    service: SchemaIndex,
    repository: SchemaIndex,
    lock: SchemaIndex,
}

impl Judge {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let mut compile = |name: &str, schema: Value| {
            compiler.add_resource(name, schema).unwrap();
            compiler.compile(name, &mut schemas).unwrap()
        };
        let (service, repository) =
            (compile("service.json", service_schema()), compile("clustergraph.json", repository_schema()));
        let lock = compile("lock.json", lock_schema());
        Self { schemas, service, repository, lock }
    }

    /// What is wrong with a text that belongs into a file of this name.
    fn refuses(&self, path: &str, text: &str) -> Option<String> {
        let value: Value = match serde_yaml::from_str(text) {
            Ok(value) => value,
            Err(error) => return Some(error.to_string()),
        };
        let schema = match path {
            path if path.ends_with("service.yaml") => self.service,
            path if path.ends_with("clustergraph.lock") => self.lock,
            _ => self.repository,
        };
        self.schemas.validate(&value, schema).err().map(|error| error.to_string())
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The files of this repository that end so, those that are not committed yet included.
fn files(end: &str) -> Vec<String> {
    let output = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output()
        .unwrap();
    let all = String::from_utf8(output.stdout).unwrap();
    let wanted = |path: &&str| path.ends_with(end) && root().join(path).exists();
    all.split('\0').filter(wanted).map(str::to_owned).collect()
}

fn described() -> Vec<String> {
    ["service.yaml", "clustergraph.yaml", "clustergraph.lock"].into_iter().flat_map(files).collect()
}

#[test]
fn every_file_of_this_repository_is_valid() {
    let judge = Judge::new();
    let mut seen = 0;
    for path in described().iter().filter(|path| !path.starts_with("examples/broken/")) {
        assert_eq!(judge.refuses(path, &std::fs::read_to_string(root().join(path)).unwrap()), None, "{path}");
        seen += 1;
    }
    assert!(seen >= 3, "the examples are there");
}

#[test]
fn every_file_that_a_document_shows_is_valid() {
    let judge = Judge::new();
    let mut seen = 0;
    for document in files(".md") {
        let text = std::fs::read_to_string(root().join(&document)).unwrap();
        for (number, block) in text.split("```yaml\n").skip(1).enumerate() {
            let block = block.split("\n```").next().unwrap_or_default();
            // The first line names the file; the repository's own otherwise.
            let named = block
                .lines()
                .next()
                .and_then(|line| line.strip_prefix("# "))
                .filter(|path| path.ends_with(".yaml") || path.ends_with(".lock"));
            let path = named.unwrap_or("clustergraph.yaml");
            if ["service.yaml", "clustergraph.yaml", "clustergraph.lock"].iter().any(|name| path.ends_with(name)) {
                assert_eq!(judge.refuses(path, block), None, "{document}, block {number}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 2, "the documents show files");
}

/// Problems of the form of one file, by their codes: an editor shows these while the file is written.
const STRUCTURAL: &[&str] = &[
    "unknown-field",
    "wrong-type",
    "missing-field",
    "choice",
    "out-of-range",
    "signal",
    "quantity",
    "duration",
    "schedule",
    "yaml",
];

#[test]
fn what_is_broken_in_form_is_not_valid() {
    let judge = Judge::new();
    let mut seen = 0;
    for path in described().iter().filter(|path| path.starts_with("examples/broken/")) {
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        let mut parts = path.splitn(4, '/');
        let (name, inner) = (parts.nth(2).unwrap(), parts.next().unwrap());
        let report = std::fs::read_to_string(root().join(format!("examples/broken/{name}/report.txt"))).unwrap();
        for problem in report.split("error[").skip(1) {
            let (code, rest) = problem.split_once(']').unwrap();
            let at = rest.lines().nth(1).unwrap_or_default().trim_start_matches([' ', '-', '>']);
            let here = at == inner || at.starts_with(&format!("{inner}:"));
            // That a service has nothing to run is known when its stack is, which is not in the file.
            if here && STRUCTURAL.contains(&code) && !rest.contains("nothing to run") {
                assert!(judge.refuses(path, &text).is_some(), "{path} is valid, but{rest}");
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "only {seen} problems of form");
}

/// The names of all fields of a schema but those of kinds, which the catalogue documents.
fn fields(schema: &Value, found: &mut BTreeSet<String>) {
    if schema["title"] == "the kind" {
        return;
    }
    found.extend(schema["properties"].as_object().into_iter().flat_map(|properties| properties.keys().cloned()));
    let nested = schema.as_object().into_iter().flatten().map(|(_, value)| value);
    nested.chain(schema.as_array().into_iter().flatten()).for_each(|value| fields(value, found));
}

#[test]
fn every_field_is_documented() {
    let text = std::fs::read_to_string(root().join("docs/format.md")).unwrap();
    let mut named = BTreeSet::new();
    fields(&service_schema(), &mut named);
    fields(&repository_schema(), &mut named);
    fields(&lock_schema(), &mut named);
    // A field is named between ticks, alone or among others.
    let ticked: BTreeSet<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .flat_map(|code| code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .collect();
    let missing: Vec<&String> = named.iter().filter(|name| !ticked.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "docs/format.md does not name {missing:?}");
}
