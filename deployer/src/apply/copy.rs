//! Fills a database with another cluster's data: dumped there, read here, masked, and only then anybody's.
//!
//! While that is not over, the record says that nobody may use what is there, and nothing waits for it that could: whoever comes next
//! throws it away and begins anew. The other cluster is only read.

use std::time::{Duration, Instant};

use indicatif::HumanBytes;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Work;
use super::database::Verb;
use super::pipe::{Side, pipe};
use crate::clones::{is_twin, other_server, refuse_changed};
use crate::cluster::Cluster;
use crate::console;
use crate::error::{Error, Result};
use crate::fault;
use crate::health;
use crate::render::job::DATABASE;
use crate::render::{BesideInput, Copy, Logical};
use crate::store::databases::Known;
use crate::store::lent::Offer;

/// How often it is said how much came.
const TOLD: Duration = Duration::from_secs(1);
/// How long the pods of former Jobs may take to end: they are told to, and killed half a minute later.
const PATIENCE: Duration = Duration::from_secs(120);

impl Work<'_> {
    /// Makes the copy that a database begins with.
    pub(super) async fn copy(&self, logical: &Logical, shown: &mut console::Step) -> Result<String> {
        let wanted = &logical.wanted;
        let address = &wanted.address;
        let found = (&logical.copy, &wanted.copy, wanted.copy.as_ref().and_then(|offer| self.bases.get(&offer.of)));
        let is_whole = self.databases.lock().await.value.0.get(address).is_some_and(|known| !known.is_half());
        let (Some(copy), Some(offer), Some(base), false) = (found.0, found.1, found.2, is_whole) else {
            return Err(Error::Locked(format!("the data of {address} changed while this ran. Run this again")));
        };
        self.refuse_other_server(address, offer)?;
        refuse_changed(base, address, offer).await?;
        self.save(Known::copying(wanted, self.volume(&wanted.server), offer, Timestamp::now())).await?;
        fault::point("copy-noted");
        let copied = self.fill(logical, copy, (offer, base), shown).await;
        match copied {
            Ok(bytes) => Ok(format!("a copy {}, {}", offer.words(), HumanBytes(bytes))),
            // Whoever has the lock now decides.
            Err(error @ Error::Locked(_)) => Err(error),
            Err(error) => {
                let gone = self.throw_away(copy, shown).await;
                let left = match gone {
                    Ok(()) => "Nothing of it is left".to_owned(),
                    Err(why) => format!("It could not be thrown away ({why}), and is nobody's to use"),
                };
                Err(Error::Deploy(format!(
                    "{address} could not be cloned: {error}\n{left}. The next `komandan up` begins anew; {} was only read",
                    offer.of
                )))
            }
        }
    }

    /// Makes it, whatever was there before: how many bytes came.
    async fn fill(
        &self,
        logical: &Logical,
        copy: &Copy,
        (offer, base): (&Offer, &Cluster),
        shown: &mut console::Step,
    ) -> Result<u64> {
        let wanted = &logical.wanted;
        self.throw_away(copy, shown).await?;
        self.make(logical, logical.make.as_ref(), Verb::Make, shown).await?;
        fault::point("copy-made");
        let from = Side { cluster: base, pod: &copy.pod, command: &copy.dump };
        let to = Side { cluster: self.session.cluster, pod: &copy.pod, command: &copy.restore };
        let mut last = Instant::now();
        shown.doing(&format!("copying from {}", offer.of));
        let carried = pipe(from, to, |bytes| {
            if last.elapsed() >= TOLD {
                last = Instant::now();
                shown.doing(&format!("{} copied from {}", HumanBytes(bytes), offer.of));
            }
        });
        let bytes = carried.await?.map_err(Error::Deploy)?;
        // A migration there, meanwhile, leaves nobody who knows which schema this is.
        refuse_changed(base, &wanted.address, offer).await?;
        fault::point("copy-restored");
        if let Some(mask) = &copy.mask {
            shown.doing(&format!("{} came, and are being masked", HumanBytes(bytes)));
            let run = self.begin(logical, mask, Verb::Mask, shown).await?;
            self.release(&run).await?;
            fault::point("mask-released");
            let look = |observed: &_, now| health::job(observed, &run.job, now);
            self.ready(&format!("the mask of {}", wanted.address), shown, look).await?;
            fault::point("mask-ended");
            self.expire(&run.job).await;
            if let Some(forget) = &copy.forget {
                self.at_server(copy, forget, "its server remembers what was there before the mask").await?;
            }
        }
        let known = self.databases.lock().await.value.0.get(&wanted.address).cloned();
        let known = known.ok_or_else(|| Error::Store(format!("nothing is known of {}", wanted.address)))?;
        self.save(known.copied(offer, Timestamp::now())).await?;
        fault::point("copy-done-noted");
        Ok(bytes)
    }

    /// Ends what still works on a database, and removes it with all that is in it.
    async fn throw_away(&self, copy: &Copy, shown: &mut console::Step) -> Result<()> {
        let session = self.session;
        let is_its = |metadata: &ObjectMeta| {
            metadata.labels.as_ref().and_then(|labels| labels.get(DATABASE)) == Some(&copy.label)
        };
        for job in session.view.now().jobs.values().filter(|job| is_its(&job.metadata)) {
            shown.doing("removing its former Jobs");
            session.cluster.remove::<Job>(&job.metadata).await?;
        }
        let runs = |pod: &Pod| is_its(&pod.metadata) && !health::is_over(pod);
        let over = session.view.until(|observed| {
            let is_there = observed.jobs.values().any(|job| is_its(&job.metadata));
            (!is_there && !observed.pods.values().any(|pod| runs(pod))).then_some(())
        });
        if tokio::time::timeout(PATIENCE, over).await.is_err() {
            let seconds = PATIENCE.as_secs();
            return Err(Error::Deploy(format!("the pods of its former Jobs did not end within {seconds} seconds")));
        }
        self.at_server(copy, &copy.drop, "what was there cannot be removed").await
    }

    /// Runs a command where the server runs. No password is in what it reads.
    async fn at_server(&self, copy: &Copy, (command, input): &(String, BesideInput), otherwise: &str) -> Result<()> {
        let done = self.run_beside(&copy.pod, command, "\n", &input.with_passwords("", "")).await?;
        done.map_err(|why| Error::Deploy(format!("{otherwise} ({}): {why}", copy.pod)))
    }

    /// Refuses to put data into a server that is there and is not of the same kind as where it comes from.
    fn refuse_other_server(&self, address: &str, offer: &Offer) -> Result<()> {
        match is_twin(&self.session.view.now(), offer) {
            Some(true) => Ok(()),
            Some(false) | None => Err(Error::Refused(other_server(address, offer))),
        }
    }

    async fn save(&self, known: Known) -> Result<()> {
        let mut databases = self.databases.lock().await;
        databases.value.0.insert(known.address.clone(), known);
        self.session.store().save_databases(&mut databases).await
    }
}
