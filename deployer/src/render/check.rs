//! Checks of a service (tests, and its smoke check): Jobs whose pods are its own in all but what they run.

use std::collections::BTreeMap;

use clustergraph::graph::Service;
use clustergraph::wiring::Hole;
use serde_json::{Value, json};

use super::Object;
use super::env::literal;
use super::pod::{command, set};
use crate::names::{self, Component};

/// How long a program of a check may take to end that is told to, in seconds: it holds nothing that others need.
const GRACE: u32 = 5;

/// What is checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Check<'c> {
    /// The cluster's name.
    pub(crate) cluster: &'c str,
    /// The service's name. What calls and stores are allowed to it are allowed to its checks.
    pub(crate) service: &'c str,
    /// What kind of check.
    pub(crate) component: Component,
    /// What it finds in its environment besides what its service does, in place of it where both have a name.
    pub(crate) env: &'c BTreeMap<String, String>,
    /// Its image, where it is not its service's.
    pub(crate) image: Option<&'c str>,
}

/// How a check's Job is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long all of it may take, in seconds.
    pub(crate) deadline: u64,
    /// How long it stays for its log when it is over, in seconds.
    pub(crate) stays: u64,
}

/// The template of a node's pods, among its objects.
pub(crate) fn template(objects: &[Object]) -> Option<&Value> {
    objects.iter().find_map(|object| match object.kind() {
        "Deployment" | "Job" => object.body.pointer("/spec/template"),
        "CronJob" => object.body.pointer("/spec/jobTemplate/spec/template"),
        _ => None,
    })
}

/// Where a service is, for its checks. What its own environment says of that name wins.
pub(crate) fn own_address(service: &Service, workload: &str) -> BTreeMap<String, String> {
    let fill = |hole: &Hole| match hole {
        Hole::ServicePort(_, name) => {
            let port = service.ports.iter().find(|port| port.name == *name);
            port.map(|port| port.number.to_string()).unwrap_or_default()
        }
        // Nothing else is in the address of a service.
        _ => workload.to_owned(),
    };
    let own = service.own_address().into_iter().filter(|(name, _)| !service.env.contains_key(name));
    own.map(|(name, value)| {
        let Ok(text) = value.resolve(|hole| Ok::<_, std::convert::Infallible>(fill(hole)));
        (name, text)
    })
    .collect()
}

impl Check<'_> {
    /// The labels of a Job and its pods. They have no version's id: no Service and no Deployment selects them.
    pub(crate) fn labels(&self, job: &str) -> BTreeMap<String, String> {
        let mut labels = names::labels(self.cluster, self.component);
        labels.insert(names::NAME.to_owned(), self.service.to_owned());
        labels.insert(names::INSTANCE.to_owned(), job.to_owned());
        labels
    }

    /// The pod of a service with other containers in place of its own. They get its container, to change it. What its
    /// volumes hold is not the check's: these are empty folders to it.
    pub(crate) fn pod(&self, template: &Value, job: &str, containers: impl FnOnce(&Value, &mut Value)) -> Value {
        let mut spec = template.get("spec").cloned().unwrap_or_else(|| json!({}));
        let mut container = spec.pointer("/containers/0").cloned().unwrap_or_else(|| json!({}));
        if let Some(fields) = container.as_object_mut() {
            for field in ["args", "lifecycle", "livenessProbe", "ports", "readinessProbe", "startupProbe"] {
                fields.remove(field);
            }
        }
        set(&mut container, "image", self.image.map(|image| json!(image)));
        for (name, value) in self.env {
            add_variable(&mut container, json!({ "name": name, "value": literal(value) }));
        }
        if let Some(fields) = spec.as_object_mut() {
            for field in ["affinity", "containers", "initContainers", "shareProcessNamespace"] {
                fields.remove(field);
            }
        }
        for volume in spec.pointer_mut("/volumes").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(fields) = volume.as_object_mut()
                && fields.remove("persistentVolumeClaim").is_some()
            {
                fields.insert("emptyDir".to_owned(), json!({}));
            }
        }
        set(&mut spec, "restartPolicy", Some(json!("Never")));
        set(&mut spec, "terminationGracePeriodSeconds", Some(json!(GRACE)));
        containers(&container, &mut spec);
        json!({ "metadata": { "labels": self.labels(job) }, "spec": spec })
    }

    /// The specification of a Job that runs a command once, without a second try.
    pub(crate) fn once(&self, template: &Value, job: &str, run: &[String], limits: Limits) -> Value {
        let pod = self.pod(template, job, |container, spec| {
            let mut container = container.clone();
            set(&mut container, "command", Some(command(run)));
            set(spec, "containers", Some(json!([container])));
        });
        json!({
            "activeDeadlineSeconds": limits.deadline,
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "template": pod,
            "ttlSecondsAfterFinished": limits.stays,
        })
    }

    /// A Job of this specification.
    pub(crate) fn job(&self, name: &str, spec: &Value) -> Object {
        Object::new(json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": name, "labels": self.labels(name) },
            "spec": spec,
        }))
    }
}

/// Adds a variable to a container, in place of one that has its name.
pub(crate) fn add_variable(container: &mut Value, variable: Value) {
    let Some(fields) = container.as_object_mut() else { return };
    let env = fields.entry("env").or_insert_with(|| json!([]));
    if let Some(env) = env.as_array_mut() {
        env.retain(|known| known.get("name") != variable.get("name"));
        env.push(variable);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Object {
        Object::new(json!({
            "kind": "Deployment",
            "metadata": { "name": "www-1" },
            "spec": { "template": {
                "metadata": { "labels": { (names::ID): "1", (names::NAME): "www" }, "annotations": { (names::CALLS): "api-1" } },
                "spec": {
                    "serviceAccountName": names::ACCOUNT,
                    "securityContext": { "runAsNonRoot": true },
                    "affinity": { "podAntiAffinity": {} },
                    "containers": [{
                        "name": "service", "image": "www@sha256:0", "command": ["./www"],
                        "env": [{ "name": "A", "value": "b" }, { "name": "SHARD_TOTAL", "value": "mine" }],
                        "readinessProbe": { "tcpSocket": { "port": 80 } }, "ports": [{ "containerPort": 80 }],
                        "volumeMounts": [{ "name": "volume-0", "mountPath": "/data" }],
                    }],
                    "volumes": [
                        { "name": "volume-0", "persistentVolumeClaim": { "claimName": "volume.www.data" } },
                        { "name": "files", "configMap": { "name": "www-1.files-0" } },
                    ],
                },
            } },
        }))
    }

    #[test]
    fn a_check_is_its_services_pod_that_nobody_calls_and_that_touches_no_data() {
        let env = [("SHARD_TOTAL".to_owned(), "4".to_owned()), ("URL".to_owned(), "a$b".to_owned())].into();
        let check =
            Check { cluster: "production", service: "www", component: Component::Smoke, env: &env, image: None };
        let objects = [deployment()];
        let run = ["./ask".to_owned(), "$HOME".to_owned()];
        let limits = Limits { deadline: 60, stays: 600 };
        insta::assert_yaml_snapshot!(
            "smoke_check",
            check.job("smoke-www-0", &check.once(template(&objects).unwrap(), "smoke-www-0", &run, limits)).body
        );
    }

    #[test]
    fn a_template_is_that_of_whatever_makes_the_pods() {
        let schedule =
            json!({ "kind": "CronJob", "spec": { "jobTemplate": { "spec": { "template": { "spec": 1 } } } } });
        let service = Object::new(json!({ "kind": "Service", "metadata": {}, "spec": {} }));
        assert_eq!(template(&[service.clone(), Object::new(schedule)]), Some(&json!({ "spec": 1 })));
        assert_eq!(template(&[service]), None);
    }
}
