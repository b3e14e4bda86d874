//! `komandan secret`

mod needs;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clustergraph::format::service::Security;
use clustergraph::format::{is_dns_label, is_env_name};
use k8s_openapi::ByteString;
use serde_json::json;

use crate::cluster::Cluster;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::settings::Global;
use crate::transient;
use needs::{Need, Needs};

/// Keeps values for services that are nowhere in the repository
///
/// Each name of a service's `secrets:` is a key of the Secret `SERVICE-secrets`. Values are read from standard input, a
/// prompt or a file, never from the command line, and are never shown. Instances that run keep what they started with:
/// `komandan restart SERVICE` gives them the new value.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan secret set order STRIPE_KEY                          asks for the value
  pass show stripe | komandan secret set order STRIPE_KEY
  komandan secret import order order.env
  komandan secret list")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Set(Set),
    List(List),
    Import(Import),
    Unset(Unset),
}

/// Sets the value of one name: from a prompt, from standard input (without its last line end), or from a file
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  komandan secret set order TLS_KEY --from-file key.pem")]
struct Set {
    /// The service
    service: String,
    /// The name, as in its `secrets:`
    name: String,
    /// A file whose content is the value, to the last byte
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
}

/// Lists the names that are kept, who needs them and which are missing; never a value
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  komandan secret list v1.4")]
struct List {
    /// The commit whose needs count, besides those of the versions that are kept ready
    #[arg(default_value = "HEAD")]
    commit: String,
}

/// Sets all values of a file of lines `NAME=value`
///
/// Without a service, each value goes to the services of the current commit that name it in their `secrets:`; what
/// nobody names is left out.
#[derive(Debug, clap::Args)]
#[command(
    allow_missing_positional = true,
    after_help = "Examples:\n  komandan secret import .env\n  komandan secret import order order.env"
)]
struct Import {
    /// The service [default: those that need them]
    service: Option<String>,
    /// The file; `-` is standard input
    #[arg(required = true)]
    file: PathBuf,
}

/// Forgets values
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  komandan secret unset order STRIPE_KEY")]
struct Unset {
    /// The service
    service: String,
    /// The names
    #[arg(required = true)]
    names: Vec<String>,
    /// Forget also what a version needs that serves or is kept ready: its next instance would not start
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    match &args.command {
        Command::Set(set) => self::set(set, global, console).await,
        Command::List(list) => self::list(list, global, console).await,
        Command::Import(import) => self::import(import, global, console).await,
        Command::Unset(unset) => self::unset(unset, global, console).await,
    }
}

async fn set(args: &Set, global: &Global, console: &Console) -> Result<()> {
    check(&args.service, [&args.name])?;
    let cluster = transient::connect(global).await?;
    let value = value::read(args.from_file.as_deref(), &args.service, &args.name, console).await?;
    let values = BTreeMap::from([(args.name.clone(), value)]);
    cluster.ensure_namespace(Security::Restricted).await?;
    cluster.put_secrets(&args.service, &bytes(&values)).await?;
    let given = BTreeMap::from([(args.service.clone(), values.into_keys().collect())]);
    report(&given, &cluster, "set", console);
    unneeded(&given, global, console).await;
    Ok(())
}

async fn import(args: &Import, global: &Global, console: &Console) -> Result<()> {
    let cluster = transient::connect(global).await?;
    let values = value::file(&args.file)?;
    let mut by_service: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    match &args.service {
        Some(service) => {
            check(service, values.keys())?;
            by_service.insert(service.clone(), values.clone());
        }
        None => {
            for need in Needs::of_commit(global, "HEAD").await?.0 {
                if let Some(value) = values.get(&need.name) {
                    by_service.entry(need.service).or_default().insert(need.name, value.clone());
                }
            }
            let taken: BTreeSet<&String> = by_service.values().flat_map(BTreeMap::keys).collect();
            let left: Vec<&str> = values.keys().filter(|name| !taken.contains(name)).map(String::as_str).collect();
            if !left.is_empty() {
                console.note(&format!(
                    "left out, because no service of HEAD names them in `secrets:`: {}",
                    left.join(", ")
                ));
            }
        }
    }
    if by_service.values().all(BTreeMap::is_empty) {
        return Err(Error::Usage(format!(
            "{} holds nothing that a service needs: nothing was changed",
            args.file.display()
        )));
    }
    cluster.ensure_namespace(Security::Restricted).await?;
    for (service, values) in &by_service {
        cluster.put_secrets(service, &bytes(values)).await?;
    }
    let given = by_service.into_iter().map(|(service, values)| (service, values.into_keys().collect())).collect();
    report(&given, &cluster, "set", console);
    unneeded(&given, global, console).await;
    Ok(())
}

/// Values as a Secret keeps them.
fn bytes(values: &BTreeMap<String, String>) -> BTreeMap<String, ByteString> {
    values.iter().map(|(name, value)| (name.clone(), ByteString(value.clone().into_bytes()))).collect()
}

async fn unset(args: &Unset, global: &Global, console: &Console) -> Result<()> {
    check(&args.service, &args.names)?;
    let cluster = transient::connect(global).await?;
    let known = cluster.secret_names().await?.remove(&args.service).unwrap_or_default();
    if let Some(name) = args.names.iter().find(|name| !known.contains(name)) {
        return Err(Error::Usage(format!(
            "{} has no secret {name} in {} (namespace {}); `komandan secret list` shows what is there",
            args.service,
            cluster.name(),
            cluster.namespace()
        )));
    }
    let needed = Needs::of_versions(&cluster).await?;
    let in_use = needed.0.iter().find(|need| need.service == args.service && args.names.contains(&need.name));
    if let Some(need) = in_use.filter(|need| !args.force && !need.optional) {
        return Err(Error::Refused(format!(
            "{} of {} is needed by {}: its next instance would not start without it. Deploy a commit that does not need it \
             first, or say --force",
            need.name, need.service, need.by
        )));
    }
    cluster.remove_secrets(&args.service, &args.names).await?;
    report(&BTreeMap::from([(args.service.clone(), args.names.clone())]), &cluster, "unset", console);
    Ok(())
}

async fn list(args: &List, global: &Global, console: &Console) -> Result<()> {
    let cluster = transient::connect(global).await?;
    let (set, mut needs) = tokio::try_join!(cluster.secret_names(), Needs::of_versions(&cluster))?;
    match Needs::of_commit(global, &args.commit).await {
        Ok(of_commit) => needs.0.extend(of_commit.0),
        // Outside a repository only what runs is known to need something.
        Err(Error::Tree(error)) => console.note(&format!("only the needs of versions are shown: {error}")),
        Err(error) => return Err(error),
    }
    let rows = needs.beside(&set);
    if console.is_json() {
        let secrets: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "service": row.service, "name": row.name, "set": row.set, "optional": row.optional,
                    "state": row.state(), "needed_by": row.needed_by,
                })
            })
            .collect();
        console.json(json!({
            "command": "secret", "action": "list", "cluster": cluster.name(), "namespace": cluster.namespace(),
            "secrets": secrets,
        }));
        return Ok(());
    }
    if rows.is_empty() {
        console.note(&format!(
            "no secrets in {} (namespace {}), and nobody needs one",
            cluster.name(),
            cluster.namespace()
        ));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| vec![row.service.clone(), row.name.clone(), row.state().to_owned(), row.needed_by.join(", ")])
        .collect();
    console.table(&["SERVICE", "NAME", "STATE", "NEEDED BY"], &rows);
    Ok(())
}

fn report(names: &BTreeMap<String, Vec<String>>, cluster: &Cluster, action: &str, console: &Console) {
    if console.is_json() {
        console.json(json!({
            "event": "result", "command": "secret", "action": action, "cluster": cluster.name(),
            "namespace": cluster.namespace(), "secrets": names,
        }));
        return;
    }
    for (service, names) in names {
        console.data(&format!("{action} for {service} in {}: {}", cluster.name(), names.join(", ")));
    }
}

/// Says which names no service of the current commit asks for: most often they are misspelt.
async fn unneeded(given: &BTreeMap<String, Vec<String>>, global: &Global, console: &Console) {
    let Ok(needs) = Needs::of_commit(global, "HEAD").await else { return };
    let needed = |service: &String, name: &String| {
        needs.0.iter().any(|Need { service: other, name: wanted, .. }| (other, wanted) == (service, name))
    };
    for (service, names) in given {
        let names: Vec<&str> = names.iter().filter(|name| !needed(service, name)).map(String::as_str).collect();
        if !names.is_empty() {
            console.note(&format!("  {service} of HEAD does not name {} in its `secrets:`", names.join(", ")));
        }
    }
}

fn check<'n>(service: &str, names: impl IntoIterator<Item = &'n String>) -> Result<()> {
    if !is_dns_label(service) {
        return Err(Error::Usage(format!("`{}` is no name of a service", service.escape_debug())));
    }
    for name in names {
        if !is_env_name(name) {
            return Err(Error::Usage(format!(
                "`{}` is no name of a secret: letters, digits and `_`, not beginning with a digit",
                name.escape_debug()
            )));
        }
    }
    Ok(())
}
