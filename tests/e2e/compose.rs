//! A stranger's Compose file reaches a green `ssi up` in three commands.

use std::time::{Duration, Instant};

use clustergraph_tests::{Repository, Session, get};

#[test]
fn a_strangers_compose_file_runs_after_three_commands() {
    let repository = Repository::of_example("compose-import");
    let session = Session::of(repository.path());
    let import = session.ssi("import compose docker-compose.yml").run().succeeds();
    for file in ["api/service.yaml", "web/service.yaml", "docs/service.yaml", "clustergraph.yaml"] {
        assert!(import.stdout().contains(&format!("wrote {file}\n")), "{}", import.stdout());
    }
    for (what, why) in [
        ("api: container_name", "`ssi exec`"),
        ("api: volume ./api:/srv", "`ssi up` builds it anew"),
        ("docs: profiles docs", "`ssi up docs`"),
        ("docs: labels traefik.*", "`public:"),
        ("db: scripts of the first start", "db-init"),
    ] {
        let told = import.stderr();
        let line = told.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what} is not in\n{told}"));
        assert!(line.contains(why), "{line}");
    }
    let _ = session.ssi("check").run().succeeds();
    let _ = session.ssi("up -d --runtime docker").within(Duration::from_secs(600)).run().succeeds();

    let page = get(&session.address("web"));
    assert_eq!(page.status, 200);
    assert!(page.body.contains("The long shelf") && page.body.contains("Middlemarch"), "{}", page.body);
    let api = get(&format!("{}/v1/books", session.address("api"))).body;
    assert!(api.contains("\"version\": \"1.4\""), "the build's argument: {api}");
    // The worker reads a book every two seconds.
    let began = Instant::now();
    while !get(&session.address("web")).body.contains("(read)") {
        assert!(began.elapsed() < Duration::from_secs(60), "nobody reads");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(session.ssi("logs api.worker").run().succeeds().stdout().contains("night-shift has read Middlemarch"));
    let names = session.ssi("ps").run().succeeds().stdout();
    assert!(!names.contains("docs"), "what a profile held back starts when it is named: {names}");
    let _ = session.ssi("up -d docs").within(Duration::from_secs(300)).run().succeeds();
    assert!(get(&session.address("docs")).body.contains("The bookshelf"));
    assert!(session.plan().is_empty(), "{:?}", session.plan());
}

#[test]
fn an_import_writes_all_or_nothing_and_overwrites_only_when_told() {
    let repository = Repository::of_example("compose-import");
    let session = Session::of(repository.path());
    let dry = session.ssi("import compose docker-compose.yml --dry-run --output json").run().succeeds().json();
    assert_eq!((dry["schema"].as_str(), dry["dry_run"].as_bool()), (Some("ssi.import/1"), Some(true)));
    assert!(dry["files"]["web/service.yaml"].as_str().is_some_and(|text| text.contains("name: web")));
    assert!(!repository.path().join("web/service.yaml").exists());
    repository.write("web/service.yaml", "name: mine\n");
    let refused = session.ssi("import compose docker-compose.yml").run().ends_with(4);
    assert!(
        refused.stderr().contains("web/service.yaml: already there, and nothing was written"),
        "{}",
        refused.stderr()
    );
    assert!(!repository.path().join("api/service.yaml").exists());
    let _ = session.ssi("import compose docker-compose.yml --force").run().succeeds();
    let _ = session.ssi("check").run().succeeds();
    let missing = session.ssi("import compose nothing.yml").run().ends_with(4);
    assert!(missing.stderr().contains("nothing.yml"), "{}", missing.stderr());
    repository.write("broken.yml", "services: [\n");
    let broken = session.ssi("import compose broken.yml").run().ends_with(4);
    assert!(broken.stderr().contains("broken.yml"), "{}", broken.stderr());
}
