//! One container: made, started, run to its end, asked.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::StartExecResults;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, ExecConfig, HostConfig, Mount, MountType, NetworkingConfig, PortBinding,
};
use bollard::query_parameters::{
    CreateContainerOptions, RemoveContainerOptions, StartContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::super::{Cause, Ended, LAST_LINES};
use super::{all_output, engine_said, fine_when_gone};

/// A container as it is wanted.
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) command: Option<Vec<String>>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) user: Option<String>,
    pub(super) folder: Option<String>,
    pub(super) mounts: Vec<Mounted>,
    /// Each port inside, and where loopback has it.
    pub(super) ports: Vec<(u16, u16)>,
    pub(super) network: String,
    pub(super) aliases: Vec<String>,
    pub(super) labels: HashMap<String, String>,
}

/// Something of this machine, or a volume, inside a container.
pub(super) struct Mounted(Mount);

impl Mounted {
    pub(super) fn folder(source: PathBuf, target: String, read_only: bool) -> Self {
        Self::of(MountType::BIND, source.to_string_lossy().into_owned(), target, read_only)
    }

    pub(super) fn volume(name: String, target: String, read_only: bool) -> Self {
        Self::of(MountType::VOLUME, name, target, read_only)
    }

    fn of(kind: MountType, source: String, target: String, read_only: bool) -> Self {
        Self(Mount {
            typ: Some(kind),
            source: Some(source),
            target: Some(target),
            read_only: Some(read_only),
            ..Default::default()
        })
    }
}

impl Container {
    /// Makes it; what is left over under its name goes first.
    async fn create(self, engine: &bollard::Docker) -> Result<String, Cause> {
        let bindings = self
            .ports
            .iter()
            .map(|(inside, here)| {
                let binding = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(here.to_string()) };
                (format!("{inside}/tcp"), Some(vec![binding]))
            })
            .collect::<HashMap<_, _>>();
        let endpoint = EndpointSettings { aliases: Some(self.aliases), ..Default::default() };
        let body = ContainerCreateBody {
            image: Some(self.image),
            cmd: self.command,
            env: Some(self.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            user: self.user,
            working_dir: self.folder,
            labels: Some(self.labels),
            exposed_ports: Some(self.ports.iter().map(|(inside, _)| format!("{inside}/tcp")).collect()),
            host_config: Some(HostConfig {
                mounts: Some(self.mounts.into_iter().map(|mounted| mounted.0).collect()),
                port_bindings: Some(bindings),
                network_mode: Some(self.network.clone()),
                // Programs that are no init leave zombies and ignore signals as process 1.
                init: Some(true),
                ..Default::default()
            }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(HashMap::from([(self.network, endpoint)])),
            }),
            ..Default::default()
        };
        let options = CreateContainerOptions { name: Some(self.name.clone()), ..Default::default() };
        let left_over = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        fine_when_gone(engine.remove_container(&self.name, Some(left_over)).await)?;
        Ok(engine.create_container(Some(options), body).await.map_err(engine_said)?.id)
    }

    /// Makes and starts it.
    pub(super) async fn start(self, engine: &bollard::Docker) -> Result<String, Cause> {
        let id = self.create(engine).await?;
        if let Err(error) = engine.start_container(&id, None::<StartContainerOptions>).await {
            remove(engine, &id).await?;
            return Err(engine_said(error));
        }
        Ok(id)
    }

    /// Makes and starts it, waits for its end, and removes it. Fails on another end than 0.
    pub(super) async fn run_to_end(self, engine: &bollard::Docker) -> Result<(), Cause> {
        let words = self.command.clone().unwrap_or_default().join(" ");
        let id = self.start(engine).await?;
        let mut waiting = engine.wait_container(&id, None::<WaitContainerOptions>);
        let ended = match waiting.next().await {
            Some(Ok(end)) => Ended::Code(end.status_code),
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Ended::Code(code),
            _ => Ended::Unknown,
        };
        let lines = if ended == Ended::Code(0) { Vec::new() } else { last_lines(engine, &id).await };
        remove(engine, &id).await?;
        match ended {
            Ended::Code(0) => Ok(()),
            ended => Err(Cause { message: format!("`{words}` {ended}"), lines }),
        }
    }
}

async fn remove(engine: &bollard::Docker, id: &str) -> Result<(), Cause> {
    let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
    fine_when_gone(engine.remove_container(id, Some(options)).await)
}

/// The last lines of a container's output.
pub(super) async fn last_lines(engine: &bollard::Docker, id: &str) -> Vec<String> {
    let mut text = Vec::new();
    let mut output = engine.logs(id, Some(all_output(false, &LAST_LINES.to_string())));
    while let Some(Ok(chunk)) = output.next().await {
        text.extend_from_slice(&chunk.into_bytes());
    }
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

/// Runs a program inside a container and gives what it printed. Fails on another end than 0.
pub(super) async fn exec(
    engine: &bollard::Docker,
    id: &str,
    command: &[String],
    env: &BTreeMap<String, String>,
    input: &str,
) -> Result<String, Cause> {
    let config = ExecConfig {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        env: Some(env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        cmd: Some(command.to_vec()),
        ..Default::default()
    };
    let made = engine.create_exec(id, config).await.map_err(engine_said)?;
    let started = engine.start_exec(&made.id, None).await.map_err(engine_said)?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    if let StartExecResults::Attached { mut output, input: mut stdin } = started {
        // A program that ends early tells why itself.
        let _ = stdin.write_all(input.as_bytes()).await;
        let _ = stdin.shutdown().await;
        while let Some(Ok(chunk)) = output.next().await {
            match chunk {
                LogOutput::StdErr { message } => err.extend_from_slice(&message),
                other => out.extend_from_slice(&other.into_bytes()),
            }
        }
    }
    let code = engine.inspect_exec(&made.id).await.map_err(engine_said)?.exit_code;
    if code == Some(0) {
        return Ok(String::from_utf8_lossy(&out).into_owned());
    }
    let words = command.first().map(String::as_str).unwrap_or_default();
    let lines = String::from_utf8_lossy(&err).lines().map(str::to_owned).collect();
    Err(Cause { message: format!("`{words}` ended with code {}", code.unwrap_or(-1)), lines })
}
