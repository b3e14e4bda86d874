//! What was found, judged. Pure.

use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::SubjectRulesReviewStatus;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::storage::v1::StorageClass;
use serde::Serialize;

use crate::cluster::rights::Right;
use crate::store::head::Head;
use crate::transient::pool::{Holds, Slot};

/// The oldest API server that this is written for: Jobs with `podReplacementPolicy`, `sleep` before a stop.
const OLDEST: (u32, u32) = (1, 30);
/// A lock's holder is believed dead this many seconds after its last sign; clocks must be nearer to each other.
const SKEW: i64 = 5;
/// What says which class of volumes is taken where none is named.
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    Note,
    Fail,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) state: State,
    pub(super) found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<String>,
}

impl Check {
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), mend: None }
    }

    /// Worth knowing, and no hindrance.
    pub(super) fn note(name: &'static str, found: impl Into<String>, mend: Option<String>) -> Self {
        Self { name, state: State::Note, found: found.into(), mend }
    }

    pub(super) fn fail(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, state: State::Fail, found: found.into(), mend: Some(mend.into()) }
    }

    pub(super) fn is_failure(&self) -> bool {
        self.state == State::Fail
    }
}

/// Whether the API server is new enough.
pub(super) fn version(major: &str, minor: &str, git: &str) -> Check {
    // Some providers write `33+`.
    let number = |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().ok();
    let found = format!("Kubernetes {git}");
    match number(major).zip(number(minor)) {
        Some(version) if version < OLDEST => Check::fail(
            "API server",
            found,
            format!("this komandan is written for {}.{} and newer", OLDEST.0, OLDEST.1),
        ),
        _ => Check::ok("API server", found),
    }
}

/// How far the API server's clock is from ours; nothing when its date is none.
pub(super) fn clock(date: &str, now: Timestamp) -> Option<Check> {
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let seconds = now.duration_since(theirs).as_secs();
    let found = format!("{} s {} the API server's", seconds.abs(), if seconds < 0 { "behind" } else { "ahead of" });
    Some(if seconds.abs() > SKEW {
        let mend = "set it by NTP: the lock of whoever lives might be taken for that of somebody who is gone";
        Check::fail("clock", found, mend)
    } else {
        Check::ok("clock", "agrees with the API server's")
    })
}

/// A right that is needed and not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) group: &'static str,
    pub(super) resource: &'static str,
    pub(super) verb: &'static str,
}

/// What the rules of an account do not grant of what is needed.
pub(super) fn missing(status: &SubjectRulesReviewStatus, needed: &[Right]) -> Vec<Missing> {
    let has = |all: &[String], wanted: &str| all.iter().any(|one| one == "*" || one == wanted);
    let of_kind = |all: &[String], wanted: &str| {
        // `*/log` stands for one subresource of every kind.
        let sub = wanted.split_once('/').map(|(_, sub)| format!("*/{sub}"));
        has(all, wanted) || sub.is_some_and(|sub| all.contains(&sub))
    };
    let granted = |right: &Right, verb: &str| {
        status.resource_rules.iter().any(|rule| {
            // A rule for one object by name is none for all of its kind.
            rule.resource_names.as_ref().is_none_or(Vec::is_empty)
                && has(&rule.verbs, verb)
                && has(rule.api_groups.as_deref().unwrap_or_default(), right.group)
                && of_kind(rule.resources.as_deref().unwrap_or_default(), right.resource)
        })
    };
    let all = needed.iter().flat_map(|right| right.verbs.iter().map(move |verb| (right, *verb)));
    all.filter(|(right, verb)| !granted(right, verb))
        .map(|(right, verb)| Missing { group: right.group, resource: right.resource, verb })
        .collect()
}

/// Whether an account may do all that is needed.
pub(super) fn rights(missing: &[Missing], needed: usize, namespace: &str) -> Check {
    if missing.is_empty() {
        return Check::ok("rights", format!("all {needed} that are needed in {namespace}"));
    }
    let mut kinds: Vec<(&str, Vec<&str>)> = Vec::new();
    for right in missing {
        match kinds.last_mut() {
            Some((resource, verbs)) if *resource == right.resource => verbs.push(right.verb),
            _ => kinds.push((right.resource, vec![right.verb])),
        }
    }
    let words: Vec<String> = kinds.iter().map(|(resource, verbs)| format!("{} {resource}", verbs.join("/"))).collect();
    let mend = "an administrator grants them: `komandan rbac | kubectl apply -f -` (its --help says for whom)";
    Check::fail("rights", format!("{} of {needed} are missing: {}", missing.len(), words.join(", ")), mend)
}

/// Whether a namespace can take a cluster.
pub(super) fn namespace(name: &str, found: Option<&Namespace>) -> Check {
    let Some(found) = found else {
        return Check::note("namespace", format!("{name} is not there: the first deploy makes it, if it may"), None);
    };
    if found.metadata.deletion_timestamp.is_some() {
        let mend = "wait until it is gone, or deploy to another --namespace";
        return Check::fail("namespace", format!("{name} is being deleted: nothing can be made in it"), mend);
    }
    let labels = found.metadata.labels.as_ref();
    let level = labels.and_then(|labels| labels.get("pod-security.kubernetes.io/enforce"));
    let level =
        level.map_or("no level of pod security is enforced".to_owned(), |level| format!("pod security {level}"));
    Check::ok("namespace", format!("{name} is there, {level}"))
}

/// Whether databases get volumes.
pub(super) fn volumes(classes: &[StorageClass]) -> Check {
    let name = |class: &StorageClass| class.metadata.name.clone().unwrap_or_default();
    let is_default = |class: &&StorageClass| {
        let annotations = class.metadata.annotations.as_ref();
        annotations.and_then(|annotations| annotations.get(DEFAULT_CLASS)).map(String::as_str) == Some("true")
    };
    let defaults: Vec<String> = classes.iter().filter(is_default).map(name).collect();
    match defaults.as_slice() {
        [] => {
            let known: Vec<String> = classes.iter().map(name).collect();
            let known = if known.is_empty() { "there is none at all".to_owned() } else { known.join(", ") };
            let mend = format!(
                "databases in the cluster would wait for a volume for ever; annotate one with {DEFAULT_CLASS}=true"
            );
            Check::fail("volumes", format!("no class of volumes is the default ({known})"), mend)
        }
        defaults => Check::ok("volumes", format!("of the class {}", defaults.join(", "))),
    }
}

/// Whether a namespace can be owned by what ends with a deadline.
pub(super) fn end(has_addresses: bool, kind: &str) -> Check {
    if has_addresses {
        return Check::ok("end", "clusters end by themselves");
    }
    let found = "no IPAddress objects (Kubernetes 1.33 and newer have them): clusters do not end by themselves";
    Check::note("end", found, Some(format!("run `komandan gc --cluster {kind}` now and then: it ends what is over")))
}

/// What the namespaces of a pool hold.
pub(super) fn pool(slots: &[Slot]) -> Check {
    let unusable: Vec<String> = slots
        .iter()
        .filter_map(|slot| match &slot.holds {
            Holds::Unusable(why) => Some(format!("{}: {why}", slot.namespace)),
            Holds::Nothing | Holds::Cluster(_) | Holds::Remnants { .. } => None,
        })
        .collect();
    let free = slots.iter().filter(|slot| slot.holds == Holds::Nothing).count();
    let found = format!("{free} of {} namespaces are free; clusters end by themselves", slots.len());
    if unusable.is_empty() {
        return Check::ok("pool", found);
    }
    Check::fail("pool", unusable.join("; "), "an administrator applies what `komandan rbac --cluster NAME` prints")
}

/// Whether the store is at rest.
pub(super) fn head(head: &Head) -> Check {
    match (&head.intent, head.current) {
        (Some(intent), _) => {
            let found = format!("a switch to version {} was begun by a {} and is not over", intent.to, intent.by);
            Check::note("store", found, Some("the next deploy or revert ends it".to_owned()))
        }
        (None, Some(current)) => Check::ok("store", format!("version {current} serves")),
        (None, None) => Check::ok("store", "nothing is deployed yet"),
    }
}

/// Whether somebody changes the cluster, or was gone while doing so.
pub(super) fn lock(held: Option<(bool, String, Timestamp)>) -> Check {
    match held {
        None => Check::ok("lock", "free"),
        Some((false, holder, since)) => Check::note(
            "lock",
            format!("{holder} changes the cluster since {since}"),
            Some("--wait waits for it".to_owned()),
        ),
        Some((true, holder, since)) => {
            let found = format!("{holder} took it at {since} and is gone without giving it back");
            Check::note("lock", found, Some("the next command takes it over, and ends what was begun".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::authorization::v1::ResourceRule;
    use kube::api::ObjectMeta;

    const NEEDED: &[Right] = &[
        Right { group: "", resource: "pods", verbs: &["list", "watch"] },
        Right { group: "", resource: "pods/log", verbs: &["get"] },
        Right { group: "apps", resource: "deployments", verbs: &["patch"] },
    ];

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str]) -> ResourceRule {
        let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        ResourceRule {
            verbs: owned(verbs),
            api_groups: Some(owned(groups)),
            resources: Some(owned(resources)),
            resource_names: None,
        }
    }

    fn lacks(rules: Vec<ResourceRule>) -> Vec<String> {
        let status = SubjectRulesReviewStatus { resource_rules: rules, ..SubjectRulesReviewStatus::default() };
        missing(&status, NEEDED).iter().map(|right| format!("{} {}", right.verb, right.resource)).collect()
    }

    #[test]
    fn what_is_missing_is_named_right_by_right() {
        assert_eq!(lacks(vec![]), ["list pods", "watch pods", "get pods/log", "patch deployments"]);
        assert_eq!(lacks(vec![rule(&["*"], &["*"], &["*"])]), Vec::<String>::new());
        let read = rule(&["list", "watch"], &[""], &["pods"]);
        assert_eq!(lacks(vec![read.clone()]), ["get pods/log", "patch deployments"]);
        assert_eq!(lacks(vec![read, rule(&["get"], &[""], &["*/log"])]), ["patch deployments"]);
        let mut named = rule(&["patch"], &["apps"], &["deployments"]);
        named.resource_names = Some(vec!["api".to_owned()]);
        assert_eq!(lacks(vec![rule(&["*"], &[""], &["*"]), named]), ["patch deployments"]);
        let check = rights(&missing(&SubjectRulesReviewStatus::default(), NEEDED), 4, "shop");
        assert_eq!(check.found, "4 of 4 are missing: list/watch pods, get pods/log, patch deployments");
        assert!(check.is_failure() && check.mend.unwrap().contains("komandan rbac"));
    }

    #[test]
    fn clocks_and_versions() {
        let now: Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
        let state = |date: &str| clock(date, now).map(|check| check.state);
        assert_eq!(state("Fri, 01 May 2026 11:59:58 GMT"), Some(State::Ok));
        assert_eq!(state("Fri, 01 May 2026 11:59:30 GMT"), Some(State::Fail));
        assert_eq!(state("no date"), None);
        assert!(clock("Fri, 01 May 2026 12:01:00 GMT", now).unwrap().found.starts_with("60 s behind"));
        assert!(!version("1", "33+", "v1.33.1-gke.1").is_failure());
        assert!(version("1", "27", "v1.27.0").is_failure());
    }

    #[test]
    fn a_namespace_that_goes_and_volumes_that_nobody_gives_are_failures() {
        let mut found = Namespace::default();
        assert!(!namespace("shop", None).is_failure() && !namespace("shop", Some(&found)).is_failure());
        let gone = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH);
        found.metadata.deletion_timestamp = Some(gone);
        assert!(namespace("shop", Some(&found)).is_failure());
        let class = |default: &str| StorageClass {
            metadata: ObjectMeta {
                name: Some("standard".to_owned()),
                annotations: Some([(DEFAULT_CLASS.to_owned(), default.to_owned())].into()),
                ..ObjectMeta::default()
            },
            ..StorageClass::default()
        };
        assert!(volumes(&[]).is_failure());
        assert!(volumes(&[class("false")]).found.contains("standard"));
        assert_eq!(volumes(&[class("false"), class("true")]).state, State::Ok);
    }

    #[test]
    fn what_was_left_behind_is_told() {
        let mut left = Head::default();
        left.intend(4, "deploy");
        assert!(head(&left).found.contains("version 4"));
        assert_eq!(lock(None).state, State::Ok);
        assert!(lock(Some((true, "ada@desk:1".to_owned(), Timestamp::UNIX_EPOCH))).found.contains("is gone"));
    }
}
