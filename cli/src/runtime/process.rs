//! Processes of this machine, each in a group of its own; databases as native servers.

mod group;
mod log;
mod native;
mod tools;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clustergraph::catalogue::fill;
use clustergraph::graph::Key;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{Building, Cause, Ended, Forward, LAST_LINES, Program, Runtime, Server, Terminal, tail};
use crate::protocol::RuntimeName;
use crate::session::{Instance, Session};
use group::Children;
use native::Native;

pub(super) use group::{Waited, ended};
pub(super) use log::open as open_log;

/// What is left of a group whose leader is gone has so long to end.
const LEFT_BEHIND: Duration = Duration::from_secs(2);
/// How long one command of a setup may take.
const SETUP: Duration = Duration::from_secs(15 * 60);

/// Everything of one session.
pub(crate) struct Process {
    session: Session,
    children: Children,
    /// Servers whose programs were found: looking means running one of them.
    natives: Mutex<BTreeMap<String, Native>>,
}

impl Process {
    pub(crate) fn new(session: &Session) -> Self {
        Self { session: session.clone(), children: Children::default(), natives: Mutex::default() }
    }

    async fn native(&self, server: &Server) -> Result<Native, Cause> {
        let known = self.natives.lock().unwrap_or_else(PoisonError::into_inner).get(&server.unit.name).cloned();
        match known {
            Some(known) => Ok(known),
            None => self.find_native(server).await,
        }
    }

    async fn find_native(&self, server: &Server) -> Result<Native, Cause> {
        let found = Native::find(server, &self.session).await?;
        let mut natives = self.natives.lock().unwrap_or_else(PoisonError::into_inner);
        natives.insert(server.unit.name.clone(), found.clone());
        Ok(found)
    }

    /// Where a service's dependencies are installed: among the sources where its tools insist on it.
    fn deps(&self, program: &Program) -> PathBuf {
        let service = &program.service;
        match service.stack.setup.as_ref().and_then(|setup| setup.into.as_ref()) {
            Some(into) => Self::folder(program).join(into),
            None => {
                let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
                self.session.cache_dir.join("deps").join(format!("{}-{platform}", service.setup_key))
            }
        }
    }

    fn folder(program: &Program) -> PathBuf {
        program.sources.root().join(&program.service.folder)
    }

    /// A text of the stack with the folders that it names.
    fn filled(&self, text: &str, program: &Program) -> String {
        let deps = self.deps(program).to_string_lossy().into_owned();
        let cache = self.session.kept(&program.service.owner, RuntimeName::Process).to_string_lossy().into_owned();
        fill(text, &[("deps", &deps), ("cache", &cache)])
    }

    /// The whole environment: what every program gets, the stack's, the wired one.
    fn environment(&self, program: &Program) -> BTreeMap<String, String> {
        let mut env = program.base_env.clone();
        for (name, value) in &program.service.stack.env {
            let value = self.filled(value, program);
            let value = match (name.as_str(), env.get("PATH")) {
                ("PATH", Some(path)) => format!("{value}:{path}"),
                _ => value,
            };
            env.insert(name.clone(), value);
        }
        env.extend(program.env.clone());
        env
    }

    /// The command of a program, with the folders that it finds made.
    fn program(&self, program: &Program) -> Result<(Command, String), Cause> {
        let service = &program.service;
        for name in service.volumes.keys() {
            std::fs::create_dir_all(self.session.volume(&service.owner, name))?;
        }
        if service.stack.has_cache() {
            std::fs::create_dir_all(self.session.kept(&service.owner, RuntimeName::Process))?;
        }
        let words = program.command.as_deref().unwrap_or_default();
        let words: Vec<String> = match program.is_of_stack() {
            true => words.iter().map(|word| self.filled(word, program)).collect(),
            false => words.to_vec(),
        };
        Ok((self.command(program, &words)?, words.join(" ")))
    }

    /// Waits until nobody else fills a folder of dependencies. Held until dropped, by whoever has the file open.
    async fn lock(&self, deps: &Path) -> Result<std::fs::File, Cause> {
        let locks = self.session.cache_dir.join("locks");
        std::fs::create_dir_all(&locks)?;
        let name = Key::of("lock", &serde_json::json!(deps)).short();
        let lock = std::fs::OpenOptions::new().create(true).read(true).append(true).open(locks.join(name))?;
        let locked = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock));
        Ok(locked.await.map_err(|_| Cause::new("interrupted"))??)
    }

    /// A command of a service's program, with its folder and environment and nothing else of this process.
    fn bare_command(&self, program: &Program, words: &[String]) -> Result<Command, Cause> {
        let env = self.environment(program);
        let path = env.get("PATH").map(String::as_str).unwrap_or_default();
        let folder = Self::folder(program);
        let (name, arguments) = words.split_first().ok_or_else(|| Cause::new("there is nothing to run"))?;
        let found = tools::find(name, &folder, path).ok_or_else(|| tools::missing(name, &program.service.stack))?;
        let mut command = Command::new(found);
        command.args(arguments).current_dir(folder).env_clear().envs(&env);
        Ok(command)
    }

    fn command(&self, program: &Program, words: &[String]) -> Result<Command, Cause> {
        let log = open_log(&program.log)?;
        let mut command = self.bare_command(program, words)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        Ok(command)
    }
}

/// This very program, also when its file was replaced by a newer one meanwhile.
fn this_program() -> std::io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe() }
}

#[async_trait]
impl Runtime for Process {
    fn name(&self) -> RuntimeName {
        RuntimeName::Process
    }

    async fn prepare(&self) -> Result<(), Cause> {
        Ok(())
    }

    async fn ensure_setup(&self, program: &Program, tell: &(dyn Fn(String) + Send + Sync)) -> Result<(), Cause> {
        let deps = self.deps(program);
        let service = &program.service;
        let marker = deps.join(".clustergraph-setup");
        let key = service.setup_key.to_string();
        if std::fs::read_to_string(&marker).is_ok_and(|done| done == key) {
            return Ok(());
        }
        if let Some(parent) = deps.parent() {
            std::fs::create_dir_all(parent)?;
        }
        // Two worktrees may want the same folder at once: the second finds the first one's work.
        let lock = self.lock(&deps).await?;
        if std::fs::read_to_string(&marker).is_ok_and(|done| done == key) {
            return Ok(());
        }
        if service.stack.setup.as_ref().is_none_or(|setup| setup.into.is_none()) && deps.exists() {
            std::fs::remove_dir_all(&deps)?; // half of an installation that was interrupted
        }
        if service.stack.has_cache() {
            std::fs::create_dir_all(self.session.kept(&service.owner, RuntimeName::Process))?;
        }
        for words in &service.setup {
            let words: Vec<String> = words.iter().map(|word| self.filled(word, program)).collect();
            tell(words.join(" "));
            let mut command = self.command(program, &words)?;
            // The installer holds the lock, too: where the supervisor is killed, nobody else begins before it ends.
            command.stdin(lock.try_clone()?);
            let running = group::Waited::spawn(command, &words.join(" "))?;
            let status = tokio::time::timeout(SETUP, running.status()).await.map_err(|_| {
                Cause::new(format!("`{}` took longer than {} minutes", words.join(" "), SETUP.as_secs() / 60))
            })??;
            if !status.success() {
                let message = format!("`{}` {}", words.join(" "), group::ended(status));
                return Err(Cause { message, lines: tail(&program.log, LAST_LINES) });
            }
        }
        std::fs::create_dir_all(&deps)?;
        std::fs::write(&marker, key)?;
        Ok(())
    }

    async fn ensure_image(&self, building: &Building, _tell: &(dyn Fn(String) + Send + Sync)) -> Result<(), Cause> {
        Err(Cause::new(format!("a process of {} needs no image", building.service.name)))
    }

    async fn start_server(&self, server: &Server, tell: &(dyn Fn(String) + Send + Sync)) -> Result<Instance, Cause> {
        let native = self.find_native(server).await?;
        native.init(server, tell).await?;
        let mut command = native.command(server)?;
        let log = open_log(&server.log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let who = native
            .account()
            .map(|user| format!(" as user {user}, since servers do not run as root"))
            .unwrap_or_default();
        self.children.spawn(command, &format!("{program}{who}"))
    }

    async fn run_client(
        &self,
        server: &Server,
        _instance: &Instance,
        command: &[String],
        env: &BTreeMap<String, String>,
        input: &str,
        deadline: Duration,
    ) -> Result<String, Cause> {
        let mut command = self.native(server).await?.client(server, command)?;
        let name = command.as_std().get_program().to_string_lossy().into_owned();
        let mut child = command
            .envs(env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Cause::new(format!("{name}: {error}")))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends early tells why itself.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        let output = tokio::time::timeout(deadline, child.wait_with_output())
            .await
            .map_err(|_| Cause::new(format!("`{name}` took longer than {} s", deadline.as_secs())))??;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let lines = String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect();
        Err(Cause { message: format!("`{name}` {}", group::ended(output.status)), lines })
    }

    async fn start(&self, program: &Program, _tell: &(dyn Fn(String) + Send + Sync)) -> Result<Instance, Cause> {
        let (command, words) = self.program(program)?;
        self.children.spawn(command, &words)
    }

    async fn stored(&self, servers: &BTreeSet<String>) -> Result<BTreeMap<String, String>, Cause> {
        let incarnation = |server: &String| Some((server.clone(), native::incarnation(server, &self.session)?));
        Ok(servers.iter().filter_map(incarnation).collect())
    }

    async fn run_beside(&self, program: &Program, _instance: &Instance, command: &[String]) -> Result<(), Cause> {
        let mut command_line = self.command(program, command)?;
        command_line.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let output = command_line.output().await?;
        if output.status.success() {
            return Ok(());
        }
        let lines = String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect();
        Err(Cause { message: format!("`{}` {}", command.join(" "), group::ended(output.status)), lines })
    }

    async fn says(&self, program: &Program, _instance: &Instance, before: u64, text: &str) {
        log::says(&program.log, before, text).await;
    }

    async fn start_forward(&self, forward: &Forward) -> Result<Instance, Cause> {
        let log = open_log(&forward.log)?;
        let mut command = Command::new(this_program()?);
        command
            .arg0("ssi")
            .args(["forward", "--listen", &forward.gateway.listen.to_string()])
            .args(["--allow", &forward.gateway.from.to_string()])
            .args(forward.routes.iter().map(ToString::to_string))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        self.children.spawn(command, "ssi forward")
    }

    async fn check_way_out(&self, _program: &Program, _instance: &Instance) -> Result<(), Cause> {
        Ok(())
    }

    async fn run_attached(&self, program: &Program, terminal: Terminal) -> Result<Ended, Cause> {
        let mut command = self.bare_command(program, program.command.as_deref().unwrap_or_default())?;
        if let Ok(term) = std::env::var("TERM")
            && terminal.is_interactive
        {
            command.env("TERM", term);
        }
        // It has this very terminal, whose keys reach it without our help: from here on they end nothing here.
        let mut interrupts = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
        let mut quits = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::quit())?;
        let mut child = command.spawn()?;
        loop {
            tokio::select! {
                status = child.wait() => return Ok(group::ended(status?)),
                _ = interrupts.recv() => {}
                _ = quits.recv() => {}
            }
        }
    }

    async fn exec(&self, _instance: &Instance, program: &Program, terminal: Terminal) -> Result<Ended, Cause> {
        self.run_attached(program, terminal).await
    }

    async fn stop(&self, instance: &Instance, signal: &str, grace: Duration) -> Result<(), Cause> {
        let Instance::Process { pid, started } = instance else { return Ok(()) };
        group::stop(*pid, *started, signal, grace, &self.children).await
    }

    async fn running(&self, instances: &[Instance]) -> Result<Vec<bool>, Cause> {
        let runs = |instance: &Instance| match instance {
            Instance::Process { pid, started } => group::is_alive(*pid, *started),
            Instance::Container(_) => false,
        };
        Ok(instances.iter().map(runs).collect())
    }

    async fn ended(&self, instance: &Instance) -> Ended {
        match instance {
            Instance::Process { pid, started } => {
                let end = self.children.ended(*pid, *started).await;
                // What a crashed leader left running would hold its ports. A failure to end it is met again, and
                // told, by the step that begins or ends the unit next.
                let _ = group::stop(*pid, *started, "TERM", LEFT_BEHIND, &self.children).await;
                end
            }
            Instance::Container(_) => Ended::Unknown,
        }
    }

    async fn last_lines(&self, _instance: Option<&Instance>, log: &Path) -> Vec<String> {
        tail(log, LAST_LINES)
    }

    async fn clean_up(&self, delete_data: bool) -> Result<(), Cause> {
        for folder in ["databases", "volumes"].map(|name| self.session.state_dir.join(name)) {
            if delete_data && folder.exists() {
                std::fs::remove_dir_all(&folder)?;
            }
        }
        // Folders of sockets: nothing listens there any more.
        for entry in std::fs::read_dir(&self.session.runtime_dir)?.flatten() {
            if entry.path().is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}
