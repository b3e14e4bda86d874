//! The file formats: `service.yaml`, `clustergraph.yaml` and `clustergraph.lock`, from hostile bytes to typed values.
//!
//! The grammar is in `docs/format.md`. Nothing here knows of other files: what needs the whole
//! repository (does that dependency exist?) is decided in [`crate::graph`].

pub mod alone;
pub(crate) mod decode;
pub mod env_file;
pub mod expression;
pub mod lock;
pub(crate) mod quantity;
pub mod repository;
pub(crate) mod schedule;
pub mod schema;
pub mod service;
pub(crate) mod yaml;

use crate::diagnostic::{Place, Problem, Problems};

/// A DNS label as Kubernetes takes it for names: RFC 1123, at most 63 characters.
#[must_use]
pub fn is_dns_label(name: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let edge = |c: Option<&u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let bytes = name.as_bytes();
    bytes.len() <= 63 && edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|c| inner(*c))
}

/// Whether a POSIX shell could export this name.
#[must_use]
pub fn is_env_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

pub(crate) fn dns_label(name: &str, place: &Place, what: &str, problems: &mut Problems) -> Option<String> {
    if is_dns_label(name) {
        return Some(name.to_owned());
    }
    let cleaned: String = name
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect::<String>()
        .trim_matches('-')
        .chars()
        .take(63)
        .collect();
    let problem = Problem::new("name", place.clone(), format!("{what} `{}` is not a DNS label", name.escape_debug()))
        .label("lower case letters, digits and `-`, at most 63");
    problems.add(if is_dns_label(&cleaned) { problem.mend(format!("write `{cleaned}`")) } else { problem });
    None
}

/// A path inside the repository: relative, `/` between its parts, no `..` and no `.git`.
pub(crate) fn repo_path(path: &str, place: &Place, what: &str, problems: &mut Problems) -> Option<String> {
    let trimmed = path.trim_start_matches("./").trim_end_matches('/');
    let bad = trimmed.is_empty()
        || trimmed.starts_with('/')
        || trimmed.contains(['\\', '\0'])
        || trimmed.split('/').any(|part| matches!(part, "" | "." | ".." | ".git"));
    if bad {
        problems.add(
            Problem::new(
                "path",
                place.clone(),
                format!("{what} `{}` is not a path inside the repository", path.escape_debug()),
            )
            .mend("write it relative, with `/` between its parts and without `..`"),
        );
        return None;
    }
    Some(trimmed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        for good in ["a", "order", "a-1", "0a"] {
            assert!(is_dns_label(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", &"a".repeat(64)] {
            assert!(!is_dns_label(bad), "{bad}");
        }
    }
}
