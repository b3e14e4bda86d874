//! `komandan exec`

use std::io::IsTerminal;
use std::process::ExitCode;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{AttachParams, AttachedProcess, TerminalSize};
use rustix::termios::{Termios, tcgetwinsize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};

use crate::console::Console;
use crate::error::{Error, Result};
use crate::settings::Global;
use crate::terminal::Changed;
use crate::transient;

/// Runs a command in an instance of a service, or of a database server
///
/// It gets this terminal where there is one, else standard input as it is; its exit code becomes ours.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan exec api -- sh
  komandan exec api -- python manage.py shell
  komandan exec postgres-15 -- psql -U postgres < report.sql")]
pub(crate) struct Args {
    /// The service or database server
    pub(crate) service: String,
    /// The pod [default: one that is ready]
    #[arg(long)]
    pub(crate) pod: Option<String>,
    /// The command, after `--`
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<String>,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<ExitCode> {
    let cluster = transient::connect(global).await?;
    let (_, record) = super::served(&cluster).await?;
    let instances = super::instances(&cluster, &record, &args.service).await?;
    let pod = match &args.pod {
        None => instances.ready(&cluster).await?,
        Some(pod) => {
            let pods = instances.pods(&cluster).await?;
            let names: Vec<&str> = pods.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
            if !names.contains(&pod.as_str()) {
                return Err(super::unknown(pod, names.into_iter(), &args.service));
            }
            pod.clone()
        }
    };
    let tty = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let parameters =
        AttachParams::default().container(instances.container).stdin(true).stdout(true).stderr(!tty).tty(tty);
    let what = format!("running {} in {pod}", args.command.first().map(String::as_str).unwrap_or_default());
    let process = cluster.api::<Pod>().exec(&pod, &args.command, &parameters).await;
    let process = process.map_err(|error| Error::cluster(what.clone(), &error))?;
    let raw = tty.then(|| Changed::with(Termios::make_raw));
    let status = attend(process, tty, console).await?;
    drop(raw);
    let status = status.ok_or_else(|| Error::Cluster {
        what: what.clone(),
        why: "the connection ended before the command did".to_owned(),
    })?;
    code(&status).map_err(|why| Error::Cluster { what, why })
}

/// Carries what is typed and what is written, until the command ends.
async fn attend(mut process: AttachedProcess, tty: bool, console: &Console) -> Result<Option<Status>> {
    let failed = |error| Error::Io { what: "writing what the command writes".to_owned(), error };
    let ended = process.take_status();
    let (out, err, input) = (process.stdout(), process.stderr(), process.stdin());
    let sizes = process.terminal_size();
    if let Some(mut input) = input {
        // Reading ends with this program: nobody may wait for a person who types nothing more.
        tokio::spawn(async move {
            let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut input).await;
            let _ = input.shutdown().await;
        });
    }
    if let (true, Some(mut sizes)) = (tty, sizes) {
        tokio::spawn(async move {
            let Ok(mut changed) = signal(SignalKind::window_change()) else { return };
            loop {
                if let Ok(size) = tcgetwinsize(std::io::stdout()) {
                    let _ = sizes.try_send(TerminalSize { width: size.ws_col, height: size.ws_row });
                }
                changed.recv().await;
            }
        });
    }
    let (one, other) =
        tokio::join!(carry(out, |bytes| console.bytes(bytes)), carry(err, |bytes| console.error_bytes(bytes)));
    one.and(other).map_err(failed)?;
    Ok(match ended {
        Some(ended) => ended.await,
        None => None,
    })
}

async fn carry(
    from: Option<impl AsyncRead + Unpin>,
    mut to: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match from.read(&mut buffer).await? {
            0 => return Ok(()),
            count => to(buffer.get(..count).unwrap_or_default())?,
        }
    }
}

/// The command's own exit code.
fn code(status: &Status) -> std::result::Result<ExitCode, String> {
    if status.status.as_deref() == Some("Success") {
        return Ok(ExitCode::SUCCESS);
    }
    let causes = status.details.as_ref().and_then(|details| details.causes.as_ref());
    let exit = causes.and_then(|causes| causes.iter().find(|cause| cause.reason.as_deref() == Some("ExitCode")));
    let code = exit.and_then(|cause| cause.message.as_deref()).and_then(|text| text.parse::<u8>().ok());
    match code {
        Some(code) => Ok(ExitCode::from(code)),
        None => Err(status.message.clone().unwrap_or_else(|| "it ended, and nobody says how".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_commands_exit_code_is_ours() {
        let status = |value: serde_json::Value| serde_json::from_value::<Status>(value).unwrap();
        let ended = |code: &str| {
            status(json!({
                "status": "Failure", "reason": "NonZeroExit", "message": "command terminated with a non-zero exit code",
                "details": { "causes": [{ "reason": "ExitCode", "message": code }] },
            }))
        };
        assert_eq!(code(&status(json!({ "status": "Success" }))), Ok(ExitCode::SUCCESS));
        assert_eq!(code(&ended("3")), Ok(ExitCode::from(3)));
        let never = status(json!({ "status": "Failure", "message": "no such file: \"nosuch\"" }));
        assert!(code(&never).unwrap_err().contains("nosuch"));
    }
}
