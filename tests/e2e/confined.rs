//! Clusters that end by themselves with exactly the rights that `komandan rbac` prints, and none elsewhere.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use clustergraph_tests::local::wait_until;
use clustergraph_tests::{Clusters, Deployed, EveryImage, Namespace};

/// What is in no namespace; gone when dropped, whatever the test did.
struct Granted<'c>(&'c Clusters);

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        let (home, kubeconfig) = (self.0.home().name(), self.0.home().kubeconfig());
        let kinds = "clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding";
        let delete = ["--kubeconfig", kubeconfig, "delete", kinds, "--ignore-not-found"];
        let _ = Command::new("kubectl")
            .args(delete)
            .args([format!("komandan-{home}"), format!("komandan-{home}-clusters")])
            .output();
    }
}

#[test]
fn with_the_rights_of_one_home_clusters_are_made_and_ended_and_nothing_else_is_reached() {
    let clusters = Clusters::new("confined", "secrets_from: dev-secrets, quota: { pods: 20 }");
    clusters.deployed.repository.append("api/service.yaml", "secrets: [KEY]");
    clusters.deployed.repository.commit("a secret");
    clusters.home().kubectl_does("create secret generic dev-secrets --from-literal=KEY=k");
    let before = clusters.everything(&[]);

    let printed = clusters.komandan("rbac --cluster pr").run().succeeds().stdout();
    let file = clusters.deployed.file("rbac.yaml", &printed);
    let granted = Granted(&clusters);
    clusters.home().kubectl_does(&format!("apply -f {}", file.display()));
    let kubeconfig = clusters.deployed.kubeconfig_of("komandan");
    let komandan = |line: &str| clusters.komandan(line).env("KUBECONFIG", &kubeconfig);
    let may = |line: &str| {
        let words = ["--kubeconfig", path(&kubeconfig)];
        Command::new("kubectl")
            .args(words)
            .args(line.split_whitespace())
            .output()
            .expect("kubectl runs")
            .status
            .success()
    };
    // The API server takes a moment to know a policy: until then it would let through what it forbids.
    let other = namespace_of_somebody_else(&clusters);
    wait_until("the policy holds", || !may(&format!("label namespace {other} some=label --dry-run=server")));

    let doctor = komandan("doctor --cluster pr --output json").run();
    let checks = doctor.json()["checks"].as_array().expect("checks").clone();
    for name in ["rights", "namespace", "end"] {
        assert!(checks.iter().any(|check| check["name"] == name && check["state"] == "ok"), "{name}: {checks:?}");
    }
    let planned = komandan("up --pr 7 --dry-run").run().succeeds().stdout();
    assert!(planned.contains("api"), "{planned}");
    let _ = komandan("up --pr 7").run().succeeds();
    let live = clusters.live();
    clusters.deployed.repository.append("www/service.yaml", "env: { LEVEL: high }");
    clusters.deployed.repository.commit("another level");
    for line in [
        "up --pr 7 --dry-run",
        "up --pr 7",
        "revert --pr 7",
        "list",
        "status --pr 7",
        "history --pr 7",
        "extend pr-7 --ttl 2h",
        "sleep pr-7",
        "wake pr-7",
        "restart api --pr 7",
        "gc --pr 7",
        "gc --cluster pr",
    ] {
        let _ = komandan(line).run().succeeds();
    }

    for line in [
        format!("delete namespace {other} --dry-run=server"),
        format!("label namespace {other} clustergraph.dev/home={} --dry-run=server", clusters.home().name()),
        format!("create namespace {other}-2 --dry-run=server"),
        format!(
            "create rolebinding mine --clusterrole=komandan-{}-clusters --user=me --namespace {other} --dry-run=server",
            clusters.home().name()
        ),
        format!("create rolebinding mine --clusterrole=admin --user=me --namespace {} --dry-run=server", live[0]),
        format!("get secrets --namespace {other}"),
        "get secrets --namespace kube-system".to_owned(),
        format!("create configmap some --namespace {other} --dry-run=server"),
    ] {
        assert!(!may(&line), "it may `{line}`");
    }
    assert!(may(&format!("get secrets --namespace {}", live[0])), "in its own it may");

    let _ = komandan("down --pr 7 --wait").run().succeeds();
    drop(granted);
    clusters.home().kubectl_does("delete role,rolebinding,serviceaccount komandan");
    clusters.home().kubectl_does(&format!("delete namespace --wait=false {other}"));
    clusters.wait_until_all_is_gone(&before, &live);
}

#[test]
fn with_the_rights_to_borrow_from_a_cluster_an_overlay_is_made_and_nothing_else_is_changed_there() {
    let clusters = Clusters::new("borrows", "");
    let (images, namespace) = (EveryImage::new(), Namespace::without_processes("borrows-base"));
    let base = Deployed::new(Arc::clone(&clusters.deployed.repository), namespace).with_images(&images);
    let settings = format!(
        "services: [\"*\"]\nclusters:\n  production: {{ namespace: {}, lends: true }}\n  pr: {{ ttl: 1h }}\n",
        base.namespace.name()
    );
    base.repository.write("clustergraph.yaml", &settings);
    base.repository.commit("it lends");
    let _ = base.komandan("deploy").run().succeeds();

    // Without being asked for, nothing of that is granted. What is printed is in two namespaces.
    let apply = |line: &str| {
        let printed = clusters.komandan(line).run().succeeds().stdout();
        let file = clusters.deployed.file("rbac.yaml", &printed);
        let words = ["--kubeconfig", clusters.home().kubeconfig(), "apply", "--filename", path(&file)];
        assert!(Command::new("kubectl").args(words).output().expect("kubectl runs").status.success());
    };
    apply("rbac --cluster pr");
    let granted = Granted(&clusters);
    let kubeconfig = clusters.deployed.kubeconfig_of("komandan");
    let komandan = |line: &str| clusters.komandan(line).env("KUBECONFIG", &kubeconfig);
    let may = |line: &str| {
        let words = ["--kubeconfig", path(&kubeconfig)];
        let output = Command::new("kubectl").args(words).args(line.split_whitespace()).output();
        output.expect("kubectl runs").status.success()
    };
    let refused = komandan("up --pr 7 --from production").run().ends_with(7).stderr();
    assert!(refused.contains("403") || refused.contains("lacks this right"), "{refused}");

    apply("rbac --cluster pr --from production");
    let there = base.namespace.name().to_owned();
    wait_until("the rights hold", || may(&format!("get configmap komandan-head --namespace {there}")));
    let up = || komandan("up --pr 7 --from production").run();
    wait_until("the policy holds", || up().code() == Some(0));
    for line in ["up --pr 7", "list", "status --pr 7", "extend pr-7 --ttl 2h", "sleep pr-7", "wake pr-7"] {
        let _ = komandan(line).run().succeeds();
    }
    assert!(!komandan("status --pr 7").run().succeeds().stdout().contains("may not answer"));
    let live = clusters.live();
    for line in [
        format!("patch configmap komandan-head --namespace {there} --type merge --patch {{}} --dry-run=server"),
        format!("get secrets --namespace {there}"),
        format!("delete configmap komandan-pins --namespace {there} --dry-run=server"),
        format!("get pods --namespace {there}"),
        format!("label namespace {} --overwrite clustergraph.dev/overlay-of=elsewhere --dry-run=server", live[0]),
    ] {
        assert!(!may(&line), "it may `{line}`");
    }
    let _ = komandan("down --pr 7").run().succeeds();
    assert_eq!(base.status()["borrowers"], serde_json::json!([]));
    drop(granted);
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path")
}

/// A namespace that is none of ours.
fn namespace_of_somebody_else(clusters: &Clusters) -> String {
    let name = format!("{}-other", clusters.home().name());
    clusters.home().kubectl_does(&format!("create namespace {name}"));
    name
}
