//! One container: made, started, run to its end, asked.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

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

/// How soon an engine that does not answer is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// A container as it is wanted.
#[derive(Clone)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    /// What runs instead of the image's entrypoint.
    pub(super) entrypoint: Option<Vec<String>>,
    /// Arguments; the image's own when there is neither.
    pub(super) command: Option<Vec<String>>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) user: Option<String>,
    pub(super) folder: Option<String>,
    pub(super) mounts: Vec<Mounted>,
    /// Each port inside, and where loopback has it.
    pub(super) ports: Vec<(u16, u16)>,
    pub(super) network: String,
    pub(super) aliases: Vec<String>,
    /// Names that no container has, each with its address.
    pub(super) hosts: BTreeMap<String, String>,
    pub(super) labels: HashMap<String, String>,
    /// Whether somebody talks to it, and whether that is a person at a terminal.
    pub(super) terminal: Option<bool>,
}

/// Something of this machine, or a volume, inside a container.
#[derive(Clone)]
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
    pub(super) async fn create(self, engine: &bollard::Docker) -> Result<String, Error> {
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
            entrypoint: self.entrypoint,
            cmd: self.command,
            env: Some(self.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            user: self.user,
            working_dir: self.folder,
            labels: Some(self.labels),
            tty: self.terminal,
            open_stdin: Some(self.terminal.is_some()),
            stdin_once: Some(self.terminal.is_some()),
            exposed_ports: Some(self.ports.iter().map(|(inside, _)| format!("{inside}/tcp")).collect()),
            host_config: Some(HostConfig {
                mounts: Some(self.mounts.into_iter().map(|mounted| mounted.0).collect()),
                port_bindings: Some(bindings),
                network_mode: Some(self.network.clone()),
                // Programs that are no init leave zombies and ignore signals as process 1.
                init: Some(true),
                extra_hosts: Some(self.hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect()),
                ..Default::default()
            }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(HashMap::from([(self.network, endpoint)])),
            }),
            ..Default::default()
        };
        let options = || Some(CreateContainerOptions { name: Some(self.name.clone()), ..Default::default() });
        match engine.create_container(options(), body.clone()).await {
            // Looking for what is left over before every start would cost a hundred questions for one answer.
            Err(Error::DockerResponseServerError { status_code: 409, .. }) => {
                remove(engine, &self.name).await?;
                Ok(engine.create_container(options(), body).await?.id)
            }
            made => Ok(made?.id),
        }
    }

    /// Makes and starts it.
    pub(super) async fn start(self, engine: &bollard::Docker) -> Result<String, Error> {
        let id = self.create(engine).await?;
        if let Err(error) = engine.start_container(&id, None::<StartContainerOptions>).await {
            remove(engine, &id).await?;
            return Err(error);
        }
        Ok(id)
    }

    /// Makes and starts it, waits for its end, and removes it. Fails on another end than 0. It ends, too, when
    /// nobody waits any longer.
    pub(super) async fn run_to_end(self, engine: &bollard::Docker, words: &str) -> Result<(), Cause> {
        let running = Running { engine: engine.clone(), id: self.start(engine).await.map_err(engine_said)? };
        let ended = ended(engine, &running.id).await;
        if ended == Ended::Code(0) {
            return Ok(());
        }
        Err(Cause { message: format!("`{words}` {ended}"), lines: last_lines(engine, &running.id).await })
    }
}

/// A container that is removed when nobody waits for it any more.
struct Running {
    engine: bollard::Docker,
    id: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let (engine, id) = (self.engine.clone(), std::mem::take(&mut self.id));
        // What cannot be removed now goes before the next one of its name.
        tokio::spawn(async move { remove(&engine, &id).await });
    }
}

/// Removes a container, running or not; fine when it is gone or going.
pub(super) async fn remove(engine: &bollard::Docker, id: &str) -> Result<(), Error> {
    let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
    fine_when_gone(engine.remove_container(id, Some(options)).await)
}

/// Waits for a container's end, over restarts of the engine.
pub(super) async fn ended(engine: &bollard::Docker, id: &str) -> Ended {
    loop {
        let mut waiting = engine.wait_container(id, None::<WaitContainerOptions>);
        match waiting.next().await {
            Some(Ok(end)) => return Ended::Code(end.status_code),
            // bollard tells a code other than 0 as an error
            Some(Err(Error::DockerContainerWaitError { code, .. })) => return Ended::Code(code),
            Some(Err(Error::DockerResponseServerError { status_code: 404, .. })) => return Ended::Unknown,
            // An engine that restarts drops the connection.
            _ => tokio::time::sleep(AGAIN).await,
        }
    }
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

/// Waits for a line of a container's output, from its start, that holds a text. A container that ends says nothing
/// more; whoever waits for its end tells.
pub(super) async fn says(engine: &bollard::Docker, id: &str, text: &str) {
    let mut output = engine.logs(id, Some(all_output(true, "all")));
    let mut line = Vec::new();
    while let Some(Ok(chunk)) = output.next().await {
        for byte in chunk.into_bytes() {
            if byte == b'\n' {
                line.clear();
            } else {
                line.push(byte);
            }
            // Looking at each byte finds a text without waiting for the end of its line.
            if line.ends_with(text.as_bytes()) {
                return;
            }
        }
    }
    std::future::pending().await
}

/// How a program inside a container ended, and what it printed.
pub(super) struct Inside {
    pub(super) code: Option<i64>,
    pub(super) out: String,
    pub(super) err: String,
}

/// Runs a program inside a container to its end.
pub(super) async fn run_inside(
    engine: &bollard::Docker,
    id: &str,
    command: &[String],
    env: &BTreeMap<String, String>,
    input: &str,
) -> Result<Inside, Cause> {
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
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Inside { code, out: text(out), err: text(err) })
}

/// Runs a program inside a container and gives what it printed. Fails on another end than 0.
pub(super) async fn exec(
    engine: &bollard::Docker,
    id: &str,
    command: &[String],
    env: &BTreeMap<String, String>,
    input: &str,
) -> Result<String, Cause> {
    let end = run_inside(engine, id, command, env, input).await?;
    if end.code == Some(0) {
        return Ok(end.out);
    }
    let words = command.first().map(String::as_str).unwrap_or_default();
    let lines = end.err.lines().map(str::to_owned).collect();
    Err(Cause { message: format!("`{words}` ended with code {}", end.code.unwrap_or(-1)), lines })
}
