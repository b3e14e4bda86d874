//! Processes of this machine, each in a group of its own; databases as native servers.

mod group;
mod native;
mod tools;

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use clustergraph::catalogue::fill;
use clustergraph::graph::Key;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{Cause, Ended, LAST_LINES, Program, Runtime, Server, tail};
use crate::protocol::RuntimeName;
use crate::session::{Instance, Session};
use group::Children;

/// How long one command of a setup may take.
const SETUP: Duration = Duration::from_secs(15 * 60);

/// Everything of one session.
pub(crate) struct Process {
    session: Session,
    children: Children,
}

impl Process {
    pub(crate) fn new(session: &Session) -> Self {
        Self { session: session.clone(), children: Children::default() }
    }

    /// Where a service's dependencies are installed: among the sources where its tools insist on it.
    fn deps(&self, program: &Program) -> PathBuf {
        let service = &program.service;
        match service.stack.setup.as_ref().and_then(|setup| setup.into.as_ref()) {
            Some(into) => self.folder(program).join(into),
            None => {
                let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
                self.session.cache_dir.join("deps").join(format!("{}-{platform}", service.setup_key))
            }
        }
    }

    fn folder(&self, program: &Program) -> PathBuf {
        self.session.located.root().join(&program.service.folder)
    }

    /// The whole environment: what every program gets, the stack's, the wired one.
    fn environment(&self, program: &Program) -> BTreeMap<String, String> {
        let mut env = program.base_env.clone();
        let deps = self.deps(program).to_string_lossy().into_owned();
        for (name, value) in &program.service.stack.env {
            let value = fill(value, &[("deps", &deps)]);
            let value = match (name.as_str(), env.get("PATH")) {
                ("PATH", Some(path)) => format!("{value}:{path}"),
                _ => value,
            };
            env.insert(name.clone(), value);
        }
        env.extend(program.env.clone());
        env
    }

    fn command(&self, program: &Program) -> Result<Command, Cause> {
        let env = self.environment(program);
        let path = env.get("PATH").map(String::as_str).unwrap_or_default();
        let folder = self.folder(program);
        let (name, arguments) = program.command.split_first().ok_or_else(|| Cause::new("there is nothing to run"))?;
        let found = tools::find(name, &folder, path).ok_or_else(|| tools::missing(name, &program.service.stack))?;
        let log = open_log(&program.log)?;
        let mut command = Command::new(found);
        command
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .envs(&env)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        Ok(command)
    }
}

fn open_log(path: &Path) -> std::io::Result<std::fs::File> {
    if let Some(folder) = path.parent() {
        // Programs write what they know, passwords included.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)
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
        let locks = self.session.cache_dir.join("locks");
        std::fs::create_dir_all(&locks)?;
        let name = Key::of("lock", &serde_json::json!(deps)).short();
        let lock = std::fs::OpenOptions::new().create(true).append(true).open(locks.join(name))?;
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
            .await
            .map_err(|_| Cause::new("interrupted"))??;
        if std::fs::read_to_string(&marker).is_ok_and(|done| done == key) {
            return Ok(());
        }
        if service.stack.setup.as_ref().is_none_or(|setup| setup.into.is_none()) && deps.exists() {
            std::fs::remove_dir_all(&deps)?; // half of an installation that was interrupted
        }
        let deps_text = deps.to_string_lossy().into_owned();
        for words in &service.setup {
            let words: Vec<String> = words.iter().map(|word| fill(word, &[("deps", &deps_text)])).collect();
            tell(words.join(" "));
            let step = Program { command: words.clone(), ..program.clone() };
            let mut command = self.command(&step)?;
            let status = tokio::time::timeout(SETUP, command.kill_on_drop(true).status()).await.map_err(|_| {
                Cause::new(format!("`{}` took longer than {} minutes", words.join(" "), SETUP.as_secs() / 60))
            })??;
            if !status.success() {
                let message = format!("`{}` {}", words.join(" "), group::ended(status));
                return Err(Cause { message, lines: tail(&program.log, LAST_LINES) });
            }
        }
        std::fs::create_dir_all(&deps)?;
        std::fs::write(&marker, key)?;
        drop(lock);
        Ok(())
    }

    async fn start_server(&self, server: &Server, tell: &(dyn Fn(String) + Send + Sync)) -> Result<Instance, Cause> {
        let native = native::Native::find(server, &self.session).await?;
        native.init(server, tell).await?;
        let mut command = native.command(server)?;
        let log = open_log(&server.log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        self.children.spawn(command, &server.kind.kind)
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
        let native = native::Native::find(server, &self.session).await?;
        let (name, arguments) = command.split_first().ok_or_else(|| Cause::new("there is nothing to run"))?;
        let mut child = Command::new(native.program(name))
            .args(arguments)
            .env_clear()
            .envs(&server.base_env)
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

    async fn run_to_end(&self, program: &Program, _tell: &(dyn Fn(String) + Send + Sync)) -> Result<(), Cause> {
        let mut command = self.command(program)?;
        let status = command.kill_on_drop(true).status().await?;
        if status.success() {
            return Ok(());
        }
        let message = format!("`{}` {}", program.command.join(" "), group::ended(status));
        Err(Cause { message, lines: tail(&program.log, LAST_LINES) })
    }

    async fn start(&self, program: &Program, _tell: &(dyn Fn(String) + Send + Sync)) -> Result<Instance, Cause> {
        self.children.spawn(self.command(program)?, &program.command.join(" "))
    }

    async fn stop(&self, instance: &Instance, signal: &str, grace: Duration) -> Result<(), Cause> {
        let Instance::Process { pid, started } = instance else { return Ok(()) };
        group::stop(*pid, *started, signal, grace, &self.children).await
    }

    async fn is_alive(&self, instance: &Instance) -> Result<bool, Cause> {
        Ok(match instance {
            Instance::Process { pid, started } => group::is_alive(*pid, *started),
            Instance::Container(_) => false,
        })
    }

    async fn ended(&self, instance: &Instance) -> Ended {
        match instance {
            Instance::Process { pid, started } => self.children.ended(*pid, *started).await,
            Instance::Container(_) => Ended::Unknown,
        }
    }

    async fn last_lines(&self, _instance: Option<&Instance>, log: &Path) -> Vec<String> {
        tail(log, LAST_LINES)
    }

    async fn clean_up(&self, delete_data: bool) -> Result<(), Cause> {
        let databases = self.session.state_dir.join("databases");
        if delete_data && databases.exists() {
            std::fs::remove_dir_all(&databases)?;
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
