//! Places where a test lets the program die, as `kill -9` would: no destructor runs, nothing is given back.
//! Only in builds with debug assertions.

/// Dies here if `KOMANDAN_FAULT` names this place.
pub(crate) fn point(name: &str) {
    if cfg!(debug_assertions) && std::env::var("KOMANDAN_FAULT").is_ok_and(|wanted| wanted == name) {
        std::process::abort();
    }
}
