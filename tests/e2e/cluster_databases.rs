//! Databases on a real Kubernetes: each kind made, kept and told apart, migrations that what serves survives and others, databases
//! that somebody else runs.

use std::time::{Duration, Instant};

use clustergraph_tests::http::post;
use clustergraph_tests::local::wait_until;
use clustergraph_tests::{Namespace, Program, Repository, get, workspace};
use serde_json::Value;

/// What the fixture speaks to all kinds with.
const REQUIREMENTS: &str = "pg8000==1.31.6\nPyMySQL==1.2.4\nredis==8.1.0\nkafka-python==3.0.12\n";

/// A repository of one service, and the namespace that it is deployed to.
struct Keeper {
    repository: Repository,
    namespace: Namespace,
    cluster: &'static str,
}

impl Keeper {
    fn new(about: &str, databases: &str, repository: &str, more: &[(&str, &str)]) -> Self {
        let program =
            std::fs::read_to_string(workspace().join("tests/fixtures/databases/main.py")).expect("the fixture");
        let service = format!(
            "name: keeper\ndatabases:\n{databases}ports: {{ http: 18200 }}\nhealth: {{ http: /healthz }}\npublic: {{ path: / }}\n\
             run: [python, main.py, serve]\nstop: {{ grace: 1s }}\n"
        );
        let mut files = vec![
            ("keeper/service.yaml", service.as_str()),
            ("keeper/main.py", program.as_str()),
            ("keeper/requirements.txt", REQUIREMENTS),
            ("clustergraph.yaml", repository),
        ];
        files.extend(more);
        Self { repository: Repository::with(&files), namespace: Namespace::new(about), cluster: "production" }
    }

    /// A namespace of its own in which nothing runs that the strictest rules for pods forbid.
    fn restricted(self) -> Self {
        let name = self.namespace.name();
        self.namespace.kubectl_does(&format!("create namespace {name}"));
        self.namespace.kubectl_does(&format!("label namespace {name} pod-security.kubernetes.io/enforce=restricted"));
        self
    }

    fn komandan(&self, line: &str) -> Program {
        Program::new("komandan", self.repository.path())
            .env("KUBECONFIG", self.namespace.kubeconfig())
            .args(&format!("--cluster {} --namespace {} {line}", self.cluster, self.namespace.name()))
            .within(Duration::from_secs(400))
    }

    /// The service's address, once it answers: the node's proxy learns of a new Service a moment after the API server.
    fn address(&self) -> String {
        let status = self.komandan("status --output json").run().succeeds().json();
        let page = status["entries"]["keeper"].as_str().expect("an address").trim_end_matches('/').to_owned();
        let address = page.trim_start_matches("http://").parse().expect("an address");
        let began = Instant::now();
        while std::net::TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "{page} never answers");
            std::thread::sleep(Duration::from_millis(50));
        }
        page
    }

    fn ask(&self, path: &str) -> Value {
        let answer = get(&format!("{}/{path}", self.address()));
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
    }

    fn add(&self, database: &str, entry: &str) {
        assert_eq!(post(&format!("{}/{database}", self.address()), entry), 200);
    }

    /// What is known of databases and versions, as it is stored.
    fn store(&self) -> Vec<(String, Value)> {
        let maps = self.namespace.kubectl("get configmaps");
        let maps = maps["items"].as_array().cloned().unwrap_or_default();
        let ours = maps
            .into_iter()
            .filter(|map| map["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("komandan-")));
        // The head says who has the lock, too: that a command looked.
        ours.map(|map| (map["metadata"]["name"].to_string(), map["data"].clone()))
            .filter(|(name, _)| !name.contains("komandan-head"))
            .collect()
    }
}

#[test]
fn databases_of_each_kind_are_made_kept_and_told_apart() {
    let databases = "\
  - { kind: postgres, version: \"15\", as: facts, primary: true, settings: { work_mem: 5MB }, extensions: [pgcrypto], migrate: { run: [python, main.py, migrate, facts] } }\n\
  - { kind: mariadb, version: \"10.11\", as: items, isolation: dedicated, settings: { max_connections: \"33\" }, migrate: { run: [python, main.py, migrate, items] } }\n\
  - { kind: redis, version: \"7.0\", as: carts, primary: true, settings: { maxmemory: 64mb }, migrate: { run: [python, main.py, migrate, carts] } }\n\
  - { kind: redis, version: \"7.0\", as: visits, settings: { maxmemory: 64mb } }\n\
  - { kind: drawer, as: things, migrate: { run: [python, main.py, migrate, things] } }\n\
  - { from: stream, as: entries }\n";
    // Its programs reach nothing but the server beside them.
    let drawer = "kinds: { drawer: { image: { name: 'redis:7.0', env: { REDISCLI_AUTH: '{admin_password}' }, user: 999, data: /data, \
        args: [sh, -c, 'exec docker-entrypoint.sh redis-server --requirepass \"$REDISCLI_AUTH\"'] }, port: 6379, \
        url: 'redis://{username}:{password}@{host}:{port}/0', ready: [redis-cli, -e, ping], \
        create: { run: [redis-cli, -e], input: \"ACL SETUSER {username} reset on >{password} ~* &* +@all\\nPING\\n\" } } }\n";
    let stream = "databases: { stream: { kind: kafka, version: \"4.1\", topics: [entries], settings: { log.retention.ms: \"7000000\" } } }\n";
    let keeper = Keeper::new("kinds", databases, &format!("{drawer}{stream}"), &[]).restricted();
    let _ = keeper.komandan("deploy").run().succeeds();
    for (name, entries) in [
        ("facts", "migrated"),
        ("items", "migrated"),
        ("carts", "migrated"),
        ("things", "migrated"),
        ("visits", ""),
        ("entries", ""),
    ] {
        let made: Vec<&str> = [entries].into_iter().filter(|entry| !entry.is_empty()).collect();
        assert_eq!(keeper.ask(name), serde_json::json!(made), "{name} is new");
        keeper.add(name, &format!("written to {name}"));
    }
    for (name, setting) in [("facts", "5MB"), ("items", "33"), ("carts", "67108864"), ("entries", "7000000")] {
        assert_eq!(keeper.ask(&format!("{name}/setting")), setting, "the server of {name} has the setting");
    }
    let kept = |name: &str| {
        let mut wanted = vec![format!("written to {name}")];
        if ["facts", "items", "carts"].contains(&name) {
            wanted.insert(0, "migrated".to_owned());
        }
        assert_eq!(keeper.ask(name), serde_json::json!(wanted), "{name} was kept, and not migrated again");
    };
    let all = ["facts", "items", "carts", "visits", "entries"];

    // A further topic, and a database that comes first in the alphabet: nobody's number changes, and no migration runs.
    keeper.repository.replace("clustergraph.yaml", "topics: [entries]", "topics: [entries, activity]");
    let more = "{ kind: redis, version: \"7.0\", as: basket, settings: { maxmemory: 64mb } }\n- { kind: redis, version: \"7.0\", as: visits";
    keeper.repository.replace("keeper/service.yaml", "{ kind: redis, version: \"7.0\", as: visits", more);
    keeper.repository.commit("a topic and a database more");
    let deployed = keeper.komandan("deploy").run().succeeds().stderr();
    assert!(deployed.contains("what is made in it changed"), "{deployed}");
    // A node's proxy may send a request to the version before for a moment, which knows no such database.
    wait_until("the new version answers", || get(&format!("{}/basket", keeper.address())).status == 200);
    assert_eq!(keeper.ask("basket"), serde_json::json!([]));
    all.into_iter().for_each(kept);

    // The same after all of it has ended.
    let _ = keeper.komandan("down").run().succeeds();
    let _ = keeper.komandan("deploy").run().succeeds();
    all.into_iter().for_each(kept);

    // Another version would begin an empty database.
    let before = (keeper.store(), keeper.namespace.names("statefulsets"));
    keeper.repository.replace(
        "keeper/service.yaml",
        "kind: mariadb, version: \"10.11\"",
        "kind: mysql, version: \"9.7\"",
    );
    keeper.repository.commit("another kind");
    let refused = keeper.komandan("deploy").run().ends_with(6).stderr();
    assert!(
        refused.contains("the data of keeper/items is in mariadb 10.11") && refused.contains("as: items-2"),
        "{refused}"
    );
    assert_eq!((keeper.store(), keeper.namespace.names("statefulsets")), before, "nothing was written");

    let _ = keeper.komandan("down --delete-data").run().succeeds();
    assert_eq!(keeper.namespace.names("secrets"), Vec::<String>::new());
}

/// A service whose schema is of numbered files.
fn migrated(about: &str) -> Keeper {
    let database = "  - { kind: postgres, version: \"15\", as: entries, migrate: { run: [python, main.py, migrate], schema: schema } }\n";
    Keeper::new(about, database, "", &[("keeper/schema/0001_entries.sql", "-- one\n")])
}

#[test]
fn migrations_that_what_serves_survives_run_and_are_gone_back_from_and_others_are_refused_unless_told() {
    let keeper = migrated("schemas");
    let _ = keeper.komandan("deploy").run().succeeds();

    // Additive: this code also runs on the schema before, and that one's code on this schema.
    keeper.repository.write("keeper/schema/0002_more.sql", "-- two\n");
    keeper.repository.replace("keeper/service.yaml", "schema: schema", "schema: schema, compatible: \"0001\"");
    keeper.repository.commit("an additive migration");
    let _ = keeper.komandan("deploy").run().succeeds();
    let _ = keeper.komandan("revert").run().succeeds();
    assert_eq!(
        keeper.ask(""),
        serde_json::json!(["migrated", "migrated"]),
        "the first version serves on the second schema"
    );
    let again = keeper.komandan("deploy").run().succeeds();
    assert_eq!(keeper.ask(""), serde_json::json!(["migrated", "migrated"]), "{}", again.stderr());
    let older = keeper.komandan("deploy HEAD~1").run().succeeds();
    assert_eq!(
        keeper.ask(""),
        serde_json::json!(["migrated", "migrated"]),
        "no migration leads back: {}",
        older.stderr()
    );
    let _ = keeper.komandan("deploy").run().succeeds();

    // Destructive.
    keeper.repository.write("keeper/schema/0003_less.sql", "-- three\n");
    keeper.repository.replace("keeper/service.yaml", "compatible: \"0001\"", "compatible: \"0003\"");
    keeper.repository.commit("a destructive migration");
    let before = keeper.store();
    for command in ["plan", "deploy"] {
        let refused = keeper.komandan(command).run().ends_with(6).stderr();
        assert!(refused.contains("keeper/entries to schema 3") && refused.contains("made for schema 2"), "{refused}");
        assert!(refused.contains("two steps") && refused.contains("--allow-downtime"), "both ways out: {refused}");
    }
    assert_eq!(keeper.store(), before, "nothing was written");
    let _ = keeper.komandan("deploy --allow-downtime").run().succeeds();
    assert_eq!(keeper.ask(""), serde_json::json!(["migrated", "migrated", "migrated"]));

    let before = keeper.store();
    let refused = keeper.komandan("revert").run().ends_with(6).stderr();
    assert!(refused.contains("was made for schema 2 of keeper/entries, which is at schema 3"), "{refused}");
    assert!(
        refused.contains("Deploy a commit that mends") && refused.contains("--allow-downtime"),
        "both ways out: {refused}"
    );
    assert_eq!(keeper.store(), before, "nothing was written");
    let refused = keeper.komandan("deploy HEAD~1").run().ends_with(6).stderr();
    assert!(refused.contains("is at schema 3, and this commit was made for schema 2"), "{refused}");
    let _ = keeper.komandan("revert --allow-downtime").run().succeeds();
    assert_eq!(keeper.ask("").as_array().expect("a list").len(), 3);
}

#[test]
fn a_cluster_that_ends_by_itself_gets_its_first_data_once_and_a_permanent_one_none() {
    let database = "  - { kind: postgres, version: \"15\", as: entries, migrate: { run: [python, main.py, migrate], schema: schema }, seed: { run: [python, main.py, seed] } }\n";
    let clusters = "clusters: { production: {}, pr: { ttl: 1h, seed: true, quota: { memory: 2Gi } } }\n";
    let mut keeper = Keeper::new("seeded", database, clusters, &[("keeper/schema/0001_entries.sql", "-- one\n")]);
    let _ = keeper.komandan("deploy").run().succeeds();
    assert_eq!(keeper.ask(""), serde_json::json!(["migrated"]), "a permanent one");

    // At home in the same namespace, and in one of its own.
    keeper.cluster = "pr --name seeded";
    let up = keeper.komandan("up --output json").run().succeeds().json_lines().pop().expect("a result");
    let namespace = up["namespace"].as_str().expect("a namespace").to_owned();
    assert_ne!(namespace, keeper.namespace.name());
    assert_eq!(keeper.ask(""), serde_json::json!(["migrated", "seeded"]));
    keeper.add("", "mine");
    keeper.repository.write("keeper/schema/0002_more.sql", "-- two\n");
    keeper.repository.replace("keeper/service.yaml", "schema: schema", "schema: schema, compatible: \"0001\"");
    keeper.repository.commit("an additive migration");
    let _ = keeper.komandan("up").run().succeeds();
    assert_eq!(keeper.ask(""), serde_json::json!(["migrated", "seeded", "mine", "migrated"]), "its data stays");

    let _ = keeper.komandan("sleep").run().succeeds();
    let _ = keeper.komandan("wake").run().succeeds();
    assert_eq!(keeper.ask(""), serde_json::json!(["migrated", "seeded", "mine", "migrated"]), "and outlives its sleep");
    let _ = keeper.komandan("down --wait").run().succeeds();
    keeper.cluster = "production";
    assert_eq!(keeper.ask(""), serde_json::json!(["migrated"]), "nobody else is touched");
}

#[test]
fn of_a_database_that_somebody_else_runs_nothing_is_made_and_everything_comes_from_its_secret() {
    let owner = migrated("owner");
    let _ = owner.komandan("deploy").run().succeeds();
    // Who lends a server lets others in: by itself, only the owner's services may call it.
    let lends = owner.repository.path().join("lends.json");
    let server = serde_json::json!({ "matchLabels": { "clustergraph.dev/server": "db-postgres-15" } });
    let policy = serde_json::json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "lends" },
        "spec": { "podSelector": server, "policyTypes": ["Ingress"], "ingress": [{}] },
    });
    std::fs::write(&lends, policy.to_string()).expect("it is written");
    owner.namespace.kubectl_does(&format!("apply -f {}", lends.display()));
    let credentials = owner.namespace.kubectl("get secret credentials.keeper.entries");
    let password = Namespace::decode(credentials["data"]["password"].as_str().expect("a password"));

    let repository = "clusters: { outside: { databases: { keeper/entries: { secret: entries-db } } } }\n";
    let database = "  - { kind: postgres, version: \"15\", as: entries, params: { pool: \"5\" }, migrate: { run: [python, main.py, migrate], schema: schema } }\n";
    let mut guest =
        Keeper::new("guest", database, repository, &[("keeper/schema/0001_entries.sql", "-- one\n")]).restricted();
    guest.cluster = "outside";
    let refused = guest.komandan("deploy").run().ends_with(6).stderr();
    let keys = "there is no Secret entries-db with url, host, port, username, password, database";
    assert!(refused.contains(keys), "{refused}");

    let host = format!("db-postgres-15.{}", owner.namespace.name());
    guest
        .namespace
        .kubectl_does(&format!("create secret generic entries-db --from-literal=host={host} --from-literal=port=5432"));
    let refused = guest.komandan("deploy").run().ends_with(6).stderr();
    assert!(
        refused.contains("the Secret entries-db of keeper/entries has no url, username, password, database"),
        "{refused}"
    );
    assert_eq!(guest.namespace.names("deployments"), Vec::<String>::new(), "nothing was begun");

    guest.namespace.kubectl_does("delete secret entries-db");
    guest.namespace.kubectl_does(&format!(
        "create secret generic entries-db --from-literal=host={host} --from-literal=port=5432 --from-literal=username=keeper_entries \
         --from-literal=password={password} --from-literal=database=keeper_entries \
         --from-literal=url=postgresql://keeper_entries:{password}@{host}:5432/keeper_entries"
    ));
    // Somebody else migrates: ours waits, and runs when that is over.
    let mut other = owner.namespace.spawn(&[
        "exec",
        "db-postgres-15-0",
        "--",
        "psql",
        "--host=127.0.0.1",
        "--username=postgres",
        "--dbname=keeper_entries",
        "--command=SELECT pg_advisory_lock(hashtext('clustergraph'))",
        "--command=SELECT pg_sleep(600)",
    ]);
    let waiting = guest.komandan("deploy").spawn();
    let lock = || {
        let pods = guest.namespace.kubectl("get pods");
        let statuses = pods["items"][0]["status"]["initContainerStatuses"].clone();
        statuses[0]["name"] == "lock" && statuses[0]["state"]["running"].is_object()
    };
    wait_until("the lock is waited for", lock);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(owner.ask(""), serde_json::json!(["migrated"]), "it does not run beside another one");
    other.kill().expect("it is killed");
    let _ = other.wait();
    owner.namespace.kubectl_does("exec db-postgres-15-0 -- psql --host=127.0.0.1 --username=postgres --command=SELECT/**/pg_terminate_backend(pid)/**/FROM/**/pg_locks/**/WHERE/**/locktype='advisory'/**/AND/**/granted");
    let output = waiting.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(guest.namespace.names("statefulsets"), Vec::<String>::new(), "no server of ours");
    assert_eq!(guest.namespace.names("persistentvolumeclaims"), Vec::<String>::new());
    guest.add("", "of a guest");
    assert_eq!(owner.ask(""), serde_json::json!(["migrated", "migrated", "of a guest"]), "it was migrated where it is");
    let _ = guest.komandan("down --delete-data").run().succeeds();
    assert_eq!(guest.namespace.names("secrets"), ["entries-db"], "what is not ours stays");
    assert_eq!(owner.ask(""), serde_json::json!(["migrated", "migrated", "of a guest"]));
}
