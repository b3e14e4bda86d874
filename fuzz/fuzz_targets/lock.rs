//! Any bytes as a clustergraph.lock: read, and what is wrong told.
#![no_main]

use clustergraph::format::alone::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Format::Lock.problems(bytes).render(false, 100);
});
