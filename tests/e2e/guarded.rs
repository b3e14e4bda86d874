//! What nobody gets to see, and what nobody may do: the values of secrets, and changes that would end in an instance that
//! does not start. Pods only say that they run.

use std::fmt::Write as _;
use std::sync::Mutex;

use base64::Engine;
use clustergraph_tests::{Deployed, EveryImage, Namespace, Repository, Run};
use serde_json::Value;

/// Written nowhere else.
const TOKEN: &str = "swordfish-of-the-seven-seas";

/// A service with secrets of every sort, one that must be alone, and one that is scaled by load.
fn guarded(about: &str) -> (Deployed, EveryImage) {
    let common =
        "image: demo@sha256:7777777777777777777777777777777777777777777777777777777777777777\nsecurity: baseline\n";
    let api = format!(
        "name: api\n{common}ports: {{ http: 8000 }}\npublic: {{}}\nsecrets: [TOKEN]\n\
         env: {{ HEADER: \"Bearer ${{secrets.TOKEN}}\" }}\n\
         files: {{ /etc/api.conf: api.conf }}\n\
         databases: [{{ kind: postgres, version: \"15\", as: greetings, migrate: {{ run: [migrate], schema: migrations/ }} }}]\n"
    );
    let repository = Repository::with(&[
        ("clustergraph.yaml", "services: [\"*\"]\n"),
        ("api/service.yaml", &api),
        ("api/api.conf", "host = ${databases.greetings.host}\n"),
        ("api/migrations/1.sql", "create table greetings (id int);\n"),
        ("alone/service.yaml", &format!("name: alone\n{common}singleton: true\n")),
        (
            "loaded/service.yaml",
            &format!("name: loaded\n{common}scale: {{ min: 1, max: 3, cpu: 70 }}\nresources: {{ cpu: 100m }}\n"),
        ),
    ]);
    let images = EveryImage::new();
    (Deployed::new(repository, Namespace::without_processes(about)).with_images(&images), images)
}

#[test]
fn the_value_of_a_secret_is_nowhere_but_in_secrets_whatever_is_done_and_said() {
    let (deployed, _images) = guarded("secrecy");
    let told = Mutex::new(String::new());
    let tell = |run: Run| {
        let mut told = told.lock().expect("nobody panics");
        let _ = write!(told, "{}\n{}\n", run.stdout(), run.stderr());
        run
    };
    let does = |line: &str| tell(deployed.komandan(line).run().succeeds());
    let _ = tell(deployed.komandan("deploy").run().ends_with(4));
    let _ = tell(deployed.komandan("secret set api TOKEN").input(TOKEN).run().succeeds());
    let _ = does("plan --output json");
    let _ = does("deploy --output json");
    let _ = tell(deployed.komandan("secret set api TOKEN").input(&format!("{TOKEN}-2")).run().succeeds());
    let _ = does("plan");
    let _ = does("deploy");
    deployed.repository.append("api/api.conf", "more = true");
    deployed.repository.commit("more");
    let _ = does("diff --objects 1 HEAD");
    let _ = does("deploy");
    for line in ["status", "history", "diff 1 2", "secret list", "render", "rbac", "doctor", "gc --dry-run"] {
        let _ = tell(deployed.komandan(line).run());
        let _ = tell(deployed.komandan(&format!("{line} --output json")).run());
    }
    let _ = does("scale api 2 --output json");
    let _ = does("restart api --output json");
    let _ = does("revert --output json");

    let (mut there, mut values) = (String::new(), vec![TOKEN.to_owned()]);
    for kind in deployed.namespace.kinds() {
        let list = deployed.namespace.kubectl(&format!("get {kind}"));
        match kind.as_str() {
            "secrets" => values.extend(passwords(&list)),
            "configmaps" => {
                let bundles = list["items"].as_array().expect("ConfigMaps").iter().filter_map(unpacked);
                let _ = write!(there, "{list}\n{}", bundles.collect::<String>());
            }
            _ => there.push_str(&list.to_string()),
        }
    }
    assert!(values.len() > 2, "there are passwords of databases, too");
    assert!(there.contains("api.conf") && there.contains("\"kind\":\"Pod\""), "what is there was looked at");
    let told = told.into_inner().expect("nobody panics");
    for value in &values {
        let packed = base64::engine::general_purpose::STANDARD.encode(value);
        for (place, text) in [("what is there", &there), ("what was told", &told)] {
            let at = text.find(value.as_str()).or_else(|| text.find(packed.trim_end_matches('=')));
            let around = at.map(|at| text[at.saturating_sub(300)..at].to_owned());
            assert_eq!(around, None, "a value is in {place} after this");
        }
    }
}

/// The passwords in a list of Secrets.
fn passwords(list: &Value) -> Vec<String> {
    let data = list["items"].as_array().into_iter().flatten().filter_map(|secret| secret["data"].as_object());
    let values = data.flat_map(|data| data.iter().filter(|(key, _)| key.contains("password")));
    values.map(|(_, value)| Namespace::decode(value.as_str().expect("base64"))).collect()
}

/// The objects that a bundle of the store holds, as text.
fn unpacked(map: &Value) -> Option<String> {
    let data = map["binaryData"].as_object()?.get("objects.json.zst")?.as_str()?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
    Some(String::from_utf8(zstd::decode_all(bytes.as_slice()).expect("zstd")).expect("a text"))
}

#[test]
fn what_would_keep_an_instance_from_starting_is_refused_and_changes_nothing() {
    let (deployed, _images) = guarded("guarded");
    let _ = deployed.komandan("secret set api TOKEN").input(TOKEN).run().succeeds();
    let _ = deployed.komandan("deploy").run().succeeds();
    let before = clustergraph_tests::state::state(&deployed.namespace);

    let refused = deployed.komandan("secret unset api TOKEN").run().ends_with(6).stderr();
    for words in ["TOKEN of api is needed by", "its next instance would not start without it", "--force"] {
        assert!(refused.contains(words), "{words:?} is not in {refused}");
    }
    let alone = deployed.komandan("scale alone 2").run().ends_with(1).stderr();
    assert!(alone.contains("there must never be two of alone at once (`singleton: true`)"), "{alone}");
    let loaded = deployed.komandan("scale loaded 2").run().ends_with(1).stderr();
    assert!(loaded.contains("loaded is scaled by load") && loaded.contains("scale: { min, max }"), "{loaded}");
    let unknown = deployed.komandan("scale nobody 2").run().ends_with(1).stderr();
    assert!(unknown.contains("nobody"), "{unknown}");
    let found = clustergraph_tests::state::state(&deployed.namespace);
    assert_eq!(clustergraph_tests::state::difference(&before, &found), None);

    // Who insists is believed, and the next deploy says what is missing.
    let _ = deployed.komandan("secret unset api TOKEN --force").run().succeeds();
    let missing = deployed.komandan("deploy").run().ends_with(4).stderr();
    assert!(missing.contains("`TOKEN` of api has no value"), "{missing}");
}

#[test]
fn an_autoscaler_goes_with_the_load_that_it_was_for_and_comes_back_with_a_revert() {
    let (deployed, _images) = guarded("scaler");
    let _ = deployed.komandan("secret set api TOKEN").input(TOKEN).run().succeeds();
    let _ = deployed.komandan("deploy").run().succeeds();
    let scalers = || deployed.namespace.names("horizontalpodautoscalers");
    let workload = deployed.status()["nodes"]["loaded"]["workload"].as_str().expect("a workload").to_owned();
    assert_eq!(scalers(), [workload.as_str()]);
    deployed.repository.replace("loaded/service.yaml", "min: 1, max: 3, cpu: 70", "replicas: 2");
    deployed.repository.commit("of a size of its own");
    // Whoever dies before it is gone leaves it to the next one.
    let died = deployed.komandan("deploy").env("KOMANDAN_FAULT", "beside-to-go").run();
    assert!(died.code().is_none() && scalers().len() == 1, "it was to die, and ended with {:?}", died.code());
    let _ = deployed.komandan("deploy --wait").run().succeeds();
    assert_eq!(scalers(), Vec::<String>::new());
    let live = deployed.namespace.kubectl(&format!("get deployment {workload}"));
    assert_eq!(live["spec"]["replicas"], 2);
    let budgets = || deployed.namespace.names("poddisruptionbudgets");
    assert!(budgets().contains(&workload), "several of them have a budget: {:?}", budgets());
    let _ = deployed.komandan("revert").run().succeeds();
    assert_eq!(scalers(), [workload.as_str()]);
    assert!(!budgets().contains(&workload), "{:?}", budgets());
    let _ = deployed.komandan("down").run().succeeds();
    clustergraph_tests::local::wait_until("it goes with its Deployment", || scalers().is_empty());
}
