//! What differs of services, and why.

use std::collections::{BTreeMap, BTreeSet};

use super::databases::both;
use super::fields::{between, of_behaviour, of_build, place};
use super::{Cause, Change, ChangeKind, EdgeChange, FieldChange, FilesChange, Node, NodeKind};
use crate::format::service::Dependency;
use crate::graph::{Database, Graph, Service, parallel};
use crate::wiring::{Hole, Value};

/// Adds all services, further processes and jobs whose id differs.
pub(super) fn changes(before: &Graph, after: &Graph, changes: &mut BTreeMap<Node, Change>) {
    let differing: Vec<(&str, Option<&Service>, Option<&Service>)> = both(&before.services, &after.services)
        .into_iter()
        .map(|name| (name.as_str(), before.services.get(name), after.services.get(name)))
        .filter(|(_, old, new)| old.map(|old| old.id) != new.map(|new| new.id))
        .collect();
    let others: &BTreeMap<Node, Change> = changes;
    let told = parallel::chunks(&differing, |some| {
        let told = some.iter().map(|(name, old, new)| {
            let change = match (*old, *new) {
                (Some(old), Some(new)) => {
                    let mut sides = Sides { before, after, old, new, others, through: BTreeSet::new() };
                    let own = sides.own();
                    let change = Change::of(own, sides.through.into_iter().collect());
                    Change { before: Some(old.id), after: Some(new.id), ..change }
                }
                (old, new) => Change::only(old.is_some(), old.or(new).map(|service| service.id)),
            };
            (*name, change)
        });
        told.collect::<Vec<_>>()
    });
    let mut found: BTreeMap<&str, Change> = told.into_iter().flatten().collect();
    for part in after.services.values().filter(|service| service.is_part()) {
        leave_to_owner(part, &mut found);
    }
    changes.extend(found.into_iter().map(|(name, change)| (Node::new(NodeKind::Service, name), change)));
}

/// What differs of a part as it does of its service is said there.
fn leave_to_owner(part: &Service, found: &mut BTreeMap<&str, Change>) {
    let Some(owner) = found.get(part.owner.as_str()).cloned() else { return };
    let Some(change) =
        found.get_mut(part.name.as_str()).filter(|change| change.before.is_some() && owner.before.is_some())
    else {
        return;
    };
    if change.after.is_none() || owner.after.is_none() {
        return;
    }
    let said = change.own.len() + change.through.len();
    change.own.retain(|cause| !owner.own.contains(cause));
    change.through.retain(|node| !owner.through.contains(node));
    if change.own.len() + change.through.len() < said {
        change.through.push(Node::new(NodeKind::Service, &part.owner));
        change.kind = ChangeKind::of_causes(&change.own);
    }
}

/// A service that is in both graphs, with all that is looked at to explain it.
struct Sides<'d> {
    before: &'d Graph,
    after: &'d Graph,
    old: &'d Service,
    new: &'d Service,
    /// What is known already: databases, migrations and servers.
    others: &'d BTreeMap<Node, Change>,
    through: BTreeSet<Node>,
}

impl Sides<'_> {
    /// What was edited of the service itself. Other nodes that explain it are put to `through`.
    fn own(&mut self) -> Vec<Cause> {
        let mut own = Vec::new();
        if self.old.source != self.new.source {
            own.extend(self.files());
            let fields =
                between(&of_build(self.old, &self.before.lock), &of_build(self.new, &self.after.lock), |field| {
                    place(self.new, field)
                });
            // Where it lies is part of how it is built, and told already.
            let has_moved = self.old.folder != self.new.folder;
            let follows = |field: &str| has_moved && matches!(field, "stack.recipe" | "build.folder");
            own.extend(fields.into_iter().filter(|change| !follows(&change.field)).map(Cause::Field));
        }
        own.extend(self.edges());
        if self.old.behaviour != self.new.behaviour {
            self.stores(&mut own);
            let was = of_behaviour(self.old, &self.before.databases);
            let is = of_behaviour(self.new, &self.after.databases);
            let fields = between(&was, &is, |field| place(self.new, field));
            let kept: Vec<FieldChange> =
                fields.iter().filter(|change| !self.follows(change, &fields, &own)).cloned().collect();
            own.extend(kept.into_iter().map(Cause::Field));
        }
        for edge in &self.new.dependencies {
            let sides = (self.before.services.get(&edge.service), self.after.services.get(&edge.service));
            if let (Some(old), Some(new)) = sides
                && old.id != new.id
                && edge.service != self.new.name
            {
                self.through.insert(Node::new(NodeKind::Service, &edge.service));
            }
        }
        own
    }

    fn files(&self) -> Vec<Cause> {
        let (old, new) = (self.old, self.new);
        if old.folder == new.folder {
            return FilesChange::between("", &old.sources, &new.sources).map(Cause::Files).into_iter().collect();
        }
        // A folder that moved is not as many files that went and came.
        let moved = FieldChange {
            field: "folder".to_owned(),
            before: Some(old.folder.clone()),
            after: Some(new.folder.clone()),
            place: Some(new.place.clone()),
        };
        let (was, is) = (old.sources.folder(&old.folder), new.sources.folder(&new.folder));
        let files = FilesChange::between(&new.folder, &was.unwrap_or_default(), &is.unwrap_or_default());
        std::iter::once(Cause::Field(moved)).chain(files.map(Cause::Files)).collect()
    }

    /// Edges that lead elsewhere, and what else is said of those that do not.
    fn edges(&self) -> Vec<Cause> {
        let by_alias = |service: &'_ Service| -> BTreeMap<String, Dependency> {
            service.dependencies.iter().map(|edge| (edge.alias.clone(), edge.clone())).collect()
        };
        let (mut olds, mut news) = (by_alias(self.old), by_alias(self.new));
        let mut own = Vec::new();
        let field = |alias: &str, what: &str, before: String, after: String, edge: &Dependency| {
            Cause::Field(FieldChange {
                field: format!("dependencies.{alias}.{what}"),
                before: Some(before),
                after: Some(after),
                place: Some(edge.place.clone()),
            })
        };
        let renamed: Vec<(String, String)> = news
            .values()
            .filter(|edge| !olds.contains_key(&edge.alias))
            .filter_map(|edge| {
                let mut gone = olds.values().filter(|old| !news.contains_key(&old.alias));
                gone.find(|old| old.service == edge.service).map(|old| (old.alias.clone(), edge.alias.clone()))
            })
            .collect();
        for (was, is) in renamed {
            // Two that were renamed at once may meet in one: the second is a new edge then.
            if let (Some(edge), Some(_)) = (news.get(&is).cloned(), olds.get(&was)) {
                own.push(field(&is, "as", was.clone(), is.clone(), &edge));
                if let Some(old) = olds.remove(&was) {
                    olds.insert(is, Dependency { alias: edge.alias.clone(), ..old });
                }
            }
        }
        for (alias, edge) in &mut news {
            match olds.remove(alias) {
                Some(old) if old.service == edge.service => {
                    if old.wait != edge.wait {
                        let (was, is) = (old.wait.as_str().to_owned(), edge.wait.as_str().to_owned());
                        own.push(field(alias, "wait", was, is, edge));
                    }
                    if old.optional != edge.optional {
                        own.push(field(alias, "optional", old.optional.to_string(), edge.optional.to_string(), edge));
                    }
                }
                old => own.push(Cause::Edge(EdgeChange {
                    to: NodeKind::Service,
                    edge: alias.clone(),
                    before: old.map(|old| old.service),
                    after: Some(edge.service.clone()),
                    place: Some(edge.place.clone()),
                })),
            }
        }
        own.extend(olds.into_values().map(|edge| {
            Cause::Edge(EdgeChange {
                to: NodeKind::Service,
                edge: edge.alias,
                before: Some(edge.service),
                after: None,
                place: None,
            })
        }));
        own
    }

    /// Databases that it stores in: new ones, those that it left, and those that are not what they were.
    fn stores(&mut self, own: &mut Vec<Cause>) {
        let used = |service: &Service| -> BTreeSet<String> { service.databases.iter().cloned().collect() };
        let (olds, news) = (used(self.old), used(self.new));
        for address in olds.symmetric_difference(&news) {
            let is_new = news.contains(address);
            let declared = self.after.databases.get(address).map(|database| database.place.clone());
            let written = || self.new.places.get("databases").cloned();
            let place = declared.filter(|place| place.file == self.new.place.file).or_else(written);
            own.push(Cause::Edge(EdgeChange {
                to: NodeKind::Database,
                edge: address.clone(),
                before: (!is_new).then(|| address.clone()),
                after: is_new.then(|| address.clone()),
                place: place.filter(|_| is_new),
            }));
        }
        for address in olds.intersection(&news) {
            let sides = (self.before.databases.get(address), self.after.databases.get(address));
            let (Some(old), Some(new)) = sides else { continue };
            if old.migration != new.migration && !self.has_its_files(own, new) {
                self.through.insert(Node::new(NodeKind::Migration, address));
            }
            let seen = |database: &Database| {
                let Database { kind, version, server, server_key, topics, extensions, seed, .. } = database;
                serde_json::json!([kind, version, server, server_key, topics, extensions, seed])
            };
            if seen(old) != seen(new) {
                self.through.insert(Node::new(NodeKind::Database, address));
            }
        }
    }

    /// Whether the files of a migration are among the service's own that differ: then they are named already.
    fn has_its_files(&self, own: &[Cause], database: &Database) -> bool {
        let is_own = database.owner.as_deref() == Some(self.new.owner.as_str());
        is_own && own.iter().any(|cause| matches!(cause, Cause::Files(_)))
    }

    /// Whether a field differs because something else does that is told anyway: a variable that is wired follows the edge,
    /// the port, the secret or the volume that it is made of, a file that is put into the container is a source.
    fn follows(&mut self, change: &FieldChange, fields: &[FieldChange], own: &[Cause]) -> bool {
        let is_told = |field: &str| fields.iter().any(|other| other.field == field);
        if let Some(path) = change.field.strip_prefix("files.") {
            let path = self.new.files.get(path).map(|file| file.path.as_str());
            return own.iter().any(|cause| match cause {
                Cause::Files(files) => files.named.iter().any(|file| Some(file.path.as_str()) == path),
                _ => false,
            });
        }
        if change.field == "ports.primary" {
            return fields.iter().any(|other| other.field.starts_with("ports.") && other.field != change.field);
        }
        let Some(name) = change.field.strip_prefix("env.") else { return false };
        if self.old.env_places.contains_key(name) || self.new.env_places.contains_key(name) {
            return false;
        }
        let sides = [self.old.env.get(name), self.new.env.get(name)];
        let holes: Vec<&Hole> = sides.into_iter().flatten().flat_map(Value::holes).collect();
        holes.into_iter().any(|hole| match hole {
            Hole::Secret(name) => is_told(&format!("secrets.{name}")),
            Hole::VolumePath(name) => is_told(&format!("volumes.{name}")),
            Hole::OwnPort(name) => is_told("ports.primary") || is_told(&format!("ports.{name}")),
            Hole::ServiceHost(name) | Hole::ServicePort(name, _) | Hole::PublicUrl(name) => {
                self.is_told_of_service(name, own)
            }
            Hole::DatabaseHost(address)
            | Hole::DatabasePort(address)
            | Hole::DatabaseUsername(address)
            | Hole::DatabasePassword(address)
            | Hole::DatabaseName(address)
            | Hole::DatabaseBrokers(address) => self.is_told_of_database(address, own),
            Hole::Version => false,
        })
    }

    /// Whether it is told that a service is wired otherwise, or differs itself.
    fn is_told_of_service(&self, name: &str, own: &[Cause]) -> bool {
        let is_of = |edge: &Dependency| edge.service == name;
        let aliases: BTreeSet<&str> = [self.old, self.new]
            .into_iter()
            .flat_map(|service| service.dependencies.iter().filter(|edge| is_of(edge)))
            .map(|edge| edge.alias.as_str())
            .collect();
        let is_rewired = own.iter().any(|cause| match cause {
            Cause::Edge(edge) => edge.to == NodeKind::Service && aliases.contains(edge.edge.as_str()),
            Cause::Field(field) => {
                let mut words = field.field.split('.');
                words.next() == Some("dependencies") && words.next().is_some_and(|alias| aliases.contains(alias))
            }
            Cause::Files(_) => false,
        });
        // It differs itself, and then the edge to it is part of the chain.
        let differs = self.before.services.get(name).map(|service| service.id)
            != self.after.services.get(name).map(|service| service.id);
        is_rewired || differs && name != self.new.name && self.new.dependencies.iter().any(is_of)
    }

    /// Whether it is told that a database is another one, or differs itself.
    fn is_told_of_database(&mut self, address: &str, own: &[Cause]) -> bool {
        let is_rewired = own
            .iter()
            .any(|cause| matches!(cause, Cause::Edge(edge) if edge.to == NodeKind::Database && edge.edge == *address));
        let node = Node::new(NodeKind::Database, address);
        let differs = self.others.contains_key(&node);
        if differs && !is_rewired {
            self.through.insert(node);
        }
        is_rewired || differs
    }
}
