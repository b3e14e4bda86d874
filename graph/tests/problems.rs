//! What people are told when their files are wrong: golden reports of the small repositories in `tests/broken/`,
//! one folder for each kind of problem.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::path::Path;

use support::Repo;

fn copy(from: &Path, repo: &Repo, below: &str) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), repo, &path);
        } else {
            repo.write(&path, std::fs::read(entry.path()).unwrap());
        }
    }
}

fn report(files: &[(&str, &[u8])]) -> String {
    let repo = Repo::new();
    for (path, content) in files {
        repo.write(path, content);
    }
    let problems = repo.problems();
    assert!(!problems.is_empty(), "nothing is wrong");
    problems.render(false, 100)
}

#[test]
fn every_broken_repository_is_reported_as_its_snapshot_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut names: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    for name in names {
        let repo = Repo::new();
        copy(&folder.join(&name), &repo, "");
        let problems = repo.problems();
        assert!(!problems.is_empty(), "{name}: nothing is wrong");
        insta::assert_snapshot!(name, problems.render(false, 100));
    }
}

#[test]
fn bytes_that_are_no_text_are_shown_where_they_are() {
    insta::assert_snapshot!(report(&[
        ("web/service.yaml", b"name: web\nrun: [./server]\nlabels: { team: \xff\xfe }\n"),
        ("api/service.yaml", b"name: api\nrun: [./api]\ndependencies: [web]\n"),
    ]));
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let large = format!("name: web\nrun: [./server]\n# {}\n", "x".repeat(300 * 1024));
    insta::assert_snapshot!(report(&[("web/service.yaml", large.as_bytes())]));
}

#[test]
fn a_bomb_is_refused() {
    let mut bomb = String::from("name: web\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let before = level - 1;
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(", ")));
    }
    insta::assert_snapshot!(report(&[("web/service.yaml", bomb.as_bytes())]));
}

#[test]
fn a_deep_file_is_refused() {
    let deep = format!("name: web\nlabels: {}{}\n", "[".repeat(200), "]".repeat(200));
    insta::assert_snapshot!(report(&[("web/service.yaml", deep.as_bytes())]));
}

#[test]
fn places_are_right_in_files_with_windows_line_ends_and_a_mark_of_byte_order() {
    insta::assert_snapshot!(report(&[
        ("web/service.yaml", b"name: web\r\nrun: [./server]\r\nprots: {}\r\nenv:\r\n  A: ${nope}\r\n"),
        ("api/service.yaml", "\u{feff}name: api\nrun: [./server]\nprots: {}\n".as_bytes()),
        ("tab/service.yaml", b"name:\ttab\nrun:\t[./server]\t# a tab\nlabels: {\tteam:\t[x] }\n"),
        ("badtab/service.yaml", b"name: tab\nrun:\n\t- ./server\n"),
    ]));
}

#[test]
fn a_link_in_place_of_a_file_is_said() {
    let repo = Repo::with_web();
    std::fs::create_dir(repo.path("other")).unwrap();
    std::os::unix::fs::symlink("../web/service.yaml", repo.path("other/service.yaml")).unwrap();
    insta::assert_snapshot!(repo.problems().render(false, 100));
}

#[test]
fn a_link_out_of_the_sources_asks_for_an_include() {
    let repo = Repo::with_web();
    repo.write("libs/money/money.py", "1");
    repo.write("libs/other", "1");
    for (link, target) in [
        ("web/money", "../libs/money"),
        ("web/page", "page.html"),
        ("web/hosts", "/etc/hosts"),
        ("web/away", "../../elsewhere"),
        ("web/nowhere", "../libs/nothing"),
    ] {
        std::os::unix::fs::symlink(target, repo.path(link)).unwrap();
    }
    insta::assert_snapshot!(repo.problems().render(false, 100));
    repo.write("web/service.yaml", "name: web\nrun: [./server]\ninclude: [libs/money]\n");
    assert!(repo.problems().is_empty());
}

#[test]
fn files_of_nothing_but_problems_are_answered() {
    let fields: String = (0..9_000).map(|number| format!("field{number}: x\n")).collect();
    let holes = format!("name: web\nrun: [./web]\nenv: {{ A: '{}' }}\n", "${version}".repeat(20_000));
    let nonsense = format!("name: web\nrun: [./web]\nenv: {{ A: '{}' }}\n", "${x}".repeat(60_000));
    let names = format!("name: web\nrun: [./web]\ndependencies: [{}]\n", "x, ".repeat(9_000));
    let repo = Repo::new();
    for (text, want) in [(fields, 9_001), (holes, 0), (nonsense, 20), (names, 17_999)] {
        repo.write("web/service.yaml", text);
        let problems = repo.problems();
        assert_eq!(problems.len(), want);
        assert!(problems.render(false, 100).len() < 1_000_000);
    }
}

#[test]
fn an_unreadable_file_makes_no_other_name_unknown() {
    for unreadable in ["name: [web", "name: My Web\nrun: [x]\n", "run: [./web]\n", "- a list\n", "\u{0}"] {
        let text = report(&[
            ("web/service.yaml", unreadable.as_bytes()),
            (
                "api/service.yaml",
                b"name: api\nrun: [./api]\ndependencies: [web]\nenv: { A: \"${services.web.url}\" }\n",
            ),
        ]);
        assert!(!text.contains("api/service.yaml"), "{text}");
    }
}

#[test]
fn a_file_with_other_problems_still_gives_its_name() {
    let text = report(&[
        ("web/service.yaml", b"name: web\ncolour: red\nrun: [./web]\n"),
        ("api/service.yaml", b"name: api\nrun: [./api]\ndependencies: [web, zebra]\n"),
    ]);
    assert!(text.contains("there is no service `zebra`"), "{text}");
    assert!(!text.contains("there is no service `web`"), "{text}");
}

#[test]
fn a_field_with_problems_causes_no_others() {
    for field in [
        "run: ./server --port",
        "image: [nginx]",
        "build: Dockerfile",
        "run: [x]\npublic: {}\nhealth: { http: / }\nports: { http: eighty }",
        "run: [x]\nenv: { A: '${self.url}' }\nports: { http: eighty }",
        "run: [x]\nenv: { A: '${services.api.url}' }\ndependencies: [{ service: api, wait: long }]",
        "run: [x]\nenv: { A: '${databases.main.url}' }\ndatabases: [{ kind: 5, as: main }]",
        "run: [x]\nstack: 5",
        "run: [x]\nenv: { A: [x] }",
        "run: [x]\ndependencies: [{ service: api, as: a }, { service: web, as: a, wait: none }]\nports: { http: 1 }",
    ] {
        let repo = Repo::new();
        repo.write("web/service.yaml", format!("name: web\n{field}\n"));
        repo.write("web/package.json", "{}");
        repo.write("web/requirements.txt", "");
        if !field.contains("stack") {
            repo.write("web/service.yaml", format!("name: web\nstack: command\n{field}\n"));
        }
        repo.write("api/service.yaml", "name: api\nrun: [./api]\nports: { http: 1 }\n");
        let problems = repo.problems();
        assert_eq!(problems.len(), 1, "{field}\n{}", problems.render(false, 100));
    }
}

#[test]
fn a_problem_says_its_code_and_place_to_tools() {
    let repo = Repo::new();
    repo.write("web/service.yaml", "name: web\nrun: [./server]\nprots: {}\n");
    let problems = repo.problems();
    let json = serde_json::to_value(problems.sorted()).unwrap();
    assert_eq!(
        json[0],
        serde_json::json!({
            "code": "unknown-field", "message": "a service has no field `prots`",
            "place": { "file": "web/service.yaml", "line": 3, "column": 1 },
            "label": "", "related": [], "mend": "did you mean `ports`?",
        })
    );
}
