//! Which versions are borrowed, by whom, and for how long.
//!
//! They are in an object of their own: who may borrow need not be able to change which version serves. A version is written down
//! here while it serves, and whoever does that looks again whether it still does. The cluster that lends moves its head before it
//! looks here, and ends nothing that it finds. So either the one sees that the head has moved, or the other what is borrowed.
//! What is over is taken out by a write that must not meet another one, before anybody acts as if it were not there.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Store;
use crate::error::{Error, Result};

const SCHEMA: u32 = 1;
/// How often a change is tried again that met somebody else's.
const TRIES: usize = 16;

/// What is borrowed of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pins {
    schema: u32,
    /// By the namespace of who borrows.
    pub(crate) overlays: BTreeMap<String, Pin>,
}

/// What one borrows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pin {
    /// Its name.
    pub(crate) name: String,
    /// The versions: what it serves may call one, and what it would go back to another.
    pub(crate) versions: BTreeSet<u64>,
    /// Until when, whether it says that it is over or not.
    pub(crate) until: Timestamp,
}

impl Default for Pins {
    fn default() -> Self {
        Self { schema: SCHEMA, overlays: BTreeMap::new() }
    }
}

impl Pins {
    /// The key of its ConfigMap.
    pub(crate) const KEY: &'static str = "pins.json";

    /// All versions that are borrowed.
    pub(crate) fn versions(&self) -> BTreeSet<u64> {
        self.overlays.values().flat_map(|pin| &pin.versions).copied().collect()
    }

    /// Whether somebody's time is over.
    pub(crate) fn is_any_over(&self, now: Timestamp) -> bool {
        self.overlays.values().any(|pin| pin.until <= now)
    }

    /// Who borrows at this moment.
    pub(crate) fn live(&self, now: Timestamp) -> impl Iterator<Item = &Pin> {
        self.overlays.values().filter(move |pin| pin.until > now)
    }

    /// Takes out whose time is over.
    fn let_go_of_what_is_over(&mut self, now: Timestamp) {
        self.overlays.retain(|_, pin| pin.until > now);
    }

    /// Adds a version to what a namespace borrows, for so long.
    pub(crate) fn pin(&mut self, namespace: &str, name: &str, version: u64, until: Timestamp) {
        let new = || Pin { name: name.to_owned(), versions: BTreeSet::new(), until };
        let pin = self.overlays.entry(namespace.to_owned()).or_insert_with(new);
        pin.versions.insert(version);
        pin.until = until;
    }

    /// Whether a namespace borrows a version.
    pub(crate) fn holds(&self, namespace: &str, version: u64) -> bool {
        self.overlays.get(namespace).is_some_and(|pin| pin.versions.contains(&version))
    }

    pub(crate) fn decode(text: &str) -> Result<Self> {
        super::decode("what is borrowed", SCHEMA, text)
    }

    pub(crate) fn encode(&self) -> Result<String> {
        super::encode("what is borrowed", self)
    }
}

/// Makes the object, where it is not there yet: then who borrows needs no right to make any.
pub(crate) async fn make(store: Store<'_>) -> Result<()> {
    let mut pins = store.pins().await?;
    if pins.revision.is_some() {
        return Ok(());
    }
    match store.save_pins(&mut pins).await {
        // It was made at the same moment.
        Err(Error::Locked(_)) => Ok(()),
        made => made,
    }
}

/// Takes out whose time is over.
pub(crate) async fn let_go_of_what_is_over(store: Store<'_>) -> Result<()> {
    let now = Timestamp::now();
    change(store, |pins| pins.let_go_of_what_is_over(now)).await.map(drop)
}

/// Changes what is borrowed, whoever else does at the same time. Nothing is written where nothing changes. Returns what it was
/// before and is now.
pub(crate) async fn change(store: Store<'_>, change: impl Fn(&mut Pins)) -> Result<(Pins, Pins)> {
    let mut tries = 0;
    loop {
        let mut pins = store.pins().await?;
        let before = pins.value.clone();
        change(&mut pins.value);
        if pins.value == before {
            return Ok((before, pins.value));
        }
        match store.save_pins(&mut pins).await {
            Ok(()) => return Ok((before, pins.value)),
            Err(Error::Locked(_)) if tries < TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_is_borrowed_is_held_until_its_time_and_no_longer() {
        let mut pins = Pins::default();
        pins.pin("pr-7-x", "pr-7", 12, second(100));
        pins.pin("pr-8-x", "pr-8", 12, second(50));
        pins.pin("pr-7-x", "pr-7", 14, second(200));
        assert_eq!(pins.versions(), [12, 14].into());
        assert!(pins.holds("pr-7-x", 12) && !pins.holds("pr-8-x", 14));
        assert!(pins.is_any_over(second(50)) && !pins.is_any_over(second(49)));
        assert_eq!(pins.live(second(50)).map(|pin| pin.name.as_str()).collect::<Vec<_>>(), ["pr-7"]);
        pins.let_go_of_what_is_over(second(50));
        assert_eq!((pins.overlays.len(), pins.overlays["pr-7-x"].until), (1, second(200)));
        assert_eq!(Pins::decode(&pins.encode().unwrap()).unwrap(), pins);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in any::<String>()) {
            let _ = Pins::decode(&text);
        }
    }
}
