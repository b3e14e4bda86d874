//! Each kind of database through the real `ssi`: made, migrated, seeded once, kept over a restart, deleted when told.

use clustergraph_tests::http::post;
use clustergraph_tests::{Repository, Session, get, workspace};

/// A kind as the tests run it.
struct Kind {
    name: &'static str,
    version: &'static str,
    /// What the fixture speaks to it with.
    requirements: &'static str,
    /// Further fields of the database, one of them a setting.
    fields: &'static str,
    /// The setting's value as the server itself tells it.
    setting: &'static str,
}

const POSTGRES: Kind = Kind {
    name: "postgres",
    version: "15",
    requirements: "pg8000==1.31.6",
    fields: "settings: { work_mem: 5MB }, extensions: [pgcrypto]",
    setting: "5MB",
};
const MARIADB: Kind = Kind {
    name: "mariadb",
    version: "10.11",
    requirements: "PyMySQL==1.2.4",
    fields: "settings: { max_connections: \"33\" }",
    setting: "33",
};
const MYSQL: Kind = Kind {
    name: "mysql",
    version: "9.7",
    requirements: "PyMySQL==1.2.4\ncryptography==50.0.2",
    fields: "settings: { max_connections: \"33\" }",
    setting: "33",
};
const REDIS: Kind = Kind {
    name: "redis",
    version: "7.0",
    requirements: "redis==8.1.0",
    fields: "settings: { maxmemory: 64mb }",
    setting: "67108864",
};
const KAFKA: Kind = Kind {
    name: "kafka",
    version: "4.1",
    requirements: "kafka-python==3.0.12",
    fields: "settings: { log.retention.ms: \"7000000\" }, topics: [entries]",
    setting: "7000000",
};

/// A repository of one service that keeps a list of texts in a database of this kind.
fn keeper(kind: &Kind) -> Repository {
    let program = std::fs::read_to_string(workspace().join("tests/fixtures/databases/main.py")).expect("the fixture");
    let service = format!(
        "name: keeper\n\
         databases:\n\
         \x20 - {{ kind: {}, version: \"{}\", as: entries, {},\n\
         \x20     migrate: {{ run: [python, main.py, migrate] }}, seed: {{ run: [python, main.py, seed] }} }}\n\
         ports: {{ http: 18200 }}\n\
         health: {{ http: /healthz }}\n\
         run: [python, main.py, serve]\n",
        kind.name, kind.version, kind.fields
    );
    Repository::with(&[
        ("keeper/service.yaml", &service),
        ("keeper/main.py", &program),
        ("keeper/requirements.txt", &format!("{}\n", kind.requirements)),
    ])
}

fn entries(session: &Session) -> Vec<String> {
    let answer = get(&format!("{}/", session.address("keeper")));
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

/// The whole life of a database.
fn keeps(kind: &Kind, runtime: &str) {
    let repository = keeper(kind);
    let session = Session::of(repository.path());
    let up = format!("up -d --runtime {runtime}");
    let _ = session.ssi(&up).run().succeeds();
    assert_eq!(entries(&session), ["migrated", "seeded"], "a new database is migrated, then seeded");
    assert_eq!(post(&session.address("keeper"), "written"), 200);
    assert_eq!(entries(&session), ["migrated", "seeded", "written"], "what is written is read");
    let setting = get(&format!("{}/setting", session.address("keeper"))).body;
    assert_eq!(setting.trim_matches('"'), kind.setting, "the server has the setting");

    let _ = session.ssi("down").run().succeeds();
    let _ = session.ssi(&up).run().succeeds();
    assert_eq!(entries(&session), ["migrated", "seeded", "written"], "data survives, and is not seeded again");
    assert!(session.plan().is_empty(), "{:?}", session.plan());

    let _ = session.ssi("down --delete-data").run().succeeds();
    let _ = session.ssi(&up).run().succeeds();
    assert_eq!(entries(&session), ["migrated", "seeded"], "deleted data is gone");
}

#[test]
fn postgres_keeps_data_in_a_container() {
    keeps(&POSTGRES, "docker");
}

#[test]
fn postgres_keeps_data_as_a_process() {
    keeps(&POSTGRES, "process");
}

#[test]
fn mariadb_keeps_data_in_a_container() {
    keeps(&MARIADB, "docker");
}

#[test]
fn mariadb_keeps_data_as_a_process() {
    keeps(&MARIADB, "process");
}

#[test]
fn mysql_keeps_data_in_a_container() {
    keeps(&MYSQL, "docker");
}

#[test]
fn redis_keeps_data_in_a_container() {
    keeps(&REDIS, "docker");
}

#[test]
fn redis_keeps_data_as_a_process() {
    keeps(&REDIS, "process");
}

#[test]
fn kafka_keeps_data_in_a_container() {
    keeps(&KAFKA, "docker");
}

#[test]
fn kafka_keeps_data_as_a_process() {
    keeps(&KAFKA, "process");
}

#[test]
fn a_kind_without_native_server_is_a_container_beside_processes() {
    let repository = keeper(&MYSQL);
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    let listing = session.ssi("ps --output json").run().succeeds().json();
    let of = |kind: &str| {
        let units = listing["units"].as_array().expect("units");
        units.iter().find(|listed| listed["unit"]["kind"] == kind).expect("one of the kind")["runtime"].clone()
    };
    assert_eq!([of("service"), of("server")], ["process", "docker"]);
    assert_eq!(entries(&session), ["migrated", "seeded"]);
}

#[test]
fn a_server_that_tells_clients_where_to_go_tells_processes_and_containers() {
    let repository = keeper(&KAFKA);
    let session = Session::of(repository.path());
    let _ = session.ssi("up -d --runtime process").run().succeeds();
    assert_eq!(post(&session.address("keeper"), "of a process"), 200);
    let _ = session.ssi("up -d --runtime docker keeper").run().succeeds();
    assert_eq!(session.ps("keeper")["runtime"], "docker");
    assert_eq!(post(&session.address("keeper"), "of a container"), 200);
    assert_eq!(entries(&session), ["migrated", "seeded", "of a process", "of a container"]);
}

#[test]
fn a_server_of_another_version_is_told_with_both() {
    let repository = keeper(&Kind { version: "7.2", ..REDIS });
    let session = Session::of(repository.path());
    let report = session.ssi("up -d --runtime process").run().ends_with(1).stderr();
    assert!(report.contains("redis 7.2 is wanted") && report.contains("7.0.15"), "{report}");
}
