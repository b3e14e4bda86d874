//! The schema of `clustergraph.lock`.

use serde_json::Value;

use super::types::{LABEL, Object, integer, named, named_by, pattern, text};

pub(super) fn lock() -> Value {
    Object::new("clustergraph.lock")
        .must("scheme", "The number of the scheme by which ids are computed.", integer(1, 1_000_000))
        .may(
            "images",
            "Digests of images, by their names.",
            named(pattern("^sha256:[0-9a-f]{64}$"), "The digest to which it is pinned."),
        )
        .may("stacks", "Hashes of stacks' definitions, by name.", named_by(LABEL, pattern("^[0-9a-f]{64}$")))
        .may("tools", "Least versions of programs, by name.", named(text(), "The version that stacks ask for."))
        .build()
}
