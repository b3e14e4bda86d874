//! `ssi exec`: a program where a service runs.

use clap::Args;

use super::{Global, Revision, ended, known_service, up};
use crate::exit::{Exit, Failure};
use crate::protocol::Purpose;
use crate::report::Output;
use crate::runtime::{self, Terminal};
use crate::session::Records;
use crate::supervisor;

/// Arguments of `ssi exec`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ssi exec api -- sh\n  ssi exec api -- python manage.py shell\n  ssi exec api -- env < /dev/null"
)]
pub(crate) struct ExecArgs {
    /// The service, which must run
    service: String,
    #[command(flatten)]
    revision: Revision,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) async fn run(global: &Global, args: ExecArgs) -> Result<Exit, Failure> {
    let session = args.revision.session(global)?;
    let graph = global.graph_of(&session, Output::Text)?;
    known_service(&graph, &args.service)?;
    let records = Records::read(&session.records()).map_err(Failure::unusable)?;
    let unit = supervisor::unit_of(&graph, &args.service);
    let instance = records.get(&unit).and_then(|record| Some((record.runtime, record.instance.clone()?)));
    let not_running = || {
        let name = &args.service;
        Failure::unusable(format!(
            "{name} does not run: `ssi up {name}` starts it, `ssi run {name} -- ...` runs a program beside it"
        ))
    };
    let (runtime, instance) = instance.ok_or_else(not_running)?;
    let runtime = runtime::of(runtime, &session);
    let alive =
        runtime.running(std::slice::from_ref(&instance)).await.map_err(|cause| Failure::unusable(cause.to_string()))?;
    if alive.first() != Some(&true) {
        return Err(not_running());
    }
    let wish = up::wish(std::slice::from_ref(&args.service), Purpose::Start);
    let mut program = supervisor::inspect(&session, &graph, &wish, &args.service, None).await?.program;
    program.command = Some(args.command);
    let how = runtime.exec(&instance, &program, Terminal::here()).await;
    how.map(ended).map_err(|cause| Failure::unusable(cause.to_string()))
}
