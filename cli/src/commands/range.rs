//! `A..B`: which two versions are compared, written as for `git diff`.

use std::mem::ManuallyDrop;

use clustergraph::graph::{Graph, Reading};
use clustergraph::tree::history::merge_base;

use super::Global;
use crate::exit::{Exit, Failure};
use crate::report::Output;

/// What a range on a command line means to its reader.
pub(super) const HELP: &str = "A..B, A...B (from their common ancestor), or A for A to the work tree";

/// Two graphs, as far as they differ. The process ends when it has told so: they are not taken apart piece by piece before.
pub(super) struct Range {
    pub(super) before: ManuallyDrop<Graph>,
    pub(super) after: ManuallyDrop<Graph>,
}

/// Reads what differs on both sides; HEAD and the work tree where nothing else is said.
pub(super) fn read(global: &Global, range: Option<&str>, output: Output) -> Result<Range, Failure> {
    let (before, after) = sides(range);
    let before = match before {
        Before::Revision(revision) => revision,
        Before::CommonWith(revision) => merge_base(&global.directory, &revision, after.as_deref().unwrap_or("HEAD"))?,
    };
    let of_before = global.tree(Some(&before))?;
    let of_after = match &after {
        Some(after) => of_before.at(after)?,
        None => global.tree(None)?,
    };
    let told = |revision: &str, failure: Failure| match failure.exit {
        Exit::InvalidGraph if output == Output::Text => {
            let message = format!("{revision}:\n{}", failure.message);
            Failure { message, ..failure }
        }
        _ => failure,
    };
    let old = Global::read(&of_before, output).map_err(|failure| told(&before, failure))?;
    let new = Global::read(&of_after, output)
        .map_err(|failure| told(after.as_deref().unwrap_or("the work tree"), failure))?;
    let differing = Reading::differing(old, new).map_err(|error| Global::no_graph(error, output))?;
    let (before, after) = differing;
    Ok(Range { before: ManuallyDrop::new(before), after: ManuallyDrop::new(after) })
}

/// What a comparison begins with.
#[derive(Debug, PartialEq, Eq)]
enum Before {
    Revision(String),
    /// The common ancestor of this and of the other side.
    CommonWith(String),
}

/// Where a comparison begins and ends; the work tree is no revision.
fn sides(range: Option<&str>) -> (Before, Option<String>) {
    let or_head = |name: &str| if name.is_empty() { "HEAD".to_owned() } else { name.to_owned() };
    match range {
        None => (Before::Revision("HEAD".to_owned()), None),
        Some(range) => match (range.split_once("..."), range.split_once("..")) {
            (Some((before, after)), _) => (Before::CommonWith(or_head(before)), Some(or_head(after))),
            (None, Some((before, after))) => (Before::Revision(or_head(before)), Some(or_head(after))),
            (None, None) => (Before::Revision(range.to_owned()), None),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_means_what_it_means_to_git_diff() {
        let revision = |name: &str| Before::Revision(name.to_owned());
        let common = |name: &str| Before::CommonWith(name.to_owned());
        let name = |name: &str| Some(name.to_owned());
        assert_eq!(sides(None), (revision("HEAD"), None));
        assert_eq!(sides(Some("main")), (revision("main"), None));
        assert_eq!(sides(Some("main..")), (revision("main"), name("HEAD")));
        assert_eq!(sides(Some("..main")), (revision("HEAD"), name("main")));
        assert_eq!(sides(Some("a..b")), (revision("a"), name("b")));
        assert_eq!(sides(Some("v1.0..v1.1")), (revision("v1.0"), name("v1.1")));
        assert_eq!(sides(Some("a...b")), (common("a"), name("b")));
        assert_eq!(sides(Some("origin/main...")), (common("origin/main"), name("HEAD")));
    }
}
