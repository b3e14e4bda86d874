//! What is remembered of tests, in the user's cache: which have passed at which version of a service, and how long each took.
//!
//! It is kept there and not in the cluster, since clusters that tests run in end with them; a CI keeps the folder from run to
//! run. It may be deleted or damaged at any time: then tests run again, and are divided evenly.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clustergraph::graph::{Key, Service};
use clustergraph::tree::user_cache;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How much of a file is read, in bytes.
const LARGEST: u64 = 32 << 20;
/// How long something is remembered that is not asked for.
const AGE: Duration = Duration::from_secs(30 * 24 * 3600);

/// What is remembered.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    folder: PathBuf,
}

/// Tests that have passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Passed {
    /// When.
    pub(crate) time: Timestamp,
    /// How many.
    pub(crate) tests: usize,
}

/// What a service's tests are: all that decides what they find. Its id covers its sources and what it depends on; how it is
/// tested is no part of that.
pub(crate) fn key(service: &Service) -> String {
    let test = service.test.as_ref().map(|test| json!([test.run, test.list, test.target]));
    Key::of("test-result", &json!([service.name, service.id, test])).to_string()
}

/// What a service's tests are called by, whatever its version.
fn name(service: &Service) -> String {
    let list = service.test.as_ref().map(|test| json!([test.run, test.list]));
    Key::of("test-times", &json!([service.name, list])).to_string()
}

impl Memory {
    /// The user's.
    pub(crate) fn of_user() -> Self {
        Self::at(&user_cache().join("tests"))
    }

    /// One in this folder, which is made when something is remembered.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Whether the tests of a service have passed as they are.
    pub(crate) fn passed(&self, service: &Service) -> Option<Passed> {
        self.read(&format!("passed-{}", key(service)))
    }

    /// Remembers that they have.
    pub(crate) fn pass(&self, service: &Service, passed: &Passed) {
        self.write(&format!("passed-{}", key(service)), passed);
    }

    /// How long each test of a service took the last time, in seconds.
    pub(crate) fn seconds(&self, service: &Service) -> BTreeMap<String, f64> {
        self.read(&format!("times-{}", name(service))).unwrap_or_default()
    }

    /// Remembers how long tests took; what did not run this time is as before.
    pub(crate) fn took(&self, service: &Service, seconds: BTreeMap<String, f64>) {
        if seconds.is_empty() {
            return;
        }
        let mut all = self.seconds(service);
        all.extend(seconds);
        self.write(&format!("times-{}", name(service)), &all);
    }

    fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        let path = self.folder.join(name);
        let file = std::fs::File::open(&path).ok()?;
        let length = file.metadata().ok()?.len();
        let found = (length <= LARGEST).then(|| serde_json::from_reader(std::io::BufReader::new(&file)).ok())?;
        // What is asked for is not old.
        let _ = file.set_modified(SystemTime::now());
        found
    }

    /// What cannot be written is not remembered.
    fn write(&self, name: &str, value: &impl Serialize) {
        let written = || -> std::io::Result<()> {
            std::fs::create_dir_all(&self.folder)?;
            let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.folder)?;
            file.write_all(&serde_json::to_vec(value)?)?;
            file.persist(self.folder.join(name)).map_err(|error| error.error)?;
            Ok(())
        };
        if written().is_ok() {
            self.forget();
        }
    }

    /// Deletes what nobody has asked for in a long time.
    fn forget(&self) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|it| it.modified());
            let age = modified.ok().and_then(|it| it.elapsed().ok());
            if age.is_some_and(|age| age > AGE) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use clustergraph::graph::Graph;
    use clustergraph::tree::Tree;

    use super::*;

    fn service(text: &str, sources: &str) -> Service {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("api")).unwrap();
        std::fs::write(folder.path().join("api/service.yaml"), format!("name: api\nrun: [./api]\n{text}")).unwrap();
        std::fs::write(folder.path().join("api/api"), sources).unwrap();
        assert!(Command::new("git").current_dir(folder.path()).args(["init", "-q"]).status().unwrap().success());
        let graph = Graph::build(&Tree::of_worktree(folder.path()).unwrap(), "production").unwrap();
        graph.services["api"].clone()
    }

    const TEST: &str = "test: { run: [./test] }\n";

    #[test]
    fn what_has_passed_is_remembered_for_the_very_same_and_for_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::at(&folder.path().join("new"));
        let api = service(TEST, "1");
        assert_eq!(memory.passed(&api), None);
        let passed = Passed { time: Timestamp::UNIX_EPOCH, tests: 3 };
        memory.pass(&api, &passed);
        assert_eq!(memory.passed(&api), Some(passed.clone()));
        assert_eq!(memory.passed(&service(&format!("{TEST}scale: {{ replicas: 2 }}\n"), "1")), Some(passed));
        for (text, sources) in
            [(TEST, "2"), ("test: { run: [./test, all] }\n", "1"), ("env: { A: b }\ntest: { run: [./test] }\n", "1")]
        {
            assert_eq!(memory.passed(&service(text, sources)), None, "{text} {sources}");
        }
    }

    #[test]
    fn how_long_tests_took_is_remembered_over_versions() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::at(folder.path());
        memory.took(&service(TEST, "1"), [("a".to_owned(), 1.0), ("b".to_owned(), 2.0)].into());
        memory.took(&service(TEST, "2"), [("b".to_owned(), 3.0)].into());
        memory.took(&service(TEST, "3"), BTreeMap::new());
        let seconds = memory.seconds(&service(TEST, "4"));
        assert_eq!(seconds, [("a".to_owned(), 1.0), ("b".to_owned(), 3.0)].into());
    }

    #[test]
    fn what_is_damaged_is_not_remembered_and_what_is_old_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::at(folder.path());
        let api = service(TEST, "1");
        memory.pass(&api, &Passed { time: Timestamp::UNIX_EPOCH, tests: 3 });
        let path = folder.path().join(format!("passed-{}", key(&api)));
        std::fs::write(&path, "{").unwrap();
        assert_eq!(memory.passed(&api), None);
        let old = SystemTime::now() - AGE - Duration::from_secs(60);
        std::fs::File::open(&path).unwrap().set_modified(old).unwrap();
        memory.took(&api, [("a".to_owned(), 1.0)].into());
        assert!(!path.exists());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
