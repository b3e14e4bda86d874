//! What a lock pins of a graph, and where the two do not agree.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{Graph, Image, Key, SCHEME};
use crate::catalogue::Stack;
use crate::diagnostic::{Place, Problem};
use crate::format::lock::{LOCK_FILE, Pin};

/// What of a graph can be pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pinnable {
    /// Images that are run or built on, by name, each with a place that asks for it. Those that name a digest
    /// themselves are none.
    pub images: BTreeMap<String, Place>,
    /// The hashes of the definitions of stacks that services have, by name.
    pub stacks: BTreeMap<String, Key>,
    /// The least versions of the programs that these stacks need, by the program's name.
    pub tools: BTreeMap<String, String>,
}

impl Pinnable {
    /// With what the same repository has on another cluster besides.
    pub fn merge(&mut self, other: Self) {
        for (image, place) in other.images {
            self.images.entry(image).or_insert(place);
        }
        self.stacks.extend(other.stacks);
        for (tool, version) in other.tools {
            let known = self.tools.entry(tool).or_default();
            // Of two that need a program, whoever needs the newer one decides; equals are equal.
            if numbers(&version) >= numbers(known) {
                *known = version;
            }
        }
    }
}

impl Graph {
    /// What a lock of this graph pins.
    #[must_use]
    pub fn pinnable(&self) -> Pinnable {
        let mut pinnable = Pinnable::default();
        for service in self.services.values() {
            let stack = &service.stack;
            let images: Vec<&str> = match &service.image {
                Image::Ready(image) => vec![image],
                Image::Recipe(_) => std::iter::once(stack.image.as_str()).chain(stack.base.as_deref()).collect(),
                // What its Dockerfile is built on is written there, digests included.
                Image::Dockerfile(_) => Vec::new(),
            };
            for image in images {
                pinnable.images.entry(image.to_owned()).or_insert_with(|| service.place.clone());
            }
            pinnable.stacks.insert(stack.name.clone(), definition(stack));
            for (tool, version) in &stack.tools {
                let known = pinnable.tools.entry(tool.clone()).or_default();
                // Of two stacks that need a program, whoever needs the newer one decides; equals are equal.
                if numbers(version) >= numbers(known) {
                    known.clone_from(version);
                }
            }
        }
        for database in self.databases.values() {
            let server = self.servers.get(&database.server);
            let image = server.and_then(|server| match &server.image {
                Some(image) => Some(image.clone()),
                None => self.catalogue.databases.get(&server.kind).map(|kind| kind.image_name(&server.version)),
            });
            if let Some(image) = image {
                pinnable.images.entry(image).or_insert_with(|| database.place.clone());
            }
        }
        pinnable.images.retain(|image, _| !image.is_empty() && !image.contains('@'));
        pinnable
    }

    /// An image as it is pulled: by its digest where the lock pins it.
    #[must_use]
    pub fn pinned(&self, image: &str) -> String {
        match self.lock.digest(image) {
            Some(digest) => format!("{image}@{digest}"),
            None => image.to_owned(),
        }
    }

    /// The images that a cluster must not run, as nobody can say later which they were: each with the place that asks for
    /// it. A tag that a service.yaml or a database names must be pinned in any case; what the catalogue, a stack or a kind
    /// names must be where there is a lock.
    #[must_use]
    pub fn unpinned(&self) -> Vec<Problem> {
        let mut written: BTreeMap<&str, &Place> = BTreeMap::new();
        for service in self.services.values().filter(|service| !service.is_part()) {
            if let Image::Ready(image) = &service.image {
                written.entry(image).or_insert(service.places.get("image").unwrap_or(&service.place));
            }
        }
        for database in self.databases.values() {
            if let Some(image) = self.servers.get(&database.server).and_then(|server| server.image.as_deref()) {
                written.entry(image).or_insert(&database.place);
            }
        }
        let pinnable = self.pinnable();
        let must = |image: &str| self.lock.place.is_some() || written.contains_key(image);
        let open = pinnable.images.iter().filter(|(image, _)| self.lock.digest(image).is_none() && must(image));
        let problem = |(image, place): (&String, &Place)| {
            let place = written.get(image.as_str()).copied().unwrap_or(place).clone();
            let message = format!("the image {image} is not pinned, and its tag may be another image tomorrow");
            Problem::new("unpinned", place, message)
                .mend(format!("`ssi lock` asks its registry what it is and writes {LOCK_FILE}: commit that file"))
        };
        open.map(problem).collect()
    }

    /// Where the lock is not what `ssi lock` would write now: what is missing, stale, or pinned for nobody. The graph
    /// stands nevertheless. Nothing without a lock.
    #[must_use]
    pub fn lock_findings(&self) -> Vec<Problem> {
        self.lock_findings_of(&self.pinnable())
    }

    /// The same for all that can be pinned of a repository, whose clusters may run other images.
    #[must_use]
    pub fn lock_findings_of(&self, pinnable: &Pinnable) -> Vec<Problem> {
        let lock = &self.lock;
        if lock.place.is_none() {
            return Vec::new();
        }
        let mut findings = Vec::new();
        if let Some((scheme, place)) = lock.scheme.as_ref().filter(|(scheme, _)| *scheme < SCHEME) {
            let message =
                format!("{LOCK_FILE} is of identity scheme {scheme}, and ids are computed by scheme {SCHEME} now");
            findings.push(Problem::new("lock-stale", place.clone(), message).mend("`ssi lock` writes the new number"));
        }
        for (image, place) in pinnable.images.iter().filter(|(image, _)| !lock.images.contains_key(*image)) {
            findings.push(
                Problem::new("lock-missing", place.clone(), format!("the image {image} is not pinned"))
                    .mend("`ssi lock` pins it"),
            );
        }
        let images = pinnable.images.keys().map(String::as_str).collect();
        unknown("image", &images, &lock.images, &mut findings);
        let stacks = pinnable.stacks.iter().map(|(name, key)| (name.as_str(), key.to_string())).collect();
        let tools = pinnable.tools.iter().map(|(name, version)| (name.as_str(), version.clone())).collect();
        compare("stack", &stacks, &lock.stacks, &mut findings);
        compare("tool", &tools, &lock.tools, &mut findings);
        findings
    }
}

/// What is pinned although nothing has it.
fn unknown(what: &str, known: &BTreeSet<&str>, pins: &BTreeMap<String, Pin>, findings: &mut Vec<Problem>) {
    for (name, pin) in pins.iter().filter(|(name, _)| !known.contains(name.as_str())) {
        let message = format!("no service has the {what} `{}` that is pinned here", name.escape_debug());
        findings.push(Problem::new("lock-unknown", pin.place.clone(), message).mend("`ssi lock` removes it"));
    }
}

fn compare(what: &str, now: &BTreeMap<&str, String>, pins: &BTreeMap<String, Pin>, findings: &mut Vec<Problem>) {
    unknown(what, &now.keys().copied().collect(), pins, findings);
    for (name, now) in now {
        match pins.get(*name) {
            Some(pin) if pin.value == *now => {}
            Some(pin) => findings.push(
                Problem::new("lock-stale", pin.place.clone(), format!("the {what} `{name}` is another one by now"))
                    .label(format!("it is {} now", now.get(..16).unwrap_or(now)))
                    .mend("look what changed in clustergraph.yaml or with this program's version, then `ssi lock`"),
            ),
            None => findings.push(
                Problem::new("lock-missing", Place::start_of(LOCK_FILE), format!("the {what} `{name}` is not pinned"))
                    .mend("`ssi lock` pins it"),
            ),
        }
    }
}

/// The hash of all that a stack says of how its services are set up, run and built.
fn definition(stack: &Stack) -> Key {
    let setup = stack.setup.as_ref();
    let setup = setup.map(|setup| json!({ "into": setup.into, "lockfiles": setup.lockfiles, "run": setup.run }));
    Key::of(
        "stack",
        &json!({
            "base": stack.base, "dockerfile": stack.dockerfile, "env": stack.env, "image": stack.image,
            "recipe": stack.recipe, "run": stack.run, "setup": setup, "tools": stack.tools,
            "workspace": stack.workspace,
        }),
    )
}

/// A version's numbers, to tell which is newer.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}
