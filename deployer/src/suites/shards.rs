//! How tests are divided among shards: the longest first, each to the shard that has the least. Pure.

use std::collections::BTreeMap;

/// What a test is taken to last of which nothing is known, where nothing is known of any, in seconds.
const UNKNOWN: f64 = 1.0;

/// Divides names among so many shards, or as many as there are names, by how long each took the last time. Of what is new, the
/// middle of what is known is expected. The names of a shard are in the order in which they were listed; equal input gives
/// equal shards.
pub(crate) fn divide(names: &[String], shards: usize, seconds: &BTreeMap<String, f64>) -> Vec<Vec<String>> {
    let known = |name: &String| seconds.get(name).copied().filter(|it| it.is_finite() && *it >= 0.0);
    let mut all: Vec<f64> = names.iter().filter_map(known).collect();
    all.sort_by(f64::total_cmp);
    let expected = all.get(all.len() / 2).copied().unwrap_or(UNKNOWN);
    let mut longest: Vec<(usize, f64)> =
        names.iter().enumerate().map(|(at, name)| (at, known(name).unwrap_or(expected))).collect();
    longest.sort_by(|(one, a), (other, b)| b.total_cmp(a).then(one.cmp(other)));
    let count = shards.clamp(1, names.len().max(1));
    let mut loads: Vec<(f64, Vec<usize>)> = vec![(0.0, Vec::new()); count];
    for (at, seconds) in longest {
        // Where several have the same, the one with the fewest names: tests that take no time are spread as well.
        let least = loads.iter_mut().min_by(|(a, has), (b, other)| a.total_cmp(b).then(has.len().cmp(&other.len())));
        if let Some((load, has)) = least {
            *load += seconds;
            has.push(at);
        }
    }
    let name = |at: usize| names.get(at).cloned();
    loads
        .into_iter()
        .map(|(_, mut has)| {
            has.sort_unstable();
            has.into_iter().filter_map(name).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|at| format!("t{at}")).collect()
    }

    #[test]
    fn the_longest_are_divided_first() {
        let seconds: BTreeMap<String, f64> =
            [("t0", 9.0), ("t1", 1.0), ("t2", 1.0), ("t3", 8.0), ("t4", 2.0)].map(|(n, s)| (n.to_owned(), s)).into();
        let shards = divide(&names(5), 2, &seconds);
        assert_eq!(shards, [vec!["t0", "t1", "t2"], vec!["t3", "t4"]]);
    }

    #[test]
    fn without_timings_each_has_as_many_and_there_are_no_more_shards_than_names() {
        let shards = divide(&names(10), 4, &BTreeMap::new());
        assert_eq!(shards.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 2, 2]);
        assert_eq!(divide(&names(2), 4, &BTreeMap::new()).len(), 2);
        assert_eq!(divide(&[], 4, &BTreeMap::new()), [Vec::<String>::new()]);
    }

    #[test]
    fn times_that_are_none_are_not_believed() {
        let seconds = [("t0".to_owned(), f64::NAN), ("t1".to_owned(), -5.0), ("t2".to_owned(), f64::INFINITY)].into();
        assert_eq!(divide(&names(3), 3, &seconds), [["t0"], ["t1"], ["t2"]]);
    }

    proptest! {
        #[test]
        fn each_name_is_in_one_shard_and_no_shard_is_far_from_another(
            times in proptest::collection::vec(proptest::option::of(0.0_f64..100.0), 1..60),
            count in 1_usize..12,
        ) {
            let names = names(times.len());
            let seconds: BTreeMap<String, f64> =
                names.iter().cloned().zip(&times).filter_map(|(name, it)| Some((name, (*it)?))).collect();
            let shards = divide(&names, count, &seconds);
            let mut all: Vec<String> = shards.iter().flatten().cloned().collect();
            all.sort();
            let mut wanted = names.clone();
            wanted.sort();
            prop_assert_eq!(all, wanted);
            prop_assert_eq!(shards.len(), count.min(names.len()));
            prop_assert!(shards.iter().all(|shard| !shard.is_empty()));
            prop_assert!(shards.iter().all(|shard| shard.is_sorted_by_key(|name| names.iter().position(|it| it == name))));
            // The bound of this way of dividing: none has more than another by more than one test.
            let mut known: Vec<f64> = seconds.values().copied().collect();
            known.sort_by(f64::total_cmp);
            let middle = known.get(known.len() / 2).copied().unwrap_or(UNKNOWN);
            let load = |shard: &Vec<String>| shard.iter().map(|it| seconds.get(it).copied().unwrap_or(middle)).sum::<f64>();
            let loads: Vec<f64> = shards.iter().map(load).collect();
            let longest = names.iter().map(|it| seconds.get(it).copied().unwrap_or(middle)).fold(0.0, f64::max);
            let most = loads.iter().copied().fold(0.0, f64::max);
            let least = loads.iter().copied().fold(f64::INFINITY, f64::min);
            prop_assert!(most - least <= longest + 1e-6, "{:?}", loads);
            prop_assert_eq!(divide(&names, count, &seconds), shards);
        }
    }
}
