//! Flags: which visitor sees which feature.

mod http;
mod rules;

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Instant, SystemTime};

use rules::Rules;
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tiny_http::{Header, Response, Server};

/// The rules are part of the program: a change of who sees what is a version like any other.
const RULES: &str = include_str!("../flags.json");
const THREADS: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let service = Arc::new(Service {
        rules: Rules::parse(RULES)?,
        name: env("OTEL_SERVICE_NAME", "flags"),
        version: env("NODE_ID", "local"),
    });
    let port: u16 = env("PORT", "8000").parse()?;
    let server = Arc::new(Server::http(("0.0.0.0", port)).map_err(|error| error.to_string())?);

    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let workers: Vec<_> = (0..THREADS)
        .map(|_| {
            let (service, server) = (service.clone(), server.clone());
            // What a worker has begun it finishes; then it finds no more and ends.
            thread::spawn(move || server.incoming_requests().for_each(|request| service.serve(request)))
        })
        .collect();
    service.say("listens", json!({ "port": port }));
    signals.forever().next();
    (0..THREADS).for_each(|_| server.unblock());
    workers.into_iter().for_each(|worker| drop(worker.join()));
    service.say("has answered everything and leaves", json!({}));
    Ok(())
}

struct Service {
    rules: Rules,
    name: String,
    version: String,
}

impl Service {
    fn serve(&self, request: tiny_http::Request) {
        let began = Instant::now();
        let (status, data) = http::answer(&self.rules, request.method().as_str(), request.url());
        let asked = format!("{} {}", request.method(), request.url().split('?').next().unwrap_or_default());
        let mut response = Response::from_string(format!("{data}\n")).with_status_code(status);
        for (name, value) in [
            ("content-type", "application/json"),
            ("cache-control", "no-store"),
            ("x-served-by", &format!("{}-{}", self.name, self.version)),
        ] {
            if let Ok(header) = Header::from_bytes(name, value) {
                response.add_header(header);
            }
        }
        let _ = request.respond(response); // whoever asked has left: nobody to tell
        if asked != "GET /healthz" {
            let ms = began.elapsed().as_micros() as f64 / 1000.0;
            self.say(&asked, json!({ "status": status, "ms": ms }));
        }
    }

    /// A log line: one JSON object on standard output.
    fn say(&self, message: &str, fields: Value) {
        let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let mut line = json!({
            "time": now, "level": "info",
            "service": self.name, "version": self.version, "message": message,
        });
        if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
            line.extend(fields);
        }
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

fn env(name: &str, otherwise: &str) -> String {
    std::env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| otherwise.to_owned())
}
