//! What a cluster lends of its databases: all that a copy takes, as it was deployed. Whoever asks for one may have written other
//! things into the repository since; these are what counts.

use k8s_openapi::api::core::v1::Container;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::render::hash_of;
use crate::schemas::Level;

/// A database of a version whose cluster lends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lent {
    /// Its kind.
    pub(crate) kind: String,
    /// Its server's version.
    pub(crate) version: String,
    /// The name of its server's StatefulSet and Service.
    pub(crate) server: String,
    /// The server's image, by digest.
    pub(crate) image: String,
    /// What the server is started with: see [`form`].
    pub(crate) form: String,
    /// The bytes of its volume.
    pub(crate) bytes: u64,
    /// What is done to a copy; nothing where its owner does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mask: Option<Mask>,
}

/// What is done to a copy before anybody sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mask {
    /// Nothing: its owner says so.
    Unneeded,
    /// A program of its owner's.
    Run(Box<Program>),
}

/// The program that masks a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Program {
    /// The service whose program it is.
    pub(crate) owner: String,
    /// Its container: the image by digest, and of the environment what is about this database or about nothing else.
    pub(crate) container: Value,
    /// What its pod may do.
    pub(crate) security: Value,
}

/// A database that is lent, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The cluster.
    pub(crate) of: String,
    /// The version that serves there.
    pub(crate) version: u64,
    /// The database.
    pub(crate) lent: Lent,
    /// The schema that it has, where it has migrations.
    pub(crate) level: Option<Level>,
}

impl Lent {
    /// The service whose program masks a copy.
    pub(crate) fn masked_by(&self) -> Option<&str> {
        match &self.mask {
            Some(Mask::Run(program)) => Some(&program.owner),
            Some(Mask::Unneeded) | None => None,
        }
    }

    /// Whether a server is one of the same: what runs there sees all of the data before it is masked.
    pub(crate) fn is_of(&self, container: &Container) -> bool {
        let digest = |image: &str| image.rsplit_once('@').map_or(image, |(_, digest)| digest).to_owned();
        container.image.as_deref().map(digest) == Some(digest(&self.image)) && form(container) == self.form
    }
}

impl Offer {
    /// What becomes of it, in a plan.
    pub(crate) fn words(&self) -> String {
        match self.lent.masked_by() {
            Some(owner) => format!("of {}, masked by {owner}", self.of),
            None => format!("of {}, as it is: its owner says `mask: none`", self.of),
        }
    }
}

/// A hash over what a server is started with, but for its image. An API server leaves out what is empty.
pub(crate) fn form(container: &Container) -> String {
    let env = container.env.iter().flatten().map(|variable| {
        let key = variable.value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
        (&variable.name, variable.value.clone().unwrap_or_default(), key.map(|key| (&key.name, &key.key)))
    });
    let words = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
    hash_of(&(words(&container.command), words(&container.args), env.collect::<Vec<_>>()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    fn container(value: Value) -> Container {
        serde_json::from_value(value).unwrap()
    }

    /// A database of `production`, masked or not.
    pub(crate) fn offer(mask: Option<Mask>, level: Option<Level>) -> Offer {
        let lent = Lent {
            kind: "postgres".to_owned(),
            version: "15".to_owned(),
            server: "db-postgres-15".to_owned(),
            image: "mirror/postgres@sha256:aa".to_owned(),
            form: form(&container(json!({ "name": "server" }))),
            bytes: 1 << 30,
            mask,
        };
        Offer { of: "production".to_owned(), version: 7, lent, level }
    }

    /// A mask of `order`'s.
    pub(crate) fn masked() -> Option<Mask> {
        let (container, security) = (json!({ "name": "migrate", "image": "order@sha256:bb" }), json!({}));
        Some(Mask::Run(Box::new(Program { owner: "order".to_owned(), container, security })))
    }

    #[test]
    fn a_server_is_the_same_by_its_digest_and_what_it_is_started_with() {
        let env = json!([{ "name": "A", "value": "" }, { "name": "P", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }]);
        let own =
            container(json!({ "name": "server", "image": "a/postgres@sha256:aa", "args": ["-c", "x=1"], "env": env }));
        let lent = Lent { form: form(&own), ..offer(None, None).lent };
        assert!(lent.is_of(&own), "another mirror has the same image");
        let mut read_back = own.clone();
        read_back.env.as_mut().unwrap()[0].value = None;
        assert!(lent.is_of(&read_back), "an API server leaves out what is empty");
        for (field, other) in [
            ("image", json!("a/postgres@sha256:cc")),
            ("image", json!("a/postgres:15")),
            ("args", json!(["-c", "archive_command=curl"])),
            ("command", json!(["sh"])),
            ("env", json!([])),
        ] {
            let mut changed = serde_json::to_value(&own).unwrap();
            changed[field] = other.clone();
            assert!(!lent.is_of(&container(changed)), "{field} {other}");
        }
    }

    #[test]
    fn a_plan_says_who_masks() {
        assert_eq!(offer(masked(), None).words(), "of production, masked by order");
        assert_eq!(offer(Some(Mask::Unneeded), None).words(), "of production, as it is: its owner says `mask: none`");
    }
}
