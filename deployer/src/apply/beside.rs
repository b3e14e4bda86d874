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
        let admin = match &made.admin {
            None => String::new(),
            Some(secret) => self.password(secret).await?,
        };
        for (command, input) in &made.commands {
            let input = input.with_passwords(&admin, &password);
            let run = self.run_beside(&made.pod, command, &format!("{password}\n"), &input).await?;
            run.map_err(|why| {
                // What a program says when it fails may be what it read.
                let hidden = [&admin, &password].into_iter().filter(|secret| !secret.is_empty());
                let why = hidden.fold(why, |why, secret| why.replace(secret, "***"));
                Error::Deploy(format!("{} cannot be made in {}: {why}", logical.wanted.address, made.pod))
            })?;
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

    /// Runs one command to its end; inside is why it failed.
    pub(super) async fn run_beside(
        &self,
        pod: &str,
        command: &str,
        first: &str,
        input: &str,
    ) -> Result<Result<(), String>> {
        let parameters = AttachParams::default().container(SERVER_CONTAINER).stdin(true).stdout(false).stderr(true);
        let script = beside(command, input.len());
        let begun = self.session.cluster.api::<Pod>().exec(pod, ["sh", "-c", &script], &parameters).await;
        let mut process = begun.map_err(|error| Error::cluster(format!("running a program in {pod}"), &error))?;
        let status = process.take_status();
        if let Some(mut stdin) = process.stdin() {
            // A program that ends early tells why itself.
            let _ = stdin.write_all(format!("{first}{input}").as_bytes()).await;
            let _ = stdin.flush().await;
        }
        let mut words = Vec::new();
        if let Some(mut stderr) = process.stderr() {
            let _ = (&mut stderr).take(WORDS).read_to_end(&mut words).await;
            // What nobody reads would keep the program from its end.
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
        }
        let status = match status {
            Some(status) => status.await,
            None => None,
        };
        Ok(match status {
            Some(status) if status.status.as_deref() == Some("Success") => Ok(()),
            Some(status) => {
                let words = String::from_utf8_lossy(&words);
                Err(format!("{}\n{}", status.message.unwrap_or_default(), words.trim_end()))
            }
            None => Err("the connection was lost before it ended; run this again".to_owned()),
        })
    }
}
