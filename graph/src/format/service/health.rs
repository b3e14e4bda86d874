//! How a service's health is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Place, Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::service::Command;
use crate::format::yaml::{Key, Value, Yaml};

/// How health is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The question.
    pub probe: Probe,
    /// The name of the port that is asked; the primary one otherwise.
    pub port: Option<(String, Place)>,
    /// Headers of an HTTP question.
    pub headers: BTreeMap<String, String>,
    /// How long one answer may take.
    pub timeout: Duration,
    /// How long the service may take to become ready after its start.
    pub start_timeout: Duration,
    /// What a running service must go on answering, or it is started anew.
    pub liveness: Option<Probe>,
    /// Where it was written.
    pub place: Place,
}

/// One way to ask for health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Probe {
    /// A GET of this path is answered with a status from 200 to 399.
    Http(String),
    /// A connection is accepted and stays open.
    Tcp,
    /// The gRPC health protocol answers SERVING for this service; for the whole server when it is empty.
    Grpc(String),
    /// The command, run beside the service, ends with 0.
    Command(Command),
    /// A line of its output holds this text.
    Log(String),
}

impl Probe {
    /// The word in the format.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Tcp => "tcp",
            Self::Grpc(_) => "grpc",
            Self::Command(_) => "command",
            Self::Log(_) => "log",
        }
    }

    /// Whether it is asked at a port.
    #[must_use]
    pub fn needs_port(&self) -> bool {
        matches!(self, Self::Http(_) | Self::Tcp | Self::Grpc(_))
    }
}

pub(super) fn health(key: &Key, yaml: &Yaml, problems: &mut Problems) -> Option<Health> {
    let mut fields = Fields::open(yaml, "`health`", problems)?;
    let asked = question(&mut fields, "health", problems);
    let port = fields.take("port").and_then(|yaml| {
        decode::string(yaml, "`health.port`", problems).map(|port| (port.to_owned(), yaml.place.clone()))
    });
    let headers_yaml = fields.take_with_key("headers");
    let headers = headers_yaml.map(|(_, yaml)| decode::texts(yaml, "health.headers", problems)).unwrap_or_default();
    let timeout = fields.take("timeout").and_then(|yaml| decode::duration(yaml, "`health.timeout`", problems));
    let start =
        fields.take("start_timeout").and_then(|yaml| decode::duration(yaml, "`health.start_timeout`", problems));
    let liveness_yaml = fields.take("liveness");
    fields.close("`health`", problems);
    let probe = asked.unwrap_or(Some(Probe::Tcp))?;
    let liveness = liveness_yaml.and_then(|yaml| liveness(yaml, &probe, problems));
    if let Some((key, _)) = headers_yaml
        && !matches!((&probe, &liveness), (Probe::Http(_), _) | (_, Some(Probe::Http(_))))
    {
        problems.add(
            Problem::new("conflict", key.place.clone(), "only an HTTP question has headers")
                .mend("ask by `http: /healthz`, or remove `headers`"),
        );
    }
    Some(Health {
        probe,
        port,
        headers,
        timeout: timeout.unwrap_or(Duration::from_secs(2)),
        start_timeout: start.unwrap_or(Duration::from_secs(60)),
        liveness,
        place: key.place.clone(),
    })
}

/// The question of a map: `None` when there is none, `Some(None)` when it could not be read.
fn question(fields: &mut Fields<'_>, what: &str, problems: &mut Problems) -> Option<Option<Probe>> {
    let mut asked: Vec<(&Key, Option<Probe>)> = Vec::new();
    if let Some((key, yaml)) = fields.take_with_key("http") {
        asked.push((key, path(yaml, what, problems).map(Probe::Http)));
    }
    if let Some((key, yaml)) = fields.take_with_key("tcp") {
        match decode::boolean(yaml, &format!("`{what}.tcp`"), problems) {
            Some(false) => {}
            on => asked.push((key, on.map(|_| Probe::Tcp))),
        }
    }
    if let Some((key, yaml)) = fields.take_with_key("grpc") {
        match &yaml.value {
            Value::Bool(false) => {}
            Value::Bool(true) => asked.push((key, Some(Probe::Grpc(String::new())))),
            _ => {
                let name = decode::string(yaml, &format!("`{what}.grpc`"), problems);
                asked.push((key, name.map(|name| Probe::Grpc(name.to_owned()))));
            }
        }
    }
    if let Some((key, yaml)) = fields.take_with_key("command") {
        asked.push((key, decode::command(yaml, &format!("`{what}.command`"), problems).map(Probe::Command)));
    }
    if let Some((key, yaml)) = fields.take_with_key("log") {
        let text = decode::string(yaml, &format!("`{what}.log`"), problems);
        if text.is_some_and(str::is_empty) {
            problems.add(Problem::new("empty", yaml.place.clone(), "every line holds the empty text"));
        }
        asked.push((key, text.map(|text| Probe::Log(text.to_owned()))));
    }
    if let [(first, _), (second, _), ..] = asked.as_slice() {
        problems.add(
            Problem::new("conflict", second.place.clone(), format!("`{what}` asks one question"))
                .label("this is another one")
                .related(first.place.clone(), "this is one")
                .mend("keep `http`, `tcp`, `grpc`, `command` or `log`, one of them"),
        );
    }
    asked.into_iter().next().map(|(_, probe)| probe)
}

fn path(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<String> {
    let path = decode::string(yaml, &format!("`{what}.http`"), problems)?;
    if !path.starts_with('/') || path.chars().any(|c| c.is_control() || c == ' ') {
        problems.add(
            Problem::new("path", yaml.place.clone(), "the path of a health check starts with `/` and has no blanks")
                .mend("write `/healthz`, or what the service answers on"),
        );
        return None;
    }
    Some(path.to_owned())
}

/// `true` asks the same question again and again; a map asks another one.
fn liveness(yaml: &Yaml, ready: &Probe, problems: &mut Problems) -> Option<Probe> {
    let probe = match &yaml.value {
        Value::Bool(false) => None,
        Value::Bool(true) => Some(ready.clone()),
        _ => {
            let mut fields = Fields::open(yaml, "`health.liveness`", problems)?;
            let asked = question(&mut fields, "health.liveness", problems);
            fields.close("`health.liveness`", problems);
            asked.unwrap_or(Some(Probe::Tcp))
        }
    };
    if let Some(Probe::Log(_)) = probe {
        problems.add(
            Problem::new("conflict", yaml.place.clone(), "a line that was written says nothing of being alive now")
                .mend("ask by `http`, `tcp`, `grpc` or `command`"),
        );
        return None;
    }
    probe
}
