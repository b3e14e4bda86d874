//! `komandan build`

use serde_json::json;

use crate::console::Console;
use crate::error::Result;
use crate::images::{self, Found, Registry};
use crate::render::Images;
use crate::repository;
use crate::settings::Global;

/// Builds and pushes the images of a commit that the registry lacks
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  komandan build --registry registry.example/shop HEAD")]
pub(crate) struct Args {
    /// The commit
    #[arg(default_value = "HEAD")]
    pub(crate) commit: String,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let repository = repository::read(global, &args.commit).await?;
    repository.refuse_unpinned()?;
    let registry = Registry::new();
    let (resolved, _) = images::resolve(&repository.graph, &repository.settings, &Images::default(), &registry).await?;
    let built: Vec<String> =
        resolved.iter().filter(|(_, (_, found))| *found == Found::Missing).map(|(name, _)| name.clone()).collect();
    let digests = images::build(&repository.graph, &repository.tree, resolved, &registry, console).await?;
    if console.is_json() {
        console.json(json!({ "event": "result", "command": "build", "images": digests, "built": built }));
        return Ok(());
    }
    let rows: Vec<_> = digests
        .into_iter()
        .map(|(name, image)| {
            let how = if built.contains(&name) { "built" } else { "there" };
            vec![name, how.to_owned(), image]
        })
        .collect();
    console.table(&["SERVICE", "", "IMAGE"], &rows);
    Ok(())
}
