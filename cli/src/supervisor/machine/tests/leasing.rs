//! What is needed only for as long as a client is there, by cases.

use super::*;

/// A machine where `run` of somebody needs `db`, which is ready.
fn leased() -> Bench {
    let mut bench = Bench::new();
    bench.request(1, needs("job"));
    bench.prepared_needs(&graph(&["db"]), "job");
    let _ = bench.ready("db");
    assert_eq!(bench.ends(1), [(Exit::Success, String::new())]);
    bench
}

fn take_back() -> Request {
    Request::TakeBack { all: false, services: Vec::new() }
}

#[test]
fn what_a_client_needs_makes_nothing_wanted() {
    let bench = leased();
    assert!(!bench.saved.all && bench.saved.roots.is_empty());
}

#[test]
fn what_a_client_needs_stays_while_others_stop_theirs() {
    let mut bench = leased();
    bench.request(2, up(&["a"]));
    bench.prepared(&graph(&["a", "db"]), &["a"], "1", false);
    let _ = bench.ready("a");
    bench.request(2, down(&["a"]));
    assert_eq!(bench.ending(), ["a"]);
}

#[test]
fn it_stops_when_the_client_takes_it_back() {
    let mut bench = leased();
    bench.request(1, take_back());
    assert_eq!(bench.ending(), ["db"]);
}

#[test]
fn what_is_wanted_otherwise_goes_on_then() {
    let mut bench = leased();
    bench.request(2, up(&["db"]));
    bench.prepared(&graph(&["db"]), &["db"], "1", false);
    bench.request(1, take_back());
    assert!(bench.ending().is_empty());
}

#[test]
fn a_client_that_is_gone_needs_nothing() {
    let mut bench = leased();
    bench.event(Event::Left { client: 1 });
    bench.request(2, up(&["a"]));
    bench.prepared(&graph(&["a"]), &["a"], "1", false);
    assert_eq!(bench.ending(), ["db"]);
}

#[test]
fn a_client_that_left_before_its_plan_was_there_needs_nothing_either() {
    let mut bench = Bench::new();
    bench.request(1, needs("job"));
    bench.event(Event::Left { client: 1 });
    bench.prepared_needs(&graph(&["db"]), "job");
    let _ = bench.ready("db");
    bench.request(2, take_back());
    assert_eq!(bench.ending(), ["db"]);
}

#[test]
fn down_of_everything_ends_that_too() {
    let mut bench = leased();
    bench.request(2, down(&[]));
    assert_eq!(bench.ending(), ["db"]);
}
