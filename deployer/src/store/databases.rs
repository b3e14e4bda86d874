//! What was done to which logical database. This belongs to the data, not to a version: it outlives all of
//! them, and says what a Job that is long gone did.

use std::collections::BTreeMap;

use clustergraph::catalogue::Scope;
use clustergraph::graph::{Graph, Key, Schemas};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::lent::Offer;
use super::origin::Origin;
use crate::error::{Error, Result};
use crate::render::external::is_external;
use crate::schemas::Level;

const SCHEMA: u32 = 1;

/// What stands for a server that somebody else runs.
pub(crate) const EXTERNAL: &str = "external";

/// All databases of a cluster, by address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Databases(pub(crate) BTreeMap<String, Known>);

/// What is known of one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    schema: u32,
    /// Its address.
    pub(crate) address: String,
    /// Its kind and version.
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) version: String,
    /// The server that it was made on, or [`EXTERNAL`].
    pub(crate) server: String,
    /// Its number, where it has one instead of a name: given out once, whatever else comes and goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) number: Option<u32>,
    /// The volume that it lies on: another one is empty.
    pub(crate) volume: Option<String>,
    /// The last thing that was done to it.
    pub(crate) work: Work,
    /// What was last made in it; nothing while it was never made.
    #[serde(default)]
    pub(crate) made: Option<Key>,
    /// The last migration that ended well.
    pub(crate) migration: Option<Key>,
    /// The schemas that this one is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schemas: Option<Schemas>,
    /// Whether it got its first data. That is never done again, whatever the sources say later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) seeded: bool,
    /// Whose data it began with; nothing where it began empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<Origin>,
}

/// One run of the Job that makes a database and brings its schema up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Work {
    /// How far it is.
    pub(crate) state: State,
    /// The Job; empty where it took none.
    pub(crate) job: String,
    /// Which Job of that name.
    pub(crate) uid: String,
    /// What it makes.
    #[serde(default)]
    pub(crate) made: Option<Key>,
    /// The migration it runs, if there is one.
    pub(crate) migration: Option<Key>,
    /// The schemas that this one is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schemas: Option<Schemas>,
    /// Whether it gives the database its first data, and does nothing else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) seeds: bool,
    /// When it came to this state.
    pub(crate) time: Timestamp,
}

/// What a graph asks of a logical database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its address.
    pub(crate) address: String,
    /// Its kind.
    pub(crate) kind: String,
    /// Its server's version.
    pub(crate) version: String,
    /// Its server, or [`EXTERNAL`].
    pub(crate) server: String,
    /// Where it is declared.
    pub(crate) place: String,
    /// Its number, where it has one instead of a name.
    pub(crate) number: Option<u32>,
    /// What is made in it.
    pub(crate) made: Key,
    /// The migration that it is brought to.
    pub(crate) migration: Option<Key>,
    /// The schemas that its owner's code runs on.
    pub(crate) schemas: Option<Schemas>,
    /// Whether it gets its first data, once.
    pub(crate) seeds: bool,
    /// What it is to begin with, where that is another cluster's data and it has not begun yet.
    pub(crate) copy: Option<Offer>,
}

impl Wanted {
    /// The schema that its owner's code was made for.
    pub(crate) fn level(&self) -> Option<Level> {
        Some(Level { migration: self.migration?, schemas: self.schemas })
    }
}

/// What is to be done for a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lack {
    /// Nothing.
    Nothing,
    /// Another cluster's data.
    Copy,
    /// It is made, or what is in it; its schema stays as it is.
    Contents(&'static str),
    /// It is made, and its schema brought up to date.
    All(&'static str),
    /// It is there as asked, and empty.
    Data(&'static str),
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
    /// A copy of another cluster's data, and what comes then: whose, and who masks it.
    Clone(String),
    /// The end of a Job that was let go.
    Await,
}

impl Known {
    /// The schema that is there.
    pub(crate) fn level(&self) -> Option<Level> {
        Some(Level { migration: self.migration?, schemas: self.schemas })
    }

    /// The schemas that may be there: besides the last one that ended well, that of a migration whose end is not known.
    pub(crate) fn levels(&self) -> Vec<Level> {
        let begun = (self.work.state != State::Done).then_some(()).and(self.work.migration);
        let begun = begun.map(|migration| Level { migration, schemas: self.work.schemas });
        self.level().into_iter().chain(begun).collect()
    }

    /// What is known while and after something is done: what was there before stays, if its volume does.
    pub(crate) fn doing(wanted: &Wanted, volume: Option<String>, work: Work, before: Option<&Self>) -> Self {
        let before = before.filter(|before| !before.is_elsewhere(volume.as_deref()));
        let mut known = Self {
            schema: SCHEMA,
            address: wanted.address.clone(),
            kind: wanted.kind.clone(),
            version: wanted.version.clone(),
            server: wanted.server.clone(),
            number: wanted.number,
            volume: volume.or_else(|| before.and_then(|before| before.volume.clone())),
            work,
            made: before.and_then(|before| before.made),
            migration: before.and_then(|before| before.migration),
            schemas: before.and_then(|before| before.schemas),
            seeded: before.is_some_and(|before| before.seeded),
            origin: before.and_then(|before| before.origin.clone()),
        };
        if known.work.state == State::Done {
            known.seeded |= known.work.seeds;
            known.made = known.work.made.or(known.made);
            if known.work.migration.is_some() {
                known.migration = known.work.migration;
                known.schemas = known.work.schemas;
            }
        }
        known
    }

    /// What is known while a copy is made: whatever is there is thrown away, and nobody may use what comes.
    pub(crate) fn copying(wanted: &Wanted, volume: Option<String>, offer: &Offer, time: Timestamp) -> Self {
        let (made, migration, schemas) = (None, None, None);
        let (job, uid) = (String::new(), String::new());
        let work = Work { state: State::Done, job, uid, made, migration, schemas, seeds: false, time };
        Self { origin: Some(Origin::half(offer)), ..Self::doing(wanted, volume, work, None) }
    }

    /// The same when all of it is there and masked: it is a database that was migrated and filled somewhere else.
    pub(crate) fn copied(self, offer: &Offer, time: Timestamp) -> Self {
        let level = offer.level;
        Self {
            work: Work { state: State::Done, migration: None, schemas: None, time, ..self.work },
            migration: level.map(|level| level.migration),
            schemas: level.and_then(|level| level.schemas),
            seeded: true,
            origin: Some(Origin::whole(offer)),
            ..self
        }
    }

    /// Whether it is a copy of which not everything is there, or not masked.
    pub(crate) fn is_half(&self) -> bool {
        self.origin.as_ref().is_some_and(|origin| !origin.is_whole)
    }

    /// Whether its data is on another volume than the one that is there.
    fn is_elsewhere(&self, volume: Option<&str>) -> bool {
        matches!((&self.volume, volume), (Some(then), Some(now)) if then != now)
    }
}

impl Databases {
    /// What a database lacks of what is wanted. `volume` is the one that its data would lie on.
    pub(crate) fn lack(&self, wanted: &Wanted, volume: Option<&str>) -> Lack {
        let Some(known) = self.0.get(&wanted.address) else {
            return if wanted.copy.is_some() { Lack::Copy } else { Lack::All("new") };
        };
        if known.is_half() || known.origin.is_some() && known.is_elsewhere(volume) {
            return Lack::Copy;
        }
        if known.is_elsewhere(volume) {
            return Lack::All("its volume is new");
        }
        let is_over = known.work.state == State::Done;
        if !is_over && !known.work.seeds {
            return Lack::All("asked for again");
        }
        // A schema that is newer than this code stays: nothing leads back, and whether code runs on it was decided before.
        let is_newer = wanted.level().zip(known.level()).is_some_and(|(wanted, known)| wanted.is_before(known));
        if wanted.migration.is_some() && known.migration != wanted.migration && !is_newer {
            return Lack::All("its migration changed");
        }
        if known.made != Some(wanted.made) {
            return Lack::Contents("what is made in it changed");
        }
        if wanted.seeds && !known.seeded {
            return Lack::Data(if is_over { "its first data" } else { "asked for again" });
        }
        Lack::Nothing
    }

    /// Whether a database has not begun yet, or a copy of it was interrupted.
    pub(crate) fn is_to_begin(&self, address: &str) -> bool {
        self.0.get(address).is_none_or(Known::is_half)
    }

    /// The schema that is there, if its data is.
    pub(crate) fn level(&self, address: &str, volume: Option<&str>) -> Option<Level> {
        self.0.get(address).filter(|known| !known.is_elsewhere(volume)).and_then(Known::level)
    }

    /// What must be done for a database, or why nothing can be.
    ///
    /// `job_exists` says whether the Job of the last run is still there; `retry` that a person has looked.
    pub(crate) fn need(
        &self,
        wanted: &Wanted,
        volume: Option<&str>,
        job_exists: impl Fn(&Work) -> bool,
        retry: bool,
    ) -> Result<Need> {
        let address = &wanted.address;
        if let Some(known) = self.0.get(address) {
            if let Some(moved) = moved(known, wanted) {
                return Err(Error::Refused(moved));
            }
            if let Some(origin) = &known.origin {
                origin.refuse(address, wanted.copy.is_some(), known.is_elsewhere(volume))?;
            }
            let (verb, its) = if known.work.seeds { ("up", "seed") } else { ("deploy", "migration") };
            let what = || format!("the {its} of {address}");
            match known.work.state {
                _ if known.is_elsewhere(volume) || known.is_half() => {}
                // What is not asked for any more needs nobody's look.
                _ if known.work.seeds && !wanted.seeds => {}
                State::Running if job_exists(&known.work) => return Ok(Need::Await),
                State::Running if !retry => {
                    return Err(Error::Refused(format!(
                        "{} was interrupted: its Job {} is gone and nobody knows how far it came. Check the data, then run \
                         `komandan {verb} --retry-migration`",
                        what(),
                        known.work.job
                    )));
                }
                State::Failed if !retry => {
                    return Err(Error::Refused(format!(
                        "{} failed at {} and may have left a part of itself. Check the data and mend the {its}, then run \
                         `komandan {verb} --retry-migration`; `kubectl logs job/{}` says what it said",
                        what(),
                        known.work.time,
                        known.work.job
                    )));
                }
                State::Running | State::Failed | State::Done => {}
            }
        }
        Ok(match self.lack(wanted, volume) {
            Lack::Nothing => Need::Nothing,
            Lack::Copy => Need::Clone(wanted.copy.as_ref().map(Offer::words).unwrap_or_default()),
            Lack::Contents(reason) | Lack::All(reason) | Lack::Data(reason) => Need::Run(reason.to_owned()),
        })
    }

    /// The number of each database that has one instead of a name. One that was given out stays; a new database gets the
    /// least that no other of its server ever had.
    pub(crate) fn numbers(&self, graph: &Graph, cluster: &str) -> Result<BTreeMap<String, u32>> {
        let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
        let mut taken: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for known in self.0.values() {
            taken.entry(&known.server).or_default().extend(known.number);
        }
        for database in graph.databases.values().filter(|database| !is_external(graph, cluster, database)) {
            let Some(Scope::Numbered(limit)) = graph.catalogue.databases.get(&database.kind).map(|kind| kind.scope)
            else {
                continue;
            };
            let known = self.0.get(&database.address).filter(|known| known.server == database.server);
            let taken = taken.entry(&database.server).or_default();
            let free = || (0..limit).find(|number| !taken.contains(number));
            let number = known.and_then(|known| known.number).or_else(free).ok_or_else(|| {
                Error::Usage(format!(
                    "{} has room for {limit} databases, and {} is one too many ({}): give it a server of its own with \
                     `isolation: dedicated`",
                    database.server, database.address, database.place
                ))
            })?;
            taken.push(number);
            numbers.insert(database.address.clone(), number);
        }
        Ok(numbers)
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

/// Why a database cannot be where it is wanted: its data is elsewhere, and nothing moves it.
fn moved(known: &Known, wanted: &Wanted) -> Option<String> {
    // What somebody else runs, somebody else brings to another version.
    let same_place = known.server == wanted.server && (known.kind.is_empty() || known.kind == wanted.kind);
    if same_place {
        return None;
    }
    let words = |server: &str, kind: &str, version: &str| match server {
        EXTERNAL => format!("{kind} that somebody else runs"),
        server if kind.is_empty() => server.to_owned(),
        server => format!("{kind} {version} (the server {server})"),
    };
    let was = words(&known.server, &known.kind, &known.version);
    let is = words(&wanted.server, &wanted.kind, &wanted.version);
    let address = &wanted.address;
    let (owner, alias) = address.split_once('/').unwrap_or(("", address));
    let other = match owner {
        "" => format!("`{alias}-2`"),
        _ => format!("`as: {alias}-2`"),
    };
    Some(format!(
        "the data of {address} is in {was}, and {} asks for {is}: komandan moves no data, and begins no empty database in silence. Go \
         back to what it was; or upgrade in steps of your own: declare a second database beside it ({other}), deploy, dump the \
         old one and load the new one with their own programs, then let the code use the new one and drop the old",
        wanted.place
    ))
}

#[cfg(test)]
pub(crate) mod tests;
