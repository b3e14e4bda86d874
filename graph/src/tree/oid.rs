//! The ids that git gives objects, in both of its formats, and the hashes behind them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The id of an object: a SHA-1, or a SHA-256 in repositories of that format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid {
    format: Format,
    bytes: [u8; 32],
}

/// What a repository's ids are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Format {
    Sha1,
    Sha256,
}

impl Format {
    /// The length of an id in bytes.
    pub(super) fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

impl Oid {
    /// An id from its bytes; `None` when they are of neither format.
    pub(super) fn of_bytes(raw: &[u8]) -> Option<Self> {
        let format = match raw.len() {
            20 => Format::Sha1,
            32 => Format::Sha256,
            _ => return None,
        };
        let mut bytes = [0; 32];
        bytes.get_mut(..raw.len())?.copy_from_slice(raw);
        Some(Self { format, bytes })
    }

    /// An id from its hexadecimal digits; `None` when they are none.
    pub(crate) fn of_digits(digits: &str) -> Option<Self> {
        Self::of_bytes(&hex::decode(digits).ok()?)
    }

    /// The id of a tree object of this content.
    pub(super) fn of_tree(format: Format, content: &[u8]) -> Self {
        Self::of_object("tree", format, content)
    }

    /// The id of an object of this kind and content (gitformat: loose objects).
    fn of_object(kind: &str, format: Format, content: &[u8]) -> Self {
        let header = format!("{kind} {}\0", content.len());
        let mut bytes = [0; 32];
        match format {
            Format::Sha1 => {
                let hash = Sha1::new().chain_update(header).chain_update(content).finalize();
                bytes[..20].copy_from_slice(&hash);
            }
            Format::Sha256 => bytes = Sha256::new().chain_update(header).chain_update(content).finalize().into(),
        }
        Self { format, bytes }
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.format.length()]
    }

    /// Whether it is the id of a file that holds this.
    pub(super) fn is_of_file(&self, content: &[u8]) -> bool {
        *self == Self::of_object("blob", self.format, content)
    }

    /// Whether it is the id of a file that holds nothing.
    pub(crate) fn is_empty_file(&self) -> bool {
        self.is_of_file(&[])
    }

    /// Whether it is the id of a tree that holds nothing.
    pub(super) fn is_empty_tree(&self) -> bool {
        const SHA1: [u8; 4] = [0x4b, 0x82, 0x5d, 0xc6];
        const SHA256: [u8; 4] = [0x6e, 0xf1, 0x9b, 0x41];
        // Most ids differ in the first bytes: the hash is asked for those that may be it.
        let start = match self.format {
            Format::Sha1 => SHA1,
            Format::Sha256 => SHA256,
        };
        self.bytes.starts_with(&start) && *self == Self::of_tree(self.format, &[])
    }
}

impl From<git2::Oid> for Oid {
    fn from(oid: git2::Oid) -> Self {
        let mut bytes = [0; 32];
        let raw = oid.as_bytes();
        bytes[..raw.len()].copy_from_slice(raw);
        Self { format: if raw.len() == 32 { Format::Sha256 } else { Format::Sha1 }, bytes }
    }
}

/// By its bytes.
impl Serialize for Oid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.as_bytes())
    }
}

impl<'de> Deserialize<'de> for Oid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        Self::of_bytes(bytes).ok_or_else(|| serde::de::Error::custom("an id of no known length"))
    }
}

impl std::fmt::Display for Oid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut digits = [0; 64];
        let digits = &mut digits[..2 * self.format.length()];
        // The room is exactly what the bytes need.
        let _ = hex::encode_to_slice(self.as_bytes(), digits);
        f.write_str(std::str::from_utf8(digits).unwrap_or_default())
    }
}

impl std::fmt::Debug for Oid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_has_the_ids_that_git_gives_it() {
        let known = [
            (Format::Sha1, "4b825dc642cb6eb9a060e54bf8d69288fbee4904"),
            (Format::Sha256, "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"),
        ];
        for (format, digits) in known {
            let oid = Oid::of_tree(format, &[]);
            assert_eq!(oid.to_string(), digits);
            assert!(oid.is_empty_tree());
            assert_eq!(Oid::of_digits(digits), Some(oid));
            assert!(!Oid::of_tree(format, b"x").is_empty_tree());
            assert!(!oid.is_empty_file());
        }
        for digits in [
            "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
            "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
        ] {
            assert!(Oid::of_digits(digits).unwrap().is_empty_file());
        }
        assert_eq!(Oid::of_digits("4b82"), None);
    }
}
