//! From a commit's objects to files that programs can run: read-only, as git has them, nothing of the work tree.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clustergraph::tree::{Directory, Located, Mode, Pointer, Tree};

/// The sources of a service at a commit.
#[derive(Debug)]
pub(super) struct Layout {
    /// Whose they are.
    pub(super) service: String,
    /// Its folder.
    pub(super) folder: String,
    /// The files, in repository layout.
    pub(super) sources: Arc<Directory>,
    /// Where the repository lies.
    pub(super) repository: Located,
    /// The commit that has them.
    pub(super) commit: String,
}

impl Layout {
    /// Writes all of them into a folder that is not there yet.
    ///
    /// # Errors
    /// What of them cannot be laid out, and the way out.
    pub(super) fn lay_out(&self, to: &Path) -> Result<(), String> {
        self.refuse_submodules()?;
        let tree = Tree::of_commit(&self.repository.root(), &self.commit).map_err(|error| error.to_string())?;
        make_folder(to)?;
        let mut links = Vec::new();
        let files = self.sources.files();
        self.sources.intact().map_err(|error| error.to_string())?;
        for (path, file) in files {
            let at = to.join(safe(&path)?);
            let content = tree.read(file).map_err(|error| error.to_string())?;
            if file.mode == Mode::Link {
                self.refuse_way_out(&path, &content)?;
                links.push((at, content));
                continue;
            }
            let content = match Pointer::of(&content) {
                Some(pointer) => self.large(&path, &pointer)?,
                None => content,
            };
            if let Some(folder) = at.parent() {
                make_folder(folder)?;
            }
            let mode = if file.mode == Mode::Executable { 0o555 } else { 0o444 };
            let write = || create(&at, mode)?.write_all(&content);
            write().map_err(|error| format!("{}: {error}", at.display()))?;
        }
        // Last, so that nothing is written through one, whatever a file system makes of two names.
        for (at, target) in links {
            if let Some(folder) = at.parent() {
                make_folder(folder)?;
            }
            std::os::unix::fs::symlink(OsStr::from_bytes(&target), &at)
                .map_err(|error| format!("{}: {error}", at.display()))?;
        }
        Ok(())
    }

    fn short(&self) -> &str {
        self.commit.get(..10).unwrap_or(&self.commit)
    }

    fn refuse_submodules(&self) -> Result<(), String> {
        let submodules = self.sources.submodules();
        let Some(first) = submodules.first() else { return Ok(()) };
        let others = match submodules.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let commit = self.short();
        Err(format!(
            "the sources of {} at {commit} hold the submodule {first}{others}, whose files are another repository's: run this commit from a work tree of its own, with\n  git worktree add ../at-{commit} {commit} && git -C ../at-{commit} submodule update --init --recursive && ssi -C ../at-{commit} up",
            self.service
        ))
    }

    /// A link must not lead to what is not of the commit: the work tree, or whatever lies above the cache.
    fn refuse_way_out(&self, path: &str, target: &[u8]) -> Result<(), String> {
        let leads = Path::new(OsStr::from_bytes(target));
        let why = if leads.starts_with(&self.repository.worktree) {
            "into the work tree, which is of another commit"
        } else if leads.is_absolute() || !climbs_out(path, leads) {
            return Ok(());
        } else {
            "out of the repository"
        };
        Err(format!(
            "`{path}` at {} links to `{}`, {why}: what lies there is not what it was; run this commit from a work tree of its own, with `git worktree add`",
            self.short(),
            leads.display()
        ))
    }

    /// What a pointer of Git LFS stands for.
    fn large(&self, path: &str, pointer: &Pointer) -> Result<Vec<u8>, String> {
        pointer.stored(&self.repository.git_dir).ok_or_else(|| {
            format!(
                "`{path}` at {} is kept by Git LFS, and this machine does not have it: `git lfs fetch origin {}` brings it",
                self.short(),
                self.commit
            )
        })
    }
}

/// Whether a relative link leads above the repository's root.
fn climbs_out(path: &str, target: &Path) -> bool {
    let mut depth = path.matches('/').count();
    for part in target.components() {
        match part {
            std::path::Component::ParentDir if depth == 0 => return true,
            std::path::Component::ParentDir => depth -= 1,
            std::path::Component::Normal(_) => depth += 1,
            _ => {}
        }
    }
    false
}

/// A path of a tree as one below a folder. git itself makes no other, but objects may come from anywhere.
fn safe(path: &str) -> Result<PathBuf, String> {
    let is_bad =
        |part: &str| matches!(part, "" | "." | "..") || part.eq_ignore_ascii_case(".git") || part.contains('\0');
    if path.split('/').any(is_bad) {
        return Err(format!("`{}` is no name that git gives a file: the commit is damaged", path.escape_debug()));
    }
    Ok(PathBuf::from(path))
}

fn make_folder(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

fn create(path: &Path, mode: u32) -> std::io::Result<std::fs::File> {
    std::fs::File::options().create_new(true).write(true).mode(mode).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_within_the_repository() {
        assert!(!climbs_out("a/b/link", Path::new("../../c")));
        assert!(climbs_out("a/b/link", Path::new("../../../c")));
        assert!(climbs_out("link", Path::new("..")));
        assert!(!climbs_out("link", Path::new("a/../b")));
    }

    #[test]
    fn only_names_that_git_gives_are_written() {
        for bad in ["../x", "a/../../x", "/etc/passwd", "a//b", ".git/config", "a/.GIT/hooks", ""] {
            assert!(safe(bad).is_err(), "{bad}");
        }
        assert_eq!(safe("a/.gitignore").unwrap(), PathBuf::from("a/.gitignore"));
    }
}
