//! Containers of a Docker engine: one network a session, sources mounted in repository layout.

mod container;
mod image;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bollard::errors::Error;
use bollard::models::{NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{
    KillContainerOptions, ListContainersOptions, ListNetworksOptions, ListVolumesOptions, LogsOptions,
    RemoveContainerOptions, RemoveVolumeOptions, WaitContainerOptions,
};
use clustergraph::catalogue::{CONTAINER_DEPS, CONTAINER_ROOT, fill};
use clustergraph::graph::Service;
use futures_util::StreamExt;
use tokio::sync::OnceCell;

use super::{Cause, Ended, Program, Runtime, Server};
use crate::protocol::RuntimeName;
use crate::session::{Instance, Session};
use container::{Container, Mounted};

/// Everything that belongs to a session carries this label with the session's id.
const SESSION_LABEL: &str = "dev.clustergraph.session";
/// The unit that a container is.
const UNIT_LABEL: &str = "dev.clustergraph.unit";
/// A volume that is an installation, not data.
const DEPS_LABEL: &str = "dev.clustergraph.dependencies";

/// Everything of one session.
pub(crate) struct Docker {
    session: Session,
    engine: OnceCell<bollard::Docker>,
}

impl Docker {
    pub(crate) fn new(session: &Session) -> Self {
        Self { session: session.clone(), engine: OnceCell::new() }
    }

    /// Whether an engine answers.
    pub(crate) async fn answers(session: &Session) -> bool {
        Self::new(session).engine().await.is_ok()
    }

    async fn engine(&self) -> Result<&bollard::Docker, Cause> {
        self.engine
            .get_or_try_init(|| async {
                let engine = bollard::Docker::connect_with_defaults().map_err(no_engine)?;
                engine.negotiate_version().await.map_err(no_engine)
            })
            .await
    }

    fn network(&self) -> String {
        format!("ssi-{}", self.session.id)
    }

    fn name(&self, unit: &str) -> String {
        format!("ssi-{}-{}", self.session.id, unit.replace(['/', ':'], "."))
    }

    fn labels(&self, unit: &str) -> HashMap<String, String> {
        HashMap::from([(SESSION_LABEL.to_owned(), self.session.id.clone()), (UNIT_LABEL.to_owned(), unit.to_owned())])
    }

    fn filter(&self) -> HashMap<String, Vec<String>> {
        HashMap::from([("label".to_owned(), vec![format!("{SESSION_LABEL}={}", self.session.id)])])
    }

    /// The volume of a service's installed dependencies; a new one for each content of the lock files.
    fn deps_volume(&self, service: &Service) -> String {
        format!("ssi-{}-deps-{}-{}", self.session.id, service.name, service.setup_key.short())
    }

    fn deps_path(service: &Service) -> String {
        match service.stack.setup.as_ref().and_then(|setup| setup.into.as_ref()) {
            Some(into) if service.folder.is_empty() => format!("{CONTAINER_ROOT}/{into}"),
            Some(into) => format!("{CONTAINER_ROOT}/{}/{into}", service.folder),
            None => CONTAINER_DEPS.to_owned(),
        }
    }

    /// The sources, and nothing else of the repository, where they lie in it. What a mount leaves out at
    /// the top of the folder (service.yaml, ignored files) the container does not see.
    fn mounts(&self, service: &Service, deps_read_only: bool) -> Vec<Mounted> {
        let root = self.session.located.root();
        let mut paths = Vec::new();
        if service.folder.is_empty() {
            paths.extend(service.sources.entries.keys().cloned());
        } else {
            let own = service.sources.folder(&service.folder).unwrap_or_default();
            paths.extend(own.entries.keys().map(|name| format!("{}/{name}", service.folder)));
            let included = service.sources.files().into_iter().map(|(path, _)| path);
            let prefix = format!("{}/", service.folder);
            paths.extend(included.filter(|path| !path.starts_with(&prefix)));
        }
        let mut mounts: Vec<Mounted> = paths
            .into_iter()
            .map(|path| Mounted::folder(root.join(&path), format!("{CONTAINER_ROOT}/{path}"), true))
            .collect();
        if !service.setup.is_empty() {
            mounts.push(Mounted::volume(self.deps_volume(service), Self::deps_path(service), deps_read_only));
        }
        mounts
    }

    async fn container(
        &self,
        program: &Program,
        command: Vec<String>,
        deps_read_only: bool,
    ) -> Result<Container, Cause> {
        let service = &program.service;
        let mut env: BTreeMap<String, String> = BTreeMap::new();
        let image_path = image::path_variable(self.engine().await?, &program.image).await?;
        for (name, value) in &service.stack.env {
            let value = fill(value, &[("deps", CONTAINER_DEPS)]);
            env.insert(name.clone(), if name == "PATH" { format!("{value}:{image_path}") } else { value });
        }
        // The caller has no account inside the image, so no home.
        env.insert("HOME".to_owned(), "/tmp".to_owned());
        env.extend(program.env.clone());
        let unit = program.unit.to_string();
        let folder = if service.folder.is_empty() { String::new() } else { format!("/{}", service.folder) };
        Ok(Container {
            name: self.name(&unit),
            image: program.image.clone(),
            command: Some(command),
            env,
            user: Some(format!("{}:{}", rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())),
            folder: Some(format!("{CONTAINER_ROOT}{folder}")),
            mounts: self.mounts(service, deps_read_only),
            ports: program.ports.clone(),
            network: self.network(),
            aliases: vec![unit.clone()],
            labels: self.labels(&unit),
        })
    }

    async fn remove(&self, id: &str) -> Result<(), Cause> {
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        fine_when_gone(self.engine().await?.remove_container(id, Some(options)).await)
    }
}

fn no_engine(error: Error) -> Cause {
    Cause::new(format!("no Docker engine answers ({error}): start one, set DOCKER_HOST, or use `--runtime process`"))
}

fn engine_said(error: Error) -> Cause {
    match error {
        Error::DockerResponseServerError { message, .. } => Cause::new(message),
        other => Cause::new(other.to_string()),
    }
}

/// What is gone is removed; a removal that is under way is as good.
fn fine_when_gone(result: Result<(), Error>) -> Result<(), Cause> {
    match result {
        Ok(()) | Err(Error::DockerResponseServerError { status_code: 304 | 404 | 409, .. }) => Ok(()),
        Err(error) => Err(engine_said(error)),
    }
}

#[async_trait]
impl Runtime for Docker {
    fn name(&self) -> RuntimeName {
        RuntimeName::Docker
    }

    async fn prepare(&self) -> Result<(), Cause> {
        let engine = self.engine().await?;
        let request = NetworkCreateRequest {
            name: self.network(),
            labels: Some(HashMap::from([(SESSION_LABEL.to_owned(), self.session.id.clone())])),
            ..Default::default()
        };
        if engine.inspect_network(&self.network(), None).await.is_ok() {
            return Ok(());
        }
        engine.create_network(request).await.map_err(engine_said)?;
        Ok(())
    }

    async fn ensure_setup(&self, program: &Program, tell: &(dyn Fn(String) + Send + Sync)) -> Result<(), Cause> {
        let engine = self.engine().await?;
        image::ensure(engine, &program.image, tell).await?;
        let service = &program.service;
        let volume = self.deps_volume(service);
        // Half of an installation that was interrupted is worth nothing: it starts over.
        fine_when_gone(engine.remove_volume(&volume, None::<RemoveVolumeOptions>).await)?;
        let mut labels = self.labels(&program.unit.to_string());
        labels.insert(DEPS_LABEL.to_owned(), service.setup_key.to_string());
        let request = VolumeCreateRequest { name: Some(volume), labels: Some(labels), ..Default::default() };
        engine.create_volume(request).await.map_err(engine_said)?;
        let lines: Vec<String> = service
            .setup
            .iter()
            .map(|words| words.iter().map(|word| fill(word, &[("deps", CONTAINER_DEPS)])).collect::<Vec<_>>())
            .map(|words| shlex::try_join(words.iter().map(String::as_str)))
            .collect::<Result<_, _>>()
            .map_err(|error| Cause::new(format!("`setup` of {}: {error}", service.name)))?;
        tell(lines.join(" && "));
        let script = vec!["sh".to_owned(), "-euc".to_owned(), lines.join("\n")];
        let mut container = self.container(program, script, false).await?;
        // The volume is the engine's own: only root can fill it.
        container.user = Some("0:0".to_owned());
        container.ports.clear();
        container.run_to_end(engine).await
    }

    async fn start_server(&self, server: &Server, tell: &(dyn Fn(String) + Send + Sync)) -> Result<Instance, Cause> {
        let engine = self.engine().await?;
        image::ensure(engine, &server.image, tell).await?;
        let unit = server.unit.to_string();
        let contract = &server.kind.image;
        let values: &[(&str, &str)] =
            &[("admin", &server.kind.admin), ("admin_password", &server.admin_password), ("version", &server.version)];
        let volume = self.name(&unit);
        let request =
            VolumeCreateRequest { name: Some(volume.clone()), labels: Some(self.labels(&unit)), ..Default::default() };
        engine.create_volume(request).await.map_err(engine_said)?;
        let container = Container {
            name: self.name(&unit),
            image: server.image.clone(),
            command: (!contract.args.is_empty()).then(|| contract.args.iter().map(|word| fill(word, values)).collect()),
            env: contract.env.iter().map(|(name, value)| (name.clone(), fill(value, values))).collect(),
            user: None,
            folder: None,
            mounts: contract.data.iter().map(|data| Mounted::volume(volume.clone(), data.clone(), false)).collect(),
            ports: vec![(server.kind.port, server.port)],
            network: self.network(),
            aliases: vec![server.unit.name.clone()],
            labels: self.labels(&unit),
        };
        container.start(engine).await.map(Instance::Container)
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

    async fn run_to_end(&self, program: &Program, tell: &(dyn Fn(String) + Send + Sync)) -> Result<(), Cause> {
        let engine = self.engine().await?;
        image::ensure(engine, &program.image, tell).await?;
        let mut container = self.container(program, program.command.clone(), true).await?;
        container.ports.clear();
        container.run_to_end(engine).await
    }

    async fn start(&self, program: &Program, tell: &(dyn Fn(String) + Send + Sync)) -> Result<Instance, Cause> {
        let engine = self.engine().await?;
        image::ensure(engine, &program.image, tell).await?;
        let container = self.container(program, program.command.clone(), true).await?;
        container.start(engine).await.map(Instance::Container)
    }

    async fn stop(&self, instance: &Instance, signal: &str, grace: Duration) -> Result<(), Cause> {
        let Instance::Container(id) = instance else { return Ok(()) };
        // Engines before API 1.42 know no signal in `stop`, so it is sent by itself.
        let options = KillContainerOptions { signal: format!("SIG{signal}") };
        fine_when_gone(self.engine().await?.kill_container(id, Some(options)).await)?;
        let _ = tokio::time::timeout(grace, self.ended(instance)).await;
        self.remove(id).await
    }

    async fn is_alive(&self, instance: &Instance) -> Result<bool, Cause> {
        let Instance::Container(id) = instance else { return Ok(false) };
        match self.engine().await?.inspect_container(id, None).await {
            Ok(found) => Ok(found.state.and_then(|state| state.running).unwrap_or(false)),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
            Err(error) => Err(engine_said(error)),
        }
    }

    async fn ended(&self, instance: &Instance) -> Ended {
        let Instance::Container(id) = instance else { return Ended::Unknown };
        let Ok(engine) = self.engine().await else { return Ended::Unknown };
        loop {
            let mut waiting = engine.wait_container(id, None::<WaitContainerOptions>);
            match waiting.next().await {
                Some(Ok(end)) => return Ended::Code(end.status_code),
                // bollard tells a code other than 0 as an error
                Some(Err(Error::DockerContainerWaitError { code, .. })) => return Ended::Code(code),
                Some(Err(Error::DockerResponseServerError { status_code: 404, .. })) => return Ended::Unknown,
                // An engine that restarts drops the connection: ask again, and see whether it still runs.
                _ => tokio::time::sleep(Duration::from_millis(500)).await,
            }
            if !self.is_alive(instance).await.unwrap_or(true) {
                return Ended::Unknown;
            }
        }
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
            self.remove(&id).await?;
        }
        let networks =
            engine.list_networks(Some(ListNetworksOptions { filters: filters.clone() })).await.map_err(engine_said)?;
        for id in networks.into_iter().filter_map(|network| network.id) {
            fine_when_gone(engine.remove_network(&id).await)?;
        }
        if delete_data {
            let volumes = engine.list_volumes(Some(ListVolumesOptions { filters })).await.map_err(engine_said)?;
            for volume in volumes.volumes.unwrap_or_default() {
                fine_when_gone(engine.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await)?;
            }
        }
        Ok(())
    }
}

/// What the engine keeps of a container's output.
fn all_output(follow: bool, tail: &str) -> LogsOptions {
    LogsOptions { follow, stdout: true, stderr: true, tail: tail.to_owned(), ..Default::default() }
}

/// The lines that a container wrote, as they come when `follow` says so.
pub(crate) async fn lines(
    session: &Session,
    id: &str,
    follow: bool,
    tail: &str,
) -> Result<impl futures_util::Stream<Item = String> + Send + use<>, Cause> {
    let docker = Docker::new(session);
    let engine = docker.engine().await?.clone();
    let output = engine.logs(id, Some(all_output(follow, tail)));
    Ok(output.filter_map(async |chunk| chunk.ok().map(|chunk| chunk.to_string())))
}
