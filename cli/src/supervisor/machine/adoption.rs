//! What a new supervisor makes of the records that it finds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use clustergraph::graph::Unit;

use super::super::prepare::Life;
use super::{Effect, Machine, watch};
use crate::protocol::State;
use crate::session::{Instance, Record, Records};

impl Machine {
    /// A machine that goes on with these records. Instances whose life nobody told of are gone.
    pub(in super::super) fn adopt(records: Records, lives: &BTreeMap<Unit, Life>) -> (Self, Vec<Effect>) {
        let mut machine = Self {
            records,
            states: BTreeMap::new(),
            gone: BTreeSet::new(),
            current: None,
            preparing: None,
            has_left: false,
            queue: VecDeque::new(),
            hurried: BTreeSet::new(),
            leaving: false,
            standing: BTreeMap::new(),
            fallen: BTreeMap::new(),
            secrets: BTreeSet::new(),
        };
        let mut effects = Vec::new();
        for record in machine.records.units.values() {
            let life = lives.get(&record.unit).copied().unwrap_or(Life::Gone);
            let state = match (&record.instance, life) {
                (None, _) if record.ready => State::Done,
                (Some(instance), Life::Runs) => {
                    effects.push(watch(record, instance));
                    running(record)
                }
                (Some(instance), Life::Unknown) => {
                    let (unit, runtime) = (record.unit.clone(), record.runtime);
                    effects.push(Effect::Look { unit, runtime, instance: instance.clone() });
                    State::Unknown
                }
                (Some(_), Life::Gone) => {
                    machine.gone.insert(record.unit.clone());
                    stopped(record)
                }
                (None, _) => stopped(record),
            };
            machine.states.insert(record.unit.clone(), state);
        }
        (machine, effects)
    }

    /// The runtime answers again: what could not be asked is adopted, or was gone.
    pub(super) fn found(&mut self, unit: &Unit, instance: &Instance, runs: bool, effects: &mut Vec<Effect>) {
        let Some(record) = self.records.get(unit).filter(|record| record.instance.as_ref() == Some(instance)) else {
            return;
        };
        if self.states.get(unit) != Some(&State::Unknown) {
            return; // an operation has dealt with it
        }
        let state = if runs { running(record) } else { stopped(record) };
        if runs {
            effects.push(watch(record, instance));
        } else {
            self.gone.insert(unit.clone());
        }
        self.states.insert(unit.clone(), state);
    }
}

/// The state of what was found running.
fn running(record: &Record) -> State {
    if record.ready { State::Ready } else { State::Starting }
}

/// The state of what was found not to run.
fn stopped(record: &Record) -> State {
    if record.ended.is_some() { State::Failed } else { State::Stopped }
}
