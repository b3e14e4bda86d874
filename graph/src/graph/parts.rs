//! Further processes and jobs: nodes of their own, made of their service's.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::build::Builder;
use super::identity::behaviour_key;
use super::{Database, Located, Role, Service};
use crate::diagnostic::Place;
use crate::format::service::{Process, Scale};
use crate::wiring::{self, Scene};

impl Builder<'_> {
    /// The processes and jobs of a service.
    pub(super) fn parts(
        &mut self,
        located: &Located,
        owner: &Service,
        scene: &Scene<'_>,
        databases: &BTreeMap<String, Database>,
    ) -> Vec<Service> {
        let file = &located.file;
        let mut parts = Vec::new();
        for part in file.processes.iter().chain(&file.jobs) {
            let role = match &part.schedule {
                Some(schedule) => Role::Job { schedule: schedule.clone() },
                None => Role::Service,
            };
            let scale = if part.schedule.is_some() { Scale::default() } else { part.scale.clone() };
            let mut service = Service {
                name: format!("{}.{}", owner.name, part.name),
                role,
                place: part.place.clone(),
                ports: Vec::new(),
                public: None,
                run: Some(part.run.clone()),
                health: part.health.clone(),
                env: wiring::environment(file, Some(part), scene, &mut self.problems),
                env_places: places(owner, part),
                scale,
                resources: part.resources.clone().unwrap_or_else(|| owner.resources.clone()),
                restart: part.restart,
                stop: part.stop.clone().unwrap_or_else(|| owner.stop.clone()),
                test: None,
                smoke: None,
                ..owner.clone()
            };
            service.behaviour = behaviour_key(&service, databases);
            parts.push(service);
        }
        parts
    }
}

/// Where its variables were written: its own are laid over its service's.
fn places(owner: &Service, part: &Process) -> Arc<BTreeMap<String, Place>> {
    if part.env.is_empty() {
        return Arc::clone(&owner.env_places);
    }
    let mut places = (*owner.env_places).clone();
    places.extend(part.env.iter().map(|(name, text)| (name.clone(), text.place.clone())));
    Arc::new(places)
}
