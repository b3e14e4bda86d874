//! A logical database: the Jobs that make it and bring its schema up to date, and what they leave behind.

use clustergraph::catalogue::{DatabaseKind, Input, Scope};
use clustergraph::graph::{Database, Key, Service};
use serde_json::{Value, json};

use super::catalogue::{Texts, has_administrator, holds_admin_password, kind, new_password, works_beside_only};
use super::job::{CREATE, DATABASE, LOCK, LOCKED, MIGRATE, holding, run_as, script};
use super::pod::{command, pod_security, resources, service_security, set};
use super::{Beside, BesideInput, Credentials, Logical, Object, Scene, container_security};
use crate::error::{Error, Result};
use crate::names::{self, Component};
use crate::store::databases::{EXTERNAL, Wanted};

/// The variable that holds what the first command reads; further ones have numbers.
const INPUT: &str = "CLUSTERGRAPH_INPUT";
/// For how many seconds others may hold a lock: a day.
const WHILE_OTHERS_MIGRATE: u32 = 24 * 60 * 60;

impl Scene<'_> {
    pub(super) fn logical(&self, database: &Database) -> Result<Logical> {
        let kind = kind(self.graph, database)?;
        let is_external = self.external(&database.address).is_some();
        let secret = (!is_external && kind.gives("password")).then(|| {
            let mut labels = self.labels(Component::Credentials);
            labels.insert(DATABASE.to_owned(), names::database_label(database));
            Credentials { name: names::credentials_secret(database), labels, username: database.name.clone() }
        });
        let is_beside = works_beside_only(kind);
        let create = if is_external || is_beside { None } else { self.create(kind, database)? };
        let beside = if is_beside && !is_external { Some(self.beside(kind, database)?) } else { None };
        let lock = self.lock(kind, database)?;
        let owner = database.owner.as_ref().and_then(|owner| self.graph.services.get(owner));
        let migrate = match (&database.migrate, owner) {
            (Some(migrate), Some(owner)) => Some((owner, self.run_for_data(owner, &migrate.run, |_| true)?)),
            _ => None,
        };
        let make = create.clone().map(|mut create| {
            run_as(&mut create, kind.image.user);
            let security = json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } });
            self.database_job(database, "make", &security, Vec::new(), create)
        });
        let migrate = migrate.map(|(owner, container)| {
            // What creates and locks runs as the server's user; what migrates as the service's.
            let mut first: Vec<Value> = create.into_iter().chain(lock).collect();
            first.iter_mut().for_each(|container| run_as(container, kind.image.user));
            self.database_job(database, "migrate", &pod_security(owner), first, container)
        });
        let seed = match (&database.seed, owner) {
            (Some(seed), Some(owner)) if self.seeds() => Some((owner, self.run_for_data(owner, seed, |_| true)?)),
            _ => None,
        };
        let seed = seed
            .map(|(owner, container)| self.database_job(database, "seed", &pod_security(owner), Vec::new(), container));
        let wanted = Wanted {
            address: database.address.clone(),
            kind: database.kind.clone(),
            version: database.version.clone(),
            server: if is_external { EXTERNAL.to_owned() } else { database.server.clone() },
            place: database.place.to_string(),
            number: self.images.numbers.get(&database.address).copied().filter(|_| !is_external),
            made: Key::of("made", &json!([database.topics, database.extensions])),
            migration: database.migration,
            schemas: database.schemas,
            seeds: seed.is_some(),
            copy: self.images.offers.get(&database.address).cloned(),
        };
        let copy = wanted.copy.as_ref().map(|offer| self.copy(database, offer)).transpose()?;
        Ok(Logical { wanted, secret, make, beside, migrate, seed, copy })
    }

    /// What a logical database is called inside its server: by its number where it has one.
    pub(super) fn database_name(&self, database: &Database) -> Result<String> {
        if !matches!(kind(self.graph, database)?.scope, Scope::Numbered(_)) {
            return Ok(database.name.clone());
        }
        let number = self.images.numbers.get(&database.address).map(u32::to_string);
        number.ok_or_else(|| Error::Usage(format!("{} was given no number; please report this", database.address)))
    }

    /// Makes a database with its user, extensions and topics; nothing where its server is all that it takes.
    fn create(&self, kind: &DatabaseKind, database: &Database) -> Result<Option<Value>> {
        let server = names::server(database);
        let texts = Texts::elsewhere(kind, database);
        let commands = self.commands(kind, database, &texts)?;
        if commands.is_empty() {
            return Ok(None);
        }
        let admin = has_administrator(kind).then(|| names::admin_secret(&server));
        let mut env = texts.client_env(admin.as_deref());
        if kind.gives("password") {
            env.push(new_password(&names::credentials_secret(database)));
        }
        let mut steps = Vec::new();
        for (number, (texts, command)) in (1..).zip(&commands) {
            let variable = if number == 1 { INPUT.to_owned() } else { format!("{INPUT}_{number}") };
            env.push(json!({ "name": variable, "value": texts.input(command) }));
            steps.push((variable, texts.command(command)));
        }
        Ok(Some(json!({
            "name": CREATE,
            "image": self.server_image(database)?,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", super::env::literal(&script(&texts.question(), &steps))],
            "env": env,
            "securityContext": container_security(),
        })))
    }

    /// The same where its server runs.
    fn beside(&self, kind: &DatabaseKind, database: &Database) -> Result<Beside> {
        let commands = self.commands(kind, database, &Texts::beside(kind, database))?;
        let server = names::server(database);
        let each = commands.iter().map(|(texts, command)| (texts.command(command), texts.raw_input(command)));
        let commands: Vec<(String, String)> = each.collect();
        let is_asked = commands.iter().any(|(_, input)| holds_admin_password(input));
        Ok(Beside {
            pod: format!("{server}-0"),
            admin: is_asked.then(|| names::admin_secret(&server)),
            commands: commands.into_iter().map(|(command, input)| (command, BesideInput(input))).collect(),
        })
    }

    /// What makes a database, then its extensions and topics, each with what its texts mean.
    fn commands<'k>(
        &self,
        kind: &'k DatabaseKind,
        database: &Database,
        texts: &Texts<'k>,
    ) -> Result<Vec<(Texts<'k>, &'k Input)>> {
        let name = self.database_name(database)?;
        let texts = texts.with("username", &database.name).with("database", &name);
        let mut commands: Vec<(Texts<'k>, &'k Input)> = Vec::new();
        commands.extend(kind.create.as_ref().map(|create| (texts.with("", ""), create)));
        for extension in &database.extensions {
            commands.extend(kind.extension.as_ref().map(|input| (texts.with("extension", extension), input)));
        }
        for topic in &database.topics {
            commands.extend(kind.topic.as_ref().map(|input| (texts.with("topic", topic), input)));
        }
        Ok(commands)
    }

    /// Holds the lock of a database that somebody else runs while its migration runs beside: others may migrate it, too. One that is
    /// ours has a single cluster, whose own lock and record let one migration run at a time, and wait for one that was let go.
    fn lock(&self, kind: &DatabaseKind, database: &Database) -> Result<Option<Value>> {
        let (Some(secret), Some(lock)) = (self.external(&database.address), &kind.lock) else { return Ok(None) };
        if database.migrate.is_none() {
            return Ok(None);
        }
        let (texts, mut env) = Texts::outside(kind, database, secret);
        env.extend(texts.client_env(None));
        env.push(json!({ "name": INPUT, "value": texts.input(lock) }));
        Ok(Some(json!({
            "name": LOCK,
            "image": self.server_image(database)?,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", super::env::literal(&holding(INPUT, &texts.command(lock)))],
            "env": env,
            "restartPolicy": "Always",
            "startupProbe": { "exec": { "command": ["test", "-e", LOCKED] }, "periodSeconds": 1, "failureThreshold": WHILE_OTHERS_MIGRATE },
            "securityContext": container_security(),
        })))
    }

    /// Whether databases get their first data: what outlives people's memory gets none.
    fn seeds(&self) -> bool {
        self.settings().is_some_and(|settings| settings.seed && settings.ttl.is_some())
    }

    /// A program of a service that changes its database, with those variables whose values are to be kept.
    pub(super) fn run_for_data(
        &self,
        owner: &Service,
        run: &[String],
        keep: impl Fn(&clustergraph::wiring::Value) -> bool,
    ) -> Result<Value> {
        let mut container = json!({
            "name": MIGRATE,
            "image": self.service_image(owner)?,
            "imagePullPolicy": "IfNotPresent",
            "command": command(run),
            "env": self.environment_of(owner, keep)?,
        });
        set(&mut container, "securityContext", service_security(owner));
        // The same program as the service's, and where a namespace has a quota nothing runs that does not say what it asks for.
        set(&mut container, "resources", resources(owner));
        Ok(container)
    }

    pub(super) fn database_job(
        &self,
        database: &Database,
        verb: &str,
        security: &Value,
        first: Vec<Value>,
        last: Value,
    ) -> Object {
        let image = last.get("image").and_then(Value::as_str).unwrap_or_default();
        let name = names::database_job(verb, database, image);
        let mut labels = self.labels(Component::Migration);
        labels.insert(DATABASE.to_owned(), names::database_label(database));
        let mut pod = json!({
            "restartPolicy": "Never",
            "serviceAccountName": names::ACCOUNT,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "securityContext": security,
            "containers": [last],
        });
        if let (Some(pod), false) = (pod.as_object_mut(), first.is_empty()) {
            pod.insert("initContainers".to_owned(), json!(first));
        }
        Object::new(json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": name, "labels": labels },
            "spec": {
                // Held back until the store says that it runs: so a Job that never ran is told from one that is gone.
                "suspend": true,
                "backoffLimit": 0,
                "completions": 1,
                "parallelism": 1,
                "podReplacementPolicy": "Failed",
                "template": { "metadata": { "labels": labels }, "spec": pod },
            },
        }))
    }
}
