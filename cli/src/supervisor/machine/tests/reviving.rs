//! What is started anew when it ends by itself, by cases. A forward is started anew always, a server never.

use super::*;

fn way() -> Unit {
    Unit::new(UnitKind::Forward, "way")
}

/// A bench where a forward runs.
fn running() -> Bench {
    let mut bench = Bench::new();
    bench.request(1, up(&[]));
    bench.prepared(&Units::from([(way(), BTreeMap::new())]), &[], "1", false);
    started(&mut bench, 1);
    bench.event(Event::Over { unit: way(), result: Ok(()) });
    assert_eq!(bench.ends(1).len(), 1);
    bench.begun.clear();
    bench
}

fn started(bench: &mut Bench, pid: i32) {
    bench.event(Event::Started { unit: way(), instance: instance(pid) });
}

fn ends_by_itself(bench: &mut Bench, pid: i32) {
    bench.event(Event::Exited { unit: way(), instance: instance(pid), ended: Ended::Code(1) });
}

/// Lets the last pause be over.
fn pause(bench: &mut Bench) -> Duration {
    let (unit, instance, after) = bench.pauses.pop().expect("a pause");
    bench.event(Event::Due { unit, instance });
    after
}

#[test]
fn it_is_started_anew_after_a_pause_that_grows_until_it_ends_too_often() {
    let mut bench = running();
    let mut pauses = Vec::new();
    for pid in 1..=4 {
        ends_by_itself(&mut bench, pid);
        assert_eq!(bench.state("way"), Some(State::Starting));
        assert!(bench.begun.is_empty(), "first the pause");
        assert!(!bench.machine.is_idle(), "somebody must stay for it");
        pauses.push(pause(&mut bench));
        assert_eq!(bench.begun, ["way:forward"]);
        bench.begun.clear();
        assert_eq!(bench.left_over["way:forward"], instance(pid), "what is left of it goes first");
        started(&mut bench, pid + 1);
        bench.event(Event::Over { unit: way(), result: Ok(()) });
        assert_eq!(bench.state("way"), Some(State::Ready));
        assert_eq!(bench.saved.get(&way()).unwrap().restarts, u32::try_from(pid).unwrap());
    }
    assert_eq!(pauses, [250, 500, 1000, 2000].map(Duration::from_millis));
    assert!(bench.told_all[0].contains("it ended with code 1; it is started again in 0.2 s"), "{:?}", bench.told_all);
    ends_by_itself(&mut bench, 5);
    assert_eq!(bench.state("way"), Some(State::Failed));
    let ended = bench.saved.get(&way()).unwrap().ended.clone().unwrap();
    assert_eq!(ended, "ended with code 1; it did so 5 times within 60 s and is not started again");
    assert!(bench.pauses.is_empty() && bench.machine.is_idle());
}

#[test]
fn a_start_that_fails_counts_as_another_end() {
    let mut bench = running();
    ends_by_itself(&mut bench, 1);
    pause(&mut bench);
    started(&mut bench, 2);
    bench.event(Event::Over { unit: way(), result: Err(Cause::new("it ended with code 1 after 0.1 s")) });
    assert_eq!(pause(&mut bench), Duration::from_millis(500));
    started(&mut bench, 3);
    bench.event(Event::Over { unit: way(), result: Ok(()) });
    assert_eq!(bench.state("way"), Some(State::Ready));
}

#[test]
fn a_start_that_fails_before_anything_runs_is_tried_again() {
    let mut bench = running();
    ends_by_itself(&mut bench, 1);
    pause(&mut bench);
    bench.event(Event::Cleared { unit: way() });
    bench.event(Event::Over { unit: way(), result: Err(Cause::new("`way`: Resource temporarily unavailable")) });
    assert_eq!(pause(&mut bench), Duration::from_millis(500));
    started(&mut bench, 2);
    bench.event(Event::Over { unit: way(), result: Ok(()) });
    assert_eq!(bench.state("way"), Some(State::Ready));
}

#[test]
fn what_answers_no_more_is_ended_and_started_anew_whatever_its_policy() {
    let mut bench = Bench::running(&["a"], &[]);
    let instance = bench.machine.records.get(&service("a")).unwrap().instance.clone().unwrap();
    bench.event(Event::Silent { unit: service("a"), instance: instance.clone(), why: "/healthz answers 500".into() });
    assert!(bench.told_all[0].contains("a: it answers no more: /healthz answers 500"), "{:?}", bench.told_all);
    pause(&mut bench);
    assert_eq!((bench.begun.clone(), &bench.left_over["a"]), (vec!["a".to_owned()], &instance));
}

#[test]
fn what_is_never_started_anew_is_told_and_stays() {
    let mut bench = Bench::running(&["a"], &[]);
    let instance = bench.machine.records.get(&service("a")).unwrap().instance.clone().unwrap();
    bench.event(Event::Exited { unit: service("a"), instance, ended: Ended::Code(1) });
    assert!(bench.pauses.is_empty());
    assert_eq!(bench.told_all, ["a: it ended with code 1"]);
    assert_eq!(bench.machine.listing()[0].detail.as_deref(), Some("ended with code 1"));
}

#[test]
fn a_command_comes_before_it_and_may_end_it() {
    let mut bench = running();
    ends_by_itself(&mut bench, 1);
    bench.request(2, down(&[]));
    assert_eq!(bench.ending(), ["way:forward"]);
    pause(&mut bench);
    assert!(bench.begun.is_empty(), "it is being stopped");
    bench.stopped("way");
    bench.event(Event::Stopped { unit: way(), result: Ok(()) });
    bench.event(Event::CleanedUp { result: Ok(()) });
    assert_eq!(bench.ends(2), [(Exit::Success, String::new())]);
    assert!(bench.machine.is_idle());
}

#[test]
fn a_command_that_comes_while_it_is_started_anew_leaves_that_off() {
    let mut bench = running();
    ends_by_itself(&mut bench, 1);
    pause(&mut bench);
    started(&mut bench, 2);
    bench.request(2, up(&[]));
    assert!(bench.interrupted);
    assert_eq!(bench.notes(2), Vec::<String>::new(), "nobody else has a command");
    bench.event(Event::Over { unit: way(), result: Err(Cause::new("interrupted")) });
    bench.prepared(&Units::from([(way(), BTreeMap::new())]), &[], "1", false);
    assert_eq!(bench.planned(), ["way:forward"]);
    started(&mut bench, 3);
    bench.event(Event::Over { unit: way(), result: Ok(()) });
    assert_eq!(bench.ends(2), [(Exit::Success, String::new())]);
}

#[test]
fn one_that_was_adopted_is_started_anew_when_it_can_still_be_told_what_it_was_made_of() {
    let adopted = || {
        let mut records = Records::default();
        let always = Record { restart: Restart::Always.into(), ..record("x", Some(instance(1)), true) };
        records.put(Record { unit: way(), ..always });
        let mut bench = Bench::with_lives(records, BTreeMap::from([(way(), Life::Runs)]));
        ends_by_itself(&mut bench, 1);
        pause(&mut bench);
        assert_eq!(bench.remembering, 1);
        bench
    };
    let desired = |key: &str| {
        let want = Wanted { key: Key::of("test", &key.into()), parts: BTreeMap::new() };
        Event::Remembered {
            desired: Some(Box::new(Desired {
                wanted: BTreeMap::from([(way(), want)]),
                waits: Units::new(),
                needs: BTreeMap::new(),
                work: BTreeMap::from([(way(), work(&way()))]),
                runtimes: BTreeMap::from([(way(), RuntimeName::Process)]),
                secrets: BTreeSet::new(),
            })),
        }
    };
    let mut same = adopted();
    same.event(desired("1"));
    assert_eq!(same.begun, ["way:forward"]);
    for answer in [desired("2"), Event::Remembered { desired: None }] {
        let mut changed = adopted();
        changed.event(answer);
        assert!(changed.begun.is_empty());
        assert_eq!(changed.state("way"), Some(State::Failed));
    }
}
