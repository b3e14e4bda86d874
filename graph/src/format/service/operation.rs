//! Operation: how a service is run on a cluster, which its instances cannot observe.

use std::time::Duration;

use crate::diagnostic::{Place, Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::yaml::{Key, Yaml};

/// An entry into the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    /// The path below which requests come here.
    pub path: String,
    /// Where it was written.
    pub place: Place,
}

/// How a service is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
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

pub(super) fn scale(yaml: &Yaml, problems: &mut Problems) -> Option<u32> {
    let mut fields = Fields::open(yaml, "`scale`", problems)?;
    let replicas =
        fields.take("replicas").and_then(|yaml| decode::integer(yaml, "`scale.replicas`", 0..=10_000, problems));
    fields.not_yet(&["min", "max", "cpu"], problems);
    fields.close("`scale`", problems);
    replicas.and_then(|replicas| u32::try_from(replicas).ok())
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
