//! What is proposed for a repository. Pure: the files that git would commit go in, texts come out.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use clustergraph::catalogue::{Catalogue, Stack};
use clustergraph::tree::{Directory, Entry};

/// How deep services are looked for.
const DEEP: usize = 3;
/// What only belongs to others has no service of its own.
const OTHERS: &[&str] =
    &["node_modules", "vendor", "target", "dist", "build", "third_party", "testdata", "fixtures", "examples"];

/// Client libraries, by what they talk to: a manifest that names one needs such a database.
const CLIENTS: &[(&str, &[&str])] = &[
    (
        "postgres",
        &["psycopg", "pg8000", "asyncpg", "\"pg\"", "postgres", "pgx", "lib/pq", "tokio-postgres", "postgresql"],
    ),
    ("mysql", &["mysql2", "mysqlclient", "PyMySQL", "pymysql", "go-sql-driver/mysql", "mysql-connector"]),
    ("mariadb", &["mariadb"]),
    ("redis", &["redis", "jedis", "lettuce"]),
    ("kafka", &["kafkajs", "kafka", "sarama", "rdkafka"]),
    ("rabbitmq", &["amqplib", "pika", "amqp091-go", "lapin", "amqp-client"]),
    ("mongodb", &["mongodb", "mongoose", "pymongo", "mongo-driver"]),
];

/// What would be written, and what was looked at in vain.
#[derive(Debug, Default)]
pub(super) struct Proposal {
    /// Texts by path.
    pub(super) files: BTreeMap<String, String>,
    /// Folders with why nothing is written there.
    pub(super) skipped: BTreeMap<String, String>,
}

/// A folder that looks like a service.
struct Candidate<'c> {
    folder: String,
    stack: &'c Stack,
    entries: Arc<Directory>,
}

impl Proposal {
    pub(super) fn of(root: &Arc<Directory>, catalogue: &Catalogue, text_of: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut proposal = Self::default();
        let mut candidates = Vec::new();
        find(root, "", 0, catalogue, &mut candidates, &mut proposal);
        // A root beside others is what holds them together.
        if candidates.len() > 1 {
            candidates.retain(|candidate| !candidate.folder.is_empty());
        }
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        let mut folders = Vec::new();
        for candidate in &candidates {
            match service(candidate, text_of, &mut names) {
                Ok(text) => {
                    folders.push(candidate.folder.clone());
                    proposal.files.insert(path(&candidate.folder, "service.yaml"), text);
                }
                Err(why) => {
                    let folder = if candidate.folder.is_empty() { "." } else { &candidate.folder };
                    proposal.skipped.insert(folder.to_owned(), why);
                }
            }
        }
        let is_usual = |folder: &String| !folder.is_empty() && !folder.contains('/');
        if !folders.iter().all(is_usual) && root.file("clustergraph.yaml").is_none() {
            proposal.files.insert("clustergraph.yaml".to_owned(), repository(&folders));
        }
        for name in ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"] {
            if root.file(name).is_some() {
                proposal.skipped.insert(name.to_owned(), format!("`ssi import compose {name}` reads it"));
            }
        }
        proposal
    }
}

fn find<'c>(
    here: &Arc<Directory>,
    folder: &str,
    depth: usize,
    catalogue: &'c Catalogue,
    candidates: &mut Vec<Candidate<'c>>,
    proposal: &mut Proposal,
) {
    if here.file("service.yaml").is_some() {
        proposal.skipped.insert(path(folder, "service.yaml"), "it is there already".to_owned());
        return;
    }
    let stack = catalogue
        .stacks
        .values()
        .filter(|stack| stack.detect.iter().any(|file| here.file(file).is_some()))
        .min_by_key(|stack| stack.rank);
    if let Some(stack) = stack {
        candidates.push(Candidate { folder: folder.to_owned(), stack, entries: Arc::clone(here) });
        // Folders of a service are its own; but for a root, which may only hold services together.
        if !folder.is_empty() {
            return;
        }
    }
    for (name, entry) in here.entries() {
        let is_others = name.starts_with('.') || OTHERS.contains(&name);
        if let Entry::Directory(inner) = entry
            && !is_others
            && depth < DEEP
        {
            find(inner, &path(folder, name), depth + 1, catalogue, candidates, proposal);
        }
    }
}

fn path(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// A service.yaml; or why there is none.
fn service(
    candidate: &Candidate<'_>,
    text_of: &dyn Fn(&str) -> Option<String>,
    names: &mut BTreeMap<String, usize>,
) -> Result<String, String> {
    let Candidate { folder, stack, entries } = candidate;
    let read = |name: &str| text_of(&path(folder, name));
    let entry = entry(stack, entries, &read)?;
    let base = super::super::import::label(folder.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("app"));
    let count = names.entry(base.clone()).and_modify(|count| *count += 1).or_insert(1);
    let name = if *count > 1 { format!("{base}-{count}") } else { base };
    let mut text = format!("name: {name}\n");
    let _ = writeln!(text, "stack: {}", stack.name);
    if let Some(run) = &entry.run {
        let _ = writeln!(text, "run: {run}");
    }
    match entry.port {
        Some(port) => {
            let _ = writeln!(text, "ports: {{ http: {port} }}");
        }
        None => text.push_str("# ports: { http: 8080 }       # if it listens: it finds the number in $PORT\n"),
    }
    let manifests: Vec<String> = stack.detect.iter().filter_map(|name| read(name)).collect();
    let uses = |needles: &[&str]| manifests.iter().any(|text| needles.iter().any(|needle| text.contains(needle)));
    let mut kinds: Vec<&str> = CLIENTS.iter().filter(|(_, needles)| uses(needles)).map(|(kind, _)| *kind).collect();
    kinds.retain(|kind| Catalogue::built_in().databases.contains_key(*kind));
    if kinds.is_empty() {
        text.push_str("# databases: [postgres]       # it finds them as DATABASE_URL, REDIS_URL, ...\n");
    } else {
        let _ = writeln!(text, "databases: [{}]       # it has a client for each of them", kinds.join(", "));
    }
    text.push_str("# dependencies: [other]       # services that it calls: OTHER_URL, ...\n");
    Ok(text)
}

/// How a service is run, as far as its files say.
struct Start {
    /// As YAML; the stack's own otherwise.
    run: Option<String>,
    port: Option<u16>,
}

fn entry(stack: &Stack, entries: &Directory, read: &dyn Fn(&str) -> Option<String>) -> Result<Start, String> {
    let listens = |text: &str| text.contains("PORT").then_some(8080);
    let has = |name: &str| entries.file(name).is_some();
    let of_file = |name: &str, program: &str| {
        let text = read(name).unwrap_or_default();
        Start { run: Some(format!("[{program}, {name}]")), port: listens(&text) }
    };
    let nothing = |what: &str| Err(format!("{}, but {what}: it looks like a library", stack.name));
    match stack.name.as_str() {
        "node" => {
            let manifest: serde_json::Value =
                read("package.json").and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            let files = ["server.js", "index.js", "app.js", "main.js", "src/index.js", "src/server.js"];
            let port = files.iter().filter_map(|name| read(name)).find_map(|text| listens(&text));
            if manifest["scripts"]["start"].is_string() {
                return Ok(Start { run: None, port });
            }
            match files.iter().find(|name| has(name)) {
                Some(name) => Ok(of_file(name, "node")),
                None => nothing("package.json has no `start` script"),
            }
        }
        "python" if has("manage.py") => Ok(Start {
            run: Some("[sh, -c, \"exec python manage.py runserver 0.0.0.0:$PORT\"]".to_owned()),
            port: Some(8000),
        }),
        "python" => match ["app.py", "main.py", "server.py", "__main__.py"].iter().find(|name| has(name)) {
            Some(name) => Ok(of_file(name, "python")),
            None => nothing("it has none of app.py, main.py and server.py"),
        },
        "go" => {
            let programs = entries.files().into_iter().filter(|(name, _)| name.ends_with(".go") && !name.contains('/'));
            let texts: Vec<String> = programs.filter_map(|(name, _)| read(&name)).collect();
            if texts.iter().any(|text| text.contains("package main")) {
                return Ok(Start { run: None, port: texts.iter().find_map(|text| listens(text)) });
            }
            nothing("it has no `package main`")
        }
        "rust" => match read("src/main.rs") {
            Some(text) => Ok(Start { run: None, port: listens(&text) }),
            None => nothing("it has no src/main.rs"),
        },
        "docker" => {
            let text = read("Dockerfile").unwrap_or_default();
            let exposed = text.lines().filter_map(|line| line.trim().strip_prefix("EXPOSE "));
            let port = exposed.filter_map(|rest| rest.split(['/', ' ']).next()?.parse().ok()).next();
            Ok(Start { run: None, port })
        }
        "static" => Ok(Start { run: None, port: Some(8080) }),
        _ => Ok(Start { run: None, port: None }),
    }
}

fn repository(folders: &[String]) -> String {
    let mut patterns: Vec<String> = folders
        .iter()
        .map(|folder| match folder.rsplit_once('/') {
            None if folder.is_empty() => "\".\"".to_owned(),
            None => folder.clone(),
            Some((above, _)) => format!("\"{above}/*\""),
        })
        .collect();
    patterns.sort();
    patterns.dedup();
    format!("services: [{}]\n", patterns.join(", "))
}

#[cfg(test)]
mod tests {
    use clustergraph::tree::Tree;

    use super::*;

    fn proposed(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        std::process::Command::new("git").args(["init", "-q"]).current_dir(folder.path()).status().unwrap();
        let tree = Tree::of_worktree(folder.path()).unwrap();
        let text_of = |path: &str| String::from_utf8(tree.read(tree.root().file(path)?).ok()?).ok();
        let proposal = Proposal::of(tree.root(), Catalogue::built_in(), &text_of);
        let mut text = String::new();
        for (path, written) in &proposal.files {
            let shown: Vec<&str> = written.lines().filter(|line| !line.starts_with('#')).collect();
            let _ = writeln!(text, "{path}: {}", shown.join("; "));
        }
        for (path, why) in &proposal.skipped {
            let _ = writeln!(text, "- {path}: {why}");
        }
        text
    }

    #[test]
    fn each_folder_with_a_stack_gets_a_file() {
        assert_eq!(
            proposed(&[
                ("api/requirements.txt", "psycopg[binary]==3.2\nredis\n"),
                ("api/app.py", "port = int(os.environ['PORT'])\n"),
                ("web/package.json", r#"{"scripts": {"start": "node server.js"}}"#),
                ("web/server.js", "listen(process.env.PORT)"),
                ("libs/money/requirements.txt", ""),
                ("libs/money/money.py", ""),
                ("page/Dockerfile", "FROM nginx\nEXPOSE 80/tcp\n"),
            ]),
            "\
api/service.yaml: name: api; stack: python; run: [python, app.py]; ports: { http: 8080 }; databases: [postgres, redis]       # it has a client for each of them
page/service.yaml: name: page; stack: docker; ports: { http: 80 }
web/service.yaml: name: web; stack: node; ports: { http: 8080 }
- libs/money: python, but it has none of app.py, main.py and server.py: it looks like a library
"
        );
    }

    #[test]
    fn deeper_folders_and_a_root_need_the_repositorys_own_file() {
        let deep = proposed(&[("apps/web/package.json", r#"{"scripts": {"start": "x"}}"#)]);
        assert!(deep.contains("clustergraph.yaml: services: [\"apps/*\"]\n"), "{deep}");
        let root = proposed(&[("Cargo.toml", "[package]\n"), ("src/main.rs", "fn main() {}\n")]);
        assert_eq!(root, "clustergraph.yaml: services: [\".\"]\nservice.yaml: name: app; stack: rust\n");
    }

    #[test]
    fn what_is_there_stays_and_what_others_own_is_left_alone() {
        assert_eq!(
            proposed(&[
                ("api/service.yaml", "name: api\n"),
                ("api/requirements.txt", ""),
                ("vendor/x/go.mod", "module x\n"),
                ("docker-compose.yml", "services: {}\n"),
            ]),
            "- api/service.yaml: it is there already\n- docker-compose.yml: `ssi import compose docker-compose.yml` reads it\n"
        );
    }
}
