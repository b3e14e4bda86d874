//! What is whose, with the real kubectl: a cluster's objects are an ApplySet that kubectl leaves alone, and what somebody else
//! applies or sets is refused by name and left untouched. Pods only say that they run.

use std::path::PathBuf;

use clustergraph_tests::local::wait_until;
use clustergraph_tests::state::revisions;
use clustergraph_tests::{Deployed, EveryImage, Namespace, Repository};
use serde_json::Value;

const PART_OF: &str = "applyset.kubernetes.io/part-of";
/// The kinds of which every object of ours that is no data is a member.
const MEMBERS: &str = "deployments,services,networkpolicies,serviceaccounts,horizontalpodautoscalers,\
                       poddisruptionbudgets,cronjobs,configmaps";

/// An entry of two instances, a service that is scaled by load, a schedule and a file.
struct Shop {
    deployed: Deployed,
    _images: EveryImage,
}

impl Shop {
    fn new(about: &str) -> Self {
        let common =
            "image: demo@sha256:7777777777777777777777777777777777777777777777777777777777777777\nsecurity: baseline\n";
        let api = format!(
            "name: api\n{common}ports: {{ http: 8000 }}\npublic: {{}}\nscale: {{ replicas: 2 }}\nresources: {{ cpu: 100m }}\n\
             files: {{ /etc/api.conf: api.conf }}\njobs: [{{ name: nightly, schedule: \"0 3 * * *\", run: [tidy] }}]\n"
        );
        let loaded =
            format!("name: loaded\n{common}resources: {{ cpu: 100m }}\nscale: {{ min: 1, max: 3, cpu: 70 }}\n");
        let repository = Repository::with(&[
            ("clustergraph.yaml", "services: [\"*\"]\n"),
            ("api/service.yaml", &api),
            ("api/api.conf", "first\n"),
            ("loaded/service.yaml", &loaded),
        ]);
        let images = EveryImage::new();
        let deployed = Deployed::new(repository, Namespace::without_processes(about)).with_images(&images);
        Self { deployed, _images: images }
    }

    fn deployed(about: &str) -> Self {
        let shop = Self::new(about);
        let _ = shop.deployed.komandan("deploy").run().succeeds();
        shop
    }

    /// Replaces some words of a file, and commits that.
    fn change(&self, path: &str, from: &str, to: &str) {
        self.deployed.repository.replace(path, from, to);
        self.deployed.repository.commit(to);
    }

    fn workload(&self, name: &str) -> String {
        self.deployed.status()["nodes"][name]["workload"].as_str().expect("a workload").to_owned()
    }

    fn kubectl_does(&self, line: &str) {
        self.deployed.namespace.kubectl_does(line);
    }

    fn deployment(&self, name: &str) -> Value {
        self.deployed.namespace.kubectl(&format!("get deployment {}", self.workload(name)))
    }

    /// Refused with these words, and nothing is other than before.
    fn is_refused(&self, line: &str, words: &[&str]) {
        let before = revisions(&self.deployed.namespace);
        let told = self.deployed.komandan(line).run().ends_with(6).stderr();
        for words in words {
            assert!(told.contains(words), "{words:?} is not in what `{line}` says:\n{told}");
        }
        assert_eq!(revisions(&self.deployed.namespace), before, "`{line}` changed something");
    }

    /// Our objects that should be members, and the sets that they are in.
    fn sets(&self) -> Vec<(String, Value)> {
        let list =
            self.deployed.namespace.kubectl(&format!("get {MEMBERS} --selector app.kubernetes.io/part-of=production"));
        let items = list["items"].as_array().expect("objects");
        let is_member = |item: &&Value| item["metadata"]["labels"]["clustergraph.dev/component"] != "store";
        let set = |item: &Value| {
            (format!("{} {}", item["kind"], item["metadata"]["name"]), item["metadata"]["labels"][PART_OF].clone())
        };
        items.iter().filter(is_member).map(set).collect()
    }

    fn a_config_map(&self) -> PathBuf {
        let map = "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"theirs-too\"}}";
        self.deployed.file("map.json", map)
    }
}

#[test]
fn what_is_applied_is_a_set_of_its_own_that_kubectl_leaves_alone() {
    let shop = Shop::deployed("applyset");
    let head = shop.deployed.namespace.kubectl("get configmap komandan-head");
    let id = &head["metadata"]["labels"]["applyset.kubernetes.io/id"];
    assert!(id.as_str().is_some_and(|id| id.starts_with("applyset-") && id.ends_with("-v1")), "{id}");
    let sets = shop.sets();
    assert!(sets.len() > 7, "{sets:?}");
    assert!(sets.iter().all(|(_, set)| set == id), "{id}: {sets:#?}");
    for kind in ["deployments", "cronjobs", "pods"] {
        let list = shop.deployed.namespace.kubectl(&format!("get {kind}"));
        let template = |item: &Value| match kind {
            "pods" => item["metadata"]["labels"].clone(),
            "cronjobs" => item["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"].clone(),
            _ => item["spec"]["template"]["metadata"]["labels"].clone(),
        };
        let items = list["items"].as_array().expect("objects");
        assert!(items.iter().all(|item| template(item)[PART_OF].is_null()), "pods are no members: {kind}");
    }
    let before = revisions(&shop.deployed.namespace);
    let (did, told) = shop.deployed.namespace.kubectl_applyset("configmap/komandan-head", &shop.a_config_map());
    assert!(!did && told.contains("komandan"), "kubectl was to refuse it: {told}");
    assert_eq!(revisions(&shop.deployed.namespace), before);
    let unchanged = shop.deployed.komandan("deploy").run().succeeds().stdout();
    assert!(unchanged.starts_with("unchanged"), "{unchanged}");
}

#[test]
fn what_another_tool_applies_as_its_set_is_refused_and_left_as_it_is() {
    let shop = Shop::new("their-set");
    let rendered = shop.deployed.komandan("render").run().succeeds().stdout();
    let file = shop.deployed.file("rendered.yaml", &rendered);
    let (did, told) = shop.deployed.namespace.kubectl_applyset("configmap/theirs", &file);
    assert!(did, "{told}");
    for line in ["plan", "deploy", "down"] {
        shop.is_refused(line, &["somebody else's ApplySet, applyset-", "kubectl label ", &format!("{PART_OF}-")]);
    }

    let taken = Shop::new("their-parent");
    let (did, told) = taken.deployed.namespace.kubectl_applyset("configmap/komandan-head", &taken.a_config_map());
    assert!(did, "{told}");
    for line in ["plan", "deploy", "revert"] {
        taken.is_refused(line, &["komandan-head", "ApplySet that kubectl applies"]);
    }
}

#[test]
fn what_was_made_before_there_was_a_set_joins_it_and_nothing_starts_anew() {
    let shop = Shop::deployed("adopted");
    shop.kubectl_does(&format!("label {MEMBERS} --all {PART_OF}-"));
    shop.kubectl_does("label configmap komandan-head applyset.kubernetes.io/id-");
    shop.kubectl_does(
        "annotate configmap komandan-head applyset.kubernetes.io/tooling- applyset.kubernetes.io/contains-group-kinds-",
    );
    assert!(shop.sets().iter().all(|(_, set)| set.is_null()));
    let (before, pods) = (revisions(&shop.deployed.namespace), shop.deployed.pods("loaded"));
    let unchanged = shop.deployed.komandan("deploy").run().succeeds().stdout();
    assert!(unchanged.starts_with("unchanged"), "{unchanged}");
    assert_eq!(revisions(&shop.deployed.namespace), before, "what is to be done waits for the next change");

    shop.change("api/api.conf", "first", "second");
    let _ = shop.deployed.komandan("deploy").run().succeeds();
    let id = shop.deployed.namespace.kubectl("get configmap komandan-head")["metadata"]["labels"]
        ["applyset.kubernetes.io/id"]
        .clone();
    let outside: Vec<(String, Value)> = shop.sets().into_iter().filter(|(_, set)| *set != id).collect();
    assert_eq!(outside, [], "of {id}");
    assert_eq!(shop.deployed.pods("loaded"), pods, "nothing started anew");
    // From now on nothing more is written than before there were sets.
    let unchanged = shop.deployed.komandan("deploy").run().succeeds().stdout();
    assert!(unchanged.starts_with("unchanged"), "{unchanged}");
}

#[test]
fn what_kubectl_applied_of_a_rendered_version_is_taken_on_as_it_is() {
    let shop = Shop::new("taken-on");
    let rendered = shop.deployed.komandan("render").run().succeeds().stdout();
    let file = shop.deployed.file("rendered.yaml", &rendered);
    shop.kubectl_does(&format!("apply --filename {}", file.display()));
    wait_until("its pods are there", || shop.deployed.pods("api").len() == 2);
    let pods = || (shop.deployed.pods("api"), shop.deployed.pods("loaded"));
    let before = pods();
    let told = shop.deployed.komandan("deploy").run().succeeds().stderr();
    assert!(!told.contains("left as it is"), "kubectl has set what we would: {told}");
    assert_eq!(pods(), before, "nothing starts anew");
    assert!(shop.sets().iter().all(|(_, set)| set.is_string()), "{:?}", shop.sets());
    // From then on two would apply it: who has set what is told.
    shop.change("api/service.yaml", "cpu: 100m", "cpu: 300m");
    shop.is_refused("deploy", &["resources.requests.cpu was set by kubectl-client-side-apply"]);
}

#[test]
fn a_size_that_somebody_else_chose_is_told_and_kept_by_saying_so() {
    let shop = Shop::deployed("scaled");
    let workload = shop.workload("api");
    shop.kubectl_does(&format!("scale deployment {workload} --replicas=5"));
    let words = [&format!("Deployment {workload}"), ".spec.replicas was set by kubectl", "komandan scale SERVICE N"];
    for line in ["plan", "deploy"] {
        shop.is_refused(line, &words);
    }
    let _ = shop.deployed.komandan("scale api 5").run().succeeds();
    let unchanged = shop.deployed.komandan("deploy").run().succeeds().stdout();
    assert!(unchanged.starts_with("unchanged"), "{unchanged}");
    let _ = shop.deployed.komandan("scale api 4").run().succeeds();
    assert_eq!(shop.deployment("api")["spec"]["replicas"], 4, "whoever says it now is heard");

    shop.kubectl_does(&format!("scale deployment {workload} --replicas=1"));
    shop.is_refused("deploy", &words);
    let _ = shop.deployed.komandan("deploy --force-conflicts").run().succeeds();
    assert_eq!(shop.deployment("api")["spec"]["replicas"], 4);
    // What is scaled by load has no size of ours.
    shop.kubectl_does(&format!("scale deployment {} --replicas=3", shop.workload("loaded")));
    shop.change("loaded/service.yaml", "cpu: 100m", "cpu: 150m");
    let _ = shop.deployed.komandan("deploy").run().succeeds();
    assert_eq!(shop.deployment("loaded")["spec"]["replicas"], 3);
}

#[test]
fn fields_that_somebody_else_has_set_are_refused_by_name_before_anything_is_done() {
    let shop = Shop::deployed("fields");
    let workload = shop.workload("api");
    let container = |shop: &Shop| shop.deployment("api")["spec"]["template"]["spec"]["containers"][0].clone();
    shop.kubectl_does(&format!("set resources deployment {workload} --requests=cpu=200m"));
    // What nobody else touches goes on as ever.
    shop.change("loaded/service.yaml", "cpu: 70", "cpu: 60");
    let plan = shop.deployed.komandan("plan --output json").run().succeeds().json_lines().pop().expect("a plan");
    let left = &plan["left"][0];
    assert_eq!((&left["service"], &left["fields"][0]["manager"]), (&"api".into(), &"kubectl-set".into()), "{plan}");
    let _ = shop.deployed.komandan("deploy").run().succeeds();
    shop.change("api/service.yaml", "cpu: 100m", "cpu: 300m");
    let words = [
        format!("Deployment {workload}"),
        ".spec.template.spec.containers[name=\"service\"].resources.requests.cpu was set by kubectl-set".to_owned(),
        "--force-conflicts".to_owned(),
    ];
    for line in ["plan", "deploy"] {
        shop.is_refused(line, &words.each_ref().map(String::as_str));
    }
    assert_eq!(container(&shop)["resources"]["requests"]["cpu"], "200m");
    let told = shop.deployed.komandan("deploy HEAD~1").run().succeeds();
    let left = format!("left as it is: of the Deployment {workload}, .spec.template");
    assert!(told.stdout().starts_with("unchanged") && told.stderr().contains(&left), "{}", told.stderr());
    let _ = shop.deployed.komandan("plan --force-conflicts").run().succeeds();
    let _ = shop.deployed.komandan("deploy --force-conflicts").run().succeeds();
    assert_eq!(container(&shop)["resources"]["requests"]["cpu"], "300m");

    shop.kubectl_does(&format!("set image deployment {workload} service=somebody/else@sha256:{}", "1".repeat(64)));
    let told = shop.deployed.komandan("plan --force-conflicts").run().succeeds().stdout();
    assert!(told.contains("image was set by kubectl-set"), "{told}");
    let _ = shop.deployed.komandan("deploy --force-conflicts").run().succeeds();
    assert!(container(&shop)["image"].as_str().is_some_and(|image| image.contains("demo")), "{}", container(&shop));

    // The way back is no other.
    shop.kubectl_does(&format!("set resources deployment {workload} --requests=cpu=200m"));
    let told = shop.deployed.komandan("revert").run().ends_with(6).stderr();
    assert!(told.contains(words[1].as_str()), "{told}");
    assert_eq!(container(&shop)["resources"]["requests"]["cpu"], "200m");
    let _ = shop.deployed.komandan("deploy --force-conflicts").run().succeeds();
    assert_eq!(container(&shop)["resources"]["requests"]["cpu"], "300m");

    // To restart something, or to remark on it, is in nobody's way, and stays.
    shop.kubectl_does(&format!("rollout restart deployment {workload}"));
    shop.kubectl_does(&format!("annotate deployment {workload} somebody/remark=here"));
    shop.change("api/service.yaml", "cpu: 300m", "cpu: 400m");
    let _ = shop.deployed.komandan("deploy").run().succeeds();
    let live = shop.deployment("api");
    assert_eq!(live["metadata"]["annotations"]["somebody/remark"], "here");
    let restarted = &live["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"];
    assert!(restarted.is_string(), "{live}");

    // Requests that somebody leads elsewhere by hand stay there until it is said otherwise.
    shop.kubectl_does("patch service api --type merge --patch {\"spec\":{\"selector\":{\"app\":\"elsewhere\"}}}");
    shop.change("api/api.conf", "first", "second");
    shop.is_refused("deploy", &["Service api", ".spec.selector was set by kubectl-patch"]);
    let _ = shop.deployed.komandan("deploy --force-conflicts").run().succeeds();
    assert_eq!(shop.deployed.namespace.kubectl("get service api")["spec"]["selector"]["app.kubernetes.io/name"], "api");
}

#[test]
fn what_is_not_watched_is_asked_of_the_api_server_and_left_as_it_is_all_the_same() {
    let shop = Shop::deployed("beside");
    let name = shop.workload("loaded");
    let most = || {
        let scaler = shop.deployed.namespace.kubectl(&format!("get horizontalpodautoscaler {name}"));
        scaler["spec"]["maxReplicas"].clone()
    };
    shop.kubectl_does(&format!(
        "patch horizontalpodautoscaler {name} --field-manager=operations --type merge --patch {{\"spec\":{{\"maxReplicas\":9}}}}"
    ));
    shop.change("loaded/service.yaml", "max: 3", "max: 4");
    let told = shop.deployed.komandan("deploy").run().ends_with(6).stderr();
    let scaler = format!("HorizontalPodAutoscaler {name}");
    for words in [scaler.as_str(), ".spec.maxReplicas was set by operations", "--force-conflicts"] {
        assert!(told.contains(words), "{words:?} is not in {told}");
    }
    assert_eq!(most(), 9);
    let _ = shop.deployed.komandan("deploy --force-conflicts").run().succeeds();
    assert_eq!(most(), 4);
}
