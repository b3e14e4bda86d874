//! A proxy before the API server that does to requests what networks and busy servers do to them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};

use crate::Deployed;
use crate::listener::{Listener, Reply, Request};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is answered with this status, and never reaches the API server.
    Status(u16),
    /// It is answered with 429 and asked to come again after so many seconds.
    Busy(u64),
    /// The connection is reset before the request reaches the API server.
    Refused,
    /// The request is done, and the connection is reset before its answer.
    Lost,
    /// A watch breaks off after so long, in the middle of a line.
    Broken(Duration),
    /// A watch says that what it was asked to go on from is forgotten.
    Stale,
    /// It is answered with this text, and never reaches the API server: pods that only say that they run have written nothing.
    Said(&'static str),
}

type Decide = dyn Fn(u64, &Request) -> Fault + Send + Sync;

/// The proxy; ends when dropped.
pub struct Proxy {
    listener: Listener,
    harmed: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A proxy that asks `decide` what happens to each request, by its number from 1 on.
    #[must_use]
    pub fn new(kubeconfig: &str, decide: impl Fn(u64, &Request) -> Fault + Send + Sync + 'static) -> Self {
        let upstream = Arc::new(Upstream::of(kubeconfig));
        let (decide, count): (Arc<Decide>, _) = (Arc::new(decide), Arc::new(AtomicU64::new(0)));
        let harmed = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&harmed);
        let listener = Listener::new(move |request, reply| {
            let number = count.fetch_add(1, Ordering::Relaxed) + 1;
            let fault = decide(number, &request);
            if fault != Fault::None {
                told.lock()
                    .expect("nobody panics")
                    .push(format!("{number} {fault:?} {} {}", request.method, request.path));
            }
            let upstream = Arc::clone(&upstream);
            async move { upstream.pass(request, reply, fault).await }
        });
        Self { listener, harmed }
    }

    /// What was done to which request.
    #[must_use]
    pub fn harmed(&self) -> Vec<String> {
        self.harmed.lock().expect("nobody panics").clone()
    }

    /// A kubeconfig that leads through here.
    #[must_use]
    pub fn kubeconfig(&self, deployed: &Deployed) -> PathBuf {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{ "name": "proxy", "cluster": { "server": format!("http://{}", self.listener.address()) } }],
            "users": [{ "name": "proxy", "user": {} }],
            "contexts": [{ "name": "proxy", "context": { "cluster": "proxy", "user": "proxy" } }],
        });
        deployed.file("proxy.kubeconfig", &config.to_string())
    }
}

/// The API server behind.
struct Upstream {
    server: String,
    client: reqwest::Client,
    token: Option<String>,
}

impl Upstream {
    fn of(kubeconfig: &str) -> Self {
        let view = ["--kubeconfig", kubeconfig, "config", "view", "--raw", "--flatten", "--minify", "--output", "json"];
        let output = std::process::Command::new("kubectl").args(view).output().expect("kubectl runs");
        let config: Value = serde_json::from_slice(&output.stdout).expect("a kubeconfig");
        let (cluster, user) = (&config["clusters"][0]["cluster"], &config["users"][0]["user"]);
        let decoded = |value: &Value| {
            let text = value.as_str()?;
            Some(base64::engine::general_purpose::STANDARD.decode(text).expect("base64"))
        };
        let mut builder = crate::http::builder();
        if let Some(authority) = decoded(&cluster["certificate-authority-data"]) {
            builder = builder.tls_certs_only([reqwest::Certificate::from_pem(&authority).expect("a certificate")]);
        }
        if let (Some(mut identity), Some(key)) =
            (decoded(&user["client-certificate-data"]), decoded(&user["client-key-data"]))
        {
            identity.extend(key);
            builder = builder.identity(reqwest::Identity::from_pem(&identity).expect("an identity"));
        }
        Self {
            server: cluster["server"].as_str().expect("a server").to_owned(),
            client: builder.build().expect("a client"),
            token: user["token"].as_str().map(str::to_owned),
        }
    }

    async fn pass(&self, request: Request, mut reply: Reply, fault: Fault) {
        match fault {
            Fault::None | Fault::Lost | Fault::Broken(_) => {}
            Fault::Refused => return reply.reset(),
            Fault::Status(code) => return refuse(reply, code, &[]).await,
            Fault::Busy(seconds) => return refuse(reply, 429, &[("retry-after", &seconds.to_string())]).await,
            Fault::Said(text) => {
                reply.begin(200, &[("content-type", "text/plain")]).await;
                reply.write(text.as_bytes()).await;
                return reply.end().await;
            }
            Fault::Stale => {
                reply.begin(200, &[("content-type", "application/json")]).await;
                let event = json!({ "type": "ERROR", "object": status(410) });
                reply.write(format!("{event}\n").as_bytes()).await;
                return reply.end().await;
            }
        }
        let method = request.method.parse().expect("a method");
        let mut asked = self.client.request(method, format!("{}{}", self.server, request.path)).body(request.body);
        for (name, value) in &request.headers {
            if !["host", "connection", "content-length", "accept-encoding"].contains(&name.as_str()) {
                asked = asked.header(name, value);
            }
        }
        if let Some(token) = &self.token {
            asked = asked.bearer_auth(token);
        }
        // The API server is not there: nor are we.
        let Ok(mut answer) = asked.send().await else { return reply.reset() };
        if fault == Fault::Lost {
            return reply.reset();
        }
        let names = ["content-type", "retry-after"];
        let headers: Vec<(&str, &str)> =
            names.iter().filter_map(|name| Some((*name, answer.headers().get(*name)?.to_str().ok()?))).collect();
        reply.begin(answer.status().as_u16(), &headers).await;
        let end = async {
            match fault {
                Fault::Broken(after) => tokio::time::sleep(after).await,
                _ => std::future::pending().await,
            }
        };
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => {
                    reply.write(b"{\"type\":\"MODIFIED\",\"obj").await;
                    return reply.reset();
                }
                piece = answer.chunk() => match piece {
                    Ok(Some(piece)) => {
                        if !reply.write(&piece).await {
                            return;
                        }
                    }
                    Ok(None) => return reply.end().await,
                    Err(_) => return reply.reset(),
                },
            }
        }
    }
}

fn status(code: u16) -> Value {
    let reason = match code {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason, "code": code,
        "message": format!("the proxy says {code}"),
    })
}

async fn refuse(mut reply: Reply, code: u16, headers: &[(&str, &str)]) {
    let headers = [&[("content-type", "application/json")], headers].concat();
    reply.begin(code, &headers).await;
    reply.write(status(code).to_string().as_bytes()).await;
    reply.end().await;
}
