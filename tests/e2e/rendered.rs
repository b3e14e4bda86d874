//! What `komandan render` prints, for those who apply it by other means.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clustergraph_tests::local::wait_until;
use clustergraph_tests::{Namespace, Program, Repository, Session, get, workspace};
use serde_json::{Value, json};

/// Ten images are built, some of them compiled.
const BUILD: Duration = Duration::from_secs(900);

/// What kube-score asks for and is not done, each with the reason. The first word is the check; the second of which objects:
/// all, or those of databases.
const NOT_DONE: &[(&str, &str, &str)] = &[
    ("container-image-pull-policy", "all", "images are named by digest: what is there is what is meant"),
    ("container-ephemeral-storage-request-and-limit", "all", "nobody is asked what a program may write to its disk"),
    ("container-security-context-readonlyrootfilesystem", "all", "a program writes where its image's user may"),
    ("container-security-context-user-group-id", "databases", "images of servers have users of their own"),
    ("container-resources", "databases", "what a server may take is for those to say who run it"),
    ("statefulset-has-servicename", "databases", "its only pod is reached by the Service that it names"),
];

fn program(name: &str, arguments: &[&str]) -> std::process::Output {
    Command::new(name).args(arguments).stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn printed(name: &str, arguments: &[&str]) -> String {
    let output = program(name, arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{name}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The folder of kube-score and kubeconform.
fn validators() -> PathBuf {
    let script = workspace().join("tests/machine/validators.sh");
    PathBuf::from(printed(script.to_str().expect("a path"), &[]).trim())
}

/// What kube-score finds, as its check and the object.
fn found_by_kube_score(validators: &Path, file: &str) -> Vec<(String, String)> {
    let score = validators.join("kube-score");
    let flags =
        ["score", "--output-format", "json", "--ignore-container-cpu-limit", "--kubernetes-version", "v1.36", file];
    let output = program(score.to_str().expect("a path"), &flags);
    let objects: Vec<Value> = serde_json::from_slice(&output.stdout).expect("what it found");
    assert!(objects.len() > 20, "it saw {} objects", objects.len());
    let mut found = Vec::new();
    for object in &objects {
        for check in object["checks"].as_array().into_iter().flatten() {
            // 10 is all right; 7 is almost; less is a warning or worse.
            if check["skipped"] == false && check["grade"].as_i64().is_some_and(|grade| grade < 7) {
                let component =
                    object["object_meta"]["labels"]["clustergraph.dev/component"].as_str().unwrap_or_default();
                let is_database = matches!(component, "database" | "migration");
                let of = if is_database { "databases" } else { "all" };
                found.push((
                    check["check"]["id"].as_str().expect("an id").to_owned(),
                    format!("{of} {}", object["object_name"]),
                ));
            }
        }
    }
    found
}

#[test]
fn validators_find_nothing_in_the_shop_and_the_api_server_takes_it() {
    let repository = Repository::of_shop();
    let namespace = Namespace::new("rendered");
    let komandan = |line: &str| {
        Program::new("komandan", repository.path())
            .args(&format!("--namespace {} {line}", namespace.name()))
            .within(BUILD)
    };
    let _ = komandan("build").run().succeeds();
    repository.write("rendered.yaml", &komandan("render").run().succeeds().stdout());
    let file = repository.path().join("rendered.yaml");
    let file = file.to_str().expect("a path");
    let validators = validators();

    let schemas = tempfile::tempdir().expect("a folder");
    let described = workspace().join("tests/cluster/schemas.py");
    let folder = schemas.path().to_str().expect("a path");
    let _ = printed(described.to_str().expect("a path"), &[namespace.kubeconfig(), folder]);
    let location = format!("{folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json");
    let conform = validators.join("kubeconform");
    let conform = |file: &str| {
        program(conform.to_str().expect("a path"), &["-strict", "-summary", "-schema-location", &location, file])
    };
    let said = conform(file);
    let said = (said.status.success(), String::from_utf8_lossy(&said.stdout).into_owned());
    assert!(said.0 && said.1.contains("Invalid: 0, Errors: 0, Skipped: 0"), "{}", said.1);
    // It would have found something.
    repository.write("wrong.yaml", "{ apiVersion: v1, kind: Service, metadata: { name: a }, spec: { port: 1 } }");
    assert!(!conform(repository.path().join("wrong.yaml").to_str().expect("a path")).status.success());

    let found = found_by_kube_score(&validators, file);
    let is_known = |(check, object): &(String, String), known: &str, of: &str| {
        check == known && (of == "all" || object.starts_with(of))
    };
    let unknown: Vec<_> =
        found.iter().filter(|finding| !NOT_DONE.iter().any(|(known, of, _)| is_known(finding, known, of))).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    for (known, of, why) in NOT_DONE {
        assert!(found.iter().any(|finding| is_known(finding, known, of)), "{known} is done, and excused with: {why}");
    }

    namespace.kubectl_makes_it();
    namespace.kubectl_does(&format!("apply --dry-run=server --filename {file}"));
}

#[test]
fn what_kubectl_applies_of_it_serves_the_same_version() {
    let repository = Repository::of_example("hello");
    let namespace = Namespace::new("applied");
    let komandan = |line: &str| {
        Program::new("komandan", repository.path())
            .env("KUBECONFIG", namespace.kubeconfig())
            .args(&format!("--namespace {} {line}", namespace.name()))
    };
    let _ = komandan("build").run().succeeds();
    let rendered = komandan("render --output json").run().succeeds().json();
    namespace.kubectl_makes_it();
    for secret in rendered["credentials"].as_array().expect("credentials") {
        let (name, username) = (secret["name"].as_str().expect("a name"), secret["username"].as_str().expect("a user"));
        namespace.kubectl_does(&format!(
            "create secret generic {name} --from-literal=username={username} --from-literal=password=only0for0this0test"
        ));
    }
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": rendered["objects"] });
    repository.write("rendered.json", &list.to_string());
    namespace.kubectl_does(&format!("apply --filename {}", repository.path().join("rendered.json").display()));
    let address = || {
        let service = namespace.kubectl("get service www");
        let (host, port) =
            (service["spec"]["clusterIP"].as_str()?.to_owned(), service["spec"]["ports"][0]["port"].as_i64()?);
        Some(format!("http://{host}:{port}/"))
    };
    wait_until("all of it is available", || {
        let deployments = namespace.kubectl("get deployments");
        let deployments = deployments["items"].as_array().cloned().unwrap_or_default();
        !deployments.is_empty()
            && deployments.iter().all(|deployment| deployment["status"]["availableReplicas"].is_i64())
    });
    // Nobody keeps an order here: the page has nothing to say until the migration is over.
    let address = address().expect("the entry's address");
    wait_until("the page answers", || get(&address).status == 200);
    let page = get(&address);
    let mut nodes: Vec<String> = namespace.names("deployments");
    nodes.sort();
    let mut served = page.served_by.clone();
    served.sort();
    assert_eq!((page.status, &served), (200, &nodes), "the page tells of each node that took part");
    let session = Session::of(repository.path());
    let graph = session.ssi("graph --at HEAD --output json").run().succeeds().json();
    let services = graph["services"].as_array().expect("services").iter();
    let mut versions: Vec<String> = services
        .map(|service| {
            let (name, id) = (service["name"].as_str().expect("a name"), service["id"].as_str().expect("an id"));
            format!("{name}-{}", &id[..10])
        })
        .collect();
    versions.sort();
    assert_eq!(nodes, versions, "what runs is the commit's graph");
}
