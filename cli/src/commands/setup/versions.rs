//! Versions: as programs print them, as stacks want them, as version managers pin them.

use std::collections::BTreeMap;
use std::path::Path;

/// The numbers of the first version in what a program prints.
pub(super) fn numbers(said: &str) -> Option<Vec<u64>> {
    said.split(|c: char| c.is_whitespace() || "\"(),;=:/".contains(c)).find_map(|word| {
        let word = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        let parts: Vec<u64> = word[..end].split('.').map_while(|part| part.parse().ok()).collect();
        // A year or a bare count is no version.
        (parts.len() > 1 || parts.len() == 1 && end == word.len() && parts[0] < 1000).then_some(parts)
    })
}

/// Whether a program that prints this is at least of that version.
pub(super) fn is_at_least(said: &str, wanted: &str) -> bool {
    let (Some(found), Some(wanted)) = (numbers(said), numbers(wanted)) else { return wanted.is_empty() };
    let padded = |parts: &[u64]| [0, 1, 2].map(|at| parts.get(at).copied().unwrap_or(0));
    padded(&found) >= padded(&wanted)
}

/// What version managers pin for a folder: the nearest file that names a tool counts. Names are the managers' own.
pub(super) fn pinned(folder: &Path, root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for folder in folder.ancestors().take_while(|folder| folder.starts_with(root)) {
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
        let mut here = BTreeMap::new();
        here.extend(read(".tool-versions").map(|text| tool_versions(&text)).unwrap_or_default());
        for name in ["mise.toml", ".mise.toml"] {
            here.extend(read(name).map(|text| mise(&text)).unwrap_or_default());
        }
        for (name, version) in here {
            all.entry(name).or_insert(version);
        }
    }
    all
}

/// `.tool-versions`: a tool and its versions a line.
fn tool_versions(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .collect()
}

/// The `[tools]` of mise.toml: a version, a list of them, or a table with one.
fn mise(text: &str) -> BTreeMap<String, String> {
    let Ok(document) = text.parse::<toml::Table>() else { return BTreeMap::new() };
    let tools = document.get("tools").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    tools
        .into_iter()
        .filter_map(|(name, value)| {
            let version = match &value {
                toml::Value::Array(list) => list.first()?.clone(),
                toml::Value::Table(table) => table.get("version")?.clone(),
                other => other.clone(),
            };
            let version = match version {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Float(number) => number.to_string(),
                _ => return None,
            };
            Some((name.rsplit(':').next().unwrap_or(&name).to_owned(), version))
        })
        .collect()
}

/// Whether a pinned version can be compared at all: `latest` and `lts` change by themselves.
pub(super) fn is_number(version: &str) -> bool {
    version.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_say_their_versions_in_many_ways() {
        for (said, version) in [
            ("v20.11.1", vec![20, 11, 1]),
            ("Python 3.11.2", vec![3, 11, 2]),
            ("go version go1.22.2 linux/amd64", vec![1, 22, 2]),
            ("openjdk version \"17.0.19\" 2026-04-21", vec![17, 0, 19]),
            ("openjdk version \"21\" 2023-09-19", vec![21]),
            ("cargo 1.95.0 (abc 2026-03-01)", vec![1, 95, 0]),
            ("Apache Maven 3.8.7", vec![3, 8, 7]),
            ("BusyBox v1.35.0 (Debian 1:1.35.0-4) multi-call binary.", vec![1, 35, 0]),
            ("10.9.2", vec![10, 9, 2]),
        ] {
            assert_eq!(numbers(said), Some(version), "{said}");
        }
        assert_eq!(numbers("no version here"), None);
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert!(is_at_least("v20.11.1", "20"));
        assert!(is_at_least("Python 3.11.2", "3.9"));
        assert!(!is_at_least("v18.19.0", "20"));
        assert!(!is_at_least("go1.9", "1.21"));
        assert!(is_at_least("whatever", ""));
    }

    #[test]
    fn the_nearest_file_that_names_a_tool_counts() {
        let folder = tempfile::tempdir().unwrap();
        let api = folder.path().join("services/api");
        std::fs::create_dir_all(&api).unwrap();
        std::fs::write(folder.path().join(".tool-versions"), "nodejs 18.0.0 # old\npython 3.11.4 3.10\n").unwrap();
        std::fs::write(
            folder.path().join("services/mise.toml"),
            "[tools]\nnodejs = \"20\"\ngo = { version = \"1.22\" }\n\"core:java\" = ['21', '17']\n",
        )
        .unwrap();
        let found = pinned(&api, folder.path());
        let found: Vec<String> = found.iter().map(|(name, version)| format!("{name} {version}")).collect();
        assert_eq!(found, ["go 1.22", "java 21", "nodejs 20", "python 3.11.4"]);
    }
}
