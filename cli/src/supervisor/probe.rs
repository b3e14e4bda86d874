//! Is it ready? Each question on a fresh connection, with a deadline, ever less often.

mod grpc;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clustergraph::catalogue::{Answer, Handshake};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The shortest pause between two questions, and the longest from the beginning of one to that of the next.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(250);
/// In between it is this part of the time waited so far: nobody learns of it later than that part, and an answer.
const PART: u32 = 20;
/// How long an accepted connection must stay open: a proxy in front of a program accepts before it listens,
/// and closes when it finds nobody there.
const STAYS_OPEN: Duration = Duration::from_millis(60);
/// How long one question may take when nothing else is said.
pub(super) const ANSWER: Duration = Duration::from_secs(2);
/// What listens to no port is ready when it has been alive for so long.
pub(super) const ALIVE: Duration = Duration::from_millis(500);

/// The pause before the next question, `waited` after the first one, when the last one took so long.
pub(super) fn pause(waited: Duration, took: Duration) -> Duration {
    (waited / PART).min(LONGEST).saturating_sub(took).max(PAUSE)
}

/// Something to ask at a port of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// A GET of this path, with these headers, is answered with a status from 200 to 399.
    Http(String, BTreeMap<String, String>),
    /// A connection is accepted and stays open.
    Tcp,
    /// The gRPC health protocol answers SERVING for this service.
    Grpc(String),
    /// A database's first words.
    Handshake(Handshake, Vec<u8>),
}

impl Question {
    /// Asks once, on a fresh connection.
    ///
    /// # Errors
    /// Why the answer is no.
    pub(super) async fn ask(&self, port: u16, limit: Duration) -> Result<(), String> {
        let asking = async {
            match self {
                Self::Http(path, headers) => http(port, path, headers).await,
                Self::Tcp => tcp(port).await,
                Self::Grpc(service) => grpc::check(port, service).await,
                Self::Handshake(handshake, request) => shake_hands(port, handshake, request).await,
            }
        };
        let late = |_| Err(format!("there is no answer within {} ms", limit.as_millis()));
        tokio::time::timeout(limit, asking).await.unwrap_or_else(late)
    }
}

async fn connect(port: u16) -> Result<TcpStream, String> {
    TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.map_err(|error| error.to_string())
}

async fn http(port: u16, path: &str, headers: &BTreeMap<String, String>) -> Result<(), String> {
    let stream = TokioIo::new(connect(port).await?);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(|error| root_cause(&error))?;
    let named = headers.keys().any(|name| name.eq_ignore_ascii_case("host"));
    let mut request = hyper::Request::get(path).header("user-agent", "ssi");
    if !named {
        request = request.header("host", format!("127.0.0.1:{port}"));
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| root_cause(&error))?;
    // The connection's end may come in the same moment as its answer: it must not win over it.
    let driving = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    driving.abort();
    let status = answer.map_err(|error| root_cause(&error))?.status().as_u16();
    if (200..400).contains(&status) { Ok(()) } else { Err(format!("{path} answers {status}")) }
}

/// Says the first words and listens until the answer can be judged.
async fn shake_hands(port: u16, handshake: &Handshake, request: &[u8]) -> Result<(), String> {
    let mut stream = connect(port).await?;
    stream.write_all(request).await.map_err(|error| error.to_string())?;
    let mut said = Vec::new();
    let mut bytes = [0; 512];
    loop {
        let read = stream.read(&mut bytes).await.map_err(|error| error.to_string())?;
        said.extend_from_slice(&bytes[..read]);
        match handshake.judge(&said) {
            Answer::Yes => return Ok(()),
            Answer::No => return Err(format!("it says {}", said.escape_ascii())),
            Answer::More if read == 0 => return Err("the connection is closed at once".to_owned()),
            Answer::More => {}
        }
    }
}

async fn tcp(port: u16) -> Result<(), String> {
    let mut stream = connect(port).await?;
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
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn nobody_there_is_not_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(Question::Tcp.ask(port, ANSWER).await.is_err());
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
        assert_eq!(Question::Tcp.ask(port, ANSWER).await.unwrap_err(), "the connection is closed at once");
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
        assert_eq!(Question::Tcp.ask(port, ANSWER).await, Ok(()));
        assert_eq!(Question::Tcp.ask(port, ANSWER).await, Ok(()));
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
            let question = Question::Http("/healthz".into(), BTreeMap::from([("x-who".into(), "ssi".into())]));
            assert_eq!(question.ask(port, ANSWER).await.is_ok(), ready, "{answer}");
        }
    }

    #[tokio::test]
    async fn headers_are_sent_and_a_host_of_ones_own_is_the_only_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 1024];
            let read = stream.read(&mut bytes).await.unwrap();
            stream.write_all(b"HTTP/1.1 204 No\r\n\r\n").await.unwrap();
            String::from_utf8_lossy(&bytes[..read]).to_lowercase()
        });
        let headers = BTreeMap::from([("Host".into(), "shop.example".into()), ("X-Who".into(), "ssi".into())]);
        assert_eq!(Question::Http("/".into(), headers).ask(port, ANSWER).await, Ok(()));
        let heard = heard.await.unwrap();
        assert!(heard.contains("x-who: ssi") && heard.contains("host: shop.example"), "{heard}");
        assert!(!heard.contains("127.0.0.1"), "{heard}");
    }

    #[tokio::test]
    async fn a_handshake_is_judged_over_as_many_reads_as_it_takes() {
        for (words, ready) in [(vec!["+O", "K\r\n"], true), (vec!["-LOADING\r\n"], false), (vec!["+"], false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let said = words.clone();
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut bytes = [0; 64];
                let _ = stream.read(&mut bytes).await;
                for word in said {
                    let _ = stream.write_all(word.as_bytes()).await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
            let handshake = Handshake { send: "PING".into(), skip: 0, expect: "+OK\r\n".into() };
            let asked = Question::Handshake(handshake, b"PING".to_vec()).ask(port, ANSWER).await;
            assert_eq!(asked.is_ok(), ready, "{words:?}: {asked:?}");
        }
    }

    #[test]
    fn questions_come_ever_less_often_up_to_a_bound_and_their_own_time_counts() {
        let ms = Duration::from_millis;
        assert_eq!(pause(ms(0), ms(0)), ms(5));
        assert_eq!(pause(ms(2000), ms(0)), ms(100));
        assert_eq!(pause(ms(2000), ms(70)), ms(30));
        assert_eq!(pause(ms(2000), ms(500)), ms(5));
        assert_eq!(pause(ms(60_000), ms(0)), ms(250));
    }
}
