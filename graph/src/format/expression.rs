//! `${...}`: texts with holes that the wiring fills.

use crate::diagnostic::{Place, Problem, Problems};

/// A text with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Texts and holes, in order.
    pub parts: Vec<Part>,
    /// Where the whole text was written.
    pub place: Place,
    /// Where each hole was written, in order.
    pub(crate) hole_places: Vec<Place>,
}

/// One piece of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text as it is.
    Text(String),
    /// A hole.
    Hole(Expression),
}

/// What a hole asks for, by the names of the service that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// `${services.ALIAS.url}` or `${services.ALIAS.ports.NAME.url}`.
    Service {
        /// The dependency's alias.
        alias: String,
        /// A named port; the primary one otherwise.
        port: Option<String>,
        /// Which part of the address.
        field: EndpointField,
    },
    /// `${self.url}` or `${self.ports.NAME.url}`.
    Own {
        /// A named port; the primary one otherwise.
        port: Option<String>,
        /// Which part of the address.
        field: EndpointField,
    },
    /// `${databases.ALIAS.url}`.
    Database {
        /// The database's alias.
        alias: String,
        /// Which part of the address or credentials.
        field: DatabaseField,
    },
    /// `${services.ALIAS.public_url}`, or `${self.public_url}` without an alias.
    PublicUrl {
        /// The dependency's alias; the service itself otherwise.
        alias: Option<String>,
    },
    /// `${secrets.NAME}`.
    Secret(String),
    /// `${version}`: the node's own short id.
    Version,
}

/// A part of a service's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointField {
    /// `http://host:port`.
    Url,
    /// The host alone.
    Host,
    /// The port alone.
    Port,
    /// `host:port`.
    Addr,
}

/// A part of a database's address or credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DatabaseField {
    /// The whole URL, credentials included.
    Url,
    /// The host alone.
    Host,
    /// The port alone.
    Port,
    /// `host:port`.
    Addr,
    /// The user's name.
    Username,
    /// The password.
    Password,
    /// The logical database's name.
    Database,
    /// All hosts and ports of its servers, with `,` between them.
    Brokers,
}

impl EndpointField {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "url" => Self::Url,
            "host" => Self::Host,
            "port" => Self::Port,
            "addr" => Self::Addr,
            _ => return None,
        })
    }
}

impl DatabaseField {
    /// All of them.
    pub(crate) const ALL: [Self; 8] =
        [Self::Url, Self::Host, Self::Port, Self::Addr, Self::Username, Self::Password, Self::Database, Self::Brokers];

    /// The word in an expression; in upper case the end of a variable.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Host => "host",
            Self::Port => "port",
            Self::Addr => "addr",
            Self::Username => "username",
            Self::Password => "password",
            Self::Database => "database",
            Self::Brokers => "brokers",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == name)
    }
}

impl Template {
    /// The holes with their places.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = (&Expression, &Place)> {
        let holes = self.parts.iter().filter_map(|part| match part {
            Part::Hole(expression) => Some(expression),
            Part::Text(_) => None,
        });
        holes.zip(self.hole_places.iter())
    }

    /// Reads a text. `$${` is a literal `${`; a `$` before anything else is itself.
    pub(crate) fn parse(text: &str, place: &Place, problems: &mut Problems) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut hole_places = Vec::new();
        let mut after = place.bytes.start;
        let mut rest = text;
        let noted = problems.noted();
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                literal.push_str(&rest[..at - 1]);
                literal.push_str("${");
                after = written(problems, place, "$${", after).bytes.end;
                rest = &rest[at + 2..];
                continue;
            }
            literal.push_str(&rest[..at]);
            let Some(end) = rest[at..].find('}') else {
                let place = written(problems, place, rest[at..].lines().next().unwrap_or("${"), after);
                problems.add(
                    Problem::new("expression", place, "this `${` is never closed")
                        .mend("close it with `}`, or write `$${` for the characters themselves"),
                );
                rest = "";
                break;
            };
            let inner = &rest[at + 2..at + end];
            let here = match hole_places.len() {
                0..MANY => written(problems, place, &rest[at..=at + end], after),
                _ => place.clone(),
            };
            after = here.bytes.end.max(after);
            match Expression::parse(inner) {
                Ok(expression) => {
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Hole(expression));
                    hole_places.push(here);
                }
                Err((why, mend)) => problems.add(
                    Problem::new("expression", here, format!("`${{{}}}`: {why}", inner.escape_debug())).mend(mend),
                ),
            }
            rest = &rest[at + end + 1..];
            if problems.noted() - noted >= MANY {
                break;
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Self { parts, place: place.clone(), hole_places }
    }
}

/// A text with more holes or problems than this was not written by a person: their places are not looked for.
const MANY: usize = 20;

/// Where words of a value were written: in a value of several lines, not where it begins. Words that were
/// written with escapes are not found; the whole value is their place.
fn written(problems: &Problems, value: &Place, words: &str, after: usize) -> Place {
    problems
        .text(&value.file)
        .and_then(|text| {
            let at = after + text.get(after..)?.find(words)?;
            Some(Place::at(&value.file, text, at..at + words.len()))
        })
        .unwrap_or_else(|| value.clone())
}

impl Expression {
    /// The expression, or what is wrong and how to mend it.
    fn parse(inner: &str) -> Result<Self, (String, &'static str)> {
        let words: Vec<&str> = inner.split('.').collect();
        let endpoint = |field: &str| {
            EndpointField::named(field).ok_or_else(|| {
                (
                    format!("an address has no `{}`", field.escape_debug()),
                    "an address has url, host, port, addr and public_url, or a named port: ports.NAME.url",
                )
            })
        };
        let owned = |word: &str| word.to_owned();
        Ok(match words.as_slice() {
            ["version"] => Self::Version,
            ["secrets", name] => Self::Secret(owned(name)),
            ["self", "public_url"] => Self::PublicUrl { alias: None },
            ["services", alias, "public_url"] => Self::PublicUrl { alias: Some(owned(alias)) },
            ["services", alias, field] => Self::Service { alias: owned(alias), port: None, field: endpoint(field)? },
            ["services", alias, "ports", port, field] => {
                Self::Service { alias: owned(alias), port: Some(owned(port)), field: endpoint(field)? }
            }
            ["self", field] => Self::Own { port: None, field: endpoint(field)? },
            ["self", "ports", port, field] => Self::Own { port: Some(owned(port)), field: endpoint(field)? },
            ["databases", alias, field] => Self::Database {
                alias: owned(alias),
                field: DatabaseField::named(field).ok_or_else(|| {
                    (
                        format!("a database has no `{}`", field.escape_debug()),
                        "a database has url, host, port, addr, username, password, database and brokers",
                    )
                })?,
            },
            _ => {
                return Err((
                    "there is no such expression".to_owned(),
                    "write ${services.ALIAS.url}, ${databases.ALIAS.url}, ${secrets.NAME}, ${self.url} or ${version}; or $${ for the characters themselves",
                ));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> (Vec<Part>, Problems) {
        let mut problems = Problems::default();
        let template = Template::parse(text, &Place::start_of("a"), &mut problems);
        (template.parts, problems)
    }

    #[test]
    fn texts_and_holes() {
        let (parts, problems) = parse("${services.pay.url}/callback?v=${version}");
        assert!(problems.is_empty());
        assert_eq!(
            parts,
            [
                Part::Hole(Expression::Service { alias: "pay".into(), port: None, field: EndpointField::Url }),
                Part::Text("/callback?v=".into()),
                Part::Hole(Expression::Version),
            ]
        );
    }

    #[test]
    fn two_dollars_are_a_literal() {
        assert_eq!(parse("a $${HOME} $5 $").0, [Part::Text("a ${HOME} $5 $".into())]);
    }

    #[test]
    fn what_is_no_expression_is_said() {
        for bad in ["${", "${}", "${services.pay}", "${services.pay.uri}", "${databases.x.brokers2}", "${secrets}"] {
            assert_eq!(parse(bad).1.len(), 1, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn a_text_without_dollars_is_itself(text in "[^$]*") {
            let (parts, problems) = parse(&text);
            prop_assert!(problems.is_empty());
            let want = if text.is_empty() { vec![] } else { vec![Part::Text(text)] };
            prop_assert_eq!(parts, want);
        }
    }
}
