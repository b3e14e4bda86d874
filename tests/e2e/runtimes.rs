//! Containers and processes side by side: each service runs as it was told, and they find each other by the same names.

use clustergraph_tests::local::{kill_supervisor, relay, repository};
use clustergraph_tests::{Repository, Session, get};

#[test]
fn a_container_calls_a_process_and_a_process_a_container_by_the_same_names() {
    // web (process) -> middle (container) -> back (process)
    let repository = repository(&[
        relay("web", 18301, Some("middle")),
        relay("middle", 18302, Some("back")),
        relay("back", 18303, None),
    ]);
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    let _ = session.ssi("up -d --runtime docker middle").run().succeeds();
    let runtimes = ["web", "middle", "back"].map(|name| session.ps(name)["runtime"].clone());
    assert_eq!(runtimes, ["process", "docker", "process"]);
    assert_eq!(get(&session.address("web")).body, "web middle back");
    // What was chosen stays chosen.
    assert!(session.plan().is_empty(), "{:?}", session.plan());
    let _ = session.ssi("down").run().succeeds();
    let _ = session.ssi("up -d").run().succeeds();
    assert_eq!(session.ps("middle")["runtime"], "docker");
    assert_eq!(get(&session.address("web")).body, "web middle back");
    // And back again.
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    assert_eq!(session.ps("middle")["runtime"], "process");
    assert_eq!(get(&session.address("web")).body, "web middle back");
    let all = session.ssi("ps --all --output json").run().succeeds().stdout();
    assert!(!all.contains("forward"), "nothing leads from containers to processes any more: {all}");
}

#[test]
fn a_killed_supervisor_of_both_harms_nothing() {
    let repository = repository(&[relay("front", 18311, Some("back")), relay("back", 18312, None)]);
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process back").run().succeeds();
    let _ = session.ssi("up -d --runtime docker front").run().succeeds();
    let before = session.ps("front")["instance"].clone();
    kill_supervisor(&session);
    assert_eq!(get(&session.address("front")).body, "front back", "the way to back does not depend on a supervisor");
    assert!(session.plan().is_empty(), "the next up adopts what runs: {:?}", session.plan());
    assert_eq!(session.ps("front")["instance"], before);
    let _ = session.ssi("down").run().succeeds();
    assert!(session.ssi("ps --output json").run().succeeds().json()["units"].as_array().expect("units").is_empty());
}

#[test]
fn a_server_with_data_stays_where_it_is_and_services_move_around_it() {
    let repository = Repository::of_example("hello");
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    let page = get(&session.address("www")).body;
    let moved = session.ssi("up -d --runtime docker").run().succeeds().stderr();
    assert!(moved.contains("postgres-15 stays a process: its data is there"), "{moved}");
    assert!(!moved.contains("seed"), "the data is the same: {moved}");
    let runtimes = ["www", "api", "postgres-15"].map(|name| session.ps(name)["runtime"].clone());
    assert_eq!(runtimes, ["docker", "docker", "process"]);
    let items = |page: &str| page.matches("<li").count() + page.matches("<article").count();
    assert_eq!(items(&get(&session.address("www")).body), items(&page));
}
