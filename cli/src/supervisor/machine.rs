//! What the supervisor does about everything that happens. No I/O here: an event goes in, effects come out.

mod adoption;
mod operation;
mod revival;
mod schedule;
mod stopping;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clustergraph::graph::Unit;
use clustergraph::plan::Step;

use super::desired::{Desired, Work};
use super::{ClientId, Event, Prepared};
use crate::exit::{Exit, Failure};
use crate::protocol::{self, Listed, Request, RuntimeName, State, Up};
use crate::session::{Instance, Record, Records, Stored};
use operation::Operation;
pub(super) use revival::Fall;
use revival::{Fallen, Standing};

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
    /// End it by force; whoever ends it already tells.
    Kill(Box<Record>),
    /// Wait no longer for what was begun: each tells that it was interrupted.
    Interrupt,
    /// Tell when it ends: answered by [`Event::Exited`].
    Watch { unit: Unit, runtime: RuntimeName, instance: Instance },
    /// Tell when it does not answer any more, where somebody wants to know: answered by [`Event::Silent`].
    Heed { unit: Unit, runtime: RuntimeName, instance: Instance, work: Arc<Work> },
    /// Tell when a pause is over: answered by [`Event::Due`].
    Later { unit: Unit, instance: Option<Instance>, after: Duration },
    /// Find out what recorded units are made of: answered by [`Event::Remembered`].
    Remember(Box<Records>),
    /// Tell everybody who listens.
    TellAll(String),
    /// Ask until there is an answer whether it runs: answered by [`Event::Found`].
    Look { unit: Unit, runtime: RuntimeName, instance: Instance },
    /// Write the records, soon: what happens at once is written at once.
    Save,
    /// Write the records before anything else is done.
    SaveNow,
    /// Remove what belongs to no unit: answered by [`Event::CleanedUp`].
    CleanUp { runtimes: BTreeSet<RuntimeName>, ports: Vec<u16>, delete_data: bool },
    /// End the supervisor.
    Quit,
}

/// The supervisor's whole state.
pub(super) struct Machine {
    records: Records,
    states: BTreeMap<Unit, State>,
    /// Units whose instance is known to be gone, whatever the records still say of it.
    gone: BTreeSet<Unit>,
    current: Option<Operation>,
    preparing: Option<ClientId>,
    /// Whether that client is gone meanwhile: what it needs, nobody needs.
    has_left: bool,
    queue: VecDeque<(ClientId, Request)>,
    /// Clients that want their stop to be over at once.
    hurried: BTreeSet<ClientId>,
    leaving: bool,
    /// What runs, and what it is made of.
    standing: BTreeMap<Unit, Standing>,
    /// What ended by itself and is to be started anew.
    fallen: BTreeMap<Unit, Fallen>,
    /// Values that nobody is to be shown, beside the passwords of the records.
    secrets: BTreeSet<String>,
}

/// Who is told what nobody asked for any more.
const NOBODY: ClientId = 0;

impl Machine {
    /// Whether something runs or is about to. What cannot be asked is nothing to stay for: the next supervisor
    /// asks again.
    pub(super) fn is_idle(&self) -> bool {
        let rests = |record: &Record| {
            record.instance.is_none()
                || self.gone.contains(&record.unit)
                || self.states.get(&record.unit) == Some(&State::Unknown)
        };
        self.current.is_none()
            && self.preparing.is_none()
            && self.queue.is_empty()
            && self.fallen.is_empty()
            && self.records.units.values().all(rests)
    }

    /// Takes an event and says what is to be done about it.
    pub(super) fn handle(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Request { client, request } => self.request(client, request, now, &mut effects),
            Event::Prepared { result } => self.prepared(result, now, &mut effects),
            Event::Told { unit, text } => {
                if let Some(operation) = &self.current {
                    let elapsed_ms = operation.schedule.elapsed(&unit, now);
                    let detail = self.without_secrets(&text);
                    let event = protocol::Event::State { unit, state: State::Starting, detail, elapsed_ms };
                    effects.push(Effect::Tell(operation.client, event));
                }
            }
            Event::Cleared { unit } => {
                self.take_fresh(&unit);
                effects.push(Effect::Save);
            }
            Event::Started { unit, instance } => {
                self.take_fresh(&unit);
                self.gone.remove(&unit);
                let runtime = self.records.get_mut(&unit).map(|record| {
                    record.instance = Some(instance);
                    record.runtime
                });
                if let Some(operation) = &self.current
                    && let Some(Work::Server(server)) = operation.work.get(&unit).map(|work| &**work)
                    && let Some(runtime) = runtime
                {
                    let stored = Stored { runtime, incarnation: server.incarnation.clone() };
                    self.records.servers.insert(unit.name.clone(), stored);
                }
                effects.push(Effect::Save);
                if let Some(operation) = &mut self.current {
                    operation.schedule.runs(&unit);
                }
                self.advance(now, &mut effects);
            }
            Event::Over { unit, result } => self.over(&unit, result, now, &mut effects),
            Event::Stopped { unit, result } => self.stopped(&unit, result, now, &mut effects),
            Event::Exited { unit, instance, ended } => {
                self.no_more(&unit, &instance, &Fall::Ended(ended), now, &mut effects);
            }
            Event::Silent { unit, instance, why } => {
                self.no_more(&unit, &instance, &Fall::Silent(why), now, &mut effects);
            }
            Event::Due { unit, instance } => self.due(&unit, instance.as_ref(), now, &mut effects),
            Event::Remembered { desired } => self.remembered(desired.as_deref(), now, &mut effects),
            Event::Found { unit, instance, runs } => self.found(&unit, &instance, runs, &mut effects),
            Event::CleanedUp { result } => self.cleaned_up(result, now, &mut effects),
            Event::Terminate => effects.push(Effect::Quit),
            // What it asked for goes on; what it only needed meanwhile nobody holds any more.
            Event::Left { client } => {
                self.records.leases.remove(&client);
                self.has_left |= self.preparing == Some(client);
            }
        }
        effects
    }

    /// What is to be remembered.
    pub(super) fn records(&self) -> &Records {
        &self.records
    }

    fn request(&mut self, client: ClientId, request: Request, now: Instant, effects: &mut Vec<Effect>) {
        match request {
            Request::Hello => effects.push(Effect::Tell(client, protocol::Event::Hello { build: protocol::build() })),
            Request::Ps => {
                effects.push(Effect::Tell(client, protocol::Event::Listing { units: self.listing() }));
                effects.push(end(client, Exit::Success, String::new()));
            }
            Request::Leave if self.is_busy() => self.leaving = true,
            Request::Leave => effects.push(Effect::Quit),
            Request::Kill => self.hurry(client, now, effects),
            Request::TakeBack { .. } => {
                // What this very client asked for before need not come to its end first.
                if self.preparing == Some(client) {
                    self.preparing = Some(NOBODY);
                }
                self.queue.retain(|(of, queued)| *of != client || !matches!(queued, Request::Up(_)));
                self.interrupt(client, effects);
                self.enqueue(client, request, now, effects);
            }
            Request::Up(_) | Request::Down { .. } => self.enqueue(client, request, now, effects),
        }
    }

    fn is_busy(&self) -> bool {
        self.current.is_some() || self.preparing.is_some()
    }

    /// Carries out a request that changes something, one after the other.
    fn enqueue(&mut self, client: ClientId, request: Request, now: Instant, effects: &mut Vec<Effect>) {
        self.leave_off_revival(effects);
        if self.is_busy() {
            let own = self.preparing == Some(NOBODY)
                || self.current.as_ref().is_some_and(|operation| operation.client == NOBODY);
            if !own {
                let text = "waiting for another command of this session".to_owned();
                effects.push(Effect::Tell(client, protocol::Event::Note { text }));
            }
            self.queue.push_back((client, request));
            return;
        }
        match request {
            Request::Up(up) => {
                self.preparing = Some(client);
                let before = protocol::Event::Before { all: self.records.all, roots: self.records.roots.clone() };
                effects.push(Effect::Tell(client, before));
                effects.push(Effect::Prepare(Box::new(up), Box::new(self.records.clone())));
            }
            Request::Down { services, delete_data } => self.down(client, &services, delete_data, now, effects),
            Request::TakeBack { all, services } => self.take_back(client, all, &services, now, effects),
            Request::Hello | Request::Ps | Request::Kill | Request::Leave => {}
        }
    }

    /// A text without any password or secret of this session: a program's last words may hold one.
    fn without_secrets(&self, text: &str) -> String {
        let secrets = self.records.passwords.values().chain(&self.secrets).filter(|secret| !secret.is_empty());
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "********"))
    }

    /// What is there, as `ssi ps` shows it.
    pub(super) fn listing(&self) -> Vec<Listed> {
        let units = self.records.units.values().map(|record| Listed {
            unit: record.unit.clone(),
            state: self.states.get(&record.unit).copied().unwrap_or(State::Stopped),
            runtime: record.runtime,
            addresses: record.addresses.clone(),
            detail: self.detail(record),
            restarts: record.restarts,
            since: record.instance.is_some().then_some(record.since),
            instance: record.instance.as_ref().map(ToString::to_string),
            container: match &record.instance {
                Some(Instance::Container(id)) => Some(id.clone()),
                _ => None,
            },
        });
        units.collect()
    }

    /// What a person should know of a unit's state.
    fn detail(&self, record: &Record) -> Option<String> {
        match self.states.get(&record.unit)? {
            State::Unknown => Some(format!("{} does not answer", record.runtime.engine())),
            State::Failed => record.ended.clone(),
            _ => None,
        }
    }

    fn prepared(&mut self, result: Result<Box<Prepared>, Failure>, now: Instant, effects: &mut Vec<Effect>) {
        let Some(client) = self.preparing.take() else { return };
        let has_left = std::mem::take(&mut self.has_left);
        let prepared = match result {
            Ok(prepared) => *prepared,
            Err(failure) => {
                effects.push(end(client, failure.exit, failure.message));
                return self.next_request(now, effects);
            }
        };
        if client == NOBODY {
            return self.next_request(now, effects); // whoever asked has taken it back
        }
        let steps: Vec<Step> = prepared.steps;
        for text in prepared.notes {
            effects.push(Effect::Tell(client, protocol::Event::Note { text }));
        }
        if prepared.dry_run {
            effects.push(Effect::Tell(client, protocol::Event::Plan { steps, keeps: prepared.keeps }));
            effects.push(end(client, Exit::Success, String::new()));
            return self.next_request(now, effects);
        }
        effects.push(Effect::Tell(client, protocol::Event::Plan { steps: steps.clone(), keeps: prepared.keeps }));
        // Ports and passwords may be new; instances may have ended while the plan was made.
        self.records.ports = prepared.records.ports;
        self.records.passwords = prepared.records.passwords;
        self.records.chosen = prepared.records.chosen;
        self.records.servers = prepared.records.servers;
        self.records.databases = prepared.records.databases;
        self.records.salt = prepared.records.salt;
        self.records.versions = prepared.records.versions;
        self.records.runtimes.extend(prepared.desired.runtimes.values());
        self.records.roots = prepared.records.roots;
        self.records.all = prepared.records.all;
        self.stand(&prepared.desired, effects);
        self.records.leases.extend(prepared.lease.filter(|_| !has_left).map(|lease| (client, lease)));
        let Desired { wanted, waits, needs, work, runtimes, secrets } = prepared.desired;
        self.secrets = secrets;
        effects.push(Effect::SaveNow);
        let mut operation = Operation::new(client, waits, steps);
        (operation.wanted, operation.needs) = (wanted, needs);
        (operation.work, operation.runtimes) = (work, runtimes);
        self.current = Some(operation);
        self.advance(now, effects);
    }

    /// Something that ran has ended, or answers no more.
    fn no_more(&mut self, unit: &Unit, instance: &Instance, fall: &Fall, now: Instant, effects: &mut Vec<Effect>) {
        let busy = self.current.as_ref().is_some_and(|operation| operation.schedule.is_running(unit));
        let Some(record) = self.records.get(unit) else { return };
        if record.instance.as_ref() != Some(instance) {
            return; // it was ended on purpose
        }
        if matches!(fall, Fall::Ended(_)) {
            self.gone.insert(unit.clone());
        }
        if busy || record.ended.is_some() || self.fallen.contains_key(unit) {
            return; // its step tells of it, or told, or it is being dealt with
        }
        // The instance stays in the record: what is left of it goes with the next step.
        self.falls(unit, fall, now, effects);
        effects.push(Effect::Save);
    }

    fn next_request(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if let Some((client, request)) = self.queue.pop_front() {
            self.enqueue(client, request, now, effects);
            // What was answered at once leaves the way free for the next.
            if !self.is_busy() {
                self.next_request(now, effects);
            }
        } else if self.leaving {
            effects.push(Effect::Quit);
        } else {
            self.revive(now, effects);
        }
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
