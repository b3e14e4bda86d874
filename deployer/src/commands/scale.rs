//! `komandan scale`

use std::collections::BTreeMap;

use clustergraph::graph::{Graph, Service};
use jiff::Timestamp;
use serde_json::json;

use super::{node, nothing_served};
use crate::apply::Work;
use crate::cluster::fields::Takes;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::fault;
use crate::plan::{Part, Step, plan};
use crate::render::Object;
use crate::session::{Session, under_lock};
use crate::settings::Global;
use crate::store::Stored;
use crate::store::head::Size;
use crate::store::record::Record;
use crate::target;
use crate::transient;

/// Changes how many instances of a service run, without a deploy
///
/// The size holds over later deploys and reverts, whatever service.yaml says, until `--reset` gives it back.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan scale api 6          six instances, from now on
  komandan scale api --reset    as many as service.yaml says")]
pub(crate) struct Args {
    /// The service
    pub(crate) service: String,
    /// How many instances
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000), required_unless_present = "reset")]
    pub(crate) replicas: Option<u32>,
    /// Go back to what service.yaml says
    #[arg(long, conflicts_with = "replicas")]
    pub(crate) reset: bool,
    /// Wait while somebody else changes the cluster
    #[arg(long)]
    pub(crate) wait: bool,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    // Whoever set a size by other means is overruled by whoever says one now.
    let cluster = transient::connect(global).await?.taking(Takes::Sizes);
    // What cannot be is said before anything is locked.
    let (head, current) = super::served(&cluster).await?;
    let is_left = args.reset && head.sizes.contains_key(&args.service);
    if !is_left {
        node(&current, &args.service)?;
    }
    under_lock(&cluster, console, args.wait, async |session| scale(session, args).await).await
}

async fn scale(session: &mut Session<'_>, args: &Args) -> Result<()> {
    let number = session.head.value.current.ok_or_else(|| nothing_served(session.cluster))?;
    // As recorded, without the sizes that were chosen by hand.
    let declared = session.store().record(number).await?.ok_or_else(|| nothing_served(session.cluster))?;
    if args.reset && !declared.content.nodes.contains_key(&args.service) {
        // A service that this version does not have: nothing of it runs here.
        session.head.value.sizes.remove(&args.service);
        session.save_head().await?;
        let nothing = json!({ "event": "result", "command": "scale", "service": args.service, "by_hand": false });
        if session.console.is_json() {
            session.console.json(nothing);
        } else {
            session.console.data(&format!("no size is chosen for {} any more", args.service));
        }
        return Ok(());
    }
    let wanted = node(&declared, &args.service)?.replicas;
    let objects = target::of_record(&declared, session.store()).await?.objects;
    refuse_unscalable(&args.service, objects.get(&args.service).map(Vec::as_slice).unwrap_or_default())?;

    let former = session.head.value.sizes.clone();
    match args.replicas {
        Some(replicas) => {
            let size = Size { replicas, author: session.author.clone(), time: Timestamp::now() };
            session.head.value.sizes.insert(args.service.clone(), size);
        }
        None => drop(session.head.value.sizes.remove(&args.service)),
    }
    // Written down first: what is interrupted after this is ended by the next deploy.
    session.save_head().await?;
    fault::point("size-noted");
    if let Err(error) = resize(session, &declared, &args.service).await {
        if !matches!(error, Error::Locked(_)) {
            session.head.value.sizes = former;
            session.save_head().await?;
            put_back(session, &declared, &args.service).await?;
        }
        return Err(error);
    }
    let replicas = args.replicas.unwrap_or(wanted);
    if session.console.is_json() {
        session.console.json(json!({
            "event": "result", "command": "scale", "service": args.service, "replicas": replicas, "declared": wanted,
            "by_hand": args.replicas.is_some(), "version": number,
        }));
    } else {
        let holds = match args.replicas {
            Some(_) => format!("until `komandan scale {} --reset`; service.yaml says {wanted}", args.service),
            None => "as service.yaml says".to_owned(),
        };
        let instances = if replicas == 1 { "instance" } else { "instances" };
        session.console.data(&format!("{} has {replicas} {instances}, {holds}", args.service));
    }
    Ok(())
}

/// Gives the served version's node the size that the head says, and waits until all of it takes requests.
async fn resize(session: &Session<'_>, declared: &Record, service: &str) -> Result<()> {
    let mut record = declared.clone();
    session.head.value.resize(&mut record.content);
    let target = target::of_record(&record, session.store()).await?;
    let steps = steps_of(session, &target, service)?;
    let logical = BTreeMap::new();
    Work::new(session, &target, &logical, Stored::default()).run(&steps).await
}

async fn put_back(session: &Session<'_>, declared: &Record, service: &str) -> Result<()> {
    let mut record = declared.clone();
    session.head.value.resize(&mut record.content);
    let target = target::of_record(&record, session.store()).await?;
    let steps = steps_of(session, &target, service)?;
    let logical = BTreeMap::new();
    Work::new(session, &target, &logical, Stored::default()).restore(&steps).await
}

/// The steps of one service only.
fn steps_of(session: &Session<'_>, target: &crate::plan::Target, service: &str) -> Result<Vec<Step>> {
    let observed = session.view.now();
    let (nothing, no_tasks) = (BTreeMap::new(), BTreeMap::new());
    let content = &target.content;
    let all = plan(target, Some(content), &nothing, &no_tasks, &observed, session.cluster.name(), Timestamp::now())?;
    let own = all.into_iter().filter(|step| step.part == Part::Service(service.to_owned()));
    Ok(own.map(|step| Step { after: Default::default(), ..step }).collect())
}

/// The sizes that a graph leaves to people: what is scaled by load, or must never run twice, has its own.
pub(super) fn still_chosen(sizes: &BTreeMap<String, Size>, graph: &Graph) -> BTreeMap<String, Size> {
    let has_its_own =
        |service: &Service| service.singleton || !service.volumes.is_empty() || service.scale.max.is_some();
    let chosen = sizes.iter().filter(|(name, _)| !graph.services.get(*name).is_some_and(has_its_own));
    chosen.map(|(name, size)| (name.clone(), size.clone())).collect()
}

/// What has no size that a person could choose.
fn refuse_unscalable(service: &str, objects: &[Object]) -> Result<()> {
    if objects.iter().any(|object| object.kind() == "HorizontalPodAutoscaler") {
        return Err(Error::Usage(format!(
            "{service} is scaled by load: change `scale: {{ min, max }}` in its service.yaml and deploy, or take `max` out to \
             choose its size by hand"
        )));
    }
    let deployment = objects.iter().find(|object| object.kind() == "Deployment");
    let strategy =
        deployment.and_then(|object| object.body.pointer("/spec/strategy/type")).and_then(|text| text.as_str());
    if strategy == Some("Recreate") {
        return Err(Error::Usage(format!(
            "there must never be two of {service} at once (`singleton: true`): take that out of its service.yaml and deploy, \
             if it can be"
        )));
    }
    if deployment.is_none() {
        return Err(Error::Usage(format!(
            "{service} has no instances that run all the time: there is nothing to scale"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_to_have_a_size_of_its_own_is_no_persons_choice_any_more() {
        let folder = tempfile::tempdir().unwrap();
        for (name, more) in [("plain", ""), ("single", "singleton: true\n"), ("loaded", "scale: { min: 1, max: 9 }\n")]
        {
            let own = folder.path().join(name);
            std::fs::create_dir_all(&own).unwrap();
            std::fs::write(own.join("service.yaml"), format!("name: {name}\nrun: [./run]\n{more}")).unwrap();
        }
        let init = std::process::Command::new("git").current_dir(folder.path()).args(["init", "-q"]).status();
        assert!(init.unwrap().success());
        let tree = clustergraph::tree::Tree::of_worktree(folder.path()).unwrap();
        let graph = Graph::build(&tree, "production").unwrap();
        let size = Size { replicas: 3, author: "a".to_owned(), time: Timestamp::UNIX_EPOCH };
        let sizes = ["plain", "single", "loaded", "gone"].map(|name| (name.to_owned(), size.clone())).into();
        let left: Vec<String> = still_chosen(&sizes, &graph).into_keys().collect();
        assert_eq!(left, ["gone", "plain"]);
    }

    #[test]
    fn what_has_no_size_of_its_own_is_refused_with_the_way_out() {
        let object = |kind: &str, spec: serde_json::Value| {
            Object::new(json!({ "kind": kind, "metadata": { "name": "api-1" }, "spec": spec }))
        };
        let rolling = object("Deployment", json!({ "strategy": { "type": "RollingUpdate" } }));
        let refused = |objects: &[Object]| refuse_unscalable("api", objects).map_err(|error| error.to_string());
        assert_eq!(refused(std::slice::from_ref(&rolling)), Ok(()));
        let scaled = [rolling, object("HorizontalPodAutoscaler", json!({}))];
        assert!(refused(&scaled).unwrap_err().contains("take `max` out"));
        let single = [object("Deployment", json!({ "strategy": { "type": "Recreate" } }))];
        assert!(refused(&single).unwrap_err().contains("singleton"));
        assert!(refused(&[object("CronJob", json!({}))]).unwrap_err().contains("nothing to scale"));
    }
}
