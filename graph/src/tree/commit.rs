//! Which commit a revision names, and what is told of it.

use git2::ObjectType;

use super::history::is_shallow;
use super::objects::Objects;
use super::oid::Oid;
use super::{TreeError, program};

/// What is told of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its full id, in hexadecimal.
    pub id: String,
    /// The first line of its message.
    pub summary: String,
    /// Its author's name.
    pub author: String,
    /// When it was made, in seconds since 1970.
    pub time: i64,
}

/// Finds a commit, and the id of its tree.
pub(super) fn find(objects: &Objects, revision: &str) -> Result<(Commit, Oid), TreeError> {
    let unknown = |why: &str| TreeError::NoCommit { revision: revision.to_owned(), why: why.to_owned() };
    let found = objects.with_library(|repository| {
        let object = repository.revparse_single(revision).and_then(|object| object.peel(ObjectType::Commit));
        let object = object.map_err(|error| unknown(&why(error.message(), repository.is_shallow())))?;
        let found = object.into_commit().map_err(|_| unknown("it is no commit"))?;
        let commit = Commit {
            id: found.id().to_string(),
            summary: found.summary().ok().flatten().unwrap_or_default().to_owned(),
            author: String::from_utf8_lossy(found.author().name_bytes()).into_owned(),
            time: found.time().seconds(),
        };
        Ok((commit, Oid::from(found.tree_id())))
    })?;
    match found {
        Some(found) => Ok(found),
        None => find_by_program(objects, revision),
    }
}

/// git's words, and what it may lie in.
fn why(said: &str, is_shallow: bool) -> String {
    match is_shallow {
        true => format!("{said}. This clone has only the last commits: `git fetch --unshallow` brings the others"),
        false => said.to_owned(),
    }
}

fn find_by_program(objects: &Objects, revision: &str) -> Result<(Commit, Oid), TreeError> {
    let unknown = |why: String| TreeError::NoCommit { revision: revision.to_owned(), why };
    let folder = objects.worktree();
    let peeled = format!("{revision}^{{commit}}");
    let said = program::line(folder, &["rev-parse", "--verify", "--end-of-options", &peeled]);
    let id = said.map_err(|error| match error {
        TreeError::Program { why: said, .. } => unknown(why(&said, is_shallow(folder).unwrap_or(false))),
        error => error,
    })?;
    // Older ones print the option too.
    let id = id.lines().last().unwrap_or_default();
    const FORMAT: &str = "--format=tformat:%T%n%ct%n%an%n%s";
    let told = program::line(folder, &["log", "-1", "--no-show-signature", "--no-color", FORMAT, id, "--"])?;
    let mut lines = told.splitn(4, '\n');
    let tree = lines.next().and_then(Oid::of_digits);
    let time = lines.next().and_then(|time| time.parse().ok());
    let (Some(tree), Some(time)) = (tree, time) else {
        return Err(unknown(format!("git tells no tree of it: {told}")));
    };
    let author = lines.next().unwrap_or_default().to_owned();
    let summary = lines.next().unwrap_or_default().to_owned();
    Ok((Commit { id: id.to_owned(), summary, author, time }, tree))
}
