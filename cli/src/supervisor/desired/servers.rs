//! Database servers and what is in them, made out from the catalogue.

use std::path::PathBuf;
use std::sync::Arc;

use clustergraph::catalogue::{Input, fill_database};
use clustergraph::graph::{Database, Key, Unit, UnitKind};
use serde_json::json;

use super::Work;
use super::maker::{Maker, Parts};
use super::ports::{further, kind_of_server};
use crate::runtime::{Server, server_row};

impl Maker<'_> {
    pub(super) fn server_unit(&self) -> Result<(Work, Parts), String> {
        let server = self.server(&self.unit.name)?;
        let key = Key::of(
            "server",
            &json!({
                "kind": server.kind.kind, "version": server.version, "image": server.image, "settings": server.settings,
                "port": server.port,
            }),
        );
        Ok((Work::Server(Box::new(server)), vec![("server", key)]))
    }

    fn server(&self, name: &str) -> Result<Server, String> {
        let graph = self.wish.graph;
        let wanted = graph.servers.get(name).ok_or_else(|| format!("no database is stored in {name}"))?;
        let kind = kind_of_server(name, graph).ok_or_else(|| format!("the catalogue does not know {}", wanted.kind))?;
        let image = wanted.image.clone().unwrap_or_else(|| kind.image_name(&wanted.version));
        let row = server_row(name);
        let unit = Unit::new(UnitKind::Server, name);
        let ports = &self.records.ports;
        let home = kind.native.as_ref().and_then(|native| native.home.as_ref());
        Ok(Server {
            image: self.wish.image(&image),
            version: wanted.version.clone(),
            settings: wanted.settings.clone(),
            admin_password: self.records.passwords.get(&row).cloned().unwrap_or_default(),
            port: ports.get(&row).copied().unwrap_or(kind.port),
            further: further(name, kind, self.runtime)
                .into_iter()
                .filter_map(|(called, row)| Some((called, *ports.get(&row)?)))
                .collect(),
            incarnation: self.wish.incarnations.get(name).cloned().unwrap_or_default(),
            home: home.and_then(|home| self.wish.up.shell.get(&home.variable)).map(PathBuf::from),
            kind: Arc::new(kind.clone()),
            base_env: self.wish.base_env.clone(),
            log: self.wish.session.log(&unit),
            unit,
        })
    }

    /// A logical database with its extensions and topics.
    pub(super) fn database_unit(&self, database: &Database) -> Result<(Work, Parts), String> {
        let server = self.server(&database.server)?;
        let name = self.addresses().database_name(&database.address)?;
        let mut values = server.values(self.runtime);
        values.insert("username", database.name.clone());
        values.insert("database", name.clone());
        values.insert("password", self.records.passwords.get(&database.address).cloned().unwrap_or_default());
        let mut commands = Vec::new();
        let mut add = |input: Option<&Input>, more: Option<(&'static str, &String)>| {
            let Some(input) = input else { return };
            let mut values = values.clone();
            values.extend(more.map(|(name, value)| (name, value.clone())));
            let fill = |text: &String| fill_database(text, &values);
            commands.push((input.run.iter().map(fill).collect(), fill(&input.input)));
        };
        let kind = &server.kind;
        add(kind.create.as_ref(), None);
        for extension in &database.extensions {
            add(kind.extension.as_ref(), Some(("extension", extension)));
        }
        for topic in &database.topics {
            add(kind.topic.as_ref(), Some(("topic", topic)));
        }
        let key = Key::of(
            "database",
            &json!({
                "server": database.server, "name": name, "extensions": database.extensions, "topics": database.topics,
            }),
        );
        let parts = vec![("database", key), ("data", self.data(&[&database.address]))];
        Ok((Work::Database { server: Box::new(server), commands }, parts))
    }
}
