//! One way to write a value down, so that equal values have equal hashes.
//!
//! The text is JSON with sorted keys and no blanks. What it is made from is listed field by field where a
//! key is computed: a field that is added to a struct changes no identity until someone decides it should.

use serde::ser::{Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The number of the scheme by which ids are computed; part of every hash, so that two schemes never meet.
pub const SCHEME: u32 = 2;

/// The hash of a value under a name that keeps different uses apart.
pub(crate) fn hash(use_: &str, value: &impl Serialize) -> [u8; 32] {
    let mut text = Vec::with_capacity(1024);
    // Writing into memory what has text keys only cannot fail; if it did, the rest would still be hashed.
    let _ = serde_json::to_writer(&mut text, value);
    debug_assert!(is_sorted(&text), "{}", String::from_utf8_lossy(&text));
    let mut hasher = Sha256::new();
    hasher.update(SCHEME.to_string());
    hasher.update([0]);
    hasher.update(use_);
    hasher.update([0]);
    hasher.update(text);
    hasher.finalize().into()
}

/// Whether all keys are sorted, as serde_json's own maps are while its `preserve_order` feature is off: a test holds that.
fn is_sorted(text: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(text).is_ok_and(|value| value.to_string().as_bytes() == text)
}

/// A map that is written from its pairs, which come sorted.
pub(crate) struct Pairs<I>(pub(crate) I);

impl<K: Serialize, V: Serialize, I: Iterator<Item = (K, V)> + Clone> Serialize for Pairs<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":2}"#).unwrap();
        let other: Value = serde_json::from_str(r#"{ "b": 2, "a": 1 }"#).unwrap();
        assert_eq!(hash("x", &one), hash("x", &other));
        assert_ne!(hash("x", &one), hash("y", &one));
        assert_ne!(hash("x", &json!("1")), hash("x", &json!(1)));
    }
}
