//! The images that tests run in: a stage of a service's Dockerfile, where its tests name one.

use std::collections::BTreeMap;

use clustergraph::graph::{Image, Key, Service};
use serde_json::json;

use super::{Found, Registry, Resolved, build, reference};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::repository::Repository;

/// The images of the stages that the tests of services name, by service; built and pushed where the registry lacks them.
/// Those whose tests name no stage run in their own images.
pub(crate) async fn of_tests(
    repository: &Repository,
    services: &[&Service],
    registry: &Registry,
    console: &Console,
) -> Result<BTreeMap<String, String>> {
    let mut graph = repository.graph.clone();
    let mut resolved = Resolved::new();
    for service in services {
        let Some(target) = service.test.as_ref().and_then(|test| test.target.as_deref()) else { continue };
        let service = of_stage(service, target);
        let mut wanted = reference::wanted(&service, &graph, &repository.settings)?;
        // Its stage is no part of the sources: it is told apart by its tag.
        let (name, tag) = wanted.name.rsplit_once(':').ok_or_else(|| Error::Image(wanted.name.clone()))?;
        let key = Key::of("test-image", &json!([tag, target])).to_string();
        wanted.name = format!("{name}:{}", key.get(..20).unwrap_or(&key));
        let found = match registry.digest(&wanted.name).await? {
            Some(digest) => Found::Digest(reference::by_digest(&wanted.name, &digest)),
            None => Found::Missing,
        };
        resolved.insert(service.name.clone(), (wanted, found));
        graph.services.insert(service.name.clone(), service);
    }
    build(&graph, &repository.tree, resolved, registry, console).await
}

/// A service whose build ends at a stage.
fn of_stage(service: &Service, target: &str) -> Service {
    let mut service = service.clone();
    if let Image::Dockerfile(build) = &mut service.image {
        build.target = Some(target.to_owned());
    }
    service
}
