//! An import as a whole: a stranger's Compose file becomes these files.

use std::collections::BTreeMap;

use super::*;

/// Files of a repository that is nowhere.
struct InMemory(BTreeMap<&'static str, &'static str>);

impl Look for InMemory {
    fn text(&self, path: &str) -> Option<String> {
        self.0.get(path).map(|text| (*text).to_owned())
    }

    fn entries(&self, path: &str) -> Option<Vec<String>> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let below = self.0.keys().filter_map(|known| known.strip_prefix(prefix.as_str()));
        let mut names: Vec<String> = below.filter_map(|rest| rest.split('/').next()).map(str::to_owned).collect();
        names.dedup();
        (!names.is_empty()).then_some(names)
    }
}

fn shown(files: &BTreeMap<String, String>, findings: &Findings) -> String {
    let mut text = String::new();
    for (path, written) in files {
        text.push_str(&format!("--- {path}\n{written}"));
    }
    for Finding { service, what, why } in &findings.0 {
        text.push_str(&format!("! {}: {what}: {why}\n", service.as_deref().unwrap_or("-")));
    }
    text
}

/// What becomes of a Compose file at the root of a repository with these files.
fn imported(compose: &str, files: &[(&'static str, &'static str)]) -> (BTreeMap<String, String>, Findings) {
    let look = InMemory(files.iter().copied().collect());
    let variables =
        look.text(".env").map(|text| interpolate::env_file(&text)).unwrap_or_default().into_iter().collect();
    let known = Known { look: &look, folder: String::new(), file: "compose.yaml".to_owned(), variables };
    let mut findings = Findings::default();
    let compose = compose::read(compose, &known.variables, &mut findings).unwrap();
    let files = translate::translate(&compose, &known, &mut findings);
    (files, findings)
}

fn written(compose: &str, files: &[(&'static str, &'static str)], path: &str) -> String {
    let (written, findings) = imported(compose, files);
    written.get(path).cloned().unwrap_or_else(|| panic!("{path} is not in\n{}", shown(&written, &findings)))
}

#[test]
fn the_example_of_a_stranger() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/compose-import");
    let look = OnDisk(folder.clone());
    let text = std::fs::read_to_string(folder.join("docker-compose.yml")).unwrap();
    let known =
        Known { look: &look, folder: String::new(), file: "docker-compose.yml".to_owned(), variables: BTreeMap::new() };
    let mut findings = Findings::default();
    let compose = compose::read(&text, &known.variables, &mut findings).unwrap();
    let files = translate::translate(&compose, &known, &mut findings);
    insta::assert_snapshot!(shown(&files, &findings));
}

#[test]
fn a_database_of_one_service_is_its_own() {
    let file = written(
        "services:\n  db: {image: 'postgres:16.4-alpine'}\n  web:\n    image: shop\n    environment: {DB: 'postgres://postgres:x@db/postgres?sslmode=disable'}\n",
        &[],
        "services/web/service.yaml",
    );
    assert!(file.contains("databases:\n- kind: postgres\n  version: '16'\n  as: db\n"), "{file}");
    assert!(file.contains("DB: ${databases.db.url}?sslmode=disable\n"), "{file}");
}

#[test]
fn variables_beside_a_host_are_wired_too() {
    let file = written(
        "services:\n  mysql: {image: 'postgres:16', environment: {POSTGRES_USER: app, POSTGRES_PASSWORD: x}}\n  web:\n    image: shop\n    environment: {DB_HOST: mysql, DB_PORT: 5432, DB_USER: app, DB_PASSWORD: x, DB_NAME: shop, MODE: app}\n",
        &[],
        "services/web/service.yaml",
    );
    for line in [
        "DB_HOST: ${databases.mysql.host}",
        "DB_PORT: ${databases.mysql.port}",
        "DB_USER: ${databases.mysql.username}",
        "DB_PASSWORD: ${databases.mysql.password}",
        "DB_NAME: ${databases.mysql.database}",
        "MODE: app",
    ] {
        assert!(file.contains(line), "{line} is not in\n{file}");
    }
}

#[test]
fn what_nothing_names_stays_the_image_that_it_is() {
    let (files, findings) = imported(
        "services:\n  db: {image: 'postgres:16', environment: {POSTGRES_PASSWORD: x}}\n  web: {image: shop, depends_on: [db]}\n",
        &[],
    );
    let file = &files["services/db/service.yaml"];
    assert!(file.contains("image: postgres:16") && file.contains("POSTGRES_PASSWORD"), "{file}");
    assert!(files["services/web/service.yaml"].contains("dependencies:\n- db\n"));
    assert!(findings.0.iter().any(|finding| finding.what == "database"));
}

#[test]
fn secrets_are_named_and_not_written() {
    let file = written(
        "services:\n  web:\n    image: shop\n    environment:\n      - STRIPE_KEY=${STRIPE_SECRET_KEY}\n      - API_TOKEN=${API_TOKEN}\n      - JWT_SECRET=dev-only\n      - AWS_REGION\n      - SITE=${SITE:-shop}/x\n      - MAIL=${MAIL_HOST}\n      - PRICE=$$5\n",
        &[(".env", "API_TOKEN=very-secret\nMAIL_HOST=mail.example\n")],
        "services/web/service.yaml",
    );
    assert!(!file.contains("very-secret"), "{file}");
    for lines in [
        "STRIPE_KEY: ${secrets.STRIPE_SECRET_KEY}\n",
        "SITE: shop/x\n",
        "MAIL: mail.example\n",
        "PRICE: $5\n",
        "passthrough:\n- AWS_REGION\n",
        "secrets:\n- API_TOKEN\n- name: JWT_SECRET\n  dev: dev-only\n- STRIPE_SECRET_KEY\n",
    ] {
        assert!(file.contains(lines), "{lines} is not in\n{file}");
    }
}

#[test]
fn what_is_built_alike_is_one_service_with_processes() {
    let (files, _) = imported(
        "services:\n  web: {build: ., image: app, ports: ['8000:8000']}\n  worker: {image: app, command: celery worker, environment: {QUEUE: fast}}\n",
        &[("Dockerfile", "FROM x\n")],
    );
    let file = &files["service.yaml"];
    assert!(
        file.contains("processes:\n  worker:\n    run:\n    - celery\n    - worker\n    env:\n      QUEUE: fast\n"),
        "{file}"
    );
    assert_eq!(files["clustergraph.yaml"], "# From compose.yaml.\nservices:\n- .\n");
}

#[test]
fn conditions_become_waits() {
    let (files, _) = imported(
        "services:\n  web:\n    image: a\n    depends_on: {setup: {condition: service_completed_successfully}, api: {condition: service_healthy, required: false}}\n    environment: {SEARCH: 'http://search:9200'}\n  setup: {image: b, restart: 'no'}\n  api: {image: c}\n  search: {image: d}\n",
        &[],
    );
    let web = &files["services/web/service.yaml"];
    assert!(
        web.contains(
            "dependencies:\n- service: api\n  optional: true\n- service: search\n  wait: none\n- service: setup\n  wait: completed\n"
        ),
        "{web}"
    );
    assert!(files["services/setup/service.yaml"].contains("task: true\n"));
    assert!(files["services/search/service.yaml"].contains("ports:\n  http: 9200\n"));
}

#[test]
fn files_of_the_repository_are_put_in_and_others_are_told() {
    let (files, findings) = imported(
        "services:\n  proxy:\n    image: nginx\n    volumes: ['./nginx/site.conf:/etc/nginx/site.conf:ro', '/var/run/docker.sock:/var/run/docker.sock', '../up:/up', './gone:/gone', 'cache:/cache']\n",
        &[("nginx/site.conf", "server {}\n")],
    );
    let file = &files["nginx/service.yaml"];
    assert!(file.contains("files:\n  /etc/nginx/site.conf: site.conf\nvolumes:\n  cache: /cache\n"), "{file}");
    let told: Vec<&str> = findings.0.iter().map(|finding| finding.what.as_str()).collect();
    assert_eq!(told.len(), 3, "{told:?}");
}

#[test]
fn a_file_that_is_none_is_refused() {
    let read = |text: &str| compose::read(text, &BTreeMap::new(), &mut Findings::default()).unwrap_err();
    assert!(read("a: 1\n").contains("no `services`"));
    assert!(read("- a\n").contains("no map"));
    assert!(!read("a: [\n").is_empty());
}

#[test]
fn paths_are_those_of_the_repository() {
    let look = InMemory(BTreeMap::new());
    let known = Known { look: &look, folder: "deploy/dev".into(), file: String::new(), variables: BTreeMap::new() };
    assert_eq!(known.path("./x"), Some("deploy/dev/x".into()));
    assert_eq!(known.path("../../api/"), Some("api".into()));
    assert_eq!(known.path("../.."), Some(String::new()));
    assert_eq!((known.path("../../.."), known.path("/etc"), known.path("~/x")), (None, None, None));
}
