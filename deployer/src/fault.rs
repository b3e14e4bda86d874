//! Places where a test lets the program die, as `kill -9` would: no destructor runs, nothing is given back. Or stop, as a
//! machine does that is put to sleep. Only in builds with debug assertions.

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

/// The place before the request of this number among those that change something: between any two of them nothing can be
/// different, so that all of them together are every step there is.
pub(crate) fn before_write(number: u64) {
    if cfg!(debug_assertions) {
        point(&format!("write-{number}"));
    }
}
