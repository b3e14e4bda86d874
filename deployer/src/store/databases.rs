//! What was done to which logical database. This belongs to the data, not to a version: it outlives all of
//! them, and says what a Job that is long gone did.

use std::collections::BTreeMap;

use clustergraph::graph::{Database, Key};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

const SCHEMA: u32 = 1;

/// All databases of a cluster, by address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Databases(pub(crate) BTreeMap<String, Known>);

/// What is known of one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    schema: u32,
    /// Its address.
    pub(crate) address: String,
    /// The server that it was made on.
    pub(crate) server: String,
    /// The volume that it lies on: another one is empty.
    pub(crate) volume: Option<String>,
    /// The last thing that was done to it.
    pub(crate) work: Work,
    /// The last migration that ended well.
    pub(crate) migration: Option<Key>,
}

/// One run of the Job that makes a database and brings its schema up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Work {
    /// How far it is.
    pub(crate) state: State,
    /// The Job.
    pub(crate) job: String,
    /// Which Job of that name.
    pub(crate) uid: String,
    /// The migration it runs, if there is one.
    pub(crate) migration: Option<Key>,
    /// When it came to this state.
    pub(crate) time: Timestamp,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// It was let go; what it did is known when its Job has ended.
    Running,
    /// It ended well.
    Done,
    /// It failed after the migration had begun: nobody knows what the schema is.
    Failed,
}

/// What must be done for a database before its services may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing.
    Nothing,
    /// Its Job, for a reason.
    Run(String),
    /// The end of a Job that was let go.
    Await,
}

impl Known {
    /// A database of which a Job was let go.
    pub(crate) fn running(
        address: &str,
        server: &str,
        volume: Option<String>,
        work: Work,
        before: Option<&Self>,
    ) -> Self {
        let migration = before.filter(|before| before.volume == volume).and_then(|before| before.migration);
        Self { schema: SCHEMA, address: address.to_owned(), server: server.to_owned(), volume, work, migration }
    }
}

impl Databases {
    /// What must be done for a database, or why nothing can be.
    ///
    /// `job_exists` says whether the Job of the last run is still there; `retry` that a person has looked.
    pub(crate) fn need(
        &self,
        database: &Database,
        volume: Option<&str>,
        job_exists: impl Fn(&Work) -> bool,
        retry: bool,
    ) -> Result<Need> {
        let address = &database.address;
        let Some(known) = self.0.get(address) else { return Ok(Need::Run("new".to_owned())) };
        if known.server != database.server {
            return Err(Error::Refused(format!(
                "{address} lies on {} and {} asks for {}: a change of kind or version would leave its data behind. \
                 Go back to {}, or give the new database another `as:` and move the data yourself",
                known.server, database.place, database.server, known.server
            )));
        }
        if let (Some(then), Some(now)) = (&known.volume, volume)
            && then != now
        {
            return Ok(Need::Run("its volume is new".to_owned()));
        }
        let what = || format!("the migration of {address}");
        match known.work.state {
            State::Running if job_exists(&known.work) => Ok(Need::Await),
            State::Running if retry => Ok(Need::Run("asked for again".to_owned())),
            State::Running => Err(Error::Refused(format!(
                "{} was interrupted: its Job {} is gone and nobody knows how far it came. Check the schema, then run \
                 `komandan deploy --retry-migration`",
                what(),
                known.work.job
            ))),
            State::Failed if retry => Ok(Need::Run("asked for again".to_owned())),
            State::Failed => Err(Error::Refused(format!(
                "{} failed at {} and may have left a part of itself. Check the schema and mend the migration, then run \
                 `komandan deploy --retry-migration`; `kubectl logs job/{}` says what it said",
                what(),
                known.work.time,
                known.work.job
            ))),
            State::Done if database.migration.is_some() && known.migration != database.migration => {
                Ok(Need::Run("its migration changed".to_owned()))
            }
            State::Done => Ok(Need::Nothing),
        }
    }

    /// Addresses hold a slash, which no key of a ConfigMap may; labels hold no dots.
    fn key(address: &str) -> String {
        address.replace('/', ".")
    }

    pub(crate) fn decode(data: &BTreeMap<String, String>) -> Result<Self> {
        let known = data.values().map(|text| super::decode::<Known>("what is known of a database", SCHEMA, text));
        known.map(|known| known.map(|known| (known.address.clone(), known))).collect::<Result<_>>().map(Self)
    }

    pub(crate) fn encode(&self) -> Result<BTreeMap<String, String>> {
        self.0
            .iter()
            .map(|(address, known)| Ok((Self::key(address), super::encode("what is known of a database", known)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clustergraph::diagnostic::Place;
    use serde_json::json;

    fn key(text: &str) -> Key {
        Key::of("test", &json!(text))
    }

    fn database(version: &str, migration: Option<&str>) -> Database {
        Database {
            address: "api/orders".into(),
            owner: Some("api".into()),
            alias: "orders".into(),
            kind: "postgres".into(),
            version: version.into(),
            server: format!("postgres-{version}"),
            server_key: None,
            topics: Vec::new(),
            extensions: Vec::new(),
            name: "api_orders".into(),
            params: BTreeMap::new(),
            migrate: None,
            migration: migration.map(key),
            seed: None,
            place: Place::start_of("api/service.yaml"),
        }
    }

    fn known(state: State, migration: &str) -> Databases {
        let work = Work {
            state,
            job: "migrate-1".into(),
            uid: "u".into(),
            migration: Some(key(migration)),
            time: Timestamp::UNIX_EPOCH,
        };
        let mut known = Known::running("api/orders", "postgres-15", Some("v".into()), work, None);
        known.migration = (state == State::Done).then(|| key(migration));
        Databases([("api/orders".to_owned(), known)].into())
    }

    #[test]
    fn what_a_database_needs() {
        let wanted = database("15", Some("1"));
        let need = |known: &Databases, volume, job: bool, retry| {
            known.need(&wanted, volume, |_| job, retry).map_err(|error| error.to_string())
        };
        let run = |why: &str| Ok(Need::Run(why.to_owned()));
        assert_eq!(need(&Databases::default(), None, false, false), run("new"));
        let done = known(State::Done, "1");
        assert_eq!(need(&done, Some("v"), false, false), Ok(Need::Nothing));
        assert_eq!(need(&done, None, false, false), Ok(Need::Nothing), "a server that is yet to come");
        assert_eq!(need(&done, Some("other"), false, false), run("its volume is new"));
        assert_eq!(need(&known(State::Done, "0"), Some("v"), false, false), run("its migration changed"));
        let running = known(State::Running, "1");
        assert_eq!(need(&running, Some("v"), true, false), Ok(Need::Await));
        assert!(need(&running, Some("v"), false, false).unwrap_err().contains("--retry-migration"));
        assert_eq!(need(&running, Some("v"), false, true), run("asked for again"));
        let failed = known(State::Failed, "1");
        assert!(need(&failed, Some("v"), true, false).unwrap_err().contains("--retry-migration"));
        assert_eq!(need(&failed, Some("v"), true, true), run("asked for again"));
    }

    #[test]
    fn another_version_is_refused_before_anything_is_done() {
        let error = known(State::Done, "1").need(&database("16", Some("1")), Some("v"), |_| true, true).unwrap_err();
        assert!(error.to_string().contains("postgres-15") && error.to_string().contains("postgres-16"), "{error}");
    }

    #[test]
    fn it_reads_what_it_wrote_and_the_keys_are_ones_that_kubernetes_takes() {
        let databases = known(State::Running, "1");
        let data = databases.encode().unwrap();
        assert_eq!(data.keys().collect::<Vec<_>>(), ["api.orders"]);
        assert_eq!(Databases::decode(&data).unwrap(), databases);
    }
}
