//! A database server as a process of the machine: where its programs are, how its data is made, how it is run.

use std::collections::BTreeMap;

use super::read;
use crate::diagnostic::{Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::service::Command;
use crate::format::yaml::Yaml;

/// How a server runs without a container. Commands also hold `{password_file}` (while the data folder is made),
/// `{sockets}` (a folder for as long as it runs) and `{spare}` (a further port of loopback that is given like `{port}`; see
/// [`Native::has_spare`]). A server that tells clients where to go (see [`super::Container::loopback`]) also has
/// `{containers}`, a port of loopback for clients in containers, who find it at `{name}:{advertised}`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Native {
    /// Folders of its programs, with `{version}`: they come before `PATH` for all that the entry runs.
    pub folders: Vec<String>,
    /// Where it lies, for servers that are a folder rather than programs on `PATH`.
    pub home: Option<Home>,
    /// Prints the version; see [`super::says_version`].
    pub version: Command,
    /// The packages that hold it, by package manager, with `{version}`. With a home, what its programs need.
    pub package: BTreeMap<String, String>,
    /// The account that it runs as when the caller is root, or `nobody` where the machine has none of the name; the caller's
    /// own for servers that do not mind.
    pub account: Option<String>,
    /// A file that exists in a data folder that was made.
    pub marker: String,
    /// Makes a data folder.
    pub init: Command,
    /// Runs the server in the foreground.
    pub run: Command,
    /// Environment of all of these.
    pub env: BTreeMap<String, String>,
}

/// A server that is a folder: the one that a variable names, else one of the user's cache that is filled once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Home {
    /// The variable, such as `KAFKA_HOME`.
    pub variable: String,
    /// The folder inside `{home}` that the files are put into.
    pub into: String,
    /// Artifacts of Maven Central, `group:artifact:version[:classifier]` with `{version}` filled in by [`Home::files`], by version of
    /// the entry; each with its SHA-256.
    pub maven: BTreeMap<String, BTreeMap<String, String>>,
}

/// One file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its path below a Maven repository, such as `https://repo1.maven.org/maven2/`.
    pub path: String,
    /// Its name in the folder.
    pub name: String,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
}

impl Home {
    /// The files that fill it for a version of the entry; none where it cannot be fetched.
    #[must_use]
    pub fn files(&self, version: &str) -> Vec<Artifact> {
        let known = self.maven.get(version).into_iter().flatten();
        known
            .filter_map(|(coordinates, sha256)| {
                let mut parts = coordinates.split(':');
                let (group, artifact, version) = (parts.next()?, parts.next()?, parts.next()?);
                let classifier = parts.next().map(|name| format!("-{name}")).unwrap_or_default();
                let name = format!("{artifact}-{version}{classifier}.jar");
                let path = format!("{}/{artifact}/{version}/{name}", group.replace('.', "/"));
                Some(Artifact { path, name, sha256: sha256.clone() })
            })
            .collect()
    }
}

impl Native {
    /// Whether it needs a further port.
    #[must_use]
    pub fn has_spare(&self) -> bool {
        self.run.iter().chain(&self.init).chain(self.env.values()).any(|text| text.contains("{spare}"))
    }

    pub(super) fn decode(yaml: &Yaml, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::open(yaml, "`native`", problems)?;
        let place = fields.place();
        let native = Self {
            folders: read::texts(&mut fields, "folders", problems),
            home: fields.take("home").and_then(|yaml| home(yaml, problems)),
            version: read::command(&mut fields, "version", problems),
            package: read::map(&mut fields, "package", problems),
            account: read::optional_text(&mut fields, "account", problems),
            marker: read::text(&mut fields, "marker", problems),
            init: read::command(&mut fields, "init", problems),
            run: read::command(&mut fields, "run", problems),
            env: read::map(&mut fields, "env", problems),
        };
        fields.close("`native`", problems);
        for (name, is_empty) in [
            ("version", native.version.is_empty()),
            ("marker", native.marker.is_empty()),
            ("init", native.init.is_empty()),
            ("run", native.run.is_empty()),
        ] {
            if is_empty {
                let mend = "a server that runs natively needs all of `version`, `marker`, `init` and `run`";
                problems.add(read::missing(place.clone(), "`native`", name, mend));
            }
        }
        Some(native)
    }
}

fn home(yaml: &Yaml, problems: &mut Problems) -> Option<Home> {
    let mut fields = Fields::open(yaml, "`home`", problems)?;
    let variable = read::required_text(&mut fields, "variable", "`home`", "name the variable that holds it", problems)?;
    let into = read::text(&mut fields, "into", problems);
    let versions = fields.take("maven").map(|yaml| decode::entries(yaml, "`maven`", problems)).unwrap_or_default();
    let mut maven = BTreeMap::new();
    for (version, yaml) in versions {
        let mut files = BTreeMap::new();
        for (key, yaml) in decode::entries(yaml, "the artifacts of a version", problems) {
            let sha256 = decode::string(yaml, "the SHA-256", problems).unwrap_or_default();
            let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !is_hash {
                let message = format!("`{}` needs the SHA-256 of its file", key.name.escape_debug());
                problems.add(Problem::new("hash", yaml.place.clone(), message).mend("64 hexadecimal digits"));
            }
            if !matches!(key.name.split(':').count(), 3 | 4) || !is_path(&key.name) {
                let message = format!("`{}` names no artifact", key.name.escape_debug());
                problems.add(Problem::new("artifact", key.place.clone(), message).mend("group:artifact:version"));
            }
            files.insert(key.name.clone(), sha256.to_owned());
        }
        maven.insert(version.name.clone(), files);
    }
    fields.close("`home`", problems);
    Some(Home { variable, into, maven })
}

/// Whether coordinates are what a path and a file's name may be made of.
fn is_path(coordinates: &str) -> bool {
    coordinates.split(':').all(|part| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_have_the_paths_of_maven_repositories() {
        let files = BTreeMap::from([("org.apache.kafka:kafka_2.13:4.1.2".to_owned(), "ab".repeat(32))]);
        let home = Home { maven: BTreeMap::from([("4.1".to_owned(), files)]), ..Home::default() };
        let [file] = &home.files("4.1")[..] else { panic!() };
        assert_eq!(file.path, "org/apache/kafka/kafka_2.13/4.1.2/kafka_2.13-4.1.2.jar");
        assert_eq!(file.name, "kafka_2.13-4.1.2.jar");
        assert!(home.files("4.2").is_empty());
    }

    #[test]
    fn coordinates_are_no_way_out_of_a_folder() {
        assert!(is_path("org.apache.kafka:kafka_2.13:4.1.2"));
        assert!(!is_path("org:../../x:1"));
        assert!(!is_path("org:..:1"));
        assert!(!is_path("org::1"));
    }
}
