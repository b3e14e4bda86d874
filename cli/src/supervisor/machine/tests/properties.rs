//! What holds for any graph and any order in which its steps end.

use proptest::prelude::*;

use super::*;

/// Any graph without cycles: unit n waits for some of the units before it.
fn any_graph() -> impl Strategy<Value = Units> {
    proptest::collection::vec(proptest::collection::vec(any::<bool>(), 0..12), 1..24).prop_map(|rows| {
        let name = |at: usize| service(&format!("s{at:02}"));
        let waits = |at: usize, row: &[bool]| -> BTreeMap<Unit, Wait> {
            let before = row.iter().enumerate().filter(|(other, waits)| **waits && *other < at);
            before.map(|(other, _)| (name(other), Wait::Ready)).collect()
        };
        rows.iter().enumerate().map(|(at, row)| (name(at), waits(at, row))).collect()
    })
}

proptest! {
    #[test]
    fn nothing_begins_before_what_it_waits_for_and_an_operation_always_ends(
        units in any_graph(),
        choices in proptest::collection::vec((any::<prop::sample::Index>(), 0..5u8), 64),
    ) {
        let mut bench = Bench::new();
        bench.request(1, up(&[]));
        bench.prepared(&units, &[], "1", false);
        let mut ready = BTreeSet::new();
        let mut open: Vec<String> = Vec::new();
        let mut seen = 0;
        let mut failed = false;
        for (choice, luck) in choices {
            for name in &bench.begun[seen..] {
                let waits = &units[&service(name)];
                prop_assert!(waits.keys().all(|unit| ready.contains(&unit.name)), "{name} begins too early");
                open.push(name.clone());
            }
            seen = bench.begun.len();
            if open.is_empty() {
                break;
            }
            let name = open.swap_remove(choice.index(open.len()));
            if luck == 0 {
                failed = true;
                bench.fails(&name, "no");
            } else {
                ready.insert(name.clone());
                bench.ready(&name);
            }
        }
        prop_assert!(open.is_empty());
        prop_assert_eq!(bench.begun.iter().collect::<BTreeSet<_>>().len(), bench.begun.len(), "each begins once");
        let ends = bench.ends(1);
        prop_assert_eq!(ends.len(), 1);
        prop_assert_eq!(ends[0].0, if failed { Exit::Failed } else { Exit::Success });

        // Whatever came of it, down ends all that runs, callers before what they call.
        bench.request(2, down(&[]));
        let mut stopped = Vec::new();
        while let Some(record) = bench.ending.first().cloned() {
            let callers = units.iter().filter(|(_, waits)| waits.contains_key(&record.unit));
            for (caller, _) in callers.filter(|(caller, _)| ready.contains(&caller.name)) {
                prop_assert!(stopped.contains(&caller.name), "{} ends before {caller}", record.unit);
            }
            stopped.push(record.unit.name.clone());
            bench.stopped(&record.unit.name);
        }
        prop_assert_eq!(stopped.len(), ready.len());
        bench.event(Event::CleanedUp { result: Ok(()) });
        prop_assert_eq!(bench.ends(2), vec![(Exit::Success, String::new())]);
        prop_assert!(bench.machine.is_idle());
    }
}
