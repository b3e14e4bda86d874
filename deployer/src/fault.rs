//! Places where a test lets the program die, as `kill -9` would: no destructor runs, nothing is given back. Or stop, as a
//! machine does that is put to sleep. Only in builds with debug assertions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Dies here if `KOMANDAN_FAULT` names this place. Stops here if `KOMANDAN_PAUSE` does, until somebody lets it go on.
pub(crate) fn point(name: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    let is_named = |variable: &str| std::env::var(variable).is_ok_and(|wanted| wanted == name);
    if is_named("KOMANDAN_FAULT") {
        std::process::abort();
    }
    if is_named("KOMANDAN_PAUSE") {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
        // It may be another thread that the signal meets first: this one must not go on meanwhile.
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// How many requests that change something this process has made, over all its connections.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// The place before the next request that changes something, by its number: between any two of them nothing can be different, so
/// that all of them together are every step there is.
pub(crate) fn before_write() {
    if cfg!(debug_assertions) {
        point(&format!("write-{}", WRITES.fetch_add(1, Ordering::Relaxed) + 1));
    }
}
