//! The bare work, with nothing above it: containers made, started and asked in parallel; processes started along
//! the graph.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, Mount, MountType, NetworkCreateRequest, NetworkingConfig,
    PortBinding,
};
use bollard::query_parameters::{
    CreateContainerOptions, ListContainersOptions, RemoveContainerOptions, StartContainerOptions,
};

use crate::cluster::{Cluster, IMAGE};
use crate::generate::dependencies;
use crate::server;

/// How often an answer is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// What the engine needs for the same containers.
pub(crate) struct Containers {
    /// Made, started, and all answering.
    pub(crate) up: Duration,
    /// Listed.
    pub(crate) list: Duration,
    /// Removed by force, their network too.
    pub(crate) down: Duration,
}

/// The same containers with the same settings, but in no order; `None` where no engine answers.
pub(crate) fn containers(cluster: &Cluster) -> Option<Containers> {
    runtime().block_on(async {
        let engine = Docker::connect_with_defaults().ok()?.negotiate_version().await.ok()?;
        // The engine takes two networks of one name, and then knows neither by it.
        static RUN: AtomicUsize = AtomicUsize::new(0);
        let network = format!("ssi-bench-raw-{}-{}", std::process::id(), RUN.fetch_add(1, Ordering::Relaxed));
        let ports = free_ports(cluster.services);
        let began = Instant::now();
        let request = NetworkCreateRequest { name: network.clone(), ..Default::default() };
        engine.create_network(request).await.ok()?;
        let ids: Vec<String> = each(ports.iter().enumerate(), |(number, port)| {
            let (engine, network) = (&engine, &network);
            async move {
                let options =
                    CreateContainerOptions { name: Some(format!("{network}-{number}")), ..Default::default() };
                let made = engine.create_container(Some(options), body(cluster, network, *port)).await;
                let id = made.expect("a container").id;
                engine.start_container(&id, None::<StartContainerOptions>).await.expect("it starts");
                until_it_answers(*port).await;
                id
            }
        })
        .await;
        let up = began.elapsed();
        let began = Instant::now();
        engine.list_containers(Some(ListContainersOptions { all: true, ..Default::default() })).await.ok()?;
        let list = began.elapsed();
        let began = Instant::now();
        each(ids.iter(), |id| {
            let engine = &engine;
            async move {
                let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
                engine.remove_container(id, Some(options)).await.expect("it goes");
            }
        })
        .await;
        // An endpoint may outlive its container for a moment.
        while engine.remove_network(&network).await.is_err() && began.elapsed() < Duration::from_secs(60) {
            tokio::time::sleep(LOOK).await;
        }
        Some(Containers { up, list, down: began.elapsed() })
    })
}

fn body(cluster: &Cluster, network: &str, port: u16) -> ContainerCreateBody {
    let binding = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(port.to_string()) };
    let program = Mount {
        typ: Some(MountType::BIND),
        source: Some(cluster.path().join("bin").to_string_lossy().into_owned()),
        target: Some("/app/bin".to_owned()),
        read_only: Some(true),
        ..Default::default()
    };
    ContainerCreateBody {
        image: Some(IMAGE.to_owned()),
        cmd: Some(vec!["/app/bin/bench".to_owned(), "--serve".to_owned()]),
        exposed_ports: Some(vec!["8080/tcp".to_owned()]),
        host_config: Some(HostConfig {
            mounts: Some(vec![program]),
            port_bindings: Some(HashMap::from([("8080/tcp".to_owned(), Some(vec![binding]))])),
            network_mode: Some(network.to_owned()),
            init: Some(true),
            ..Default::default()
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network.to_owned(), EndpointSettings::default())])),
        }),
        ..Default::default()
    }
}

/// Processes started as soon as what they depend on answers, and ended at once afterwards: fork, exec and the
/// critical path.
pub(crate) fn processes(cluster: &Cluster) -> Duration {
    runtime().block_on(async {
        let ports = free_ports(cluster.services);
        let began = Instant::now();
        let started = each(0..cluster.services, |number| {
            let ports = &ports;
            async move {
                for need in dependencies(number, cluster.services) {
                    until_it_answers(ports[need]).await;
                }
                let mut command = tokio::process::Command::new(cluster.program());
                command.arg("--serve").env_clear().env("PORT", ports[number].to_string()).kill_on_drop(true);
                let child = command.spawn().expect("it starts");
                until_it_answers(ports[number]).await;
                child
            }
        });
        let children = started.await;
        let took = began.elapsed();
        drop(children);
        took
    })
}

/// Does something for each, all at once.
async fn each<T, F: Future>(items: impl Iterator<Item = T>, doing: impl Fn(T) -> F) -> Vec<F::Output> {
    futures_util::future::join_all(items.map(doing)).await
}

async fn until_it_answers(port: u16) {
    while !tokio::task::spawn_blocking(move || server::answers(port)).await.unwrap_or(false) {
        tokio::time::sleep(LOOK).await;
    }
}

/// Ports that are free, all held until all are known.
fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    held.iter().map(|listener| listener.local_addr().expect("its address").port()).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("a runtime")
}
