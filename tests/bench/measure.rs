//! Whole processes, timed; the table.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One line of the table.
pub(crate) struct Row {
    /// What is done.
    pub(crate) what: String,
    /// Our time.
    pub(crate) ours: Duration,
    /// Whose time stands beside it.
    pub(crate) floor_name: &'static str,
    /// That time; `None` where it could not be measured.
    pub(crate) floor: Option<Duration>,
    /// The target.
    pub(crate) target: Target,
    /// How many runs the medians are of.
    pub(crate) runs: usize,
}

/// What our time must reach.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// So many times the other's time.
    Times(f64),
    /// So much more than the other's time.
    More(Duration),
    /// So much, whatever the other takes.
    Within(Duration),
}

impl Target {
    fn holds(self, ours: Duration, floor: Option<Duration>) -> Option<bool> {
        match self {
            Self::Times(times) => floor.map(|floor| ours <= floor.mul_f64(times)),
            Self::More(more) => floor.map(|floor| ours <= floor + more),
            Self::Within(limit) => Some(ours <= limit),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Times(times) => write!(f, "<= {times}x"),
            Self::More(more) => write!(f, "+{} ms", more.as_millis()),
            Self::Within(limit) => write!(f, "< {} ms", limit.as_millis()),
        }
    }
}

/// Runs both commands by turns, so that a busy moment of the machine meets both, and gives each one's median.
pub(crate) fn pair(
    runs: usize,
    mut ours: impl FnMut() -> Command,
    mut floor: impl FnMut() -> Command,
) -> (Duration, Duration) {
    let (mut our_times, mut floor_times) = (Vec::new(), Vec::new());
    // One run of each before: files come into the system's cache.
    let _ = (time(ours()), time(floor()));
    for _ in 0..runs {
        our_times.push(time(ours()));
        floor_times.push(time(floor()));
    }
    (median(our_times), median(floor_times))
}

/// Runs a command to its end; it must succeed.
pub(crate) fn time(mut command: Command) -> Duration {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let began = Instant::now();
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let took = began.elapsed();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

/// The one in the middle.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The table, in columns.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text =
        format!("{:<46} {:>10} {:>32} {:>8}  {:<18} {:>3}\n", "what", "ours", "floor or peer", "ratio", "target", "n");
    for row in rows {
        let (floor, ratio) = match row.floor {
            Some(floor) => (milliseconds(floor), format!("{:.2}x", row.ours.as_secs_f64() / floor.as_secs_f64())),
            None => ("missing".to_owned(), "-".to_owned()),
        };
        let verdict = match row.target.holds(row.ours, row.floor) {
            Some(true) => "holds",
            Some(false) => "MISSED",
            None => "unknown",
        };
        text.push_str(&format!(
            "{:<46} {:>10} {:>32} {:>8}  {:<18} {:>3}\n",
            row.what,
            milliseconds(row.ours),
            format!("{} {floor}", row.floor_name),
            ratio,
            format!("{} {verdict}", row.target),
            row.runs
        ));
    }
    text
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
