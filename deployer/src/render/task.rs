//! What ends by itself: a task is a Job that is named by its version, a job a CronJob that keeps its name.

use clustergraph::format::service::Restart;
use clustergraph::graph::Service;
use serde_json::{Value, json};

use super::{Object, Scene};
use crate::error::Result;
use crate::names;

/// How often what says `restart: on-failure` is tried again.
const TRIES: u32 = 3;
/// How late a run may begin that could not begin in time, in seconds.
const LATEST: u32 = 300;
/// How many runs that are over are kept for their logs.
const KEPT: u32 = 3;

impl Scene<'_> {
    /// A task's Job.
    pub(super) fn task(&self, service: &Service, workload: &str) -> Result<Object> {
        let mut labels = self.node_labels(service);
        labels.insert(names::INSTANCE.to_owned(), workload.to_owned());
        Ok(Object::new(json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": workload, "labels": labels },
            "spec": self.run(service, workload)?,
        })))
    }

    /// A job's CronJob. It is never suspended: one that is resumed makes up for what it missed, at once.
    pub(super) fn scheduled(&self, service: &Service, workload: &str, schedule: &str) -> Result<Object> {
        let labels = self.node_labels(service);
        Ok(Object::new(json!({
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": { "name": names::cron_job(service), "labels": labels },
            "spec": {
                "schedule": schedule,
                "timeZone": "Etc/UTC",
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": LATEST,
                "successfulJobsHistoryLimit": KEPT,
                "failedJobsHistoryLimit": KEPT,
                "jobTemplate": { "metadata": { "labels": labels }, "spec": self.run(service, workload)? },
            },
        })))
    }

    fn run(&self, service: &Service, workload: &str) -> Result<Value> {
        let tries = match service.restart {
            Restart::OnFailure => TRIES,
            Restart::Never | Restart::Always => 0,
        };
        Ok(json!({
            "backoffLimit": tries,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "template": self.pod(service, workload, Some("Never"))?,
        }))
    }
}
