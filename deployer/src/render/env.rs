//! The environment of a container, with no secret value in it.
//!
//! Kubernetes replaces `$(NAME)` in a variable's value by a variable that stands before it. So a password
//! is read from its Secret into one variable, and what is composed of it refers to that.

use std::collections::BTreeMap;

use clustergraph::catalogue::fill;
use clustergraph::graph::Service;
use clustergraph::wiring::{Hole, Value as Wired, variable_prefix};
use serde_json::json;

use super::Scene;
use super::catalogue::kind;
use super::external::Part;
use super::pod::set;
use crate::error::{Error, Result};
use crate::names;

/// A text in which Kubernetes finds nothing to replace: `$$` is a dollar to it.
pub(super) fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// A variable whose value is a key of a Secret.
pub(super) fn from_secret(name: &str, secret: &str, key: &str) -> serde_json::Value {
    json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } })
}

/// The key of a password in every Secret of credentials.
pub(super) const PASSWORD: &str = "password";

impl Scene<'_> {
    /// The whole environment of a service, secrets first, then by name. What is made of an optional dependency that does
    /// not run is left out.
    pub(super) fn environment(&self, service: &Service) -> Result<Vec<serde_json::Value>> {
        self.environment_of(service, |_| true)
    }

    /// The same of those variables whose values are to be kept.
    pub(super) fn environment_of(
        &self,
        service: &Service,
        keep: impl Fn(&Wired) -> bool,
    ) -> Result<Vec<serde_json::Value>> {
        let mut env = self.graph.environment(service, self.wired);
        env.retain(|_, value| keep(value));
        let values: Vec<(&str, Vec<Part<'_>>)> = env.iter().map(|(name, value)| (*name, self.parts(value))).collect();
        let mut secrets = Vec::new();
        let mut variables: BTreeMap<SecretKey, String> = BTreeMap::new();
        let mut composed = Vec::new();
        for (name, parts) in &values {
            match parts.as_slice() {
                [only] if let Some(key) = self.secret_key(service, only)? => {
                    secrets.push(key.variable(name));
                    variables.entry(key).or_insert_with(|| (*name).to_owned());
                }
                _ => composed.push((name, parts)),
            }
        }
        let mut plain = Vec::new();
        for (name, parts) in composed {
            let mut text = String::new();
            for part in parts {
                match (part, self.secret_key(service, part)?) {
                    (Part::Text(words), _) => text.push_str(&literal(words)),
                    (_, Some(key)) => {
                        let variable = match variables.get(&key) {
                            Some(variable) => variable.clone(),
                            None => {
                                let variable = helper(service, part);
                                secrets.push(key.variable(&variable));
                                variables.insert(key, variable.clone());
                                variable
                            }
                        };
                        text.push_str(&format!("$({variable})"));
                    }
                    (Part::Hole(hole), None) => text.push_str(&literal(&self.fill(service, hole)?)),
                    (Part::Key(address, _), None) => return Err(unknown(address)),
                }
            }
            plain.push(json!({ "name": name, "value": text }));
        }
        secrets.extend(plain);
        Ok(secrets)
    }

    /// A text with keys of Secrets in it, as Kubernetes would write it in an environment: `$(SECRET/KEY)` for each, `$$` for
    /// a dollar. Nothing for a text that needs none.
    pub(super) fn template(&self, service: &Service, value: &clustergraph::wiring::Value) -> Result<Option<String>> {
        let (mut text, mut is_secret) = (String::new(), false);
        for part in self.parts(value) {
            match (&part, self.secret_key(service, &part)?) {
                (Part::Text(words), _) => text.push_str(&literal(words)),
                (_, Some(key)) => {
                    is_secret = true;
                    text.push_str(&format!("$({}/{})", key.secret, key.key));
                }
                (Part::Hole(hole), None) => text.push_str(&literal(&self.fill(service, hole)?)),
                (Part::Key(address, _), None) => return Err(unknown(address)),
            }
        }
        Ok(is_secret.then_some(text))
    }

    /// The key of a Secret that a part is, if it is one.
    fn secret_key(&self, service: &Service, part: &Part<'_>) -> Result<Option<SecretKey>> {
        let key = |secret: String, key: &str| SecretKey { secret, key: key.to_owned(), is_optional: false };
        Ok(match part {
            Part::Key(address, name) => {
                let secret = self.external(address).ok_or_else(|| unknown(address))?;
                Some(key(secret.to_owned(), name))
            }
            Part::Hole(Hole::DatabasePassword(address)) => Some(key(self.credentials(address)?, PASSWORD)),
            Part::Hole(Hole::Secret(name)) => {
                let is_optional = service.secrets.iter().any(|secret| secret.name == *name && secret.optional);
                Some(SecretKey { is_optional, ..key(names::service_secret(&service.owner), name) })
            }
            Part::Hole(_) | Part::Text(_) => None,
        })
    }

    fn credentials(&self, address: &str) -> Result<String> {
        self.graph.databases.get(address).map(names::credentials_secret).ok_or_else(|| unknown(address))
    }

    /// What a hole is on Kubernetes. Consumers are wired to exactly the versions of their own graph.
    pub(super) fn fill(&self, service: &Service, hole: &Hole) -> Result<String> {
        let graph = self.graph;
        let database = |address: &str| graph.databases.get(address).ok_or_else(|| unknown(address));
        let port = |address: &str| Ok::<_, Error>(kind(graph, database(address)?)?.port.to_string());
        Ok(match hole {
            Hole::ServiceHost(name) if let Some(host) = self.borrowed().and_then(|it| it.host(name)) => host,
            Hole::ServicePort(name, port) if let Some(number) = self.borrowed().and_then(|it| it.port(name, port)) => {
                number.to_string()
            }
            Hole::ServiceHost(name) => self.workload(graph.services.get(name).ok_or_else(|| unknown(name))?),
            Hole::ServicePort(name, port) => port_of(graph.services.get(name).ok_or_else(|| unknown(name))?, port)?,
            Hole::OwnPort(port) => port_of(service, port)?,
            Hole::DatabaseHost(address) => names::server(database(address)?),
            Hole::DatabasePort(address) => port(address)?,
            Hole::DatabaseBrokers(address) => {
                let brokers = kind(graph, database(address)?)?.brokers.as_deref().ok_or_else(|| unknown(address))?;
                fill(brokers, &[("host", &names::server(database(address)?)), ("port", &port(address)?)])
            }
            Hole::DatabaseUsername(address) => database(address)?.name.clone(),
            Hole::DatabaseName(address) => self.database_name(database(address)?)?,
            Hole::Version => service.id.short(),
            Hole::VolumePath(name) => service.volumes.get(name).ok_or_else(|| unknown(name))?.path.clone(),
            Hole::DatabasePassword(address) => return Err(unknown(address)),
            // What uses these where they cannot be had is refused before anything is rendered.
            Hole::PublicUrl(name) => {
                let public = graph.services.get(name).and_then(|service| service.public.as_ref());
                let (Some(front), Some(public)) = (self.front(), public) else { return Err(unknown(name)) };
                front.url(&public.path)
            }
            Hole::Secret(name) => return Err(unknown(name)),
        })
    }
}

/// A key of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct SecretKey {
    secret: String,
    key: String,
    /// Whether pods start without it.
    is_optional: bool,
}

impl SecretKey {
    /// A variable that holds its value and nothing else.
    fn variable(&self, name: &str) -> serde_json::Value {
        let mut variable = from_secret(name, &self.secret, &self.key);
        if let (true, Some(key)) = (self.is_optional, variable.pointer_mut("/valueFrom/secretKeyRef")) {
            set(key, "optional", Some(json!(true)));
        }
        variable
    }
}

fn unknown(what: &str) -> Error {
    Error::Usage(format!("the wiring names `{what}`, which the graph does not have; please report this"))
}

/// What a key of a Secret is of, as part of a variable's name.
fn about(part: &Part<'_>) -> String {
    match part {
        Part::Key(address, key) => format!("{}_{}", variable_prefix(address), variable_prefix(key)),
        Part::Hole(Hole::DatabasePassword(address)) => format!("{}_PASSWORD", variable_prefix(address)),
        Part::Hole(Hole::Secret(name)) => format!("SECRET_{name}"),
        Part::Hole(_) | Part::Text(_) => String::new(),
    }
}

/// A variable for a password or secret that `env:` left no variable to.
fn helper(service: &Service, part: &Part<'_>) -> String {
    let mut name = format!("CLUSTERGRAPH_{}", about(part));
    while service.env.contains_key(&name) {
        name.push('_');
    }
    name
}

fn port_of(service: &Service, name: &str) -> Result<String> {
    let port = service.ports.iter().find(|port| port.name == name);
    port.map(|port| port.number.to_string()).ok_or_else(|| unknown(&format!("{}.{name}", service.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Kubernetes' own rule (third_party/forked/golang/expansion), with no variable defined.
    fn expand(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            if c != '$' {
                out.push(c);
                continue;
            }
            match rest.peek() {
                Some('$') => {
                    rest.next();
                    out.push('$');
                }
                Some('(') => {
                    let all: String = rest.clone().collect();
                    match all.find(')') {
                        Some(_) => out.push_str("<reference>"),
                        None => out.push('$'),
                    }
                }
                _ => out.push('$'),
            }
        }
        out
    }

    proptest! {
        #[test]
        fn a_literal_is_what_the_program_sees(text in "[$()a{}]*") {
            prop_assert_eq!(expand(&literal(&text)), text);
        }
    }
}
