//! The switch where one Ingress is in front of all entries: one write.

use k8s_openapi::api::networking::v1::Ingress;
use kube::api::ObjectMeta;

use super::switch::refuse_newer;
use crate::cluster::ensure::hash_of_live;
use crate::error::{Error, Result};
use crate::names;
use crate::render::Object;
use crate::session::Session;

/// How often it is read again when somebody else (who holds no newer lock) changed it meanwhile.
const TRIES: usize = 4;

/// Leads the host's requests to a version.
pub(super) async fn point(session: &Session<'_>, object: &Object) -> Result<()> {
    let mut tries = 0;
    loop {
        let live = live(session).await?;
        if let Some(live) = &live {
            session.cluster.refuse_foreign(&format!("Ingress {}", names::FRONT), live)?;
            refuse_newer(session, live)?;
            if hash_of_live(live) == Some(object.hash()) {
                return Ok(());
            }
        }
        match session.cluster.ensure(object, live.as_ref(), session.guard).await {
            Err(Error::Locked(_)) if tries < TRIES => tries += 1,
            done => return done.map(drop),
        }
    }
}

/// Takes the Ingress away: the version has Services as entries, or none.
pub(super) async fn close(session: &Session<'_>) -> Result<()> {
    let Some(live) = live(session).await? else { return Ok(()) };
    // Somebody else's of this name leads nowhere of ours.
    if !session.cluster.owns(&live) {
        return Ok(());
    }
    refuse_newer(session, &live)?;
    session.cluster.remove::<Ingress>(&live).await
}

/// The Ingress as it is. Who may not even read it has none.
async fn live(session: &Session<'_>) -> Result<Option<ObjectMeta>> {
    match session.cluster.api::<Ingress>().get_metadata_opt(names::FRONT).await {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        found => Ok(found
            .map_err(|error| Error::cluster(format!("reading the Ingress {}", names::FRONT), &error))?
            .map(|found| found.metadata)),
    }
}
