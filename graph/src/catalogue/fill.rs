//! `{name}` in the catalogue's texts.

use std::collections::BTreeMap;

/// Puts values into a text's `{name}`s. Braces around anything else stay: recipes are programs' texts.
#[must_use]
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let hole = rest
            .find('}')
            .and_then(|end| values.iter().find(|(name, _)| *name == &rest[1..end]).map(|(_, value)| (end, *value)));
        match hole {
            Some((end, value)) => {
                filled.push_str(value);
                rest = &rest[end + 1..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// Texts of the catalogue for one logical database: `{host}`, `{username}` and so on.
#[must_use]
pub fn fill_database(text: &str, values: &BTreeMap<&str, String>) -> String {
    let pairs: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fill(text, &pairs)
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn known_names_are_filled_and_others_stay() {
        assert_eq!(fill("a {x} {y} ${HOME} {", &[("x", "1"), ("z", "2")]), "a 1 {y} ${HOME} {");
        assert_eq!(fill("{x}{x}", &[("x", "{y}"), ("y", "no")]), "{y}{y}");
    }
}
