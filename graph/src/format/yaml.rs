//! YAML with places: every value knows where it was written.
//!
//! The text is hostile until it has passed here: its size, depth, number of nodes and aliases are bounded,
//! and duplicate keys and the boolean words of YAML 1.1 are refused.

use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};

use crate::diagnostic::{Place, Problem, Problems};

/// The largest file that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 256 * 1024;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Yaml {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// What a YAML node holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(Key, Yaml)>),
}

/// A key of a map and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) name: String,
}

impl Value {
    /// The word for this kind of value in messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// Reads one document. An empty one is an empty map.
///
/// # Errors
/// One problem: what does not parse has no meaning to go on with.
pub(crate) fn parse(file: &Arc<str>, text: &str) -> Result<Yaml, Box<Problem>> {
    if text.len() > MAX_BYTES {
        return Err(Box::new(too_large(file)));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: 20_000, max_depth: 32, max_documents: 1, max_aliases: 100 },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Merge,
        strict_booleans: true,
    };
    let mut alias_limits = serde_saphyr::options::AliasLimits::default();
    alias_limits.max_total_replayed_events = 20_000;
    let mut options = options;
    options.alias_limits = alias_limits;
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(raw) => Ok(place_all(raw, file, text)),
        Err(error) => Err(Box::new(not_yaml(&error, file, text))),
    }
}

/// Reads a file's bytes; `None` when they are no text or no YAML, which is noted. The text is kept for excerpts.
pub(crate) fn read(path: &str, bytes: &[u8], problems: &mut Problems) -> Option<Yaml> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            // Up to the bad byte the lossy text has the same bytes, so its place is right.
            let text = String::from_utf8_lossy(bytes);
            let at = error.valid_up_to();
            let place = Place::at(path, &text, at..at + '\u{fffd}'.len_utf8());
            problems.keep_text(path, Arc::from(text));
            problems.add(
                Problem::new("not-utf-8", place, format!("{path} is not UTF-8"))
                    .label("no character starts with this byte")
                    .mend("save the file as UTF-8"),
            );
            return None;
        }
    };
    problems.keep_text(path, Arc::from(text));
    parse(&path.into(), text).map_err(|problem| problems.add(*problem)).ok()
}

/// The problem of a file above [`MAX_BYTES`].
pub(crate) fn too_large(file: &Arc<str>) -> Problem {
    Problem::new("too-large", Place::start_of(file), format!("{file} is larger than {} KiB", MAX_BYTES / 1024))
        .mend("what describes a service is a few lines; move data into files of their own")
}

/// The parser's error in the words of this format.
fn not_yaml(error: &serde_saphyr::Error, file: &Arc<str>, text: &str) -> Problem {
    use serde_saphyr::Error;
    let error = error.without_snippet();
    let place = error.location().map_or_else(|| Place::start_of(file), |location| place_of(location, file, text));
    match error {
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().map_or_else(|| "this key".to_owned(), |key| format!("`{}`", key.escape_debug()));
            Problem::new("duplicate-key", place, format!("{key} is there twice")).mend("remove one of them")
        }
        Error::Budget { .. } => too_much(file, place),
        error => {
            let message = error.to_string();
            let first = message.lines().next().unwrap_or_default();
            // The place is shown anyway, and the parser's own words of it come last.
            let words = first.split_once(" at line ").map_or(first, |(words, _)| words);
            // The limits of aliases and depth come wrapped, and only their words tell them apart.
            if words.contains("exceeded") && (words.contains("alias") || words.contains("recursion")) {
                return too_much(file, place);
            }
            let mend = if words.contains("tab") {
                "indent with spaces"
            } else {
                "look here and just before: a bracket or quote may be open, a colon or indentation missing"
            };
            Problem::new("yaml", place, format!("this is not YAML: {words}")).mend(mend)
        }
    }
}

fn too_much(file: &Arc<str>, place: Place) -> Problem {
    Problem::new("yaml", place, format!("{file} is too deep, or its aliases stand for too much"))
        .label("reading ended here")
        .mend("what describes a service is a few lines; write them out")
}

/// A value as serde hands it over, before the file's name is put into every place.
enum Raw {
    Scalar(Value),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<RawKey>, Spanned<Raw>)>),
}

struct RawKey(String);

fn place_of(location: serde_saphyr::Location, file: &Arc<str>, text: &str) -> Place {
    let span = location.span();
    let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
    let (line, column) = (number(location.line()), number(location.column()));
    let start = span.byte_offset().and_then(|start| usize::try_from(start).ok());
    let start = start.map_or_else(|| offset_of(text, line, column), |start| start.min(text.len()));
    let length = span.byte_len().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let end = start.saturating_add(length).min(text.len());
    // A block map or list ends where the next thing starts: the excerpt shows its first line only.
    let written = text.get(start..end).unwrap_or("");
    let shown = written.lines().next().unwrap_or("").trim_end().len();
    Place { file: Arc::clone(file), line, column, bytes: start..start + shown }
}

/// The byte at a line and column, for errors that know no bytes.
fn offset_of(text: &str, line: u32, column: u32) -> usize {
    let index = |number: u32| usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
    let mut before = 0;
    for (at, words) in text.split_inclusive('\n').enumerate() {
        if at == index(line) {
            return before + words.char_indices().nth(index(column)).map_or(words.trim_end().len(), |(at, _)| at);
        }
        before += words.len();
    }
    text.len()
}

fn place_all(raw: Spanned<Raw>, file: &Arc<str>, text: &str) -> Yaml {
    let place = place_of(raw.referenced, file, text);
    let value = match raw.value {
        Raw::Scalar(value) => value,
        Raw::List(items) => Value::List(items.into_iter().map(|item| place_all(item, file, text)).collect()),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let place = place_of(key.referenced, file, text);
                    (Key { place, name: key.value.0 }, place_all(value, file, text))
                })
                .collect(),
        ),
    };
    Yaml { place, value }
}

impl<'de> Deserialize<'de> for RawKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(RawKey)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;
        impl<'de> Visitor<'de> for AnyValue {
            type Value = Raw;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a YAML value")
            }
            fn visit_unit<E>(self) -> Result<Raw, E> {
                Ok(Raw::Scalar(Value::Null))
            }
            fn visit_none<E>(self) -> Result<Raw, E> {
                Ok(Raw::Scalar(Value::Null))
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
                Raw::deserialize(deserializer)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
                Ok(Raw::Scalar(Value::Bool(value)))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
                Ok(Raw::Scalar(Value::Integer(value)))
            }
            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Raw, E> {
                i64::try_from(value)
                    .map(|value| Raw::Scalar(Value::Integer(value)))
                    .map_err(|_| E::custom("this number is too large"))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
                Ok(Raw::Scalar(Value::Float(value)))
            }
            fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
                Ok(Raw::Scalar(Value::Text(value.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Raw::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Raw::Map(map))
            }
        }
        deserializer.deserialize_any(AnyValue)
    }
}

/// Lays `over` upon `base` as the grammar says: maps merge, lists and scalars replace, null removes.
pub(crate) fn merge(base: Yaml, over: &Yaml) -> Yaml {
    let base_value = if base.value == Value::Null { Value::Map(Vec::new()) } else { base.value };
    match (base_value, &over.value) {
        (Value::Map(mut entries), Value::Map(overrides)) => {
            for (key, value) in overrides {
                let at = entries.iter().position(|(existing, _)| existing.name == key.name);
                match (at, &value.value) {
                    (Some(at), Value::Null) => {
                        entries.remove(at);
                    }
                    (None, Value::Null) => {}
                    (Some(at), _) => {
                        let (_, old) = entries.remove(at);
                        entries.insert(at, (key.clone(), merge(old, value)));
                    }
                    // A null that removes from nothing leaves nothing, not a null.
                    (None, _) => {
                        let nothing = Yaml { place: value.place.clone(), value: Value::Null };
                        entries.push((key.clone(), merge(nothing, value)));
                    }
                }
            }
            Yaml { place: base.place, value: Value::Map(entries) }
        }
        _ => over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Yaml, Box<Problem>> {
        parse(&"a.yaml".into(), text)
    }

    #[test]
    fn values_know_their_places() {
        let yaml = read("name: order\nports:\n  http: 8080\n").unwrap();
        let Value::Map(entries) = &yaml.value else { panic!() };
        assert_eq!(entries[0].0.name, "name");
        assert_eq!(entries[0].1.place.to_string(), "a.yaml:1:7");
        let Value::Map(ports) = &entries[1].1.value else { panic!() };
        assert_eq!(ports[0].0.place.to_string(), "a.yaml:3:3");
        assert_eq!(ports[0].1.place.bytes, 27..31);
        assert_eq!(ports[0].1.value, Value::Integer(8080));
    }

    #[test]
    fn duplicate_keys_are_refused_with_their_place() {
        let problem = read("name: a\nname: b\n").unwrap_err();
        assert_eq!((problem.code, problem.place.line), ("duplicate-key", 2));
    }

    #[test]
    fn bombs_are_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..10 {
            let before = level - 1;
            text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(", ")));
        }
        assert_eq!(read(&text).unwrap_err().code, "yaml");
        assert_eq!(read(&"[".repeat(100_000)).unwrap_err().code, "yaml");
        assert_eq!(read(&"x".repeat(MAX_BYTES + 1)).unwrap_err().code, "too-large");
    }

    #[test]
    fn words_of_old_yaml_are_strings() {
        let yaml = read("a: yes\nb: on\n").unwrap();
        let Value::Map(entries) = &yaml.value else { panic!() };
        assert_eq!(entries[0].1.value, Value::Text("yes".into()));
        assert_eq!(entries[1].1.value, Value::Text("on".into()));
    }

    #[test]
    fn overrides_merge_maps_replace_lists_and_remove_by_null() {
        let base = read("env: { A: x, B: y }\nrun: [a, b]\n").unwrap();
        let over = read("env: { B: z, A: null, C: w }\nrun: [c]\n").unwrap();
        let merged = merge(base, &over);
        let Value::Map(entries) = &merged.value else { panic!() };
        let Value::Map(env) = &entries[0].1.value else { panic!() };
        let env: Vec<_> = env.iter().map(|(key, value)| (key.name.as_str(), value.value.clone())).collect();
        assert_eq!(env, [("B", Value::Text("z".into())), ("C", Value::Text("w".into()))]);
        let Value::List(run) = &entries[1].1.value else { panic!() };
        assert_eq!(run.len(), 1);
        let merged = merge(read("name: a\n").unwrap(), &read("env: { A: null, B: x }\n").unwrap());
        let Value::Map(entries) = &merged.value else { panic!() };
        let Value::Map(env) = &entries[1].1.value else { panic!() };
        assert_eq!(env.iter().map(|(key, _)| key.name.as_str()).collect::<Vec<_>>(), ["B"]);
    }
}
