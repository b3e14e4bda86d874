//! What a service finds in its environment. One function for both programs: the same names and shapes on a
//! laptop and on a cluster, only hosts, ports and passwords differ.

mod database;
mod environment;
mod expression;

use serde::{Deserialize, Serialize, Serializer};

pub(crate) use environment::{Files, Scene, address, environment};
pub(crate) use expression::filled;

/// A variable's value before hosts, ports and passwords are known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Value {
    /// Texts and holes, in order.
    pub pieces: Vec<Piece>,
}

/// One piece of a [`Value`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// Text as it is.
    Text(String),
    /// Something that each runtime knows.
    Hole(Hole),
}

/// What each runtime knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Hole {
    /// The host at which a service is reached.
    ServiceHost(String),
    /// The port (by the service's name and the port's name) at which a service is reached.
    ServicePort(String, String),
    /// The port on which the service itself listens, by the port's name.
    OwnPort(String),
    /// The host of a logical database, by its address.
    DatabaseHost(String),
    /// The port of a logical database.
    DatabasePort(String),
    /// The user of a logical database.
    DatabaseUsername(String),
    /// The user's password: whatever holds it is secret.
    DatabasePassword(String),
    /// The name of a logical database inside its server.
    DatabaseName(String),
    /// All hosts and ports of a logical database's servers.
    DatabaseBrokers(String),
    /// A secret of the service's own, by its name: whatever holds it is secret.
    Secret(String),
    /// Where the world reaches a service.
    PublicUrl(String),
    /// Where a volume of the service's own lies, by its name.
    VolumePath(String),
    /// The service's own short id.
    Version,
}

impl Value {
    /// A value without holes.
    pub fn text(text: impl Into<String>) -> Self {
        Self { pieces: vec![Piece::Text(text.into())] }
    }

    fn hole(hole: Hole) -> Self {
        Self { pieces: vec![Piece::Hole(hole)] }
    }

    /// The value with its holes filled.
    ///
    /// # Errors
    /// The first error of `fill`.
    pub fn resolve<E>(&self, mut fill: impl FnMut(&Hole) -> Result<String, E>) -> Result<String, E> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(words) => text.push_str(words),
                Piece::Hole(hole) => text.push_str(&fill(hole)?),
            }
        }
        Ok(text)
    }

    /// Whether the filled value must not be shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.holes().any(|hole| matches!(hole, Hole::DatabasePassword(_) | Hole::Secret(_)))
    }

    /// The holes, in order.
    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Hole(hole) => Some(hole),
            Piece::Text(_) => None,
        })
    }

    /// The value as identities see it: holes by what they ask for, never by what fills them.
    #[must_use]
    pub fn placeholder(&self) -> Placeholder<'_> {
        Placeholder(self)
    }

    fn then(mut self, other: Self) -> Self {
        self.extend(other);
        self
    }

    /// Adds pieces. Texts beside each other become one: equal values have equal pieces.
    fn extend(&mut self, other: Self) {
        for piece in other.pieces {
            match (self.pieces.last_mut(), piece) {
                (_, Piece::Text(more)) if more.is_empty() => {}
                (Some(Piece::Text(text)), Piece::Text(more)) => text.push_str(&more),
                (_, piece) => self.pieces.push(piece),
            }
        }
    }
}

impl Hole {
    /// The service whose address it asks for.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::ServiceHost(name) | Self::ServicePort(name, _) | Self::PublicUrl(name) => Some(name),
            _ => None,
        }
    }
}

/// A [`Value`] whose holes are not filled, to be written down.
#[derive(Debug, Clone, Copy)]
pub struct Placeholder<'v>(&'v Value);

impl Serialize for Placeholder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Words<'p>(&'p Piece);
        impl Serialize for Words<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self.0)
            }
        }
        serializer.collect_seq(self.0.pieces.iter().map(Words))
    }
}

/// What it says or asks for, in words that are part of identities: a renamed variant must not change them.
impl std::fmt::Display for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "text:{text}"),
            Self::Hole(hole) => match hole {
                Hole::ServiceHost(service) => write!(f, "service-host:{service}"),
                Hole::ServicePort(service, port) => write!(f, "service-port:{service}:{port}"),
                Hole::OwnPort(port) => write!(f, "own-port:{port}"),
                Hole::DatabaseHost(address) => write!(f, "database-host:{address}"),
                Hole::DatabasePort(address) => write!(f, "database-port:{address}"),
                Hole::DatabaseUsername(address) => write!(f, "database-username:{address}"),
                Hole::DatabasePassword(address) => write!(f, "database-password:{address}"),
                Hole::DatabaseName(address) => write!(f, "database-name:{address}"),
                Hole::DatabaseBrokers(address) => write!(f, "database-brokers:{address}"),
                Hole::Secret(name) => write!(f, "secret:{name}"),
                Hole::PublicUrl(service) => write!(f, "public-url:{service}"),
                Hole::VolumePath(name) => write!(f, "volume-path:{name}"),
                Hole::Version => f.write_str("version"),
            },
        }
    }
}

/// `order-db` as a variable's first part: `ORDER_DB`.
#[must_use]
pub fn variable_prefix(alias: &str) -> String {
    let upper = upper(alias);
    if upper.starts_with(|c: char| c.is_ascii_digit()) { format!("_{upper}") } else { upper }
}

/// A name as a variable's further part, where a digit may lead.
fn upper(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}
