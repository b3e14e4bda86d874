//! Which services' tests belong together.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use clustergraph::graph::Graph;
use support::Repo;

fn graph() -> Graph {
    let repo = Repo::new();
    let tested = "test: { run: [./test] }";
    for (name, more) in [
        ("shop-order", tested),
        ("shop-cart", tested),
        ("shop-page", ""),
        ("etl", "test: { run: [./test] }\nprocesses: { worker: { run: [./work] } }"),
    ] {
        repo.write(&format!("{name}/service.yaml"), format!("name: {name}\nrun: [./run]\n{more}\n"));
    }
    repo.write("clustergraph.yaml", "suites: { core: [shop-order, shop-page], shop: [\"shop-*\"], all: [\"*\"] }\n");
    repo.worktree()
}

#[test]
fn a_name_means_a_suite_or_a_service_and_no_name_all_that_have_tests() {
    let graph = graph();
    let names = |name: Option<&str>| -> Option<Vec<String>> {
        Some(graph.suite(name)?.into_iter().map(|service| service.name.clone()).collect())
    };
    let all = ["etl", "shop-cart", "shop-order"];
    for (name, expected) in [
        (None, Some(&all[..])),
        (Some("all"), Some(&all[..])),
        (Some("shop"), Some(&["shop-cart", "shop-order"][..])),
        // Who is named is meant, with tests or without: that it has none is not kept quiet.
        (Some("core"), Some(&["shop-order", "shop-page"][..])),
        (Some("shop-page"), Some(&["shop-page"][..])),
        (Some("etl.worker"), None),
        (Some("cors"), None),
    ] {
        assert_eq!(
            names(name),
            expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            "{name:?}"
        );
    }
}
