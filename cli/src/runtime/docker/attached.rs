//! Programs in containers at the caller's terminal.

use bollard::exec::{ResizeExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bollard::query_parameters::{
    AttachContainerOptions, KillContainerOptions, ResizeContainerTTYOptions, StartContainerOptions,
};
use tokio::sync::mpsc::unbounded_channel;

use super::super::terminal::{Ends, Happened, Terminal};
use super::super::{Cause, Ended, Program};
use super::container::{ended, remove};
use super::{Docker, engine_said};

impl Docker {
    /// Runs a command in a container that runs.
    pub(super) async fn exec_attached(&self, id: &str, command: &[String], terminal: Terminal) -> Result<Ended, Cause> {
        let engine = self.engine().await?;
        let config = ExecConfig {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(terminal.is_interactive),
            env: std::env::var("TERM")
                .ok()
                .filter(|_| terminal.is_interactive)
                .map(|term| vec![format!("TERM={term}")]),
            cmd: Some(command.to_vec()),
            ..Default::default()
        };
        let made = engine.create_exec(id, config).await.map_err(engine_said)?;
        let options = StartExecOptions { detach: false, tty: terminal.is_interactive, output_capacity: None };
        let started = engine.start_exec(&made.id, Some(options)).await.map_err(engine_said)?;
        if let StartExecResults::Attached { output, input } = started {
            let (tell, mut told) = unbounded_channel();
            let passed_on = async {
                while let Some(happened) = told.recv().await {
                    match happened {
                        Happened::Resized { lines: height, columns: width } => {
                            let _ = engine.resize_exec(&made.id, ResizeExecOptions { height, width }).await;
                        }
                        Happened::Interrupted => return,
                    }
                }
                std::future::pending().await
            };
            tokio::select! {
                through = terminal.hand_through(Ends { input, output }, tell) => through?,
                // An engine passes no signals on to what was begun later: closing its ends is all that can be done.
                () = passed_on => return Ok(Ended::Signal(2)),
            }
        }
        let code = engine.inspect_exec(&made.id).await.map_err(engine_said)?.exit_code;
        Ok(code.map_or(Ended::Unknown, Ended::Code))
    }

    /// Runs a program in a container of its own, which is removed when it has ended.
    pub(super) async fn run_container_attached(
        &self,
        program: &Program,
        terminal: Terminal,
        tell: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Ended, Cause> {
        let engine = self.engine().await?;
        let mut container = self.container(program, false, tell).await?;
        // Beside the service itself: neither its name nor its ports are taken.
        container.name = format!("{}.run-{}", container.name, hex::encode(rand::random::<[u8; 4]>()));
        container.aliases.clear();
        container.ports.clear();
        container.terminal = Some(terminal.is_interactive);
        if terminal.is_interactive
            && let Ok(term) = std::env::var("TERM")
        {
            container.env.insert("TERM".to_owned(), term);
        }
        self.images.ensure(engine, &container.image, tell).await?;
        let id = container.create(engine).await.map_err(engine_said)?;
        let ended = self.attached(engine, &id, terminal).await;
        remove(engine, &id).await.map_err(engine_said)?;
        ended
    }

    async fn attached(&self, engine: &bollard::Docker, id: &str, terminal: Terminal) -> Result<Ended, Cause> {
        let options =
            AttachContainerOptions { stdin: true, stdout: true, stderr: true, stream: true, ..Default::default() };
        let ends = engine.attach_container(id, Some(options)).await.map_err(engine_said)?;
        engine.start_container(id, None::<StartContainerOptions>).await.map_err(engine_said)?;
        let (tell, mut told) = unbounded_channel();
        let passed_on = async {
            let mut interrupts = 0;
            while let Some(happened) = told.recv().await {
                match happened {
                    Happened::Resized { lines, columns } => {
                        let options = ResizeContainerTTYOptions { h: lines.into(), w: columns.into() };
                        let _ = engine.resize_container_tty(id, options).await;
                    }
                    Happened::Interrupted => {
                        interrupts += 1;
                        let signal = if interrupts > 1 { "SIGKILL" } else { "SIGINT" };
                        let options = KillContainerOptions { signal: signal.to_owned() };
                        let _ = engine.kill_container(id, Some(options)).await;
                    }
                }
            }
        };
        let ends = Ends { input: ends.input, output: ends.output };
        let (through, ()) = tokio::join!(terminal.hand_through(ends, tell), passed_on);
        through?;
        Ok(ended(engine, id).await)
    }
}
