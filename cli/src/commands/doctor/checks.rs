//! The looks at the machine.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use clustergraph::graph::Graph;
use rustix::process::Resource;

use super::super::Global;
use super::super::setup;
use super::{Check, judge};
use crate::report::Output;
use crate::runtime::Docker;
use crate::session::{Records, Session, unsafe_folder};

/// All of them, in the order in which one thing needs another.
pub(super) async fn all(global: &Global) -> Vec<Check> {
    let mut checks = vec![judge::git(first_line("git", &["--version"]).as_deref())];
    let session = match global.session() {
        Ok(session) => session,
        Err(failure) => {
            checks.push(Check::problem("repository", failure.message, "run it in a repository, or name one with -C"));
            checks.push(judge::proxies(&std::env::vars().collect()));
            return checks;
        }
    };
    let graph = graph(global, &session, &mut checks);
    let engine = Docker::version(&session).await.map_err(|cause| cause.to_string());
    checks.push(judge::engine(engine.as_deref().map_err(String::as_str)));
    for (name, folder) in [("state", &session.state_dir), ("cache", &session.cache_dir)] {
        if let Some((there, free)) = free(folder) {
            checks.push(judge::space(name, &there, free));
        }
    }
    let folder = session.runtime_dir.parent().unwrap_or(Path::new("/"));
    let refused = folder.exists().then(|| unsafe_folder(folder)).flatten();
    checks.push(judge::socket(&session.socket().display().to_string(), refused.as_deref()));
    checks.extend(judge::inotify(limit("max_user_watches"), limit("max_user_instances")));
    checks.extend(judge::descriptors(rustix::process::getrlimit(Resource::Nofile).current));
    checks.push(judge::proxies(&std::env::vars().collect()));
    if let Some(graph) = &graph {
        checks.push(ports(graph, &session));
        let (missing, wanted) = setup::missing(graph, &session).await;
        checks.push(judge::tools(&missing, wanted));
    }
    checks
}

fn graph(global: &Global, session: &Session, checks: &mut Vec<Check>) -> Option<Graph> {
    let root = session.located.root().components().collect::<std::path::PathBuf>();
    match global.graph(None, Output::Text) {
        Ok(graph) => {
            checks.push(Check::fine("repository", format!("{}: {} services", root.display(), graph.services.len())));
            Some(graph)
        }
        Err(failure) => {
            let lines = failure.message.lines().last().unwrap_or("it cannot be read");
            checks.push(Check::problem(
                "repository",
                format!("{}: {lines}", root.display()),
                "`ssi check` says all that is wrong",
            ));
            None
        }
    }
}

/// The first line that a program prints; `None` when it is not there.
fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(str::to_owned)
}

/// The nearest folder that is there, and what is free on its disk.
fn free(folder: &Path) -> Option<(String, u64)> {
    let there = folder.ancestors().find(|folder| folder.is_dir())?;
    let found = rustix::fs::statvfs(there).ok()?;
    Some((folder.display().to_string(), found.f_bavail * found.f_frsize))
}

fn limit(name: &str) -> Option<u64> {
    std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).ok()?.trim().parse().ok()
}

/// The ports that services ask for: which of them others have.
fn ports(graph: &Graph, session: &Session) -> Check {
    let records = Records::read(&session.records()).unwrap_or_default();
    let own: Vec<u16> = records.ports.values().copied().collect();
    let wanted: BTreeMap<u16, &String> = graph
        .services
        .values()
        .flat_map(|service| service.ports.iter().map(move |port| (port.number, &service.name)))
        .collect();
    let is_taken = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err();
    let taken: Vec<(String, u16)> = wanted
        .iter()
        .filter(|(port, _)| !own.contains(port) && is_taken(**port))
        .map(|(port, service)| ((*service).clone(), *port))
        .collect();
    judge::ports(&taken, wanted.len())
}
