//! Makes logical databases whose kind's programs only work in the container of their server.

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::AttachParams;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Work;
use crate::error::{Error, Result};
use crate::render::{Beside, Logical, SERVER_CONTAINER, beside};

/// The most that is kept of what a program says when it fails.
const WORDS: u64 = 8 * 1024;

impl Work<'_> {
    /// Runs the commands one after the other; each may be repeated. The password is read from its Secret, and reaches the
    /// programs by their standard input.
    pub(super) async fn make_beside(&self, logical: &Logical, made: &Beside) -> Result<()> {
        let password = match &logical.secret {
            None => String::new(),
            Some(secret) => {
                self.session.cluster.ensure_credentials(secret).await?;
                self.password(&secret.name).await?
            }
        };
        for (command, input) in &made.commands {
            self.run_beside(&logical.wanted.address, &made.pod, command, &password, &input.with_password(&password))
                .await?;
        }
        Ok(())
    }

    async fn password(&self, name: &str) -> Result<String> {
        let secret = self.session.cluster.api::<Secret>().get(name).await;
        let secret = secret.map_err(|error| Error::cluster(format!("reading the Secret {name}"), &error))?;
        let password = secret.data.and_then(|mut data| data.remove("password"));
        password
            .and_then(|password| String::from_utf8(password.0).ok())
            .ok_or_else(|| Error::Store(format!("the Secret {name} holds no password")))
    }

    async fn run_beside(&self, address: &str, pod: &str, command: &str, password: &str, input: &str) -> Result<()> {
        let failed = |why: &str| Error::Deploy(format!("{address} cannot be made in {pod}: {why}"));
        let parameters = AttachParams::default().container(SERVER_CONTAINER).stdin(true).stdout(false).stderr(true);
        let script = beside(command, input.len());
        let begun = self.session.cluster.api::<Pod>().exec(pod, ["sh", "-c", &script], &parameters).await;
        let mut process = begun.map_err(|error| Error::cluster(format!("making {address} in {pod}"), &error))?;
        if let Some(mut stdin) = process.stdin() {
            // A program that ends early tells why itself.
            let _ = stdin.write_all(format!("{password}\n{input}").as_bytes()).await;
            let _ = stdin.flush().await;
        }
        let status = process.take_status();
        let mut words = Vec::new();
        if let Some(stderr) = process.stderr() {
            let _ = stderr.take(WORDS).read_to_end(&mut words).await;
        }
        let status = match status {
            Some(status) => status.await,
            None => None,
        };
        match status {
            Some(status) if status.status.as_deref() == Some("Success") => Ok(()),
            // What a program says when it fails is not known to be free of what it read.
            Some(status) => {
                let words = String::from_utf8_lossy(&words);
                let words = if password.is_empty() { words.into_owned() } else { words.replace(password, "***") };
                Err(failed(&format!("{}\n{}", status.message.unwrap_or_default(), words.trim_end())))
            }
            None => Err(failed("the connection was lost before it ended; run this again")),
        }
    }
}
