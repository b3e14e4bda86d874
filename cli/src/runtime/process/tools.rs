//! Programs of this machine.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clustergraph::catalogue::Stack;

use super::super::Cause;

/// The program that a word means: a path relative to the folder, or a name on `PATH`.
pub(super) fn find(word: &str, folder: &Path, path: &str) -> Option<PathBuf> {
    if word.contains('/') {
        let file = folder.join(word);
        return is_program(&file).then_some(file);
    }
    std::env::split_paths(path).map(|place| place.join(word)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// That a program is not there, and what would bring it.
pub(super) fn missing(word: &str, stack: &Stack) -> Cause {
    let tool = stack.tools.get(word).map(|version| format!(" ({version} or newer)")).unwrap_or_default();
    Cause::new(format!(
        "there is no program `{word}`{tool} on this machine: install it, or run with `--runtime docker`, where the image {} brings it",
        stack.image
    ))
}
