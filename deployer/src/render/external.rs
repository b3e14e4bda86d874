//! Databases that somebody else runs: where they are and who may enter, a Secret says, key by key.

use clustergraph::catalogue::DatabaseKind;
use clustergraph::graph::{Database, Graph};
use clustergraph::wiring::{Hole, Piece, Value};

use super::Scene;
use super::catalogue::kind;
use crate::error::Result;

/// The key of the whole URL.
const URL: &str = "url";
/// The key of the list of brokers.
const BROKERS: &str = "brokers";

/// A database of a graph that somebody else runs, and what its Secret must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct External {
    /// Its address.
    pub(crate) address: String,
    /// The Secret's name.
    pub(crate) secret: String,
    /// The keys that it must have: one for each part that services of its kind are wired to.
    pub(crate) keys: Vec<&'static str>,
}

/// The databases of a cluster that somebody else runs.
pub(crate) fn externals(graph: &Graph, cluster: &str) -> Result<Vec<External>> {
    let found =
        graph.databases.values().filter_map(|database| Some((database, secret(graph, cluster, &database.address)?)));
    found
        .map(|(database, secret)| {
            let keys = keys(kind(graph, database)?);
            Ok(External { address: database.address.clone(), secret: secret.to_owned(), keys })
        })
        .collect()
}

/// Whether this very cluster leaves a database to somebody else.
pub(crate) fn is_external(graph: &Graph, cluster: &str, database: &Database) -> bool {
    secret(graph, cluster, &database.address).is_some()
}

fn secret<'g>(graph: &'g Graph, cluster: &str, address: &str) -> Option<&'g str> {
    graph.repository.clusters.get(cluster)?.databases.get(address).map(|external| external.secret.as_str())
}

/// What a Secret must say of a database of this kind.
fn keys(kind: &DatabaseKind) -> Vec<&'static str> {
    let given = ["username", "password", "database"].into_iter().filter(|name| kind.gives(name));
    [URL, "host", "port"].into_iter().chain(given).chain(kind.brokers.is_some().then_some(BROKERS)).collect()
}

/// One part of a variable's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part<'v> {
    /// Text as it is.
    Text(&'v str),
    /// What this cluster knows.
    Hole(&'v Hole),
    /// A key of a Secret: of what, and which.
    Key(String, &'static str),
}

impl Scene<'_> {
    /// The Secret of a database that somebody else runs.
    pub(super) fn external(&self, address: &str) -> Option<&str> {
        secret(self.graph, self.cluster, address)
    }

    /// A variable's value in which all of external databases is a key of their Secrets.
    ///
    /// A URL is taken whole: only who runs the database knows which characters of a password are to be written otherwise there,
    /// and what its query says. So a query of ours is left out.
    pub(super) fn parts<'v>(&self, value: &'v Value) -> Vec<Part<'v>> {
        let mut parts = Vec::new();
        let mut rest = value.pieces.as_slice();
        let mut skipped = 0;
        while let Some((piece, after)) = rest.split_first() {
            let text = match piece {
                Piece::Text(text) => text.get(skipped..).unwrap_or_default(),
                Piece::Hole(_) => "",
            };
            skipped = 0;
            if let (Piece::Text(_), Some(found)) = (piece, self.url(text, after)) {
                parts.push(Part::Text(found.before));
                parts.push(Part::Key(found.address.to_owned(), URL));
                rest = after.get(found.pieces..).unwrap_or_default();
                skipped = found.skipped;
                continue;
            }
            parts.push(match piece {
                Piece::Text(_) => Part::Text(text),
                Piece::Hole(hole) => self.key(hole).unwrap_or(Part::Hole(hole)),
            });
            rest = after;
        }
        parts.retain(|part| *part != Part::Text(""));
        parts
    }

    /// What a hole is when it is of an external database.
    fn key<'v>(&self, hole: &'v Hole) -> Option<Part<'v>> {
        let (address, key) = of_database(hole)?;
        self.external(address).map(|_| Part::Key(address.to_owned(), key))
    }

    /// The URL of an external database that begins at the end of `text` and goes on with `after`.
    fn url<'v>(&self, text: &'v str, after: &'v [Piece]) -> Option<Url<'v>> {
        let Some(Piece::Hole(first)) = after.first() else { return None };
        let (address, _) = of_database(first)?;
        self.external(address)?;
        let kind = kind(self.graph, self.graph.databases.get(address)?).ok()?;
        let (scheme, mut wanted) = kind.url.split_once('{')?;
        let before = text.strip_suffix(scheme)?;
        let mut at = 0;
        loop {
            let (name, more) = wanted.split_once('}')?;
            let Some(Piece::Hole(hole)) = after.get(at) else { return None };
            if of_database(hole) != Some((address, of_url(name)?)) {
                return None;
            }
            at += 1;
            let next = match after.get(at) {
                Some(Piece::Text(text)) => text.as_str(),
                _ => "",
            };
            match more.split_once('{') {
                Some((between, rest)) if next == between => {
                    at += 1;
                    wanted = rest;
                }
                Some(_) => return None,
                None => {
                    let query = next.strip_prefix(more)?;
                    let is_query = |c: char| c.is_ascii_alphanumeric() || "-._~%=&".contains(c);
                    let length = query
                        .strip_prefix('?')
                        .map_or(0, |query| 1 + query.find(|c: char| !is_query(c)).unwrap_or(query.len()));
                    return Some(Url { before, address, pieces: at, skipped: more.len() + length });
                }
            }
        }
    }
}

/// A URL among pieces.
struct Url<'v> {
    before: &'v str,
    address: &'v str,
    /// How many pieces it takes as a whole.
    pieces: usize,
    /// The bytes that it takes of the text after them.
    skipped: usize,
}

/// The database that a hole asks of, and the key of what it asks.
fn of_database(hole: &Hole) -> Option<(&str, &'static str)> {
    Some(match hole {
        Hole::DatabaseHost(address) => (address, "host"),
        Hole::DatabasePort(address) => (address, "port"),
        Hole::DatabaseUsername(address) => (address, "username"),
        Hole::DatabasePassword(address) => (address, "password"),
        Hole::DatabaseName(address) => (address, "database"),
        Hole::DatabaseBrokers(address) => (address, BROKERS),
        _ => return None,
    })
}

/// The key of what a URL's text names.
fn of_url(name: &str) -> Option<&'static str> {
    ["host", "port", "username", "password", "database"].into_iter().find(|known| *known == name)
}
