//! Making one unit real: begun, watched until it is ready, ended.

use std::sync::Arc;
use std::time::Duration;

use clustergraph::graph::Unit;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use super::desired::Work;
use super::ready::{self, CLIENT, LastNo, SERVER_START, SERVICE_START, unless_it_ends};
use super::{Event, LeftOver};
use crate::runtime::{Cause, Ended, Program, Runtime, length};
use crate::session::Instance;

/// How long a migration or seed that nobody waits for any more may take to end.
const ONCE_GRACE: Duration = Duration::from_secs(5);

/// Begins a unit until it is ready or done; tells [`Event::Started`] when something runs.
///
/// `left_over` is what ran of the unit before; it ends first. `interrupt` ends the waiting, but nothing
/// between starting something and telling of it.
pub(super) async fn begin(
    runtime: Arc<dyn Runtime>,
    unit: Unit,
    work: Arc<Work>,
    left_over: Option<LeftOver>,
    server: Option<Instance>,
    events: UnboundedSender<Event>,
    interrupt: CancellationToken,
) -> Result<(), Cause> {
    if let Some(left_over) = left_over {
        left_over.end().await?;
        let _ = events.send(Event::Cleared { unit: unit.clone() });
    }
    make(&*runtime, &unit, &work, server, &events, &interrupt).await
}

/// Does something that may be left off at any time.
async fn unless_interrupted(
    interrupt: &CancellationToken,
    doing: impl Future<Output = Result<(), Cause>>,
) -> Result<(), Cause> {
    tokio::select! {
        result = doing => result,
        () = interrupt.cancelled() => Err(Cause::new("interrupted")),
    }
}

async fn make(
    runtime: &dyn Runtime,
    unit: &Unit,
    work: &Work,
    server_instance: Option<Instance>,
    events: &UnboundedSender<Event>,
    interrupt: &CancellationToken,
) -> Result<(), Cause> {
    let tell = |text: String| {
        let _ = events.send(Event::Told { unit: unit.clone(), text });
    };
    let started = |instance: &Instance| {
        let _ = events.send(Event::Started { unit: unit.clone(), instance: instance.clone() });
    };
    let last = LastNo::default();
    match work {
        Work::Image(building) => unless_interrupted(interrupt, runtime.ensure_image(building, &tell)).await,
        Work::Setup(program) => {
            program.ensure_sources(runtime.name()).await?;
            unless_interrupted(interrupt, runtime.ensure_setup(program, &tell)).await
        }
        Work::Database { server, commands } => {
            let instance = server_instance.ok_or_else(|| Cause::new("its server does not run"))?;
            let env = ready::client_env(server, runtime);
            for (command, input) in commands {
                runtime.run_client(server, &instance, command, &env, input, CLIENT).await?;
            }
            Ok(())
        }
        Work::Once(program) => {
            program.ensure_sources(runtime.name()).await?;
            let instance = runtime.start(program, &tell).await?;
            started(&instance);
            let result = unless_interrupted(interrupt, ended_well(runtime, program, &instance)).await;
            // A container that has ended is still there; and nobody waits for one that was interrupted.
            runtime.stop(&instance, "TERM", if result.is_ok() { Duration::ZERO } else { ONCE_GRACE }).await?;
            result
        }
        Work::Server(server) => {
            let instance = runtime.start_server(server, &tell).await?;
            started(&instance);
            let ready = async {
                ready::server(runtime, server, &instance, &last).await;
                Ok(())
            };
            let ready = unless_it_ends(runtime, &instance, &server.log, SERVER_START, &last, ready);
            unless_interrupted(interrupt, ready).await
        }
        Work::Forward(forward) => {
            let instance = runtime.start_forward(forward).await?;
            started(&instance);
            let ready = async {
                ready::forward(forward, &last).await;
                Ok(())
            };
            let ready = unless_it_ends(runtime, &instance, &forward.log, SERVICE_START, &last, ready);
            unless_interrupted(interrupt, ready).await
        }
        Work::Service(running) => {
            let program = &running.program;
            program.ensure_sources(runtime.name()).await?;
            let before = length(&program.log);
            let instance = runtime.start(program, &tell).await?;
            started(&instance);
            let ready = async {
                runtime.check_way_out(program, &instance).await?;
                ready::service(runtime, running, &instance, before, &last).await;
                Ok(())
            };
            let limit = ready::limit(running.health.as_ref(), &program.service.stack);
            let ready = unless_it_ends(runtime, &instance, &program.log, limit, &last, ready);
            unless_interrupted(interrupt, ready).await
        }
    }
}

/// Fails on another end than 0.
async fn ended_well(runtime: &dyn Runtime, program: &Program, instance: &Instance) -> Result<(), Cause> {
    let ended = runtime.ended(instance).await;
    if ended == Ended::Code(0) {
        return Ok(());
    }
    let words = program.command.as_deref().map_or_else(|| program.unit.to_string(), |words| words.join(" "));
    let lines = runtime.last_lines(Some(instance), &program.log).await;
    Err(Cause { message: format!("`{words}` {ended}"), lines })
}
