//! What a registry has.

use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

use super::reference::is_loopback;
use crate::error::{Error, Result};

/// Asks registries, with the credentials that docker has for them.
pub(crate) struct Registry {
    secure: Client,
    plain: Client,
}

impl Registry {
    /// Nothing is asked yet.
    pub(crate) fn new() -> Self {
        let client = |protocol| {
            Client::new(ClientConfig {
                protocol,
                connect_timeout: Some(Duration::from_secs(10)),
                read_timeout: Some(Duration::from_secs(30)),
                user_agent: concat!("komandan/", env!("CARGO_PKG_VERSION")),
                ..ClientConfig::default()
            })
        };
        Self { secure: client(ClientProtocol::Https), plain: client(ClientProtocol::Http) }
    }

    /// The digest of an image; `None` when the registry does not have it.
    pub(crate) async fn digest(&self, image: &str) -> Result<Option<String>> {
        let (client, reference, auth) = self.client(image).await?;
        match client.fetch_manifest_digest(&reference, &auth).await {
            Ok(digest) => Ok(Some(digest)),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(failed(image, &reference, &error)),
        }
    }

    /// Whom an image runs as, in its own words; empty where it says nothing. Of an image for several platforms the one of
    /// this machine is asked.
    pub(crate) async fn user(&self, image: &str) -> Result<String> {
        #[derive(Default, serde::Deserialize)]
        struct Image {
            #[serde(default)]
            config: Config,
        }
        #[derive(Default, serde::Deserialize)]
        struct Config {
            #[serde(default, rename = "User")]
            user: Option<String>,
        }
        let (client, reference, auth) = self.client(image).await?;
        let pulled = client.pull_manifest_and_config(&reference, &auth).await;
        let (_, _, config) = pulled.map_err(|error| failed(image, &reference, &error))?;
        let config: Image = serde_json::from_str(&config)
            .map_err(|error| Error::Image(format!("what {image} says of itself cannot be read: {error}")))?;
        Ok(config.config.user.unwrap_or_default())
    }

    async fn client(&self, image: &str) -> Result<(&Client, Reference, RegistryAuth)> {
        let failed = |why: String| Error::Image(format!("asking the registry for {image}: {why}"));
        let reference: Reference = image.parse().map_err(|error| failed(format!("{error}")))?;
        let host = reference.registry().to_owned();
        let client = if is_loopback(&host) { &self.plain } else { &self.secure };
        // Credential helpers are programs, and may take their time.
        let auth = tokio::task::spawn_blocking(move || credentials(&host)).await;
        let auth = auth.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
        Ok((client, reference, auth))
    }
}

fn failed(image: &str, reference: &Reference, error: &OciDistributionError) -> Error {
    let why = match error {
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            format!("it wants other credentials; `docker login {}`", reference.registry())
        }
        error => {
            let mut last: &dyn std::error::Error = error;
            while let Some(source) = last.source() {
                last = source;
            }
            last.to_string()
        }
    };
    Error::Image(format!("asking the registry for {image}: {why}"))
}

fn is_absence(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::ImageManifestNotFoundError(_) => true,
        OciDistributionError::ServerError { code, .. } => *code == 404,
        OciDistributionError::RegistryError { envelope, .. } => envelope.errors.iter().any(|error| {
            use oci_client::errors::OciErrorCode::{ManifestUnknown, NameUnknown, NotFound};
            matches!(error.code, ManifestUnknown | NameUnknown | NotFound)
        }),
        _ => false,
    }
}

/// What docker would present to a registry.
fn credentials(registry: &str) -> Result<RegistryAuth, String> {
    // Docker Hub's credentials have kept their old name.
    let name = if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry };
    match docker_credential::get_credential(name) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(_)) => {
            Err("docker holds an identity token for it, which this version cannot use: log in with a user and password"
                .to_owned())
        }
        Err(
            CredentialRetrievalError::ConfigNotFound
            | CredentialRetrievalError::NoCredentialConfigured
            | CredentialRetrievalError::ConfigReadError,
        ) => Ok(RegistryAuth::Anonymous),
        // A helper says in this way that it knows nothing of this registry.
        Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if stdout.contains("not found") => {
            Ok(RegistryAuth::Anonymous)
        }
        Err(error) => Err(format!("docker's credentials for {registry} cannot be read: {error}")),
    }
}
