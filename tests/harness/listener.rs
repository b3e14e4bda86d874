//! A small HTTP server on a port of this machine, one request for each connection: what stands in for others' servers.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its path with its query.
    pub path: String,
    /// Its headers, with small names.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Where to write an answer; dropped without one, the connection is reset.
pub struct Reply(TcpStream);

/// A server; ends when dropped.
pub struct Listener {
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Listener {
    /// Begins to listen on a free port.
    #[must_use]
    pub fn new<H, F>(handler: H) -> Self
    where
        H: Fn(Request, Reply) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send,
    {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let handler = Arc::new(handler);
        runtime.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let handler = Arc::clone(&handler);
                tokio::spawn(async move {
                    if let Some(request) = read(&mut stream).await {
                        handler(request, Reply(stream)).await;
                    }
                });
            }
        });
        Self { address, _runtime: runtime }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Reply {
    /// Begins an answer that ends with the connection.
    pub async fn begin(&mut self, status: u16, headers: &[(&str, &str)]) {
        let mut head = format!("HTTP/1.1 {status} Status\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let _ = self.0.write_all(head.as_bytes()).await;
    }

    /// Goes on with an answer; `false` when nobody listens any more.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// Ends an answer in good order.
    pub async fn end(mut self) {
        let _ = self.0.shutdown().await;
    }

    /// Breaks off: the connection is reset.
    pub fn reset(self) {
        let _ = self.0.set_zero_linger();
    }

    /// Waits until the other end has gone.
    pub async fn gone(&mut self) {
        let _ = self.0.read(&mut [0]).await;
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&piece[..count]);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = head.parse(&bytes).ok()? else { continue };
        let mut request = Request {
            method: head.method?.to_owned(),
            path: head.path?.to_owned(),
            headers: head.headers.iter().map(header).collect(),
            body: bytes[length..].to_vec(),
        };
        let size = request.headers.iter().find(|(name, _)| name == "content-length");
        let size = size.and_then(|(_, size)| size.parse::<usize>().ok()).unwrap_or(0);
        let there = request.body.len();
        request.body.resize(size.max(there), 0);
        stream.read_exact(&mut request.body[there..]).await.ok()?;
        return Some(request);
    }
}

fn header(header: &httparse::Header<'_>) -> (String, String) {
    (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
}
