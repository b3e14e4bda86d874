//! The documents are true: every command in them is run, and prints what they show.
//!
//! A block of shell follows a line `<!-- run: PLACE -->`. The blocks of one place in one document run in order in one
//! repository. A block of text that follows holds lines that the commands print; numbers and ids may differ.

use std::path::Path;
use std::process::Command;

use clustergraph_tests::{Namespace, Program, Repository, Session, workspace};

/// A block of shell with what the document shows below it.
struct Block {
    document: String,
    line: usize,
    place: String,
    script: String,
    shown: Vec<String>,
}

/// The blocks of a document. A block of shell that is not run is an error.
fn blocks(document: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(workspace().join(document)).expect("the document");
    let mut blocks: Vec<Block> = Vec::new();
    let mut place: Option<String> = None;
    let mut lines = text.lines().enumerate();
    let mut after_block = false;
    while let Some((number, line)) = lines.next() {
        if let Some(named) = line.strip_prefix("<!-- run: ").and_then(|rest| rest.strip_suffix(" -->")) {
            place = Some(named.to_owned());
            after_block = false;
            continue;
        }
        let Some(language) = line.strip_prefix("```") else {
            after_block &= line.trim().is_empty();
            continue;
        };
        let body: Vec<String> =
            lines.by_ref().map(|(_, line)| line.to_owned()).take_while(|line| !line.starts_with("```")).collect();
        match language {
            "sh" | "bash" | "console" | "shell" => {
                let place = place.take().unwrap_or_else(|| panic!("{document}:{}: this block is not run", number + 1));
                let script = body.join("\n");
                blocks.push(Block {
                    document: document.to_owned(),
                    line: number + 1,
                    place,
                    script,
                    shown: Vec::new(),
                });
                after_block = true;
            }
            "text" if after_block => {
                blocks.last_mut().expect("a block before").shown = body;
                after_block = false;
            }
            _ => {}
        }
    }
    blocks
}

/// A line without what differs from run to run: ids, numbers, blanks.
fn essence(line: &str) -> String {
    let is_id = |word: &str| word.len() == 10 && word.chars().all(|c| c.is_ascii_hexdigit());
    line.split(|c: char| c.is_whitespace() || "-()".contains(c))
        .filter(|word| !word.is_empty())
        .map(|word| if is_id(word) { "ID".to_owned() } else { word.chars().filter(|c| !c.is_ascii_digit()).collect() })
        // `207 ms` on one machine is `1.2 s` on another
        .filter(|word: &String| !matches!(word.as_str(), "" | "." | "ms" | "s" | "m"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs the blocks of one place in one repository.
fn run(blocks: &[Block], folder: &Path, variables: &[(&str, String)]) {
    let path = std::env::var("PATH").unwrap_or_default();
    let programs = Program::folder();
    for block in blocks {
        // One that hangs is ended: a test that waits for ever tells nothing.
        let mut shell = Command::new("timeout");
        shell.args(["--kill-after", "5", "240", "bash"]);
        // One stream, as on a terminal.
        shell.args(["-euc", &format!("exec 2>&1\n{}", block.script)]).current_dir(folder);
        shell.env("PATH", format!("{}:{path}", programs.display())).env("NO_COLOR", "1").env("COLUMNS", "120");
        shell.envs(variables.iter().map(|(name, value)| (name, value)));
        let output = shell.output().expect("bash runs");
        let printed = String::from_utf8_lossy(&output.stdout);
        let place = format!("{}:{}", block.document, block.line);
        assert!(output.status.success(), "{place}: {}\n{printed}", block.script);
        let lines: Vec<String> = printed.lines().map(essence).collect();
        for shown in block.shown.iter().filter(|line| !line.trim().is_empty()) {
            assert!(lines.contains(&essence(shown)), "{place} shows\n  {shown}\nbut its commands print\n{printed}");
        }
    }
}

fn documents() -> Vec<String> {
    let mut documents = vec!["README.md".to_owned(), "ARCHITECTURE.md".to_owned(), "CHANGELOG.md".to_owned()];
    for entry in std::fs::read_dir(workspace().join("docs")).expect("docs").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            documents.push(format!("docs/{name}"));
        }
    }
    documents.sort();
    documents
}

fn blocks_of(place: &str) -> Vec<Vec<Block>> {
    documents()
        .iter()
        .map(|document| blocks(document).into_iter().filter(|block| block.place == place).collect::<Vec<_>>())
        .filter(|blocks| !blocks.is_empty())
        .collect()
}

#[test]
fn every_block_of_shell_has_a_place_that_is_known() {
    for document in documents() {
        for block in blocks(&document) {
            assert!(["hello", "compose", "hello-cluster"].contains(&block.place.as_str()), "{document}:{}", block.line);
        }
    }
}

#[test]
fn what_is_shown_of_a_laptop_is_what_happens() {
    for (place, example) in [("hello", "hello"), ("compose", "compose-import")] {
        for blocks in blocks_of(place) {
            let repository = Repository::of_example(example);
            let session = Session::of(repository.path());
            run(&blocks, repository.path(), &[("CLUSTERGRAPH_STATE_DIR", session.state().display().to_string())]);
        }
    }
}

#[test]
fn what_is_shown_of_a_cluster_is_what_happens() {
    for blocks in blocks_of("hello-cluster") {
        let repository = Repository::of_example("hello");
        let namespace = Namespace::new("docs");
        let pr = format!("{{ namespace: {}, ttl: 1h, seed: true }}", namespace.name());
        let clusters = format!("clusters: {{ production: {{ namespace: {} }}, pr: {pr} }}", namespace.name());
        repository.append("clustergraph.yaml", &clusters);
        repository.commit("where it runs");
        run(&blocks, repository.path(), &[("KUBECONFIG", namespace.kubeconfig().to_owned())]);
    }
}

#[test]
fn the_files_that_are_shown_are_right() {
    let mut seen = 0;
    for document in documents() {
        let text = std::fs::read_to_string(workspace().join(&document)).expect("the document");
        for block in text.split("```yaml\n").skip(1).map(|rest| rest.split("\n```").next().unwrap_or_default()) {
            let repository = Repository::of_example("hello");
            let path = match block
                .lines()
                .next()
                .and_then(|line| line.strip_prefix("# "))
                .filter(|path| path.ends_with(".yaml") || path.ends_with(".lock"))
            {
                Some(path) => path.to_owned(),
                None => "clustergraph.yaml".to_owned(),
            };
            // A part of clustergraph.yaml that says nothing of services leaves those of the example.
            let folders = path == "clustergraph.yaml" && !block.lines().any(|line| line.starts_with("services:"));
            let text = if folders { format!("services: [\"services/*\"]\n{block}") } else { block.to_owned() };
            repository.write(&path, &text);
            let session = Session::of(repository.path());
            let _ = session.ssi("check").run().succeeds();
            seen += 1;
        }
    }
    assert!(seen >= 2, "the README shows a service.yaml, the format a clustergraph.yaml");
}

#[test]
fn a_line_is_the_same_whatever_its_numbers() {
    assert_eq!(
        essence("+ api ready 253 ms  http://127.0.0.1:8000"),
        essence("+ api ready 1.2 s  http://127.0.0.1:41234")
    );
    assert_eq!(essence("www node 7ff714750f public /"), essence("www node 0123456789  public /"));
    assert_ne!(essence("+ api ready 253 ms"), essence("! api failed 253 ms"));
}
