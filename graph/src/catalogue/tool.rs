//! A tool that stacks need: how its version is asked, and what brings it to a machine.

use std::collections::BTreeMap;

use super::read;
use crate::diagnostic::Problems;
use crate::format::decode::Fields;
use crate::format::service::Command;
use crate::format::yaml::Yaml;

/// One tool of the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tool {
    /// The program's name.
    pub name: String,
    /// Prints its version, to either output.
    pub version: Command,
    /// The packages that bring it, by package manager.
    pub package: BTreeMap<String, String>,
    /// Its names in `.tool-versions` and `mise.toml`.
    pub managed: Vec<String>,
    /// What a person does where neither a version manager nor a package brings it.
    pub hint: Option<String>,
}

impl Tool {
    pub(super) fn decode(name: &str, yaml: &Yaml, problems: &mut Problems) -> Option<Self> {
        let what = format!("the tool `{}`", name.escape_debug());
        let mut fields = Fields::open(yaml, &what, problems)?;
        let tool = Self {
            name: name.to_owned(),
            version: read::command(&mut fields, "version", problems),
            package: read::map(&mut fields, "package", problems),
            managed: read::texts(&mut fields, "managed", problems),
            hint: read::optional_text(&mut fields, "hint", problems),
        };
        fields.close(&what, problems);
        Some(tool)
    }
}
