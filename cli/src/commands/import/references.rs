//! Where a value names another service of the Compose file: URLs, addresses and hosts.

use std::collections::BTreeMap;

/// A value taken apart: text, and what is known only when everything runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Text(String),
    /// Something of another service.
    Service {
        name: String,
        port: Option<u16>,
        field: Field,
    },
    /// Something of a logical database on a server.
    Database {
        server: String,
        database: Option<String>,
        field: Field,
    },
    /// A secret of the service itself.
    Secret(String),
}

/// Which part of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Url,
    Host,
    Port,
    Addr,
    Username,
    Password,
    Database,
    Brokers,
}

impl Field {
    /// Its name in expressions.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Host => "host",
            Self::Port => "port",
            Self::Addr => "addr",
            Self::Username => "username",
            Self::Password => "password",
            Self::Database => "database",
            Self::Brokers => "brokers",
        }
    }
}

/// What a host name of the Compose file stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// A service; what speaks HTTP on which ports is known only to its callers.
    Service,
    /// A database server.
    Server {
        /// The text of its URL in the catalogue.
        url: String,
        /// Whether its clients want a list of brokers.
        has_brokers: bool,
    },
}

/// The segments of a value; text alone when it names nobody.
pub(super) fn segments(value: &str, is_host_variable: bool, hosts: &BTreeMap<String, Host>) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut rest = value;
    while let Some(found) = first(rest, is_host_variable && segments.is_empty(), hosts) {
        push_text(&mut segments, &rest[..found.start]);
        segments.extend(found.segments);
        rest = &rest[found.end..];
    }
    push_text(&mut segments, rest);
    segments
}

fn push_text(segments: &mut Vec<Segment>, text: &str) {
    if !text.is_empty() {
        segments.push(Segment::Text(text.to_owned()));
    }
}

/// One place where somebody is named.
struct Found {
    start: usize,
    end: usize,
    segments: Vec<Segment>,
}

/// The first place of a text where somebody is named.
fn first(text: &str, may_be_bare: bool, hosts: &BTreeMap<String, Host>) -> Option<Found> {
    let mut places: Vec<(usize, &str, &Host)> = hosts
        .iter()
        .flat_map(|(name, host)| text.match_indices(name.as_str()).map(move |(at, _)| (at, name.as_str(), host)))
        .collect();
    // Of two names at one place the longer one is meant.
    places.sort_by_key(|(at, name, _)| (*at, usize::MAX - name.len()));
    places.into_iter().find_map(|(at, name, host)| named(text, at, name, host, may_be_bare))
}

fn named(text: &str, at: usize, name: &str, host: &Host, may_be_bare: bool) -> Option<Found> {
    let (before, after) = (&text[..at], &text[at + name.len()..]);
    let is_part_of_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if before.ends_with(is_part_of_word) || after.starts_with(is_part_of_word) {
        return None;
    }
    let digits = after.strip_prefix(':').map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        &rest[..end]
    });
    let port: Option<u16> = digits.filter(|digits| !digits.is_empty()).and_then(|digits| digits.parse().ok());
    let mut end = at + name.len() + port.map_or(0, |_| 1 + digits.map_or(0, str::len));
    let service = |field| Segment::Service { name: name.to_owned(), port, field };
    match (url_before(before), host) {
        (Some(url), Host::Service) => {
            // `http` is what a port speaks unless it says otherwise; of the rest only the address is replaced.
            if url.scheme == "http" && url.userinfo.is_none() {
                return Some(Found { start: url.start, end, segments: vec![service(Field::Url)] });
            }
            Some(Found {
                start: at,
                end,
                segments: vec![service(if port.is_some() { Field::Addr } else { Field::Host })],
            })
        }
        (Some(url), Host::Server { url: known, has_brokers: _ }) => {
            let path = text[end..].strip_prefix('/').map(|rest| {
                let stop =
                    rest.find(|c: char| c.is_whitespace() || matches!(c, '?' | ',' | '"' | '\'' | '#' | '/' | ';'));
                &rest[..stop.unwrap_or(rest.len())]
            });
            let database = path.filter(|path| !path.is_empty() && known.contains("{database}")).map(str::to_owned);
            let of = |field| Segment::Database { server: name.to_owned(), database: database.clone(), field };
            let scheme = known.split("://").next().unwrap_or_default();
            let is_same = url.scheme == scheme || scheme.strip_suffix("ql") == Some(url.scheme);
            if known.contains("{database}") || path == Some("") {
                end += path.map_or(0, |path| path.len() + 1);
            }
            if is_same {
                return Some(Found { start: url.start, end, segments: vec![of(Field::Url)] });
            }
            let mut segments = vec![Segment::Text(format!("{}://", url.scheme))];
            if url.userinfo.is_some() {
                segments.extend([of(Field::Username), Segment::Text(":".to_owned()), of(Field::Password)]);
                segments.push(Segment::Text("@".to_owned()));
            }
            segments.push(of(Field::Addr));
            if database.is_some() {
                segments.extend([Segment::Text("/".to_owned()), of(Field::Database)]);
            } else if path == Some("") {
                segments.push(Segment::Text("/".to_owned()));
            }
            Some(Found { start: url.start, end, segments })
        }
        (None, host) => {
            let stands_alone = before.is_empty() || before.ends_with([' ', ',', ';', '=', '@', '(', '"', '\'', '/']);
            if !stands_alone || (port.is_none() && !(may_be_bare && before.is_empty() && after.is_empty())) {
                return None;
            }
            let field = if port.is_some() { Field::Addr } else { Field::Host };
            let segment = match host {
                Host::Service => service(field),
                Host::Server { has_brokers, .. } => Segment::Database {
                    server: name.to_owned(),
                    database: None,
                    field: if *has_brokers && port.is_some() { Field::Brokers } else { field },
                },
            };
            Some(Found { start: at, end, segments: vec![segment] })
        }
    }
}

/// The part of a URL that ends where a host begins.
struct UrlBefore<'t> {
    start: usize,
    scheme: &'t str,
    userinfo: Option<&'t str>,
}

fn url_before(before: &str) -> Option<UrlBefore<'_>> {
    let separator = before.rfind("://")?;
    let between = &before[separator + 3..];
    let userinfo = match between.strip_suffix('@') {
        _ if between.is_empty() => None,
        Some(userinfo) if !userinfo.contains(['/', ' ', ',']) => Some(userinfo),
        _ => return None,
    };
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-' | ':');
    let start = before[..separator].rfind(|c: char| !is_scheme(c)).map_or(0, |at| at + 1);
    Some(UrlBefore { start, scheme: &before[start..separator], userinfo })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> BTreeMap<String, Host> {
        let server = |url: &str, has_brokers| Host::Server { url: url.to_owned(), has_brokers };
        BTreeMap::from([
            ("api".to_owned(), Host::Service),
            ("api-v2".to_owned(), Host::Service),
            ("db".to_owned(), server("postgresql://{username}:{password}@{host}:{port}/{database}", false)),
            ("redis".to_owned(), server("redis://:{password}@{host}:{port}/{database}", false)),
            ("kafka".to_owned(), server("kafka://{host}:{port}", true)),
        ])
    }

    fn read(value: &str) -> String {
        let segments = segments(value, true, &hosts());
        let shown = segments.iter().map(|segment| match segment {
            Segment::Text(text) => text.clone(),
            Segment::Service { name, port, field } => {
                format!("<{name}{}.{}>", port.map(|port| format!(":{port}")).unwrap_or_default(), field.as_str())
            }
            Segment::Database { server, database, field } => {
                format!(
                    "<{server}{}.{}>",
                    database.as_ref().map(|name| format!("/{name}")).unwrap_or_default(),
                    field.as_str()
                )
            }
            Segment::Secret(name) => format!("<secret {name}>"),
        });
        shown.collect()
    }

    #[test]
    fn services_are_found_in_urls_addresses_and_hosts() {
        for (value, expected) in [
            ("http://api:3000/v1", "<api:3000.url>/v1"),
            ("http://api", "<api.url>"),
            ("https://api:3000", "https://<api:3000.addr>"),
            ("ws://api:3000/socket", "ws://<api:3000.addr>/socket"),
            ("api:3000", "<api:3000.addr>"),
            ("api", "<api.host>"),
            ("a=http://api:1,b=http://api-v2:2", "a=<api:1.url>,b=<api-v2:2.url>"),
            ("http://api.example.com/", "http://api.example.com/"),
            ("an api key", "an api key"),
            ("/api/v1", "/api/v1"),
            ("my-api:3000", "my-api:3000"),
        ] {
            assert_eq!(read(value), expected);
        }
    }

    #[test]
    fn databases_are_found_with_the_scheme_that_the_client_wants() {
        for (value, expected) in [
            ("postgresql://u:p@db:5432/app", "<db/app.url>"),
            ("postgres://u:p@db/app?sslmode=disable", "<db/app.url>?sslmode=disable"),
            (
                "postgresql+psycopg://u:p@db:5432/app",
                "postgresql+psycopg://<db/app.username>:<db/app.password>@<db/app.addr>/<db/app.database>",
            ),
            ("jdbc:postgresql://db:5432/app", "jdbc:postgresql://<db/app.addr>/<db/app.database>"),
            ("redis://redis:6379/0", "<redis/0.url>"),
            ("redis://redis", "<redis.url>"),
            ("kafka:9092", "<kafka.brokers>"),
            ("db:5432", "<db.addr>"),
            ("db", "<db.host>"),
        ] {
            assert_eq!(read(value), expected);
        }
    }
}
