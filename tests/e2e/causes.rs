//! Why a deploy does not come to its end, on a real Kubernetes with real pods: what waiting cannot mend ends it at once with its
//! cause, what somebody may mend is waited for and told; traffic stays where it is, and the next run goes on. And fields that
//! are only honoured if the cluster plays its part.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::ops::Deref;
use std::time::Instant;

use clustergraph_tests::local::wait_until;
use clustergraph_tests::{Deployed, Namespace, Program, Repository, Run, get};
use serde_json::{Value, json};

/// A service that serves; it is not touched by what goes wrong beside it.
const API: &str =
    "name: api\nstack: python\nports: { http: 8000 }\nrun: [python, app.py]\nstop: { grace: 1s }\npublic: {}\n";
const APP: &str = r#"import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def text(path):
    return open(path).read() if os.path.exists(path) else None


class App(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/told":
            with open(os.environ["VOLUME_TOLD"] + "/told", "a") as told:
                told.write(os.uname().nodename + "\n")
        told = text(os.environ.get("VOLUME_TOLD", "") + "/told")
        body = json.dumps({"key": text("/etc/app/key"), "plain": text("/etc/app/plain"), "told": told}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("", 8000), App).serve_forever()
"#;
/// What a service begins with that comes late.
const LATE: &str = "name: late\nstack: python\nports: { http: 8000 }\nstop: { grace: 1s }\n";
const FINE: &str = "run: [python, -m, http.server, \"8000\"]\n";
/// An image that a registry promises, and that nobody has.
const PROMISED: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

struct Place(Deployed);

impl Deref for Place {
    type Target = Deployed;

    fn deref(&self) -> &Deployed {
        &self.0
    }
}

impl Place {
    /// One service that serves already.
    fn new(about: &str) -> Self {
        let files = [
            ("api/service.yaml", API),
            ("api/app.py", APP),
            ("api/requirements.txt", ""),
            ("clustergraph.yaml", "services: [\"*\"]\n"),
        ];
        let place = Self(Deployed::new(Repository::with(&files), Namespace::new(about)));
        let name = place.namespace.name();
        place.namespace.kubectl_does(&format!("create namespace {name}"));
        place.namespace.kubectl_does(&format!("label namespace {name} pod-security.kubernetes.io/enforce=restricted"));
        place
    }

    fn serving(about: &str) -> Self {
        let place = Self::new(about);
        let _ = place.komandan("deploy").run().succeeds();
        place.answers();
        place
    }

    /// What the entry answers, once the node's proxy knows it.
    fn answers(&self) -> Value {
        self.asks("")
    }

    fn asks(&self, path: &str) -> Value {
        let answer = get(&format!("{}{path}", self.entry("api")));
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).expect("JSON")
    }

    /// Commits a service beside the one that serves.
    fn late(&self, more: &str) {
        self.repository.write("late/requirements.txt", "");
        self.repository.write("late/service.yaml", &format!("{LATE}{more}"));
        self.repository.commit("a service more");
    }

    /// Every object of every kind that can be listed, but for what the cluster tells of them.
    fn everything(&self) -> BTreeSet<String> {
        let kinds = self.namespace.kinds();
        let kinds: Vec<&str> = kinds.iter().map(String::as_str).filter(|kind| !kind.starts_with("events")).collect();
        let found = self.namespace.kubectl(&format!("get {}", kinds.join(",")));
        let objects = found["items"].as_array().expect("objects").iter();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        objects.map(|object| format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]))).collect()
    }

    /// What a deploy says that cannot be: all these words, and the traffic is where it was.
    fn fails(&self, deploy: Program, code: i32, words: &[&str]) -> Run {
        let version = self.status()["version"].clone();
        let began = Instant::now();
        let failed = deploy.run().ends_with(code);
        let (said, took) = (failed.stderr(), began.elapsed().as_secs_f64());
        for word in words {
            assert!(said.contains(word), "{word:?} is not in\n{said}");
        }
        eprintln!("{words:?} after {took:.1} s");
        assert_eq!(self.status()["version"], version);
        self.answers();
        failed
    }

    /// What a deploy says while it waits for somebody: all these words in a line. Then it is interrupted.
    fn waits(&self, words: &[&str]) {
        let mut deploy = self.komandan("deploy").spawn();
        let mut lines = BufReader::new(deploy.stderr.take().expect("its stderr")).lines().map_while(Result::ok);
        let said = lines.find(|line| words.iter().all(|word| line.contains(word)));
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&deploy), rustix::process::Signal::INT);
        let rest: Vec<String> = lines.collect();
        assert!(said.is_some(), "{words:?} is not in\n{}", rest.join("\n"));
        assert_eq!(deploy.wait().expect("it ends").code(), Some(130), "{}", rest.join("\n"));
        self.answers();
    }
}

/// A proxy that answers for every registry: it has whatever is asked for. What pulls does not pass through here.
fn promising() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
                head.push(byte[0]);
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\nContent-Type: \
                 application/vnd.oci.image.manifest.v1+json\r\nDocker-Content-Digest: {PROMISED}\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn what_waiting_cannot_mend_ends_a_deploy_with_its_cause_and_the_next_run_goes_on() {
    let place = Place::serving("causes");
    let name = place.namespace.name();

    place.late("run: [python, -c, 'raise SystemExit(\"the disk is on fire\")']\n");
    place.fails(place.komandan("deploy"), 4, &["late", "exit code 1", "the disk is on fire"]);

    // Admission: the namespace is somebody's, and takes nothing that is not restricted.
    place.late(&format!("security: baseline\n{FINE}"));
    place.fails(place.komandan("deploy"), 4, &["late", "violates PodSecurity"]);
    place
        .namespace
        .kubectl_does(&format!("label --overwrite namespace {name} pod-security.kubernetes.io/enforce=baseline"));
    let _ = place.komandan("deploy").run().succeeds();

    // A registry that had it a moment ago.
    place.late(&format!("security: baseline\nimage: 127.0.0.1:5000/gone@{PROMISED}\n").replace("stack: python\n", ""));
    let deploy = place.komandan("deploy").env("HTTP_PROXY", promising()).env("http_proxy", promising());
    place.fails(deploy, 4, &["late", "its image cannot be pulled", "not found"]);

    // A quota that only the API server can judge.
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "few" },
        "spec": { "hard": { "pods": "2" }, "scopes": ["NotTerminating"] },
    });
    place.repository.write("quota.json", &quota.to_string());
    let file = place.repository.path().join("quota.json");
    place.namespace.kubectl_does(&format!("create --filename {}", file.display()));
    place.late("env: { ANOTHER: one }\nscale: { replicas: 3 }\nrun: [python, -m, http.server, \"8000\"]\n");
    place.fails(place.komandan("deploy"), 4, &["late", "exceeded quota: few"]);
    place.namespace.kubectl_does("delete resourcequota few");
    let _ = place.komandan("deploy").run().succeeds();

    // The way back needs neither the repository nor a registry.
    let elsewhere = tempfile::TempDir::with_prefix("clustergraph-test-").expect("a folder");
    let back = Program::new("komandan", elsewhere.path())
        .env("KUBECONFIG", place.namespace.kubeconfig())
        .env("CLUSTERGRAPH_REGISTRY", "127.0.0.1:9/gone")
        .env("CLUSTERGRAPH_MIRROR", "127.0.0.1:9");
    let _ = back.args(&format!("--namespace {name} revert")).run().succeeds();
    place.answers();

    // A registry that is gone is told by its name, and nothing is begun.
    place.late("env: { YET_ANOTHER: one }\nrun: [python, -m, http.server, \"8000\"]\n");
    let deploy = place.komandan("deploy").env("CLUSTERGRAPH_REGISTRY", "127.0.0.1:9/gone");
    place.fails(deploy, 8, &["asking the registry for 127.0.0.1:9/gone/late"]);

    // Nor does the API server let in who shows what is no longer good.
    let mut config = place.namespace.kubectl("config view --raw --flatten");
    for user in config["users"].as_array_mut().expect("users") {
        user["user"] = json!({ "token": "of-yesterday" });
    }
    let file = elsewhere.path().join("kubeconfig");
    std::fs::write(&file, config.to_string()).expect("the file is written");
    place.fails(
        place.komandan("deploy").env("KUBECONFIG", &file),
        7,
        &["401", "credentials of the kubeconfig are not accepted"],
    );
}

#[test]
fn what_somebody_may_mend_is_waited_for_and_told_and_given_up_after_its_time() {
    let place = Place::serving("waits");
    place.late(&format!("resources: {{ cpu: 1000 }}\n{FINE}"));
    place.waits(&["late", "no node takes it yet", "Insufficient cpu"]);

    place.repository.write("clustergraph.yaml", "clusters: { production: { size: { late/all: 900Ti } } }\n");
    place.late(&format!("volumes: {{ all: /all }}\n{FINE}"));
    place.waits(&["late", "no node takes it yet", "unbound"]);

    // Nobody listens there: it may be a registry that comes back.
    place.repository.write("clustergraph.yaml", "clusters: { production: { pull_grace: 3s } }\n");
    place.late(&format!("security: baseline\nimage: 127.0.0.1:9/away@{PROMISED}\n").replace("stack: python\n", ""));
    let name = place.namespace.name();
    place
        .namespace
        .kubectl_does(&format!("label --overwrite namespace {name} pod-security.kubernetes.io/enforce=baseline"));
    let deploy = place.komandan("deploy").env("HTTP_PROXY", promising()).env("http_proxy", promising());
    place.fails(deploy, 4, &["late", "its image was not pulled within 3 seconds"]);

    place.late(FINE);
    let _ = place.komandan("deploy").run().succeeds();
}

#[test]
fn a_plan_is_held_against_the_namespaces_quotas_before_anything_is_written() {
    let place = Place::new("quota");
    place.namespace.kubectl_does("create quota team --hard=requests.cpu=300m,pods=10");
    place.repository.append("api/service.yaml", "resources: { cpu: 100m, memory: 32Mi }\nscale: { replicas: 4 }");
    place.repository.commit("four");
    let counted = || !place.namespace.kubectl("get quota team")["status"]["hard"].is_null();
    wait_until("the quota is counted", counted);
    for command in ["plan", "deploy"] {
        let told = place.komandan(command).run().ends_with(4);
        let words = "the ResourceQuota team allows 300m of requests.cpu: 0 are taken, and this takes 400m more";
        assert!(told.stderr().contains(words), "{}", told.stderr());
    }
    assert_eq!(place.namespace.names("configmaps,deployments,leases"), ["kube-root-ca.crt"]);
    place.repository.replace("api/service.yaml", "replicas: 4", "replicas: 2");
    place.repository.commit("two");
    let plan = place.komandan("plan").run().succeeds().stdout();
    assert!(plan.contains("asks for 2 pods, 200m cpu, 64Mi memory beside what still runs"), "{plan}");
    let extra =
        place.komandan("plan --output json").run().succeeds().json_lines().pop().expect("a plan")["extra"].clone();
    assert_eq!(extra, json!({ "pods": 2, "cpu_millis": 200, "memory_bytes": 64 << 20, "storage_bytes": 0 }));
    let _ = place.komandan("deploy").run().succeeds();
}

#[test]
fn files_hold_secrets_volumes_have_several_instances_and_what_is_to_be_killed_is() {
    let place = Place::new("files");
    let key = "a-key-of-this-test";
    wait_until("the namespace has what every one has", || place.everything().len() >= 2);
    let before = place.everything();
    place.repository.append(
        "api/service.yaml",
        "secrets: [KEY]\nfiles: { /etc/app/key: key.conf, /etc/app/plain: plain.conf }\nvolumes: { told: /told }\n\
         scale: { replicas: 2 }\nclusters: { production: { stop: { signal: KILL, grace: 20s } } }\n\
         jobs: [{ name: tick, schedule: '0 0 1 1 *', run: [python, -c, 'print(1)'] }]",
    );
    place.repository.write("api/key.conf", "key = ${secrets.KEY}, costs 5$ and $(NOTHING)\n");
    place.repository.write("api/plain.conf", "plain = ${self.port}\n");
    place.repository.commit("files");
    let _ = place.komandan("secret set api KEY").input(key).run().succeeds();
    let deployed = place.komandan("deploy").run().succeeds();
    let found = place.answers();
    assert_eq!(found["key"], format!("key = {key}, costs 5$ and $(NOTHING)\n"));
    assert_eq!(found["plain"], "plain = 8000\n");
    // Both instances have the same volume.
    let both = || {
        let told = place.asks("told")["told"].as_str().expect("lines").to_owned();
        told.lines().collect::<BTreeSet<_>>().len() == 2
    };
    wait_until("both instances wrote", both);

    // The value is in Secrets alone.
    let mut told = format!("{}{}", deployed.stdout(), deployed.stderr());
    for command in ["plan", "render", "status --output json", "history --output json"] {
        let run = place.komandan(command).run().succeeds();
        told.push_str(&format!("{}{}", run.stdout(), run.stderr()));
    }
    for kind in ["configmaps", "deployments", "pods", "events", "cronjobs"] {
        told.push_str(&place.namespace.kubectl(&format!("get {kind}")).to_string());
    }
    assert!(!told.contains(key), "a secret is told");

    // Another value is another file, for those that start with it; nobody waits for a program that is to be killed.
    let _ = place.komandan("secret set api KEY").input("another").run().succeeds();
    let began = Instant::now();
    let _ = place.komandan("deploy").run().succeeds();
    eprintln!("killed and begun again within {:.1} s", began.elapsed().as_secs_f64());
    assert_eq!(place.answers()["key"], "key = another, costs 5$ and $(NOTHING)\n");

    // Of all kinds that there are, only what is guarded stays, and then nothing.
    let _ = place.komandan("down").run().succeeds();
    let is_guarded = |object: &String| {
        let (kind, name) = object.split_once('/').expect("a kind");
        matches!(kind, "Secret" | "PersistentVolumeClaim") || name.starts_with("komandan-")
    };
    let added = || place.everything().difference(&before).cloned().collect::<Vec<_>>();
    wait_until("only data is left", || added().iter().all(is_guarded));
    assert!(added().contains(&"PersistentVolumeClaim/volume.api.told".to_owned()), "{:?}", added());
    let _ = place.komandan("down --delete-data").run().succeeds();
    wait_until("nothing is left", || added().is_empty());
}
