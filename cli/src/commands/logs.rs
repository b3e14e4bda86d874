//! `ssi logs`: what services write.

mod file;

use std::pin::Pin;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::Args;
use clustergraph::diagnostic::suggestion;
use clustergraph::graph::UnitKind;
use futures_util::{Stream, StreamExt, stream};

use super::{Global, Printed, Revision, ps};
use crate::console::{self, paint};
use crate::exit::{Exit, Failure};
use crate::protocol::{Listed, RuntimeName};
use crate::report::Output;
use crate::runtime;
use crate::session::Session;

/// How often a container that took another one's place is looked for.
const NEXT: Duration = Duration::from_millis(500);

/// Arguments of `ssi logs`.
#[derive(Args)]
#[command(after_help = "Examples:\n  ssi logs\n  ssi logs -f api\n  ssi logs --tail 20 api www\n  ssi logs --since 5m")]
pub(crate) struct LogsArgs {
    /// Services and servers; all when none is named
    names: Vec<String>,
    /// Go on as more is written
    #[arg(short, long)]
    follow: bool,
    /// Begin with the last lines of each only
    #[arg(short = 'n', long, value_name = "LINES")]
    tail: Option<usize>,
    /// Begin with what was written since then: a time, or a span such as 5m or 1h30m before now
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<jiff::Timestamp>,
    #[command(flatten)]
    revision: Revision,
    #[command(flatten)]
    printed: Printed,
}

/// How much of what was written is wanted.
#[derive(Debug, Clone, Copy)]
struct Extent {
    follow: bool,
    tail: Option<usize>,
    since: Option<jiff::Timestamp>,
}

/// `5m`, `2026-05-01T12:00:00Z` or, by this machine's clock, `2026-05-01 12:00`.
fn since(text: &str) -> Result<jiff::Timestamp, String> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time);
    }
    if let Ok(time) = text.parse::<jiff::civil::DateTime>() {
        return time
            .to_zoned(jiff::tz::TimeZone::system())
            .map(|time| time.timestamp())
            .map_err(|error| error.to_string());
    }
    let span: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "write a span such as 90s, 5m or 1h30m, or a time such as 2026-05-01T12:00".to_owned())?;
    jiff::Timestamp::now().checked_sub(span.abs()).map_err(|error| error.to_string())
}

pub(super) async fn run(global: &Global, args: &LogsArgs) -> Result<Exit, Failure> {
    let session = args.revision.session(global)?;
    let units = chosen(&session, &args.names).await?;
    if units.is_empty() {
        console::note(&session.nothing_runs());
        return Ok(Exit::Success);
    }
    let extent = Extent { follow: args.follow, tail: args.tail, since: args.since };
    tokio::select! {
        result = show(args.printed.output, &session, &units, extent) => result.map(|()| Exit::Success),
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

/// Follows all services of an `up` until something else ends it.
pub(super) async fn follow_all(output: Output, session: &Session, names: &[String]) -> Result<(), Failure> {
    let units = chosen(session, names).await?;
    let services: Vec<Listed> = units.into_iter().filter(|listed| listed.unit.kind == UnitKind::Service).collect();
    show(output, session, &services, Extent { follow: true, tail: Some(0), since: None }).await
}

async fn chosen(session: &Session, names: &[String]) -> Result<Vec<Listed>, Failure> {
    let mut units = ps::listing(session).await?;
    units.retain(|listed| {
        matches!(listed.unit.kind, UnitKind::Service | UnitKind::Server) || names.contains(&listed.unit.to_string())
    });
    let known: Vec<String> = units.iter().map(|listed| listed.unit.to_string()).collect();
    for name in names {
        if !known.contains(name) {
            let close = suggestion(name, known.iter().map(String::as_str));
            let mend = close.map(|close| format!(": did you mean `{close}`?")).unwrap_or_default();
            return Err(Failure::unusable(format!("nothing called `{name}` runs here{mend}")));
        }
    }
    units.retain(|listed| names.is_empty() || names.contains(&listed.unit.to_string()));
    Ok(units)
}

type Lines = Pin<Box<dyn Stream<Item = String> + Send>>;

async fn show(output: Output, session: &Session, units: &[Listed], extent: Extent) -> Result<(), Failure> {
    let width = units.iter().map(|listed| listed.unit.to_string().len()).max().unwrap_or(0);
    let mut streams = Vec::new();
    for (at, listed) in units.iter().enumerate() {
        let name = listed.unit.to_string();
        let prefix = paint(&format!("{name:width$} |"), colour(at));
        let lines: Lines = match (listed.runtime, &listed.container) {
            (RuntimeName::Docker, Some(id)) => container(session, listed, id, extent).await?,
            (RuntimeName::Docker, None) => Box::pin(stream::empty()),
            (RuntimeName::Process, _) => Box::pin(file::lines(session.log(&listed.unit), extent)),
        };
        streams.push(lines.map(move |line| (name.clone(), prefix.clone(), line)));
    }
    let mut all = stream::select_all(streams);
    while let Some((name, prefix, text)) = all.next().await {
        for line in text.lines() {
            console::data(&match output {
                Output::Text => format!("{prefix} {}", printable(line)),
                Output::Json => serde_json::json!({ "schema": "ssi.log/1", "unit": name, "line": line }).to_string(),
            });
        }
    }
    Ok(())
}

/// The lines of a unit's container; when it is followed, also of those that take its place.
async fn container(session: &Session, listed: &Listed, id: &str, extent: Extent) -> Result<Lines, Failure> {
    let tail = extent.tail.map_or_else(|| "all".to_owned(), |tail| tail.to_string());
    let since = extent.since.map_or(0, jiff::Timestamp::as_second);
    let first: Lines = Box::pin(
        runtime::container_lines(session, id, extent.follow, &tail, since)
            .await
            .map_err(|cause| Failure::failed(cause.to_string()))?,
    );
    if !extent.follow {
        return Ok(first);
    }
    let start = (session.clone(), listed.unit.clone(), id.to_owned(), first);
    Ok(Box::pin(stream::unfold(start, |(session, unit, mut id, mut lines)| async move {
        loop {
            if let Some(line) = lines.next().await {
                return Some((line, (session, unit, id, lines)));
            }
            tokio::time::sleep(NEXT).await;
            let listing = ps::listing(&session).await.unwrap_or_default();
            let now = listing.into_iter().find(|listed| listed.unit == unit).and_then(|listed| listed.container);
            if let Some(next) = now.filter(|next| *next != id)
                && let Ok(begun) = runtime::container_lines(&session, &next, true, "all", 0).await
            {
                (id, lines) = (next, Box::pin(begun));
            }
        }
    })))
}

/// A line without what would move the cursor or change the terminal; colours stay.
fn printable(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' && chars.peek() == Some(&'[') {
            let mut sequence = String::from("\u{1b}");
            for c in chars.by_ref() {
                sequence.push(c);
                if sequence.len() > 2 && ('@'..='~').contains(&c) {
                    break;
                }
            }
            if sequence.ends_with('m') {
                clean.push_str(&sequence);
            }
        } else if !c.is_control() || c == '\t' {
            clean.push(c);
        }
    }
    clean
}

fn colour(at: usize) -> Style {
    const COLOURS: [AnsiColor; 6] = [
        AnsiColor::Cyan,
        AnsiColor::Magenta,
        AnsiColor::Green,
        AnsiColor::Yellow,
        AnsiColor::Blue,
        AnsiColor::BrightCyan,
    ];
    COLOURS[at % COLOURS.len()].on_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_spans() {
        let now = jiff::Timestamp::now().as_second();
        assert!((now - since("5m").unwrap().as_second() - 300).abs() < 5);
        assert!((now - since("1h30m").unwrap().as_second() - 5400).abs() < 5);
        assert_eq!(since("2026-05-01T12:00:00Z").unwrap().as_second(), 1_777_636_800);
        assert!(since("2026-05-01T12:00").is_ok() && since("2026-05-01 12:00").is_ok());
        assert!(since("yesterday").unwrap_err().contains("5m"));
    }

    #[test]
    fn colours_pass_and_cursors_do_not() {
        assert_eq!(printable("a\u{1b}[31mred\u{1b}[0m\u{1b}[2Jb\u{7}\u{1b}]0;x"), "a\u{1b}[31mred\u{1b}[0mb]0;x");
    }
}
