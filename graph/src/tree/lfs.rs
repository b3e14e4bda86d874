//! Git LFS: what a pointer in a commit stands for.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sha2::{Digest, Sha256};

use super::{TreeError, program};

/// Pointers are smaller (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md).
const LARGEST: usize = 1024;

/// A pointer: what a commit holds in place of a large file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    digest: String,
    size: u64,
}

impl Pointer {
    /// Reads a pointer; `None` when the content is none.
    pub(super) fn of(content: &[u8]) -> Option<Self> {
        if content.len() >= LARGEST {
            return None;
        }
        let mut lines = std::str::from_utf8(content).ok()?.lines();
        if lines.next()? != "version https://git-lfs.github.com/spec/v1" {
            return None;
        }
        let (mut digest, mut size) = (None, None);
        for line in lines {
            match line.split_once(' ')? {
                ("oid", value) => digest = value.strip_prefix("sha256:"),
                ("size", value) => size = value.parse().ok(),
                _ => {}
            }
        }
        let digest =
            digest.filter(|digest| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        Some(Self { digest: digest.to_owned(), size: size? })
    }

    /// What it stands for: from LFS's own store, else from the work tree, else brought by `git lfs`.
    /// Whatever gives it, it is taken only when its hash is the pointer's.
    pub(super) fn content(&self, pointer: &[u8], path: &str, worktree: &Path) -> Result<Vec<u8>, TreeError> {
        let stored = self.stored(worktree).into_iter().chain([worktree.join(path)]);
        if let Some(content) = stored.filter_map(|path| self.content_of(&path)).next() {
            return Ok(content);
        }
        self.smudged(pointer, worktree).map_err(|why| TreeError::Lfs { path: path.to_owned(), why })
    }

    fn stored(&self, worktree: &Path) -> Option<PathBuf> {
        let common = program::line(worktree, &["rev-parse", "--git-common-dir"]).ok()?;
        let (one, two) = (self.digest.get(..2)?, self.digest.get(2..4)?);
        Some(worktree.join(common).join("lfs/objects").join(one).join(two).join(&self.digest))
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
