//! What a build reads: a service's sources in repository layout as a tar that is the same every time.

use std::fs::File as SystemFile;
use std::io::{Seek, SeekFrom};
use std::path::PathBuf;

use clustergraph::tree::{Directory, Mode, Tree};
use tar::{Builder, EntryType, Header};

use crate::error::{Error, Result};

/// The Dockerfile of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Dockerfile {
    /// A path among the sources.
    Path(String),
    /// A text that is put beside them.
    Text(String),
}

/// An exported context.
pub(super) struct Context {
    /// The tar, at its start.
    pub(super) tar: SystemFile,
    /// The Dockerfile's path in it.
    pub(super) dockerfile: String,
}

/// Writes the sources and the Dockerfile into a file that has no name.
pub(super) fn export(tree: &Tree, sources: &Directory, dockerfile: &Dockerfile) -> Result<Context> {
    let failed = |error| Error::Io { what: "exporting sources".to_owned(), error };
    let mut tar = Builder::new(tempfile::tempfile().map_err(failed)?);
    let files = sources.files();
    let path = match dockerfile {
        Dockerfile::Path(path) => path.clone(),
        Dockerfile::Text(text) => {
            // A name that no source has.
            let mut name = ".clustergraph.Dockerfile".to_owned();
            while files.iter().any(|(path, _)| path.split('/').next() == Some(name.as_str())) {
                name.push('_');
            }
            let mut header = header(EntryType::Regular, 0o644, text.len() as u64);
            tar.append_data(&mut header, &name, text.as_bytes()).map_err(failed)?;
            name
        }
    };
    for (path, file) in files {
        let content = tree.read(file)?;
        let refused = |error: std::io::Error| Error::Io { what: format!("exporting {path}"), error };
        match file.mode {
            Mode::Link => {
                let target = String::from_utf8(content).map_err(|_| {
                    Error::Image(format!("the link {path} leads to a name that is not UTF-8: rename what it leads to"))
                })?;
                let mut header = header(EntryType::Symlink, 0o777, 0);
                tar.append_link(&mut header, &path, PathBuf::from(target)).map_err(refused)?;
            }
            mode => {
                let permissions = if mode == Mode::Executable { 0o755 } else { 0o644 };
                let mut header = header(EntryType::Regular, permissions, content.len() as u64);
                tar.append_data(&mut header, &path, content.as_slice()).map_err(refused)?;
            }
        }
    }
    let mut file = tar.into_inner().map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(Context { tar: file, dockerfile: path })
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
    use std::io::Read;
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
            let mut context = export(&tree, tree.root(), &Dockerfile::Text("FROM x".into())).unwrap();
            let mut bytes = Vec::new();
            context.tar.read_to_end(&mut bytes).unwrap();
            (bytes, context.dockerfile)
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
}
