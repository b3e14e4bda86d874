//! The steps of reading a graph, one by one and within one process: where the time of the whole goes.
//!
//! Each is of 1,000 services, so milliseconds are microseconds for one.

#![allow(clippy::expect_used, reason = "what fails here fails the measurement")]

#[path = "generate.rs"]
#[allow(dead_code, reason = "the clusters that run are made of it, too")]
mod generate;

use clustergraph::graph::{Graph, Reading, Snapshots};
use clustergraph::tree::Tree;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const SERVICES: usize = 1_000;
/// Commits after the first; each changes one file of one service.
const CHANGES: usize = 400;

fn steps(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    generate::repository(folder.path(), SERVICES, CHANGES);
    let at = |revision: &str| Tree::of_commit(folder.path(), revision).expect("a commit");
    let (head, before) = (at("HEAD"), at("HEAD~1"));
    let kept = tempfile::tempdir().expect("a temporary folder");
    let snapshots = Snapshots::at(kept.path());
    let mut group = criterion.benchmark_group("1,000 services");
    group.sample_size(20);
    group.bench_function("find a commit", |bench| bench.iter(|| at("HEAD")));
    group.bench_function("list a commit's folders and files", |bench| bench.iter(|| at("HEAD").root().files().len()));
    group.bench_function("read and validate the whole", |bench| bench.iter(|| graph(&at("HEAD"))));
    group.bench_function("read the whole and keep it", |bench| {
        bench.iter_batched(
            || tempfile::tempdir_in(kept.path()).expect("a temporary folder"),
            |folder| (Snapshots::at(folder.path()).graph(&at("HEAD"), "local").expect("a graph"), folder),
            BatchSize::PerIteration,
        );
    });
    read(&snapshots, &head);
    group.bench_function("know it again, in numbers", |bench| bench.iter(|| read(&snapshots, &head).summary()));
    group.bench_function("know all of it again", |bench| {
        bench.iter(|| read(&snapshots, &head).into_graph().expect("a graph"))
    });
    let mut nth = 0;
    group.bench_function("follow one change", |bench| {
        bench.iter_batched(
            || {
                nth = nth % CHANGES + 1;
                // What was kept of it, this measurement has kept.
                let _ = std::fs::remove_dir_all(kept.path());
                read(&snapshots, &head);
                at(&format!("HEAD~{nth}"))
            },
            |tree| read(&snapshots, &tree).summary(),
            BatchSize::PerIteration,
        );
    });
    read(&snapshots, &before);
    group.bench_function("what differs between two commits", |bench| {
        bench.iter(|| {
            let (old, new) =
                Reading::differing(read(&snapshots, &before), read(&snapshots, &head)).expect("two graphs");
            old.diff(&new).changes.len()
        });
    });
    let (old, new) = (graph(&at(&format!("HEAD~{CHANGES}"))), graph(&head));
    group.bench_function("why 400 commits differ", |bench| bench.iter(|| old.diff(&new).changes.len()));
    group.finish();
}

fn read<'t>(snapshots: &Snapshots, tree: &'t Tree) -> Reading<'t> {
    snapshots.read(tree, "local").expect("a graph")
}

fn graph(tree: &Tree) -> Graph {
    Graph::build(tree, "local").expect("a graph")
}

criterion_group!(benches, steps);
criterion_main!(benches);
