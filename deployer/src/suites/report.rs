//! What came of tests, for people, for programs, and as JUnit.

use serde_json::{Value, json};

use super::Tested;
use super::judge::{Said, Test};
use super::junit::{Case, Outcome};

/// How many failing tests are shown at length.
const SHOWN: usize = 50;
/// How many lines of each.
const LINES: usize = 12;

/// How many tests there are of each outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    /// What is wrong beside tests that fail.
    pub(crate) problems: usize,
    /// What kept tests from being run.
    pub(crate) lost: usize,
}

/// Counts what came of services. What has passed before counts as it did.
pub(crate) fn count<'t>(all: impl IntoIterator<Item = &'t Tested>) -> Count {
    let mut count = Count::default();
    for tested in all {
        count.passed += tested.remembered.as_ref().map_or(0, |passed| passed.tests);
        for test in &tested.judgement.tests {
            match test.outcome {
                Outcome::Passed => count.passed += 1,
                Outcome::Skipped => count.skipped += 1,
                Outcome::Failed | Outcome::Error => count.failed += 1,
            }
        }
        count.problems += tested.judgement.problems.len();
        count.lost += tested.judgement.lost.len();
    }
    count
}

/// What came of one service, in a line.
pub(crate) fn in_a_line(tested: &Tested) -> String {
    let count = count([tested]);
    let mut words = vec![format!("{} passed", count.passed)];
    if count.failed > 0 {
        words.push(format!("{} failed", count.failed));
    }
    if count.skipped > 0 {
        words.push(format!("{} skipped", count.skipped));
    }
    words.extend(tested.judgement.problems.iter().chain(&tested.judgement.lost).cloned());
    words.join(", ")
}

/// What is wrong with one service, for people; nothing where all is fine.
pub(crate) fn at_length(tested: &Tested) -> Vec<String> {
    let mut blocks = Vec::new();
    let (judgement, service) = (&tested.judgement, &tested.service);
    let failing: Vec<&Test> = judgement.tests.iter().filter(|test| !test.outcome.is_fine()).collect();
    for test in failing.iter().take(SHOWN) {
        let mut lines = vec![format!("{}  {service}  {}", test.outcome.as_str(), plain(&test.name))];
        let text = if test.text.trim().is_empty() { &test.message } else { &test.text };
        let text: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        // What a runner says last says it best.
        lines.extend(text.iter().skip(text.len().saturating_sub(LINES)).map(|line| format!("  {}", plain(line))));
        blocks.push(lines.join("\n"));
    }
    if failing.len() > SHOWN {
        blocks.push(format!("and {} more of {service}", failing.len() - SHOWN));
    }
    for shard in &tested.shards {
        let explains =
            judgement.tests.iter().any(|test| test.shard == shard.index && !test.outcome.is_fine() && test.runs > 0);
        if explains || shard.last_words.is_empty() {
            continue;
        }
        let which = if tested.shards.len() == 1 { String::new() } else { format!(", shard {}", shard.index) };
        blocks.push(format!("the last words of {service}{which}:\n  {}", shard.last_words.join("\n  ")));
    }
    if let Some(job) = &tested.left {
        blocks.push(format!("its Job {job} stays for an hour: `kubectl logs --container tests job/{job}`"));
    }
    blocks
}

/// A text without what would move the cursor or change the terminal.
fn plain(text: &str) -> String {
    crate::commands::logs::printable(text.as_bytes())
}

/// What came of one service, for programs.
pub(crate) fn json(tested: &Tested) -> Value {
    let test = |test: &Test| {
        json!({
            "name": test.name, "shard": test.shard, "runs": test.runs, "outcome": test.outcome.as_str(),
            "seconds": test.seconds, "message": test.message, "text": test.text,
        })
    };
    let shards: Vec<Value> = tested
        .shards
        .iter()
        .map(|shard| {
            let (state, exit, why) = match &shard.said {
                Said::Ended { exit, .. } => ("ended", Some(*exit), ""),
                Said::Broken(why) => ("broken", None, why.as_str()),
                Said::Lost(why) => ("lost", None, why.as_str()),
            };
            json!({
                "index": shard.index, "state": state, "exit": exit, "why": why, "tests": shard.names, "tries": shard.tries,
                "seconds": shard.seconds, "pod": shard.pod, "last_words": shard.last_words,
            })
        })
        .collect();
    let (judgement, count) = (&tested.judgement, count([tested]));
    json!({
        "service": tested.service, "id": tested.id, "fine": judgement.is_fine(),
        "remembered": tested.remembered.as_ref().map(|passed| passed.time),
        "passed": count.passed, "failed": count.failed, "skipped": count.skipped,
        "tests": judgement.tests.iter().map(test).collect::<Vec<_>>(), "shards": shards,
        "problems": judgement.problems, "lost": judgement.lost, "notes": judgement.notes, "job": tested.left,
        "elapsed_ms": u64::try_from(tested.elapsed.as_millis()).unwrap_or(u64::MAX),
    })
}

/// The suites of a JUnit file: one for each service and shard, as its runner told of it. What no runner told of is a case of
/// its own, so that nobody who reads only that file takes it for green.
pub(crate) fn suites(all: &[Tested]) -> Vec<(String, Vec<Case>)> {
    let mut suites = Vec::new();
    for tested in all {
        let many = tested.shards.len() > 1;
        for shard in &tested.shards {
            let mut cases = match &shard.said {
                Said::Ended { cases: Some(cases), .. } => cases.clone(),
                _ => Vec::new(),
            };
            // Runners tell of what ran; what did not is told by us.
            let told = cases.is_empty();
            let silent =
                tested.judgement.tests.iter().filter(|test| test.shard == shard.index && (test.runs == 0 || told));
            cases.extend(silent.map(|test| Case {
                class: tested.service.clone(),
                name: test.name.clone(),
                seconds: test.seconds,
                outcome: test.outcome,
                message: test.message.clone(),
                ..Case::default()
            }));
            if cases.is_empty() {
                continue;
            }
            let name = if many { format!("{} {}", tested.service, shard.index) } else { tested.service.clone() };
            suites.push((name, cases));
        }
        let wrong = tested.judgement.problems.iter().chain(&tested.judgement.lost);
        let wrong: Vec<Case> = wrong
            .enumerate()
            .map(|(at, why)| Case {
                class: tested.service.clone(),
                name: format!("komandan test, problem {}", at + 1),
                outcome: Outcome::Error,
                message: why.clone(),
                ..Case::default()
            })
            .collect();
        if !wrong.is_empty() {
            suites.push((format!("{} as a whole", tested.service), wrong));
        }
    }
    suites
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::job::Shard;
    use super::super::judge::{Said, judge};
    use super::*;

    fn tested() -> Tested {
        let case = |name: &str, outcome| Case {
            class: "cart".into(),
            name: name.into(),
            outcome,
            seconds: Some(0.25),
            message: if outcome == Outcome::Failed { "3 is not 4".into() } else { String::new() },
            ..Case::default()
        };
        let shard = |index, names: &[&str], said: Said| Shard {
            index,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            said,
            file: None,
            tries: 1,
            seconds: Some(2),
            pod: Some(format!("test-cart-0-{index}-x")),
            last_words: vec!["the end".to_owned()],
            job: Some("test-cart-0".to_owned()),
        };
        let passed = vec![case("total", Outcome::Passed), case("sum", Outcome::Failed)];
        let shards = vec![
            shard(0, &["cart.total", "cart.sum", "cart.gone"], Said::Ended { exit: 1, cases: Some(passed) }),
            shard(1, &["cart.later"], Said::Lost("its pod was taken away".to_owned())),
        ];
        let said: Vec<_> = shards.iter().map(|it| (it.names.clone(), it.said.clone())).collect();
        Tested {
            service: "cart".to_owned(),
            id: "3f9c2a81d0".to_owned(),
            remembered: None,
            judgement: judge(&said),
            left: Some("test-cart-0".to_owned()),
            shards,
            elapsed: Duration::from_secs(4),
        }
    }

    #[test]
    fn it_reads_well_and_nothing_that_is_wrong_is_left_out() {
        let tested = tested();
        assert_eq!(in_a_line(&tested), "1 passed, 2 failed, shard 1: its pod was taken away");
        insta::assert_snapshot!("at_length", at_length(&tested).join("\n\n"));
        insta::assert_yaml_snapshot!("tested", json(&tested));
        let junit = super::super::junit::write(&suites(&[tested])).unwrap();
        insta::assert_snapshot!("merged", String::from_utf8(junit).unwrap());
    }
}
