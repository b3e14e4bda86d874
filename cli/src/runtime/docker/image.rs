//! Images: pulled when the engine lacks them.

use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;

use super::super::Cause;
use super::engine_said;

/// Pulls an image that the engine lacks.
pub(super) async fn ensure(
    engine: &bollard::Docker,
    image: &str,
    tell: &(dyn Fn(String) + Send + Sync),
) -> Result<(), Cause> {
    if engine.inspect_image(image).await.is_ok() {
        return Ok(());
    }
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

/// What `PATH` is inside an image.
pub(super) async fn path_variable(engine: &bollard::Docker, image: &str) -> Result<String, Cause> {
    let found = engine.inspect_image(image).await.map_err(engine_said)?;
    let env = found.config.and_then(|config| config.env).unwrap_or_default();
    let path = env.iter().find_map(|variable| variable.strip_prefix("PATH=")).map(str::to_owned);
    Ok(path.unwrap_or_else(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()))
}
