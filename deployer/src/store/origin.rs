//! Whose data a database began with.

use serde::{Deserialize, Serialize};

use super::lent::Offer;
use crate::error::{Error, Result};

/// A copy that a database began as. That is decided once: its data goes its own way from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// The cluster whose data it was.
    pub(crate) cluster: String,
    /// The version that served there.
    pub(crate) version: u64,
    /// The service whose program masked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) masked_by: Option<String>,
    /// Whether all of it is there and masked. Until then it is nobody's to use, and is thrown away by whoever comes next.
    pub(crate) is_whole: bool,
}

impl Origin {
    /// Of a copy that begins.
    pub(super) fn half(offer: &Offer) -> Self {
        Self { is_whole: false, ..Self::whole(offer) }
    }

    /// Of one that is all there.
    pub(super) fn whole(offer: &Offer) -> Self {
        Self {
            cluster: offer.of.clone(),
            version: offer.version,
            masked_by: offer.lent.masked_by().map(str::to_owned),
            is_whole: true,
        }
    }

    /// Refuses what would let somebody see a copy before it is masked, or take another database for it.
    pub(super) fn refuse(&self, address: &str, is_offered: bool, is_gone: bool) -> Result<()> {
        let of = &self.cluster;
        if self.is_whole && is_gone {
            // What serves has its credentials, and would see all that comes, masked or not.
            return Err(Error::Refused(format!(
                "the volume of {address} is gone, and with it the copy of {of} that it began with. What serves would see another \
                 one before it is masked: end the cluster by `komandan down`, then `komandan up` clones anew"
            )));
        }
        if !self.is_whole && !is_offered {
            return Err(Error::Refused(format!(
                "a copy of {of} was begun for {address} and is not all there, and this commit asks for none: end the cluster by \
                 `komandan down`, then `komandan up` begins with an empty database"
            )));
        }
        Ok(())
    }
}
