//! What an image's build reads: sources in repository layout as a tar that is the same every time.

use std::io::Write;
use std::path::PathBuf;

use tar::{Builder, EntryType, Header};

use super::directory::joined;
use super::lfs::Pointer;
use super::{Directory, Mode, Tree, TreeError};

/// The Dockerfile of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dockerfile {
    /// A path among the sources.
    Path(String),
    /// A text that is put beside them.
    Text(String),
}

impl Tree {
    /// Writes sources and Dockerfile as a tar, and returns the Dockerfile's path in it.
    ///
    /// # Errors
    /// When a source cannot be read, or the tar cannot be written.
    pub fn archive(&self, sources: &Directory, dockerfile: &Dockerfile, to: impl Write) -> Result<String, TreeError> {
        let mut tar = Builder::new(to);
        let files = sources.files();
        let failed = |path: &str| {
            let path = PathBuf::from(path);
            move |error| TreeError::Io { path, error }
        };
        let named = match dockerfile {
            Dockerfile::Path(path) => path.clone(),
            Dockerfile::Text(text) => {
                // A name that no source has.
                let mut name = ".clustergraph.Dockerfile".to_owned();
                while files.iter().any(|(path, _)| path.split('/').next() == Some(name.as_str())) {
                    name.push('_');
                }
                let mut header = header(EntryType::Regular, 0o644, text.len() as u64);
                tar.append_data(&mut header, &name, text.as_bytes()).map_err(failed(&name))?;
                name
            }
        };
        for (path, file) in files {
            let mut content = self.read(file)?;
            if file.mode != Mode::Link
                && let Some(pointer) = Pointer::of(&content)
            {
                let below = joined(&self.located.prefix, &path);
                content = pointer.content(&content, &below, &self.objects)?;
            }
            match file.mode {
                Mode::Link => {
                    let target = String::from_utf8(content)
                        .map_err(|_| TreeError::NotUtf8(format!("what the link {path} leads to")))?;
                    let mut header = header(EntryType::Symlink, 0o777, 0);
                    tar.append_link(&mut header, &path, PathBuf::from(target)).map_err(failed(&path))?;
                }
                mode => {
                    let permissions = if mode == Mode::Executable { 0o755 } else { 0o644 };
                    let mut header = header(EntryType::Regular, permissions, content.len() as u64);
                    tar.append_data(&mut header, &path, content.as_slice()).map_err(failed(&path))?;
                }
            }
        }
        tar.finish().map_err(failed("the build context"))?;
        self.intact()?;
        Ok(named)
    }
}

/// Nothing of this machine or this hour.
fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn git(folder: &std::path::Path, arguments: &[&str]) {
        let status = Command::new("git").current_dir(folder).args(arguments).status().unwrap();
        assert!(status.success());
    }

    #[test]
    fn a_context_is_the_same_every_time_whatever_the_names() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let long = "d".repeat(150);
        std::fs::create_dir_all(root.join(&long)).unwrap();
        for name in ["plain", "new\nline", "-rf", " blank ", "ünï", ".clustergraph.Dockerfile", &format!("{long}/file")]
        {
            std::fs::write(root.join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("../outside", root.join("link")).unwrap();
        git(root, &["init", "-q"]);
        git(root, &["add", "-A"]);
        git(root, &["-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x"]);
        let tree = Tree::of_commit(root, "HEAD").unwrap();
        let bytes = || {
            let mut bytes = Vec::new();
            let dockerfile = tree.archive(tree.root(), &Dockerfile::Text("FROM x".into()), &mut bytes).unwrap();
            (bytes, dockerfile)
        };
        let (one, dockerfile) = bytes();
        assert_eq!(dockerfile, ".clustergraph.Dockerfile_");
        assert_eq!(one, bytes().0);
        let mut archive = tar::Archive::new(one.as_slice());
        let mut entries: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                assert_eq!((entry.header().mtime().unwrap(), entry.header().uid().unwrap()), (0, 0));
                String::from_utf8(entry.path_bytes().into_owned()).unwrap()
            })
            .collect();
        entries.sort();
        assert_eq!(entries.len(), 9);
        assert!(entries.contains(&"new\nline".to_owned()) && entries.contains(&format!("{long}/file")));
    }

    #[test]
    fn a_work_tree_that_changed_gives_what_it_holds_now() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        git(root, &["init", "-q"]);
        std::fs::write(root.join("new"), "untracked").unwrap();
        let tree = Tree::of_worktree(root).unwrap();
        let mut bytes = Vec::new();
        assert_eq!(tree.archive(tree.root(), &Dockerfile::Path("new".into()), &mut bytes).unwrap(), "new");
        assert!(String::from_utf8_lossy(&bytes).contains("untracked"));
    }
}
