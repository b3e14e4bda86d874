//! `ssi logs`: what services write.

use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::Args;
use clustergraph::diagnostic::suggestion;
use clustergraph::graph::UnitKind;
use futures_util::{Stream, StreamExt, stream};

use super::{Global, Printed, ps};
use crate::console::{self, paint};
use crate::exit::{Exit, Failure};
use crate::protocol::{Listed, RuntimeName};
use crate::report::Output;
use crate::runtime;
use crate::session::Session;

/// How often a file is looked at for more.
const LOOK: Duration = Duration::from_millis(100);

/// How often a container that took another one's place is looked for.
const NEXT: Duration = Duration::from_millis(500);

/// Arguments of `ssi logs`.
#[derive(Args)]
#[command(after_help = "Examples:\n  ssi logs\n  ssi logs -f api\n  ssi logs --tail 20 api www")]
pub(crate) struct LogsArgs {
    /// Services and servers; all when none is named
    names: Vec<String>,
    /// Go on as more is written
    #[arg(short, long)]
    follow: bool,
    /// Begin with the last lines of each only
    #[arg(short = 'n', long, value_name = "LINES")]
    tail: Option<usize>,
    #[command(flatten)]
    printed: Printed,
}

pub(super) async fn run(global: &Global, args: &LogsArgs) -> Result<Exit, Failure> {
    let session = global.session()?;
    let units = chosen(&session, &args.names).await?;
    if units.is_empty() {
        console::note("nothing runs here");
        return Ok(Exit::Success);
    }
    tokio::select! {
        result = show(args.printed.output, &session, &units, args.follow, args.tail) => result.map(|()| Exit::Success),
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

/// Follows all services of an `up` until something else ends it.
pub(super) async fn follow_all(output: Output, session: &Session, names: &[String]) -> Result<(), Failure> {
    let units = chosen(session, names).await?;
    let services: Vec<Listed> = units.into_iter().filter(|listed| listed.unit.kind == UnitKind::Service).collect();
    show(output, session, &services, true, Some(0)).await
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

async fn show(
    output: Output,
    session: &Session,
    units: &[Listed],
    follow: bool,
    tail: Option<usize>,
) -> Result<(), Failure> {
    let width = units.iter().map(|listed| listed.unit.to_string().len()).max().unwrap_or(0);
    let mut streams = Vec::new();
    for (at, listed) in units.iter().enumerate() {
        let name = listed.unit.to_string();
        let prefix = paint(&format!("{name:width$} |"), colour(at));
        let lines: Lines = match (listed.runtime, &listed.container) {
            (RuntimeName::Docker, Some(id)) => container(session, listed, id, follow, tail).await?,
            (RuntimeName::Docker, None) => Box::pin(stream::empty()),
            (RuntimeName::Process, _) => Box::pin(file(session.log(&listed.unit), follow, tail)),
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
async fn container(
    session: &Session,
    listed: &Listed,
    id: &str,
    follow: bool,
    tail: Option<usize>,
) -> Result<Lines, Failure> {
    let tail = tail.map_or_else(|| "all".to_owned(), |tail| tail.to_string());
    let first: Lines = Box::pin(
        runtime::container_lines(session, id, follow, &tail)
            .await
            .map_err(|cause| Failure::failed(cause.to_string()))?,
    );
    if !follow {
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
                && let Ok(begun) = runtime::container_lines(&session, &next, true, "all").await
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

/// The lines of a file, from the last `tail` on, and more as they are written.
fn file(path: PathBuf, follow: bool, tail: Option<usize>) -> impl Stream<Item = String> + Send {
    struct Reading {
        path: PathBuf,
        position: u64,
        first: Option<usize>,
    }
    let start = Reading { path, position: 0, first: Some(tail.unwrap_or(usize::MAX)) };
    stream::unfold(start, move |mut state| async move {
        loop {
            let (lines, position) = read_from(&state.path, state.position).unwrap_or((Vec::new(), state.position));
            state.position = position;
            let skip = state.first.take().map_or(0, |keep| lines.len().saturating_sub(keep));
            let text = lines[skip..].join("\n");
            if !text.is_empty() {
                return Some((text, state));
            }
            if !follow {
                return None;
            }
            tokio::time::sleep(LOOK).await;
        }
    })
}

/// The whole lines from a position on, and the position behind them.
fn read_from(path: &std::path::Path, position: u64) -> std::io::Result<(Vec<String>, u64)> {
    let mut file = BufReader::new(std::fs::File::open(path)?);
    // A log that was deleted and begun anew is shorter: it is read from its start.
    let length = file.get_ref().metadata()?.len();
    let mut position = if length < position { 0 } else { position };
    file.seek(SeekFrom::Start(position))?;
    let mut lines = Vec::new();
    let mut bytes = Vec::new();
    while file.read_until(b'\n', &mut bytes)? > 0 && bytes.ends_with(b"\n") {
        position += bytes.len() as u64;
        lines.push(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned());
        bytes.clear();
    }
    Ok((lines, position))
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
    fn colours_pass_and_cursors_do_not() {
        assert_eq!(printable("a\u{1b}[31mred\u{1b}[0m\u{1b}[2Jb\u{7}\u{1b}]0;x"), "a\u{1b}[31mred\u{1b}[0mb]0;x");
    }

    #[test]
    fn half_a_line_waits_for_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        let (lines, position) = read_from(&path, 0).unwrap();
        assert_eq!((lines, position), (vec!["one".to_owned(), "two".to_owned()], 8));
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(read_from(&path, position).unwrap(), (vec!["three".to_owned()], 14));
    }
}
