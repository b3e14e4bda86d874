//! Makes policies what they should be.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::NetworkPolicy;

use crate::cluster::ensure::hash_of_live;
use crate::error::Result;
use crate::names;
use crate::render::{Object, policy};
use crate::session::Session;
use crate::store::record::Record;

/// Makes these policies what they should be: what allows before what denies.
pub(super) async fn ensure(session: &Session<'_>, policies: &[&Object]) -> Result<()> {
    let observed = session.view.now();
    let (denies, allow): (Vec<&Object>, Vec<&Object>) =
        policies.iter().partition(|object| object.name() == names::DEFAULT_POLICY);
    for some in [allow, denies] {
        let one = async |object: &Object| {
            let live = observed.policies.get(object.name()).map(|live| &live.metadata);
            if live.and_then(hash_of_live) == Some(object.hash()) {
                return Ok(());
            }
            session.cluster.ensure(object, live, session.guard).await.map(drop)
        };
        futures_util::future::try_join_all(some.into_iter().map(one)).await?;
    }
    Ok(())
}

/// Takes back what only versions needed that are not kept any more.
pub(super) async fn narrow(session: &Session<'_>, kept: &[&Record]) -> Result<()> {
    let versions: Vec<_> = kept.iter().map(|record| &record.content).collect();
    let policies = policy::policies(session.cluster.name(), &versions);
    if policies.is_empty() {
        return Ok(());
    }
    ensure(session, &policies.iter().collect::<Vec<_>>()).await?;
    let wanted: BTreeSet<&str> = policies.iter().map(Object::name).collect();
    for (name, live) in &session.view.now().policies {
        if session.cluster.owns(&live.metadata) && !wanted.contains(name.as_str()) {
            session.cluster.remove::<NetworkPolicy>(&live.metadata).await?;
        }
    }
    Ok(())
}
