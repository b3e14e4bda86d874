//! One `up` or `down` on its way: which of its steps wait, run or are over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use clustergraph::graph::{Unit, Units};
use clustergraph::plan::{Action, Step, Wanted};

use super::super::ClientId;
use super::super::desired::Work;
use super::revival::Fall;
use super::schedule::Schedule;
use super::{Effect, Machine, NOBODY, end, watch};
use crate::exit::Exit;
use crate::protocol::{self, RuntimeName, State};
use crate::runtime::Cause;
use crate::session::{Record, Records};

/// Steps on their way.
pub(super) struct Operation {
    /// Who is told.
    pub(super) client: ClientId,
    pub(super) runtimes: BTreeMap<Unit, RuntimeName>,
    pub(super) work: BTreeMap<Unit, Arc<Work>>,
    pub(super) wanted: BTreeMap<Unit, Wanted>,
    pub(super) needs: BTreeMap<Unit, BTreeSet<Unit>>,
    pub(super) waits: Units,
    /// Which of its steps wait, run or are over.
    pub(super) schedule: Schedule,
    /// Records of units whose former instance is still being ended: until then the old record counts, so
    /// that a supervisor that dies in between forgets nothing that runs.
    fresh: BTreeMap<Unit, Record>,
    failures: Vec<String>,
    /// Set for a `down`: whether data goes, too.
    pub(super) down: Option<bool>,
    /// Nobody waits for an orderly end any more.
    pub(super) hurry: bool,
    /// Nobody asked for it: it starts anew what ended by itself.
    pub(super) is_revival: bool,
    /// It is to be over soon, for something else's sake.
    pub(super) is_left_off: bool,
}

impl Operation {
    pub(super) fn new(client: ClientId, waits: Units, steps: Vec<Step>) -> Self {
        Self {
            client,
            runtimes: BTreeMap::new(),
            work: BTreeMap::new(),
            wanted: BTreeMap::new(),
            needs: BTreeMap::new(),
            waits,
            schedule: Schedule::new(steps),
            fresh: BTreeMap::new(),
            failures: Vec::new(),
            down: None,
            hurry: false,
            is_revival: false,
            is_left_off: false,
        }
    }

    /// What a unit that is begun now is remembered by; `None` for one that nothing is known of.
    fn record(&self, unit: &Unit) -> Option<(Arc<Work>, Record)> {
        let (work, wanted, runtime) = (self.work.get(unit)?, self.wanted.get(unit)?, self.runtimes.get(unit)?);
        let waits = self.waits.get(unit).into_iter().flatten();
        let record = Record {
            unit: unit.clone(),
            key: wanted.key,
            parts: wanted.parts.clone(),
            runtime: *runtime,
            waits: waits.map(|(unit, wait)| (unit.clone(), wait.as_str().to_owned())).collect(),
            needs: self.needs.get(unit).cloned().unwrap_or_default(),
            instance: None,
            addresses: work.addresses(),
            ready: false,
            restart: work.restart().into(),
            restarts: 0,
            ended: None,
            since: jiff::Timestamp::now().as_second(),
            stop: work.stop(),
        };
        Some((Arc::clone(work), record))
    }
}

/// The running units that are being stopped, with what is recorded of them.
pub(super) fn being_stopped<'a>(operation: &'a Operation, records: &'a Records) -> impl Iterator<Item = &'a Record> {
    operation.schedule.running().filter_map(|unit| records.get(unit))
}

/// The record as it is when there is no time: ended by force, with no grace.
pub(super) fn by_force(record: &Record) -> Box<Record> {
    Box::new(Record { stop: ("KILL".to_owned(), 0), ..record.clone() })
}

impl Machine {
    /// Begins every step that may begin; ends the operation when none is left.
    pub(super) fn advance(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        loop {
            let Some(operation) = &mut self.current else { return };
            let (client, hurry) = (operation.client, operation.hurry);
            let Some(step) = operation.schedule.begin_next(hurry, now) else { break };
            let state = if step.action == Action::Stop { State::Stopping } else { State::Starting };
            self.tell_state(client, &step.unit, state, step.reason.clone(), 0, effects);
            if !self.begin(&step, hurry, effects) {
                self.failed(
                    &step.unit,
                    &Cause::new("nothing is known of it; this is a fault of ssi itself"),
                    now,
                    effects,
                );
            }
        }
        if self.current.as_ref().is_some_and(|operation| operation.schedule.is_over()) {
            self.finish(now, effects);
        }
    }

    /// Begins one step; false when there is nothing to begin it with.
    fn begin(&mut self, step: &Step, hurry: bool, effects: &mut Vec<Effect>) -> bool {
        let Some(operation) = &mut self.current else { return false };
        let unit = &step.unit;
        let old = self.records.get(unit).cloned();
        if step.action == Action::Stop {
            let Some(record) = old else { return false };
            effects.push(Effect::End(if hurry { by_force(&record) } else { Box::new(record) }));
            return true;
        }
        let Some((work, mut record)) = operation.record(unit) else { return false };
        if operation.is_revival {
            record.restarts = old.as_ref().map_or(0, |old| old.restarts);
        }
        let server = match &*work {
            Work::Database { server, .. } => self.records.get(&server.unit).and_then(|record| record.instance.clone()),
            _ => None,
        };
        let runtime = record.runtime;
        let left_over = old.filter(|record| record.instance.is_some()).map(Box::new);
        if left_over.is_some() {
            operation.fresh.insert(unit.clone(), record);
            if let Some(old) = self.records.get_mut(unit) {
                old.ready = false;
            }
        } else {
            self.records.put(record);
        }
        effects.push(Effect::Begin { unit: unit.clone(), runtime, work, left_over, server });
        true
    }

    /// What ran of a unit before is gone: from now on its new record counts.
    pub(super) fn take_fresh(&mut self, unit: &Unit) {
        if let Some(record) = self.current.as_mut().and_then(|operation| operation.fresh.remove(unit)) {
            self.gone.remove(unit);
            self.records.put(record);
        }
    }

    pub(super) fn over(&mut self, unit: &Unit, result: Result<(), Cause>, now: Instant, effects: &mut Vec<Effect>) {
        let Some(operation) = self.current.as_mut().filter(|operation| operation.schedule.is_running(unit)) else {
            return;
        };
        let (client, elapsed_ms) = (operation.client, operation.schedule.elapsed(unit, now));
        match result {
            Ok(()) => {
                operation.schedule.finish(unit);
                self.take_fresh(unit);
                let mut state = State::Done;
                let mut addresses = String::new();
                if let Some(record) = self.records.get_mut(unit) {
                    record.ready = true;
                    if !unit.kind.runs() {
                        record.instance = None; // it has ended well, and is gone
                    }
                    addresses = record.addresses.join(" ");
                    if let Some(instance) = &record.instance {
                        state = State::Ready;
                        effects.push(watch(record, instance));
                    }
                }
                self.stands(unit, effects);
                self.tell_state(client, unit, state, addresses, elapsed_ms, effects);
            }
            Err(cause) if operation.is_revival => {
                operation.schedule.fail(unit);
                // A command that came meanwhile finds it as it is, not running.
                if !operation.is_left_off {
                    let first = cause.to_string();
                    self.falls(unit, &Fall::Failed(first), now, effects);
                }
            }
            Err(cause) => {
                // What runs but is not ready stays in the records: the next command ends it.
                if let Some(record) = self.records.get_mut(unit) {
                    record.ended = Some("failed".to_owned());
                    effects.extend(record.instance.as_ref().map(|instance| watch(record, instance)));
                }
                self.failed(unit, &cause, now, effects);
            }
        }
        effects.push(Effect::Save);
        self.advance(now, effects);
    }

    pub(super) fn stopped(&mut self, unit: &Unit, result: Result<(), Cause>, now: Instant, effects: &mut Vec<Effect>) {
        let Some(operation) = self.current.as_mut().filter(|operation| operation.schedule.is_running(unit)) else {
            return;
        };
        let (client, elapsed_ms) = (operation.client, operation.schedule.elapsed(unit, now));
        match result {
            Ok(()) => {
                operation.schedule.finish(unit);
                self.records.forget(unit);
                self.gone.remove(unit);
                self.standing.remove(unit);
                self.fallen.remove(unit);
                self.tell_state(client, unit, State::Stopped, String::new(), elapsed_ms, effects);
                self.states.remove(unit);
            }
            Err(cause) => self.failed(unit, &cause, now, effects),
        }
        effects.push(Effect::Save);
        self.advance(now, effects);
    }

    /// Notes a failure; what waits for it is named and not begun.
    fn failed(&mut self, unit: &Unit, cause: &Cause, now: Instant, effects: &mut Vec<Effect>) {
        let cause = self.without_secrets(&cause.to_string());
        let Some(operation) = &mut self.current else { return };
        let (client, elapsed_ms) = (operation.client, operation.schedule.elapsed(unit, now));
        let skipped = operation.schedule.fail(unit);
        operation.failures.push(format!("{unit}: {cause}"));
        self.tell_state(client, unit, State::Failed, cause, elapsed_ms, effects);
        for other in skipped {
            self.skip(client, &other, format!("{unit} failed"), effects);
        }
    }

    /// Tells that a step is not begun; a unit that runs as it was goes on as what it is.
    fn skip(&mut self, client: ClientId, unit: &Unit, why: String, effects: &mut Vec<Effect>) {
        let before = self.states.get(unit).copied();
        self.tell_state(client, unit, State::Skipped, why, 0, effects);
        if let Some(before) = before.filter(|_| self.records.get(unit).is_some()) {
            self.states.insert(unit.clone(), before);
        }
    }

    fn tell_state(
        &mut self,
        client: ClientId,
        unit: &Unit,
        state: State,
        detail: String,
        elapsed_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        self.states.insert(unit.clone(), state);
        effects.push(Effect::Tell(client, protocol::Event::State { unit: unit.clone(), state, detail, elapsed_ms }));
    }

    /// Begins no more of what this client asked for, and waits no longer for what was begun.
    pub(super) fn interrupt(&mut self, client: ClientId, effects: &mut Vec<Effect>) {
        let Some(operation) = self.current.as_mut().filter(|operation| operation.client == client) else { return };
        if operation.down.is_some() {
            return;
        }
        operation.client = NOBODY;
        for unit in operation.schedule.drop_waiting() {
            self.skip(client, &unit, "interrupted".to_owned(), effects);
        }
        effects.push(Effect::Interrupt);
    }

    fn finish(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Some(operation) = &self.current else { return };
        let nothing_runs = self.records.units.values().all(|record| record.instance.is_none());
        if let Some(delete_data) = operation.down
            && nothing_runs
            && operation.failures.is_empty()
        {
            let ports = self.records.ports.values().copied().collect();
            effects.push(Effect::CleanUp { runtimes: self.records.runtimes.clone(), ports, delete_data });
            return;
        }
        let (client, failures) = (operation.client, operation.failures.join("\n"));
        let exit = if failures.is_empty() { Exit::Success } else { Exit::Failed };
        self.current = None;
        effects.push(end(client, exit, failures));
        self.next_request(now, effects);
    }

    pub(super) fn cleaned_up(&mut self, result: Result<(), Cause>, now: Instant, effects: &mut Vec<Effect>) {
        let Some(operation) = self.current.take() else { return };
        let (exit, message) = match result {
            Ok(()) if operation.down == Some(true) => {
                // The folder of the records is gone, too: nothing is written there again.
                self.records = Records::default();
                self.states.clear();
                self.standing.clear();
                (Exit::Success, String::new())
            }
            Ok(()) => (Exit::Success, String::new()),
            Err(cause) => {
                effects.push(Effect::Save);
                (Exit::Failed, cause.to_string())
            }
        };
        effects.push(end(operation.client, exit, message));
        self.next_request(now, effects);
    }
}
