//! `komandan down`

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{ListParams, ObjectMeta};
use serde_json::json;

use crate::apply::front;
use crate::cluster::{Cluster, lock};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::names;
use crate::overlay::pin;
use crate::session::{Session, under_lock};
use crate::settings::{Global, Life};
use crate::transient::{self, Home};

/// How long pods may take to end.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether a namespace is gone.
const LOOK: Duration = Duration::from_millis(500);

/// Ends a cluster. Its data stays, unless that is asked for as well
///
/// Data are the databases' volumes and credentials, and what is known of their schemas. Of a cluster that ends by itself nothing
/// stays: its namespace goes, or is empty for the next one where there is a pool of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan down                  data stays; `komandan deploy` finds it again
  komandan down --delete-data    nothing stays
  komandan down --pr 123         the cluster of a pull request, before its time")]
pub(crate) struct Args {
    /// Delete the databases' volumes and credentials too: there is no way back
    #[arg(long)]
    pub(crate) delete_data: bool,
    /// Wait while somebody else changes the cluster; of one that ends by itself, until nothing of it is left
    #[arg(long)]
    pub(crate) wait: bool,
    /// End it although others borrow from it: what they borrow is gone then
    #[arg(long)]
    pub(crate) force: bool,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let settings = global.settings_without_graph()?;
    match settings.life {
        Life::Permanent => {}
        Life::Kind => return Err(transient::which(&settings)),
        Life::Transient { .. } => return end(&Home::connect(&settings).await?, args.wait, console).await,
    }
    let cluster = Cluster::connect(&settings).await?;
    let (runs, data) = tokio::try_join!(runs(&cluster), data(&cluster))?;
    if !runs && (!args.delete_data || data == 0) {
        // Whoever was killed at the very end has left the lock.
        lock::forget(&cluster).await?;
        let namespace = args.delete_data && cluster.delete_namespace().await?;
        report(console, &cluster, 0, namespace, data == 0);
        return Ok(());
    }
    let (gone, left) = under_lock(&cluster, console, args.wait, async |session| {
        refuse_what_is_lent(session, args.force).await?;
        down(session, args.delete_data).await
    })
    .await?;
    // The lock goes last, when nobody holds it any more.
    lock::forget(&cluster).await?;
    let namespace = args.delete_data && cluster.delete_namespace().await?;
    report(console, &cluster, gone, namespace, left == 0);
    Ok(())
}

/// Refuses to end what others borrow from at this moment.
async fn refuse_what_is_lent(session: &Session<'_>, force: bool) -> Result<()> {
    if force || !session.head.value.has_lent {
        return Ok(());
    }
    let pins = session.store().pins().await?.value;
    let borrowers: Vec<&str> = pins.live(Timestamp::now()).map(|pin| pin.name.as_str()).collect();
    if borrowers.is_empty() {
        return Ok(());
    }
    let name = session.cluster.name();
    Err(Error::Refused(format!(
        "{} borrow{} from {name}: what they borrow would be gone. End them first (`komandan down --name {}`), or say \
         `komandan down --cluster {name} --force`",
        borrowers.join(", "),
        if borrowers.len() == 1 { "s" } else { "" },
        borrowers.first().copied().unwrap_or_default(),
    )))
}

/// Ends a cluster that would end by itself: its namespace goes, with all that is in it, or becomes free for the next one. Whoever
/// changes it at this moment is not waited for, as its deadline would not wait either.
async fn end(home: &Home, wait: bool, console: &Console) -> Result<()> {
    let mut step = console.step("down", "ending it");
    let borrows = home.claim().await.ok().flatten().and_then(|claim| Some((claim.from?, claim.namespace)));
    let gone = home.end_now().await?;
    if let Some((base, namespace)) = borrows
        && let Err(error) = pin::release(&base.by(home.cluster()), &namespace).await
    {
        console.note(&format!("  what it borrows is let go of at its end, and not now: {error}"));
    }
    if wait {
        while let Some(why) = home.remains().await? {
            step.doing(&why);
            tokio::time::sleep(LOOK).await;
        }
    }
    step.done(if wait { "nothing of it is left" } else { "it ends" });
    let name = home.cluster().name();
    if console.is_json() {
        console.json(json!({
            "event": "result", "command": "down", "name": name, "cluster": name, "namespaces": gone, "deleted": gone.len(),
            "namespace_deleted": !gone.is_empty() && !home.has_pool(), "data_left": false,
        }));
    } else if gone.is_empty() {
        console.data(&format!("there is no cluster {name}, or it ends already: `komandan list`"));
    } else {
        let whose = if home.has_pool() { "that is its own" } else { "that is" };
        console.data(&format!("{name} ends, with all {whose} in the namespace {}", gone.join(", ")));
    }
    Ok(())
}

/// Whether there is anything but data, all of it ours.
async fn runs(cluster: &Cluster) -> Result<bool> {
    let (maps, services, deployments, sets, jobs, schedules) = tokio::try_join!(
        list::<ConfigMap>(cluster),
        list::<Service>(cluster),
        list::<Deployment>(cluster),
        list::<StatefulSet>(cluster),
        list::<Job>(cluster),
        list::<CronJob>(cluster),
    )?;
    let all = [
        ("Service", services),
        ("Deployment", deployments),
        ("StatefulSet", sets),
        ("Job", jobs),
        ("CronJob", schedules),
    ];
    // What somebody has taken into a set of theirs is told before anything is ended.
    for (kind, metadata) in all.iter().flat_map(|(kind, found)| found.iter().map(move |metadata| (kind, metadata))) {
        cluster.refuse_foreign(&format!("{kind} {}", metadata.name.as_deref().unwrap_or_default()), metadata)?;
    }
    Ok(all.iter().any(|(_, found)| !found.is_empty()) || !maps.iter().all(is_data))
}

/// Whether a ConfigMap says what was done to the data, and so stays with it.
fn is_data(map: &ObjectMeta) -> bool {
    matches!(map.name.as_deref(), Some(names::DATABASES | names::TASKS))
}

/// How many objects of data there are.
async fn data(cluster: &Cluster) -> Result<usize> {
    let (secrets, claims) = tokio::try_join!(list::<Secret>(cluster), list::<PersistentVolumeClaim>(cluster))?;
    // A volume goes when its last pod is known to be gone: it is on its way.
    let stays = |metadata: &&ObjectMeta| metadata.deletion_timestamp.is_none();
    Ok(secrets.iter().chain(&claims).filter(stays).count())
}

async fn down(session: &mut Session<'_>, delete_data: bool) -> Result<(usize, usize)> {
    let cluster = session.cluster;
    let mut step = session.console.step("down", "ending what runs");
    session.head.value = session.head.value.ended();
    session.save_head().await?;
    let mut gone = remove_all::<Service>(cluster).await?;
    gone += front::close(session, None).await?;
    gone += remove_all::<CronJob>(cluster).await?;
    gone += remove_all::<Job>(cluster).await?;
    gone += remove_all::<Deployment>(cluster).await?;
    gone += remove_all::<StatefulSet>(cluster).await?;
    let ended = session.view.until(|observed| {
        step.doing(&format!("{} pods are ending", observed.pods.len()));
        observed.pods.is_empty().then_some(())
    });
    let ended = tokio::time::timeout(PATIENCE, ended).await;
    if ended.is_err() {
        let left: Vec<String> = session.view.now().pods.keys().cloned().collect();
        step.failed("pods do not end");
        return Err(Error::Deploy(format!(
            "these pods did not end within {} seconds: {}. Run this again",
            PATIENCE.as_secs(),
            left.join(", ")
        )));
    }
    gone += remove_all::<NetworkPolicy>(cluster).await?;
    gone += remove_all::<ServiceAccount>(cluster).await?;
    if delete_data {
        gone += remove_all::<Secret>(cluster).await?;
        gone += remove_all::<PersistentVolumeClaim>(cluster).await?;
    }
    // The head is the last of all: as long as it is there, the next `down` knows that there is something to end.
    let maps = list::<ConfigMap>(cluster).await?;
    let goes = |map: &&ObjectMeta| delete_data || !is_data(map);
    let (head, others): (Vec<_>, Vec<_>) =
        maps.iter().filter(goes).partition(|map| map.name.as_deref() == Some(names::HEAD));
    for map in others.iter().chain(&head) {
        cluster.remove::<ConfigMap>(map).await?;
    }
    gone += others.len() + head.len();
    step.done("over");
    let left = data(cluster).await?;
    Ok((gone, left))
}

async fn remove_all<K>(cluster: &Cluster) -> Result<usize>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let all = list::<K>(cluster).await?;
    futures_util::future::try_join_all(all.iter().map(|metadata| cluster.remove::<K>(metadata))).await?;
    Ok(all.len())
}

/// Our objects of one kind. What controllers copied our labels onto is of other kinds, or has an owner.
async fn list<K>(cluster: &Cluster) -> Result<Vec<ObjectMeta>>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let selector = ListParams::default().labels(&names::selector(cluster.name()));
    let found = cluster.api::<K>().list_metadata(&selector).await;
    let found = found.map_err(|error| Error::cluster(format!("reading the {}", K::plural(&())), &error))?;
    let ours = found.items.into_iter().map(|object| object.metadata);
    Ok(ours
        .filter(|metadata| !metadata.owner_references.iter().flatten().any(|owner| owner.controller == Some(true)))
        .collect())
}

fn report(console: &Console, cluster: &Cluster, gone: usize, namespace: bool, nothing_left: bool) {
    if console.is_json() {
        console.json(json!({
            "event": "result", "command": "down", "cluster": cluster.name(), "namespace": cluster.namespace(),
            "deleted": gone, "namespace_deleted": namespace, "data_left": !nothing_left,
        }));
        return;
    }
    if gone == 0 {
        console.data(&format!("nothing runs in {} (namespace {})", cluster.name(), cluster.namespace()));
    } else {
        console.data(&format!("{} is down: {gone} objects deleted", cluster.name()));
    }
    if !nothing_left {
        console.note("  its data stays: `komandan deploy` finds it again, `komandan down --delete-data` deletes it");
    }
}
