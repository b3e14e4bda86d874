//! Which version is served, which one before it is kept warm, and what is being changed.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::render::Kind;
use crate::store::record::{Content, Node};

/// How many moves are remembered.
const REMEMBERED: usize = 100;
const SCHEMA: u32 = 1;

/// The head of a cluster. Moved only by compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    schema: u32,
    /// Grows with every holder of the lock. What is changed carries the number of who changed it.
    pub(crate) fence: u64,
    /// The highest number that a version was given.
    pub(crate) last: u64,
    /// The version that entries lead to.
    pub(crate) current: Option<u64>,
    /// The version before it, which is kept warm.
    pub(crate) previous: Option<u64>,
    /// A switch that has begun and is not known to be over.
    pub(crate) intent: Option<Intent>,
    /// The last moves, oldest first.
    pub(crate) log: VecDeque<Move>,
    /// Sizes that somebody chose by hand, by service. They hold over all versions until they are given back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) sizes: BTreeMap<String, Size>,
    /// Whether requests ever came through an HTTPRoute, which not every cluster knows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) has_routes: bool,
    /// Whether the smoke checks of what serves are asked by schedules of the cluster.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) smoke: bool,
    /// Whether versions of it were ever lent: then it is asked which are borrowed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) has_lent: bool,
}

/// A size that somebody chose by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size {
    /// How many instances.
    pub(crate) replicas: u32,
    /// Who chose it.
    pub(crate) author: String,
    /// When.
    pub(crate) time: Timestamp,
}

/// A switch that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intent {
    /// The version from which.
    pub(crate) from: Option<u64>,
    /// The version to which.
    pub(crate) to: u64,
    /// What asked for it: `deploy` or `revert`.
    pub(crate) by: String,
}

/// A switch that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Move {
    /// The version from which.
    pub(crate) from: Option<u64>,
    /// The version to which.
    pub(crate) to: u64,
    /// What asked for it.
    pub(crate) by: String,
    /// Who did it.
    pub(crate) author: String,
    /// When.
    pub(crate) time: Timestamp,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            fence: 0,
            last: 0,
            current: None,
            previous: None,
            intent: None,
            log: VecDeque::new(),
            sizes: BTreeMap::new(),
            has_routes: false,
            smoke: false,
            has_lent: false,
        }
    }
}

impl Head {
    /// The key of its ConfigMap.
    pub(crate) const KEY: &'static str = "head.json";

    /// The switch to `to` begins.
    pub(crate) fn intend(&mut self, to: u64, by: &str) {
        self.last = self.last.max(to);
        self.intent = Some(Intent { from: self.current, to, by: by.to_owned() });
    }

    /// The intended switch is over.
    pub(crate) fn commit(&mut self, author: &str, time: Timestamp) {
        let Some(intent) = self.intent.take() else { return };
        if self.current != Some(intent.to) {
            self.previous = self.current;
            self.current = Some(intent.to);
        }
        self.log.push_back(Move { from: intent.from, to: intent.to, by: intent.by, author: author.to_owned(), time });
        while self.log.len() > REMEMBERED {
            self.log.pop_front();
        }
    }

    /// The head of a cluster that is being ended: nothing serves, and whoever deploys next begins anew with what is left.
    pub(crate) fn ended(&self) -> Self {
        Self { fence: self.fence, has_routes: self.has_routes, ..Self::default() }
    }

    /// The intended switch was undone.
    pub(crate) fn abandon(&mut self) {
        self.intent = None;
    }

    /// Whether a version is served, or kept so that it can be at once.
    pub(crate) fn keeps(&self, number: u64) -> bool {
        [self.current, self.previous, self.intent.as_ref().map(|intent| intent.to)].contains(&Some(number))
    }

    /// Whether a version was ever served, as far as is remembered.
    pub(crate) fn served(&self, number: u64) -> bool {
        self.keeps(number) || self.log.iter().any(|done| done.to == number)
    }

    /// Gives a version the sizes that were chosen by hand: a record says what the repository wanted.
    pub(crate) fn resize(&self, content: &mut Content) {
        for (name, size) in &self.sizes {
            // What is scaled by load, or only runs to its end, has no size that a person chose.
            let sized = |node: &&mut Node| !node.scales && matches!(node.kind, Kind::Service | Kind::HandedOver);
            if let Some(node) = content.nodes.get_mut(name).filter(sized) {
                node.replicas = size.replicas;
            }
        }
    }

    pub(crate) fn decode(text: &str) -> Result<Self> {
        super::decode("the head", SCHEMA, text)
    }

    pub(crate) fn encode(&self) -> Result<String> {
        super::encode("the head", self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moves() {
        let mut head = Head::default();
        for to in [1, 2, 3] {
            head.intend(to, "deploy");
            head.commit("a", Timestamp::UNIX_EPOCH);
        }
        assert_eq!((head.current, head.previous), (Some(3), Some(2)));
        head.intend(2, "revert");
        head.commit("a", Timestamp::UNIX_EPOCH);
        assert_eq!((head.current, head.previous, head.intent.clone()), (Some(2), Some(3), None));
        assert_eq!(head.log.len(), 4);
        assert!(head.served(1) && !head.keeps(1));
    }

    #[test]
    fn a_move_that_is_finished_twice_keeps_what_was_before() {
        let mut head = Head { current: Some(2), previous: Some(1), ..Head::default() };
        head.intend(2, "deploy");
        head.commit("a", Timestamp::UNIX_EPOCH);
        assert_eq!((head.current, head.previous), (Some(2), Some(1)));
    }

    #[test]
    fn a_size_chosen_by_hand_holds_for_every_version_that_has_the_service() {
        let size = Size { replicas: 7, author: "a".to_owned(), time: Timestamp::UNIX_EPOCH };
        let head = Head { sizes: [("api".to_owned(), size)].into(), ..Head::default() };
        let mut with = crate::store::record::tests::content(&[("api", "1", 2), ("www", "1", 1)]);
        head.resize(&mut with);
        assert_eq!((with.nodes["api"].replicas, with.nodes["www"].replicas), (7, 1));
        let mut without = crate::store::record::tests::content(&[("www", "1", 1)]);
        head.resize(&mut without);
        assert_eq!(without.nodes.len(), 1);
        assert_eq!(Head::decode(&head.encode().unwrap()).unwrap(), head);
        let before = Head::default().encode().unwrap();
        assert!(!before.contains("sizes") && Head::decode(&before).unwrap().sizes.is_empty());
    }

    proptest! {
        #[test]
        fn it_reads_what_it_wrote_and_the_log_is_bounded(moves in proptest::collection::vec(1_u64..9, 0..150)) {
            let mut head = Head::default();
            for to in moves {
                head.intend(to, "deploy");
                head.commit("a", Timestamp::UNIX_EPOCH);
            }
            prop_assert!(head.log.len() <= REMEMBERED);
            prop_assert_eq!(Head::decode(&head.encode().unwrap()).unwrap(), head);
        }

        #[test]
        fn any_text_is_read_without_panic(text in any::<String>()) {
            let _ = Head::decode(&text);
        }
    }
}
