//! Which services of a Compose file are databases that the catalogue knows, and what they declare.

use std::collections::BTreeMap;

use clustergraph::catalogue::Catalogue;

use super::compose::{MountKind, Service};
use super::interpolate::fill;
use super::{Findings, Known};

/// A service of the Compose file that is a database server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// The kind in the catalogue.
    pub(super) kind: String,
    /// The version; the catalogue's own choice otherwise.
    pub(super) version: Option<String>,
    /// The image where it is not the kind's own.
    pub(super) image: Option<String>,
    /// The user that it makes.
    pub(super) user: Option<String>,
    /// That user's password.
    pub(super) password: Option<String>,
    /// The database that it makes.
    pub(super) database: Option<String>,
    /// Settings of its command line.
    pub(super) settings: Vec<(String, String)>,
    /// Scripts that the image runs at the first start: their names, by which they are ordered, and where they are.
    pub(super) scripts: BTreeMap<String, String>,
}

/// Names of images by the kind that they serve, and whether they are the kind's own image or one made of it.
const IMAGES: &[(&str, &str, bool)] = &[
    ("postgres", "postgres", true),
    ("bitnami/postgresql", "postgres", true),
    ("postgis/postgis", "postgres", false),
    ("pgvector/pgvector", "postgres", false),
    ("timescale/timescaledb", "postgres", false),
    ("mysql", "mysql", true),
    ("mysql/mysql-server", "mysql", true),
    ("bitnami/mysql", "mysql", true),
    ("mariadb", "mariadb", true),
    ("bitnami/mariadb", "mariadb", true),
    ("redis", "redis", true),
    ("bitnami/redis", "redis", true),
    ("valkey/valkey", "redis", true),
    ("apache/kafka", "kafka", true),
    ("confluentinc/cp-kafka", "kafka", true),
    ("confluentinc/confluent-local", "kafka", true),
    ("bitnami/kafka", "kafka", true),
    ("wurstmeister/kafka", "kafka", true),
    ("rabbitmq", "rabbitmq", true),
    ("bitnami/rabbitmq", "rabbitmq", true),
    ("mongo", "mongodb", true),
    ("bitnami/mongodb", "mongodb", true),
    ("memcached", "memcached", true),
    ("bitnami/memcached", "memcached", true),
    ("nats", "nats", true),
    ("minio/minio", "minio", true),
    ("elasticsearch", "elasticsearch", true),
    ("elasticsearch/elasticsearch", "elasticsearch", true),
];

/// Variables by which images are told what to make, by kind: user, password, database. The first that is set counts.
const DECLARED: &[(&str, [&[&str]; 3])] = &[
    (
        "postgres",
        [
            &["POSTGRES_USER", "POSTGRESQL_USERNAME"],
            &["POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD"],
            &["POSTGRES_DB", "POSTGRESQL_DATABASE"],
        ],
    ),
    ("mysql", [&["MYSQL_USER"], &["MYSQL_PASSWORD", "MYSQL_ROOT_PASSWORD"], &["MYSQL_DATABASE"]]),
    (
        "mariadb",
        [
            &["MARIADB_USER", "MYSQL_USER"],
            &["MARIADB_PASSWORD", "MYSQL_PASSWORD", "MARIADB_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD"],
            &["MARIADB_DATABASE", "MYSQL_DATABASE"],
        ],
    ),
    ("redis", [&[], &["REDIS_PASSWORD"], &[]]),
    ("rabbitmq", [&["RABBITMQ_DEFAULT_USER"], &["RABBITMQ_DEFAULT_PASS"], &["RABBITMQ_DEFAULT_VHOST"]]),
    ("mongodb", [&["MONGO_INITDB_ROOT_USERNAME"], &["MONGO_INITDB_ROOT_PASSWORD"], &["MONGO_INITDB_DATABASE"]]),
    ("minio", [&["MINIO_ROOT_USER", "MINIO_ACCESS_KEY"], &["MINIO_ROOT_PASSWORD", "MINIO_SECRET_KEY"], &[]]),
];

/// The user that an image makes when it is told none.
fn default_user(kind: &str) -> Option<&'static str> {
    match kind {
        "postgres" => Some("postgres"),
        "mysql" | "mariadb" => Some("root"),
        "rabbitmq" => Some("guest"),
        "minio" => Some("minioadmin"),
        _ => None,
    }
}

/// Where images look for scripts to run at the first start.
const SCRIPTS: &str = "/docker-entrypoint-initdb.d";

impl Server {
    /// The server that a service is; `None` when it is none, or of no kind that the catalogue knows.
    pub(super) fn of(service: &Service, known: &Known<'_>, findings: &mut Findings) -> Option<Self> {
        let image = service.image.as_ref().filter(|_| service.build.is_none())?;
        let (name, tag) = name_and_tag(image);
        let (_, kind, is_own) = IMAGES.iter().find(|(of, _, _)| *of == name)?;
        let entry = Catalogue::built_in().databases.get(*kind)?;
        let version = version_of(tag, &|version| entry.versions.iter().any(|known| known == version));
        if version.is_none() && tag.starts_with(|c: char| c.is_ascii_digit()) {
            let why = format!(
                "the catalogue knows {kind} {}: {} is taken; write `version:` to choose another",
                entry.versions.join(", "),
                entry.default
            );
            findings.add(Some(&service.name), &format!("image {image}"), &why);
        }
        let declared = DECLARED.iter().find(|(of, _)| of == kind).map(|(_, names)| names);
        let environment = known.environment(service);
        let value = |names: Option<&&[&str]>| {
            let names = names.copied().unwrap_or_default();
            names.iter().find_map(|name| environment.get(*name).filter(|value| !value.is_empty()).cloned())
        };
        let user = value(declared.map(|names| &names[0])).or_else(|| default_user(kind).map(str::to_owned));
        let database =
            value(declared.map(|names| &names[2])).or_else(|| (*kind == "postgres").then(|| user.clone()).flatten());
        let (settings, required) = settings(service.command.as_deref().unwrap_or_default());
        Some(Self {
            kind: (*kind).to_owned(),
            version,
            image: (!is_own).then(|| image.clone()),
            password: value(declared.map(|names| &names[1])).or(required),
            user,
            database,
            settings,
            scripts: scripts(service, known),
        })
    }
}

/// `registry/name:tag@digest` as name and tag, without a registry and `library/`.
pub(super) fn name_and_tag(image: &str) -> (&str, &str) {
    let image = image.split('@').next().unwrap_or(image);
    let (name, tag) = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, ""),
    };
    let name = match name.split_once('/') {
        Some((registry, rest)) if registry.contains(['.', ':']) || registry == "localhost" => rest,
        _ => name,
    };
    (name.strip_prefix("library/").unwrap_or(name), tag)
}

/// The version of the catalogue that a tag such as `16.4-alpine` or `pg16` means.
fn version_of(tag: &str, knows: &dyn Fn(&str) -> bool) -> Option<String> {
    let tag = tag.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let number: &str = &tag[..tag.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(tag.len())];
    let mut version = number.trim_end_matches('.');
    loop {
        if version.is_empty() {
            return None;
        }
        if knows(version) {
            return Some(version.to_owned());
        }
        version = version.rsplit_once('.').map_or("", |(before, _)| before);
    }
}

/// Settings of a command line in the ways of the usual servers, and the password that Redis requires.
fn settings(words: &[String]) -> (Vec<(String, String)>, Option<String>) {
    let mut settings = Vec::new();
    let mut words = words.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        let pair = match word.strip_prefix("--").filter(|rest| !rest.is_empty()) {
            Some(rest) => match rest.split_once('=') {
                Some((name, value)) => Some((name, value)),
                None => match words.peek().copied().filter(|next| !next.starts_with('-')) {
                    Some(value) => words.next().map(|_| (rest, value)),
                    None => None,
                },
            },
            None if word == "-c" => words.next().and_then(|pair| pair.split_once('=')),
            None => None,
        };
        settings.extend(pair.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())));
    }
    let password = settings.iter().position(|(name, _)| name == "requirepass").map(|at| settings.remove(at).1);
    (settings, password)
}

fn scripts(service: &Service, known: &Known<'_>) -> BTreeMap<String, String> {
    let mut scripts = BTreeMap::new();
    for mount in &service.mounts {
        let (MountKind::Bind(source), true) = (&mount.kind, mount.target.starts_with(SCRIPTS)) else { continue };
        let Some(path) = known.path(source) else { continue };
        match known.look.entries(&path) {
            Some(names) => scripts.extend(names.into_iter().map(|name| (name.clone(), format!("{path}/{name}")))),
            None => {
                scripts.insert(mount.target.rsplit('/').next().unwrap_or_default().to_owned(), path);
            }
        }
    }
    scripts
}

/// The values that an env file or `environment:` gives, filled in: what the image itself would see.
impl Known<'_> {
    pub(super) fn environment(&self, service: &Service) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for file in &service.env_files {
            all.extend(self.env_file(file).unwrap_or_default());
        }
        for (name, raw) in &service.environment {
            let value = match raw {
                Some(raw) => fill(raw, &self.variables, &mut Vec::new()),
                None => self.variables.get(name).cloned().unwrap_or_default(),
            };
            all.insert(name.clone(), value);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_their_names() {
        assert_eq!(name_and_tag("postgres:16-alpine"), ("postgres", "16-alpine"));
        assert_eq!(name_and_tag("docker.io/library/redis"), ("redis", ""));
        assert_eq!(name_and_tag("localhost:5000/mysql:8.0@sha256:ab"), ("mysql", "8.0"));
        assert_eq!(name_and_tag("bitnami/kafka:3.7"), ("bitnami/kafka", "3.7"));
    }

    #[test]
    fn a_tag_means_the_nearest_known_version() {
        let knows = |version: &str| ["16", "8.4", "3.13"].contains(&version);
        for (tag, version) in
            [("16", "16"), ("16.4-alpine", "16"), ("pg16", "16"), ("8.4.2", "8.4"), ("3.13-management-alpine", "3.13")]
        {
            assert_eq!(version_of(tag, &knows).as_deref(), Some(version), "{tag}");
        }
        for tag in ["", "latest", "12", "alpine"] {
            assert_eq!(version_of(tag, &knows), None, "{tag}");
        }
    }

    #[test]
    fn settings_are_read_in_the_ways_of_the_usual_servers() {
        let read = |line: &str| {
            let (settings, password) = settings(&shlex::split(line).unwrap());
            let settings: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
            (settings.join(" "), password.unwrap_or_default())
        };
        assert_eq!(
            read("postgres -c max_connections=200 -c 'wal_level = logical'").0,
            "max_connections=200 wal_level=logical"
        );
        assert_eq!(read("--character-set-server=utf8mb4 --skip-name-resolve").0, "character-set-server=utf8mb4");
        assert_eq!(read("redis-server --appendonly yes --requirepass x"), ("appendonly=yes".into(), "x".into()));
    }
}
