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
        let failed = |why: String| Error::Image(format!("asking the registry for {image}: {why}"));
        let reference: Reference = image.parse().map_err(|error| failed(format!("{error}")))?;
        let host = reference.registry().to_owned();
        let client = if is_loopback(&host) { &self.plain } else { &self.secure };
        // Credential helpers are programs, and may take their time.
        let auth = tokio::task::spawn_blocking(move || credentials(&host)).await;
        let auth = auth.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
        match client.fetch_manifest_digest(&reference, &auth).await {
            Ok(digest) => Ok(Some(digest)),
            Err(error) if is_absence(&error) => Ok(None),
            Err(OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_)) => {
                Err(failed(format!("it wants other credentials; `docker login {}`", reference.registry())))
            }
            Err(error) => {
                let mut last: &dyn std::error::Error = &error;
                while let Some(source) = last.source() {
                    last = source;
                }
                Err(failed(last.to_string()))
            }
        }
    }
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
