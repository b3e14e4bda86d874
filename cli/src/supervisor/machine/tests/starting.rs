//! `up`, by cases.

use super::super::schedule::AT_ONCE;
use super::*;
use clustergraph::format::service::Wait;

#[test]
fn units_begin_in_order_as_earlier_ones_become_ready() {
    let mut bench = Bench::new();
    bench.request(1, up(&[]));
    bench.prepared(&graph(&["a: b c", "b: c", "c"]), &[], "1", false);
    assert_eq!(bench.begun, ["c"]);
    bench.ready("c");
    assert_eq!(bench.begun, ["c", "b"]);
    bench.started("b");
    assert_eq!(bench.begun, ["c", "b"], "it runs, but is not ready");
    bench.event(Event::Over { unit: service("b"), result: Ok(()) });
    assert_eq!(bench.begun, ["c", "b", "a"]);
    assert!(bench.ends(1).is_empty());
    bench.ready("a");
    assert_eq!(bench.ends(1), [(Exit::Success, String::new())]);
    assert_eq!(bench.state("a"), Some(State::Ready));
    assert_eq!(bench.watched.len(), 3);
}

#[test]
fn who_waits_for_a_start_only_begins_before_the_other_is_ready() {
    let mut waits = graph(&["a: b", "b: c", "c"]);
    if let Some(wait) = waits.get_mut(&service("a")).and_then(|waits| waits.get_mut(&service("b"))) {
        *wait = Wait::Started;
    }
    let mut bench = Bench::new();
    bench.request(1, up(&[]));
    bench.prepared(&waits, &[], "1", false);
    assert_eq!(bench.begun, ["c"], "what b itself waits for, a waits for, too");
    bench.ready("c");
    assert_eq!(bench.begun, ["c", "b"]);
    bench.started("b");
    assert_eq!(bench.begun, ["c", "b", "a"]);
    bench.event(Event::Over { unit: service("b"), result: Err(Cause::new("it ended")) });
    bench.ready("a");
    assert_eq!(bench.state("a"), Some(State::Ready), "a was begun already");
    assert_eq!(bench.ends(1), [(Exit::Failed, "b: it ended".to_owned())]);
}

#[test]
fn no_more_than_so_many_are_begun_at_once() {
    let names: Vec<String> = (0..AT_ONCE + 5).map(|n| format!("s{n:02}")).collect();
    let lines: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut bench = Bench::new();
    bench.request(1, up(&[]));
    bench.prepared(&graph(&lines), &[], "1", false);
    assert_eq!(bench.begun.len(), AT_ONCE);
    bench.fails("s00", "no");
    assert_eq!(bench.begun.len(), AT_ONCE + 1, "whoever fails makes room, too");
    bench.started("s01");
    assert_eq!(bench.begun.len(), AT_ONCE + 2, "who runs and only becomes ready keeps nobody from beginning");
    bench.event(Event::Over { unit: service("s01"), result: Ok(()) });
    assert_eq!(bench.begun.len(), AT_ONCE + 2);
}

#[test]
fn a_failure_skips_what_waits_for_it_and_nothing_else_and_the_end_names_every_cause() {
    let mut bench = Bench::new();
    bench.request(1, up(&[]));
    bench.prepared(&graph(&["a: b", "b: c", "c", "d", "e"]), &[], "1", false);
    bench.fails("c", "the disk is on fire");
    bench.ready("d");
    bench.fails("e", "no such program");
    let skipped: Vec<&str> = bench
        .told
        .iter()
        .filter_map(|(_, event)| match event {
            protocol::Event::State { unit, state: State::Skipped, detail, .. } if detail == "c failed" => {
                Some(unit.name.as_str())
            }
            _ => None,
        })
        .collect();
    assert_eq!(skipped, ["b", "a"]);
    assert_eq!(bench.begun, ["c", "d", "e"]);
    assert_eq!(bench.ends(1), [(Exit::Failed, "c: the disk is on fire\ne: no such program".to_owned())]);
    assert_eq!((bench.state("c"), bench.state("d")), (Some(State::Failed), Some(State::Ready)));
}

#[test]
fn a_client_that_leaves_changes_nothing() {
    let mut bench = Bench::new();
    bench.request(1, up(&[]));
    bench.event(Event::Left { client: 1 });
    bench.prepared(&graph(&["a: b", "b"]), &[], "1", false);
    bench.ready("b");
    bench.event(Event::Left { client: 1 });
    bench.ready("a");
    assert_eq!(bench.state("a"), Some(State::Ready));
    assert!(!bench.machine.is_idle());
}

#[test]
fn a_second_command_waits_for_the_first_and_is_then_served() {
    let mut bench = Bench::new();
    bench.request(1, up(&[]));
    bench.request(2, down(&["x"]));
    bench.request(3, up(&[]));
    assert_eq!(bench.notes(2), ["waiting for another command of this session"]);
    bench.prepared(&graph(&["a"]), &[], "1", false);
    assert_eq!(bench.preparing.len(), 0);
    bench.ready("a");
    assert_eq!(bench.ends(1).len(), 1);
    assert_eq!(bench.ends(2), [(Exit::Unusable, "no service x runs here; these do: a".to_owned())]);
    assert_eq!(bench.preparing.len(), 1, "what was refused at once keeps nobody waiting");
    bench.event(Event::Prepared { result: Err(failure("no such service")) });
    assert_eq!(bench.ends(3), [(Exit::Unusable, "no such service".to_owned())]);
}

#[test]
fn a_restart_carries_what_ran_before_and_forgets_it_only_when_it_is_gone() {
    let mut bench = Bench::running(&["a"], &[]);
    let old = bench.machine.records.get(&service("a")).unwrap().instance.clone().unwrap();
    bench.request(2, up(&[]));
    bench.prepared(&graph(&["a"]), &[], "2", false);
    assert_eq!(bench.left_over["a"], old);
    let kept = bench.machine.records.get(&service("a")).unwrap();
    assert_eq!((kept.instance.as_ref(), kept.ready), (Some(&old), false), "a supervisor that dies now forgets nothing");
    bench.event(Event::Exited { unit: service("a"), instance: old, ended: Ended::Code(0) });
    assert_eq!(bench.state("a"), Some(State::Starting), "it was ended on purpose");
    bench.event(Event::Cleared { unit: service("a") });
    assert_eq!(bench.saved.get(&service("a")).unwrap().instance, None);
    let new = bench.ready("a");
    assert_eq!(bench.saved.get(&service("a")).unwrap().instance, Some(new));
    assert_eq!(bench.ends(2), [(Exit::Success, String::new())]);
}

#[test]
fn what_ran_before_and_cannot_be_ended_stays_known() {
    let mut bench = Bench::running(&["a"], &[]);
    let old = bench.machine.records.get(&service("a")).unwrap().instance.clone();
    bench.request(2, up(&[]));
    bench.prepared(&graph(&["a"]), &[], "2", false);
    bench.fails("a", "the engine does not answer");
    assert_eq!(bench.saved.get(&service("a")).unwrap().instance, old);
    assert_eq!(bench.ends(2)[0].0, Exit::Failed);
}

#[test]
fn what_runs_once_is_known_while_it_runs_and_gone_when_it_has_ended_well() {
    let migration = Unit::new(UnitKind::Migration, "a/b");
    let waits = Units::from([(migration.clone(), BTreeMap::new())]);
    let mut bench = Bench::new();
    bench.request(1, up(&[]));
    bench.prepared(&waits, &[], "1", false);
    bench.event(Event::Started { unit: migration.clone(), instance: instance(7) });
    assert_eq!(
        bench.saved.get(&migration).unwrap().instance,
        Some(instance(7)),
        "a killed supervisor leaves it to the next"
    );
    bench.event(Event::Over { unit: migration.clone(), result: Ok(()) });
    let record = bench.saved.get(&migration).unwrap();
    assert_eq!((record.instance.as_ref(), record.ready), (None, true));
    assert_eq!(bench.state("a/b"), Some(State::Done));
    assert!(bench.machine.is_idle());
}

#[test]
fn a_dry_run_changes_no_record() {
    let mut bench = Bench::running(&["a"], &["a"]);
    let before = serde_json::to_value(&bench.machine.records).unwrap();
    bench.request(2, up(&[]));
    bench.prepared(&graph(&["a", "b"]), &[], "2", true);
    assert_eq!(bench.planned(), ["a", "b"]);
    assert_eq!(bench.ends(2), [(Exit::Success, String::new())]);
    assert!(bench.begun.is_empty());
    assert_eq!(serde_json::to_value(&bench.machine.records).unwrap(), before);
}

#[test]
fn no_secret_is_in_an_event() {
    let mut bench = Bench::new();
    bench.request(1, up(&[]));
    bench.prepared(&graph(&["a", "b"]), &[], "1", false);
    let cause = Cause { message: "it ended".into(), lines: vec!["url=postgres://x:hunter2hunter2@h/x".into()] };
    bench.event(Event::Told { unit: service("b"), text: "hunter2hunter2 opensesame".into() });
    bench.event(Event::Over { unit: service("a"), result: Err(cause) });
    bench.ready("b");
    bench.request(1, Request::Ps);
    let told: Vec<String> = bench.told.iter().map(|(_, event)| serde_json::to_string(event).unwrap()).collect();
    assert!(told.iter().all(|event| !event.contains("hunter2") && !event.contains("opensesame")), "{told:?}");
    assert!(bench.ends(1)[0].1.contains("url=postgres://x:********@h/x"));
}

#[test]
fn an_interrupted_up_begins_nothing_more_and_is_taken_back_at_once() {
    let mut bench = Bench::new();
    bench.request(1, up(&[]));
    bench.prepared(&graph(&["a: b", "b"]), &[], "1", false);
    bench.started("b");
    bench.request(1, Request::TakeBack { all: true, services: Vec::new() });
    assert!(bench.interrupted);
    bench.fails("b", "interrupted");
    assert_eq!(bench.begun, ["b"], "a is not begun");
    assert_eq!(bench.ending(), ["b"]);
    bench.stopped("b");
    bench.event(Event::CleanedUp { result: Ok(()) });
    assert_eq!(bench.ends(1), [(Exit::Success, String::new())], "one end, that of the stop");
    assert!(bench.machine.is_idle());
}

#[test]
fn an_up_that_is_taken_back_before_it_has_a_plan_begins_nothing() {
    let mut bench = Bench::new();
    bench.request(1, up(&[]));
    bench.request(1, Request::TakeBack { all: true, services: Vec::new() });
    bench.prepared(&graph(&["a"]), &[], "1", false);
    assert!(bench.begun.is_empty());
    assert_eq!(bench.cleaned, [false]);
    bench.event(Event::CleanedUp { result: Ok(()) });
    assert_eq!(bench.ends(1), [(Exit::Success, String::new())]);
}
