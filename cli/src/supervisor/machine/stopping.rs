//! What is stopped when somebody no longer wants something: what nothing else wants, in reverse order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use clustergraph::graph::{Unit, UnitKind};
use clustergraph::plan::{Action, Observed, Step, Wanted, plan};

use super::super::ClientId;
use super::operation::{Operation, being_stopped, by_force};
use super::{Effect, Machine, end, listed};
use crate::exit::Exit;
use crate::protocol::{self, Request};
use crate::session::Record;

impl Machine {
    pub(super) fn down(
        &mut self,
        client: ClientId,
        services: &[String],
        delete_data: bool,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let recorded = self.records.units.values().filter(|record| record.unit.kind == UnitKind::Service);
        let recorded: BTreeSet<String> = recorded.map(|record| record.unit.name.clone()).collect();
        // What was asked for and could not be begun is wanted all the same, until it is taken back.
        let known: BTreeSet<&str> = recorded.iter().chain(&self.records.roots).map(String::as_str).collect();
        let unknown: Vec<&str> = services.iter().map(String::as_str).filter(|name| !known.contains(name)).collect();
        if !unknown.is_empty() {
            let message = format!("no service {} runs here; these do: {}", unknown.join(", "), listed(&known));
            effects.push(end(client, Exit::Unusable, message));
            return;
        }
        if services.is_empty() {
            self.records.roots.clear();
            self.records.leases.clear();
        } else {
            if self.records.all {
                self.records.roots.extend(recorded);
            }
            self.records.roots.retain(|root| !services.contains(root));
        }
        self.records.all = false;
        for name in services.iter().filter(|name| self.kept().contains(&Unit::new(UnitKind::Service, name.as_str()))) {
            let text = format!("{name} goes on: others need it");
            effects.push(Effect::Tell(client, protocol::Event::Note { text }));
        }
        self.stop(client, delete_data, now, effects);
    }

    /// Takes back what an `up` wanted first: services, or everything.
    pub(super) fn take_back(
        &mut self,
        client: ClientId,
        all: bool,
        services: &[String],
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        self.records.leases.remove(&client);
        self.records.all &= !all;
        self.records.roots.retain(|root| !services.contains(root));
        self.stop(client, false, now, effects);
    }

    /// Everything that what is wanted needs, whether waited for or only wired.
    fn kept(&self) -> BTreeSet<Unit> {
        if self.records.all {
            return self.records.units.values().map(|record| record.unit.clone()).collect();
        }
        let mut kept = BTreeSet::new();
        let leased = self.records.leases.values().flat_map(|lease| lease.units.iter().cloned());
        let roots = self.records.roots.iter().map(|root| Unit::new(UnitKind::Service, root));
        let mut open: Vec<Unit> = roots.chain(leased).collect();
        while let Some(unit) = open.pop() {
            if let Some(record) = self.records.get(&unit).filter(|_| !kept.contains(&unit)) {
                open.extend(record.waits.iter().map(|(unit, _)| unit.clone()));
                open.extend(record.needs.iter().cloned());
            }
            kept.insert(unit);
        }
        kept
    }

    /// Stops what nothing wants.
    fn stop(&mut self, client: ClientId, delete_data: bool, now: Instant, effects: &mut Vec<Effect>) {
        let kept = self.kept();
        // What could not be begun and is not wanted any more needs no step to be forgotten.
        let is_void = |record: &Record| record.instance.is_none() && !record.ready;
        self.records.units.retain(|_, record| kept.contains(&record.unit) || !is_void(record));
        let found = |record: &Record| Observed {
            key: record.key,
            parts: record.parts.clone(),
            alive: record.instance.is_some(),
        };
        let observed: BTreeMap<Unit, Observed> =
            self.records.units.values().map(|record| (record.unit.clone(), found(record))).collect();
        let wanted = observed
            .iter()
            .filter(|(unit, _)| kept.contains(*unit))
            .map(|(unit, found)| (unit.clone(), Wanted { key: found.key, parts: found.parts.clone() }))
            .collect();
        let waits = self.records.waits();
        let steps: Vec<Step> =
            plan(&wanted, &waits, &observed, &waits).into_iter().filter(|step| step.action == Action::Stop).collect();
        effects.push(Effect::Tell(client, protocol::Event::Plan { steps: steps.clone(), keeps: Vec::new() }));
        effects.push(Effect::SaveNow);
        let mut operation = Operation::new(client, waits, steps);
        operation.down = Some(delete_data);
        operation.hurry = self.hurried.remove(&client);
        self.current = Some(operation);
        self.advance(now, effects);
    }

    /// Ends by force what this client's command is stopping, or is about to.
    pub(super) fn hurry(&mut self, client: ClientId, now: Instant, effects: &mut Vec<Effect>) {
        match &mut self.current {
            Some(operation) if operation.client == client && operation.down.is_some() => {
                operation.hurry = true;
                effects.extend(being_stopped(operation, &self.records).map(|record| Effect::Kill(by_force(record))));
                self.advance(now, effects);
            }
            _ if self
                .queue
                .iter()
                .any(|(of, request)| *of == client && matches!(request, Request::TakeBack { .. })) =>
            {
                self.hurried.insert(client);
            }
            _ => {}
        }
    }
}
