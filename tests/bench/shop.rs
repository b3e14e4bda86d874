//! The shop as the cluster of a pull request on a real node: its databases made, migrated and seeded, its images there.

use std::process::Command;
use std::time::Duration;

use clustergraph_tests::{Namespace, Repository};

use crate::kubernetes::is_there;
use crate::measure::{Row, Target, median, time};
use crate::rows::program;

/// How often it is measured.
const RUNS: usize = 3;

/// What is more than that is told with every figure.
const TARGET: Target = Target::Within(Duration::from_secs(15));

/// The rows of the shop; nothing where there is no cluster to measure on.
pub(crate) fn shop() -> Vec<Row> {
    if !is_there("shop", "tests/machine/up.sh") {
        return Vec::new();
    }
    let (repository, home) = (Repository::of_shop(), Namespace::new("bench-shop"));
    repository.append("clustergraph.yaml", "clusters: { pr: { ttl: 1h, seed: true, secrets_from: dev-secrets } }");
    repository.commit("clusters of pull requests");
    home.kubectl_makes_it();
    home.kubectl_does(
        "create secret generic dev-secrets --from-literal=PROCESSOR_KEY=measured --from-literal=STAFF_CODE=measured",
    );
    let komandan = |words: &[&str]| {
        let mut command = Command::new(program("komandan"));
        command.current_dir(repository.path()).env("KUBECONFIG", home.kubeconfig());
        command.args(["--namespace", home.name()]).args(words);
        command
    };
    // Whoever is first builds the images, and the node pulls them.
    let _ = time(komandan(&["up", "--name", "first"]));
    let (mut made, mut again, mut changed, mut ended) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let name = if run == 0 { "first".to_owned() } else { format!("shop-{run}") };
        if run > 0 {
            made.push(time(komandan(&["up", "--name", &name])));
            again.push(time(komandan(&["up", "--name", &name])));
            repository.replace("services/recommender/service.yaml", "env: {", &format!("env: {{ MIX_{run}: another,"));
            repository.commit("another mix");
            changed.push(time(komandan(&["up", "--name", &name])));
        }
        // There is no room for two on a small node.
        ended.push(time(komandan(&["down", "--name", &name, "--wait"])));
    }
    let row = |what: &str, times: Vec<Duration>, target: Target| Row {
        what: format!("shop of a pull request: {what}"),
        runs: times.len(),
        ours: median(times).into(),
        floor_name: "",
        floor: None,
        target,
    };
    vec![
        row("complete, seeded", made, TARGET),
        row("nothing changed", again, Target::Within(Duration::from_millis(1500))),
        row("recommender changed", changed, TARGET),
        row("gone, volumes included", ended, Target::Within(Duration::from_secs(60))),
    ]
}
