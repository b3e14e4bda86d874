//! Runs a Job of tests to its end, and takes out of its pods what they found.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{LogParams, ObjectMeta};
use serde_json::json;

use super::judge::Said;
use super::pods::{REPORT, TESTS};
use super::wire;
use crate::checks::ended::{self, Ended};
use crate::checks::{End, Jobs};
use crate::cluster::view::Observed;
use crate::error::Result;
use crate::render::Object;

/// How much longer than its Job a pod is waited for that must be over: the one is told of a moment before the other.
const MOMENT: Duration = Duration::from_secs(5);

/// What became of one shard.
#[derive(Debug, Clone)]
pub(crate) struct Shard {
    /// Which, from 0.
    pub(crate) index: usize,
    /// The names that were given to it.
    pub(crate) names: Vec<String>,
    /// What it says.
    pub(crate) said: Said,
    /// The file that it left.
    pub(crate) file: Option<Vec<u8>>,
    /// How often it was begun.
    pub(crate) tries: u32,
    /// How long its program ran, in whole seconds, where it ended.
    pub(crate) seconds: Option<u64>,
    /// Its pod, for its log.
    pub(crate) pod: Option<String>,
    /// The last lines of it, where it is not fine.
    pub(crate) last_words: Vec<String>,
    /// Its Job, where that stays for its logs.
    pub(crate) job: Option<String>,
}

/// Runs a Job of one pod.
pub(crate) async fn run_one(jobs: &Jobs<'_>, object: &Object, wait: Duration, tell: impl FnMut(&str)) -> Result<Shard> {
    let mut shards = run(jobs, object, &|_| Vec::new(), 1, wait, tell).await?;
    Ok(shards.remove(0))
}

/// Runs a Job of so many pods, with what goes with it.
pub(crate) async fn run(
    jobs: &Jobs<'_>,
    object: &Object,
    beside: &dyn Fn(&ObjectMeta) -> Vec<ConfigMap>,
    count: usize,
    wait: Duration,
    mut tell: impl FnMut(&str),
) -> Result<Vec<Shard>> {
    // Pods that look for what is not there yet are told to wait for ever longer. A Job without pods has its deadline all the same,
    // which one that is suspended has not: whoever is killed here leaves nothing for good.
    let is_alone = beside(&ObjectMeta::default()).is_empty();
    let mut first = object.clone();
    if !is_alone {
        first.set_spec("parallelism", json!(0));
    }
    let job = jobs.make(&first).await?;
    for map in beside(&job) {
        jobs.make_beside(&map).await?;
    }
    if !is_alone {
        jobs.begin(&job, count).await?;
    }
    let end = jobs.end(&job, wait, |live, why| tell(&progress(live, count, why))).await;
    let mut shards = Vec::new();
    for index in 0..count {
        shards.push(shard(jobs, object.name(), index, &end, wait).await);
    }
    let is_fine = shards.iter().all(|shard| matches!(shard.said, Said::Ended { exit: 0, .. }));
    if is_fine || end != End::Over {
        jobs.remove(&job).await;
    } else {
        jobs.leave(&job);
        shards.iter_mut().for_each(|shard| shard.job = Some(object.name().to_owned()));
    }
    Ok(shards)
}

/// How a Job stands, in words.
fn progress(job: &Job, count: usize, why: &str) -> String {
    let status = job.status.as_ref();
    let number = |value: Option<i32>| value.and_then(|value| usize::try_from(value).ok()).unwrap_or(0);
    let failed = status.and_then(|status| status.failed_indexes.as_deref()).map_or(0, indexes);
    let over = number(status.and_then(|status| status.succeeded)) + failed;
    if count == 1 || over == 0 { why.to_owned() } else { format!("{over} of {count} over") }
}

/// How many indexes a text such as `1,3-5` names.
fn indexes(text: &str) -> usize {
    let number = |text: &str| text.trim().parse::<usize>().ok();
    let part = |part: &str| match part.split_once('-') {
        Some((from, to)) => Some(number(to)?.checked_sub(number(from)?)? + 1),
        None => number(part).map(|_| 1),
    };
    text.split(',').filter_map(part).sum()
}

async fn shard(jobs: &Jobs<'_>, job: &str, index: usize, end: &End, wait: Duration) -> Shard {
    let mut shard = Shard {
        index,
        names: Vec::new(),
        said: Said::Lost("its pod is gone".to_owned()),
        file: None,
        tries: 1,
        seconds: None,
        pod: None,
        last_words: Vec::new(),
        job: None,
    };
    let seen = jobs.view.until(|observed| over(observed, job, index));
    let seen = tokio::time::timeout(if *end == End::Over { MOMENT } else { Duration::ZERO }, seen).await.ok();
    let observed = jobs.view.now();
    if let Some(pod) = ended::last_of(&observed, job, index) {
        shard.pod.clone_from(&pod.metadata.name);
        shard.tries = ended::tries(pod);
    }
    let mut speaker = TESTS;
    match (seen, end) {
        (Some(over), _) => {
            shard.seconds = over.seconds;
            match over.how {
                How::Ended => printed(jobs, &mut shard).await,
                How::Broken(why) => shard.said = Said::Broken(why),
                How::Lost(why) => shard.said = Said::Lost(why),
            }
        }
        (None, End::Late) => {
            shard.said = Said::Broken(format!("it did not end within {} seconds (--timeout)", wait.as_secs()));
        }
        // A program that cannot be started is the fault of who named it.
        (None, End::Blocked(cause)) => match &cause.speaker {
            Some(who) => {
                if who.container == REPORT {
                    speaker = REPORT;
                }
                shard.said = Said::Broken(needs_a_shell(&cause.why));
            }
            None => shard.said = Said::Lost(cause.why.clone()),
        },
        (None, End::Over) => {}
        (None, End::Gone) => shard.said = Said::Lost("its Job was taken away".to_owned()),
    }
    if let (false, Some(pod)) = (matches!(shard.said, Said::Ended { exit: 0, .. }), &shard.pod) {
        shard.last_words = jobs.last_words(pod, speaker).await;
    }
    shard
}

fn needs_a_shell(why: &str) -> String {
    if why.contains("\"sh\"") {
        let mend = "what takes results out of a pod is a script. Name a stage of its Dockerfile that has one: `test: { target: STAGE }`";
        return format!("its image has no shell, and {mend}");
    }
    why.to_owned()
}

/// The end of a shard's pod.
struct Over {
    how: How,
    seconds: Option<u64>,
}

enum How {
    Ended,
    Broken(String),
    Lost(String),
}

/// How the last pod of a shard ended; nothing while it has not.
fn over(observed: &Observed, job: &str, index: usize) -> Option<Over> {
    let pod: &Pod = ended::last_of(observed, job, index)?;
    let tests = ended::of(pod, TESTS)?;
    Some(match tests {
        Ended::Lost(why) => Over { how: How::Lost(why), seconds: None },
        // The script ends well whatever it ran: it was killed, or never began.
        Ended::With(exit) if exit.code != 0 => {
            Over { how: How::Broken(needs_a_shell(&exit.why)), seconds: Some(exit.seconds) }
        }
        Ended::With(exit) => {
            let how = match ended::of(pod, REPORT)? {
                Ended::With(_) => How::Ended,
                Ended::Lost(why) => How::Lost(why),
            };
            Over { how, seconds: Some(exit.seconds) }
        }
    })
}

/// Reads what a pod printed.
async fn printed(jobs: &Jobs<'_>, shard: &mut Shard) {
    let Some(pod) = &shard.pod else { return };
    let parameters =
        LogParams { container: Some(REPORT.to_owned()), limit_bytes: Some(wire::LONGEST_LOG), ..LogParams::default() };
    shard.said = match jobs.log(pod, &parameters).await {
        None => Said::Lost("what it found could not be read: its node does not answer".to_owned()),
        Some(log) => match wire::read(&log) {
            Ok(printed) => {
                shard.file = printed.file;
                Said::Ended { exit: printed.exit, cases: None }
            }
            Err(why) => Said::Broken(format!("its file of results: {why}")),
        },
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_counted() {
        for (text, count) in [("", 0), ("3", 1), ("1,3-5", 4), ("5-3", 0), ("a,2", 1)] {
            assert_eq!(indexes(text), count, "{text}");
        }
    }

    #[test]
    fn an_image_without_a_shell_is_told_what_to_do() {
        let why = "cannot be started: exec: \"sh\": executable file not found in $PATH";
        assert!(needs_a_shell(why).contains("target: STAGE"));
        assert_eq!(needs_a_shell("ended with exit code 137"), "ended with exit code 137");
    }
}
