//! What is started anew when it ends by itself: after a pause that grows, until it ends too often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clustergraph::format::service::{Restart, Wait};
use clustergraph::graph::{Unit, Units};
use clustergraph::plan::{Action, Step, Wanted};

use super::super::desired::{Desired, Work};
use super::operation::Operation;
use super::{Effect, Machine, NOBODY};
use crate::protocol::{RuntimeName, State};
use crate::runtime::Ended;
use crate::session::Instance;

/// The pause before the first new start; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// Whoever ends so often within so long is not started again: something is wrong that starting does not mend.
const TOO_OFTEN: (usize, Duration) = (5, Duration::from_secs(60));

/// What a unit that runs is made of: by this it is started anew.
pub(super) struct Standing {
    work: Arc<Work>,
    wanted: Wanted,
    waits: BTreeMap<Unit, Wait>,
    needs: BTreeSet<Unit>,
    runtime: RuntimeName,
    /// When it ended by itself.
    falls: Vec<Instant>,
}

/// A unit that ended by itself and is to be started anew.
pub(super) struct Fallen {
    /// What ran of it, if anything: a new start may fail before something runs.
    instance: Option<Instance>,
    /// Its pause is over.
    is_due: bool,
    /// What it is made of was looked for, because no `up` of this supervisor told.
    is_asked: bool,
}

/// Why a unit runs no more.
pub(in super::super) enum Fall {
    /// It ended.
    Ended(Ended),
    /// It does not answer any more, and says so.
    Silent(String),
    /// It was started anew and did not become ready.
    Failed(String),
}

impl std::fmt::Display for Fall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ended(ended) => ended.fmt(f),
            Self::Silent(why) => write!(f, "answers no more: {why}"),
            Self::Failed(cause) => f.write_str(cause),
        }
    }
}

impl Machine {
    /// Remembers what everything that is wanted is made of, where that is what runs.
    pub(super) fn stand(&mut self, desired: &Desired, effects: &mut Vec<Effect>) {
        for (unit, wanted) in desired.wanted.iter().filter(|(unit, _)| unit.kind.runs()) {
            let Some(record) = self.records.get(unit).filter(|record| record.ready && record.key == wanted.key) else {
                continue;
            };
            let (Some(work), Some(runtime)) = (desired.work.get(unit), desired.runtimes.get(unit)) else { continue };
            if self.standing.contains_key(unit) {
                continue;
            }
            if let Some(instance) = &record.instance {
                effects.push(heed(unit, *runtime, instance, work));
            }
            let standing = Standing {
                work: Arc::clone(work),
                wanted: wanted.clone(),
                waits: desired.waits.get(unit).cloned().unwrap_or_default(),
                needs: desired.needs.get(unit).cloned().unwrap_or_default(),
                runtime: *runtime,
                falls: Vec::new(),
            };
            self.standing.insert(unit.clone(), standing);
        }
    }

    /// Remembers what a unit is made of that an operation has made ready.
    pub(super) fn stands(&mut self, unit: &Unit, effects: &mut Vec<Effect>) {
        self.fallen.remove(unit);
        let Some(operation) = self.current.as_ref().filter(|_| unit.kind.runs()) else { return };
        let (Some(work), Some(wanted), Some(runtime)) =
            (operation.work.get(unit), operation.wanted.get(unit), operation.runtimes.get(unit))
        else {
            return;
        };
        if let Some(instance) = self.records.get(unit).and_then(|record| record.instance.as_ref()) {
            effects.push(heed(unit, *runtime, instance, work));
        }
        // Whoever asks for it by name gives it a new chance.
        let known = self.standing.remove(unit).filter(|_| operation.is_revival);
        let standing = Standing {
            work: Arc::clone(work),
            wanted: wanted.clone(),
            waits: operation.waits.get(unit).cloned().unwrap_or_default(),
            needs: operation.needs.get(unit).cloned().unwrap_or_default(),
            runtime: *runtime,
            falls: known.map(|known| known.falls).unwrap_or_default(),
        };
        self.standing.insert(unit.clone(), standing);
    }

    /// A unit runs no more by itself: it is started anew after a pause, or it is told that it is not.
    pub(super) fn falls(&mut self, unit: &Unit, fall: &Fall, now: Instant, effects: &mut Vec<Effect>) {
        let restart = match (self.standing.get(unit), self.records.get(unit)) {
            (Some(standing), _) => standing.work.restart(),
            (None, Some(record)) => record.restart.into(),
            (None, None) => return,
        };
        let again = match (restart, fall) {
            (_, Fall::Silent(_)) | (Restart::Always, _) => true,
            (Restart::OnFailure, Fall::Ended(ended)) => *ended != Ended::Code(0),
            (Restart::OnFailure, Fall::Failed(_)) => true,
            (Restart::Never, _) => false,
        };
        let (often, within) = TOO_OFTEN;
        let falls = self.standing.get_mut(unit).map_or(1, |standing| {
            standing.falls.retain(|fall| now.duration_since(*fall) < within);
            standing.falls.push(now);
            standing.falls.len()
        });
        let fall = self.without_secrets(&fall.to_string());
        let Some(record) = self.records.get_mut(unit) else { return };
        record.ready = false;
        if !again || falls >= often {
            record.ended = Some(match again {
                true => {
                    format!("{fall}; it did so {falls} times within {} s and is not started again", within.as_secs())
                }
                false => fall,
            });
            self.fallen.remove(unit);
            self.states.insert(unit.clone(), State::Failed);
            effects.push(Effect::TellAll(format!("{unit}: it {}", record.ended.as_deref().unwrap_or_default())));
            return;
        }
        let instance = record.instance.clone();
        record.restarts += 1;
        record.ended = None;
        self.states.insert(unit.clone(), State::Starting);
        let after = PAUSE * (1 << (falls - 1));
        let text = format!("{unit}: it {fall}; it is started again in {:.1} s", after.as_secs_f32());
        effects.push(Effect::TellAll(text));
        let fallen = Fallen { instance: instance.clone(), is_due: false, is_asked: false };
        self.fallen.insert(unit.clone(), fallen);
        effects.push(Effect::Later { unit: unit.clone(), instance, after });
    }

    /// The pause of a unit is over.
    pub(super) fn due(&mut self, unit: &Unit, instance: Option<&Instance>, now: Instant, effects: &mut Vec<Effect>) {
        if let Some(fallen) = self.fallen.get_mut(unit).filter(|fallen| fallen.instance.as_ref() == instance) {
            fallen.is_due = true;
            self.revive(now, effects);
        }
    }

    /// What units are made of that no `up` of this supervisor told of.
    pub(super) fn remembered(&mut self, desired: Option<&Desired>, now: Instant, effects: &mut Vec<Effect>) {
        if let Some(desired) = desired {
            // They are not ready any more, but what they were made of is what counts.
            let fallen: Vec<Unit> = self.fallen.keys().cloned().collect();
            self.set_ready(&fallen, true);
            self.stand(desired, effects);
            self.set_ready(&fallen, false);
        }
        self.revive(now, effects);
    }

    fn set_ready(&mut self, units: &[Unit], ready: bool) {
        for unit in units {
            if let Some(record) = self.records.get_mut(unit) {
                record.ready = ready;
            }
        }
    }

    /// Starts anew what is due, unless a command is under way: that comes first, and may do it by itself.
    pub(super) fn revive(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let records = &self.records;
        // A command has dealt with it meanwhile.
        self.fallen.retain(|unit, fallen| records.get(unit).is_some_and(|record| record.instance == fallen.instance));
        if self.preparing.is_some() || self.current.as_ref().is_some_and(|operation| !operation.is_revival) {
            return;
        }
        let due: Vec<Unit> =
            self.fallen.iter().filter(|(_, fallen)| fallen.is_due).map(|(unit, _)| unit.clone()).collect();
        for unit in due {
            if let Some(standing) = self.standing.get(&unit) {
                let operation = self.current.get_or_insert_with(|| {
                    let mut operation = Operation::new(NOBODY, Units::new(), Vec::new());
                    operation.is_revival = true;
                    operation
                });
                operation.work.insert(unit.clone(), Arc::clone(&standing.work));
                operation.wanted.insert(unit.clone(), standing.wanted.clone());
                operation.runtimes.insert(unit.clone(), standing.runtime);
                operation.waits.insert(unit.clone(), standing.waits.clone());
                operation.needs.insert(unit.clone(), standing.needs.clone());
                let (after, after_start) = (BTreeSet::new(), BTreeSet::new());
                let reason = "it ended by itself".to_owned();
                operation.schedule.add(Step { action: Action::Start, unit: unit.clone(), reason, after, after_start });
                self.fallen.remove(&unit);
            } else if let Some(fallen) = self.fallen.get_mut(&unit) {
                if std::mem::replace(&mut fallen.is_asked, true) {
                    self.fallen.remove(&unit);
                    self.states.insert(unit.clone(), State::Failed);
                    if let Some(record) = self.records.get_mut(&unit) {
                        record.ended =
                            Some("ended, and what it was made of has changed: `ssi up` starts it".to_owned());
                    }
                    effects.push(Effect::Save);
                } else {
                    effects.push(Effect::Remember(Box::new(self.records.clone())));
                }
            }
        }
        if self.current.as_ref().is_some_and(|operation| operation.is_revival) {
            self.advance(now, effects);
        }
    }

    /// A command comes first: what is being started anew is left off, and the command deals with it.
    pub(super) fn leave_off_revival(&mut self, effects: &mut Vec<Effect>) {
        if let Some(operation) = self.current.as_mut().filter(|operation| operation.is_revival) {
            operation.schedule.drop_waiting();
            operation.is_left_off = true;
            effects.push(Effect::Interrupt);
        }
    }
}

fn heed(unit: &Unit, runtime: RuntimeName, instance: &Instance, work: &Arc<Work>) -> Effect {
    Effect::Heed { unit: unit.clone(), runtime, instance: instance.clone(), work: Arc::clone(work) }
}
