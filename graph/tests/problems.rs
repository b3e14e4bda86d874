//! What people are told when their files are wrong: the reports of the small repositories in `examples/broken/`, one
//! folder for each kind of problem that can be committed, and of those that only a test can make.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

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

/// The report of a broken repository, beside its files. `UPDATE_REPORTS=1` writes it anew.
const REPORT: &str = "report.txt";

fn broken() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/broken")
}

/// The broken repositories, by name.
fn names() -> Vec<String> {
    let entries = std::fs::read_dir(broken()).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let mut names: Vec<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_broken_repository_is_reported_as_its_report_says() {
    let mut wrong = Vec::new();
    for name in names() {
        let folder = broken().join(&name);
        let repo = Repo::new();
        copy(&folder, &repo, "");
        if repo.path(REPORT).exists() {
            repo.remove(REPORT);
        }
        let problems = repo.problems();
        assert!(!problems.is_empty(), "{name}: nothing is wrong");
        let report = problems.render(false, 100);
        if std::env::var_os("UPDATE_REPORTS").is_some() {
            std::fs::write(folder.join(REPORT), &report).unwrap();
        }
        let want = std::fs::read_to_string(folder.join(REPORT)).unwrap_or_default();
        if report != want {
            wrong.push(format!("--- {name} says\n{report}--- but its report says\n{want}"));
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE_REPORTS=1 writes the reports anew", wrong.join("\n"));
}

/// Codes that no committed file can show; tests below make them, or those of the lock.
const MADE: &[&str] = &["link", "too-large", "lock-missing", "lock-stale", "lock-unknown", "unpinned"];

#[test]
fn every_kind_of_problem_is_shown_by_some_repository() {
    let reports: String =
        names().iter().map(|name| std::fs::read_to_string(broken().join(name).join(REPORT)).unwrap()).collect();
    let codes = codes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(codes.len() > 40, "{codes:?}");
    let shown = |code: &str| reports.contains(&format!("error[{code}]"));
    let missing: Vec<&String> = codes.iter().filter(|code| !shown(code) && !MADE.contains(&code.as_str())).collect();
    assert!(missing.is_empty(), "no report shows {missing:?}");
}

/// The codes of all problems that the sources make.
fn codes(folder: &Path) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            codes.extend(self::codes(&entry.path()));
        } else if entry.path().extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            for rest in text.split("Problem::new(").skip(1) {
                let code = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
                codes.extend(code.map(str::to_owned));
            }
        }
    }
    codes
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

/// Where the test below finds its repository: it runs in a process of its own, which has little memory.
const HOSTILE: &str = "CLUSTERGRAPH_HOSTILE_REPOSITORY";

#[test]
fn hostile_repositories_are_answered_in_little_memory() {
    let repo = Repo::with_web();
    // 100 MB in place of a few lines, all of it zeroes; and as much that is said to be put into a container.
    for path in ["huge/service.yaml", "files/huge.conf"] {
        repo.write(path, "");
        std::fs::File::options().write(true).open(repo.path(path)).unwrap().set_len(100 << 20).unwrap();
    }
    repo.write(
        "files/service.yaml",
        "name: files\nrun: [x]\nfiles: { /huge: huge.conf, /loop: loop }\ninclude: [web/again]\n",
    );
    let mut bomb = String::from("name: bomb\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..200 {
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 100].join(", ")));
    }
    repo.write("bomb/service.yaml", bomb);
    repo.write("deep/service.yaml", format!("name: deep\nlabels: {}\n", "[".repeat(100_000)));
    repo.write("wide/service.yaml", format!("name: wide\nrun: [x]\nlabels: [{}]\n", "{}, ".repeat(30_000)));
    // Links that lead to themselves, to each other, and to the folder that they are in.
    for (link, target) in
        [("loop/service.yaml", "service.yaml"), ("files/loop", "loop"), ("web/again", "../web"), ("web/up", "..")]
    {
        std::fs::create_dir_all(repo.path(link).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, repo.path(link)).unwrap();
    }
    let program = std::env::current_exe().unwrap();
    // Kilobytes of addresses: the test's own libraries and threads take most of them.
    let script = "ulimit -v 1000000; exec timeout 120 \"$0\" --exact the_hostile_repository";
    let output =
        std::process::Command::new("sh").args(["-c", script]).arg(program).env(HOSTILE, repo.root()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = std::fs::read_to_string(repo.path(".git").join(REPORT)).unwrap();
    for what in [
        "huge/service.yaml is larger than 256 KiB",
        "`files/huge.conf` is larger than 256 KiB",
        "`files/loop` is a symbolic link",
        "bomb/service.yaml is too deep, or its aliases stand for too much",
        "deep/service.yaml is too deep, or its aliases stand for too much",
        "wide/service.yaml is too deep, or its aliases stand for too much",
        "loop/service.yaml is a symbolic link",
    ] {
        assert!(said.contains(what), "{what} is not said:\n{said}");
    }
}

#[test]
fn the_hostile_repository() {
    let Some(root) = std::env::var_os(HOSTILE) else { return };
    let root = Path::new(&root);
    let tree = clustergraph::tree::Tree::of_worktree(root).unwrap();
    match clustergraph::graph::Graph::build(&tree, "local") {
        Err(clustergraph::graph::BuildError::Problems(problems)) => {
            std::fs::write(root.join(".git").join(REPORT), problems.render(false, 100)).unwrap();
        }
        _ => unreachable!("it is full of problems"),
    }
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
