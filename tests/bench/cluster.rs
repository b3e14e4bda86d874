//! The cluster whose start is measured: services in five layers with three dependencies each, all of one small
//! program, written down once for `ssi` and once for Compose.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::generate::{dependencies, git};

/// The image that containers run in: nothing is needed of it but a C library.
pub(crate) const IMAGE: &str = "debian:bookworm-slim";

/// A cluster of so many services in a folder of its own.
pub(crate) struct Cluster {
    folder: TempDir,
    /// How many services.
    pub(crate) services: usize,
}

impl Cluster {
    /// Writes it down.
    pub(crate) fn of(services: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("ssi-bench-").tempdir().expect("a temporary folder");
        let cluster = Self { folder, services };
        let path = cluster.path();
        std::fs::create_dir(path.join("bin")).expect("a folder");
        std::fs::copy(std::env::current_exe().expect("the benchmark's own path"), cluster.program()).expect("a copy");
        std::fs::write(path.join("clustergraph.yaml"), "services: [\"services/*\"]\n").expect("a file");
        let mut compose = format!("name: ssi-bench-{}\nservices:\n", std::process::id());
        for number in 0..services {
            let service = name(number);
            let needs: Vec<String> = dependencies(number, services).into_iter().map(name).collect();
            let folder = path.join("services").join(&service);
            std::fs::create_dir_all(&folder).expect("a folder");
            let yaml = format!(
                "name: {service}\nstack: command\ndependencies: [{}]\nports: {{ http: 8080 }}\nhealth: {{ http: /healthz }}\ninclude: [bin]\nrun: [../../bin/bench, --serve]\n",
                needs.join(", ")
            );
            std::fs::write(folder.join("service.yaml"), yaml).expect("a file");
            let _ = writeln!(
                compose,
                "  {service}:\n    image: {IMAGE}\n    init: true\n    command: [/app/bin/bench, --serve]\n    volumes: [\"./bin:/app/bin:ro\"]\n    ports: [\"127.0.0.1::8080\"]\n    stop_grace_period: 1s\n    healthcheck: {{ test: [CMD, /app/bin/bench, --probe, \"8080\"], interval: 500ms, timeout: 2s, retries: 60 }}"
            );
            if !needs.is_empty() {
                let conditions: Vec<String> =
                    needs.iter().map(|need| format!("{need}: {{ condition: service_healthy }}")).collect();
                let _ = writeln!(compose, "    depends_on: {{ {} }}", conditions.join(", "));
            }
        }
        std::fs::write(path.join("compose.yaml"), compose).expect("a file");
        git(path, &["init", "--quiet", "--initial-branch=main"]);
        git(path, &["add", "--all"]);
        git(path, &["-c", "user.name=Bench", "-c", "user.email=bench@example.com", "commit", "--quiet", "-m", "all"]);
        cluster
    }

    /// Its folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The program that every service runs.
    pub(crate) fn program(&self) -> PathBuf {
        self.path().join("bin/bench")
    }
}

fn name(number: usize) -> String {
    format!("s{number:03}")
}
