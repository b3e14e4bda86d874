//! What somebody else has set otherwise than a plan would: told before anything is done. The API server says the same later of
//! what is not watched.

use kube::ResourceExt;
use serde::Serialize;
use serde_json::json;

use super::node::is_coded_otherwise;
use super::{Action, Part, Step, Target};
use crate::cluster::ensure::hash_of_live;
use crate::cluster::fields::{Held, held, is_shared, told};
use crate::cluster::view::Observed;
use crate::render::Object;

/// The fields of others that these steps would set otherwise, by the object's kind and name.
pub(crate) fn conflicts(
    steps: &[Step],
    target: &Target,
    observed: &Observed,
    cluster: &str,
) -> Vec<(String, Vec<Held>)> {
    let mut all = Vec::new();
    // What is only waited for is not changed.
    for step in steps.iter().filter(|step| step.action != Action::Await) {
        match &step.part {
            Part::Service(name) => {
                let objects = target.objects.get(name).into_iter().flatten();
                all.extend(objects.filter_map(|object| of_node(name, object, target, observed)));
            }
            Part::Entry(name) => {
                let entry = target.content.own_entries().find(|(own, _)| *own == name);
                let object = entry.map(|(name, entry)| entry.object(name, cluster));
                all.extend(object.and_then(|object| of(&object, observed.services.get(name)?.as_ref())));
            }
            Part::Base => {
                let policies = target.base.iter().filter(|object| object.kind() == "NetworkPolicy");
                all.extend(policies.filter_map(|object| of(object, observed.policies.get(object.name())?.as_ref())));
            }
            // A server that is there stays as it is.
            Part::Server(_) | Part::Database(_) => {}
        }
    }
    all
}

/// A service of which others have set fields otherwise than a version that is there already says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Stranger {
    /// The service.
    pub(crate) service: String,
    /// The object, by kind and name.
    #[serde(rename = "object")]
    pub(crate) what: String,
    /// The fields.
    #[serde(rename = "fields")]
    pub(crate) held: Vec<Held>,
}

/// Those of the services that no step changes. They are left as they are, unless all is to be taken over.
pub(crate) fn strangers(steps: &[Step], target: &Target, observed: &Observed) -> Vec<Stranger> {
    let changes = |step: &Step, name: &String| matches!(&step.part, Part::Service(own) if own == name && step.action != Action::Await);
    let is_left = |name: &String| !steps.iter().any(|step| changes(step, name));
    let nodes = target.objects.iter().filter(|(name, _)| is_left(name));
    let objects = nodes.flat_map(|(name, objects)| objects.iter().map(move |object| (name, object)));
    let of = |(name, object): (&String, &Object)| {
        let (what, held) = match object.kind() {
            "Deployment" => differing(&sized(name, object, target), observed.deployments.get(object.name())?.as_ref()),
            "Service" => differing(object, observed.services.get(object.name())?.as_ref()),
            _ => None,
        }?;
        Some(Stranger { service: name.clone(), what, held })
    };
    objects.filter_map(of).collect()
}

/// Makes a plan take all of that over.
pub(crate) fn take_over(steps: &mut Vec<Step>, strangers: &[Stranger]) {
    for stranger in strangers {
        let part = Part::Service(stranger.service.clone());
        match steps.iter_mut().find(|step| step.part == part) {
            Some(step) => (step.action, step.reason) = (Action::Change, told(&stranger.held)),
            None => steps.push(Step::new(part, Action::Change, told(&stranger.held))),
        }
    }
}

/// A Deployment with its size. What is scaled by load keeps the one that it has.
fn sized(name: &str, object: &Object, target: &Target) -> Object {
    let mut wanted = object.clone();
    if let Some(node) = target.content.nodes.get(name).filter(|node| !node.scales) {
        wanted.set_spec("replicas", json!(node.replicas));
    }
    wanted
}

fn of_node(name: &str, object: &Object, target: &Target, observed: &Observed) -> Option<(String, Vec<Held>)> {
    let node = target.content.nodes.get(name)?;
    match object.kind() {
        "Deployment" => {
            let live = observed.deployments.get(object.name())?;
            let wanted = sized(name, object, target);
            let size = live.spec.as_ref().and_then(|spec| spec.replicas);
            let is_sized = node.scales || size == i32::try_from(node.replicas).ok();
            let is_changed = !is_sized || is_coded_otherwise(&live.metadata, object, target.codes.get(name));
            if is_changed { differing(&wanted, live.as_ref()) } else { of(&wanted, live.as_ref()) }
        }
        "Service" => of(object, observed.services.get(object.name())?.as_ref()),
        "CronJob" => of(object, observed.cron_jobs.get(object.name())?.as_ref()),
        _ => None,
    }
}

/// The same of one object, which is only changed where its hash is another one.
fn of(wanted: &Object, live: &(impl ResourceExt + Serialize)) -> Option<(String, Vec<Held>)> {
    if hash_of_live(live.meta()) == Some(wanted.hash()) { None } else { differing(wanted, live) }
}

fn differing(wanted: &Object, live: &(impl ResourceExt + Serialize)) -> Option<(String, Vec<Held>)> {
    if !is_shared(live.meta()) {
        return None;
    }
    let body = serde_json::to_value(live).unwrap_or_default();
    let held = held(live.meta(), &wanted.body, Some(&body));
    (!held.is_empty()).then(|| (wanted.what(), held))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;
    use crate::plan::tests::{made, target};
    use serde_json::Value;
    use std::sync::Arc;

    const CLUSTER: &str = "production";

    /// The api's Deployment, of which somebody has set the size or the text.
    fn shared(observed: &mut Observed, workload: &str, fields: Value, change: impl FnOnce(&mut Value)) {
        let mut live = serde_json::to_value(observed.deployments[workload].as_ref()).unwrap();
        live["metadata"]["managedFields"] =
            json!([{ "manager": "kubectl", "operation": "Update", "fieldsV1": fields }]);
        change(&mut live);
        observed.deployments.insert(workload.to_owned(), Arc::new(serde_json::from_value(live).unwrap()));
    }

    fn step(action: Action) -> [Step; 1] {
        [Step::new(Part::Service("api".to_owned()), action, String::new())]
    }

    #[test]
    fn a_size_that_somebody_else_chose_is_told_and_one_that_the_load_chose_is_not() {
        let mut target = target("1", "1");
        let workload = target.content.nodes["api"].workload.clone();
        let mut observed = made(&target);
        let fields = json!({ "f:spec": { "f:replicas": {} } });
        shared(&mut observed, &workload, fields, |live| live["spec"]["replicas"] = json!(5));
        let found = |target: &Target, action| conflicts(&step(action), target, &observed, CLUSTER);
        let held = vec![Held { manager: "kubectl".to_owned(), field: ".spec.replicas".to_owned() }];
        assert_eq!(found(&target, Action::Scale), [(format!("Deployment {workload}"), held)]);
        assert_eq!(found(&target, Action::Await), [], "it is not changed");
        if let Some(node) = target.content.nodes.get_mut("api") {
            node.scales = true;
        }
        assert_eq!(found(&target, Action::Change), []);
    }

    #[test]
    fn only_what_is_changed_is_in_the_way() {
        let target = target("1", "1");
        let workload = target.content.nodes["api"].workload.clone();
        let fields = json!({ "f:spec": { "f:minReadySeconds": {} } });
        let mut wanted = target.clone();
        for object in wanted.objects.get_mut("api").unwrap() {
            object.set_spec("minReadySeconds", json!(4));
        }
        let mut observed = made(&target);
        shared(&mut observed, &workload, fields.clone(), |live| live["spec"]["minReadySeconds"] = json!(3));
        assert_eq!(conflicts(&step(Action::Change), &wanted, &observed, CLUSTER), [], "its hash is the same");
        let strangers = strangers(&[], &wanted, &observed);
        for mut steps in [Vec::new(), step(Action::Await).to_vec()] {
            take_over(&mut steps, &strangers);
            let told: Vec<_> =
                steps.iter().map(|step| (step.part.to_string(), step.action, step.reason.as_str())).collect();
            let expected = ("api".to_owned(), Action::Change, ".spec.minReadySeconds was set by kubectl");
            assert_eq!(told, [expected], "but it is said");
        }
        shared(&mut observed, &workload, fields.clone(), |live| {
            live["spec"]["minReadySeconds"] = json!(3);
            live["metadata"]["annotations"][names::HASH] = json!("another");
        });
        let found = conflicts(&step(Action::Change), &wanted, &observed, CLUSTER);
        assert_eq!(found.len(), 1, "{found:?}");
        shared(&mut observed, &workload, fields, |live| live["spec"]["minReadySeconds"] = json!(4));
        assert_eq!(conflicts(&step(Action::Change), &wanted, &observed, CLUSTER), [], "it is as we want it");
    }
}
