//! A line for each change: for pipes and files.

use crate::console::{self, DIM, GREEN, RED, YELLOW, paint};
use crate::protocol::{Event, State};

/// Reports in lines.
pub(crate) struct Plain;

impl Plain {
    pub(crate) fn report(&self, event: &Event) {
        match event {
            Event::Plan { steps, .. } if steps.is_empty() => console::note("nothing to do"),
            Event::State { unit, state, detail, elapsed_ms } => {
                console::note(&line(&unit.to_string(), *state, detail, *elapsed_ms))
            }
            Event::Note { text } => console::note(text),
            _ => {}
        }
    }
}

/// One change in one line; only the first line of a cause, the rest comes at the end.
pub(super) fn line(unit: &str, state: State, detail: &str, elapsed_ms: u64) -> String {
    let detail = detail.lines().next().unwrap_or_default();
    let (mark, style) = match state {
        State::Ready | State::Done => ("+", GREEN),
        State::Failed | State::Skipped => ("!", RED),
        State::Starting | State::Stopping | State::Waiting => (".", YELLOW),
        State::Stopped | State::Unknown => ("-", DIM),
    };
    let elapsed = match state {
        State::Ready | State::Done | State::Failed | State::Stopped => format!(" {}", seconds(elapsed_ms)),
        _ => String::new(),
    };
    let detail = if detail.is_empty() { String::new() } else { format!("  {}", paint(detail, DIM)) };
    format!("{} {unit} {}{elapsed}{detail}", paint(mark, style), paint(state.as_str(), style))
}

/// Milliseconds as a person reads them.
pub(super) fn seconds(ms: u64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1000, ms % 1000 / 100) }
}
