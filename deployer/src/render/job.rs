//! What runs once for a logical database: it is made, then its schema is brought up to date.

use std::collections::BTreeMap;

use clustergraph::catalogue::{Input, fill};
use clustergraph::graph::Database;
use serde_json::{Value, json};

use super::database::{catalogue_env, kind};
use super::env::{PASSWORD, from_secret, literal};
use super::pod::{command, pod_security, service_security, set};
use super::{Credentials, Logical, Object, Scene, container_security};
use crate::error::{Error, Result};
use crate::names::{self, Component};

/// The container that makes the database and its user; again is fine.
pub(crate) const CREATE: &str = "create";
/// The container that changes the schema: once it has started, nothing is known without its end.
pub(crate) const MIGRATE: &str = "migrate";
/// The label by which a database's Job and credentials are found.
const DATABASE: &str = "clustergraph.dev/database";

/// The variable that holds the database's own password while it is made.
const NEW_PASSWORD: &str = "CLUSTERGRAPH_PASSWORD";
/// The variable that holds what `create` reads.
const INPUT: &str = "CLUSTERGRAPH_INPUT";
/// How often, five times a second, the server is asked before the database is made.
const QUESTIONS: u32 = 150;

/// The server is asked through its Service first: it may be ready for longer than every node knows the way
/// to it. The input reaches the program by its standard input and is never part of a command line.
fn script(ready: &[String]) -> String {
    let ready: Vec<String> = ready.iter().map(|word| quoted(word)).collect();
    let ready = ready.join(" ");
    format!(
        "i=0; until {ready} >/dev/null 2>&1 || [ $i -ge {QUESTIONS} ]; do i=$((i+1)); sleep 0.2; done; \
         printf '%s\\n' \"${INPUT}\" | \"$@\""
    )
}

/// A word as a shell takes it, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl Scene<'_> {
    pub(super) fn logical(&self, database: &Database) -> Result<Logical> {
        let owner = database.owner.as_ref().and_then(|owner| self.graph.services.get(owner)).ok_or_else(|| {
            Error::Usage(format!("{} belongs to no service, which komandan does not support", database.address))
        })?;
        let create = self.create(database)?;
        let user = kind(self.graph, database)?.image.user;
        let (first, last) = match &database.migrate {
            None => (Vec::new(), create),
            Some(migrate) => {
                let mut container = json!({
                    "name": MIGRATE,
                    "image": self.service_image(owner)?,
                    "imagePullPolicy": "IfNotPresent",
                    "command": command(Some(&migrate.run)),
                    "env": self.environment(owner)?,
                });
                set(&mut container, "securityContext", service_security(owner));
                (vec![create], container)
            }
        };
        let image = if database.migrate.is_some() { self.service_image(owner)? } else { self.server_image(database)? };
        let name = names::migration_job(database, image);
        let mut labels = self.labels(Component::Migration);
        labels.insert(DATABASE.to_owned(), names::of_address(database, '.'));
        // What creates runs as the server's user; what migrates as the service's.
        let mut first = first;
        for container in &mut first {
            run_as(container, user);
        }
        let mut last = last;
        let security = if database.migrate.is_some() {
            pod_security(owner)
        } else {
            run_as(&mut last, user);
            json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } })
        };
        let job = Object::new(json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": name, "labels": labels },
            "spec": {
                // Held back until the store says that it runs: so a Job that never ran is told from one that is gone.
                "suspend": true,
                "backoffLimit": 0,
                "completions": 1,
                "parallelism": 1,
                "podReplacementPolicy": "Failed",
                "template": {
                    "metadata": { "labels": labels },
                    "spec": {
                        "restartPolicy": "Never",
                        "serviceAccountName": names::ACCOUNT,
                        "automountServiceAccountToken": false,
                        "enableServiceLinks": false,
                        "securityContext": security,
                        "initContainers": first,
                        "containers": [last],
                    },
                },
            },
        }));
        let mut labels = self.labels(Component::Credentials);
        labels.insert(DATABASE.to_owned(), names::of_address(database, '.'));
        let secret = Credentials { name: names::credentials_secret(database), labels, username: database.name.clone() };
        Ok(Logical { server: database.server.clone(), secret, job })
    }

    fn create(&self, database: &Database) -> Result<Value> {
        let kind = kind(self.graph, database)?;
        let server = names::server(database);
        let port = kind.port.to_string();
        let password = format!("$({NEW_PASSWORD})");
        let values: Vec<(&str, &str)> = vec![
            ("host", &server),
            ("port", &port),
            ("admin", &kind.admin),
            ("version", &database.version),
            ("username", &database.name),
            ("database", &database.name),
            ("password", &password),
        ];
        let mut env = catalogue_env(&kind.client_env, &values, &names::admin_secret(&server));
        env.push(from_secret(NEW_PASSWORD, &names::credentials_secret(database), PASSWORD));
        // What all share is there when its server is.
        let nothing = || Input { run: vec!["true".to_owned()], ..Input::default() };
        let create = kind.create.clone().unwrap_or_else(nothing);
        env.push(json!({ "name": INPUT, "value": fill(&literal(&create.input), &values) }));
        let ready: Vec<String> = kind.ready.iter().map(|word| fill(word, &values)).collect();
        let mut words: Vec<String> = vec!["sh".into(), "-c".into(), literal(&script(&ready)), "sh".into()];
        words.extend(create.run.iter().map(|word| fill(&literal(word), &values)));
        Ok(json!({
            "name": CREATE,
            "image": self.server_image(database)?,
            "imagePullPolicy": "IfNotPresent",
            "command": words,
            "env": env,
            "securityContext": container_security(),
        }))
    }
}

fn run_as(container: &mut Value, user: Option<u32>) {
    let security = container.get_mut("securityContext").and_then(Value::as_object_mut);
    if let (Some(security), Some(user)) = (security, user) {
        let ids: BTreeMap<&str, u32> = [("runAsUser", user), ("runAsGroup", user)].into();
        security.extend(ids.into_iter().map(|(name, id)| (name.to_owned(), json!(id))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Runs the script as the container would, with programs that a shell always has.
    fn run(ready: &[&str], input: &str, arguments: &[&str]) -> String {
        let ready: Vec<String> = ready.iter().map(|word| (*word).to_owned()).collect();
        let output = Command::new("sh").args(["-c", &script(&ready), "sh"]).args(arguments).env(INPUT, input).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }

    #[test]
    fn the_input_arrives_as_it_is_whatever_the_words() {
        let input = "SELECT '$HOME' \\gexec -- `id` \"x\"\n%s";
        assert_eq!(run(&["true"], input, &["cat"]), format!("{input}\n"));
        assert_eq!(run(&["test", "it's $HOME", "=", "it's $HOME"], "a", &["printf", "%s|", "b c"]), "b c|");
    }
}
