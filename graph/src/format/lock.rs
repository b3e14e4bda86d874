//! `clustergraph.lock`: what images, stacks and tools were when `ssi lock` looked, so that everybody builds the same.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::diagnostic::{Place, Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::is_dns_label;
use crate::format::yaml::{Key, Yaml};
use crate::graph::SCHEME;

/// Where it lies in the repository.
pub const LOCK_FILE: &str = "clustergraph.lock";

/// What is pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockFile {
    /// Where it begins; nowhere when the repository has none.
    pub place: Option<Place>,
    /// The number of the scheme by which ids are computed, with its place.
    pub scheme: Option<(u32, Place)>,
    /// Digests (`sha256:...`), by the image as service.yaml and the catalogue name it.
    pub images: BTreeMap<String, Pin>,
    /// Hashes of definitions, by the stack's name.
    pub stacks: BTreeMap<String, Pin>,
    /// Least versions, by the program's name.
    pub tools: BTreeMap<String, Pin>,
}

/// One thing that is pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// To what.
    pub value: String,
    /// Where its name was written.
    pub place: Place,
}

impl LockFile {
    /// Reads the document, noting every problem. One of a newer scheme is not read further: what else it says may mean
    /// something else.
    pub(crate) fn decode(document: &Yaml, problems: &mut Problems) -> Self {
        let mut lock = Self { place: Some(document.place.clone()), ..Self::default() };
        let Some(mut fields) = Fields::open(document, LOCK_FILE, problems) else { return lock };
        if let Some(yaml) = decode::required(&mut fields, "scheme", LOCK_FILE, problems)
            && let Some(number) = decode::integer(yaml, "`scheme`", 1..=1_000_000, problems)
        {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            if number > SCHEME {
                problems.add(
                    Problem::new(
                        "lock-scheme",
                        yaml.place.clone(),
                        format!(
                            "{LOCK_FILE} is of identity scheme {number}, and this program knows no newer than {SCHEME}"
                        ),
                    )
                    .mend("install the version that wrote it: this one would give other ids to the same services"),
                );
                return lock;
            }
            lock.scheme = Some((number, yaml.place.clone()));
        }
        lock.images = pins(&mut fields, "images", problems, is_digest, "a digest such as sha256:1f0c...");
        lock.stacks = pins(&mut fields, "stacks", problems, is_hash, "a hash of 64 hexadecimal digits");
        lock.tools = pins(&mut fields, "tools", problems, |version| !version.is_empty(), "a version");
        for (name, pin) in lock.stacks.iter().filter(|(name, _)| !is_dns_label(name)) {
            problems.add(
                Problem::new("name", pin.place.clone(), format!("no stack is named `{}`", name.escape_debug()))
                    .label("lower case letters, digits and `-`, at most 63"),
            );
        }
        fields.close(LOCK_FILE, problems);
        lock
    }

    /// The digest of an image, when it is pinned.
    #[must_use]
    pub fn digest(&self, image: &str) -> Option<&str> {
        self.images.get(image).map(|pin| pin.value.as_str())
    }

    /// The file as `ssi lock` writes it: sorted, so that two branches that pin different things merge.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "# Written by `ssi lock`: commit it, and everybody builds and runs the same.\nscheme: {}\n",
            self.scheme.as_ref().map_or(SCHEME, |(number, _)| *number)
        );
        for (name, pins) in [("images", &self.images), ("stacks", &self.stacks), ("tools", &self.tools)] {
            if pins.is_empty() {
                continue;
            }
            // Writing into memory cannot fail.
            let _ = writeln!(text, "{name}:");
            for (name, pin) in pins {
                let _ = writeln!(text, "  {}: {}", quoted(name), quoted(&pin.value));
            }
        }
        text
    }
}

/// YAML's double quotes are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn pins(
    fields: &mut Fields<'_>,
    name: &'static str,
    problems: &mut Problems,
    is_fine: impl Fn(&str) -> bool,
    wanted: &str,
) -> BTreeMap<String, Pin> {
    let mut pins = BTreeMap::new();
    let Some(yaml) = fields.take(name) else { return pins };
    for (key, yaml) in decode::entries(yaml, &format!("`{name}`"), problems) {
        if let Some(value) = pin(key, yaml, problems) {
            if is_fine(value) {
                pins.insert(key.name.clone(), Pin { value: value.to_owned(), place: key.place.clone() });
                continue;
            }
            let message = format!("`{}` is not {wanted}", value.escape_debug());
            problems.add(
                Problem::new("pin", yaml.place.clone(), message).mend("remove the line, and `ssi lock` writes it anew"),
            );
        }
    }
    pins
}

fn pin<'y>(key: &Key, yaml: &'y Yaml, problems: &mut Problems) -> Option<&'y str> {
    decode::string(yaml, &format!("the pin of `{}`", key.name.escape_debug()), problems)
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A digest of the one algorithm that every registry has (OCI image specification, descriptors).
#[must_use]
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(is_hash)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::format::yaml;

    fn read(text: &str) -> (LockFile, Vec<String>) {
        let mut problems = Problems::default();
        let yaml = yaml::parse(&Arc::from(LOCK_FILE), text).unwrap();
        let lock = LockFile::decode(&yaml, &mut problems);
        let said = problems.sorted().iter().map(|problem| format!("{} {}", problem.place, problem.code)).collect();
        (lock, said)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let pin = |value: &str| Pin { value: value.into(), place: Place::default() };
        let lock = LockFile {
            images: [("reg:5000/a/b:1".into(), pin(&format!("sha256:{}", "a".repeat(64))))].into(),
            stacks: [("python".into(), pin(&"1e5".repeat(22)[..64]))].into(),
            tools: [("node".into(), pin("20"))].into(),
            ..LockFile::default()
        };
        let (again, said) = read(&lock.text());
        assert_eq!(said, Vec::<String>::new());
        assert_eq!(again.text(), lock.text());
        assert_eq!(again.scheme.unwrap().0, SCHEME);
        assert_eq!(again.images["reg:5000/a/b:1"].place.to_string(), "clustergraph.lock:4:3");
    }

    #[test]
    fn a_newer_scheme_is_all_that_is_said_of_a_newer_file() {
        assert_eq!(read("scheme: 99\nwhatever: [1]\n").1, ["clustergraph.lock:1:9 lock-scheme"]);
        assert_eq!(read("images: {}\n").1.len(), 1);
    }
}
