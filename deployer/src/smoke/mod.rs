//! Smoke checks: what a service's file says it is asked while it serves, asked of the version that does.

pub(crate) mod openmetrics;
pub(crate) mod schedule;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::checks::ended::{self, Ended};
use crate::checks::{End, Jobs, deadline, mark};
use crate::error::{Error, Result};
use crate::health::Speaker;
use crate::names::{self, Component};
use crate::render::Object;
use crate::render::check::{Check, Limits, template};
use crate::store::Store;
use crate::store::record::{Record, Smoke};
use crate::target;

/// How often it is tried to ask where that could not be done: a pod that was evicted says nothing of the service.
const TRIES: u32 = 2;
/// How long the Job of a check that failed stays, in seconds.
const STAYS: u64 = 600;

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is fine.
    Passed,
    /// It is not, and why.
    Failed(String),
    /// It could not be asked, and why.
    Unknown(String),
}

impl Verdict {
    /// The word for it.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Why it is not fine; empty where it is.
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Passed => "",
            Self::Failed(why) | Self::Unknown(why) => why,
        }
    }
}

/// A question that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The service.
    pub(crate) service: String,
    /// The version that served.
    pub(crate) version: u64,
    /// What came of it.
    pub(crate) verdict: Verdict,
    /// All of it, the start of its pod included.
    pub(crate) elapsed: Duration,
    /// How long the program ran, in whole seconds; not where it never ran.
    pub(crate) seconds: Option<u64>,
    /// When it was over.
    pub(crate) at: Timestamp,
    /// Its last words, where it is not fine.
    pub(crate) said: Vec<String>,
}

impl Asked {
    /// For programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "service": self.service, "version": self.version, "verdict": self.verdict.as_str(), "why": self.verdict.why(),
            "elapsed_ms": u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX), "seconds": self.seconds,
            "time": self.at, "last_words": self.said,
        })
    }
}

/// A check of a version, ready to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    service: String,
    version: u64,
    smoke: Smoke,
    objects: Vec<Object>,
}

impl Question {
    /// The service.
    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    /// How often it is asked where it is asked again and again.
    pub(crate) fn every(&self) -> Duration {
        Duration::from_secs(self.smoke.every)
    }

    /// The Job that asks.
    fn job(&self, cluster: &str, mark: &str, wait: Duration) -> Result<Object> {
        let name = names::check_job("smoke", &self.service, mark);
        let check =
            Check { cluster, service: &self.service, component: Component::Smoke, env: &self.smoke.env, image: None };
        let template = template(&self.objects)
            .ok_or_else(|| Error::Store(format!("the stored objects of {} have no pods", self.service)))?;
        let limits = Limits { deadline: deadline(wait), stays: STAYS };
        Ok(check.job(&name, &check.once(template, &name, &self.smoke.run, limits)))
    }

    /// Asks, and waits for the answer as long as is said.
    pub(crate) async fn ask(&self, jobs: &Jobs<'_>, wait: Duration, mut tell: impl FnMut(&str)) -> Result<Asked> {
        let begun = Instant::now();
        let mut tried = 0;
        loop {
            tried += 1;
            let object = self.job(jobs.cluster.name(), &mark(), wait)?;
            let job = jobs.make(&object).await?;
            let end = jobs.end(&job, wait, |_, why| tell(why)).await;
            let (verdict, seconds, speaker) = self.verdict(jobs, object.name(), &end, wait).await;
            if matches!(verdict, Verdict::Unknown(_)) && tried < TRIES {
                jobs.remove(&job).await;
                continue;
            }
            // Whoever ends while it is asked has no answer, and owes none.
            let verdict = match verdict {
                Verdict::Failed(_) if !self.serves(jobs).await? => {
                    Verdict::Unknown(format!("version {} ceased to serve while it was asked", self.version))
                }
                verdict => verdict,
            };
            let elapsed = begun.elapsed();
            let said = match (&verdict, speaker) {
                (Verdict::Passed, _) | (_, None) => Vec::new(),
                (_, Some(speaker)) => jobs.last_words(&speaker.pod, &speaker.container).await,
            };
            // What failed stays for a while, and then goes by itself; what still runs has no reader any more.
            if verdict == Verdict::Passed || end != End::Over {
                jobs.remove(&job).await;
            } else {
                jobs.leave(&job);
            }
            let (service, version, at) = (self.service.clone(), self.version, Timestamp::now());
            return Ok(Asked { service, version, verdict, elapsed, seconds, at, said });
        }
    }

    /// Whether the version that is asked serves still, and nobody is about to change that.
    async fn serves(&self, jobs: &Jobs<'_>) -> Result<bool> {
        let head = Store::new(jobs.cluster).head().await?.value;
        Ok(head.current == Some(self.version) && head.intent.is_none())
    }

    /// What the end of a Job says, how long its program ran, and whose words tell more.
    async fn verdict(
        &self,
        jobs: &Jobs<'_>,
        name: &str,
        end: &End,
        wait: Duration,
    ) -> (Verdict, Option<u64>, Option<Speaker>) {
        let speaker = |pod: &k8s_openapi::api::core::v1::Pod| Speaker {
            pod: pod.metadata.name.clone().unwrap_or_default(),
            container: names::CONTAINER.to_owned(),
            previous: false,
        };
        match end {
            End::Over => {
                // The Job is told of as over a moment before its pod is.
                let seen = jobs.view.until(|observed| {
                    let pod = ended::pods(observed, name).next()?;
                    Some((ended::of(pod, names::CONTAINER)?, speaker(pod)))
                });
                match tokio::time::timeout(Duration::from_secs(5), seen).await {
                    Ok((Ended::With(exit), _)) if exit.code == 0 => (Verdict::Passed, Some(exit.seconds), None),
                    Ok((Ended::With(exit), who)) => (Verdict::Failed(exit.why), Some(exit.seconds), Some(who)),
                    Ok((Ended::Lost(why), _)) => (Verdict::Unknown(why), None, None),
                    Err(_) => (Verdict::Unknown("its pod is gone".to_owned()), None, None),
                }
            }
            End::Late => {
                let observed = jobs.view.now();
                let who = ended::pods(&observed, name).next().map(speaker);
                (Verdict::Failed(format!("did not end within {} seconds", wait.as_secs())), None, who)
            }
            // A program that cannot be started is one that its service.yaml names wrongly; all else is not its fault.
            End::Blocked(cause) if cause.speaker.is_some() => {
                (Verdict::Failed(cause.why.clone()), None, cause.speaker.clone())
            }
            End::Blocked(cause) => (Verdict::Unknown(cause.why.clone()), None, None),
            End::Gone => (Verdict::Unknown("its Job was taken away".to_owned()), None, None),
        }
    }
}

/// The checks of a version, by service; of those that are named, or of all that have one.
pub(crate) async fn questions(
    record: &Record,
    store: Store<'_>,
    names: &[String],
) -> Result<BTreeMap<String, Question>> {
    let nodes = &record.content.nodes;
    for name in names {
        let node = crate::commands::node(record, name)?;
        if node.smoke.is_none() {
            return Err(Error::Usage(format!(
                "{name} has no smoke check in version {}: write `smoke: {{ run: [...] }}` in its service.yaml, and deploy",
                record.number
            )));
        }
    }
    if nodes.values().all(|node| node.smoke.is_none()) {
        return Ok(BTreeMap::new());
    }
    let mut objects = target::of_record(record, store).await?.objects;
    let is_meant = |name: &String| names.is_empty() || names.contains(name);
    let asked = nodes.iter().filter(|(name, _)| is_meant(name));
    let questions = asked.filter_map(|(name, node)| {
        let smoke = node.smoke.clone()?;
        let objects = objects.remove(name).unwrap_or_default();
        Some((name.clone(), Question { service: name.clone(), version: record.number, smoke, objects }))
    });
    Ok(questions.collect())
}

/// What a command that asked ends with.
pub(crate) fn sum(asked: &[Asked]) -> Result<()> {
    let of = |verdict: &str| -> Vec<&str> {
        asked.iter().filter(|it| it.verdict.as_str() == verdict).map(|it| it.service.as_str()).collect()
    };
    let (failed, unknown, all) = (of("failed"), of("unknown"), asked.len());
    let checks = if all == 1 { "smoke check" } else { "smoke checks" };
    match (failed.as_slice(), unknown.as_slice()) {
        ([], []) => Ok(()),
        ([], unknown) => Err(Error::Cluster {
            what: format!("{} of {all} {checks} could not be run: {}", unknown.len(), unknown.join(", ")),
            why: "that says nothing of the services".to_owned(),
        }),
        (failed, _) => Err(Error::Checks(format!("{} of {all} {checks} failed: {}", failed.len(), failed.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn asked(verdicts: &[Verdict]) -> Vec<Asked> {
        let one = |(at, verdict): (usize, &Verdict)| Asked {
            service: format!("s{at}"),
            version: 3,
            verdict: verdict.clone(),
            elapsed: Duration::from_millis(1500),
            seconds: Some(1),
            at: Timestamp::UNIX_EPOCH,
            said: Vec::new(),
        };
        verdicts.iter().enumerate().map(one).collect()
    }

    #[test]
    fn what_failed_is_told_apart_from_what_could_not_be_asked() {
        let (failed, unknown) = (Verdict::Failed("x".into()), Verdict::Unknown("y".into()));
        let sum = |verdicts: &[Verdict]| sum(&asked(verdicts)).map_err(|error| (error.exit(), error.to_string()));
        assert_eq!(sum(&[]), Ok(()));
        assert_eq!(sum(&[Verdict::Passed]), Ok(()));
        let text = "1 of 2 smoke checks could not be run: s1: that says nothing of the services";
        assert_eq!(sum(&[Verdict::Passed, unknown.clone()]), Err((Exit::Cluster, text.to_owned())));
        let text = "1 of 3 smoke checks failed: s2";
        assert_eq!(sum(&[Verdict::Passed, unknown, failed]), Err((Exit::Checks, text.to_owned())));
    }
}
