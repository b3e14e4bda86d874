//! The switch where one Ingress or HTTPRoute is in front of all entries: one write.

use serde_json::json;

use super::switch::refuse_newer;
use crate::cluster::applyset;
use crate::cluster::ensure::hash_of_live;
use crate::error::{Error, Result};
use crate::names;
use crate::render::Object;
use crate::render::front::{INGRESS, ROUTE};
use crate::session::Session;

/// How often it is read again when somebody else (who holds no newer lock) changed it meanwhile.
const TRIES: usize = 4;

/// Leads the host's requests to a version.
pub(super) async fn point(session: &Session<'_>, object: &Object) -> Result<()> {
    let mut tries = 0;
    loop {
        let live = session.cluster.readable(object).await?;
        if let Some(live) = &live {
            session.cluster.refuse_foreign(&format!("{} {}", object.kind(), names::FRONT), live)?;
            refuse_newer(session, live)?;
            if hash_of_live(live) == Some(object.hash()) && !applyset::is_missing(live) {
                return Ok(());
            }
        }
        match session.cluster.ensure(object, live.as_ref(), session.guard).await {
            Err(Error::Locked(_)) if tries < TRIES => tries += 1,
            Err(Error::Cluster { what, why }) if object.kind() == ROUTE.1 && live.is_none() => {
                let mend = "if the cluster lacks the Gateway API, install its resources, or use `ingress.class`";
                return Err(Error::Cluster { what, why: format!("{why}: {mend}") });
            }
            done => return done.map(drop),
        }
    }
}

/// Takes away what is in front of the entries and is not of this kind. Returns how many went.
pub(crate) async fn close(session: &Session<'_>, but: Option<&str>) -> Result<usize> {
    let mut gone = 0;
    for (version, kind) in [INGRESS, ROUTE].into_iter().filter(|(_, kind)| Some(*kind) != but) {
        let meant =
            Object { body: json!({ "apiVersion": version, "kind": kind, "metadata": { "name": names::FRONT } }) };
        // Who may not even read it has none. Somebody else's of this name leads nowhere of ours.
        let Some(live) = session.cluster.readable(&meant).await?.filter(|live| session.cluster.owns(live)) else {
            continue;
        };
        refuse_newer(session, &live)?;
        session.cluster.remove_object(&meant, &live).await?;
        gone += 1;
    }
    Ok(gone)
}
