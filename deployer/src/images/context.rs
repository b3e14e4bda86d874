//! What a build reads, as a file that can be handed to a builder.

use std::fs::File as SystemFile;
use std::io::{Seek, SeekFrom};

use clustergraph::tree::{Directory, Dockerfile, Tree};

use crate::error::{Error, Result};

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
    let mut tar = tempfile::tempfile().map_err(failed)?;
    let dockerfile = tree.archive(sources, dockerfile, &mut tar)?;
    tar.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(Context { tar, dockerfile })
}
