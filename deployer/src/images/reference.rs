//! Names of images.

use clustergraph::graph::{Graph, Image, Key, Service};
use serde_json::json;

use crate::error::{Error, Result};
use crate::settings::Settings;

/// The image that a service should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its name: built images are named by all that goes into them.
    pub(crate) name: String,
    /// The image that a recipe starts from.
    pub(crate) base: Option<String>,
    /// The image that a recipe ends on, where that is another one.
    pub(crate) last: Option<String>,
}

/// The image that a service should have, and where.
pub(crate) fn wanted(service: &Service, graph: &Graph, settings: &Settings) -> Result<Wanted> {
    let pulled = |image: &str| pulled(image, graph, settings.mirror.as_deref());
    let base = match &service.image {
        Image::Ready(image) => return Ok(Wanted { name: pulled(image), base: None, last: None }),
        Image::Dockerfile(_) => None,
        Image::Recipe(_) => Some(pulled(&service.stack.image)),
    };
    let last = service.stack.base.as_ref().filter(|_| base.is_some()).map(|image| pulled(image));
    let registry = settings.registry.as_deref().ok_or_else(|| {
        Error::Image(format!(
            "the image of {} needs a registry: write `images: {{ registry: HOST/PATH }}` in clustergraph.yaml, set \
             CLUSTERGRAPH_REGISTRY, or give --registry",
            service.name
        ))
    })?;
    let made_of = json!({ "source": service.source, "platform": platform(), "base": base, "last": last });
    let key = Key::of("image", &made_of).to_string();
    let registry = registry.trim_end_matches('/');
    Ok(Wanted { name: format!("{registry}/{}:{}", service.name, &key[..20]), base, last })
}

/// The platform that images are built for: the builder's own.
fn platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("linux/{architecture}")
}

/// An image as it is pulled: from the mirror that has it, and by the digest that the lock pins.
pub(crate) fn pulled(image: &str, graph: &Graph, mirror: Option<&str>) -> String {
    let name = mirrored(image, mirror);
    graph.lock.digest(image).map_or_else(|| name.clone(), |digest| by_digest(&name, digest))
}

/// An image of Docker Hub under the mirror that has it; any other image as it is.
pub(crate) fn mirrored(image: &str, mirror: Option<&str>) -> String {
    let Some(mirror) = mirror else { return image.to_owned() };
    let (first, rest) = image.split_once('/').unwrap_or(("", image));
    // As docker reads it: what has a dot or a port, or is `localhost`, is a registry's host.
    let path = match first {
        "docker.io" | "index.docker.io" => rest,
        "localhost" => return image.to_owned(),
        host if host.contains(['.', ':']) => return image.to_owned(),
        _ => image,
    };
    let library = if path.contains('/') { "" } else { "library/" };
    format!("{}/{library}{path}", mirror.trim_end_matches('/'))
}

/// The image by its digest: what this names never changes.
pub(crate) fn by_digest(image: &str, digest: &str) -> String {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    // A colon after the last slash is a tag's; before it, a port's.
    let after = name.rfind('/').map_or(0, |at| at + 1);
    let name = name[after..].find(':').map_or(name, |at| &name[..after + at]);
    format!("{name}@{digest}")
}

/// Whether a registry speaks plain HTTP: one on this machine does, as for docker itself.
pub(crate) fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost"
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_docker_hubs_images_are_mirrored() {
        for (image, expected) in [
            ("postgres:15", "127.0.0.1:5000/library/postgres:15"),
            ("bitnami/kafka:3", "127.0.0.1:5000/bitnami/kafka:3"),
            ("docker.io/library/node:20", "127.0.0.1:5000/library/node:20"),
            ("docker.io/node:20", "127.0.0.1:5000/library/node:20"),
            ("ghcr.io/acme/order:1.4", "ghcr.io/acme/order:1.4"),
            ("localhost/x:1", "localhost/x:1"),
            ("registry:5000/x", "registry:5000/x"),
        ] {
            assert_eq!(mirrored(image, Some("127.0.0.1:5000")), expected);
            assert_eq!(mirrored(image, None), image);
        }
    }

    #[test]
    fn a_digest_takes_the_tags_place() {
        for (image, expected) in [
            ("127.0.0.1:5000/library/postgres:15", "127.0.0.1:5000/library/postgres@sha256:1"),
            ("127.0.0.1:5000/x", "127.0.0.1:5000/x@sha256:1"),
            ("postgres:15", "postgres@sha256:1"),
            ("postgres:15@sha256:0", "postgres@sha256:1"),
        ] {
            assert_eq!(by_digest(image, "sha256:1"), expected);
        }
    }

    #[test]
    fn registries_of_this_machine() {
        for (registry, is) in [
            ("127.0.0.1:5000", true),
            ("127.1.2.3", true),
            ("localhost:5000", true),
            ("[::1]:5000", true),
            ("10.0.0.1:5000", false),
            ("localhost.example", false),
            ("registry.example", false),
        ] {
            assert_eq!(is_loopback(registry), is, "{registry}");
        }
    }
}
