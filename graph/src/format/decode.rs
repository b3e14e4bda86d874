//! From placed YAML to typed values, noting every problem on the way instead of stopping at the first.

use std::collections::BTreeMap;

use crate::diagnostic::{Place, Problem, Problems, suggestion};
use crate::format::yaml::{Key, Value, Yaml};

/// A map whose fields are taken one by one; what is left over at the end is unknown.
pub(crate) struct Fields<'y> {
    place: &'y Place,
    entries: Vec<(&'y Key, &'y Yaml)>,
    known: Vec<&'static str>,
}

impl<'y> Fields<'y> {
    /// Opens a map. Anything else is noted and `None`.
    pub(crate) fn open(yaml: &'y Yaml, what: &str, problems: &mut Problems) -> Option<Self> {
        match &yaml.value {
            Value::Map(entries) => Some(Self {
                place: &yaml.place,
                entries: entries.iter().map(|(key, value)| (key, value)).collect(),
                known: Vec::new(),
            }),
            Value::Null => Some(Self { place: &yaml.place, entries: Vec::new(), known: Vec::new() }),
            other => {
                problems.add(wrong_kind(&yaml.place, what, "a map", other));
                None
            }
        }
    }

    /// Where the map was written.
    pub(crate) fn place(&self) -> &'y Place {
        self.place
    }

    /// Takes a field; `null` counts as absent.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<&'y Yaml> {
        self.take_with_key(name).map(|(_, value)| value)
    }

    /// Takes a field together with its key.
    pub(crate) fn take_with_key(&mut self, name: &'static str) -> Option<(&'y Key, &'y Yaml)> {
        self.known.push(name);
        let at = self.entries.iter().position(|(key, _)| key.name == name)?;
        let (key, value) = self.entries.remove(at);
        (value.value != Value::Null).then_some((key, value))
    }

    /// The names of fields that nobody took so far.
    pub(crate) fn left(&self) -> impl Iterator<Item = &'y str> {
        self.entries.iter().map(|(key, _)| key.name.as_str())
    }

    /// Notes each field that nobody took.
    pub(crate) fn close(self, what: &str, problems: &mut Problems) {
        #[cfg(test)]
        record::note(what, &self.known);
        for (key, _) in &self.entries {
            let problem =
                Problem::new("unknown-field", key.place.clone(), format!("{what} has no field `{}`", key.name));
            problems.add(match suggestion(&key.name, self.known.iter().copied()) {
                Some(close) => problem.mend(format!("did you mean `{close}`?")),
                None => problem.mend(format!("known fields: {}", sorted(&self.known))),
            });
        }
    }
}

fn sorted(names: &[&str]) -> String {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

pub(crate) fn wrong_kind(place: &Place, what: &str, wanted: &str, found: &Value) -> Problem {
    Problem::new("wrong-type", place.clone(), format!("{what} must be {wanted}, not {}", found.kind()))
}

/// A string. Numbers are refused with the quotes they need: `1.10` would read as `1.1`.
pub(crate) fn string<'y>(yaml: &'y Yaml, what: &str, problems: &mut Problems) -> Option<&'y str> {
    match &yaml.value {
        Value::Text(text) => Some(text),
        other => {
            let problem = wrong_kind(&yaml.place, what, "a string", other);
            problems.add(match other {
                Value::Integer(_) | Value::Float(_) | Value::Bool(_) => problem.mend("put it in quotes"),
                _ => problem,
            });
            None
        }
    }
}

/// A scalar as the text that an environment variable gets: strings, whole numbers and booleans.
pub(crate) fn scalar(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<String> {
    match &yaml.value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => string(yaml, what, problems).map(str::to_owned),
    }
}

/// A boolean.
pub(crate) fn boolean(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<bool> {
    match &yaml.value {
        Value::Bool(value) => Some(*value),
        other => {
            let problem = wrong_kind(&yaml.place, what, "`true` or `false`", other);
            problems.add(match other {
                Value::Text(_) => problem.mend("write true or false, without quotes"),
                _ => problem,
            });
            None
        }
    }
}

/// A whole number within bounds.
pub(crate) fn integer(
    yaml: &Yaml,
    what: &str,
    bounds: std::ops::RangeInclusive<i64>,
    problems: &mut Problems,
) -> Option<i64> {
    match &yaml.value {
        Value::Integer(number) if bounds.contains(number) => Some(*number),
        Value::Integer(number) => {
            problems.add(Problem::new(
                "out-of-range",
                yaml.place.clone(),
                format!("{what} must be between {} and {}, not {number}", bounds.start(), bounds.end()),
            ));
            None
        }
        other => {
            let problem = wrong_kind(&yaml.place, what, "a whole number", other);
            problems.add(match other {
                Value::Text(text) if text.parse::<i64>().is_ok() => {
                    problem.mend(format!("write {text}, without quotes"))
                }
                _ => problem,
            });
            None
        }
    }
}

/// A list of anything.
pub(crate) fn list<'y>(yaml: &'y Yaml, what: &str, problems: &mut Problems) -> Option<&'y [Yaml]> {
    match &yaml.value {
        Value::List(items) => Some(items),
        other => {
            problems.add(wrong_kind(&yaml.place, what, "a list", other));
            None
        }
    }
}

/// A list of strings.
pub(crate) fn strings(yaml: &Yaml, what: &str, problems: &mut Problems) -> Vec<String> {
    list(yaml, what, problems)
        .unwrap_or_default()
        .iter()
        .filter_map(|item| string(item, &format!("each item of {what}"), problems).map(str::to_owned))
        .collect()
}

/// A command: the program and its arguments, never a line for a shell to split.
pub(crate) fn command(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<Vec<String>> {
    if let Value::Text(line) = &yaml.value {
        problems.add(
            Problem::new("wrong-type", yaml.place.clone(), format!("{what} must be a list of words, not a line")).mend(
                format!(
                    "write [{}], or [sh, -c, '...'] where a shell is meant",
                    line.split_whitespace().collect::<Vec<_>>().join(", ")
                ),
            ),
        );
        return None;
    }
    let items = list(yaml, what, problems)?;
    let words: Vec<String> =
        items.iter().filter_map(|item| scalar(item, &format!("each word of {what}"), problems)).collect();
    if items.is_empty() {
        problems.add(Problem::new("empty", yaml.place.clone(), format!("{what} is empty")));
        return None;
    }
    (words.len() == items.len()).then_some(words)
}

/// A duration such as `500ms`, `10s` or `4h`.
pub(crate) fn duration(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<std::time::Duration> {
    if let Value::Integer(number) = &yaml.value {
        problems.add(
            Problem::new("duration", yaml.place.clone(), format!("{what} has no unit"))
                .mend(format!("write {number}s if seconds are meant; others are ms, m and h")),
        );
        return None;
    }
    let text = string(yaml, what, problems)?;
    match humantime::parse_duration(text) {
        Ok(duration) => Some(duration),
        Err(error) => {
            problems.add(
                Problem::new("duration", yaml.place.clone(), format!("{what} is not a duration: {error}"))
                    .mend("write 500ms, 10s, 5m or 4h"),
            );
            None
        }
    }
}

/// One word of several, each with what it means.
pub(crate) fn choice<T: Copy>(yaml: &Yaml, what: &str, choices: &[(&str, T)], problems: &mut Problems) -> Option<T> {
    let word = string(yaml, what, problems)?;
    let found = choices.iter().find(|(name, _)| *name == word).map(|(_, meaning)| *meaning);
    if found.is_none() {
        let known: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let message = format!("{what} cannot be `{}`", word.escape_debug());
        let problem = Problem::new("choice", yaml.place.clone(), message);
        problems.add(match suggestion(word, known.iter().copied()) {
            Some(close) => problem.mend(format!("did you mean `{close}`?")),
            None => problem.mend(format!("write {}", either(&known))),
        });
    }
    found
}

/// `a`, `a or b`, `a, b or c`.
pub(crate) fn either(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// A required field; that it is missing is noted.
pub(crate) fn required<'y>(
    fields: &mut Fields<'y>,
    name: &'static str,
    what: &str,
    problems: &mut Problems,
) -> Option<&'y Yaml> {
    let found = fields.take(name);
    if found.is_none() {
        problems.add(Problem::new("missing-field", fields.place().clone(), format!("{what} needs `{name}`")));
    }
    found
}

/// Texts by name; numbers and booleans count as what they are written as.
pub(crate) fn texts(yaml: &Yaml, what: &str, problems: &mut Problems) -> BTreeMap<String, String> {
    entries(yaml, &format!("`{what}`"), problems)
        .iter()
        .filter_map(|(key, yaml)| {
            scalar(yaml, &format!("`{what}.{}`", key.name), problems).map(|text| (key.name.clone(), text))
        })
        .collect()
}

/// A map's entries, in the order written.
pub(crate) fn entries<'y>(yaml: &'y Yaml, what: &str, problems: &mut Problems) -> &'y [(Key, Yaml)] {
    match &yaml.value {
        Value::Map(entries) => entries,
        Value::Null => &[],
        other => {
            problems.add(wrong_kind(&yaml.place, what, "a map", other));
            &[]
        }
    }
}

/// What the decoder asked for, so that a test can hold the schemas against it.
#[cfg(test)]
pub(crate) mod record {
    use std::cell::RefCell;
    use std::collections::{BTreeMap, BTreeSet};

    thread_local! {
        static KNOWN: RefCell<BTreeMap<String, BTreeSet<&'static str>>> = const { RefCell::new(BTreeMap::new()) };
    }

    pub(crate) fn note(what: &str, known: &[&'static str]) {
        KNOWN.with_borrow_mut(|all| all.entry(what.to_owned()).or_default().extend(known));
    }

    /// The fields of each kind of map that was read on this thread.
    pub(crate) fn take() -> BTreeMap<String, BTreeSet<&'static str>> {
        KNOWN.take()
    }
}
