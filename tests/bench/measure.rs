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
    /// That time.
    pub(crate) floor: Duration,
    /// The target, in words.
    pub(crate) target: &'static str,
    /// Whether the target holds.
    pub(crate) holds: bool,
    /// How many runs the medians are of.
    pub(crate) runs: usize,
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

fn time(mut command: Command) -> Duration {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let began = Instant::now();
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let took = began.elapsed();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The table, in columns.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text =
        format!("{:<44} {:>10} {:>28} {:>7}  {:<22} {:>3}\n", "what", "ours", "floor or peer", "ratio", "target", "n");
    for row in rows {
        let ratio = row.ours.as_secs_f64() / row.floor.as_secs_f64();
        let verdict = if row.holds { "holds" } else { "MISSED" };
        text.push_str(&format!(
            "{:<44} {:>10} {:>28} {:>6.2}x  {:<22} {:>3}\n",
            row.what,
            milliseconds(row.ours),
            format!("{} {}", row.floor_name, milliseconds(row.floor)),
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
