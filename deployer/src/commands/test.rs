//! `komandan test`

mod own;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clustergraph::diagnostic::suggestion;
use clustergraph::graph::Service;
use serde_json::json;

use super::served;
use crate::checks::Jobs;
use crate::cluster::Cluster;
use crate::cluster::view::View;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::images::{self, Registry};
use crate::render::Images;
use crate::repository::{self, Repository};
use crate::session::interrupted;
use crate::settings::Global;
use crate::store::Store;
use crate::suites::report::{self, count};
use crate::suites::{self, How, Tested, junit};
use crate::target;
use crate::transient;

/// How long the tests of a service may take where nothing is said.
const HOUR: Duration = Duration::from_secs(3600);

/// Runs tests of services, in a cluster of their own or in one that runs those services
///
/// A suite's tests (`suites` of clustergraph.yaml), those of one service, or all. Each service's tests are listed by its `test.list`,
/// divided among --shards by how long they took the last time, and run as pods in the image that `test.target` names, with the
/// environment of the service: they call what it calls and store where it stores. So they make a cluster of their own, as `up` does,
/// and end it after them; or name one that may be written to. What has passed at the same version of a service does not run again.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  komandan test core --shards 4 --junit report.xml    a suite's tests, in a cluster that is there for them alone
  komandan test --cluster staging                     all tests, in a cluster that this commit is deployed to
  komandan test order v1.4 --cluster staging --force  one service's, also if they have passed")]
pub(crate) struct Args {
    /// A suite, or a service; all tests when nothing is named
    #[arg(value_name = "SUITE")]
    pub(crate) suite: Option<String>,
    /// The commit
    #[arg(default_value = "HEAD")]
    pub(crate) commit: String,
    /// How many pods the tests of a service are divided among, where it can list them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(crate) shards: u16,
    /// Write all results as one JUnit file
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Run tests again that have passed as they are
    #[arg(long)]
    pub(crate) force: bool,
    /// Leave the cluster that was made for these tests if they fail, until its time is over
    #[arg(long)]
    pub(crate) keep: bool,
    /// How long the tests of a service may take
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = super::span)]
    pub(crate) timeout: Duration,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    within(&args.commit, global, console, |_| args.clone()).await
}

/// Runs tests in the cluster that is named, else in one that is made for them.
async fn within(
    commit: &str,
    global: &Global,
    console: &Console,
    args: impl FnOnce(&Repository) -> Args,
) -> Result<()> {
    let own = own::named(global)?;
    let global = own.as_ref().unwrap_or(global);
    let repository = repository::read(global, commit).await?;
    let args = args(&repository);
    let work = async |cluster: &Cluster| sum(&test(cluster, &repository, &args, console).await?);
    match own {
        Some(_) => own::within(global, &args, console, work).await,
        None => work(&transient::connect(global).await?).await,
    }
}

/// The suite that decides on a deploy, where there is one.
const CORE: &str = "core";

/// Runs the tests that decide on a deploy of a commit: in the cluster of this name, to which it is deployed, else in one of their own.
pub(crate) async fn before_deploy(
    name: Option<&String>,
    commit: &str,
    global: &Global,
    console: &Console,
) -> Result<()> {
    // What the command line says of context and namespace is said of the cluster that is deployed to.
    let cluster = name.cloned();
    let global = Global { cluster, named: None, pr: None, context: None, namespace: None, ..global.clone() };
    let args = |repository: &Repository| {
        let suite = repository.graph.repository.suites.contains_key(CORE).then(|| CORE.to_owned());
        Args { suite, commit: commit.to_owned(), shards: 1, junit: None, force: false, keep: false, timeout: HOUR }
    };
    within(commit, &global, console, args).await.map_err(|error| match error {
        Error::Checks(why) => Error::Checks(format!("{why}. Nothing was deployed")),
        other => other,
    })
}

/// Runs the tests that are meant in a cluster that the commit is deployed to, and reports what came of them.
pub(crate) async fn test(
    cluster: &Cluster,
    repository: &Repository,
    args: &Args,
    console: &Console,
) -> Result<Vec<Tested>> {
    let begun = Instant::now();
    // Tests may take an hour: what is wrong with their end is said before.
    let folder = args.junit.as_deref().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(Error::Usage(format!("--junit: there is no folder {}", folder.display())));
    }
    let services = meant(repository, args.suite.as_deref(), console)?;
    let (_, record) = served(cluster).await?;
    let objects = target::of_record(&record, Store::new(cluster)).await?.objects;
    let subjects = suites::subjects(&repository.graph, &services, &record, &objects, cluster.name())?;
    let how = How { shards: usize::from(args.shards), wait: args.timeout, force: args.force };
    let registry = Registry::new();
    let images = if subjects.iter().any(|subject| suites::runs(subject, how)) {
        images::stages::of_tests(repository, &services, &registry, console).await?
    } else {
        BTreeMap::new()
    };
    images::user::refuse_root(repository, &images, &Images::default(), &registry).await?;
    let view = View::start(cluster).await?;
    let jobs = Jobs::new(cluster, &view);
    let tested = tokio::select! {
        tested = suites::run(&jobs, &subjects, &images, how, console) => tested,
        () = interrupted() => Err(Error::Interrupted),
    };
    jobs.remove_all().await;
    let tested = tested?;
    if let Some(path) = &args.junit {
        write(&tested, path)?;
    }
    show(&tested, args, cluster, repository, begun.elapsed(), console);
    Ok(tested)
}

/// The services whose tests are meant.
fn meant<'g>(repository: &'g Repository, suite: Option<&str>, console: &Console) -> Result<Vec<&'g Service>> {
    let graph = &repository.graph;
    let services = graph.suite(suite).ok_or_else(|| {
        let name = suite.unwrap_or_default();
        let services =
            graph.services.values().filter(|service| !service.is_part()).map(|service| service.name.as_str());
        let known: Vec<&str> = graph.repository.suites.keys().map(String::as_str).chain(services).collect();
        let mend = match suggestion(name, known.iter().copied()) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("there are {}", known.join(", ")),
        };
        Error::Usage(format!("there is no suite and no service `{}`: {mend}", name.escape_debug()))
    })?;
    let (tested, without): (Vec<&Service>, Vec<&Service>) =
        services.into_iter().partition(|service| service.test.is_some());
    let names = |services: &[&Service]| services.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ");
    if tested.is_empty() {
        let whose = if without.is_empty() { "no service".to_owned() } else { format!("none of {}", names(&without)) };
        return Err(Error::Usage(format!("{whose} has tests: write `test: {{ run: [...] }}` in a service.yaml")));
    }
    if !without.is_empty() {
        console.note(&format!("  without tests: {}", names(&without)));
    }
    Ok(tested)
}

fn write(tested: &[Tested], path: &Path) -> Result<()> {
    let failed = |error| Error::Io { what: format!("writing {}", path.display()), error };
    let bytes = junit::write(&report::suites(tested)).map_err(failed)?;
    std::fs::write(path, bytes).map_err(failed)
}

fn show(tested: &[Tested], args: &Args, cluster: &Cluster, repository: &Repository, took: Duration, console: &Console) {
    let all = count(tested);
    if console.is_json() {
        console.json(json!({
            "event": "result", "command": "test", "cluster": cluster.name(), "namespace": cluster.namespace(),
            "suite": args.suite, "commit": repository.graph.commit.as_ref().map(|commit| &commit.id),
            "services": tested.iter().map(report::json).collect::<Vec<_>>(),
            "passed": all.passed, "failed": all.failed, "skipped": all.skipped, "problems": all.problems, "lost": all.lost,
            "elapsed_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }));
        return;
    }
    for tested in tested {
        for block in report::at_length(tested) {
            console.data(&block);
        }
        for note in &tested.judgement.notes {
            console.note(&format!("  {}: {note}", tested.service));
        }
    }
    let remembered = tested.iter().filter(|tested| tested.remembered.is_some()).count();
    let mut words = format!("{} tests of {} services passed", all.passed, tested.len());
    if all.failed > 0 {
        words.push_str(&format!(", {} failed", all.failed));
    }
    if all.skipped > 0 {
        words.push_str(&format!(", {} skipped", all.skipped));
    }
    console.data(&words);
    let remembered = if remembered > 0 { format!(", {remembered} services remembered") } else { String::new() };
    console.note(&format!("  {:.1} s{remembered}, {} requests", took.as_secs_f64(), cluster.requests()));
}

/// What the command ends with: what failed is told apart from what could not be run.
pub(crate) fn sum(tested: &[Tested]) -> Result<()> {
    let of = |is: fn(&Tested) -> bool| -> Vec<&str> {
        tested.iter().filter(|tested| is(tested)).map(|tested| tested.service.as_str()).collect()
    };
    let failed = of(|tested| {
        !tested.judgement.problems.is_empty() || tested.judgement.tests.iter().any(|test| !test.outcome.is_fine())
    });
    let lost = of(|tested| !tested.judgement.lost.is_empty());
    match (failed.as_slice(), lost.as_slice()) {
        ([], []) => Ok(()),
        ([], lost) => Err(Error::Cluster {
            what: format!("tests of {} could not be run", lost.join(", ")),
            why: "their pods did not come to their end, which says nothing of the tests. Run this again".to_owned(),
        }),
        (failed, _) => Err(Error::Checks(format!("tests failed: {}", failed.join(", ")))),
    }
}
