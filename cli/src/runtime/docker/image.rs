//! Images: pulled when the engine lacks them, and what they say of themselves.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bollard::errors::Error;
use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;

use super::super::Cause;
use super::engine_said;

/// What containers need to know of an image.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// What `PATH` is inside.
    pub(super) path: String,
}

/// The images that the engine is known to have: asking again for each of a hundred containers would cost more
/// than making them.
#[derive(Default)]
pub(super) struct Images {
    known: Mutex<BTreeMap<String, Facts>>,
}

impl Images {
    /// The facts of an image, which is pulled when the engine lacks it.
    pub(super) async fn ensure(
        &self,
        engine: &bollard::Docker,
        image: &str,
        tell: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Facts, Cause> {
        if let Some(facts) = self.lock().get(image) {
            return Ok(facts.clone());
        }
        let facts = match facts(engine, image).await? {
            Some(facts) => facts,
            None => {
                pull(engine, image, tell).await?;
                facts(engine, image).await?.ok_or_else(|| Cause::new(format!("the image {image} is gone again")))?
            }
        };
        self.lock().insert(image.to_owned(), facts.clone());
        Ok(facts)
    }

    /// Somebody removed it.
    pub(super) fn forget(&self, image: &str) {
        self.lock().remove(image);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Facts>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an image says of itself; `None` when the engine lacks it.
async fn facts(engine: &bollard::Docker, image: &str) -> Result<Option<Facts>, Cause> {
    let found = match engine.inspect_image(image).await {
        Ok(found) => found,
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
        Err(error) => return Err(engine_said(error)),
    };
    let env = found.config.and_then(|config| config.env).unwrap_or_default();
    let path = env.iter().find_map(|variable| variable.strip_prefix("PATH=")).map(str::to_owned);
    // What the engine itself sets where an image says nothing.
    let path = path.unwrap_or_else(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    Ok(Some(Facts { path }))
}

async fn pull(engine: &bollard::Docker, image: &str, tell: &(dyn Fn(String) + Send + Sync)) -> Result<(), Cause> {
    tell(format!("pulling {image}"));
    let options = CreateImageOptions { from_image: Some(image.to_owned()), ..Default::default() };
    let mut progress = engine.create_image(Some(options), None, None);
    while let Some(step) = progress.next().await {
        let failed = match step {
            Ok(info) => info.error_detail.and_then(|detail| detail.message),
            Err(error) => Some(engine_said(error).message),
        };
        if let Some(why) = failed {
            return Err(Cause::new(format!(
                "the image {image} cannot be pulled: {why}. Behind a firewall, name a registry that holds public images with `--mirror` or `images.mirror` in clustergraph.yaml"
            )));
        }
    }
    Ok(())
}
