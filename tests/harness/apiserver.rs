//! One more API server of the tests' own cluster, on the same etcd: it can be killed and started again, and nobody else notices.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::{Deployed, Namespace};

/// Ports of this process; others begin elsewhere.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// The server; ends when dropped.
pub struct ApiServer {
    number: String,
    port: u16,
    process: Mutex<Child>,
    kubeconfig: PathBuf,
}

impl ApiServer {
    /// Starts one beside the cluster that a namespace is in, and waits until it answers.
    #[must_use]
    pub fn beside(deployed: &Deployed) -> Self {
        let number = number_of(&deployed.namespace);
        let port = 7000 + (std::process::id() as u16 % 100) * 10 + NEXT.fetch_add(1, Ordering::Relaxed) % 10;
        let config = std::fs::read_to_string(deployed.namespace.kubeconfig()).expect("the kubeconfig");
        assert!(config.contains(":6443\""), "this needs the cluster of tests/cluster");
        let kubeconfig = deployed.file("apiserver.kubeconfig", &config.replace(":6443\"", &format!(":{port}\"")));
        let process = Mutex::new(start(&number, port));
        let server = Self { number, port, process, kubeconfig };
        crate::local::wait_until("the API server answers", || server.answers());
        server
    }

    /// A kubeconfig that leads to it.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Kills it, as a machine that loses its power does, and starts another one in its place.
    pub fn restart(&self) {
        let mut process = self.process.lock().expect("nobody panics");
        end(&mut process);
        *process = start(&self.number, self.port);
    }

    fn answers(&self) -> bool {
        let mut command = Command::new("kubectl");
        let output = command.arg("--kubeconfig").arg(&self.kubeconfig).args(["get", "--raw", "/readyz"]).output();
        output.expect("kubectl runs").status.success()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        end(self.process.get_mut().expect("nobody panics"));
    }
}

/// The script becomes the server: its process is the server's.
fn start(number: &str, port: u16) -> Child {
    let script = crate::repository::workspace().join("tests/cluster/apiserver.sh");
    let mut command = Command::new("bash");
    command.arg(script).arg(port.to_string()).env("CG_CLUSTER_N", number);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("bash runs")
}

fn end(process: &mut Child) {
    process.kill().expect("it is killed");
    let _ = process.wait().expect("it ends");
}

/// The cluster's number, by the folder of its state.
fn number_of(namespace: &Namespace) -> String {
    let folder = Path::new(namespace.kubeconfig()).parent().and_then(Path::file_name).and_then(|name| name.to_str());
    let number = folder.and_then(|folder| folder.strip_prefix("state-"));
    number.expect("this needs the cluster of tests/cluster: its state is in a folder of its number").to_owned()
}
