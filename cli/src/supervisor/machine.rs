//! What the supervisor does about everything that happens. No I/O here: an event goes in, effects come out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use clustergraph::graph::{Unit, UnitKind};
use clustergraph::plan::{Action, Observed, Step, Wanted, plan};

use super::desired::{Desired, Work, addresses_of, stop_of};
use super::{ClientId, Event, Prepared};
use crate::exit::{Exit, Failure};
use crate::protocol::{self, Listed, Request, RuntimeName, State, Up};
use crate::runtime::Cause;
use crate::session::{Instance, Record, Records};

/// How many units are begun or ended at once.
const AT_ONCE: usize = 16;

/// What is to be done now.
pub(super) enum Effect {
    /// Tell a client something.
    Tell(ClientId, protocol::Event),
    /// Read the graph, look at what runs, and make a plan: answered by [`Event::Prepared`].
    Prepare(Box<Up>, Box<Records>),
    /// Begin a unit.
    Begin {
        unit: Unit,
        runtime: RuntimeName,
        work: Arc<Work>,
        left_over: Option<Box<Record>>,
        server: Option<Instance>,
    },
    /// End what runs of a unit: answered by [`Event::Stopped`].
    End(Box<Record>),
    /// Tell when it ends: answered by [`Event::Exited`].
    Watch { unit: Unit, runtime: RuntimeName, instance: Instance },
    /// Write the records.
    Save(Box<Records>),
    /// Remove what belongs to no unit: answered by [`Event::CleanedUp`].
    CleanUp { runtimes: BTreeSet<RuntimeName>, ports: Vec<u16>, delete_data: bool },
    /// End the supervisor.
    Quit,
}

/// Where a step of the current operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    Running(Instant),
    Finished,
    Failed,
}

struct Operation {
    client: ClientId,
    runtime: RuntimeName,
    work: BTreeMap<Unit, Arc<Work>>,
    wanted: BTreeMap<Unit, Wanted>,
    waits: clustergraph::graph::Units,
    steps: Vec<(Step, Progress)>,
    failures: Vec<String>,
    /// Set for a `down`: whether data goes, too.
    down: Option<bool>,
}

/// The supervisor's whole state.
pub(super) struct Machine {
    records: Records,
    states: BTreeMap<Unit, State>,
    current: Option<Operation>,
    preparing: Option<ClientId>,
    queue: VecDeque<(ClientId, Request)>,
}

impl Machine {
    /// A machine that goes on with these records; `alive` are the units found running.
    pub(super) fn adopt(records: Records, alive: &BTreeSet<Unit>) -> (Self, Vec<Effect>) {
        let mut machine =
            Self { records, states: BTreeMap::new(), current: None, preparing: None, queue: VecDeque::new() };
        let mut effects = Vec::new();
        for record in machine.records.units.values() {
            let state = match (&record.instance, alive.contains(&record.unit)) {
                (None, _) => {
                    if record.ready {
                        State::Done
                    } else {
                        State::Stopped
                    }
                }
                (Some(_), false) => State::Stopped,
                (Some(instance), true) => {
                    effects.push(watch(record, instance));
                    if record.ready { State::Ready } else { State::Starting }
                }
            };
            machine.states.insert(record.unit.clone(), state);
        }
        (machine, effects)
    }

    /// Whether something runs or is about to.
    pub(super) fn is_idle(&self) -> bool {
        self.current.is_none()
            && self.preparing.is_none()
            && self.queue.is_empty()
            && self.records.units.values().all(|record| record.instance.is_none())
    }

    /// Takes an event and says what is to be done about it.
    pub(super) fn handle(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Request { client, request } => self.request(client, request, now, &mut effects),
            Event::Prepared { result } => self.prepared(result, now, &mut effects),
            Event::Told { unit, text } => {
                if let Some(operation) = &self.current {
                    let elapsed_ms = operation.elapsed(&unit, now);
                    let event = protocol::Event::State { unit, state: State::Starting, detail: text, elapsed_ms };
                    effects.push(Effect::Tell(operation.client, event));
                }
            }
            Event::Started { unit, instance } => {
                if let Some(record) = self.records.get_mut(&unit) {
                    record.instance = Some(instance);
                }
                effects.push(self.save());
            }
            Event::Over { unit, result } => self.over(&unit, result, now, &mut effects),
            Event::Stopped { unit, result } => self.stopped(&unit, result, now, &mut effects),
            Event::Exited { unit, instance, how } => self.exited(&unit, &instance, &how, &mut effects),
            Event::CleanedUp { result } => self.cleaned_up(result, now, &mut effects),
            Event::Terminate => effects.push(Effect::Quit),
            Event::Left { .. } => {} // what it asked for goes on
        }
        effects
    }

    fn save(&self) -> Effect {
        Effect::Save(Box::new(self.records.clone()))
    }

    fn request(&mut self, client: ClientId, request: Request, now: Instant, effects: &mut Vec<Effect>) {
        match request {
            Request::Hello => effects.push(Effect::Tell(client, protocol::Event::Hello { build: protocol::build() })),
            Request::Ps => {
                effects.push(Effect::Tell(client, protocol::Event::Listing { units: self.listing() }));
                effects.push(end(client, Exit::Success, String::new()));
            }
            Request::Leave => effects.push(Effect::Quit),
            Request::Up(_) | Request::Down { .. } if self.current.is_some() || self.preparing.is_some() => {
                let text = "waiting for another command of this session".to_owned();
                effects.push(Effect::Tell(client, protocol::Event::Note { text }));
                self.queue.push_back((client, request));
            }
            Request::Up(up) => {
                self.preparing = Some(client);
                effects.push(Effect::Prepare(Box::new(up), Box::new(self.records.clone())));
            }
            Request::Down { services, delete_data } => self.down(client, &services, delete_data, now, effects),
        }
    }

    fn listing(&self) -> Vec<Listed> {
        let units = self.records.units.values().map(|record| Listed {
            unit: record.unit.clone(),
            state: self.states.get(&record.unit).copied().unwrap_or(State::Stopped),
            runtime: record.runtime,
            addresses: record.addresses.clone(),
            since: record.instance.is_some().then_some(record.since),
            instance: record.instance.as_ref().map(ToString::to_string),
            container: match &record.instance {
                Some(Instance::Container(id)) => Some(id.clone()),
                _ => None,
            },
        });
        units.collect()
    }

    fn prepared(&mut self, result: Result<Box<Prepared>, Failure>, now: Instant, effects: &mut Vec<Effect>) {
        let Some(client) = self.preparing.take() else { return };
        let prepared = match result {
            Ok(prepared) => *prepared,
            Err(failure) => {
                effects.push(end(client, failure.exit, failure.message));
                return self.next_request(now, effects);
            }
        };
        let steps: Vec<Step> = prepared.steps.clone();
        effects.push(Effect::Tell(client, protocol::Event::Plan { steps: steps.clone() }));
        if prepared.dry_run {
            effects.push(end(client, Exit::Success, String::new()));
            return self.next_request(now, effects);
        }
        // Ports and passwords may be new; instances may have ended while the plan was made.
        self.records.ports = prepared.records.ports;
        self.records.passwords = prepared.records.passwords;
        self.records.runtimes.insert(prepared.runtime);
        self.records.roots = prepared.records.roots;
        self.records.all = prepared.records.all;
        let Desired { wanted, waits, work } = prepared.desired;
        effects.push(self.save());
        self.current = Some(Operation {
            client,
            runtime: prepared.runtime,
            work,
            wanted,
            waits,
            steps: steps.into_iter().map(|step| (step, Progress::Waiting)).collect(),
            failures: Vec::new(),
            down: None,
        });
        self.advance(now, effects);
    }

    fn down(
        &mut self,
        client: ClientId,
        services: &[String],
        delete_data: bool,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let known: BTreeSet<&str> = self
            .records
            .units
            .values()
            .filter(|record| record.unit.kind == UnitKind::Service)
            .map(|record| record.unit.name.as_str())
            .collect();
        let unknown: Vec<&str> = services.iter().map(String::as_str).filter(|name| !known.contains(name)).collect();
        if !unknown.is_empty() {
            let message = format!("no service {} runs here; these do: {}", unknown.join(", "), listed(&known));
            effects.push(end(client, Exit::Unusable, message));
            return;
        }
        let known: BTreeSet<String> = known.into_iter().map(str::to_owned).collect();
        if services.is_empty() {
            self.records.roots.clear();
        } else {
            if self.records.all {
                self.records.roots = known;
            }
            self.records.roots.retain(|root| !services.contains(root));
        }
        self.records.all = false;
        let waits = self.records.waits();
        let mut keep: BTreeSet<Unit> = BTreeSet::new();
        let mut open: Vec<Unit> = self.records.roots.iter().map(|root| Unit::new(UnitKind::Service, root)).collect();
        while let Some(unit) = open.pop() {
            open.extend(waits.get(&unit).into_iter().flat_map(|waits| waits.keys().cloned()));
            // What was only wired, not waited for, is kept by its own root or goes.
            keep.insert(unit);
        }
        let observed = self.observed();
        let wanted = observed
            .iter()
            .filter(|(unit, _)| keep.contains(*unit))
            .map(|(unit, found)| (unit.clone(), Wanted { key: found.key, parts: found.parts.clone() }))
            .collect();
        let steps: Vec<Step> =
            plan(&wanted, &waits, &observed, &waits).into_iter().filter(|step| step.action == Action::Stop).collect();
        effects.push(Effect::Tell(client, protocol::Event::Plan { steps: steps.clone() }));
        effects.push(self.save());
        self.current = Some(Operation {
            client,
            runtime: RuntimeName::Process,
            work: BTreeMap::new(),
            wanted: BTreeMap::new(),
            waits,
            steps: steps.into_iter().map(|step| (step, Progress::Waiting)).collect(),
            failures: Vec::new(),
            down: Some(delete_data),
        });
        self.advance(now, effects);
    }

    /// What the records and the events since say of what runs.
    fn observed(&self) -> BTreeMap<Unit, Observed> {
        let found = |record: &Record| Observed {
            key: record.key,
            parts: record.parts.clone(),
            alive: record.instance.is_some(),
        };
        self.records.units.values().map(|record| (record.unit.clone(), found(record))).collect()
    }

    /// Begins every step that may begin; ends the operation when none is left.
    fn advance(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Some(operation) = &mut self.current else { return };
        loop {
            let running =
                operation.steps.iter().filter(|(_, progress)| matches!(progress, Progress::Running(_))).count();
            let unfinished: BTreeSet<&Unit> = operation
                .steps
                .iter()
                .filter(|(_, progress)| *progress != Progress::Finished)
                .map(|(step, _)| &step.unit)
                .collect();
            let next = operation.steps.iter().position(|(step, progress)| {
                *progress == Progress::Waiting && step.after.iter().all(|unit| !unfinished.contains(unit))
            });
            let Some(next) = next.filter(|_| running < AT_ONCE) else { break };
            let (step, progress) = &mut operation.steps[next];
            *progress = Progress::Running(now);
            let unit = step.unit.clone();
            let old = self.records.get(&unit).cloned();
            let state = if step.action == Action::Stop { State::Stopping } else { State::Starting };
            self.states.insert(unit.clone(), state);
            let detail = step.reason.clone();
            let event = protocol::Event::State { unit: unit.clone(), state, detail, elapsed_ms: 0 };
            effects.push(Effect::Tell(operation.client, event));
            if step.action == Action::Stop {
                effects.extend(old.map(|record| Effect::End(Box::new(record))));
                continue;
            }
            let (Some(work), Some(wanted)) = (operation.work.get(&unit), operation.wanted.get(&unit)) else { continue };
            let server = match &**work {
                Work::Database { server, .. } => {
                    self.records.get(&server.unit).and_then(|record| record.instance.clone())
                }
                _ => None,
            };
            let waits = operation.waits.get(&unit).into_iter().flatten();
            self.records.put(Record {
                unit: unit.clone(),
                key: wanted.key,
                parts: wanted.parts.clone(),
                runtime: operation.runtime,
                waits: waits.map(|(unit, wait)| (unit.clone(), wait.as_str().to_owned())).collect(),
                instance: None,
                addresses: addresses_of(work),
                ready: false,
                since: jiff::Timestamp::now().as_second(),
                stop: stop_of(work),
            });
            effects.push(Effect::Begin {
                unit,
                runtime: operation.runtime,
                work: Arc::clone(work),
                left_over: old.filter(|record| record.instance.is_some()).map(Box::new),
                server,
            });
        }
        let over =
            operation.steps.iter().all(|(_, progress)| matches!(progress, Progress::Finished | Progress::Failed));
        if over {
            self.finish(now, effects);
        }
    }

    fn over(&mut self, unit: &Unit, result: Result<(), Cause>, now: Instant, effects: &mut Vec<Effect>) {
        let Some(operation) = &mut self.current else { return };
        let elapsed_ms = operation.elapsed(unit, now);
        let client = operation.client;
        let (state, detail) = match result {
            Ok(()) => {
                operation.set(unit, Progress::Finished);
                let record = self.records.get_mut(unit);
                let addresses = record.as_ref().map(|record| record.addresses.join(" ")).unwrap_or_default();
                let mut state = State::Done;
                if let Some(record) = record {
                    record.ready = true;
                    if let Some(instance) = &record.instance {
                        state = State::Ready;
                        effects.push(watch(record, instance));
                    }
                }
                (state, addresses)
            }
            Err(cause) => {
                operation.set(unit, Progress::Failed);
                operation.failures.push(format!("{unit}: {cause}"));
                // What runs but is not ready is kept in the records: the next command ends it.
                if self.records.get(unit).is_some_and(|record| record.instance.is_none()) {
                    self.records.forget(unit);
                }
                (State::Failed, cause.to_string())
            }
        };
        self.states.insert(unit.clone(), state);
        effects.push(Effect::Tell(client, protocol::Event::State { unit: unit.clone(), state, detail, elapsed_ms }));
        if state == State::Failed {
            self.skip_after(unit, effects);
        }
        effects.push(self.save());
        self.advance(now, effects);
    }

    /// What waits for something that failed is named and not begun.
    fn skip_after(&mut self, failed: &Unit, effects: &mut Vec<Effect>) {
        let Some(operation) = &mut self.current else { return };
        for (step, progress) in &mut operation.steps {
            if *progress == Progress::Waiting && step.after.contains(failed) {
                *progress = Progress::Failed;
                let detail = format!("{failed} failed");
                self.states.insert(step.unit.clone(), State::Skipped);
                let event =
                    protocol::Event::State { unit: step.unit.clone(), state: State::Skipped, detail, elapsed_ms: 0 };
                effects.push(Effect::Tell(operation.client, event));
            }
        }
    }

    fn stopped(&mut self, unit: &Unit, result: Result<(), Cause>, now: Instant, effects: &mut Vec<Effect>) {
        let Some(operation) = &mut self.current else { return };
        let elapsed_ms = operation.elapsed(unit, now);
        let (state, detail) = match result {
            Ok(()) => {
                operation.set(unit, Progress::Finished);
                self.records.forget(unit);
                (State::Stopped, String::new())
            }
            Err(cause) => {
                operation.set(unit, Progress::Failed);
                operation.failures.push(format!("{unit}: {cause}"));
                (State::Failed, cause.to_string())
            }
        };
        self.states.insert(unit.clone(), state);
        let event = protocol::Event::State { unit: unit.clone(), state, detail, elapsed_ms };
        effects.push(Effect::Tell(operation.client, event));
        if state == State::Failed {
            self.skip_after(unit, effects);
        }
        effects.push(self.save());
        self.advance(now, effects);
    }

    fn exited(&mut self, unit: &Unit, instance: &Instance, how: &str, effects: &mut Vec<Effect>) {
        let busy = self.current.as_ref().is_some_and(|operation| operation.is_running(unit));
        let Some(record) = self.records.get_mut(unit) else { return };
        if busy || record.instance.as_ref() != Some(instance) {
            return; // it was ended on purpose, or its step tells of it
        }
        // The instance stays in the record: what is left of a container goes with the next step.
        record.ready = false;
        self.states.insert(unit.clone(), State::Failed);
        if let Some(operation) = &self.current {
            let event = protocol::Event::State {
                unit: unit.clone(),
                state: State::Failed,
                detail: format!("it {how}"),
                elapsed_ms: 0,
            };
            effects.push(Effect::Tell(operation.client, event));
        }
        effects.push(self.save());
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

    fn cleaned_up(&mut self, result: Result<(), Cause>, now: Instant, effects: &mut Vec<Effect>) {
        let Some(operation) = self.current.take() else { return };
        let (exit, message) = match result {
            Ok(()) => {
                if operation.down == Some(true) {
                    self.records = Records::default();
                    self.states.clear();
                }
                (Exit::Success, String::new())
            }
            Err(cause) => (Exit::Failed, cause.to_string()),
        };
        effects.push(self.save());
        effects.push(end(operation.client, exit, message));
        self.next_request(now, effects);
    }

    fn next_request(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if let Some((client, request)) = self.queue.pop_front() {
            self.request(client, request, now, effects);
        }
    }
}

impl Operation {
    fn set(&mut self, unit: &Unit, to: Progress) {
        for (_, progress) in self.steps.iter_mut().filter(|(step, _)| step.unit == *unit) {
            *progress = to;
        }
    }

    fn is_running(&self, unit: &Unit) -> bool {
        self.steps.iter().any(|(step, progress)| step.unit == *unit && matches!(progress, Progress::Running(_)))
    }

    fn elapsed(&self, unit: &Unit, now: Instant) -> u64 {
        let began = self.steps.iter().find_map(|(step, progress)| match progress {
            Progress::Running(began) if step.unit == *unit => Some(*began),
            _ => None,
        });
        began.map_or(0, |began| u64::try_from(now.duration_since(began).as_millis()).unwrap_or(u64::MAX))
    }
}

fn watch(record: &Record, instance: &Instance) -> Effect {
    Effect::Watch { unit: record.unit.clone(), runtime: record.runtime, instance: instance.clone() }
}

fn end(client: ClientId, exit: Exit, message: String) -> Effect {
    Effect::Tell(client, protocol::Event::End { exit, message })
}

fn listed(names: &BTreeSet<&str>) -> String {
    if names.is_empty() { "none".to_owned() } else { names.iter().copied().collect::<Vec<_>>().join(", ") }
}
