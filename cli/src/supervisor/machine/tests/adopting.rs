//! What a supervisor makes of the records that it finds, and of what ends by itself.

use super::*;

#[test]
fn what_runs_is_adopted_and_watched_and_the_rest_is_told_as_it_is() {
    let mut records = Records::default();
    records.put(record("ready", Some(instance(1)), true));
    records.put(record("begun", Some(instance(2)), false));
    records.put(record("gone", Some(instance(3)), true));
    records.put(record("done", None, true));
    records.put(record("never", None, false));
    records.put(Record { ended: Some("ended with code 1".into()), ..record("crashed", Some(instance(4)), false) });
    let bench = Bench::adopting(records, &["ready", "begun"]);
    assert_eq!(bench.watched, [instance(2), instance(1)]);
    let states = ["ready", "begun", "gone", "done", "never", "crashed"].map(|name| bench.state(name).unwrap());
    use State::{Done, Failed, Ready, Starting, Stopped};
    assert_eq!(states, [Ready, Starting, Stopped, Done, Stopped, Failed]);
}

#[test]
fn what_cannot_be_asked_is_told_so_and_adopted_once_it_answers() {
    let mut records = Records::default();
    let of_docker =
        |name: &str, pid| Record { runtime: RuntimeName::Docker, ..record(name, Some(instance(pid)), true) };
    records.put(of_docker("a", 1));
    records.put(of_docker("b", 2));
    let lives = ["a", "b"].map(|name| (service(name), Life::Unknown));
    let mut bench = Bench::with_lives(records, BTreeMap::from(lives));
    assert_eq!(bench.looking, ["a", "b"]);
    assert_eq!(bench.state("a"), Some(State::Unknown));
    let detail = bench.machine.listing()[0].detail.clone();
    assert_eq!(detail.as_deref(), Some("the Docker engine does not answer"));
    assert!(bench.machine.is_idle(), "the next supervisor asks again");
    bench.event(Event::Found { unit: service("a"), instance: instance(1), runs: true });
    bench.event(Event::Found { unit: service("b"), instance: instance(2), runs: false });
    assert_eq!((bench.state("a"), bench.state("b")), (Some(State::Ready), Some(State::Stopped)));
    assert_eq!(bench.watched, [instance(1)]);
    assert!(!bench.machine.is_idle());
}

#[test]
fn a_supervisor_is_idle_when_all_that_was_recorded_is_gone() {
    let mut records = Records::default();
    records.put(record("a", Some(instance(1)), true));
    records.put(record("b", None, true));
    assert!(Bench::adopting(records.clone(), &[]).machine.is_idle(), "after a restart of the machine");
    let mut bench = Bench::adopting(records, &["a"]);
    assert!(!bench.machine.is_idle());
    bench.event(Event::Exited { unit: service("a"), instance: instance(1), ended: Ended::Code(1) });
    assert!(bench.machine.is_idle());
}

#[test]
fn what_ends_by_itself_is_noted_and_begun_again_by_the_next_up() {
    let mut bench = Bench::running(&["a"], &[]);
    let instance = bench.machine.records.get(&service("a")).unwrap().instance.clone().unwrap();
    bench.event(Event::Exited { unit: service("a"), instance, ended: Ended::Code(1) });
    assert_eq!(bench.state("a"), Some(State::Failed));
    assert_eq!(bench.saved.get(&service("a")).unwrap().ended.as_deref(), Some("ended with code 1"));
    bench.request(2, up(&[]));
    bench.prepared(&graph(&["a"]), &[], "1", false);
    assert_eq!(bench.begun, ["a"]);
    bench.event(Event::Cleared { unit: service("a") });
    bench.ready("a");
    assert_eq!(bench.saved.get(&service("a")).unwrap().ended, None);
}

#[test]
fn what_is_ended_on_purpose_is_not_noted_as_a_failure() {
    let mut bench = Bench::running(&["a"], &[]);
    let instance = bench.machine.records.get(&service("a")).unwrap().instance.clone().unwrap();
    bench.request(2, down(&[]));
    let exited = || Event::Exited { unit: service("a"), instance: instance.clone(), ended: Ended::Code(0) };
    bench.event(exited());
    assert_eq!(bench.state("a"), Some(State::Stopping));
    bench.stopped("a");
    bench.event(exited());
    assert_eq!(bench.state("a"), None);
}

#[test]
fn the_end_of_an_instance_of_old_says_nothing_of_the_new_one() {
    let mut bench = Bench::running(&["a"], &[]);
    bench.event(Event::Exited { unit: service("a"), instance: instance(1), ended: Ended::Unknown });
    assert_eq!(bench.state("a"), Some(State::Ready));
}
