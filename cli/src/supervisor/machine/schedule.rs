//! Which steps of a plan may begin: those whose predecessors are over, so many at once. What is asked at every event
//! costs as much as changes by it, not as much as the plan is long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use clustergraph::graph::Unit;
use clustergraph::plan::Step;

/// How many units are begun or ended at once; those that only become ready do not count.
pub(super) const AT_ONCE: usize = 16;

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    Running(Instant),
    Finished,
    Failed,
}

/// A step with what it means to the others.
struct Entry {
    step: Step,
    progress: Progress,
    /// How many steps it still waits for.
    blocked: usize,
    /// The steps that wait for its end, and those that wait for it to run.
    followers: Vec<usize>,
    followers_of_start: Vec<usize>,
    /// It runs, ready or not.
    runs: bool,
}

/// Steps on their way.
#[derive(Default)]
pub(super) struct Schedule {
    entries: Vec<Entry>,
    index: BTreeMap<Unit, usize>,
    /// What may begin now, in the order of the plan.
    open: BTreeSet<usize>,
    running: BTreeSet<usize>,
    /// What runs and is not only waited for.
    at_work: BTreeSet<usize>,
    /// How many are over.
    over: usize,
}

impl Schedule {
    pub(super) fn new(steps: Vec<Step>) -> Self {
        let mut schedule = Self::default();
        for step in steps {
            schedule.index.insert(step.unit.clone(), schedule.entries.len());
            schedule.entries.push(Entry {
                step,
                progress: Progress::Waiting,
                blocked: 0,
                followers: Vec::new(),
                followers_of_start: Vec::new(),
                runs: false,
            });
        }
        for at in 0..schedule.entries.len() {
            let positions = |units: &BTreeSet<Unit>| -> Vec<usize> {
                units.iter().filter_map(|unit| schedule.index.get(unit).copied()).collect()
            };
            let step = &schedule.entries[at].step;
            let (after, after_start) = (positions(&step.after), positions(&step.after_start));
            schedule.entries[at].blocked = after.len() + after_start.len();
            for before in after {
                schedule.entries[before].followers.push(at);
            }
            for before in after_start {
                schedule.entries[before].followers_of_start.push(at);
            }
        }
        schedule.open = (0..schedule.entries.len()).filter(|at| schedule.entries[*at].blocked == 0).collect();
        schedule
    }

    /// Adds a step that waits for nothing, also one that was over.
    pub(super) fn add(&mut self, step: Step) {
        match self.index.get(&step.unit) {
            Some(at) => {
                let entry = &mut self.entries[*at];
                if matches!(entry.progress, Progress::Finished | Progress::Failed) {
                    self.over -= 1;
                }
                (entry.step, entry.progress, entry.runs) = (step, Progress::Waiting, false);
                self.open.insert(*at);
            }
            None => {
                let at = self.entries.len();
                self.index.insert(step.unit.clone(), at);
                let (followers, followers_of_start) = (Vec::new(), Vec::new());
                let progress = Progress::Waiting;
                self.entries.push(Entry { step, progress, blocked: 0, followers, followers_of_start, runs: false });
                self.open.insert(at);
            }
        }
    }

    /// Begins the next step that may begin; where there is no time, the next that has not begun.
    pub(super) fn begin_next(&mut self, hurry: bool, now: Instant) -> Option<Step> {
        let at = if hurry {
            self.entries.iter().position(|entry| entry.progress == Progress::Waiting)?
        } else if self.at_work.len() < AT_ONCE {
            *self.open.first()?
        } else {
            return None;
        };
        self.open.remove(&at);
        self.running.insert(at);
        self.at_work.insert(at);
        self.entries[at].progress = Progress::Running(now);
        Some(self.entries[at].step.clone())
    }

    /// A unit runs now, ready or not. Its readiness is the others' own affair: it keeps nobody from beginning.
    pub(super) fn runs(&mut self, unit: &Unit) {
        let Some(at) = self.index.get(unit).copied() else { return };
        if unit.kind.runs() {
            self.at_work.remove(&at);
        }
        if !std::mem::replace(&mut self.entries[at].runs, true) {
            for follower in self.entries[at].followers_of_start.clone() {
                self.unblock(follower);
            }
        }
    }

    /// A step has ended well.
    pub(super) fn finish(&mut self, unit: &Unit) {
        self.runs(unit);
        let Some(at) = self.end(unit, Progress::Finished) else { return };
        for follower in self.entries[at].followers.clone() {
            self.unblock(follower);
        }
    }

    /// A step has failed: those that wait for it are given up, and returned.
    pub(super) fn fail(&mut self, unit: &Unit) -> Vec<Unit> {
        let Some(at) = self.end(unit, Progress::Failed) else { return Vec::new() };
        let followers = self.entries[at].followers.iter().chain(&self.entries[at].followers_of_start);
        let waiting: BTreeSet<usize> =
            followers.copied().filter(|follower| self.entries[*follower].progress == Progress::Waiting).collect();
        self.give_up(waiting)
    }

    /// Gives up what was not begun yet, and says what that is.
    pub(super) fn drop_waiting(&mut self) -> Vec<Unit> {
        let is_waiting = |at: &usize| self.entries[*at].progress == Progress::Waiting;
        self.give_up((0..self.entries.len()).filter(is_waiting).collect())
    }

    fn give_up(&mut self, steps: BTreeSet<usize>) -> Vec<Unit> {
        let units: Vec<Unit> = steps.into_iter().map(|at| self.entries[at].step.unit.clone()).collect();
        for unit in &units {
            self.end(unit, Progress::Failed);
        }
        units
    }

    fn end(&mut self, unit: &Unit, how: Progress) -> Option<usize> {
        let at = *self.index.get(unit)?;
        if !matches!(self.entries[at].progress, Progress::Finished | Progress::Failed) {
            self.over += 1;
        }
        self.entries[at].progress = how;
        self.open.remove(&at);
        self.running.remove(&at);
        self.at_work.remove(&at);
        Some(at)
    }

    fn unblock(&mut self, at: usize) {
        let entry = &mut self.entries[at];
        entry.blocked = entry.blocked.saturating_sub(1);
        if entry.blocked == 0 && entry.progress == Progress::Waiting {
            self.open.insert(at);
        }
    }

    pub(super) fn is_running(&self, unit: &Unit) -> bool {
        self.index.get(unit).is_some_and(|at| self.running.contains(at))
    }

    /// What is begun and not over.
    pub(super) fn running(&self) -> impl Iterator<Item = &Unit> {
        self.running.iter().map(|at| &self.entries[*at].step.unit)
    }

    /// Since a step was begun, in milliseconds.
    pub(super) fn elapsed(&self, unit: &Unit, now: Instant) -> u64 {
        let progress = self.index.get(unit).map(|at| self.entries[*at].progress);
        let Some(Progress::Running(began)) = progress else { return 0 };
        u64::try_from(now.duration_since(began).as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn is_over(&self) -> bool {
        self.over == self.entries.len()
    }
}
