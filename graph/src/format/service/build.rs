//! How an image is built from a Dockerfile of the service's own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::surroundings::variables;
use crate::diagnostic::{Place, Problems};
use crate::format::decode::{self, Fields};
use crate::format::repo_path;
use crate::format::yaml::{Key, Yaml};

/// How an image is built from a Dockerfile of the service's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The folder of the repository that the build sees as its root; the repository's layout otherwise.
    pub context: Option<String>,
    /// The Dockerfile, relative to the context, or to the service's folder where there is none.
    pub dockerfile: String,
    /// The stage to build; the last otherwise.
    pub target: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Names of secrets that the build may read, and the image never holds.
    pub secrets: Vec<String>,
    /// Where it was written.
    pub place: Place,
}

impl Build {
    /// A Dockerfile without anything else.
    pub(crate) fn of_dockerfile(path: &str, place: &Place) -> Self {
        let (args, secrets) = (BTreeMap::new(), Vec::new());
        Self { context: None, dockerfile: path.to_owned(), target: None, args, secrets, place: place.clone() }
    }
}

/// Where `build` was written, and what it says.
pub(super) fn build(key: &Key, yaml: &Yaml, problems: &mut Problems) -> (Place, Option<Build>) {
    (key.place.clone(), dockerfile_build(key, yaml, problems))
}

fn dockerfile_build(key: &Key, yaml: &Yaml, problems: &mut Problems) -> Option<Build> {
    let mut fields = Fields::open(yaml, "`build`", problems)?;
    let mut place = key.place.clone();
    let context = fields.take("context").and_then(|yaml| {
        decode::string(yaml, "`build.context`", problems)
            .and_then(|path| repo_path(path, &yaml.place, "the context", problems))
    });
    let dockerfile = match fields.take("dockerfile") {
        None => Some("Dockerfile".to_owned()),
        Some(yaml) => {
            place = yaml.place.clone();
            decode::string(yaml, "`build.dockerfile`", problems)
                .and_then(|path| repo_path(path, &yaml.place, "the Dockerfile", problems))
        }
    };
    let target =
        fields.take("target").and_then(|yaml| decode::string(yaml, "`build.target`", problems).map(str::to_owned));
    let args = fields.take("args").map(|yaml| decode::texts(yaml, "build.args", problems)).unwrap_or_default();
    let secrets = fields.take("secrets").map(|yaml| variables(yaml, "`build.secrets`", problems)).unwrap_or_default();
    let secrets = secrets.into_iter().map(|(name, _)| name).collect();
    fields.close("`build`", problems);
    Some(Build { context, dockerfile: dockerfile?, target, args, secrets, place })
}
