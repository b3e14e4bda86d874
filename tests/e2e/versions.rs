//! Versions of a cluster compared: what differs between two commits, what a change reaches, which commits changed a service.

use clustergraph_tests::{Program, Repository, workspace};
use serde_json::{Value, json};

/// The history of `examples/split`: a shop, an edit, the split of a service, an operation.
fn split() -> Repository {
    let repository = Repository::of_example("split/shop");
    let folder = workspace().join("examples/split");
    let mut patches: Vec<String> = std::fs::read_dir(folder)
        .expect("the example")
        .flatten()
        .map(|entry| entry.path().to_string_lossy().into_owned())
        .filter(|path| path.ends_with(".patch"))
        .collect();
    patches.sort();
    assert_eq!(patches.len(), 3);
    let mut command = vec!["am", "--quiet"];
    command.extend(patches.iter().map(String::as_str));
    repository.git(&command);
    repository
}

fn ssi(repository: &Repository, line: &str) -> Program {
    Program::new("ssi", repository.path()).args(line)
}

/// What a command prints, with ids as `ID` and ages as `AGE`.
fn shown(repository: &Repository, line: &str) -> String {
    let printed = ssi(repository, line).run().succeeds().stdout();
    let is_id = |word: &str| word.len() == 10 && word.chars().all(|c| c.is_ascii_hexdigit());
    let is_age = |word: &str| {
        let number = word.trim_end_matches(['s', 'm', 'h', 'd']);
        number.len() + 1 == word.len() && !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())
    };
    let word = |word: &str| match word.trim_end_matches(')') {
        id if is_id(id) => word.replace(id, "ID"),
        age if is_age(age) => "AGE".to_owned(),
        _ => word.to_owned(),
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    printed.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn names(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().map(|name| name.as_str().expect("a name")).collect()
}

#[test]
fn a_commit_that_splits_a_service_and_rewires_its_consumers_reads_as_one_change() {
    let repository = split();
    assert_eq!(
        shown(&repository, "diff HEAD~3..HEAD~2"),
        "\
ID (version ID) → ID (version ID)

3 changed
  ~ order       changed because services/order/prices.py
  ~ backoffice  changed because order changed because services/order/prices.py
  ~ www         changed because order changed because services/order/prices.py"
    );
    assert_eq!(
        shown(&repository, "diff HEAD~2..HEAD~1"),
        "\
ID (version ID) → ID (version ID)

order split into order and billing (2 files moved)
  + billing     command in services/billing; calls order
  ± backoffice  calls billing instead of order (services/backoffice/service.yaml:3)
  ± www         calls billing (services/www/service.yaml:2) and services/www/app.py
                and because order changed because services/order/app.py, services/order/invoice.py removed and services/order/tax.py removed
  ~ order       changed because services/order/app.py, services/order/invoice.py removed and services/order/tax.py removed"
    );
    assert_eq!(
        shown(&repository, "diff HEAD~1..HEAD"),
        "\
ID (version ID) → ID (version ID)

operation (changes no id)
  · order  scale.replicas 1 → 3 (services/order/service.yaml:8)"
    );
    let same = ssi(&repository, "diff").run().succeeds();
    assert_eq!(same.stdout(), "");
    assert!(same.stderr().starts_with("no node differs; version "), "{}", same.stderr());
}

#[test]
fn the_history_of_a_service_is_the_commits_at_which_its_id_changed() {
    let repository = split();
    assert_eq!(
        shown(&repository, "history www"),
        "\
ID  Invoices are made by a service of their own  AGE  Robin Weaver
            ID → ID  calls billing (services/www/service.yaml:2) and services/www/app.py
                                     because order changed because services/order/app.py, services/order/invoice.py removed and services/order/tax.py removed
ID  Socks  AGE  Robin Weaver
            ID → ID  because order changed because services/order/prices.py
ID  the example  AGE  Test
            none → ID  added"
    );
    assert_eq!(
        shown(&repository, "history billing"),
        "\
ID  Invoices are made by a service of their own  AGE  Robin Weaver
            none → ID  order split into order and billing
                               added"
    );
    // A commit that only operates otherwise is none of them.
    let order = ssi(&repository, "history order --output json").run().succeeds().json();
    assert_eq!(order["schema"], "ssi.history/1");
    let summaries: Vec<_> =
        order["entries"].as_array().expect("entries").iter().map(|entry| &entry["summary"]).collect();
    assert_eq!(summaries, ["Invoices are made by a service of their own", "Socks", "the example"]);
    let ids: Vec<_> =
        order["entries"].as_array().expect("entries").iter().map(|entry| (&entry["after"], &entry["before"])).collect();
    assert_eq!(ids[0].1, ids[1].0);
    let now = ssi(&repository, "graph --output json").run().succeeds().json();
    let service = now["services"].as_array().expect("services").iter().find(|service| service["name"] == "order");
    assert_eq!(*ids[0].0, service.expect("order")["id"]);
    let one = ssi(&repository, "history order -n 1 --at HEAD~2 --output json").run().succeeds().json();
    assert_eq!(one["entries"].as_array().map(Vec::len), Some(1));
    assert_eq!(one["entries"][0]["summary"], "Socks");
    let wrong = ssi(&repository, "history oder").run().ends_with(4);
    assert!(wrong.stderr().contains("did you mean `order`?"), "{}", wrong.stderr());
    // Before the split there is no billing.
    let _ = ssi(&repository, "history billing --at HEAD~2").run().ends_with(4);
}

#[test]
fn a_history_goes_on_behind_commits_that_are_broken_and_where_a_service_was_gone() {
    let repository = Repository::with(&[
        ("a/service.yaml", "name: a\nrun: [./a]\n"),
        ("b/service.yaml", "name: b\nrun: [./b]\n"),
        ("a/one", "1"),
    ]);
    repository.write("a/service.yaml", "name: a\nrun: [./a]\nrnu: x\n");
    repository.commit("broken");
    repository.write("b/other", "1");
    repository.commit("elsewhere");
    repository.write("a/service.yaml", "name: a\nrun: [./a]\n");
    repository.commit("mended");
    repository.git(&["rm", "-r", "--quiet", "a"]);
    repository.commit("gone");
    repository.write("a/service.yaml", "name: a\nrun: [./a]\n");
    repository.write("a/strange \"name\"", "1");
    repository.commit("back");
    repository.write("a/strange \"name\"", "2");
    repository.commit("strange");
    let history = ssi(&repository, "history a --output json").run().succeeds().json();
    let entries: Vec<String> = history["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| {
            format!(
                "{}: {}",
                entry["summary"].as_str().unwrap_or_default(),
                entry["reasons"][0].as_str().unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(
        entries,
        [
            "strange: because a/strange \"name\"",
            "back: added",
            "gone: removed",
            "mended: a graph again; before, 1 problem",
            "broken: no graph: 1 problem",
            "the files: added"
        ]
    );
}

#[test]
fn a_merge_is_one_step_of_a_history() {
    let repository = Repository::with(&[("a/service.yaml", "name: a\nrun: [./a]\n"), ("a/one", "1")]);
    repository.git(&["checkout", "--quiet", "-b", "side"]);
    for text in ["2", "3"] {
        repository.write("a/one", text);
        repository.commit("on the side");
    }
    repository.git(&["checkout", "--quiet", "main"]);
    repository.write("README.md", "x");
    repository.commit("on main");
    repository.git(&["merge", "--quiet", "--no-ff", "--message", "the merge", "side"]);
    let history = ssi(&repository, "history a --output json").run().succeeds().json();
    let summaries: Vec<_> =
        history["entries"].as_array().expect("entries").iter().map(|entry| &entry["summary"]).collect();
    assert_eq!(summaries, ["the merge", "the files"]);
    // `A...B` begins where the two parted, `A..B` at A.
    repository.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    repository.write("a/two", "main's own");
    repository.commit("more on main");
    let paths = |range: &str| -> Vec<String> {
        let diff = ssi(&repository, &format!("diff {range} --output json")).run().succeeds().json();
        let named = diff["nodes"][0]["own"][0]["named"].as_array().expect("files").clone();
        named.iter().map(|file| file["path"].as_str().expect("a path").to_owned()).collect()
    };
    assert_eq!(paths("main...side"), ["a/one"]);
    assert_eq!(paths("main..side"), ["a/one", "a/two"]);
    assert_eq!(paths("side.."), ["a/one", "a/two"]);
    let wrong = ssi(&repository, "diff nowhere...main").run().ends_with(4);
    assert!(wrong.stderr().contains("`nowhere` names no commit"), "{}", wrong.stderr());
    let _ = ssi(&repository, "diff --").word("--output=x...main").run().ends_with(4);
}

#[test]
fn a_program_reads_the_same_chains() {
    let repository = split();
    let diff = ssi(&repository, "diff HEAD~2..HEAD~1 --output json").run().succeeds().json();
    assert_eq!(diff["schema"], "ssi.diff/1");
    assert_eq!(diff["before"]["commit"], repository.git(&["rev-parse", "HEAD~2"]));
    let node =
        |name: &str| diff["nodes"].as_array().expect("nodes").iter().find(|node| node["name"] == name).expect("a node");
    assert_eq!(node("www")["change"], "rewired");
    let service = |name: &str| json!({ "kind": "service", "name": name });
    assert_eq!(node("www")["chains"], json!([[service("www")], [service("www"), service("order")]]));
    let moves = json!([{ "kind": "split", "from": ["order"], "into": ["order", "billing"], "files": 2 }]);
    assert_eq!(diff["refactorings"][0]["moves"], moves);
    assert_eq!(diff["refactorings"][0]["summary"], "order split into order and billing");
    assert_eq!(diff["refactorings"][0]["nodes"].as_array().map(Vec::len), Some(4));
    let place = &node("backoffice")["own"][0]["place"];
    assert_eq!((&place["file"], &place["line"]), (&json!("services/backoffice/service.yaml"), &json!(3)));
    let operation = ssi(&repository, "diff HEAD~1..HEAD --output json").run().succeeds().json();
    assert_eq!(operation["nodes"], json!([]));
    assert_eq!(operation["before"]["version"], operation["after"]["version"]);
    assert_eq!(operation["operation"][0]["fields"][0]["field"], "scale.replicas");
}

#[test]
fn a_pipeline_gets_the_services_that_a_change_reaches() {
    let repository = split();
    let printed =
        |line: &str| ssi(&repository, line).run().succeeds().stdout().lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(printed("affected HEAD~3..HEAD~2"), ["backoffice", "order", "www"]);
    assert_eq!(printed("affected HEAD~3..HEAD~2 --direct"), ["order"]);
    assert_eq!(printed("affected HEAD~1..HEAD"), Vec::<String>::new());
    assert_eq!(printed("affected HEAD~3..HEAD"), ["backoffice", "billing", "order", "www"]);
    // From HEAD to the work tree, what is committed or not.
    assert_eq!(printed("affected"), Vec::<String>::new());
    repository.write("services/billing/new.py", "x");
    assert_eq!(printed("affected"), ["backoffice", "billing", "www"]);
    let affected = ssi(&repository, "affected --output json").run().succeeds().json();
    assert_eq!(affected["schema"], "ssi.affected/1");
    assert_eq!(names(&affected["services"]), ["backoffice", "billing", "www"]);
    let back = ssi(&repository, "affected HEAD~1..HEAD~2 --output json").run().succeeds().json();
    assert_eq!(names(&back["removed"]), ["billing"]);
    let _ = ssi(&repository, "affected --exit-code").run().ends_with(1);
    let _ = ssi(&repository, "affected HEAD~1..HEAD --exit-code").run().succeeds();
    let _ = ssi(&repository, "diff --exit-code").run().ends_with(1);
    // More replicas are a difference, but nothing is affected by it.
    let _ = ssi(&repository, "diff HEAD~1..HEAD --exit-code").run().ends_with(1);
    let _ = ssi(&repository, "diff HEAD..HEAD --exit-code").run().succeeds();
}

#[test]
fn a_pipeline_may_ask_by_paths_alone() {
    let repository = split();
    let of = |paths: &str, more: &str| {
        let run = ssi(&repository, &format!("affected --files - {more}")).input(paths).run().succeeds();
        run.stdout().lines().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of("services/billing/tax.py\n", ""), "backoffice billing www");
    assert_eq!(of("services/billing/tax.py\nREADME.md\n", "--direct"), "billing");
    assert_eq!(of("services/order/removed.py\0services/www/app.py\0", "--direct"), "order www");
    assert_eq!(of("libs/kv/kv.py\n", "--direct"), "order");
    assert_eq!(of("libs/web/web.py\n", "--direct"), "backoffice billing order www");
    assert_eq!(of("services/www/service.yaml\r\n", ""), "www");
    assert_eq!(of("clustergraph.yaml\n", ""), "backoffice billing order www");
    assert_eq!(of("docs/some.md\n", ""), "");
    assert_eq!(of("", ""), "");
    let missing = ssi(&repository, "affected --files nowhere.txt").run().ends_with(4);
    assert!(missing.stderr().contains("nowhere.txt"), "{}", missing.stderr());
    let _ = ssi(&repository, "affected HEAD --files -").run().ends_with(2);
}

#[test]
fn below_another_repositorys_root_paths_and_histories_are_the_folders_own() {
    let repository = Repository::with(&[
        ("shop/clustergraph.yaml", "services: [\"*\"]\n"),
        ("shop/a/service.yaml", "name: a\nrun: [./a]\n"),
        ("shop/a/one", "1"),
        ("a/one", "1"),
    ]);
    for (path, message) in [("a/one", "outside"), ("shop/a/one", "inside")] {
        repository.write(path, "2");
        repository.commit(message);
    }
    let shop = |line: &str| Program::new("ssi", &repository.path().join("shop")).args(line);
    let history = shop("history a --output json").run().succeeds().json();
    let summaries: Vec<_> =
        history["entries"].as_array().expect("entries").iter().map(|entry| &entry["summary"]).collect();
    assert_eq!(summaries, ["inside", "the files"]);
    let printed = |paths: &str| shop("affected --files -").input(paths).run().succeeds().stdout();
    assert_eq!((printed("a/one\n"), printed("shop/a/one\n")), (String::new(), "a\n".to_owned()));
}

#[test]
fn a_side_without_a_graph_is_named() {
    let repository = Repository::with(&[("a/service.yaml", "name: a\nrun: [./a]\n")]);
    repository.write("a/service.yaml", "name: a\nrnu: [./a]\n");
    repository.commit("broken");
    let wrong = ssi(&repository, "diff HEAD~1..HEAD").run().ends_with(3);
    assert!(wrong.stderr().starts_with("HEAD:\n") && wrong.stderr().contains("a/service.yaml:2"), "{}", wrong.stderr());
    let wrong = ssi(&repository, "affected HEAD~1 --output json").run().ends_with(3);
    assert_eq!(wrong.json()["schema"], "ssi.problems/1");
}

#[test]
fn pictures_show_what_differs_from_another_commit() {
    let repository = split();
    let tree = ssi(&repository, "graph --at HEAD~1 --diff HEAD~2").run().succeeds().stdout();
    for line in ["± backoffice command ", "└─ + billing command ", "   └─ ~ order command ", "├─ ~ order see above"]
    {
        assert!(tree.lines().any(|shown| shown.starts_with(line)), "{line}\n{tree}");
    }
    let dot = ssi(&repository, "graph --at HEAD~1 --diff HEAD~2 --output dot").run().succeeds().stdout();
    for (edge, colour) in [("\"www\" -> \"billing\"", "#15803d"), ("\"backoffice\" -> \"order\"", "#b91c1c")] {
        assert!(dot.lines().any(|line| line.contains(edge) && line.contains(colour)), "{edge}\n{dot}");
    }
    assert!(dot.lines().any(|line| line.contains("\"www\" -> \"order\"") && !line.contains("color")), "{dot}");
    let svg = ssi(&repository, "graph --at HEAD~1 --diff HEAD~2 --output svg").run().succeeds().stdout();
    assert!(svg.contains(">+ billing</text>") && svg.contains(".added .box"), "{svg}");
    // The other way round billing is gone, and still drawn.
    let svg = ssi(&repository, "graph --at HEAD~2 --diff HEAD~1 --output svg").run().succeeds().stdout();
    assert!(svg.contains(">- billing</text>"), "{svg}");
    let json = ssi(&repository, "graph --at HEAD~2 --diff HEAD~1 --output json").run().succeeds().json();
    assert_eq!(names(&json["compared"]["removed"]["services"]), ["billing"]);
    let order = json["services"].as_array().expect("services").iter().find(|service| service["name"] == "order");
    assert_eq!(order.expect("order")["change"], "changed");
    // Nothing is compared, nothing is said of it.
    let plain = ssi(&repository, "graph --output json").run().succeeds().json();
    assert!(plain.get("compared").is_none() && plain["services"][0].get("change").is_none());
    assert!(!ssi(&repository, "graph --output svg").run().succeeds().stdout().contains(".added"));
}
