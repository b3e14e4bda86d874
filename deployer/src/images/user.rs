//! Whom an image runs as: what must not be root is told apart from what would be before anything is done.

use std::collections::BTreeMap;

use clustergraph::diagnostic::Problem;
use clustergraph::format::service::Security;
use clustergraph::graph::{BuildError, Graph, Image, Service};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{QUESTIONS, Registry};
use crate::error::{Error, Result};
use crate::render::{Images, running};
use crate::repository::Repository;

/// Refuses images that Kubernetes would not start as their service may run: all of them at once. What is deployed already
/// has been started; what is not built yet is asked when it is.
pub(crate) async fn refuse_root(
    repository: &Repository,
    images: &BTreeMap<String, String>,
    known: &Images,
    registry: &Registry,
) -> Result<()> {
    let services = restricted(&repository.graph);
    let asked = services.into_iter().filter(|service| !known.services.contains_key(&service.owner));
    let asked = asked.filter_map(|service| Some((service, images.get(&service.owner)?)));
    let problems: Vec<Option<Problem>> = stream::iter(asked)
        .map(|(service, image)| async move { Ok::<_, Error>(problem(service, &registry.user(image).await?)) })
        .buffered(QUESTIONS)
        .try_collect()
        .await?;
    let problems: Vec<Problem> = problems.into_iter().flatten().collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(BuildError::Problems(repository.problems(problems)).into())
}

/// The services of what runs whose image says whom it runs as. Recipes are ours, and say a number.
fn restricted(graph: &Graph) -> Vec<&Service> {
    let running = running(graph);
    let owners: std::collections::BTreeSet<&str> =
        running.iter().filter_map(|name| graph.services.get(name)).map(|service| service.owner.as_str()).collect();
    let services = owners.into_iter().filter_map(|owner| graph.services.get(owner));
    services
        .filter(|service| service.security == Security::Restricted && !matches!(service.image, Image::Recipe(_)))
        .collect()
}

/// What is wrong with an image's user, if anything is: `1000`, `1000:1000`, and nothing else, is known not to be root.
fn problem(service: &Service, user: &str) -> Option<Problem> {
    let name = user.split(':').next().unwrap_or_default();
    let message = match name.parse::<u32>() {
        Ok(1..) => return None,
        Err(_) if !matches!(name, "" | "root") => format!(
            "the image of {} names its user `{}`: only of a number can Kubernetes know that it is not root",
            service.name,
            name.escape_debug()
        ),
        _ => format!("the image of {} would run as root, which `security: restricted` forbids", service.name),
    };
    let place = ["build", "image"].into_iter().find_map(|field| service.places.get(field)).unwrap_or(&service.place);
    let mend = match service.image {
        Image::Ready(_) => {
            "choose an image with a user of its own, by number; or write `security: baseline` for this service"
        }
        _ => "end its Dockerfile with `USER 10001`, or another number; or write `security: baseline` for this service",
    };
    Some(Problem::new("root", place.clone(), message).mend(mend))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clustergraph::tree::Tree;

    #[test]
    fn only_a_number_that_is_not_0_is_known_not_to_be_root() {
        let folder = tempfile::tempdir().unwrap();
        for (name, more) in
            [("pay", "image: pay:1"), ("store", "image: store:1\nsecurity: baseline"), ("app", "run: [x]")]
        {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("service.yaml"), format!("name: {name}\n{more}\n")).unwrap();
        }
        let git = std::process::Command::new("git").current_dir(folder.path()).args(["init", "-q"]).status();
        assert!(git.unwrap().success());
        let graph = Graph::build(&Tree::of_worktree(folder.path()).unwrap(), "production").unwrap();
        let services = restricted(&graph);
        assert_eq!(services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>(), ["pay"]);
        let told = |user: &str| problem(services[0], user).map(|it| format!("{} {}", it.place, it.message));
        for fine in ["1", "10001", "1000:0"] {
            assert_eq!(told(fine), None, "{fine}");
        }
        for root in ["", "0", "0:0", "root", "root:root"] {
            let told = told(root).unwrap();
            assert!(told.starts_with("pay/service.yaml:2:") && told.contains("would run as root"), "{root:?}: {told}");
        }
        for named in ["node", "www-data:www-data", "-1", "1e3"] {
            assert!(told(named).unwrap().contains("only of a number"), "{named}");
        }
    }
}
