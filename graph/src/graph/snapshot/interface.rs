//! What others see of a service.yaml, and what the repository as a whole is judged by. While it stays, only the service
//! itself is meant otherwise.

use std::collections::BTreeMap;

use crate::format::service::{DatabaseSource, ServiceFile, Wait};

/// Names and kinds, without the places where they were written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interface<'f> {
    name: &'f str,
    is_task: bool,
    is_public: bool,
    /// Name, number, protocol and whether it is the primary one.
    ports: Vec<(&'f str, u16, &'f str, bool)>,
    /// Whom it calls: by which name, what its start waits for, and whether it runs without.
    calls: Vec<(&'f str, &'f str, Wait, bool)>,
    databases: Vec<(&'f str, Store<'f>)>,
    processes: Vec<&'f str>,
    jobs: Vec<&'f str>,
}

#[derive(Debug, PartialEq, Eq)]
enum Store<'f> {
    /// One of its own, by what decides on which server it lies.
    Own {
        kind: &'f str,
        version: Option<&'f str>,
        settings: &'f BTreeMap<String, String>,
        image: Option<&'f str>,
        is_dedicated: bool,
    },
    From(&'f str),
}

impl<'f> Interface<'f> {
    pub(super) fn of(file: &'f ServiceFile) -> Self {
        let databases = file.databases.iter().map(|used| {
            let store = match &used.source {
                DatabaseSource::Own(store) => Store::Own {
                    kind: &store.kind,
                    version: store.version.as_deref(),
                    settings: &store.settings,
                    image: store.image.as_deref(),
                    is_dedicated: store.dedicated,
                },
                DatabaseSource::From(address) => Store::From(address),
            };
            (used.alias.as_str(), store)
        });
        let ports =
            file.ports.iter().map(|port| (port.name.as_str(), port.number, port.protocol.as_str(), port.primary));
        let calls = file.dependencies.iter();
        let calls = calls.map(|edge| (edge.service.as_str(), edge.alias.as_str(), edge.wait, edge.optional));
        Self {
            name: &file.name,
            is_task: file.task,
            is_public: file.public.is_some(),
            ports: ports.collect(),
            calls: calls.collect(),
            databases: databases.collect(),
            processes: file.processes.iter().map(|part| part.name.as_str()).collect(),
            jobs: file.jobs.iter().map(|part| part.name.as_str()).collect(),
        }
    }
}
