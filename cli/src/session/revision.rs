//! A session of a commit: the cluster as it was, beside the work tree's own.

use std::path::Path;

use clustergraph::graph::Key;
use clustergraph::tree::{Commit, Located, Tree, TreeError};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Session;
use super::folders::Base;
use crate::exit::Failure;

/// Which commit a session runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct At {
    /// The id of the work tree's own session: secrets are its folder's, and the two end together.
    pub(crate) of: String,
    /// The commit's full id.
    pub(crate) commit: String,
    /// The first line of its message.
    pub(crate) summary: String,
    /// What it was called when it was started last.
    pub(crate) revision: String,
}

impl At {
    /// The commit as people write it.
    pub(crate) fn short(&self) -> &str {
        self.commit.get(..10).unwrap_or(&self.commit)
    }

    /// The revision with its commit: `main (1a2b3c4d5e)`.
    pub(crate) fn shown(&self) -> String {
        if self.commit.starts_with(&self.revision) {
            return self.short().to_owned();
        }
        format!("{} ({})", self.revision, self.short())
    }
}

impl Session {
    /// The session of what a revision names now.
    pub(crate) fn at(folder: &Path, revision: &str) -> Result<Self, Failure> {
        Self::of(folder)?.at_revision(revision)
    }

    /// The session that was started as this revision, for commands that start nothing: a branch may name another
    /// commit by now, or nothing any more.
    pub(crate) fn started_at(folder: &Path, revision: &str) -> Result<Self, Failure> {
        let own = Self::of(folder)?;
        let now = own.at_revision(revision);
        if now.as_ref().is_ok_and(|session| session.state_dir.exists()) {
            return now;
        }
        let before = own.others_as(revision);
        match (now, before.as_slice()) {
            (now, []) => now,
            (Err(_), [(_, session)]) => Ok(session.clone()),
            (Err(_), several) => Err(Failure::unusable(format!(
                "`{revision}` names no commit any more, and these were started as it: {}; name the one that is meant",
                listed(several)
            ))),
            (Ok(session), several) => Err(Failure::unusable(format!(
                "`{revision}` is {} now, of which nothing was started; what was started as `{revision}` is {}: name it so, as in `--at {}`",
                session.at.as_ref().map(At::short).unwrap_or_default(),
                listed(several),
                several.first().map(|(at, _)| at.short()).unwrap_or_default(),
            ))),
        }
    }

    /// The sessions of this work tree that were started under the name of a revision when it was another commit.
    pub(crate) fn others_as(&self, revision: &str) -> Vec<(At, Self)> {
        let own = self.at.as_ref().map_or(&self.id, |at| &at.of);
        let found = Self::all().into_iter().filter(|found| found.session.id != self.id);
        let at = found.filter_map(|found| Some((found.session.at.clone()?, found.session)));
        at.filter(|(at, _)| at.of == *own && at.revision == revision).collect()
    }

    /// That nothing runs of it, for people.
    pub(crate) fn nothing_runs(&self) -> String {
        match &self.at {
            None => "nothing runs here".to_owned(),
            Some(at) => format!("nothing runs of {}", at.shown()),
        }
    }

    fn at_revision(&self, revision: &str) -> Result<Self, Failure> {
        let Commit { id: commit, summary, .. } = commit(&self.located, revision)?;
        let id = id_of(&self.id, &commit);
        let at = At { of: self.id.clone(), commit, summary, revision: revision.to_owned() };
        Ok(Base::of_user().session(id, self.located.clone(), Some(at)))
    }

    /// The files that it runs: the work tree's, or a commit's.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn tree(&self) -> Result<Tree, TreeError> {
        match &self.at {
            None => Tree::of_worktree(&self.located.root()),
            Some(at) => Tree::of_commit(&self.located.root(), &at.commit),
        }
    }
}

/// Every work tree runs a commit in a session of its own: it has secrets and data of its own, too.
fn id_of(own: &str, commit: &str) -> String {
    let mut id = Key::of("session at", &json!({ "commit": commit, "of": own })).to_string();
    id.truncate(12);
    id
}

fn commit(located: &Located, revision: &str) -> Result<Commit, Failure> {
    let tree = Tree::of_commit(&located.root(), revision)?;
    tree.commit().cloned().ok_or_else(|| Failure::unusable(format!("`{revision}` names no commit")))
}

fn listed(several: &[(At, Session)]) -> String {
    let all = several.iter().map(|(at, _)| format!("{} \"{}\"", at.short(), at.summary));
    all.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_has_one_session_in_each_work_tree() {
        let (one, other) = (id_of("0123456789ab", "c1"), id_of("0123456789ab", "c2"));
        assert_ne!(one, other);
        assert_eq!(one, id_of("0123456789ab", "c1"));
        assert_ne!(one, id_of("ba9876543210", "c1"));
        assert!(super::super::folders::is_id(&one));
    }

    #[test]
    fn a_revision_is_shown_with_its_commit() {
        let at = |revision: &str| At {
            of: String::new(),
            commit: "1a2b3c4d5e6f".into(),
            summary: String::new(),
            revision: revision.into(),
        };
        assert_eq!(at("main").shown(), "main (1a2b3c4d5e)");
        assert_eq!(at("1a2b3c4").shown(), "1a2b3c4d5e");
    }
}
