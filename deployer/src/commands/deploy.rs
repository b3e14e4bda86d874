//! `komandan deploy`

mod verify;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use serde_json::json;

use super::{entry_urls, plan_json, plan_rows, scale, short, show_entries};
use crate::apply::handover::{self, First};
use crate::apply::{Work, collect, external, switch, warm};
use crate::cluster::Cluster;
use crate::cluster::fields::{self, Takes};
use crate::cluster::view::{Observed, View, list};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::fault;
use crate::images::{self, Found, Registry, user};
use crate::names;
use crate::plan::{Action, Step, Stranger, Target, conflicts, plan, strangers, take_over};
use crate::quota::{Extra, Room};
use crate::render::{self, Images, Logical, Rendered};
use crate::repository::{self, Repository};
use crate::schemas;
use crate::secrets::Secrets;
use crate::session::{self, Kept, Session, under_lock};
use crate::settings::Global;
use crate::smoke::schedule;
use crate::store::bundle::Bundle;
use crate::store::databases::{Databases, Need, State};
use crate::store::head::{Head, Size};
use crate::store::record::{Content, Record, changes};
use crate::store::{Store, Stored};
use crate::target;

/// Makes a commit's cluster real beside what runs, and then sends the requests to it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan deploy                   the current commit
  komandan deploy --dry-run v1.4    what that commit would change
  komandan deploy --wait            after whoever is deploying now
  komandan deploy --smoke --revert-on-failure
                                    and back if what serves then does not do its work
  komandan deploy --if-tests-pass --tests-cluster staging
                                    only if the core suite passes in the cluster `staging`")]
pub(crate) struct Args {
    /// The commit
    #[arg(default_value = "HEAD")]
    pub(crate) commit: String,
    /// Print the plan and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Wait while somebody else changes the cluster
    #[arg(long)]
    pub(crate) wait: bool,
    /// Run a migration again that failed or was interrupted: its schema was checked
    #[arg(long)]
    pub(crate) retry_migration: bool,
    /// Run a migration that what serves may not survive, or code on a schema that it was not made for
    #[arg(long)]
    pub(crate) allow_downtime: bool,
    /// Take fields over that somebody else has set otherwise, such as `kubectl edit` or `kubectl scale`
    #[arg(long)]
    pub(crate) force_conflicts: bool,
    /// Run the smoke checks of what serves then
    #[arg(long)]
    pub(crate) smoke: bool,
    /// Go back to the version before if a smoke check fails
    #[arg(long, requires = "smoke")]
    pub(crate) revert_on_failure: bool,
    /// Only if tests pass on this commit: those of the suite `core`, or all where there is none
    #[arg(long, requires = "tests_cluster")]
    pub(crate) if_tests_pass: bool,
    /// The cluster that these tests run in: this commit must be deployed there
    #[arg(long, value_name = "NAME", requires = "if_tests_pass")]
    pub(crate) tests_cluster: Option<String>,
}

/// What was wanted and what was found, and the way from one to the other.
struct Prepared {
    target: Target,
    /// The target as the repository wants it, without the sizes that were chosen by hand: that is recorded.
    declared: Content,
    /// The sizes chosen by hand that still can be.
    sizes: BTreeMap<String, Size>,
    bundles: Vec<Bundle>,
    logical: BTreeMap<String, Logical>,
    databases: Stored<Databases>,
    steps: Vec<Step>,
    kept: Kept,
}

impl Prepared {
    /// Whether the version that is served is the very same.
    fn same(&self) -> Option<&Record> {
        self.kept.current.as_ref().filter(|current| current.content.same_cluster(&self.target.content))
    }
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let begun = Instant::now();
    let repository = repository::read(global, &args.commit).await?;
    repository.refuse_unpinned()?;
    if let Some(name) = args.tests_cluster.as_ref().filter(|_| args.if_tests_pass && !args.dry_run) {
        super::test::before_deploy(name, &args.commit, global, console).await?;
    }
    let cluster = Cluster::connect(&repository.settings).await?.taking(takes(args.force_conflicts));
    let store = Store::new(&cluster);
    let (head, observed) = tokio::try_join!(store.head(), Observed::read(&cluster))?;
    let kept = session::kept(store, &head.value).await?;
    let secrets = Secrets::read(&repository, &cluster).await?;

    let registry = Registry::new();
    let known = target::known_images(&repository.graph, &kept.all(), &observed);
    if args.dry_run {
        for remark in images::remarks(&repository.graph, &known)? {
            console.note(&remark);
        }
    }
    let (resolved, servers) = images::resolve(&repository.graph, &repository.settings, &known, &registry).await?;
    let missing: Vec<String> =
        resolved.iter().filter(|(_, (_, found))| *found == Found::Missing).map(|(name, _)| name.clone()).collect();
    let there = resolved.iter().filter_map(|(name, (_, found))| match found {
        Found::Digest(digest) => Some((name.clone(), digest.clone())),
        Found::Missing => None,
    });
    user::refuse_root(&repository, &there.collect(), &known, &registry).await?;
    let services = if args.dry_run {
        // A node whose image is not built yet is a new one in any case.
        resolved
            .into_iter()
            .map(|(name, (wanted, found))| match found {
                Found::Digest(digest) => (name, digest),
                Found::Missing => (name, wanted.name),
            })
            .collect()
    } else {
        let services = images::build(&repository.graph, &repository.tree, resolved, &registry, console).await?;
        let built = services.iter().filter(|(name, _)| missing.contains(name));
        let built = built.map(|(name, image)| (name.clone(), image.clone())).collect();
        user::refuse_root(&repository, &built, &known, &registry).await?;
        services
    };
    let images = Images { services, servers, numbers: BTreeMap::new() };
    let images_took = begun.elapsed();

    let kept_before = kept.clone();
    let codes = secrets.codes(&repository.graph, &cluster).await?;
    let prepared = prepare(&repository, &images, codes, (kept, &head.value), &observed, &cluster, args).await?;
    // What an interrupted command left is ended or taken away even when nothing else is to be done.
    let left = head.value.intent.is_some() || collect::is_littered(&observed, &kept_before, cluster.name());
    let strangers = strangers(&prepared.steps, &prepared.target, &observed);
    leave(&strangers, console);
    if let (Some(current), true, false) = (prepared.same(), prepared.steps.is_empty(), left) {
        unchanged(current, &repository, &observed, &cluster, console);
        if args.smoke && !args.dry_run {
            return verify::ask(&cluster, &View::start(&cluster).await?, current, console).await;
        }
        return Ok(());
    }
    let room = Room::read(&cluster).await?;
    let live = prepared.kept.current.as_ref().map(|record| &record.content);
    let extra = room.extra(&prepared.steps, (&prepared.target, live), &prepared.logical, &observed);
    if args.dry_run {
        let going = collect::leaving(&observed, &prepared.target.content, &prepared.kept, cluster.name());
        show(&prepared, (&missing, &going), &extra, &strangers, console);
        return room.refuse(&extra);
    }
    room.refuse(&extra)?;
    cluster.ensure_namespace(render::security(&repository.graph)).await?;
    let waited = Instant::now();
    under_lock(&cluster, console, args.wait, async |session| {
        let lock_took = waited.elapsed();
        // What was decided before the lock was only seen, not held.
        let kept = session.kept().await?;
        let observed = session.view.now();
        if !secrets.is_empty() {
            session.cluster.ensure_credentials(&render::key(session.cluster.name())).await?;
        }
        let codes = secrets.codes(&repository.graph, session.cluster).await?;
        let kept = (kept, &session.head.value);
        let prepared = prepare(&repository, &images, codes, kept, &observed, session.cluster, args).await?;
        if let (Some(current), true) = (prepared.same(), prepared.steps.is_empty()) {
            unchanged(current, &repository, &observed, session.cluster, console);
            let asked = match args.smoke {
                true => verify::ask(session.cluster, &session.view, current, console).await,
                false => Ok(()),
            };
            tidy(session).await;
            return asked;
        }
        deploy(session, prepared, begun, [("images", images_took), ("lock", lock_took)], args).await
    })
    .await
}

/// What of others' fields is taken over.
pub(super) fn takes(everything: bool) -> Takes {
    if everything { Takes::Everything } else { Takes::Nothing }
}

/// Renders and plans.
async fn prepare(
    repository: &Repository,
    images: &Images,
    codes: BTreeMap<String, String>,
    (kept, head): (Kept, &Head),
    observed: &Observed,
    cluster: &Cluster,
    args: &Args,
) -> Result<Prepared> {
    let graph = &repository.graph;
    external::check(cluster, graph).await?;
    let databases = Store::new(cluster).databases().await?;
    let asks_for_jobs = databases.value.0.values().any(|known| known.work.state == State::Running);
    let read;
    let jobs = if asks_for_jobs && observed.jobs.is_empty() {
        read = list::<Job>(cluster).await?;
        &read
    } else {
        &observed.jobs
    };
    let images = &Images { numbers: databases.value.numbers(graph, cluster.name())?, ..images.clone() };
    let rendered = render::render(graph, images, cluster.name())?;
    let logical = rendered.databases.clone();
    let volumes = volumes(&rendered, observed);
    let (target, bundles) = target::of_graph(graph, rendered, images, cluster.name(), &kept.all())?;
    let mut target = Target { codes, ..target.with_policies(&kept.all(), cluster.name()) };
    let declared = target.content.clone();
    let mut head = head.clone();
    head.sizes = scale::still_chosen(&head.sizes, graph);
    head.resize(&mut target.content);
    let mut needs: BTreeMap<String, Need> = BTreeMap::new();
    let mut breaks = Vec::new();
    let live = kept.current.as_ref().map(|record| (record.number, &record.content));
    for (address, Logical { wanted, .. }) in &logical {
        let volume = volumes.get(&wanted.server).map(String::as_str);
        let exists = |work: &crate::store::databases::Work| {
            jobs.get(&work.job).is_some_and(|job| job.metadata.uid.as_ref() == Some(&work.uid))
        };
        needs.insert(address.clone(), databases.value.need(wanted, volume, exists, args.retry_migration)?);
        breaks.extend(schemas::against_deploy(wanted, databases.value.level(address, volume), live));
    }
    if !breaks.is_empty() && !args.allow_downtime {
        return Err(Error::Refused(breaks.join("\n")));
    }
    let current = kept.current.as_ref().map(|record| &record.content);
    let tasks = target::tasks(&target, Store::new(cluster), observed).await?;
    let mut steps = plan(&target, current, &needs, &tasks, observed, cluster.name(), Timestamp::now())?;
    if args.force_conflicts {
        let strangers = strangers(&steps, &target, observed);
        take_over(&mut steps, &strangers);
    }
    cluster.refuse_held(&conflicts(&steps, &target, observed, cluster.name()))?;
    Ok(Prepared { target, declared, sizes: head.sizes, bundles, logical, databases, steps, kept })
}

/// Says what others have set that no version speaks against: it is no news to them, but may be to who deploys.
fn leave(strangers: &[Stranger], console: &Console) {
    for stranger in strangers {
        console.note(&format!("  left as it is: of the {}, {}", stranger.what, fields::told(&stranger.held)));
    }
}

/// The volume that each server's data lies on, where there is one already.
fn volumes(rendered: &Rendered, observed: &Observed) -> BTreeMap<String, String> {
    let claim = |name: &str| observed.claims.get(&names::server_claim(name))?.metadata.uid.clone();
    rendered.servers.iter().filter_map(|(server, made)| Some((server.clone(), claim(&made.name)?))).collect()
}

async fn deploy(
    session: &mut Session<'_>,
    prepared: Prepared,
    begun: Instant,
    stages: [(&'static str, Duration); 2],
    args: &Args,
) -> Result<()> {
    let mut stages: Vec<(&str, Duration)> = stages.into();
    let current = prepared.kept.current.clone();
    // The same cluster, of which a part was missing: that is no new version.
    let record = match prepared.same() {
        Some(current) => current.clone(),
        None => {
            let number = session.head.value.last + 1;
            let parent = session.head.value.current;
            Record::new(number, prepared.target.content.clone(), parent, session.author.clone(), Timestamp::now())
        }
    };
    let applying = Instant::now();
    {
        let work = Work::new(session, &prepared.target, &prepared.logical, prepared.databases);
        let store = session.store();
        let bundles =
            futures_util::future::try_join_all(prepared.bundles.iter().map(|bundle| store.save_bundle(bundle)));
        if let Err(error) = tokio::try_join!(work.run(&prepared.steps), bundles) {
            restore(session, &prepared.steps, current.as_ref()).await;
            return Err(error);
        }
        work.settle().await;
    }
    stages.push(("apply", applying.elapsed()));
    fault::point("applied");

    let switching = Instant::now();
    let is_new = Some(record.number) != current.as_ref().map(|current| current.number);
    if is_new {
        let declared = Record { content: prepared.declared, ..record.clone() };
        session.store().save_record(&declared, &session.head.value).await?;
        fault::point("record-written");
    }
    for name in session.head.value.sizes.keys().filter(|name| !prepared.sizes.contains_key(*name)) {
        session
            .console
            .note(&format!("  the size of {name} that was chosen by hand is over: its service.yaml leaves no choice"));
    }
    session.head.value.sizes = prepared.sizes;
    let served = serve(session, &record, Some(&prepared.target), "deploy").await;
    if let Err(error) = served {
        // Whoever took the lock over decides now; and a switch that was not undone is ended by whoever comes next.
        if !matches!(error, Error::Locked(_)) && session.head.value.intent.is_none() {
            restore(session, &prepared.steps, current.as_ref()).await;
        }
        return Err(error);
    }
    // Whoever asks when this is done is answered by what it deployed.
    switch::followed().await;
    stages.push(("switch", switching.elapsed()));

    let observed = session.view.now();
    report(session, &record, current.as_ref(), &observed, begun.elapsed(), &stages);
    let asked = match args.smoke {
        true => verify::verify(session, &record, args).await,
        false => Ok(()),
    };
    // Who has lost the lock touches nothing any more.
    if !matches!(asked, Err(Error::Locked(_))) {
        tidy(session).await;
    }
    asked
}

/// Gives back their form and size to what serves and was changed in place by a command that failed.
pub(super) async fn restore(session: &Session<'_>, steps: &[Step], current: Option<&Record>) {
    let in_place = |step: &&Step| matches!(step.action, Action::Change | Action::Scale);
    let Some(current) = current.filter(|_| steps.iter().any(|step| in_place(&step))) else { return };
    let shown = session.console.step("restore", "what was changed in place");
    let restored = async {
        let target = target::of_record(current, session.store()).await?;
        let logical = BTreeMap::new();
        Work::new(session, &target, &logical, Stored::default()).restore(steps).await
    };
    match restored.await {
        Ok(()) => shown.done("what was changed in place is as it was"),
        Err(error) => shown.failed(&error.to_string()),
    }
}

/// Sends the requests to a version whose nodes all take them: intent, switch, verification, commit. What must not run
/// beside its former version is handed over, and schedules follow. If anything of that fails, all of it is undone.
pub(super) async fn serve(session: &mut Session<'_>, record: &Record, target: Option<&Target>, by: &str) -> Result<()> {
    let kept = session.kept().await?;
    let current = kept.current.as_ref().map(|current| &current.content);
    let first = if by == "revert" { First::Entries } else { First::Handover };
    let step = session.console.step("switch", &format!("to version {}", record.number));
    session.head.value.intend(record.number, by);
    session.head.value.has_routes |= record.content.front.as_ref().is_some_and(|front| front.gateway.is_some());
    session.save_head().await?;
    fault::point("intent-written");
    if let Err(error) = handover::bring(session, record, target, current, first).await {
        step.failed("failed");
        fault::point("switch-failed");
        // Of a lost lock the next holder takes care; everything else is undone here.
        if matches!(error, Error::Locked(_)) {
            return Err(error);
        }
        if let Some(current) = &kept.current {
            handover::bring(session, current, None, None, First::Entries).await?;
        }
        session.head.value.abandon();
        session.save_head().await?;
        return Err(error);
    }
    fault::point("switched");
    let intended = session.head.value.clone();
    session.head.value.commit(&session.author.clone(), Timestamp::now());
    if let Err(error) = session.save_head().await {
        step.failed("it could not be written down");
        session.head.value = intended;
        return Err(error);
    }
    fault::point("committed");
    step.done(&format!("version {} serves", record.number));
    Ok(())
}

/// Takes away what no kept version needs, and gives the version before its deadline. What cannot go now goes the next time.
pub(super) async fn tidy(session: &Session<'_>) {
    let gone = async {
        let kept = session.kept().await?;
        let gone = collect::collect(session, &kept.all()).await?;
        let until = warm::retain(session, &kept).await?;
        schedule::follow(session).await?;
        if let (Some(until), Some(previous)) = (until, &kept.previous) {
            session.console.note(&format!("  version {} stays warm until {until}", previous.number));
        }
        Ok::<usize, Error>(gone)
    };
    match gone.await {
        Ok(0) => {}
        Ok(1) => session.console.note("  1 workload of a former version is going"),
        Ok(count) => session.console.note(&format!("  {count} workloads of former versions are going")),
        Err(error) => session.console.note(&format!("  left for the next time: {error}")),
    }
}

fn report(
    session: &Session<'_>,
    record: &Record,
    former: Option<&Record>,
    observed: &Observed,
    took: Duration,
    stages: &[(&str, Duration)],
) {
    let urls = entry_urls(&record.content, observed);
    let requests = session.cluster.requests();
    let changed = changes(former.map(|former| &former.content), &record.content);
    if session.console.is_json() {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let stages: BTreeMap<_, _> = stages.iter().map(|(name, took)| (*name, milliseconds(*took))).collect();
        session.console.json(json!({
            "event": "result", "command": "deploy", "unchanged": false, "cluster": session.cluster.name(),
            "namespace": session.cluster.namespace(), "version": record.number, "graph": record.content.version,
            "commit": record.content.commit.id, "changed": changed, "entries": urls, "elapsed_ms": milliseconds(took),
            "stages_ms": stages, "requests": requests,
        }));
        return;
    }
    let commit = &record.content.commit;
    session.console.data(&format!(
        "version {} serves {}: {} {} (changed: {changed})",
        record.number,
        session.cluster.name(),
        short(&commit.id),
        commit.summary
    ));
    show_entries(&urls, session.console);
    let stages: Vec<String> = stages.iter().map(|(name, took)| format!("{name} {:.1} s", took.as_secs_f64())).collect();
    session.console.note(&format!("  {:.1} s ({}), {requests} requests", took.as_secs_f64(), stages.join(", ")));
}

fn unchanged(current: &Record, repository: &Repository, observed: &Observed, cluster: &Cluster, console: &Console) {
    let urls = entry_urls(&current.content, observed);
    let asked = repository.graph.commit.as_ref().map(|commit| commit.id.as_str()).unwrap_or_default();
    if console.is_json() {
        console.json(json!({
            "event": "result", "command": "deploy", "unchanged": true, "cluster": cluster.name(),
            "namespace": cluster.namespace(), "version": current.number, "graph": current.content.version,
            "commit": current.content.commit.id, "entries": urls, "requests": cluster.requests(),
        }));
        return;
    }
    console.data(&format!(
        "unchanged: version {} of {} is {} already",
        current.number,
        cluster.name(),
        if current.content.commit.id == asked {
            short(asked).to_owned()
        } else {
            format!("the same cluster as {}", short(asked))
        }
    ));
    show_entries(&urls, console);
    console.note(&format!("  {} requests", cluster.requests()));
}

fn show(
    prepared: &Prepared,
    (missing, going): (&[String], &[String]),
    extra: &Extra,
    strangers: &[Stranger],
    console: &Console,
) {
    let shared: Vec<&String> = prepared
        .target
        .content
        .nodes
        .keys()
        .filter(|name| !prepared.steps.iter().any(|step| step.part == crate::plan::Part::Service((*name).clone())))
        .collect();
    if console.is_json() {
        console.json(json!({
            "event": "plan", "build": missing, "steps": plan_json(&prepared.steps), "shared": shared, "removed": going, "extra": extra.json(),
            "left": strangers, "graph": prepared.target.content.version,
        }));
        return;
    }
    let mut rows: Vec<Vec<String>> = missing
        .iter()
        .map(|name| vec!["build".to_owned(), format!("image {name}"), "the registry lacks it".to_owned()])
        .collect();
    rows.extend(plan_rows(&prepared.steps));
    rows.extend(
        going.iter().map(|name| vec!["remove".to_owned(), name.clone(), "no version that is kept needs it".to_owned()]),
    );
    if rows.is_empty() {
        console.data("nothing to do: a version with the same parts is recorded and served");
        return;
    }
    console.table(&["", "WHAT", "WHY"], &rows);
    if let Some(text) = extra.text() {
        console.data(&text);
    }
    if !shared.is_empty() {
        let names: Vec<&str> = shared.iter().map(|name| name.as_str()).collect();
        console.note(&format!("shared with the version that serves: {}", names.join(", ")));
    }
}
