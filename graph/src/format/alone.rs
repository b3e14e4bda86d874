//! One file read by itself, as editors and fuzzers do: what its own text says wrong.

use crate::catalogue::Catalogue;
use crate::diagnostic::{Place, Problems};
use crate::format::expression::Template;
use crate::format::lock::{LOCK_FILE, LockFile};
use crate::format::repository::RepositoryFile;
use crate::format::service::ServiceFile;
use crate::format::yaml;

/// A text that people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A service.yaml.
    Service,
    /// A clustergraph.yaml.
    Repository,
    /// A clustergraph.lock.
    Lock,
    /// A text with expressions, such as a value of `env:`.
    Expression,
}

impl Format {
    /// All problems of a text, whatever its bytes are. What other files would add to them (does that dependency exist?)
    /// is not asked.
    #[must_use]
    pub fn problems(self, bytes: &[u8]) -> Problems {
        let mut problems = Problems::default();
        let path = match self {
            Self::Service => "service.yaml",
            Self::Repository => "clustergraph.yaml",
            Self::Lock => LOCK_FILE,
            Self::Expression => {
                if let Ok(text) = std::str::from_utf8(bytes) {
                    problems.keep_text("text", text.into());
                    Template::parse(text, &Place { bytes: 0..text.len(), ..Place::start_of("text") }, &mut problems);
                }
                return problems;
            }
        };
        let Some(document) = yaml::read(path, bytes, &mut problems) else { return problems };
        match self {
            Self::Service => drop(ServiceFile::decode(document, "local", &mut problems)),
            Self::Repository => {
                let mut catalogue = Catalogue::with(None, None, &mut problems);
                RepositoryFile::decode(&document, &mut catalogue, &mut problems);
            }
            Self::Lock | Self::Expression => drop(LockFile::decode(&document, &mut problems)),
        }
        problems
    }
}
