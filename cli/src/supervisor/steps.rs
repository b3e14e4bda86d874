//! Making one unit real: begun, watched until it is ready, ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clustergraph::graph::Unit;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use super::desired::{Work, server_values};
use super::probe::{ALIVE, Question, pauses};
use super::{Event, LeftOver};
use crate::runtime::{Cause, Ended, Forward, Program, Runtime, Server};
use crate::session::Instance;

/// How long a database server may take from its start to its first answer.
const SERVER_START: Duration = Duration::from_secs(120);
/// How long a service may take when it does not say.
const SERVICE_START: Duration = Duration::from_secs(60);
/// How long a migration or seed that nobody waits for any more may take to end.
const ONCE_GRACE: Duration = Duration::from_secs(5);
/// How long one client program of a database may take.
const CLIENT: Duration = Duration::from_secs(30);

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
    match work {
        Work::Setup(program) => unless_interrupted(interrupt, runtime.ensure_setup(program, &tell)).await,
        Work::Once(program) => {
            let instance = runtime.start(program, &tell).await?;
            started(&instance);
            let result = unless_interrupted(interrupt, ended_well(runtime, program, &instance)).await;
            // A container that has ended is still there; and nobody waits for one that was interrupted.
            runtime.stop(&instance, "TERM", if result.is_ok() { Duration::ZERO } else { ONCE_GRACE }).await?;
            result
        }
        Work::Forward(forward) => {
            let instance = runtime.start_forward(forward).await?;
            started(&instance);
            let last = LastNo::default();
            let ready = async { Ok(forward_is_ready(forward, &last).await) };
            let ready = unless_it_ends(runtime, &instance, &forward.log, SERVICE_START, &last, ready);
            unless_interrupted(interrupt, ready).await
        }
        // What all share is there when its server is.
        Work::Database { run, .. } if run.is_empty() => Ok(()),
        Work::Database { server, run, input } => {
            let instance = server_instance.ok_or_else(|| Cause::new("its server does not run"))?;
            let env = client_env(server, runtime);
            runtime.run_client(server, &instance, run, &env, input, CLIENT).await.map(drop)
        }
        Work::Server(server) => {
            let instance = runtime.start_server(server, &tell).await?;
            started(&instance);
            let last = LastNo::default();
            let ready = async { Ok(server_is_ready(runtime, server, &instance, &last).await) };
            let ready = unless_it_ends(runtime, &instance, &server.log, SERVER_START, &last, ready);
            unless_interrupted(interrupt, ready).await
        }
        Work::Service { program, health, probe, .. } => {
            let instance = runtime.start(program, &tell).await?;
            started(&instance);
            let limit = health.as_ref().map_or(SERVICE_START, |health| health.start_timeout);
            let question = probe.map(|port| Question::new(health.as_ref(), port));
            let last = LastNo::default();
            let ready = async {
                runtime.check_way_out(program, &instance).await?;
                service_is_ready(question.as_ref(), &last).await;
                Ok(())
            };
            let ready = unless_it_ends(runtime, &instance, &program.log, limit, &last, ready);
            unless_interrupted(interrupt, ready).await
        }
    }
}

fn client_env(server: &Server, runtime: &dyn Runtime) -> std::collections::BTreeMap<String, String> {
    let values = server_values(server, runtime.name());
    let env = server.kind.client_env.iter();
    env.map(|(name, value)| (name.clone(), clustergraph::catalogue::fill_database(value, &values))).collect()
}

/// The newest answer that was no, for whoever stops waiting.
#[derive(Default)]
struct LastNo(std::sync::Mutex<String>);

impl LastNo {
    fn set(&self, why: String) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = why;
    }

    fn get(&self) -> String {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

async fn server_is_ready(runtime: &dyn Runtime, server: &Server, instance: &Instance, last: &LastNo) {
    let values = server_values(server, runtime.name());
    let env = client_env(server, runtime);
    let fill = |word: &String| clustergraph::catalogue::fill_database(word, &values);
    let command: Vec<String> = server.kind.ready.iter().map(fill).collect();
    for pause in pauses() {
        match runtime.run_client(server, instance, &command, &env, "", CLIENT).await {
            Ok(_) => return,
            Err(cause) => last.set(cause.lines.last().cloned().unwrap_or(cause.message)),
        }
        tokio::time::sleep(pause).await;
    }
}

/// Fails on another end than 0.
async fn ended_well(runtime: &dyn Runtime, program: &Program, instance: &Instance) -> Result<(), Cause> {
    let ended = runtime.ended(instance).await;
    if ended == Ended::Code(0) {
        return Ok(());
    }
    let words = program.command.as_deref().unwrap_or_default().join(" ");
    let lines = runtime.last_lines(Some(instance), &program.log).await;
    Err(Cause { message: format!("`{words}` {ended}"), lines })
}

async fn forward_is_ready(forward: &Forward, last: &LastNo) {
    for route in &forward.routes {
        let address = (forward.gateway.listen, route.from);
        for pause in pauses() {
            match tokio::net::TcpStream::connect(address).await {
                Ok(_) => break,
                Err(error) => last.set(error.to_string()),
            }
            tokio::time::sleep(pause).await;
        }
    }
}

async fn service_is_ready(question: Option<&Question>, last: &LastNo) {
    let Some(question) = question else { return tokio::time::sleep(ALIVE).await };
    for pause in pauses() {
        match question.ask().await {
            Ok(()) => return,
            Err(why) => last.set(why),
        }
        tokio::time::sleep(pause).await;
    }
}

/// Waits for readiness, but not beyond the instance's own end or the limit.
async fn unless_it_ends(
    runtime: &dyn Runtime,
    instance: &Instance,
    log: &std::path::Path,
    limit: Duration,
    last: &LastNo,
    ready: impl Future<Output = Result<(), Cause>>,
) -> Result<(), Cause> {
    let began = Instant::now();
    let message = tokio::select! {
        biased;
        end = runtime.ended(instance) => format!("it {end} after {:.1} s, before it was ready", began.elapsed().as_secs_f32()),
        ready = ready => return ready,
        () = tokio::time::sleep(limit) => format!("it was not ready within {} s: {}", limit.as_secs(), last.get()),
    };
    Err(Cause { message, lines: runtime.last_lines(Some(instance), log).await })
}
