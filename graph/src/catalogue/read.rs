//! Fields of the catalogue's entries: the built-in ones and those of a clustergraph.yaml are read alike.

use std::collections::BTreeMap;

use crate::diagnostic::{Place, Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::service::Command;
use crate::format::yaml::Value;

/// A text; empty when it is absent.
pub(super) fn text(fields: &mut Fields<'_>, name: &'static str, problems: &mut Problems) -> String {
    optional_text(fields, name, problems).unwrap_or_default()
}

/// A text that may be absent.
pub(super) fn optional_text(fields: &mut Fields<'_>, name: &'static str, problems: &mut Problems) -> Option<String> {
    fields.take(name).and_then(|yaml| decode::string(yaml, &ticked(name), problems)).map(str::to_owned)
}

/// A text without which the entry says nothing.
pub(super) fn required_text(
    fields: &mut Fields<'_>,
    name: &'static str,
    what: &str,
    mend: &str,
    problems: &mut Problems,
) -> Option<String> {
    let place = fields.place();
    match fields.take(name) {
        Some(yaml) => decode::string(yaml, &ticked(name), problems).map(str::to_owned),
        None => {
            problems.add(missing(place.clone(), what, name, mend));
            None
        }
    }
}

/// That an entry lacks a field.
pub(super) fn missing(place: Place, what: &str, name: &str, mend: &str) -> Problem {
    Problem::new("missing-field", place, format!("{what} has no `{name}`")).mend(mend)
}

/// A whole number within bounds.
pub(super) fn number(
    fields: &mut Fields<'_>,
    name: &'static str,
    bounds: std::ops::RangeInclusive<i64>,
    problems: &mut Problems,
) -> Option<i64> {
    fields.take(name).and_then(|yaml| decode::integer(yaml, &ticked(name), bounds, problems))
}

/// Texts; none when absent.
pub(super) fn texts(fields: &mut Fields<'_>, name: &'static str, problems: &mut Problems) -> Vec<String> {
    fields.take(name).map(|yaml| decode::strings(yaml, &ticked(name), problems)).unwrap_or_default()
}

/// A command; empty when absent.
pub(super) fn command(fields: &mut Fields<'_>, name: &'static str, problems: &mut Problems) -> Command {
    optional_command(fields, name, problems).unwrap_or_default()
}

/// A command that may be absent.
pub(super) fn optional_command(
    fields: &mut Fields<'_>,
    name: &'static str,
    problems: &mut Problems,
) -> Option<Command> {
    fields.take(name).and_then(|yaml| decode::command(yaml, &ticked(name), problems))
}

/// Words that may be none: arguments, unlike commands, need no program.
pub(super) fn words(fields: &mut Fields<'_>, name: &'static str, problems: &mut Problems) -> Vec<String> {
    match fields.take(name) {
        Some(yaml) if yaml.value == Value::List(Vec::new()) => Vec::new(),
        Some(yaml) => decode::command(yaml, &ticked(name), problems).unwrap_or_default(),
        None => Vec::new(),
    }
}

/// A map of texts; empty when absent.
pub(super) fn map(fields: &mut Fields<'_>, name: &'static str, problems: &mut Problems) -> BTreeMap<String, String> {
    let entries = fields.take(name).map(|yaml| decode::entries(yaml, &ticked(name), problems)).unwrap_or_default();
    entries
        .iter()
        .filter_map(|(key, yaml)| {
            let what = format!("`{name}.{}`", key.name.escape_debug());
            decode::scalar(yaml, &what, problems).map(|value| (key.name.clone(), value))
        })
        .collect()
}

/// One of a few words.
pub(super) fn word<T: Copy>(
    word: &str,
    place: &Place,
    what: &str,
    known: &[(&str, T)],
    problems: &mut Problems,
) -> Option<T> {
    let found = known.iter().find(|(name, _)| *name == word);
    if found.is_none() {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        problems.add(
            Problem::new("unknown-value", place.clone(), format!("{what} knows no `{}`", word.escape_debug()))
                .mend(format!("one of {}", names.join(", "))),
        );
    }
    found.map(|(_, value)| *value)
}

fn ticked(name: &str) -> String {
    format!("`{name}`")
}
