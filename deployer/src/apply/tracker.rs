//! A plan being carried out, as a person sees it: the tree of what is left, how much is done, and in the end the chain of
//! steps that took the longest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::console::{self, Console, Overview};
use crate::plan::{Part, Step};

/// The steps of a plan.
pub(super) struct Tracker<'s> {
    console: Console,
    steps: &'s [&'s Step],
    overview: Overview,
    /// The lines of what waits.
    waiting: Mutex<BTreeMap<Part, console::Waiting>>,
    spans: Mutex<Vec<Span>>,
}

/// When a step was under way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    part: Part,
    began: Instant,
    ended: Instant,
}

impl Span {
    fn took(&self) -> Duration {
        self.ended.duration_since(self.began)
    }
}

impl<'s> Tracker<'s> {
    /// Shows what is to be done.
    pub(super) fn of(console: &Console, steps: &'s [&'s Step]) -> Self {
        let overview = console.overview(steps.len());
        let mut waiting = BTreeMap::new();
        for (step, depth) in tree(steps) {
            let name = format!("{}{}", "  ".repeat(depth), step.part);
            let after: Vec<String> = step.after.iter().map(Part::to_string).collect();
            let why = if after.is_empty() { String::new() } else { format!("after {}", after.join(", ")) };
            waiting.extend(overview.waiting(&name, &why).map(|line| (step.part.clone(), line)));
        }
        Self { console: console.clone(), steps, overview, waiting: Mutex::new(waiting), spans: Mutex::default() }
    }

    /// A step begins.
    pub(super) fn begin(&self, step: &Step) -> console::Step {
        let line = lock(&self.waiting).remove(&step.part);
        self.console.step_at(line, step.part.to_string(), step.action.as_str())
    }

    /// A step that began then is over, and well.
    pub(super) fn over(&self, part: &Part, began: Instant) {
        self.overview.advance();
        lock(&self.spans).push(Span { part: part.clone(), began, ended: Instant::now() });
    }

    /// All are over: tells which of them the whole waited for.
    pub(super) fn finish(&self) {
        let spans = lock(&self.spans);
        let path = critical_path(self.steps, &spans);
        if path.len() < 2 {
            return;
        }
        if self.console.is_json() {
            let steps =
                path.iter().map(|span| json!({ "step": span.part.to_string(), "elapsed_ms": milliseconds(span) }));
            self.console.json(json!({ "event": "critical-path", "steps": steps.collect::<Vec<Value>>() }));
            return;
        }
        let steps: Vec<String> =
            path.iter().map(|span| format!("{} {:.1} s", span.part, span.took().as_secs_f64())).collect();
        self.console.dim(&format!("  critical path: {}", steps.join(" > ")));
    }
}

fn milliseconds(span: &Span) -> u64 {
    u64::try_from(span.took().as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The steps in the order of a tree: what nothing waits for first, below each what it waits for; each once, with its depth.
fn tree<'s>(steps: &[&'s Step]) -> Vec<(&'s Step, usize)> {
    let by_part: BTreeMap<&Part, &Step> = steps.iter().map(|step| (&step.part, *step)).collect();
    let waited_for: BTreeSet<&Part> = steps.iter().flat_map(|step| &step.after).collect();
    let mut open: Vec<(&Step, usize)> =
        steps.iter().rev().filter(|step| !waited_for.contains(&step.part)).map(|step| (*step, 0)).collect();
    let (mut seen, mut ordered) = (BTreeSet::new(), Vec::new());
    while let Some((step, depth)) = open.pop() {
        if seen.insert(&step.part) {
            ordered.push((step, depth));
            let below = step.after.iter().rev().filter_map(|part| by_part.get(part));
            open.extend(below.map(|step| (*step, depth + 1)));
        }
    }
    ordered
}

/// From the step that ended last back to one that waited for nothing, each time by what ended last of what was waited for.
fn critical_path<'p>(steps: &[&Step], spans: &'p [Span]) -> Vec<&'p Span> {
    let after: BTreeMap<&Part, &BTreeSet<Part>> = steps.iter().map(|step| (&step.part, &step.after)).collect();
    let mut path = Vec::new();
    let mut next = spans.iter().max_by_key(|span| span.ended);
    while let Some(span) = next {
        path.push(span);
        let waited_for = after.get(&span.part);
        next = spans
            .iter()
            .filter(|other| waited_for.is_some_and(|after| after.contains(&other.part)) && other.ended <= span.began)
            .max_by_key(|other| other.ended);
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;

    fn step(name: &str, after: &[&str]) -> Step {
        let part = |name: &&str| if *name == "base" { Part::Base } else { Part::Service((*name).to_owned()) };
        Step {
            part: part(&name),
            action: Action::Create,
            reason: "new".to_owned(),
            after: after.iter().map(part).collect(),
            at_switch: false,
        }
    }

    #[test]
    fn below_each_step_stands_what_it_waits_for_and_each_stands_once() {
        let steps = [
            step("base", &[]),
            step("db", &["base"]),
            step("api", &["base", "db"]),
            step("www", &["api"]),
            step("jobs", &["db"]),
        ];
        let steps: Vec<&Step> = steps.iter().collect();
        let shown: Vec<String> =
            tree(&steps).into_iter().map(|(step, depth)| format!("{}{}", " ".repeat(depth), step.part)).collect();
        assert_eq!(shown, ["www", " api", "  base", "  db", "jobs"]);
    }

    #[test]
    fn the_whole_took_as_long_as_the_chain_that_ended_last() {
        let steps = [
            step("base", &[]),
            step("db", &["base"]),
            step("flags", &["base"]),
            step("api", &["db", "flags"]),
            step("etl", &[]),
        ];
        let steps: Vec<&Step> = steps.iter().collect();
        let start = Instant::now();
        let span = |name: &str, began: u64, ended: u64| Span {
            part: step(name, &[]).part,
            began: start + Duration::from_secs(began),
            ended: start + Duration::from_secs(ended),
        };
        let spans = [span("base", 0, 1), span("etl", 0, 6), span("db", 1, 5), span("flags", 1, 2), span("api", 5, 9)];
        let path: Vec<String> = critical_path(&steps, &spans).into_iter().map(|span| span.part.to_string()).collect();
        assert_eq!(path, ["base", "db", "api"]);
        assert!(critical_path(&steps, &[]).is_empty());
    }
}
