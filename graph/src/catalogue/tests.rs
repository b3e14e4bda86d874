//! The built-in entries make sense, and those of a repository are read as strictly.

use super::*;
use crate::diagnostic::Problem;

/// Reads a clustergraph.yaml's `stacks` and `kinds`.
fn declared(text: &str) -> (SharedCatalogue, Vec<Problem>) {
    let mut problems = Problems::default();
    let document = yaml::parse(&"clustergraph.yaml".into(), text).expect("YAML");
    let mut fields = decode::Fields::open(&document, "clustergraph.yaml", &mut problems).expect("a map");
    let (stacks, kinds) = (fields.take("stacks"), fields.take("kinds"));
    let catalogue = Catalogue::with(stacks, kinds, &mut problems);
    (catalogue, problems.sorted().into_iter().cloned().collect())
}

#[test]
fn every_entry_reads_without_a_problem() {
    let mut problems = Problems::default();
    let catalogue = Catalogue::read(&mut problems);
    assert!(problems.is_empty(), "{}", problems.render(false, 120));
    assert_eq!(catalogue.stacks.len(), STACKS.len());
    assert_eq!(catalogue.databases.len(), DATABASES.len());
}

#[test]
fn every_tool_of_a_stack_is_known() {
    let catalogue = Catalogue::built_in();
    for stack in catalogue.stacks.values() {
        for tool in stack.tools.keys() {
            assert!(catalogue.tools.contains_key(tool), "{} needs {tool}", stack.name);
        }
    }
}

#[test]
fn a_repository_adds_kinds_and_stacks() {
    let (catalogue, problems) = declared(
        "kinds:\n  clickhouse:\n    image: clickhouse/clickhouse-server:24.8\n    port: 8123\n    url: \"http://{username}:{password}@{host}:{port}/{database}\"\n    ready: [clickhouse-client, --query, select 1]\n\
         stacks:\n  elixir: { detect: mix.exs, tools: { elixir: \"1.17\" }, setup: [mix, deps.get], run: [mix, phx.server], image: \"elixir:1.17\", lockfiles: [mix.lock] }\n",
    );
    assert_eq!(problems, Vec::new());
    let kind = &catalogue.databases["clickhouse"];
    assert_eq!(
        (kind.image.name.as_str(), kind.scope, kind.default.as_str()),
        ("clickhouse/clickhouse-server:24.8", Scope::Owner, "latest")
    );
    assert!(kind.knows("24.8") && kind.gives("password"));
    let stack = &catalogue.stacks["elixir"];
    assert_eq!(stack.detect, ["mix.exs"]);
    let setup = stack.setup.as_ref().expect("a setup");
    assert_eq!(
        (setup.lockfiles.as_slice(), setup.run.as_slice()),
        (&["mix.lock".to_owned()][..], &[vec!["mix".to_owned(), "deps.get".to_owned()]][..])
    );
    assert!(catalogue.stacks.contains_key("python"), "the built-in ones stay");
}

#[test]
fn what_is_wrong_with_an_entry_is_told_with_place_and_mend() {
    let kind = |rest: &str| format!("kinds:\n  x: {{ image: x, port: 1, url: 'x://{{host}}', ready: [x]{rest} }}\n");
    for (text, code, shown, words) in [
        ("kinds:\n  x: { port: 1, url: x, ready: [x] }\n".to_owned(), "missing-field", "{ port", "has no `image`"),
        ("kinds:\n  x: { image: x, url: x, ready: [x] }\n".to_owned(), "missing-field", "{ image", "has no `port`"),
        ("kinds:\n  x: { image: x, port: 1, ready: [x] }\n".to_owned(), "missing-field", "{ image", "has no `url`"),
        ("kinds:\n  x: { image: x, port: 1, url: x }\n".to_owned(), "missing-field", "{ image", "has no `ready`"),
        (kind("").replace("image: x", "image: 'x:{version}'"), "missing-field", "{ image", "has no `default`"),
        (kind("").replace("{host}", "{hots}"), "unknown-value", "'x://", "{hots}"),
        ("kinds:\n  x: { imag: x }\n".to_owned(), "unknown-field", "imag", "has no field `imag`"),
        (kind(", numbered: 4, shared: true"), "contradiction", "numbered", "shared"),
        (kind(", native: { run: [x] }"), "missing-field", "{ run", "has no `init`"),
        (kind(", tested: { somewhere: [] }"), "unknown-value", "somewhere", "somewhere"),
        (kind(", versions: ['1'], tested: { native: ['2'] }"), "unknown-version", "'2'", "none of the `versions`"),
        (kind(", create: { input: a }"), "missing-field", "{ input", "has no `run`"),
        (kind(", handshake: { expect: \"\u{20ac}\" }"), "out-of-range", "\"\u{20ac}", "no byte"),
        (kind(", versions: ['1'], default: '2'"), "unknown-version", "'2'", "none of the `versions`"),
        ("stacks:\n  y: { detect: a }\n".to_owned(), "missing-field", "{ detect", "has no `image`"),
        ("stacks:\n  y: { dockerfile: D, recipe: FROM x }\n".to_owned(), "contradiction", "{ dockerfile", "`recipe`"),
        ("stacks:\n  Y: { image: a }\n".to_owned(), "name", "Y", "name"),
    ] {
        let (_, problems) = declared(&text);
        let found = problems.iter().find(|problem| problem.code == code && problem.message.contains(words));
        let found = found.unwrap_or_else(|| panic!("{text} gives {problems:#?}"));
        assert!(text[found.place.bytes.start..].starts_with(shown), "{text}: {found:?}");
        assert!(found.mend.is_some(), "{text}: {found:?}");
    }
}
