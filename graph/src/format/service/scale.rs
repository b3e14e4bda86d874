//! How much of a service there is: instances, and what each of them may take.

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Problem, Problems};
use crate::format::decode::{self, Fields};
use crate::format::quantity;
use crate::format::yaml::Yaml;

/// How many instances run on a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// Instances, where nothing scales them.
    pub replicas: u32,
    /// The fewest that are left when there is little to do.
    pub min: Option<u32>,
    /// The most; scaled by load exactly when this is said.
    pub max: Option<u32>,
    /// The load that is aimed at, in percent of the processors asked for.
    pub cpu: Option<u32>,
}

impl Default for Scale {
    fn default() -> Self {
        Self { replicas: 1, min: None, max: None, cpu: None }
    }
}

/// What one instance asks for and may take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Thousandths of a processor.
    pub cpu_millis: Option<u32>,
    /// Bytes.
    pub memory_bytes: Option<u64>,
}

pub(super) fn scale(yaml: &Yaml, problems: &mut Problems) -> Option<Scale> {
    let mut fields = Fields::open(yaml, "`scale`", problems)?;
    let mut number = |name: &'static str, bounds: std::ops::RangeInclusive<i64>, problems: &mut Problems| {
        let yaml = fields.take(name)?;
        let number = decode::integer(yaml, &format!("`scale.{name}`"), bounds, problems)?;
        u32::try_from(number).ok().map(|number| (number, yaml))
    };
    let replicas = number("replicas", 0..=10_000, problems);
    let min = number("min", 0..=10_000, problems);
    let max = number("max", 1..=10_000, problems);
    let cpu = number("cpu", 1..=100, problems);
    fields.close("`scale`", problems);
    let mut ordered = |less: Option<(u32, &Yaml)>, more: Option<(u32, &Yaml)>, message: &str| {
        if let (Some((less, place)), Some((more, other))) = (less, more)
            && less > more
        {
            problems.add(
                Problem::new("conflict", place.place.clone(), message)
                    .related(other.place.clone(), format!("{more} is less than {less}"))
                    .mend("`min`, `replicas` and `max` grow in this order"),
            );
        }
    };
    ordered(min, max, "the fewest instances are more than the most");
    ordered(min, replicas, "the fewest instances are more than there are");
    ordered(replicas, max, "there are more instances than the most");
    if let (None, Some((_, yaml))) = (max, min.or(cpu)) {
        problems.add(
            Problem::new("missing-field", yaml.place.clone(), "what is scaled by load needs `max`")
                .mend("add `max`, or say `replicas` alone"),
        );
    }
    let value = |found: Option<(u32, &Yaml)>| found.map(|(number, _)| number);
    let replicas = value(replicas).or(value(min)).unwrap_or(1);
    Some(Scale { replicas, min: value(min), max: value(max), cpu: value(cpu) })
}

pub(super) fn resources(yaml: &Yaml, problems: &mut Problems) -> Resources {
    let mut resources = Resources::default();
    let Some(mut fields) = Fields::open(yaml, "`resources`", problems) else { return resources };
    resources.cpu_millis = fields.take("cpu").and_then(|yaml| quantity::cpu(yaml, "`resources.cpu`", problems));
    resources.memory_bytes =
        fields.take("memory").and_then(|yaml| quantity::bytes(yaml, "`resources.memory`", problems));
    fields.close("`resources`", problems);
    resources
}
