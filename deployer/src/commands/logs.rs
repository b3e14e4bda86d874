//! `komandan logs`

use std::collections::BTreeSet;

use anstyle::{AnsiColor, Style};
use futures_util::io::{AsyncBufRead, AsyncBufReadExt};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::LogParams;
use kube::runtime::watcher::{self, Event};
use serde_json::json;
use tokio::sync::mpsc;

use crate::cluster::Cluster;
use crate::cluster::pods::Instances;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::settings::Global;
use crate::store::Store;
use crate::transient;

/// How many lines may wait to be shown: a slow reader slows the reading, and nothing is lost.
const WAITING: usize = 256;

/// Shows what services write: all instances of each, line by line
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan logs -f                     all services of the version that serves, as it comes
  komandan logs api www --since 10m
  komandan logs api --version 12       of an older version that still runs
  komandan logs api --previous         the last words of instances that were restarted
  komandan logs postgres-15 -n 50      a database server
  komandan logs order/orders           the last migrations of a database")]
pub(crate) struct Args {
    /// Services, database servers, and databases by their addresses; all services when none is named
    pub(crate) names: Vec<String>,
    /// Go on as more is written, also by instances that are yet to come
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Begin with the last lines of each instance only
    #[arg(short = 'n', long, value_name = "LINES")]
    pub(crate) tail: Option<u32>,
    /// Begin with what was written since then: a time, or a span such as 5m or 1h30m before now
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(crate) since: Option<Timestamp>,
    /// The version [default: the one that serves]
    #[arg(long = "version", value_name = "NUMBER")]
    pub(crate) number: Option<u64>,
    /// What the former instance in the same pod wrote, before it was restarted
    #[arg(long, conflicts_with = "follow")]
    pub(crate) previous: bool,
}

/// `5m`, `2026-05-01T12:00:00Z` or, by this machine's clock, `2026-05-01 12:00`.
fn since(text: &str) -> std::result::Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(time) = text.parse::<jiff::civil::DateTime>() {
        let zoned = time.to_zoned(jiff::tz::TimeZone::system());
        return zoned.map(|time| time.timestamp()).map_err(|error| error.to_string());
    }
    let span: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "write a span such as 90s, 5m or 1h30m, or a time such as 2026-05-01T12:00".to_owned())?;
    Timestamp::now().checked_sub(span.abs()).map_err(|error| error.to_string())
}

/// One line of one instance.
struct Line {
    name: String,
    pod: String,
    text: String,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let cluster = transient::connect(global).await?;
    let (_, mut record) = super::served(&cluster).await?;
    if let Some(number) = args.number.filter(|number| *number != record.number) {
        record = Store::new(&cluster).record(number).await?.ok_or_else(|| {
            Error::Usage(format!("there is no version {number} of {}; `komandan history` lists them", cluster.name()))
        })?;
    }
    let names: BTreeSet<&String> =
        if args.names.is_empty() { record.content.nodes.keys().collect() } else { args.names.iter().collect() };
    let mut all = Vec::new();
    for name in names {
        all.push(if name.contains('/') {
            Instances::of_database(name)
        } else {
            super::instances(&cluster, &record, name).await?
        });
    }
    tokio::select! {
        shown = async {
            if args.follow { follow(&cluster, &all, args, console).await } else { once(&cluster, &all, args, console).await }
        } => shown,
        // Who follows ends it so: nothing went wrong.
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// What is there now, instance by instance.
async fn once(cluster: &Cluster, all: &[Instances], args: &Args, console: &Console) -> Result<()> {
    let mut printer = Printer::new(console);
    let mut any = false;
    for instances in all {
        for pod in instances.pods(cluster).await? {
            let name = pod.name_any();
            let lines = match lines(cluster, instances, &name, &parameters(args, instances, true)).await {
                Ok(lines) => lines,
                // It has not begun, or was never restarted: it wrote nothing of what is asked.
                Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => continue,
                Err(error) => return Err(Error::cluster(format!("reading the log of {name}"), &error)),
            };
            any = true;
            let mut lines = std::pin::pin!(lines);
            while let Some(line) = lines.next().await {
                if printer.print(&line).is_err() {
                    return Ok(());
                }
            }
        }
    }
    if !any {
        let names: Vec<&str> = all.iter().map(|instances| instances.name.as_str()).collect();
        let what = if args.previous { "no instance was restarted in its pod" } else { "no instance runs" };
        console.note(&format!("{what}: {}", names.join(", ")));
    }
    Ok(())
}

/// What is there and what comes, until somebody ends it.
async fn follow(cluster: &Cluster, all: &[Instances], args: &Args, console: &Console) -> Result<()> {
    let (tell, mut told) = mpsc::channel::<Line>(WAITING);
    let mut tasks = tokio::task::JoinSet::new();
    for instances in all {
        let config = watcher::Config::default().labels(&instances.selector(cluster));
        let (cluster, instances, tell) = (cluster.clone(), instances.clone(), tell.clone());
        let (first, later) = (parameters(args, &instances, true), parameters(args, &instances, false));
        tasks.spawn(async move {
            let watch = watcher::watcher(cluster.api::<Pod>(), config);
            let mut watch = std::pin::pin!(kube::runtime::WatchStreamExt::default_backoff(watch));
            let mut known = BTreeSet::new();
            let mut begun = false;
            let mut readers = tokio::task::JoinSet::new();
            while let Some(event) = watch.next().await {
                let pod = match event {
                    Ok(Event::Apply(pod) | Event::InitApply(pod)) => pod,
                    Ok(Event::InitDone) => {
                        begun = true;
                        continue;
                    }
                    // The watch begins again by itself.
                    Ok(_) | Err(_) => continue,
                };
                let Some(start) = started(&pod, instances.container) else { continue };
                if !known.insert((pod.name_any(), start)) {
                    continue;
                }
                // What came later is wanted whole.
                let parameters = if begun { later.clone() } else { first.clone() };
                let (cluster, instances, tell) = (cluster.clone(), instances.clone(), tell.clone());
                readers.spawn(async move {
                    let name = pod.name_any();
                    let Ok(lines) = lines(&cluster, &instances, &name, &parameters).await else { return };
                    let mut lines = std::pin::pin!(lines);
                    while let Some(line) = lines.next().await {
                        if tell.send(line).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
    }
    drop(tell);
    let mut printer = Printer::new(console);
    while let Some(line) = told.recv().await {
        if printer.print(&line).is_err() {
            break;
        }
    }
    Ok(())
}

/// How often a container was started again, once it has started.
fn started(pod: &Pod, container: &str) -> Option<i32> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let status = statuses.iter().find(|status| status.name == container)?;
    let state = status.state.as_ref()?;
    (state.running.is_some() || state.terminated.is_some()).then_some(status.restart_count)
}

fn parameters(args: &Args, instances: &Instances, from_now: bool) -> LogParams {
    let ago = args.since.filter(|_| from_now).map(|since| Timestamp::now().duration_since(since).as_secs().max(1));
    LogParams {
        container: Some(instances.container.to_owned()),
        follow: args.follow,
        previous: args.previous,
        since_seconds: ago,
        tail_lines: args.tail.filter(|_| from_now).map(i64::from),
        ..LogParams::default()
    }
}

/// The lines of one instance; an end of the connection is an end of the lines.
async fn lines(
    cluster: &Cluster,
    instances: &Instances,
    pod: &str,
    parameters: &LogParams,
) -> kube::Result<BoxStream<'static, Line>> {
    let reader = cluster.api::<Pod>().log_stream(pod, parameters).await?;
    let (name, pod) = (instances.name.clone(), pod.to_owned());
    let lines = texts(reader).map(move |text| Line { name: name.clone(), pod: pod.clone(), text });
    Ok(lines.boxed())
}

/// Lines of whatever bytes: programs write what they want.
fn texts(reader: impl AsyncBufRead + Send + 'static) -> impl futures_util::Stream<Item = String> + Send {
    let read = stream::try_unfold(Box::pin(reader), |mut reader| async move {
        let mut bytes = Vec::new();
        let count = reader.read_until(b'\n', &mut bytes).await?;
        Ok::<_, std::io::Error>((count > 0).then(|| (printable(&bytes), reader)))
    });
    read.into_stream()
        .take_while(|line| std::future::ready(line.is_ok()))
        .filter_map(|line| std::future::ready(line.ok()))
}

/// A line without what would move the cursor or change the terminal.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let plain = anstream::adapter::strip_str(&text).to_string();
    plain.chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

/// Shows lines, each instance in a colour of its own.
struct Printer<'c> {
    console: &'c Console,
    seen: Vec<String>,
    width: usize,
}

impl<'c> Printer<'c> {
    fn new(console: &'c Console) -> Self {
        Self { console, seen: Vec::new(), width: 0 }
    }

    /// Fails when nobody reads any more.
    fn print(&mut self, line: &Line) -> std::io::Result<()> {
        if self.console.is_json() {
            let (name, pod, text) = (&line.name, &line.pod, &line.text);
            return self.console.try_json(json!({ "command": "log", "service": name, "pod": pod, "line": text }));
        }
        let at = self.seen.iter().position(|pod| *pod == line.pod).unwrap_or_else(|| {
            self.seen.push(line.pod.clone());
            self.seen.len() - 1
        });
        let prefix = prefix(&line.name, &line.pod);
        self.width = self.width.max(prefix.len());
        let (style, width) = (colour(at), self.width);
        self.console.try_data(&format!("{style}{prefix:width$} |{style:#} {}", line.text))
    }
}

/// A service and what tells its instances apart: the last part of the pod's name.
fn prefix(name: &str, pod: &str) -> String {
    format!("{name}/{}", pod.rsplit('-').next().unwrap_or(pod))
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
        let now = Timestamp::now().as_second();
        assert!((now - since("5m").unwrap().as_second() - 300).abs() < 5);
        assert_eq!(since("2026-05-01T12:00:00Z").unwrap().as_second(), 1_777_636_800);
        assert!(since("2026-05-01 12:00").is_ok());
        assert!(since("yesterday").unwrap_err().contains("5m"));
    }

    #[test]
    fn whatever_a_program_writes_is_one_line_that_moves_nothing() {
        assert_eq!(printable(b"a\x1b[31mred\x1b[0m\x1b[2Jb\x07\x1b]0;x\x07\ttab\r\n"), "aredb\ttab");
        assert_eq!(printable(b"caf\xe9\n"), "caf\u{fffd}");
        assert_eq!(prefix("api", "api-fc286feb09-6d4f9c7b5-x2kvt"), "api/x2kvt");
        assert_eq!(prefix("postgres-15", "db-postgres-15-0"), "postgres-15/0");
    }

    #[tokio::test]
    async fn bytes_become_lines_to_the_last_one() {
        let found: Vec<String> = texts(b"one\ntwo\n\nlast".as_slice()).collect().await;
        assert_eq!(found, ["one", "two", "", "last"]);
    }
}
