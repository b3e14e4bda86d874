//! Which services an overlay runs itself, and which it borrows. Pure.
//!
//! Whoever calls what the overlay runs itself must be run by it, too: nobody else is wired to it. An own service never gets the
//! credentials of the base, so each database in which one stores is the overlay's own, and whoever stores there finds the same
//! data only if it is run by the overlay as well. Both rules are followed until nothing changes any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What is known of a service, here or where it is borrowed from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Whether this commit's cluster runs it. What only the base runs can be borrowed by what is borrowed, and nothing else.
    pub(crate) runs: bool,
    /// How it differs from what the base runs; nothing where it is the very same.
    pub(crate) differs: Option<String>,
    /// Whether it is an entry: requests to the overlay's address come here first.
    pub(crate) is_entry: bool,
    /// Whether it is never lent, as its calls have effects outside.
    pub(crate) is_never_lent: bool,
    /// Whether there is one of it at a time: when the base moves on, the former one ends.
    pub(crate) is_alone: bool,
    /// The services that it calls, as far as these take requests.
    pub(crate) calls: BTreeSet<String>,
    /// The data that it stores in.
    pub(crate) stores: BTreeSet<String>,
}

/// Why an overlay runs a service itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It is not what the base runs.
    Differs(String),
    /// It is an entry.
    Entry,
    /// It is never lent, and this overlay's requests would reach it.
    NeverLent,
    /// There is one of it at a time.
    Alone,
    /// It calls this one, which the overlay runs itself.
    Calls(String),
    /// It stores in this, as that service does, which the overlay runs itself.
    Stores(String, String),
}

/// What an overlay consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    /// What it runs itself, each with the reason.
    pub(crate) own: BTreeMap<String, Reason>,
    /// What these call of the base, each with the data that it writes there, itself or by what it calls.
    pub(crate) borrowed: BTreeMap<String, BTreeSet<String>>,
}

/// Services by name.
type All = BTreeMap<String, Candidate>;
type Own = BTreeMap<String, Reason>;

/// Decides. What is unchanged and pulled in by nothing is neither run nor borrowed.
pub(crate) fn decide(all: &All) -> Decision {
    let first = |node: &Candidate| match &node.differs {
        _ if !node.runs => None,
        Some(how) => Some(Reason::Differs(how.clone())),
        None => node.is_entry.then_some(Reason::Entry),
    };
    let mut own: Own = all.iter().filter_map(|(name, node)| Some((name.clone(), first(node)?))).collect();
    loop {
        let reached = reached(all, own.keys().map(String::as_str));
        let rest = all.iter().filter(|(name, _)| !own.contains_key(*name));
        let more: Own =
            rest.filter_map(|(name, node)| Some((name.clone(), why(name, node, all, &own, &reached)?))).collect();
        if more.is_empty() {
            break;
        }
        own.extend(more);
    }
    let called: BTreeSet<&String> = own.keys().filter_map(|name| all.get(name)).flat_map(|node| &node.calls).collect();
    let is_borrowed = |name: &&&String| !own.contains_key(**name) && all.get(**name).is_some_and(|node| node.runs);
    let borrowed = called.iter().filter(is_borrowed).map(|name| ((*name).clone(), written(all, name))).collect();
    // What this commit does not run was only asked for the sake of those who call it.
    own.retain(|name, _| all.get(name).is_some_and(|node| node.runs));
    Decision { own, borrowed }
}

fn why(name: &str, node: &Candidate, all: &All, own: &Own, reached: &BTreeSet<&str>) -> Option<Reason> {
    if reached.contains(name) && node.is_never_lent {
        return Some(Reason::NeverLent);
    }
    if reached.contains(name) && node.is_alone {
        return Some(Reason::Alone);
    }
    if let Some(called) = node.calls.iter().find(|called| own.contains_key(*called)) {
        return Some(Reason::Calls(called.clone()));
    }
    let with = |data: &String| {
        let mut with =
            own.keys().filter(|name| all.get(*name).is_some_and(|node| node.runs && node.stores.contains(data)));
        with.next().cloned()
    };
    node.stores.iter().find_map(|data| Some(Reason::Stores(data.clone(), with(data)?)))
}

/// What requests reach that begin at these, these included.
fn reached<'a>(all: &'a All, from: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut open: Vec<&str> = from.collect();
    let mut reached = BTreeSet::new();
    while let Some(name) = open.pop() {
        if reached.insert(name) {
            open.extend(all.get(name).into_iter().flat_map(|node| &node.calls).map(String::as_str));
        }
    }
    reached
}

/// The data that a service of the base writes, itself or by what it calls.
fn written(all: &All, name: &str) -> BTreeSet<String> {
    let reached = reached(all, [name].into_iter());
    reached.into_iter().filter_map(|name| all.get(name)).flat_map(|node| &node.stores).cloned().collect()
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs(how) => f.write_str(how),
            Self::Entry => f.write_str("requests come in here"),
            Self::NeverLent => f.write_str("it is never lent (`borrow: never`)"),
            Self::Alone => f.write_str("there is one of it at a time, so the base ends it when it moves on"),
            Self::Calls(called) => write!(f, "it calls {called}, which is own"),
            Self::Stores(data, with) => write!(f, "it stores in {data}, as {with} does, which is own"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Services in a line each: `NAME[flags] -> CALLS | STORES`, with `*` for changed, `@` an entry, `!` never lent, `1` alone, and
    /// `?` for what only the base runs.
    fn all(text: &str) -> All {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let line = |line: &str| {
            let (head, stores) = line.split_once('|').unwrap_or((line, ""));
            let (head, calls) = head.split_once("->").unwrap_or((head, ""));
            let name = head.trim().trim_end_matches(['*', '@', '!', '1', '?']);
            let has = |flag: char| head.contains(flag);
            let node = Candidate {
                runs: !has('?'),
                differs: has('*').then(|| "its sources changed".to_owned()),
                is_entry: has('@'),
                is_never_lent: has('!'),
                is_alone: has('1'),
                calls: words(calls),
                stores: words(stores),
            };
            (name.to_owned(), node)
        };
        text.lines().map(str::trim).filter(|text| !text.is_empty()).map(line).collect()
    }

    /// What is decided, in words.
    fn decided(text: &str) -> (Vec<String>, Vec<String>) {
        let decision = decide(&all(text));
        let own = decision.own.iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
        let borrowed = decision.borrowed.iter().map(|(name, writes)| {
            format!("{name}: {}", writes.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
        });
        (own, borrowed.collect())
    }

    #[track_caller]
    fn check(text: &str, own: &[&str], borrowed: &[&str]) {
        assert_eq!(
            decided(text),
            (own.iter().map(|it| (*it).to_owned()).collect(), borrowed.iter().map(|it| (*it).to_owned()).collect())
        );
    }

    #[test]
    fn what_changed_runs_and_the_rest_is_borrowed() {
        check(
            "www*@ -> catalog cart
             cart -> | carts
             catalog -> prices
             prices | prices
             worker -> catalog | queue
             other -> prices",
            &["www: its sources changed"],
            &["cart: carts", "catalog: prices"],
        );
    }

    #[test]
    fn an_entry_is_own_even_when_nothing_changed() {
        check("www@ -> api\n api", &["www: requests come in here"], &["api: "]);
    }

    #[test]
    fn whoever_calls_what_is_own_is_own() {
        check(
            "www@ -> api flags\n api -> db\n db*\n flags",
            &["api: it calls db, which is own", "db: its sources changed", "www: requests come in here"],
            &["flags: "],
        );
    }

    #[test]
    fn a_database_of_its_own_pulls_in_whoever_stores_there_and_who_calls_these() {
        check(
            "www@ -> api
             api* | orders
             report | orders
             desk -> report
             job | stream
             catalog",
            &[
                "api: its sources changed",
                "desk: it calls report, which is own",
                "report: it stores in orders, as api does, which is own",
                "www: requests come in here",
            ],
            &[],
        );
    }

    #[test]
    fn what_is_never_lent_is_own_where_requests_reach_it_and_so_is_the_way_to_it() {
        check(
            "www*@ -> order catalog
             order -> payment | orders
             payment!
             refunds! -> catalog
             catalog | products",
            &[
                "order: it calls payment, which is own",
                "payment: it is never lent (`borrow: never`)",
                "www: its sources changed",
            ],
            &["catalog: products"],
        );
    }

    #[test]
    fn what_there_is_one_of_at_a_time_is_not_borrowed() {
        check(
            "www@ -> search\n search -> index\n index1\n lonely1",
            &[
                "index: there is one of it at a time, so the base ends it when it moves on",
                "search: it calls index, which is own",
                "www: requests come in here",
            ],
            &[],
        );
    }

    #[test]
    fn a_circle_is_own_as_a_whole() {
        check(
            "www@ -> a\n a -> b\n b -> a c\n c*",
            &[
                "a: it calls b, which is own",
                "b: it calls c, which is own",
                "c: its sources changed",
                "www: requests come in here",
            ],
            &[],
        );
    }

    #[test]
    fn what_the_commit_leaves_out_is_still_not_reached_through_what_it_borrows() {
        // Its service.yaml says that payment does not start; where the base serves, order calls it all the same.
        check(
            "www@ -> order\n order -> payment\n payment?!",
            &["order: it calls payment, which is own", "www: requests come in here"],
            &[],
        );
        check(
            "www@ -> order\n order -> flags\n flags? | toggles",
            &["www: requests come in here"],
            &["order: toggles"],
        );
    }

    fn candidates() -> impl Strategy<Value = All> {
        let flag = || proptest::bool::weighted(0.15);
        let names = || proptest::collection::btree_set(0..9_usize, 0..4);
        let node = (
            proptest::bool::weighted(0.9),
            flag(),
            flag(),
            flag(),
            flag(),
            names(),
            proptest::collection::btree_set(0..4_usize, 0..2),
        );
        proptest::collection::vec(node, 1..10).prop_map(|nodes| {
            let name = |number: usize| format!("s{number}");
            let candidate = |(runs, differs, is_entry, is_never_lent, is_alone, calls, stores): (
                _,
                bool,
                _,
                _,
                _,
                BTreeSet<usize>,
                BTreeSet<usize>,
            )| Candidate {
                runs,
                differs: differs.then(|| "changed".to_owned()),
                is_entry,
                is_never_lent,
                is_alone,
                calls: calls.into_iter().map(name).collect(),
                stores: stores.into_iter().map(|number| format!("d{number}")).collect(),
            };
            nodes.into_iter().map(candidate).enumerate().map(|(number, node)| (name(number), node)).collect()
        })
    }

    proptest! {
        #[test]
        fn whatever_the_graph_the_rules_hold(all in candidates()) {
            let Decision { own, borrowed } = decide(&all);
            let runs = |name: &String| all.get(name).is_some_and(|node| node.runs);
            for (name, node) in all.iter().filter(|(_, node)| node.runs) {
                let is_own = own.contains_key(name);
                prop_assert!(is_own || (node.differs.is_none() && !node.is_entry), "{} must be own", name);
                prop_assert!(is_own || node.calls.iter().all(|called| !own.contains_key(called)), "{} calls what is own", name);
                let shares = own.keys().any(|other| !all[other].stores.is_disjoint(&node.stores));
                prop_assert!(is_own || !shares, "{} shares data with what is own", name);
            }
            for name in own.keys() {
                prop_assert!(runs(name), "{} does not run here", name);
                let called = all[name].calls.iter().filter(|called| runs(called) && !own.contains_key(*called));
                let called: BTreeSet<&String> = called.collect();
                prop_assert!(called.iter().all(|called| borrowed.contains_key(*called)));
            }
            // Requests that leave the overlay reach nothing that is never lent, nothing that ends, and nothing of its own.
            for name in reached(&all, borrowed.keys().map(String::as_str)) {
                if let Some(node) = all.get(name) {
                    prop_assert!(!node.is_never_lent && !node.is_alone && !own.contains_key(name), "{} is reached", name);
                }
            }
        }

        #[test]
        fn more_changes_never_make_less_of_it_own(all in candidates(), number in 0..9_usize) {
            let before = decide(&all);
            let mut more = all;
            if let Some(node) = more.get_mut(&format!("s{number}")) {
                node.differs = Some("changed".to_owned());
            }
            let after = decide(&more);
            prop_assert!(before.own.keys().all(|name| after.own.contains_key(name)));
        }
    }
}
