//! `ssi up`: make the graph real.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Args;
use clustergraph::graph::Unit;
use tokio::signal::unix::{SignalKind, signal};

use super::{Global, Printed, Revision, logs, ps};
use crate::console::{self, GREEN, RED, paint};
use crate::exit::{Exit, Failure};
use crate::protocol::{Event, Purpose, Request, RuntimeName, State, Up};
use crate::report::{Output, Reporter};
use crate::runtime;
use crate::session::{Client, Session};

/// How often it is looked whether everything still runs.
const LOOK: Duration = Duration::from_secs(1);

/// How many names are worth a line.
const MANY: usize = 8;

/// Arguments of `ssi up`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi up                 everything, with its logs, until Ctrl-C\n  ssi up -d              everything, in the background\n  ssi up api             only api and what it needs\n  ssi up --dry-run       what would be done, and why\n  ssi up -d --at v1.2    the cluster as it was, beside this one"
)]
pub(crate) struct UpArgs {
    /// Services to start with all that they need; everything when none is named
    services: Vec<String>,
    /// Return once everything is ready
    #[arg(short, long)]
    detach: bool,
    /// Print the plan and do nothing
    #[arg(long)]
    dry_run: bool,
    /// How to run; Docker where an engine answers, else processes
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<RuntimeName>,
    /// A registry that holds public images
    #[arg(long, value_name = "HOST", env = "CLUSTERGRAPH_MIRROR")]
    mirror: Option<String>,
    #[command(flatten)]
    revision: Revision,
    #[command(flatten)]
    printed: Printed,
}

/// What an `up` of these services says of its caller, for people to read.
pub(super) fn wish(services: &[String], purpose: Purpose) -> Up {
    Up {
        services: services.to_vec(),
        purpose,
        runtime: None,
        dry_run: false,
        shell: runtime::shell(),
        mirror: std::env::var("CLUSTERGRAPH_MIRROR").ok(),
        colour: console::has_colour(),
        width: console::width(),
    }
}

/// The session of the work tree, or of what the revision names now; which commit that is is told.
fn session(global: &Global, args: &UpArgs) -> Result<Session, Failure> {
    let Some(revision) = &args.revision.at else { return global.session() };
    let session = Session::at(&global.directory, revision)?;
    let Some(at) = session.at.as_ref().filter(|_| args.printed.output == Output::Text) else { return Ok(session) };
    console::note(&format!("{revision} is {} \"{}\"", at.short(), at.summary));
    for (other, _) in session.others_as(revision) {
        console::note(&format!(
            "what was started as {revision} when it was {} goes on: `ssi down --at {}` ends it",
            other.short(),
            other.short()
        ));
    }
    Ok(session)
}

pub(super) async fn run(global: &Global, args: UpArgs) -> Result<Exit, Failure> {
    let session = session(global, &args)?;
    let wish = wish(&args.services, Purpose::Start);
    let request = Request::Up(Up {
        runtime: args.runtime,
        dry_run: args.dry_run,
        mirror: args.mirror,
        colour: wish.colour && args.printed.output == Output::Text,
        ..wish
    });
    if session.at.is_some() && !args.dry_run {
        session.note()?;
    }
    let mut reporter = Reporter::new(args.printed.output, args.dry_run);
    if args.detach || args.dry_run {
        let mut client = Client::ask(&session, &request).await?;
        return follow(&mut client, &mut reporter).await;
    }
    attached(args.printed.output, &session, &args.services, &request, &mut reporter).await
}

/// Starts, follows the logs, and stops what it started at Ctrl-C.
async fn attached(
    output: Output,
    session: &Session,
    services: &[String],
    request: &Request,
    reporter: &mut Reporter,
) -> Result<Exit, Failure> {
    // From here on Ctrl-C ends nothing by itself.
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut client = Client::ask(session, request).await?;
    let mut own = Own::default();
    let starting = following(&mut client, reporter, |event| own.note(event, services));
    let started = tokio::select! {
        result = starting => Some(result),
        _ = interrupts.recv() => None,
    };
    match started {
        Some(Ok(Exit::Success)) => {
            console::note("following the logs; Ctrl-C stops what this command started, in order");
            tokio::select! {
                result = logs::follow_all(output, session, services) => result?,
                result = watch(session) => result?,
                _ = interrupts.recv() => {}
            }
        }
        Some(result) => return result,
        None => {}
    }
    reporter.clear();
    console::note("stopping; Ctrl-C again kills at once");
    let request = Request::TakeBack { all: own.all, services: own.services };
    if client.send(&request).await.is_err() {
        client = Client::ask(session, &request).await?;
    }
    let mut reporter = Reporter::new(output, false);
    let mut kills = 0;
    loop {
        tokio::select! {
            exit = follow(&mut client, &mut reporter) => return exit.map(|_| Exit::Interrupted),
            _ = interrupts.recv() => {
                kills += 1;
                if kills > 1 || client.send(&Request::Kill).await.is_err() {
                    return Ok(Exit::Interrupted);
                }
            }
        }
    }
}

/// What a command was the first to want: it stops that and nothing else.
#[derive(Debug, Default, PartialEq, Eq)]
struct Own {
    all: bool,
    services: Vec<String>,
}

impl Own {
    fn note(&mut self, event: &Event, services: &[String]) {
        if let Event::Before { all, roots } = event {
            self.all = services.is_empty() && !all;
            self.services = services.iter().filter(|name| !roots.contains(*name)).cloned().collect();
        }
    }
}

/// Reports everything that the supervisor tells until the request is over.
pub(super) async fn follow(client: &mut Client, reporter: &mut Reporter) -> Result<Exit, Failure> {
    following(client, reporter, |_| {}).await
}

async fn following(
    client: &mut Client,
    reporter: &mut Reporter,
    mut seen: impl FnMut(&Event),
) -> Result<Exit, Failure> {
    let mut running = BTreeSet::new();
    while let Some(event) = client.next().await? {
        seen(&event);
        reporter.report(&event);
        match event {
            Event::State { unit, state: State::Ready, .. } => drop(running.insert(unit)),
            Event::State { unit, .. } => drop(running.remove(&unit)),
            Event::End { exit, message } if message.is_empty() => return Ok(exit),
            Event::End { exit, message } => return Err(Failure { exit, message: message + &still(&running) }),
            _ => {}
        }
    }
    Err(Failure::failed("the supervisor ended; what runs goes on: run the command again"))
}

/// What a command that failed leaves running.
fn still(running: &BTreeSet<Unit>) -> String {
    if running.is_empty() {
        return String::new();
    }
    let mut names: Vec<String> = running.iter().take(MANY).map(ToString::to_string).collect();
    if let Some(more) = running.len().checked_sub(MANY).filter(|more| *more > 0) {
        names.push(format!("and {more} more"));
    }
    format!("\nrunning on: {}; `ssi up` tries the rest again, `ssi down` stops everything", names.join(", "))
}

/// Tells of services that end, or come back, while their logs are followed.
async fn watch(session: &Session) -> Result<(), Failure> {
    let mut known: BTreeMap<Unit, State> = BTreeMap::new();
    loop {
        for listed in ps::listing(session).await.unwrap_or_default() {
            let before = known.insert(listed.unit.clone(), listed.state);
            let why = listed.detail.unwrap_or_default();
            match (before, listed.state) {
                (Some(before), State::Failed) if before != State::Failed => {
                    let text = format!("{} failed: it {why}; the others go on", listed.unit);
                    console::note(&paint(&text, RED));
                }
                (Some(State::Failed), State::Ready) => {
                    console::note(&paint(&format!("{} is ready again", listed.unit), GREEN))
                }
                _ => {}
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(services: &[&str], all: bool, roots: &[&str]) -> Own {
        let services: Vec<String> = services.iter().map(|name| (*name).to_owned()).collect();
        let mut own = Own::default();
        own.note(&Event::Before { all, roots: roots.iter().map(|name| (*name).to_owned()).collect() }, &services);
        own
    }

    #[test]
    fn a_command_takes_back_only_what_it_was_the_first_to_want() {
        assert_eq!(own(&["a", "b"], false, &["b"]), Own { all: false, services: vec!["a".into()] });
        assert_eq!(own(&[], false, &["b"]), Own { all: true, services: Vec::new() });
        assert_eq!(own(&[], true, &[]), Own::default());
    }
}
