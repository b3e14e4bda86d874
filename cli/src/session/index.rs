//! All sessions of this user on this machine: each state folder says which work tree it belongs to.

use std::path::{Path, PathBuf};

use clustergraph::tree::Located;
use serde::{Deserialize, Serialize};

use super::Session;
use super::folders::{Base, known, write_whole};
use super::revision::At;

/// What a state folder says of its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    worktree: PathBuf,
    prefix: String,
    git_dir: PathBuf,
    /// Where the work tree keeps its session's name.
    kept: PathBuf,
    /// Which commit it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<At>,
}

/// A session that was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The session; its work tree may be gone.
    pub(crate) session: Session,
    /// Why nobody will use it any more, when that is so.
    pub(crate) stale: Option<String>,
}

impl Session {
    /// Notes in the state folder which work tree it belongs to, and which commit it runs.
    pub(crate) fn note(&self) -> std::io::Result<()> {
        let path = self.state_dir.join(FILE);
        let note = Note {
            worktree: self.located.worktree.clone(),
            prefix: self.located.prefix.clone(),
            git_dir: self.located.git_dir.clone(),
            kept: Self::name_file(&self.located),
            at: self.at.clone(),
        };
        if read(&self.state_dir).as_ref() == Some(&note) {
            return Ok(());
        }
        write_whole(&path, &serde_json::to_vec_pretty(&note)?)
    }

    /// Whether the state folder says which session it is of.
    pub(super) fn is_noted(&self) -> bool {
        read(&self.state_dir).is_some()
    }

    /// All sessions, by folder.
    pub(crate) fn all() -> Vec<Found> {
        let base = Base::of_user();
        let folders = std::fs::read_dir(base.state.join("sessions")).into_iter().flatten().flatten();
        let ids = folders.filter_map(|entry| entry.file_name().into_string().ok());
        let mut found: Vec<Found> = ids.filter_map(|id| Self::named(&id)).collect();
        found.sort_by_key(|found| (found.session.located.root(), found.session.at.is_some(), found.session.id.clone()));
        found
    }

    /// The session of an id; `None` when there is none.
    pub(crate) fn named(id: &str) -> Option<Found> {
        let base = Base::of_user();
        let state_dir = base.state.join("sessions").join(id);
        if !super::folders::is_id(id) || !state_dir.is_dir() {
            return None;
        }
        let note = read(&state_dir);
        let stale = match &note {
            None => Some("nothing says which folder it belongs to".to_owned()),
            Some(note) => why_stale(note, id),
        };
        let (located, at) = note.map_or_else(
            || (Located { git_dir: PathBuf::new(), worktree: PathBuf::new(), prefix: String::new() }, None),
            |note| (Located { git_dir: note.git_dir, worktree: note.worktree, prefix: note.prefix }, note.at),
        );
        Some(Found { session: base.session(id.to_owned(), located, at), stale })
    }
}

const FILE: &str = "session.json";

fn read(state_dir: &Path) -> Option<Note> {
    serde_json::from_slice(&std::fs::read(state_dir.join(FILE)).ok()?).ok()
}

/// A work tree that is gone, moved or was named anew never comes back to this session.
fn why_stale(note: &Note, id: &str) -> Option<String> {
    let root = note.worktree.join(&note.prefix);
    if !root.is_dir() {
        return Some("its folder is gone".to_owned());
    }
    let own = note.at.as_ref().map_or(id, |at| &at.of);
    match known(&note.kept, &root) {
        Some(now) if now == own => None,
        _ => Some("its folder has another session now".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_stale_when_its_folder_is_gone_or_has_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let (worktree, kept) = (folder.path().join("repo"), folder.path().join("session.json"));
        let note = Note {
            worktree: worktree.clone(),
            prefix: String::new(),
            git_dir: PathBuf::new(),
            kept: kept.clone(),
            at: None,
        };
        let id = "0123456789ab";
        assert_eq!(why_stale(&note, id).unwrap(), "its folder is gone");
        std::fs::create_dir(&worktree).unwrap();
        assert_eq!(why_stale(&note, id).unwrap(), "its folder has another session now");
        let identity = |id: &str| serde_json::json!({ "id": id, "path": worktree }).to_string();
        std::fs::write(&kept, identity("ba9876543210")).unwrap();
        assert!(why_stale(&note, id).is_some());
        std::fs::write(&kept, identity(id)).unwrap();
        assert_eq!(why_stale(&note, id), None);
        // One of a commit lives as long as the work tree's own does.
        let at = At { of: id.into(), commit: "c".into(), summary: String::new(), revision: "main".into() };
        let of_commit = Note { at: Some(at), ..note };
        assert_eq!(why_stale(&of_commit, "a5a5a5a5a5a5"), None);
        std::fs::write(&kept, identity("ba9876543210")).unwrap();
        assert!(why_stale(&of_commit, "a5a5a5a5a5a5").is_some());
    }
}
