//! The commands, one file each: its arguments, what it does.

mod affected;
mod check;
mod completions;
mod diff;
mod doctor;
mod down;
mod env;
mod exec;
mod forward;
mod graph;
mod history;
mod import;
mod init;
mod list;
mod lock;
mod logs;
mod ps;
mod range;
mod restart;
mod run;
mod schema;
mod setup;
mod supervise;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use clustergraph::diagnostic::suggestion;
use clustergraph::graph::{BuildError, Graph, Reading, Snapshots};
use clustergraph::tree::Tree;

use crate::console;
use crate::exit::{Exit, Failure};
use crate::report::Output;
use crate::runtime::Ended;
use crate::session::Session;

/// Runs the cluster of a repository on this machine, databases included.
#[derive(Parser)]
#[command(name = "ssi", version, about, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Args)]
pub(crate) struct Global {
    /// Work as if started in this folder
    #[arg(short = 'C', long, global = true, value_name = "FOLDER", default_value = ".", hide_default_value = true)]
    pub(crate) directory: PathBuf,
}

/// The option of every command that reports.
#[derive(Args)]
pub(crate) struct Printed {
    /// How results are printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
}

/// The option of every command about what runs.
#[derive(Args)]
pub(crate) struct Revision {
    /// The cluster as it was at this revision, beside that of the work tree
    #[arg(long, value_name = "REVISION")]
    pub(crate) at: Option<String>,
}

impl Revision {
    /// The session that it means; for commands that start nothing.
    pub(crate) fn session(&self, global: &Global) -> Result<Session, Failure> {
        match &self.at {
            None => global.session(),
            Some(revision) => Session::started_at(&global.directory, revision),
        }
    }
}

#[derive(Subcommand)]
enum Command {
    /// Propose a service.yaml for each folder that looks like a service
    Init(init::InitArgs),
    /// Turn the files of another tool into services
    Import(import::ImportArgs),
    /// Read every service.yaml and say all that is wrong
    Check(check::CheckArgs),
    /// Show the graph
    Graph(graph::GraphArgs),
    /// Show what differs between two versions, and why
    Diff(diff::DiffArgs),
    /// Print the services that a change reaches
    Affected(affected::AffectedArgs),
    /// Show the commits that changed a service
    History(history::HistoryArgs),
    /// Pin images, stacks and tools, so that everybody builds and runs the same
    Lock(lock::LockArgs),
    /// Print the JSON Schema of one of the files
    Schema(schema::SchemaArgs),
    /// Install what the graph needs of this machine
    Setup(setup::SetupArgs),
    /// Look what of this machine keeps a cluster from running
    Doctor(doctor::DoctorArgs),
    /// Start services and all that they need
    Up(up::UpArgs),
    /// Show what runs
    Ps(ps::PsArgs),
    /// Show what services write
    Logs(logs::LogsArgs),
    /// Show what a service finds in its environment
    Env(env::EnvArgs),
    /// Run a program where a service runs
    Exec(exec::ExecArgs),
    /// Run a program of a service once, with all that it needs
    Run(run::RunArgs),
    /// Start what runs anew
    Restart(restart::RestartArgs),
    /// Stop what nothing else wants
    Down(down::DownArgs),
    /// Show all sessions of this machine
    List(list::ListArgs),
    /// Print what a shell needs to complete command lines
    Completions(completions::CompletionsArgs),
    /// Own a session (started by other commands)
    #[command(hide = true)]
    Supervise(supervise::SuperviseArgs),
    /// Pass connections on (started by a session's owner)
    #[command(hide = true)]
    Forward(forward::ForwardArgs),
}

/// Reads the command line, does what it says, and gives the exit code.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    // Most commands are over in milliseconds: they pay for no threads that they do not use.
    let runtime = match &cli.command {
        Command::Supervise(_) => tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build(),
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    };
    let result = runtime.map_err(Failure::from).and_then(|runtime| {
        runtime.block_on(async {
            let global = &cli.global;
            match cli.command {
                Command::Check(args) => check::run(global, &args),
                Command::Graph(args) => graph::run(global, &args),
                Command::Diff(args) => diff::run(global, &args),
                Command::Affected(args) => affected::run(global, &args),
                Command::History(args) => history::run(global, &args),
                Command::Up(args) => up::run(global, args).await,
                Command::Down(args) => down::run(global, args).await,
                Command::Ps(args) => ps::run(global, &args).await,
                Command::Logs(args) => logs::run(global, &args).await,
                Command::Env(args) => env::run(global, args).await,
                Command::Restart(args) => restart::run(global, args).await,
                Command::Exec(args) => exec::run(global, args).await,
                Command::Run(args) => run::run(global, args).await,
                Command::List(args) => list::run(&args).await,
                Command::Setup(args) => setup::run(global, &args).await,
                Command::Doctor(args) => doctor::run(global, &args).await,
                Command::Lock(args) => lock::run(global, &args).await,
                Command::Schema(args) => schema::run(&args),
                Command::Init(args) => init::run(global, &args),
                Command::Import(args) => import::run(global, args),
                Command::Completions(args) => Ok(completions::run(&args)),
                Command::Supervise(args) => supervise::run(global, &args).await,
                Command::Forward(args) => forward::run(&args).await,
            }
        })
    });
    match result {
        Ok(exit) => exit.code(),
        Err(failure) => {
            if !failure.message.is_empty() {
                if failure.exit == Exit::InvalidGraph {
                    console::note(&failure.message);
                } else {
                    console::error(&failure.message);
                }
            }
            failure.exit.code()
        }
    }
}

/// That a name is one of the graph's.
fn known_service(graph: &Graph, name: &str) -> Result<(), Failure> {
    if graph.services.contains_key(name) {
        return Ok(());
    }
    let close = suggestion(name, graph.services.keys().map(String::as_str));
    let mend = close.map(|close| format!(": did you mean `{close}`?")).unwrap_or_default();
    Err(Failure::unusable(format!("there is no service `{name}`{mend}")))
}

/// A program's end as our own, as shells have it.
fn ended(how: Ended) -> Exit {
    Exit::Program(match how {
        Ended::Code(code) => u8::try_from(code).unwrap_or(1),
        Ended::Signal(signal) => u8::try_from(128 + signal).unwrap_or(1),
        Ended::Unknown => 1,
    })
}

impl Global {
    fn session(&self) -> Result<Session, Failure> {
        Session::of(&self.directory)
    }

    /// The graph that a session runs.
    fn graph_of(&self, session: &Session, output: Output) -> Result<Graph, Failure> {
        self.graph(session.at.as_ref().map(|at| at.commit.as_str()), output)
    }

    /// The graph of a work tree or of a revision.
    fn graph(&self, revision: Option<&str>, output: Output) -> Result<Graph, Failure> {
        Self::build(&self.tree(revision)?, output)
    }

    /// The files of a work tree or of a revision.
    fn tree(&self, revision: Option<&str>) -> Result<Tree, Failure> {
        Ok(match revision {
            Some(revision) => Tree::of_commit(&self.directory, revision)?,
            None => Tree::of_worktree(&self.directory)?,
        })
    }

    fn build(tree: &Tree, output: Output) -> Result<Graph, Failure> {
        let graph = Self::read(tree, output)?.into_graph();
        graph.map_err(|error| Self::no_graph(error, output))
    }

    /// What is known of the graph of these files.
    fn read(tree: &Tree, output: Output) -> Result<Reading<'_>, Failure> {
        Snapshots::of_user().read(tree, "local").map_err(|error| Self::no_graph(error, output))
    }

    fn no_graph(error: BuildError, output: Output) -> Failure {
        match error {
            BuildError::Tree(error) => error.into(),
            BuildError::Problems(problems) => {
                if output == Output::Json {
                    let problems = problems.sorted();
                    console::data(&serde_json::json!({ "schema": "ssi.problems/1", "problems": problems }).to_string());
                    return Failure { exit: Exit::InvalidGraph, message: String::new() };
                }
                let mut report = problems.render(console::has_colour(), console::width());
                let count = problems.sorted().len();
                report.push_str(&format!("{count} {} found", if count == 1 { "problem" } else { "problems" }));
                Failure { exit: Exit::InvalidGraph, message: report }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }

    /// A command's help shows how it is used: its own name, with arguments, in `Examples:`.
    #[test]
    fn every_command_has_help_with_an_example() {
        let cli = super::Cli::command();
        let mut open: Vec<(String, &clap::Command)> = vec![("ssi".to_owned(), &cli)];
        let mut seen = 0;
        while let Some((path, command)) = open.pop() {
            let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
            open.extend(shown.map(|sub| (format!("{path} {}", sub.get_name()), sub)));
            if command.has_subcommands() {
                continue;
            }
            seen += 1;
            assert!(command.get_about().is_some(), "`{path}` does not say what it does");
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Examples:\n"), "`{path} --help` has no example");
            assert!(help.lines().skip(1).all(|line| line.starts_with(&format!("  {path}"))), "{help}");
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(argument.get_help().is_some(), "`{path}`: {} has no help", argument.get_id());
            }
        }
        assert!(seen >= 17);
    }
}
