//! `komandan up`

use std::time::Instant;

use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::json;

use super::deploy::{self, Found, Wanted, bring, bring_to_nothing};
use super::sleep::wake_up;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::fault;
use crate::overlay::{Base, Overlay, pin};
use crate::quota::Room;
use crate::render;
use crate::repository::{self, Repository};
use crate::session;
use crate::settings::{Global, Life};
use crate::store::Store;
use crate::transient::make::New;
use crate::transient::{self, Claim, Home, Name};

/// How often it is begun anew where the cluster that it borrows from moves on meanwhile.
const TRIES: u32 = 4;

/// Makes a cluster of its own from a commit, which ends by itself; or brings the one of that name to another commit
///
/// It has a namespace, databases and an address of its own, and takes what its settings in clustergraph.yaml leave to it: those that
/// have a `ttl`. Said again, only what changed is touched; the end stays where it is, unless `--ttl` moves it. An overlay borrows then
/// from what serves then.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan up --pr 123                    the current commit, as the cluster of a pull request
  komandan up --name try --ttl 30m v1.4   another commit for half an hour
  komandan up --pr 123 --from production  only what differs from what production serves; the rest is borrowed
  komandan up --pr 123 --dry-run          what that would do")]
pub(crate) struct Args {
    /// The commit
    #[arg(default_value = "HEAD")]
    pub(crate) commit: String,
    /// After which time it ends, from now [default: clusters.NAME.ttl when it is made]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) ttl: Option<u64>,
    /// Run only what differs from what this permanent cluster serves, and borrow the rest from it
    #[arg(long, value_name = "CLUSTER")]
    pub(crate) from: Option<String>,
    /// Print the plan and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Wait while somebody else changes the cluster
    #[arg(long)]
    pub(crate) wait: bool,
    /// Run a migration or seed again that failed or was interrupted: its data was checked
    #[arg(long)]
    pub(crate) retry_migration: bool,
    /// Run a migration that what serves may not survive, or code on a schema that it was not made for
    #[arg(long)]
    pub(crate) allow_downtime: bool,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let begun = Instant::now();
    for _ in 0..TRIES {
        if attempt(args, global, begun, console).await? {
            return Ok(());
        }
        console.note("  the cluster that it borrows from serves another version by now: once more, with that one");
    }
    Err(Error::Locked(
        "the cluster that it borrows from was changed again and again while this ran. Run this again".to_owned(),
    ))
}

/// Does it. `false` when what it would borrow does not serve any more.
async fn attempt(args: &Args, global: &Global, begun: Instant, console: &Console) -> Result<bool> {
    let name = global.name()?.ok_or_else(|| Error::Usage("say which cluster: --pr N or --name NAME".to_owned()))?;
    let mut repository = repository::read(global, &args.commit).await?;
    let Life::Transient { kind } = repository.settings.life.clone() else {
        return Err(Error::Usage(format!("{name} does not end by itself: `komandan deploy`")));
    };
    let settings = repository.cluster();
    let ttl = settings.ttl.ok_or_else(|| {
        Error::Usage(format!("clustergraph.yaml has no cluster {kind}: write `clusters: {{ {kind}: {{ ttl: 4h }} }}`"))
    })?;
    repository.refuse_unpinned()?;
    let home = Home::connect(&repository.settings).await?;
    let live = match home.claim().await? {
        Some(claim) => home.lives(&claim).await?.then_some(claim),
        None => None,
    };
    let base = base(args, &name, live.as_ref(), &repository)?;
    if base.is_some() && home.has_pool() {
        return Err(Error::Usage(format!("{name}: {}", transient::NO_OVERLAYS)));
    }
    let overlay = match &base {
        Some(base) => {
            let cluster = base.by(home.cluster());
            let record = base.serving(&cluster).await?;
            let overlay = Overlay::of(&mut repository.graph, &cluster, &record);
            if overlay.is_empty() {
                return Err(Error::Usage(format!(
                    "nothing of this commit differs from {}, and it has no entry (`public:`): there is nothing to run",
                    overlay.borrowed.label()
                )));
            }
            Some(overlay)
        }
        None => None,
    };
    let secrets = transient::given(&repository, &home).await?;
    let certificate = transient::certificate(&repository, &home).await?;
    // The quota of a namespace of a pool is its administrator's.
    let quota = settings.quota.as_ref().filter(|_| !home.has_pool());
    let bounds = quota.map(|quota| transient::bounds(name.as_str(), quota)).transpose()?.flatten();
    if let (Some(claim), false) = (&live, args.dry_run) {
        home.grant(claim).await?;
    }
    let found = match &live {
        Some(claim) => Found::read(&home.of(claim)).await?,
        None => Found::default(),
    };
    let clones = found.clones(&repository, home.cluster()).await?;
    for (address, why) in &clones.empty {
        console.note(&format!("  {address} begins empty, as no copy: {why}"));
    }
    for address in &clones.late {
        console.note(&format!("  {address} began as no copy and keeps its data: `komandan down`, then `up` clones it"));
    }
    let wanted = Wanted::of(("up", begun), &repository, &secrets, &found, args.dry_run, console).await?;
    let mut wanted = wanted.cloning(&clones);
    wanted.overlay = overlay.as_ref();
    let as_deploy = args.as_deploy();
    // What there will be no room for is told before anything is made.
    if live.is_none() {
        let room = if home.has_pool() {
            Room::read(&home.place(&kind, render::security(&repository.graph)).await?).await?
        } else {
            Room::of(bounds.as_ref())
        };
        bring_to_nothing(&wanted, room, &as_deploy, console)?;
    }
    if args.dry_run {
        if let Some(claim) = &live {
            bring(&wanted, found, &home.of(claim), &as_deploy, console).await?;
        }
        return Ok(true);
    }
    let mut claim = match &live {
        Some(claim) => claim.clone(),
        None => {
            let ttl = args.ttl.unwrap_or_else(|| ttl.as_secs().max(1));
            let security = render::security(&repository.graph);
            let new = New { name: &name, kind: &kind, ttl, security, from: base.as_ref() };
            let claim = home.make(&new, console).await?;
            home.grant(&claim).await?;
            claim
        }
    };
    fault::point("namespace-made");
    if let (Some(ttl), true) = (args.ttl, live.is_some()) {
        claim = home.extend(&claim, ttl).await?;
    }
    let cluster = home.of(&claim);
    let lender = base.as_ref().map(|base| base.by(home.cluster()));
    // Somebody else began it at the same moment, as another cluster than this one.
    if claim.from != base {
        return Err(is_other(&name, claim.from.as_ref()));
    }
    if let (Some(lender), Some(overlay)) = (&lender, &overlay) {
        if !pin::hold(lender, &cluster, overlay.borrowed.version, claim.ends).await? {
            return Ok(false);
        }
        wanted.more.insert("overlay".to_owned(), overlay.json());
    }
    if !home.has_pool() {
        transient::bound(&cluster, bounds.as_ref()).await?;
    }
    secrets.keep(&cluster).await?;
    if let Some(certificate) = &certificate {
        certificate.keep(&cluster).await?;
    }
    let was_asleep = claim.asleep.is_some();
    if was_asleep {
        claim = wake_up(&home, &claim, args.wait, console).await?;
    }
    wanted.more.insert("name".to_owned(), json!(claim.name));
    wanted.more.insert("ends".to_owned(), json!(claim.ends));
    let found = match live {
        Some(_) if !was_asleep => found,
        _ => Found::read(&cluster).await?,
    };
    bring(&wanted, found, &cluster, &as_deploy, console).await?;
    if let Some(lender) = &lender {
        let store = Store::new(&cluster);
        let kept = session::kept(store, &store.head().await?.value).await?;
        pin::settle(lender, &cluster, &kept.all()).await?;
    }
    if let Some(overlay) = &overlay {
        console.note(&format!("  {}", overlay.sentence()));
    }
    console.note(&format!(
        "  {}; `komandan extend {} --ttl TIME` moves that",
        ends(&claim, Timestamp::now()),
        claim.name
    ));
    Ok(true)
}

impl Args {
    /// What a deploy of the same would be told.
    fn as_deploy(&self) -> deploy::Args {
        deploy::Args {
            commit: self.commit.clone(),
            dry_run: self.dry_run,
            wait: self.wait,
            retry_migration: self.retry_migration,
            allow_downtime: self.allow_downtime,
            force_conflicts: false,
            smoke: false,
            revert_on_failure: false,
            if_tests_pass: false,
            tests_cluster: None,
        }
    }
}

/// From whom it borrows: whoever has begun as an overlay stays one, of the same cluster, and whoever has not becomes none.
fn base(args: &Args, name: &Name, live: Option<&Claim>, repository: &Repository) -> Result<Option<Base>> {
    let said = args.from.as_ref().map(|from| Base::named(from, repository)).transpose()?;
    match (live, said) {
        (None, said) => Ok(said),
        (Some(live), None) => Ok(live.from.clone()),
        (Some(live), said) if live.from == said => Ok(said),
        (Some(live), _) => Err(is_other(name, live.from.as_ref())),
    }
}

/// It is there already, as something else.
fn is_other(name: &Name, from: Option<&Base>) -> Error {
    let is = match from {
        Some(base) => format!("is there already, and borrows from {} (namespace {})", base.name, base.namespace),
        None => "is there already as a whole cluster, which borrows nothing".to_owned(),
    };
    Error::Usage(format!("{name} {is}: `komandan down --name {name}` first, or choose another name"))
}

/// When a cluster ends, for people.
pub(super) fn ends(claim: &Claim, now: Timestamp) -> String {
    format!("{} ends at {}, in {}", claim.name, claim.ends, span(now, claim.ends))
}

/// The time between two moments in its two largest units; nothing is left of what is over.
pub(super) fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0);
    let parts = [("d", seconds / 86_400), ("h", seconds / 3600 % 24), ("m", seconds / 60 % 60), ("s", seconds % 60)];
    let first = parts.iter().position(|(_, count)| *count > 0).unwrap_or(parts.len() - 1);
    let told = parts.iter().skip(first).take(2).filter(|(_, count)| *count > 0);
    let told: Vec<String> = told.map(|(unit, count)| format!("{count}{unit}")).collect();
    if told.is_empty() { "0s".to_owned() } else { told.join(" ") }
}

/// `4h`, `1h30m`, `90s`: whole seconds, at least one.
pub(super) fn seconds(text: &str) -> std::result::Result<u64, String> {
    let span: SignedDuration = text.parse().map_err(|_| "write a time such as 90s, 30m, 4h or 1h30m".to_owned())?;
    let whole = span.round(Unit::Second).map_err(|error| error.to_string())?.as_secs();
    match u64::try_from(whole) {
        Ok(seconds) if (1..=transient::LONGEST).contains(&seconds) => Ok(seconds),
        _ => Err("it is at least a second and at most a year".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_told() {
        assert_eq!(seconds("4h"), Ok(14_400));
        assert_eq!(seconds("1h30m"), Ok(5400));
        assert_eq!(seconds("20s"), Ok(20));
        for bad in ["0s", "-1h", "400ms", "9000h", "soon", "4"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        for (seconds, told) in [(0, "0s"), (59, "59s"), (60, "1m"), (3_725, "1h 2m"), (90_000, "1d 1h"), (-5, "0s")] {
            assert_eq!(span(at(0), at(seconds)), told);
        }
    }
}
