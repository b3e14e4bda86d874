//! Repositories that a test may do anything to.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The root of this repository.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace").to_owned()
}

/// A repository of its own in a temporary folder.
pub struct Repository {
    folder: TempDir,
}

impl Repository {
    /// A copy of an example, committed.
    #[must_use]
    pub fn of_example(name: &str) -> Self {
        Self::copied(&workspace().join("examples").join(name), "the example")
    }

    /// A copy of a repository that is only there for tests, committed.
    #[must_use]
    pub fn of_fixture(name: &str) -> Self {
        Self::copied(&workspace().join("tests/fixtures").join(name), "the fixture")
    }

    fn copied(source: &Path, message: &str) -> Self {
        let repository = Self::empty();
        copy(source, repository.path());
        repository.commit(message);
        repository
    }

    /// A copy of the shop, which is this repository as ClusterGraph sees it; committed.
    #[must_use]
    pub fn of_shop() -> Self {
        let repository = Self::empty();
        copy(&workspace().join("services"), &repository.path().join("services"));
        std::fs::copy(workspace().join("clustergraph.yaml"), repository.path().join("clustergraph.yaml"))
            .expect("the file is copied");
        repository.commit("the shop");
        repository
    }

    /// A repository with these files, committed.
    #[must_use]
    pub fn with(files: &[(&str, &str)]) -> Self {
        let repository = Self::empty();
        for (path, text) in files {
            repository.write(path, text);
        }
        repository.commit("the files");
        repository
    }

    fn empty() -> Self {
        let folder = TempDir::with_prefix("clustergraph-test-").expect("a temporary folder");
        // Database servers run as another user and pass through here.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        let repository = Self { folder };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// Its root.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, making its folders.
    pub fn write(&self, path: &str, text: &str) {
        let file = self.path().join(path);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("folders are made");
        std::fs::write(file, text).expect("the file is written");
    }

    /// Changes a file by replacing a text that must be there.
    pub fn replace(&self, path: &str, from: &str, to: &str) {
        let file = self.path().join(path);
        let text = std::fs::read_to_string(&file).expect("the file is there");
        assert!(text.contains(from), "{path} does not hold {from:?}");
        std::fs::write(file, text.replace(from, to)).expect("the file is written");
    }

    /// Puts a line at the end of a file.
    pub fn append(&self, path: &str, line: &str) {
        let file = self.path().join(path);
        let text = std::fs::read_to_string(&file).expect("the file is there");
        std::fs::write(file, format!("{text}{line}\n")).expect("the file is written");
    }

    /// Commits everything and gives the commit's id.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git and gives what it prints.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(self.path())
            .output()
            .expect("git runs");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

/// Copies the files that git knows of: what was installed or built next to them stays where it is.
fn copy(source: &Path, target: &Path) {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(source)
        .output()
        .expect("git runs");
    for path in String::from_utf8_lossy(&output.stdout).lines() {
        let (from, to) = (source.join(path), target.join(path));
        if from.is_file() {
            std::fs::create_dir_all(to.parent().expect("a folder")).expect("folders are made");
            std::fs::copy(&from, &to).expect("the file is copied");
        }
    }
}
