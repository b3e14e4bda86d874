//! Is it ready? Each question on a fresh connection, with a deadline, ever less often.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clustergraph::format::service::{Health, Probe};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The first pause between two questions, and the longest.
const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_millis(250);
/// How long an accepted connection must stay open: a proxy in front of a program accepts before it listens,
/// and closes when it finds nobody there.
const STAYS_OPEN: Duration = Duration::from_millis(60);
/// How long one question may take when nothing else is said.
const ANSWER: Duration = Duration::from_secs(2);
/// What listens to no port is ready when it has been alive for so long.
pub(super) const ALIVE: Duration = Duration::from_millis(500);

/// The pauses between questions: 20 ms, growing by half to 250 ms.
pub(super) fn pauses() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(FIRST), |pause| Some((*pause * 3 / 2).min(LONGEST)))
}

/// How health is asked of one service.
pub(super) struct Question {
    port: u16,
    probe: Probe,
    timeout: Duration,
}

impl Question {
    /// The question that a service's `health:` asks of a port of this machine.
    pub(super) fn new(health: Option<&Health>, port: u16) -> Self {
        let timeout = health.map_or(ANSWER, |health| health.timeout);
        let probe = health.map_or(Probe::Tcp, |health| health.probe.clone());
        Self { port, probe, timeout }
    }

    /// Asks once.
    ///
    /// # Errors
    /// Why the answer is no.
    pub(super) async fn ask(&self) -> Result<(), String> {
        match &self.probe {
            Probe::Http(path) => tokio::time::timeout(self.timeout, http(self.port, path))
                .await
                .map_err(|_| format!("{path} does not answer within {} ms", self.timeout.as_millis()))?,
            Probe::Tcp => tcp(self.port, self.timeout).await,
            other => Err(format!("health is not asked by `{}` by this version", other.as_str())),
        }
    }
}

async fn http(port: u16, path: &str) -> Result<(), String> {
    let said = |error: &dyn std::error::Error| root_cause(error);
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| said(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| said(&error))?;
    let request = hyper::Request::get(path)
        .header("host", format!("127.0.0.1:{port}"))
        .header("user-agent", "ssi")
        .body(Empty::<Bytes>::new())
        .map_err(|error| said(&error))?;
    // The connection's end may come in the same moment as its answer: it must not win over it.
    let driving = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    driving.abort();
    let answer = answer.map_err(|error| said(&error))?;
    let status = answer.status().as_u16();
    if (200..400).contains(&status) { Ok(()) } else { Err(format!("{path} answers {status}")) }
}

async fn tcp(port: u16, timeout: Duration) -> Result<(), String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connecting = tokio::time::timeout(timeout, TcpStream::connect(address));
    let mut stream =
        connecting.await.map_err(|_| "connecting takes too long".to_owned())?.map_err(|error| error.to_string())?;
    let mut byte = [0];
    match tokio::time::timeout(STAYS_OPEN, stream.read(&mut byte)).await {
        // It stays open, or speaks first: someone is there.
        Err(_) | Ok(Ok(1..)) => Ok(()),
        Ok(Ok(_)) => Err("the connection is closed at once".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn nobody_there_is_not_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(tcp(port, ANSWER).await.is_err());
    }

    #[tokio::test]
    async fn a_proxy_that_accepts_and_closes_is_not_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream)
            }
        });
        assert_eq!(tcp(port, ANSWER).await.unwrap_err(), "the connection is closed at once");
    }

    #[tokio::test]
    async fn who_waits_or_speaks_is_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                if kept.len() == 1 {
                    let _ = stream.write_all(b"220 hello").await;
                }
                kept.push(stream);
            }
        });
        assert_eq!(tcp(port, ANSWER).await, Ok(()));
        assert_eq!(tcp(port, ANSWER).await, Ok(()));
    }

    #[tokio::test]
    async fn only_a_good_answer_is_ready() {
        for (answer, ready) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.1 503 Not Yet\r\ncontent-length: 0\r\n\r\n", false),
            ("SSH-2.0-what\r\n", false),
            ("", false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut bytes = [0; 1024];
                let _ = stream.read(&mut bytes).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
            let question = Question { port, probe: Probe::Http("/healthz".into()), timeout: ANSWER };
            assert_eq!(question.ask().await.is_ok(), ready, "{answer}");
        }
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        let pauses: Vec<_> = pauses().take(10).collect();
        assert_eq!(pauses[0], FIRST);
        assert_eq!(pauses[9], LONGEST);
        assert!(pauses.is_sorted());
    }
}
