//! `komandan connect`

use std::collections::BTreeMap;
use std::io::IsTerminal;

use clustergraph::catalogue::{Catalogue, fill};
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::cluster::pods::Instances;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::names;
use crate::settings::Global;
use crate::store::Store;
use crate::store::record::Record;
use crate::target;
use crate::transient;

/// Opens a port of this machine that leads to a service or database, until it is interrupted
///
/// Each connection goes to a ready instance of the version that serves then, past any entry. Without a name, all entries.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan connect                    every public service, each on a port of its own
  komandan connect api                its port; `api:metrics` and `api:9100` name another
  komandan connect api/greetings      a database, with its credentials on a terminal")]
pub(crate) struct Args {
    /// A service, with a port's name or number after a colon; a database's address, or a database server
    pub(crate) target: Option<String>,
    /// The port of this machine [default: one that is free]
    #[arg(long, value_name = "PORT", requires = "target")]
    pub(crate) local: Option<u16>,
    /// Print the user and password of a database wherever it is printed to
    #[arg(long)]
    pub(crate) show_credentials: bool,
}

/// Something that can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reach {
    instances: Instances,
    port: u16,
    url: Url,
    /// Of a service, the version whose instances these are: each connection goes to that which serves when it begins.
    version: Option<u64>,
}

/// How the address is written for those who use it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Url {
    /// `host:port` only.
    None,
    /// Of a service.
    Service { scheme: String, path: String },
    /// Of a logical database, with the name of the Secret of its credentials.
    Database { kind: String, secret: String },
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let cluster = transient::connect(global).await?;
    let (_, record) = super::served(&cluster).await?;
    let reaches = match &args.target {
        Some(target) => vec![reach(&cluster, &record, target).await?],
        None => entries(&record)?,
    };
    // Before the address is told: whoever reads it may interrupt this at once.
    let listening = |error| Error::Io { what: "listening for signals".to_owned(), error };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(listening)?;
    let mut term = signal(SignalKind::terminate()).map_err(listening)?;
    let mut open = JoinSet::new();
    for reach in reaches {
        // Whoever cannot be reached at all is told of before anybody waits.
        reach.instances.ready(&cluster).await?;
        let local = args.local.unwrap_or(0);
        let listener = TcpListener::bind(("127.0.0.1", local)).await;
        let listener = listener.map_err(|error| Error::Io { what: format!("opening port {local}"), error })?;
        let port =
            listener.local_addr().map_err(|error| Error::Io { what: "opening a port".to_owned(), error })?.port();
        let shown = args.show_credentials || (std::io::stdout().is_terminal() && !console.is_json());
        announce(&cluster, &reach, port, shown, console).await?;
        open.spawn(serve(cluster.clone(), reach, listener, console.clone()));
    }
    tokio::select! {
        _ = open.join_next() => {}
        _ = interrupt.recv() => {}
        _ = term.recv() => {}
    }
    Ok(())
}

/// The entries of a version.
fn entries(record: &Record) -> Result<Vec<Reach>> {
    let entries = record.content.entries.values().filter_map(|entry| {
        let node = record.content.nodes.get(&entry.service)?;
        Some(Reach {
            instances: Instances::of_workload(&entry.service, &node.workload),
            port: entry.port,
            url: Url::Service { scheme: entry.scheme.clone(), path: entry.path.clone() },
            version: Some(record.number),
        })
    });
    let entries: Vec<Reach> = entries.collect();
    if entries.is_empty() {
        return Err(Error::Usage(format!("version {} has no public service: name what to connect to", record.number)));
    }
    Ok(entries)
}

async fn reach(cluster: &Cluster, record: &Record, target: &str) -> Result<Reach> {
    if target.contains('/') {
        return database(cluster, target).await;
    }
    let (name, port) = target.split_once(':').map_or((target, None), |(name, port)| (name, Some(port)));
    let Some(node) = record.content.nodes.get(name) else {
        let instances = super::instances(cluster, record, name).await?;
        let (port, _) = server_port(cluster, &instances.name).await?;
        return Ok(Reach { instances, port, url: Url::None, version: None });
    };
    let instances = Instances::of_workload(name, &node.workload);
    let objects = target::of_record(record, Store::new(cluster)).await?.objects;
    let service = objects.get(name).into_iter().flatten().find(|object| object.kind() == "Service");
    let ports: BTreeMap<String, u16> = service
        .and_then(|object| object.body.pointer("/spec/ports"))
        .and_then(|ports| ports.as_array())
        .into_iter()
        .flatten()
        .filter_map(|port| Some((port["name"].as_str()?.to_owned(), u16::try_from(port["port"].as_u64()?).ok()?)))
        .collect();
    let (port_name, port) = choose(name, &ports, port)?;
    let entry = record.content.entries.values().find(|entry| entry.service == name && entry.port == port);
    let url = match entry {
        Some(entry) => Url::Service { scheme: entry.scheme.clone(), path: entry.path.clone() },
        None if matches!(port_name.as_str(), "http" | "https") => {
            Url::Service { scheme: port_name, path: "/".to_owned() }
        }
        None => Url::None,
    };
    Ok(Reach { instances, port, url, version: Some(record.number) })
}

/// The port that is meant: the one that is named, else the only one, else `http`.
fn choose(service: &str, ports: &BTreeMap<String, u16>, wanted: Option<&str>) -> Result<(String, u16)> {
    let found = match wanted {
        Some(wanted) => ports.iter().find(|(name, number)| *name == wanted || number.to_string() == wanted),
        None if ports.len() == 1 => ports.first_key_value(),
        None => ports.get_key_value("http"),
    };
    if let Some((name, number)) = found {
        return Ok((name.clone(), *number));
    }
    if ports.is_empty() {
        return Err(Error::Usage(format!("{service} has no port: there is nothing to connect to")));
    }
    let known: Vec<String> = ports.iter().map(|(name, number)| format!("{service}:{name} ({number})")).collect();
    Err(Error::Usage(format!("say which port of {service} is meant: {}", known.join(", "))))
}

async fn database(cluster: &Cluster, address: &str) -> Result<Reach> {
    let databases = Store::new(cluster).databases().await?.value;
    let Some(known) = databases.0.get(address) else {
        return Err(super::unknown(address, databases.0.keys().map(String::as_str), cluster.name()));
    };
    let server = names::server_of(&known.server);
    let (port, kind) = server_port(cluster, &server).await?;
    let url = Url::Database { kind, secret: names::credentials(address) };
    let instances = Instances::of_server(&server).called(address);
    Ok(Reach { instances, port, url, version: None })
}

/// A server's port and kind.
async fn server_port(cluster: &Cluster, server: &str) -> Result<(u16, String)> {
    let found = cluster.api::<Service>().get_opt(server).await;
    let found = found.map_err(|error| Error::cluster(format!("reading the Service {server}"), &error))?;
    let none = || Error::Usage(format!("{server} runs outside of {}: connect to it there", cluster.name()));
    let port = found.and_then(|service| service.spec?.ports?.into_iter().next()).ok_or_else(none)?;
    Ok((u16::try_from(port.port).map_err(|_| none())?, port.name.unwrap_or_default()))
}

/// Says where it is: the first line is the address alone.
async fn announce(cluster: &Cluster, reach: &Reach, port: u16, credentials: bool, console: &Console) -> Result<()> {
    let (username, password, database) = match &reach.url {
        Url::Database { secret, .. } if credentials => credentials_of(cluster, secret).await?,
        _ => Default::default(),
    };
    let address = format!("127.0.0.1:{port}");
    let url = url(&reach.url, port, (&username, &password, &database));
    let (name, target) = (&reach.instances.name, reach.port);
    if console.is_json() {
        console.json(json!({
            "command": "connect", "target": name, "target_port": target, "address": address, "port": port, "url": url,
        }));
        return Ok(());
    }
    console.data(url.as_deref().unwrap_or(&address));
    let hidden = matches!(reach.url, Url::Database { .. }) && !credentials;
    let hint = if hidden { "; --show-credentials prints its user and password" } else { "" };
    console.note(&format!("  leads to port {target} of {name} until this is interrupted{hint}"));
    Ok(())
}

fn url(url: &Url, port: u16, (username, password, database): (&str, &str, &str)) -> Option<String> {
    match url {
        Url::None => None,
        Url::Service { scheme, path } => Some(format!("{scheme}://127.0.0.1:{port}{path}")),
        Url::Database { kind, .. } => {
            let template = &Catalogue::built_in().databases.get(kind)?.url;
            let port = port.to_string();
            if username.is_empty() {
                let scheme = template.split("://").next()?;
                return Some(format!("{scheme}://127.0.0.1:{port}"));
            }
            let values = [
                ("host", "127.0.0.1"),
                ("port", port.as_str()),
                ("username", username),
                ("password", password),
                ("database", database),
            ];
            Some(fill(template, &values))
        }
    }
}

/// User, password and name of a logical database.
async fn credentials_of(cluster: &Cluster, secret: &str) -> Result<(String, String, String)> {
    let found = cluster.api::<Secret>().get(secret).await;
    let found = found.map_err(|error| Error::cluster(format!("reading the Secret {secret}"), &error))?;
    cluster.refuse_foreign(&format!("Secret {secret}"), &found.metadata)?;
    let data = found.data.unwrap_or_default();
    let text = |key: &str| data.get(key).map(|value| String::from_utf8_lossy(&value.0).into_owned());
    let username = text("username").unwrap_or_default();
    let database = text("database").unwrap_or_else(|| username.clone());
    Ok((username, text("password").unwrap_or_default(), database))
}

/// Leads every connection to an instance that is ready.
async fn serve(cluster: Cluster, mut reach: Reach, listener: TcpListener, console: Console) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((connection, _)) = listener.accept().await else { return };
        if let Err(error) = follow(&cluster, &mut reach).await {
            console.note(&format!("  {}: {error}", reach.instances.name));
            continue;
        }
        let (cluster, reach, console) = (cluster.clone(), reach.clone(), console.clone());
        connections.spawn(async move {
            if let Err(error) = forward(&cluster, &reach, connection).await {
                console.note(&format!("  {}: {error}", reach.instances.name));
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Looks up the instances of the version that serves now, if it is another one than before.
async fn follow(cluster: &Cluster, reach: &mut Reach) -> Result<()> {
    let Some(version) = reach.version else { return Ok(()) };
    if Store::new(cluster).head().await?.value.current == Some(version) {
        return Ok(());
    }
    let (_, record) = super::served(cluster).await?;
    let name = reach.instances.name.clone();
    let node = super::node(&record, &name)?;
    *reach = Reach {
        instances: Instances::of_workload(&name, &node.workload),
        version: Some(record.number),
        ..reach.clone()
    };
    Ok(())
}

async fn forward(cluster: &Cluster, reach: &Reach, mut connection: TcpStream) -> Result<()> {
    let pod = reach.instances.ready(cluster).await?;
    let what = || format!("reaching port {} of {pod}", reach.port);
    let forwarder = cluster.api::<Pod>().portforward(&pod, &[reach.port]).await;
    let mut forwarder = forwarder.map_err(|error| Error::cluster(what(), &error))?;
    let refused = forwarder.take_error(reach.port);
    if let Some(mut stream) = forwarder.take_stream(reach.port) {
        // Either side may hang up at any time: that is how connections end.
        let _ = tokio::io::copy_bidirectional(&mut connection, &mut stream).await;
    }
    forwarder.abort();
    match refused {
        Some(refused) => match refused.await {
            Some(why) => Err(Error::Cluster { what: what(), why }),
            None => Ok(()),
        },
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_that_is_meant() {
        let ports = |all: &[(&str, u16)]| all.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect();
        let several: BTreeMap<String, u16> = ports(&[("http", 8080), ("metrics", 9100)]);
        let chosen = |ports: &BTreeMap<String, u16>, wanted| choose("api", ports, wanted).map(|(_, port)| port);
        assert_eq!(chosen(&ports(&[("grpc", 9090)]), None).unwrap(), 9090);
        assert_eq!(chosen(&several, None).unwrap(), 8080);
        assert_eq!(chosen(&several, Some("metrics")).unwrap(), 9100);
        assert_eq!(chosen(&several, Some("9100")).unwrap(), 9100);
        let error = chosen(&several, Some("grpc")).unwrap_err().to_string();
        assert!(error.contains("api:metrics (9100)"), "{error}");
        assert!(chosen(&ports(&[]), None).unwrap_err().to_string().contains("no port"));
    }

    #[test]
    fn credentials_stand_in_a_url_only_when_they_are_given() {
        let database = Url::Database { kind: "postgres".to_owned(), secret: "s".to_owned() };
        let whole = url(&database, 5000, ("u", "hunter2", "d")).unwrap();
        assert_eq!(whole, "postgresql://u:hunter2@127.0.0.1:5000/d");
        assert_eq!(url(&database, 5000, ("", "", "")).unwrap(), "postgresql://127.0.0.1:5000");
        let service = Url::Service { scheme: "http".to_owned(), path: "/shop".to_owned() };
        assert_eq!(url(&service, 5000, ("", "", "")).unwrap(), "http://127.0.0.1:5000/shop");
        assert_eq!(url(&Url::None, 5000, ("", "", "")), None);
    }
}
