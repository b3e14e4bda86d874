//! A Compose file as it is written: short and long forms read into one, variables filled in, no judgement yet.

use std::collections::BTreeMap;

use serde_yaml::{Mapping, Value};

use super::Findings;
use super::interpolate::fill;

/// What is read of a Compose file, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Compose {
    pub(super) services: Vec<Service>,
}

/// One service of it.
#[derive(Debug, Default, Clone)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) image: Option<String>,
    pub(super) build: Option<Build>,
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) command: Option<Vec<String>>,
    /// Variables as written; `None` for those that Compose takes from the shell.
    pub(super) environment: Vec<(String, Option<String>)>,
    pub(super) env_files: Vec<String>,
    pub(super) depends_on: Vec<Depends>,
    pub(super) ports: Vec<Port>,
    pub(super) mounts: Vec<Mount>,
    pub(super) healthcheck: Option<Mapping>,
    pub(super) profiles: Vec<String>,
    pub(super) restart: Option<String>,
    pub(super) deploy: Mapping,
    pub(super) labels: Vec<(String, String)>,
    pub(super) stop_signal: Option<String>,
    pub(super) stop_grace_period: Option<String>,
    /// Every key of the service, for what is said of those that mean nothing here.
    pub(super) keys: Vec<String>,
}

/// How its image is built.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Build {
    pub(super) context: String,
    pub(super) dockerfile: Option<String>,
    pub(super) inline: Option<String>,
    pub(super) target: Option<String>,
    pub(super) args: Vec<(String, Option<String>)>,
    /// Keys that mean nothing here.
    pub(super) others: Vec<String>,
}

/// What its start waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Depends {
    pub(super) service: String,
    pub(super) condition: String,
    pub(super) required: bool,
}

/// A port that it listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) number: u16,
    /// The port of the machine that Compose gives it.
    pub(super) published: Option<String>,
    pub(super) is_udp: bool,
    pub(super) name: Option<String>,
}

/// Something that is put into its container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) kind: MountKind,
    pub(super) target: String,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MountKind {
    /// A named volume.
    Volume(String),
    /// A volume without a name.
    Anonymous,
    /// A path of the machine.
    Bind(String),
    /// Memory.
    Memory,
    /// Something else.
    Other(String),
}

/// Reads the file. `known` are the variables of `.env`.
///
/// # Errors
/// When it is no Compose file at all.
pub(super) fn read(text: &str, known: &BTreeMap<String, String>, findings: &mut Findings) -> Result<Compose, String> {
    let mut root: Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    root.apply_merge().map_err(|error| error.to_string())?;
    let Value::Mapping(root) = root else { return Err("it is no map".to_owned()) };
    let Some(Value::Mapping(services)) = root.get("services") else {
        return Err("it has no `services`: is it a Compose file?".to_owned());
    };
    for (key, why) in [
        ("include", "import the other file, too: each file is imported by itself"),
        ("secrets", "write `secrets: [NAME]` where a service needs one; values come from .env"),
        ("configs", "write `files:` where a service needs one"),
    ] {
        if root.contains_key(key) {
            findings.add(None, key, why);
        }
    }
    let mut compose = Compose::default();
    for (name, body) in services {
        let Some(name) = name.as_str() else { continue };
        let mut body = extended(body, services, name, findings, 0);
        let mut unset = Vec::new();
        filled(&mut body, known, &mut unset);
        unset.sort();
        unset.dedup();
        for variable in unset {
            findings.add(Some(name), &format!("${{{variable}}}"), "it is set nowhere; nothing was put in its place");
        }
        let Value::Mapping(body) = body else {
            findings.add(Some(name), "services", "it is no map");
            continue;
        };
        compose.services.push(service(name, &body, findings));
    }
    Ok(compose)
}

/// A service with what it `extends` below it.
fn extended(body: &Value, services: &Mapping, name: &str, findings: &mut Findings, depth: usize) -> Value {
    let Value::Mapping(own) = body else { return body.clone() };
    let Some(extends) = own.get("extends") else { return body.clone() };
    let (of, file) = match extends {
        Value::String(of) => (Some(of.as_str()), None),
        Value::Mapping(map) => (map.get("service").and_then(Value::as_str), map.get("file")),
        _ => (None, None),
    };
    let base = of.and_then(|of| services.get(of)).filter(|_| file.is_none() && depth < 16);
    let Some(base) = base else {
        findings.add(Some(name), "extends", "what it extends is in another file: write its fields here");
        return body.clone();
    };
    let mut merged = extended(base, services, name, findings, depth + 1);
    merge(&mut merged, body);
    if let Value::Mapping(map) = &mut merged {
        map.remove("extends");
    }
    merged
}

/// Puts `over` on top: maps merge, everything else replaces.
fn merge(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Mapping(under), Value::Mapping(over)) => {
            for (key, value) in over {
                match under.get_mut(key) {
                    Some(there) => merge(there, value),
                    None => {
                        under.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (under, over) => *under = over.clone(),
    }
}

/// Fills variables in, but for `environment`: what a value is made of decides what becomes of it.
fn filled(value: &mut Value, known: &BTreeMap<String, String>, unset: &mut Vec<String>) {
    match value {
        Value::String(text) if text.contains('$') => *text = fill(text, known, unset),
        Value::Sequence(items) => items.iter_mut().for_each(|item| filled(item, known, unset)),
        Value::Mapping(map) => {
            for (key, value) in map.iter_mut() {
                if key.as_str() != Some("environment") {
                    filled(value, known, unset);
                }
            }
        }
        _ => {}
    }
}

fn service(name: &str, body: &Mapping, findings: &mut Findings) -> Service {
    let get = |key: &str| body.get(key).filter(|value| !value.is_null());
    let mut ports = Vec::new();
    for value in items(get("ports")) {
        match port(value) {
            Some(some) => ports.extend(some),
            None => findings.add(Some(name), "ports", "one of them is not understood"),
        }
    }
    for number in items(get("expose")).filter_map(|value| text(value)?.split('/').next()?.parse().ok()) {
        if !ports.iter().any(|port: &Port| port.number == number) {
            ports.push(Port { number, published: None, is_udp: false, name: None });
        }
    }
    Service {
        name: name.to_owned(),
        image: get("image").and_then(text),
        build: get("build").map(build),
        entrypoint: get("entrypoint").and_then(words),
        command: get("command").and_then(words),
        environment: pairs(get("environment")),
        env_files: items(get("env_file"))
            .filter_map(|value| text(value).or_else(|| text(value.get("path")?)))
            .collect(),
        depends_on: depends_on(get("depends_on"), get("links")),
        ports,
        mounts: items(get("volumes")).chain(items(get("tmpfs")).map(|_| &Value::Null)).filter_map(mount).collect(),
        healthcheck: get("healthcheck").and_then(Value::as_mapping).cloned(),
        profiles: items(get("profiles")).filter_map(text).collect(),
        restart: get("restart").and_then(text),
        deploy: get("deploy").and_then(Value::as_mapping).cloned().unwrap_or_default(),
        labels: pairs(get("labels")).into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect(),
        stop_signal: get("stop_signal").and_then(text),
        stop_grace_period: get("stop_grace_period").and_then(text),
        keys: body.keys().filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

/// A scalar as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// The items of a list; one that stands alone counts as a list of one.
fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let (list, one) = match value {
        Some(Value::Sequence(list)) => (list.as_slice(), None),
        other => (&[][..], other),
    };
    list.iter().chain(one)
}

/// A command: a list, or a line that is split as a shell splits it.
pub(super) fn words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Sequence(list) => Some(list.iter().filter_map(text).collect()),
        other => shlex::split(&text(other)?),
    }
}

/// `KEY: value` or `- KEY=value`.
fn pairs(value: Option<&Value>) -> Vec<(String, Option<String>)> {
    match value {
        Some(Value::Mapping(map)) => map.iter().filter_map(|(key, value)| Some((text(key)?, text(value)))).collect(),
        Some(Value::Sequence(list)) => list
            .iter()
            .filter_map(text)
            .map(|line| match line.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (line, None),
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn build(value: &Value) -> Build {
    let Value::Mapping(map) = value else {
        return Build { context: text(value).unwrap_or_else(|| ".".to_owned()), ..Build::default() };
    };
    let field = |key: &str| map.get(key).and_then(text);
    const READ: &[&str] = &["context", "dockerfile", "dockerfile_inline", "target", "args", "tags", "labels"];
    Build {
        context: field("context").unwrap_or_else(|| ".".to_owned()),
        dockerfile: field("dockerfile"),
        inline: field("dockerfile_inline"),
        target: field("target"),
        args: pairs(map.get("args")),
        others: map.keys().filter_map(Value::as_str).filter(|key| !READ.contains(key)).map(str::to_owned).collect(),
    }
}

fn depends_on(value: Option<&Value>, links: Option<&Value>) -> Vec<Depends> {
    let started = |service: String| Depends { service, condition: "service_started".to_owned(), required: true };
    let mut all: Vec<Depends> = match value {
        Some(Value::Mapping(map)) => map
            .iter()
            .filter_map(|(service, how)| {
                let condition = how.get("condition").and_then(text).unwrap_or_else(|| "service_started".to_owned());
                let required = how.get("required").and_then(Value::as_bool).unwrap_or(true);
                Some(Depends { service: text(service)?, condition, required })
            })
            .collect(),
        other => items(other).filter_map(text).map(started).collect(),
    };
    for link in items(links).filter_map(text) {
        let service = link.split(':').next().unwrap_or_default().to_owned();
        if !all.iter().any(|depends| depends.service == service) {
            all.push(started(service));
        }
    }
    all
}

/// `[[IP:]PUBLISHED:]NUMBER[/PROTOCOL]`, ranges included, or a map.
fn port(value: &Value) -> Option<Vec<Port>> {
    if let Value::Mapping(map) = value {
        let number = map.get("target").and_then(text)?.parse().ok()?;
        return Some(vec![Port {
            number,
            published: map.get("published").and_then(text),
            is_udp: map.get("protocol").and_then(Value::as_str) == Some("udp"),
            name: map.get("name").and_then(text),
        }]);
    }
    let line = text(value)?;
    let (line, protocol) = line.split_once('/').unwrap_or((&line, "tcp"));
    let (published, numbers) = match line.rsplit_once(':') {
        Some((before, numbers)) => (before.rsplit(':').next().map(str::to_owned), numbers),
        None => (None, line),
    };
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    let of = |number| Port { number, published: published.clone(), is_udp: protocol == "udp", name: None };
    (first <= last && last - first < 64).then(|| (first..=last).map(of).collect())
}

/// `[SOURCE:]TARGET[:MODE]` or a map.
fn mount(value: &Value) -> Option<Mount> {
    let is_path = |source: &str| source.starts_with(['.', '/', '~']);
    if let Value::Mapping(map) = value {
        let field = |key: &str| map.get(key).and_then(text);
        let source = field("source").or_else(|| field("src"));
        let kind = match (field("type").as_deref(), source) {
            (Some("bind"), Some(source)) => MountKind::Bind(source),
            (Some("volume") | None, Some(source)) if !is_path(&source) => MountKind::Volume(source),
            (Some("volume"), None) => MountKind::Anonymous,
            (Some("tmpfs"), _) => MountKind::Memory,
            (kind, _) => MountKind::Other(kind.unwrap_or("volume").to_owned()),
        };
        return Some(Mount { kind, target: field("target").or_else(|| field("dst"))? });
    }
    let Some(line) = text(value) else { return Some(Mount { kind: MountKind::Memory, target: String::new() }) };
    let mut parts = line.split(':');
    let (first, second) = (parts.next()?.to_owned(), parts.next().map(str::to_owned));
    Some(match second {
        None => Mount { kind: MountKind::Anonymous, target: first },
        Some(target) if is_path(&first) => Mount { kind: MountKind::Bind(first), target },
        Some(target) => Mount { kind: MountKind::Volume(first), target },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Service {
        let text = format!("services:\n  a:\n{}", text.lines().map(|line| format!("    {line}\n")).collect::<String>());
        read(&text, &BTreeMap::new(), &mut Findings::default()).unwrap().services.remove(0)
    }

    #[test]
    fn ports_in_all_their_forms() {
        let ports = |line: &str| {
            let service = only(&format!("ports: [{line}]"));
            service
                .ports
                .iter()
                .map(|port| {
                    format!(
                        "{}<{}{}",
                        port.number,
                        port.published.as_deref().unwrap_or("-"),
                        if port.is_udp { " udp" } else { "" }
                    )
                })
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(ports("\"8080:80\""), "80<8080");
        assert_eq!(ports("80"), "80<-");
        assert_eq!(ports("\"127.0.0.1:8080:80/tcp\""), "80<8080");
        assert_eq!(ports("\"6060:6060/udp\""), "6060<6060 udp");
        assert_eq!(ports("\"3000-3002\""), "3000<- 3001<- 3002<-");
        assert_eq!(ports("{target: 80, published: \"8080\", protocol: tcp}"), "80<8080");
    }

    #[test]
    fn mounts_in_all_their_forms() {
        let mount = |line: &str| format!("{:?}", only(&format!("volumes: [{line}]")).mounts[0]);
        assert_eq!(mount("\"data:/var/lib\""), "Mount { kind: Volume(\"data\"), target: \"/var/lib\" }");
        assert_eq!(mount("\"./a:/b:ro\""), "Mount { kind: Bind(\"./a\"), target: \"/b\" }");
        assert_eq!(mount("/app/node_modules"), "Mount { kind: Anonymous, target: \"/app/node_modules\" }");
        assert_eq!(mount("{type: bind, source: ./a, target: /b}"), "Mount { kind: Bind(\"./a\"), target: \"/b\" }");
        assert_eq!(mount("{type: tmpfs, target: /b}"), "Mount { kind: Memory, target: \"/b\" }");
    }

    #[test]
    fn lists_and_maps_say_the_same() {
        let list = only("environment: [A=1, B, C=x=y]\ndepends_on: [db]\ncommand: sh -c 'a b'");
        let map = only(
            "environment: {A: 1, B: , C: x=y}\ndepends_on: {db: {condition: service_started}}\ncommand: [sh, -c, a b]",
        );
        assert_eq!(list.environment, map.environment);
        assert_eq!(list.depends_on, map.depends_on);
        assert_eq!(list.command, map.command);
    }

    #[test]
    fn anchors_and_extends_are_followed() {
        let text = "x-base: &base\n  restart: always\n  environment: {A: '1'}\nservices:\n  one:\n    <<: *base\n    image: x\n  two:\n    extends: {service: one}\n    environment: {B: '2'}\n";
        let compose = read(text, &BTreeMap::new(), &mut Findings::default()).unwrap();
        let two = &compose.services[1];
        assert_eq!((two.image.as_deref(), two.restart.as_deref()), (Some("x"), Some("always")));
        assert_eq!(two.environment.len(), 2);
    }
}
