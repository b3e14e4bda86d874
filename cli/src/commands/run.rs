//! `ssi run`: a program of a service's own, once.

use clap::Args;
use clustergraph::graph::Role;

use super::{Global, Revision, ended, known_service, up};
use crate::exit::{Exit, Failure};
use crate::protocol::{Event, Purpose, Request, RuntimeName, Up};
use crate::report::{Output, Reporter};
use crate::runtime::{self, Terminal};
use crate::session::Client;
use crate::supervisor;

/// Arguments of `ssi run`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi run api -- python manage.py createsuperuser\n  ssi run --no-deps api -- pytest\n  ssi run etl.nightly          the job's own command"
)]
pub(crate) struct RunArgs {
    /// The service, process, task or job whose sources, image and environment the program gets
    service: String,
    /// The program and its arguments; what it runs anyway when there is none
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    revision: Revision,
    /// Start its databases, but no services that it calls
    #[arg(long)]
    no_deps: bool,
    /// How to run what has not run yet; Docker where an engine answers, else processes
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<RuntimeName>,
}

pub(super) async fn run(global: &Global, args: RunArgs) -> Result<Exit, Failure> {
    let session = args.revision.session(global)?;
    let graph = global.graph_of(&session, Output::Text)?;
    known_service(&graph, &args.service)?;
    let role = graph.services.get(&args.service).map(|service| service.role.clone());
    if args.command.is_empty() && matches!(role, Some(Role::Service | Role::Base)) {
        let name = &args.service;
        return Err(Failure::unusable(format!(
            "say what to run: `ssi run {name} -- ...`; the service itself runs by `ssi up {name}`"
        )));
    }
    // Nothing of such a service runs by itself: what its parts find, its programs find.
    let part = graph.parts(&args.service).next();
    let name = match part.filter(|_| role == Some(Role::Base)) {
        Some(part) => part.name.clone(),
        None => args.service.clone(),
    };
    let wish = up::wish(std::slice::from_ref(&name), Purpose::Needs { services: !args.no_deps });
    let wish = Up { runtime: args.runtime, ..wish };
    let mut client = Client::ask(&session, &Request::Up(wish.clone())).await?;
    let mut reporter = Reporter::new(Output::Text, false);
    let mut started = false;
    loop {
        let Some(event) = client.next().await? else {
            return Err(Failure::failed("the supervisor ended; what runs goes on: run the command again"));
        };
        if let Event::Plan { steps, .. } = &event {
            started = !steps.is_empty();
        }
        // Where nothing has to be started there is nothing to tell.
        if started {
            reporter.report(&event);
        }
        if let Event::End { exit, message } = event {
            match exit {
                Exit::Success => break,
                exit => return Err(Failure { exit, message }),
            }
        }
    }
    let inspected = supervisor::inspect(&session, &graph, &wish, &name, None).await?;
    let mut program = inspected.program;
    if !args.command.is_empty() {
        program.command = Some(args.command);
    }
    program.ensure_sources(inspected.runtime).await.map_err(|cause| Failure::unusable(cause.to_string()))?;
    let result = runtime::of(inspected.runtime, &session).run_attached(&program, Terminal::here()).await;
    if started {
        take_back(&mut client).await?;
    }
    result.map(ended).map_err(|cause| Failure::unusable(cause.to_string()))
}

/// What was started for this program alone stops again.
async fn take_back(client: &mut Client) -> Result<(), Failure> {
    let request = Request::TakeBack { all: false, services: Vec::new() };
    if client.send(&request).await.is_err() {
        return Ok(()); // whoever comes next finds that nobody needs it
    }
    let mut reporter = Reporter::new(Output::Text, false);
    while let Some(event) = client.next().await? {
        if matches!(&event, Event::Plan { steps, .. } if steps.is_empty()) {
            return Ok(());
        }
        reporter.report(&event);
        if matches!(event, Event::End { .. }) {
            break;
        }
    }
    Ok(())
}
