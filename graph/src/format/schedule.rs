//! When a job runs: the five fields of cron, as Kubernetes takes them.

use crate::diagnostic::{Problem, Problems};
use crate::format::decode;
use crate::format::yaml::Yaml;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const SHORT: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// One field: what it is called, its least and greatest number, and the names of its numbers.
type Field = (&'static str, u32, u32, &'static [&'static str]);

const FIELDS: [Field; 5] = [
    ("minute", 0, 59, &[]),
    ("hour", 0, 23, &[]),
    ("day of the month", 1, 31, &[]),
    ("month", 1, 12, &MONTHS),
    ("day of the week", 0, 6, &DAYS),
];

/// A schedule such as `0 3 * * *`, as it was written.
pub(crate) fn schedule(yaml: &Yaml, problems: &mut Problems) -> Option<String> {
    let text = decode::string(yaml, "`schedule`", problems)?;
    match refused(text) {
        None => Some(text.to_owned()),
        Some(why) => {
            problems.add(
                Problem::new("schedule", yaml.place.clone(), format!("`{}`: {why}", text.escape_debug())).mend(
                    "write five fields: minute, hour, day of the month, month, day of the week, such as `0 3 * * *`",
                ),
            );
            None
        }
    }
}

/// Why Kubernetes would not take a schedule.
fn refused(text: &str) -> Option<String> {
    if text.starts_with('@') {
        return (!SHORT.contains(&text)).then(|| format!("the short forms are {}", decode::either(&SHORT)));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.len() != FIELDS.len() {
        return Some(format!("a schedule has five fields, not {}", words.len()));
    }
    words.iter().zip(FIELDS).find_map(|(word, field)| {
        (!word.split(',').all(|part| fits(part, field))).then(|| format!("`{word}` is no {}", field.0))
    })
}

/// `*`, `5`, `1-5`, `mon-fri`, `*/15` or `0-30/10`.
fn fits(part: &str, (_, least, greatest, names): Field) -> bool {
    let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
    let number = |word: &str| {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(word));
        let named = named.and_then(|at| u32::try_from(at).ok()).map(|at| at + least);
        let digits = !word.is_empty() && word.chars().all(|c| c.is_ascii_digit());
        named.or_else(|| word.parse().ok().filter(|_| digits)).filter(|number| (least..=greatest).contains(number))
    };
    let fits = match range.split_once('-') {
        _ if matches!(range, "*" | "?") => true,
        Some((from, to)) => number(from).zip(number(to)).is_some_and(|(from, to)| from <= to),
        None => number(range).is_some(),
    };
    fits && step.is_none_or(|step| step.parse::<u32>().is_ok_and(|step| step > 0))
}

#[cfg(test)]
mod tests {
    use super::refused;

    #[test]
    fn what_kubernetes_takes() {
        for good in ["0 3 * * *", "*/15 0-6/2 1,15 jan-mar MON-fri", "@daily", "59 23 31 12 6", "? ? ? ? ?"] {
            assert_eq!(refused(good), None, "{good}");
        }
    }

    #[test]
    fn what_kubernetes_refuses() {
        for bad in [
            "",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 7",
            "5-1 * * * *",
            "*/0 * * * *",
            "a * * * *",
            "1, * * * *",
            "+1 * * * *",
            "@sometimes",
            "* * * * * *",
        ] {
            assert!(refused(bad).is_some(), "{bad}");
        }
    }
}
