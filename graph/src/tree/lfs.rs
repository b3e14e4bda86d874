//! Git LFS: what a pointer in a commit stands for.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sha2::{Digest, Sha256};

use super::objects::Objects;
use super::{TreeError, program};

/// Pointers are smaller (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md).
const LARGEST: usize = 1024;
/// What a pointer begins with; the second one was written before the first had its name.
const VERSIONS: [&str; 2] = ["version https://git-lfs.github.com/spec/v1", "version http://git-media.io/v/2"];

/// A pointer: what a commit holds in place of a large file.
#[derive(Debug, PartialEq, Eq)]
pub struct Pointer {
    /// The SHA-256 of the file, in hexadecimal.
    digest: String,
    /// Its size in bytes.
    size: u64,
}

impl Pointer {
    /// Reads a pointer; `None` when the content is none.
    #[must_use]
    pub fn of(content: &[u8]) -> Option<Self> {
        if content.len() >= LARGEST {
            return None;
        }
        let text = std::str::from_utf8(content).ok()?;
        if !VERSIONS.contains(&text.lines().next()?) {
            return None;
        }
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let digest = field("oid")?.strip_prefix("sha256:")?;
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(Self { digest: digest.to_owned(), size: field("size")?.parse().ok()? }).filter(|_| is_digest)
    }

    /// What it stands for, where LFS's own store of this repository has it, and it is what it should be. `git_dir` is the
    /// git folder of any of its work trees.
    #[must_use]
    pub fn stored(&self, git_dir: &Path) -> Option<Vec<u8>> {
        let (one, two) = (self.digest.get(..2)?, self.digest.get(2..4)?);
        self.content_of(&common(git_dir).join("lfs/objects").join(one).join(two).join(&self.digest))
    }

    /// What it stands for: from LFS's own store, else from the work tree, else brought by `git lfs`.
    /// Whatever gives it, it is taken only when its hash is the pointer's.
    pub(super) fn content(&self, pointer: &[u8], path: &str, objects: &Objects) -> Result<Vec<u8>, TreeError> {
        let worktree = objects.worktree();
        match self.stored(objects.git_dir()).or_else(|| self.content_of(&worktree.join(path))) {
            Some(content) => Ok(content),
            None => self.smudged(pointer, worktree).map_err(|why| TreeError::Lfs { path: path.to_owned(), why }),
        }
    }

    fn content_of(&self, path: &Path) -> Option<Vec<u8>> {
        let metadata = std::fs::symlink_metadata(path).ok()?;
        if !metadata.is_file() || metadata.len() != self.size {
            return None;
        }
        std::fs::read(path).ok().filter(|content| self.is_of(content))
    }

    fn is_of(&self, content: &[u8]) -> bool {
        content.len() as u64 == self.size && hex::encode(Sha256::digest(content)) == self.digest
    }

    fn smudged(&self, pointer: &[u8], worktree: &Path) -> Result<Vec<u8>, String> {
        let mut git = program::git(worktree);
        git.args(["lfs", "smudge"]).stdin(Stdio::piped());
        let mut git = git.spawn().map_err(|error| error.to_string())?;
        // A pointer fits into a pipe: git need not read while we write.
        if let Some(mut stdin) = git.stdin.take() {
            let _ = stdin.write_all(pointer);
        }
        let stderr = git.stderr.take();
        let words = std::thread::spawn(move || {
            let mut words = String::new();
            if let Some(mut stderr) = stderr {
                let _ = stderr.read_to_string(&mut words);
            }
            words
        });
        let output = git.wait_with_output().map_err(|error| error.to_string())?;
        let words = words.join().unwrap_or_default();
        if output.status.success() && self.is_of(&output.stdout) {
            return Ok(output.stdout);
        }
        Err(words.lines().next().unwrap_or("`git lfs smudge` gave something else").trim().to_owned())
    }
}

/// The git folder that all work trees of a repository share (gitrepository-layout: `commondir`).
fn common(git_dir: &Path) -> PathBuf {
    match std::fs::read_to_string(git_dir.join("commondir")) {
        Ok(text) => git_dir.join(text.trim_end_matches('\n')),
        Err(_) => git_dir.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"; // of `hello`

    fn pointer(digest: &str, size: &str) -> String {
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n")
    }

    #[test]
    fn a_pointer_is_told_from_what_only_looks_like_one() {
        let digest = "a".repeat(64);
        let text = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 12\n");
        assert_eq!(Pointer::of(text.as_bytes()), Some(Pointer { digest: digest.clone(), size: 12 }));
        assert_eq!(Pointer::of(text.replace("size 12", "size x").as_bytes()), None);
        assert_eq!(Pointer::of(text.replace(&digest, "../../etc").as_bytes()), None);
        assert_eq!(Pointer::of(text.replace("version", "varsion").as_bytes()), None);
        assert_eq!(Pointer::of(format!("{text}{}", "x y\n".repeat(400)).as_bytes()), None);
        assert_eq!(Pointer::of(b"\xff"), None);
    }
    #[test]
    fn only_a_pointer_is_one() {
        let hello = Pointer { digest: HELLO.into(), size: 5 };
        assert_eq!(Pointer::of(pointer(HELLO, "5").as_bytes()), Some(hello));
        let long = pointer(HELLO, "5") + &"x".repeat(LARGEST);
        let short = pointer("2cf2", "5");
        for other in
            ["", "version 1\n", "hello", &short, &pointer("../../../etc/passwd", "5"), &pointer(HELLO, "x"), &long]
        {
            assert_eq!(Pointer::of(other.as_bytes()), None, "{other}");
        }
        assert_eq!(Pointer::of(&[0xff; 40]), None);
    }

    #[test]
    fn the_file_is_found_from_every_work_tree_and_a_damaged_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let objects = folder.path().join("lfs/objects/2c/f2");
        std::fs::create_dir_all(&objects).unwrap();
        let linked = folder.path().join("worktrees/x");
        std::fs::create_dir_all(&linked).unwrap();
        std::fs::write(linked.join("commondir"), "../..\n").unwrap();
        let pointer = Pointer::of(pointer(HELLO, "5").as_bytes()).unwrap();
        assert_eq!(pointer.stored(folder.path()), None);
        std::fs::write(objects.join(HELLO), "hello").unwrap();
        assert_eq!(pointer.stored(folder.path()).unwrap(), b"hello");
        assert_eq!(pointer.stored(&linked).unwrap(), b"hello");
        std::fs::write(objects.join(HELLO), "hallo").unwrap();
        assert_eq!(pointer.stored(&linked), None);
    }
}
