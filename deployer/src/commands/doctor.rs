//! `komandan doctor`

mod checks;

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SelfSubjectRulesReview,
    SelfSubjectRulesReviewSpec, SubjectRulesReviewStatus,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{ListParams, PostParams};
use serde_json::json;

use crate::cluster::Cluster;
use crate::cluster::lock::Held;
use crate::cluster::rights::{AT_HOME, GRANTS, IN_NAMESPACE, IN_POOL, OF_POOL, OF_TRANSIENT, Right};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::images::Registry;
use crate::names;
use crate::settings::{Global, Life, Settings};
use crate::store::Store;
use crate::transient::{self, Home};
use checks::{Check, Missing};

/// Looks whether a deploy would find what it needs: API server, rights, registry, clock, namespace, volumes, lock
///
/// Nothing is changed. It ends with 1 when something would fail.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  komandan doctor
  komandan doctor --cluster staging --output json
  komandan doctor --cluster pr                       whether `up` would find what it needs")]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, global: &Global, console: &Console) -> Result<ExitCode> {
    let settings = transient::located(global).await?;
    let checks = look(&settings).await;
    let is_well = checks.iter().all(|check| !check.is_failure());
    if console.is_json() {
        console.json(json!({
            "command": "doctor", "cluster": settings.cluster, "namespace": settings.namespace, "well": is_well,
            "checks": checks,
        }));
    } else {
        show(&checks, console);
    }
    Ok(if is_well { Exit::Success } else { Exit::Failure }.into())
}

fn show(checks: &[Check], console: &Console) {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for check in checks {
        let (style, mark): (Style, &str) = match check.state {
            checks::State::Ok => (AnsiColor::Green.on_default(), "ok"),
            checks::State::Note => (AnsiColor::Yellow.on_default(), "note"),
            checks::State::Fail => (AnsiColor::Red.on_default(), "fail"),
        };
        console.data(&format!("{style}{mark:<4}{style:#}  {:width$}  {}", check.name, check.found));
        if let Some(mend) = &check.mend {
            console.data(&format!("      {:width$}  {mend}", ""));
        }
    }
}

async fn look(settings: &Settings) -> Vec<Check> {
    let registry = registry(settings);
    let cluster = async {
        let cluster = match Cluster::connect(settings).await {
            Ok(cluster) => cluster,
            Err(error) => return vec![Check::fail("API server", error.to_string(), "look at the kubeconfig")],
        };
        let (server, clock) = server(&cluster).await;
        // Nothing else can be asked of one that does not answer.
        if server.is_failure() {
            return vec![server];
        }
        let mut checks = vec![server];
        checks.extend(clock);
        if settings.life == Life::Kind && !settings.pool.is_empty() {
            let (rights, namespace, volumes, pool) = tokio::join!(
                rights(&cluster, OF_POOL),
                namespace(&cluster),
                volumes(&cluster),
                pool(&cluster, settings)
            );
            checks.extend([rights, namespace, volumes]);
            checks.extend(pool);
            return checks;
        }
        if settings.life == Life::Kind {
            let needed = [AT_HOME, GRANTS, OF_TRANSIENT].concat();
            let (rights, namespace, volumes, end) =
                tokio::join!(rights(&cluster, &needed), namespace(&cluster), volumes(&cluster), end(settings));
            checks.extend([rights, namespace, volumes, end]);
            return checks;
        }
        let (rights, namespace, volumes, store, lock) = tokio::join!(
            rights(&cluster, IN_NAMESPACE),
            namespace(&cluster),
            volumes(&cluster),
            store(&cluster),
            lock(&cluster)
        );
        checks.extend([rights, namespace, volumes, store, lock]);
        checks
    };
    let (mut checks, registry) = tokio::join!(cluster, registry);
    checks.push(registry);
    checks
}

/// Whether the API answers, and how far its clock is from ours.
async fn server(cluster: &Cluster) -> (Check, Option<Check>) {
    let name = "API server";
    let answer = match cluster.get("/version").await {
        Ok(answer) => answer,
        Err(error) => {
            let error = Error::cluster("asking for its version", &error);
            return (
                Check::fail(name, error.to_string(), "is the address of the kubeconfig reachable from here?"),
                None,
            );
        }
    };
    let now = Timestamp::now();
    let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
    let body = answer.into_body().collect_bytes().await;
    let clock = date.and_then(|date| checks::clock(&date, now));
    match body.map(|body| serde_json::from_slice::<k8s_openapi::apimachinery::pkg::version::Info>(&body)) {
        Ok(Ok(info)) => (checks::version(&info.major, &info.minor, &info.git_version), clock),
        _ => (Check::fail(name, "what answers is no Kubernetes API", "look at the kubeconfig's address"), None),
    }
}

/// Whether clusters end by themselves whose time is over.
async fn end(settings: &Settings) -> Check {
    let asked = async { Home::connect(settings).await?.has_addresses().await };
    match asked.await {
        Ok(has_addresses) => checks::end(has_addresses, &settings.cluster),
        Err(error) => Check::fail("end", error.to_string(), "run this again"),
    }
}

/// Whether all that is needed may be done in each namespace of a pool, and what these hold.
async fn pool(cluster: &Cluster, settings: &Settings) -> Vec<Check> {
    let needed = [IN_NAMESPACE, IN_POOL].concat();
    let places: Vec<Cluster> = settings.pool.iter().map(|namespace| cluster.at(&settings.cluster, namespace)).collect();
    let rights = futures_util::future::join_all(places.iter().map(|place| rights(place, &needed)));
    let held = async { Home::connect(settings).await?.slots().await };
    let (rights, held) = tokio::join!(rights, held);
    let mut all: Vec<Check> = rights.into_iter().filter(Check::is_failure).collect();
    all.push(match held {
        Ok(slots) => checks::pool(&slots),
        Err(error) => Check::fail("pool", error.to_string(), "run this again"),
    });
    all
}

/// Whether all that `komandan rbac` prints is granted.
async fn rights(cluster: &Cluster, needed: &[Right]) -> Check {
    let review = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec { namespace: Some(cluster.namespace().to_owned()) },
        ..SelfSubjectRulesReview::default()
    };
    let asked = cluster.api_of_all::<SelfSubjectRulesReview>().create(&PostParams::default(), &review).await;
    let status: SubjectRulesReviewStatus = match asked {
        Ok(review) => review.status.unwrap_or_default(),
        Err(error) => {
            let error = Error::cluster("asking for the own rights", &error);
            return Check::note("rights", error.to_string(), None);
        }
    };
    let mut missing = checks::missing(&status, needed);
    if status.incomplete {
        // Another authorizer cannot list what it allows, and is asked one by one.
        let mut denied = Vec::new();
        for right in missing {
            if !allowed(cluster, &right).await {
                denied.push(right);
            }
        }
        missing = denied;
    }
    checks::rights(&missing, needed.iter().map(|right: &Right| right.verbs.len()).sum(), cluster.namespace())
}

async fn allowed(cluster: &Cluster, right: &Missing) -> bool {
    let (resource, sub) = right.resource.split_once('/').map_or((right.resource, None), |(one, sub)| (one, Some(sub)));
    let attributes = ResourceAttributes {
        namespace: Some(cluster.namespace().to_owned()),
        group: Some(right.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: sub.map(str::to_owned),
        verb: Some(right.verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let asked = cluster.api_of_all::<SelfSubjectAccessReview>().create(&PostParams::default(), &review).await;
    asked.is_ok_and(|review| review.status.is_some_and(|status| status.allowed))
}

async fn namespace(cluster: &Cluster) -> Check {
    match cluster.api_of_all::<Namespace>().get_opt(cluster.namespace()).await {
        Ok(found) => checks::namespace(cluster.namespace(), found.as_ref()),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            Check::note("namespace", "this account may not read it", None)
        }
        Err(error) => {
            Check::fail("namespace", Error::cluster("reading the namespace", &error).to_string(), "run this again")
        }
    }
}

async fn volumes(cluster: &Cluster) -> Check {
    match cluster.api_of_all::<StorageClass>().list(&ListParams::default()).await {
        Ok(found) => checks::volumes(&found.items),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            Check::note("volumes", "this account may not read the classes of volumes", None)
        }
        Err(error) => {
            Check::fail("volumes", Error::cluster("reading the storage classes", &error).to_string(), "run this again")
        }
    }
}

async fn store(cluster: &Cluster) -> Check {
    match Store::new(cluster).head().await {
        Ok(head) => checks::head(&head.value),
        Err(error) => Check::fail("store", error.to_string(), "`komandan history` reads it, too"),
    }
}

async fn lock(cluster: &Cluster) -> Check {
    match cluster.api::<Lease>().get_opt(names::LOCK).await {
        Ok(lease) => {
            let held = lease.as_ref().and_then(Held::of);
            checks::lock(held.map(|held| (held.is_over(), held.holder, held.since)))
        }
        Err(error) => Check::fail("lock", Error::cluster("reading the lock", &error).to_string(), "run this again"),
    }
}

/// Whether the registry answers, and takes docker's credentials.
async fn registry(settings: &Settings) -> Check {
    let Some(prefix) = &settings.registry else {
        let mend = "write `images: { registry: HOST/PATH }` in clustergraph.yaml, if anything is to be built";
        return Check::note("registry", "none is named", Some(mend.to_owned()));
    };
    // A tag that nobody pushes: that it is not there is an answer.
    let probe = format!("{}/komandan-doctor:none", prefix.trim_end_matches('/'));
    match Registry::new().digest(&probe).await {
        Ok(_) => Check::ok("registry", format!("{prefix} answers")),
        Err(error) => Check::fail("registry", error.to_string(), "images can be neither looked for nor pushed"),
    }
}
