//! The way from a command to its session's supervisor.

use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::Session;
use crate::exit::Failure;
use crate::protocol::{self, Event, Request};

/// How long a supervisor may take to answer after it was started.
const START: Duration = Duration::from_secs(10);
/// How often a request is asked anew when the supervisor leaves instead of answering.
const ATTEMPTS: usize = 5;

/// A connection to a supervisor.
pub(crate) struct Client {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    /// What was read already.
    first: Option<Event>,
}

impl Client {
    /// Asks a session's supervisor for something, and waits until it has taken the request: one with nothing
    /// to own may leave at this very moment, and then another one is asked.
    pub(crate) async fn ask(session: &Session, request: &Request) -> Result<Self, Failure> {
        for _ in 0..ATTEMPTS {
            let mut client = connect(session).await?;
            if client.send(request).await.is_ok()
                && let Ok(Some(event)) = client.read().await
            {
                client.first = Some(event);
                return Ok(client);
            }
        }
        let log = session.supervisor_log();
        Err(Failure::unusable(format!("the supervisor ends before it answers; its log is {}", log.display())))
    }

    /// Asks for something on this connection.
    pub(crate) async fn send(&mut self, request: &Request) -> std::io::Result<()> {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        self.writer.write_all(line.as_bytes()).await
    }

    /// The next thing it tells; `None` once it is gone.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Failure> {
        match self.first.take() {
            Some(event) => Ok(Some(event)),
            None => self.read().await,
        }
    }

    async fn read(&mut self) -> Result<Option<Event>, Failure> {
        match self.lines.next_line().await {
            // Whoever is killed resets its connections; that is no other end than closing them.
            Ok(None) | Err(_) => Ok(None),
            Ok(Some(line)) => serde_json::from_str(&line)
                .map(Some)
                .map_err(|error| Failure::unusable(format!("the supervisor said what is not understood: {error}"))),
        }
    }
}

/// The running supervisor of this very build; `None` when there is none, or none any more.
async fn connect_if_running(session: &Session) -> Option<Client> {
    let stream = UnixStream::connect(session.socket()).await.ok()?;
    let (reader, writer) = stream.into_split();
    let mut client = Client { lines: BufReader::new(reader).lines(), writer, first: None };
    client.send(&Request::Hello).await.ok()?;
    loop {
        match client.read().await {
            Ok(Some(Event::Hello { build })) if build == protocol::build() => return Some(client),
            // What is told to everybody may come before the greeting.
            Ok(Some(Event::Note { .. })) => {}
            // Another build of the program: it leaves once it is at rest, what runs stays, and the next one adopts it.
            _ => {
                client.send(&Request::Leave).await.ok()?;
                while !matches!(client.read().await, Ok(None)) {}
                return None;
            }
        }
    }
}

/// The session's supervisor, started if there is none.
async fn connect(session: &Session) -> Result<Client, Failure> {
    if let Some(client) = connect_if_running(session).await {
        return Ok(client);
    }
    make_folders(session)?;
    let mut log = std::fs::File::options()
        .create(true)
        .append(true)
        .read(true)
        .mode(0o600)
        .open(session.supervisor_log())
        .map_err(|error| Failure::unusable(format!("{}: {error}", session.supervisor_log().display())))?;
    let old = log.metadata()?.len();
    let mut child = start(session, &log)?;
    let began = Instant::now();
    loop {
        if let Some(client) = connect_if_running(session).await {
            return Ok(client);
        }
        match child.try_wait()? {
            // Another one was there, and may be leaving just now.
            Some(status) if status.success() => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                child = start(session, &log)?;
            }
            Some(status) => {
                let mut said = String::new();
                log.seek(SeekFrom::Start(old))?;
                let _ = log.read_to_string(&mut said);
                let said = said.trim().trim_start_matches("error: ");
                return Err(Failure::unusable(format!("the supervisor cannot start ({status}): {said}")));
            }
            None => {}
        }
        if began.elapsed() > START {
            let log = session.supervisor_log();
            return Err(Failure::unusable(format!(
                "the supervisor does not answer within {} s: see {}, end it and run the command again",
                START.as_secs(),
                log.display()
            )));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The supervisor that runs already, or none.
pub(crate) async fn is_running(session: &Session) -> bool {
    UnixStream::connect(session.socket()).await.is_ok()
}

fn make_folders(session: &Session) -> Result<(), Failure> {
    let make = |folder: &Path| {
        std::fs::create_dir_all(folder).map_err(|error| Failure::unusable(format!("{}: {error}", folder.display())))
    };
    if let Some(sockets) = session.runtime_dir.parent() {
        make(sockets)?;
        refuse_strangers(sockets)?;
    }
    make(&session.runtime_dir)?;
    make(&session.state_dir)?;
    // Servers that run as another user pass through these folders to their data; nobody lists them.
    for folder in session.runtime_dir.ancestors().take(2).chain(session.state_dir.ancestors().take(3)) {
        if std::fs::metadata(folder).is_ok_and(|metadata| metadata.is_dir() && is_open(&metadata)) {
            let _ = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711));
        }
    }
    // A session that was found by its id says it already, and one of a commit is not renamed by whoever looks at it.
    let is_noted = session.at.is_some() && session.is_noted();
    if !session.located.worktree.as_os_str().is_empty() && !is_noted {
        session.note()?;
    }
    refuse_strangers(&session.runtime_dir)
}

fn is_open(metadata: &std::fs::Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o077 == 0o055
}

/// Why a folder of sockets cannot be used, when it cannot.
pub(crate) fn unsafe_folder(folder: &Path) -> Option<String> {
    refuse_strangers(folder).err().map(|failure| failure.message)
}

/// In a folder for all users somebody else may have made ours first, to answer in the supervisor's place.
fn refuse_strangers(folder: &Path) -> Result<(), Failure> {
    let found = std::fs::symlink_metadata(folder)?;
    if found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(Failure::unusable(format!(
        "{} belongs to or is open to other users: remove it, or set CLUSTERGRAPH_RUNTIME_DIR to a folder of yours",
        folder.display()
    )))
}

fn start(session: &Session, log: &std::fs::File) -> Result<Child, Failure> {
    let program = std::env::current_exe()?;
    let root = session.located.root();
    let mut command = Command::new(&program);
    command.arg("supervise");
    // What is left of a work tree that is gone needs somebody to end it, too.
    let is_there = root.is_dir() && !root.as_os_str().is_empty();
    if !is_there || session.at.is_some() {
        command.args(["--session", &session.id]);
    }
    command.current_dir(if is_there { &root } else { &session.state_dir });
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .spawn()
        .map_err(|error| Failure::unusable(format!("{}: {error}", program.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_sockets_that_others_may_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(refuse_strangers(folder.path()).is_ok());
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(refuse_strangers(folder.path()).unwrap_err().message.contains("CLUSTERGRAPH_RUNTIME_DIR"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(refuse_strangers(&link).is_err());
    }
}
