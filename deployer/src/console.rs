//! The only place that writes to the terminal. Data goes to stdout, everything else to stderr.
//!
//! Steps are told as they happen: a live list on a terminal, plain lines in a pipe, JSON lines on stdout
//! with `--output json`.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use crate::error::Error;

/// The name of what `--output json` says, with its version: that of the command, or else of the event.
fn schema(value: &Value) -> String {
    let word = |name: &str| value.get(name).and_then(Value::as_str);
    let name = match (word("command"), word("event")) {
        (Some(command), _) => command,
        (None, Some(event @ ("plan" | "error"))) => event,
        _ => "event",
    };
    format!("komandan.{name}/1")
}

const DONE: Style = AnsiColor::Green.on_default().bold();
const FAILED: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// Between two lines of a step in a log.
const TOLD: Duration = Duration::from_secs(1);

/// The form of a command's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs: documents with a schema such as `komandan.status/1`, one a line.
    Json,
}

/// Where everything is said. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Console {
    inner: Arc<Inner>,
}

struct Inner {
    format: Format,
    live: Option<MultiProgress>,
}

impl Console {
    /// A console for this process's streams.
    pub(crate) fn new(format: Format) -> Self {
        let live = (format == Format::Text && std::io::stderr().is_terminal()).then(MultiProgress::new);
        Self { inner: Arc::new(Inner { format, live }) }
    }

    /// Whether data is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.inner.format == Format::Json
    }

    /// Data for people, on stdout. A reader that has gone away is no error.
    pub(crate) fn data(&self, text: &str) {
        let _ = self.try_data(text);
    }

    /// As [`Self::data`], for what would go on for ever: it ends when nobody reads any more.
    pub(crate) fn try_data(&self, text: &str) -> std::io::Result<()> {
        self.apart(|| writeln!(anstream::stdout(), "{}", text.trim_end_matches('\n')))
    }

    /// Data for programs, on stdout: an object that gets the schema, on one line.
    pub(crate) fn json(&self, value: Value) {
        let _ = self.try_json(value);
    }

    /// As [`Self::json`], for what would go on for ever.
    pub(crate) fn try_json(&self, value: Value) -> std::io::Result<()> {
        let mut document = json!({ "schema": schema(&value) });
        if let (Value::Object(document), Value::Object(value)) = (&mut document, value) {
            document.extend(value);
        }
        self.apart(|| writeln!(std::io::stdout().lock(), "{document}"))
    }

    /// A line for people, on stderr.
    pub(crate) fn note(&self, text: &str) {
        self.apart(|| {
            let _ = writeln!(anstream::stderr(), "{text}");
        });
    }

    /// The reason why the command ends, on stderr; on stdout as well for programs.
    pub(crate) fn error(&self, error: &Error) {
        if let Error::Graph(clustergraph::graph::BuildError::Problems(problems)) | Error::Lacks(problems) = error {
            if self.is_json() {
                self.json(json!({ "event": "error", "message": error.to_string(), "problems": problems.sorted() }));
            }
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            self.note(problems.render(colour, width(&std::io::stderr())).trim_end());
            return;
        }
        if self.is_json() {
            self.json(json!({ "event": "error", "message": error.to_string() }));
        }
        self.note(&format!("{FAILED}error{FAILED:#}: {error}"));
    }

    /// A line without an end, on stderr: a question to a person.
    pub(crate) fn ask(&self, text: &str) {
        self.apart(|| {
            let _ = write!(anstream::stderr(), "{text}");
            let _ = std::io::stderr().flush();
        });
    }

    /// Bytes as they are, on stdout: what another program writes.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Bytes as they are, on stderr.
    pub(crate) fn error_bytes(&self, bytes: &[u8]) -> std::io::Result<()> {
        std::io::stderr().lock().write_all(bytes)
    }

    /// A table for people, on stdout, that fits the terminal: the last column is cut where it must be.
    pub(crate) fn table(&self, head: &[&str], rows: &[Vec<String>]) {
        let out = std::io::stdout();
        let width = if out.is_terminal() { width(&out) } else { usize::MAX };
        self.data(&table(head, rows, width));
    }

    /// A line for people that is less than the others, on stderr.
    pub(crate) fn dim(&self, text: &str) {
        self.note(&format!("{DIM}{text}{DIM:#}"));
    }

    /// Tells that something has begun. What is dropped without an end was interrupted.
    pub(crate) fn step(&self, name: impl Into<String>, doing: &str) -> Step {
        self.step_at(None, name.into(), doing)
    }

    /// As [`Self::step`], in the line where it waited.
    pub(crate) fn step_at(&self, waiting: Option<Waiting>, name: String, doing: &str) -> Step {
        let bar = self.inner.live.as_ref().map(|live| {
            let bar = match waiting.and_then(|mut waiting| waiting.0.take()) {
                Some(bar) => bar,
                None => live.add(ProgressBar::new_spinner().with_prefix(name.clone())),
            };
            bar.set_style(spinner("  {spinner} {prefix}  {wide_msg:.dim} {elapsed:>4}"));
            bar.reset_elapsed();
            bar.set_message(doing.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        let step = Step {
            console: self.clone(),
            name,
            said: doing.to_owned(),
            started: Instant::now(),
            told: Instant::now(),
            bar,
        };
        step.event("started", doing);
        step
    }

    /// Shows how many of so many steps are over, for as long as it lives.
    pub(crate) fn overview(&self, steps: usize) -> Overview {
        let live = self.inner.live.as_ref().filter(|_| steps > 1);
        let bar = live.map(|live| {
            let bar = live.add(ProgressBar::new(steps as u64));
            bar.set_style(spinner("  {bar:24} {pos}/{len} {elapsed:.dim}"));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Overview {
            live: live.cloned(),
            bar,
            room: height(&std::io::stderr()).saturating_sub(ROOM).saturating_sub(steps),
        }
    }

    /// Writes past the live list.
    fn apart<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.inner.live {
            Some(live) => live.suspend(write),
            None => write(),
        }
    }
}

/// Lines of a terminal that are left for what was said before.
const ROOM: usize = 4;

/// A line of something that waits for its turn.
pub(crate) struct Waiting(Option<ProgressBar>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(line) = &self.0 {
            line.finish_and_clear();
        }
    }
}

/// How much of several steps is over.
pub(crate) struct Overview {
    live: Option<MultiProgress>,
    bar: Option<ProgressBar>,
    /// Lines that the terminal has beside one for each step.
    room: usize,
}

impl Overview {
    /// Shows something that waits, above the bar; not where the terminal is too low for all that do.
    pub(crate) fn waiting(&self, name: &str, why: &str) -> Option<Waiting> {
        let (live, bar) = (self.live.as_ref()?, self.bar.as_ref().filter(|_| self.room > 0)?);
        let line = live.insert_before(bar, ProgressBar::new_spinner().with_prefix(name.to_owned()));
        line.set_style(spinner("  · {prefix:.dim}  {wide_msg:.dim}"));
        line.set_message(why.to_owned());
        line.tick();
        Some(Waiting(Some(line)))
    }

    /// One more is over.
    pub(crate) fn advance(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }
}

impl Drop for Overview {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn spinner(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Something that takes a while.
pub(crate) struct Step {
    console: Console,
    name: String,
    said: String,
    started: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
}

impl Step {
    /// What it is doing now. Saying the same again is silence.
    pub(crate) fn doing(&mut self, doing: &str) {
        if self.said == doing {
            return;
        }
        match &self.bar {
            Some(bar) => bar.set_message(doing.to_owned()),
            None if self.console.is_json() => self.event("doing", doing),
            None if self.told.elapsed() > TOLD => {
                self.told = Instant::now();
                self.console.note(&format!("  ...   {}  {doing}", self.name));
            }
            // A log is not flooded with states that pass at once; one that stays is told when it is said again.
            None => return,
        }
        doing.clone_into(&mut self.said);
    }

    /// It is over, and well.
    pub(crate) fn done(self, how: &str) {
        self.end("done", DONE, "ok", how);
    }

    /// It is over, and not well.
    pub(crate) fn failed(self, why: &str) {
        let first = why.lines().next().unwrap_or_default().to_owned();
        self.end("failed", FAILED, "fail", &first);
    }

    fn end(self, state: &str, style: Style, mark: &str, how: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.console.is_json() {
            self.event(state, how);
            return;
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let name = &self.name;
        self.console.note(&format!("  {style}{mark:<4}{style:#}  {name}  {how}  {DIM}{seconds:.1} s{DIM:#}"));
    }

    fn event(&self, state: &str, how: &str) {
        if self.console.is_json() {
            let milliseconds = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.console.json(json!({
                "event": "step", "step": self.name, "state": state, "text": how, "elapsed_ms": milliseconds,
            }));
        }
    }
}

fn width(stream: &(impl IsTerminal + std::os::fd::AsFd)) -> usize {
    if !stream.is_terminal() {
        return 120;
    }
    rustix::termios::tcgetwinsize(stream)
        .map(|size| usize::from(size.ws_col))
        .ok()
        .filter(|width| *width > 0)
        .unwrap_or(80)
}

/// The lines of a terminal; none where there is none.
fn height(stream: &(impl IsTerminal + std::os::fd::AsFd)) -> usize {
    let size = rustix::termios::tcgetwinsize(stream).ok().filter(|_| stream.is_terminal());
    size.map_or(0, |size| usize::from(size.ws_row))
}

/// Columns as wide as their widest cell, two blanks between them.
fn table(head: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.width()).collect();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            if let Some(widest) = widths.get_mut(column) {
                *widest = (*widest).max(cell.width());
            }
        }
    }
    let mut text = String::new();
    let heads: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    for (number, row) in std::iter::once(&heads).chain(rows).enumerate() {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            line.push_str(cell);
            if column + 1 < row.len() {
                let padding = widths.get(column).unwrap_or(&0).saturating_sub(cell.width()) + 2;
                line.push_str(&" ".repeat(padding));
            }
        }
        let line = cut(line.trim_end(), width);
        if number == 0 {
            text.push_str(&format!("{DIM}{line}{DIM:#}\n"));
        } else {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

fn cut(line: &str, width: usize) -> String {
    if line.width() <= width {
        return line.to_owned();
    }
    let mut kept = String::new();
    for character in line.chars() {
        if kept.width() + character.to_string().width() + 3 > width {
            break;
        }
        kept.push(character);
    }
    kept + "..."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_carries_the_name_of_what_it_is() {
        for (value, name) in [
            (json!({ "command": "status" }), "komandan.status/1"),
            (json!({ "event": "result", "command": "deploy" }), "komandan.deploy/1"),
            (json!({ "event": "step", "step": "api" }), "komandan.event/1"),
            (json!({ "event": "plan" }), "komandan.plan/1"),
            (json!({ "event": "error" }), "komandan.error/1"),
        ] {
            assert_eq!(schema(&value), name);
        }
    }

    #[test]
    fn columns_line_up_and_lines_fit() {
        let rows = vec![vec!["api".into(), "a".into()], vec!["storefront".into(), "a long last column".into()]];
        let plain = anstream::adapter::strip_str(&table(&["NAME", "WHAT"], &rows, 20)).to_string();
        assert_eq!(plain, "NAME        WHAT\napi         a\nstorefront  a lon...\n");
    }
}
