//! `${NAME}` in Compose files, by Compose's own rules.

use std::collections::BTreeMap;

/// A text of a Compose file, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it is.
    Text(String),
    /// A variable.
    Variable {
        /// Its name.
        name: String,
        /// What follows the name.
        otherwise: Otherwise,
    },
}

/// What a variable stands for where it is not set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// `${NAME}`: nothing.
    Nothing,
    /// `${NAME:-text}` and `${NAME-text}`.
    Default(String),
    /// `${NAME:?why}` and `${NAME?why}`: it must be set.
    Required(String),
    /// `${NAME:+text}` and `${NAME+text}`: the text where it *is* set.
    IfSet(String),
}

/// Takes a text apart. What is no variable by Compose's rules stays text.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            plain.push('$');
            rest = after;
        } else if let Some((variable, after)) = rest.strip_prefix('{').and_then(braced) {
            push(&mut pieces, &mut plain);
            pieces.push(variable);
            rest = after;
        } else {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let name = &rest[..end];
            if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
                plain.push('$');
            } else {
                push(&mut pieces, &mut plain);
                pieces.push(Piece::Variable { name: name.to_owned(), otherwise: Otherwise::Nothing });
                rest = &rest[end..];
            }
        }
    }
    plain.push_str(rest);
    push(&mut pieces, &mut plain);
    pieces
}

fn push(pieces: &mut Vec<Piece>, plain: &mut String) {
    if !plain.is_empty() {
        pieces.push(Piece::Text(std::mem::take(plain)));
    }
}

/// What stands behind `${`, and the text behind its `}`; braces inside may nest.
fn braced(rest: &str) -> Option<(Piece, &str)> {
    let mut depth = 1;
    let end = rest.char_indices().find_map(|(at, c)| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })?;
    let (inner, after) = (&rest[..end], &rest[end + 1..]);
    let split = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    let (name, how) = inner.split_at(split);
    if name.is_empty() {
        return None;
    }
    let how = how.strip_prefix(':').unwrap_or(how);
    let otherwise = match (how.get(..1), how.get(1..).map(str::to_owned)) {
        (Some("-"), Some(text)) => Otherwise::Default(text),
        (Some("?"), Some(text)) => Otherwise::Required(text),
        (Some("+"), Some(text)) => Otherwise::IfSet(text),
        (None, _) => Otherwise::Nothing,
        _ => return None,
    };
    Some((Piece::Variable { name: name.to_owned(), otherwise }, after))
}

/// A text with its variables filled in; the names of those that nothing is known of are added to `unset`.
pub(super) fn fill(text: &str, known: &BTreeMap<String, String>, unset: &mut Vec<String>) -> String {
    let mut filled = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => filled.push_str(&text),
            Piece::Variable { name, otherwise } => {
                let value = known.get(&name).filter(|value| !value.is_empty());
                match (value, otherwise) {
                    (Some(_), Otherwise::IfSet(text)) => filled.push_str(&fill(&text, known, unset)),
                    (Some(value), _) => filled.push_str(value),
                    (None, Otherwise::Default(text)) => filled.push_str(&fill(&text, known, unset)),
                    (None, Otherwise::IfSet(_)) => {}
                    (None, Otherwise::Nothing | Otherwise::Required(_)) => unset.push(name),
                }
            }
        }
    }
    filled
}

/// The lines of an env file, by Compose's rules: comments, `export`, quotes.
pub(super) fn env_file(text: &str) -> Vec<(String, String)> {
    let mut entries = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else { continue };
        let name = name.trim();
        if name.starts_with('#') || !clustergraph::format::is_env_name(name) {
            continue;
        }
        let value = value.trim();
        let quoted =
            |quote: char| value.strip_prefix(quote).and_then(|rest| rest.split_once(quote)).map(|(text, _)| text);
        let value = match (quoted('"'), quoted('\'')) {
            (Some(text), _) => text.replace("\\n", "\n").replace("\\\"", "\""),
            (None, Some(text)) => text.to_owned(),
            (None, None) => value.split(" #").next().unwrap_or_default().trim_end().to_owned(),
        };
        entries.push((name.to_owned(), value));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_by_the_rules_of_compose() {
        let known = BTreeMap::from([("SET".to_owned(), "s".to_owned()), ("EMPTY".to_owned(), String::new())]);
        for (text, filled, unset) in [
            ("a $SET b", "a s b", ""),
            ("${SET}/${NONE}", "s/", "NONE"),
            ("${NONE:-default}", "default", ""),
            ("${EMPTY:-default}", "default", ""),
            ("${NONE:-${SET}/x}", "s/x", ""),
            ("${NONE:-${OTHER:-deep}}", "deep", ""),
            ("${NONE:?is needed}", "", "NONE"),
            ("${SET:+with}${NONE:+without}", "with", ""),
            ("$$SET and $${SET}", "$SET and ${SET}", ""),
            ("100$ or $1", "100$ or $1", ""),
            ("${not closed", "${not closed", ""),
        ] {
            let mut lacking = Vec::new();
            assert_eq!(fill(text, &known, &mut lacking), filled, "{text}");
            assert_eq!(lacking.join(" "), unset, "{text}");
        }
    }

    #[test]
    fn env_files_have_comments_quotes_and_exports() {
        let text = "# comment\nA=1\nexport B = two words # why\nC=\"quoted # text\"\nD='$raw'\n\nnot a line\nE=a=b\n";
        let read: Vec<String> = env_file(text).into_iter().map(|(name, value)| format!("{name}|{value}")).collect();
        assert_eq!(read, ["A|1", "B|two words", "C|quoted # text", "D|$raw", "E|a=b"]);
    }
}
