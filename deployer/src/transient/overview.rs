//! Which clusters there are, and how far each is in its life. Pure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use serde::Serialize;

use super::{Claim, annotation};
use crate::names;

/// How far a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Its namespace is yet to be made.
    Beginning,
    /// It is there.
    Live,
    /// It is there, and nothing of it runs.
    Asleep,
    /// Its time is over, and nobody has ended it.
    Over,
    /// It goes.
    Ending,
}

/// One cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) state: State,
    pub(crate) author: String,
    pub(crate) began: Option<Timestamp>,
    pub(crate) ends: Option<Timestamp>,
    /// Of one that goes: what is still there, and why.
    pub(crate) why: String,
}

/// The clusters by name, those that go last.
pub(crate) fn overview(claims: &[Claim], namespaces: &[Namespace]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = claims.iter().map(|claim| of_claim(claim, namespaces)).collect();
    let is_told =
        |namespace: &Namespace, entry: &Entry| namespace.metadata.name.as_deref() == Some(entry.namespace.as_str());
    let others: Vec<Entry> = namespaces
        .iter()
        .filter(|namespace| !entries.iter().any(|entry| is_told(namespace, entry)))
        .filter_map(without_claim)
        .collect();
    entries.extend(others);
    sorted(entries)
}

/// Clusters by name, those that go last.
pub(super) fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by_key(|entry| (entry.state == State::Ending, entry.name.clone(), entry.namespace.clone()));
    entries
}

fn of_claim(claim: &Claim, namespaces: &[Namespace]) -> Entry {
    let own = namespaces.iter().find(|namespace| namespace.metadata.name.as_deref() == Some(claim.namespace.as_str()));
    let is_going = own.is_some_and(|own| own.metadata.deletion_timestamp.is_some());
    let state = match own {
        None => State::Beginning,
        Some(_) if is_going => State::Ending,
        Some(_) if claim.asleep.is_some() => State::Asleep,
        Some(_) => State::Live,
    };
    Entry {
        name: claim.name.clone(),
        namespace: claim.namespace.clone(),
        state,
        author: claim.author.clone(),
        began: Some(claim.began),
        ends: Some(claim.ends),
        why: own.filter(|_| is_going).map(why).unwrap_or_default(),
    }
}

fn without_claim(namespace: &Namespace) -> Option<Entry> {
    let metadata = &namespace.metadata;
    annotation(metadata, names::END)?;
    let is_going = metadata.deletion_timestamp.is_some();
    Some(Entry {
        name: metadata.labels.as_ref()?.get(names::PART_OF)?.clone(),
        namespace: metadata.name.clone()?,
        state: if is_going { State::Ending } else { State::Over },
        author: String::new(),
        began: metadata.creation_timestamp.as_ref().map(|time| time.0),
        ends: None,
        why: if is_going { why(namespace) } else { "its time is over: `komandan gc` ends it".to_owned() },
    })
}

/// What of a namespace is still there, in the words of Kubernetes.
fn why(namespace: &Namespace) -> String {
    let conditions = namespace.status.as_ref().and_then(|status| status.conditions.as_ref());
    let told = conditions.into_iter().flatten().filter(|condition| condition.status == "True");
    let told: Vec<String> = told
        .filter_map(|condition| condition.message.as_deref())
        .map(|message| message.chars().filter(|c| !c.is_control()).collect())
        .collect();
    if told.is_empty() { "ending".to_owned() } else { told.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transient::claim::tests::job;
    use serde_json::{Value, json};

    fn claim(name: &str, namespace: &str) -> Claim {
        Claim::of(&job(name, namespace, json!({}))).unwrap()
    }

    fn namespace(name: &str, of: &str, status: Value) -> Namespace {
        let is_going = status.get("phase").is_some();
        let namespace = json!({
            "metadata": {
                "name": name, "labels": { (names::PART_OF): of }, "annotations": { (names::END): "some" },
                "deletionTimestamp": is_going.then_some("2026-05-01T12:00:00Z"),
            },
            "status": status,
        });
        serde_json::from_value(namespace).unwrap()
    }

    #[test]
    fn how_far_each_cluster_is() {
        let remains = json!({
            "phase": "Terminating",
            "conditions": [
                { "type": "NamespaceDeletionContentFailure", "status": "False", "message": "all fine" },
                { "type": "NamespaceContentRemaining", "status": "True", "message": "pods. has 2 resource\u{1b} instances" },
            ],
        });
        let asleep = Claim { asleep: Some("2026-05-01T12:30:00Z".to_owned()), ..claim("nap", "nap-aaaa") };
        let claims = [claim("pr-8", "pr-8-bbbb"), asleep, claim("new", "new-cccc")];
        let namespaces = [
            namespace("pr-8-bbbb", "pr-8", json!({})),
            namespace("pr-8-dddd", "pr-8", remains),
            namespace("nap-aaaa", "nap", json!({})),
            namespace("late-eeee", "late", json!({})),
        ];
        let found: Vec<(String, State, String)> =
            overview(&claims, &namespaces).into_iter().map(|it| (it.namespace, it.state, it.why)).collect();
        let row = |namespace: &str, state, why: &str| (namespace.to_owned(), state, why.to_owned());
        assert_eq!(
            found,
            [
                row("late-eeee", State::Over, "its time is over: `komandan gc` ends it"),
                row("nap-aaaa", State::Asleep, ""),
                row("new-cccc", State::Beginning, ""),
                row("pr-8-bbbb", State::Live, ""),
                row("pr-8-dddd", State::Ending, "pods. has 2 resource instances"),
            ]
        );
    }
}
