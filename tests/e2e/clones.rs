//! Databases that begin with another cluster's data, on a real Kubernetes: as it was at one moment, masked before anybody sees it, and
//! only what its cluster gives.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clustergraph_tests::http::post;
use clustergraph_tests::local::wait_until;
use clustergraph_tests::{Deployed, Namespace, Program, Repository, get, workspace};
use serde_json::{Value, json};

const REQUIREMENTS: &str = "pg8000==1.31.6\nPyMySQL==1.2.4\n";

/// A service with a database of each kind that is cloned here.
const SERVICE: &str = "\
name: keeper
databases:
  - { kind: postgres, version: \"15\", as: facts, primary: true, extensions: [pgcrypto], migrate: { run: [python, main.py, migrate, facts], schema: facts }, seed: { run: [python, main.py, seed, facts] } }
  - { kind: mariadb, version: \"10.11\", as: items, migrate: { run: [python, main.py, migrate, items], schema: items } }
ports: { http: 18200 }
health: { http: /healthz }
public: { path: / }
run: [python, main.py, serve]
stop: { grace: 1s }
";
const FACTS: &str = "seed: { run: [python, main.py, seed, facts] }";
const ITEMS: &str = "schema: items }";

/// What an administrator put into a database by hand: a table of all bytes, an object that is no table, and rights of somebody whom
/// no other cluster knows.
const BY_HAND: &str = "\
CREATE ROLE readonly;
CREATE TABLE bytes AS SELECT number, decode(repeat('00ff0a5c27', number), 'hex') AS content FROM generate_series(1, 400) AS number;
GRANT SELECT ON bytes TO readonly;
SELECT lo_from_bytea(0, '\\x00ff0a');
COMMENT ON EXTENSION pgcrypto IS 'a remark';
";

/// What a copy of it must be, row by row.
const TOLD: &str = "SELECT count(*), md5(string_agg(encode(content, 'hex'), ',' ORDER BY number)) FROM bytes;
SELECT encode(lo_get(oid), 'hex') FROM pg_largeobject_metadata;";

/// What the copy's server remembers of values that nobody may see.
const REMEMBERED: &str = "SELECT count(*) FROM pg_stats WHERE schemaname = 'public' AND concat(most_common_vals, histogram_bounds) LIKE '%@%';";

/// One repository, its permanent cluster, and the home of those that begin as copies.
struct Copies {
    production: Namespace,
    home: Deployed,
    /// Of whoever makes copies: with the rights that are printed for that, and no others.
    kubeconfig: PathBuf,
}

impl Copies {
    fn new() -> Self {
        let (production, home) = (Namespace::new("lender"), Namespace::new("clones"));
        let program =
            std::fs::read_to_string(workspace().join("tests/fixtures/databases/main.py")).expect("the fixture");
        let settings = format!(
            "clusters:\n  production: {{ namespace: {} }}\n  pr: {{ ttl: 1h, seed: true, clone: production }}\n",
            production.name()
        );
        let repository = Repository::with(&[
            ("keeper/service.yaml", SERVICE),
            ("keeper/main.py", &program),
            ("keeper/requirements.txt", REQUIREMENTS),
            ("keeper/facts/0001.sql", "-- one\n"),
            ("keeper/items/0001.sql", "-- one\n"),
            ("clustergraph.yaml", &settings),
        ]);
        home.kubectl_makes_it();
        let home = Deployed::new(repository, home);
        let printed = home.komandan("rbac --cluster pr --clone production").run().succeeds().stdout();
        production.kubectl_makes_it();
        // In two namespaces, so in none that is said here.
        let file = home.file("rbac.yaml", &printed);
        let applied =
            Command::new("kubectl").args(["--kubeconfig", production.kubeconfig(), "apply", "-f"]).arg(file).output();
        assert!(applied.expect("kubectl runs").status.success());
        let kubeconfig = home.kubeconfig_of("komandan");
        Self { production, home, kubeconfig }
    }

    fn repository(&self) -> &Repository {
        &self.home.repository
    }

    fn komandan(&self, line: &str) -> Program {
        let program = Program::new("komandan", self.repository().path());
        let program = program.env("KUBECONFIG", self.production.kubeconfig());
        program.args(line).within(Duration::from_secs(400))
    }

    /// A command about the copy.
    fn copy(&self, line: &str) -> Program {
        let line = format!("--cluster pr --name copy --namespace {} {line}", self.home.namespace.name());
        self.komandan(&line).env("KUBECONFIG", &self.kubeconfig)
    }

    /// Where a service answers.
    fn address(status: &Value) -> String {
        let page = status["entries"]["keeper"].as_str().expect("an address").trim_end_matches('/').to_owned();
        let address = page.trim_start_matches("http://").parse().expect("an address");
        wait_until("it answers", || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok());
        page
    }

    fn of_production(&self) -> String {
        Self::address(&self.komandan("status --output json").run().succeeds().json())
    }

    fn of_copy(&self) -> String {
        Self::address(&self.copy("status --output json").run().succeeds().json())
    }

    /// The namespaces of the home's clusters.
    fn namespaces(&self) -> Vec<String> {
        let home = &self.home.namespace;
        let list = home.kubectl(&format!("get namespaces --selector clustergraph.dev/home={}", home.name()));
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| item["metadata"]["name"].as_str().map(str::to_owned)).collect()
    }

    /// What an administrator is told in a server's own pod.
    fn sql(&self, namespace: &str, text: &str) -> String {
        let line = format!(
            "--kubeconfig {} --namespace {namespace} exec -i db-postgres-15-0 -- psql -h 127.0.0.1 -U postgres -d keeper_facts -v \
             ON_ERROR_STOP=1 -qtA -f -",
            self.production.kubeconfig()
        );
        let mut command = Command::new("kubectl");
        command.args(line.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kubectl runs");
        child.stdin.take().expect("its stdin").write_all(text.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        let home = &self.home.namespace;
        for namespace in self.namespaces() {
            let _ = home.kubectl_can(&format!("delete namespace --wait=false {namespace}"));
        }
        let kinds = "clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding";
        let (name, inside) = (format!("komandan-{}", home.name()), format!("komandan-{}-clusters", home.name()));
        let _ = home.kubectl_can(&format!("delete {kinds} --ignore-not-found {name} {inside}"));
    }
}

fn rows(page: &str, database: &str) -> Vec<String> {
    let answer = get(&format!("{page}/{database}"));
    assert_eq!(answer.status, 200, "{database}: {}", answer.body);
    serde_json::from_str(&answer.body).expect("a list of texts")
}

/// As many rows as there are, masked.
fn masked(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("masked {number}")).collect()
}

#[test]
fn a_cluster_begins_with_anothers_data_of_one_moment_masked_by_its_owner_and_keeps_it() {
    let copies = Copies::new();
    let _ = copies.komandan("deploy").run().succeeds();
    let production = copies.of_production();
    copies.sql(copies.production.name(), BY_HAND);
    for number in 0..20 {
        for database in ["facts", "items"] {
            assert_eq!(post(&format!("{production}/{database}"), &format!("ada@example.com {number}")), 200);
        }
    }

    // Nothing is given that was not deployed, whatever the commit says.
    let refused = copies.copy("up --dry-run").run().ends_with(6).stderr();
    assert!(refused.contains("version 1 of production, which serves, lends nothing"), "{refused}");
    copies.repository().replace("clustergraph.yaml", "production: {", "production: { lends: true,");
    copies.repository().commit("it lends");
    let refused = copies.copy("up").run().ends_with(6).stderr();
    assert!(refused.contains("lends nothing") && refused.contains("does not count"), "{refused}");
    let _ = copies.komandan("deploy").run().succeeds();
    let mask = |name: &str| format!("mask: {{ run: [python, main.py, mask, {name}] }}");
    let fails = "mask: { run: [python, -c, \"raise SystemExit('no such person')\"] }";
    copies.repository().replace("keeper/service.yaml", FACTS, &format!("{FACTS}, {fails}"));
    copies.repository().replace("keeper/service.yaml", ITEMS, &format!("{ITEMS}, {}", mask("items")));
    copies.repository().commit("it says how it is masked");
    let refused = copies.copy("up").run().ends_with(6).stderr();
    for database in ["keeper/facts", "keeper/items"] {
        let words = format!("production does not say how a copy of {database} is masked");
        assert!(refused.contains(&words), "{refused}");
    }
    assert_eq!(copies.namespaces(), Vec::<String>::new(), "nothing was made");
    let _ = copies.komandan("deploy").run().succeeds();

    // What cannot be read there, or masked, is told in the words of who failed, and thrown away.
    copies.sql(copies.production.name(), "CREATE EXTENSION file_fdw;");
    let failed = copies.copy("up").run().ends_with(4).stderr();
    for words in ["In db-postgres-15-0 of copy:", "permission denied to create extension", "Nothing of it is left"] {
        assert!(failed.contains(words), "{words}: {failed}");
    }
    copies.sql(copies.production.name(), "DROP EXTENSION file_fdw;");
    let failed = copies.copy("up").run().ends_with(4).stderr();
    assert!(failed.contains("the mask of keeper/facts") && failed.contains("no such person"), "{failed}");
    assert!(failed.contains("Nothing of it is left") && failed.contains("production was only read"), "{failed}");
    copies.repository().replace("keeper/service.yaml", fails, &mask("facts"));
    copies.repository().commit("a mask that works");
    let _ = copies.komandan("deploy").run().succeeds();
    let before = (copies.production.names("pods"), copies.production.names("jobs"));

    // The pull request's own mask leaves everything as it is, and its migration tells what it saw.
    copies.repository().replace("keeper/main.py", "CONCAT('masked ', number)", "entry");
    copies.repository().replace(
        "keeper/main.py",
        "store(*named).add(\"migrated\")",
        "store(*named).add(f\"saw {sum('@' in entry for entry in store(*named).all())} of {len(store(*named).all())}\")",
    );
    copies.repository().write("keeper/facts/0002.sql", "-- two\n");
    copies.repository().replace("keeper/service.yaml", "schema: facts", "schema: facts, compatible: \"0001\"");
    copies.repository().commit("a pull request");
    let planned = copies.copy("up --dry-run").run().succeeds().stdout();
    let line = planned.lines().find(|line| line.contains("keeper/facts")).unwrap_or_default();
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>().join(" "),
        "clone keeper/facts of production, masked by keeper"
    );

    // Somebody writes all the while, and it is interrupted wherever it hurts.
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (stop, production) = (Arc::clone(&stop), production.clone());
        std::thread::spawn(move || {
            let mut written = 20;
            while !stop.load(Ordering::Relaxed) {
                for database in ["facts", "items"] {
                    assert_eq!(post(&format!("{production}/{database}"), &format!("ada@example.com {written}")), 200);
                }
                written += 1;
            }
            written
        })
    };
    for fault in ["copy-flows", "mask-released"] {
        let died = copies.copy("up --wait").env("KOMANDAN_FAULT", fault).run();
        assert_eq!(died.code(), None, "it dies at {fault}: {}", died.stderr());
        let [namespace] = copies.namespaces().try_into().expect("one cluster");
        let list = copies.home.namespace.kubectl(&format!("get deployments --namespace {namespace}"));
        assert_eq!(list["items"], json!([]), "nothing runs that could see what is there");
    }
    let up = copies.copy("up --wait --output json").run().succeeds().json_lines();
    stop.store(true, Ordering::Relaxed);
    let written: usize = writer.join().expect("it writes to the end");
    let step = |name: &str| {
        let done = up.iter().find(|it| it["event"] == "step" && it["step"] == name && it["state"] == "done");
        done.map(|it| it["text"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
    };
    assert!(step("keeper/facts").contains("a copy of production, masked by keeper"), "{up:?}");

    let copy = copies.of_copy();
    let mut facts = rows(&copy, "facts");
    assert_eq!(facts.pop().expect("a migration on top"), format!("saw 0 of {}", facts.len()));
    let items = rows(&copy, "items");
    for (database, found) in [("facts", &facts), ("items", &items)] {
        assert_eq!(*found, masked(found.len()), "no seed, and no other migration, ran over {database}");
        assert!(found.len() > 20 && found.len() <= written + 1, "{database}: {} of {written}", found.len());
        let there = rows(&production, database);
        assert_eq!(there.len(), written + 1, "{database} was only read");
        assert!(there.iter().all(|entry| entry == "migrated" || entry.starts_with("ada@example.com ")), "{there:?}");
    }
    let [namespace] = copies.namespaces().try_into().expect("one cluster");
    assert_eq!(copies.sql(&namespace, TOLD), copies.sql(copies.production.name(), TOLD));
    assert_eq!(copies.sql(&namespace, REMEMBERED).trim(), "0", "not even its server remembers");
    let owner = copies.sql(&namespace, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public';");
    assert_eq!(owner.trim(), "keeper_facts", "all of it is the service's own");
    assert_eq!((copies.production.names("pods"), copies.production.names("jobs")), before);

    // Once: what is written to a copy stays, whatever becomes of where it came from.
    assert_eq!(post(&format!("{copy}/items"), "mine"), 200);
    copies.repository().write("keeper/items/0002.sql", "-- two\n");
    copies.repository().replace("keeper/service.yaml", ITEMS, "schema: items, compatible: \"0001\" }");
    copies.repository().commit("one more migration");
    let _ = copies.komandan("down").run().succeeds();
    let _ = copies.copy("up").run().succeeds();
    let then = rows(&copies.of_copy(), "items");
    let tail: Vec<&str> = then.iter().skip(items.len()).map(String::as_str).collect();
    assert_eq!(tail, ["mine", format!("saw 0 of {}", items.len() + 1).as_str()]);

    let _ = copies.copy("down --wait").run().succeeds();
    assert_eq!(copies.namespaces(), Vec::<String>::new());
    let _ = copies.komandan("down --delete-data").run().succeeds();
}
