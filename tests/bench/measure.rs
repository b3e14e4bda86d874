//! Whole processes, timed; the table.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One line of the table.
pub(crate) struct Row {
    /// What is done.
    pub(crate) what: String,
    /// What we take.
    pub(crate) ours: Amount,
    /// Whose stands beside it.
    pub(crate) floor_name: &'static str,
    /// What that takes; `None` where it could not be measured.
    pub(crate) floor: Option<Amount>,
    /// The target.
    pub(crate) target: Target,
    /// How many runs the medians are of.
    pub(crate) runs: usize,
}

/// What is measured.
#[derive(Clone, Copy)]
pub(crate) enum Amount {
    /// How long it took.
    Time(Duration),
    /// The most memory that it held at once, in KiB.
    Memory(u64),
    /// How many objects it is.
    Objects(u64),
}

impl From<Duration> for Amount {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

impl Amount {
    /// Milliseconds, MB or objects, for ratios of like amounts.
    fn number(self) -> f64 {
        match self {
            Self::Time(time) => time.as_secs_f64() * 1000.0,
            Self::Memory(kibibytes) => kibibytes as f64 * 1024.0 / 1e6,
            Self::Objects(count) => count as f64,
        }
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = match self {
            Self::Time(_) => "ms",
            Self::Memory(_) => "MB",
            Self::Objects(count) => return write!(f, "{count}"),
        };
        write!(f, "{:.1} {unit}", self.number())
    }
}

/// What we must reach.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// So many times what the other takes.
    Times(f64),
    /// So much more than the other's time.
    More(Duration),
    /// So much, whatever the other takes.
    Within(Duration),
    /// So many MB, whatever the other takes.
    Memory(u64),
}

impl Target {
    fn holds(self, ours: Amount, floor: Option<Amount>) -> Option<bool> {
        let (ours, floor) = (ours.number(), floor.map(Amount::number));
        match self {
            Self::Times(times) => floor.map(|floor| ours <= floor * times),
            Self::More(more) => floor.map(|floor| ours <= floor + Amount::Time(more).number()),
            Self::Within(limit) => Some(ours <= Amount::Time(limit).number()),
            Self::Memory(limit) => Some(ours < limit as f64),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Times(times) => write!(f, "<= {times}x"),
            Self::More(more) => write!(f, "+{} ms", more.as_millis()),
            Self::Within(limit) => write!(f, "< {} ms", limit.as_millis()),
            Self::Memory(limit) => write!(f, "< {limit} MB"),
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

/// Runs a command to its end and gives the most memory that it held at once, in KiB. The system keeps that number
/// and is asked each millisecond: what is taken in the last one is missed.
pub(crate) fn memory(mut command: Command) -> u64 {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let ended = loop {
        let held = std::fs::read_to_string(&status).ok().and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().strip_suffix(" kB")?.parse().ok()
        });
        most = most.max(held.unwrap_or(0));
        if let Some(ended) = child.try_wait().expect("it is a child") {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert!(ended.success() && most > 0, "{command:?}: {ended}");
    most
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
            Some(floor) => (floor.to_string(), format!("{:.2}x", row.ours.number() / floor.number())),
            // Some have nothing beside them.
            None if row.floor_name.is_empty() => ("-".to_owned(), "-".to_owned()),
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
            row.ours.to_string(),
            format!("{} {floor}", row.floor_name),
            ratio,
            format!("{} {verdict}", row.target),
            row.runs
        ));
    }
    text
}
