//! Images: found in the registry by what they are made of, else built from the git tree and pushed.

mod context;
mod docker;
pub(crate) mod reference;
mod registry;
pub(crate) mod stages;
pub(crate) mod user;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use clustergraph::catalogue::fill;
use clustergraph::diagnostic::Place;
use clustergraph::format::lock::LOCK_FILE;
use clustergraph::graph::{Database, Graph, Image, Service};
use clustergraph::tree::{Dockerfile, Tree};
use futures_util::{StreamExt, TryStreamExt, stream};

pub(crate) use reference::Wanted;
pub(crate) use registry::Registry;

use crate::console::Console;
use crate::error::{Error, Result};
use crate::names;
use crate::render::external::is_external;
use crate::render::{Images, database};
use crate::settings::Settings;
use docker::Docker;

/// Builds at once: each of them takes as many processors as it finds.
const BUILDS: usize = 2;
/// Questions to the registry at once.
const QUESTIONS: usize = 16;

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// The registry, or what already runs, has it.
    Digest(String),
    /// It has to be built.
    Missing,
}

/// What is wanted of each service, and whether it is there.
pub(crate) type Resolved = BTreeMap<String, (Wanted, Found)>;

/// Asks for the images of all services but those whose digest is `known`.
pub(crate) async fn resolve(
    graph: &Graph,
    settings: &Settings,
    known: &Images,
    registry: &Registry,
) -> Result<(Resolved, BTreeMap<String, String>)> {
    // Processes and jobs run from their service's image.
    let services = stream::iter(graph.services.values().filter(|service| !service.is_part()))
        .map(|service| async {
            if let Some(digest) = known.services.get(&service.name) {
                let wanted = Wanted { name: digest.clone(), base: None, last: None };
                return Ok((service.name.clone(), (wanted, Found::Digest(digest.clone()))));
            }
            let wanted = reference::wanted(service, graph, settings)?;
            let found = match registry.digest(&wanted.name).await? {
                Some(digest) => Found::Digest(reference::by_digest(&wanted.name, &digest)),
                None if matches!(service.image, Image::Ready(_)) => {
                    return Err(missing(&wanted.name, &service.name, &service.place));
                }
                None => Found::Missing,
            };
            Ok((service.name.clone(), (wanted, found)))
        })
        .buffer_unordered(QUESTIONS)
        .try_collect::<Resolved>();
    // What somebody else runs needs no server, but its migration may need a client.
    let is_asked = |database: &&Database| {
        let locks = || graph.catalogue.databases.get(&database.kind).is_some_and(|kind| kind.lock.is_some());
        !is_external(graph, &settings.cluster, database) || (database.migrate.is_some() && locks())
    };
    let asked = graph.databases.values().filter(is_asked);
    let servers: BTreeMap<_, _> = asked.map(|database| (database.server.clone(), database)).collect();
    let servers = stream::iter(servers)
        .map(|(server, database)| async {
            if let Some(digest) = known.servers.get(&server) {
                return Ok((server, digest.clone()));
            }
            let image = database::server_image(graph, database)?;
            let image = reference::pulled(&image, graph, settings.mirror.as_deref());
            let digest = registry.digest(&image).await?;
            let digest = digest.ok_or_else(|| missing(&image, &server, &database.place))?;
            Ok((server, reference::by_digest(&image, &digest)))
        })
        .buffer_unordered(QUESTIONS)
        .try_collect::<BTreeMap<_, _>>();
    tokio::try_join!(services, servers)
}

/// What a person should know of images before they run: that nothing pins them, or that a server stays on another one than
/// is pinned now.
pub(crate) fn remarks(graph: &Graph, known: &Images) -> Result<Vec<String>> {
    let mut remarks = Vec::new();
    if graph.lock.place.is_none() && !graph.pinnable().images.is_empty() {
        remarks.push(format!(
            "there is no {LOCK_FILE}: images of stacks and databases are what their tags are today. `ssi lock` pins them"
        ));
    }
    for database in graph.databases.values() {
        let Some(running) = known.servers.get(&database.server) else { continue };
        let image = database::server_image(graph, database)?;
        if let Some(pin) = graph.lock.digest(&image).filter(|pin| !running.ends_with(pin)) {
            let server = names::server(database);
            remarks.push(format!(
                "{server} stays on {running}, and {LOCK_FILE} pins {pin}: a change would restart it. To have it, `kubectl \
                 delete statefulset {server}` and deploy again; its data stays"
            ));
        }
    }
    remarks.dedup();
    Ok(remarks)
}

/// An image that its registry does not have.
fn missing(image: &str, who: &str, place: &Place) -> Error {
    // By its digest it was named by the lock, or by whoever wrote it so.
    let mend = if image.contains('@') {
        ". If clustergraph.lock pins it, `ssi lock --update` asks what it is now"
    } else {
        ""
    };
    Error::Image(format!("there is no image {image}, which {who} needs ({place}){mend}"))
}

/// Builds and pushes what is missing, and returns the images of all services by digest.
pub(crate) async fn build(
    graph: &Graph,
    tree: &Arc<Mutex<Tree>>,
    resolved: Resolved,
    registry: &Registry,
    console: &Console,
) -> Result<BTreeMap<String, String>> {
    let docker = Docker::new();
    let wanted = resolved.iter().filter(|(_, (_, found))| *found == Found::Missing);
    let built = wanted.filter_map(|(name, _)| graph.services.get(name));
    let lacking: Vec<String> =
        built.flat_map(|service| lacks(service, |name| std::env::var_os(name).is_some())).collect();
    if !lacking.is_empty() {
        let mend = "Set them in the environment of komandan: a build reads each as the file /run/secrets/NAME, and no image has it";
        return Err(Error::Image(format!("{}\n{mend}", lacking.join("\n"))));
    }
    stream::iter(resolved)
        .map(|(name, (wanted, found))| {
            let docker = &docker;
            async move {
                let digest = match found {
                    Found::Digest(digest) => digest,
                    Found::Missing => {
                        let service = graph.services.get(&name).ok_or_else(|| Error::Image(name.clone()))?;
                        build_one(service, &wanted, tree, docker, registry, console).await?
                    }
                };
                Ok((name, digest))
            }
        })
        .buffer_unordered(BUILDS)
        .try_collect()
        .await
}

/// The secrets of a build that nobody gave.
fn lacks(service: &Service, is_given: impl Fn(&str) -> bool) -> Vec<String> {
    let Image::Dockerfile(build) = &service.image else { return Vec::new() };
    let missing = build.secrets.iter().filter(|name| !is_given(name));
    missing.map(|name| format!("the build of {} needs the secret {name} ({})", service.name, build.place)).collect()
}

async fn build_one(
    service: &Service,
    wanted: &Wanted,
    tree: &Arc<Mutex<Tree>>,
    docker: &Docker,
    registry: &Registry,
    console: &Console,
) -> Result<String> {
    let mut step = console.step(format!("image {}", service.name), "exporting its sources");
    let built = async {
        let dockerfile = dockerfile(service, wanted);
        let (exported, shared) = (service.clone(), Arc::clone(tree));
        let export = move || {
            let tree = shared.lock().unwrap_or_else(PoisonError::into_inner);
            context::export(&tree, &exported.build_root(), &dockerfile)
        };
        let context = tokio::task::spawn_blocking(export)
            .await
            .map_err(|error| Error::Image(format!("the sources of {} cannot be exported: {error}", service.name)))??;
        step.doing("building");
        docker.build(service, wanted, context).await?;
        // The first pushed digest wins: somebody may have been faster.
        if let Some(digest) = registry.digest(&wanted.name).await? {
            return Ok(digest);
        }
        step.doing("pushing");
        docker.push(&wanted.name).await?;
        registry
            .digest(&wanted.name)
            .await?
            .ok_or_else(|| Error::Image(format!("{} was pushed, but its registry does not show it", wanted.name)))
    };
    match built.await {
        Ok(digest) => {
            step.done("built and pushed");
            Ok(reference::by_digest(&wanted.name, &digest))
        }
        Err(error) => {
            step.failed("failed");
            Err(error)
        }
    }
}

/// The Dockerfile of a build: a path among the sources, or a text that is put beside them.
fn dockerfile(service: &Service, wanted: &Wanted) -> Dockerfile {
    match &service.image {
        Image::Recipe(recipe) => {
            let image = wanted.base.as_deref().unwrap_or_default();
            Dockerfile::Text(fill(recipe, &[("image", image), ("base", wanted.last.as_deref().unwrap_or(image))]))
        }
        Image::Dockerfile(_) | Image::Ready(_) => Dockerfile::Path(service.dockerfile().unwrap_or_default()),
    }
}
