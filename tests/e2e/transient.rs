//! Clusters that end by themselves: begun, changed, extended, put to sleep, ended, killed in between; and nothing of them is left.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clustergraph_tests::local::wait_until;
use clustergraph_tests::{Clusters, Fault, Namespace, Proxy};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A service with a database that is migrated and filled.
const KEEPER: &str = "name: keeper\nimage: demo@sha256:7777777777777777777777777777777777777777777777777777777777777777\n\
    security: baseline\nports: { http: 8000 }\nstop: { grace: 1s }\nresources: { cpu: 10m, memory: 16Mi }\n\
    databases: [{ kind: postgres, version: \"15\", as: kept, migrate: { run: [migrate], schema: migrations/ }, seed: { run: [seed] } }]\n";
const KEPT: &[(&str, &str)] =
    &[("keeper/service.yaml", KEEPER), ("keeper/migrations/1.sql", "create table kept (id int);\n")];

/// A host of its own for each.
const FRONT: &str = "domain: \"pr-{n}.shop.example\", ingress: { class: nginx }";

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// The uids of a namespace's Deployments, by the service's name.
fn deployments(clusters: &Clusters, namespace: &str) -> BTreeSet<(String, String)> {
    let list = clusters.home().kubectl(&format!("get deployments --namespace {namespace}"));
    let items = list["items"].as_array().expect("Deployments");
    let name = |item: &Value| text(&item["metadata"]["labels"]["app.kubernetes.io/name"]);
    items.iter().map(|item| (name(item), text(&item["metadata"]["uid"]))).collect()
}

#[test]
fn a_cluster_begins_changes_and_ends_by_itself_and_nothing_of_it_is_left() {
    let settings = format!("{FRONT}, seed: true, quota: {{ memory: 4Gi, pods: 20 }}");
    let clusters = Clusters::with("life", &settings, KEPT);
    let before = clusters.everything(&[]);

    // What it would be is shown, and nothing is made.
    let planned = clusters.komandan("up --pr 7 --dry-run").run().succeeds().stdout();
    assert!(planned.contains("keeper/kept") && planned.contains("pr-7.shop.example"), "{planned}");
    assert_eq!(clusters.everything(&[]), before);

    let up = clusters.result("up --pr 7");
    let namespace = text(&up["namespace"]);
    assert_eq!(
        (&up["schema"], &up["name"], &up["entries"]["www"]),
        (&"komandan.up/1".into(), &"pr-7".into(), &"http://pr-7.shop.example".into())
    );
    assert!(namespace.starts_with("pr-7-"), "{namespace}");
    assert_eq!(clusters.live(), std::slice::from_ref(&namespace));
    let quota = clusters.home().kubectl(&format!("get resourcequota komandan-quota --namespace {namespace}"));
    assert_eq!(quota["spec"]["hard"]["pods"], "20");
    let jobs = clusters.home().kubectl(&format!("get jobs --namespace {namespace}"));
    let names: Vec<String> =
        jobs["items"].as_array().expect("Jobs").iter().map(|job| text(&job["metadata"]["name"])).collect();
    assert!(
        names.iter().any(|name| name.starts_with("migrate-")) && names.iter().any(|name| name.starts_with("seed-")),
        "{names:?}"
    );

    // The same again is nothing, and another commit only what it changes.
    let first = deployments(&clusters, &namespace);
    let again = clusters.result("up --pr 7");
    assert_eq!(
        (&again["unchanged"], &again["namespace"], &again["ends"]),
        (&true.into(), &up["namespace"], &up["ends"])
    );
    clusters.deployed.repository.append("www/service.yaml", "env: { LEVEL: high }");
    clusters.deployed.repository.commit("a page of another level");
    let second = clusters.komandan("up --pr 7 --output json").run().succeeds();
    let done = second.json_lines();
    let steps: BTreeSet<String> =
        done.iter().filter(|it| it["event"] == "step" && it["state"] == "done").map(|it| text(&it["step"])).collect();
    assert!(!steps.iter().any(|step| step.contains("kept") || step == "api"), "{steps:?}");
    let then = deployments(&clusters, &namespace);
    let of = |all: &BTreeSet<(String, String)>, name: &str| -> BTreeSet<String> {
        all.iter().filter(|(of, _)| of == name).map(|(_, uid)| uid.clone()).collect()
    };
    for unchanged in ["api", "keeper"] {
        assert_eq!(of(&first, unchanged), of(&then, unchanged), "{unchanged}");
    }
    assert_ne!(of(&first, "www"), of(&then, "www"));

    // Others find it by its name.
    let status = clusters.deployed.json("status --pr 7");
    assert_eq!(
        (&status["cluster"], &status["namespace"], &status["version"]),
        (&"pr-7".into(), &namespace.as_str().into(), &2.into())
    );
    let listed = clusters.deployed.json("list");
    let one = &listed["clusters"][0];
    assert_eq!(
        (&one["name"], &one["state"], &one["entries"]["www"]),
        (&"pr-7".into(), &"live".into(), &up["entries"]["www"])
    );
    assert!(one["asks_for"]["pods"].as_u64().is_some_and(|pods| pods >= 4), "{one}");
    let told = clusters.komandan("list").run().succeeds().stdout();
    assert!(told.contains(&namespace) && told.contains("http://pr-7.shop.example"), "{told}");

    // Its end is moved, and comes: nothing of ours runs then.
    let extended = clusters.result("extend pr-7 --ttl 3s");
    assert!(text(&extended["ends"]) < text(&up["ends"]), "{extended}");
    clusters.wait_until_all_is_gone(&before, &[namespace]);
    assert_eq!(clusters.deployed.json("list")["clusters"], serde_json::json!([]));
    let none = clusters.komandan("status --pr 7").run().ends_with(1).stderr();
    assert!(none.contains("there is no cluster pr-7") && none.contains("komandan list"), "{none}");
}

#[test]
fn a_cluster_of_a_few_seconds_goes_whoever_runs() {
    let clusters = Clusters::new("seconds", "");
    let before = clusters.everything(&[]);
    let up = clusters.result("up --name short --ttl 15s");
    clusters.wait_until_all_is_gone(&before, &[text(&up["namespace"])]);
}

#[test]
fn its_end_is_moved_there_and_back_and_by_the_next_up() {
    let clusters = Clusters::new("extend", "");
    let ends = |line: &str| text(&clusters.result(line)["ends"]);
    let first = ends("up --pr 3");
    let later = ends("extend --pr 3 --ttl 5h");
    assert!(later > first, "{later} is after {first}");
    let sooner = ends("extend pr-3 --ttl 30m");
    assert!(sooner < first, "{sooner} is before {first}");
    assert_eq!(ends("up --pr 3"), sooner, "another up leaves it");
    assert!(ends("up --pr 3 --ttl 9h") > later);
    for bad in ["extend pr-3 --ttl 0s", "extend pr-3 --ttl soon", "extend pr-3", "up --pr 3 --ttl 1000d"] {
        let _ = clusters.komandan(bad).run().ends_with(2);
    }
    let none = clusters.komandan("extend pr-4 --ttl 1h").run().ends_with(1).stderr();
    assert!(none.contains("there is no cluster pr-4"), "{none}");
}

#[test]
fn down_ends_it_before_its_time_twice_is_fine_and_the_next_one_waits_for_nothing() {
    let clusters = Clusters::new("down", "");
    let before = clusters.everything(&[]);
    let first = text(&clusters.result("up --pr 5")["namespace"]);
    let down = clusters.result("down --pr 5");
    assert_eq!(down["namespaces"], serde_json::json!([first]));
    let second = text(&clusters.result("up --pr 5")["namespace"]);
    assert_ne!(first, second, "a dying one is not waited for");
    let _ = clusters.komandan("down --pr 5 --wait").run().succeeds();
    let again = clusters.komandan("down --pr 5").run().succeeds().stdout();
    assert!(again.contains("there is no cluster pr-5"), "{again}");
    clusters.wait_until_all_is_gone(&before, &[first, second]);

    // Whoever deletes its namespace by hand gets a new one with the next `up`.
    let third = text(&clusters.result("up --pr 5")["namespace"]);
    clusters.home().kubectl_does(&format!("delete namespace --wait=false {third}"));
    let fourth = text(&clusters.result("up --pr 5")["namespace"]);
    assert_ne!(third, fourth);
    assert_eq!(clusters.live(), std::slice::from_ref(&fourth));
    let _ = clusters.komandan("down --pr 5").run().succeeds();
    clusters.wait_until_all_is_gone(&before, &[third, fourth]);
}

#[test]
fn of_two_who_begin_the_same_cluster_at_once_one_wins_and_the_other_is_told() {
    let clusters = Clusters::new("twice", "");
    for round in 0..3 {
        let line = format!("up --name same-{round}");
        let both: Vec<_> = (0..2).map(|_| clusters.komandan(&line).spawn()).collect();
        let both: Vec<_> = both.into_iter().map(|child| child.wait_with_output().expect("it ends")).collect();
        let codes: BTreeSet<i32> = both.iter().filter_map(|it| it.status.code()).collect();
        let told: Vec<_> = both.iter().map(|it| String::from_utf8_lossy(&it.stderr).into_owned()).collect();
        // Whoever comes when the other has ended finds nothing to do.
        assert!(codes.contains(&0) && codes.is_subset(&[0, 5].into()), "{codes:?} {told:?}");
        assert_eq!(clusters.live().len(), round + 1, "{told:?}");
    }
    // While one is at work, the other is told so.
    let child = clusters.komandan("up --name held").env("KOMANDAN_PAUSE", "applied").spawn();
    let stat = format!("/proc/{}/stat", child.id());
    wait_until("it is paused", || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
    let refused = clusters.komandan("up --name held").run().ends_with(5).stderr();
    assert!(refused.contains(" is changing held since ") && refused.contains("--wait"), "{refused}");
    kill_process(Pid::from_child(&child), Signal::CONT).expect("it goes on");
    let output = child.wait_with_output().expect("it ends");
    assert!(matches!(output.status.code(), Some(0 | 5)), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The place before the write of this number; `None` when the command came to its end before.
fn killed(clusters: &Clusters, line: &str, number: u64) -> Option<()> {
    let died = clusters.komandan(line).env("KOMANDAN_FAULT", format!("write-{number}")).run();
    if died.code().is_some() {
        let _ = died.succeeds();
        return None;
    }
    Some(())
}

#[test]
fn whoever_is_killed_at_any_step_leaves_what_the_deadline_or_down_or_the_next_up_ends() {
    let clusters = Clusters::new("killed", "quota: { pods: 20 }");
    let before = clusters.everything(&[]);
    // The steps that make what ends it, and some after: nobody comes back, and the deadline ends what is there.
    let seen = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for number in 1..=8 {
            let (clusters, seen) = (&clusters, &seen);
            scope.spawn(move || {
                assert!(killed(clusters, &format!("up --name left-{number} --ttl 20s"), number).is_some());
                seen.lock().expect("nobody panics").extend(clusters.live());
            });
        }
    });
    let seen = seen.into_inner().expect("nobody panics");
    clusters.wait_until_all_is_gone(&before, &seen);

    // Every step there is: the next `up` goes on from there, or `down` ends it.
    let (next, is_over, wrong) = (AtomicU64::new(1), AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while is_over.load(Ordering::Relaxed) == 0 {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let name = format!("again-{number}");
                    if killed(&clusters, &format!("up --name {name}"), number).is_none() {
                        is_over.store(number, Ordering::Relaxed);
                    } else if number % 2 == 0 {
                        let up = clusters.komandan(&format!("up --name {name} --output json")).run();
                        let serves = up.json_lines().pop().is_some_and(|it| it["version"] == 1);
                        if up.code() != Some(0) || !serves {
                            wrong.lock().expect("nobody panics").push(format!("{number}: {}", up.stderr()));
                        }
                    }
                    let down = clusters.komandan(&format!("down --name {name}")).run();
                    if down.code() != Some(0) {
                        wrong.lock().expect("nobody panics").push(format!("{number}: {}", down.stderr()));
                    }
                }
            });
        }
    });
    assert_eq!(wrong.into_inner().expect("nobody panics"), Vec::<String>::new());
    assert!(is_over.into_inner() > 15, "every write is a step");
    clusters.wait_until_all_is_gone(&before, &[]);

    // To end one is a step, too.
    let _ = clusters.komandan("up --name last").run().succeeds();
    let died = clusters.komandan("down --name last").env("KOMANDAN_FAULT", "end-forgotten").run();
    assert_eq!(died.code(), None, "{}", died.stderr());
    clusters.wait_until_all_is_gone(&before, &[]);
}

#[test]
fn twenty_at_once_are_made_listed_and_ended() {
    let clusters = Clusters::new("twenty", FRONT);
    let before = clusters.everything(&[]);
    let all = |line: &str| {
        let line = |number: u32| line.replace('N', &number.to_string());
        let children: Vec<_> = (1..=20).map(|number| clusters.komandan(&line(number)).spawn()).collect();
        for child in children {
            let output = child.wait_with_output().expect("it ends");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    };
    all("up --pr N");
    let listed = clusters.deployed.json("list");
    let listed = listed["clusters"].as_array().expect("clusters");
    let hosts: BTreeSet<String> = listed.iter().map(|it| text(&it["entries"]["www"])).collect();
    assert_eq!((listed.len(), hosts.len()), (20, 20), "{listed:?}");
    assert!(listed.iter().all(|it| it["state"] == "live"), "{listed:?}");
    let namespaces = clusters.live();
    all("down --pr N");
    clusters.wait_until_all_is_gone(&before, &namespaces);
}

#[test]
fn what_it_lacks_is_told_before_anything_is_made_and_secrets_come_from_their_source_alone() {
    let pay = "name: pay\nimage: demo@sha256:7777777777777777777777777777777777777777777777777777777777777777\nsecurity: baseline\n\
               ports: { http: 8000 }\nstop: { grace: 1s }\nsecrets: [KEY, TOKEN, { name: HINT, optional: true }]\n";
    let more = [("pay/service.yaml", pay)];
    let clusters = Clusters::with("secrets", "secrets_from: dev-secrets", &more);
    let before = clusters.everything(&[]);
    let lacks = clusters.komandan("up --pr 7").run().ends_with(4).stderr();
    for words in [
        "`KEY` of pay has no value on pr-7",
        "`TOKEN` of pay has no value",
        "pay/service.yaml:6",
        "`pay.KEY`",
        "dev-secrets",
    ] {
        assert!(lacks.contains(words), "{words:?} is not in {lacks}");
    }
    assert_eq!(clusters.everything(&[]), before, "nothing was made");

    clusters.home().kubectl_does(
        "create secret generic dev-secrets --from-literal=KEY=of-all --from-literal=pay.KEY=of-pay --from-literal=TOKEN=t --from-literal=OTHER=o",
    );
    let namespace = text(&clusters.result("up --pr 7")["namespace"]);
    let secret = || clusters.home().kubectl(&format!("get secret pay-secrets --namespace {namespace}"))["data"].clone();
    let has = |name: &str| Namespace::decode(&text(&secret()[name]));
    assert_eq!((has("KEY").as_str(), has("TOKEN").as_str()), ("of-pay", "t"));
    assert_eq!(secret().as_object().expect("values").len(), 2, "and nothing that it does not name");

    // Another value is brought by the next `up`, to whom it concerns.
    let before = deployments(&clusters, &namespace);
    clusters.home().kubectl_does("patch secret dev-secrets --patch {\"stringData\":{\"TOKEN\":\"u\"}}");
    let told = clusters.komandan("up --pr 7").run().succeeds().stderr();
    assert!(told.contains("its secrets changed"), "{told}");
    assert_eq!((has("TOKEN").as_str(), deployments(&clusters, &namespace)), ("u", before));
}

#[test]
fn the_certificate_of_all_hosts_is_where_each_ingress_looks_for_it() {
    let clusters = Clusters::new("tls", "domain: \"pr-{n}.shop.example\", ingress: { class: nginx, tls: shop-tls }");
    let before = clusters.everything(&[]);
    let lacks = clusters.komandan("up --pr 7").run().ends_with(6).stderr();
    assert!(lacks.contains("there is no Secret shop-tls in the namespace"), "{lacks}");
    assert_eq!(clusters.everything(&[]), before, "nothing was made");
    clusters.home().kubectl_does(
        "create secret generic shop-tls --type=kubernetes.io/tls --from-literal=tls.crt=c --from-literal=tls.key=k",
    );
    let up = clusters.result("up --pr 7");
    assert_eq!(up["entries"]["www"], "https://pr-7.shop.example");
    let of = |namespace: &str| {
        let found = clusters.home().kubectl(&format!("get secret shop-tls --namespace {namespace}"));
        (found["type"].clone(), found["data"].clone())
    };
    assert_eq!(of(&text(&up["namespace"])), of(clusters.home().name()));
    assert_eq!(clusters.result("up --pr 7")["unchanged"], true);
}

#[test]
fn what_there_is_no_room_for_and_what_is_no_such_cluster_is_refused_before_anything_is_made() {
    let clusters = Clusters::new("refused", "quota: { pods: 1 }");
    let before = clusters.everything(&[]);
    for line in ["up --pr 7", "up --pr 7 --dry-run"] {
        let full = clusters.komandan(line).run().ends_with(4).stderr();
        assert!(full.contains("komandan-quota allows 1 of pods"), "{full}");
    }
    for (line, words) in [
        ("deploy --cluster pr", "`komandan up --pr N`"),
        ("deploy --pr 7", "`komandan up --pr N`"),
        ("up --pr 7 --cluster production", "does not end by itself"),
        ("up", "--pr N or --name NAME"),
        ("up --name production", "is a cluster of clustergraph.yaml"),
        ("status --cluster pr", "which of the clusters of pr is meant?"),
        ("down --cluster pr", "which of the clusters of pr is meant?"),
        ("sleep pr-7", "there is no cluster pr-7"),
    ] {
        let refused = clusters.komandan(line).run().ends_with(1).stderr();
        assert!(refused.contains(words), "{line}: {refused}");
    }
    assert_eq!(clusters.everything(&[]), before, "nothing was made");
}

#[test]
fn it_sleeps_and_wakes_as_it_was_and_an_up_wakes_it() {
    let clusters = Clusters::with("sleep", "", KEPT);
    clusters.deployed.repository.append(
        "api/service.yaml",
        "scale: { replicas: 3 }\njobs: [{ name: tidy, schedule: \"0 3 * * *\", run: [tidy] }]",
    );
    clusters.deployed.repository.commit("three, and a schedule");
    let namespace = text(&clusters.result("up --name nap")["namespace"]);
    let list = |kind: &str| {
        let list = clusters.home().kubectl(&format!("get {kind} --namespace {namespace}"));
        list["items"].as_array().expect("a list").clone()
    };
    let sizes = || {
        let size = |item: &Value| (text(&item["metadata"]["name"]), item["spec"]["replicas"].as_u64().expect("a size"));
        let all: BTreeSet<(String, u64)> =
            ["deployments", "statefulsets"].into_iter().flat_map(list).map(|item| size(&item)).collect();
        all
    };
    let awake = sizes();
    assert!(awake.iter().any(|(_, size)| *size == 3), "{awake:?}");
    for _ in 0..2 {
        let _ = clusters.komandan("sleep nap").run().succeeds();
    }
    assert!(sizes().iter().all(|(_, size)| *size == 0), "{:?}", sizes());
    let runs = |pod: &Value| !["Succeeded", "Failed"].contains(&pod["status"]["phase"].as_str().unwrap_or_default());
    assert!(!list("pods").iter().any(runs) && list("cronjobs").is_empty());
    assert_eq!(clusters.deployed.json("list")["clusters"][0]["state"], "asleep");
    let _ = clusters.komandan("wake --name nap").run().succeeds();
    assert_eq!((sizes(), list("cronjobs").len()), (awake.clone(), 1));
    assert_eq!(clusters.deployed.json("list")["clusters"][0]["state"], "live");
    assert_eq!(clusters.result("up --name nap")["unchanged"], true, "as it was");

    let _ = clusters.komandan("sleep nap").run().succeeds();
    let up = clusters.result("up --name nap");
    assert_eq!((sizes(), &up["unchanged"]), (awake, &true.into()));
}

#[test]
fn where_addresses_are_no_objects_that_is_told_and_gc_ends_it() {
    let clusters = Clusters::new("older", "");
    let proxy = Proxy::new(clusters.home().kubeconfig(), |_, request| {
        if request.path == "/apis/networking.k8s.io/v1" { Fault::Status(404) } else { Fault::None }
    });
    let kubeconfig = proxy.kubeconfig(&clusters.deployed);
    let older = |line: &str| clusters.komandan(line).env("KUBECONFIG", &kubeconfig).run().succeeds();
    let told = older("up --pr 7 --ttl 1h").stderr();
    assert!(told.contains("Kubernetes 1.33") && told.contains("komandan gc --cluster pr"), "{told}");
    let live = clusters.live();
    let doctor = clusters.komandan("doctor --cluster pr").env("KUBECONFIG", &kubeconfig).run().stdout();
    assert!(doctor.contains("clusters do not end by themselves"), "{doctor}");
    assert!(older("gc --cluster pr").stderr().contains("no cluster of pr is over its time"));
    assert_eq!(clusters.live(), live);
    let _ = older("extend pr-7 --ttl 1s");
    wait_until("its time is over", || clusters.home().names("jobs").is_empty());
    assert_eq!(clusters.live(), live, "nobody ended it");
    assert_eq!(clusters.deployed.json("list")["clusters"][0]["state"], "over");
    let planned = older("gc --cluster pr --dry-run").stdout();
    assert!(planned.contains(&live[0]), "{planned}");
    assert_eq!(clusters.live(), live);
    let _ = older("gc --cluster pr");
    assert_eq!(clusters.live(), Vec::<String>::new());
}
