//! Scripts that a database's image would run at its first start, as a task that everybody waits for.

use std::collections::BTreeMap;

use serde_yaml::{Mapping, Value};

use super::Findings;
use super::databases::Server;
use super::nodes::label;
use super::translate::Plan;
use super::yaml::{document, in_folder, map};

/// Where the task finds its scripts.
const FOLDER: &str = "/scripts";

/// The name of the task of a server.
pub(super) fn name(server: &str) -> String {
    format!("{}-init", label(server))
}

/// The program that runs one SQL file, by kind of database; `P` stands for the variables' first part.
fn client(kind: &str) -> Option<&'static str> {
    match kind {
        "postgres" => Some("psql \"$P_URL\" -v ON_ERROR_STOP=1 -q -f \"$file\""),
        "mysql" => Some(
            "MYSQL_PWD=\"$P_PASSWORD\" mysql -h \"$P_HOST\" -P \"$P_PORT\" -u \"$P_USERNAME\" \"$P_DATABASE\" < \"$file\"",
        ),
        "mariadb" => Some(
            "MYSQL_PWD=\"$P_PASSWORD\" mariadb -h \"$P_HOST\" -P \"$P_PORT\" -u \"$P_USERNAME\" \"$P_DATABASE\" < \"$file\"",
        ),
        _ => None,
    }
}

/// Writes the task of a server.
pub(super) fn write(
    plan: &Plan<'_>,
    server_name: &str,
    server: &Server,
    files: &mut BTreeMap<String, String>,
    findings: &mut Findings,
) {
    let Some(store) = plan.stores.get(server_name, None) else { return };
    let (usable, other): (Vec<_>, Vec<_>) = server.scripts.iter().partition(|(name, _)| name.ends_with(".sql"));
    for (_, path) in other {
        findings.add(Some(server_name), path, "only SQL files are carried over: run it in a task of your own");
    }
    let Some(client) = client(&server.kind).filter(|_| !usable.is_empty()) else { return };
    let name = name(server_name);
    let folder = format!("services/{name}");
    let prefix = clustergraph::wiring::variable_prefix(&store.alias);
    let mut inner = Mapping::new();
    for (file, path) in usable {
        let Some(text) = plan.known.look.text(path) else { continue };
        files.insert(in_folder(&folder, file), text.replace("${", "$${"));
        inner.insert(format!("{FOLDER}/{file}").into(), file.as_str().into());
    }
    let script = format!("for file in {FOLDER}/*.sql; do {}; done", client.replace("$P_", &format!("${prefix}_")));
    let version = server.version.clone().or_else(|| {
        clustergraph::catalogue::Catalogue::built_in().databases.get(&server.kind).map(|kind| kind.default.clone())
    });
    let image = server.image.clone().unwrap_or_else(|| format!("{}:{}", server.kind, version.unwrap_or_default()));
    let mut yaml = Mapping::new();
    yaml.insert("name".into(), name.as_str().into());
    yaml.insert("task".into(), true.into());
    let uses = Mapping::from_iter([("from".into(), store.alias.as_str().into())]);
    yaml.insert("databases".into(), vec![Value::from(uses)].into());
    yaml.insert("image".into(), image.into());
    yaml.insert("run".into(), vec!["sh".to_owned(), "-euc".to_owned(), script].into());
    map(&mut yaml, "files", inner);
    files.insert(in_folder(&folder, "service.yaml"), document(&yaml, plan.known));
    let why = format!(
        "the task {name} runs copies of them once: again for new data, or when they change; `migrate:` of a service is the better place"
    );
    findings.add(Some(server_name), "scripts of the first start", &why);
}
