//! `ssi setup`: what the graph needs of this machine, and an installation of what is missing.

mod install;
mod needs;
mod versions;

use clap::Args;
use clustergraph::graph::Graph;

use super::{Global, Printed, up};
use crate::console::{self, BOLD, DIM, GREEN, RED, paint};
use crate::exit::{Exit, Failure};
use crate::protocol::{Purpose, RuntimeName, Up};
use crate::report::{Output, table};
use crate::runtime::Docker;
use crate::session::Session;
use crate::supervisor;
use install::{Machine, Way};
use needs::Need;

/// Arguments of `ssi setup`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi setup\n  ssi setup --dry-run              only shows what is missing and what brings it\n  ssi setup --runtime process      also where containers would be used"
)]
pub(crate) struct SetupArgs {
    /// Install nothing
    #[arg(long)]
    dry_run: bool,
    /// How services will run; Docker where an engine answers, else processes
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<RuntimeName>,
    #[command(flatten)]
    printed: Printed,
}

pub(super) async fn run(global: &Global, args: &SetupArgs) -> Result<Exit, Failure> {
    let session = global.session()?;
    let graph = global.graph(None, args.printed.output)?;
    let engine = Docker::version(&session).await.ok();
    let mut found = look(&graph, &session, args.runtime).await?;
    let is_text = args.printed.output == Output::Text;
    if is_text {
        print(&found, engine.as_deref());
    }
    let mut machine = Machine::here();
    let (mut told, mut failures) = (Vec::new(), Vec::new());
    // What was brought may need something itself: a server in Java, Java.
    for _ in 0..3 {
        let mut ways = ways(&found.needs, &machine);
        if !args.dry_run && !machine.is_fresh && ways.iter().any(Way::is_apt) {
            install::refresh().await;
            machine.is_fresh = true;
            ways = self::ways(&found.needs, &machine);
        }
        let (ours, others): (Vec<Way>, Vec<Way>) = ways.into_iter().partition(|way| way.is_ours() && !args.dry_run);
        told = others.iter().map(ToString::to_string).collect();
        if ours.is_empty() || !failures.is_empty() {
            break;
        }
        for way in &ours {
            console::note(&format!("{} {way}", paint("installing:", BOLD)));
            if let Err(failure) = install::install(way, &|text| console::note(text)).await {
                failures.push(failure.message);
            }
        }
        found = look(&graph, &session, args.runtime).await?;
        if is_text {
            print(&found, engine.as_deref());
        }
    }
    for failure in &failures {
        console::error(failure);
    }
    let missing: Vec<&Need> = found.needs.iter().filter(|need| !need.is_met).collect();
    if is_text {
        for line in &told {
            console::note(&format!("  {line}"));
        }
        match missing.len() {
            0 => console::note("everything is there"),
            count => console::note(&format!("{count} missing")),
        }
    } else {
        console::data(&json(&found, engine.as_deref(), &told).to_string());
    }
    Ok(if missing.is_empty() { Exit::Success } else { Exit::Failed })
}

/// What is needed, and whether it is there.
struct Found {
    needs: Vec<Need>,
    /// Whether some of it runs in containers.
    has_containers: bool,
}

async fn look(graph: &Graph, session: &Session, runtime: Option<RuntimeName>) -> Result<Found, Failure> {
    let wish = Up { runtime, dry_run: true, ..up::wish(&[], Purpose::Start) };
    let runtimes = supervisor::runtimes(session, graph, &wish).await?;
    Ok(Found { needs: needs::needs(graph, &runtimes, session), has_containers: needs::is_container(graph, &runtimes) })
}

fn ways(needs: &[Need], machine: &Machine) -> Vec<Way> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.is_met).collect();
    install::ways(&missing, machine)
}

/// The names of what processes need and this machine lacks, and how much they need at all.
pub(super) async fn missing(graph: &Graph, session: &Session) -> (Vec<String>, usize) {
    let needs = look(graph, session, None).await.map(|found| found.needs).unwrap_or_default();
    let names = needs.iter().filter(|need| !need.is_met).map(|need| format!("{} {}", need.name, need.wanted));
    (names.collect(), needs.len())
}

fn print(found: &Found, engine: Option<&str>) {
    let mut rows = Vec::new();
    let mark = |is_met: bool| if is_met { paint("✓", GREEN) } else { paint("✗", RED) };
    if found.has_containers {
        let said = engine.unwrap_or("no engine answers").to_owned();
        rows.push(vec![mark(engine.is_some()), "Docker engine".to_owned(), String::new(), said, String::new()]);
    }
    for need in &found.needs {
        let by = need.by.iter().cloned().collect::<Vec<_>>().join(" ");
        let said = need.found.clone().unwrap_or_else(|| "-".to_owned());
        rows.push(vec![mark(need.is_met), need.name.clone(), need.wanted.clone(), said, paint(&by, DIM)]);
    }
    if rows.is_empty() {
        return console::note("the graph needs nothing of this machine");
    }
    console::data(&table(&["", "WHAT", "WANTED", "FOUND", "FOR"], &["FOUND"], rows, console::table_width()));
}

fn json(found: &Found, engine: Option<&str>, told: &[String]) -> serde_json::Value {
    let needs: Vec<_> = found
        .needs
        .iter()
        .map(|need| {
            serde_json::json!({
                "name": need.name, "wanted": need.wanted, "found": need.found, "met": need.is_met, "for": need.by,
            })
        })
        .collect();
    serde_json::json!({
        "schema": "ssi.setup/1", "engine": engine, "containers": found.has_containers, "needs": needs, "to_do": told,
    })
}
