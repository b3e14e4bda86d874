//! What else runs from a service's sources: further processes, jobs, tests.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Command;
use super::health::{Health, health};
use super::operation::{Restart, Stop, restart, stop};
use super::scale::{Resources, Scale, resources, scale};
use super::surroundings::env;
use crate::diagnostic::{Place, Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::dns_label;
use crate::format::expression::Template;
use crate::format::schedule::schedule;
use crate::format::yaml::{Key, Yaml};

/// A further process or a job of a service: a node of its own from the same sources.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its own name, below the service's.
    pub name: String,
    /// Where its name was written.
    pub place: Place,
    /// When it runs; always, for a process.
    pub schedule: Option<String>,
    /// What it runs.
    pub run: Command,
    /// Environment laid over the service's.
    pub env: BTreeMap<String, Template>,
    /// How its health is asked; alive is healthy otherwise.
    pub health: Option<Health>,
    /// How many of it run on a cluster.
    pub scale: Scale,
    /// What one may take; as much as the service otherwise.
    pub resources: Option<Resources>,
    /// What happens when it ends by itself.
    pub restart: Restart,
    /// How it is stopped; as the service otherwise.
    pub stop: Option<Stop>,
}

/// A service's tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestSuite {
    /// Runs them.
    pub run: Command,
    /// Prints the name of each test on a line, so that they can be divided.
    pub list: Option<Command>,
    /// The stage of the Dockerfile that holds them.
    pub target: Option<String>,
    /// Where it was written.
    pub place: Place,
}

/// A question that a running cluster is asked from time to time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Smoke {
    /// Ends with 0 when all is well.
    pub run: Command,
    /// How often.
    pub every: Duration,
    /// Where it was written.
    pub place: Place,
}

fn run(fields: &mut Fields<'_>, what: &str, problems: &mut Problems) -> Option<Command> {
    decode::required(fields, "run", what, problems).and_then(|yaml| decode::command(yaml, "`run`", problems))
}

pub(super) fn processes(yaml: &Yaml, problems: &mut Problems) -> Vec<Process> {
    let entries = decode::entries(yaml, "`processes`", problems);
    entries.iter().filter_map(|(key, yaml)| process(key, yaml, problems)).collect()
}

fn process(key: &Key, yaml: &Yaml, problems: &mut Problems) -> Option<Process> {
    let name = dns_label(&key.name, &key.place, "the process's name", problems);
    let mut fields = Fields::open(yaml, "a process", problems)?;
    let run = run(&mut fields, "a process", problems);
    let env = fields.take("env").map(|yaml| env(yaml, problems)).unwrap_or_default();
    let health = fields.take_with_key("health").and_then(|(key, yaml)| health(key, yaml, problems));
    if let Some(health) = &health
        && let Some(probe) =
            [Some(&health.probe), health.liveness.as_ref()].into_iter().flatten().find(|p| p.needs_port())
    {
        problems.add(
            Problem::new(
                "no-port",
                health.place.clone(),
                format!("a process has no port to ask by `{}`", probe.as_str()),
            )
            .mend("ask by `command` or `log`; what is called from elsewhere is a service of its own"),
        );
    }
    let scale = fields.take("scale").and_then(|yaml| scale(yaml, problems)).unwrap_or_default();
    let resources = fields.take("resources").map(|yaml| resources(yaml, problems));
    let restart = fields.take("restart").and_then(|yaml| restart(yaml, problems)).unwrap_or_default();
    let stop = fields.take("stop").map(|yaml| stop(yaml, problems));
    fields.close("a process", problems);
    let (name, place) = (name?, key.place.clone());
    Some(Process { name, place, schedule: None, run: run?, env, health, scale, resources, restart, stop })
}

pub(super) fn job(yaml: &Yaml, problems: &mut Problems) -> Option<Process> {
    let mut fields = Fields::open(yaml, "a job", problems)?;
    let name = decode::required(&mut fields, "name", "a job", problems).and_then(|yaml| {
        let name = decode::string(yaml, "`name`", problems)?;
        dns_label(name, &yaml.place, "the job's name", problems).map(|name| (name, yaml.place.clone()))
    });
    let schedule =
        decode::required(&mut fields, "schedule", "a job", problems).and_then(|yaml| schedule(yaml, problems));
    let run = run(&mut fields, "a job", problems);
    let env = fields.take("env").map(|yaml| env(yaml, problems)).unwrap_or_default();
    let resources = fields.take("resources").map(|yaml| resources(yaml, problems));
    let restart = match fields.take_with_key("restart") {
        None => None,
        Some((key, yaml)) => {
            let word = restart(yaml, problems);
            if word == Some(Restart::Always) {
                problems.add(ends(&key.place, "a job"));
            }
            word
        }
    };
    fields.close("a job", problems);
    let (name, place) = name?;
    Some(Process {
        name,
        place,
        schedule: Some(schedule?),
        run: run?,
        env,
        health: None,
        scale: Scale::default(),
        resources,
        restart: restart.unwrap_or_default(),
        stop: None,
    })
}

/// The problem of starting again and again what is there to end.
pub(crate) fn ends(place: &Place, what: &str) -> Problem {
    Problem::new("conflict", place.clone(), format!("{what} ends, and would be started for ever"))
        .mend("write `never`, or `on-failure`")
}

pub(super) fn test(key: &Key, yaml: &Yaml, problems: &mut Problems) -> Option<TestSuite> {
    let mut fields = Fields::open(yaml, "`test`", problems)?;
    let run = run(&mut fields, "`test`", problems);
    let list = fields.take("list").and_then(|yaml| decode::command(yaml, "`test.list`", problems));
    let target =
        fields.take("target").and_then(|yaml| decode::string(yaml, "`test.target`", problems).map(str::to_owned));
    fields.close("`test`", problems);
    Some(TestSuite { run: run?, list, target, place: key.place.clone() })
}

pub(super) fn smoke(key: &Key, yaml: &Yaml, problems: &mut Problems) -> Option<Smoke> {
    let mut fields = Fields::open(yaml, "`smoke`", problems)?;
    let run = run(&mut fields, "`smoke`", problems);
    let every = fields.take("every").and_then(|yaml| decode::duration(yaml, "`smoke.every`", problems));
    fields.close("`smoke`", problems);
    Some(Smoke { run: run?, every: every.unwrap_or(Duration::from_secs(60)), place: key.place.clone() })
}
