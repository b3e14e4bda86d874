//! What a cluster that ends by itself is called, and what its settings are then.

use std::fmt;

use clustergraph::format::is_dns_label;
use clustergraph::format::repository::Cluster;

use crate::error::{Error, Result};

/// How many characters tell one namespace of a name from the next one.
const TOKEN: usize = 4;
/// What they are: none that is taken for another, and no vowels, which would make words.
const LETTERS: &[u8] = b"bcdfghjkmnpqrstvwxz23456789";
/// The longest name: its namespace has a dash and a token more, and a Service of that name says when it ends.
const LONGEST: usize = 63 - TOKEN - 1;
/// What stands for it in a domain.
const PLACE: &str = "{n}";

/// The name of a cluster that ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    text: String,
    number: Option<u64>,
}

impl Name {
    /// A name that somebody chose.
    pub(crate) fn new(text: &str) -> Result<Self> {
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins || !is_dns_label(text) || text.len() > LONGEST {
            return Err(Error::Usage(format!(
                "`{}` is no name of a cluster: lower case letters, digits and `-`, a letter first, at most {LONGEST} characters",
                text.escape_debug()
            )));
        }
        // `--name pr-7` and `--pr 7` are the same.
        let number = text.strip_prefix("pr-").and_then(|number| number.parse().ok());
        let is_same = |number: &u64| Self::of_pull_request(*number).text == text;
        Ok(Self { text: text.to_owned(), number: number.filter(is_same) })
    }

    /// The name of a pull request's cluster.
    pub(crate) fn of_pull_request(number: u64) -> Self {
        Self { text: format!("pr-{number}"), number: Some(number) }
    }

    /// The name itself.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The settings of the one cluster: its host is filled in.
    pub(crate) fn settings(&self, kind: Cluster) -> Result<Cluster> {
        let n = self.number.map_or_else(|| self.text.clone(), |number| number.to_string());
        let domain = kind.domain.map(|domain| domain.replace(PLACE, &n));
        if let Some(domain) = domain.as_ref().filter(|it| it.len() > 253 || !it.split('.').all(is_dns_label)) {
            return Err(Error::Usage(format!(
                "{domain} is no host's name, a part of it is too long: choose a shorter name than {self}"
            )));
        }
        Ok(Cluster { domain, ..kind })
    }

    /// A namespace that no other cluster of this name has, now or before: who ends takes a while, and nobody waits for that.
    pub(crate) fn namespace(&self) -> String {
        format!("{self}-{}", Self::token())
    }

    /// Some letters that nobody else has.
    pub(crate) fn token() -> String {
        let letter = |byte: u8| char::from(LETTERS[usize::from(byte) % LETTERS.len()]);
        rand::random::<[u8; TOKEN]>().into_iter().map(letter).collect()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pull_requests_number_and_its_name_are_the_same_and_nothing_else_is() {
        assert_eq!(Name::new("pr-7").unwrap(), Name::of_pull_request(7));
        for other in ["pr-07", "pr-x", "pr-", "pr7"] {
            assert_ne!(Name::new(other).ok(), Some(Name::of_pull_request(7)), "{other}");
        }
        for bad in ["", "7", "-a", "a-", "A", "a.b", "pr-", &"a".repeat(59)] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_number_or_the_name_stands_in_the_domain() {
        let of = |name: &Name, domain: &str| {
            let kind = Cluster { domain: Some(domain.to_owned()), ..Cluster::default() };
            name.settings(kind).map(|own| own.domain.unwrap_or_default()).map_err(|error| error.to_string())
        };
        assert_eq!(of(&Name::of_pull_request(7), "pr-{n}.shop.example").unwrap(), "pr-7.shop.example");
        assert_eq!(of(&Name::new("try").unwrap(), "pr-{n}.shop.example").unwrap(), "pr-try.shop.example");
        let long = Name::new(&"a".repeat(58)).unwrap();
        assert!(of(&long, "preview-of-{n}.shop.example").unwrap_err().contains("choose a shorter name"));
    }

    proptest! {
        #[test]
        fn every_namespace_is_one_that_kubernetes_takes(name in "[a-z]([a-z0-9-]{0,56}[a-z0-9])?") {
            let name = Name::new(&name).unwrap();
            let namespace = name.namespace();
            prop_assert!(is_dns_label(&namespace), "{}", namespace);
            let begins = namespace.starts_with(&format!("{name}-"));
            prop_assert!(begins, "{}", namespace);
        }
    }
}
