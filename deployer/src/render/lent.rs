//! What a cluster lends of a database: what a copy of it takes, and the program that masks one.

use clustergraph::format::service::Mask as Declared;
use clustergraph::graph::{Database, Service};
use clustergraph::wiring::{Hole, Value as Wired};
use k8s_openapi::api::core::v1::Container;

use super::pod::pod_security;
use super::{Scene, Server};
use crate::clones::against_kind;
use crate::error::{Error, Result};
use crate::names;
use crate::store::lent::{Lent, Mask, Program, form};

impl Scene<'_> {
    /// A database as this cluster lends it; nothing where it lends none, or no copy can be made.
    pub(super) fn lent(&self, database: &Database, server: Option<&Server>) -> Result<Option<Lent>> {
        let lends = self.settings().is_some_and(|settings| settings.lends && settings.ttl.is_none());
        let Some(server) = server.filter(|_| lends && against_kind(self.graph, database).is_none()) else {
            return Ok(None);
        };
        let owner = database.owner.as_ref().and_then(|owner| self.graph.services.get(owner));
        let mask = match (&database.mask, owner) {
            (Some(Declared::Unneeded), _) => Some(Mask::Unneeded),
            (Some(Declared::Run(run)), Some(owner)) => Some(Mask::Run(Box::new(self.mask(owner, database, run)?))),
            (Some(Declared::Run(_)) | None, _) => None,
        };
        Ok(Some(Lent {
            kind: database.kind.clone(),
            version: database.version.clone(),
            server: names::server(database),
            image: self.server_image(database)?.to_owned(),
            form: form(&container_of(server)?),
            bytes: self.size(database),
            mask,
        }))
    }

    /// The program that masks a copy. It runs where nothing of its own cluster can be reached: of its environment it has what is about
    /// this database, and what is about nothing else.
    fn mask(&self, owner: &Service, database: &Database, run: &[String]) -> Result<Program> {
        let is_known = |value: &Wired| value.holes().all(|hole| of_database(hole) == Some(database.address.as_str()));
        let container = self.run_for_data(owner, run, is_known)?;
        Ok(Program { owner: owner.name.clone(), container, security: pod_security(owner) })
    }
}

/// The database that a hole asks of.
fn of_database(hole: &Hole) -> Option<&str> {
    match hole {
        Hole::DatabaseHost(address)
        | Hole::DatabasePort(address)
        | Hole::DatabaseUsername(address)
        | Hole::DatabasePassword(address)
        | Hole::DatabaseName(address) => Some(address),
        _ => None,
    }
}

/// The container of a server as it is rendered.
pub(super) fn container_of(server: &Server) -> Result<Container> {
    let set = server.objects.iter().find(|object| object.kind() == "StatefulSet");
    let container = set.and_then(|set| set.body.pointer("/spec/template/spec/containers/0")).cloned();
    serde_json::from_value(container.unwrap_or_default()).map_err(|error| {
        Error::Usage(format!("the server {} cannot be read: {error}; please report this", server.name))
    })
}
