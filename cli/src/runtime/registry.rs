//! What a registry calls an image now: its digest, asked of the Docker engine, which has the user's credentials, else of
//! the registry itself.

use std::time::Duration;

use reqwest::header::{ACCEPT, WWW_AUTHENTICATE};
use reqwest::{Client, Method, Response, StatusCode};

use super::{Cause, Docker};
use crate::session::Session;

/// How long a registry may take to answer.
const ANSWER: Duration = Duration::from_secs(30);
/// An index comes first: its digest is right on every platform (OCI distribution specification, "Pulling manifests").
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
                         application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// Whoever knows digests.
pub(crate) struct Registries {
    engine: Option<Docker>,
    client: Client,
}

impl Registries {
    /// Looks whether an engine answers.
    pub(crate) async fn of(session: &Session) -> Result<Self, Cause> {
        let engine = if Docker::answers(session).await { Some(Docker::new(session)) } else { None };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(ANSWER).build().map_err(|error| Cause::new(error.to_string()))?;
        Ok(Self { engine, client })
    }

    /// The digest of an image under the name by which it is pulled.
    ///
    /// # Errors
    /// What the engine or the registry said.
    pub(crate) async fn digest(&self, image: &str) -> Result<String, Cause> {
        if let Some(engine) = &self.engine
            && let Ok(digest) = engine.digest(image).await
        {
            return Ok(digest);
        }
        // The engine may be told of another way to the registry, or of none; whatever that one says is told.
        let name = Name::of(image);
        self.ask(&name).await.map_err(|why| Cause::new(format!("{} does not say what {image} is: {why}", name.host)))
    }

    async fn ask(&self, name: &Name) -> Result<String, String> {
        let mut answer = self.manifest(name, None).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            let challenge = answer.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
            let token = match challenge.and_then(Challenge::read) {
                Some(challenge) => self.token(&challenge, name).await?,
                None => return Err("it wants credentials; an engine that is logged in would have them".to_owned()),
            };
            answer = self.manifest(name, Some(&token)).await?;
        }
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err("it has no such image".to_owned()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(
                    "there is none, or it wants credentials; an engine that is logged in would have them".to_owned()
                );
            }
            other => return Err(format!("it answers {other}")),
        }
        let digest = answer.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
        let digest = digest.filter(|digest| clustergraph::format::lock::is_digest(digest));
        digest.map(str::to_owned).ok_or_else(|| "its answer names no digest".to_owned())
    }

    async fn manifest(&self, name: &Name, token: Option<&str>) -> Result<Response, String> {
        let scheme = if is_loopback(&name.host) { "http" } else { "https" };
        let url = format!("{scheme}://{}/v2/{}/manifests/{}", name.host, name.path, name.tag);
        let request = self.client.request(Method::HEAD, url).header(ACCEPT, MANIFESTS);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.map_err(|error| last(&error))
    }

    /// A token for whoever has no account (distribution project, "Token authentication").
    async fn token(&self, challenge: &Challenge, name: &Name) -> Result<String, String> {
        let mut url = reqwest::Url::parse(&challenge.realm).map_err(|error| error.to_string())?;
        url.query_pairs_mut()
            .append_pair("service", &challenge.service)
            .append_pair("scope", &format!("repository:{}:pull", name.path));
        let answer = self.client.get(url).send().await.and_then(Response::error_for_status);
        let bytes = answer.map_err(|error| last(&error))?.bytes().await.map_err(|error| last(&error))?;
        let answer: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        let token = answer.get("token").or_else(|| answer.get("access_token")).and_then(serde_json::Value::as_str);
        token.map(str::to_owned).ok_or_else(|| "it gives no token".to_owned())
    }
}

/// The cause at the bottom: what lies above says only that a request failed.
fn last(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// Registries on this machine speak without TLS, as docker takes them to.
fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// An image's name as registries take it.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    host: String,
    path: String,
    tag: String,
}

impl Name {
    /// `postgres:16` is `library/postgres` of Docker Hub (the distribution project's reference grammar).
    fn of(image: &str) -> Self {
        let (name, tag) = match image.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (image, "latest"),
        };
        let (host, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path.to_owned()),
            Some(_) => ("docker.io", name.to_owned()),
            None => ("docker.io", format!("library/{name}")),
        };
        let (host, path) = match host {
            "docker.io" | "index.docker.io" if path.contains('/') => ("registry-1.docker.io", path),
            "docker.io" | "index.docker.io" => ("registry-1.docker.io", format!("library/{path}")),
            host => (host, path),
        };
        Self { host: host.to_owned(), path, tag: tag.to_owned() }
    }
}

/// What a registry says that a token costs.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    realm: String,
    service: String,
}

impl Challenge {
    /// `Bearer realm="https://auth.example/token",service="registry.example"`.
    fn read(header: &str) -> Option<Self> {
        let (kind, rest) = header.split_once(' ')?;
        let field = |name: &str| {
            let rest = rest.split_once(&format!("{name}=\""))?.1;
            Some(rest.split_once('"')?.0.to_owned())
        };
        let service = field("service").unwrap_or_default();
        kind.eq_ignore_ascii_case("bearer").then(|| field("realm")).flatten().map(|realm| Self { realm, service })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_registries() {
        let name = |host: &str, path: &str, tag: &str| Name { host: host.into(), path: path.into(), tag: tag.into() };
        for (image, want) in [
            ("postgres:16", name("registry-1.docker.io", "library/postgres", "16")),
            ("docker.io/postgres", name("registry-1.docker.io", "library/postgres", "latest")),
            ("bitnami/kafka:3", name("registry-1.docker.io", "bitnami/kafka", "3")),
            ("ghcr.io/acme/order:1.4", name("ghcr.io", "acme/order", "1.4")),
            ("127.0.0.1:5000/library/redis:7", name("127.0.0.1:5000", "library/redis", "7")),
            ("127.0.0.1:5000/order", name("127.0.0.1:5000", "order", "latest")),
        ] {
            assert_eq!(Name::of(image), want, "{image}");
        }
        assert!(is_loopback("127.0.0.1:5000") && is_loopback("localhost") && !is_loopback("ghcr.io"));
    }

    #[test]
    fn a_challenge_is_read_and_another_scheme_is_none() {
        let read =
            Challenge::read("Bearer realm=\"https://auth.example/token\",service=\"registry.example\",scope=\"x\"");
        assert_eq!(
            read,
            Some(Challenge { realm: "https://auth.example/token".into(), service: "registry.example".into() })
        );
        assert_eq!(Challenge::read("Basic realm=\"x\""), None);
        assert_eq!(Challenge::read("Bearer"), None);
    }
}
