//! The terminal of standard input, changed for a while.

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// A terminal that behaves otherwise until this is dropped; what is no terminal stays as it is.
pub(crate) struct Changed(Option<Termios>);

impl Changed {
    /// Changes it.
    pub(crate) fn with(change: impl FnOnce(&mut Termios)) -> Self {
        let Ok(before) = tcgetattr(std::io::stdin()) else { return Self(None) };
        let mut now = before.clone();
        change(&mut now);
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &now);
        Self(Some(before))
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}
