//! Which tasks have run. A task runs once for each of its versions and each incarnation of the data that it uses; this says
//! so when its Job is long gone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::databases::Need;
use crate::cluster::view::Observed;
use crate::error::Result;
use crate::plan::Target;
use crate::render::Kind;
use crate::store::record::Node;

const SCHEMA: u32 = 1;

/// The tasks that ended well, by name and id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tasks(pub(crate) BTreeMap<String, Done>);

/// A task that ended well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    schema: u32,
    /// Its name.
    name: String,
    /// Its version.
    id: String,
    /// The volumes that its databases lay on, by server: another one is empty.
    volumes: BTreeMap<String, String>,
    /// When it had ended.
    time: Timestamp,
}

impl Done {
    pub(crate) fn new(name: &str, node: &Node, volumes: BTreeMap<String, String>, time: Timestamp) -> Self {
        Self { schema: SCHEMA, name: name.to_owned(), id: node.id.to_string(), volumes, time }
    }
}

impl Tasks {
    /// Under what a task's end is written down.
    pub(crate) fn key(name: &str, node: &Node) -> String {
        format!("{name}.{}", node.id.short())
    }

    /// The volumes that a task's databases lie on, as far as they are there.
    pub(crate) fn volumes(name: &str, target: &Target, observed: &Observed) -> BTreeMap<String, String> {
        let servers = target.stores.get(name).into_iter().flatten().filter_map(|address| target.server_of.get(address));
        let volume = |server: &String| {
            let claim = format!("data-{}-0", target.servers.get(server)?.name);
            Some((server.clone(), observed.claims.get(&claim)?.metadata.uid.clone()?))
        };
        servers.filter_map(volume).collect()
    }

    /// What must be done for each task of a target.
    pub(crate) fn needs(&self, target: &Target, observed: &Observed) -> BTreeMap<String, Need> {
        let tasks = target.content.nodes.iter().filter(|(_, node)| node.kind == Kind::Task);
        tasks.map(|(name, node)| (name.clone(), self.need(name, node, target, observed))).collect()
    }

    fn need(&self, name: &str, node: &Node, target: &Target, observed: &Observed) -> Need {
        let Some(done) = self.0.get(&Self::key(name, node)).filter(|done| done.id == node.id.to_string()) else {
            let ran = self.0.values().any(|done| done.name == *name);
            return Need::Run(if ran { "its version changed" } else { "new" }.to_owned());
        };
        let is_other =
            |(server, volume): (String, String)| done.volumes.get(&server).is_some_and(|then| *then != volume);
        if Self::volumes(name, target, observed).into_iter().any(is_other) {
            return Need::Run("its data is new".to_owned());
        }
        Need::Nothing
    }

    pub(crate) fn decode(data: &BTreeMap<String, String>) -> Result<Self> {
        let decode = |text: &String| super::decode::<Done>("what is known of a task", SCHEMA, text);
        data.iter().map(|(key, text)| Ok((key.clone(), decode(text)?))).collect::<Result<_>>().map(Self)
    }

    pub(crate) fn encode(&self) -> Result<BTreeMap<String, String>> {
        let encode = |done: &Done| super::encode("what is known of a task", done);
        self.0.iter().map(|(key, done)| Ok((key.clone(), encode(done)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::task;

    #[test]
    fn a_task_runs_once_for_each_version_and_each_incarnation_of_its_data() {
        let (target, observed) = task("1", "volume-1");
        let mut tasks = Tasks::default();
        let need =
            |tasks: &Tasks, (target, observed): &(Target, Observed)| tasks.needs(target, observed)["fill"].clone();
        let run = |why: &str| Need::Run(why.to_owned());
        assert_eq!(need(&tasks, &task("1", "volume-1")), run("new"));
        let node = &target.content.nodes["fill"];
        let done = Done::new("fill", node, Tasks::volumes("fill", &target, &observed), Timestamp::UNIX_EPOCH);
        tasks.0.insert(Tasks::key("fill", node), done);
        assert_eq!(need(&tasks, &task("1", "volume-1")), Need::Nothing);
        assert_eq!(need(&tasks, &task("2", "volume-1")), run("its version changed"));
        assert_eq!(need(&tasks, &task("1", "volume-2")), run("its data is new"));
        assert_eq!(Tasks::decode(&tasks.encode().unwrap()).unwrap(), tasks);
    }
}
