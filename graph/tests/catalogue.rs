//! docs/catalogue.md says what the catalogue says.

use std::path::{Path, PathBuf};

use clustergraph::catalogue::{Catalogue, DatabaseKind, Scope, Stack, Tested};

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/catalogue.md")
}

fn ticked<'a>(words: impl IntoIterator<Item = &'a String>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

fn kind(kind: &DatabaseKind) -> String {
    let versions: Vec<String> = kind
        .versions
        .iter()
        .map(|version| if *version == kind.default { format!("**{version}**") } else { version.clone() })
        .collect();
    let gives = match kind.scope {
        _ if kind.kind == "minio" => "a bucket and a user",
        Scope::Owner => "a database and a user",
        Scope::Numbered(_) => "a numbered database and a user",
        Scope::Shared if kind.gives("username") => "a user; the rest is shared",
        Scope::Shared => "all of it, shared",
    };
    let runs = if kind.native.is_some() { "yes" } else { "no" };
    let tested: Vec<String> = kind
        .tested
        .iter()
        .map(|(on, versions)| {
            let on = match on {
                Tested::Native => "natively",
                Tested::StandIn => "on a stand-in",
                Tested::Official => "on the official image",
            };
            format!("{} {on}", versions.join(", "))
        })
        .collect();
    let tested = if tested.is_empty() { "nothing yet".to_owned() } else { tested.join("; ") };
    let names = or_dash(ticked(kind.family.values()));
    format!("| `{}` | {} | {names} | {gives} | {runs} | {tested} |\n", kind.kind, versions.join(", "))
}

fn stack(stack: &Stack) -> String {
    let tools: Vec<String> = stack.tools.iter().map(|(tool, version)| format!("`{tool}` {version}")).collect();
    let lockfiles = stack.setup.as_ref().map(|setup| ticked(&setup.lockfiles)).unwrap_or_default();
    let run = stack.run.as_ref().map(|run| match run.as_slice() {
        [shell, _, _] if shell == "sh" => "a small server".to_owned(),
        words => format!("`{}`", words.join(" ")),
    });
    let run = run.unwrap_or_else(|| {
        if stack.dockerfile.is_some() { "its image's command" } else { "its own `run:`" }.to_owned()
    });
    format!(
        "| `{}` | {} | {} | {} | {} | {} | {run} |\n",
        stack.name,
        or_dash(ticked(&stack.detect)),
        stack.rank,
        or_dash(tools.join(", ")),
        or_dash(ticked((!stack.image.is_empty()).then_some(&stack.image).into_iter().chain(&stack.base))),
        or_dash(lockfiles),
    )
}

/// The text with a table between the marks of a name.
fn with(text: &str, name: &str, table: &str) -> String {
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = text.split_once(&open).expect("a mark where the table begins");
    let (_, after) = rest.split_once(&close).expect("a mark where the table ends");
    format!("{before}{open}{table}{close}{after}")
}

#[test]
fn the_document_has_every_entry_as_it_is() {
    let catalogue = Catalogue::built_in();
    let kinds: String = catalogue.databases.values().map(kind).collect();
    let kinds = format!(
        "| kind | versions | 12-factor names | a service gets | runs natively | tested |\n| --- | --- | --- | --- | --- | --- |\n{kinds}"
    );
    let stacks: String = catalogue.stacks.values().map(|entry| stack(entry)).collect();
    let stacks = format!(
        "| stack | detected by | rank | tools | images | lock files | runs |\n| --- | --- | --- | --- | --- | --- | --- |\n{stacks}"
    );
    let text = std::fs::read_to_string(document()).expect("the document");
    let wanted = with(&with(&text, "kinds", &kinds), "stacks", &stacks);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(document(), &wanted).expect("written");
    }
    let text = std::fs::read_to_string(document()).expect("the document");
    assert!(text == wanted, "UPDATE_DOCS=1 writes the tables anew\n{wanted}");
}

#[test]
fn what_is_said_to_be_tested_is_tested() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/e2e/databases.rs");
    let tests = std::fs::read_to_string(tests).expect("the tests");
    for kind in Catalogue::built_in().databases.values() {
        for (on, version) in
            kind.tested.iter().flat_map(|(on, versions)| versions.iter().map(move |version| (on, version)))
        {
            let described = format!("name: \"{}\",\n    version: \"{version}\",", kind.kind);
            assert!(tests.contains(&described), "{} {version} is in no test", kind.kind);
            let runtime = if *on == Tested::Native { "process" } else { "docker" };
            let run = format!("keeps(&{}, \"{runtime}\");", kind.kind.to_uppercase());
            assert!(tests.contains(&run), "{} is said to be tested {}: {run}", kind.kind, on.as_str());
        }
    }
}
