//! Tests of services in a cluster that runs their versions: listed, divided among pods, and judged together.

mod job;
pub(crate) mod judge;
pub(crate) mod junit;
mod list;
mod memory;
mod pods;
pub(crate) mod report;
mod shards;
mod wire;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clustergraph::graph::{Graph, Service};
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;

use crate::checks::{Jobs, deadline, mark};
use crate::console::{Console, Step};
use crate::error::{Error, Result};
use crate::names::{self, Component};
use crate::render::Object;
use crate::render::check::{Check, Limits, own_address, template};
use crate::store::record::Record;
use job::Shard;
use judge::{Judgement, Said, judge};
use memory::{Memory, Passed};
use pods::Task;

/// Services whose tests run at once.
const AT_ONCE: usize = 4;
/// How long the Jobs of tests that failed stay, in seconds.
const STAYS: u64 = 3600;

/// How tests are run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    /// The most shards of a service.
    pub(crate) shards: usize,
    /// How long the tests of a service may take.
    pub(crate) wait: Duration,
    /// Whether those run again that have passed as they are.
    pub(crate) force: bool,
}

/// What the tests of a service need.
#[derive(Debug, Clone)]
pub(crate) struct Subject<'g> {
    service: &'g Service,
    /// The workload that it is called by.
    workload: String,
    /// The objects of a node of its file: their pods have its environment.
    objects: Vec<Object>,
    /// Its own image; its tests may have another one.
    image: String,
}

/// What came of a service's tests.
#[derive(Debug, Clone)]
pub(crate) struct Tested {
    /// The service.
    pub(crate) service: String,
    /// Its short id.
    pub(crate) id: String,
    /// When the very same have passed before; then they did not run.
    pub(crate) remembered: Option<Passed>,
    /// The shards, in order.
    pub(crate) shards: Vec<Shard>,
    /// What they say together.
    pub(crate) judgement: Judgement,
    /// The Job that is left for its logs.
    pub(crate) left: Option<String>,
    /// How long all of it took.
    pub(crate) elapsed: Duration,
}

/// What the tests of services need, of a version that runs the very same services. Those are refused that it does not run.
pub(crate) fn subjects<'g>(
    graph: &Graph,
    services: &[&'g Service],
    record: &Record,
    objects: &BTreeMap<String, Vec<Object>>,
    cluster: &str,
) -> Result<Vec<Subject<'g>>> {
    let nodes = &record.content.nodes;
    let (mut subjects, mut other, mut absent) = (Vec::new(), Vec::new(), Vec::new());
    for service in services {
        // What only lends its sources to processes and jobs runs as these.
        let family = std::iter::once(*service).chain(graph.parts(&service.name));
        let Some((part, node)) = family.into_iter().find_map(|part| Some((part, nodes.get(&part.name)?))) else {
            absent.push(service.name.as_str());
            continue;
        };
        if part.id != node.id {
            other.push(service.name.as_str());
            continue;
        }
        let objects = objects.get(&part.name).cloned().unwrap_or_default();
        subjects.push(Subject { service, workload: node.workload.clone(), objects, image: node.image.clone() });
    }
    if other.is_empty() && absent.is_empty() {
        return Ok(subjects);
    }
    let mut lines = Vec::new();
    if !other.is_empty() {
        lines.push(format!("other versions of {}", other.join(", ")));
    }
    if !absent.is_empty() {
        lines.push(format!("no {}", absent.join(", no ")));
    }
    let commit = &record.content.commit.id;
    Err(Error::Usage(format!(
        "version {} of {cluster} (commit {}) has {}: tests run where the services run that they are of. Deploy this commit there first, \
         or name the commit that is deployed",
        record.number,
        commit.get(..10).unwrap_or(commit),
        lines.join(", and ")
    )))
}

/// Whether the tests of a service have to run.
pub(crate) fn runs(subject: &Subject<'_>, how: How) -> bool {
    how.force || Memory::of_user().passed(subject.service).is_none()
}

/// Runs the tests of services, some at a time; in the order of their names. `images` are those of tests that have their own.
pub(crate) async fn run(
    jobs: &Jobs<'_>,
    subjects: &[Subject<'_>],
    images: &BTreeMap<String, String>,
    how: How,
    console: &Console,
) -> Result<Vec<Tested>> {
    let memory = &Memory::of_user();
    let one = async |subject: &Subject<'_>| {
        let name = &subject.service.name;
        let image = images.get(name).map_or(subject.image.as_str(), String::as_str);
        let step = console.step(format!("test {name}"), "starting");
        tested(jobs, subject, image, how, memory, step).await
    };
    let tested: Vec<Result<Tested>> = stream::iter(subjects).map(one).buffered(AT_ONCE).collect().await;
    tested.into_iter().collect()
}

async fn tested(
    jobs: &Jobs<'_>,
    subject: &Subject<'_>,
    image: &str,
    how: How,
    memory: &Memory,
    mut step: Step,
) -> Result<Tested> {
    let begun = Instant::now();
    let service = subject.service;
    let mut tested = Tested {
        service: service.name.clone(),
        id: service.id.short(),
        remembered: memory.passed(service).filter(|_| !how.force),
        shards: Vec::new(),
        judgement: Judgement::default(),
        left: None,
        elapsed: Duration::ZERO,
    };
    if let Some(passed) = &tested.remembered {
        step.done(&format!("passed already at {} ({}); --force runs them again", passed.time, tested.id));
        return Ok(tested);
    }
    let ran = ran(jobs, subject, image, how, memory, &mut tested, &mut step).await;
    tested.elapsed = begun.elapsed();
    if let Err(error) = ran {
        step.failed("failed");
        return Err(error);
    }
    let said = report::in_a_line(&tested);
    if tested.judgement.is_fine() {
        memory.pass(service, &Passed { time: Timestamp::now(), tests: tested.judgement.tests.len() });
        step.done(&said);
    } else {
        step.failed(&said);
    }
    memory.took(service, tested.judgement.seconds());
    Ok(tested)
}

/// Lists, divides and runs the tests of a service.
async fn ran(
    jobs: &Jobs<'_>,
    subject: &Subject<'_>,
    image: &str,
    how: How,
    memory: &Memory,
    tested: &mut Tested,
    step: &mut Step,
) -> Result<()> {
    let service = subject.service;
    let Some(test) = &service.test else { return Ok(()) };
    let template = template(&subject.objects)
        .ok_or_else(|| Error::Store(format!("the stored objects of {} have no pods", service.name)))?;
    let env = own_address(service, &subject.workload);
    let check = Check {
        cluster: jobs.cluster.name(),
        service: &service.name,
        component: Component::Test,
        env: &env,
        image: Some(image),
    };
    let limits = Limits { deadline: deadline(how.wait), stays: STAYS };
    let mut divided = vec![Vec::new()];
    if let Some(list) = &test.list {
        step.doing("listing its tests");
        let name = names::check_job("list", &service.name, &mark());
        let object = pods::job(&check, template, &name, list, Task::List, limits);
        let tell = |how: &str| step.doing(&format!("listing its tests: {how}"));
        let mut shard = job::run_one(jobs, &object, how.wait, tell).await?;
        match listed(&shard) {
            Ok(names) if names.is_empty() => {
                tested.judgement.problems.push("`test.list` prints no names: there is nothing to test".to_owned());
                return Ok(());
            }
            Ok(names) => divided = shards::divide(&names, how.shards, &memory.seconds(service)),
            Err(problem) => {
                match shard.said {
                    Said::Lost(_) => tested.judgement.lost.push(problem),
                    Said::Ended { .. } | Said::Broken(_) => tested.judgement.problems.push(problem),
                }
                tested.left.clone_from(&shard.job);
                shard.file = None;
                tested.shards.push(shard);
                return Ok(());
            }
        }
    }
    let name = names::check_job("test", &service.name, &mark());
    let packed = match test.list {
        Some(_) => pods::pack(&divided).map_err(|shard| {
            Error::Usage(format!(
                "the names of shard {shard} of {} are more than an object of Kubernetes holds: ask for more --shards",
                service.name
            ))
        })?,
        None => Vec::new(),
    };
    let maps: Vec<String> = (0..packed.len()).map(|at| pods::map_name(&name, at)).collect();
    let object =
        pods::job(&check, template, &name, &test.run, Task::Run { shards: divided.len(), maps: &maps }, limits);
    let beside = |job: &kube::api::ObjectMeta| -> Vec<ConfigMap> {
        packed.iter().enumerate().map(|(at, data)| pods::map(&check, job, at, data)).collect()
    };
    let count: usize = divided.iter().map(Vec::len).sum();
    let what = match (count, divided.len()) {
        (0, _) => "running".to_owned(),
        (tests, 1) => format!("running {tests} tests"),
        (tests, shards) => format!("running {tests} tests in {shards} shards"),
    };
    step.doing(&what);
    let tell = |how: &str| step.doing(&format!("{what}: {how}"));
    let mut found = job::run(jobs, &object, &beside, divided.len(), how.wait, tell).await?;
    for shard in &mut found {
        shard.names = divided.get(shard.index).cloned().unwrap_or_default();
        let (Said::Ended { cases, .. }, Some(file)) = (&mut shard.said, shard.file.take()) else { continue };
        match junit::read(&file) {
            Ok(read) => *cases = Some(read),
            Err(why) => shard.said = Said::Broken(format!("its JUnit file cannot be read: {why}")),
        }
    }
    let said: Vec<(Vec<String>, Said)> = found.iter().map(|it| (it.names.clone(), it.said.clone())).collect();
    tested.judgement = judge(&said);
    tested.left = found.iter().find_map(|shard| shard.job.clone());
    tested.shards = found;
    Ok(())
}

/// The names that a list printed, or what is wrong.
fn listed(shard: &Shard) -> std::result::Result<Vec<String>, String> {
    match &shard.said {
        Said::Ended { exit: 0, .. } => list::names(shard.file.as_deref().unwrap_or_default()),
        Said::Ended { exit, .. } => Err(format!("ended with exit code {exit}")),
        Said::Broken(why) | Said::Lost(why) => Err(why.clone()),
    }
    .map_err(|why| format!("`test.list`: {why}"))
}
