//! The ports of a service: their names and what is spoken there.

use std::collections::BTreeSet;

use super::compose::Service;

/// A port with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) number: u16,
    /// `http` unless something else is known.
    pub(super) protocol: &'static str,
    pub(super) is_primary: bool,
}

/// Numbers at which something else than HTTP is spoken.
const OTHERS: &[(u16, &str, &str)] = &[
    (21, "ftp", "tcp"),
    (22, "ssh", "tcp"),
    (25, "smtp", "smtp"),
    (53, "dns", "tcp"),
    (110, "pop3", "tcp"),
    (143, "imap", "tcp"),
    (389, "ldap", "ldap"),
    (443, "https", "https"),
    (465, "smtps", "tcp"),
    (587, "submission", "smtp"),
    (993, "imaps", "tcp"),
    (1025, "smtp", "smtp"),
    (1883, "mqtt", "mqtt"),
    (3306, "mysql", "tcp"),
    (4222, "nats", "tcp"),
    (5432, "postgres", "tcp"),
    (5672, "amqp", "tcp"),
    (6379, "redis", "tcp"),
    (8125, "statsd", "tcp"),
    (8443, "https", "https"),
    (9042, "cassandra", "tcp"),
    (9092, "kafka", "tcp"),
    (11211, "memcached", "tcp"),
    (27017, "mongodb", "tcp"),
    (50051, "grpc", "grpc"),
];

/// The ports of a service with their names; `called` are numbers that others name, `http` those that they name in a URL.
pub(super) fn ports(service: &Service, called: &BTreeSet<u16>, http: &BTreeSet<u16>) -> Vec<Port> {
    let mut numbers: Vec<(u16, Option<&str>)> = Vec::new();
    let written = service.ports.iter().filter(|port| !port.is_udp).map(|port| (port.number, port.name.as_deref()));
    for (number, name) in written.chain(called.iter().map(|number| (*number, None))) {
        if !numbers.iter().any(|(known, _)| *known == number) {
            numbers.push((number, name));
        }
    }
    let mut ports: Vec<Port> = Vec::new();
    for (number, name) in numbers {
        let other = OTHERS.iter().find(|(known, ..)| *known == number && !http.contains(&number));
        let (base, protocol) = other.map_or(("http", "http"), |(_, name, protocol)| (*name, *protocol));
        let base = name.map(super::nodes::label).unwrap_or_else(|| base.to_owned());
        let is_taken = ports.iter().any(|port| port.name == base);
        let name = if is_taken { format!("{base}-{number}") } else { base };
        ports.push(Port { name, number, protocol, is_primary: false });
    }
    if ports.len() > 1 && !ports.iter().any(|port| port.name == "http") {
        let first = ports.iter().position(|port| port.protocol == "http").unwrap_or(0);
        ports[first].is_primary = true;
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::super::compose;
    use super::*;

    #[test]
    fn the_first_that_speaks_http_is_http() {
        let named = |numbers: &[u16], called: &[u16]| {
            let port = |number: &u16| compose::Port { number: *number, published: None, is_udp: false, name: None };
            let service = Service { ports: numbers.iter().map(port).collect(), ..Service::default() };
            let ports = ports(&service, &called.iter().copied().collect(), &BTreeSet::new());
            let shown = ports
                .iter()
                .map(|port| format!("{}={}{}", port.name, port.number, if port.is_primary { "!" } else { "" }));
            shown.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(named(&[3000], &[]), "http=3000");
        assert_eq!(named(&[1025, 8025], &[]), "smtp=1025 http=8025");
        assert_eq!(named(&[1025, 25], &[]), "smtp=1025! smtp-25=25");
        assert_eq!(named(&[80, 9090], &[3000]), "http=80 http-9090=9090 http-3000=3000");
        assert_eq!(named(&[50051], &[]), "grpc=50051");
    }
}
