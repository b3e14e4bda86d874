//! The way from a command to its session's supervisor.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::Session;
use crate::exit::Failure;
use crate::protocol::{self, Event, Request};

/// How long a supervisor may take to answer after it was started.
const START: Duration = Duration::from_secs(10);

/// A connection to a supervisor.
pub(crate) struct Client {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Client {
    /// Asks for something.
    pub(crate) async fn send(&mut self, request: &Request) -> Result<(), Failure> {
        let mut line = serde_json::to_string(request).map_err(|error| Failure::unusable(error.to_string()))?;
        line.push('\n');
        self.writer.write_all(line.as_bytes()).await?;
        Ok(())
    }

    /// The next thing it tells; `None` once it is gone.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Failure> {
        match self.lines.next_line().await? {
            None => Ok(None),
            Some(line) => serde_json::from_str(&line)
                .map(Some)
                .map_err(|error| Failure::unusable(format!("the supervisor said what is not understood: {error}"))),
        }
    }
}

/// The running supervisor; `None` when there is none.
async fn connect_if_running(session: &Session) -> Result<Option<Client>, Failure> {
    let Ok(stream) = UnixStream::connect(session.socket()).await else { return Ok(None) };
    let (reader, writer) = stream.into_split();
    let mut client = Client { lines: BufReader::new(reader).lines(), writer };
    client.send(&Request::Hello).await?;
    match client.next().await? {
        Some(Event::Hello { build }) if build == protocol::build() => Ok(Some(client)),
        Some(Event::Hello { .. }) => {
            // Another build of the program: it leaves, what runs stays, and the next one adopts it.
            client.send(&Request::Leave).await?;
            while client.next().await?.is_some() {}
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// The session's supervisor, started if there is none.
pub(crate) async fn connect(session: &Session) -> Result<Client, Failure> {
    if let Some(client) = connect_if_running(session).await? {
        return Ok(client);
    }
    start(session)?;
    let began = Instant::now();
    loop {
        if let Some(client) = connect_if_running(session).await? {
            return Ok(client);
        }
        if began.elapsed() > START {
            let log = session.state_dir.join("supervisor.log");
            return Err(Failure::unusable(format!("the supervisor does not answer; its log is {}", log.display())));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn start(session: &Session) -> Result<(), Failure> {
    std::fs::create_dir_all(&session.runtime_dir)?;
    std::fs::create_dir_all(&session.state_dir)?;
    // Servers that run as another user pass through these folders to their data; nobody lists them.
    for folder in session.runtime_dir.ancestors().take(2).chain(session.state_dir.ancestors().take(3)) {
        if std::fs::metadata(folder).is_ok_and(|metadata| metadata.is_dir() && is_ours(&metadata)) {
            let _ = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711));
        }
    }
    let log = std::fs::OpenOptions::new().create(true).append(true).open(session.state_dir.join("supervisor.log"))?;
    let program = std::env::current_exe()?;
    Command::new(program)
        .arg("supervise")
        .current_dir(session.located.root())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    Ok(())
}

fn is_ours(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o077 == 0o055
}
