//! A picture on the terminal: a line for each unit with its state, a spinner while it works, its time, its address.

use std::collections::BTreeMap;
use std::time::Duration;

use clustergraph::graph::Unit;
use clustergraph::plan::Step;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::plain::{line, seconds};
use crate::console::{self, BOLD, GREEN, RED, paint};
use crate::protocol::{Event, State};

/// Reports by drawing.
pub(crate) struct Live {
    screen: MultiProgress,
    bars: BTreeMap<Unit, ProgressBar>,
    whole: Option<ProgressBar>,
    began: std::time::Instant,
    failed: bool,
}

impl Live {
    pub(crate) fn new() -> Self {
        let began = std::time::Instant::now();
        Self { screen: MultiProgress::new(), bars: BTreeMap::new(), whole: None, began, failed: false }
    }

    pub(crate) fn report(&mut self, event: &Event) {
        match event {
            Event::Plan { steps } => self.plan(steps),
            Event::State { unit, state, detail, elapsed_ms } => self.state(unit, *state, detail, *elapsed_ms),
            Event::Note { text } => {
                let _ = self.screen.println(text);
            }
            Event::End { .. } => self.end(),
            _ => {}
        }
    }

    fn plan(&mut self, steps: &[Step]) {
        if steps.is_empty() {
            console::note("nothing to do");
            return;
        }
        let width = steps.iter().map(|step| step.unit.to_string().len()).max().unwrap_or(0);
        for step in steps {
            let bar = self.screen.add(ProgressBar::new_spinner());
            bar.set_style(style(if console::has_colour() {
                "{spinner:.yellow} {prefix} {wide_msg:.dim}"
            } else {
                "{spinner} {prefix} {wide_msg}"
            }));
            bar.set_prefix(format!("{:width$}", step.unit.to_string()));
            bar.set_message(step.reason.clone());
            self.bars.insert(step.unit.clone(), bar);
        }
        let whole = self.screen.add(ProgressBar::new(steps.len() as u64));
        whole.set_style(style("  [{bar:20}] {pos}/{len} {elapsed}").progress_chars("=> "));
        whole.enable_steady_tick(Duration::from_millis(100));
        self.whole = Some(whole);
    }

    fn state(&mut self, unit: &Unit, state: State, detail: &str, elapsed_ms: u64) {
        let Some(bar) = self.bars.get(unit) else {
            let _ = self.screen.println(drawn(&line(&unit.to_string(), state, detail, elapsed_ms)));
            return;
        };
        let detail = detail.lines().next().unwrap_or_default();
        match state {
            State::Waiting => {}
            State::Starting | State::Stopping => {
                bar.enable_steady_tick(Duration::from_millis(100));
                bar.set_message(detail.to_owned());
            }
            _ => {
                let (mark, colour) = match state {
                    State::Failed | State::Skipped => ("✗", RED),
                    _ => ("✓", GREEN),
                };
                self.failed |= matches!(state, State::Failed | State::Skipped);
                bar.set_style(style(&format!("{} {{prefix}} {{wide_msg}}", drawn(&paint(mark, colour)))));
                bar.disable_steady_tick();
                bar.finish_with_message(format!("{} {} {detail}", state.as_str(), seconds(elapsed_ms)));
                if let Some(whole) = &self.whole {
                    whole.inc(1);
                }
            }
        }
    }

    /// Leaves what is drawn as it is.
    pub(crate) fn clear(&mut self) {
        for bar in self.bars.values().filter(|bar| !bar.is_finished()) {
            bar.abandon();
        }
        if let Some(whole) = self.whole.take() {
            whole.finish_and_clear();
        }
    }

    fn end(&mut self) {
        let Some(whole) = self.whole.take() else { return };
        whole.finish_and_clear();
        let elapsed = seconds(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX));
        let words = if self.failed { paint("failed", RED) } else { paint("done", GREEN) };
        console::note(&format!("{words} in {}", paint(&elapsed, BOLD)));
    }
}

/// A text as the picture takes it, which is drawn past the streams that take styles out.
fn drawn(text: &str) -> String {
    if console::has_colour() { text.to_owned() } else { anstream::adapter::strip_str(text).to_string() }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
