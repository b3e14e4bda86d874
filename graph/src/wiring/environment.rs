//! The whole environment of one service: own ports, edges, secrets and volumes, and `env:` laid over them.

use std::collections::{BTreeMap, BTreeSet};

use super::database::{database_fields, families, store};
use super::expression::filled;
use super::{Hole, Value, upper, variable_prefix};
use crate::catalogue::{Catalogue, DatabaseKind};
use crate::diagnostic::{Place, Problem, Problems};
use crate::format::expression::EndpointField;
use crate::format::service::{DatabaseSource, DatabaseUse, Port, Process, ServiceFile, Store};

/// The files of all services, by name.
pub(crate) type Files<'a> = BTreeMap<&'a str, &'a ServiceFile>;

/// What wiring looks names up in.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) files: &'a Files<'a>,
    pub(crate) stores: &'a BTreeMap<String, Store>,
    pub(crate) catalogue: &'a Catalogue,
}

impl<'a> Scene<'a> {
    /// What a database that a service uses is declared as, whoever declares it.
    pub(crate) fn declared(&self, used: &'a DatabaseUse) -> Option<&'a Store> {
        match &used.source {
            DatabaseSource::Own(store) => Some(store),
            DatabaseSource::From(address) => match address.split_once('/') {
                None => self.stores.get(address),
                Some((owner, alias)) => {
                    let mut others = self.files.get(owner)?.databases.iter();
                    others.find(|other| other.alias == alias && other.own().is_some())?.own()
                }
            },
        }
    }

    pub(super) fn kind(&self, used: &'a DatabaseUse) -> Option<&'a DatabaseKind> {
        self.catalogue.databases.get(&self.declared(used)?.kind)
    }
}

/// The whole environment of a service, or of a further process or job of it: own ports, edges, secrets and volumes, and
/// `env:` laid over them.
pub(crate) fn environment(
    file: &ServiceFile,
    part: Option<&Process>,
    scene: &Scene<'_>,
    problems: &mut Problems,
) -> BTreeMap<String, Value> {
    let mut wired = Wired::default();
    own(file, part, &mut wired);
    // A second edge of the same name is a problem already, and its variables are no others.
    let mut aliases = BTreeSet::new();
    for edge in file.dependencies.iter().filter(|edge| aliases.insert(&edge.alias)) {
        if let Some(target) = scene.files.get(edge.service.as_str()) {
            service(&edge.service, &variable_prefix(&edge.alias), &target.ports, &edge.place, &mut wired);
        }
    }
    let mut aliases = BTreeSet::new();
    for used in file.databases.iter().filter(|used| aliases.insert(&used.alias)) {
        if let Some(kind) = scene.kind(used) {
            let (prefix, address) = (variable_prefix(&used.alias), used.address(&file.name));
            for field in database_fields(kind) {
                let value = store(&address, &used.params, field, kind);
                wired.set(format!("{prefix}_{}", upper(field.as_str())), value, &used.place);
            }
        }
    }
    families(file, scene, &mut wired, problems);
    for secret in &file.secrets {
        wired.set(secret.name.clone(), Value::hole(Hole::Secret(secret.name.clone())), &secret.place);
    }
    refuse_clashes(file, &wired, problems);
    let mut env: BTreeMap<String, Value> = wired.values.into_iter().map(|(name, (value, _))| (name, value)).collect();
    let further = part.map(|part| &part.env);
    for (name, template) in file.env.iter().chain(further.into_iter().flatten()) {
        env.insert(name.clone(), filled(template, file, scene, problems));
    }
    for (name, place) in file.passthrough.iter().filter(|(name, _)| env.contains_key(name)) {
        problems.add(
            Problem::new("conflict", place.clone(), format!("`{name}` is passed through, and has a value here"))
                .mend("take it out of `passthrough`, or give the other one another name"),
        );
    }
    env
}

#[derive(Default)]
pub(super) struct Wired {
    values: BTreeMap<String, (Value, Place)>,
    /// Pairs of places that give one variable two values, with the names of these.
    clashes: BTreeMap<[usize; 2], (Place, Place, Vec<String>)>,
}

impl Wired {
    pub(super) fn set(&mut self, name: String, value: Value, place: &Place) {
        if let Some((existing, first)) = self.values.get(&name)
            && *existing != value
            && first != place
        {
            let pair = [first.bytes.start, place.bytes.start];
            let clash = self.clashes.entry(pair).or_insert_with(|| (first.clone(), place.clone(), Vec::new()));
            clash.2.push(name.clone());
        }
        self.values.insert(name, (value, place.clone()));
    }
}

/// Two values for one variable are a problem, unless `env:` says which is meant.
fn refuse_clashes(file: &ServiceFile, wired: &Wired, problems: &mut Problems) {
    for (first, second, names) in wired.clashes.values() {
        let open: Vec<&str> = names.iter().map(String::as_str).filter(|name| !file.env.contains_key(*name)).collect();
        let (message, example) = match open.as_slice() {
            [] => continue,
            [one] => (format!("the variable `{one}` is given twice"), one),
            [one, ..] => (format!("the variables {} are given twice", ticked(&open)), one),
        };
        problems.add(
            Problem::new("wiring-collision", second.clone(), message)
                .label("by this")
                .related(first.clone(), "and by this")
                .mend(format!(
                    "name one of them otherwise with `as:`, or say what is meant in `env: {{ {example}: ... }}`"
                )),
        );
    }
}

fn ticked(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.join(""),
    }
}

fn own(file: &ServiceFile, part: Option<&Process>, wired: &mut Wired) {
    let name = part.map_or_else(|| file.name.clone(), |part| format!("{}.{}", file.name, part.name));
    wired.set("OTEL_SERVICE_NAME".to_owned(), Value::text(name), &file.name_place);
    for (name, volume) in &file.volumes {
        let path = Value::hole(Hole::VolumePath(name.clone()));
        wired.set(format!("VOLUME_{}", upper(name)), path, &volume.place);
    }
    // Nobody calls a further process or a job: the ports are the service's.
    if part.is_some() {
        return;
    }
    for port in &file.ports {
        wired.set(format!("PORT_{}", upper(&port.name)), Value::hole(Hole::OwnPort(port.name.clone())), &port.place);
    }
    if let Some(port) = Port::primary(&file.ports) {
        wired.set("PORT".to_owned(), Value::hole(Hole::OwnPort(port.name.clone())), &port.place);
    }
}

/// What those find in their environment who call a service by its own name.
pub(crate) fn address(name: &str, ports: &[Port], place: &Place) -> BTreeMap<String, Value> {
    let mut wired = Wired::default();
    service(name, &variable_prefix(name), ports, place, &mut wired);
    wired.values.into_iter().map(|(name, (value, _))| (name, value)).collect()
}

fn service(name: &str, prefix: &str, ports: &[Port], place: &Place, wired: &mut Wired) {
    let main = Port::primary(ports);
    for port in ports {
        let prefixes = [
            main.filter(|main| main.name == port.name).map(|_| prefix.to_owned()),
            main.filter(|main| main.name != port.name).map(|_| format!("{prefix}_{}", upper(&port.name))),
        ];
        for prefix in prefixes.into_iter().flatten() {
            for (suffix, field) in [
                ("URL", EndpointField::Url),
                ("HOST", EndpointField::Host),
                ("PORT", EndpointField::Port),
                ("ADDR", EndpointField::Addr),
            ] {
                wired.set(format!("{prefix}_{suffix}"), endpoint(name, port, field), place);
            }
        }
    }
}

pub(super) fn endpoint(service: &str, port: &Port, field: EndpointField) -> Value {
    let host = || Value::hole(Hole::ServiceHost(service.to_owned()));
    let number = || Value::hole(Hole::ServicePort(service.to_owned(), port.name.clone()));
    let addr = || host().then(Value::text(":")).then(number());
    match field {
        EndpointField::Host => host(),
        EndpointField::Port => number(),
        EndpointField::Addr => addr(),
        EndpointField::Url => Value::text(format!("{}://", port.protocol)).then(addr()),
    }
}
