//! What a person or a program sees of what the supervisor tells.

mod frame;
mod live;
mod plain;
mod table;

use clustergraph::plan::{Action, Step};

use crate::console::{self, CYAN, DIM, RED, YELLOW, paint};
use crate::protocol::{Event, Keeps};

pub(crate) use table::{ago, table};

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// For programs: stable, with the number of its schema
    Json,
}

/// One of the ways to report.
pub(crate) enum Reporter {
    /// One JSON value a line, on standard output.
    Json,
    /// The plan alone, as data: it is what a dry run is asked for.
    Plan,
    /// A line for each change.
    Plain(plain::Plain),
    /// A picture that is drawn again and again.
    Live(live::Live),
}

impl Reporter {
    pub(crate) fn new(output: Output, dry_run: bool) -> Self {
        match output {
            Output::Json => Self::Json,
            Output::Text if dry_run => Self::Plan,
            Output::Text if console::is_live() => Self::Live(live::Live::new()),
            Output::Text => Self::Plain(plain::Plain),
        }
    }

    /// Ends the drawing: something else is shown from here on.
    pub(crate) fn clear(&mut self) {
        if let Self::Live(live) = self {
            live.clear();
        }
    }

    pub(crate) fn report(&mut self, event: &Event) {
        if matches!(event, Event::Before { .. }) {
            return; // between a command and its supervisor
        }
        match self {
            Self::Json => {
                let line = Line { schema: "ssi.event/1", event };
                console::data(&serde_json::to_string(&line).unwrap_or_default());
            }
            Self::Plan => {
                if let Event::Plan { steps, keeps } = event {
                    console::data(&plan(steps, keeps));
                }
            }
            Self::Plain(plain) => plain.report(event),
            Self::Live(live) => live.report(event),
        }
    }
}

/// An event as programs read it: each line says by itself what it is.
#[derive(serde::Serialize)]
struct Line<'a> {
    schema: &'static str,
    #[serde(flatten)]
    event: &'a Event,
}

/// A plan for people: each step with its reason, and what runs on where that may surprise.
fn plan(steps: &[Step], keeps: &[Keeps]) -> String {
    let units = steps.iter().map(|step| &step.unit).chain(keeps.iter().map(|keeps| &keeps.unit));
    let width = units.map(|unit| unit.to_string().len()).max().unwrap_or(0);
    let lines = steps.iter().map(|step| {
        let (verb, style) = match step.action {
            Action::Start => ("start  ", CYAN),
            Action::Restart => ("restart", YELLOW),
            Action::Stop => ("stop   ", RED),
        };
        let unit = step.unit.to_string();
        format!("{} {unit:width$}  {}", paint(verb, style), paint(&step.reason, DIM))
    });
    let kept = keeps.iter().map(|keeps| {
        let unit = keeps.unit.to_string();
        format!("{} {unit:width$}  {}", paint("keep   ", DIM), paint(&keeps.reason, DIM))
    });
    let nothing = steps.is_empty().then(|| "nothing to do".to_owned());
    nothing.into_iter().chain(lines).chain(kept).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_for_programs_says_its_schema() {
        let line = Line { schema: "ssi.event/1", event: &Event::Note { text: "hello".into() } };
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(text, r#"{"schema":"ssi.event/1","event":"note","text":"hello"}"#);
    }
}
