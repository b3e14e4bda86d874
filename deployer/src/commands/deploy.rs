//! `komandan deploy`

mod report;
mod serve;
mod verify;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clustergraph::graph::Role;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use serde_json::Value;

use super::scale;
use crate::apply::{Work, collect, external, switch};
use crate::clones::Clones;
use crate::cluster::Cluster;
use crate::cluster::fields::{self, Takes};
use crate::cluster::view::{Named, Observed, View, list};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::fault;
use crate::images::{self, Registry, user};
use crate::names;
use crate::overlay::Overlay;
use crate::plan::{Step, Stranger, Target, conflicts, plan, strangers, take_over};
use crate::quota::{Extra, Room};
use crate::render::{self, Images, Logical, Rendered};
use crate::repository::{self, Repository};
use crate::schemas;
use crate::secrets::Secrets;
use crate::session::{self, Kept, Session, under_lock};
use crate::settings::{Global, Life};
use crate::store::bundle::Bundle;
use crate::store::databases::{Databases, Need, State};
use crate::store::head::{Head, Size};
use crate::store::record::{Content, Record};
use crate::store::tasks::Tasks;
use crate::store::{Store, Stored};
use crate::target;
use report::{report, show, unchanged};
pub(super) use serve::{restore, serve, tidy};

/// Makes a commit's cluster real beside what runs, and then sends the requests to it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan deploy                   the current commit
  komandan deploy --dry-run v1.4    what that commit would change
  komandan deploy --wait            after whoever is deploying now
  komandan deploy --smoke --revert-on-failure
                                    and back if what serves then does not do its work
  komandan deploy --if-tests-pass   only if the core suite passes in a cluster of its own")]
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
    #[arg(long)]
    pub(crate) if_tests_pass: bool,
    /// The cluster that these tests run in, to which this commit is deployed [default: one that is made for them]
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

    /// Refuses what others have set otherwise, unless it is taken over.
    fn refuse_held(&self, observed: &Observed, cluster: &Cluster) -> Result<()> {
        cluster.refuse_held(&conflicts(&self.steps, &self.target, observed, cluster.name()))
    }
}

/// What a commit is to be on a cluster, with its images and the values of its secrets.
pub(super) struct Wanted<'w> {
    /// The command's name, for programs.
    pub(super) command: &'static str,
    /// What is said beside the result, for programs.
    pub(super) more: serde_json::Map<String, Value>,
    pub(super) begun: Instant,
    repository: &'w Repository,
    secrets: &'w Secrets,
    images: Images,
    /// The clusters whose data databases begin with, by name.
    bases: BTreeMap<String, Cluster>,
    /// The images that the registry lacks.
    missing: Vec<String>,
    images_took: Duration,
    /// What it borrows, where it is an overlay.
    pub(super) overlay: Option<&'w Overlay>,
}

/// What was found on a cluster before anything was locked.
#[derive(Default)]
pub(super) struct Found {
    head: Head,
    observed: Observed,
    kept: Kept,
    databases: Stored<Databases>,
    codes: BTreeMap<String, String>,
}

/// What is to be done, and what that takes.
struct Decided {
    prepared: Prepared,
    room: Room,
    extra: Extra,
    /// What others have set that no version speaks against.
    strangers: Vec<Stranger>,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let begun = Instant::now();
    let repository = repository::read(global, &args.commit).await?;
    if repository.settings.life != Life::Permanent {
        return Err(Error::Usage(format!(
            "{} ends by itself: `komandan up --pr N` or `komandan up --name NAME` makes one, and brings it to another commit",
            repository.settings.cluster
        )));
    }
    repository.refuse_unpinned()?;
    if args.if_tests_pass && !args.dry_run {
        super::test::before_deploy(args.tests_cluster.as_ref(), &args.commit, global, console).await?;
    }
    let cluster = Cluster::connect(&repository.settings).await?.taking(takes(args.force_conflicts));
    let found = Found::read(&cluster).await?;
    let secrets = Secrets::read(&repository, &cluster).await?;
    let wanted = Wanted::of(("deploy", begun), &repository, &secrets, &found, args.dry_run, console).await?;
    bring(&wanted, found, &cluster, args, console).await
}

impl Found {
    /// Reads what is there.
    pub(super) async fn read(cluster: &Cluster) -> Result<Self> {
        let store = Store::new(cluster);
        let (head, observed, databases) = tokio::try_join!(store.head(), Observed::read(cluster), store.databases())?;
        let kept = session::kept(store, &head.value).await?;
        Ok(Self { head: head.value, observed, kept, databases, codes: BTreeMap::new() })
    }

    /// The copies of other clusters' data that what has not begun yet is to begin with.
    pub(super) async fn clones(&self, repository: &Repository, connection: &Cluster) -> Result<Clones> {
        Clones::read(repository, connection, &self.databases.value, &self.observed).await
    }
}

impl<'w> Wanted<'w> {
    /// Looks for the images, and builds those that the registry lacks unless it is a dry run.
    pub(super) async fn of(
        (command, begun): (&'static str, Instant),
        repository: &'w Repository,
        secrets: &'w Secrets,
        found: &Found,
        dry_run: bool,
        console: &Console,
    ) -> Result<Self> {
        let registry = Registry::new();
        let known = target::known_images(&repository.graph, &found.kept.all(), &found.observed);
        if dry_run {
            for remark in images::remarks(&repository.graph, &known)? {
                console.note(&remark);
            }
        }
        let (resolved, servers) = images::resolve(&repository.graph, &repository.settings, &known, &registry).await?;
        let missing: Vec<String> = resolved
            .iter()
            .filter(|(_, (_, found))| *found == images::Found::Missing)
            .map(|(name, _)| name.clone())
            .collect();
        let there = resolved.iter().filter_map(|(name, (_, found))| match found {
            images::Found::Digest(digest) => Some((name.clone(), digest.clone())),
            images::Found::Missing => None,
        });
        user::refuse_root(repository, &there.collect(), &known, &registry).await?;
        let services = if dry_run {
            // A node whose image is not built yet is a new one in any case.
            resolved
                .into_iter()
                .map(|(name, (wanted, found))| match found {
                    images::Found::Digest(digest) => (name, digest),
                    images::Found::Missing => (name, wanted.name),
                })
                .collect()
        } else {
            let services = images::build(&repository.graph, &repository.tree, resolved, &registry, console).await?;
            let built = services.iter().filter(|(name, _)| missing.contains(name));
            let built = built.map(|(name, image)| (name.clone(), image.clone())).collect();
            user::refuse_root(repository, &built, &known, &registry).await?;
            services
        };
        let images = Images { services, servers, ..Images::default() };
        let more = serde_json::Map::new();
        let (bases, images_took) = (BTreeMap::new(), begun.elapsed());
        let overlay = None;
        Ok(Self { command, more, begun, repository, secrets, images, bases, missing, images_took, overlay })
    }

    /// The same, where databases begin with the data of other clusters: what runs their servers there runs them here.
    pub(super) fn cloning(mut self, clones: &Clones) -> Self {
        self.images.servers.extend(clones.servers(&self.repository.graph));
        self.images.offers = clones.offers.clone();
        self.bases = clones.bases.clone();
        self
    }

    /// A result with what is said beside it.
    fn told(&self, mut result: Value) -> Value {
        if let Some(result) = result.as_object_mut() {
            result.extend(self.more.clone());
        }
        result
    }

    fn decide(&self, prepared: Prepared, room: Room, observed: &Observed) -> Decided {
        let live = prepared.kept.current.as_ref().map(|record| &record.content);
        let extra = room.extra(&prepared.steps, (&prepared.target, live), &prepared.logical, observed);
        let strangers = strangers(&prepared.steps, &prepared.target, observed);
        Decided { prepared, room, extra, strangers }
    }
}

/// Decides what would be made where nothing is yet, shows it in a dry run, and refuses what there will be no room for. Nothing is asked
/// of the API.
pub(super) fn bring_to_nothing(wanted: &Wanted<'_>, room: Room, args: &Args, console: &Console) -> Result<()> {
    let found = Found::default();
    let name = &wanted.repository.settings.cluster;
    let prepared = prepare(wanted, &found, &Asked::default(), name, args)?;
    let decided = wanted.decide(prepared, room, &found.observed);
    if args.dry_run {
        show(&decided, wanted, &[], console);
    }
    decided.room.refuse(&decided.extra)
}

/// Brings a cluster to what is wanted of it: plans, and does that under the lock.
pub(super) async fn bring(
    wanted: &Wanted<'_>,
    mut found: Found,
    cluster: &Cluster,
    args: &Args,
    console: &Console,
) -> Result<()> {
    let graph = &wanted.repository.graph;
    found.codes = wanted.secrets.codes(graph, cluster).await?;
    let asked = Asked::of(&found, wanted, cluster).await?;
    let prepared = prepare(wanted, &found, &asked, cluster.name(), args)?;
    prepared.refuse_held(&found.observed, cluster)?;
    leave(&strangers(&prepared.steps, &prepared.target, &found.observed), console);
    // What an interrupted command left is ended or taken away even when nothing else is to be done.
    let left = found.head.intent.is_some() || collect::is_littered(&found.observed, &found.kept, cluster.name());
    if let (Some(current), true, false) = (prepared.same(), prepared.steps.is_empty(), left) {
        unchanged(current, wanted, &found.observed, cluster, console);
        if args.smoke && !args.dry_run {
            return verify::ask(cluster, &View::start(cluster).await?, current, console).await;
        }
        return Ok(());
    }
    let decided = wanted.decide(prepared, Room::read(cluster).await?, &found.observed);
    if args.dry_run {
        let prepared = &decided.prepared;
        let going = collect::leaving(&found.observed, &prepared.target.content, &prepared.kept, cluster.name());
        show(&decided, wanted, &going, console);
        return decided.room.refuse(&decided.extra);
    }
    decided.room.refuse(&decided.extra)?;
    cluster.ensure_namespace(render::security(graph)).await?;
    let waited = Instant::now();
    under_lock(cluster, console, args.wait, async |session| {
        let lock_took = waited.elapsed();
        if !wanted.secrets.is_empty() {
            session.cluster.ensure_credentials(&render::key(session.cluster.name())).await?;
        }
        // What was decided before the lock was only seen, not held.
        let found = Found {
            head: session.head.value.clone(),
            observed: session.view.now(),
            kept: session.kept().await?,
            databases: session.store().databases().await?,
            codes: wanted.secrets.codes(graph, session.cluster).await?,
        };
        let asked = Asked::of(&found, wanted, session.cluster).await?;
        let prepared = prepare(wanted, &found, &asked, session.cluster.name(), args)?;
        prepared.refuse_held(&found.observed, session.cluster)?;
        if let (Some(current), true) = (prepared.same(), prepared.steps.is_empty()) {
            unchanged(current, wanted, &found.observed, session.cluster, console);
            let asked = match args.smoke {
                true => verify::ask(session.cluster, &session.view, current, console).await,
                false => Ok(()),
            };
            tidy(session).await;
            return asked;
        }
        deploy(session, prepared, wanted, lock_took, args).await
    })
    .await
}

/// What is asked of the API only where something needs it.
#[derive(Default)]
struct Asked {
    jobs: Named<Job>,
    tasks: Stored<Tasks>,
}

impl Asked {
    async fn of(found: &Found, wanted: &Wanted<'_>, cluster: &Cluster) -> Result<Self> {
        let graph = &wanted.repository.graph;
        external::check(cluster, graph).await?;
        let asks_for_jobs = found.databases.value.0.values().any(|known| known.work.state == State::Running);
        let jobs = if asks_for_jobs && found.observed.jobs.is_empty() {
            list::<Job>(cluster).await?
        } else {
            found.observed.jobs.clone()
        };
        let has_tasks = graph.services.values().any(|service| matches!(service.role, Role::Task));
        let tasks = if has_tasks { Store::new(cluster).tasks().await? } else { Stored::default() };
        Ok(Self { jobs, tasks })
    }
}

/// Renders and plans.
fn prepare(wanted: &Wanted<'_>, found: &Found, asked: &Asked, cluster: &str, args: &Args) -> Result<Prepared> {
    let Found { head, observed, kept, databases, codes } = found;
    let (graph, codes) = (&wanted.repository.graph, codes.clone());
    let numbers = databases.value.numbers(graph, cluster)?;
    let borrowed = wanted.overlay.map(|overlay| overlay.borrowed.clone());
    let images = &Images { numbers, borrowed, ..wanted.images.clone() };
    let rendered = render::render(graph, images, cluster)?;
    let logical = rendered.databases.clone();
    let volumes = volumes(&rendered, observed);
    let (target, bundles) = target::of_graph(graph, rendered, images, cluster, &kept.all())?;
    let target = target.letting_in(&wanted.repository.settings.namespace);
    let mut target = Target { codes, ..target.with_policies(&kept.all(), cluster) };
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
            asked.jobs.get(&work.job).is_some_and(|job| job.metadata.uid.as_ref() == Some(&work.uid))
        };
        let need = databases.value.need(wanted, volume, exists, args.retry_migration)?;
        let copy = wanted.copy.as_ref().filter(|_| matches!(need, Need::Clone(_)));
        let level = copy.map_or_else(|| databases.value.level(address, volume), |offer| offer.level);
        let breaking = schemas::against_deploy(wanted, level, live);
        breaks.extend(breaking.map(|why| match copy {
            Some(offer) => format!("{why}. That is the schema of {}, of which a copy is asked for", offer.of),
            None => why,
        }));
        needs.insert(address.clone(), need);
    }
    if !breaks.is_empty() && !args.allow_downtime {
        return Err(Error::Refused(breaks.join("\n")));
    }
    let current = kept.current.as_ref().map(|record| &record.content);
    let tasks = asked.tasks.value.needs(&target, observed);
    let mut steps = plan(&target, current, &needs, &tasks, observed, cluster, Timestamp::now())?;
    if args.force_conflicts {
        let strangers = strangers(&steps, &target, observed);
        take_over(&mut steps, &strangers);
    }
    let (databases, kept) = (databases.clone(), kept.clone());
    Ok(Prepared { target, declared, sizes: head.sizes, bundles, logical, databases, steps, kept })
}

/// What of others' fields is taken over.
pub(super) fn takes(everything: bool) -> Takes {
    if everything { Takes::Everything } else { Takes::Nothing }
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
    wanted: &Wanted<'_>,
    lock_took: Duration,
    args: &Args,
) -> Result<()> {
    let mut stages = vec![("images", wanted.images_took), ("lock", lock_took)];
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
        let work = Work::new(session, &prepared.target, &prepared.logical, prepared.databases).cloning(&wanted.bases);
        let store = session.store();
        let bundles =
            futures_util::future::try_join_all(prepared.bundles.iter().map(|bundle| store.save_bundle(bundle)));
        if let Err(error) = tokio::try_join!(work.run(&prepared.steps), bundles) {
            restore(session, &prepared.steps, current.as_ref()).await;
            return Err(error);
        }
        // Where nothing served before, nobody can ask before the switch, after which as much time is given.
        if current.is_some() {
            work.settle().await;
        }
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
    report(session, &record, current.as_ref(), &observed, wanted, &stages);
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
