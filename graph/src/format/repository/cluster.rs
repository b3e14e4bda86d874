//! One permanent cluster, as `clustergraph.yaml` describes it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::diagnostic::{Place, Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::yaml::{Key, Value, Yaml};
use crate::format::{dns_label, quantity};

/// A cluster that is known by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The kubeconfig's context; the current one otherwise.
    pub context: Option<String>,
    /// The namespace; the cluster's name otherwise.
    pub namespace: Option<String>,
    /// How a new version takes the place of the old one.
    pub strategy: Strategy,
    /// The host of its entries; `{n}` is a pull request's number.
    pub domain: Option<String>,
    /// How many versions are kept.
    pub keep: Option<u32>,
    /// How long the version before stays ready to be switched back to.
    pub warm: Option<Duration>,
    /// Whether overlays may use its instances.
    pub lends: bool,
    /// The controller that leads requests into it.
    pub ingress: Option<Ingress>,
    /// What its pods may reach outside, where they declare nothing.
    pub egress: Egress,
    /// How long pulling an image may fail before the deploy does.
    pub pull_grace: Option<Duration>,
    /// Databases that are not run in the cluster, by address.
    pub databases: BTreeMap<String, ExternalDatabase>,
    /// What databases begin with, by address, where it is said of single ones.
    pub origins: BTreeMap<String, (Origin, Place)>,
    /// Sizes in bytes of what is kept on disks, by a database's address, a volume's address or a kind.
    pub size: BTreeMap<String, u64>,
    /// After which time it ends by itself.
    pub ttl: Option<Duration>,
    /// Whether its databases get their seeds.
    pub seed: bool,
    /// What its databases begin with, where nothing is said of a single one.
    pub clone: Option<Origin>,
    /// The Secret, or the cluster, that its secrets are taken from.
    pub secrets_from: Option<String>,
    /// What all of it together may take.
    pub quota: Option<Quota>,
    /// The namespaces that are there for such clusters, one for each; they make their own otherwise.
    pub pool: Vec<String>,
    /// Where each of its fields was written.
    pub places: BTreeMap<&'static str, Place>,
}

/// How a new version takes the place of the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// All of it at once, by one switch.
    #[default]
    Atomic,
    /// Service by service, instance by instance.
    Rolling,
}

/// What pods may reach outside their cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Egress {
    /// Everything.
    #[default]
    Allow,
    /// What `egress:` of their service says.
    Deny,
}

/// The controller that leads requests into a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ingress {
    /// The class of Ingress objects.
    pub class: Option<String>,
    /// The namespace that its pods run in.
    pub namespace: Option<String>,
    /// The Gateway, as `NAME` or `NAMESPACE/NAME`, where requests come by one instead of an Ingress.
    pub gateway: Option<String>,
    /// The Secret with the certificate of the cluster's host.
    pub tls: Option<String>,
}

/// A database that somebody else runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalDatabase {
    /// The Secret that says where it is and who may enter.
    pub secret: String,
}

/// What a database begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nothing but what its migrations make.
    Fresh,
    /// The data of the database of this address in another cluster.
    Clone(String),
}

impl Origin {
    /// The cluster whose data it is.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        match self {
            Self::Clone(cluster) => Some(cluster),
            Self::Fresh => None,
        }
    }
}

/// What all of a cluster together may take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quota {
    /// Thousandths of processors.
    pub cpu_millis: Option<u32>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Bytes on disks.
    pub storage_bytes: Option<u64>,
    /// Pods.
    pub pods: Option<u32>,
}

/// Takes fields and remembers where they were written.
struct Reader<'y, 'p> {
    fields: Fields<'y>,
    places: BTreeMap<&'static str, Place>,
    problems: &'p mut Problems,
}

impl<'y> Reader<'y, '_> {
    fn take<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'y Yaml, &str, &mut Problems) -> Option<T>,
    ) -> Option<T> {
        let (key, yaml) = self.fields.take_with_key(name)?;
        self.places.insert(name, key.place.clone());
        read(yaml, &format!("`{name}`"), self.problems)
    }
}

pub(super) fn cluster(yaml: &Yaml, problems: &mut Problems) -> Cluster {
    let Some(fields) = Fields::open(yaml, "a cluster", problems) else { return Cluster::default() };
    let mut reader = Reader { fields, places: BTreeMap::new(), problems };
    let databases = reader.take("databases", |yaml, _, problems| Some(databases(yaml, problems))).unwrap_or_default();
    let cluster = Cluster {
        context: reader.take("context", text),
        namespace: reader.take("namespace", name),
        strategy: reader
            .take("strategy", |yaml, what, problems| {
                decode::choice(yaml, what, &[("atomic", Strategy::Atomic), ("rolling", Strategy::Rolling)], problems)
            })
            .unwrap_or_default(),
        domain: reader.take("domain", domain),
        keep: reader.take("keep", |yaml, what, problems| number(yaml, what, 1..=1_000, problems)),
        warm: reader.take("warm", decode::duration),
        lends: reader.take("lends", decode::boolean).unwrap_or(false),
        ingress: reader.take("ingress", |yaml, _, problems| ingress(yaml, problems)),
        egress: reader
            .take("egress", |yaml, what, problems| {
                decode::choice(yaml, what, &[("allow", Egress::Allow), ("deny", Egress::Deny)], problems)
            })
            .unwrap_or_default(),
        pull_grace: reader.take("pull_grace", decode::duration),
        databases: databases.external,
        origins: databases.origins,
        size: reader.take("size", |yaml, _, problems| Some(sizes(yaml, problems))).unwrap_or_default(),
        ttl: reader.take("ttl", decode::duration),
        seed: reader.take("seed", decode::boolean).unwrap_or(false),
        clone: reader.take("clone", origin),
        secrets_from: reader.take("secrets_from", name),
        quota: reader.take("quota", |yaml, _, problems| quota(yaml, problems)),
        pool: reader.take("pool", pool).unwrap_or_default(),
        places: BTreeMap::new(),
    };
    reader.fields.close("a cluster", reader.problems);
    Cluster { places: reader.places, ..cluster }
}

fn text(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<String> {
    decode::string(yaml, what, problems).map(str::to_owned)
}

fn name(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<String> {
    decode::string(yaml, what, problems).and_then(|name| dns_label(name, &yaml.place, what, problems))
}

fn number(yaml: &Yaml, what: &str, bounds: std::ops::RangeInclusive<i64>, problems: &mut Problems) -> Option<u32> {
    decode::integer(yaml, what, bounds, problems).and_then(|number| u32::try_from(number).ok())
}

/// A host's name; one part of it may hold `{n}`.
fn domain(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<String> {
    let domain = decode::string(yaml, what, problems)?;
    let fine = domain.len() <= 253 && domain.replace("{n}", "0").split('.').all(crate::format::is_dns_label);
    if !fine {
        problems.add(
            Problem::new("name", yaml.place.clone(), format!("`{}` is no host's name", domain.escape_debug()))
                .mend("write shop.example or pr-{n}.shop.example, without scheme and path"),
        );
    }
    fine.then(|| domain.to_owned())
}

fn ingress(yaml: &Yaml, problems: &mut Problems) -> Option<Ingress> {
    let mut fields = Fields::open(yaml, "`ingress`", problems)?;
    let class = fields.take("class").and_then(|yaml| text(yaml, "`ingress.class`", problems));
    let namespace = fields.take("namespace").and_then(|yaml| name(yaml, "`ingress.namespace`", problems));
    let tls = fields.take("tls").and_then(|yaml| name(yaml, "`ingress.tls`", problems));
    let gateway = fields.take("gateway").and_then(|yaml| gateway(yaml, problems));
    fields.close("`ingress`", problems);
    if class.is_some() && gateway.is_some() {
        problems.add(
            Problem::new(
                "one-of",
                yaml.place.clone(),
                "`ingress` has `class` and `gateway`: requests come by one of them",
            )
            .mend("leave one of them out"),
        );
    }
    Some(Ingress { class, namespace, gateway, tls })
}

/// `NAME`, or `NAMESPACE/NAME`.
fn gateway(yaml: &Yaml, problems: &mut Problems) -> Option<String> {
    let what = "`ingress.gateway`";
    let text = decode::string(yaml, what, problems)?;
    let (namespace, name) = text.split_once('/').map_or((None, text), |(namespace, name)| (Some(namespace), name));
    for part in namespace.into_iter().chain([name]) {
        dns_label(part, &yaml.place, what, problems)?;
    }
    Some(text.to_owned())
}

/// What is said of databases, by address.
#[derive(Default)]
struct Databases {
    external: BTreeMap<String, ExternalDatabase>,
    origins: BTreeMap<String, (Origin, Place)>,
}

fn databases(yaml: &Yaml, problems: &mut Problems) -> Databases {
    let mut databases = Databases::default();
    for (key, yaml) in decode::entries(yaml, "`databases`", problems) {
        let what = "a database of a cluster";
        let Some(mut fields) = Fields::open(yaml, what, problems) else { continue };
        let (secret, clone) = (fields.take("secret"), fields.take_with_key("clone"));
        match (secret, clone) {
            (Some(_), Some((clone, _))) => problems.add(
                Problem::new("one-of", clone.place.clone(), format!("{what} has `secret` and `clone`"))
                    .mend("somebody else runs it, or it begins with another cluster's data: leave one of them out"),
            ),
            (None, None) => problems.add(
                Problem::new("missing-field", fields.place().clone(), format!("{what} needs `secret` or `clone`"))
                    .mend("write `secret: NAME` where somebody else runs it, or `clone: production`"),
            ),
            _ => {}
        }
        if let Some(secret) = secret.and_then(|yaml| name(yaml, "`secret`", problems)) {
            databases.external.insert(key.name.clone(), ExternalDatabase { secret });
        }
        if let Some((place, yaml)) = clone
            && let Some(origin) = origin(yaml, "`clone`", problems)
        {
            databases.origins.insert(key.name.clone(), (origin, place.place.clone()));
        }
        fields.close(what, problems);
    }
    databases
}

/// A cluster's name, or `none`.
fn origin(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<Origin> {
    let name = name(yaml, what, problems)?;
    Some(if name == "none" { Origin::Fresh } else { Origin::Clone(name) })
}

fn sizes(yaml: &Yaml, problems: &mut Problems) -> BTreeMap<String, u64> {
    let entries = decode::entries(yaml, "`size`", problems);
    let size = |(key, yaml): &(Key, Yaml), problems: &mut Problems| {
        let what = format!("`size.{}`", key.name.escape_debug());
        quantity::bytes(yaml, &what, problems).map(|bytes| (key.name.clone(), bytes))
    };
    entries.iter().filter_map(|entry| size(entry, problems)).collect()
}

/// Names of namespaces, each once.
fn pool(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<Vec<String>> {
    let items = decode::list(yaml, what, problems)?;
    if items.is_empty() {
        problems.add(
            Problem::new("empty", yaml.place.clone(), format!("{what} is empty")).mend(
                "name the namespaces that are there for these clusters, or leave it out: then each makes its own",
            ),
        );
    }
    let mut pool: Vec<String> = Vec::new();
    for item in items {
        let Some(name) = name(item, &format!("each item of {what}"), problems) else { continue };
        if pool.contains(&name) {
            let problem = Problem::new("duplicate-name", item.place.clone(), format!("`{name}` is there twice"));
            problems.add(problem.mend("remove one of them"));
        } else {
            pool.push(name);
        }
    }
    Some(pool)
}

fn quota(yaml: &Yaml, problems: &mut Problems) -> Option<Quota> {
    let mut fields = Fields::open(yaml, "`quota`", problems)?;
    let quota = Quota {
        cpu_millis: fields.take("cpu").and_then(|yaml| quantity::cpu(yaml, "`quota.cpu`", problems)),
        memory_bytes: fields.take("memory").and_then(|yaml| quantity::bytes(yaml, "`quota.memory`", problems)),
        storage_bytes: fields.take("storage").and_then(|yaml| quantity::bytes(yaml, "`quota.storage`", problems)),
        pods: fields.take("pods").and_then(|yaml| number(yaml, "`quota.pods`", 1..=1_000_000, problems)),
    };
    fields.close("`quota`", problems);
    if yaml.value == Value::Map(Vec::new()) { None } else { Some(quota) }
}
