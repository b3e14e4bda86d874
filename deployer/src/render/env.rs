//! The environment of a container, with no secret value in it.
//!
//! Kubernetes replaces `$(NAME)` in a variable's value by a variable that stands before it. So a password
//! is read from its Secret into one variable, and what is composed of it refers to that.

use std::collections::BTreeMap;

use clustergraph::graph::Service;
use clustergraph::wiring::{Hole, Piece, Value, variable_prefix};
use serde_json::json;

use super::Scene;
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
        let env = self.graph.environment(service, self.running);
        let mut variables = variables_of_secrets(&env);
        let mut secrets = Vec::new();
        let mut plain = Vec::new();
        for (hole, variable) in &variables {
            secrets.push(self.secret_variable(service, variable, hole)?);
        }
        for (name, value) in &env {
            if variables.values().any(|variable| variable == name) {
                continue;
            }
            let mut text = String::new();
            for piece in &value.pieces {
                match piece {
                    Piece::Text(words) => text.push_str(&literal(words)),
                    Piece::Hole(hole @ (Hole::DatabasePassword(_) | Hole::Secret(_))) => {
                        let variable = match variables.get(hole) {
                            Some(variable) => variable.clone(),
                            None => {
                                let variable = helper(service, hole);
                                secrets.push(self.secret_variable(service, &variable, hole)?);
                                variables.insert(hole.clone(), variable.clone());
                                variable
                            }
                        };
                        text.push_str(&format!("$({variable})"));
                    }
                    Piece::Hole(hole) => text.push_str(&literal(&self.fill(service, hole)?)),
                }
            }
            plain.push(json!({ "name": name, "value": text }));
        }
        secrets.extend(plain);
        Ok(secrets)
    }

    /// A variable that holds a password or a secret and nothing else.
    fn secret_variable(&self, service: &Service, variable: &str, hole: &Hole) -> Result<serde_json::Value> {
        match hole {
            Hole::DatabasePassword(address) => Ok(from_secret(variable, &self.credentials(address)?, PASSWORD)),
            Hole::Secret(name) => {
                let mut read = from_secret(variable, &names::service_secret(&service.owner), name);
                let is_optional = service.secrets.iter().any(|secret| secret.name == *name && secret.optional);
                if let (true, Some(key)) = (is_optional, read.pointer_mut("/valueFrom/secretKeyRef")) {
                    set(key, "optional", Some(json!(true)));
                }
                Ok(read)
            }
            other => Err(unknown(&format!("{other:?}"))),
        }
    }

    fn credentials(&self, address: &str) -> Result<String> {
        self.graph.databases.get(address).map(names::credentials_secret).ok_or_else(|| unknown(address))
    }

    /// What a hole is on Kubernetes. Consumers are wired to exactly the versions of their own graph.
    pub(super) fn fill(&self, service: &Service, hole: &Hole) -> Result<String> {
        let graph = self.graph;
        let database = |address: &str| graph.databases.get(address).ok_or_else(|| unknown(address));
        Ok(match hole {
            Hole::ServiceHost(name) => names::workload(graph.services.get(name).ok_or_else(|| unknown(name))?),
            Hole::ServicePort(name, port) => port_of(graph.services.get(name).ok_or_else(|| unknown(name))?, port)?,
            Hole::OwnPort(port) => port_of(service, port)?,
            Hole::DatabaseHost(address) => names::server(database(address)?),
            Hole::DatabasePort(address) => super::database::kind(graph, database(address)?)?.port.to_string(),
            Hole::DatabaseUsername(address) | Hole::DatabaseName(address) => database(address)?.name.clone(),
            Hole::Version => service.id.short(),
            Hole::VolumePath(name) => service.volumes.get(name).ok_or_else(|| unknown(name))?.path.clone(),
            Hole::DatabasePassword(address) | Hole::DatabaseBrokers(address) => return Err(unknown(address)),
            // What uses these where they cannot be had is refused before anything is rendered.
            Hole::Secret(name) | Hole::PublicUrl(name) => return Err(unknown(name)),
        })
    }
}

fn unknown(what: &str) -> Error {
    Error::Usage(format!("the wiring names `{what}`, which the graph does not have; please report this"))
}

/// For each password and secret the variable that holds it and nothing else.
fn variables_of_secrets(env: &BTreeMap<&str, &Value>) -> BTreeMap<Hole, String> {
    let mut variables = BTreeMap::new();
    for (name, value) in env {
        if let [Piece::Hole(hole @ (Hole::DatabasePassword(_) | Hole::Secret(_)))] = value.pieces.as_slice() {
            variables.entry(hole.clone()).or_insert_with(|| (*name).to_owned());
        }
    }
    variables
}

/// A variable for a password or secret that `env:` left no variable to.
fn helper(service: &Service, hole: &Hole) -> String {
    let mut name = match hole {
        Hole::DatabasePassword(address) => format!("CLUSTERGRAPH_{}_PASSWORD", variable_prefix(address)),
        Hole::Secret(name) => format!("CLUSTERGRAPH_SECRET_{name}"),
        other => format!("CLUSTERGRAPH_{}", variable_prefix(&format!("{other:?}"))),
    };
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
