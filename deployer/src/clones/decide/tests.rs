//! What is cloned, what begins empty and what is refused, by tables.

use std::process::Command;

use clustergraph::graph::Key;
use clustergraph::tree::Tree;
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::schemas::Level;
use crate::store::databases::tests::done;
use crate::store::databases::{Databases, Known, State};
use crate::store::lent::Mask;
use crate::store::lent::tests::{masked, offer};
use crate::store::record::Content;
use crate::store::record::tests::content;

const SERVICE: &str = "\
name: order
run: [./order]
databases:
  - { kind: postgres, version: \"15\", as: orders }
  - { kind: redis, as: carts }
  - { kind: mine, as: own }
  - { from: bus }
";
const KINDS: &str = "\
kinds: { mine: { image: 'x:1', port: 1, url: 'x://{host}', ready: [x], dump: [d], restore: [r], snapshot: true } }
databases: { bus: { kind: kafka } }
clusters: { production: {}, staging: {}, pr: { ttl: 4h, SETTINGS } }
";

fn graph(settings: &str) -> Graph {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("order")).unwrap();
    std::fs::write(folder.path().join("order/service.yaml"), SERVICE).unwrap();
    std::fs::write(folder.path().join("clustergraph.yaml"), KINDS.replace("SETTINGS", settings)).unwrap();
    assert!(Command::new("git").current_dir(folder.path()).args(["init", "-q"]).status().unwrap().success());
    Graph::build(&Tree::of_worktree(folder.path()).unwrap(), "pr").unwrap()
}

fn level() -> Level {
    Level { migration: Key::of("test", &json!("7")), schemas: None }
}

/// A cluster with `order/orders`, as far as something of it is changed.
fn stock(change: impl FnOnce(&mut Lent, &mut Known, &mut bool)) -> Stock {
    let mut lent = offer(masked(), None).lent;
    let mut lends = true;
    let mut known = done(level(), Timestamp::UNIX_EPOCH).0.remove("api/orders").unwrap();
    known.address = "order/orders".to_owned();
    change(&mut lent, &mut known, &mut lends);
    let mut content = content(&[("order", "1", 1)]);
    content.lends = lends;
    content.lent = [("order/orders".to_owned(), lent)].into();
    Stock::new(7, content, Databases([("order/orders".to_owned(), known)].into()))
}

/// What is decided for settings where `production` has this.
fn decided(settings: &str, production: Option<Stock>) -> Decided {
    let graph = graph(settings);
    let asked = asked(&graph, &graph.repository.clusters["pr"]);
    decide(&graph, &asked, &[("production".to_owned(), production)].into())
}

const ALL: &str = "clone: production";
const ONE: &str = "databases: { order/orders: { clone: production } }";

#[test]
fn of_all_databases_those_are_cloned_that_can_be_and_the_others_are_told() {
    let all = decided(ALL, Some(stock(|_, _, _| {})));
    assert_eq!(all.refused, Vec::<String>::new());
    assert_eq!(all.offers.keys().collect::<Vec<_>>(), ["order/orders"]);
    let given = &all.offers["order/orders"];
    assert_eq!((given.of.as_str(), given.version, given.level), ("production", 7, Some(level())));
    let why: Vec<(&str, &str)> = all.empty.iter().map(|(address, why)| (address.as_str(), why.as_str())).collect();
    assert_eq!(
        why,
        [
            ("bus", "kafka is shared by all who use it, and is never cloned"),
            ("order/carts", "redis has no dump of one moment"),
            ("order/own", "the kind mine is this repository's own, and only komandan's are cloned"),
        ]
    );
    let missing = decided(ALL, Some(Stock::new(7, Content { lends: true, ..content(&[]) }, Databases::default())));
    assert_eq!(missing.empty["order/orders"], "production has no such database");
}

#[test]
fn what_is_asked_for_by_its_address_is_cloned_or_refused() {
    assert_eq!(decided(ONE, Some(stock(|_, _, _| {}))).offers.len(), 1);
    for (address, why) in
        [("bus", "never cloned"), ("order/carts", "no dump of one moment"), ("order/own", "repository's own")]
    {
        let one = decided(&format!("databases: {{ {address}: {{ clone: production }} }}"), Some(stock(|_, _, _| {})));
        let [refused] = one.refused.as_slice() else { panic!("{one:?}") };
        assert!(refused.contains(why) && refused.contains("clone: none"), "{refused}");
    }
    let none = decided("clone: production, databases: { order/orders: { clone: none } }", Some(stock(|_, _, _| {})));
    assert!(none.offers.is_empty() && !none.empty.contains_key("order/orders"), "{none:?}");
    assert_eq!(asked(&graph("seed: true"), &Cluster::default()), BTreeMap::new());
}

#[test]
fn a_cluster_gives_only_what_it_says_itself_as_it_was_deployed() {
    let refused = |stock: Option<Stock>| {
        let (all, one) = (decided(ALL, stock.clone()), decided(ONE, stock));
        assert_eq!(all.refused, one.refused);
        assert_eq!(all.offers, BTreeMap::new());
        all.refused.join("\n")
    };
    let changed = |change: fn(&mut Lent, &mut Known, &mut bool)| refused(Some(stock(change)));
    for (found, words) in [
        (refused(None), "nothing was ever deployed to production"),
        (
            changed(|_, _, lends| *lends = false),
            "version 7 of production, which serves, lends nothing: write `lends: true`",
        ),
        (changed(|lent, _, _| lent.mask = None), "does not say how a copy of order/orders is masked"),
        (changed(|lent, _, _| lent.version = "14".into()), "and in production postgres 14"),
        (changed(|lent, _, _| lent.server = "db-postgres-15-abc".into()), "(the server db-postgres-15-abc)"),
        (changed(|_, known, _| known.work.state = State::Running), "under way in production"),
        (changed(|_, known, _| known.work.state = State::Failed), "has failed there"),
    ] {
        assert!(found.contains(words), "{found}");
    }
    let open = decided(ONE, Some(stock(|lent, _, _| lent.mask = Some(Mask::Unneeded))));
    assert_eq!(open.offers["order/orders"].words(), "of production, as it is: its owner says `mask: none`");
    let external = decided(ONE, Some(stock(|_, known, _| known.server = "external".into())));
    assert!(external.refused[0].contains("somebody else runs that of production"), "{:?}", external.refused);
}
