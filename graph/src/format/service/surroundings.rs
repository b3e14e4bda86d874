//! What a service finds around it: variables, secrets, files and volumes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Place, Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::expression::Template;
use crate::format::yaml::{Value, Yaml};
use crate::format::{dns_label, is_env_name, repo_path};

/// A value that is nowhere in the repository: from `.env` on a laptop, from the service's Secret on a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// The name of the variable, and of the key that holds it.
    pub name: String,
    /// What a laptop takes where nothing else is said: a value that opens nothing.
    pub dev: Option<String>,
    /// Whether the service also runs without it.
    pub optional: bool,
    /// Where it was written.
    pub place: Place,
}

/// A file of the service's folder that is put into its container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileUse {
    /// The file, relative to the service's folder.
    pub path: String,
    /// Where it was written.
    pub place: Place,
}

/// A folder that outlives the service's instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Where it lies in the container, absolute.
    pub path: String,
    /// Where it was written.
    pub place: Place,
}

/// A name that a shell could export.
fn env_name(name: &str, place: &Place, problems: &mut Problems) -> bool {
    if !is_env_name(name) {
        problems.add(
            Problem::new("name", place.clone(), format!("`{}` is no name of a variable", name.escape_debug()))
                .mend("letters, digits and `_`, not starting with a digit"),
        );
        return false;
    }
    true
}

pub(super) fn env(yaml: &Yaml, problems: &mut Problems) -> BTreeMap<String, Template> {
    let mut env = BTreeMap::new();
    for (key, yaml) in decode::entries(yaml, "`env`", problems) {
        if !env_name(&key.name, &key.place, problems) {
            continue;
        }
        let text = decode::scalar(yaml, &format!("`env.{}`", key.name), problems).unwrap_or_default();
        if text.contains('\0') {
            problems.add(Problem::new("value", yaml.place.clone(), "a variable cannot hold a zero byte"));
        }
        // Whatever is wrong with its value: this name is taken, and wins over the wiring.
        env.insert(key.name.clone(), Template::parse(&text, &yaml.place, problems));
    }
    env
}

/// Names of variables, each once, with their places.
pub(super) fn variables(yaml: &Yaml, what: &str, problems: &mut Problems) -> Vec<(String, Place)> {
    let mut names: Vec<(String, Place)> = Vec::new();
    for yaml in decode::list(yaml, what, problems).unwrap_or_default() {
        let Some(name) = decode::string(yaml, &format!("each item of {what}"), problems) else { continue };
        if env_name(name, &yaml.place, problems) && is_new(&names, name, &yaml.place, problems) {
            names.push((name.to_owned(), yaml.place.clone()));
        }
    }
    names
}

fn is_new(known: &[(String, Place)], name: &str, place: &Place, problems: &mut Problems) -> bool {
    let first = known.iter().find(|(other, _)| other == name);
    if let Some((_, first)) = first {
        problems.add(
            Problem::new("duplicate-name", place.clone(), format!("`{name}` is there twice"))
                .related(first.clone(), "the first is here")
                .mend("remove one of them"),
        );
    }
    first.is_none()
}

pub(super) fn secrets(yaml: &Yaml, problems: &mut Problems) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = Vec::new();
    let mut names = Vec::new();
    for yaml in decode::list(yaml, "`secrets`", problems).unwrap_or_default() {
        let Some(secret) = secret(yaml, problems) else { continue };
        if is_new(&names, &secret.name, &secret.place, problems) {
            names.push((secret.name.clone(), secret.place.clone()));
            secrets.push(secret);
        }
    }
    secrets
}

fn secret(yaml: &Yaml, problems: &mut Problems) -> Option<Secret> {
    let (name, place, dev, optional) = match &yaml.value {
        Value::Map(_) => {
            let mut fields = Fields::open(yaml, "a secret", problems)?;
            let name = decode::required(&mut fields, "name", "a secret", problems);
            let dev = fields.take("dev").and_then(|yaml| decode::scalar(yaml, "`dev`", problems));
            let optional = fields.take("optional").and_then(|yaml| decode::boolean(yaml, "`optional`", problems));
            fields.close("a secret", problems);
            let name = name?;
            (decode::string(name, "`name`", problems)?, &name.place, dev, optional.unwrap_or(false))
        }
        _ => (decode::string(yaml, "each item of `secrets`", problems)?, &yaml.place, None, false),
    };
    if !env_name(name, place, problems) {
        return None;
    }
    Some(Secret { name: name.to_owned(), dev, optional, place: place.clone() })
}

/// A path in a container, which the service's own folders are not.
fn container_path(path: &str, place: &Place, what: &str, problems: &mut Problems) -> Option<String> {
    let trimmed = path.trim_end_matches('/');
    let fine = trimmed.starts_with('/')
        && !trimmed.contains(['\\', '\0', ':'])
        && trimmed.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
    if !fine {
        problems.add(
            Problem::new("path", place.clone(), format!("{what} `{}` is no path in a container", path.escape_debug()))
                .mend("write it absolute, without `..` and `:`, such as /etc/nginx/nginx.conf"),
        );
    }
    fine.then(|| trimmed.to_owned())
}

pub(super) fn files(yaml: &Yaml, problems: &mut Problems) -> BTreeMap<String, FileUse> {
    let mut files = BTreeMap::new();
    for (key, yaml) in decode::entries(yaml, "`files`", problems) {
        let at = container_path(&key.name, &key.place, "the file", problems);
        let path = decode::string(yaml, &format!("`files.{}`", key.name.escape_debug()), problems)
            .and_then(|path| repo_path(path, &yaml.place, "the file", problems));
        if let (Some(at), Some(path)) = (at, path) {
            files.insert(at, FileUse { path, place: yaml.place.clone() });
        }
    }
    files
}

pub(super) fn volumes(yaml: &Yaml, problems: &mut Problems) -> BTreeMap<String, Volume> {
    let mut volumes: BTreeMap<String, Volume> = BTreeMap::new();
    for (key, yaml) in decode::entries(yaml, "`volumes`", problems) {
        let name = dns_label(&key.name, &key.place, "the volume's name", problems);
        let path = decode::string(yaml, &format!("`volumes.{}`", key.name.escape_debug()), problems)
            .and_then(|path| container_path(path, &yaml.place, "the volume", problems));
        let (Some(name), Some(path)) = (name, path) else { continue };
        let below = |one: &str, other: &str| other.strip_prefix(one).is_some_and(|rest| rest.starts_with('/'));
        let other =
            volumes.values().find(|other| other.path == path || below(&other.path, &path) || below(&path, &other.path));
        if let Some(other) = other {
            problems.add(
                Problem::new("conflict", yaml.place.clone(), "one volume lies in another")
                    .related(other.place.clone(), "this is the other")
                    .mend("give them folders beside each other"),
            );
        }
        volumes.insert(name, Volume { path, place: key.place.clone() });
    }
    volumes
}
