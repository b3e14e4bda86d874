//! `komandan render`

use serde_json::{Value, json};

use crate::console::Console;
use crate::error::{Error, Result};
use crate::images::{self, Found, Registry};
use crate::render::external::externals;
use crate::render::{self, Credentials, Images, Object, files, policy};
use crate::repository;
use crate::settings::Global;
use crate::store::databases::Databases;
use crate::target;

/// Prints a commit's Kubernetes objects as plain YAML
///
/// For those who apply them by other means. Generated credentials are not among them: which Secrets are
/// needed is said on top. All images must be in the registry.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  komandan build && komandan render > production.yaml")]
pub(crate) struct Args {
    /// The commit
    #[arg(default_value = "HEAD")]
    pub(crate) commit: String,
}

pub(crate) async fn run(args: &Args, global: &Global, console: &Console) -> Result<()> {
    let repository = repository::read(global, &args.commit).await?;
    repository.refuse_unpinned()?;
    let settings = &repository.settings;
    let registry = Registry::new();
    let (resolved, servers) = images::resolve(&repository.graph, settings, &Images::default(), &registry).await?;
    let mut services = std::collections::BTreeMap::new();
    for (name, (wanted, found)) in resolved {
        let Found::Digest(digest) = found else {
            return Err(Error::Image(format!("the registry has no {}: run `komandan build` first", wanted.name)));
        };
        services.insert(name, digest);
    }
    // Nobody is asked which numbers were given out: they are those of a cluster's first deploy.
    let numbers = Databases::default().numbers(&repository.graph, &settings.cluster)?;
    let images = Images { services, servers, numbers, ..Images::default() };
    let rendered = render::render(&repository.graph, &images, &settings.cluster)?;
    let (target, _) = target::of_graph(&repository.graph, rendered.clone(), &images, &settings.cluster, &[])?;
    let target = target.letting_in(&settings.namespace);
    let mut objects: Vec<Object> = rendered.all().into_iter().cloned().collect();
    objects.extend(policy::policies(&settings.cluster, &[&target.content]));
    objects.extend(rendered.entry_objects(&settings.cluster));
    for object in &mut objects {
        object.set_metadata("namespace", json!(settings.namespace));
        if object.kind() == "Job" {
            // Held back only while komandan itself watches over it.
            object.set_spec("suspend", json!(false));
        }
        if let Some(node) = rendered.nodes.values().find(|node| node.workload == object.name())
            && object.kind() == "Deployment"
            && !node.scales
        {
            object.set_spec("replicas", json!(node.replicas));
        }
    }
    let secrets = rendered.servers.values().filter_map(|server| server.secret.as_ref());
    let secrets = secrets.chain(rendered.databases.values().filter_map(|database| database.secret.as_ref()));
    if console.is_json() {
        let objects = objects.into_iter().filter(|object| object.kind() != "Secret");
        let objects: Vec<Value> = objects.map(|object| object.body).collect();
        let secrets: Vec<Value> =
            secrets.map(|secret| json!({ "name": secret.name, "username": secret.username })).collect();
        console.json(json!({ "command": "render", "credentials": secrets, "objects": objects }));
        return Ok(());
    }
    let line = |secret: &Credentials| {
        format!("# needs the Secret {} with the username {} and a password\n", secret.name, secret.username)
    };
    let mut text: String = secrets.map(line).collect();
    for external in externals(&repository.graph, &settings.cluster)? {
        text.push_str(&format!("# needs the Secret {} with {}\n", external.secret, external.keys.join(", ")));
    }
    // What they hold is made of values that are nowhere but in the cluster.
    for secret in objects.iter().filter(|object| object.kind() == "Secret") {
        for (of, key) in files::made_of(secret) {
            text.push_str(&format!("# needs the Secret {}: files made with {key} of the Secret {of}\n", secret.name()));
        }
    }
    for object in objects.into_iter().filter(|object| object.kind() != "Secret") {
        let yaml = serde_yaml::to_string(&object.body)
            .map_err(|error| Error::Usage(format!("{} {} cannot be written: {error}", object.kind(), object.name())))?;
        text.push_str("---\n");
        text.push_str(&yaml);
    }
    console.data(&text);
    Ok(())
}
