//! Containers of a Docker engine: one network a session, sources mounted in repository layout.

mod attached;
mod build;
mod container;
mod endpoint;
mod image;
mod network;
mod program;
mod volume;
mod way_out;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bollard::errors::Error;
use bollard::query_parameters::{KillContainerOptions, ListContainersOptions, ListNetworksOptions, LogsOptions};
use clustergraph::catalogue::fill;
use futures_util::StreamExt;
use tokio::sync::{OnceCell, Semaphore};

use super::{Building, Cause, Ended, Forward, Program, Runtime, Server, Terminal};
use crate::protocol::RuntimeName;
use crate::session::{Instance, Session};
use container::{Container, Mounted};
use image::Images;
use program::FOLDERS;
use way_out::WayOut;

pub(crate) use build::built_image;
pub(crate) use network::Gateway;

/// Everything that belongs to a session carries this label with the session's id.
const SESSION_LABEL: &str = "dev.clustergraph.session";
/// The unit that a container is.
const UNIT_LABEL: &str = "dev.clustergraph.unit";
/// How long an engine may take to its first answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How many images are built at once: each build takes as many processors as it finds.
const BUILDS: usize = 2;

/// Everything of one session.
pub(crate) struct Docker {
    session: Session,
    engine: OnceCell<bollard::Docker>,
    images: Images,
    way_out: WayOut,
    builds: Semaphore,
}

impl Docker {
    pub(crate) fn new(session: &Session) -> Self {
        Self {
            session: session.clone(),
            engine: OnceCell::new(),
            images: Images::default(),
            way_out: WayOut::default(),
            builds: Semaphore::new(BUILDS),
        }
    }

    /// Whether an engine answers.
    pub(crate) async fn answers(session: &Session) -> bool {
        Self::new(session).engine().await.is_ok()
    }

    /// Which engine answers: its name, version and system.
    pub(crate) async fn version(session: &Session) -> Result<String, Cause> {
        let docker = Self::new(session);
        let found = docker.engine().await?.version().await.map_err(engine_said)?;
        let part = |text: Option<String>| text.unwrap_or_default();
        let (version, api) = (part(found.version), part(found.api_version));
        Ok(format!("Docker {version}, API {api}, {}/{}", part(found.os), part(found.arch)))
    }

    /// What the registry calls an image, asked through the engine.
    pub(crate) async fn digest(&self, image: &str) -> Result<String, Cause> {
        let found = self.engine().await?.inspect_registry_image(image, None).await.map_err(engine_said)?;
        let digest = found.descriptor.digest.filter(|digest| clustergraph::format::lock::is_digest(digest));
        digest.ok_or_else(|| Cause::new(format!("the engine does not say what {image} is")))
    }

    async fn engine(&self) -> Result<&bollard::Docker, Cause> {
        self.engine
            .get_or_try_init(|| async {
                let host = endpoint::find(|name| std::env::var(name).ok())?;
                let engine = bollard::Docker::connect_with_host(&host).map_err(|error| no_engine(&host, &error))?;
                // An address that takes connections but says nothing must not keep anybody waiting for long.
                let asked = tokio::time::timeout(ANSWER, engine.negotiate_version()).await;
                let silent =
                    |_| Cause::new(format!("no Docker engine answers at {host} within {} s", ANSWER.as_secs()));
                asked.map_err(silent)?.map_err(|error| no_engine(&host, &error))
            })
            .await
    }

    /// What a unit's container or volume is called.
    fn name(&self, unit: &str) -> String {
        format!("ssi-{}-{}", self.session.id, unit.replace(['/', ':'], "."))
    }

    fn labels(&self, unit: &str) -> HashMap<String, String> {
        HashMap::from([(SESSION_LABEL.to_owned(), self.session.id.clone()), (UNIT_LABEL.to_owned(), unit.to_owned())])
    }

    fn filter(&self) -> HashMap<String, Vec<String>> {
        HashMap::from([("label".to_owned(), vec![format!("{SESSION_LABEL}={}", self.session.id)])])
    }

    /// Makes and starts a container; its image is pulled when the engine lacks it.
    async fn launch(&self, container: Container, tell: &(dyn Fn(String) + Send + Sync)) -> Result<Instance, Cause> {
        let engine = self.engine().await?;
        self.images.ensure(engine, &container.image, tell).await?;
        let started = match container.clone().start(engine).await {
            // It was there a while ago.
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {
                self.images.forget(&container.image);
                self.images.ensure(engine, &container.image, tell).await?;
                container.start(engine).await
            }
            started => started,
        };
        started.map(Instance::Container).map_err(engine_said)
    }
}

fn no_engine(host: &str, error: &Error) -> Cause {
    Cause::new(format!(
        "no Docker engine answers at {host} ({error}): start one, set DOCKER_HOST, or use `--runtime process`"
    ))
}

fn engine_said(error: Error) -> Cause {
    match error {
        Error::DockerResponseServerError { message, .. } => Cause::new(message),
        other => Cause::new(other.to_string()),
    }
}

/// What is gone is removed; a removal that is under way is as good.
fn fine_when_gone(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::DockerResponseServerError { status_code: 304 | 404 | 409, .. }) => Ok(()),
        other => other,
    }
}

#[async_trait]
impl Runtime for Docker {
    fn name(&self) -> RuntimeName {
        RuntimeName::Docker
    }

    async fn prepare(&self) -> Result<(), Cause> {
        self.ensure_network().await
    }

    async fn ensure_setup(&self, program: &Program, tell: &(dyn Fn(String) + Send + Sync)) -> Result<(), Cause> {
        let engine = self.engine().await?;
        let service = &program.service;
        let mut container = self.container(program, true, tell).await?;
        // Half of an installation that was interrupted is worth nothing: it starts over, and whoever may still
        // be at it in a killed supervisor's name ends.
        container::remove(engine, &container.name).await.map_err(engine_said)?;
        self.empty_volume(&self.deps_volume(service), &program.unit).await?;
        let lines: Vec<String> = service
            .setup
            .iter()
            .map(|words| words.iter().map(|word| fill(word, FOLDERS)).collect::<Vec<_>>())
            .map(|words| shlex::try_join(words.iter().map(String::as_str)))
            .collect::<Result<_, _>>()
            .map_err(|error| Cause::new(format!("`setup` of {}: {error}", service.name)))?;
        let words = lines.join(" && ");
        tell(words.clone());
        container.entrypoint = Some(vec!["sh".to_owned(), "-euc".to_owned(), lines.join("\n")]);
        // The volume is the engine's own: only root can fill it.
        container.user = Some("0:0".to_owned());
        container.run_to_end(engine, &words).await
    }

    async fn ensure_image(&self, building: &Building, tell: &(dyn Fn(String) + Send + Sync)) -> Result<(), Cause> {
        self.build(building, tell).await
    }

    async fn start_server(&self, server: &Server, tell: &(dyn Fn(String) + Send + Sync)) -> Result<Instance, Cause> {
        let unit = server.unit.to_string();
        let values = server.values(RuntimeName::Docker);
        let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut mounts = Vec::new();
        if let Some(data) = &server.kind.image.data {
            let volume = self.name(&unit);
            self.ensure_volume(&volume, &server.unit, Some(&server.incarnation)).await?;
            mounts.push(Mounted::volume(volume, data.clone(), false));
        }
        let args = server.kind.image_args(&server.settings, &values);
        let container = Container {
            name: self.name(&unit),
            image: server.image.clone(),
            entrypoint: None,
            command: (!args.is_empty()).then_some(args),
            env: server.kind.image_env(&server.settings, &values),
            user: None,
            folder: None,
            mounts,
            ports: vec![(server.inside(), server.port)],
            network: self.network(),
            aliases: vec![server.unit.name.clone()],
            hosts: BTreeMap::new(),
            labels: self.labels(&unit),
            terminal: None,
        };
        self.launch(container, tell).await
    }

    async fn run_client(
        &self,
        _server: &Server,
        instance: &Instance,
        command: &[String],
        env: &BTreeMap<String, String>,
        input: &str,
        deadline: Duration,
    ) -> Result<String, Cause> {
        let Instance::Container(id) = instance else { return Err(Cause::new("the server is no container")) };
        let engine = self.engine().await?;
        tokio::time::timeout(deadline, container::exec(engine, id, command, env, input))
            .await
            .map_err(|_| Cause::new(format!("`{}` took longer than {} s", command.join(" "), deadline.as_secs())))?
    }

    async fn start(&self, program: &Program, tell: &(dyn Fn(String) + Send + Sync)) -> Result<Instance, Cause> {
        let container = self.container(program, false, tell).await?;
        self.launch(container, tell).await
    }

    async fn stored(&self, servers: &BTreeSet<String>) -> Result<BTreeMap<String, String>, Cause> {
        self.incarnations(servers).await
    }

    async fn run_beside(&self, _program: &Program, instance: &Instance, command: &[String]) -> Result<(), Cause> {
        let Instance::Container(id) = instance else { return Err(Cause::new("it is no container")) };
        container::exec(self.engine().await?, id, command, &BTreeMap::new(), "").await.map(drop)
    }

    async fn says(&self, _program: &Program, instance: &Instance, _before: u64, text: &str) {
        let (Instance::Container(id), Ok(engine)) = (instance, self.engine().await) else {
            return std::future::pending().await;
        };
        container::says(engine, id, text).await;
    }

    async fn start_forward(&self, _forward: &Forward) -> Result<Instance, Cause> {
        Err(Cause::new("a forwarder is a process of this machine"))
    }

    async fn check_way_out(&self, program: &Program, instance: &Instance) -> Result<(), Cause> {
        let (Instance::Container(id), Some((name, port))) = (instance, &program.reaches) else { return Ok(()) };
        self.way_out.check(self.engine().await?, id, name, *port).await
    }

    async fn run_attached(&self, program: &Program, terminal: Terminal) -> Result<Ended, Cause> {
        self.run_container_attached(program, terminal, &|_| {}).await
    }

    async fn exec(&self, instance: &Instance, program: &Program, terminal: Terminal) -> Result<Ended, Cause> {
        let Instance::Container(id) = instance else { return Err(Cause::new("it runs in no container")) };
        let words = program.command.as_deref().unwrap_or_default();
        self.exec_attached(id, words, terminal).await
    }

    async fn stop(&self, instance: &Instance, signal: &str, grace: Duration) -> Result<(), Cause> {
        let Instance::Container(id) = instance else { return Ok(()) };
        let engine = self.engine().await?;
        if !grace.is_zero() {
            // Engines before API 1.42 know no signal in `stop`, so it is sent by itself.
            let options = KillContainerOptions { signal: format!("SIG{signal}") };
            fine_when_gone(engine.kill_container(id, Some(options)).await).map_err(engine_said)?;
            let _ = tokio::time::timeout(grace, self.ended(instance)).await;
        }
        container::remove(engine, id).await.map_err(engine_said)
    }

    async fn running(&self, instances: &[Instance]) -> Result<Vec<bool>, Cause> {
        // Without `all`: those that run. One question for all of them.
        let options = ListContainersOptions { filters: Some(self.filter()), ..Default::default() };
        let running = self.engine().await?.list_containers(Some(options)).await.map_err(engine_said)?;
        let running: BTreeSet<String> = running.into_iter().filter_map(|container| container.id).collect();
        let runs = |instance: &Instance| matches!(instance, Instance::Container(id) if running.contains(id));
        Ok(instances.iter().map(runs).collect())
    }

    async fn ended(&self, instance: &Instance) -> Ended {
        let Instance::Container(id) = instance else { return Ended::Unknown };
        let Ok(engine) = self.engine().await else { return Ended::Unknown };
        container::ended(engine, id).await
    }

    async fn last_lines(&self, instance: Option<&Instance>, _log: &Path) -> Vec<String> {
        let Some(Instance::Container(id)) = instance else { return Vec::new() };
        let Ok(engine) = self.engine().await else { return Vec::new() };
        container::last_lines(engine, id).await
    }

    async fn clean_up(&self, delete_data: bool) -> Result<(), Cause> {
        let engine = self.engine().await?;
        let filters = Some(self.filter());
        let containers = engine
            .list_containers(Some(ListContainersOptions { all: true, filters: filters.clone(), ..Default::default() }))
            .await
            .map_err(engine_said)?;
        for id in containers.into_iter().filter_map(|container| container.id) {
            container::remove(engine, &id).await.map_err(engine_said)?;
        }
        let networks = engine.list_networks(Some(ListNetworksOptions { filters })).await.map_err(engine_said)?;
        for id in networks.into_iter().filter_map(|network| network.id) {
            fine_when_gone(engine.remove_network(&id).await).map_err(engine_said)?;
        }
        if delete_data {
            self.remove_volumes().await?;
            self.remove_built().await?;
        }
        Ok(())
    }
}

/// What the engine keeps of a container's output.
fn all_output(follow: bool, tail: &str) -> LogsOptions {
    LogsOptions { follow, stdout: true, stderr: true, tail: tail.to_owned(), ..Default::default() }
}

/// The lines that a container wrote since some second of 1970's count, as they come when `follow` says so.
pub(crate) async fn lines(
    session: &Session,
    id: &str,
    follow: bool,
    tail: &str,
    since: i64,
) -> Result<impl futures_util::Stream<Item = String> + Send + use<>, Cause> {
    let docker = Docker::new(session);
    let engine = docker.engine().await?.clone();
    let since = i32::try_from(since).unwrap_or_default();
    let output = engine.logs(id, Some(LogsOptions { since, ..all_output(follow, tail) }));
    Ok(output.filter_map(async |chunk| chunk.ok().map(|chunk| chunk.to_string())))
}
