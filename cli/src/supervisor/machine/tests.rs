//! The supervisor's decisions as sentences: what goes in, what comes out, and no clock, process or file between.

mod adopting;
mod leasing;
mod properties;
mod reviving;
mod starting;
mod stopping;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clustergraph::catalogue::Catalogue;
use clustergraph::format::service::{Restart, Wait};
use clustergraph::graph::{Key, Unit, UnitKind, Units};
use clustergraph::plan::{Observed, Wanted, plan};

use super::super::desired::{Desired, Work};
use super::super::prepare::Life;
use super::super::{ClientId, Event, Prepared};
use super::{Effect, Machine};
use crate::exit::{Exit, Failure};
use crate::protocol::{self, Purpose, Request, RuntimeName, State, Up};
use crate::runtime::{Cause, Ended, Forward, Gateway, Server};
use crate::session::{Instance, Lease, Record, Records};

/// A machine with everything that it has asked for so far.
pub(super) struct Bench {
    pub(super) machine: Machine,
    pub(super) told: Vec<(ClientId, protocol::Event)>,
    /// Units that were begun, in order.
    pub(super) begun: Vec<String>,
    /// Units that are to be ended, in order.
    pub(super) ending: Vec<Record>,
    pub(super) killed: Vec<String>,
    pub(super) left_over: BTreeMap<String, Instance>,
    pub(super) saved: Records,
    pub(super) cleaned: Vec<bool>,
    pub(super) watched: Vec<Instance>,
    pub(super) looking: Vec<String>,
    pub(super) pauses: Vec<(Unit, Option<Instance>, Duration)>,
    pub(super) remembering: usize,
    pub(super) told_all: Vec<String>,
    pub(super) preparing: Vec<Records>,
    pub(super) interrupted: bool,
    pub(super) quit: bool,
    next_pid: i32,
}

pub(super) fn service(name: &str) -> Unit {
    Unit::new(UnitKind::Service, name)
}

pub(super) fn instance(pid: i32) -> Instance {
    Instance::Process { pid, started: 1 }
}

fn work(unit: &Unit) -> Arc<Work> {
    if unit.kind == UnitKind::Forward {
        let gateway = Gateway::of_virtual_machine();
        return Arc::new(Work::Forward(Forward { gateway, routes: Vec::new(), log: "log".into() }));
    }
    Arc::new(Work::Server(Box::new(Server {
        unit: unit.clone(),
        kind: Arc::new(Catalogue::built_in().databases["postgres"].clone()),
        version: "17".into(),
        settings: BTreeMap::new(),
        image: String::new(),
        admin_password: String::new(),
        port: 5432,
        further: BTreeMap::new(),
        incarnation: "first".into(),
        base_env: BTreeMap::new(),
        home: None,
        log: "log".into(),
    })))
}

pub(super) fn up(services: &[&str]) -> Request {
    Request::Up(Up {
        services: services.iter().map(|name| (*name).to_owned()).collect(),
        purpose: Purpose::Start,
        runtime: None,
        dry_run: false,
        shell: BTreeMap::new(),
        mirror: None,
        colour: false,
        width: 80,
    })
}

/// What `ssi run` asks for first.
pub(super) fn needs(service: &str) -> Request {
    let Request::Up(up) = up(&[service]) else { unreachable!() };
    Request::Up(Up { purpose: Purpose::Needs { services: true }, ..up })
}

pub(super) fn down(services: &[&str]) -> Request {
    Request::Down { services: services.iter().map(|name| (*name).to_owned()).collect(), delete_data: false }
}

/// A graph in words: `a: b c` says that a waits for b and c.
pub(super) fn graph(lines: &[&str]) -> Units {
    lines
        .iter()
        .map(|line| {
            let (name, waits) = line.split_once(':').unwrap_or((line, ""));
            (service(name), waits.split_whitespace().map(|name| (service(name), Wait::Ready)).collect())
        })
        .collect()
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::adopting(Records::default(), &[])
    }

    pub(super) fn adopting(records: Records, alive: &[&str]) -> Self {
        Self::with_lives(records, alive.iter().map(|name| (service(name), Life::Runs)).collect())
    }

    pub(super) fn with_lives(records: Records, lives: BTreeMap<Unit, Life>) -> Self {
        let (machine, effects) = Machine::adopt(records.clone(), &lives);
        let mut bench = Self {
            machine,
            told: Vec::new(),
            begun: Vec::new(),
            ending: Vec::new(),
            killed: Vec::new(),
            left_over: BTreeMap::new(),
            saved: records,
            cleaned: Vec::new(),
            watched: Vec::new(),
            looking: Vec::new(),
            pauses: Vec::new(),
            remembering: 0,
            told_all: Vec::new(),
            preparing: Vec::new(),
            interrupted: false,
            quit: false,
            next_pid: 100,
        };
        bench.take(effects);
        bench
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Tell(client, event) => self.told.push((client, event)),
                Effect::Prepare(_, records) => self.preparing.push(*records),
                Effect::Begin { unit, left_over, .. } => {
                    if let Some(old) = left_over.and_then(|record| record.instance) {
                        self.left_over.insert(unit.to_string(), old);
                    }
                    self.begun.push(unit.to_string());
                }
                Effect::End(record) => self.ending.push(*record),
                Effect::Kill(record) => self.killed.push(record.unit.to_string()),
                Effect::Interrupt => self.interrupted = true,
                Effect::Watch { instance, .. } => self.watched.push(instance),
                Effect::Look { unit, .. } => self.looking.push(unit.to_string()),
                Effect::Heed { .. } => {}
                Effect::Later { unit, instance, after } => self.pauses.push((unit, instance, after)),
                Effect::Remember(_) => self.remembering += 1,
                Effect::TellAll(text) => self.told_all.push(text),
                Effect::Save | Effect::SaveNow => self.saved = self.machine.records().clone(),
                Effect::CleanUp { delete_data, .. } => self.cleaned.push(delete_data),
                Effect::Quit => self.quit = true,
            }
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        let effects = self.machine.handle(event, Instant::now());
        self.take(effects);
    }

    pub(super) fn request(&mut self, client: ClientId, request: Request) {
        self.event(Event::Request { client, request });
    }

    /// Answers the last `Prepare` with the plan for a graph. `key` stands for all that a unit is.
    pub(super) fn prepared(&mut self, waits: &Units, roots: &[&str], key: &str, dry_run: bool) {
        let mut records = self.preparing.pop().expect("an up that waits for its plan");
        records.all = roots.is_empty() || records.all;
        records.roots.extend(roots.iter().map(|name| (*name).to_owned()));
        self.answer(records, waits, key, dry_run, None);
    }

    /// Answers the last `Prepare` of what only needs these units for a while.
    pub(super) fn prepared_needs(&mut self, waits: &Units, of: &str) {
        let records = self.preparing.pop().expect("an up that waits for its plan");
        let lease = Lease { of: BTreeSet::from([of.to_owned()]), units: waits.keys().cloned().collect() };
        self.answer(records, waits, "1", false, Some(lease));
    }

    fn answer(&mut self, mut records: Records, waits: &Units, key: &str, dry_run: bool, lease: Option<Lease>) {
        records.passwords.insert("server".into(), "hunter2hunter2".into());
        let want = |unit: &Unit| (unit.clone(), Wanted { key: Key::of("test", &key.into()), parts: BTreeMap::new() });
        let wanted: BTreeMap<Unit, Wanted> = waits.keys().map(want).collect();
        let observed = records.units.values().map(|record| {
            let alive = record.ready;
            (record.unit.clone(), Observed { key: record.key, parts: record.parts.clone(), alive })
        });
        let steps = plan(&wanted, waits, &observed.collect(), &records.waits());
        let desired = Desired {
            work: waits.keys().map(|unit| (unit.clone(), work(unit))).collect(),
            waits: waits.clone(),
            runtimes: waits.keys().map(|unit| (unit.clone(), RuntimeName::Process)).collect(),
            needs: BTreeMap::new(),
            secrets: BTreeSet::from(["opensesame".to_owned()]),
            wanted,
        };
        let prepared = Prepared { steps, desired, records, keeps: Vec::new(), notes: Vec::new(), lease, dry_run };
        self.event(Event::Prepared { result: Ok(Box::new(prepared)) });
    }

    /// A unit runs now and is ready.
    pub(super) fn ready(&mut self, name: &str) -> Instance {
        let instance = self.started(name);
        self.event(Event::Over { unit: service(name), result: Ok(()) });
        instance
    }

    pub(super) fn started(&mut self, name: &str) -> Instance {
        self.next_pid += 1;
        let instance = instance(self.next_pid);
        self.event(Event::Started { unit: service(name), instance: instance.clone() });
        instance
    }

    pub(super) fn fails(&mut self, name: &str, why: &str) {
        self.event(Event::Over { unit: service(name), result: Err(Cause::new(why)) });
    }

    pub(super) fn stopped(&mut self, name: &str) {
        self.ending.retain(|record| record.unit.name != name);
        self.event(Event::Stopped { unit: service(name), result: Ok(()) });
    }

    /// Everything of a graph is asked for by client 1 and becomes ready.
    pub(super) fn running(lines: &[&str], roots: &[&str]) -> Self {
        let mut bench = Self::new();
        bench.request(1, up(roots));
        bench.prepared(&graph(lines), roots, "1", false);
        let mut at = 0;
        while at < bench.begun.len() {
            let name = bench.begun[at].clone();
            bench.ready(&name);
            at += 1;
        }
        assert_eq!(bench.ends(1), [(Exit::Success, String::new())]);
        bench.begun.clear();
        bench.told.clear();
        bench
    }

    pub(super) fn ends(&self, client: ClientId) -> Vec<(Exit, String)> {
        let of = self.told.iter().filter(|(to, _)| *to == client);
        of.filter_map(|(_, event)| match event {
            protocol::Event::End { exit, message } => Some((*exit, message.clone())),
            _ => None,
        })
        .collect()
    }

    pub(super) fn notes(&self, client: ClientId) -> Vec<String> {
        let of = self.told.iter().filter(|(to, _)| *to == client);
        of.filter_map(|(_, event)| match event {
            protocol::Event::Note { text } => Some(text.clone()),
            _ => None,
        })
        .collect()
    }

    pub(super) fn ending(&self) -> Vec<String> {
        self.ending.iter().map(|record| record.unit.to_string()).collect()
    }

    /// The state of a unit as `ps` shows it.
    pub(super) fn state(&self, name: &str) -> Option<State> {
        self.machine.listing().into_iter().find(|listed| listed.unit.name == name).map(|listed| listed.state)
    }

    pub(super) fn planned(&self) -> Vec<String> {
        let mut plans = self.told.iter().filter_map(|(_, event)| match event {
            protocol::Event::Plan { steps, .. } => Some(steps.iter().map(|step| step.unit.to_string()).collect()),
            _ => None,
        });
        plans.next_back().unwrap_or_default()
    }
}

pub(super) fn record(name: &str, instance: Option<Instance>, ready: bool) -> Record {
    Record {
        unit: service(name),
        key: Key::of("test", &"1".into()),
        parts: BTreeMap::new(),
        runtime: RuntimeName::Process,
        waits: Vec::new(),
        needs: BTreeSet::new(),
        instance,
        addresses: Vec::new(),
        ready,
        restart: Restart::Never.into(),
        restarts: 0,
        ended: None,
        since: 0,
        stop: ("TERM".into(), 1000),
    }
}

pub(super) fn failure(message: &str) -> Failure {
    Failure::unusable(message)
}
