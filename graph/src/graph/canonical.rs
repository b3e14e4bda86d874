//! One way to write a value down, so that equal values have equal hashes.
//!
//! The text is JSON with sorted keys and no blanks. What it is made from is listed field by field where a
//! key is computed: a field that is added to a struct changes no identity until someone decides it should.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The number of the scheme below; part of every hash, so that two schemes never meet.
pub(crate) const SCHEME: &str = "2";

/// The hash of a value under a name that keeps different uses apart.
pub(crate) fn hash(use_: &str, value: &Value) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(SCHEME);
    hasher.update([0]);
    hasher.update(use_);
    hasher.update([0]);
    // serde_json's maps are sorted by key as long as its `preserve_order` feature is off: a test holds that.
    hasher.update(value.to_string());
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":2}"#).unwrap();
        let other: Value = serde_json::from_str(r#"{ "b": 2, "a": 1 }"#).unwrap();
        assert_eq!(hash("x", &one), hash("x", &other));
        assert_ne!(hash("x", &one), hash("y", &one));
        assert_ne!(hash("x", &json!("1")), hash("x", &json!(1)));
    }
}
