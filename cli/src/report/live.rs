//! A picture on the terminal that is drawn again and again: a line for each unit with its state, a spinner while
//! it works, its time, its address.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clustergraph::plan::Step;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::frame::Frame;
use super::plain::{line, seconds};
use crate::console::{self, BOLD, GREEN, RED, paint};
use crate::protocol::Event;

/// How often the picture is drawn.
const DRAW: Duration = Duration::from_millis(100);

/// Reports by drawing.
pub(crate) struct Live {
    began: Instant,
    drawing: Option<Drawing>,
}

/// A picture that is on the terminal: one bar whose text is the whole of it.
struct Drawing {
    frame: Arc<Mutex<Frame>>,
    bar: ProgressBar,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), drawing: None }
    }

    pub(crate) fn report(&mut self, event: &Event) {
        match event {
            Event::Plan { steps, .. } => self.plan(steps),
            Event::State { unit, state, detail, elapsed_ms } => {
                let known = self.drawing.as_ref().filter(|drawing| drawing.lock().knows(unit));
                match known {
                    Some(drawing) => {
                        drawing.lock().change(unit, *state, detail, *elapsed_ms, Instant::now());
                        drawing.bar.tick();
                    }
                    None => self.say(&line(&unit.to_string(), *state, detail, *elapsed_ms)),
                }
            }
            Event::Note { text } => self.say(text),
            Event::End { .. } => self.end(),
            _ => {}
        }
    }

    fn say(&self, text: &str) {
        match &self.drawing {
            Some(drawing) => drawing.bar.println(drawn(text)),
            None => console::note(text),
        }
    }

    fn plan(&mut self, steps: &[Step]) {
        if steps.is_empty() {
            console::note("nothing to do");
            return;
        }
        let frame = Arc::new(Mutex::new(Frame::of(steps)));
        let bar = ProgressBar::new_spinner();
        let (seen, began) = (Arc::clone(&frame), self.began);
        let picture = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let elapsed = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let frame = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let (width, height) = (console::width(), console::height());
            let lines = frame.lines(width, height.saturating_sub(1), elapsed, Instant::now());
            let _ = out.write_str(&drawn(&lines.join("\n")));
        };
        let style = ProgressStyle::with_template("{picture}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        bar.set_style(style.with_key("picture", picture));
        bar.enable_steady_tick(DRAW);
        self.drawing = Some(Drawing { frame, bar });
    }

    /// Leaves the last picture as it is: something else is shown from here on.
    pub(crate) fn clear(&mut self) {
        let Some(Drawing { frame, bar }) = self.drawing.take() else { return };
        bar.finish_and_clear();
        let frame = frame.lock().unwrap_or_else(PoisonError::into_inner);
        console::note(&frame.ending(console::width(), Instant::now()).join("\n"));
    }

    fn end(&mut self) {
        let Some(drawing) = &self.drawing else { return };
        let words = if drawing.lock().has_failed() { paint("failed", RED) } else { paint("done", GREEN) };
        self.clear();
        let elapsed = seconds(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX));
        console::note(&format!("{words} in {}", paint(&elapsed, BOLD)));
    }
}

impl Drawing {
    fn lock(&self) -> std::sync::MutexGuard<'_, Frame> {
        self.frame.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A text as the picture takes it, which is drawn past the streams that take styles out.
fn drawn(text: &str) -> String {
    if console::has_colour() { text.to_owned() } else { anstream::adapter::strip_str(text).to_string() }
}
