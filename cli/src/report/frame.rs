//! One picture of an `up` or `down` on its way, as lines of text: pure, so that every width and height is tested.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anstyle::Style;
use clustergraph::graph::{Unit, UnitKind};
use clustergraph::plan::Step;
use unicode_width::UnicodeWidthChar;

use super::plain::seconds;
use crate::console::{BOLD, CYAN, DIM, GREEN, RED, YELLOW, paint};
use crate::protocol::State;

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// How long one picture of the spinner stays.
const TURN_MS: u64 = 100;
/// Columns of a time.
const TIME: usize = 7;
/// Columns below which an address or a reason says nothing.
const DETAIL: usize = 8;

/// What is known of the units on their way.
#[derive(Default)]
pub(super) struct Frame {
    rows: Vec<Row>,
    at: BTreeMap<Unit, usize>,
}

struct Row {
    unit: Unit,
    name: String,
    /// Whether it belongs to the row above it.
    is_part: bool,
    after: BTreeSet<Unit>,
    state: State,
    detail: String,
    began: Option<Instant>,
    elapsed_ms: u64,
}

impl Row {
    fn is_over(&self) -> bool {
        matches!(self.state, State::Ready | State::Done | State::Stopped | State::Failed | State::Skipped)
    }

    fn is_bad(&self) -> bool {
        matches!(self.state, State::Failed | State::Skipped)
    }

    fn is_active(&self) -> bool {
        matches!(self.state, State::Starting | State::Stopping)
    }
}

impl Frame {
    /// The units of a plan: servers and services in the order of their steps, each with its parts below it.
    pub(super) fn of(steps: &[Step]) -> Self {
        let whole: BTreeSet<&str> =
            steps.iter().filter(|step| owner(&step.unit).is_none()).map(|step| step.unit.name.as_str()).collect();
        let part_of = |step: &Step| owner(&step.unit).filter(|owner| whole.contains(owner)).map(str::to_owned);
        let mut rows = Vec::new();
        for step in steps.iter().filter(|step| part_of(step).is_none()) {
            rows.push(row(step, None));
            if owner(&step.unit).is_none() && step.unit.kind != UnitKind::Server {
                let parts = steps.iter().filter(|part| part_of(part).is_some_and(|owner| owner == step.unit.name));
                rows.extend(parts.map(|part| row(part, Some(&step.unit.name))));
            }
        }
        let at = rows.iter().enumerate().map(|(at, row)| (row.unit.clone(), at)).collect();
        Self { rows, at }
    }

    pub(super) fn knows(&self, unit: &Unit) -> bool {
        self.at.contains_key(unit)
    }

    /// Takes a change of a unit.
    pub(super) fn change(&mut self, unit: &Unit, state: State, detail: &str, elapsed_ms: u64, now: Instant) {
        let Some(row) = self.at.get(unit).and_then(|at| self.rows.get_mut(*at)) else { return };
        if matches!(state, State::Starting | State::Stopping) {
            let before = std::time::Duration::from_millis(elapsed_ms);
            row.began = row.began.or_else(|| now.checked_sub(before));
        }
        row.state = state;
        row.elapsed_ms = elapsed_ms;
        row.detail = detail.lines().next().unwrap_or_default().to_owned();
    }

    pub(super) fn has_failed(&self) -> bool {
        self.rows.iter().any(Row::is_bad)
    }

    /// The picture. What is over, and then what waits, is only counted where the height does not suffice.
    pub(super) fn lines(&self, width: usize, height: usize, elapsed_ms: u64, now: Instant) -> Vec<String> {
        let mut lines = self.rows(width, height.saturating_sub(1).max(1), now);
        lines.push(self.progress(width, elapsed_ms));
        lines
    }

    /// How it ended: every row, however high the terminal is.
    pub(super) fn ending(&self, width: usize, now: Instant) -> Vec<String> {
        self.rows(width, usize::MAX, now)
    }

    fn rows(&self, width: usize, room: usize, now: Instant) -> Vec<String> {
        let mut shown: Vec<&Row> = self.rows.iter().collect();
        let (mut over, mut waiting) = (0, 0);
        if shown.len() > room {
            shown.retain(|row| !(row.is_part && row.is_over() && !row.is_bad()));
        }
        if shown.len() > room {
            let before = shown.len();
            shown.retain(|row| !row.is_over() || row.is_bad());
            over = before - shown.len();
        }
        if shown.len() + usize::from(over > 0) > room {
            let before = shown.len();
            shown.retain(|row| row.state != State::Waiting);
            waiting = before - shown.len();
        }
        let counted = usize::from(over > 0) + usize::from(waiting > 0);
        let mut more = 0;
        if shown.len() + counted > room {
            let keep = room.saturating_sub(counted + 1);
            more = shown.len() - keep;
            // What failed matters more than what goes on.
            let (bad, good): (Vec<&Row>, Vec<&Row>) = shown.into_iter().partition(|row| row.is_bad());
            shown = bad.into_iter().chain(good).take(keep).collect();
        }
        let widest = shown.iter().map(|row| columns(&row.name) + indent(row).len()).max().unwrap_or(0);
        let names = widest.min(width.saturating_sub(TIME + 5).max(10));
        let names = if width < 60 { names.min(width / 2) } else { names };
        let mut lines = Vec::new();
        if over > 0 {
            lines.push(format!("{} {over} ready", paint("✓", GREEN)));
        }
        lines.extend(shown.iter().map(|row| self.line(row, names, width, now)));
        if more > 0 {
            lines.push(paint(&format!("  and {more} more"), DIM));
        }
        if waiting > 0 {
            lines.push(paint(&format!("· {waiting} waiting"), DIM));
        }
        lines
    }

    fn line(&self, row: &Row, names: usize, width: usize, now: Instant) -> String {
        let running = row.began.map_or(0, |began| millis(now.saturating_duration_since(began)));
        let turn = usize::try_from(running / TURN_MS).unwrap_or(0) % SPINNER.len();
        let (mark, style): (&str, Style) = match row.state {
            State::Waiting => ("·", DIM),
            State::Starting => (SPINNER[turn], YELLOW),
            State::Stopping => (SPINNER[turn], CYAN),
            State::Ready | State::Done => ("✓", GREEN),
            State::Stopped => ("✓", DIM),
            State::Unknown => ("?", DIM),
            State::Failed => ("✗", RED),
            State::Skipped => ("-", RED),
        };
        let time = match row.state {
            State::Waiting | State::Skipped => String::new(),
            State::Starting | State::Stopping => seconds(running),
            _ => seconds(row.elapsed_ms),
        };
        let name = fitted(&row.name, names - indent(row).len());
        let padding = " ".repeat((names - indent(row).len()).saturating_sub(columns(&name)));
        let name = match row.state {
            State::Waiting => paint(&name, DIM),
            _ if row.is_part => name,
            _ => paint(&name, BOLD),
        };
        let room = width.saturating_sub(2 + names + 1 + TIME + 2 + 1);
        let detail = self.detail(row);
        // Where it is reached matters more than how long that took.
        if row.state == State::Ready && columns(&detail) > room {
            return format!(
                "{}{} {name}{padding} {}",
                indent(row),
                paint(mark, style),
                fitted(&detail, width.saturating_sub(names + 4))
            );
        }
        let detail = if room < DETAIL { String::new() } else { fitted(&detail, room) };
        let detail = match row.state {
            _ if detail.is_empty() => detail,
            State::Ready => detail,
            State::Failed | State::Skipped => paint(&detail, RED),
            _ => paint(&detail, DIM),
        };
        let line = format!("{}{} {name}{padding} {:>TIME$}  {detail}", indent(row), paint(mark, style), time);
        line.trim_end().to_owned()
    }

    fn detail(&self, row: &Row) -> String {
        if row.state != State::Waiting {
            // Everything is new at first; that says nothing.
            let is_plain = row.is_active()
                && ["new", "not running", "not done", "nothing wants it"].contains(&row.detail.as_str());
            return match row.state {
                State::Stopped if row.detail.is_empty() => "stopped".to_owned(),
                _ if is_plain => String::new(),
                _ => row.detail.clone(),
            };
        }
        let waited: Vec<&Row> =
            row.after.iter().filter_map(|unit| self.row(unit)).filter(|other| !other.is_over()).collect();
        // The nearest alone: the others are what these wait for themselves. Parts that are shown below say it themselves.
        let farther: BTreeSet<&Unit> = waited.iter().flat_map(|other| &other.after).collect();
        let is_own = |other: &Row| other.is_part && owner(&other.unit) == Some(&row.unit.name) && !row.is_part;
        let nearest: Vec<&Row> =
            waited.into_iter().filter(|other| !farther.contains(&other.unit) && !is_own(other)).collect();
        let brothers = |other: &Row| row.is_part && other.is_part && owner(&other.unit) == owner(&row.unit);
        let name = |other: &Row| if brothers(other) { other.name.clone() } else { other.unit.to_string() };
        match nearest.as_slice() {
            [] => String::new(),
            [one] => format!("waits for {}", name(one)),
            [one, other] => format!("waits for {}, {}", name(one), name(other)),
            [one, others @ ..] => format!("waits for {} and {} more", name(one), others.len()),
        }
    }

    fn row(&self, unit: &Unit) -> Option<&Row> {
        self.at.get(unit).and_then(|at| self.rows.get(*at))
    }

    fn progress(&self, width: usize, elapsed_ms: u64) -> String {
        let (over, all) = (self.rows.iter().filter(|row| row.is_over()).count(), self.rows.len().max(1));
        let bar = 24.min(width.saturating_sub(16));
        let full = bar * over / all;
        let done = paint(&"━".repeat(full), if self.has_failed() { RED } else { GREEN });
        // Another line, for terminals without colours.
        let rest = paint(&"─".repeat(bar - full), DIM);
        format!("{done}{rest} {over}/{all}  {}", paint(&seconds(elapsed_ms), BOLD))
    }
}

/// The service that a unit is a part of.
fn owner(unit: &Unit) -> Option<&str> {
    match unit.kind {
        UnitKind::Image | UnitKind::Setup => Some(&unit.name),
        UnitKind::Database | UnitKind::Migration | UnitKind::Seed => {
            Some(unit.name.split_once('/').map_or(unit.name.as_str(), |(owner, _)| owner))
        }
        UnitKind::Server | UnitKind::Service | UnitKind::Task | UnitKind::Forward => None,
    }
}

fn row(step: &Step, part_of: Option<&String>) -> Row {
    let full = step.unit.to_string();
    let name = part_of.and_then(|owner| full.strip_prefix(owner.as_str())).map(|rest| &rest[1..]);
    Row {
        name: name.unwrap_or(&full).to_owned(),
        unit: step.unit.clone(),
        is_part: part_of.is_some(),
        after: step.after.iter().chain(&step.after_start).cloned().collect(),
        state: State::Waiting,
        detail: String::new(),
        began: None,
        elapsed_ms: 0,
    }
}

fn indent(row: &Row) -> &'static str {
    if row.is_part { "  " } else { "" }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn columns(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// A text in so many columns, cut where it must be; without what would move the cursor.
fn fitted(text: &str, room: usize) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    if columns(&clean) <= room {
        return clean;
    }
    let mut kept = String::new();
    let mut taken = 1;
    for c in clean.chars() {
        taken += c.width().unwrap_or(0);
        if taken > room {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clustergraph::plan::Action;

    use super::*;

    fn unit(kind: UnitKind, name: &str) -> Unit {
        Unit::new(kind, name)
    }

    fn step(kind: UnitKind, name: &str, after: &[(UnitKind, &str)]) -> Step {
        Step {
            action: Action::Start,
            unit: unit(kind, name),
            reason: "new".into(),
            after: after.iter().map(|(kind, name)| unit(*kind, name)).collect(),
            after_start: BTreeSet::new(),
        }
    }

    fn hello() -> Vec<Step> {
        use UnitKind::{Database, Migration, Server, Service, Setup};
        vec![
            step(Server, "postgres-15", &[]),
            step(Setup, "api", &[]),
            step(Database, "api/greetings", &[(Server, "postgres-15")]),
            step(Migration, "api/greetings", &[(Setup, "api"), (Database, "api/greetings")]),
            step(Service, "api", &[(Server, "postgres-15"), (Setup, "api"), (Migration, "api/greetings")]),
            step(Service, "www", &[(Service, "api")]),
        ]
    }

    fn plain(lines: &[String]) -> String {
        anstream::adapter::strip_str(&lines.join("\n")).to_string()
    }

    fn on_its_way(now: Instant) -> Frame {
        let mut frame = Frame::of(&hello());
        frame.change(&unit(UnitKind::Server, "postgres-15"), State::Ready, "127.0.0.1:5432", 1840, now);
        frame.change(&unit(UnitKind::Setup, "api"), State::Starting, "pip install -r requirements.txt", 0, now);
        frame.change(&unit(UnitKind::Database, "api/greetings"), State::Done, "", 212, now);
        frame
    }

    #[test]
    fn parts_stand_below_their_service_and_what_waits_says_for_what() {
        let now = Instant::now();
        let lines = on_its_way(now).lines(80, 24, 2340, now + Duration::from_millis(500));
        assert_eq!(
            plain(&lines),
            "\
✓ postgres-15           1.8 s  127.0.0.1:5432
· api
  ⠴ setup              500 ms  pip install -r requirements.txt
  ✓ greetings          212 ms
  · greetings:migrate          waits for setup
· www                          waits for api
━━━━━━━━──────────────── 2/6  2.3 s"
        );
    }

    #[test]
    fn every_width_holds() {
        let now = Instant::now();
        for width in 20..120 {
            for line in on_its_way(now).lines(width, 24, 2340, now) {
                assert!(columns(&anstream::adapter::strip_str(&line).to_string()) <= width, "{width}: {line}");
            }
        }
        let narrow = plain(&on_its_way(now).lines(40, 24, 2340, now));
        assert!(narrow.starts_with("✓ postgres-15         127.0.0.1:5432\n"), "{narrow}");
    }

    #[test]
    fn where_the_height_does_not_suffice_what_is_over_and_what_waits_is_counted() {
        let now = Instant::now();
        let names: Vec<String> = (0..100).map(|nth| format!("s{nth:02}")).collect();
        let steps: Vec<Step> = names.iter().map(|name| step(UnitKind::Service, name, &[])).collect();
        let mut frame = Frame::of(&steps);
        for (nth, name) in names.iter().enumerate() {
            match nth {
                0..=39 => frame.change(&unit(UnitKind::Service, name), State::Ready, "", 10, now),
                40..=55 => frame.change(&unit(UnitKind::Service, name), State::Starting, "", 0, now),
                99 => frame.change(&unit(UnitKind::Service, name), State::Failed, "it ended with code 1", 10, now),
                _ => {}
            }
        }
        for height in 4..40 {
            assert!(frame.lines(80, height, 0, now).len() <= height, "{height}");
            let text = plain(&frame.lines(80, height, 0, now));
            assert!(height < 5 || text.contains("✗ s99") && text.contains("40 ready"), "{height}\n{text}");
        }
        assert!(plain(&frame.lines(80, 24, 0, now)).contains("· 43 waiting"));
        assert_eq!(frame.ending(80, now).len(), 100);
    }

    #[test]
    fn nothing_moves_the_cursor() {
        let now = Instant::now();
        let mut frame = Frame::of(&hello());
        frame.change(&unit(UnitKind::Service, "www"), State::Failed, "\u{1b}[2J\rgone\u{7}", 1, now);
        let text = plain(&frame.lines(80, 24, 0, now));
        assert!(text.contains("[2Jgone") && !text.contains(['\r', '\u{7}']));
    }
}
