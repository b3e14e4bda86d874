//! Whether what runs is ready, and whether it still answers.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clustergraph::catalogue::{Stack, fill_database};
use clustergraph::format::service::{Health, Probe};

use super::desired::Running;
use super::probe::{ALIVE, ANSWER, Question, pause};
use crate::runtime::{Cause, Forward, Runtime, Server};
use crate::session::Instance;

/// How long a database server may take from its start to its first answer: on a busy machine those in Java take minutes.
pub(super) const SERVER_START: Duration = Duration::from_secs(5 * 60);
/// How long a service may take when it does not say.
pub(super) const SERVICE_START: Duration = Duration::from_secs(60);
/// How much longer it may take where starting begins with compiling: a failed build ends by itself and is told at once.
const COMPILING: Duration = Duration::from_secs(10 * 60);
/// How long one client program of a database may take: Kafka's are in Java, and start slowly on a busy machine.
pub(super) const CLIENT: Duration = Duration::from_secs(3 * 60);
/// How often a running service is asked whether it still answers, and after how many answers of no it is believed.
const LIVENESS: (Duration, usize) = (Duration::from_secs(5), 3);

/// The newest answer that was no, for whoever stops waiting.
#[derive(Default)]
pub(super) struct LastNo(Mutex<String>);

impl LastNo {
    pub(super) fn set(&self, why: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How long a service may take from its start until it is ready.
pub(super) fn limit(health: Option<&Health>, stack: &Stack) -> Duration {
    let limit = health.map_or(SERVICE_START, |health| health.start_timeout);
    if stack.has_cache() { limit + COMPILING } else { limit }
}

/// Asks until the answer is yes.
async fn until_yes<A: Future<Output = Result<(), String>>>(last: &LastNo, ask: impl Fn() -> A) {
    let first = Instant::now();
    loop {
        let began = Instant::now();
        match ask().await {
            Ok(()) => return,
            Err(why) => last.set(why),
        }
        tokio::time::sleep(pause(first.elapsed(), began.elapsed())).await;
    }
}

/// Waits until a server does what services will ask of it.
pub(super) async fn server(runtime: &dyn Runtime, server: &Server, instance: &Instance, last: &LastNo) {
    let values = server.values(runtime.name());
    if let Some(handshake) = &server.kind.handshake {
        let pairs: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let question = Question::Handshake(handshake.clone(), handshake.request(&pairs));
        return until_yes(last, || question.ask(server.port, ANSWER)).await;
    }
    let env = client_env(server, runtime);
    let command: Vec<String> = server.kind.ready.iter().map(|word| fill_database(word, &values)).collect();
    let (command, env) = (&command, &env);
    until_yes(last, || async move {
        let asked = runtime.run_client(server, instance, command, env, "", CLIENT).await;
        asked.map(drop).map_err(|cause| cause.lines.last().cloned().unwrap_or(cause.message))
    })
    .await;
}

/// The environment of a server's client programs.
pub(super) fn client_env(server: &Server, runtime: &dyn Runtime) -> std::collections::BTreeMap<String, String> {
    let values = server.values(runtime.name());
    let env = server.kind.client_env.iter();
    env.map(|(name, value)| (name.clone(), fill_database(value, &values))).collect()
}

/// Waits until everything that a forwarder listens on takes connections.
pub(super) async fn forward(forward: &Forward, last: &LastNo) {
    for route in &forward.routes {
        let address = (forward.gateway.listen, route.from);
        let connect = || async move {
            let connecting = tokio::net::TcpStream::connect(address);
            match tokio::time::timeout(ANSWER, connecting).await {
                Ok(connected) => connected.map(drop).map_err(|error| error.to_string()),
                Err(_) => Err(format!("{}:{} takes no connection", address.0, address.1)),
            }
        };
        until_yes(last, connect).await;
    }
}

/// Waits until a service is ready. `before` is where its log ended when it was started.
pub(super) async fn service(runtime: &dyn Runtime, running: &Running, instance: &Instance, before: u64, last: &LastNo) {
    match running.health.as_ref().map(|health| &health.probe) {
        Some(Probe::Log(text)) => {
            last.set(format!("no line of its output holds `{text}`"));
            runtime.says(&running.program, instance, before, text).await;
        }
        Some(probe) => until_yes(last, || asked(runtime, running, instance, probe)).await,
        None if running.port.is_some() => {
            until_yes(last, || asked(runtime, running, instance, &Probe::Tcp)).await;
        }
        None => tokio::time::sleep(ALIVE).await,
    }
}

/// Asks a running service once.
async fn asked(runtime: &dyn Runtime, running: &Running, instance: &Instance, probe: &Probe) -> Result<(), String> {
    let limit = running.health.as_ref().map_or(ANSWER, |health| health.timeout);
    let headers = || running.health.as_ref().map(|health| health.headers.clone()).unwrap_or_default();
    let question = match probe {
        Probe::Http(path) => Question::Http(path.clone(), headers()),
        Probe::Tcp => Question::Tcp,
        Probe::Grpc(service) => Question::Grpc(service.clone()),
        Probe::Command(command) => {
            let asked = tokio::time::timeout(limit, runtime.run_beside(&running.program, instance, command)).await;
            return match asked {
                Ok(Ok(())) => Ok(()),
                Ok(Err(cause)) => Err(cause.lines.last().cloned().unwrap_or(cause.message)),
                Err(_) => Err(format!("`{}` does not end within {} ms", command.join(" "), limit.as_millis())),
            };
        }
        // What was said once stays said.
        Probe::Log(_) => return Ok(()),
    };
    let port = running.port.ok_or("it has no port to ask at")?;
    question.ask(port, limit).await
}

/// Waits until a service that was ready does not answer any more, and tells why; for ever when nobody wants to know.
pub(super) async fn no_longer(runtime: &dyn Runtime, running: &Running, instance: &Instance) -> String {
    let Some(Health { liveness: Some(probe), .. }) = &running.health else { return std::future::pending().await };
    let (every, believed) = LIVENESS;
    let mut no = 0;
    loop {
        tokio::time::sleep(every).await;
        match asked(runtime, running, instance, probe).await {
            Ok(()) => no = 0,
            Err(why) if no + 1 >= believed => return why,
            Err(_) => no += 1,
        }
    }
}

/// Waits for readiness, but not beyond the instance's own end or the limit.
pub(super) async fn unless_it_ends(
    runtime: &dyn Runtime,
    instance: &Instance,
    log: &Path,
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
