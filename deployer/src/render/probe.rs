//! How the kubelet asks a container for its health.

use std::time::Duration;

use clustergraph::format::service::{Health, Port, Probe};
use clustergraph::graph::Service;
use serde_json::{Value, json};

use super::pod::set;

/// How many answers may fail before a container counts as unwell.
const FAILURES: u64 = 3;
/// Seconds between two questions whether a container that was ready is still alive.
const LIVENESS_PERIOD: u64 = 10;
/// For how long one answer may take where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The probes of a service's container, by their fields' names.
///
/// Readiness is asked every second from the first. How long a start may take is watched by the deploy, which also says why
/// it takes long; so there is no startup probe that would kill in silence, unless `liveness` asks for a restart anyway.
pub(super) fn of(service: &Service) -> Vec<(&'static str, Value)> {
    let health = service.health.as_ref();
    let probe = health.map_or(&Probe::Tcp, |health| &health.probe);
    let mut probes = Vec::new();
    if let Some(ready) = question(service, probe, 1, FAILURES) {
        probes.push(("readinessProbe", ready));
    }
    let Some((health, liveness)) = health.and_then(|health| Some((health, health.liveness.as_ref()?))) else {
        return probes;
    };
    if let Some(alive) = question(service, liveness, LIVENESS_PERIOD, FAILURES) {
        probes.push(("livenessProbe", alive));
    }
    if let Some(started) = question(service, probe, 1, health.start_timeout.as_secs().max(1)) {
        probes.push(("startupProbe", started));
    }
    probes
}

fn question(service: &Service, probe: &Probe, period: u64, failures: u64) -> Option<Value> {
    let health = service.health.as_ref();
    let timeout = health.map_or(TIMEOUT, |health| health.timeout);
    let (field, asked) = asked(service, probe)?;
    let mut question = json!({
        "periodSeconds": period,
        "timeoutSeconds": timeout.as_millis().div_ceil(1000).max(1),
        "failureThreshold": failures,
    });
    set(&mut question, field, Some(asked));
    Some(question)
}

/// What is asked. Nothing where there is no port to ask at; a line of output is nothing that the kubelet can ask for, and
/// refused before anything is rendered.
fn asked(service: &Service, probe: &Probe) -> Option<(&'static str, Value)> {
    let health = service.health.as_ref();
    Some(match probe {
        Probe::Http(path) => {
            let port = port(service, health)?;
            let scheme = if port.protocol == "https" { "HTTPS" } else { "HTTP" };
            let mut get = json!({ "path": path, "port": port.number, "scheme": scheme });
            let headers = health.into_iter().flat_map(|health| &health.headers);
            let headers: Vec<Value> = headers.map(|(name, value)| json!({ "name": name, "value": value })).collect();
            set(&mut get, "httpHeaders", (!headers.is_empty()).then(|| json!(headers)));
            ("httpGet", get)
        }
        Probe::Tcp => ("tcpSocket", json!({ "port": port(service, health)?.number })),
        Probe::Grpc(name) => {
            let mut grpc = json!({ "port": port(service, health)?.number });
            set(&mut grpc, "service", (!name.is_empty()).then(|| json!(name)));
            ("grpc", grpc)
        }
        // Unlike a container's command, a probe's is taken as it stands.
        Probe::Command(command) => ("exec", json!({ "command": command })),
        Probe::Log(_) => return None,
    })
}

fn port<'s>(service: &'s Service, health: Option<&Health>) -> Option<&'s Port> {
    match health.and_then(|health| health.port.as_ref()) {
        Some((name, _)) => service.ports.iter().find(|port| port.name == *name),
        None => service.primary_port(),
    }
}
