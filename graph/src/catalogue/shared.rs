//! A catalogue that many hold. The built-in one is read when it is first asked: most commands that only look at what is
//! known already never ask it.

use std::ops::Deref;
use std::sync::Arc;

use super::Catalogue;

/// The built-in catalogue, or one that a repository adds to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SharedCatalogue(Option<Arc<Catalogue>>);

impl From<Catalogue> for SharedCatalogue {
    fn from(catalogue: Catalogue) -> Self {
        Self(Some(Arc::new(catalogue)))
    }
}

impl Deref for SharedCatalogue {
    type Target = Catalogue;

    fn deref(&self) -> &Catalogue {
        self.0.as_deref().unwrap_or_else(|| Catalogue::built_in())
    }
}
