//! Values in which others are named, as expressions.

use serde_yaml::Mapping;

use super::Findings;
use super::environment::Environment;
use super::ports::Port;
use super::references::{Field, Segment};
use super::translate::Plan;

impl Plan<'_> {
    /// A service's own variables.
    pub(super) fn env(&self, number: usize, environment: &Environment, findings: &mut Findings) -> Mapping {
        // Its own port is wired: under processes it is another one than it asks for.
        let own: Vec<String> = self.ports[number].iter().map(|port| port.number.to_string()).collect();
        let is_wired = |name: &str, value: &[Segment]| {
            name == "PORT" && matches!(value, [Segment::Text(text)] if own.contains(text))
        };
        let values = environment.values.iter().filter(|(name, value)| !is_wired(name, value));
        values.map(|(name, value)| (name.as_str().into(), self.value(number, value, findings).into())).collect()
    }

    /// A value with expressions where others are named.
    fn value(&self, number: usize, segments: &[Segment], findings: &mut Findings) -> String {
        let mut value = String::new();
        for segment in segments {
            match segment {
                Segment::Text(text) => value.push_str(&text.replace("${", "$${")),
                Segment::Secret(name) => value.push_str(&format!("${{secrets.{name}}}")),
                Segment::Database { server, database, field } => match self.stores.get(server, database.as_deref()) {
                    Some(store) => value.push_str(&format!("${{databases.{}.{}}}", store.alias, field.as_str())),
                    None => value.push_str(server),
                },
                Segment::Service { name, port, field } => match self.node_of(name) {
                    Some((other, _)) if other == number => {
                        // A service does not depend on itself; its own address is its own affair.
                        let why = format!("it names {name}, whose process it is: the address stays as written");
                        findings.add(Some(name), "environment", &why);
                        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                        value.push_str(&format!("{}{name}{port}", if *field == Field::Url { "http://" } else { "" }));
                    }
                    Some((other, target)) => value.push_str(&self.endpoint(other, &target.name, *port, *field)),
                    None => value.push_str(name),
                },
            }
        }
        value
    }

    fn endpoint(&self, number: usize, name: &str, port: Option<u16>, field: Field) -> String {
        let ports = &self.ports[number];
        let wanted = port.or_else(|| (field == Field::Url).then_some(80));
        let named = wanted.and_then(|number| ports.iter().find(|port| port.number == number));
        let is_primary = |port: &Port| ports.len() == 1 || port.is_primary || port.name == "http";
        let expression = |field: &str| match named.filter(|port| !is_primary(port)) {
            Some(port) => format!("${{services.{name}.ports.{}.{field}}}", port.name),
            None => format!("${{services.{name}.{field}}}"),
        };
        let speaks_http = named.or(ports.first()).is_none_or(|port| port.protocol == "http");
        match field {
            Field::Url if !speaks_http => format!("http://{}", expression("addr")),
            field => expression(field.as_str()),
        }
    }
}
