//! `komandan smoke`

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::stream::{self, FuturesUnordered, StreamExt};
use serde_json::json;

use super::served;
use crate::checks::Jobs;
use crate::cluster::Cluster;
use crate::cluster::view::View;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::session::{Session, interrupted, under_lock};
use crate::settings::Global;
use crate::smoke::openmetrics::Metrics;
use crate::smoke::schedule::follow;
use crate::smoke::{Asked, Question, Verdict, questions, sum};
use crate::store::Store;
use crate::store::record::Record;
use crate::transient;

/// Checks that are run at once.
const AT_ONCE: usize = 8;
/// The longest time between two looks at what serves.
const PAUSE: Duration = Duration::from_secs(5);

/// Asks services whether they do their work: runs their `smoke` checks against the version that serves
///
/// Each check is a Job that runs in the service's own image and environment, with the service's address in variables such
/// as WWW_URL for `www`. It passes when its program ends with 0. Neither the repository nor the lock is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan smoke                               all checks of what serves, once
  komandan smoke www api --timeout 30s
  komandan smoke --install                     by schedules of the cluster, also when nobody is there
  komandan smoke --watch --openmetrics /var/lib/node_exporter/smoke.prom
                                               each as often as its `every` says, for a collector of metrics")]
pub(crate) struct Args {
    /// Services; all that have a check when none is named
    pub(crate) services: Vec<String>,
    /// Ask again and again, each as often as its `smoke.every` says, until ctrl-c
    #[arg(long)]
    pub(crate) watch: bool,
    /// Let the cluster ask: a CronJob for each check, which follows every deploy and revert until `--uninstall`
    #[arg(long, conflicts_with_all = ["services", "watch", "uninstall", "openmetrics"])]
    pub(crate) install: bool,
    /// Let the cluster ask no more
    #[arg(long, conflicts_with_all = ["services", "watch", "openmetrics"])]
    pub(crate) uninstall: bool,
    /// Write what was found as OpenMetrics text to a file; `-` is the standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) openmetrics: Option<PathBuf>,
    /// How long a check may take
    #[arg(long, value_name = "SPAN", default_value = "2m", value_parser = super::span)]
    pub(crate) timeout: Duration,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let cluster = transient::connect(global).await?;
    let (_, record) = served(&cluster).await?;
    if args.install || args.uninstall {
        return under_lock(&cluster, console, false, async |session| schedule(session, args.install).await).await;
    }
    let questions = questions(&record, Store::new(&cluster), &args.services).await?;
    if questions.is_empty() && !args.watch {
        return Err(none(&record, &cluster));
    }
    let view = View::start(&cluster).await?;
    let jobs = Jobs::new(&cluster, &view);
    let work = async {
        if args.watch {
            watch(&jobs, args, console).await
        } else {
            once(&jobs, &record, &questions, args, console).await
        }
    };
    let done = tokio::select! {
        done = work => done,
        // Who watches ends it so: nothing went wrong.
        () = interrupted() => if args.watch { Ok(()) } else { Err(Error::Interrupted) },
    };
    jobs.remove_all().await;
    done
}

/// Lets the cluster ask, or not.
async fn schedule(session: &mut Session<'_>, is_wanted: bool) -> Result<()> {
    // Written down first: what is interrupted after this is ended by the next deploy.
    session.head.value.smoke = is_wanted;
    session.save_head().await?;
    let schedules = follow(session).await?;
    if session.console.is_json() {
        let schedules: BTreeMap<&String, &String> = schedules.iter().map(|(name, schedule)| (name, schedule)).collect();
        session.console.json(json!({
            "event": "result", "command": "smoke-schedules", "cluster": session.cluster.name(),
            "namespace": session.cluster.namespace(), "installed": is_wanted, "schedules": schedules,
        }));
    } else if is_wanted {
        let rows: Vec<Vec<String>> = schedules.into_iter().map(|(name, schedule)| vec![name, schedule]).collect();
        session.console.table(&["SERVICE", "SCHEDULE"], &rows);
    } else {
        session.console.data("the cluster asks no service any more");
    }
    Ok(())
}

fn none(record: &Record, cluster: &Cluster) -> Error {
    Error::Usage(format!(
        "no service of version {} of {} has a smoke check: write `smoke: {{ run: [...] }}` in a service.yaml, and deploy",
        record.number,
        cluster.name()
    ))
}

async fn once(
    jobs: &Jobs<'_>,
    record: &Record,
    questions: &BTreeMap<String, Question>,
    args: &Args,
    console: &Console,
) -> Result<()> {
    let begun = Instant::now();
    let asked = ask(jobs, questions, args.timeout, console).await?;
    let mut metrics = Metrics::new(jobs.cluster.name(), false);
    asked.iter().for_each(|asked| metrics.add(asked));
    let to_stdout = write(&metrics, args.openmetrics.as_deref(), console)?;
    if !to_stdout {
        report(&asked, record, jobs.cluster, begun.elapsed(), console);
    }
    sum(&asked)
}

/// Asks each once, some at a time; in the order of their names.
pub(crate) async fn ask(
    jobs: &Jobs<'_>,
    questions: &BTreeMap<String, Question>,
    wait: Duration,
    console: &Console,
) -> Result<Vec<Asked>> {
    let one = async |question: &Question| {
        let mut step = console.step(format!("smoke {}", question.service()), "starting");
        let asked = question.ask(jobs, wait, |why| step.doing(why)).await?;
        match asked.verdict {
            Verdict::Passed => step.done("passed"),
            Verdict::Failed(_) | Verdict::Unknown(_) => step.failed(asked.verdict.why()),
        }
        Ok::<_, Error>(asked)
    };
    let asked: Vec<Result<Asked>> = stream::iter(questions.values()).map(one).buffered(AT_ONCE).collect().await;
    asked.into_iter().collect()
}

/// Shows what was found, with the last words of what is not fine.
pub(crate) fn report(asked: &[Asked], record: &Record, cluster: &Cluster, took: Duration, console: &Console) {
    let count = |verdict: &str| asked.iter().filter(|asked| asked.verdict.as_str() == verdict).count();
    if console.is_json() {
        console.json(json!({
            "event": "result", "command": "smoke", "cluster": cluster.name(), "namespace": cluster.namespace(),
            "version": record.number, "commit": record.content.commit.id,
            "checks": asked.iter().map(Asked::json).collect::<Vec<_>>(),
            "passed": count("passed"), "failed": count("failed"), "unknown": count("unknown"),
            "elapsed_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }));
        return;
    }
    let row = |asked: &Asked| {
        let took = format!("{:.1} s", asked.elapsed.as_secs_f64());
        vec![asked.service.clone(), asked.verdict.as_str().to_owned(), took, asked.verdict.why().to_owned()]
    };
    console.table(&["SERVICE", "SMOKE", "TOOK", ""], &asked.iter().map(row).collect::<Vec<_>>());
    for asked in asked.iter().filter(|asked| !asked.said.is_empty()) {
        console.data(&format!("the last words of {}:\n  {}", asked.service, asked.said.join("\n  ")));
    }
}

/// Each as often as it says, of whatever version serves then. None waits for another.
async fn watch(jobs: &Jobs<'_>, args: &Args, console: &Console) -> Result<()> {
    let mut metrics = Metrics::new(jobs.cluster.name(), true);
    let mut known: Option<(u64, BTreeMap<String, Question>)> = None;
    let mut due: BTreeMap<String, Instant> = BTreeMap::new();
    let mut running = FuturesUnordered::new();
    let mut busy: BTreeSet<String> = BTreeSet::new();
    loop {
        match current(jobs, &args.services, known.as_ref().map(|(version, _)| *version)).await {
            Ok(None) => {}
            Ok(Some((record, questions))) => {
                if questions.is_empty() {
                    console.note(&format!("  {}", none(&record, jobs.cluster)));
                }
                due.retain(|name, _| questions.contains_key(name));
                known = Some((record.number, questions));
            }
            // What serves may change, and the API server start again: who watches goes on.
            Err(error) => {
                known = None;
                console.note(&format!("  {error}"));
            }
        }
        let questions = known.iter().flat_map(|(_, questions)| questions.values());
        let now = Instant::now();
        for question in questions {
            let name = question.service().to_owned();
            let is_due = due.get(&name).is_none_or(|due| *due <= now);
            if is_due && running.len() < AT_ONCE && busy.insert(name.clone()) {
                due.insert(name, now + question.every());
                let question = question.clone();
                running.push(async move {
                    let asked = question.ask(jobs, args.timeout, |_| {}).await;
                    (question, asked)
                });
            }
        }
        let waits = |name: &String| {
            running.len() < AT_ONCE
                && !busy.contains(name)
                && known.as_ref().is_some_and(|(_, questions)| questions.contains_key(name))
        };
        let next = due.iter().filter(|(name, _)| waits(name)).map(|(_, due)| *due).min();
        let pause = next.map_or(PAUSE, |next| next.saturating_duration_since(Instant::now()).min(PAUSE));
        tokio::select! {
            Some((question, asked)) = running.next() => {
                busy.remove(question.service());
                let asked = match asked {
                    Ok(asked) => asked,
                    Err(error) => {
                        console.note(&format!("  {error}"));
                        continue;
                    }
                };
                metrics.add(&asked);
                let to_stdout = write(&metrics, args.openmetrics.as_deref(), console)?;
                if !to_stdout && tell(&asked, console).is_err() {
                    return Ok(());
                }
            }
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The checks of what serves, where that is another version than the one that is known.
async fn current(
    jobs: &Jobs<'_>,
    names: &[String],
    known: Option<u64>,
) -> Result<Option<(Record, BTreeMap<String, Question>)>> {
    if known.is_some() && Store::new(jobs.cluster).head().await?.value.current == known {
        return Ok(None);
    }
    let (_, record) = served(jobs.cluster).await?;
    let questions = questions(&record, Store::new(jobs.cluster), names).await?;
    Ok(Some((record, questions)))
}

/// One line for each answer. It fails when nobody reads any more.
fn tell(asked: &Asked, console: &Console) -> std::io::Result<()> {
    if console.is_json() {
        let mut document = asked.json();
        document["command"] = json!("smoke-check");
        return console.try_json(document);
    }
    let took = asked.elapsed.as_secs_f64();
    let at = asked.at.strftime("%H:%M:%S");
    let line = format!("{at}  {}  {}  {took:.1} s  {}", asked.service, asked.verdict.as_str(), asked.verdict.why());
    console.try_data(line.trim_end())?;
    if asked.said.is_empty() { Ok(()) } else { console.try_data(&format!("  {}", asked.said.join("\n  "))) }
}

/// Writes metrics where they are wanted; whether that is the standard output.
fn write(metrics: &Metrics, to: Option<&Path>, console: &Console) -> Result<bool> {
    match to {
        None => Ok(false),
        Some(path) if path == Path::new("-") => {
            console.data(&metrics.text());
            Ok(true)
        }
        Some(path) => metrics.write(path).map(|()| false),
    }
}
