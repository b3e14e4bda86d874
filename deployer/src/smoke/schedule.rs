//! Smoke checks as CronJobs of the cluster, where somebody has asked for them: they are always those of the version that serves.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::CronJob;
use serde_json::json;

use super::{STAYS, questions};
use crate::apply::switch::refuse_newer;
use crate::checks::deadline;
use crate::cluster::ensure::hash_of_live;
use crate::error::{Error, Result};
use crate::names::{self, Component};
use crate::render::Object;
use crate::render::check::{Check, Limits, template};
use crate::session::Session;

use super::Question;

/// How long a check may take.
const WAIT: std::time::Duration = std::time::Duration::from_secs(120);
/// How late a check may begin that could not begin in time, in seconds.
const LATEST: u32 = 60;
/// How many checks that failed are kept for their logs.
const KEPT: u32 = 3;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Minutes and hours between two times that cron can say, so that all are alike.
const MINUTES: &[u64] = &[1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30];
const HOURS: &[u64] = &[1, 2, 3, 4, 6, 8, 12];

/// A schedule that asks at least as often as so many seconds say; never more often than every minute, which is all that
/// cron can say.
fn cron(every: u64) -> String {
    let most = |of: &[u64], unit: u64| of.iter().rev().find(|it| **it * unit <= every).copied().unwrap_or(1);
    match every {
        DAY.. => "0 0 * * *".to_owned(),
        HOUR.. => match most(HOURS, HOUR) {
            1 => "0 * * * *".to_owned(),
            hours => format!("0 */{hours} * * *"),
        },
        _ => match most(MINUTES, MINUTE) {
            1 => "* * * * *".to_owned(),
            minutes => format!("*/{minutes} * * * *"),
        },
    }
}

impl Question {
    /// The CronJob that asks.
    fn scheduled(&self, cluster: &str) -> Result<Object> {
        let name = names::smoke_cron_job(&self.service);
        let check =
            Check { cluster, service: &self.service, component: Component::Smoke, env: &self.smoke.env, image: None };
        let template = template(&self.objects)
            .ok_or_else(|| Error::Store(format!("the stored objects of {} have no pods", self.service)))?;
        let limits = Limits { deadline: deadline(WAIT), stays: STAYS };
        let labels = check.labels(&name);
        Ok(Object::new(json!({
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": { "name": name, "labels": labels },
            "spec": {
                "schedule": cron(self.smoke.every),
                "timeZone": "Etc/UTC",
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": LATEST,
                "successfulJobsHistoryLimit": 1,
                "failedJobsHistoryLimit": KEPT,
                "jobTemplate": {
                    "metadata": { "labels": labels },
                    "spec": check.once(template, &name, &self.smoke.run, limits),
                },
            },
        })))
    }
}

/// Makes the CronJobs those of the version that serves: all of its checks where that was asked for, none otherwise. Returns the
/// services that are asked, each with its schedule.
pub(crate) async fn follow(session: &Session<'_>) -> Result<Vec<(String, String)>> {
    let observed = session.view.now();
    let is_check = |live: &CronJob| {
        let component = live.metadata.labels.as_ref().and_then(|labels| labels.get(names::COMPONENT));
        component.is_some_and(|component| component == Component::Smoke.as_str())
            && session.cluster.owns(&live.metadata)
    };
    if !session.head.value.smoke && !observed.cron_jobs.values().any(|live| is_check(live)) {
        return Ok(Vec::new());
    }
    let live = |name: &str| observed.cron_jobs.get(name).map(|live| &live.metadata);
    let kept = session.kept().await?;
    let current = kept.current.as_ref().filter(|_| session.head.value.smoke);
    let questions = match current {
        Some(record) => questions(record, session.store(), &[]).await?,
        None => Default::default(),
    };
    let mut wanted = BTreeSet::new();
    let mut schedules = Vec::new();
    for question in questions.values() {
        let object = question.scheduled(session.cluster.name())?;
        schedules.push((question.service.clone(), cron(question.smoke.every)));
        wanted.insert(object.name().to_owned());
        let live = live(object.name());
        if live.and_then(hash_of_live) == Some(object.hash()) {
            continue;
        }
        if let Some(live) = live {
            refuse_newer(session, live)?;
        }
        session.cluster.ensure(&object, live, session.guard).await?;
    }
    let left = observed.cron_jobs.iter().filter(|(name, live)| is_check(live) && !wanted.contains(*name));
    for (_, live) in left {
        refuse_newer(session, &live.metadata)?;
        session.cluster.remove::<CronJob>(&live.metadata).await?;
    }
    Ok(schedules)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_span_becomes_a_schedule_that_asks_at_least_as_often() {
        for (every, schedule) in [
            (1, "* * * * *"),
            (60, "* * * * *"),
            (5 * MINUTE, "*/5 * * * *"),
            (7 * MINUTE, "*/6 * * * *"),
            (59 * MINUTE, "*/30 * * * *"),
            (HOUR, "0 * * * *"),
            (5 * HOUR, "0 */4 * * *"),
            (3 * DAY, "0 0 * * *"),
        ] {
            assert_eq!(cron(every), schedule, "{every}");
        }
    }

    proptest! {
        #[test]
        fn every_schedule_is_one_that_kubernetes_takes(every in any::<u64>()) {
            let schedule = cron(every);
            prop_assert_eq!(schedule.split(' ').count(), 5);
            prop_assert!(!schedule.contains("*/1 "));
        }
    }
}
