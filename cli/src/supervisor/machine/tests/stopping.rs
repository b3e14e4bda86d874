//! `down`, and what an `up` takes back, by cases.

use super::*;

#[test]
fn down_ends_everything_in_reverse_order_and_cleans_up_at_last() {
    let mut bench = Bench::running(&["a: b", "b: c", "c"], &[]);
    bench.request(2, down(&[]));
    assert_eq!(bench.planned(), ["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        assert_eq!(bench.ending(), [name]);
        assert!(bench.cleaned.is_empty(), "something runs");
        bench.stopped(name);
    }
    assert_eq!(bench.cleaned, [false]);
    assert!(bench.ends(2).is_empty());
    bench.event(Event::CleanedUp { result: Ok(()) });
    assert_eq!(bench.ends(2), [(Exit::Success, String::new())]);
    assert!(bench.machine.is_idle());
}

#[test]
fn down_of_one_keeps_what_others_want() {
    let mut bench = Bench::running(&["a: c", "b: c", "c"], &["a", "b"]);
    bench.request(2, down(&["a"]));
    assert_eq!(bench.ending(), ["a"]);
    bench.stopped("a");
    assert_eq!(bench.ends(2), [(Exit::Success, String::new())]);
    assert!(bench.cleaned.is_empty(), "something runs");
    bench.request(2, down(&["c"]));
    assert_eq!(bench.notes(2), ["c goes on: others need it"]);
    assert_eq!(bench.ends(2).len(), 2);
    bench.request(2, down(&["b"]));
    assert_eq!(bench.ending(), ["b"]);
}

#[test]
fn down_keeps_what_others_are_only_wired_to() {
    let mut records = Records { roots: BTreeSet::from(["a".into(), "x".into()]), ..Records::default() };
    records.put(Record { needs: BTreeSet::from([service("b")]), ..record("a", Some(instance(1)), true) });
    records.put(record("b", Some(instance(2)), true));
    records.put(record("x", Some(instance(3)), true));
    let mut bench = Bench::adopting(records, &["a", "b", "x"]);
    bench.request(1, down(&["x"]));
    assert_eq!(bench.ending(), ["x"]);
}

#[test]
fn down_of_one_where_everything_was_asked_for_keeps_all_others() {
    let mut bench = Bench::running(&["a: b", "b", "c"], &[]);
    bench.request(2, down(&["a"]));
    assert_eq!(bench.ending(), ["a"]);
    bench.stopped("a");
    assert_eq!(bench.saved.roots, BTreeSet::from(["b".to_owned(), "c".to_owned()]));
    assert!(!bench.saved.all);
}

#[test]
fn what_could_not_be_begun_is_forgotten_by_down() {
    let mut bench = Bench::new();
    bench.request(1, up(&["a"]));
    bench.prepared(&graph(&["a"]), &["a"], "1", false);
    bench.fails("a", "no such program");
    assert_eq!(bench.state("a"), Some(State::Failed), "ps shows it");
    bench.request(1, down(&["a"]));
    bench.event(Event::CleanedUp { result: Ok(()) });
    assert_eq!(bench.ends(1)[1], (Exit::Success, String::new()));
    assert_eq!(bench.state("a"), None);
    assert!(bench.saved.roots.is_empty());
}

#[test]
fn a_unit_that_cannot_be_ended_is_told_and_nothing_is_cleaned_up() {
    let mut bench = Bench::running(&["a: b", "b"], &[]);
    bench.request(2, Request::Down { services: Vec::new(), delete_data: true });
    bench.event(Event::Stopped { unit: service("a"), result: Err(Cause::new("not permitted")) });
    assert_eq!(bench.ends(2), [(Exit::Failed, "a: not permitted".to_owned())]);
    assert_eq!(bench.ending(), ["a"], "b is not ended before a");
    assert!(bench.cleaned.is_empty());
    assert_eq!(bench.state("b"), Some(State::Ready), "it goes on");
}

#[test]
fn deleted_data_leaves_no_records_and_writes_none() {
    let mut bench = Bench::running(&["a"], &[]);
    bench.request(2, Request::Down { services: Vec::new(), delete_data: true });
    bench.stopped("a");
    assert_eq!(bench.cleaned, [true]);
    bench.saved.roots.insert("untouched".into());
    bench.event(Event::CleanedUp { result: Ok(()) });
    assert!(bench.saved.roots.contains("untouched"), "nothing is written where the folder was removed");
    assert!(bench.machine.records.passwords.is_empty());
}

#[test]
fn an_up_takes_back_what_it_was_the_first_to_want() {
    let mut bench = Bench::running(&["a: c", "c"], &["a"]);
    bench.request(2, up(&["b"]));
    bench.prepared(&graph(&["a: c", "b: c", "c"]), &["b"], "1", false);
    bench.ready("b");
    bench.request(2, Request::TakeBack { all: false, services: vec!["b".into()] });
    assert_eq!(bench.ending(), ["b"]);
    bench.stopped("b");
    assert_eq!(bench.ends(2).len(), 2);
    assert_eq!(bench.state("c"), Some(State::Ready));
    bench.request(3, Request::TakeBack { all: false, services: Vec::new() });
    assert_eq!(bench.ends(3), [(Exit::Success, String::new())], "who was the first to want nothing stops nothing");
    assert!(bench.ending().is_empty());
}

#[test]
fn a_second_interrupt_kills_at_once() {
    let mut bench = Bench::running(&["a: b", "b: c", "c"], &[]);
    bench.request(1, Request::TakeBack { all: true, services: Vec::new() });
    assert_eq!(bench.ending[0].stop.0, "INT", "the catalogue says how this kind ends in order");
    bench.request(1, Request::Kill);
    assert_eq!(bench.killed, ["a"]);
    assert_eq!(bench.ending(), ["a", "b", "c"], "nobody waits for an order any more");
    assert!(bench.ending[1..].iter().all(|record| record.stop == ("KILL".to_owned(), 0)));
}

#[test]
fn a_supervisor_leaves_once_it_is_at_rest() {
    let mut bench = Bench::new();
    bench.request(1, up(&[]));
    bench.request(2, Request::Leave);
    assert!(!bench.quit, "an up is under way");
    bench.prepared(&graph(&["a"]), &[], "1", false);
    bench.ready("a");
    assert!(bench.quit);
    let mut bench = Bench::running(&["a"], &[]);
    bench.request(2, Request::Leave);
    assert!(bench.quit);
}
