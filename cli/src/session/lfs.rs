//! Git LFS: what git keeps of a large file, and where the file itself is.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The content that git has of a large file (git-lfs, docs/spec.md).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    /// The SHA-256 of the file, in hexadecimal.
    oid: String,
    /// Its size in bytes.
    size: u64,
}

/// A pointer is smaller than this, by the specification.
const LARGEST: usize = 1024;

impl Pointer {
    /// A pointer, if that is what a content is.
    pub(super) fn read(content: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(content.get(..LARGEST.min(content.len()))?).ok()?;
        let mut lines = text.lines();
        let version = lines.next()?.strip_prefix("version ")?;
        if content.len() >= LARGEST
            || !matches!(version, "https://git-lfs.github.com/spec/v1" | "http://git-media.io/v/2")
        {
            return None;
        }
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let oid = field("oid")?.strip_prefix("sha256:")?.to_owned();
        let is_oid = oid.len() == 64 && oid.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        Some(Self { oid, size: field("size")?.parse().ok()? }).filter(|_| is_oid)
    }

    /// The file, where this machine has it, and it is what it should be.
    pub(super) fn content(&self, git_dir: &Path) -> Option<Vec<u8>> {
        let path = common(git_dir).join("lfs/objects").join(&self.oid[..2]).join(&self.oid[2..4]).join(&self.oid);
        let content = std::fs::read(path).ok()?;
        let is_it = content.len() as u64 == self.size && hex::encode(Sha256::digest(&content)) == self.oid;
        is_it.then_some(content)
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

    const OID: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"; // of `hello`

    fn pointer(oid: &str, size: &str) -> String {
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n")
    }

    #[test]
    fn only_a_pointer_is_one() {
        assert_eq!(Pointer::read(pointer(OID, "5").as_bytes()), Some(Pointer { oid: OID.into(), size: 5 }));
        let long = pointer(OID, "5") + &"x".repeat(LARGEST);
        let short = pointer("2cf2", "5");
        for other in
            ["", "version 1\n", "hello", &short, &pointer("../../../etc/passwd", "5"), &pointer(OID, "x"), &long]
        {
            assert_eq!(Pointer::read(other.as_bytes()), None, "{other}");
        }
        assert_eq!(Pointer::read(&[0xff; 40]), None);
    }

    #[test]
    fn the_file_is_found_from_every_work_tree_and_a_damaged_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let objects = folder.path().join("lfs/objects/2c/f2");
        std::fs::create_dir_all(&objects).unwrap();
        let linked = folder.path().join("worktrees/x");
        std::fs::create_dir_all(&linked).unwrap();
        std::fs::write(linked.join("commondir"), "../..\n").unwrap();
        let pointer = Pointer::read(pointer(OID, "5").as_bytes()).unwrap();
        assert_eq!(pointer.content(folder.path()), None);
        std::fs::write(objects.join(OID), "hello").unwrap();
        assert_eq!(pointer.content(folder.path()).unwrap(), b"hello");
        assert_eq!(pointer.content(&linked).unwrap(), b"hello");
        std::fs::write(objects.join(OID), "hallo").unwrap();
        assert_eq!(pointer.content(&linked), None);
    }
}
