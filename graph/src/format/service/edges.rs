//! Which other services a service is wired to.

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Place, Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::dns_label;
use crate::format::yaml::{Value, Yaml};

/// A service that this one calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Dependency {
    /// The other service's name.
    pub service: String,
    /// The name under which this service knows it.
    pub alias: String,
    /// What starting waits for.
    pub wait: Wait,
    /// Whether this service also runs without it: it is wired where it runs, and never started for this one's sake.
    pub optional: bool,
    /// Where it was written.
    pub place: Place,
    /// Where `wait` was written, or the whole entry.
    pub wait_place: Place,
}

/// What the start of a service waits for on one of its edges. The stricter is the lesser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Wait {
    /// The other, a task, has ended well.
    Completed,
    /// The other is ready; a task is when it has ended well.
    Ready,
    /// The other was started.
    Started,
    /// Nothing: wired, not waited for. May close a cycle.
    None,
}

impl Wait {
    /// The word in the format.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Ready => "ready",
            Self::Started => "started",
            Self::None => "none",
        }
    }
}

pub(super) fn alias(yaml: Option<&Yaml>, default: &str, problems: &mut Problems) -> Option<String> {
    match yaml {
        None => Some(default.to_owned()),
        Some(yaml) => {
            let alias = decode::string(yaml, "`as`", problems)?;
            dns_label(alias, &yaml.place, "the alias", problems)
        }
    }
}

pub(super) fn dependency(yaml: &Yaml, problems: &mut Problems) -> Option<Dependency> {
    if let Value::Text(name) = &yaml.value {
        let (place, wait_place) = (yaml.place.clone(), yaml.place.clone());
        let (service, alias) = (name.clone(), name.clone());
        return Some(Dependency { service, alias, wait: Wait::Ready, optional: false, place, wait_place });
    }
    let mut fields = Fields::open(yaml, "a dependency", problems)?;
    let service = decode::required(&mut fields, "service", "a dependency", problems)
        .and_then(|yaml| decode::string(yaml, "`service`", problems).map(|name| (name, &yaml.place)));
    let alias_yaml = fields.take("as");
    let wait_yaml = fields.take("wait");
    let wait = match wait_yaml {
        None => Some(Wait::Ready),
        Some(yaml) => wait(yaml, problems),
    };
    let optional =
        fields.take("optional").and_then(|yaml| decode::boolean(yaml, "`optional`", problems)).unwrap_or(false);
    let place = service.map_or_else(|| yaml.place.clone(), |(_, place)| place.clone());
    fields.close("a dependency", problems);
    let (service, _) = service?;
    let alias = alias(alias_yaml, service, problems)?;
    let wait_place = wait_yaml.map_or_else(|| place.clone(), |yaml| yaml.place.clone());
    Some(Dependency { service: service.to_owned(), alias, wait: wait?, optional, place, wait_place })
}

fn wait(yaml: &Yaml, problems: &mut Problems) -> Option<Wait> {
    let word = decode::string(yaml, "`wait`", problems)?;
    let known = [Wait::Ready, Wait::Started, Wait::Completed, Wait::None];
    let found = known.into_iter().find(|wait| wait.as_str() == word);
    if found.is_none() {
        problems.add(
            Problem::new("wait", yaml.place.clone(), format!("`{}` is nothing to wait for", word.escape_debug()))
                .mend("write ready, started, completed (of a task) or none"),
        );
    }
    found
}
