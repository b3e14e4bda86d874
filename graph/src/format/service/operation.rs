//! Operation: how a service is run, which its instances cannot observe.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Place, Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::yaml::{Key, Yaml};

/// An entry into the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Public {
    /// The path below which requests come here.
    pub path: String,
    /// Where it was written.
    pub place: Place,
}

impl Public {
    /// The path without a slash at its end: what comes between a host and what a program adds.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.path.trim_end_matches('/')
    }
}

/// How a service is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The signal's name without `SIG`.
    pub signal: String,
    /// How long it may take before it is killed.
    pub grace: Duration,
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: "TERM".to_owned(), grace: Duration::from_secs(10) }
    }
}

/// What a change of its sources means to a running service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Watch {
    /// It is started anew.
    #[default]
    Restart,
    /// It sees the change itself.
    SelfReload,
}

/// When a service is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Start {
    /// With all others.
    #[default]
    Automatic,
    /// When it is named, or something that runs needs it.
    Manual,
}

/// What a service may do on a cluster, in the words of Kubernetes' pod security standards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Security {
    /// It runs as its image's own user, without any privilege.
    #[default]
    Restricted,
    /// It may run as root.
    Baseline,
}

/// What happens when a program ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Restart {
    /// That it ended is told, and it stays so.
    #[default]
    Never,
    /// It is started anew unless it ended with 0.
    OnFailure,
    /// It is started anew.
    Always,
}

pub(super) fn watch(yaml: &Yaml, problems: &mut Problems) -> Option<Watch> {
    let mut fields = Fields::open(yaml, "`watch`", problems)?;
    let modes = [("restart", Watch::Restart), ("self", Watch::SelfReload)];
    let mode = fields.take("mode").and_then(|yaml| decode::choice(yaml, "`watch.mode`", &modes, problems));
    fields.close("`watch`", problems);
    mode
}

pub(super) fn start(yaml: &Yaml, problems: &mut Problems) -> Option<Start> {
    decode::choice(yaml, "`start`", &[("automatic", Start::Automatic), ("manual", Start::Manual)], problems)
}

pub(super) fn security(yaml: &Yaml, problems: &mut Problems) -> Option<Security> {
    let levels = [("restricted", Security::Restricted), ("baseline", Security::Baseline)];
    decode::choice(yaml, "`security`", &levels, problems)
}

pub(super) fn restart(yaml: &Yaml, problems: &mut Problems) -> Option<Restart> {
    let words = [("never", Restart::Never), ("on-failure", Restart::OnFailure), ("always", Restart::Always)];
    decode::choice(yaml, "`restart`", &words, problems)
}

/// Whether an overlay may use the base's instances.
pub(super) fn borrow(yaml: &Yaml, problems: &mut Problems) -> Option<bool> {
    decode::choice(yaml, "`borrow`", &[("always", true), ("never", false)], problems)
}

/// One place outside the cluster: `api.stripe.example:443`, `*.example.org:443`, `10.0.0.0/8:5432`.
pub(super) fn egress(yaml: &Yaml, problems: &mut Problems) -> Option<String> {
    let text = decode::string(yaml, "each item of `egress`", problems)?;
    let host_fits = |host: &str| {
        let host = host.strip_prefix("*.").unwrap_or(host);
        !host.is_empty()
            && host.starts_with(|c: char| c.is_ascii_alphanumeric())
            && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._/".contains(c))
    };
    let fits = text
        .rsplit_once(':')
        .is_some_and(|(host, port)| host_fits(host) && port.parse::<u16>().is_ok_and(|port| port > 0));
    if !fits {
        problems.add(
            Problem::new("address", yaml.place.clone(), format!("`{}` is no host and port", text.escape_debug()))
                .mend("write api.example.org:443, *.example.org:443 or 10.0.0.0/8:5432"),
        );
    }
    fits.then(|| text.to_owned())
}

pub(super) fn public(key: &Key, yaml: &Yaml, problems: &mut Problems) -> Option<Public> {
    let mut fields = Fields::open(yaml, "`public`", problems)?;
    let path = match fields.take("path") {
        None => Some("/".to_owned()),
        Some(yaml) => decode::string(yaml, "`public.path`", problems).and_then(|path| {
            if path.starts_with('/') {
                return Some(path.to_owned());
            }
            problems.add(
                Problem::new("path", yaml.place.clone(), "a public path starts with `/`")
                    .mend(format!("write `/{}`", path.escape_debug())),
            );
            None
        }),
    };
    fields.close("`public`", problems);
    Some(Public { path: path?, place: key.place.clone() })
}

pub(super) fn stop(yaml: &Yaml, problems: &mut Problems) -> Stop {
    let mut stop = Stop::default();
    let Some(mut fields) = Fields::open(yaml, "`stop`", problems) else { return stop };
    if let Some(yaml) = fields.take("signal") {
        match decode::string(yaml, "`stop.signal`", problems) {
            Some(signal @ ("TERM" | "INT" | "QUIT" | "HUP" | "USR1" | "USR2" | "KILL")) => {
                signal.clone_into(&mut stop.signal)
            }
            Some(other) => problems.add(
                Problem::new(
                    "signal",
                    yaml.place.clone(),
                    format!("`{}` is no signal to stop by", other.escape_debug()),
                )
                .mend("write TERM, INT, QUIT, HUP, USR1, USR2 or KILL"),
            ),
            None => {}
        }
    }
    if let Some(grace) = fields.take("grace").and_then(|yaml| decode::duration(yaml, "`stop.grace`", problems)) {
        stop.grace = grace;
    }
    fields.close("`stop`", problems);
    stop
}
