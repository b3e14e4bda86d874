//! Whether containers reach programs of this machine, asked from inside one of them: a firewall that forbids it
//! lets every connection run into nothing, and the program would only say that something timed out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::super::Cause;
use super::container;

/// How long a connection inside this machine may take; far more than it does.
const LIMIT: Duration = Duration::from_secs(5);

/// Opens a connection with whatever the image has. Ends with 77 when it has nothing that can.
const SCRIPT: &str = r#"
if command -v bash >/dev/null; then bash -c ': <>/dev/tcp/$0/$1' "$1" "$2"
elif command -v python3 >/dev/null; then python3 -c 'import socket,sys; socket.create_connection(sys.argv[1:3], 4)' "$1" "$2"
elif command -v nc >/dev/null; then nc -z -w 4 "$1" "$2"
elif command -v node >/dev/null; then node -e 'require("net").connect(process.argv[2], process.argv[1]).on("connect", () => process.exit(0)).on("error", () => process.exit(1))' "$1" "$2"
else exit 77; fi
"#;

/// What is known of the way out of the session's network. It is the same for all containers: once it was found
/// open, nobody asks again.
#[derive(Default)]
pub(super) struct WayOut {
    open: AtomicBool,
}

impl WayOut {
    /// Asks inside a container. An image without a shell or a program that connects is believed.
    pub(super) async fn check(&self, engine: &bollard::Docker, id: &str, host: &str, port: u16) -> Result<(), Cause> {
        if self.open.load(Ordering::Relaxed) {
            return Ok(());
        }
        let port = port.to_string();
        let command = ["sh", "-c", SCRIPT, "sh", host, &port].map(str::to_owned);
        let none = std::collections::BTreeMap::new();
        let said = match tokio::time::timeout(LIMIT, container::run_inside(engine, id, &command, &none, "")).await {
            Ok(Ok(end)) if end.code == Some(0) => {
                self.open.store(true, Ordering::Relaxed);
                return Ok(());
            }
            // Not to be found out, or it has ended already: then others say why.
            Ok(Ok(end)) if matches!(end.code, None | Some(77 | 126 | 127 | 137)) => return Ok(()),
            Ok(Err(_)) => return Ok(()),
            Ok(Ok(end)) => end.err.lines().next_back().unwrap_or("it is refused").to_owned(),
            Err(_) => "it is not answered".to_owned(),
        };
        Err(Cause::new(format!(
            "containers cannot reach programs of this machine: a connection from inside to {host}:{port} fails ({said}). \
             A firewall may forbid it: allow Docker's networks to come in, or run both sides alike with `--runtime`"
        )))
    }
}
