//! From records back to a graph: all of it, or some of its services.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use super::layout::{Index, Row, Snapshot, read};
use crate::graph::build::{BuildError, Builder};
use crate::graph::source::{Selection, sources};
use crate::graph::{Graph, Service, parallel};
use crate::tree::{Directory, Tree};

/// From so many rows on, all records are read at once.
const MANY: usize = 64;

/// What services' sources are made of when somebody asks for them.
struct Ground {
    root: Arc<Directory>,
    folders: OnceLock<BTreeSet<String>>,
    /// The folders of all rows, in order.
    rows: Vec<String>,
}

impl Ground {
    fn folders(&self) -> &BTreeSet<String> {
        self.folders.get_or_init(|| self.rows.iter().cloned().collect())
    }
}

impl Index {
    /// The folders of all services.
    pub(super) fn folders(&self) -> impl Iterator<Item = &String> {
        let owners = self.rows.iter().enumerate().filter(|(at, row)| row.owner as usize == *at);
        owners.map(|(_, row)| &row.folder)
    }
}

impl Snapshot {
    /// The graph of a tree with these of its services, or with all; nothing when a part of it is damaged.
    pub(super) fn graph(&self, tree: &Tree, rows: Option<&[usize]>) -> Result<Option<Graph>, BuildError> {
        let mut builder = Builder::new(tree);
        let Some(repository) = builder.repository()? else { return Ok(None) };
        builder.read_lock()?;
        let (Some(services), Some(shared)) = (self.services(tree, rows), self.shared()) else { return Ok(None) };
        tree.intact()?;
        let Builder { catalogue, lock, .. } = builder;
        Ok(Some(Graph {
            repository,
            catalogue,
            lock,
            services,
            databases: shared.databases.clone(),
            servers: shared.servers.clone(),
            commit: tree.commit().cloned(),
            version: self.index.version,
        }))
    }

    /// Some of its services, or all; nothing when one is damaged.
    pub(super) fn services(&self, tree: &Tree, rows: Option<&[usize]>) -> Option<BTreeMap<String, Service>> {
        let all: Vec<usize>;
        let rows = match rows {
            Some(rows) => rows,
            None => {
                all = (0..self.index.rows.len()).collect();
                &all
            }
        };
        let records = if rows.len() >= MANY { Some(self.records()?) } else { None };
        let ground = Arc::new(Ground {
            root: Arc::clone(tree.root()),
            folders: OnceLock::new(),
            rows: self.index.folders().cloned().collect(),
        });
        let restored = parallel::chunks(rows, |some| {
            let restored = some.iter().map(|at| {
                let row = self.index.rows.get(*at)?;
                match &records {
                    Some(records) => {
                        let at = usize::try_from(row.at).ok()?;
                        self.service(row, records.get(at..at.checked_add(row.length as usize)?)?, tree, &ground)
                    }
                    None => self.service(row, &self.record(row)?, tree, &ground),
                }
            });
            restored.collect::<Option<Vec<Service>>>()
        });
        let restored: Option<Vec<Vec<Service>>> = restored.into_iter().collect();
        Some(restored?.into_iter().flatten().map(|service| (service.name.clone(), service)).collect())
    }

    fn service(&self, row: &Row, record: &[u8], tree: &Tree, ground: &Arc<Ground>) -> Option<Service> {
        let (oid, mut service) = read(row, record)?;
        service.stack = Arc::clone(self.shared()?.stacks.get(&row.stack)?);
        let (ground, folder) = (Arc::clone(ground), service.folder.clone());
        let (ignore, include) = (service.ignore.clone(), service.include.clone());
        let stack = Arc::clone(&service.stack);
        service.sources = tree.made(oid, move || {
            let selection = Selection { folder: &folder, ignore: &ignore, include: &include, stack: &stack };
            sources(&ground.root, &selection, ground.folders())
        });
        Some(service)
    }

    /// The rows that are not the same in both, of this one and of the other.
    pub(super) fn differing(&self, other: &Self) -> (Vec<usize>, Vec<usize>) {
        let (mut olds, mut news) = (Vec::new(), Vec::new());
        let (before, after) = (&self.index.rows, &other.index.rows);
        let (mut old, mut new) = (0, 0);
        loop {
            let order = match (before.get(old), after.get(new)) {
                (None, None) => return (olds, news),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(two)) => one.name.cmp(&two.name),
            };
            let is_same = order.is_eq() && before[old].digest == after[new].digest;
            if order.is_le() {
                olds.extend((!is_same).then_some(old));
                old += 1;
            }
            if order.is_ge() {
                news.extend((!is_same).then_some(new));
                new += 1;
            }
        }
    }
}
