//! The ports at which a service is reached.

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Place, Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::dns_label;
use crate::format::yaml::{Key, Value, Yaml};

/// A port a service listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The number it prefers.
    pub number: u16,
    /// The scheme of its URLs.
    pub protocol: String,
    /// Whether it is the one meant when none is named.
    pub primary: bool,
    /// Where it was written.
    pub place: Place,
}

impl Port {
    /// The port meant when none is named: the only one, else the one marked primary, else `http`.
    #[must_use]
    pub fn primary(ports: &[Self]) -> Option<&Self> {
        match ports {
            [only] => Some(only),
            ports => ports.iter().find(|port| port.primary).or_else(|| ports.iter().find(|port| port.name == "http")),
        }
    }
}

pub(super) fn ports(yaml: &Yaml, problems: &mut Problems) -> Vec<Port> {
    let mut ports: Vec<Port> = Vec::new();
    if !matches!(yaml.value, Value::Map(_)) {
        problems.add(
            decode::wrong_kind(&yaml.place, "`ports`", "a map", &yaml.value).mend("write `ports: { http: 8080 }`"),
        );
        return ports;
    }
    for (key, yaml) in decode::entries(yaml, "`ports`", problems) {
        let Some(port) = port(key, yaml, problems) else { continue };
        if let Some(other) = ports.iter().find(|other| other.number == port.number) {
            problems.add(
                Problem::new(
                    "port-clash",
                    port.place.clone(),
                    format!("the port {} is taken by `{}`", port.number, other.name),
                )
                .label("this one, too")
                .related(other.place.clone(), "has it already")
                .mend("give one of them another number"),
            );
        }
        ports.push(port);
    }
    let marked: Vec<_> = ports.iter().filter(|port| port.primary).collect();
    if let [first, second, ..] = marked.as_slice() {
        problems.add(
            Problem::new("conflict", second.place.clone(), "only one port can be primary")
                .related(first.place.clone(), "this one is, too")
                .mend("keep `primary: true` on one of them"),
        );
    }
    ports
}

fn port(key: &Key, yaml: &Yaml, problems: &mut Problems) -> Option<Port> {
    let name = dns_label(&key.name, &key.place, "the port's name", problems)?;
    let what = format!("the port `{name}`");
    let number = |yaml: &Yaml, problems: &mut Problems| {
        decode::integer(yaml, &what, 1..=65535, problems).and_then(|number| u16::try_from(number).ok())
    };
    if !matches!(yaml.value, Value::Map(_)) {
        let protocol = if name == "grpc" { "grpc" } else { "http" }.to_owned();
        let number = number(yaml, problems)?;
        return Some(Port { name, number, protocol, primary: false, place: key.place.clone() });
    }
    let mut fields = Fields::open(yaml, &what, problems)?;
    let number = match fields.take("port") {
        Some(yaml) => number(yaml, problems),
        None => {
            problems.add(Problem::new("missing-field", key.place.clone(), format!("{what} needs `port`")));
            None
        }
    };
    let protocol = fields.take("protocol").and_then(|yaml| {
        let protocol = decode::string(yaml, "`protocol`", problems)?;
        let fine = protocol.starts_with(|c: char| c.is_ascii_lowercase())
            && protocol.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c));
        if !fine {
            problems.add(
                Problem::new("protocol", yaml.place.clone(), format!("`{}` is no URL scheme", protocol.escape_debug()))
                    .mend("write http, https, grpc, tcp, ..."),
            );
        }
        fine.then(|| protocol.to_owned())
    });
    let primary = fields.take("primary").and_then(|yaml| decode::boolean(yaml, "`primary`", problems)).unwrap_or(false);
    fields.close(&what, problems);
    let protocol = protocol.unwrap_or_else(|| if name == "grpc" { "grpc" } else { "http" }.to_owned());
    Some(Port { name, number: number?, protocol, primary, place: key.place.clone() })
}
