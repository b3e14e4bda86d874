//! A snapshot as a file: an index that says of each node what it is and where its record lies, what nodes share, and the
//! records.
//!
//! The index is read whole, a record when it is asked for. Each part is read with its digest: what is damaged is as if it
//! were not there.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Summary;
use crate::catalogue::Stack;
use crate::diagnostic::afresh;
use crate::graph::{Database, DatabaseServer, Graph, Key, Service, parallel};
use crate::tree::{Cache, Oid, Stored};

/// The first bytes of every snapshot; the digit is the layout's.
const MAGIC: &[u8; 8] = b"cgraph1\n";
/// The length of what stands before the index: the magic, two lengths, two digests.
const HEAD: usize = 8 + 2 * 8 + 2 * 16;

/// The first half of a SHA-256.
pub(super) type Digest = [u8; 16];

pub(super) fn digest(bytes: &[u8]) -> Digest {
    let whole: [u8; 32] = Sha256::digest(bytes).into();
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    half
}

/// What is known of all nodes without their records.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Index {
    pub(super) version: Key,
    pub(super) processes: usize,
    pub(super) jobs: usize,
    pub(super) databases: usize,
    /// Sorted by name.
    pub(super) rows: Vec<Row>,
    /// How many bytes of records there are, those included that no row names any more.
    pub(super) records: u64,
}

/// One service, further process or job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) id: Key,
    /// Where its record begins, counted from the first record.
    pub(super) at: u64,
    pub(super) length: u32,
    /// Of the record: two rows with the same have the same record.
    pub(super) digest: Digest,
    /// Its service's row.
    pub(super) owner: u32,
    pub(super) folder: String,
    pub(super) stack: String,
    pub(super) include: Vec<String>,
    /// Rows of the services that it calls.
    pub(super) calls: Vec<u32>,
    /// Addresses of the databases that it uses.
    pub(super) databases: Vec<String>,
    /// Whether there are links among its sources: those look anywhere.
    pub(super) has_links: bool,
}

/// What nodes have in common.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Shared {
    pub(super) stacks: BTreeMap<String, Arc<Stack>>,
    pub(super) databases: BTreeMap<String, Database>,
    pub(super) servers: BTreeMap<String, DatabaseServer>,
}

/// What is known of a tree's graph, in parts.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) index: Index,
    shared: OnceLock<Shared>,
    /// The file that it was read from; what of it was changed since is in `shared` and `fresh`.
    stored: Option<StoredParts>,
    /// Records that are in no file yet, one after the other: they follow those of the file.
    fresh: Vec<u8>,
}

#[derive(Debug)]
struct StoredParts {
    file: Stored,
    /// Where the shared part begins, its length and its digest.
    shared: (u64, usize, Digest),
    /// Where the records begin, and how many bytes they are.
    records: (u64, u64),
}

impl Snapshot {
    /// Opens one, and reads its index; nothing where there is none, or a damaged one.
    pub(super) fn open(cache: &Cache, name: &str) -> Option<Self> {
        let file = cache.open(name)?;
        let head = file.read(0, HEAD).ok()?;
        let (magic, rest) = head.split_first_chunk::<8>()?;
        let (index, rest) = rest.split_first_chunk::<8>()?;
        let (shared, rest) = rest.split_first_chunk::<8>()?;
        let (of_index, of_shared) = (rest.get(..16)?, Digest::try_from(rest.get(16..32)?).ok()?);
        let (index, shared) = (u64::from_le_bytes(*index), u64::from_le_bytes(*shared));
        let bytes = file.read(HEAD as u64, usize::try_from(index).ok()?).ok()?;
        if magic != MAGIC || digest(&bytes) != of_index {
            return None;
        }
        let shared_at = (HEAD as u64).checked_add(index)?;
        let index: Index = postcard::from_bytes(&bytes).ok()?;
        let stored = StoredParts {
            file,
            shared: (shared_at, usize::try_from(shared).ok()?, of_shared),
            records: (shared_at.checked_add(shared)?, index.records),
        };
        Some(Self { index, shared: OnceLock::new(), stored: Some(stored), fresh: Vec::new() })
    }

    /// A graph's own; nothing when it cannot be written down.
    pub(super) fn of(graph: &Graph) -> Option<Self> {
        let services: Vec<&Service> = graph.services.values().collect();
        let at = |name: &str| services.binary_search_by(|service| service.name.as_str().cmp(name)).ok();
        let at = |name: &str| at(name).and_then(|at| u32::try_from(at).ok());
        let written = parallel::chunks(&services, |some| {
            let written = some.iter().map(|service| {
                let has_links = !service.sources.links().is_empty();
                Some((row(service, has_links, at)?, record(service)?))
            });
            written.collect::<Option<Vec<_>>>()
        });
        let summary = Summary::of(graph);
        let index = Index {
            version: graph.version,
            processes: summary.processes,
            jobs: summary.jobs,
            databases: summary.databases,
            rows: Vec::with_capacity(services.len()),
            records: 0,
        };
        let shared = Shared {
            stacks: services.iter().map(|service| (service.stack.name.clone(), Arc::clone(&service.stack))).collect(),
            databases: graph.databases.clone(),
            servers: graph.servers.clone(),
        };
        let mut snapshot = Self { index, shared: OnceLock::from(shared), stored: None, fresh: Vec::new() };
        for (row, record) in written.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten() {
            let row = snapshot.put(row, &record)?;
            snapshot.index.rows.push(row);
        }
        Some(snapshot)
    }

    pub(super) fn summary(&self) -> Summary {
        let Index { version, processes, jobs, databases, ref rows, .. } = self.index;
        Summary { version, services: rows.len().saturating_sub(processes + jobs), processes, jobs, databases }
    }

    /// What nodes have in common; nothing when it is damaged.
    pub(super) fn shared(&self) -> Option<&Shared> {
        if let Some(shared) = self.shared.get() {
            return Some(shared);
        }
        let (file, (at, length, of)) = self.stored.as_ref().map(|stored| (&stored.file, stored.shared))?;
        let bytes = file.read(at, length).ok().filter(|bytes| digest(bytes) == of)?;
        afresh();
        let shared = postcard::from_bytes(&bytes).ok()?;
        Some(self.shared.get_or_init(|| shared))
    }

    /// Says otherwise what nodes have in common.
    pub(super) fn set_shared(&mut self, shared: Shared) {
        self.shared = OnceLock::from(shared);
    }

    /// Adds a record, and says in its row where it lies.
    pub(super) fn put(&mut self, row: Row, record: &[u8]) -> Option<Row> {
        let (at, length) = (self.index.records, u32::try_from(record.len()).ok()?);
        self.fresh.extend_from_slice(record);
        self.index.records += u64::from(length);
        Some(Row { at, length, digest: digest(record), ..row })
    }

    /// All records, one after the other.
    pub(super) fn records(&self) -> Option<Vec<u8>> {
        let mut records = match &self.stored {
            Some(StoredParts { file, records: (at, length), .. }) => {
                file.read(*at, usize::try_from(*length).ok()?).ok()?
            }
            None => Vec::new(),
        };
        records.extend_from_slice(&self.fresh);
        Some(records)
    }

    /// One record.
    pub(super) fn record(&self, row: &Row) -> Option<Vec<u8>> {
        let length = row.length as usize;
        let in_file = self.stored.as_ref().map_or(0, |stored| stored.records.1);
        if let Some(at) = row.at.checked_sub(in_file) {
            let at = usize::try_from(at).ok()?;
            return Some(self.fresh.get(at..at.checked_add(length)?)?.to_vec());
        }
        let StoredParts { file, records: (begin, _), .. } = self.stored.as_ref()?;
        file.read(begin.checked_add(row.at)?, length).ok()
    }

    /// Keeps it. What cannot be kept is only read again.
    pub(super) fn keep(&self, cache: &Cache, name: &str) {
        let Some((index, shared, records)) = self.parts() else { return };
        let mut head = MAGIC.to_vec();
        head.extend((index.len() as u64).to_le_bytes());
        head.extend((shared.len() as u64).to_le_bytes());
        head.extend(digest(&index));
        head.extend(digest(&shared));
        cache.keep(name, [&head[..], &index, &shared, &records]);
    }

    /// Its parts as bytes. Records that no row names any more go when they are more than those that are.
    fn parts(&self) -> Option<(Vec<u8>, Vec<u8>, Vec<u8>)> {
        let mut records = self.records()?;
        let named: u64 = self.index.rows.iter().map(|row| u64::from(row.length)).sum();
        let mut index = self.index.clone();
        if named < self.index.records / 2 {
            let mut dense = Vec::new();
            for row in &mut index.rows {
                let at = usize::try_from(row.at).ok()?;
                let record = records.get(at..at.checked_add(row.length as usize)?)?;
                row.at = dense.len() as u64;
                dense.extend_from_slice(record);
            }
            index.records = dense.len() as u64;
            records = dense;
        }
        afresh();
        let shared = postcard::to_stdvec(self.shared()?).ok()?;
        Some((postcard::to_stdvec(&index).ok()?, shared, records))
    }
}

/// A service's row; where its record lies is not known yet.
pub(super) fn row(service: &Service, has_links: bool, at: impl Fn(&str) -> Option<u32>) -> Option<Row> {
    Some(Row {
        name: service.name.clone(),
        id: service.id,
        at: 0,
        length: 0,
        digest: Digest::default(),
        owner: at(&service.owner)?,
        folder: service.folder.clone(),
        stack: service.stack.name.clone(),
        include: service.include.clone(),
        calls: service.dependencies.iter().map(|edge| at(&edge.service)).collect::<Option<_>>()?,
        databases: service.databases.clone(),
        has_links,
    })
}

/// A service with the id of its sources; its stack is told by name in its row.
pub(super) fn record(service: &Service) -> Option<Vec<u8>> {
    afresh();
    postcard::to_stdvec(&(service.sources.oid(), service)).ok()
}

/// What [`record`] wrote, if it is what the row says.
pub(super) fn read(row: &Row, record: &[u8]) -> Option<(Oid, Service)> {
    if digest(record) != row.digest {
        return None;
    }
    afresh();
    postcard::from_bytes(record).ok()
}
