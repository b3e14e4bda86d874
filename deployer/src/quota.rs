//! What new instances ask for beside what still runs, and whether the namespace's quotas allow it: told before anything is
//! written. Pure, but for reading the quotas.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{LimitRange, Pod, ResourceQuota};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::view::Observed;
use crate::error::{Error, Result};
use crate::names;
use crate::plan::{Action, Part, Step, Target, size_by_load};
use crate::render::{Kind, Logical};
use crate::store::record::Content;
use crate::transient::Bounds;

/// What a quota calls the resources that are counted here.
const CPU: &str = "requests.cpu";
const MEMORY: &str = "requests.memory";
const LIMITS_CPU: &str = "limits.cpu";
const LIMITS_MEMORY: &str = "limits.memory";
const PODS: &str = "pods";
const CLAIMS: &str = "persistentvolumeclaims";
const STORAGE: &str = "requests.storage";

/// What a container says of itself, where, and what a quota calls it.
const SAID: [(&str, &str, &str); 4] = [
    ("/resources/requests/cpu", "/resources/limits/cpu", CPU),
    ("/resources/requests/memory", "/resources/limits/memory", MEMORY),
    ("/resources/limits/cpu", "/resources/limits/cpu", LIMITS_CPU),
    ("/resources/limits/memory", "/resources/limits/memory", LIMITS_MEMORY),
];

/// Amounts in thousandths, by what a quota calls the resource: processors, bytes or pieces.
type Amounts = BTreeMap<&'static str, i128>;

/// What a plan takes beside what still runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Extra {
    amounts: Amounts,
    /// Who has a container that does not say how much it takes, by what it leaves unsaid.
    unsaid: BTreeMap<&'static str, BTreeSet<String>>,
}

/// What a namespace allows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Room {
    quotas: Vec<ResourceQuota>,
    /// What a container gets that says nothing, by what a quota calls it.
    defaults: Amounts,
}

impl Room {
    /// Reads quotas and defaults; there are none where there is no namespace yet.
    pub(crate) async fn read(cluster: &Cluster) -> Result<Self> {
        let all = ListParams::default();
        let (quotas, ranges) = (cluster.api::<ResourceQuota>(), cluster.api::<LimitRange>());
        let read = tokio::try_join!(quotas.list(&all), ranges.list(&all));
        let (quotas, ranges) = read.map_err(|error| Error::cluster("reading the namespace's quotas", &error))?;
        Ok(Self { quotas: quotas.items, defaults: defaults(&ranges.items) })
    }

    /// The room of a namespace that is yet to be made, with these bounds.
    pub(crate) fn of(bounds: Option<&Bounds>) -> Self {
        let ranges: Vec<LimitRange> = bounds.and_then(|bounds| bounds.defaults.clone()).into_iter().collect();
        Self { quotas: bounds.map(|bounds| bounds.quota.clone()).into_iter().collect(), defaults: defaults(&ranges) }
    }

    /// What a plan takes beside what still runs: instances that are new, and Jobs while they run.
    pub(crate) fn extra(
        &self,
        steps: &[Step],
        (target, current): (&Target, Option<&Content>),
        logical: &BTreeMap<String, Logical>,
        observed: &Observed,
    ) -> Extra {
        let mut extra = Extra::default();
        for step in steps {
            match (&step.part, step.action) {
                (Part::Service(_), Action::Stop) => {}
                (Part::Service(name), action) => {
                    let (Some(node), Some(objects)) = (target.content.nodes.get(name), target.objects.get(name)) else {
                        continue;
                    };
                    let template =
                        |kind| objects.iter().find(|it| it.kind() == kind)?.body.pointer("/spec/template/spec");
                    if let (Kind::Task, Some(pod)) = (node.kind, template("Job")) {
                        extra.pods(name, pod, 1, &self.defaults);
                    }
                    let Some(pod) = template("Deployment") else { continue };
                    let size = |workload: &String| {
                        let live = observed.deployments.get(workload).and_then(|live| live.spec.as_ref()?.replicas);
                        i128::from(live.unwrap_or(0))
                    };
                    let wanted = if node.scales { size_by_load(name, node, observed) } else { node.replicas };
                    // What is handed over takes the place of its former version.
                    let former = current.and_then(|current| current.nodes.get(name)).map(|former| &former.workload);
                    let former = former.filter(|former| action == Action::Start && **former != node.workload);
                    let there = size(&node.workload) + former.map_or(0, size);
                    extra.pods(name, pod, (i128::from(wanted) - there).max(0), &self.defaults);
                }
                (Part::Server(name), Action::Create) => {
                    let Some(server) = target.servers.get(name) else { continue };
                    let set = server.objects.iter().find(|object| object.kind() == "StatefulSet");
                    let Some(set) = set.map(|set| &set.body) else { continue };
                    if let Some(pod) = set.pointer("/spec/template/spec") {
                        extra.pods(name, pod, 1, &self.defaults);
                    }
                    if !observed.claims.contains_key(&names::server_claim(&server.name)) {
                        extra.claims(set.pointer("/spec/volumeClaimTemplates"));
                    }
                }
                (Part::Database(address), Action::Run | Action::Clone) => {
                    let job = logical.get(address).and_then(|it| it.migrate.as_ref().or(it.make.as_ref()));
                    if let Some(pod) = job.and_then(|job| job.body.pointer("/spec/template/spec")) {
                        extra.pods(address, pod, 1, &self.defaults);
                    }
                }
                (Part::Base, _) => {
                    let new = target.claims.iter().filter(|claim| !observed.claims.contains_key(claim.name()));
                    extra.claims(Some(&new.map(|claim| claim.body.clone()).collect()));
                }
                (Part::Server(_) | Part::Database(_) | Part::Entry(_), _) => {}
            }
        }
        extra
    }

    /// Why a quota does not allow it: all reasons. What a quota counts by scopes (classes of priority, what ends by itself)
    /// is left to the API server.
    pub(crate) fn against(&self, extra: &Extra) -> Vec<String> {
        let mut reasons = Vec::new();
        for quota in &self.quotas {
            let spec = quota.spec.clone().unwrap_or_default();
            if spec.scopes.is_some() || spec.scope_selector.is_some() {
                continue;
            }
            let status = quota.status.clone().unwrap_or_default();
            let used = status.used.unwrap_or_default();
            let of = format!("the ResourceQuota {}", quota.name_any());
            for (written, hard) in status.hard.or(spec.hard).unwrap_or_default() {
                let Some(name) = known(&written) else { continue };
                let (Some(hard), used) = (thousandths(&hard.0), used.get(&written).and_then(|it| thousandths(&it.0)))
                else {
                    continue;
                };
                let (used, more) = (used.unwrap_or(0), extra.amounts.get(name).copied().unwrap_or(0));
                if more > 0 && used + more > hard {
                    let [hard, used, more] = [hard, used, more].map(|amount| words(name, amount));
                    reasons
                        .push(format!("{of} allows {hard} of {written}: {used} are taken, and this takes {more} more"));
                }
                for who in extra.unsaid.get(name).into_iter().flatten() {
                    let field = name.rsplit('.').next().unwrap_or(name);
                    reasons.push(format!(
                        "{of} takes no container that does not say its {written}, as one of {who} does not: write `resources: {{ \
                         {field}: ... }}`, or make a LimitRange with defaults for what cannot say it"
                    ));
                }
            }
        }
        reasons
    }

    /// Refuses what a quota does not allow.
    pub(crate) fn refuse(&self, extra: &Extra) -> Result<()> {
        let reasons = self.against(extra);
        if reasons.is_empty() {
            return Ok(());
        }
        let mend = "Nothing was changed. Ask for less (`resources`, `scale`), make room (`komandan scale`, `komandan gc`), or have the \
                    quota raised";
        Err(Error::Deploy(format!("{}\n{mend}", reasons.join("\n"))))
    }
}

impl Extra {
    fn pods(&mut self, who: &str, pod: &Value, count: i128, defaults: &Amounts) {
        if count == 0 {
            return;
        }
        *self.amounts.entry(PODS).or_default() += count * 1000;
        let containers = |field: &str| pod.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
        let (main, first) = (containers("containers"), containers("initContainers"));
        for (pointer, instead, name) in SAID {
            // Of a container that says only its limit, that is what it asks for.
            let said = |container: &Value| {
                let amount = |at: &str| container.pointer(at).and_then(Value::as_str).and_then(thousandths);
                amount(pointer).or_else(|| amount(instead)).or_else(|| defaults.get(name).copied())
            };
            if main.iter().chain(&first).any(|container| said(container).is_none()) {
                self.unsaid.entry(name).or_default().insert(who.to_owned());
            }
            // What runs first runs alone, unless it goes on beside the rest.
            let goes_on = |container: &&Value| container.get("restartPolicy").is_some_and(|policy| policy == "Always");
            let beside: i128 = first.iter().filter(goes_on).chain(&main).filter_map(said).sum();
            let alone = first.iter().filter_map(said).max().unwrap_or(0);
            let most = beside.max(alone);
            if most > 0 {
                *self.amounts.entry(name).or_default() += count * most;
            }
        }
    }

    fn claims(&mut self, claims: Option<&Value>) {
        for claim in claims.and_then(Value::as_array).into_iter().flatten() {
            *self.amounts.entry(CLAIMS).or_default() += 1000;
            let size = claim.pointer("/spec/resources/requests/storage").and_then(Value::as_str).and_then(thousandths);
            *self.amounts.entry(STORAGE).or_default() += size.unwrap_or(0);
        }
    }

    /// What these pods ask for, but for those that have ended.
    pub(crate) fn of_pods<'p>(pods: impl Iterator<Item = &'p Pod>) -> Self {
        let mut extra = Self::default();
        let has_ended = |pod: &&Pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            matches!(phase, Some("Succeeded" | "Failed"))
        };
        for pod in pods.filter(|pod| !has_ended(pod)) {
            if let Ok(spec) = serde_json::to_value(&pod.spec) {
                extra.pods(&pod.name_any(), &spec, 1, &Amounts::new());
            }
        }
        extra
    }

    /// The amounts for people; nothing where there is nothing.
    pub(crate) fn amounts(&self) -> Option<String> {
        let pods = self.amounts.get(PODS).map(|count| count / 1000)?;
        let part =
            |name: &'static str, what: &str| self.amounts.get(name).map(|it| format!("{} {what}", words(name, *it)));
        let pods = format!("{pods} {}", if pods == 1 { "pod" } else { "pods" });
        let parts = [Some(pods), part(CPU, "cpu"), part(MEMORY, "memory"), part(STORAGE, "storage")];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        Some(parts.join(", "))
    }

    /// For people; nothing where there is nothing.
    pub(crate) fn text(&self) -> Option<String> {
        let mut text = format!("asks for {} beside what still runs", self.amounts()?);
        let silent: BTreeSet<&String> =
            [CPU, MEMORY].iter().filter_map(|name| self.unsaid.get(name)).flatten().collect();
        if !silent.is_empty() {
            let silent: Vec<&str> = silent.into_iter().map(String::as_str).collect();
            text.push_str(&format!("; without a word about all of cpu and memory: {}", silent.join(", ")));
        }
        Some(text)
    }

    /// For programs: thousandths of processors, bytes and pieces.
    pub(crate) fn json(&self) -> Value {
        let amount = |name| self.amounts.get(name).copied().unwrap_or(0);
        let whole = |name| u64::try_from(amount(name) / 1000).unwrap_or(u64::MAX);
        json!({
            "pods": whole(PODS), "cpu_millis": u64::try_from(amount(CPU)).unwrap_or(u64::MAX),
            "memory_bytes": whole(MEMORY), "storage_bytes": whole(STORAGE),
        })
    }
}

/// A quota's name of a resource, in its longer form; nothing for what is not counted here.
fn known(written: &str) -> Option<&'static str> {
    let name = match written {
        "cpu" => CPU,
        "memory" => MEMORY,
        "count/pods" => PODS,
        "count/persistentvolumeclaims" => CLAIMS,
        other => other,
    };
    [CPU, MEMORY, LIMITS_CPU, LIMITS_MEMORY, PODS, CLAIMS, STORAGE].into_iter().find(|known| *known == name)
}

/// What containers get that say nothing: of several ranges the first that says it.
fn defaults(ranges: &[LimitRange]) -> Amounts {
    let mut defaults = Amounts::new();
    let limits = ranges.iter().filter_map(|range| range.spec.as_ref()).flat_map(|spec| &spec.limits);
    for limit in limits.filter(|limit| limit.type_ == "Container") {
        let of = |map: &Option<BTreeMap<String, Quantity>>, key: &str| {
            map.as_ref().and_then(|map| map.get(key)).and_then(|amount| thousandths(&amount.0))
        };
        for (key, request, most) in [("cpu", CPU, LIMITS_CPU), ("memory", MEMORY, LIMITS_MEMORY)] {
            let (asked, limit) = (of(&limit.default_request, key), of(&limit.default, key));
            for (name, amount) in [(request, asked.or(limit)), (most, limit)] {
                if let Some(amount) = amount {
                    defaults.entry(name).or_insert(amount);
                }
            }
        }
    }
    defaults
}

/// A quantity of Kubernetes in thousandths, rounded up: a number, and a unit of thousands, of 1024, or an exponent of ten
/// (k8s.io/apimachinery, resource.Quantity). Nothing for what is none.
fn thousandths(text: &str) -> Option<i128> {
    let digits = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let number: i128 = format!("{whole}{fraction}").parse().ok()?;
    let power = |base: i128, exponent: u32| base.checked_pow(exponent);
    // How many billionths one of a unit is.
    let unit = match unit {
        "n" => 1,
        "u" => power(10, 3)?,
        "m" => power(10, 6)?,
        "" => power(10, 9)?,
        _ => {
            let decimal = "kMGTPE".find(unit).filter(|_| unit.len() == 1);
            let binary = unit.strip_suffix('i').filter(|unit| unit.len() == 1).and_then(|unit| "KMGTPE".find(unit));
            let exponent = unit.strip_prefix(['e', 'E']).and_then(|exponent| exponent.parse::<u32>().ok());
            let steps = |at: usize| u32::try_from(at + 1).ok();
            let factor = match (decimal, binary, exponent) {
                (_, _, Some(exponent)) => power(10, exponent)?,
                (_, Some(at), _) => power(1024, steps(at)?)?,
                (Some(at), ..) => power(1000, steps(at)?)?,
                _ => return None,
            };
            factor.checked_mul(power(10, 9)?)?
        }
    };
    let billionths = number.checked_mul(unit)?.div_euclid(scale);
    Some(billionths.checked_add(999_999)?.div_euclid(1_000_000))
}

/// An amount as people write it.
fn words(name: &str, thousandths: i128) -> String {
    if matches!(name, CPU | LIMITS_CPU) {
        return if thousandths % 1000 == 0 { (thousandths / 1000).to_string() } else { format!("{thousandths}m") };
    }
    let whole = thousandths / 1000;
    if matches!(name, PODS | CLAIMS) {
        return whole.to_string();
    }
    let units = [(1_i128 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    let unit = units.into_iter().find(|(size, _)| whole >= *size);
    unit.map_or_else(
        || whole.to_string(),
        |(size, unit)| {
            // One digit behind the point is enough to compare by eye.
            let tenths = whole * 10 / size;
            if tenths % 10 == 0 {
                format!("{}{unit}", tenths / 10)
            } else {
                format!("{}.{}{unit}", tenths / 10, tenths % 10)
            }
        },
    )
}

#[cfg(test)]
mod tests;
