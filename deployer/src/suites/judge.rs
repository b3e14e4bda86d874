//! What the shards of a service say of its tests: which of those that were listed ran, once and where they should, and how
//! that went. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::junit::{Case, Outcome};

/// What became of a shard.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    /// Its program ended.
    Ended {
        /// With this code.
        exit: u8,
        /// The cases of its JUnit file; nothing where it wrote none.
        cases: Option<Vec<Case>>,
    },
    /// Its program ended, or never began, and what it found is not known.
    Broken(String),
    /// It was ended from outside, again and again.
    Lost(String),
}

/// One test.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Test {
    /// Its name: as it is listed, else as its runner calls it.
    pub(crate) name: String,
    /// The shard that ran it.
    pub(crate) shard: usize,
    /// How often it ran there; 0 is never.
    pub(crate) runs: usize,
    /// What became of it: the worst of its runs.
    pub(crate) outcome: Outcome,
    /// How long it took, in seconds, where its runner says so.
    pub(crate) seconds: Option<f64>,
    /// Why it is not fine, in a line.
    pub(crate) message: String,
    /// Why, at length.
    pub(crate) text: String,
}

/// All that is known of a service's tests.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Judgement {
    /// Its tests, in the order of shards.
    pub(crate) tests: Vec<Test>,
    /// What is wrong beside tests that fail.
    pub(crate) problems: Vec<String>,
    /// What kept tests from being run.
    pub(crate) lost: Vec<String>,
    /// What a person should know, and is not wrong.
    pub(crate) notes: Vec<String>,
}

impl Judgement {
    /// Whether all is as it should be.
    pub(crate) fn is_fine(&self) -> bool {
        self.problems.is_empty() && self.lost.is_empty() && self.tests.iter().all(|test| test.outcome.is_fine())
    }

    /// How long each test took that says so.
    pub(crate) fn seconds(&self) -> BTreeMap<String, f64> {
        let told = self.tests.iter().filter(|test| test.runs > 0);
        told.filter_map(|test| Some((test.name.clone(), test.seconds?))).collect()
    }
}

/// Judges shards, each with the names that were given to it (none where a service lists none).
pub(crate) fn judge(shards: &[(Vec<String>, Said)]) -> Judgement {
    let mut judgement = Judgement::default();
    // Where each name was to run.
    let place: BTreeMap<String, usize> = shards
        .iter()
        .enumerate()
        .flat_map(|(shard, (names, _))| names.iter().map(move |name| (canonical(name), shard)))
        .collect();
    for (shard, (names, said)) in shards.iter().enumerate() {
        let which = if shards.len() == 1 { "its tests".to_owned() } else { format!("shard {shard}") };
        match said {
            Said::Lost(why) => judgement.lost.push(format!("{which}: {why}")),
            Said::Broken(why) => judgement.problems.push(format!("{which}: {why}")),
            Said::Ended { exit, cases } => {
                let cases = cases.as_deref();
                let fine =
                    (cases.is_none() && *exit != 0) || ended(&mut judgement, (shard, &which), names, cases, &place);
                if *exit != 0 && fine {
                    let hint = if matches!(*exit, 126 | 127) { ": its image may lack the program" } else { "" };
                    judgement.problems.push(format!("{which}: its command ended with exit code {exit}{hint}"));
                }
            }
        }
    }
    judgement
}

/// Adds the tests of a shard whose program ended. Whether nothing is wrong with them.
fn ended(
    judgement: &mut Judgement,
    (shard, which): (usize, &str),
    names: &[String],
    cases: Option<&[Case]>,
    place: &BTreeMap<String, usize>,
) -> bool {
    let Some(cases) = cases else {
        // Of each nothing is known; of all together its exit code says it.
        let name = if names.is_empty() { "all tests".to_owned() } else { format!("{} tests of {which}", names.len()) };
        judgement.tests.push(Test {
            name,
            shard,
            runs: 1,
            outcome: Outcome::Passed,
            seconds: None,
            message: String::new(),
            text: String::new(),
        });
        return true;
    };
    let mut of_name: BTreeMap<usize, Vec<&Case>> = BTreeMap::new();
    let mut others: Vec<&Case> = Vec::new();
    let mut elsewhere: BTreeSet<String> = BTreeSet::new();
    let at: BTreeMap<String, usize> = names.iter().enumerate().map(|(at, name)| (canonical(name), at)).collect();
    for case in cases {
        let called = called(case);
        match called.iter().find_map(|name| at.get(name)) {
            Some(at) => of_name.entry(*at).or_default().push(case),
            None => {
                if called.iter().any(|name| place.get(name).is_some_and(|it| *it != shard)) {
                    elsewhere.insert(full(case).escape_debug().to_string());
                }
                others.push(case);
            }
        }
    }
    let before = judgement.problems.len();
    if let Some(example) = elsewhere.first() {
        judgement.problems.push(format!(
            "{which} ran {} tests of other shards, such as {example}: `test.run` has to run those that the file $TESTS_FILE names",
            elsewhere.len()
        ));
    }
    // A runner that calls all tests otherwise than its list does says nothing of single names.
    let can_compare = !of_name.is_empty() || cases.is_empty();
    if let (false, Some(listed), Some(ran)) = (can_compare, names.first(), cases.first()) {
        judgement.notes.push(format!(
            "{which}: its runner calls tests otherwise than `test.list` prints them (`{}`, and not `{listed}`): whether each \
             of the list ran once is not known",
            full(ran).escape_debug()
        ));
    }
    if can_compare {
        for (at, name) in names.iter().enumerate() {
            judgement.tests.push(match of_name.get(&at) {
                Some(cases) => test(name.clone(), shard, cases),
                None => Test {
                    name: name.clone(),
                    shard,
                    runs: 0,
                    outcome: Outcome::Error,
                    seconds: None,
                    message: "it was listed, and did not run".to_owned(),
                    text: String::new(),
                },
            });
        }
    }
    let mut by_name: BTreeMap<String, Vec<&Case>> = BTreeMap::new();
    for case in others {
        by_name.entry(full(case)).or_default().push(case);
    }
    judgement.tests.extend(by_name.into_iter().map(|(name, cases)| test(name, shard, &cases)));
    let tests = judgement.tests.iter().filter(|test| test.shard == shard);
    judgement.problems.len() == before && tests.into_iter().all(|test| test.outcome.is_fine())
}

fn test(name: String, shard: usize, cases: &[&Case]) -> Test {
    let worst = cases.iter().max_by_key(|case| case.outcome);
    let seconds: Vec<f64> = cases.iter().filter_map(|case| case.seconds).collect();
    Test {
        name,
        shard,
        runs: cases.len(),
        outcome: worst.map(|case| case.outcome).unwrap_or_default(),
        seconds: (!seconds.is_empty()).then(|| seconds.iter().sum()),
        message: worst.map(|case| case.message.clone()).unwrap_or_default(),
        text: worst.map(|case| case.text.clone()).unwrap_or_default(),
    }
}

/// A case's whole name.
fn full(case: &Case) -> String {
    if case.class.is_empty() { case.name.clone() } else { format!("{}.{}", case.class, case.name) }
}

/// The names by which a case may be listed, the longest first.
fn called(case: &Case) -> Vec<String> {
    let mut names = vec![full(case)];
    if !case.file.is_empty() {
        names.push(format!("{}::{}", case.file, case.name));
    }
    names.push(case.name.clone());
    names.iter().map(|name| canonical(name)).collect()
}

/// A name without what a list and a file of results of the same runner write otherwise: `tests/test_a.py::test_b` is
/// `tests.test_a.test_b`. What stands in brackets is a parameter, and stays.
fn canonical(name: &str) -> String {
    let (path, parameter) = name.split_at(name.find('[').unwrap_or(name.len()));
    let mut path = path.replace("::", ".").replace(['/', '\\', '#'], ".").replace(" > ", ".");
    for end in [".py.", ".js.", ".mjs.", ".ts.", ".tsx.", ".rb.", ".go."] {
        path = path.replace(end, ".");
    }
    format!("{}{parameter}", path.trim_start_matches('.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn case(class: &str, name: &str, outcome: Outcome) -> Case {
        Case { class: class.into(), name: name.into(), outcome, seconds: Some(0.5), ..Case::default() }
    }

    fn shard(names: &[&str], exit: u8, cases: &[Case]) -> (Vec<String>, Said) {
        (names.iter().map(|name| (*name).to_owned()).collect(), Said::Ended { exit, cases: Some(cases.to_vec()) })
    }

    fn outcomes(judgement: &Judgement) -> Vec<(&str, usize, &str)> {
        judgement.tests.iter().map(|test| (test.name.as_str(), test.shard, test.outcome.as_str())).collect()
    }

    use Outcome::{Error, Failed, Passed, Skipped};

    #[test]
    fn a_listed_test_is_found_however_its_runner_calls_it() {
        for (listed, class, name) in [
            ("tests/test_cart.py::test_total[a/b]", "tests.test_cart", "test_total[a/b]"),
            ("tests/test_cart.py::TestCart::test_total", "tests.test_cart.TestCart", "test_total"),
            ("TestTotal", "example/cart", "TestTotal"),
            ("cart::tests::total", "cart", "tests::total"),
            ("test_total (test_cart.Cart.test_total)", "", "test_total (test_cart.Cart.test_total)"),
            ("cart > total", "", "cart > total"),
            ("com.example.CartTest#total", "com.example.CartTest", "total"),
        ] {
            let judgement = judge(&[shard(&[listed], 0, &[case(class, name, Passed)])]);
            assert_eq!(outcomes(&judgement), [(listed, 0, "passed")], "{class} {name}");
            assert!(judgement.is_fine());
            assert_eq!(judgement.seconds(), [(listed.to_owned(), 0.5)].into());
        }
    }

    #[test]
    fn one_that_fails_is_the_only_one_that_is_told_of() {
        let judgement = judge(&[
            shard(&["a", "b"], 1, &[case("", "a", Passed), case("", "b", Failed)]),
            shard(&["c"], 0, &[case("", "c", Skipped)]),
        ]);
        assert_eq!(outcomes(&judgement), [("a", 0, "passed"), ("b", 0, "failed"), ("c", 1, "skipped")]);
        assert!(judgement.problems.is_empty() && judgement.lost.is_empty() && !judgement.is_fine());
    }

    #[test]
    fn one_that_was_listed_and_did_not_run_is_an_error() {
        let judgement = judge(&[shard(&["a", "b"], 0, &[case("", "a", Passed)])]);
        assert_eq!(outcomes(&judgement), [("a", 0, "passed"), ("b", 0, "error")]);
        assert_eq!(judgement.tests[1].runs, 0);
        let none = judge(&[shard(&["a"], 0, &[])]);
        assert_eq!(outcomes(&none), [("a", 0, "error")]);
    }

    #[test]
    fn a_program_that_runs_all_tests_in_every_shard_is_told_so() {
        let cases = [case("m", "a", Passed), case("m", "b", Passed)];
        let judgement = judge(&[shard(&["m::a"], 0, &cases), shard(&["m::b"], 0, &cases)]);
        assert_eq!(judgement.problems.len(), 2);
        assert!(judgement.problems[0].contains("shard 0 ran 1 tests of other shards, such as m.b"), "{judgement:?}");
        assert!(judgement.problems[0].contains("$TESTS_FILE"));
    }

    #[test]
    fn what_ran_twice_says_so_and_the_worst_of_it_counts() {
        let judgement = judge(&[shard(&["a"], 0, &[case("", "a", Failed), case("", "a", Passed)])]);
        assert_eq!((judgement.tests[0].runs, judgement.tests[0].outcome), (2, Failed));
        assert_eq!(judgement.tests[0].seconds, Some(1.0));
    }

    #[test]
    fn names_that_cannot_be_compared_leave_the_runners_own() {
        let judgement = judge(&[shard(&["Cart total"], 0, &[case("x", "y", Passed)])]);
        assert_eq!(outcomes(&judgement), [("x.y", 0, "passed")]);
        assert!(
            judgement.is_fine() && judgement.notes[0].contains("whether each of the list ran once"),
            "{judgement:?}"
        );
    }

    #[test]
    fn without_a_file_of_results_the_exit_code_is_all_that_is_known() {
        let whole = |exit| judge(&[(Vec::new(), Said::Ended { exit, cases: None })]);
        assert!(whole(0).is_fine());
        assert_eq!(outcomes(&whole(0)), [("all tests", 0, "passed")]);
        assert!(whole(1).tests.is_empty());
        assert_eq!(whole(1).problems, ["its tests: its command ended with exit code 1"]);
        assert!(whole(127).problems[0].ends_with("its image may lack the program"));
        // A code that a failing test explains is no further problem; one that nothing explains is.
        assert!(judge(&[shard(&[], 1, &[case("", "a", Error)])]).problems.is_empty());
        assert_eq!(judge(&[shard(&[], 1, &[case("", "a", Passed)])]).problems.len(), 1);
    }

    #[test]
    fn what_was_ended_from_outside_is_told_apart() {
        let lost = (vec!["a".to_owned()], Said::Lost("its pod was taken away".to_owned()));
        let broken = (vec!["b".to_owned()], Said::Broken("its results were cut off".to_owned()));
        let judgement = judge(&[lost, broken]);
        assert_eq!(judgement.lost, ["shard 0: its pod was taken away"]);
        assert_eq!(judgement.problems, ["shard 1: its results were cut off"]);
        assert!(!judgement.is_fine());
    }

    proptest! {
        #[test]
        fn each_listed_test_is_told_of_once_whatever_ran(
            names in proptest::collection::btree_set("[a-d]{1,2}", 1..8),
            ran in proptest::collection::vec("[a-e]{1,2}", 0..12),
            cut in 0_usize..8,
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let (one, other) = names.split_at(cut.min(names.len()));
            let cases: Vec<Case> = ran.iter().map(|name| case("", name, Passed)).collect();
            let judgement = judge(&[shard(one, 0, &cases), shard(other, 0, &cases)]);
            for name in &names {
                let of_it = judgement.tests.iter().filter(|test| test.name == *name && (test.shard == 0) == one.contains(name));
                prop_assert!(of_it.count() <= 1);
            }
            let all_ran = names.iter().all(|name| ran.iter().any(|it| it == name));
            let can_be_fine = ran.iter().all(|name| !names.contains(&name.as_str())) || all_ran;
            prop_assert!(!judgement.is_fine() || can_be_fine, "{:?}", judgement);
        }
    }
}
