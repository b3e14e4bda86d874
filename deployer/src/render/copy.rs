//! How a database is filled with another cluster's data: what writes it there, what reads it here, and what masks it.
//!
//! Both servers are of one image and have one name, user and database of the same names: so both programs are of the same words, and
//! the mask's environment is right here, too.

use clustergraph::catalogue::Input;
use clustergraph::graph::Database;

use super::catalogue::{Texts, kind};
use super::lent::container_of;
use super::{BesideInput, Object, Scene, Server};
use crate::error::{Error, Result};
use crate::names;
use crate::store::lent::{Mask, Offer};

/// What a copy takes.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    /// The server's pod, there and here.
    pub(crate) pod: String,
    /// The value of the label that all Jobs of the database have, and their pods.
    pub(crate) label: String,
    /// The shell command that writes all of the database to its standard output, where the server runs.
    pub(crate) dump: String,
    /// The one that reads this from its standard input.
    pub(crate) restore: String,
    /// The one that removes the database, with what it reads.
    pub(crate) drop: (String, BesideInput),
    /// The Job that masks the copy, held back; none where its owner says that nothing must be masked.
    pub(crate) mask: Option<Object>,
    /// The command after that by which the server forgets what the mask took away, with what it reads.
    pub(crate) forget: Option<(String, BesideInput)>,
}

impl Scene<'_> {
    /// The copy that a database begins with.
    pub(super) fn copy(&self, database: &Database, offer: &Offer) -> Result<Copy> {
        let (address, of) = (&database.address, &offer.of);
        let kind = kind(self.graph, database)?;
        let texts = Texts::beside(kind, database).with("username", &database.name).with("database", &database.name);
        let (Some(dump), Some(restore), Some(drop)) = (&kind.dump, &kind.restore, &kind.drop) else {
            return Err(Error::Usage(format!("{} cannot be copied; please report this", database.kind)));
        };
        let beside = |input: &Input| (texts.command(input), BesideInput(texts.raw_input(input)));
        let shell = |run: &[String]| texts.command(&Input { run: run.to_vec(), input: String::new() });
        let mask = match &offer.lent.mask {
            Some(Mask::Unneeded) => None,
            Some(Mask::Run(program)) => {
                Some(self.database_job(database, "mask", &program.security, Vec::new(), program.container.clone()))
            }
            None => return Err(Error::Refused(format!("{of} does not say how a copy of {address} is masked"))),
        };
        Ok(Copy {
            pod: format!("{}-0", names::server(database)),
            label: names::database_label(database),
            dump: shell(dump),
            restore: shell(restore),
            drop: beside(drop),
            forget: kind.forget.as_ref().filter(|_| mask.is_some()).map(beside),
            mask,
        })
    }

    /// Refuses a server that would be another one than that of the data: it sees all of it before it is masked, so its image and what
    /// it is started with are not for the commit to choose.
    pub(super) fn refuse_other_server(&self, database: &Database, server: &Server) -> Result<()> {
        let Some(offer) = self.images.offers.get(&database.address) else { return Ok(()) };
        if offer.lent.is_of(&container_of(server)?) {
            return Ok(());
        }
        let (address, of) = (&database.address, &offer.of);
        Err(Error::Refused(format!(
            "{address} would be cloned into a server that is started otherwise than that of {of}: what runs there sees the data before \
             it is masked. Deploy the change to {of} first (with this komandan), or begin empty: `databases: {{ {address}: {{ clone: none }} }}`"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::{holds_admin_password, works_beside_only};
    use clustergraph::catalogue::{Catalogue, Scope};

    #[test]
    fn kinds_that_are_cloned_have_all_that_it_takes_and_no_password_on_a_command_line() {
        let kinds = Catalogue::built_in().databases.values().filter(|kind| kind.snapshot);
        let mut names = Vec::new();
        for kind in kinds {
            names.push(kind.kind.as_str());
            assert_eq!(kind.scope, Scope::Owner, "{}", kind.kind);
            assert!(!works_beside_only(kind), "{}: a Job makes it", kind.kind);
            let inputs = kind.drop.iter().chain(&kind.forget);
            let words = kind.dump.iter().chain(&kind.restore).flatten();
            for word in words.chain(inputs.flat_map(|input| input.run.iter().chain([&input.input]))) {
                assert!(!word.contains("password}") && !holds_admin_password(word), "{}: {word}", kind.kind);
            }
            let gives = |hole: &str| kind.gives(hole);
            assert!(gives("username") && gives("password") && gives("database"), "{}", kind.kind);
        }
        assert_eq!(names, ["mariadb", "mysql", "postgres"]);
    }
}
