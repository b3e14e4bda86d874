//! `komandan`'s commands for the day after the deploy, on a real Kubernetes with real pods.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::time::Duration;

use clustergraph_tests::local::wait_until;
use clustergraph_tests::{Deployed, Load, Namespace, Versions, get};
use serde_json::Value;

/// Reads the lines of a program that goes on, until one of them is as wanted.
fn line_of(child: &mut Child, wanted: impl Fn(&str) -> bool + Send + 'static) -> String {
    let out = child.stdout.take().expect("its stdout");
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if wanted(&line) {
                let _ = tell.send(line);
            }
        }
    });
    told.recv_timeout(Duration::from_secs(60)).expect("the line that is waited for")
}

/// Ends a program as ctrl-c does.
fn interrupt(mut child: Child) -> Option<i32> {
    let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT);
    child.wait().expect("it ends").code()
}

#[test]
fn secrets_are_kept_listed_by_name_and_forgotten_and_no_value_is_ever_shown() {
    let hello = Deployed::of_example("hello", "secrets");
    hello.repository.append("services/api/service.yaml", "secrets: [TOKEN, { name: DSN, optional: true }]");
    hello.repository.append("services/www/service.yaml", "secrets: [COOKIE_KEY]");
    hello.repository.commit("secrets");
    let mut told = String::new();
    let mut tell = |run: clustergraph_tests::Run| {
        told.push_str(&run.stdout());
        told.push_str(&run.stderr());
        run
    };
    let state = |name: &str| {
        let list = hello.json("secret list");
        let secrets = list["secrets"].as_array().expect("secrets").clone();
        let one = secrets.into_iter().find(|secret| secret["name"] == name).unwrap_or(Value::Null);
        one["state"].as_str().map(str::to_owned)
    };
    assert_eq!(state("TOKEN").as_deref(), Some("missing"));
    assert_eq!(state("DSN").as_deref(), Some("optional"));

    let _ = tell(hello.komandan("secret set api TOKEN").input("hunter-one\n").run().succeeds());
    let secret = hello.namespace.kubectl("get secret api-secrets");
    assert_eq!(Namespace::decode(secret["data"]["TOKEN"].as_str().expect("base64")), "hunter-one");
    assert_eq!(secret["metadata"]["labels"]["app.kubernetes.io/managed-by"], "komandan");

    let file = hello.file("value", "hunter-two\n");
    let words = format!("secret set api DSN --from-file {}", file.display());
    let _ = tell(hello.komandan(&words).run().succeeds());
    let secret = hello.namespace.kubectl("get secret api-secrets");
    assert_eq!(Namespace::decode(secret["data"]["DSN"].as_str().expect("base64")), "hunter-two\n", "to the last byte");
    assert_eq!(Namespace::decode(secret["data"]["TOKEN"].as_str().expect("base64")), "hunter-one");

    let env = hello.file("env", "TOKEN=hunter-three\nCOOKIE_KEY='hunter four'\nEDITOR=vi\n");
    let import = tell(hello.komandan(&format!("secret import {}", env.display())).run().succeeds());
    assert!(import.stderr().contains("EDITOR"), "what nobody names is left out: {}", import.stderr());
    let cookie = hello.namespace.kubectl("get secret www-secrets");
    assert_eq!(Namespace::decode(cookie["data"]["COOKIE_KEY"].as_str().expect("base64")), "hunter four");
    let import = tell(hello.komandan(&format!("secret import www {}", env.display())).run().succeeds());
    assert!(import.stderr().contains("does not name EDITOR, TOKEN"), "{}", import.stderr());
    assert_eq!(state("EDITOR").as_deref(), Some("unused"));

    let empty = tell(hello.komandan("secret set api TOKEN").input("\n").run().ends_with(1));
    assert!(empty.stderr().contains("is empty"), "{}", empty.stderr());
    let _ = tell(hello.komandan("secret set api 1TOKEN").input("hunter-x").run().ends_with(1));
    let _ = tell(hello.komandan("secret unset www EDITOR TOKEN").run().succeeds());
    let unknown = tell(hello.komandan("secret unset www EDITOR").run().ends_with(1));
    assert!(unknown.stderr().contains("no secret EDITOR"), "{}", unknown.stderr());

    let listed = tell(hello.komandan("secret list").run().succeeds()).stdout();
    assert!(listed.contains("services/api/service.yaml:"), "who needs it is said with its line: {listed}");
    let _ = tell(hello.komandan("secret list --output json").run().succeeds());

    // Data, as everything that people gave: only a person who says so deletes it.
    let _ = tell(hello.komandan("gc").run().succeeds());
    let _ = tell(hello.komandan("down").run().succeeds());
    assert_eq!(state("TOKEN").as_deref(), Some("set"));
    let _ = tell(hello.komandan("secret unset www COOKIE_KEY").run().succeeds());
    assert!(!hello.namespace.names("secrets").contains(&"www-secrets".to_owned()), "it goes with its last name");

    hello.namespace.kubectl_does("create secret generic shop-secrets --from-literal=A=foreign");
    for line in ["secret set shop A", "secret set shop B"] {
        let refused = tell(hello.komandan(line).input("hunter-five").run().ends_with(6));
        assert!(refused.stderr().contains("Secret shop-secrets"), "{}", refused.stderr());
    }
    let foreign = hello.namespace.kubectl("get secret shop-secrets");
    assert_eq!(foreign["data"].as_object().map(serde_json::Map::len), Some(1));

    let _ = tell(hello.komandan("down --delete-data").run().succeeds());
    wait_until("our secrets are gone", || !hello.namespace.names("secrets").contains(&"api-secrets".to_owned()));
    assert!(!told.contains("hunter"), "a value was told:\n{told}");
}

#[test]
fn a_size_chosen_by_hand_and_a_restart_fail_no_request_and_the_size_holds_over_deploys_and_reverts() {
    let hello = Deployed::of_example("hello", "scale");
    let _ = hello.komandan("deploy").run().succeeds();
    let load = Load::on(&hello.entry("www"), 10, 10);
    let size = || {
        let api = hello.json("status")["nodes"]["api"].clone();
        (api["desired"].clone(), api["ready"].clone(), api["scaled"]["replicas"].clone())
    };
    assert_eq!(size(), (2.into(), 2.into(), Value::Null));
    let scaled = hello.result("scale api 3");
    assert_eq!((&scaled["replicas"], &scaled["declared"]), (&3.into(), &2.into()));
    assert_eq!(size(), (3.into(), 3.into(), 3.into()));
    let status = hello.komandan("status").run().succeeds().stdout();
    assert!(status.contains("scaled to 3 by "), "{status}");

    let before = hello.pods("api");
    assert_eq!(before.len(), 3);
    let _ = hello.komandan("restart api").run().succeeds();
    wait_until("every former instance is gone", || hello.pods("api").is_disjoint(&before));
    assert_eq!(hello.pods("api").len(), 3);

    hello.edit_api("the second version");
    let _ = hello.komandan("deploy").run().succeeds();
    assert_eq!(hello.json("status")["version"], 2);
    assert_eq!(size(), (3.into(), 3.into(), 3.into()), "a later deploy carries it on");
    let unchanged = hello.komandan("deploy").run().succeeds().stdout();
    assert!(unchanged.starts_with("unchanged"), "{unchanged}");
    let reverted = hello.result("revert");
    assert_eq!(reverted["warm"], true, "the version before has the size, too: {reverted}");
    assert_eq!(size(), (3.into(), 3.into(), 3.into()));

    let reset = hello.result("scale api --reset");
    assert_eq!(reset["replicas"], 2);
    assert_eq!(size(), (2.into(), 2.into(), Value::Null));
    let _ = hello.komandan("restart --all").run().succeeds();

    let unknown = hello.komandan("scale apo 3").run().ends_with(1).stderr();
    assert!(unknown.contains("did you mean `api`?"), "{unknown}");
    let _ = hello.komandan("scale api 0").run().ends_with(2);
    let served = load.stop();
    assert_eq!(served.failures, Vec::<String>::new(), "of {} requests", served.requests);
}

#[test]
fn a_size_that_was_noted_before_the_program_died_is_made_so_by_the_next_deploy() {
    let hello = Deployed::of_example("hello", "scale-died");
    let _ = hello.komandan("deploy").run().succeeds();
    let died = hello.komandan("scale www 2").env("KOMANDAN_FAULT", "size-noted").run();
    assert!(died.code().is_none(), "it was to die, and ended with {:?}", died.code());
    let _ = hello.komandan("deploy --wait").run().succeeds();
    assert_eq!(hello.json("status")["nodes"]["www"]["ready"], 2);
}

#[test]
fn a_restart_or_a_size_that_cannot_be_is_told_with_its_cause_and_put_back() {
    let hello = Deployed::of_example("hello", "put-back");
    let _ = hello.komandan("deploy").run().succeeds();
    let page = hello.entry("www");
    let before = hello.pods("www");
    // No new pod can be made without its account.
    hello.namespace.kubectl_does("delete serviceaccount komandan-workload");
    for line in ["restart www", "scale www 2"] {
        let failed = hello.komandan(line).run().ends_with(4).stderr();
        assert!(failed.contains("komandan-workload"), "{line}: {failed}");
        assert_eq!(get(&page).status, 200, "{line}");
    }
    let www = hello.json("status")["nodes"]["www"].clone();
    assert_eq!((&www["desired"], &www["scaled"]), (&1.into(), &Value::Null));
    assert_eq!(hello.pods("www"), before, "the former instance is still the one that serves");
    hello.namespace.kubectl_does("create serviceaccount komandan-workload");
    hello.namespace.kubectl_does(
        "label serviceaccount komandan-workload app.kubernetes.io/managed-by=komandan app.kubernetes.io/part-of=production",
    );
    wait_until("all is well again", || hello.json("status")["nodes"]["www"]["note"] == "");
    let _ = hello.komandan("restart www").run().succeeds();
}

#[test]
fn people_look_into_what_runs_by_logs_exec_and_connect() {
    let hello = Deployed::of_example("hello", "look");
    let _ = hello.komandan("deploy").run().succeeds();

    // Commands in instances, with their exit codes and whatever they read and write.
    let run =
        hello.komandan("exec api --").word("sh").word("-c").word("echo to-stdout; echo to-stderr >&2; exit 7").run();
    let run = run.ends_with(7);
    assert_eq!((run.stdout().trim(), run.stderr().trim()), ("to-stdout", "to-stderr"));
    let text: String = (0..20_000).map(|line| format!("line {line}\n")).collect();
    let copied = hello.komandan("exec api --").word("cat").input(&text).run().succeeds().stdout();
    assert_eq!(copied, text, "all of the input comes back");
    let unknown = hello.komandan("exec apo -- true").run().ends_with(1).stderr();
    assert!(unknown.contains("did you mean `api`?"), "{unknown}");
    let missing = hello.komandan("exec api -- nosuchprogram").run();
    assert_ne!(missing.code(), Some(0));
    assert!(missing.stderr().contains("nosuchprogram"), "{}", missing.stderr());
    let server = hello.komandan("exec postgres-15 -- true").run().succeeds();
    assert_eq!(server.stdout(), "");

    // A service of its own port, and the entry that is meant when nothing is named.
    for (line, has_path) in [("connect", true), ("connect api", false), ("connect api:http", false)] {
        let mut child = hello.komandan(line).spawn();
        let url = line_of(&mut child, |line| line.starts_with("http://127.0.0.1:"));
        let answer = if has_path { get(&url) } else { get(&format!("{url}healthz")) };
        assert_eq!(answer.status, 200, "{line}");
        assert_eq!(interrupt(child), Some(0), "{line}");
    }
    // A database: the password only for those who ask for it.
    let secret = hello.namespace.kubectl("get secret credentials.api.greetings");
    let password = Namespace::decode(secret["data"]["password"].as_str().expect("base64"));
    let mut child = hello.komandan("connect api/greetings").spawn();
    let url = line_of(&mut child, |line| line.starts_with("postgresql://"));
    assert!(!url.contains(&password) && !url.contains('@'), "{url}");
    // What answers at the port is a PostgreSQL: it says whether it speaks TLS.
    let address = url.trim_start_matches("postgresql://").to_owned();
    let mut connection = std::net::TcpStream::connect(&address).expect("a connection");
    std::io::Write::write_all(&mut connection, &[0, 0, 0, 8, 4, 210, 22, 47]).expect("it is asked");
    let mut answer = [0];
    std::io::Read::read_exact(&mut connection, &mut answer).expect("it answers");
    assert!(matches!(answer[0], b'S' | b'N'), "{answer:?}");
    assert_eq!(interrupt(child), Some(0));
    let mut child = hello.komandan("connect api/greetings --show-credentials").spawn();
    let url = line_of(&mut child, |line| line.starts_with("postgresql://"));
    assert!(url.contains(&format!(":{password}@127.0.0.1:")), "the whole URL is told to who asks for it");
    assert_eq!(interrupt(child), Some(0));

    // Logs: of all instances, each with its name; followed also to instances that are yet to come.
    let logs = hello.komandan("logs").run().succeeds().stdout();
    let prefixes: BTreeSet<&str> = logs.lines().filter_map(|line| line.split(" |").next()).map(str::trim_end).collect();
    let of = |service: &str| prefixes.iter().filter(|prefix| prefix.starts_with(&format!("{service}/"))).count();
    assert_eq!((of("api"), of("www")), (2, 1), "{prefixes:?}");
    let server = hello.komandan("logs postgres-15 -n 3 --output json").run().succeeds().json_lines();
    assert_eq!((server.len(), &server[0]["schema"]), (3, &"komandan.log/1".into()));
    let migrations = hello.komandan("logs api/greetings").run().succeeds().stdout();
    assert!(migrations.starts_with("api/greetings/"), "{migrations}");
    let never = hello.komandan("logs --previous").run().succeeds().stderr();
    assert!(never.contains("no instance was restarted"), "{never}");
    let first = hello.komandan("logs www --version 1").run().succeeds().stdout();
    assert!(first.starts_with("www/"), "{first}");
    let pods: BTreeSet<String> = hello.namespace.names("pods").into_iter().collect();
    let mut child = hello.komandan("logs -f api --output json").spawn();
    let known = pods.clone();
    let restarted = std::thread::scope(|scope| {
        let restarting = scope.spawn(|| hello.komandan("restart api").run().succeeds());
        let line = line_of(&mut child, move |line| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            line["pod"].as_str().is_some_and(|pod| !known.contains(pod))
        });
        let _ = restarting.join().expect("it restarts");
        line
    });
    assert!(restarted.contains("\"service\":\"api\""), "{restarted}");
    assert_eq!(interrupt(child), Some(0));
}

#[test]
fn who_stays_connected_is_led_to_what_serves_then() {
    let shop = Versions::new("connected", "strategy: atomic");
    let _ = shop.komandan("deploy").run().succeeds();
    let mut child = shop.komandan("connect www").spawn();
    let url = line_of(&mut child, |line| line.starts_with("http://127.0.0.1:"));
    assert_eq!(shop.answers(&url), shop.workloads(1));
    shop.edit("the second");
    let _ = shop.komandan("deploy").run().succeeds();
    assert_eq!(shop.answers(&url), shop.workloads(2));
    let _ = shop.komandan("revert").run().succeeds();
    assert_eq!(shop.answers(&url), shop.workloads(1));
    assert_eq!(interrupt(child), Some(0));
}

#[test]
fn versions_are_compared_and_old_ones_are_collected_by_reachability() {
    let hello = Deployed::of_example("hello", "diff");
    let _ = hello.komandan("deploy").run().succeeds();
    hello.edit_api("the second version");
    let _ = hello.komandan("deploy").run().succeeds();
    hello.repository.replace("services/www/service.yaml", "env: { NODE_ID", "env: { COLOUR: blue, NODE_ID");
    hello.repository.commit("blue");

    let plain = hello.komandan("diff 1 2").run().succeeds().stdout();
    assert!(plain.contains("~ api") && plain.contains("services/api/app.py"), "the chain ends at the edit: {plain}");
    assert!(plain.contains("because api changed because"), "{plain}");
    let head = hello.json("diff");
    let names: Vec<&str> =
        head["differences"].as_array().expect("nodes").iter().filter_map(|node| node["name"].as_str()).collect();
    assert_eq!((names, &head["with_reasons"]), (vec!["www"], &true.into()), "{head}");
    let objects = hello.komandan("diff --objects 2 HEAD").run().succeeds().stdout();
    assert!(
        objects.contains("--- www: Deployment (version 2)") && objects.contains("+        - name: COLOUR"),
        "{objects}"
    );
    assert!(!objects.contains("--- api: Deployment"), "what is the same is not shown: {objects}");

    // Elsewhere only the records are there.
    let away = hello.komandan_in(hello.beside(), "diff 1 2");
    let by_records = away.run().succeeds();
    assert!(by_records.stdout().contains("its sources changed"), "{}", by_records.stdout());

    let _ = hello.komandan("deploy").run().succeeds();
    hello.edit_api("the fourth version");
    let _ = hello.komandan("deploy").run().succeeds();
    let stored = || -> BTreeSet<String> {
        hello.namespace.names("configmaps").into_iter().filter(|name| name.starts_with("komandan-")).collect()
    };
    let before = stored();
    assert!(before.contains("komandan-version-000001"));
    let planned = hello.json("gc --dry-run --keep 1");
    let planned: BTreeSet<String> = planned["removed"]
        .as_array()
        .expect("what would go")
        .iter()
        .map(|waste| waste["name"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(stored(), before, "nothing has changed yet");
    let _ = hello.komandan("gc --keep 1").run().succeeds();
    let gone: BTreeSet<String> = before.difference(&stored()).cloned().collect();
    assert!(gone.is_superset(&["komandan-version-000001".to_owned(), "komandan-version-000002".to_owned()].into()));
    assert!(gone.is_subset(&planned), "{gone:?} went, {planned:?} was told");
    assert!(hello.namespace.names("jobs").is_empty(), "the migration's Job is over, and its end is written down");
    assert!(stored().contains("komandan-databases"), "what is known of data stays");
    let again = hello.komandan("gc --keep 1").run().succeeds().stderr();
    assert!(again.contains("nothing to collect"), "{again}");
    // What is kept warm is whole: it can be brought back, and deployed again.
    let _ = hello.komandan("revert").run().succeeds();
    let refused = hello.komandan("revert 1").run().ends_with(1).stderr();
    assert!(refused.contains("there is no version 1"), "{refused}");
    let _ = hello.komandan("deploy HEAD").run().succeeds();
    assert_eq!(get(&hello.entry("www")).status, 200);
}

#[test]
fn an_account_with_exactly_the_rights_that_are_printed_can_do_everything_and_doctor_names_what_is_missing() {
    let hello = Deployed::of_example("hello", "rights");
    // Every kind of object is made: what the example lacks, these two have.
    hello.repository.write(
        "services/extra/service.yaml",
        "name: extra\nstack: python\nrun: [python, -m, http.server, \"8000\"]\nports: { http: 8000 }\nhealth: { http: / }\n\
         files: { /etc/extra.conf: extra.conf }\nscale: { max: 2, cpu: 80 }\nresources: { cpu: 20m, memory: 64Mi }\n\
         jobs: [{ name: nightly, schedule: \"0 3 * * *\", run: [python, -c, pass] }]\n\
         test: { run: [python, -c, pass], list: [python, -c, \"print('one')\"] }\nsmoke: { run: [python, -c, pass] }\n",
    );
    hello.repository.write("services/extra/extra.conf", "level = info\n");
    hello.repository.write(
        "services/keeper/service.yaml",
        "name: keeper\nstack: python\nrun: [python, -m, http.server, \"8000\"]\nports: { http: 8000 }\nhealth: { http: / }\nvolumes: { data: /data }\n",
    );
    for service in ["extra", "keeper"] {
        hello.repository.write(&format!("services/{service}/requirements.txt"), "");
    }
    hello.repository.commit("more services");
    hello.namespace.kubectl_does(&format!("create namespace {}", hello.namespace.name()));
    hello.namespace.kubectl_does("create serviceaccount komandan");
    let kubeconfig = hello.kubeconfig_of("komandan");
    let requests = hello.file("requests", "");
    let komandan = |line: &str| hello.komandan(line).env("KUBECONFIG", &kubeconfig).env("KOMANDAN_REQUESTS", &requests);
    // Without any right: what is missing is told, and how to get it.
    let doctor = komandan("doctor").run().ends_with(1).stdout();
    assert!(
        doctor.contains("fail") && doctor.contains("are missing: create/delete/get/list/patch/update configmaps"),
        "{doctor}"
    );
    assert!(doctor.contains("komandan rbac"), "{doctor}");
    let _ = komandan("deploy").run().ends_with(7);

    let printed = komandan("rbac").run().succeeds().stdout();
    let file = hello.file("rbac.yaml", &printed);
    let _granted = Granted(&hello.namespace);
    hello.namespace.kubectl_does(&format!("apply -f {}", file.display()));
    let doctor = komandan("doctor --output json").run();
    assert_eq!(doctor.code(), Some(0), "{}{}", doctor.stdout(), doctor.stderr());
    let checks = doctor.json()["checks"].as_array().expect("checks").clone();
    assert!(checks.iter().all(|check| check["state"] == "ok"), "{checks:?}");

    let _ = komandan("deploy").run().succeeds();
    hello.edit_api("the second version");
    let _ = komandan("deploy").run().succeeds();
    let _ = komandan("revert").run().succeeds();
    // An autoscaler goes, and then a budget.
    hello.repository.replace("services/extra/service.yaml", "scale: { max: 2, cpu: 80 }", "scale: { replicas: 2 }");
    hello.edit_api("the third version");
    let _ = komandan("deploy").run().succeeds();
    let _ = komandan("scale www 2").run().succeeds();
    let _ = komandan("restart www").run().succeeds();
    let _ = komandan("logs www").run().succeeds();
    let _ = komandan("exec www -- true").run().succeeds();
    let _ = komandan("secret set www KEY").input("a value").run().succeeds();
    let _ = komandan("secret set www OTHER").input("a value").run().succeeds();
    let _ = komandan("secret unset www KEY").run().succeeds();
    let _ = komandan("secret list").run().succeeds();
    let mut child = komandan("connect www").spawn();
    let url = line_of(&mut child, |line| line.starts_with("http://"));
    assert_eq!(get(&url).status, 200);
    assert_eq!(interrupt(child), Some(0));
    for line in ["smoke", "smoke --install", "smoke --uninstall", "--cluster production test extra --force"] {
        let _ = komandan(line).run().succeeds();
    }
    let _ = komandan("gc --keep 1").run().succeeds();
    for line in ["status", "history", "diff 3"] {
        let _ = komandan(line).run().succeeds();
    }
    let behind = |ingress: &str| {
        let settings = format!("{{ domain: shop.example, ingress: {{ {ingress} }} }}");
        let text = format!("services: [\"services/*\"]\nclusters: {{ production: {settings} }}\n");
        hello.repository.write("clustergraph.yaml", &text);
        hello.repository.commit("behind something");
    };
    hello.repository.replace("services/extra/service.yaml", "scale: { replicas: 2 }", "scale: { replicas: 1 }");
    behind("class: nginx");
    let _ = komandan("deploy").run().succeeds();
    behind("gateway: shop");
    let lacks = komandan("deploy").run().ends_with(7).stderr();
    assert!(lacks.contains("if the cluster lacks the Gateway API"), "{lacks}");
    let _ = komandan("down --delete-data").run().succeeds();

    // Nothing is asked for that is not used. What is only read again when it changes at that very moment cannot be
    // awaited, and what one API server reads as `get` of a command or port is `create` to another.
    let used: BTreeSet<String> =
        std::fs::read_to_string(&requests).expect("requests").lines().map(|line| line.trim().to_owned()).collect();
    let objects =
        komandan("rbac --output json").run().succeeds().json()["objects"].as_array().expect("objects").clone();
    let mut unused = Vec::new();
    for rule in objects.iter().filter_map(|object| object["rules"].as_array()).flatten() {
        let words = |field: &str| -> Vec<String> {
            rule[field].as_array().expect("words").iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
        };
        for (resource, verb) in
            words("resources").iter().flat_map(|it| words("verbs").into_iter().map(move |verb| (it, verb)))
        {
            let line = format!("{verb} {resource} {}", words("apiGroups").join(""));
            let is_reread = verb == "get" && words("verbs").contains(&"delete".to_owned());
            let is_made_by_patch = verb == "create" && words("verbs").contains(&"patch".to_owned());
            let is_upgrade = matches!(resource.as_str(), "pods/exec" | "pods/portforward");
            // A namespace that komandan made itself is relaxed where a service asks for it; this one was there.
            let is_of_our_own = line.trim() == "patch namespaces";
            // What this cluster lacks cannot be deleted in it.
            let is_lacking = line == "delete httproutes gateway.networking.k8s.io";
            let is_excused = is_reread || is_made_by_patch || is_upgrade || is_of_our_own || is_lacking;
            if !used.contains(line.trim()) && !is_excused {
                unused.push(line);
            }
        }
    }
    assert_eq!(unused, Vec::<String>::new(), "rights that no command uses");
}

/// The rights that are in no namespace; gone when dropped, whatever the test did.
struct Granted<'n>(&'n Namespace);

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        let name = format!("komandan-{}", self.0.name());
        let _ = std::process::Command::new("kubectl")
            .args([
                "--kubeconfig",
                self.0.kubeconfig(),
                "delete",
                "clusterrole,clusterrolebinding",
                "--ignore-not-found",
            ])
            .arg(name)
            .output();
    }
}
